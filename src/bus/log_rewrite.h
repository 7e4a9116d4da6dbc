/* log_rewrite.h: a damaged segment made anew from its good blocks, for log_repair.c.
 *
 * In steps, so that a crash between any two of them costs nothing that could be read before:
 *
 *   killed after ...                          what is there                          what goes on
 *   1 the new files were written, synced      *.new, and the segment as it was       repair removes them, and begins anew
 *   2 the segment was linked as *.damaged     both names                             the same
 *   3 its first part was renamed over it      what was behind the damage is not      repair renames the other *.new, which fit into
 *                                             read: it is in *.new and *.damaged     the hole
 *   4 the frontier was written                the same: recovery finds the log's     the same
 *                                             end where it was
 *   5 the other parts were renamed            all that is good
 *   6 the indexes were written                all */
#ifndef SP_BUS_LOG_REWRITE_H
#define SP_BUS_LOG_REWRITE_H

#include "bus/log_inspect.h"
#include "log/store.h"

struct sp_rewrite {
    const struct sp_log_part *part;
    uint64_t base;                  /* of the segment */
    struct sp_segment_maker *parts; /* new segments, by offset */
    uint32_t count;
    bool has_frontier; /* the frontier names this segment; now it is: */
    struct sp_frontier frontier;
};

/* sp_rewrite_make: step 1: copy the good blocks of a segment; a new segment begins behind each damage.
 *   stop_at  place in the file behind which nothing is copied: what is there was never acknowledged
 * Returns    0, -ENOSPC, -errno; then nothing is left */
int sp_rewrite_make(struct sp_rewrite *rewrite, const struct sp_log_part *part, struct sp_segment_file *file, uint64_t stop_at);

/* sp_rewrite_put: steps 2 to 6. When it fails, files that are not in place stay: they may be all there is of their blocks under a name that
 * counts, and the next repair finishes or removes them. sp_rewrite_end: let go of it. */
int sp_rewrite_put(struct sp_rewrite *rewrite);
void sp_rewrite_end(struct sp_rewrite *rewrite);

/* sp_log_set_aside: rename a segment to *.damaged, or *.damaged-2, ..., without replacing what is there.
 *   is_kept   under its own name as well */
int sp_log_set_aside(int dir_fd, uint64_t base, bool is_kept);

#endif
