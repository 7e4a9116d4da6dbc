/* watermark.c: waiting for the log: until a record is written or durable; asking for records to be deleted.
 *
 * Whoever waits says what for, wakes the daemon, looks again, and sleeps on a word that the daemon counts up (E16). It looks up every few
 * milliseconds all the same, for a daemon that died. Runs in the caller's thread. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "bus/producer.h"
#include "ring/extent.h"
#include "shm/handle.h"
#include "shm/sleep.h"

#define SLICE (8 * SP_NS_PER_MS)

/* One wait: until `is_reached`, or the log failed. */
struct waiting {
    struct spate_topic *topic;
    struct sp_ring *ring;
    uint64_t offset; /* that the word has to come to */
    bool (*is_reached)(const struct sp_ring *ring, uint64_t offset);
    void (*ask)(struct sp_ring *ring, uint64_t offset);
    uint32_t bits; /* of the sleep: SP_SLEEP_ */
};

static bool is_written(const struct sp_ring *ring, uint64_t offset)
{
    return sp_log_offset(ring, SP_LOG_WRITTEN) >= offset;
}

static bool is_durable(const struct sp_ring *ring, uint64_t offset)
{
    return sp_log_offset(ring, SP_LOG_DURABLE) >= offset;
}

static bool is_deleted(const struct sp_ring *ring, uint64_t offset)
{
    return sp_log_start(ring) >= offset;
}

static void want_written(struct sp_ring *ring, uint64_t offset)
{
    sp_log_want(ring, SP_LOG_WRITTEN, offset);
}

static void want_durable(struct sp_ring *ring, uint64_t offset)
{
    sp_log_want(ring, SP_LOG_DURABLE, offset);
}

/* The log begins at a place that is durable. */
static void want_deleted(struct sp_ring *ring, uint64_t offset)
{
    sp_log_want(ring, SP_LOG_DURABLE, offset);
    sp_log_want_start(ring, offset);
}

static bool has_daemon(const struct waiting *waiting)
{
    const uint64_t owner = atomic_load_explicit(&waiting->ring->header->log.owner, memory_order_acquire); /* E11 owner */
    return owner != 0 && sp_registry_alive(&waiting->topic->bus->registry, owner);
}

static int check_log(const struct waiting *waiting)
{
    int error;

    if (atomic_load_explicit(&waiting->ring->header->state, memory_order_acquire) != SP_STATE_LIVE) /* E11 owner */
        return sp_fail(-ESTALE, "topic %s was deleted: open it anew", waiting->topic->info.name);
    if (sp_log_state(waiting->ring, &error) == SP_LOG_FAILED && has_daemon(waiting))
        return sp_fail(-EIO, "the log of topic %s failed (%s): see spated's messages, mend the disk and start it anew",
                       waiting->topic->info.name, strerror(error));
    return 0;
}

static int timed_out(const struct waiting *waiting, int error)
{
    if (!has_daemon(waiting))
        return sp_fail(error, "the log of topic %s is not written: no spated runs on %s", waiting->topic->info.name,
                       waiting->topic->bus->registry.path);
    return sp_fail(error, "the log of topic %s has not come that far in time: `spate stat` shows how far spated is",
                   waiting->topic->info.name);
}

static int wait_for(const struct waiting *waiting, int64_t timeout)
{
    struct sp_ring *ring = waiting->ring;
    struct sp_log_words *log = &ring->header->log;
    const int64_t deadline = sp_deadline(timeout);

    if (waiting->is_reached(ring, waiting->offset))
        return 0;
    waiting->ask(ring, waiting->offset);
    for (bool is_first = true;; is_first = false) {
        const uint32_t sequence = atomic_load_explicit(&log->sequence, memory_order_acquire); /* E16 watermark */
        sp_notice_raise(&ring->header->wanted.notice);
        atomic_thread_fence(
            memory_order_seq_cst); /* E16 watermark: what is wanted is said before the daemon's sleep is looked at */
        if (is_first && atomic_load_explicit(&log->asleep, memory_order_acquire) != SP_LOG_AWAKE) /* E7 sleep */
            sp_wake_log(waiting->topic->bus, ring);
        if (waiting->is_reached(ring, waiting->offset))
            return 0;
        int error = check_log(waiting);
        if (error)
            return error;
        const int64_t left = deadline - sp_clock_monotonic();
        if (timeout == 0 || left <= 0)
            return timed_out(waiting, timeout == 0 ? -EAGAIN : -ETIMEDOUT);
        if (sp_futex_wait_for(&log->sequence, sequence, left < SLICE ? left : SLICE, waiting->bits) == -EINTR)
            return -EINTR;
    }
}

static int wait_for_lane(struct spate_producer *producer, uint32_t partition, int64_t offset, uint32_t watermark, int64_t timeout)
{
    const struct sp_lane *lane = &producer->lanes[partition];

    if (!lane->attachment)
        return sp_fail(-ERANGE, "this producer has published nothing to partition %u of topic %s", partition,
                       producer->topic->info.name);
    struct sp_ring *ring = &lane->attachment->ring;
    const uint64_t end = sp_ring_tail(ring).offset;
    /* What is wanted stays wanted, so it has to be there. A tail that was overtaken by a ring while it was looked at is behind `written` */
    if ((uint64_t)offset >= end && (uint64_t)offset >= sp_log_offset(ring, SP_LOG_WRITTEN))
        return sp_fail(-ERANGE, "offset %lld of topic %s, partition %u: nobody has published it, the next one is %llu",
                       (long long)offset, producer->topic->info.name, partition, (unsigned long long)end);
    const struct waiting waiting = {
        .topic = producer->topic,
        .ring = ring,
        .offset = (uint64_t)offset + 1,
        .is_reached = watermark == SPATE_WATERMARK_WRITTEN ? is_written : is_durable,
        .ask = watermark == SPATE_WATERMARK_WRITTEN ? want_written : want_durable,
        .bits = watermark == SPATE_WATERMARK_WRITTEN ? SP_SLEEP_WRITTEN : SP_SLEEP_DURABLE,
    };
    return wait_for(&waiting, timeout);
}

int spate_wait(spate_producer *producer, int32_t partition, int64_t offset, uint32_t watermark, int64_t timeout)
{
    if (!producer || producer->magic != SP_PRODUCER_HANDLE)
        return sp_handle_error(producer, "producer");
    if (watermark > SPATE_WATERMARK_REPLICATED || offset < 0)
        return sp_fail(-EINVAL, "watermark %u or offset %lld is out of range: see enum spate_watermark", watermark,
                       (long long)offset);
    if (partition != SPATE_ANY && (partition < 0 || (uint32_t)partition >= producer->partitions))
        return sp_fail(-ERANGE, "partition %d: topic %s has 0..%u", partition, producer->topic->info.name,
                       producer->partitions - 1);
    if (watermark == SPATE_WATERMARK_RING)
        return 0; /* publishing returned */
    if (!producer->topic->info.durable || watermark == SPATE_WATERMARK_REPLICATED)
        return sp_fail(-ENOTSUP, "topic %s is not %s: nobody would ever come to that watermark", producer->topic->info.name,
                       producer->topic->info.durable ? "replicated" : "durable");
    if (partition != SPATE_ANY)
        return wait_for_lane(producer, (uint32_t)partition, offset, watermark, timeout);
    const int64_t deadline = sp_deadline(timeout);
    for (uint32_t i = 0; i < producer->partitions; i++) {
        const struct sp_lane *lane = &producer->lanes[i];
        const int64_t end = lane->attachment ? (int64_t)sp_ring_tail(&lane->attachment->ring).offset : 0;
        const int64_t left = timeout <= 0 ? timeout : deadline - sp_clock_monotonic();
        const int error = end == 0 ? 0 : wait_for_lane(producer, i, end - 1, watermark, left < 0 && timeout > 0 ? 0 : left);
        if (error)
            return error == -EAGAIN && timeout > 0 ? -ETIMEDOUT : error;
    }
    return 0;
}

static int attach_for(struct spate_topic *topic, int32_t partition, enum sp_access access, struct sp_attachment **ret)
{
    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (partition < 0 || (uint32_t)partition >= topic->info.partitions)
        return sp_fail(-ERANGE, "partition %d: topic %s has 0..%u", partition, topic->info.name, topic->info.partitions - 1);
    return sp_attach(topic, (uint32_t)partition, access, ret);
}

int spate_topic_watermarks(spate_topic *topic, int32_t partition, struct spate_watermarks *ret)
{
    struct sp_attachment *attachment;
    int state_error;

    if (!ret)
        return sp_fail(-EINVAL, "ret is NULL");
    int error = attach_for(topic, partition, SP_ACCESS_OBSERVE, &attachment);
    if (error)
        return error;
    const struct sp_ring *ring = &attachment->ring;
    const enum sp_log_state state = sp_log_state(ring, &state_error);
    *ret = (struct spate_watermarks){
        .written = (int64_t)sp_log_offset(ring, SP_LOG_WRITTEN),
        .durable = (int64_t)sp_log_offset(ring, SP_LOG_DURABLE),
        .replicated = (int64_t)sp_log_offset(ring, SP_LOG_REPLICATED),
        .start = (int64_t)sp_log_start(ring),
        .state = (uint32_t)state,
        .error = state == SP_LOG_IDLE ? 0 : state_error,
    };
    ret->published = (int64_t)sp_ring_published(ring).offset;
    sp_detach(topic, (uint32_t)partition, SP_ACCESS_OBSERVE);
    return 0;
}

int spate_delete_records(spate_topic *topic, int32_t partition, int64_t offset, int64_t timeout)
{
    struct sp_attachment *attachment;

    if (topic && topic->magic == SP_TOPIC_HANDLE && !topic->info.durable)
        return sp_fail(-ENOTSUP, "topic %s is not durable: its records go when the ring comes round", topic->info.name);
    int error = attach_for(topic, partition, SP_ACCESS_PRODUCE, &attachment);
    if (error)
        return error;
    const uint64_t end = sp_ring_published(&attachment->ring).offset;
    if (offset < -1 || (offset >= 0 && (uint64_t)offset > end)) {
        error = sp_fail(-ERANGE, "offset %lld of topic %s, partition %d: records up to %llu are published", (long long)offset,
                        topic->info.name, partition, (unsigned long long)end);
    } else {
        const struct waiting waiting = {topic,      &attachment->ring, offset < 0 ? end : (uint64_t)offset,
                                        is_deleted, want_deleted,      SP_SLEEP_ANY};
        error = wait_for(&waiting, timeout);
    }
    sp_detach(topic, (uint32_t)partition, SP_ACCESS_PRODUCE);
    return error;
}
