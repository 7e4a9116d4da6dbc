/* demo_producer.c: the producers of `spate demo`.
 *
 * One publishes the lines of its source; consecutive lines of one package have one key, so they go out as a batch. A fresh
 * one that follows a killed one asks the topic itself how far that one came: it reads what is in the ring and goes on behind
 * the last line of its source. That needs no note of the dead one, and repeats and loses nothing, because a record is
 * published whole or not at all. */
#include <string.h>
#include <time.h>

#include "demo.h"
#include "cli/tool.h"

#define BATCH 64

static int open_topic(const struct demo_plan *plan, const char *name, spate_bus **ret_bus, spate_topic **ret_topic)
{
    struct spate_bus_options options;
    spate_bus_options_init(&options);
    options.participant_name = name;
    int error = spate_bus_open(plan->bus, &options, ret_bus);
    return error != 0 ? error : spate_topic_open(*ret_bus, DEMO_TOPIC, ret_topic);
}

static bool line_of(const struct spate_record *record, uint64_t *ret_line)
{
    struct spate_header header;
    if (spate_record_header(record, 0, &header) != 0 || header.value_size != sizeof *ret_line)
        return false;
    memcpy(ret_line, header.value, sizeof *ret_line);
    return true;
}

/* The first line of `source` that is not in the topic yet. Line numbers carry their source in the lowest bit. */
static int find_next_line(spate_topic *topic, uint32_t source, uint64_t *ret_next)
{
    struct spate_consumer_options options;
    spate_consumer *consumer;
    struct spate_record records[256];
    int count;

    spate_consumer_options_init(&options);
    options.start = SPATE_START_BEGINNING;
    options.policy = SPATE_POLICY_SKIP;
    int error = spate_consumer_open(topic, &options, &consumer);
    if (error != 0)
        return error;
    *ret_next = 0;
    /* A few empty looks: claims of the dead one that nobody repaired yet are stepped over meanwhile. */
    for (int empty = 0; empty < 3;) {
        count = spate_poll(consumer, records, 256, 2 * NS_PER_MS);
        for (int i = 0; i < count; i++) {
            uint64_t line;
            if (line_of(&records[i], &line) && line % DEMO_SOURCES == source && line / DEMO_SOURCES >= *ret_next)
                *ret_next = line / DEMO_SOURCES + 1;
        }
        empty += count <= 0;
    }
    spate_consumer_close(consumer);
    return 0;
}

static size_t fill_batch(const struct demo_plan *plan, uint32_t source, size_t at, struct spate_record *records,
                         struct spate_header *headers, uint64_t *numbers)
{
    const struct demo_line *lines = plan->lines[source];
    size_t count = 0;

    for (; count < BATCH && at + count < plan->counts[source]; count++) {
        const struct demo_line *line = &lines[at + count];
        if (line->key_size != lines[at].key_size || memcmp(line->key, lines[at].key, line->key_size) != 0)
            break;
        numbers[count] = (uint64_t)(at + count) * DEMO_SOURCES + source;
        headers[count] = (struct spate_header){.name = DEMO_LINE_HEADER,
                                               .name_size = sizeof DEMO_LINE_HEADER - 1,
                                               .value = &numbers[count],
                                               .value_size = sizeof numbers[count]};
        records[count] = (struct spate_record){.partition = SPATE_ANY,
                                               .key = line->key,
                                               .key_size = line->key_size,
                                               .value = line->text,
                                               .value_size = line->text_size,
                                               .headers = &headers[count],
                                               .headers_count = 1};
    }
    return count;
}

/* The one to be killed does not hurry through its second half, so that a short input has a middle too. */
static void linger(void)
{
    const struct timespec pause = {.tv_nsec = 50000};
    nanosleep(&pause, NULL);
}

int demo_produce(const struct demo_plan *plan, struct demo_shared *shared, uint32_t source, bool resume)
{
    struct spate_record records[BATCH];
    struct spate_header headers[BATCH];
    uint64_t numbers[BATCH], next = 0;
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;

    int error = open_topic(plan, source == 0 ? "demo-producer-0" : "demo-producer-1", &bus, &topic);
    if (error == 0 && resume) {
        error = find_next_line(topic, source, &next);
        atomic_store(&shared->resumed_at, next);
    }
    if (error == 0)
        error = spate_producer_open(topic, NULL, &producer);
    if (error != 0)
        return tool_failed(error, "cannot start a producer");
    for (size_t at = next, count; at < plan->counts[source]; at += count) {
        count = fill_batch(plan, source, at, records, headers, numbers);
        error = spate_publish_batch(producer, records, (uint32_t)count, SPATE_FOREVER, NULL);
        if (error != 0)
            return tool_failed(error, "cannot publish line %zu of source %u", at, source);
        if (resume && at == next)
            atomic_store(&shared->resumed_ns, (uint64_t)tool_clock());
        if (source == DEMO_VICTIM && !resume && at > plan->counts[source] / 2)
            linger();
    }
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return STATUS_OK;
}

int demo_produce_paced(const struct demo_plan *plan, struct demo_shared *shared)
{
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    (void)shared;

    int error = open_topic(plan, "demo-paced", &bus, &topic);
    if (error == 0)
        error = spate_producer_open(topic, NULL, &producer);
    const int64_t start = tool_clock();
    for (size_t i = 0; error == 0 && i < plan->paced; i++) {
        const struct demo_line *line = &plan->lines[0][i];
        struct spate_record record = {.partition = SPATE_ANY,
                                      .key = line->key,
                                      .key_size = line->key_size,
                                      .value = line->text,
                                      .value_size = line->text_size};
        /* by the schedule, not after the previous one: a late record does not make the next ones look early */
        int64_t due = start + (int64_t)i * NS_PER_S / plan->paced_rate;
        while (due > tool_clock()) {
            struct timespec nap = {.tv_nsec = 20000};
            nanosleep(&nap, NULL);
        }
        error = spate_publish(producer, &record, SPATE_FOREVER, NULL);
    }
    if (error != 0)
        return tool_failed(error, "cannot publish at a fixed rate");
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return STATUS_OK;
}
