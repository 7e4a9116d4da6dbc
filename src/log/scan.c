/* scan.c: see scan.h.
 *
 * A block is the next one if its checksums are right, its `previous` names the block before, and it goes on at the next offset or later
 * (offsets may be missing where a ring was damaged). Pure but for the reading. */
#include "log/scan.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/crc32c.h"

#define PIECE ((uint32_t)64 << 10)

struct sp_scan_place sp_scan_begin(const struct sp_segment_identity *identity)
{
    return (struct sp_scan_place){
        .at = sizeof(struct sp_segment_header),
        .next = {0, identity->base_offset},
        .previous = identity->crc,
        .max_timestamp = INT64_MIN,
    };
}

static int read_header(const struct sp_scan_source *source, const struct sp_segment_identity *identity, uint64_t at,
                       struct sp_block_header *ret, const char **ret_reason)
{
    *ret_reason = NULL;
    if (at >= source->size || source->size - at < sizeof *ret)
        return -ENODATA;
    int error = source->read(source->context, at, ret, sizeof *ret);
    if (error)
        return error;
    *ret_reason = sp_block_check(ret, identity, source->size - at);
    return *ret_reason ? -EBADMSG : 0;
}

static int check_data(const struct sp_scan_source *source, uint64_t at, const struct sp_block_header *header,
                      const char **ret_reason)
{
    static _Thread_local uint8_t piece[PIECE];
    uint32_t crc = 0;

    for (uint32_t done = 0; done < header->stored_size;) {
        const uint32_t size = (uint32_t)sp_min(PIECE, header->stored_size - done);
        int error = source->read(source->context, at + sizeof *header + done, piece, size);
        if (error)
            return error;
        crc = sp_crc32c(crc, piece, size);
        done += size;
    }
    if (crc == header->data_crc)
        return 0;
    *ret_reason = "the checksum of the block's data is wrong";
    return -EBADMSG;
}

static void pass(struct sp_scan_place *place, const struct sp_block_header *header)
{
    place->at += sp_block_size(header);
    place->next = (struct sp_place){header->position + header->raw_size, header->base_offset + header->count};
    place->previous = header->header_crc;
    if (header->last_timestamp > place->max_timestamp)
        place->max_timestamp = header->last_timestamp;
}

int sp_scan_block(const struct sp_scan_source *source, const struct sp_segment_identity *identity, struct sp_scan_place *place,
                  struct sp_block_header *ret_header, const char **ret_reason)
{
    int error = read_header(source, identity, place->at, ret_header, ret_reason);
    if (!error && (ret_header->previous != place->previous || ret_header->base_offset < place->next.offset)) {
        *ret_reason = "the block is not the next one: it was written in an earlier life of the file";
        error = -EBADMSG;
    }
    if (!error)
        error = check_data(source, place->at, ret_header, ret_reason);
    if (!error)
        pass(place, ret_header);
    return error;
}

int sp_scan_later(const struct sp_scan_source *source, const struct sp_segment_identity *identity, struct sp_scan_place from,
                  struct sp_scan_place *ret_place)
{
    struct sp_block_header header;
    const char *reason;

    for (uint64_t at = from.at + SP_LOG_GRAIN; at < source->size; at += SP_LOG_GRAIN) {
        int error = read_header(source, identity, at, &header, &reason);
        if (!error && header.base_offset + header.count > from.next.offset)
            error = check_data(source, at, &header, &reason);
        else if (!error)
            continue;
        if (error == -EBADMSG)
            continue;
        if (error)
            return error;
        *ret_place = (struct sp_scan_place){
            .at = at,
            .next = {header.position, header.base_offset},
            .previous = header.previous,
            .max_timestamp = from.max_timestamp,
        };
        return 0;
    }
    return -ENODATA;
}
