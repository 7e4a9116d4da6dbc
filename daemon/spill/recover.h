/* recover.h: what a partition's directory holds when the daemon starts: where its log ends, and making it sound again.
 *
 * Runs before a writer is opened, and after any crash; if it is itself cut short at any point it can simply run again. Everything below
 * the frontier was flushed and is not read here: closed segments may be large. What follows it was written after the latest frontier,
 * perhaps acknowledged, perhaps not: it is walked block by block. The first block that is missing or bad ends the log. What a crash can
 * leave behind that place (writes reach the disk in any order) was never acknowledged; it is put aside, and said. */
#ifndef SPATED_RECOVER_H
#define SPATED_RECOVER_H

#include "spill/writer.h"

struct recovery {
    bool is_new;           /* there was no log */
    struct log_place end;  /* where it goes on, and where the last block before that ends (at 0: none that may be written about) */
    uint64_t start_offset; /* the first offset that may be read */
    uint64_t sequence;     /* of the frontier */
    uint64_t dropped;      /* good blocks behind a bad one, not kept */
    bool is_short;         /* the files end before the frontier: offsets are missing */
};

/* recover_partition: make directory and frontier where there are none, find the end, cut there.
 *   say    as writer_host
 * Returns  0, -EBADMSG (it belongs to another topic, or a segment is of a newer build: nothing was changed), -errno */
int recover_partition(struct io *io, const struct spill_topic *topic, uint32_t partition,
                      void (*say)(void *context, bool is_error, const char *text), void *context, struct recovery *ret);

/* recover_fit: the same, seen from a ring that outlived the daemon: it may have come further than the log that was found. Changes
 * ret->end, and start_offset where there was no log. Where that leaves a hole in the log, the frontier says so durably before anything is
 * written behind it: otherwise the next recovery takes the hole for the end. say, context: as above.
 * Returns  0, -errno of the frontier */
int recover_fit(struct io *io, struct sp_ring *ring, const struct spill_topic *topic, uint32_t partition,
                void (*say)(void *context, bool is_error, const char *text), void *context, struct recovery *ret);

#endif
