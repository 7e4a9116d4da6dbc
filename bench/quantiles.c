/* quantiles.c: see quantiles.h.
 *
 * Called by all who measure latencies. */
#include "quantiles.h"

struct quantiles quantiles_of(const struct histogram *histogram)
{
    const double unit = 10; /* tenths of a ns */

    return (struct quantiles){
        .min = (double)histogram_at(histogram, 0) / unit,
        .p50 = (double)histogram_at(histogram, 0.5) / unit,
        .p90 = (double)histogram_at(histogram, 0.9) / unit,
        .p99 = (double)histogram_at(histogram, 0.99) / unit,
        .p999 = (double)histogram_at(histogram, 0.999) / unit,
        .p9999 = (double)histogram_at(histogram, 0.9999) / unit,
        .max = (double)histogram->max / unit,
    };
}

double quantiles_at(const struct quantiles *quantiles, uint32_t number)
{
    const double values[QUANTILES] = {quantiles->min,  quantiles->p50,   quantiles->p90, quantiles->p99,
                                      quantiles->p999, quantiles->p9999, quantiles->max};
    return values[number];
}

const char *quantiles_name(uint32_t number)
{
    static const char *const names[QUANTILES] = {"min", "p50", "p90", "p99", "p99.9", "p99.99", "max"};
    return names[number];
}
