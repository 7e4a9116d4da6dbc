/* histogram.h: how long flushes take: counts by size, four steps to the power of two, from which percentiles are read.
 *
 * The idea is HdrHistogram's, at a quarter of a bit. One thread. */
#ifndef SPATED_HISTOGRAM_H
#define SPATED_HISTOGRAM_H

#include <stdint.h>

struct histogram {
    uint64_t counts[256];
    uint64_t total, max;
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* histogram_quantile: the value that `share` (0..1) of all are not above; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
