/* handle.h: memory for public handles that a forked child finds wiped.
 *
 * The pages are private, anonymous and marked MADV_WIPEONFORK: in a child every byte is 0, so one check of the first word per
 * call tells a handle that was inherited over fork() (0), something that is no such handle (anything else), and a good one
 * (its magic). A handle that was closed is gone, as with free(). It costs the hot path one compare of a word it has in cache.
 *
 * Any thread; a handle is freed by the thread that closes it. */
#ifndef SP_SHM_HANDLE_H
#define SP_SHM_HANDLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* sp_handle_alloc: zeroed memory of that size, wiped in children. NULL when there is none. */
void *sp_handle_alloc(size_t size);
void sp_handle_free(void *handle, size_t size);

/* sp_handle_error: the error for a handle whose first word is not its magic; keeps the text. Never 0.
 *   what   "bus", "producer", ... */
static inline int __attribute__((cold)) sp_handle_error(const void *handle, const char *what)
{
    if (!handle)
        return sp_fail(-EINVAL, "the %s handle is NULL", what);
    if (*(const uint64_t *)handle == 0)
        return sp_fail(
            -ECHILD,
            "the %s handle was inherited over fork(): handles belong to the process that opened them; open the bus anew in "
            "the child",
            what);
    return sp_fail(-EINVAL, "this is not an open %s handle", what);
}

#endif
