/* producer_claim.c: space in a ring, to be filled by the caller: claim, fill, commit or abort, one record or a batch.
 *
 * What publishing falls back to, too. A claim of a record like the one before is short; everything else is planned, claimed and encoded. */
#include <errno.h>
#include <stdlib.h>

#include "base/copy.h"
#include "base/error.h"
#include "bus/producer.h"
#include "ring/bias.h"
#include "ring/extent.h"
#include "shm/handle.h"
#include "shm/sleep.h"

#define UNBIAS_TRIES \
    16 /* whoever gets the bias anew has claimed many records alone meanwhile: then we were stopped, or are very unlucky */

/* Also when another producer has the bias. */
static int try_claim(struct spate_producer *producer, struct sp_lane *lane, uint64_t size, uint32_t count, struct sp_place *ret)
{
    int error = sp_writer_claim(&lane->writer, size, count, ret);

    for (int tries = 0; SP_UNLIKELY(error == -EINPROGRESS) && tries < UNBIAS_TRIES; tries++) {
        if (!sp_producer_unbias(producer, lane))
            break; /* its owner is inside, and stopped or slow */
        error = sp_writer_claim(&lane->writer, size, count, ret);
    }
    return error == -EINPROGRESS ? -EAGAIN : error;
}

/* The log is in the way, and will not get out of it by itself. */
static int refused(const struct spate_producer *producer, const struct sp_lane *lane)
{
    int error = 0;

    switch (sp_producer_blocked_by_log(producer, lane, &error)) {
    case SP_LOG_FULL:
        return sp_fail(-ENOSPC,
                       "topic %s, partition %d: the log's file system is full, and the ring too: make room, then try again",
                       producer->topic->info.name, lane->partition);
    case SP_LOG_FAILED:
        return sp_fail(-EIO,
                       "topic %s, partition %d: its log failed (%s), and the ring is full: mend the disk and start spated anew",
                       producer->topic->info.name, lane->partition, strerror(error));
    default: return -EAGAIN;
    }
}

/* Claim on the lane; a full ring is looked into now and then, so that callers who only ever try get rid of the dead too. */
static int claim(struct spate_producer *producer, struct sp_lane *lane, uint64_t size, uint32_t count, struct sp_place *ret)
{
    int error = try_claim(producer, lane, size, count, ret);
    if (SP_LIKELY(error == 0))
        return 0;
    if (error == -EAGAIN) {
        producer->blocked = lane;
        producer->blocked_size = size;
        error = refused(producer, lane);
        if (error != -EAGAIN)
            return error;
        if (!sp_producer_rescue(producer, lane, false))
            return error;
        error = try_claim(producer, lane, size, count, ret);
    }
    if (error == -ESTALE) {
        lane->deleted = true;
        producer->quick = NULL;
        return sp_fail(error, "topic %s was deleted: open it anew", producer->topic->info.name);
    }
    return error;
}

static struct spate_claim fill(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record,
                               const struct sp_record_shape *shape, struct sp_place place, int64_t clock)
{
    uint8_t *at = lane->writer.data + (place.position & lane->writer.mask);
    int64_t timestamp = producer->timestamp == SPATE_TIMESTAMP_CALLER ? record->timestamp : clock;
    return (struct spate_claim){
        .value = sp_record_encode(at, record, shape, timestamp),
        .value_size = record->value_size,
        .partition = lane->partition,
        .offset = (int64_t)place.offset,
    };
}

static inline void open_claim(struct spate_producer *producer, struct sp_lane *lane, unsigned kind)
{
    producer->open = lane;
    producer->open_kind = kind;
    producer->quick = producer->learnt = NULL;
}

int sp_producer_claim_one(struct spate_producer *producer, const struct spate_record *record, bool null_value,
                          struct spate_claim *ret)
{
    struct sp_record_shape shape;
    struct sp_place place;
    int error;

    struct sp_lane *lane = sp_producer_begin(producer, record, &error);
    if (SP_UNLIKELY(!lane))
        return error;
    error = sp_record_plan(record, producer->timestamp != SPATE_TIMESTAMP_NONE, null_value, producer->unit, producer->payload_max,
                           &shape);
    if (SP_UNLIKELY(error))
        return error;
    error = claim(producer, lane, shape.size, 1, &place);
    if (SP_UNLIKELY(error))
        return error;
    open_claim(producer, lane, SP_OPEN_ONE);
    producer->sticky_bytes += (uint32_t)sp_min(shape.size, SP_STICKY_SIZE);
    *ret = fill(producer, lane, record, &shape, place, sp_producer_clock(producer, lane));
    return 0;
}

/* Plans all records; the sizes stay for the commit. Returns the sum, or -errno. */
static int64_t plan_batch(struct spate_producer *producer, const struct spate_record *records, uint32_t count, bool values)
{
    uint64_t total = 0;

    if (!producer->sizes) {
        producer->sizes = calloc(SPATE_BATCH_MAX, sizeof *producer->sizes);
        if (!producer->sizes)
            return sp_fail(-ENOMEM, "no memory for a batch");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sp_record_shape shape;
        int error = sp_record_plan(&records[i], producer->timestamp != SPATE_TIMESTAMP_NONE, values && !records[i].value,
                                   producer->unit, producer->payload_max, &shape);
        if (error)
            return error;
        producer->sizes[i] = (uint32_t)shape.size;
        total += shape.size;
    }
    if (total > sp_ring_record_size_max(producer->topic->info.ring_capacity))
        return sp_fail(-EMSGSIZE, "batch of %llu bytes with headers and padding; this partition takes %llu at once: split it",
                       (unsigned long long)total, (unsigned long long)producer->payload_max);
    return (int64_t)total;
}

int sp_producer_claim_batch(struct spate_producer *producer, const struct spate_record *records, uint32_t count,
                            struct spate_claim *ret_claims, int64_t *ret_offset)
{
    const bool values = ret_claims == NULL;
    struct sp_place place;
    int error;

    if (count < 1 || count > SPATE_BATCH_MAX)
        return sp_fail(-EINVAL, "batch of %u records, allowed are 1..%d", count, SPATE_BATCH_MAX);
    struct sp_lane *lane = sp_producer_begin(producer, records, &error);
    if (!lane)
        return error;
    int64_t total = plan_batch(producer, records, count, values);
    if (total < 0)
        return (int)total;
    error = claim(producer, lane, (uint64_t)total, count, &place);
    if (error)
        return error;
    open_claim(producer, lane, SP_OPEN_BATCH);
    if (ret_offset)
        *ret_offset = (int64_t)place.offset;
    producer->sticky_bytes += (uint32_t)sp_min((uint64_t)total, SP_STICKY_SIZE);
    const int64_t clock = sp_producer_clock(producer, lane); /* one reading for the batch */
    for (uint32_t i = 0; i < count; i++) {
        struct sp_record_shape shape;
        /* cannot fail: it did not fail above, on the same private input */
        (void)sp_record_plan(&records[i], producer->timestamp != SPATE_TIMESTAMP_NONE, values && !records[i].value, producer->unit,
                             producer->payload_max, &shape);
        struct spate_claim one = fill(producer, lane, &records[i], &shape, place, clock);
        if (values && records[i].value)
            sp_copy_words(one.value, records[i].value, one.value_size);
        if (ret_claims)
            ret_claims[i] = one;
        place.position += producer->sizes[i];
        place.offset++;
    }
    return 0;
}

int spate_claim_batch(spate_producer *producer, const struct spate_record *records, uint32_t count, struct spate_claim *ret_claims)
{
    if (!ret_claims)
        return sp_fail(-EINVAL, "ret_claims is NULL");
    return sp_producer_claim_batch(producer, records, count, ret_claims, NULL);
}

int __attribute__((noinline)) sp_producer_on_notice(struct spate_producer *producer, struct sp_lane *lane)
{
    struct sp_ring *ring = &lane->attachment->ring;

    sp_wake_sleepers(producer->topic->bus, ring, &lane->writer.slot->counters[SP_PRODUCER_WAKES]);
    if (atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE) { /* E11 owner */
        lane->deleted = true;
        producer->quick = NULL;
    }
    return 0;
}

/* Nobody else has claimed for a while: claim without atomics from now on. */
static void __attribute__((noinline)) ask_for_bias(struct spate_producer *producer, struct sp_writer *writer)
{
    writer->alone = 0;
    if (writer->guard || !producer->topic->bus->registry.membarrier || !sp_bias_ask(writer))
        return;
    if (sp_membarrier())
        (void)sp_bias_hold(writer);
    else
        sp_bias_withdraw(writer);
}

/* Every claim but a laid one; `producer` has forgotten it already. */
static int __attribute__((noinline)) commit_otherwise(struct spate_producer *producer, struct sp_lane *lane)
{
    const uint32_t noticed = producer->open_kind == SP_OPEN_BATCH ? sp_writer_commit_batch(&lane->writer, producer->sizes)
                                                                  : sp_writer_commit(&lane->writer);
    if (SP_UNLIKELY(noticed))
        sp_producer_on_notice(producer, lane);
    if (SP_UNLIKELY(lane->writer.alone >= lane->writer.alone_enough))
        ask_for_bias(producer, &lane->writer);
    return 0;
}

static int __attribute__((noinline)) nothing_to_commit(const struct spate_producer *producer)
{
    if (!producer || producer->magic != SP_PRODUCER_HANDLE)
        return sp_handle_error(producer, "producer");
    return sp_fail(-ENOENT, "there is no open claim to commit");
}

int spate_commit(spate_producer *producer)
{
    struct sp_lane *lane = SP_LIKELY(producer && producer->magic == SP_PRODUCER_HANDLE) ? producer->open : NULL;

    if (SP_UNLIKELY(!lane))
        return nothing_to_commit(producer);
    producer->open = NULL;
    producer->quick = producer->learnt;
    if (producer->open_kind != SP_OPEN_LAID)
        return commit_otherwise(producer, lane);
    sp_writer_stamp(&lane->writer);
    return sp_producer_notice(producer, lane);
}

int spate_abort(spate_producer *producer)
{
    if (!producer || producer->magic != SP_PRODUCER_HANDLE)
        return sp_handle_error(producer, "producer");
    struct sp_lane *lane = producer->open;
    if (!lane)
        return sp_fail(-ENOENT, "there is no open claim to abort");
    producer->open = NULL;
    producer->quick = producer->learnt;
    if (sp_writer_abort(&lane->writer))
        sp_producer_on_notice(producer, lane);
    return 0;
}

static inline __attribute__((always_inline)) void hand_out(struct spate_producer *producer, struct sp_lane *lane,
                                                           const struct spate_record *record, const int64_t *timestamp,
                                                           unsigned kind, struct spate_claim *ret)
{
    *ret = (struct spate_claim){.value = sp_writer_body(sp_writer_at(&lane->writer), timestamp),
                                .value_size = record->value_size,
                                .partition = record->partition,
                                .offset = (int64_t)lane->writer.offset};
    open_claim(producer, lane, kind);
    producer->learnt = lane;
}

/* A claim of a bare record like the one before, by who owns. In exclusive mode it takes nothing but its header, for commit stamps it where
 * it lies. */
static inline __attribute__((always_inline)) bool lay(struct spate_producer *producer, struct sp_lane *lane,
                                                      const struct spate_record *record, struct spate_claim *ret)
{
    struct sp_writer *writer = &lane->writer;

    if (SP_UNLIKELY(writer->guard ? !sp_writer_claim_biased(writer) : !sp_writer_lay(writer)))
        return false;
    const int64_t timestamp = writer->has_timestamp ? sp_producer_timestamp(producer, lane, record) : 0;
    hand_out(producer, lane, record, writer->has_timestamp ? &timestamp : NULL, writer->guard ? SP_OPEN_ONE : SP_OPEN_LAID, ret);
    return true;
}

static int __attribute__((noinline))
claim_otherwise(struct spate_producer *producer, const struct spate_record *record, struct spate_claim *ret_claim)
{
    if (!ret_claim)
        return sp_fail(-EINVAL, "ret_claim is NULL");
    struct sp_lane *lane = sp_producer_find_quick(producer, record);
    if (lane && sp_writer_reserve(&lane->writer, lane->writer.stride) == 0 && lay(producer, lane, record, ret_claim))
        return 0;
    const int error = sp_producer_claim_one(producer, record, false, ret_claim);
    if (!error && sp_producer_learn(producer, producer->open, record))
        producer->learnt = producer->open;
    return error;
}

/* With the bias, or a timestamp: the same, but it calls others, which needs registers saved. */
static int __attribute__((noinline))
claim_alike(struct spate_producer *producer, const struct spate_record *record, struct spate_claim *ret_claim)
{
    return lay(producer, producer->quick, record, ret_claim) ? 0 : claim_otherwise(producer, record, ret_claim);
}

int spate_claim(spate_producer *producer, const struct spate_record *record, struct spate_claim *ret_claim)
{
    struct sp_lane *lane = SP_LIKELY(producer && record && ret_claim) ? producer->quick : NULL;

    if (SP_UNLIKELY(!lane || record->partition != lane->partition || record->value_size != lane->writer.value_size ||
                    !sp_record_is_bare(record)))
        return claim_otherwise(producer, record, ret_claim);
    if (lane->writer.guard || lane->writer.has_timestamp)
        return claim_alike(producer, record, ret_claim);
    if (SP_UNLIKELY(!sp_writer_lay(&lane->writer)))
        return claim_otherwise(producer, record, ret_claim);
    hand_out(producer, lane, record, NULL, SP_OPEN_LAID, ret_claim);
    return 0;
}
