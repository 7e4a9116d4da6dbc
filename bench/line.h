/* line.h: the round trip of one cache line between two processors: the physical limit of latency, and what rounds are classified by.
 *
 * Called at both ends of every round, by all commands; starts two processes of its own. */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include <stdint.h>

struct line_result { /* ns */
    double min, p50, p99, p999;
};

/* line_measure: `rounds` round trips of a line that carries a sequence number and 56 bytes of value, written whole and read whole on
 * each way.
 * Returns 0, or as crew_run */
int line_measure(const int cpus[2], uint32_t rounds, struct line_result *ret);

#endif
