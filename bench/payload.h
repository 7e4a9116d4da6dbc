/* payload.h: values that are written whole and read whole, alike in every measurement, Spate's and others'.
 *
 * Word i of the value of record n is n + i; who reads adds all words up. So each byte crosses, and a value that was not written, or is
 * another's, shows in the sum. Written to be vectorised. Sizes are multiples of 8. */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stdint.h>
#include <stdlib.h>

#include "cli/tool.h"

#if defined(__GNUC__) && !defined(__clang__)
#define PAYLOAD_NOT_UNROLLED _Pragma("GCC unroll 1") /* unrolled before it is vectorised, it would not be vectorised */
#else
#define PAYLOAD_NOT_UNROLLED
#endif

/* payload_allocate: memory for `count` values, each of which begins a cache line if sizes are multiples of it: who copies a line that he
 * has just written in one store wants to load it in one. Ends the process when there is none; free with free. */
static inline void *payload_allocate(uint64_t count, uint64_t size)
{
    void *values = NULL;
    if (posix_memalign(&values, 64, count * size) != 0)
        tool_out_of_memory();
    return values;
}

static inline void payload_fill(uint64_t *words, uint64_t count, uint64_t n)
{
    PAYLOAD_NOT_UNROLLED
    for (uint64_t i = 0; i < count; i++)
        words[i] = n + i;
}

static inline uint64_t payload_sum(const uint64_t *words, uint64_t count)
{
    uint64_t sum = 0;
    PAYLOAD_NOT_UNROLLED
    for (uint64_t i = 0; i < count; i++)
        sum += words[i];
    return sum;
}

/* payload_expected: what the sums of records 0 .. records-1 add up to. */
static inline uint64_t payload_expected(uint64_t records, uint64_t count)
{
    return count * (records * (records - 1) / 2) + records * (count * (count - 1) / 2);
}

/* The best instructions of the machine, chosen when the program starts: limits and Spate's values are made by the same ones. (Sanitizers
 * run before that choice can be made, and clang has it for other functions only: such builds are not for measuring, or measure less.) */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PAYLOAD_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default"), noinline))
#else
#define PAYLOAD_CLONES __attribute__((noinline))
#endif

#endif
