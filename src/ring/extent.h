/* extent.h: a stretch of committed records, and the words by which the log tells how far it has come.
 *
 * For whoever copies a ring elsewhere as it is: the daemon that writes the log. One thread per ring; no system calls. */
#ifndef SP_RING_EXTENT_H
#define SP_RING_EXTENT_H

#include "ring/ring.h"

struct sp_extent {
    struct sp_place end;     /* behind the last record in it */
    uint64_t size;           /* bytes */
    uint64_t records;        /* committed ones; the offsets covered are end.offset - begin.offset, at least as many */
    int64_t first_timestamp; /* of its first record; 0: none has one */
    int64_t last_timestamp;  /* the largest */
    bool is_full;            /* the next record is committed, but does not fit */
    bool is_damaged;         /* at `end` something is committed that is no record */
};

/* sp_ring_extent: the committed (and aborted) records from `place` on, whole ones, as many as `size_max` bytes take; always at least one,
 * however large, if there is one.
 * Order  takes E1 for each */
void sp_ring_extent(const struct sp_ring *ring, struct sp_place place, uint64_t size_max, struct sp_extent *ret);

enum sp_mark_kind { SP_LOG_WRITTEN, SP_LOG_DURABLE, SP_LOG_REPLICATED, SP_LOG_MARKS };

/* sp_log_advance: a watermark of the log has come to `place`. By the daemon only.
 * Returns whether somebody waits for watermarks, and is to be woken (sp_wake_watermark)
 * Order  E15, E16 */
bool sp_log_advance(struct sp_ring *ring, enum sp_mark_kind kind, struct sp_place place);

/* sp_log_return: SP_LOG_WRITTEN goes back to `place`, so that what the log lost is written again. By the daemon only, before it writes.
 * Returns whether everything from there on is kept by the ring from now on; if not, producers had already announced that they would
 * overwrite it, and the watermark stands where it was.
 * Order  E6, with the watermark as the gate */
bool sp_log_return(struct sp_ring *ring, struct sp_place place);

/* sp_log_place: where a watermark stands; while the daemon moves it, the offset may be of a later place. sp_log_offset: only its
 * offset. Take E16. */
struct sp_place sp_log_place(const struct sp_ring *ring, enum sp_mark_kind kind);
uint64_t sp_log_offset(const struct sp_ring *ring, enum sp_mark_kind kind);

/* sp_log_state_set, sp_log_state: what the daemon does with the log, and the errno behind it. E11. */
void sp_log_state_set(struct sp_ring *ring, uint64_t owner, enum sp_log_state state, int error);
enum sp_log_state sp_log_state(const struct sp_ring *ring, int *ret_error);

/* sp_log_start_set, sp_log_start: the first offset that the log still has. E16. */
void sp_log_start_set(struct sp_ring *ring, uint64_t offset);
uint64_t sp_log_start(const struct sp_ring *ring);

/* sp_log_want: a producer asks for a watermark (SP_LOG_WRITTEN, SP_LOG_DURABLE) to reach `offset`. sp_log_wanted: what is asked for, by
 * whomever; any value is safe. E16. */
void sp_log_want(struct sp_ring *ring, enum sp_mark_kind kind, uint64_t offset);
uint64_t sp_log_wanted(const struct sp_ring *ring, enum sp_mark_kind kind);

/* sp_log_want_start, sp_log_wanted_start: likewise, that records below `offset` be deleted. E16. */
void sp_log_want_start(struct sp_ring *ring, uint64_t offset);
uint64_t sp_log_wanted_start(const struct sp_ring *ring);

#endif
