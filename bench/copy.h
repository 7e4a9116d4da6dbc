/* copy.h: how fast one processor copies memory that lies in its L2 cache, in L3, or in DRAM; and what a contended atomic costs.
 *
 * Called by limit; starts processes of its own. */
#ifndef BENCH_COPY_H
#define BENCH_COPY_H

#include <stddef.h>

/* copy_measure: bytes copied per second between two blocks of size/2 each, by memcpy, for about 20 ms. Returns 0, or as crew_run. */
int copy_measure(int cpu, size_t size, double *ret_rate);

/* fetch_add_measure: operations per second of all processors together on one word. Returns 0, or as crew_run. */
int fetch_add_measure(const int *cpus, unsigned count, double *ret_rate);

#endif
