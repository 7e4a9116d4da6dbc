/* copy.h: copying values into a ring, by whole words.
 *
 * Every store covers whole aligned 8-byte words of the destination, as wide as the machine has them, and the last word is filled up with
 * zeros: a record's tail is deterministic. Pure functions, any thread. */
#ifndef SP_BASE_COPY_H
#define SP_BASE_COPY_H

#include <stddef.h>
#include <stdint.h>

/* sp_copy_words: copy `size` bytes.
 *   to      8-byte aligned; room for size rounded up to 8
 *   from    any alignment; not a byte beyond `size` is read */
void sp_copy_words(void *to, const void *from, size_t size);

/* SP_COPY_LINE: define a function that copies 64 bytes, the commonest size, by stores of `width` bytes: as few as the target allows, for a
 * store that has to wait for its cache line makes all later ones wait too. `size` is there for the signature. */
/* NOLINTBEGIN(bugprone-macro-parentheses): `name` and `target` are no expressions */
#define SP_COPY_LINE(name, width, target)                                                                  \
    typedef uint64_t name##_to __attribute__((vector_size(width), aligned(8), may_alias));                 \
    typedef uint64_t name##_from __attribute__((vector_size(width), aligned(1), may_alias));               \
    target static inline __attribute__((always_inline)) void name(void *to, const void *from, size_t size) \
    {                                                                                                      \
        (void)size;                                                                                        \
        for (int i = 0; i < 64 / (width); i++)                                                             \
            ((name##_to *)to)[i] = ((const name##_from *)from)[i];                                         \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
