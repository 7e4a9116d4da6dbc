/* consumer.h: a consumer as consumer.c (opening, seeking), poll.c (reading) and consumer_wait.c (sleeping) share it.
 *
 * A consumer has a *lane* per subscribed partition. Used by one thread. */
#ifndef SP_BUS_CONSUMER_H
#define SP_BUS_CONSUMER_H

#include "bus/internal.h"
#include "log/log.h"

struct sp_consumer_lane {
    struct sp_reader reader;
    struct sp_log *log; /* NULL: never needed so far */
    bool in_log;        /* the reader stands in a block of the log, or before one */
    bool is_spilling;   /* what the ring has no more is read from the log */
    struct sp_attachment *attachment;
    uint32_t partition;
    bool paused;
    bool touched;            /* the last poll gave records of it */
    bool deleted;            /* the topic is gone, and everything was read */
    uint64_t stuck_position; /* where it stood before an uncommitted claim, */
    int64_t stuck_since;     /* and since when; 0: it does not */
};

struct spate_consumer {
    uint64_t magic;
    struct sp_consumer_lane *lanes;
    uint32_t lanes_count;
    uint32_t next_lane; /* where the next poll begins: fair to all partitions */
    uint32_t empty_polls;
    uint32_t policy, wait, watermark;
    bool has_gap;
    bool armed; /* the pipe is armed */
    struct spate_gap gap;
    struct spate_topic *topic;
    int64_t gate_timeout;
    int64_t spin_time; /* ns to spin before sleeping or yielding */
    int poll_fd;       /* what the caller polls, -1: never asked for; an epoll of the two below */
    int pipe_fd, timer_fd;
    uint32_t pipe_slot;
    int64_t futex_slot; /* -1: never slept */
    uint32_t last_lane; /* of the last record read by spate_read */
    char name[SP_NAME_SIZE];
};

/* sp_consumer_poll: one look at all lanes (is_patient: as sp_reader_poll). Returns records, 0, -EOVERFLOW, -ESTALE. */
int sp_consumer_poll(struct spate_consumer *consumer, struct spate_record *records, uint32_t count, bool is_patient);

/* sp_consumer_release: give back what the last poll gave or stepped over. Returns whether that was anything. */
bool sp_consumer_release(struct spate_consumer *consumer);

/* sp_consumer_unstick: look at lanes that stand before claims that are not committed: step over the dead. Called when a poll
 * found nothing.
 * Returns 0 (nothing new), 1 (poll again), -EOVERFLOW (damage was stepped over: see the gap). Sets *ret_pending when some
 * claim is waited for. */
int sp_consumer_unstick(struct spate_consumer *consumer, int64_t now, bool *ret_pending);

/* sp_consumer_wait_once: wait a little, by the consumer's strategy.
 *   waited   ns it has waited so far
 *   pending  some claim is waited for, whose owner may die: look soon
 * Returns 0 (spun), 1 (slept), -ETIMEDOUT, -EINTR */
int sp_consumer_wait_once(struct spate_consumer *consumer, int64_t waited, int64_t deadline, bool pending);

/* sp_consumer_arm: make the descriptor readable at the next publish (pending: soon, for a claim is waited for).
 * sp_consumer_disarm: no longer. sp_consumer_close_fd: give it up. */
void sp_consumer_arm(struct spate_consumer *consumer, bool pending);
void sp_consumer_disarm(struct spate_consumer *consumer);
void sp_consumer_close_fd(struct spate_consumer *consumer);

/* sp_lane_open_log: go on in the log, at an offset.
 * Returns 0, -EOVERFLOW (deleted offsets were stepped over: see the gap), -errno (the log cannot be read) */
int sp_lane_open_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint64_t offset);

/* sp_lane_find_time: the first record of the log of at least that time, or damage before it.
 * Returns 0, -ENODATA (none in the log: *ret_offset is how far that is known, the end of the log when it was searched), -ENOENT (there
 * is no log yet), -errno */
int sp_lane_find_time(struct spate_consumer *consumer, struct sp_consumer_lane *lane, int64_t time, uint64_t *ret_offset);

/* sp_lane_poll_log: as sp_reader_poll, in the log; moves back to the ring as soon as it has the next record.
 * Returns records, 0 (nothing, or in the ring now: lane->in_log), -EOVERFLOW (see the gap), -errno */
int sp_lane_poll_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane, struct spate_record *records, uint32_t count);

/* sp_lane_has_more: whether the log has more than what was read from it. */
bool sp_lane_has_more(const struct spate_consumer *consumer, const struct sp_consumer_lane *lane);

void sp_lane_close_log(struct sp_consumer_lane *lane);

/* sp_consumer_report_gap: remember what was lost. Returns -EOVERFLOW. */
int sp_consumer_report_gap(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint32_t cause, uint64_t first,
                           uint64_t next);

/* Where to begin (enum spate_start). From there, records with an older timestamp are stepped over until the first that is not; INT64_MIN:
 * none is. */
struct sp_start {
    uint32_t kind;
    int64_t value;
    int64_t not_before;
};

/* sp_consumer_place: put a lane at a start. Returns 0, -ERANGE, -ENODATA, -errno of the log.
 * sp_consumer_place_in_ring: in the ring only. */
int sp_consumer_place(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint32_t kind, int64_t value);
int sp_consumer_place_in_ring(struct spate_consumer *consumer, struct sp_consumer_lane *lane, const struct sp_start *start);

#endif
