/* sleep.c: futex and membarrier by their system calls (libc has no wrapper for either).
 *
 * Called by sleepers and wakers in src/bus and shm/wake.c. */
#include "shm/sleep.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

int sp_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout)
{
    const struct timespec limit = {.tv_sec = timeout / SP_NS_PER_S, .tv_nsec = timeout % SP_NS_PER_S};

    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout < 0 ? NULL : &limit, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

void sp_futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

int sp_futex_wait_for(_Atomic uint32_t *word, uint32_t expected, int64_t timeout, uint32_t bits)
{
    const int64_t now = timeout < 0 ? 0 : sp_clock_monotonic(); /* with bits the kernel wants the time at which it is over */
    const int64_t end = timeout < INT64_MAX - now ? now + timeout : INT64_MAX;
    const struct timespec limit = {.tv_sec = end / SP_NS_PER_S, .tv_nsec = end % SP_NS_PER_S};

    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, timeout < 0 ? NULL : &limit, NULL, bits) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

void sp_futex_wake_for(_Atomic uint32_t *word, int count, uint32_t bits)
{
    syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, NULL, NULL, bits);
}

bool sp_membarrier_register(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool sp_membarrier(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}
