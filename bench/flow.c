/* flow.c: producers and consumers of a measurement on a temporary bus.
 *
 * Called by throughput, scale and targets. */
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
};

struct shared {
    struct crew crew;
    struct flow_spec spec;
    char bus[TEMPORARY_PATH_SIZE];
    struct member members[CREW_MAX];
};

/* ------------------------------------------------------------------------------------------------------------ producer */

static PAYLOAD_CLONES void fill_values(uint64_t *values, uint64_t words, uint64_t n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        payload_fill(values + i * words, words, n + i);
}

static int publish(spate_producer *producer, spate_producer *rival, const struct flow_spec *spec)
{
    const uint64_t words = spec->value_size / 8;
    struct spate_record records[BATCH_MAX] = {0};
    uint64_t *values = tool_allocate(spec->batch, spec->value_size);
    uint64_t rival_due = spec->rival ? spec->rival : UINT64_MAX;
    int error = 0;

    for (uint32_t i = 0; i < spec->batch; i++)
        records[i] = (struct spate_record){.partition = 0, .value = values + i * words, .value_size = spec->value_size};
    for (uint64_t n = 0; n < spec->records && !error; n += spec->batch) {
        spate_producer *mine = producer;
        if (n >= rival_due) {
            mine = rival;
            rival_due += spec->rival;
        }
        fill_values(values, words, n, spec->batch);
        error = spec->batch == 1 ? spate_publish(mine, records, PATIENCE, NULL)
                                 : spate_publish_batch(mine, records, spec->batch, PATIENCE, NULL);
    }
    free(values);
    return error;
}

static int claim_and_commit(spate_producer *producer, const struct flow_spec *spec)
{
    const uint64_t words = spec->value_size / 8;
    struct spate_record records[BATCH_MAX] = {0};
    struct spate_claim claims[BATCH_MAX];

    for (uint32_t i = 0; i < spec->batch; i++)
        records[i] = (struct spate_record){.partition = 0, .value_size = spec->value_size};
    for (uint64_t n = 0; n < spec->records;) {
        int error =
            spec->batch == 1 ? spate_claim(producer, records, claims) : spate_claim_batch(producer, records, spec->batch, claims);
        if (error == -EAGAIN)
            error = spate_producer_wait(producer, PATIENCE);
        else if (!error) {
            for (uint32_t i = 0; i < spec->batch; i++)
                fill_values(claims[i].value, words, n++, 1);
            error = spate_commit(producer);
        }
        if (error)
            return error;
    }
    return 0;
}

static int produce(struct shared *shared, struct member *me, spate_topic *topic)
{
    const struct flow_spec *spec = &shared->spec;
    struct spate_producer_options options;
    spate_producer *producer, *rival = NULL;

    spate_producer_options_init(&options);
    options.wait = spec->wait;
    int error = spate_producer_open(topic, &options, &producer);
    if (!error && spec->rival)
        error = spate_producer_open(topic, &options, &rival);
    if (error)
        return error;
    if (crew_meet(&shared->crew, 0))
        return -EINTR;
    me->begin = ticks_now();
    error = spec->api == FLOW_CLAIM ? claim_and_commit(producer, spec) : publish(producer, rival, spec);
    me->end = ticks_now();
    spate_producer_close(rival);
    spate_producer_close(producer);
    return error;
}

/* ------------------------------------------------------------------------------------------------------------ consumer */

static PAYLOAD_CLONES uint64_t sum_values(const struct spate_record *records, int count, uint64_t words)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += payload_sum(records[i].value, words);
    return sum;
}

static int consume(struct shared *shared, struct member *me, spate_topic *topic)
{
    const struct flow_spec *spec = &shared->spec;
    struct spate_consumer_options options;
    struct spate_record records[BATCH_MAX];
    spate_consumer *consumer;

    spate_consumer_options_init(&options);
    options.wait = spec->wait;
    int error = spate_consumer_open(topic, &options, &consumer);
    if (error)
        return error;
    if (crew_meet(&shared->crew, 0))
        return -EINTR;
    for (uint64_t left = spec->records * spec->producers; left > 0;) {
        int count = spate_poll(consumer, records, BATCH_MAX, PATIENCE);
        if (count < 0)
            return count;
        me->sum += sum_values(records, count, spec->value_size / 8);
        left -= (uint64_t)count;
    }
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
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;

    int error = temporary_open(shared->bus, TOPIC, &bus, &topic);
    const double cpu = cpu_seconds();
    int counter = counter_start();
    if (!error)
        error = is_producer ? produce(shared, me, topic) : consume(shared, me, topic);
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
    return temporary_create(shared->bus, topics, &config);
}

static int check(const struct shared *shared)
{
    const struct flow_spec *spec = &shared->spec;
    const uint64_t expected = spec->producers * payload_expected(spec->records, spec->value_size / 8);

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
    ret->rate = records * 1e9 / ticks_to_ns(end - begin);
    ret->cpu *= 1e6 / records;
    ret->instructions = counted ? (double)instructions / records : 0;
}

int flow_measure(const int *cpus, const struct flow_spec *spec, struct flow_result *ret)
{
    struct shared *shared = crew_allocate(sizeof *shared);

    if (!shared)
        tool_out_of_memory();
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
