/* log.c: `spate-bench log`: what the log costs and reaches, beside what the disk gives in the same round.
 *
 * A spated of its own writes to --log-dir; each case makes a topic, measures and deletes it. The producer has a processor of its own, and
 * spated the other. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <spate/inspect.h>

#include "cli/output.h"
#include "cli/parse.h"
#include "commands.h"
#include "device.h"
#include "rounds.h"
#include "sidecar.h"

#define RING ((uint64_t)64 << 20)
#define WAITERS 64

enum kind { DEVICE, DEVICE_NEW, DEVICE_FLUSHED, SPILL, CPU, PUBLISH, REPLAY_RING, FLUSH, ACKNOWLEDGE, WAITING, JOIN };

struct log_case {
    const char *name, *unit, *limit;
    double target; /* of the ratio to the limit */
    bool at_most, follows;
    enum kind kind;
    uint32_t value_size, compression, count;
    bool is_durable;
};

#define WRITES "device, 256 KiB writes"
#define NEW_FILE WRITES ", a new file"
#define FLUSHES "write and flush of 4 KiB, p50"
#define CPU_AIM "0.15 s/GB"

static const struct log_case cases[] = {
    {.name = WRITES, .unit = "bytes/s", .kind = DEVICE},
    {.name = NEW_FILE, .unit = "bytes/s", .kind = DEVICE_NEW},
    {.name = WRITES ", each flushed", .unit = "bytes/s", .kind = DEVICE_FLUSHED},
    {.name = "not durable, 64 B", .unit = "records/s", .kind = PUBLISH, .value_size = 64},
    {.name = "spill, 64 B", .unit = "bytes/s", .limit = WRITES, .target = 0.9, .kind = SPILL, .value_size = 64, .is_durable = true},
    {.name = "spill, 64 B, CPU", .unit = "s/GB", .limit = CPU_AIM, .target = 1, .at_most = true, .kind = CPU, .follows = true},
    {.name = "spill, 64 B, producer", .unit = "records/s", .limit = "not durable, 64 B", .kind = PUBLISH, .follows = true},
    {.name = "spill, 64 B, beside new files", .unit = "bytes/s", .limit = NEW_FILE, .kind = SPILL, .follows = true},
    {.name = "not durable, 1 KiB", .unit = "records/s", .kind = PUBLISH, .value_size = 1024},
    {.name = "spill, 1 KiB",
     .unit = "bytes/s",
     .limit = WRITES,
     .target = 0.9,
     .kind = SPILL,
     .value_size = 1024,
     .is_durable = true},
    {.name = "spill, 1 KiB, CPU", .unit = "s/GB", .limit = CPU_AIM, .target = 1, .at_most = true, .kind = CPU, .follows = true},
    {.name = "spill, 1 KiB, producer", .unit = "records/s", .limit = "not durable, 1 KiB", .kind = PUBLISH, .follows = true},
    {.name = "spill, 1 KiB, beside new files", .unit = "bytes/s", .limit = NEW_FILE, .kind = SPILL, .follows = true},
    {.name = "spill, 1 KiB, LZ4", .unit = "bytes/s", .kind = SPILL, .value_size = 1024, .compression = 1, .is_durable = true},
    {.name = "spill, 1 KiB, LZ4, CPU", .unit = "s/GB", .kind = CPU, .follows = true},
    {.name = "spill, 1 KiB, LZ4, producer", .unit = "records/s", .kind = PUBLISH, .follows = true},
    {.name = "read from the ring, 64 B", .unit = "records/s", .kind = REPLAY_RING, .value_size = 64, .is_durable = true},
    {.name = "read from the log, 64 B", .unit = "records/s", .limit = "read from the ring, 64 B", .target = 0.8, .follows = true},
    {.name = "read from the ring, 1 KiB", .unit = "records/s", .kind = REPLAY_RING, .value_size = 1024, .is_durable = true},
    {.name = "read from the log, 1 KiB", .unit = "records/s", .limit = "read from the ring, 1 KiB", .target = 0.8, .follows = true},
    {.name = FLUSHES, .unit = "ns", .kind = FLUSH},
    {.name = "publish to durable, p50",
     .unit = "ns",
     .limit = FLUSHES,
     .target = 2,
     .at_most = true,
     .kind = ACKNOWLEDGE,
     .count = 1},
    {.name = "durable, 1 producer waiting", .unit = "records/s", .kind = WAITING, .count = 1},
    {.name = "durable, 64 producers waiting",
     .unit = "records/s",
     .limit = "durable, 1 producer waiting",
     .target = 30,
     .kind = WAITING,
     .count = WAITERS},
    {.name = "until a consumer from the beginning has joined", .unit = "ns", .kind = JOIN, .value_size = 1024, .is_durable = true},
};
enum { CASES = sizeof cases / sizeof cases[0] };

struct log_bench {
    struct rounds rounds;
    const char *directory;
    cpu_set_t all; /* processors that we may use */
    struct sidecar sidecar;
    struct figure figures[CASES];
    double followers[3]; /* values of the cases that follow the present one */
    double limit;
    uint32_t topics; /* made so far, for their names */
};

/* ----------------------------------------------------------------------------------------------------------- producing */

struct source {
    spate_topic *topic;
    spate_producer *producer;
    uint8_t *value;
    struct spate_record record;
    int64_t offset; /* of the latest */
};

static int open_source(struct log_bench *bench, const struct log_case *each, char name[32], struct source *source)
{
    struct spate_topic_config config;

    spate_topic_config_init(&config);
    config.mode = SPATE_MODE_EXCLUSIVE;
    config.ring_capacity = RING;
    config.alignment = 16;
    config.timestamp = SPATE_TIMESTAMP_NONE;
    config.durable = each->is_durable;
    config.compression = each->compression;
    if (each->is_durable)
        config.retention_time = -1;
    snprintf(name, 32, "log-%u", bench->topics++);
    *source = (struct source){.value = tool_allocate(1, each->value_size)};
    int status = sidecar_topic(&bench->sidecar, name, &config, &source->topic);
    if (status)
        return status;
    const int error = spate_producer_open(source->topic, NULL, &source->producer);
    if (error)
        return tool_failed(error, "cannot produce");
    for (uint32_t i = 0; i < each->value_size; i++) /* about as compressible as text */
        source->value[i] = (uint8_t)("the quick brown fox jumps over the lazy dog "[i % 44]);
    source->record = (struct spate_record){.partition = 0, .value = source->value, .value_size = each->value_size};
    return 0;
}

static void close_source(struct log_bench *bench, const char *name, struct source *source)
{
    spate_producer_close(source->producer);
    spate_topic_close(source->topic);
    free(source->value);
    (void)spate_topic_delete(bench->sidecar.bus, name, SPATE_DELETE_FORCE);
}

/* Publish for so long. Returns records, 0 after a message. */
static uint64_t publish_for(struct source *source, double seconds, double *ret_took)
{
    const int64_t began = tool_clock(), end = began + (int64_t)(seconds * 1e9);
    uint64_t count = 0;

    do {
        for (int i = 0; i < 256; i++, count++) {
            memcpy(source->value, &count, sizeof count); /* no two values are the same */
            const int error = spate_publish(source->producer, &source->record, SPATE_FOREVER, &source->offset);
            if (error) {
                tool_failed(error, "cannot publish");
                return 0;
            }
        }
    } while (tool_clock() < end && !tool_stopped());
    *ret_took = (double)(tool_clock() - began) / 1e9;
    return count;
}

static int note_bytes(void *context, const struct spate_counter_info *counter)
{
    if (strcmp(counter->name, "log_bytes") == 0)
        *(uint64_t *)context = counter->value;
    return 0;
}

static uint64_t log_bytes(spate_topic *topic)
{
    uint64_t bytes = 0;
    (void)spate_inspect_counters(topic, note_bytes, &bytes);
    return bytes;
}

/* The whole of a spill: its rate, what it costs, and what the producer does meanwhile. The ring fills first, which is not counted. */
static int measure_spill(struct log_bench *bench, const struct log_case *each, double *ret)
{
    const double seconds = bench->rounds.slice > 3 ? 3 : bench->rounds.slice;
    struct source source;
    char name[32];
    double took = 0;

    int status = open_source(bench, each, name, &source);
    if (status)
        return -1;
    bool is_ok = publish_for(&source, each->is_durable ? 0.2 : 0.05, &took) != 0;
    const uint64_t bytes = log_bytes(source.topic);
    const double used = sidecar_seconds(&bench->sidecar);
    const uint64_t count = is_ok ? publish_for(&source, seconds, &took) : 0;
    /* compressed: what the records take, not what is left of them */
    const double written =
        each->compression ? (double)(count * (each->value_size + 16)) : (double)(log_bytes(source.topic) - bytes);
    is_ok &= count != 0;
    if (each->kind == PUBLISH) {
        *ret = (double)count / took;
    } else {
        *ret = written / took;
        bench->followers[0] = written > 0 ? (sidecar_seconds(&bench->sidecar) - used) / (written / 1e9) : 0;
        bench->followers[1] = (double)count / took;
        bench->followers[2] = *ret; /* where files are never written twice, the device has more to do */
    }
    close_source(bench, name, &source);
    return is_ok ? 0 : -1;
}

/* ------------------------------------------------------------------------------------------------------------- reading */

/* All bytes of a value are read, as whoever uses it does. */
static uint64_t sum_of(const struct spate_record *record)
{
    const uint64_t *word = record->value;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < record->value_size / sizeof *word; i++)
        sum += word[i];
    return sum;
}

/* Read all there is, up to an offset. Returns records/s, 0 after a message. */
static double read_all(spate_topic *topic, uint32_t policy, int64_t end)
{
    struct spate_consumer_options options;
    static struct spate_record records[256];
    spate_consumer *consumer;
    int64_t count = 0;
    uint64_t sum = 0;

    spate_consumer_options_init(&options);
    options.policy = policy;
    options.start = SPATE_START_BEGINNING;
    int error = spate_consumer_open(topic, &options, &consumer);
    if (error)
        return tool_failed(error, "cannot consume"), 0;
    const int64_t began = tool_clock();
    while (error >= 0 && spate_position(consumer, 0) <= end) {
        error = spate_poll(consumer, records, 256, SPATE_FOREVER);
        count += error > 0 ? error : 0;
        for (int i = 0; i < error; i++)
            sum += sum_of(&records[i]);
    }
    const int64_t took = tool_clock() - began;
    if (error < 0)
        tool_failed(error, "cannot read");
    spate_consumer_close(consumer);
    return error < 0 || sum == 0 ? 0 : (double)count / ((double)took / 1e9);
}

/* The same records from the ring and, in the log directory alone, from mapped segments that are in the page cache. The ring holds them all
 * just so; both were read once before. */
static int measure_replay(struct log_bench *bench, const struct log_case *each, double *ret)
{
    struct spate_bus_options options;
    struct source source;
    char name[32];
    double ring = 0, log = 0;

    if (open_source(bench, each, name, &source))
        return -1;
    const uint64_t records = RING / 2 / (each->value_size + 16);
    for (uint64_t i = 0; i < records; i++) {
        source.value[0] = (uint8_t)(i | 1);
        (void)spate_publish(source.producer, &source.record, SPATE_FOREVER, &source.offset);
    }
    int error = spate_wait(source.producer, 0, source.offset, SPATE_WATERMARK_DURABLE, SPATE_FOREVER);
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    if (!error)
        error = spate_bus_open(bench->sidecar.log_path, &options, &bus);
    if (!error)
        error = spate_topic_open(bus, name, &topic);
    if (error)
        tool_failed(error, "cannot open the log");
    for (int i = 0; !error && i < 3; i++) {
        ring = read_all(source.topic, SPATE_POLICY_SKIP, source.offset);
        log = read_all(topic, SPATE_POLICY_AUTO, source.offset);
        error = ring > 0 && log > 0 ? 0 : -1;
    }
    spate_topic_close(topic);
    spate_bus_close(bus);
    close_source(bench, name, &source);
    *ret = ring;
    bench->followers[0] = log;
    return error ? -1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------- waiting */

struct waiter {
    pthread_t thread;
    spate_topic *topic;
    _Atomic bool *must_stop;
    uint64_t count;
    int error;
    int64_t *times; /* of each, or NULL */
    uint64_t times_max;
};

static void *publish_and_wait(void *context)
{
    struct waiter *waiter = context;
    spate_producer *producer = NULL;
    static const char value[64] = "x";
    const struct spate_record record = {.partition = 0, .value = value, .value_size = sizeof value};
    int64_t offset;

    waiter->error = spate_producer_open(waiter->topic, NULL, &producer);
    while (!waiter->error && !atomic_load_explicit(waiter->must_stop, memory_order_relaxed)) { /* relaxed: a lone flag */
        const int64_t began = tool_clock();
        waiter->error = spate_publish(producer, &record, SPATE_FOREVER, &offset);
        if (!waiter->error)
            waiter->error = spate_wait(producer, 0, offset, SPATE_WATERMARK_DURABLE, SPATE_FOREVER);
        if (waiter->times && waiter->count < waiter->times_max)
            waiter->times[waiter->count] = tool_clock() - began;
        waiter->count++;
    }
    spate_producer_close(producer);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int measure_waiting(struct log_bench *bench, const struct log_case *each, double *ret)
{
    static struct waiter waiters[WAITERS];
    static int64_t times[65536];
    struct spate_topic_config config;
    _Atomic bool must_stop = false;
    spate_topic *topic = NULL;
    uint64_t count = 0;
    char name[32];
    int error = 0;

    spate_topic_config_init(&config);
    config.durable = 1;
    config.timestamp = SPATE_TIMESTAMP_NONE;
    config.producers_max = WAITERS;
    snprintf(name, sizeof name, "log-%u", bench->topics++);
    if (sidecar_topic(&bench->sidecar, name, &config, &topic))
        return -1;
    const int64_t began = tool_clock();
    for (uint32_t i = 0; i < each->count; i++) {
        waiters[i] = (struct waiter){.topic = topic, .must_stop = &must_stop, .times = i == 0 ? times : NULL, .times_max = 65536};
        pthread_create(&waiters[i].thread, NULL, publish_and_wait, &waiters[i]);
    }
    usleep((useconds_t)(bench->rounds.slice * 1e6));
    atomic_store_explicit(&must_stop, true, memory_order_relaxed); /* relaxed: a lone flag */
    for (uint32_t i = 0; i < each->count; i++) {
        pthread_join(waiters[i].thread, NULL);
        count += waiters[i].count;
        error = error ? error : waiters[i].error;
    }
    const double took = (double)(tool_clock() - began) / 1e9;
    const uint64_t timed = waiters[0].count < 65536 ? waiters[0].count : 65536;
    qsort(times, timed, sizeof *times, compare);
    *ret = each->kind == ACKNOWLEDGE ? (double)times[timed / 2] : (double)count / took;
    spate_topic_close(topic);
    (void)spate_topic_delete(bench->sidecar.bus, name, SPATE_DELETE_FORCE);
    return error ? tool_failed(error, "cannot publish and wait"), -1 : 0;
}

/* ------------------------------------------------------------------------------------------------------------- joining */

struct joiner {
    pthread_t thread;
    spate_topic *topic;
    int64_t began, joined;
    bool is_broken;
};

/* From the beginning until it is less than a quarter of the ring behind; every offset once. */
static void *join(void *context)
{
    struct joiner *joiner = context;
    struct spate_consumer_options options;
    static struct spate_record records[256];
    spate_consumer *consumer;
    int64_t next = 0;

    spate_consumer_options_init(&options);
    options.start = SPATE_START_BEGINNING;
    joiner->is_broken = spate_consumer_open(joiner->topic, &options, &consumer) != 0;
    joiner->began = tool_clock();
    while (!joiner->is_broken && !joiner->joined && !tool_stopped()) {
        const int n = spate_poll(consumer, records, 256, NS_PER_S);
        for (int i = 0; n > 0 && i < n && (i > 0 || spate_check(consumer) == 0); i++) /* else they come again */
            joiner->is_broken |= records[i].offset != next++;
        joiner->is_broken |= n < 0 && n != -ETIMEDOUT;
        if (n > 0 && spate_lag(consumer, 0) < (int64_t)(RING / 4 / 1040))
            joiner->joined = tool_clock();
    }
    spate_consumer_close(consumer);
    return NULL;
}

static int measure_join(struct log_bench *bench, const struct log_case *each, double *ret)
{
    struct joiner joiner = {0};
    struct source source;
    char name[32];
    double took;

    if (open_source(bench, each, name, &source))
        return -1;
    bool is_ok = publish_for(&source, bench->rounds.slice / 2, &took) != 0;
    joiner.topic = source.topic;
    pthread_create(&joiner.thread, NULL, join, &joiner);
    for (int i = 0; is_ok && i < 100 && !joiner.joined && !joiner.is_broken; i++)
        is_ok = publish_for(&source, 0.1, &took) != 0;
    pthread_join(joiner.thread, NULL);
    close_source(bench, name, &source);
    if (joiner.is_broken)
        return tool_error("the consumer that joined did not see every offset once"), -1;
    *ret = (double)(joiner.joined - joiner.began);
    return is_ok ? 0 : -1;
}

/* ---------------------------------------------------------------------------------------------------------------- run */

/* To a processor that spated does not have; many who wait are to have them all. */
static void pin(const struct log_bench *bench, bool is_alone)
{
    cpu_set_t set = bench->all;

    if (is_alone) {
        CPU_ZERO(&set);
        CPU_SET((size_t)bench->rounds.cpus[0], &set);
    }
    (void)sched_setaffinity(0, sizeof set, &set);
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct log_bench *bench = context;
    const struct log_case *each = &cases[index];

    static const enum device_mode modes[] = {
        [DEVICE] = DEVICE_OVERWRITE, [DEVICE_NEW] = DEVICE_NEW_FILE, [DEVICE_FLUSHED] = DEVICE_OVERWRITE_FLUSHED};

    if (each->follows) {
        uint32_t first = index;
        while (cases[first].follows)
            first--;
        ret->value = bench->followers[index - first - 1];
        ret->limit = each->kind == CPU && each->limit ? 0.15 : 0; /* what the daemon may use */
        return 0;
    }
    pin(bench, each->kind == SPILL || each->kind == PUBLISH || each->kind == REPLAY_RING);
    switch (each->kind) {
    case DEVICE:
    case DEVICE_NEW:
    case DEVICE_FLUSHED: return device_write(bench->directory, modes[each->kind], bench->rounds.slice, &ret->value);
    case FLUSH: return device_flush(bench->directory, bench->rounds.slice, &ret->value);
    case REPLAY_RING: return measure_replay(bench, each, &ret->value);
    case ACKNOWLEDGE:
    case WAITING: return measure_waiting(bench, each, &ret->value);
    case JOIN: return measure_join(bench, each, &ret->value);
    default: return measure_spill(bench, each, &ret->value);
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct log_bench bench = {.directory = "."};
    struct option_spec specs[ROUNDS_OPTIONS + 2] = {0};

    rounds_options(&bench.rounds, specs);
    specs[ROUNDS_OPTIONS] = (struct option_spec){
        'l', "log-dir", "DIR", "the file system to write to (default: the working directory)", set_text, &bench.directory};
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&bench.rounds);
    if (status != STATUS_GO_ON)
        return status;
    for (uint32_t i = 0; i < CASES; i++)
        bench.figures[i] = (struct figure){.name = cases[i].name,
                                           .unit = cases[i].unit,
                                           .limit = cases[i].limit,
                                           .target = cases[i].target,
                                           .at_most = cases[i].at_most,
                                           .follows = cases[i].follows};
    status = sidecar_start(&bench.sidecar, bench.directory, bench.rounds.cpus[1]);
    if (!status) {
        (void)sched_getaffinity(0, sizeof bench.all, &bench.all);
        status = rounds_run(&bench.rounds, "log", bench.figures, CASES, measure, &bench, 90);
    }
    sidecar_stop(&bench.sidecar);
    return status;
}

const struct command command_log = {
    .path = "spate-bench log",
    .arguments = "",
    .summary = "the log: spilling, replaying, waiting for the disk, beside what the disk gives",
    .details =
        "Starts the spated that lies beside it, which writes to --log-dir; needs some 10 GB there for a moment. The device's own\n"
        "rate is measured by fio, where it is installed. The producer has one processor, spated the other.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
