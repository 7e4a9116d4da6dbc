/* paced.c: a producer that keeps to a schedule, and a consumer that notes how late each record is.
 *
 * Called by latency. */
#include "paced.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli/tool.h"
#include "crew.h"
#include "payload.h"
#include "temporary.h"
#include "ticks.h"

#define WORDS_MAX 2048u
#define PATIENCE (30 * NS_PER_S)

static const char *const topics[] = {"paced", NULL};

struct shared {
    struct crew crew;
    struct paced_spec spec;
    char bus[TEMPORARY_PATH_SIZE];
    uint64_t sum; /* so that values are read whole */
    struct histogram latencies;
};

static int produce(struct shared *shared, spate_topic *topic)
{
    const struct paced_spec *spec = &shared->spec;
    const double interval = ticks_per_second() / spec->rate;
    uint64_t value[WORDS_MAX];
    const struct spate_record record = {.partition = 0, .value = value, .value_size = spec->value_size};
    spate_producer *producer;

    int error = spate_producer_open(topic, NULL, &producer);
    if (error || crew_meet(&shared->crew, 0))
        return error ? error : -EINTR;
    const uint64_t start = ticks_now() + (uint64_t)(ticks_per_second() / 1000);
    for (uint32_t n = 0; n < spec->records && !error; n++) {
        payload_fill(value, spec->value_size / 8, n);
        value[0] = start + (uint64_t)((double)n * interval);
        ticks_wait_until(value[0]);
        error = spate_publish(producer, &record, PATIENCE, NULL);
    }
    spate_producer_close(producer);
    return error;
}

/* As spate_poll, but asleep in epoll. */
static int poll_by_descriptor(spate_consumer *consumer, int epoll, struct spate_record *records, uint32_t count)
{
    struct epoll_event event;

    for (;;) {
        int n = spate_poll(consumer, records, count, 0);
        if (n != 0)
            return n;
        if (epoll_wait(epoll, &event, 1, (int)(PATIENCE / NS_PER_MS)) < 0 && errno != EINTR)
            return -errno;
    }
}

static int consume(struct shared *shared, spate_topic *topic)
{
    const struct paced_spec *spec = &shared->spec;
    struct spate_consumer_options options;
    struct spate_record records[64];
    spate_consumer *consumer;
    struct epoll_event readable = {.events = EPOLLIN};
    int epoll = -1;

    spate_consumer_options_init(&options);
    options.wait = spec->wait;
    int error = spate_consumer_open(topic, &options, &consumer);
    if (!error && spec->by_descriptor) {
        int fd = spate_consumer_fd(consumer);
        epoll = epoll_create1(EPOLL_CLOEXEC);
        error = fd < 0 ? fd : epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &readable) < 0 ? -errno : 0;
    }
    if (error || crew_meet(&shared->crew, 0))
        return error ? error : -EINTR;
    for (uint32_t left = spec->records; left > 0;) {
        int count =
            spec->by_descriptor ? poll_by_descriptor(consumer, epoll, records, 64) : spate_poll(consumer, records, 64, PATIENCE);
        if (count < 0)
            return count;
        for (int i = 0; i < count; i++) {
            const uint64_t *value = records[i].value;
            shared->sum += payload_sum(value, spec->value_size / 8);
            int64_t late = (int64_t)(ticks_now() - value[0]);
            histogram_add(&shared->latencies, late > 0 ? (int64_t)(ticks_to_ns((uint64_t)late) * 10) : 0);
        }
        left -= (uint32_t)count;
    }
    if (epoll >= 0)
        close(epoll);
    spate_consumer_close(consumer);
    return 0;
}

static int work(void *memory, uint32_t index)
{
    struct shared *shared = memory;
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;

    int error = temporary_open(shared->bus, topics[0], &bus, &topic);
    if (!error)
        error = index ? consume(shared, topic) : produce(shared, topic);
    if (error) {
        atomic_store(&shared->crew.stop, 1);
        tool_failed(error, "a %s at a fixed rate", index ? "consumer" : "producer");
    }
    return error ? 1 : 0;
}

int paced_measure(const int cpus[2], const struct paced_spec *spec, struct histogram *latencies)
{
    struct shared *shared = crew_allocate(sizeof *shared);

    shared->spec = *spec;
    int error = temporary_create_plain(shared->bus, topics, spec->mode, 8 << 20);
    if (!error)
        error = crew_run(shared, cpus, 2, work);
    histogram_merge(latencies, &shared->latencies);
    temporary_remove(shared->bus, topics);
    crew_free(shared, sizeof *shared);
    return error;
}
