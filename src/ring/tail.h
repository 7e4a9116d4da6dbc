/* tail.h: the packed tail: bytes and records claimed, in one 64-bit word, so that one atomic operation claims both.
 *
 *     word = units * 2^30 + records   (mod 2^64)        unit = the topic's record alignment, 8..128 bytes
 *
 * The low 30 bits give the number of records mod 2^30 exactly; with the full number known, (word >> 30) - (records >> 30)
 * gives units mod 2^34. Both are extended to 64 bits against a base word each that producers raise at least once per chunk
 * (sp_writer_extend): a chunk is at most 2^26 records and 2^27 units, so a base is never further behind than 2^29 records and
 * 2^33 units, and the signed differences below are exact. */
#ifndef SP_RING_TAIL_H
#define SP_RING_TAIL_H

#include <stdint.h>

#define SP_TAIL_RECORD_BITS 30
#define SP_TAIL_RECORD_MASK (((uint64_t)1 << SP_TAIL_RECORD_BITS) - 1)

struct sp_place {      /* a record boundary */
    uint64_t position; /* bytes since the topic began */
    uint64_t offset;   /* records since the topic began */
};

/* word of a boundary, or what a claim of so many units and records adds */
static inline uint64_t sp_tail_pack(uint64_t units, uint64_t records)
{
    return (units << SP_TAIL_RECORD_BITS) + records;
}

/* sp_tail_unpack: the full boundary behind a word, given bases that are near enough. */
static inline struct sp_place sp_tail_unpack(uint64_t word, uint64_t records_base, uint64_t units_base, uint32_t unit_shift)
{
    uint64_t records = records_base + (uint64_t)((int64_t)((word - records_base) << 34) >> 34);
    uint64_t units34 = (word >> SP_TAIL_RECORD_BITS) - (records >> SP_TAIL_RECORD_BITS);
    uint64_t units = units_base + (uint64_t)((int64_t)((units34 - units_base) << 30) >> 30);
    return (struct sp_place){.position = units << unit_shift, .offset = records};
}

/* sp_tail_advance: the boundary behind `word`, given one that is known exactly and less than 2^30 records and 2^34 units
 * older. */
static inline struct sp_place sp_tail_advance(struct sp_place known, uint64_t known_word, uint64_t word, uint32_t unit_shift)
{
    uint64_t delta = word - known_word;
    return (struct sp_place){.position = known.position + ((delta >> SP_TAIL_RECORD_BITS) << unit_shift),
                             .offset = known.offset + (delta & SP_TAIL_RECORD_MASK)};
}

#endif
