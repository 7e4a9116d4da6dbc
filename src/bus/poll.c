/* poll.c: reading: one look at all lanes, what to do when there is nothing, and when something was lost.
 *
 * The fast path is sp_consumer_poll with a lane that has records. Everything about dead claims, damage, eviction and deletion
 * is reached only when a lane has none, or after producers have passed it. Runs in the consumer's thread. */
#include <errno.h>
#include <string.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/error.h"
#include "bus/consumer.h"
#include "ring/record.h"
#include "shm/handle.h"

#define STUCK_PATIENCE (50 * SP_NS_PER_US) /* before a claim that is not committed is looked into: an honest copy takes less */
#define STREAM_REST ((int64_t)500)         /* ns between two looks at a producer's tail word: each costs it a cache miss */
#define STREAM_PATIENCE (2 * SP_NS_PER_US) /* without anything new, before it is no stream any more */
#define STUCK_LOOK_EVERY 64u               /* empty polls with timeout 0 between two looks */
#define HOLES_MAX 64u /* looks in one poll that find only aborted records: bounds what a hostile producer can do */

int sp_consumer_report_gap(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint32_t cause, uint64_t first,
                           uint64_t next)
{
    static const uint32_t counters[] = {[SPATE_LOST_SKIPPED] = SP_CONSUMER_LOST_SKIPPED,
                                        [SPATE_LOST_EVICTED] = SP_CONSUMER_LOST_EVICTED,
                                        [SPATE_LOST_DAMAGED] = SP_CONSUMER_LOST_DAMAGED,
                                        [SPATE_LOST_DELETED] = SP_CONSUMER_LOST_SKIPPED};
    if (next > first)
        sp_count(&lane->reader.cursor->counters[counters[cause]], next - first);
    consumer->has_gap = true;
    consumer->gap =
        (struct spate_gap){.partition = (int32_t)lane->partition, .cause = cause, .first = (int64_t)first, .next = (int64_t)next};
    return -EOVERFLOW;
}

/* Producers have passed the lane, or evicted it. Go on at the oldest record there is. Returns -EOVERFLOW, or 0 when nothing
 * was lost after all. */
static int recover(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    struct sp_reader *reader = &lane->reader;
    const struct sp_ring *ring = &lane->attachment->ring;
    const uint64_t first = sp_max(reader->next.offset, reader->discard_below); /* what was not wanted is not lost */
    struct sp_place place = reader->next; /* an evicted gate that nobody has passed yet loses nothing */

    if (lane->is_spilling)
        return sp_lane_open_log(consumer, lane, first);
    /* Producers may pass the new place too before we hold it; the next one is newer, and the last one the tail, which nobody
     * passes. Only damaged words could keep this up for ever. */
    for (int tries = 0; tries < 1000; tries++) {
        if (place.position < sp_ring_oldest_position(ring))
            place = sp_mark_oldest(ring, sp_ring_oldest_position(ring));
        if (sp_reader_place(reader, place, NULL) == 0)
            break;
    }
    reader->next = reader->first = place;
    lane->stuck_since = 0;
    if (place.offset <= first)
        return 0;
    return sp_consumer_report_gap(consumer, lane, reader->gate ? SPATE_LOST_EVICTED : SPATE_LOST_SKIPPED, first, place.offset);
}

/* A committed record that makes no sense. */
static int recover_from_damage(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    struct sp_reader *reader = &lane->reader;
    const uint64_t first = reader->next.offset;

    reader->next = sp_ring_next_boundary(&lane->attachment->ring, reader->next);
    lane->touched = true;
    return sp_consumer_report_gap(consumer, lane, SPATE_LOST_DAMAGED, first, reader->next.offset);
}

int sp_consumer_poll(struct spate_consumer *consumer, struct spate_record *records, uint32_t count, bool is_patient)
{
    uint32_t n = 0, deleted = 0;

    for (uint32_t i = 0; i < consumer->lanes_count && n < count; i++) {
        uint32_t index = consumer->next_lane;
        struct sp_consumer_lane *lane = &consumer->lanes[index];
        consumer->next_lane = index + 1 == consumer->lanes_count ? 0 : index + 1;
        deleted += lane->deleted;
        if (lane->paused) {
            /* E11 owner: what it holds may still be read, after spate_resume */
            if (!lane->deleted)
                deleted += atomic_load_explicit(&lane->attachment->ring.header->state, memory_order_acquire) != SP_STATE_LIVE;
            continue;
        }
        if (SP_UNLIKELY(lane->in_log)) {
            if (n > 0) { /* what it has to tell may not be mixed with what was found */
                consumer->next_lane = index;
                break;
            }
            const int read = sp_lane_poll_log(consumer, lane, records, count);
            if (read < 0)
                return read;
            if (read > 0) {
                lane->touched = true;
                consumer->last_lane = index;
                return read;
            }
            if (lane->in_log)
                continue;
        }
        int got = sp_reader_poll_patiently(&lane->reader, records + n, count - n, is_patient);
        if (SP_UNLIKELY(got < 0)) {
            if (n > 0) {
                consumer->next_lane = index; /* what was found stands; the loss is dealt with first thing next time */
                break;
            }
            got = got == -EOVERFLOW ? recover(consumer, lane) : recover_from_damage(consumer, lane);
            if (got < 0)
                return got;
            continue;
        }
        lane->touched |= lane->reader.next.position != lane->reader.first.position;
        if (got > 0)
            consumer->last_lane = index;
        n += (uint32_t)got;
    }
    if (SP_UNLIKELY(n == 0 && deleted == consumer->lanes_count))
        return sp_fail(-ESTALE, "topic %s was deleted, and everything that could be read was read", consumer->topic->info.name);
    return (int)n;
}

bool sp_consumer_release(struct spate_consumer *consumer)
{
    bool has_moved = false;

    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        struct sp_consumer_lane *lane = &consumer->lanes[i];
        struct sp_ring *ring = &lane->attachment->ring;
        if (!lane->touched)
            continue;
        lane->touched = false;
        has_moved = true;
        lane->reader.first = lane->reader.next;
        sp_reader_release(&lane->reader);
        if (SP_UNLIKELY(!consumer->topic->bus->registry.membarrier))
            atomic_thread_fence(memory_order_seq_cst); /* E8 sleep for room: without membarrier this side needs the fence too */
        /* relaxed: E8, the sleeper's membarrier orders this load behind the release */
        if (SP_UNLIKELY(atomic_load_explicit(&ring->cursors->space_notice, memory_order_relaxed) & SP_NOTICE))
            sp_wake_space(ring);
    }
    return has_moved;
}

static int unstick_lane(struct spate_consumer *consumer, struct sp_consumer_lane *lane, int64_t now, bool *ret_pending)
{
    struct sp_reader *reader = &lane->reader;
    const struct sp_ring *ring = &lane->attachment->ring;
    struct sp_judgement judgement;

    if (reader->watermark) { /* what lies beyond is not waited for here, whatever it is */
        const uint64_t bound = atomic_load_explicit(reader->watermark, memory_order_acquire); /* E16 watermark */
        if ((int64_t)(bound - reader->next.position) <= 0) {
            lane->stuck_since = 0;
            lane->deleted = atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE; /* E11 owner */
            return 0;
        }
    }
    if ((int64_t)(sp_ring_claimed(ring).position - reader->next.position) <= 0) {
        lane->stuck_since = 0;
        bool deleted = atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE; /* E11 owner */
        if (sp_ring_is_committed(ring, reader->next))
            return 1; /* in exclusive mode the tail lags behind */
        lane->deleted = deleted;
        return 0;
    }
    if (sp_ring_is_committed(ring, reader->next))
        return 1;
    *ret_pending = true;
    if (lane->stuck_since == 0 || lane->stuck_position != reader->next.position) {
        lane->stuck_position = reader->next.position;
        lane->stuck_since = now;
        return 0;
    }
    if (now - lane->stuck_since < STUCK_PATIENCE)
        return 0;
    if (sp_reader_is_lapped(reader, reader->next.position))
        return 1; /* the next poll deals with it */
    sp_ring_judge(ring, reader->next, sp_bus_liveness(consumer->topic->bus), &judgement);
    if (sp_reader_is_lapped(reader, reader->next.position))
        return 1;
    /* Something was claimed here (above), and nobody writes over what a gate holds: if it is gone, it was destroyed. */
    if (judgement.verdict == SP_VERDICT_END && reader->holds)
        judgement.verdict = sp_ring_is_committed(ring, reader->next) ? SP_VERDICT_READY : SP_VERDICT_DAMAGED;
    switch (judgement.verdict) {
    case SP_VERDICT_END:
    case SP_VERDICT_WAIT:
        lane->stuck_since = now; /* look again after another while */
        return 0;
    case SP_VERDICT_READY: return 1;
    case SP_VERDICT_DEAD:
        sp_reader_skip_dead(reader, judgement.size, judgement.count);
        lane->touched = true;
        lane->stuck_since = 0;
        return 1;
    case SP_VERDICT_DAMAGED: break;
    }
    lane->stuck_since = 0;
    return recover_from_damage(consumer, lane);
}

int sp_consumer_unstick(struct spate_consumer *consumer, int64_t now, bool *ret_pending)
{
    int result = 0;

    *ret_pending = false;
    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        if (consumer->lanes[i].paused || consumer->lanes[i].in_log)
            continue;
        int got = unstick_lane(consumer, &consumer->lanes[i], now, ret_pending);
        if (got < 0)
            return got;
        result |= got;
    }
    return result;
}

static bool is_streaming(const struct spate_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->lanes_count; i++)
        if (consumer->lanes[i].reader.streaming)
            return true;
    return false;
}

/* The first look found nothing. Timeout 0: one more look, with everything that may have kept records from us. Else wait. */
static int wait_and_poll(struct spate_consumer *consumer, struct spate_record *records, uint32_t count, int64_t timeout)
{
    const int64_t since = sp_clock_monotonic(), deadline = sp_deadline(timeout);
    int64_t now = since;
    uint32_t holes = 0;
    bool pending = false;

    /* In a stream, first stay behind for a while. */
    while (timeout != 0 && is_streaming(consumer) && now - since < STREAM_PATIENCE) {
        const int64_t rested = now + STREAM_REST;
        do
            sp_pause();
        while ((now = sp_clock_monotonic()) < rested);
        int n = sp_consumer_poll(consumer, records, count, true);
        if (n != 0)
            return n;
    }
    for (uint32_t i = 0;; i++) {
        int slept = 0;
        int moved = 0;
        /* the tail's line belongs to the producers: it is looked at now and then only */
        if (i % STUCK_LOOK_EVERY == 0) {
            now = sp_clock_monotonic();
            moved = sp_consumer_unstick(consumer, now, &pending);
            if (moved < 0)
                return moved;
            if (now >= deadline && timeout > 0 && !moved)
                return -ETIMEDOUT;
        }
        if (timeout == 0 && !moved) {
            if (consumer->poll_fd < 0)
                return 0;
            sp_consumer_arm(consumer, pending);
        } else if (!moved) {
            slept = sp_consumer_wait_once(consumer, now - since, deadline, pending);
            if (slept < 0)
                return slept;
        }
        int n = sp_consumer_poll(consumer, records, count, false);
        if (n != 0)
            return n;
        /* what was stepped over: aborted, dead, not wanted; nobody has views of it */
        const bool has_moved = sp_consumer_release(consumer) && holes++ < HOLES_MAX;
        if (timeout == 0 && !moved && !has_moved)
            return 0;
        if (slept || moved || has_moved)
            i = UINT32_MAX; /* look again at once */
    }
}

int spate_poll(spate_consumer *consumer, struct spate_record *records, uint32_t count, int64_t timeout)
{
    if (SP_UNLIKELY(!consumer || consumer->magic != SP_CONSUMER_HANDLE))
        return sp_handle_error(consumer, "consumer");
    if (SP_UNLIKELY(!records || count < 1))
        return sp_fail(-EINVAL, "records is NULL or count is 0");
    sp_consumer_release(consumer);
    int n = sp_consumer_poll(consumer, records, count, timeout != 0);
    for (uint32_t looks = 0; SP_UNLIKELY(n == 0) && sp_consumer_release(consumer) && looks < HOLES_MAX; looks++)
        n = sp_consumer_poll(consumer, records, count,
                             timeout != 0); /* what was stepped over is no reason to say that there is nothing */
    if (SP_LIKELY(n != 0)) {
        if (SP_UNLIKELY(consumer->armed))
            sp_consumer_disarm(consumer);
        return n;
    }
    if (timeout == 0 && consumer->poll_fd < 0 && ++consumer->empty_polls % STUCK_LOOK_EVERY != 0)
        return 0;
    return wait_and_poll(consumer, records, count, timeout);
}

int spate_release(spate_consumer *consumer)
{
    if (!consumer || consumer->magic != SP_CONSUMER_HANDLE)
        return sp_handle_error(consumer, "consumer");
    sp_consumer_release(consumer);
    return 0;
}

int spate_check(spate_consumer *consumer)
{
    bool is_lapped = false;

    if (!consumer || consumer->magic != SP_CONSUMER_HANDLE)
        return sp_handle_error(consumer, "consumer");
    for (uint32_t i = 0; i < consumer->lanes_count && !is_lapped; i++) {
        struct sp_consumer_lane *lane = &consumer->lanes[i];
        is_lapped = lane->touched && !lane->in_log && sp_reader_is_lapped(&lane->reader, lane->reader.first.position);
    }
    if (!is_lapped)
        return 0;
    /* The caller throws the whole poll away: partitions that are whole give it again, the others report all that was lost. */
    for (uint32_t i = 0; i < consumer->lanes_count; i++)
        if (consumer->lanes[i].touched)
            sp_reader_rewind(&consumer->lanes[i].reader);
    return -EOVERFLOW;
}

/* Copies what a view points to, and makes the view point to the copy. Returns false when the buffer is too small. */
static bool copy_record(struct spate_record *record, uint8_t *buffer, size_t size)
{
    uint64_t need = (uint64_t)record->headers_block_size + record->key_size + record->value_size;
    if (need > size)
        return false;
    if (record->headers_block_size) {
        memcpy(buffer, record->headers_block, record->headers_block_size);
        record->headers_block = buffer;
        buffer += record->headers_block_size;
    }
    if (record->key_size)
        memcpy(buffer, record->key, record->key_size);
    if (record->key)
        record->key = buffer;
    buffer += record->key_size;
    if (record->value_size)
        memcpy(buffer, record->value, record->value_size);
    if (record->value)
        record->value = buffer;
    return true;
}

/* One attempt; 0 also when the record was overwritten while it was copied, which the next attempt reports. */
static int read_once(spate_consumer *consumer, void *buffer, size_t size, struct spate_record *ret_record, int64_t timeout)
{
    struct spate_record record = {0};

    int n = spate_poll(consumer, &record, 1, timeout);
    if (n <= 0)
        return n;
    struct sp_consumer_lane *lane = &consumer->lanes[consumer->last_lane];
    bool fits = copy_record(&record, buffer, size);
    if (!lane->in_log && sp_reader_is_lapped(&lane->reader, lane->reader.first.position)) {
        sp_reader_rewind(&lane->reader);
        return 0;
    }
    *ret_record = record;
    if (fits) {
        sp_consumer_release(consumer);
        return 1;
    }
    sp_reader_rewind(&lane->reader);
    consumer->next_lane = consumer->last_lane;
    return sp_fail(-EMSGSIZE, "the record at offset %lld needs a buffer of %llu bytes, this one has %zu", (long long)record.offset,
                   (unsigned long long)record.headers_block_size + record.key_size + record.value_size, size);
}

int spate_read(spate_consumer *consumer, void *buffer, size_t size, struct spate_record *ret_record, int64_t timeout)
{
    if (!buffer || !ret_record)
        return sp_fail(-EINVAL, "buffer or ret_record is NULL");
    const int64_t deadline = sp_deadline(timeout);
    for (;;) {
        int n = read_once(consumer, buffer, size, ret_record, timeout);
        if (n != 0 || timeout == 0)
            return n;
        if (timeout > 0) {
            timeout = deadline - sp_clock_monotonic();
            if (timeout <= 0)
                return -ETIMEDOUT;
        }
    }
}
