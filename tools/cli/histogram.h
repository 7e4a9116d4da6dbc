/* histogram.h: latencies in nanoseconds, counted in buckets that are never wider than 1.6 % of their value.
 *
 * Plain memory of fixed size without pointers, so that it can lie in memory that processes share; one writer. After the idea
 * of HdrHistogram: one row of buckets per power of two. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_ROWS 42
#define HISTOGRAM_COLUMNS 64

struct histogram {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_ROWS][HISTOGRAM_COLUMNS];
};

void histogram_add(struct histogram *histogram, int64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* histogram_at: the value that the fraction `part` (0..1) of all values does not exceed; 0 when empty. */
uint64_t histogram_at(const struct histogram *histogram, double part);

#endif
