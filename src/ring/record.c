/* record.c: planning and encoding of a record, and the decoding of its headers block.
 *
 * Called by producers (plan, encode) and by whoever looks at record headers. Pure functions. */
#include "ring/record.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#define NULL_VALUE_SIZE 0xffffffffu
#define HEADER_SIZES 8u /* name size and value size in front of each header */

/* Returns the block's size, or -errno. */
static int64_t headers_plan(const struct spate_record *record, uint64_t payload_max)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < record->headers_count; i++) {
        const struct spate_header *header = &record->headers[i];
        if ((!header->name && header->name_size) || header->name_size > 65535 || (!header->value && header->value_size) ||
            header->value_size == NULL_VALUE_SIZE)
            return sp_fail(
                -EINVAL,
                "record header %u: name of %u bytes, value of %u: names are at most 65535 bytes, and a null pointer has size 0", i,
                header->name_size, header->value_size);
        size += HEADER_SIZES + (uint64_t)header->name_size + header->value_size;
        if (size > payload_max)
            break;
    }
    return (int64_t)size;
}

int sp_record_plan(const struct spate_record *record, bool has_timestamp, bool null_value, uint32_t unit, uint64_t payload_max,
                   struct sp_record_shape *ret)
{
    int64_t headers_size = 0;
    uint64_t at = SP_RECORD_HEADER_SIZE;

    if (null_value && record->value_size)
        return sp_fail(-EINVAL, "record: a null value with a size of %u bytes; give the value or size 0", record->value_size);
    if (record->key_size > SPATE_KEY_SIZE_MAX || (!record->key && record->key_size) || (record->headers_count && !record->headers))
        return sp_fail(-EINVAL, "record: key of %u bytes (at most %u, and a null pointer has size 0), %u headers at %p",
                       record->key_size, SPATE_KEY_SIZE_MAX, record->headers_count, (const void *)record->headers);
    if (record->headers_count) {
        headers_size = headers_plan(record, payload_max);
        if (headers_size < 0)
            return (int)headers_size;
    }
    uint64_t payload = (uint64_t)headers_size + record->key_size + record->value_size;
    if (payload > payload_max)
        return sp_fail(
            -EMSGSIZE,
            "record of %llu bytes (value %u, key %u, headers): this partition takes at most %llu; split it, or create the "
            "topic with a larger ring",
            (unsigned long long)payload, record->value_size, record->key_size, (unsigned long long)payload_max);
    ret->flags = SP_RECORD_DATA | (null_value ? (uint32_t)SP_RECORD_NULL_VALUE : 0);
    if (has_timestamp) {
        ret->flags |= SP_RECORD_TIMESTAMP;
        at += 8;
    }
    if (record->headers_count) {
        ret->flags |= SP_RECORD_HEADERS;
        at += 8 + sp_align_up((uint64_t)headers_size, 8);
    }
    if (record->key)
        ret->flags |= SP_RECORD_KEY;
    at += sp_align_up(record->key_size, 8);
    ret->headers_size = (uint32_t)headers_size;
    ret->value_at = (uint32_t)at;
    ret->size = sp_align_up(at + record->value_size, unit);
    return 0;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    if (bytes && size)
        memcpy(at, bytes, size);
    return at + size;
}

uint8_t *sp_record_encode(uint8_t *at, const struct spate_record *record, const struct sp_record_shape *shape, int64_t timestamp)
{
    struct sp_record_header *header = (struct sp_record_header *)(void *)at;
    uint8_t *next = at + SP_RECORD_HEADER_SIZE;

    /* relaxed: the stamp's release store publishes it (E1) */
    atomic_store_explicit(&header->word, sp_record_word(record->value_size, record->key_size, shape->flags), memory_order_relaxed);
    if (shape->flags & SP_RECORD_TIMESTAMP) {
        memcpy(next, &timestamp, 8);
        next += 8;
    }
    if (shape->flags & SP_RECORD_HEADERS) {
        uint64_t sizes = shape->headers_size | (uint64_t)record->headers_count << 32;
        memcpy(next, &sizes, 8);
        next += 8;
        uint8_t *block = next;
        for (uint32_t i = 0; i < record->headers_count; i++) {
            const struct spate_header *h = &record->headers[i];
            uint32_t lengths[2] = {h->name_size, h->value ? h->value_size : NULL_VALUE_SIZE};
            block = put(block, lengths, sizeof lengths);
            block = put(block, h->name, h->name_size);
            block = put(block, h->value, h->value_size);
        }
        next += sp_align_up(shape->headers_size, 8);
    }
    if (record->key_size)
        memcpy(next, record->key, record->key_size);
    return at + shape->value_at;
}

int sp_record_headers_decode(const void *block, uint32_t block_size, uint32_t count, uint32_t index, struct spate_header *ret)
{
    const uint8_t *at = block;
    uint64_t left = block_size;

    if (index >= count)
        return -ENOENT;
    for (uint32_t i = 0;; i++) {
        uint32_t lengths[2];
        if (left < HEADER_SIZES)
            return sp_fail(-EBADMSG, "record header %u of %u lies outside its block of %u bytes: the record is damaged", i, count,
                           block_size);
        memcpy(lengths, at, sizeof lengths);
        at += HEADER_SIZES;
        left -= HEADER_SIZES;
        uint32_t value_size = lengths[1] == NULL_VALUE_SIZE ? 0 : lengths[1];
        if ((uint64_t)lengths[0] + value_size > left)
            return sp_fail(-EBADMSG, "record header %u of %u lies outside its block of %u bytes: the record is damaged", i, count,
                           block_size);
        if (i == index) {
            *ret = (struct spate_header){.name = (const char *)at,
                                         .name_size = lengths[0],
                                         .value = lengths[1] == NULL_VALUE_SIZE ? NULL : at + lengths[0],
                                         .value_size = value_size};
            return 0;
        }
        at += lengths[0] + value_size;
        left -= (uint64_t)lengths[0] + value_size;
    }
}
