/* files.h: the files of one partition's log, opened to look: which there are, a segment's header, the frontier, an index.
 *
 * For tools, in any process, on a log that is written or on a copy. Plain files only, never followed through links; read with pread.
 * Nothing here writes. One thread per handle. */
#ifndef SP_LOG_FILES_H
#define SP_LOG_FILES_H

#include "log/scan.h"

struct sp_segment_file {
    int fd;
    uint64_t size;
    struct sp_scan_source source; /* reads this one: the struct stays where it is while it is open */
    struct sp_segment_identity identity;
    const char *reason; /* why its header is not good, and identity means nothing; NULL: it is */
};

/* sp_segment_file_open: returns 0 (see `reason`), -ENOENT, -EACCES, -errno. */
int sp_segment_file_open(struct sp_segment_file *file, int dir_fd, uint64_t base_offset, const char *suffix);
void sp_segment_file_close(struct sp_segment_file *file);

/* sp_log_files: the base offsets of all files "<20 digits>.<suffix>" of a directory, sorted.
 *   ret_bases  freed by the caller
 * Returns      0, -ENOMEM, -errno */
int sp_log_files(int dir_fd, const char *suffix, uint64_t **ret_bases, uint32_t *ret_count);

enum sp_frontier_state { SP_FRONTIER_MISSING, SP_FRONTIER_EMPTY, SP_FRONTIER_GOOD, SP_FRONTIER_DAMAGED };

/* sp_frontier_read: the newest frontier of a partition.
 *   ret         SP_FRONTIER_GOOD only
 *   ret_reason  SP_FRONTIER_DAMAGED: why; else NULL. With SP_FRONTIER_GOOD: why the other one is not, where it is neither good nor empty
 * Returns       its state */
enum sp_frontier_state sp_frontier_read(int dir_fd, struct sp_frontier *ret, const char **ret_reason);

enum sp_index_state {
    SP_INDEX_MISSING,
    SP_INDEX_UNFINISHED, /* short, empty, or of the segment before it was compacted: a crash leaves that; readers do without */
    SP_INDEX_DAMAGED,
    SP_INDEX_GOOD, /* in itself */
};

/* sp_index_read: a segment's index.
 *   segment_size  of the segment's file: bounds what is read
 *   ret           SP_INDEX_GOOD: header and entries, freed by the caller
 *   ret_reason    SP_INDEX_DAMAGED, SP_INDEX_UNFINISHED: why */
enum sp_index_state sp_index_read(int dir_fd, const struct sp_segment_identity *identity, uint64_t segment_size,
                                  struct sp_index_header **ret, const char **ret_reason);

static inline const struct sp_index_entry *sp_index_entries(const struct sp_index_header *index)
{
    return (const struct sp_index_entry *)(const void *)(index + 1);
}

/* Whether an index agrees with the blocks of its segment, seen one after the other. */
struct sp_index_look {
    struct sp_index_header *header; /* NULL: there is nothing to compare */
    uint64_t next;                  /* entry */
    const char *wrong;              /* NULL, or what does not agree */
};
/* sp_index_look_block: in front of a good block. sp_index_look_end: behind the last one. */
void sp_index_look_block(struct sp_index_look *look, const struct sp_scan_place *before, uint64_t base_offset);
void sp_index_look_end(struct sp_index_look *look, const struct sp_scan_place *end);

#endif
