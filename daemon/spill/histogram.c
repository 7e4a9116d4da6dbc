/* histogram.c: see histogram.h: where a value is counted, and which value that stands for.
 * Pure functions on the struct. */
#include "spill/histogram.h"

/* Two bits behind the highest one. */
static uint32_t index_of(uint64_t value)
{
    if (value < 4)
        return (uint32_t)value;
    const uint32_t top = 63 - (uint32_t)__builtin_clzll(value);
    return top * 4 - 4 + (uint32_t)(value >> (top - 2) & 3);
}

static uint64_t upper_end(uint32_t index)
{
    if (index < 4)
        return index;
    const uint32_t top = (index + 4) / 4;
    return ((uint64_t)1 << top) + ((uint64_t)(index % 4 + 1) << (top - 2)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[index_of(value)]++;
    histogram->total++;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t left = (uint64_t)((double)histogram->total * share);

    for (uint32_t i = 0; i < sizeof histogram->counts / sizeof histogram->counts[0]; i++) {
        if (histogram->counts[i] > left)
            return upper_end(i) < histogram->max ? upper_end(i) : histogram->max;
        left -= histogram->counts[i];
    }
    return histogram->max;
}
