/* copy.c: copying by whole words, with the widest stores that the processor has.
 *
 * Called on the hot path by producers. Owns the choice, made once when the library is loaded. */
#include "base/copy.h"

#include <string.h>

/* Of `width` bytes each: in one register of the target. */
/* NOLINTBEGIN(bugprone-macro-parentheses): `name` and `target` are no expressions */
#define COPY_BLOCKS(name, width, target)                                                     \
    typedef uint64_t name##_to __attribute__((vector_size(width), aligned(8), may_alias));   \
    typedef uint64_t name##_from __attribute__((vector_size(width), aligned(1), may_alias)); \
    target static void name(void *to, const void *from, size_t size)                         \
    {                                                                                        \
        for (size_t i = 0; i < size / (width); i++)                                          \
            ((name##_to *)to)[i] = ((const name##_from *)from)[i];                           \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

COPY_BLOCKS(copy_16, 16, )
static void (*copy_blocks)(void *to, const void *from, size_t size) = copy_16; /* a multiple of 64 */

#if defined(__x86_64__)
COPY_BLOCKS(copy_32, 32, __attribute__((target("avx2"))))
COPY_BLOCKS(copy_64, 64, __attribute__((target("avx512f"))))

static __attribute__((constructor)) void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        copy_blocks = copy_64;
    else if (__builtin_cpu_supports("avx2"))
        copy_blocks = copy_32;
}
#endif

static inline uint64_t load(const void *from, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, from, size);
    return word;
}

void sp_copy_words(void *to, const void *from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from, *end = source + size;

    if (size >= 64) {
        copy_blocks(target, source, size & ~(size_t)63);
        target += size & ~(size_t)63;
        source += size & ~(size_t)63;
    }
    for (; end - source >= 8; source += 8, target += 8)
        *(uint64_t *)(void *)target = load(source, 8);
    if (source != end)
        *(uint64_t *)(void *)target = load(source, (size_t)(end - source));
}
