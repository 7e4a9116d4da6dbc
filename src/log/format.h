/* format.h: the structs of the log (layout/log_layout.h) sealed by who writes them, and judged by who reads them.
 *
 * Pure functions on memory handed in, for the daemon's writer, for readers, tools and fuzzers. A check returns NULL, or the reason in
 * words: what is wrong, without the file's name, which the caller knows. Nothing is believed before its checksum was. */
#ifndef SP_LOG_FORMAT_H
#define SP_LOG_FORMAT_H

#include <stdbool.h>

#include "base/align.h"
#include "layout/log_layout.h"
#include "spate/spate.h"

/* What identifies a segment: which blocks and records belong to it. */
struct sp_segment_identity {
    uint8_t topic_id[16];
    uint32_t partition;
    uint32_t unit_shift;
    uint64_t base_offset;
    uint64_t salt;
    uint64_t stamp_salt;
    int64_t created;
    uint64_t record_max;
    uint32_t crc; /* of its header: what the first block is chained to */
};

/* No segment's file is larger: what is would keep who looks for blocks in it busy for ever (a sparse file costs nothing to make). */
#define SP_SEGMENT_FILE_MAX (SPATE_SEGMENT_MAX + ((uint64_t)2 << 30)) /* the largest record has 1 GiB */
#define SP_SEGMENT_TOO_LARGE "it is larger than a segment can be"

void sp_segment_header_make(struct sp_segment_header *header, struct sp_segment_identity *identity);
const char *sp_segment_header_check(const struct sp_segment_header *header, struct sp_segment_identity *ret);

/* sp_block_seal: compute header_crc; everything else is filled in. */
void sp_block_seal(struct sp_block_header *header, uint64_t salt);

/* sp_block_check: whether a block of that segment begins with this header.
 *   room   bytes from the block's beginning to the end of the file: it may not be larger
 * Its data is to be checked against data_crc by the caller */
const char *sp_block_check(const struct sp_block_header *header, const struct sp_segment_identity *identity, uint64_t room);

static inline uint64_t sp_block_size(const struct sp_block_header *header)
{
    return sp_align_up(sizeof *header + header->stored_size, SP_LOG_GRAIN);
}

static inline uint32_t sp_block_codec(const struct sp_block_header *header)
{
    return header->kind & SP_BLOCK_CODEC_MASK;
}

/* sp_block_unpack: the records of a block that are not stored raw.
 *   stored  stored_size bytes, whose checksum was right
 *   raw     room for raw_size bytes
 * Returns   NULL, or the reason */
const char *sp_block_unpack(const struct sp_block_header *header, const void *stored, void *raw);

/* sp_block_pack: compress `size` bytes into at most `size` - 1. Returns the compressed size, 0 when they do not become smaller. */
uint32_t sp_block_pack(const void *raw, uint32_t size, void *stored);

void sp_frontier_seal(struct sp_frontier *frontier);
const char *sp_frontier_check(const struct sp_frontier *frontier);
/* sp_frontier_newest: of the two slots of the file; NULL when neither is valid. */
const struct sp_frontier *sp_frontier_newest(const struct sp_frontier *a, const struct sp_frontier *b);

void sp_index_seal(struct sp_index_header *header, const struct sp_index_entry *entries);
const char *sp_index_check(const struct sp_index_header *header, uint64_t file_size);

void sp_log_topic_make(struct sp_log_topic *topic, const struct spate_topic_info *info);
/* sp_log_topic_take: the configuration in it, as for spate_topic_create. Returns NULL, or the reason. */
const char *sp_log_topic_take(const struct sp_log_topic *topic, struct spate_topic_config *ret);

#define SP_SEGMENT_NAME_SIZE 32 /* with the terminating zero, and room for any suffix */

/* sp_segment_name: "<20 digits>.<suffix>". sp_segment_base: the inverse; false for other names. */
void sp_segment_name(uint64_t base_offset, const char *suffix, char name[SP_SEGMENT_NAME_SIZE]);
bool sp_segment_base(const char *name, const char *suffix, uint64_t *ret_base_offset);

#endif
