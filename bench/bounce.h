/* bounce.h: the round trip of a record: one process publishes, the other answers, through two topics of Spate.
 *
 * Every value is written whole and read whole on each way. Called by latency and targets. */
#ifndef BENCH_BOUNCE_H
#define BENCH_BOUNCE_H

#include <stdint.h>

#include "quantiles.h"

struct bounce_spec {
    uint32_t mode;       /* enum spate_mode */
    uint32_t value_size; /* a multiple of 8 */
    uint32_t wait;       /* enum spate_wait_strategy */
    uint32_t trips;
};

/* bounce_measure: Returns 0, or as crew_run. */
int bounce_measure(const int cpus[2], const struct bounce_spec *spec, struct quantiles *ret);

#endif
