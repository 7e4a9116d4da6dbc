/* paced.h: one-way latency at a fixed rate, free of coordinated omission.
 *
 * Each record has its due time in its value; what is measured is from then until it was read. So a record that was published late,
 * because the one before took long, counts as late. Called by latency. */
#ifndef BENCH_PACED_H
#define BENCH_PACED_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/histogram.h"

struct paced_spec {
    uint32_t mode;       /* enum spate_mode */
    uint32_t value_size; /* a multiple of 8, at least 16 */
    uint32_t wait;       /* enum spate_wait_strategy, of the consumer */
    bool by_descriptor;  /* the consumer sleeps in epoll, not in spate_poll */
    double rate;         /* records per second */
    uint32_t records;
};

/* paced_measure: the latencies, in tenths of a ns, are added to *latencies. Returns 0, or as crew_run. */
int paced_measure(const int cpus[2], const struct paced_spec *spec, struct histogram *latencies);

#endif
