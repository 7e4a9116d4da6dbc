/* consumer.c: opening, closing and steering a consumer: which partitions, from where, and where it is.
 *
 * Reading is in poll.c, sleeping in consumer_wait.c. Implements the consumer part of spate.h. */
#include "bus/consumer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hook.h"
#include "ring/extent.h"
#include "ring/record.h"
#include "shm/handle.h"

void spate_consumer_options_init(struct spate_consumer_options *options)
{
    *options = (struct spate_consumer_options){.size = sizeof *options, .policy = SPATE_POLICY_AUTO, .gate_timeout = SPATE_FOREVER};
}

static int take_options(const struct spate_topic *topic, const struct spate_consumer_options *given,
                        struct spate_consumer_options *ret)
{
    spate_consumer_options_init(ret);
    if (given) {
        if (given->size < offsetof(struct spate_consumer_options, name) || given->size > sizeof *ret)
            return sp_fail(-EINVAL, "consumer options of %zu bytes: set them up with spate_consumer_options_init", given->size);
        memcpy(ret, given, given->size);
    }
    if (ret->policy == SPATE_POLICY_AUTO)
        ret->policy = topic->info.durable ? SPATE_POLICY_SPILL : SPATE_POLICY_GATE;
    if (ret->policy == SPATE_POLICY_SPILL && !topic->info.durable)
        return sp_fail(-EINVAL, "policy spill: topic %s is not durable, so there is no log to read on in", topic->info.name);
    if (ret->watermark > SPATE_WATERMARK_REPLICATED)
        return sp_fail(-EINVAL, "watermark %u is out of range: see enum spate_watermark", ret->watermark);
    if (ret->watermark != SPATE_WATERMARK_RING && !topic->info.durable)
        return sp_fail(-EINVAL, "topic %s is not durable: it has no log, and so no such watermark", topic->info.name);
    if (ret->policy > SPATE_POLICY_SPILL || ret->wait > SPATE_WAIT_BLOCK || ret->start > SPATE_START_LAST)
        return sp_fail(-EINVAL, "policy %u, wait strategy %u or start %u is out of range: see their enums", ret->policy, ret->wait,
                       ret->start);
    for (uint32_t i = 0; ret->partitions && i < ret->partitions_count; i++) {
        if (ret->partitions[i] < 0 || (uint32_t)ret->partitions[i] >= topic->info.partitions)
            return sp_fail(-ERANGE, "partition %d: topic %s has 0..%u", ret->partitions[i], topic->info.name,
                           topic->info.partitions - 1);
        for (uint32_t j = 0; j < i; j++)
            if (ret->partitions[j] == ret->partitions[i])
                return sp_fail(-EINVAL, "partition %d is named twice", ret->partitions[i]);
    }
    if (ret->start == SPATE_START_LAST && ret->start_value < 0)
        return sp_fail(-EINVAL, "start_value %lld: how many of the last offsets cannot be negative", (long long)ret->start_value);
    if (ret->partitions && ret->partitions_count == 0)
        return sp_fail(-EINVAL, "a list of 0 partitions: give NULL for all");
    return 0;
}

/* A free cursor slot, or a dead consumer's, under the ring lock. Returns its index, or -1. */
static int find_slot(struct spate_bus *bus, struct sp_ring *ring)
{
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < ring->consumers_max; i++) {
            uint64_t owner = atomic_load_explicit(&ring->cursors->slots[i].owner, memory_order_acquire); /* E11 owner */
            if (owner == 0 || (round == 1 && !sp_registry_alive(&bus->registry, owner)))
                return (int)i;
        }
    }
    return -1;
}

static const _Atomic uint64_t *watermark_of(const struct sp_ring *ring, uint32_t watermark)
{
    const struct sp_log_words *log = &ring->header->log;
    switch (watermark) {
    case SPATE_WATERMARK_WRITTEN: return &log->written;
    case SPATE_WATERMARK_DURABLE: return &log->durable;
    case SPATE_WATERMARK_REPLICATED: return &log->replicated;
    default: return NULL;
    }
}

static int take_slot(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    struct spate_topic *topic = consumer->topic;
    struct sp_ring *ring = &lane->attachment->ring;
    struct sp_lock lock;

    int error = sp_ring_lock(topic, lane->partition, SP_RING_LOCK_TIMEOUT, &lock);
    if (error)
        return error;
    int slot = -1;
    if (atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE) { /* E11 owner */
        error = sp_fail(-ESTALE, "topic %s was deleted: open it anew", topic->info.name);
    } else if ((slot = find_slot(topic->bus, ring)) < 0) {
        error = sp_fail(-EUSERS,
                        "topic %s, partition %u: all %u consumer slots are taken: close some, or create the topic with more "
                        "(consumers=N)",
                        topic->info.name, lane->partition, ring->consumers_max);
    } else {
        struct sp_cursor *mine = &ring->cursors->slots[slot];
        /* E12 evict: whoever still means the slot's last holder finds another generation. relaxed: read under the ring lock */
        uint32_t last = atomic_load_explicit(&mine->state, memory_order_relaxed);
        atomic_store_explicit(&mine->state, sp_cursor_next(last, SP_CURSOR_FREE), memory_order_release);
        atomic_store_explicit(&mine->asleep, 0, memory_order_release); /* E7 sleep */
        mine->policy = consumer->policy;
        mine->gate_timeout = consumer->gate_timeout;
        memcpy(mine->name, consumer->name, sizeof mine->name);
        atomic_store_explicit(&mine->owner, topic->bus->registry.owner, memory_order_release); /* E11 owner */
        /* relaxed: written under the ring lock only */
        if (atomic_load_explicit(&ring->cursors->consumers_used, memory_order_relaxed) <= (uint32_t)slot)
            atomic_store_explicit(&ring->cursors->consumers_used, (uint32_t)slot + 1, memory_order_release); /* E11 owner */
        sp_reader_init(&lane->reader, ring, mine, consumer->policy == SPATE_POLICY_GATE, (int32_t)lane->partition);
        lane->reader.watermark = watermark_of(ring, consumer->watermark);
        lane->is_spilling = topic->info.durable && consumer->policy != SPATE_POLICY_SKIP;
    }
    sp_ring_unlock(&lock);
    return error;
}

static void close_lane(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    sp_lane_close_log(lane);
    if (!lane->attachment)
        return;
    if (lane->reader.cursor) {
        struct sp_cursor *cursor = lane->reader.cursor;
        atomic_store_explicit(&cursor->asleep, 0, memory_order_release); /* E7 sleep */
        /* E12 evict: it no longer gates; relaxed: the generation is our own */
        uint32_t word = atomic_load_explicit(&cursor->state, memory_order_relaxed);
        atomic_store_explicit(&cursor->state, sp_cursor_word(word, SP_CURSOR_FREE), memory_order_release);
        atomic_store_explicit(&cursor->owner, 0, memory_order_release); /* E11 owner */
        sp_wake_space(&lane->attachment->ring);
    }
    sp_detach(consumer->topic, lane->partition, SP_ACCESS_CONSUME);
    lane->attachment = NULL;
}

static int open_lane(struct spate_consumer *consumer, struct sp_consumer_lane *lane, const struct spate_consumer_options *options)
{
    int error = sp_attach(consumer->topic, lane->partition, SP_ACCESS_CONSUME, &lane->attachment);
    if (!error)
        error = take_slot(consumer, lane);
    if (!error)
        error = sp_consumer_place(consumer, lane, options->start, options->start_value);
    return error;
}

int spate_consumer_open(spate_topic *topic, const struct spate_consumer_options *given, spate_consumer **ret_consumer)
{
    struct spate_consumer_options options;

    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (!ret_consumer)
        return sp_fail(-EINVAL, "ret_consumer is NULL");
    int error = take_options(topic, given, &options);
    if (error)
        return error;
    if (topic->bus->observe && !topic->bus->is_log)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to consume");
    struct spate_consumer *consumer = sp_handle_alloc(sizeof *consumer);
    if (!consumer)
        return -ENOMEM;
    consumer->lanes_count = options.partitions ? options.partitions_count : topic->info.partitions;
    consumer->lanes = calloc(consumer->lanes_count, sizeof *consumer->lanes);
    consumer->policy = options.policy;
    consumer->wait = sp_wait_strategy(options.wait);
    consumer->watermark = options.watermark;
    consumer->spin_time = sp_spin_time();
    consumer->gate_timeout = options.gate_timeout;
    consumer->poll_fd = consumer->pipe_fd = consumer->timer_fd = -1;
    consumer->futex_slot = -1;
    consumer->topic = topic;
    snprintf(consumer->name, sizeof consumer->name, "%s", options.name ? options.name : topic->bus->name);
    sp_topic_keep(topic);
    consumer->magic = SP_CONSUMER_HANDLE;
    if (!consumer->lanes)
        error = sp_fail(-ENOMEM, "no memory for %u lanes", consumer->lanes_count);
    for (uint32_t i = 0; !error && i < consumer->lanes_count; i++) {
        consumer->lanes[i].partition = options.partitions ? (uint32_t)options.partitions[i] : i;
        error = open_lane(consumer, &consumer->lanes[i], &options);
    }
    if (error) {
        spate_consumer_close(consumer);
        return error;
    }
    *ret_consumer = consumer;
    return 0;
}

void spate_consumer_close(spate_consumer *consumer)
{
    if (!consumer || consumer->magic != SP_CONSUMER_HANDLE)
        return;
    for (uint32_t i = 0; consumer->lanes && i < consumer->lanes_count; i++)
        close_lane(consumer, &consumer->lanes[i]);
    sp_consumer_close_fd(consumer);
    if (consumer->futex_slot >= 0)
        sp_wake_release(&consumer->topic->bus->registry, (uint32_t)consumer->futex_slot, -1);
    sp_topic_drop(consumer->topic);
    free(consumer->lanes);
    consumer->magic = UINT64_MAX;
    sp_handle_free(consumer, sizeof *consumer);
}

/* Read on and discard until the seek's condition is met, as far as records are committed now: so that the position is exact
 * when the call returns. */
static void settle(struct sp_consumer_lane *lane)
{
    struct sp_reader *reader = &lane->reader;
    struct spate_record record;

    uint64_t size;
    uint32_t count;

    int found = sp_reader_poll(reader, &record, 1);
    if (found < 0)
        return; /* the next poll deals with it */
    if (found == 0) {
        /* nothing matches yet: hold up nobody with records that are not wanted */
        reader->first = reader->next;
        if (!sp_reader_is_lapped(reader, reader->next.position))
            sp_reader_release(reader);
        return;
    }
    SP_HOOK("settle:found");
    /* the poll stepped over the record it found: walk from where it began to just before it */
    struct sp_place place = reader->first;
    while (place.offset < (uint64_t)record.offset && sp_ring_step(reader->ring, place, &size, &count)) {
        place.position += size;
        place.offset += count;
    }
    if (sp_reader_is_lapped(reader, reader->first.position)) {
        sp_reader_rewind(reader); /* what was walked may be garbage; the next poll reports the loss */
        return;
    }
    reader->next = reader->first = place;
    sp_reader_release(reader);
}

/* The offset that the last n records before `published` begin with; negative in a ring that foreign bytes were written into. */
static int64_t last_n(struct sp_place oldest, struct sp_place published, int64_t n)
{
    if (published.offset <= oldest.offset || (uint64_t)n >= published.offset - oldest.offset)
        return (int64_t)oldest.offset;
    return (int64_t)(published.offset - (uint64_t)n);
}

/* Where to begin: a boundary, and what is to be stepped over from there. */
struct beginning {
    struct sp_place place;
    uint64_t discard_below;
    int64_t discard_before;
};

/* -EAGAIN: the mark that led there was overtaken meanwhile. */
static int find_start(const struct spate_consumer *consumer, const struct sp_consumer_lane *lane, const struct sp_start *start,
                      struct beginning *ret)
{
    const struct sp_ring *ring = &lane->attachment->ring;
    const struct sp_place own = lane->reader.first;
    const bool keeps = sp_reader_keeps(&lane->reader);
    const uint64_t announced = sp_ring_oldest_position(ring), lowest = keeps ? sp_min(own.position, announced) : announced;
    const struct sp_place published = sp_ring_published(ring);
    struct sp_place oldest = sp_mark_oldest(ring, lowest);
    int64_t value = start->value;

    if (keeps && own.position < oldest.position)
        oldest = own;
    *ret = (struct beginning){.place = oldest, .discard_before = start->not_before};
    switch (start->kind) {
    case SPATE_START_BEGINNING: break;
    case SPATE_START_TIME:
        if (ring->timestamp == SPATE_TIMESTAMP_NONE)
            return sp_fail(-ENODATA, "topic %s keeps no timestamps: start by offset, or create it with timestamp=clock",
                           consumer->topic->info.name);
        break;
    case SPATE_START_OFFSET:
    case SPATE_START_LAST:
        if (start->kind == SPATE_START_LAST)
            value = last_n(oldest, published, value);
        if (value < (int64_t)oldest.offset || value > (int64_t)sp_ring_tail(ring).offset)
            return sp_fail(-ERANGE, "offset %lld is not in the %s of topic %s, partition %u: it holds %llu to %llu",
                           (long long)value, lane->is_spilling ? "log" : "ring", consumer->topic->info.name, lane->partition,
                           (unsigned long long)(lane->is_spilling ? sp_log_start(ring) : oldest.offset),
                           (unsigned long long)sp_ring_tail(ring).offset);
        ret->discard_below = (uint64_t)value;
        ret->place = ret->discard_below == published.offset ? published : sp_mark_before(ring, lowest, ret->discard_below);
        if (keeps && own.offset <= ret->discard_below && (ret->place.offset < own.offset || ret->place.offset > ret->discard_below))
            ret->place = own; /* nearer than any mark */
        return ret->place.offset > ret->discard_below ? -EAGAIN : 0;
    default: ret->place = published; break;
    }
    return 0;
}

int sp_consumer_place_in_ring(struct spate_consumer *consumer, struct sp_consumer_lane *lane, const struct sp_start *start)
{
    struct sp_reader *reader = &lane->reader;
    struct beginning at;
    bool moved = false, evicted = false;

    /* Producers may pass the place before we hold it; then the next one is newer. */
    for (int tries = 0; tries < 1000; tries++) {
        int error = find_start(consumer, lane, start, &at);
        if (error == -EAGAIN)
            continue;
        if (error) {
            if (moved) /* a seek that failed changes nothing */
                sp_reader_put_back(reader, evicted);
            return error;
        }
        if (tries > 900 && start->kind != SPATE_START_OFFSET)
            at.place = sp_ring_tail(&lane->attachment->ring);
        moved = true;
        if (sp_reader_place(reader, at.place, &evicted) != 0)
            continue;
        reader->discard_below = at.discard_below;
        reader->discard_before = reader->first_discard_before = at.discard_before;
        lane->stuck_since = 0;
        lane->touched = false;
        if (at.discard_below || at.discard_before != INT64_MIN)
            settle(lane);
        return 0;
    }
    if (moved)
        sp_reader_put_back(reader, evicted);
    return sp_fail(-ERANGE, "producers pass every place in topic %s, partition %u before it can be held: make its ring larger",
                   consumer->topic->info.name, lane->partition);
}

static uint64_t position_of(const struct sp_consumer_lane *lane)
{
    return sp_max(lane->reader.next.offset, lane->reader.discard_below);
}

/* Where a start lies in log and ring: made into an offset where it can be. For producers may pass it while it is looked for, and while the
 * lane is placed: the offset stays the same, and is then in the log. Returns 1 (in the log and no more in the ring), 0, -errno */
static int find_in_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane, struct sp_start *start)
{
    const struct sp_ring *ring = &lane->attachment->ring;
    const uint64_t first = sp_log_start(ring);
    uint64_t offset = first;
    int error = 0;

    switch (start->kind) {
    case SPATE_START_BEGINNING: break;
    case SPATE_START_LAST: offset = (uint64_t)last_n((struct sp_place){0, first}, sp_ring_published(ring), start->value); break;
    case SPATE_START_OFFSET:
        if (start->value < (int64_t)first)
            return sp_fail(-ERANGE, "offset %lld of topic %s, partition %u: the log begins at %llu", (long long)start->value,
                           consumer->topic->info.name, lane->partition, (unsigned long long)first);
        offset = (uint64_t)start->value;
        break;
    case SPATE_START_TIME:
        if (ring->timestamp == SPATE_TIMESTAMP_NONE)
            return 0; /* which tells why not */
        error = sp_lane_find_time(consumer, lane, start->value, &offset);
        if (error && error != -ENODATA)
            return error == -ENOENT ? 0 : error;
        break;
    default: return 0;
    }
    start->kind = SPATE_START_OFFSET;
    start->value = (int64_t)offset;
    return offset < sp_mark_oldest(ring, sp_ring_oldest_position(ring)).offset;
}

int sp_consumer_place(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint32_t kind, int64_t value)
{
    struct sp_start start = {.kind = kind, .value = value, .not_before = kind == SPATE_START_TIME ? value : INT64_MIN};
    const bool was_in_log = lane->in_log;
    const uint64_t before = position_of(lane);

    int error = lane->is_spilling ? find_in_log(consumer, lane, &start) : 0;
    if (error == 0) {
        lane->in_log = false;
        if (was_in_log)
            sp_reader_open_ring(&lane->reader);
        error = sp_consumer_place_in_ring(consumer, lane, &start);
        if (!error && lane->is_spilling) /* the ring may still have what the log has no more: it was deleted all the same */
            lane->reader.discard_below = sp_max(lane->reader.discard_below, sp_log_start(&lane->attachment->ring));
        if (!error)
            return 0;
        /* producers may have come there meanwhile: then it is in the log */
        if (error == -ERANGE && lane->is_spilling && start.kind == SPATE_START_OFFSET &&
            (uint64_t)start.value <= sp_log_offset(&lane->attachment->ring, SP_LOG_WRITTEN))
            error = sp_lane_open_log(consumer, lane, (uint64_t)start.value);
    } else if (error > 0) {
        error = sp_lane_open_log(consumer, lane, (uint64_t)start.value);
    }
    if (error && error != -EOVERFLOW) {
        if (was_in_log) /* a seek that failed changes nothing */
            (void)sp_lane_open_log(consumer, lane, before);
        return error;
    }
    struct sp_reader *reader = &lane->reader;
    reader->discard_below = 0;
    reader->discard_before = reader->first_discard_before = start.not_before;
    lane->touched = false;
    return 0;
}

static int check(const struct spate_consumer *consumer)
{
    return consumer && consumer->magic == SP_CONSUMER_HANDLE ? 0 : sp_handle_error(consumer, "consumer");
}

/* Calls `act` for one partition or all. */
static int for_lanes(struct spate_consumer *consumer, int32_t partition,
                     int (*act)(struct spate_consumer *, struct sp_consumer_lane *, void *), void *context)
{
    bool found = false;

    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        if (partition != SPATE_ANY && consumer->lanes[i].partition != (uint32_t)partition)
            continue;
        found = true;
        int error = act(consumer, &consumer->lanes[i], context);
        if (error)
            return error;
    }
    return found ? 0 : sp_fail(-ERANGE, "partition %d is not one of this consumer's", partition);
}

struct seek {
    uint32_t start;
    int64_t value;
};

static int seek_lane(struct spate_consumer *consumer, struct sp_consumer_lane *lane, void *context)
{
    const struct seek *seek = context;
    int error = sp_consumer_place(consumer, lane, seek->start, seek->value);
    if (error)
        return error;
    lane->touched = true;
    sp_consumer_release(consumer); /* wakes who waits for the room that a seek forward gave back; views end with a seek anyway */
    return 0;
}

int spate_seek(spate_consumer *consumer, int32_t partition, uint32_t start, int64_t value)
{
    struct seek seek = {start, value};
    int error = check(consumer);
    if (error)
        return error;
    if (start > SPATE_START_LAST)
        return sp_fail(-EINVAL, "start %u: see enum spate_start", start);
    if (start == SPATE_START_LAST && value < 0)
        return sp_fail(-EINVAL, "value %lld: how many of the last offsets cannot be negative", (long long)value);
    return for_lanes(consumer, partition, seek_lane, &seek);
}

int64_t spate_position(const spate_consumer *consumer, int32_t partition)
{
    int error = check(consumer);
    if (error)
        return error;
    for (uint32_t i = 0; i < consumer->lanes_count; i++)
        if (consumer->lanes[i].partition == (uint32_t)partition)
            return (int64_t)position_of(&consumer->lanes[i]);
    return sp_fail(-ERANGE, "partition %d is not one of this consumer's", partition);
}

static int add_lag(struct spate_consumer *consumer, struct sp_consumer_lane *lane, void *context)
{
    (void)consumer;
    uint64_t published = sp_ring_published(&lane->attachment->ring).offset;
    uint64_t position = position_of(lane), *sum = context;
    if (published > position) /* what foreign bytes may say about it is bounded */
        *sum = sp_min(*sum + sp_min(published - position, INT64_MAX), INT64_MAX);
    return 0;
}

int64_t spate_lag(const spate_consumer *consumer, int32_t partition)
{
    uint64_t lag = 0;
    int error = check(consumer);
    if (!error) /* add_lag changes nothing */
        error = for_lanes((struct spate_consumer *)(uintptr_t)consumer, partition, add_lag, &lag);
    return error ? error : (int64_t)lag;
}

int spate_offsets(spate_consumer *consumer, int32_t partition, int64_t *ret_first, int64_t *ret_next)
{
    int error = check(consumer);
    if (error)
        return error;
    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        const struct sp_ring *ring = &consumer->lanes[i].attachment->ring;
        if (consumer->lanes[i].partition != (uint32_t)partition)
            continue;
        if (ret_first)
            *ret_first = consumer->lanes[i].is_spilling ? (int64_t)sp_log_start(ring)
                                                        : (int64_t)sp_mark_oldest(ring, sp_ring_oldest_position(ring)).offset;
        if (ret_next)
            *ret_next = (int64_t)sp_ring_tail(ring).offset;
        return 0;
    }
    return sp_fail(-ERANGE, "partition %d is not one of this consumer's", partition);
}

static int pause_lane(struct spate_consumer *consumer, struct sp_consumer_lane *lane, void *context)
{
    (void)consumer;
    lane->paused = *(bool *)context;
    return 0;
}

int spate_pause(spate_consumer *consumer, int32_t partition)
{
    bool paused = true;
    int error = check(consumer);
    return error ? error : for_lanes(consumer, partition, pause_lane, &paused);
}

int spate_resume(spate_consumer *consumer, int32_t partition)
{
    bool paused = false;
    int error = check(consumer);
    return error ? error : for_lanes(consumer, partition, pause_lane, &paused);
}

int spate_consumer_gap(const spate_consumer *consumer, struct spate_gap *ret_gap)
{
    int error = check(consumer);
    if (error)
        return error;
    if (!ret_gap)
        return sp_fail(-EINVAL, "ret_gap is NULL");
    if (!consumer->has_gap)
        return sp_fail(-ENOENT, "this consumer has lost nothing so far");
    *ret_gap = consumer->gap;
    return 0;
}

int spate_record_header(const struct spate_record *record, uint32_t index, struct spate_header *ret_header)
{
    if (!record || !ret_header)
        return sp_fail(-EINVAL, "record or ret_header is NULL");
    int error =
        sp_record_headers_decode(record->headers_block, record->headers_block_size, record->headers_count, index, ret_header);
    if (error == -ENOENT)
        return sp_fail(error, "header %u: the record has %u", index, record->headers_count);
    return error ? sp_fail(error, "the record's headers are damaged, or were overwritten while they were read (see spate_check)")
                 : 0;
}
