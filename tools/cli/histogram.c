/* histogram.c: adding to and reading a latency histogram.
 *
 * A value's row is its highest bit, its column the six bits below it; values under 64 have a row of their own, one bucket
 * each. */
#include "cli/histogram.h"

void histogram_add(struct histogram *histogram, int64_t ns)
{
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
    unsigned row = 0;

    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
    if (value >= HISTOGRAM_COLUMNS)
        row = 64 - (unsigned)__builtin_clzll(value) - 6;
    if (row >= HISTOGRAM_ROWS)
        row = HISTOGRAM_ROWS - 1;
    histogram->buckets[row][(row == 0 ? value : value >> (row - 1)) % HISTOGRAM_COLUMNS]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
    for (unsigned row = 0; row < HISTOGRAM_ROWS; row++)
        for (unsigned column = 0; column < HISTOGRAM_COLUMNS; column++)
            into->buckets[row][column] += from->buckets[row][column];
}

uint64_t histogram_at(const struct histogram *histogram, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)(part * (double)histogram->count);

    if (wanted >= histogram->count)
        return histogram->max;
    for (unsigned row = 0; row < HISTOGRAM_ROWS; row++) {
        for (unsigned column = 0; column < HISTOGRAM_COLUMNS; column++) {
            seen += histogram->buckets[row][column];
            if (seen > wanted)
                return row == 0 ? column : ((uint64_t)(HISTOGRAM_COLUMNS + column)) << (row - 1);
        }
    }
    return histogram->max;
}
