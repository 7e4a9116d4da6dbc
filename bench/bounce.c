/* bounce.c: ping-pong through two topics.
 *
 * Called by latency and targets. */
#include "bounce.h"

#include "cli/tool.h"
#include "crew.h"
#include "payload.h"
#include "temporary.h"
#include "ticks.h"

#define WARM_UP 2000u
#define WORDS_MAX 2048u
#define PATIENCE (30 * NS_PER_S)

static const char *const topics[] = {"there", "back", NULL};

struct shared {
    struct crew crew;
    struct bounce_spec spec;
    char bus[TEMPORARY_PATH_SIZE];
    uint64_t sums[2];
    struct histogram trips; /* tenths of a ns */
};

struct side {
    spate_bus *bus_out, *bus_in;
    spate_topic *topic_out, *topic_in;
    spate_producer *producer;
    spate_consumer *consumer;
    uint64_t words, sum;
};

static int open_side(const struct shared *shared, uint32_t index, struct side *side)
{
    struct spate_producer_options producer;
    struct spate_consumer_options consumer;

    spate_producer_options_init(&producer);
    spate_consumer_options_init(&consumer);
    producer.wait = consumer.wait = shared->spec.wait;
    side->words = shared->spec.value_size / 8;
    int error = temporary_open(shared->bus, topics[index], &side->bus_out, &side->topic_out);
    if (!error)
        error = temporary_open(shared->bus, topics[!index], &side->bus_in, &side->topic_in);
    if (!error)
        error = spate_producer_open(side->topic_out, &producer, &side->producer);
    if (!error)
        error = spate_consumer_open(side->topic_in, &consumer, &side->consumer);
    return error;
}

static int throw_value(struct side *side, uint64_t n)
{
    uint64_t value[WORDS_MAX];
    const struct spate_record record = {.partition = 0, .value = value, .value_size = (uint32_t)(8 * side->words)};

    payload_fill(value, side->words, n);
    return spate_publish(side->producer, &record, PATIENCE, NULL);
}

static int catch_value(struct side *side)
{
    struct spate_record record;

    int count = spate_poll(side->consumer, &record, 1, PATIENCE);
    if (count < 0)
        return count;
    side->sum += payload_sum(record.value, side->words);
    return 0;
}

static int play(struct shared *shared, uint32_t index, struct side *side)
{
    int error = 0;

    for (uint64_t n = 1; n <= shared->spec.trips + WARM_UP && !error; n++) {
        uint64_t begin = ticks_now();
        if (index == 0)
            error = throw_value(side, n);
        if (!error)
            error = catch_value(side);
        if (!error && index == 1)
            error = throw_value(side, n);
        if (index == 0 && n > WARM_UP)
            histogram_add(&shared->trips, (int64_t)(ticks_to_ns(ticks_now() - begin) * 10));
    }
    return error;
}

static int work(void *memory, uint32_t index)
{
    struct shared *shared = memory;
    struct side side = {0};

    int error = open_side(shared, index, &side);
    if (!error && crew_meet(&shared->crew, 0))
        return 1;
    if (!error)
        error = play(shared, index, &side);
    if (error) {
        atomic_store(&shared->crew.stop, 1);
        tool_failed(error, "a round trip");
    }
    shared->sums[index] = side.sum;
    return error ? 1 : 0;
}

int bounce_measure(const int cpus[2], const struct bounce_spec *spec, struct quantiles *ret)
{
    struct shared *shared = crew_allocate(sizeof *shared);

    shared->spec = *spec;
    int error = temporary_create_plain(shared->bus, topics, spec->mode, 1 << 20);
    if (!error)
        error = crew_run(shared, cpus, 2, work);
    if (!error && shared->sums[0] != shared->sums[1])
        error = tool_error("what came back is not what was sent: this is a bug, please report it");
    *ret = quantiles_of(&shared->trips);
    temporary_remove(shared->bus, topics);
    crew_free(shared, sizeof *shared);
    return error;
}
