/* blocks.h: the blocks of one segment, one after the other, damaged ones too, and the records in a block: for who looks at a log.
 *
 * Reads through a function as scan.h does, never through a mapping, so that a file that is cut or changed meanwhile harms nobody. Memory
 * is bounded by the largest block, which is bounded by the file (255 times, where it is compressed). One thread per walk. */
#ifndef SP_LOG_BLOCKS_H
#define SP_LOG_BLOCKS_H

#include "log/scan.h"
#include "spate/inspect.h"

enum sp_blocks_kind {
    SP_BLOCKS_GOOD,   /* a block: `header` at `at`, its records in `raw` */
    SP_BLOCKS_DAMAGE, /* bytes `at` .. `end` are no block, and offsets `first` .. `next` are not there; a good block follows */
    SP_BLOCKS_END,    /* no block at `at`, and none behind it. `reason` is NULL where the file ends as well */
};

struct sp_blocks {
    struct sp_scan_source source;
    const struct sp_segment_identity *identity;
    bool headers_only;   /* data is not read, and not judged; behind the last block nothing is looked for if there are zeros */
    uint64_t skip_below; /* nor is that of blocks which end at or before this offset */
    struct sp_scan_place place; /* where the next one is looked for */
    uint8_t *stored, *unpacked;
    uint64_t stored_room, unpacked_room;
    /* what was found */
    enum sp_blocks_kind kind;
    struct sp_block_header header;
    const uint8_t *raw;
    uint64_t at, end;
    uint64_t first, next;
    const char *reason;
    bool is_zero; /* SP_BLOCKS_END: all that is left is zero */
};

/* sp_blocks_begin: in front of a segment's first block. source and identity stay the caller's, and stay. */
void sp_blocks_begin(struct sp_blocks *blocks, const struct sp_scan_source *source, const struct sp_segment_identity *identity,
                     bool headers_only);
void sp_blocks_end(struct sp_blocks *blocks);

/* sp_blocks_next: find the next one. Returns 0, -ENOMEM, -errno (reading failed). Behind the end it stays there. */
int sp_blocks_next(struct sp_blocks *blocks);

/* sp_block_begin: in front of the first record of a block.
 * sp_block_record: the next record of a block that was unpacked.
 *   place       in front of it; moved on
 *   ret         the record; `partition` is the segment's
 *   ret_reason  NULL, or why what follows is no record: the rest of the block makes no sense
 * Returns whether there was one. */
static inline struct sp_place sp_block_begin(const struct sp_block_header *header)
{
    return (struct sp_place){header->position, header->base_offset};
}
bool sp_block_record(const struct sp_segment_identity *identity, const struct sp_block_header *header, const uint8_t *raw,
                     struct sp_place *place, struct spate_dump_record *ret, const char **ret_reason);

/* What the records of a block say. */
struct sp_block_census {
    uint64_t records, aborted; /* committed ones; offsets of aborted ones */
    struct sp_place end;       /* behind the last record that makes sense */
    int64_t last_timestamp;    /* the largest; 0: none has one */
    const char *reason;        /* NULL, or why the rest makes no sense */
};
void sp_block_count(const struct sp_segment_identity *identity, const struct sp_block_header *header, const uint8_t *raw,
                    struct sp_block_census *ret);

#endif
