/* sim_world.c: the host of a simulation: its ring and producers, the daemon's life, crashes, and the checks after each step; see
 * sim_world.h. One thread; everything follows from the seed. */
#include "sim_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/crc32c.h"
#include "spill/clean.h"

uint64_t world_below(struct world *world, uint64_t limit)
{
    return static_ring_random(&world->random) % limit;
}

void world_violate(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->is_over)
        return;
    world->is_over = true;
    world->figures->violations++;
    va_start(arguments, format);
    vsnprintf(world->violation, sizeof world->violation, format, arguments);
    va_end(arguments);
    if (!world->is_quiet)
        printf("violation: seed %" PRIu64 ", after %.3f s and %" PRIu64 " operations: %s\n", world->seed,
               (double)(world->disk->now - world->began) / 1e9, world->disk->operations, world->violation);
    if (getenv("SPATE_SIM_VERBOSE"))
        sim_disk_print(world->disk);
    fflush(stdout);
}

/* ----------------------------------------------------------------------------------------------------- what a daemon has */

static void host_repair(void *context)
{
    struct world *world = context;
    struct sp_repair_result result;
    sp_ring_repair(&world->ring.ring, static_ring_liveness(&world->ring), &result);
}

static bool host_alive(void *context, uint64_t owner)
{
    struct world *world = context;
    const struct sp_liveness liveness = static_ring_liveness(&world->ring);
    return liveness.alive(liveness.context, owner);
}

static void host_wake(void *context, bool is_durable)
{
    (void)context;
    (void)is_durable;
}

__attribute__((format(printf, 2, 3))) static void tell(const struct world *world, const char *format, ...)
{
    va_list arguments;

    if (!getenv("SPATE_SIM_VERBOSE"))
        return;
    printf("%12.6f ", (double)(world->disk->now - world->began) / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static void host_say(void *context, bool is_error, const char *text)
{
    struct world *world = context;
    (void)is_error;
    tell(world, "%s", text);
}

/* ----------------------------------------------------------------------------------------------------------- the topic */

static uint64_t one_of(struct world *world, const uint64_t *values, uint32_t count)
{
    return values[world_below(world, count)];
}

static void choose_topic(struct world *world)
{
    static const uint64_t segments[] = {32 << 10, 64 << 10, 64 << 10, 128 << 10, 256 << 10};
    static const uint64_t buffers[] = {8 << 10, 16 << 10, 32 << 10, 64 << 10};
    struct spate_topic_info *info = &world->topic.info;

    snprintf(world->topic.directory, sizeof world->topic.directory, "t");
    snprintf(info->name, sizeof info->name, "t");
    for (size_t i = 0; i < sizeof world->topic.id; i++)
        world->topic.id[i] = (uint8_t)(world->seed >> (i % 8 * 8));
    memcpy(info->id, world->topic.id, sizeof info->id);
    info->flush = (uint32_t)world_below(world, 3);
    info->flush_interval = (int64_t)(1 + world_below(world, 20)) * SP_NS_PER_MS;
    info->compression = world_below(world, 2) ? SPATE_COMPRESSION_LZ4 : SPATE_COMPRESSION_NONE;
    info->segment_size = one_of(world, segments, 5);
    info->segment_age = world_below(world, 4) ? -1 : (int64_t)(20 + world_below(world, 200)) * SP_NS_PER_MS;
    info->retention_size = world_below(world, 2) ? -1 : (int64_t)(2 + world_below(world, 8)) * (int64_t)info->segment_size;
    info->retention_time = world_below(world, 2) ? -1 : (int64_t)world_below(world, 2 * SP_NS_PER_S);
    info->tombstone_delay = (int64_t)world_below(world, SP_NS_PER_S);
    info->cleanup = (uint32_t)world_below(world, 4);
    world->buffer_size = (uint32_t)one_of(world, buffers, 4);
    world->pool_count = (uint32_t)(2 + world_below(world, 12));
    world->ring_config = static_ring_defaults;
    world->ring_config.capacity = SPATE_RING_MIN << world_below(world, 2);
    world->ring_config.mode = world_below(world, 2) ? SPATE_MODE_CONCURRENT : SPATE_MODE_EXCLUSIVE;
    world->ring_config.unit_shift = (uint32_t)(3 + world_below(world, 3));
    world->ring_config.timestamp = world_below(world, 2) ? SPATE_TIMESTAMP_CLOCK : SPATE_TIMESTAMP_NONE;
    world->ring_config.is_durable = true;
    world->producers_count = world->ring_config.mode == SPATE_MODE_EXCLUSIVE ? 1 : WORLD_PRODUCERS;
    world->value_max = (uint32_t)(world_below(world, 4) ? 600 : sp_ring_record_size_max(world->ring_config.capacity) - 400);
    world->ring_config.producers_max = 6;
    info->timestamp = world->ring_config.timestamp;
    info->mode = world->ring_config.mode;
}

static void open_ring(struct world *world, struct sp_place begin)
{
    world->ring_config.salt = static_ring_random(&world->random) | (uint64_t)1 << 63;
    world->ring_config.begin = begin;
    static_ring_open(&world->ring, &world->ring_config);
    world->has_ring = true;
    world->has_failed = false;
    memset(world->producers, 0, sizeof world->producers);
    world->written = world->durable = begin.offset;
}

void world_open(struct world *world, uint64_t seed, struct world_figures *figures)
{
    *world = (struct world){.seed = seed, .random = seed * 2 + 1, .figures = figures};
    choose_topic(world);
    world->disk = sim_disk_new(seed, world_below(world, 2));
    world->began = world->disk->now;
    world->host = (struct writer_host){host_repair, host_alive, host_wake, host_say, world, 0};
    open_ring(world, (struct sp_place){0, 0});
    world->host.owner = static_ring_join(&world->ring);
    figures->seeds++;
}

static void count_disk(struct world *world, const struct sim_disk *disk)
{
    world->figures->operations += disk->operations;
    for (int i = 0; i < SIM_KINDS; i++)
        world->figures->failed[i] += disk->failed[i];
    world->figures->short_writes += disk->short_count;
    world->figures->misdirected += disk->misdirected_count;
    world->figures->no_room += disk->no_room_count;
}

void world_close(struct world *world)
{
    if (world->is_open)
        world_kill(world);
    world->figures->simulated += world->disk->now - world->began;
    count_disk(world, world->disk);
    sim_disk_free(world->disk);
    if (world->has_ring)
        static_ring_close(&world->ring);
    free(world->records);
}

/* ----------------------------------------------------------------------------------------------------------- producers */

static void fill(uint8_t *to, uint32_t size, uint64_t id, bool is_noise)
{
    for (uint32_t i = 0; i < size; i++)
        to[i] = (uint8_t)(i < 8 ? id >> (8 * i) : is_noise ? static_ring_random(&id) : i / 16);
}

static struct world_record *record_at(struct world *world, uint64_t offset)
{
    if (offset >= world->room) {
        const uint64_t room = world->room ? 2 * world->room : 1024;
        world->records = realloc(world->records, room * sizeof *world->records);
        if (!world->records)
            abort();
        world->room = room;
    }
    return &world->records[offset];
}

static struct world_producer *attach(struct world *world)
{
    struct world_producer *producer = &world->producers[world_below(world, world->producers_count)];

    if (producer->is_attached || !world->has_ring)
        return producer->has_claim || !world->has_ring ? NULL : producer;
    bool has_slot = false;
    for (uint32_t i = 0; i < (world->producers_count == 1 ? 1 : world->ring.ring.producers_max); i++)
        has_slot |= atomic_load(&world->ring.ring.producers[i].owner) == 0;
    if (!has_slot)
        host_repair(world);
    (void)static_ring_attach_writer(&world->ring, &producer->writer);
    producer->is_attached = true;
    return producer;
}

/* Claim and fill one record, larger ones sometimes, with a key sometimes, a tombstone sometimes. */
static int claim(struct world *world, struct world_producer *producer)
{
    static uint8_t value[64 << 10], key[64];
    struct sp_ring *ring = &world->ring.ring;
    const bool has_timestamp = world->ring_config.timestamp != SPATE_TIMESTAMP_NONE;
    struct spate_record record = {.value = value};
    struct sp_record_shape shape;
    struct sp_place place;

    record.value_size = (uint32_t)world_below(world, world_below(world, 8) ? 200 : world->value_max);
    if (world_below(world, 3) == 0 || world->topic.info.cleanup & SPATE_CLEANUP_COMPACT) {
        record.key = key;
        record.key_size = (uint32_t)world_below(world, world->topic.info.cleanup & SPATE_CLEANUP_COMPACT ? 4 : 40);
    }
    const bool is_null = record.key && world_below(world, 4) == 0;
    if (is_null) {
        record.value = NULL;
        record.value_size = 0;
    }
    if (sp_record_plan(&record, has_timestamp, is_null, 1u << ring->unit_shift, UINT32_MAX, &shape) != 0)
        abort();
    const int error = sp_writer_claim(&producer->writer, shape.size, 1, &place);
    if (error)
        return error;
    if (place.offset != world->count)
        world_violate(world, "offset %" PRIu64 " was claimed, %" PRIu64 " is next", place.offset, world->count);
    if ((int64_t)(place.position + shape.size - ring->capacity - sp_log_place(ring, SP_LOG_WRITTEN).position) > 0)
        world_violate(world, "offset %" PRIu64 " overwrites what is not in the log", place.offset);
    fill(value, record.value_size, place.offset << 20 ^ static_ring_random(&world->random), world_below(world, 2));
    const uint64_t key_id = world_below(world, 16);
    fill(key, record.key_size, key_id, false);
    uint8_t *at = sp_record_encode(ring->data + (place.position & ring->mask), &record, &shape, world->disk->now);
    if (record.value_size)
        memcpy(at, value, record.value_size);
    *record_at(world, place.offset) = (struct world_record){
        .position = place.position,
        .size = (uint32_t)shape.size,
        .kind = RECORD_CLAIMED,
        .key = record.key == NULL ? 0 : 1 + record.key_size * 16 + (record.key_size ? (uint32_t)key_id : 0),
        .is_null = is_null,
    };
    producer->has_claim = true;
    producer->claimed = place.offset;
    world->count = place.offset + 1;
    return 0;
}

void world_end_claim(struct world *world, struct world_producer *producer, bool is_commit)
{
    struct world_record *record = &world->records[producer->claimed];
    const struct sp_ring *ring = &world->ring.ring;

    producer->has_claim = false;
    if (is_commit) {
        (void)sp_writer_commit(&producer->writer);
        record->kind = RECORD_DATA;
        record->crc = sp_crc32c(0, ring->data + (record->position & ring->mask), record->size);
        world->figures->records++;
        world->figures->bytes += record->size;
        return;
    }
    (void)sp_writer_abort(&producer->writer);
    record->kind = RECORD_ABORTED;
    world->count -= world->ring_config.mode == SPATE_MODE_EXCLUSIVE;
}

int world_claim(struct world *world)
{
    struct world_producer *producer = attach(world);
    return producer ? claim(world, producer) : -EAGAIN;
}

int world_publish(struct world *world)
{
    struct world_producer *producer = attach(world);
    const int error = producer ? claim(world, producer) : -EAGAIN;

    if (!error)
        world_end_claim(world, producer, world_below(world, 24) != 0);
    return error;
}

void world_kill_producer(struct world *world)
{
    struct world_producer *producer = &world->producers[world_below(world, world->producers_count)];

    if (!producer->is_attached || !world->has_ring)
        return;
    static_ring_kill_writer(&world->ring, &producer->writer);
    if (producer->has_claim) {
        world->records[producer->claimed].kind = RECORD_ABORTED;
        world->count -= world->ring_config.mode == SPATE_MODE_EXCLUSIVE;
    }
    *producer = (struct world_producer){0};
    if (world->ring_config.mode == SPATE_MODE_EXCLUSIVE) /* its slot is taken over by the next */
        host_repair(world);
}

/* --------------------------------------------------------------------------------------------------------------- checks */

static void check_place(struct world *world, struct sp_place place, const char *what)
{
    if (place.offset > world->count)
        world_violate(world, "%s is at offset %" PRIu64 ", and %" PRIu64 " records were claimed", what, place.offset, world->count);
    else if (place.offset < world->count && world->records[place.offset].position != place.position && place.offset >= world->first)
        world_violate(world, "%s is at offset %" PRIu64 " and position %" PRIu64 ", which is not its", what, place.offset,
                      place.position);
}

static void check_failed(struct world *world, struct sp_place written, struct sp_place durable)
{
    if (!world->has_failed) {
        world->has_failed = true;
        world->figures->failures++;
        uint64_t failed = 0;
        for (int i = 0; i < SIM_KINDS; i++)
            failed += world->disk->failed[i];
        if (failed == 0 && !world->may_lose)
            world_violate(world, "the log has failed, and nothing else has");
        world->failed_written = written;
        world->failed_durable = durable;
    }
    if (written.offset != world->failed_written.offset || durable.offset != world->failed_durable.offset)
        world_violate(world, "a log that has failed goes on");
}

static void check(struct world *world)
{
    const struct sp_ring *ring = &world->ring.ring;
    const struct sp_place written = sp_log_place(ring, SP_LOG_WRITTEN), durable = sp_log_place(ring, SP_LOG_DURABLE);
    int error;

    if (world->disk->violation[0])
        world_violate(world, "%s", world->disk->violation);
    check_place(world, written, "written");
    check_place(world, durable, "durable");
    if (durable.offset > written.offset || written.offset > world->writer.gathered.offset)
        world_violate(world, "durable %" PRIu64 ", written %" PRIu64 ", gathered %" PRIu64, durable.offset, written.offset,
                      world->writer.gathered.offset);
    if (written.offset < world->written || durable.offset < world->durable)
        world_violate(world, "a watermark went back: written %" PRIu64 " to %" PRIu64 ", durable %" PRIu64 " to %" PRIu64,
                      world->written, written.offset, world->durable, durable.offset);
    for (uint64_t i = world->written; i < written.offset && i < world->count; i++)
        if (world->records[i].kind == RECORD_CLAIMED)
            world_violate(world, "offset %" PRIu64 " is in the log and was not committed", i);
    world->written = written.offset;
    world->durable = durable.offset;
    if (durable.offset > world->acknowledged)
        world->acknowledged = durable.offset;
    const enum sp_log_state state = sp_log_state(ring, &error);
    if (world->is_open && (state != world->writer.state || (state == SP_LOG_OPEN) != (error == 0)))
        world_violate(world, "the ring says state %d with error %d, the writer is in state %d", (int)state, error,
                      (int)world->writer.state);
    world->figures->full += state == SP_LOG_FULL;
    if (state == SP_LOG_FAILED && world->is_open)
        check_failed(world, written, durable);
}

/* ------------------------------------------------------------------------------------------------------- the daemon's life */

/* A watermark that was moved over records that are said to be lost. */
static uint64_t without_lost(const struct world *world, uint64_t offset)
{
    while (offset > 0 && world->records[offset - 1].is_lost)
        offset--;
    return offset;
}

/* What was found must be all that was acknowledged, and nothing else. */
static void check_recovery(struct world *world, const struct recovery *recovery, bool is_host_new, const char *when)
{
    const struct sp_place next = recovery->end.next;

    if (next.offset > world->count) {
        world_violate(world, "%s: recovery found %" PRIu64 " records, of %" PRIu64, when, next.offset, world->count);
        return;
    }
    /* behind a hole that was compacted the log says where in the ring the hole began; a ring that is there knows better (recover_fit) */
    const bool is_behind_hole = next.offset > 0 && world->records[next.offset - 1].is_lost;
    if (next.offset >= world->first && !is_behind_hole)
        check_place(world, next, when);
    for (uint64_t i = world->first; i < next.offset; i++)
        if (world->records[i].kind == RECORD_CLAIMED)
            world_violate(world, "%s: offset %" PRIu64 " was recovered and was never committed", when, i);
    if (world->may_lose)
        return;
    const uint64_t durable = without_lost(world, world->acknowledged), written = without_lost(world, world->written);
    if (next.offset < durable)
        world_violate(world, "%s: recovery ends at offset %" PRIu64 ", and %" PRIu64 " were durable", when, next.offset, durable);
    if (!is_host_new && !world->has_flush_failed && next.offset < written)
        world_violate(world, "%s: recovery ends at offset %" PRIu64 ", and %" PRIu64 " were written", when, next.offset, written);
    if (recovery->is_short && world->first < next.offset) /* all of it may have been deleted */
        world_violate(world, "%s: recovery says that durable records are missing, and none is", when);
}

static uint64_t flushes_failed(const struct sim_disk *disk)
{
    return disk->failed[SIM_FLUSH] + disk->failed[SIM_SYNC];
}

static int recover(struct world *world, struct sim_disk *disk, struct recovery *ret)
{
    const uint32_t files = sim_disk_files(disk);
    const uint64_t flushes = flushes_failed(disk);
    const int error = recover_partition(&disk->io, &world->topic, 0, host_say, world, ret);
    if (sim_disk_files(disk) != files)
        world_violate(world, "recovery left a file open (it returned %d)", error);
    tell(world, "%srecovery: %d, offset %" PRIu64, disk == world->disk ? "" : "    ", error, ret->end.next.offset);
    world->has_flush_failed |= disk == world->disk && flushes_failed(disk) != flushes;
    return error;
}

int world_start(struct world *world)
{
    struct recovery recovery;
    const bool is_host_new = !world->has_ring;

    int error = recover(world, world->disk, &recovery);
    if (error || world->is_over)
        return error ? error : -EIO;
    if (is_host_new) {
        check_recovery(world, &recovery, true, "after a crash");
        if (world->is_over)
            return -EIO;
        world->count = recovery.end.next.offset;
        world->acknowledged = sp_min(world->acknowledged, world->count);
        open_ring(world, recovery.end.next);
    } else if (!(recovery.is_new && world->acknowledged <= world->first)) {
        check_recovery(world, &recovery, false, "after a restart");
    }
    world_verify(world, world->disk, recovery.end.next.offset, "after recovery");
    const uint64_t found = recovery.end.next.offset;
    error = recover_fit(&world->disk->io, &world->ring.ring, &world->topic, 0, host_say, world, &recovery);
    check_place(world, recovery.end.next, "fitted to the ring");
    for (uint64_t i = found; i < recovery.end.next.offset && world->has_flush_failed && !recovery.is_new; i++)
        world->records[i].is_lost = true; /* written, not durable, and the flush failed: it was said */
    if (error)
        return error;
    if (recovery.is_new && world->may_lose)
        world->first = recovery.end.next.offset;
    if (world->may_lose || world->has_flush_failed) /* written again from the ring */
        world->written = sp_min(world->written, recovery.end.next.offset);
    if (world->may_lose)
        world->durable = sp_min(world->durable, recovery.end.next.offset);
    world->has_failed = false;
    if (spill_pool_open(&world->pool, world->pool_count, world->buffer_size) != 0)
        abort();
    world->host.owner = static_ring_join(&world->ring);
    error = writer_open(&world->writer, &world->disk->io, &world->pool, &world->ring.ring, &world->topic, 0, &world->host,
                        recovery.end, recovery.start_offset, recovery.sequence);
    if (error) {
        spill_pool_close(&world->pool);
        if (sim_disk_files(world->disk))
            world_violate(world, "a writer that could not be opened left a file open");
        return error;
    }
    world->is_open = true;
    world->start = world->tried = 0;
    world->recovered = recovery.end.next.offset;
    world->figures->restarts++;
    world->has_flush_failed = false;
    check(world);
    return 0;
}

static void step(struct world *world, int64_t end)
{
    struct sim_disk *disk = world->disk;
    const int64_t now = disk->io.f->monotonic(&disk->io);
    const uint64_t flushes = flushes_failed(disk);
    if (world->start > world->writer.start_offset) /* as a worker does */
        writer_set_start(&world->writer, world->start);
    int64_t due = writer_step(&world->writer, now);

    check(world);
    if (due > now + SP_NS_PER_MS) /* as a worker dozes */
        due = now + SP_NS_PER_MS;
    due = due < end ? due : end;
    disk->io.f->wait(&disk->io, due > disk->now ? due - disk->now : 0);
    world->has_flush_failed |= flushes != flushes_failed(disk);
    if (world->meddle)
        world->meddle(world);
    check(world);
}

void world_run(struct world *world, int64_t ns)
{
    const int64_t end = world->disk->now + ns;

    while (world->disk->now < end && !world->is_over) {
        if (world->is_open)
            step(world, end);
        else
            world->disk->io.f->wait(&world->disk->io, end - world->disk->now);
    }
}

/* The writer's memory goes, its files too, and nothing of that touches the disk or the ring. */
static void drop_daemon(struct world *world)
{
    const struct sp_log_words *log = &world->ring.header->log;
    const uint32_t state = atomic_load(&log->state), error = atomic_load(&log->error);

    world->disk->is_dead = true;
    writer_close(&world->writer);
    world->disk->is_dead = false;
    sp_log_state_set(&world->ring.ring, world->host.owner, (enum sp_log_state)state, (int)error);
    static_ring_kill(&world->ring, world->host.owner);
    world->figures->blocks += world->writer.blocks;
    spill_pool_close(&world->pool);
    world->is_open = false;
    if (sim_disk_files(world->disk))
        world_violate(world, "a writer that was closed left a file open");
}

static void set_start(void *context, uint64_t offset)
{
    struct world *world = context;

    if (offset > world->durable)
        world_violate(world, "the log is to begin at offset %" PRIu64 ", and %" PRIu64 " are durable", offset, world->durable);
    world->start = offset;
    world->first = sp_max(world->first, offset);
    sp_log_start_set(&world->ring.ring, offset);
}

void world_clean(struct world *world, uint64_t wanted_start)
{
    const struct clean job = {.io = &world->disk->io,
                              .topic = &world->topic,
                              .recovered = world->recovered,
                              .keys_memory = 64 << 10,
                              .tried = &world->tried,
                              .say = host_say,
                              .set_start = set_start,
                              .context = world};
    const uint32_t files = sim_disk_files(world->disk);
    struct clean_result result;

    const int error = clean_partition(&job, sp_log_start(&world->ring.ring), wanted_start, world->durable, &result);
    tell(world, "cleaned: %d, %" PRIu64 " segments deleted, %" PRIu64 " compacted, %" PRIu64 " records superseded", error,
         result.segments, result.compacted, result.records_removed);
    if (sim_disk_files(world->disk) != files)
        world_violate(world, "the cleaner left a file open");
    world->figures->deleted += result.segments;
    world->figures->compacted += result.compacted;
    world->figures->superseded += result.records_removed;
}

void world_kill(struct world *world)
{
    if (!world->is_open)
        return;
    tell(world, "killed");
    const uint64_t flushes = flushes_failed(world->disk);
    sim_disk_settle(world->disk);
    world->has_flush_failed |= flushes != flushes_failed(world->disk);
    drop_daemon(world);
    world->figures->kills++;
}

bool world_stop(struct world *world)
{
    const int64_t limit = world->disk->now + 4 * SP_NS_PER_S;

    if (!world->is_open)
        return true;
    writer_finish(&world->writer);
    while (!writer_is_finished(&world->writer) && world->disk->now < limit && !world->is_over)
        step(world, limit);
    if (!writer_is_finished(&world->writer)) {
        world_kill(world);
        return false;
    }
    const bool has_failed = world->writer.state == SP_LOG_FAILED || world->writer.state == SP_LOG_FULL; /* it says so, and ends */
    tell(world, "stopped");
    writer_close(&world->writer);
    static_ring_kill(&world->ring, world->host.owner);
    world->figures->blocks += world->writer.blocks;
    world->is_open = false;
    world->figures->stops++;
    if (world->pool.free_count != world->pool.count)
        world_violate(world, "a writer that was closed kept %u buffers", world->pool.count - world->pool.free_count);
    spill_pool_close(&world->pool);
    if (sim_disk_files(world->disk))
        world_violate(world, "a writer that was closed left a file open");
    if (!has_failed && world->written != world->durable)
        world_violate(world, "stopped in good order, and not all is durable");
    return true;
}

void world_crash(struct world *world, struct sim_crash crash)
{
    struct sim_disk *before = world->disk, *after = sim_disk_image(before, crash);

    tell(world, "crash %d", (int)crash.mode);
    if (world->is_open)
        drop_daemon(world);
    after->lie = before->lie;
    after->is_sparse = before->is_sparse;
    memcpy(after->faults, before->faults, sizeof after->faults);
    memcpy(after->calls, before->calls, sizeof after->calls);
    after->quota = before->quota;
    after->short_writes = before->short_writes;
    after->short_grain = before->short_grain;
    after->misdirected = before->misdirected;
    after->delay_max = before->delay_max;
    after->on_operation = before->on_operation;
    after->context = before->context;
    count_disk(world, before);
    sim_disk_free(before);
    world->disk = after;
    if (world->has_ring)
        static_ring_close(&world->ring);
    world->has_ring = false;
    memset(world->producers, 0, sizeof world->producers);
    world->has_flush_failed = false;
    world->figures->crashes++;
}

/* ---------------------------------------------------------------------------------------------------------------- probes */

void world_probe(struct world *world, struct sim_crash crash, uint64_t recover_at)
{
    struct sim_disk *image = sim_disk_image(world->disk, crash);
    struct recovery recovery, again;

    if (getenv("SPATE_SIM_VERBOSE"))
        sim_disk_print(image);
    image->lie = world->disk->lie == SIM_LIE_CHECKSUM ? SIM_LIE_CHECKSUM : SIM_HONEST;
    world->figures->images++;
    if (recover_at) {
        image->dead_at = recover_at;
        (void)recover(world, image, &recovery);
        world->figures->recoveries_crashed += image->is_dead;
        image->is_dead = false;
        image->dead_at = 0;
        struct sim_disk *second = sim_disk_image(image, (struct sim_crash){SIM_CRASH_RANDOM, 0, crash.seed + recover_at});
        second->lie = image->lie;
        sim_disk_free(image);
        image = second;
        if (getenv("SPATE_SIM_VERBOSE"))
            sim_disk_print(image);
    }
    int error = recover(world, image, &recovery);
    if (error) {
        world_violate(world, "recovery of a sound disk says %s", strerror(-error));
    } else if (!world->is_over) {
        if (!recovery.is_new || world->acknowledged > world->first)
            check_recovery(world, &recovery, true, "on an image of the disk");
        world_verify(world, image, recovery.end.next.offset, "on an image of the disk");
        error = recover(world, image, &again);
        if (error || again.end.next.offset != recovery.end.next.offset || again.dropped)
            world_violate(world, "recovered again, the log ends at offset %" PRIu64 ", not %" PRIu64, again.end.next.offset,
                          recovery.end.next.offset);
        else
            world_verify(world, image, again.end.next.offset, "recovered again");
    }
    world->figures->operations += image->operations;
    sim_disk_free(image);
}

void world_drain(struct world *world)
{
    sim_disk_heal(world->disk);
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++)
        if (world->producers[i].has_claim)
            world_end_claim(world, &world->producers[i], true);
    for (int tries = 0; tries < 3 && !world->is_over; tries++) {
        if (world->is_open && world->writer.state == SP_LOG_FAILED)
            (void)world_stop(world);
        const int error = world->is_open ? 0 : world_start(world);
        if (error == -EBADMSG && world->may_lose) /* a version was damaged, and nobody dares to touch that */
            return;
        if (error && !world->is_over)
            world_violate(world, "a sound disk, and the log does not open: %s", strerror(-error));
        if (world->is_over)
            return;
        sp_log_want(&world->ring.ring, SP_LOG_DURABLE, world->count);
        const int64_t limit = world->disk->now + 5 * SP_NS_PER_S;
        while (world->durable < world->count && world->disk->now < limit && !world->is_over)
            world_run(world, SP_NS_PER_MS);
        if (world->durable == world->count)
            return;
    }
    if (!world->is_over)
        world_violate(world, "nothing is wrong any more, and the log stays at offset %" PRIu64 " of %" PRIu64, world->durable,
                      world->count);
}

void world_print(const char *name, const struct world_figures *figures)
{
    uint64_t failed = 0;

    for (int i = 0; i < SIM_KINDS; i++)
        failed += figures->failed[i];
    printf("%s: %" PRIu64 " seeds, %.1f simulated s, %" PRIu64 " operations, %" PRIu64 " records, %" PRIu64 " blocks, %" PRIu64
           " crashes, %" PRIu64 " kills, %" PRIu64 " stops, %" PRIu64 " starts, %" PRIu64 " disk images, %" PRIu64
           " recoveries cut short, %" PRIu64 " segments deleted, %" PRIu64 " compacted, %" PRIu64
           " records superseded; faults: %" PRIu64 " errors (",
           name, figures->seeds, (double)figures->simulated / 1e9, figures->operations, figures->records, figures->blocks,
           figures->crashes, figures->kills, figures->stops, figures->restarts, figures->images, figures->recoveries_crashed,
           figures->deleted, figures->compacted, figures->superseded, failed);
    for (int i = 0; i < SIM_KINDS; i++)
        printf("%s%s %" PRIu64, i ? ", " : "", sim_kind_names[i], figures->failed[i]);
    printf("), %" PRIu64 " without room, %" PRIu64 " short, %" PRIu64 " misdirected, %" PRIu64 " bit flips, %" PRIu64
           " removals; %" PRIu64 " partitions failed; violations %" PRIu64 "\n",
           figures->no_room, figures->short_writes, figures->misdirected, figures->flips, figures->removals, figures->failures,
           figures->violations);
    fflush(stdout);
}
