/* scan.h: walking over the blocks of a segment to where they end, as recovery does.
 *
 * Reads through a function, so that the daemon's recovery, a reader of a copied directory and the simulator's disk share it. One
 * thread. */
#ifndef SP_LOG_SCAN_H
#define SP_LOG_SCAN_H

#include "log/format.h"
#include "ring/tail.h"

/* Where bytes come from. read: returns 0, -ENODATA (the file ends before), or -errno. */
struct sp_scan_source {
    int (*read)(void *context, uint64_t at, void *to, uint32_t size);
    void *context;
    uint64_t size; /* of the file */
};

/* A place between two blocks. */
struct sp_scan_place {
    uint64_t at;           /* in the file */
    struct sp_place next;  /* offset and ring position of the block that would begin here */
    uint32_t previous;     /* header_crc of the block before */
    int64_t max_timestamp; /* of all before in this segment; INT64_MIN: none */
};

/* sp_scan_begin: in front of the first block of a segment. */
struct sp_scan_place sp_scan_begin(const struct sp_segment_identity *identity);

/* sp_scan_block: read and judge the block at a place, its data too, and go on behind it.
 *   place       in front of it; moved on when it is good
 *   ret_header  its header
 *   ret_reason  why it is not good, a static text; NULL when reading failed
 * Returns       0, -ENODATA (the file ends), -EBADMSG (no block, or not the next one, or damaged), -errno (reading failed) */
int sp_scan_block(const struct sp_scan_source *source, const struct sp_segment_identity *identity, struct sp_scan_place *place,
                  struct sp_block_header *ret_header, const char **ret_reason);

/* sp_scan_later: look for a good block of this segment behind a place where there is none.
 *   from        that place; blocks that end at or before its offset are passed over
 *   ret_place   in front of it
 * Returns       0, -ENODATA, -errno */
int sp_scan_later(const struct sp_scan_source *source, const struct sp_segment_identity *identity, struct sp_scan_place from,
                  struct sp_scan_place *ret_place);

#endif
