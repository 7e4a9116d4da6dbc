/* consumer_log.c: a lane that reads what the ring has no more: from the log, and back into the ring.
 *
 * Blocks of the log hold records in ring format, and say where in the ring they lay. So the lane's reader reads them where they are
 * mapped, as it reads the ring; and between two blocks the lane knows its exact place in the ring, and is back there as soon as that
 * place still is (or again). It enters when at least a quarter of the ring is left between it and what is overwritten next, or when the
 * log has no more: what is written last to the log is in the ring, since producers wait for it. A poll gives records of one block at
 * most, so that its views stay where they are. Runs in the consumer's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hook.h"
#include "bus/consumer.h"
#include "ring/extent.h"
#include "shm/descriptor.h"

static const struct sp_ring *ring_of(const struct sp_consumer_lane *lane)
{
    return &lane->attachment->ring;
}

/* The offset up to which the log may be read. */
static uint64_t end_of(const struct spate_consumer *consumer, const struct sp_consumer_lane *lane)
{
    return sp_log_offset(ring_of(lane), consumer->watermark == SPATE_WATERMARK_DURABLE      ? SP_LOG_DURABLE
                                        : consumer->watermark == SPATE_WATERMARK_REPLICATED ? SP_LOG_REPLICATED
                                                                                            : SP_LOG_WRITTEN);
}

static int open_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    const struct spate_topic *topic = consumer->topic;
    char directory[SPATE_TOPIC_NAME_MAX + 8];

    if (lane->log)
        return 0;
    struct sp_log *log = calloc(1, sizeof *log);
    if (!log)
        return sp_fail(-ENOMEM, "no memory to read the log");
    sp_topic_directory(topic->info.name, directory);
    const int log_fd = sp_bus_open_log(topic->bus);
    int error = log_fd < 0 ? log_fd : sp_log_open(log, log_fd, directory, lane->partition, topic->info.id);
    if (log_fd >= 0)
        close(log_fd);
    if (error) {
        free(log);
        return error;
    }
    lane->log = log;
    return 0;
}

void sp_lane_close_log(struct sp_consumer_lane *lane)
{
    if (lane->log) {
        sp_log_close(lane->log);
        free(lane->log);
    }
    lane->log = NULL;
    lane->in_log = false;
}

/* Before the block that will be read next: no records, at that offset. */
static void stand_before(struct sp_consumer_lane *lane, uint64_t offset)
{
    static const uint64_t nothing[2];
    lane->in_log = true;
    lane->stuck_since = 0;
    sp_reader_open_memory(&lane->reader, nothing, 0, (struct sp_place){lane->reader.next.position, offset}, 0);
}

/* The log's handle goes to the first block that there is at `offset` or behind it. Returns 0, -errno */
static int seek_log(struct sp_consumer_lane *lane, uint64_t offset, uint64_t *ret_from)
{
    int error = -ERANGE;

    /* the daemon may delete what the log began with before it is sought: then it begins later */
    for (int tries = 0; error == -ERANGE && tries < 100; tries++) {
        const uint64_t start = sp_log_start(ring_of(lane));
        uint64_t first = 0;
        error = sp_log_first(lane->log, &first);
        if (error && error != -ENODATA)
            return error;
        first = first > start ? first : start;
        *ret_from = offset > first ? offset : first;
        SP_HOOK("log:listed");
        if (!error)
            error = sp_log_seek(lane->log, *ret_from);
    }
    if (error == -ENODATA) { /* the log is empty */
        lane->log->next_offset = *ret_from;
        lane->log->raw = NULL;
        error = 0;
    }
    return error;
}

int sp_lane_open_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint64_t offset)
{
    uint64_t from = offset;

    int error = open_log(consumer, lane);
    if (!error)
        error = seek_log(lane, offset, &from);
    if (error)
        return error;
    sp_reader_leave(&lane->reader);
    stand_before(lane, from);
    return from > offset ? sp_consumer_report_gap(consumer, lane, SPATE_LOST_DELETED, offset, from) : 0;
}

/* The first record of the block that was loaded with at least that time and offset. Returns false when it has none. */
static bool first_of_time(const struct sp_ring *ring, const struct sp_log *log, int64_t time, uint64_t start, uint64_t *ret_offset)
{
    const struct sp_block_header *header = &log->block.header;
    struct spate_record record;
    struct sp_reader reader;

    sp_reader_init(&reader, ring, NULL, false, 0);
    sp_reader_open_memory(&reader, log->raw, header->raw_size, (struct sp_place){header->position, header->base_offset},
                          log->segment.identity.stamp_salt);
    reader.discard_before = time;
    reader.discard_below = start;
    if (sp_reader_poll_memory(&reader, &record, 1) != 1)
        return false;
    *ret_offset = (uint64_t)record.offset;
    return true;
}

int sp_lane_find_time(struct spate_consumer *consumer, struct sp_consumer_lane *lane, int64_t time, uint64_t *ret_offset)
{
    const uint64_t end = end_of(consumer, lane), start = sp_log_start(ring_of(lane));

    int error = open_log(consumer, lane);
    if (!error)
        error = sp_log_seek_time(lane->log, time, end);
    while (!error) {
        error = sp_log_next(lane->log, end);
        if (!error && first_of_time(ring_of(lane), lane->log, time, start, ret_offset))
            return 0;
    }
    if (error == -EBADMSG) { /* the record may have been there: reading on from there tells of it */
        *ret_offset = lane->log->lost_first > start ? lane->log->lost_first : start;
        return 0;
    }
    *ret_offset = sp_max(start, end);
    return error == -ERANGE ? -ENODATA : error;
}

bool sp_lane_has_more(const struct spate_consumer *consumer, const struct sp_consumer_lane *lane)
{
    return lane->reader.next.position < lane->reader.memory_end || end_of(consumer, lane) > lane->reader.next.offset;
}

/* Back into the ring, if it has the place. */
static bool enter_ring(struct sp_consumer_lane *lane, bool is_at_end)
{
    struct sp_reader *reader = &lane->reader;
    const struct sp_ring *ring = ring_of(lane);
    const struct sp_place place = reader->next;
    const uint64_t oldest = sp_ring_oldest_position(ring), margin = is_at_end ? 0 : ring->capacity / 4;

    if (place.position < oldest + margin || place.position - oldest > ring->capacity ||
        (place.position & ((1u << ring->unit_shift) - 1)) != 0)
        return false;
    const struct sp_reader before = *reader;
    sp_reader_open_ring(reader);
    if (sp_reader_place(reader, place, NULL) == 0) {
        lane->in_log = false;
        return true;
    }
    sp_reader_leave(reader);
    const uint32_t active = reader->active;
    *reader = before;
    reader->active = active;
    return false;
}

/* A block was loaded: the reader reads it. */
static void enter_block(struct sp_consumer_lane *lane, uint64_t offset)
{
    const struct sp_log *log = lane->log;
    const struct sp_block_header *header = &log->block.header;
    struct sp_reader *reader = &lane->reader;

    if (reader->discard_below < offset) /* the block may begin before what is wanted */
        reader->discard_below = offset;
    sp_reader_open_memory(reader, log->raw, header->raw_size, (struct sp_place){header->position, header->base_offset},
                          log->segment.identity.stamp_salt);
}

/* The rest of a block makes no sense, though its checksum is right: a hostile producer wrote it. */
static int step_over_rest(struct spate_consumer *consumer, struct sp_consumer_lane *lane)
{
    const uint64_t first = lane->reader.next.offset, next = lane->log->next_offset;
    const uint64_t end = lane->reader.memory_end;

    stand_before(lane, next);
    lane->reader.next.position = lane->reader.first.position = lane->reader.memory_end = end;
    lane->touched = true;
    return sp_consumer_report_gap(consumer, lane, SPATE_LOST_DAMAGED, first, next > first ? next : first);
}

static bool is_exact(const struct sp_consumer_lane *lane)
{
    /* nothing was read yet, or what was read is not where it was in the ring */
    return lane->log->raw && !(lane->log->block.header.kind & SP_BLOCK_COMPACTED);
}

/* The log is read to its end, and what was read last does not say where that is in the ring: found by its offset. */
static bool enter_at(struct spate_consumer *consumer, struct sp_consumer_lane *lane, uint64_t offset)
{
    struct sp_reader *reader = &lane->reader;
    const struct sp_reader before = *reader;
    const struct sp_start start = {SPATE_START_OFFSET, (int64_t)offset, before.discard_before};

    sp_reader_open_ring(reader);
    if (sp_consumer_place_in_ring(consumer, lane, &start) == 0)
        return true;
    sp_reader_leave(reader);
    const uint32_t active = reader->active;
    *reader = before;
    reader->active = active;
    return false;
}

int sp_lane_poll_log(struct spate_consumer *consumer, struct sp_consumer_lane *lane, struct spate_record *records, uint32_t count)
{
    struct sp_reader *reader = &lane->reader;

    for (;;) {
        if (reader->next.position < reader->memory_end) {
            const int got = sp_reader_poll_memory(reader, records, count);
            if (got < 0)
                return step_over_rest(consumer, lane);
            if (got > 0)
                return got;
        }
        const uint64_t offset = reader->next.offset;
        if (is_exact(lane) && enter_ring(lane, false))
            return 0;
        const int error = sp_log_next(lane->log, end_of(consumer, lane));
        if (error == 0) {
            enter_block(lane, offset);
            continue;
        }
        if (error == -EBADMSG) {
            const uint64_t next = lane->log->lost_next, start = sp_log_start(ring_of(lane));
            stand_before(lane, next);
            lane->touched = true;
            return sp_consumer_report_gap(consumer, lane, next <= start ? SPATE_LOST_DELETED : SPATE_LOST_DAMAGED, offset, next);
        }
        if (error != -ENODATA)
            return error;
        if (is_exact(lane) ? enter_ring(lane, true) : enter_at(consumer, lane, offset))
            lane->in_log = false;
        else /* nothing will come to the watermark any more: E11 owner */
            lane->deleted = atomic_load_explicit(&ring_of(lane)->header->state, memory_order_acquire) != SP_STATE_LIVE;
        return 0;
    }
}
