/* align.h: arithmetic on sizes and positions, so that nobody writes the masks by hand.
 *
 * Pure functions, called everywhere. */
#ifndef SP_BASE_ALIGN_H
#define SP_BASE_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

static inline bool sp_is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* alignment must be a power of two */
static inline uint64_t sp_align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline uint64_t sp_round_up_power_of_two(uint64_t value)
{
    return value <= 1 ? 1 : (uint64_t)1 << (64 - __builtin_clzll(value - 1));
}

static inline uint32_t sp_log2(uint64_t power_of_two)
{
    return (uint32_t)__builtin_ctzll(power_of_two);
}

static inline uint64_t sp_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t sp_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
