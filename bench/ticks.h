/* ticks.h: the processor's own clock: a read costs a few nanoseconds, and all cores of a host agree on it.
 *
 * x86-64: the invariant time stamp counter; aarch64: the virtual counter. ticks_start calibrates it against CLOCK_MONOTONIC_RAW and must
 * come first, in the parent of all who measure. Any process. */
#ifndef BENCH_TICKS_H
#define BENCH_TICKS_H

#include <stdint.h>

/* ticks_start: calibrate, which takes 50 ms. Returns 0, or -ENOTSUP when the counter does not run evenly (no invariant TSC). */
int ticks_start(void);

/* ticks_to_ns: a difference of two readings as nanoseconds. ticks_per_second: how fast it runs. */
double ticks_to_ns(uint64_t ticks);
double ticks_per_second(void);

/* ticks_wait_until: sleep, then spin, until the counter is at `due`: a sleeper alone would be late. */
void ticks_wait_until(uint64_t due);

/* ticks_now: the counter. Not ordered with other memory accesses but by the data they depend on: fences cost more than the error. */
static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
#error "port ticks_now"
#endif
}

#endif
