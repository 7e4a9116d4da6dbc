/* counter.h: how many instructions a process executes: by the processor's counter (perf_event_open), or by single steps.
 *
 * Many virtual machines and containers have no counters. Single steps give the same number wherever a process may trace its child, but only
 * some hundred thousand a second; so only what waits for nobody can be counted like that. */
#ifndef BENCH_COUNTER_H
#define BENCH_COUNTER_H

#include <stdint.h>

/* counter_start: count this thread's user-mode instructions from now on. Returns a descriptor, or -1. */
int counter_start(void);
/* counter_stop: how many they were; 0 without a counter. */
uint64_t counter_stop(int counter);

/* counter_step: run `body` in a child and count what it does between its first and its second call of counter_mark. The rest of it runs at
 * full speed.
 * Returns how many they were; 0 when the child may not be traced or failed (body returned other than 0) */
uint64_t counter_step(int (*body)(void *context), void *context);
void counter_mark(void);

#endif
