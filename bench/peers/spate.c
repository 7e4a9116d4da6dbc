/* spate.c: Spate under the loop of its peers.
 *
 * An exclusive and a concurrent topic without timestamps; values of more than 64 bytes are written in place. */
#include "loop.h"
#include "temporary.h"

#define PATIENCE (30 * NS_PER_S)
#define POLLED 64
#define COPIED_MAX 64u

static const char *const topics[PEER_CHANNELS + 1] = {"there", "back", NULL};

struct spate_end {
    struct peer_end base;
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
    struct spate_record record; /* what is sent, the same one each time: only its value changes */
    struct spate_record records[POLLED];
    int count, next;
};

static int prepare(struct peer_run *run, uint32_t mode)
{
    struct spate_topic_config config;

    spate_topic_config_init(&config);
    config.mode = mode;
    config.ring_capacity = 8 << 20;
    config.alignment = run->spec.traffic == PEER_ROUND_TRIP ? 64 : 16; /* a record in as few lines as can be, or dense */
    config.timestamp = SPATE_TIMESTAMP_NONE;
    return temporary_create(run->address, topics, &config);
}

static int prepare_exclusive(struct peer_run *run)
{
    return prepare(run, SPATE_MODE_EXCLUSIVE);
}

static int prepare_concurrent(struct peer_run *run)
{
    return prepare(run, SPATE_MODE_CONCURRENT);
}

static void clean_up(struct peer_run *run)
{
    temporary_remove(run->address, topics);
}

static int open_spate(struct peer_end *end)
{
    struct spate_end *mine = (struct spate_end *)end;
    struct spate_producer_options producer;
    struct spate_consumer_options consumer;

    spate_producer_options_init(&producer);
    spate_consumer_options_init(&consumer);
    mine->record = (struct spate_record){.partition = 0, .value = end->value, .value_size = end->value_size};
    producer.wait = consumer.wait = end->run->crowded ? SPATE_WAIT_YIELD : SPATE_WAIT_SPIN;
    int error = temporary_open(end->run->address, topics[end->channel], &mine->bus, &mine->topic);
    if (!error && end->sends)
        error = spate_producer_open(mine->topic, &producer, &mine->producer);
    else if (!error)
        error = spate_consumer_open(mine->topic, &consumer, &mine->consumer);
    return error ? tool_failed(error, "Spate") : 0;
}

PEER_INLINE void *claim(struct peer_end *end)
{
    struct spate_end *mine = (struct spate_end *)end;
    struct spate_claim place;
    int error;

    if (end->value_size <= COPIED_MAX)
        return end->value;
    while ((error = spate_claim(mine->producer, &mine->record, &place)) == -EAGAIN)
        if ((error = spate_producer_wait(mine->producer, PATIENCE)) != 0)
            break;
    if (error) {
        tool_failed(error, "Spate");
        return NULL;
    }
    return place.value;
}

PEER_INLINE int send_value(struct peer_end *end)
{
    struct spate_end *mine = (struct spate_end *)end;

    int error =
        end->value_size <= COPIED_MAX ? spate_publish(mine->producer, &mine->record, PATIENCE, NULL) : spate_commit(mine->producer);
    return error ? tool_failed(error, "Spate") : 0;
}

PEER_INLINE const void *receive(struct peer_end *end)
{
    struct spate_end *mine = (struct spate_end *)end;

    if (mine->next == mine->count) {
        mine->next = 0;
        mine->count = spate_poll(mine->consumer, mine->records, POLLED, PATIENCE);
        if (mine->count <= 0) {
            tool_failed(mine->count, "Spate");
            mine->count = 0;
            return NULL;
        }
    }
    return mine->records[mine->next++].value;
}

static void close_spate(struct peer_end *end)
{
    struct spate_end *mine = (struct spate_end *)end;

    spate_producer_close(mine->producer);
    spate_consumer_close(mine->consumer);
    spate_topic_close(mine->topic);
    spate_bus_close(mine->bus);
}

#define CALLS(prepare_topic)                                                                                                      \
    {                                                                                                                             \
        .end_size = sizeof(struct spate_end), .prepare = prepare_topic, .clean_up = clean_up, .open = open_spate, .claim = claim, \
        .send = send_value, .receive = receive, .close = close_spate                                                              \
    }
static const struct peer_calls exclusive_calls = CALLS(prepare_exclusive), concurrent_calls = CALLS(prepare_concurrent);

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&exclusive_calls, run, index); /* what differs was prepared */
}

const struct peer peer_spate = {
    .name = "Spate",
    .how = "exclusive topic, ring of 8 MiB, alignment 16 (round trips: 64), no timestamps; publish, larger values claimed",
    .producers_max = 1,
    .consumers_max = CREW_MAX,
    .work = work,
    .calls = &exclusive_calls};
const struct peer peer_spate_concurrent = {.name = "Spate concurrent",
                                           .how = "concurrent topic, otherwise the same",
                                           .producers_max = CREW_MAX,
                                           .consumers_max = CREW_MAX,
                                           .work = work,
                                           .calls = &concurrent_calls};
