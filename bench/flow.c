/* flow.c: producers and consumers of a measurement on a temporary bus.
 *
 * Called by throughput, scale, memory and targets. */
#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cli/tool.h"
#include "counter.h"
#include "crew.h"
#include "payload.h"
#include "temporary.h"
#include "ticks.h"

#define TOPIC "flow"
static const char *const topics[] = {TOPIC, NULL};

#define BATCH_MAX 64u
#define PATIENCE (30 * NS_PER_S) /* somebody else must have died */

struct member {
    _Alignas(128) uint64_t begin, end, sum, instructions;
    double cpu;
    int has_huge_pages;
};

struct shared {
    struct crew crew;
    struct flow_spec spec;
    char bus[TEMPORARY_PATH_SIZE];
    struct member members[CREW_MAX];
};

/* ------------------------------------------------------------------------------------------------------------ producer */

/* Who produces, and what. */
struct source {
    spate_producer *producer, *rival;
    const struct flow_spec *spec;
    int32_t partition;
    struct spate_record records[BATCH_MAX];
    uint64_t *values; /* FLOW_PUBLISH: spec->batch values, which are copied from here */
};

/* One function per value size, as the yardstick has it (spsc.c): the compiler knows the size, and nothing is saved or called on the way but
 * Spate. */
static inline __attribute__((always_inline)) int publish_each(struct source *source, uint64_t words)
{
    const struct flow_spec *spec = source->spec;
    uint64_t *const values = source->values;
    uint64_t rival_due = spec->rival ? spec->rival : UINT64_MAX;
    int error = 0;

    for (uint64_t n = 0; n < spec->records && !error; n++) {
        spate_producer *mine = source->producer;
        if (n >= rival_due) {
            mine = source->rival;
            rival_due += spec->rival;
        }
        payload_fill(values, words, n);
        error = spate_publish(mine, source->records, PATIENCE, NULL);
    }
    return error;
}

static inline __attribute__((always_inline)) int publish_batches(struct source *source, uint64_t words)
{
    const struct flow_spec *spec = source->spec;
    int error = 0;

    for (uint64_t n = 0; n < spec->records && !error; n += spec->batch) {
        for (uint32_t i = 0; i < spec->batch; i++)
            payload_fill(source->values + i * words, words, n + i);
        error = spate_publish_batch(source->producer, source->records, spec->batch, PATIENCE, NULL);
    }
    return error;
}

static inline __attribute__((always_inline)) int claim_and_commit(struct source *source, uint64_t words)
{
    const struct flow_spec *spec = source->spec;
    struct spate_claim claims[BATCH_MAX];

    for (uint64_t n = 0; n < spec->records;) {
        int error = spec->batch == 1 ? spate_claim(source->producer, source->records, claims)
                                     : spate_claim_batch(source->producer, source->records, spec->batch, claims);
        if (error == -EAGAIN)
            error = spate_producer_wait(source->producer, PATIENCE);
        else if (!error) {
            for (uint32_t i = 0; i < spec->batch; i++)
                payload_fill(claims[i].value, words, n++);
            error = spate_commit(source->producer);
        }
        if (error)
            return error;
    }
    return 0;
}

static inline __attribute__((always_inline)) int produce_values(struct source *source, uint64_t words)
{
    if (source->spec->api == FLOW_CLAIM)
        return claim_and_commit(source, words);
    return source->spec->batch == 1 ? publish_each(source, words) : publish_batches(source, words);
}

#define SIZE(words)                                                  \
    static PAYLOAD_CLONES int produce_##words(struct source *source) \
    {                                                                \
        return produce_values(source, words);                        \
    }
SIZE(2)
SIZE(8)
SIZE(128)
SIZE(2048)
SIZE(8192)

static PAYLOAD_CLONES int produce_any(struct source *source)
{
    return produce_values(source, source->spec->value_size / 8);
}

static int produce_all(struct source *source)
{
    const struct flow_spec *spec = source->spec;
    int result;

    source->values = payload_allocate(spec->batch, spec->value_size);
    for (uint32_t i = 0; i < spec->batch; i++)
        source->records[i] = (struct spate_record){.partition = source->partition,
                                                   .value = (uint8_t *)source->values + (size_t)i * spec->value_size,
                                                   .value_size = spec->value_size};
    switch (spec->value_size) {
    case 16: result = produce_2(source); break;
    case 64: result = produce_8(source); break;
    case 1024: result = produce_128(source); break;
    case 16384: result = produce_2048(source); break;
    case 65536: result = produce_8192(source); break;
    default: result = produce_any(source); break;
    }
    free(source->values);
    return result;
}

static int produce(struct shared *shared, struct member *me, int32_t partition, spate_topic *topic)
{
    const struct flow_spec *spec = &shared->spec;
    struct spate_producer_options options;
    struct source source = {.spec = spec, .partition = partition};

    spate_producer_options_init(&options);
    options.wait = spec->wait;
    int error = spate_producer_open(topic, &options, &source.producer);
    if (!error && spec->rival)
        error = spate_producer_open(topic, &options, &source.rival);
    if (error)
        return error;
    if (crew_meet(&shared->crew, 0))
        return -EINTR;
    me->begin = ticks_now();
    error = produce_all(&source);
    me->end = ticks_now();
    struct spate_ring_info ring = {0};
    if (spec->huge_pages && !error)
        error = spate_inspect_ring(topic, partition, &ring, NULL, NULL, NULL);
    me->has_huge_pages = ring.huge_pages;
    spate_producer_close(source.rival);
    spate_producer_close(source.producer);
    return error;
}

/* ------------------------------------------------------------------------------------------------------------ consumer */

static inline __attribute__((always_inline)) uint64_t sum_records(const struct spate_record *records, int count, uint64_t words)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += payload_sum(records[i].value, words);
    return sum;
}

/* As on the other side, the compiler knows the size. */
static PAYLOAD_CLONES uint64_t sum_values(const struct spate_record *records, int count, uint64_t words)
{
    switch (words) {
    case 2: return sum_records(records, count, 2);
    case 8: return sum_records(records, count, 8);
    case 128: return sum_records(records, count, 128);
    case 2048: return sum_records(records, count, 2048);
    default: return sum_records(records, count, words);
    }
}

/* By each consumer. */
static uint64_t records_read(const struct flow_spec *spec)
{
    return spec->pairs ? spec->records : spec->records * spec->producers;
}

static int open_consumer(const struct flow_spec *spec, const int32_t *partition, spate_topic *topic, spate_consumer **ret)
{
    struct spate_consumer_options options;

    spate_consumer_options_init(&options);
    options.wait = spec->wait;
    options.partitions = partition;
    options.partitions_count = 1;
    return spate_consumer_open(topic, &options, ret);
}

static int read_records(const struct flow_spec *spec, spate_consumer *consumer, uint64_t left, uint64_t *sum)
{
    struct spate_record records[BATCH_MAX];

    while (left > 0) {
        int count = spate_poll(consumer, records, BATCH_MAX, PATIENCE);
        if (count < 0)
            return count;
        *sum += sum_values(records, count, spec->value_size / 8);
        left -= (uint64_t)count;
    }
    return 0;
}

static int consume(struct shared *shared, struct member *me, int32_t partition, spate_topic *topic)
{
    const struct flow_spec *spec = &shared->spec;
    spate_consumer *consumer;

    int error = open_consumer(spec, &partition, topic, &consumer);
    if (error)
        return error;
    if (crew_meet(&shared->crew, 0))
        return -EINTR;
    error = read_records(spec, consumer, records_read(spec), &me->sum);
    if (error)
        return error;
    me->end = ticks_now();
    spate_consumer_close(consumer);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ together */

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int work(void *memory, uint32_t index)
{
    struct shared *shared = memory;
    struct member *me = &shared->members[index];
    const bool is_producer = index < shared->spec.producers;
    const uint32_t partition = !shared->spec.pairs ? 0 : is_producer ? index : index - shared->spec.producers;
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;

    int error = temporary_open(shared->bus, TOPIC, &bus, &topic);
    const double cpu = cpu_seconds();
    int counter = counter_start();
    if (!error)
        error = is_producer ? produce(shared, me, (int32_t)partition, topic) : consume(shared, me, (int32_t)partition, topic);
    me->instructions = counter_stop(counter);
    me->cpu = cpu_seconds() - cpu;
    if (error) {
        atomic_store(&shared->crew.stop, 1);
        tool_failed(error, "a %s of the measurement", is_producer ? "producer" : "consumer");
    }
    return error ? 1 : 0;
}

static int create_bus(struct shared *shared)
{
    const struct flow_spec *spec = &shared->spec;
    struct spate_topic_config config;

    spate_topic_config_init(&config);
    config.mode = spec->mode;
    config.ring_capacity = spec->ring;
    config.alignment = spec->alignment;
    config.timestamp = SPATE_TIMESTAMP_NONE;
    config.producers_max = spec->producers > config.producers_max ? spec->producers : config.producers_max;
    config.consumers_max = spec->consumers > config.consumers_max ? spec->consumers : config.consumers_max;
    config.partitions = spec->pairs ? spec->producers : 1;
    config.huge_pages = spec->huge_pages;
    config.numa_node = spec->node ? (int32_t)spec->node - 1 : SPATE_ANY;
    return temporary_create(shared->bus, topics, &config);
}

static int check(const struct shared *shared)
{
    const struct flow_spec *spec = &shared->spec;
    const uint64_t expected = (spec->pairs ? 1 : spec->producers) * payload_expected(spec->records, spec->value_size / 8);

    for (uint32_t i = spec->producers; i < spec->producers + spec->consumers; i++)
        if (shared->members[i].sum != expected)
            return tool_error("a consumer read something else than was written: this is a bug, please report it");
    return 0;
}

static void sum_up(const struct shared *shared, struct flow_result *ret)
{
    const struct flow_spec *spec = &shared->spec;
    const double records = (double)(spec->records * spec->producers);
    uint64_t begin = UINT64_MAX, end = 0, instructions = 0;
    bool counted = true;

    *ret = (struct flow_result){0};
    for (uint32_t i = 0; i < spec->producers + spec->consumers; i++) {
        const struct member *member = &shared->members[i];
        if (i < spec->producers && member->begin < begin)
            begin = member->begin;
        end = member->end > end ? member->end : end;
        ret->cpu += member->cpu;
        instructions += member->instructions;
        counted &= member->instructions > 0;
    }
    ret->has_huge_pages = shared->members[0].has_huge_pages;
    ret->rate = records * 1e9 / ticks_to_ns(end - begin);
    ret->cpu *= 1e6 / records;
    ret->instructions = counted ? (double)instructions / records : 0;
}

int flow_measure(const int *cpus, const struct flow_spec *spec, struct flow_result *ret)
{
    struct shared *shared = crew_allocate(sizeof *shared);

    shared->spec = *spec;
    shared->spec.records -= spec->records % spec->batch;
    int error = create_bus(shared);
    if (!error)
        error = crew_run(shared, cpus, spec->producers + spec->consumers, work);
    if (!error)
        error = check(shared);
    if (!error)
        sum_up(shared, ret);
    temporary_remove(shared->bus, topics);
    crew_free(shared, sizeof *shared);
    return error;
}

/* ----------------------------------------------------------------------------------------------------------- in turns */

#define TURN_MAX 512u /* records */
#define TURNS 100     /* the last one is counted: by then a lone producer has got the bias */

static int take_turns(void *context)
{
    struct shared *shared = context;
    const struct flow_spec *spec = &shared->spec;
    const int32_t partition = 0;
    struct source source = {.spec = spec, .partition = partition};
    spate_consumer *consumer = NULL;
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    uint64_t sum = 0;

    int error = temporary_open(shared->bus, TOPIC, &bus, &topic);
    if (!error)
        error = open_consumer(spec, &partition, topic, &consumer);
    if (!error)
        error = spate_producer_open(topic, NULL, &source.producer);
    for (int turn = 1; turn <= TURNS && !error; turn++) {
        if (turn == TURNS)
            counter_mark();
        error = produce_all(&source);
        if (!error)
            error = read_records(spec, consumer, spec->records, &sum);
    }
    counter_mark();
    return error || sum != TURNS * payload_expected(spec->records, spec->value_size / 8);
}

int flow_count(const struct flow_spec *spec, double *ret)
{
    struct shared *shared = crew_allocate(sizeof *shared);
    const uint64_t most = spec->ring / 4 / (spec->value_size + 256);

    shared->spec = *spec;
    shared->spec.producers = shared->spec.consumers = 1;
    shared->spec.pairs = false;
    shared->spec.rival = 0;
    shared->spec.records = (most < TURN_MAX ? most : TURN_MAX) / spec->batch * spec->batch;
    int error = create_bus(shared);
    *ret = error ? 0 : (double)counter_step(take_turns, shared) / (double)shared->spec.records;
    temporary_remove(shared->bus, topics);
    crew_free(shared, sizeof *shared);
    return error;
}
