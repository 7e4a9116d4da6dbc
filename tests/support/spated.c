/* spated.c: see spated.h: starting and ending the daemon, and topics that are filled by a rule.
 *
 * Nothing here decides by time. */
#include "spated.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

const struct source_kind source_kinds[SOURCE_KINDS] = {
    {.name = "ring", .policy = SPATE_POLICY_GATE, .ring_capacity = 8 << 20},
    {.name = "log", .is_durable = true, .is_closed = true, .policy = SPATE_POLICY_AUTO, .ring_capacity = 64 << 10},
    {.name = "log, lz4",
     .is_durable = true,
     .is_closed = true,
     .compression = SPATE_COMPRESSION_LZ4,
     .policy = SPATE_POLICY_AUTO,
     .ring_capacity = 64 << 10},
    {.name = "log and ring", .is_durable = true, .policy = SPATE_POLICY_AUTO, .ring_capacity = 64 << 10},
    {.name = "log and ring, gate", .is_durable = true, .policy = SPATE_POLICY_GATE, .ring_capacity = 64 << 10},
    {.name = "log and ring, lz4",
     .is_durable = true,
     .compression = SPATE_COMPRESSION_LZ4,
     .policy = SPATE_POLICY_SPILL,
     .ring_capacity = 64 << 10},
};

/* ---------------------------------------------------------------------------------------------------------- the daemon */

const char *spated_log_dir(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/log", proc_root());
    return path;
}

struct paths {
    char program[512], config[128], messages[128];
};

static int become_spated(void *argument)
{
    const struct paths *paths = argument;
    const int messages = open(paths->messages, O_WRONLY | O_CREAT | O_APPEND, 0644);

    if (messages < 0 || dup2(messages, STDERR_FILENO) < 0 || setenv("SPATE_BUS", proc_bus_path(), 1) < 0)
        return 126;
    execl(paths->program, paths->program, "--config", paths->config, "--log-dir", spated_log_dir(), (char *)NULL);
    dprintf(STDERR_FILENO, "%s: %s\n", paths->program, strerror(errno));
    return 127;
}

static pid_t latest; /* the one that was started last */

pid_t spated_start(void)
{
    static struct paths paths;
    const char *build = getenv("SPATE_BUILD");

    CHECKF(build != NULL, "SPATE_BUILD is not set: run this by ctest");
    snprintf(paths.program, sizeof paths.program, "%s/bin/spated", build);
    snprintf(paths.config, sizeof paths.config, "%s/config", proc_root());
    snprintf(paths.messages, sizeof paths.messages, "%s/messages", proc_root());
    FILE *config = fopen(paths.config, "w");
    CHECK(config != NULL && fputs("[log]\nscan_interval = 10ms\n", config) >= 0 && fclose(config) == 0);
    return latest = proc_start(become_spated, &paths);
}

/* What it said, for whoever wants to know why it ended. */
static void show_messages(void)
{
    char path[128], line[1024];
    snprintf(path, sizeof path, "%s/messages", proc_root());
    FILE *messages = fopen(path, "r");
    while (messages && fgets(line, sizeof line, messages))
        print_error("%s", line);
    if (messages)
        fclose(messages);
}

void spated_stop(pid_t pid)
{
    kill(pid, SIGTERM);
    const int status = proc_wait(pid);
    if (status != 0)
        show_messages();
    IS(status, 0);
}

void spated_kill(pid_t pid)
{
    if (!proc_is_running(pid))
        show_messages();
    proc_kill(pid);
}

void spated_await(spate_topic *topic)
{
    struct spate_topic_info info;
    struct spate_watermarks marks;
    const int64_t deadline = proc_now() + PROC_PATIENCE;

    OK(spate_topic_describe(topic, &info));
    for (uint32_t i = 0; i < info.partitions; i++) {
        for (;;) {
            OK(spate_topic_watermarks(topic, (int32_t)i, &marks));
            if (marks.state == SPATE_LOG_OPEN)
                break;
            if (proc_now() > deadline || !proc_is_running(latest)) {
                show_messages();
                CHECKF(false, "the log of partition %u is not written: state %u", i, marks.state);
            }
            proc_nap(PROC_MS);
        }
    }
}

void spated_settle(spate_topic *topic, spate_producer *producer, uint32_t watermark)
{
    struct spate_topic_info info;
    struct spate_watermarks marks;

    OK(spate_wait(producer, SPATE_ANY, 0, watermark, PROC_PATIENCE));
    OK(spate_topic_describe(topic, &info));
    for (uint32_t i = 0; i < info.partitions; i++) {
        OK(spate_topic_watermarks(topic, (int32_t)i, &marks));
        CHECK(marks.written == marks.published);
    }
}

struct spate_topic_config spated_config(uint32_t partitions, uint64_t ring_capacity, uint32_t compression)
{
    struct spate_topic_config config = proc_config(partitions, ring_capacity, SPATE_MODE_CONCURRENT);
    config.timestamp = SPATE_TIMESTAMP_CALLER;
    config.durable = 1;
    config.compression = compression;
    config.segment_size = SPATE_SEGMENT_MIN;
    return config;
}

/* ------------------------------------------------------------------------------------------------------------- sources */

void source_open(struct source *source, const struct source_kind *kind, uint32_t partitions, uint64_t ring_capacity_min)
{
    const uint64_t ring_capacity = kind->ring_capacity > ring_capacity_min ? kind->ring_capacity : ring_capacity_min;
    struct spate_topic_config config = spated_config(partitions, ring_capacity, kind->compression);

    *source = (struct source){.kind = kind, .partitions = partitions, .bus = proc_open()};
    if (!kind->is_durable) {
        config = proc_config(partitions, ring_capacity, SPATE_MODE_CONCURRENT);
        config.timestamp = SPATE_TIMESTAMP_CALLER;
    }
    OK(spate_topic_create(source->bus, "source", &config));
    source->written = source->topic = proc_topic(source->bus, "source");
    source->producer = proc_producer(source->written);
    if (kind->is_durable) {
        source->spated = spated_start();
        spated_await(source->written);
    }
}

void source_ready(struct source *source)
{
    struct spate_bus_options options;

    if (source->kind->is_durable)
        spated_settle(source->written, source->producer, SPATE_WATERMARK_WRITTEN);
    if (!source->kind->is_closed || source->log_bus)
        return;
    spated_stop(source->spated);
    source->spated = 0;
    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    OK(spate_bus_open(spated_log_dir(), &options, &source->log_bus));
    source->topic = proc_topic(source->log_bus, "source");
}

void source_close(struct source *source)
{
    spate_producer_close(source->producer);
    if (source->log_bus) {
        spate_topic_close(source->topic);
        spate_bus_close(source->log_bus);
    }
    spate_topic_close(source->written);
    spate_bus_close(source->bus);
    if (source->spated)
        spated_stop(source->spated);
}

spate_consumer *source_consumer(const struct source *source, uint32_t start, int64_t value)
{
    return proc_consumer(source->topic, source->kind->policy, start, value);
}

/* ------------------------------------------------------------------------------------------------------------- records */

/* Some claims are given up: single ones, and a whole batch now and then. */
static bool is_hole(uint64_t offset)
{
    return offset % 19 == 7 || (offset % 300 >= 200 && offset % 300 < 205);
}

bool source_record(int32_t partition, uint64_t offset, struct source_room *room, struct spate_record *ret)
{
    const uint32_t kind = (uint32_t)(offset * 2654435761u >> 7);
    const uint32_t size = offset % 13 < 7 ? 40 : offset % 97 == 3 ? SOURCE_VALUE_MAX : kind % 700;

    *ret = (struct spate_record){.partition = partition, .timestamp = 10 * (int64_t)offset};
    if (offset % 13 >= 7) {
        ret->key_size = (uint32_t)snprintf(room->key, sizeof room->key, "key-%llu", (unsigned long long)kind % 50);
        ret->key = kind % 5 == 0 ? NULL : room->key;
        ret->key_size = kind % 5 == 0 || kind % 7 == 0 ? 0 : ret->key_size; /* null, empty, or some */
        ret->headers_count = kind % 3;
    }
    if (ret->headers_count) {
        room->headers[0] = (struct spate_header){.name = "name", .name_size = 4, .value = room->key, .value_size = 3};
        room->headers[1] = (struct spate_header){.name = "null", .name_size = 4};
        ret->headers = room->headers;
    }
    for (uint32_t i = 0; i < size; i++)
        room->value[i] = (uint8_t)(i < 8 ? offset >> (8 * i) : (uint64_t)partition * 31 + offset + i / 32);
    ret->value = offset % 13 == 9 ? NULL : room->value; /* a tombstone */
    ret->value_size = offset % 13 == 9 || offset % 13 == 11 ? 0 : size;
    return !is_hole(offset);
}

static void publish_one(struct source *source, int32_t partition, uint64_t offset)
{
    struct source_room room;
    struct spate_record record;
    struct spate_claim claim;
    int64_t got = -1;
    int error;

    if (source_record(partition, offset, &room, &record)) {
        OK(spate_publish(source->producer, &record, PROC_PATIENCE, &got));
        IS(got, offset);
        return;
    }
    if (!record.value)
        record.value = room.value; /* what is claimed has one */
    while ((error = spate_claim(source->producer, &record, &claim)) == -EAGAIN)
        OK(spate_producer_wait(source->producer, PROC_PATIENCE));
    OK(error);
    IS(claim.offset, offset);
    OK(spate_abort(source->producer));
}

enum { BATCH = 6 };

/* Six at once, none of them given up. */
static void publish_batch(struct source *source, int32_t partition, uint64_t offset)
{
    static struct source_room rooms[BATCH];
    struct spate_record records[BATCH];
    int64_t got = -1;

    for (uint32_t i = 0; i < BATCH; i++)
        CHECK(source_record(partition, offset + i, &rooms[i], &records[i]));
    OK(spate_publish_batch(source->producer, records, BATCH, PROC_PATIENCE, &got));
    IS(got, offset);
}

void source_publish(struct source *source, int32_t partition, uint64_t count)
{
    uint64_t offset = source->published[partition];
    const uint64_t end = offset + count;

    while (offset < end) {
        uint32_t alike = 0;
        while (alike < BATCH && offset + alike < end && !is_hole(offset + alike))
            alike++;
        if (alike == BATCH && offset % 5 == 0) {
            publish_batch(source, partition, offset);
            offset += BATCH;
        } else {
            publish_one(source, partition, offset++);
        }
    }
    source->published[partition] = end;
}

uint64_t source_next(int32_t partition, uint64_t offset, uint64_t limit)
{
    (void)partition;
    while (offset < limit && is_hole(offset))
        offset++;
    return offset;
}

static void check_bytes(const char *what, const struct spate_record *record, const void *got, uint32_t got_size, const void *want,
                        uint32_t want_size)
{
    CHECKF((got == NULL) == (want == NULL) && got_size == want_size, "offset %lld: %s of %u bytes%s, not %u%s",
           (long long)record->offset, what, got_size, got ? "" : " (null)", want_size, want ? "" : " (null)");
    CHECKF(want_size == 0 || memcmp(got, want, want_size) == 0, "offset %lld: %s has other bytes", (long long)record->offset, what);
}

void source_check(const struct spate_record *record)
{
    struct source_room room;
    struct spate_record want;

    CHECKF(source_record(record->partition, (uint64_t)record->offset, &room, &want), "offset %lld was given up, and is read",
           (long long)record->offset);
    IS(record->timestamp, want.timestamp);
    check_bytes("the key", record, record->key, record->key_size, want.key, want.key_size);
    check_bytes("the value", record, record->value, record->value_size, want.value, want.value_size);
    IS(record->headers_count, want.headers_count);
    for (uint32_t i = 0; i < want.headers_count; i++) {
        struct spate_header header;
        OK(spate_record_header(record, i, &header));
        check_bytes("a header's name", record, header.name, header.name_size, want.headers[i].name, want.headers[i].name_size);
        check_bytes("a header", record, header.value, header.value_size, want.headers[i].value, want.headers[i].value_size);
    }
}
