/* sleep.h: sleeping on words of shared memory, and the membarrier that makes it free for those who are awake.
 *
 * Thin wrappers of futex(2) (shared, between processes) and membarrier(2). Any thread. */
#ifndef SP_SHM_SLEEP_H
#define SP_SHM_SLEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* sp_futex_wait: sleep while *word == expected, at most `timeout` ns (SPATE_FOREVER: without end).
 * Returns 0 (woken, or the word had changed), -ETIMEDOUT, -EINTR */
int sp_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout);
void sp_futex_wake(_Atomic uint32_t *word, int count);

#define SP_SLEEP_ANY UINT32_MAX

/* sp_futex_wait_for, sp_futex_wake_for: where sleepers wait for different things on one word, each says with a bit what for, and a waker
 * which bits it means; SP_SLEEP_ANY: all, as above. */
int sp_futex_wait_for(_Atomic uint32_t *word, uint32_t expected, int64_t timeout, uint32_t bits);
void sp_futex_wake_for(_Atomic uint32_t *word, int count, uint32_t bits);

/* sp_membarrier_register: make this process one that others' sp_membarrier covers. Once per process and after each fork;
 * cheap to repeat. false: the kernel or a seccomp filter does not allow it; this process must then fence for itself. */
bool sp_membarrier_register(void);

/* sp_membarrier: a full memory barrier in every running thread of every registered process (E7, E8). false: not to be had;
 * the caller must then not sleep without a short timeout. */
bool sp_membarrier(void);

#endif
