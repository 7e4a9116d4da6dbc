/* producer.c: the public producer: which partition, which lane, claim, fill, commit.
 *
 * A producer has a *lane* per partition: a writer on that partition's ring, attached at first use. One thread per producer;
 * one open claim at a time. The hot path makes no system call (but the clock, which is a vDSO read); waiting and rescue are
 * in producer_wait.c. */
#include "bus/producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/copy.h"
#include "ring/bias.h"
#include "ring/record.h"
#include "shm/handle.h"
#include "shm/sleep.h"

#define LINE_SIZE 64u       /* the value size that has a path of its own */
#define NO_SHAPE UINT64_MAX /* partition -1: of no lane */
#define STICKY_SIZE \
    16384u /* bytes to one partition before records without key go to the next, as Kafka's sticky partitioner does by batch */

void spate_producer_options_init(struct spate_producer_options *options)
{
    *options = (struct spate_producer_options){.size = sizeof *options};
}

int spate_producer_open(spate_topic *topic, const struct spate_producer_options *given, spate_producer **ret_producer)
{
    struct spate_producer_options options;
    char name[32];

    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (!ret_producer)
        return sp_fail(-EINVAL, "ret_producer is NULL");
    spate_producer_options_init(&options);
    if (given) {
        if (given->size < offsetof(struct spate_producer_options, name) || given->size > sizeof options)
            return sp_fail(-EINVAL, "producer options of %zu bytes: set them up with spate_producer_options_init", given->size);
        memcpy(&options, given, given->size);
    }
    if (options.wait > SPATE_WAIT_BLOCK)
        return sp_fail(-EINVAL, "wait strategy %u: see enum spate_wait_strategy", options.wait);
    if (topic->bus->observe)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to produce");
    if (atomic_load_explicit(&topic->file->state, memory_order_acquire) != SP_STATE_LIVE) /* E11 owner */
        return sp_fail(-ESTALE, "topic %s was deleted: open it anew", topic->info.name);
    snprintf(name, sizeof name, "%u.ring", 0u);
    if (faccessat(topic->dir_fd, name, R_OK | W_OK, AT_EACCESS) < 0 && errno == EACCES)
        return sp_fail(-EACCES,
                       "no permission to produce to topic %s (its ring files have mode %o, owner %u:%u): see producer_mode",
                       topic->info.name, topic->info.ring_file_mode, topic->info.uid, topic->info.gid);
    struct spate_producer *producer = sp_handle_alloc(sizeof *producer);
    if (!producer)
        return -ENOMEM;
    producer->lanes = calloc(topic->info.partitions, sizeof *producer->lanes);
    if (!producer->lanes) {
        sp_handle_free(producer, sizeof *producer);
        return sp_fail(-ENOMEM, "no memory for %u lanes", topic->info.partitions);
    }
    producer->topic = topic;
    producer->partitions = topic->info.partitions;
    producer->payload_max = topic->info.value_size_max;
    producer->unit = topic->info.alignment;
    producer->timestamp = topic->info.timestamp;
    producer->wait = sp_wait_strategy(options.wait);
    snprintf(producer->name, sizeof producer->name, "%s", options.name ? options.name : topic->bus->name);
    (void)sp_random(&producer->sticky, sizeof producer->sticky); /* where it starts does not matter */
    producer->sticky %= producer->partitions;
    /* The only ring is mapped and its pages are touched now, which takes a millisecond that the first record should not wait for. What
     * fails here fails again, and is told, at the first claim. */
    struct sp_attachment *only;
    producer->holds_ring = producer->partitions == 1 && sp_attach(topic, 0, SP_ACCESS_PRODUCE, &only) == 0;
    sp_topic_keep(topic);
    producer->magic = SP_PRODUCER_HANDLE;
    *ret_producer = producer;
    return 0;
}

static int busy(struct spate_producer *producer, uint32_t partition, uint64_t owner)
{
    char who[64];
    sp_registry_describe(&producer->topic->bus->registry, owner, who, sizeof who);
    return sp_fail(-EBUSY,
                   "topic %s, partition %u is exclusive, and %s is its producer: wait until it is closed, or use another partition",
                   producer->topic->info.name, partition, who);
}

/* A free producer slot, under the ring lock, after the dead were repaired. Returns its index or -errno. */
static int find_slot(struct spate_producer *producer, uint32_t partition, struct sp_ring *ring)
{
    uint32_t slots = ring->mode == SPATE_MODE_EXCLUSIVE ? 1 : ring->producers_max;

    for (uint32_t i = 0; i < slots; i++)
        if (atomic_load_explicit(&ring->producers[i].owner, memory_order_acquire) == 0) /* E11 owner */
            return (int)i;
    if (ring->mode == SPATE_MODE_EXCLUSIVE)
        return busy(producer, partition, atomic_load_explicit(&ring->producers[0].owner, memory_order_acquire)); /* E11 owner */
    return sp_fail(
        -EUSERS, "topic %s, partition %u: all %u producer slots are taken: close some, or create the topic with more (producers=N)",
        producer->topic->info.name, partition, ring->producers_max);
}

static int take_slot(struct spate_producer *producer, uint32_t partition, struct sp_lane *lane)
{
    struct spate_bus *bus = producer->topic->bus;
    struct sp_ring *ring = &lane->attachment->ring;
    struct sp_repair_result repaired;
    struct sp_lock lock;

    int error = sp_ring_lock(producer->topic, partition, SP_RING_LOCK_TIMEOUT, &lock);
    if (error)
        return error;
    sp_ring_repair(ring, sp_bus_liveness(bus), &repaired);
    if (atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE) /* E11 owner */
        error = sp_fail(-ESTALE, "topic %s was deleted: open it anew", producer->topic->info.name);
    int slot = error ? error : find_slot(producer, partition, ring);
    if (slot >= 0) {
        struct sp_producer_slot *mine = &ring->producers[slot];
        memcpy(mine->name, producer->name, sizeof mine->name);
        atomic_store_explicit(&mine->claim, SP_PHASE_IDLE, memory_order_release);       /* E4 slot */
        atomic_store_explicit(&mine->owner, bus->registry.owner, memory_order_release); /* E11 owner */
        /* relaxed: written under the ring lock only */
        if (atomic_load_explicit(&ring->header->producers_used, memory_order_relaxed) <= (uint32_t)slot)
            atomic_store_explicit(&ring->header->producers_used, (uint32_t)slot + 1, memory_order_release); /* E11 owner */
        sp_writer_init(&lane->writer, ring, (uint32_t)slot);
        lane->writer.fence_on_commit = !bus->registry.membarrier;
        if (!bus->registry.membarrier)
            sp_bias_forbid(ring);
    }
    sp_ring_unlock(&lock);
    return slot < 0 ? slot : 0;
}

static int attach_lane(struct spate_producer *producer, uint32_t partition)
{
    struct sp_lane *lane = &producer->lanes[partition];

    int error = sp_attach(producer->topic, partition, SP_ACCESS_PRODUCE, &lane->attachment);
    if (error)
        return error;
    error = take_slot(producer, partition, lane);
    if (error) {
        sp_detach(producer->topic, partition, SP_ACCESS_PRODUCE);
        lane->attachment = NULL;
    }
    return error;
}

void spate_producer_close(spate_producer *producer)
{
    if (!producer || producer->magic != SP_PRODUCER_HANDLE)
        return;
    if (producer->open)
        (void)spate_abort(producer);
    for (uint32_t i = 0; i < producer->partitions; i++) {
        struct sp_lane *lane = &producer->lanes[i];
        if (!lane->attachment)
            continue;
        sp_writer_close(&lane->writer);
        /* E11 owner: one store, the slot is idle; needs no lock, since only a free slot may change hands */
        atomic_store_explicit(&lane->writer.slot->owner, 0, memory_order_release);
        sp_detach(producer->topic, i, SP_ACCESS_PRODUCE);
    }
    if (producer->holds_ring)
        sp_detach(producer->topic, 0, SP_ACCESS_PRODUCE);
    sp_topic_drop(producer->topic);
    free(producer->lanes);
    free(producer->sizes);
    producer->magic = UINT64_MAX;
    sp_handle_free(producer, sizeof *producer);
}

uint64_t spate_producer_max_size(const spate_producer *producer)
{
    return producer && producer->magic == SP_PRODUCER_HANDLE ? producer->payload_max : 0;
}

/* The partition a record belongs to, or -ERANGE. */
static int64_t choose_partition(struct spate_producer *producer, const struct spate_record *record)
{
    if (record->partition == SPATE_ANY) {
        if (record->key)
            return spate_partition_of(record->key, record->key_size, producer->partitions);
        if (producer->sticky_bytes >= STICKY_SIZE) {
            producer->sticky_bytes = 0;
            producer->sticky = (producer->sticky + 1) % producer->partitions;
        }
        return producer->sticky;
    }
    if (record->partition < 0 || (uint32_t)record->partition >= producer->partitions)
        return sp_fail(-ERANGE, "partition %d: topic %s has 0..%u", record->partition, producer->topic->info.name,
                       producer->partitions - 1);
    return record->partition;
}

/* What the library stamps on records that are claimed now. */
static int64_t clock_of(struct spate_producer *producer, struct sp_lane *lane)
{
    if (producer->timestamp != SPATE_TIMESTAMP_CLOCK)
        return 0;
    int64_t now = sp_clock_realtime();
    if (SP_UNLIKELY(now < producer->last_timestamp)) {
        /* the clock was set back: a producer's timestamps never decrease */
        sp_count(&lane->writer.slot->counters[SP_PRODUCER_CLOCK_BACKWARDS], 1);
        return producer->last_timestamp;
    }
    producer->last_timestamp = now;
    return now;
}

/* Checks common to all publishing calls; finds the lane. NULL: *ret_error says why. */
static struct sp_lane *begin(struct spate_producer *producer, const struct spate_record *record, int *ret_error)
{
    *ret_error = 0;
    if (SP_UNLIKELY(!producer || producer->magic != SP_PRODUCER_HANDLE))
        *ret_error = sp_handle_error(producer, "producer");
    else if (SP_UNLIKELY(!record))
        *ret_error = sp_fail(-EINVAL, "the record is NULL");
    else if (SP_UNLIKELY(producer->open != NULL))
        *ret_error = sp_fail(-EBUSY, "this producer has an open claim: commit or abort it first");
    if (SP_UNLIKELY(*ret_error))
        return NULL;
    int64_t partition = choose_partition(producer, record);
    if (SP_UNLIKELY(partition < 0)) {
        *ret_error = (int)partition;
        return NULL;
    }
    struct sp_lane *lane = &producer->lanes[partition];
    if (SP_UNLIKELY(!lane->attachment)) {
        *ret_error = attach_lane(producer, (uint32_t)partition);
        if (*ret_error)
            return NULL;
        lane->partition = (int32_t)partition;
    }
    if (SP_UNLIKELY(lane->deleted)) {
        *ret_error = sp_fail(-ESTALE, "topic %s was deleted: open it anew", producer->topic->info.name);
        return NULL;
    }
    return lane;
}

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

/* Claim on the lane; a full ring is looked into now and then, so that callers who only ever try get rid of the dead too. */
static int claim(struct spate_producer *producer, struct sp_lane *lane, uint64_t size, uint32_t count, struct sp_place *ret)
{
    int error = try_claim(producer, lane, size, count, ret);
    if (SP_LIKELY(error == 0))
        return 0;
    if (error == -EAGAIN) {
        producer->blocked = lane;
        producer->blocked_size = size;
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

/* null_value: publish of a record without value; a claim always has one. */
static int claim_one(struct spate_producer *producer, const struct spate_record *record, bool null_value, struct spate_claim *ret)
{
    struct sp_record_shape shape;
    struct sp_place place;
    int error;

    struct sp_lane *lane = begin(producer, record, &error);
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
    producer->sticky_bytes += (uint32_t)sp_min(shape.size, STICKY_SIZE);
    *ret = fill(producer, lane, record, &shape, place, clock_of(producer, lane));
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

/* ret_claims NULL: publishing, so values are copied, and records without one are tombstones. */
static int claim_batch(struct spate_producer *producer, const struct spate_record *records, uint32_t count,
                       struct spate_claim *ret_claims, int64_t *ret_offset)
{
    const bool values = ret_claims == NULL;
    struct sp_place place;
    int error;

    if (count < 1 || count > SPATE_BATCH_MAX)
        return sp_fail(-EINVAL, "batch of %u records, allowed are 1..%d", count, SPATE_BATCH_MAX);
    struct sp_lane *lane = begin(producer, records, &error);
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
    producer->sticky_bytes += (uint32_t)sp_min((uint64_t)total, STICKY_SIZE);
    const int64_t clock = clock_of(producer, lane); /* one reading for the batch */
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
    return claim_batch(producer, records, count, ret_claims, NULL);
}

/* Somebody sleeps, or the topic was deleted. Returns 0, so that the fast path can end with it. */
static int __attribute__((noinline)) on_notice(struct spate_producer *producer, struct sp_lane *lane)
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

/* After records were appended: wake who sleeps. Returns 0. */
static inline int notice(struct spate_producer *producer, struct sp_lane *lane)
{
    /* relaxed: E7, the sleeper's membarrier orders this load behind the stamps */
    if (SP_LIKELY(!(atomic_load_explicit(lane->writer.notice, memory_order_relaxed) & SP_NOTICE)))
        return 0;
    return on_notice(producer, lane);
}

/* Every claim but a laid one; `producer` has forgotten it already. */
static int __attribute__((noinline)) commit_otherwise(struct spate_producer *producer, struct sp_lane *lane)
{
    const uint32_t noticed = producer->open_kind == SP_OPEN_BATCH ? sp_writer_commit_batch(&lane->writer, producer->sizes)
                                                                  : sp_writer_commit(&lane->writer);
    if (SP_UNLIKELY(noticed))
        on_notice(producer, lane);
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
    return notice(producer, lane);
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
        on_notice(producer, lane);
    return 0;
}

/* sp_writer_append knows plain records only, sp_writer_lay bare ones. */
static inline bool is_bare(const struct spate_record *record)
{
    uint64_t counts;
    static_assert(offsetof(struct spate_record, headers_count) == offsetof(struct spate_record, key_size) + 4, "one word");
    memcpy(&counts, &record->key_size, sizeof counts); /* of key and headers */
    return !record->key && counts == 0;
}

static inline bool is_plain(const struct spate_record *record)
{
    return record->value && is_bare(record);
}

/* What is published next will be like this bare record, most likely. Returns whether it might take a fast path then. */
static bool learn(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record)
{
    const bool has_timestamp = producer->timestamp != SPATE_TIMESTAMP_NONE;

    if (!sp_writer_owns(&lane->writer) || lane->writer.fence_on_commit || lane->deleted || !is_bare(record))
        return false;
    sp_writer_learn(&lane->writer, record->value_size, has_timestamp);
    const struct spate_record line = {.partition = lane->partition, .value_size = LINE_SIZE};
    lane->line_shape = record->value_size == LINE_SIZE && !has_timestamp ? sp_record_head(&line) : NO_SHAPE;
    return true;
}

/* After an attempt that failed: 0 when it is worth another, which has to be made before the deadline too. */
static int wait_for_room(struct spate_producer *producer, int error, int64_t timeout, int64_t *deadline)
{
    if (error != -EAGAIN || timeout == 0)
        return error;
    if (*deadline < 0)
        *deadline = sp_deadline(timeout);
    else if (sp_clock_monotonic() >= *deadline)
        return -ETIMEDOUT; /* there seems to be room, and yet it is not to be had */
    return sp_producer_wait_until(producer, *deadline);
}

static int __attribute__((noinline))
publish_slowly(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct spate_claim claimed = {0};
    int64_t deadline = -1;
    int error;

    while (SP_UNLIKELY((error = claim_one(producer, record, record && !record->value, &claimed)) != 0)) {
        error = wait_for_room(producer, error, timeout, &deadline);
        if (error)
            return error;
    }
    struct sp_lane *lane = producer->open;
    if (claimed.value_size)
        sp_copy_words(claimed.value, record->value, claimed.value_size);
    if (ret_offset)
        *ret_offset = claimed.offset;
    (void)spate_commit(producer);
    if (record->value && learn(producer, lane, record))
        producer->quick = lane;
    return 0;
}

/* The lane of a bare record, when it may be appended to: any lane that has learnt, not only the latest. NULL: the slow way. */
static struct sp_lane *find_quick(struct spate_producer *producer, const struct spate_record *record)
{
    if (!producer || !record || !producer->quick || (uint32_t)record->partition >= producer->partitions || !is_bare(record))
        return NULL;
    struct sp_lane *lane = &producer->lanes[record->partition];
    bool is_alike = lane->writer.word != 0 && record->value_size == lane->writer.value_size;
    return is_alike && !lane->deleted && sp_writer_owns(&lane->writer) ? lane : NULL;
}

static int64_t timestamp_of(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record)
{
    return producer->timestamp == SPATE_TIMESTAMP_CALLER ? record->timestamp : clock_of(producer, lane);
}

static bool append(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record)
{
    if (!lane->writer.has_timestamp)
        return sp_writer_append(&lane->writer, NULL, record->value, record->value_size, sp_copy_words);
    const int64_t timestamp = timestamp_of(producer, lane, record);
    return sp_writer_append(&lane->writer, &timestamp, record->value, record->value_size, sp_copy_words);
}

/* Everything that spate_publish does not do itself: timestamps, values of other sizes, another partition than the latest, and the end of
 * what may be written without a look. */
static int __attribute__((noinline))
publish_otherwise(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
{
    struct sp_lane *lane = find_quick(producer, record);

    const bool is_due = lane && lane->writer.offset >= lane->writer.offset_end;
    if (!lane || !record->value || (is_due && sp_writer_reserve(&lane->writer, lane->writer.stride) != 0) ||
        !append(producer, lane, record))
        return publish_slowly(producer, record, timeout, ret_offset);
    producer->quick = lane;
    if (ret_offset)
        *ret_offset = (int64_t)lane->writer.offset - 1;
    return notice(producer, lane);
}

/* Records of the shape learnt. What the writer counts is written once, at the end.
 *   size, is_stamped  constants, so that there is a loop for each
 *   clock             the one reading for all of them */
static inline __attribute__((always_inline)) void put_all(struct spate_producer *producer, struct sp_writer *writer,
                                                          const struct spate_record *records, uint32_t count, uint32_t size,
                                                          bool is_stamped, int64_t clock,
                                                          void (*copy)(void *to, const void *from, size_t size))
{
    const uint64_t word = writer->word, stride = writer->stride;
    uint64_t stamp = sp_stamp(writer->offset, writer->salt);
    uint8_t *at = sp_writer_at(writer);

    for (uint32_t i = 0; i < count; i++) {
        const int64_t timestamp = producer->timestamp == SPATE_TIMESTAMP_CALLER ? records[i].timestamp : clock;
        sp_writer_fetch_ahead(at, size);
        sp_writer_put(at, word, stamp, is_stamped ? &timestamp : NULL, records[i].value, size, copy);
        at += stride;
        stamp += SP_STAMP_STEP;
    }
    writer->offset += count;
}

/* A batch of plain records of one size, on the fast path. Returns false, with nothing done, when it is none or has no room. */
static inline __attribute__((always_inline)) bool append_batch(struct spate_producer *producer, struct sp_lane *lane,
                                                               const struct spate_record *records, uint32_t count,
                                                               void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_writer *writer = &lane->writer;
    const uint32_t size = writer->value_size;

    for (uint32_t i = 0; i < count; i++)
        if (!is_plain(&records[i]) || records[i].value_size != size)
            return false;
    if (count * writer->stride > writer->ring->record_size_max || sp_writer_reserve(writer, count * writer->stride) != 0 ||
        !sp_writer_enter(writer))
        return false;
    if (lane->line_shape != NO_SHAPE)
        put_all(producer, writer, records, count, LINE_SIZE, false, 0, copy_line);
    else if (writer->has_timestamp)
        put_all(producer, writer, records, count, size, true, clock_of(producer, lane), sp_copy_words);
    else
        put_all(producer, writer, records, count, size, false, 0, sp_copy_words);
    sp_writer_leave(writer);
    return true;
}

static int __attribute__((noinline)) publish_batch_slowly(spate_producer *producer, const struct spate_record *records,
                                                          uint32_t count, int64_t timeout, int64_t *ret_offset)
{
    int64_t deadline = -1;
    int error;

    while ((error = claim_batch(producer, records, count, NULL, ret_offset)) != 0) {
        error = wait_for_room(producer, error, timeout, &deadline);
        if (error)
            return error;
    }
    struct sp_lane *lane = producer->open;
    (void)spate_commit(producer);
    if (records[0].value && learn(producer, lane, &records[0]))
        producer->quick = lane;
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
    const int64_t timestamp = writer->has_timestamp ? timestamp_of(producer, lane, record) : 0;
    hand_out(producer, lane, record, writer->has_timestamp ? &timestamp : NULL, writer->guard ? SP_OPEN_ONE : SP_OPEN_LAID, ret);
    return true;
}

static int __attribute__((noinline))
claim_otherwise(struct spate_producer *producer, const struct spate_record *record, struct spate_claim *ret_claim)
{
    if (!ret_claim)
        return sp_fail(-EINVAL, "ret_claim is NULL");
    struct sp_lane *lane = find_quick(producer, record);
    if (lane && sp_writer_reserve(&lane->writer, lane->writer.stride) == 0 && lay(producer, lane, record, ret_claim))
        return 0;
    const int error = claim_one(producer, record, false, ret_claim);
    if (!error && learn(producer, producer->open, record))
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
                    !is_bare(record)))
        return claim_otherwise(producer, record, ret_claim);
    if (lane->writer.guard || lane->writer.has_timestamp)
        return claim_alike(producer, record, ret_claim);
    if (SP_UNLIKELY(!sp_writer_lay(&lane->writer)))
        return claim_otherwise(producer, record, ret_claim);
    hand_out(producer, lane, record, NULL, SP_OPEN_LAID, ret_claim);
    return 0;
}

/* The two fast paths. With size and copy as constants the first is one straight line: no call, no loop, no saved register. */
static inline __attribute__((always_inline)) int publish_one(spate_producer *producer, const struct spate_record *record,
                                                             int64_t timeout, int64_t *ret_offset,
                                                             void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_lane *lane = SP_LIKELY(producer && record) ? producer->quick : NULL;

    if (SP_UNLIKELY(!lane || sp_record_head(record) != lane->line_shape || !is_plain(record) ||
                    !sp_writer_append(&lane->writer, NULL, record->value, LINE_SIZE, copy_line)))
        return publish_otherwise(producer, record, timeout, ret_offset);
    if (ret_offset)
        *ret_offset = (int64_t)lane->writer.offset - 1;
    return notice(producer, lane);
}

static inline __attribute__((always_inline)) int publish_many(spate_producer *producer, const struct spate_record *records,
                                                              uint32_t count, int64_t timeout, int64_t *ret_offset,
                                                              void (*copy_line)(void *to, const void *from, size_t size))
{
    struct sp_lane *lane = SP_LIKELY(count - 1 < SPATE_BATCH_MAX) ? find_quick(producer, records) : NULL;

    if (SP_UNLIKELY(!lane || !append_batch(producer, lane, records, count, copy_line)))
        return publish_batch_slowly(producer, records, count, timeout, ret_offset);
    if (ret_offset)
        *ret_offset = (int64_t)(lane->writer.offset - count);
    return notice(producer, lane);
}

/* Both for one width of stores. */
#define PUBLISH(linkage, one, many, width, target)                                                                            \
    SP_COPY_LINE(one##_copy, width, target)                                                                                   \
    target linkage int one(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset) \
    {                                                                                                                         \
        return publish_one(producer, record, timeout, ret_offset, one##_copy);                                                \
    }                                                                                                                         \
    target linkage int many(spate_producer *producer, const struct spate_record *records, uint32_t count, int64_t timeout,    \
                            int64_t *ret_offset)                                                                              \
    {                                                                                                                         \
        return publish_many(producer, records, count, timeout, ret_offset, one##_copy);                                       \
    }

#if defined(__x86_64__) && defined(__GLIBC__) && !SP_SANITIZED
PUBLISH(static, publish_16, publish_batch_16, 16, )
PUBLISH(static, publish_32, publish_batch_32, 32, __attribute__((target("avx2"))))
PUBLISH(static, publish_64, publish_batch_64, 64, __attribute__((target("avx512f"))))

/* Called by the dynamic linker, before anything else of this library. */
static int width(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
}

static __attribute__((used)) __typeof__(spate_publish) *choose_publish(void)
{
    return width() == 64 ? publish_64 : width() == 32 ? publish_32 : publish_16;
}

static __attribute__((used)) __typeof__(spate_publish_batch) *choose_publish_batch(void)
{
    return width() == 64 ? publish_batch_64 : width() == 32 ? publish_batch_32 : publish_batch_16;
}

int spate_publish(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset)
    __attribute__((ifunc("choose_publish")));
int spate_publish_batch(spate_producer *producer, const struct spate_record *records, uint32_t count, int64_t timeout,
                        int64_t *ret_offset) __attribute__((ifunc("choose_publish_batch")));
#else
PUBLISH(, spate_publish, spate_publish_batch, 16, )
#endif
