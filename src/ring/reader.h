/* reader.h: one consumer's side of one ring: poll, release, seek.
 *
 * Owned and called by one thread. Reads the ring, writes only its own cursor. */
#ifndef SP_RING_READER_H
#define SP_RING_READER_H

#include "ring/ring.h"

struct sp_reader {
    const struct sp_ring *ring;
    const uint8_t *data;
    uint64_t mask, salt;
    uint64_t memory_end;   /* sp_reader_open_memory: where the records end, a position; in the ring nowhere */
    struct sp_place next;  /* what the next poll looks at */
    struct sp_place first; /* where the last poll began: must not be overwritten while its views are used */
    struct sp_cursor *cursor;
    uint32_t active; /* the cursor's state word while it holds its place */
    bool gate;
    bool holds;                   /* a gate that was placed: nobody writes a ring beyond `first`, unless it was evicted */
    uint64_t discard_below;       /* records with a lower offset are stepped over (seek to an offset between two marks) */
    int64_t discard_before;       /* and those with an older timestamp, until the first that is not; INT64_MIN: off */
    int64_t first_discard_before; /* discard_before when the last poll began */
    int32_t partition;
    const _Atomic uint64_t *watermark; /* a position that is not passed: a word of the log, or NULL */
    uint32_t haste;                    /* how much was found at once lately */
    bool streaming;                    /* see STREAMING in reader.c: */
    bool must_rest;                    /* it had almost caught up at its latest look ahead */
    uint64_t known;                    /* nothing at or above this position is looked at */
    uint64_t word; /* second header word of the latest plain record (no key, headers, timestamp), 0: none yet; */
    uint64_t size; /* what it takes in the ring, */
    uint64_t head; /* and partition and value size of its view */
};

void sp_reader_init(struct sp_reader *reader, const struct sp_ring *ring, struct sp_cursor *cursor, bool gate, int32_t partition);

/* sp_reader_poll: views of the next committed records.
 *   is_patient  in a stream it may return 0 although something was committed just now: the caller rests, asks again, and is not patient
 *               for long
 * Returns their number, 0 (none committed: see sp_ring_judge), -EOVERFLOW (lapped or evicted), -EBADMSG (a record that makes
 * no sense)
 * Order    takes E1; E5 and E12 before it returns */
int sp_reader_poll_patiently(struct sp_reader *reader, struct spate_record *records, uint32_t max, bool is_patient);

static inline int sp_reader_poll(struct sp_reader *reader, struct spate_record *records, uint32_t max)
{
    return sp_reader_poll_patiently(reader, records, max, false);
}

/* sp_reader_leave: stop holding a place in the ring: to read elsewhere. E12. */
void sp_reader_leave(struct sp_reader *reader);

/* sp_reader_open_memory: read records that lie elsewhere than in the ring, in its format, one behind the other: a block of the log.
 *   data        of the first
 *   size        bytes of all of them
 *   begin       the place that it has, or had, in the ring
 *   stamp_salt  that their stamps were made with
 * The memory stays the caller's, who keeps it until the reader is opened elsewhere. sp_reader_open_ring: back to the ring; next comes
 * sp_reader_place */
void sp_reader_open_memory(struct sp_reader *reader, const void *data, uint64_t size, struct sp_place begin, uint64_t stamp_salt);
void sp_reader_open_ring(struct sp_reader *reader);

/* sp_reader_poll_memory: views of the next records there.
 * Returns their number, 0 (at the end), -EBADMSG (what follows is no record) */
int sp_reader_poll_memory(struct sp_reader *reader, struct spate_record *records, uint32_t max);

/* sp_reader_is_lapped: whether bytes from `position` on may have been overwritten. Call it after reading them. */
bool sp_reader_is_lapped(const struct sp_reader *reader, uint64_t position);

/* sp_reader_release: everything before `next` may be overwritten. Order: E2. */
void sp_reader_release(struct sp_reader *reader);

/* sp_reader_rewind: the last poll did not happen: the next one begins where it began. */
void sp_reader_rewind(struct sp_reader *reader);

/* sp_reader_place: put the cursor at a boundary and make it hold there.
 *   ret_evicted   set to true when it had been evicted before; NULL: of no interest
 * Returns 0, -EOVERFLOW (producers have passed or announced to pass it: choose a newer place, or sp_reader_put_back)
 * Order    E6 */
int sp_reader_place(struct sp_reader *reader, struct sp_place place, bool *ret_evicted);

/* sp_reader_keeps: whether everything from `first` on stays, whatever producers announced: it is a gate that holds. */
bool sp_reader_keeps(const struct sp_reader *reader);

/* sp_reader_put_back: after attempts to place the cursor that failed: where it was, evicted if it was. A gate has held its old place
 * all the while: it went from there to older ones, and a gate more than a ring behind stops everybody (sp_ring_frontier). */
void sp_reader_put_back(struct sp_reader *reader, bool evicted);

/* sp_reader_skip_dead: step over a claim that was judged dead. */
void sp_reader_skip_dead(struct sp_reader *reader, uint64_t size, uint64_t count);

#endif
