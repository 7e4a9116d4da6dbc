/* spsc.h: the yardstick of throughput: a ring for one producer and one consumer, written by hand for its value size, with none of Spate's
 * features: no offsets, no crash safety, no second reader, no variable sizes. What it reaches is called L. */
#ifndef BENCH_SPSC_H
#define BENCH_SPSC_H

#include <stdbool.h>
#include <stdint.h>

struct spsc_spec {
    uint32_t value_size; /* 64, 1024 or 16384 */
    uint64_t capacity;   /* bytes of values, a power of two */
    uint64_t records;
};

/* spsc_measure: records per second from cpus[0] to cpus[1], every byte written and read. Returns 0, or as crew_run. */
int spsc_measure(const int cpus[2], const struct spsc_spec *spec, double *ret_rate);

/* spsc_measure_best: L: the most that any of three ring sizes (256 KiB, 1 MiB, 8 MiB) reaches. Returns 0, or as crew_run. */
int spsc_measure_best(const int cpus[2], uint32_t value_size, double *ret_rate);

#endif
