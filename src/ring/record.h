/* record.h: one record to and from bytes. Pure functions on memory handed in; called by writer, reader, dump, fuzz tests.
 *
 * Encoding trusts its caller (sizes were checked against the topic's limit). Decoding trusts nothing: the bytes may come from
 * a hostile producer, from a lapped read or from a damaged file. It reads each header word once and leaves the bounds given
 * to it never. */
#ifndef SP_RING_RECORD_H
#define SP_RING_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/align.h"
#include "layout/record_layout.h"
#include "spate/spate.h"

/* Sizes of a record's parts, before it is written. */
struct sp_record_shape {
    uint64_t size;         /* in the ring: header to padding */
    uint32_t value_at;     /* from the record's first byte */
    uint32_t headers_size; /* of the encoded block, unpadded */
    uint32_t flags;
};

/* sp_record_shape: plan a record.
 *   has_timestamp  8 bytes for it
 *   null_value     a tombstone: value_size must be 0
 *   unit           record alignment of the topic
 *   payload_max    limit of key + value + headers
 * Returns 0, -EMSGSIZE, -EINVAL (sizes beyond the format, null pointers with a size) */
int sp_record_plan(const struct spate_record *record, bool has_timestamp, bool null_value, uint32_t unit, uint64_t payload_max,
                   struct sp_record_shape *ret);

/* sp_record_encode: write everything but stamp and value at `at`; returns where the value goes. */
uint8_t *sp_record_encode(uint8_t *at, const struct spate_record *record, const struct sp_record_shape *shape, int64_t timestamp);

/* sp_record_headers_decode: the index-th header of an encoded block. Returns 0, -ENOENT, -EBADMSG. */
int sp_record_headers_decode(const void *block, uint32_t block_size, uint32_t count, uint32_t index, struct spate_header *ret);

/* sp_record_head: partition and value size of a spate_record, in one word: one load and one comparison, or one store, on the fast paths. */
static inline uint64_t sp_record_head(const struct spate_record *record)
{
    uint64_t head;
    static_assert(offsetof(struct spate_record, partition) == 0 && offsetof(struct spate_record, value_size) == 4, "one word");
    memcpy(&head, record, sizeof head);
    return head;
}

/* sp_record_decode: view a DATA record.
 *   at        its first byte; size_max bytes from here are readable
 *   word      the second header word, loaded once by the caller
 *   size_max  largest record the ring may hold
 *   ret       everything but partition and offset is set; pointers go into the record
 * Returns the record's size in the ring, 0 when no honest producer wrote it */
static inline uint64_t sp_record_decode(const uint8_t *at, uint64_t word, uint64_t size_max, uint32_t unit,
                                        struct spate_record *ret)
{
    uint32_t flags = sp_word_flags(word);
    uint32_t key_size = sp_word_key_size(word);
    uint32_t value_size = sp_word_value_size(word);
    uint64_t used = SP_RECORD_HEADER_SIZE;

    /* header, timestamp and header sizes are read below before the whole size is known */
    if ((flags & SP_RECORD_TYPE_MASK) != SP_RECORD_DATA || flags > SP_RECORD_FLAGS_KNOWN ||
        size_max < SP_RECORD_HEADER_SIZE + (flags & SP_RECORD_TIMESTAMP ? 8u : 0u) + (flags & SP_RECORD_HEADERS ? 8u : 0u))
        return 0;
    ret->timestamp = 0;
    if (flags & SP_RECORD_TIMESTAMP) {
        ret->timestamp = *(const int64_t *)(const void *)(at + used);
        used += 8;
    }
    ret->headers = NULL;
    ret->headers_count = 0;
    ret->headers_block = NULL;
    ret->headers_block_size = 0;
    if (flags & SP_RECORD_HEADERS) {
        uint64_t sizes = *(const uint64_t *)(const void *)(at + used);
        uint32_t block_size = (uint32_t)sizes;
        used += 8;
        if (used + block_size > size_max)
            return 0;
        ret->headers_block = at + used;
        ret->headers_block_size = block_size;
        ret->headers_count = (uint32_t)(sizes >> 32);
        used += sp_align_up(block_size, 8);
    }
    /* a null pointer never comes with a size, whatever the flags claim */
    ret->key = flags & SP_RECORD_KEY ? at + used : NULL;
    ret->key_size = flags & SP_RECORD_KEY ? key_size : 0;
    used += sp_align_up(key_size, 8);
    ret->value = flags & SP_RECORD_NULL_VALUE ? NULL : at + used;
    ret->value_size = flags & SP_RECORD_NULL_VALUE ? 0 : value_size;
    used = sp_align_up(used + value_size, unit);
    return used <= size_max ? used : 0;
}

/* sp_aborted_decode: size and offsets of an ABORTED record; false when no honest producer wrote it. */
static inline bool sp_aborted_decode(uint64_t word, uint64_t capacity, uint32_t unit_shift, uint64_t *ret_size, uint32_t *ret_count)
{
    uint64_t size = (uint64_t)sp_word_value_size(word) << unit_shift;
    uint32_t count = sp_word_key_size(word);
    if ((sp_word_flags(word) & SP_RECORD_TYPE_MASK) != SP_RECORD_ABORTED || size < SP_RECORD_HEADER_SIZE || size > capacity ||
        count == 0)
        return false;
    *ret_size = size;
    *ret_count = count;
    return true;
}

#endif
