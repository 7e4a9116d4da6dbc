/* index.h: the index of a segment while it is made: an entry about every 64 KiB, from the headers of its blocks in their order.
 *
 * For the daemon, which makes it while it writes, and for who mends a log. Pure but for the memory of the entries. One thread. */
#ifndef SP_LOG_INDEX_H
#define SP_LOG_INDEX_H

#include "log/format.h"

struct sp_index_maker {
    struct sp_index_entry *entries;
    uint64_t count, room;
    uint64_t noted;        /* place of the latest entry */
    int64_t max_timestamp; /* of all blocks so far; INT64_MIN: none */
};

void sp_index_begin(struct sp_index_maker *maker);
void sp_index_end(struct sp_index_maker *maker);

/* sp_index_note: a block at a place of the file. Returns 0, -ENOMEM: with fewer entries it is slower, that is all. */
int sp_index_note(struct sp_index_maker *maker, const struct sp_block_header *header, uint64_t at);

/* sp_index_header: what stands in front of the entries, sealed.
 *   size         of the segment: the end of its last block
 *   next_offset  behind its last record */
struct sp_index_header sp_index_header(const struct sp_index_maker *maker, uint64_t salt, uint64_t size, uint64_t next_offset);

#endif
