/* wakeup.h: the bare price of waking another process: what every sleeping consumer pays, whatever bus it listens to.
 *
 * Called by targets; starts two processes of its own. */
#ifndef BENCH_WAKEUP_H
#define BENCH_WAKEUP_H

#include <stdint.h>

#include "cli/histogram.h"

/* wakeup_measure: one process sleeps in futex(2) on a shared word; another, `count` times, `rate` times a second, changes the word and
 * wakes it. The times from when a wake-up was due until the sleeper runs, in tenths of a ns, are added to *latencies.
 * Returns 0, or as crew_run */
int wakeup_measure(const int cpus[2], double rate, uint32_t count, struct histogram *latencies);

#endif
