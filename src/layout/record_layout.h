/* record_layout.h: one record, from claim to log to replica.
 *
 * Records lie back to back in offset order, each padded to the topic's alignment:
 *
 * off size field        written by   access          may
 *   0    8 stamp        producer     release, last   (offset - salt) * SP_STAMP_STEP once committed; else 0, an older stamp,
 *                                                    older payload, or a mixture of these (ring.h, STAMPS)
 *   8    4 value_size   producer     plain           bytes; ABORTED: size of the whole record in alignment units
 *  12    2 key_size     producer     plain           bytes; ABORTED: number of offsets that it covers, 1..65535
 *  14    2 flags        producer     plain           type in the low 4 bits, SP_RECORD_* above
 *  16    8 timestamp    producer     plain           only with SP_RECORD_TIMESTAMP: ns since 1970
 *   .    8 headers      producer     plain           only with SP_RECORD_HEADERS: u32 size of the block, u32 count of
 *                                                    headers, then
 *                                                    the block padded to 8; per header u32 name size, u32 value size
 *                                                    (0xffffffff: null),
 *                                                    name, value, unaligned
 *   .      key          producer     plain           key_size bytes padded to 8
 *   .      value        producer     plain           value_size bytes; begins 8-byte aligned
 *
 * A reader loads the second word once, as one 8-byte load, and believes it only after range checks: a reader that producers
 * have lapped, or one beside a hostile producer, sees any bytes here. */
#ifndef SP_LAYOUT_RECORD_LAYOUT_H
#define SP_LAYOUT_RECORD_LAYOUT_H

#include "layout/layout.h"

#define SP_RECORD_HEADER_SIZE 16u
#define SP_RECORD_OVERHEAD_MAX 256u /* header, timestamp, header count, paddings: added to the largest payload */
#define SP_ABORTED_COUNT_MAX 65535u

enum {
    SP_RECORD_TYPE_MASK = 0x0f,
    SP_RECORD_DATA = 1,
    SP_RECORD_ABORTED = 2,
    SP_RECORD_KEY = 0x10,        /* has a key (perhaps empty); else the key is null */
    SP_RECORD_NULL_VALUE = 0x20, /* tombstone */
    SP_RECORD_HEADERS = 0x40,
    SP_RECORD_TIMESTAMP = 0x80,
    SP_RECORD_FLAGS_KNOWN = 0xff,
};

struct sp_record_header {
    _Atomic uint64_t stamp;
    _Atomic uint64_t word; /* value_size | key_size << 32 | flags << 48 */
};

#define SP_RECORD_FIELDS(AT)                 \
    AT(struct sp_record_header, stamp, 0, 8) \
    AT(struct sp_record_header, word, 8, 8)
SP_RECORD_FIELDS(SP_AT)
static_assert(sizeof(struct sp_record_header) == SP_RECORD_HEADER_SIZE, "record header ABI");

static inline uint64_t sp_record_word(uint32_t value_size, uint32_t key_size, uint32_t flags)
{
    return (uint64_t)value_size | (uint64_t)key_size << 32 | (uint64_t)flags << 48;
}

static inline uint32_t sp_word_value_size(uint64_t word)
{
    return (uint32_t)word;
}

static inline uint32_t sp_word_key_size(uint64_t word)
{
    return (uint32_t)(word >> 32) & 0xffffu;
}

static inline uint32_t sp_word_flags(uint64_t word)
{
    return (uint32_t)(word >> 48);
}

/* 2^64 / golden ratio, odd: stamps of different offsets differ, and unless they are absurdly far apart, in most of their bytes (ring.h,
 * STAMPS). The idea is Knuth's multiplicative hashing. The other is its inverse modulo 2^64. */
#define SP_STAMP_STEP UINT64_C(0x9E3779B97F4A7C15)
#define SP_STAMP_STEP_INVERSE UINT64_C(0xF1DE83E19937733D)

/* sp_stamp: the stamp of the committed record at an offset. Its successor's is larger by SP_STAMP_STEP. Zeroed memory would be the record
 * at offset `salt`, whose highest bit is set: there will never be so many. */
static inline uint64_t sp_stamp(uint64_t offset, uint64_t salt)
{
    return (offset - salt) * SP_STAMP_STEP;
}

/* sp_stamp_offset: the offset that a stamp names; anything, where it is none. */
static inline uint64_t sp_stamp_offset(uint64_t stamp, uint64_t salt)
{
    return stamp * SP_STAMP_STEP_INVERSE + salt;
}

#endif
