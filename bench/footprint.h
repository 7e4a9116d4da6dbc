/* footprint.h: how much shared memory a topic takes.
 *
 * Called by targets. */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include <stdint.h>

/* footprint_measure: bytes allocated for a topic of one partition, with all other configuration at its default.
 *   ring   bytes of the partition's ring
 * Returns 0, or an exit status after a message */
int footprint_measure(uint64_t ring, double *ret_bytes);

#endif
