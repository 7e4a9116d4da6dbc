/* producer.h: a producer, as producer.c (its lanes), producer_claim.c, producer_publish.c and producer_wait.c (full rings) share it.
 *
 * A producer has a *lane* per partition: a writer on that partition's ring, attached at first use. One thread per producer; one open claim
 * at a time. No system call when there is room (but the clock, which is a vDSO read). The first words are the hot ones.
 *
 * Fast paths. Most records are *bare*, i.e. without key and headers, and like the one before: of the same size, to the same partition. A
 * lane that owns its tail (exclusive mode, or the bias) learns the shape of a bare record, and the next one of that shape is appended with
 * nothing but its value and a header to write. `quick` is the latest lane that has learnt. */
#ifndef SP_BUS_PRODUCER_H
#define SP_BUS_PRODUCER_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arch.h"
#include "bus/internal.h"
#include "ring/record.h"

#define SP_LINE_VALUE 64u      /* the value size that has a path of its own */
#define SP_NO_SHAPE UINT64_MAX /* the head of no record that can be published; but callers may ask for it */
/* bytes to one partition before records without key go to the next, as Kafka's sticky partitioner does by batch */
#define SP_STICKY_SIZE 16384u

struct sp_lane {
    struct sp_writer writer;
    struct sp_attachment *attachment; /* NULL: not attached yet */
    uint64_t shape;                   /* what sp_record_head gives for records of the shape learnt; SP_NO_SHAPE: none */
    uint64_t line_shape;              /* the same, if they are of 64 bytes and without timestamp: for spate_publish itself */
    int32_t partition;
    bool deleted;
    int64_t rescued;        /* monotonic time of the last rescue */
    struct sp_blocker gate; /* the consumer that was in the way then, where it stood, */
    uint32_t gate_word;     /* its cursor's state word (0: none yet), */
    int64_t gate_since;     /* and since when it has not moved */
};

struct spate_producer {
    uint64_t magic;
    struct sp_lane *quick; /* where sp_writer_append may be tried; NULL: nowhere, also after fork and while a claim is open */
    struct sp_lane *lanes;
    struct sp_lane *open;                                        /* of the open claim */
    uint32_t *sizes;                                             /* of the records of an open batch */
    enum { SP_OPEN_ONE, SP_OPEN_BATCH, SP_OPEN_LAID } open_kind; /* laid: sp_writer_lay */
    struct sp_lane *learnt;                                      /* what `quick` will be after the open claim */
    uint32_t partitions, unit, timestamp, wait;
    uint64_t payload_max;
    uint32_t sticky, sticky_bytes;
    int64_t last_timestamp;
    struct spate_topic *topic;
    struct sp_lane *blocked; /* of the last -EAGAIN */
    uint64_t blocked_size;
    bool holds_ring; /* mapped when the producer was opened */
    char name[SP_NAME_SIZE];
};

/* sp_producer_begin: checks common to all publishing calls; finds the lane, and attaches it if it is the first time.
 *   ret_error  why there is none
 * Returns NULL then */
struct sp_lane *sp_producer_begin(struct spate_producer *producer, const struct spate_record *record, int *ret_error);

/* sp_producer_clock: what the library stamps on records that are claimed now; 0 where it stamps none. */
int64_t sp_producer_clock(struct spate_producer *producer, struct sp_lane *lane);

/* sp_producer_timestamp: of a record that is written now, on a topic with timestamps. */
static inline int64_t sp_producer_timestamp(struct spate_producer *producer, struct sp_lane *lane,
                                            const struct spate_record *record)
{
    return producer->timestamp == SPATE_TIMESTAMP_CALLER ? record->timestamp : sp_producer_clock(producer, lane);
}

/* sp_writer_append knows plain records only, sp_writer_lay bare ones. */
static inline bool sp_record_is_bare(const struct spate_record *record)
{
    uint64_t counts;
    static_assert(offsetof(struct spate_record, headers_count) == offsetof(struct spate_record, key_size) + 4, "one word");
    memcpy(&counts, &record->key_size, sizeof counts); /* of key and headers */
    return !record->key && counts == 0;
}

static inline bool sp_record_is_plain(const struct spate_record *record)
{
    return record->value && sp_record_is_bare(record);
}

/* sp_producer_learn: what is published next will be like this bare record, most likely. Returns whether it might take a fast path then. */
bool sp_producer_learn(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record);

/* sp_producer_find_quick: the lane of a bare record, when it may be appended to: any lane that has learnt, not only the latest.
 * NULL: the slow way. */
struct sp_lane *sp_producer_find_quick(struct spate_producer *producer, const struct spate_record *record);

/* sp_producer_claim_one, sp_producer_claim_batch: what spate_claim and spate_claim_batch do at their slowest.
 *   null_value  publish of a record without value; a claim always has one
 *   ret_claims  NULL: publishing, so values are copied, and records without one are tombstones
 *   ret_offset  of the first, or NULL
 * Return      as those */
int sp_producer_claim_one(struct spate_producer *producer, const struct spate_record *record, bool null_value,
                          struct spate_claim *ret);
int sp_producer_claim_batch(struct spate_producer *producer, const struct spate_record *records, uint32_t count,
                            struct spate_claim *ret_claims, int64_t *ret_offset);

/* sp_producer_on_notice: somebody sleeps, or the topic was deleted. Returns 0, so that a fast path can end with it. */
int sp_producer_on_notice(struct spate_producer *producer, struct sp_lane *lane);

/* After records were appended: wake who sleeps. Returns 0. */
static inline int sp_producer_notice(struct spate_producer *producer, struct sp_lane *lane)
{
    /* relaxed: E7, the sleeper's membarrier orders this load behind the stamps */
    if (SP_LIKELY(!(atomic_load_explicit(lane->writer.notice, memory_order_relaxed) & SP_NOTICE)))
        return 0;
    return sp_producer_on_notice(producer, lane);
}

/* sp_producer_rescue: look into why a lane is full: repair the dead, drop dead gates, evict those past their deadline.
 *   now_or_never  look even if it was done less than a millisecond ago
 * Returns whether there is a reason to try again. */
bool sp_producer_rescue(struct spate_producer *producer, struct sp_lane *lane, bool now_or_never);

/* sp_producer_unbias: take away the bias that keeps a lane from claiming. Returns whether to try again at once; if not, the lane's blocker
 * is its owner. */
bool sp_producer_unbias(struct spate_producer *producer, struct sp_lane *lane);

/* sp_producer_blocked_by_log: whether a log that cannot go on by itself keeps the lane's ring full: SP_LOG_FULL (its file system is) or
 * SP_LOG_FAILED, with the errno behind it; anything else is waited for, also a daemon that is gone. */
enum sp_log_state sp_producer_blocked_by_log(const struct spate_producer *producer, const struct sp_lane *lane, int *ret_error);

/* sp_producer_wait_until: wait for room on the blocked lane. Returns 0, -ETIMEDOUT, -EINTR. */
int sp_producer_wait_until(struct spate_producer *producer, int64_t deadline);

#endif
