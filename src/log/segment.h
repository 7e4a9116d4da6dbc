/* segment.h: one segment of a log, mapped read-only: its blocks, and where an offset or a time is.
 *
 * For readers in any process, of a log that the daemon is writing, or of a copy. One thread per handle. Headers are read by pread and
 * then judged, data through the mapping and only where a judged header said that it is: the daemon cuts a segment behind its last block,
 * and touching what was cut would end the process. */
#ifndef SP_LOG_SEGMENT_H
#define SP_LOG_SEGMENT_H

#include "log/format.h"

struct sp_segment {
    int fd;
    struct sp_segment_identity identity;
    const uint8_t *data; /* the file from its beginning */
    uint64_t mapped_size;
    struct sp_index_header *index;         /* read into memory; NULL: there is none that can be used */
    char path[SP_SEGMENT_NAME_SIZE + 300]; /* for error texts: topic/partition/name */
};

struct sp_block {
    struct sp_block_header header; /* judged */
    const void *stored;            /* header.stored_size bytes in the mapping */
    uint64_t at, next;             /* place of this block and of the next in the file */
};

/* sp_segment_open: open and map a segment.
 *   dir_fd     of the partition's directory
 *   topic_id   16 bytes that must be its topic's, or NULL
 *   shown      "topic/partition", for error texts
 * Returns      0, -ENOENT, -EACCES, -EBADMSG (not a segment, damaged header, another topic's), -EPROTO (of a newer build), -ENOMEM */
int sp_segment_open(struct sp_segment *segment, int dir_fd, uint64_t base_offset, const uint8_t *topic_id, const char *shown);
void sp_segment_close(struct sp_segment *segment);

/* sp_segment_block: the block at a place of the file. Its data is not checked yet: sp_block_verify.
 * Returns      0, -ENODATA (the file ends there), -EBADMSG (what is there is no block; also zeros behind the last one) */
int sp_segment_block(struct sp_segment *segment, uint64_t at, struct sp_block *ret);

/* sp_block_verify: whether a block's data is what was written. Returns 0, -EBADMSG. */
int sp_block_verify(const struct sp_segment *segment, const struct sp_block *block);

/* sp_segment_first: the place of the first block. */
static inline uint64_t sp_segment_first(void)
{
    return sizeof(struct sp_segment_header);
}

/* sp_segment_find_offset: a block from which walking on leads to `offset`: the last entry of the index at or before it, else the first
 * block. sp_segment_find_time: likewise to the first record with a timestamp of at least `time`. Return a place of the file. */
uint64_t sp_segment_find_offset(const struct sp_segment *segment, uint64_t offset);
uint64_t sp_segment_find_time(const struct sp_segment *segment, int64_t time);

#endif
