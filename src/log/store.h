/* store.h: the files of a partition's log, written by who mends it: an index, a segment made of blocks of another one, a frontier.
 *
 * For tools, on a log that nobody else writes. (The daemon writes through its own io, so that it can be simulated.) A file is written whole
 * under another name, synced, and renamed into place by whoever called. One thread. */
#ifndef SP_LOG_STORE_H
#define SP_LOG_STORE_H

#include "log/files.h"
#include "log/index.h"

/* sp_index_write: the index of a segment, in place of the one that is there.
 *   size         of the segment: the end of its last block
 *   next_offset  behind its last record
 * Returns        0, -errno */
int sp_index_write(int dir_fd, const struct sp_segment_identity *identity, const struct sp_index_maker *maker, uint64_t size,
                   uint64_t next_offset);

#define SP_NEW_SUFFIX "new"

/* A segment that is written to "<base>.new". */
struct sp_segment_maker {
    int fd;
    struct sp_segment_identity identity;
    uint64_t at;          /* of the next block */
    uint64_t next_offset; /* and its offset, at least */
    uint64_t next_position;
    uint32_t previous;
    struct sp_index_maker index;
};

/* sp_segment_make: begin one with that identity. Returns 0, -errno; nothing is left then.
 * sp_segment_put: add a block; header's kind, offsets, position, times, sizes and epoch are taken, its checksums made.
 * sp_segment_made: everything is written: sync and close it. The index is still to be written, and the file to be renamed.
 * sp_segment_drop: give it up and remove the file; also behind sp_segment_made. */
int sp_segment_make(struct sp_segment_maker *maker, int dir_fd, const struct sp_segment_identity *identity);
int sp_segment_put(struct sp_segment_maker *maker, const struct sp_block_header *header, const void *stored);
int sp_segment_made(struct sp_segment_maker *maker);
void sp_segment_drop(struct sp_segment_maker *maker, int dir_fd);
void sp_segment_forget(struct sp_segment_maker *maker);

/* sp_frontier_write: into the slot that its sequence names; the other one is emptied where it is not good. Returns 0, -errno. */
int sp_frontier_write(int dir_fd, struct sp_frontier *frontier);

/* sp_log_rename: from one suffix to another. sp_log_sync: make the names in a directory durable. Return 0, -errno. */
int sp_log_rename(int dir_fd, uint64_t base, const char *from, const char *to);
int sp_log_sync(int dir_fd);

#endif
