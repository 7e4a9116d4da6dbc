/* clock.h: the two clocks and a sleep, in nanoseconds.
 *
 * Realtime is what record timestamps are made of (it can jump); monotonic is for time-outs and rates. Both are vDSO reads, no
 * system call. Called by every module on any thread. */
#ifndef SP_BASE_CLOCK_H
#define SP_BASE_CLOCK_H

#include <stdint.h>

#define SP_NS_PER_US ((int64_t)1000)
#define SP_NS_PER_MS ((int64_t)1000000)
#define SP_NS_PER_S ((int64_t)1000000000)

/* sp_clock_realtime: ns since 1970-01-01 UTC. */
int64_t sp_clock_realtime(void);

/* sp_clock_monotonic: ns since an arbitrary point, the same for all processes of this host, never decreasing. */
int64_t sp_clock_monotonic(void);

/* sp_sleep: sleep for ns; shorter when a signal comes, not at all for ns <= 0. */
void sp_sleep(int64_t ns);

#endif
