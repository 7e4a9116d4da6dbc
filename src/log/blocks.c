/* blocks.c: see blocks.h.
 *
 * Blocks are judged as scan.c judges them. Behind one that is not good, a later one with the right checksums is looked for: its `previous`
 * names a block that is not there, so it is believed. */
#include "log/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/error.h"
#include "ring/record.h"

#define PIECE ((uint32_t)64 << 10)

void sp_blocks_begin(struct sp_blocks *blocks, const struct sp_scan_source *source, const struct sp_segment_identity *identity,
                     bool headers_only)
{
    *blocks =
        (struct sp_blocks){.source = *source, .identity = identity, .headers_only = headers_only, .place = sp_scan_begin(identity)};
}

void sp_blocks_end(struct sp_blocks *blocks)
{
    free(blocks->stored);
    free(blocks->unpacked);
    blocks->stored = blocks->unpacked = NULL;
    blocks->stored_room = blocks->unpacked_room = 0;
}

static int make_room(uint8_t **buffer, uint64_t *room, uint64_t size)
{
    if (*room >= size)
        return 0;
    uint8_t *larger = malloc(size);
    if (!larger)
        return sp_fail(-ENOMEM, "no memory for a block of %llu bytes of the log", (unsigned long long)size);
    free(*buffer);
    *buffer = larger;
    *room = size;
    return 0;
}

/* The block's data, judged and unpacked. Returns 0, -EBADMSG, -ENODATA, -errno. */
static int load(struct sp_blocks *blocks)
{
    const struct sp_block_header *header = &blocks->header;

    int error = make_room(&blocks->stored, &blocks->stored_room, header->stored_size);
    for (uint32_t done = 0; !error && done < header->stored_size;) {
        const uint32_t size = (uint32_t)sp_min((uint64_t)1 << 30, header->stored_size - done);
        error = blocks->source.read(blocks->source.context, blocks->place.at + sizeof *header + done, blocks->stored + done, size);
        done += size;
    }
    if (error)
        return error;
    blocks->raw = blocks->stored;
    if (sp_crc32c(0, blocks->stored, header->stored_size) != header->data_crc)
        blocks->reason = "the checksum of the block's data is wrong";
    if (blocks->reason || sp_block_codec(header) == SPATE_COMPRESSION_NONE)
        return blocks->reason ? -EBADMSG : 0;
    error = make_room(&blocks->unpacked, &blocks->unpacked_room, header->raw_size);
    if (error)
        return error;
    blocks->raw = blocks->unpacked;
    blocks->reason = sp_block_unpack(header, blocks->stored, blocks->unpacked);
    return blocks->reason ? -EBADMSG : 0;
}

static int read_block(struct sp_blocks *blocks)
{
    const struct sp_scan_place *place = &blocks->place;
    const struct sp_scan_source *source = &blocks->source;
    struct sp_block_header *header = &blocks->header;

    blocks->reason = NULL;
    if (place->at >= source->size)
        return -ENODATA;
    if (source->size - place->at < sizeof *header) {
        blocks->reason = "less than a block's header is left";
        return -EBADMSG;
    }
    int error = source->read(source->context, place->at, header, sizeof *header);
    if (error)
        return error;
    blocks->reason = sp_block_check(header, blocks->identity, source->size - place->at);
    if (!blocks->reason && (header->previous != place->previous || header->base_offset < place->next.offset))
        blocks->reason = "the block is not the next one: it was written in an earlier life of the file";
    if (blocks->reason)
        return -EBADMSG;
    blocks->raw = NULL;
    return blocks->headers_only || header->base_offset + header->count <= blocks->skip_below ? 0 : load(blocks);
}

static void pass(struct sp_scan_place *place, const struct sp_block_header *header)
{
    place->at += sp_block_size(header);
    place->next = (struct sp_place){header->position + header->raw_size, header->base_offset + header->count};
    place->previous = header->header_crc;
    if (header->last_timestamp > place->max_timestamp)
        place->max_timestamp = header->last_timestamp;
}

/* Whether everything from `at` on is zero; of headers only the first disk block. A file that ends early has no more. */
static int look_for_zeros(const struct sp_blocks *blocks, uint64_t at, bool *ret_is_zero)
{
    static _Thread_local uint8_t piece[PIECE];
    const uint64_t end = blocks->headers_only ? sp_min(blocks->source.size, at + SP_LOG_GRAIN) : blocks->source.size;

    *ret_is_zero = true;
    while (*ret_is_zero && at < end) {
        const uint32_t size = (uint32_t)sp_min(PIECE, end - at);
        int error = blocks->source.read(blocks->source.context, at, piece, size);
        if (error == -ENODATA)
            return 0;
        if (error)
            return error;
        *ret_is_zero = piece[0] == 0 && memcmp(piece, piece + 1, size - 1) == 0;
        at += size;
    }
    return 0;
}

static int find_later(struct sp_blocks *blocks)
{
    struct sp_scan_place *place = &blocks->place;
    struct sp_scan_place later;

    blocks->at = place->at;
    blocks->kind = SP_BLOCKS_END;
    blocks->end = blocks->source.size;
    blocks->first = blocks->next = place->next.offset;
    int error = look_for_zeros(blocks, place->at, &blocks->is_zero);
    if (error || blocks->is_zero)
        return error;
    error = sp_scan_later(&blocks->source, blocks->identity, *place, &later);
    if (error)
        return error == -ENODATA ? 0 : error;
    blocks->kind = SP_BLOCKS_DAMAGE;
    blocks->end = later.at;
    blocks->next = later.next.offset;
    *place = later;
    return 0;
}

int sp_blocks_next(struct sp_blocks *blocks)
{
    const int error = read_block(blocks);

    if (error == 0) {
        blocks->kind = SP_BLOCKS_GOOD;
        blocks->at = blocks->place.at;
        blocks->first = blocks->header.base_offset;
        pass(&blocks->place, &blocks->header);
        blocks->end = blocks->place.at;
        blocks->next = blocks->place.next.offset;
        return 0;
    }
    return error == -EBADMSG || error == -ENODATA ? find_later(blocks) : error;
}

/* ------------------------------------------------------------------------------------------------------------- records */

static bool is_no_record(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return false;
}

bool sp_block_record(const struct sp_segment_identity *identity, const struct sp_block_header *header, const uint8_t *raw,
                     struct sp_place *place, struct spate_dump_record *ret, const char **ret_reason)
{
    const uint64_t done = place->position - header->position, left = header->raw_size - done;
    const uint64_t last = header->base_offset + header->count;
    const uint8_t *at = raw + done;
    struct sp_place next = *place;
    uint64_t size;
    uint32_t count = 1;

    *ret_reason = NULL;
    if (left == 0)
        return place->offset == last ? false : is_no_record(ret_reason, "it has fewer records than its header says");
    if (left < SP_RECORD_HEADER_SIZE || place->offset >= last)
        return is_no_record(ret_reason, "it has more bytes than its records take");
    *ret = (struct spate_dump_record){
        .position = place->position,
        .offset = (int64_t)place->offset,
        .stamp_expected = sp_stamp(place->offset, identity->stamp_salt),
        .owner_slot = -1,
    };
    memcpy(&ret->stamp, at, sizeof ret->stamp);
    memcpy(&ret->word, at + sizeof ret->stamp, sizeof ret->word);
    if (ret->stamp != ret->stamp_expected)
        return is_no_record(ret_reason, "the stamp of a record is not that of its offset");
    size = sp_record_decode(at, ret->word, left, 1u << identity->unit_shift, &ret->record);
    ret->state = SPATE_RECORD_COMMITTED;
    if (size == 0) {
        ret->state = SPATE_RECORD_ABORTED;
        if (!sp_aborted_decode(ret->word, left, identity->unit_shift, &size, &count))
            return is_no_record(ret_reason, "a record's sizes are such that no producer writes");
    }
    next.position += size;
    next.offset += count;
    if (next.offset > last)
        return is_no_record(ret_reason, "it has more records than its header says");
    ret->count = count;
    ret->size = size;
    ret->record.partition = (int32_t)identity->partition;
    ret->record.offset = ret->offset;
    *place = next;
    return true;
}

void sp_block_count(const struct sp_segment_identity *identity, const struct sp_block_header *header, const uint8_t *raw,
                    struct sp_block_census *ret)
{
    struct spate_dump_record record;

    *ret = (struct sp_block_census){.end = sp_block_begin(header)};
    while (sp_block_record(identity, header, raw, &ret->end, &record, &ret->reason)) {
        if (record.state == SPATE_RECORD_ABORTED) {
            ret->aborted += record.count;
            continue;
        }
        ret->records++;
        if (record.record.timestamp > ret->last_timestamp)
            ret->last_timestamp = record.record.timestamp;
    }
}
