/* counter.h: how many instructions a process executes, where the kernel and the machine let us count (perf_event_open).
 *
 * Called inside the measured processes. Many virtual machines and containers have no counters: then 0 comes out, and the figure is not
 * shown. */
#ifndef BENCH_COUNTER_H
#define BENCH_COUNTER_H

#include <stdint.h>

/* counter_start: count this thread's user-mode instructions from now on. Returns a descriptor, or -1. */
int counter_start(void);
/* counter_stop: how many they were; 0 without a counter. */
uint64_t counter_stop(int counter);

#endif
