/* quantiles.h: what is told of a distribution of latencies, everywhere the same.
 *
 * Plain values; any thread. */
#ifndef BENCH_QUANTILES_H
#define BENCH_QUANTILES_H

#include <stdint.h>

#include "cli/histogram.h"

#define QUANTILES 7

struct quantiles { /* ns */
    double min, p50, p90, p99, p999, p9999, max;
};

/* quantiles_of: of a histogram of tenths of a ns. */
struct quantiles quantiles_of(const struct histogram *histogram);

/* quantiles_at, quantiles_name: one by its number, 0 .. QUANTILES-1, in the order above. */
double quantiles_at(const struct quantiles *quantiles, uint32_t number);
const char *quantiles_name(uint32_t number);

#endif
