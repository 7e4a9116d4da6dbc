/* demo_consumer.c: a consumer of `spate demo`: reads everything, writes the lines it saw to a file per partition, counts what
 * a user would ask for.
 *
 * The files are how the result is checked from outside: same bytes for every consumer, and sorted, the same lines as the
 * input. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"
#include "cli/tool.h"

struct reading {
    struct demo_shared *shared;
    struct demo_consumer_result *result;
    FILE *files[DEMO_PARTITIONS];
    int64_t next[DEMO_PARTITIONS];
};

static void take(struct reading *reading, const struct spate_record *record, int64_t wall, int64_t now)
{
    struct demo_consumer_result *result = reading->result;
    int64_t *next = &reading->next[record->partition];
    uint64_t killed = atomic_load(&reading->shared->killed_ns);

    if (record->offset < *next)
        atomic_fetch_add(&result->duplicates, 1);
    else
        atomic_fetch_add(&result->holes, (uint64_t)(record->offset - *next));
    *next = record->offset + 1;
    if (killed != 0 && atomic_load(&result->recovered_ns) == 0 && now > (int64_t)killed)
        atomic_store(&result->recovered_ns, (uint64_t)now - killed);
    if (record->headers_count == 0) {
        histogram_add(&result->paced, wall - record->timestamp);
        return;
    }
    histogram_add(&result->busy, wall - record->timestamp);
    fwrite(record->value, 1, record->value_size, reading->files[record->partition]);
    putc('\n', reading->files[record->partition]);
    if (atomic_load(&result->first_ns) == 0)
        atomic_store(&result->first_ns, (uint64_t)now);
    atomic_store(&result->last_ns, (uint64_t)now);
    atomic_fetch_add(&result->records, 1);
}

static int read_all(struct reading *reading, spate_consumer *consumer)
{
    struct spate_record records[256];

    for (;;) {
        bool done = atomic_load(&reading->shared->done);
        int count = spate_poll(consumer, records, 256, 5 * NS_PER_MS);
        if (count == -ETIMEDOUT && done && spate_lag(consumer, SPATE_ANY) == 0)
            return 0;
        if (count == -ETIMEDOUT || count == -EINTR)
            continue;
        if (count < 0)
            return count;
        int64_t wall = tool_now(), now = tool_clock();
        for (int i = 0; i < count; i++)
            take(reading, &records[i], wall, now);
    }
}

static int open_files(struct reading *reading, const char *folder, uint32_t index)
{
    char path[4096];

    for (int partition = 0; partition < DEMO_PARTITIONS; partition++) {
        snprintf(path, sizeof path, "%s/consumer%u.partition%d", folder, index, partition);
        reading->files[partition] = fopen(path, "we");
        if (reading->files[partition] == NULL)
            return tool_error("cannot write %s: %s", path, strerror(errno));
    }
    return STATUS_OK;
}

static int close_files(struct reading *reading, const char *folder)
{
    int status = STATUS_OK;

    for (int partition = 0; partition < DEMO_PARTITIONS; partition++)
        if (reading->files[partition] != NULL && fclose(reading->files[partition]) != 0)
            status = tool_error("cannot write to %s: %s", folder, strerror(errno));
    return status;
}

static int consume(struct reading *reading, const struct demo_plan *plan, uint32_t index)
{
    struct spate_bus_options options;
    char name[32];
    spate_bus *bus;
    spate_topic *topic;
    spate_consumer *consumer;

    snprintf(name, sizeof name, "demo-consumer-%u", index);
    spate_bus_options_init(&options);
    options.participant_name = name;
    int error = spate_bus_open(plan->bus, &options, &bus);
    if (error == 0)
        error = spate_topic_open(bus, DEMO_TOPIC, &topic);
    if (error == 0)
        error = spate_consumer_open(topic, NULL, &consumer);
    if (error != 0)
        return tool_failed(error, "cannot start a consumer");
    atomic_fetch_add(&reading->shared->consumers_ready, 1);
    error = read_all(reading, consumer);
    if (error != 0) {
        atomic_fetch_add(&reading->result->errors, 1);
        return tool_failed(error, "consumer %u ended early", index);
    }
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return STATUS_OK;
}

int demo_consume(const struct demo_plan *plan, struct demo_shared *shared, uint32_t index)
{
    static struct reading reading; /* one consumer a process */

    reading = (struct reading){.shared = shared, .result = &shared->consumers[index]};
    int status = open_files(&reading, plan->output, index);
    if (status == STATUS_OK)
        status = consume(&reading, plan, index);
    int closed = close_files(&reading, plan->output);
    return status != STATUS_OK ? status : closed;
}
