/* producer.c: the public producer's beginning and end, and its lanes: which partition, whose slot, what they have learnt.
 *
 * Publishing is in producer_claim.c and producer_publish.c, waiting in producer_wait.c; producer.h says how they go together. */
#include "bus/producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"
#include "ring/bias.h"
#include "shm/handle.h"

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
        if (producer->sticky_bytes >= SP_STICKY_SIZE) {
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

int64_t sp_producer_clock(struct spate_producer *producer, struct sp_lane *lane)
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

struct sp_lane *sp_producer_begin(struct spate_producer *producer, const struct spate_record *record, int *ret_error)
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

bool sp_producer_learn(struct spate_producer *producer, struct sp_lane *lane, const struct spate_record *record)
{
    const bool has_timestamp = producer->timestamp != SPATE_TIMESTAMP_NONE;

    if (!sp_writer_owns(&lane->writer) || lane->writer.fence_on_commit || lane->deleted || !sp_record_is_bare(record))
        return false;
    sp_writer_learn(&lane->writer, record->value_size, has_timestamp);
    const struct spate_record alike = {.partition = lane->partition, .value_size = record->value_size};
    lane->shape = sp_record_head(&alike);
    lane->line_shape = record->value_size == SP_LINE_VALUE && !has_timestamp ? lane->shape : SP_NO_SHAPE;
    return true;
}

struct sp_lane *sp_producer_find_quick(struct spate_producer *producer, const struct spate_record *record)
{
    if (!producer || !record || !producer->quick || (uint32_t)record->partition >= producer->partitions ||
        !sp_record_is_bare(record))
        return NULL;
    struct sp_lane *lane = &producer->lanes[record->partition];
    bool is_alike = lane->writer.word != 0 && record->value_size == lane->writer.value_size;
    return is_alike && !lane->deleted && sp_writer_owns(&lane->writer) ? lane : NULL;
}
