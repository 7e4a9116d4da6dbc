/* line.h: the round trip of one cache line between two processors: the physical limit of latency, and what rounds are classified by.
 *
 * Called at both ends of every round, by all commands; starts two processes of its own. */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include <stdint.h>

#include "quantiles.h"

/* line_measure: `rounds` round trips of a line that carries a sequence number and 56 bytes of value, written whole and read whole on
 * each way.
 * Returns 0, or as crew_run */
int line_measure(const int cpus[2], uint32_t rounds, struct quantiles *ret);

#endif
