/* batch.c: publishes a batch: grouped by partition, cut into claims that the ring can hold, waiting for room where it is full.
 *
 * Owns nothing beyond the struct. The grouping is a counting sort, which is stable, so the order of each key is the order of the
 * input. */
#include "batch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    RECORD_OVERHEAD = 16 + 8 + 8 + 128, /* header, timestamp, attributes, and the padding of the widest alignment */
    HEADER_OVERHEAD = 8,
    LOOK_MS = 200,  /* how often a wait for room looks whether it was asked to stop */
    PATIENCE_S = 3, /* after which a person is told what is being waited for */
};

static uint64_t footprint(const struct spate_record *record)
{
    uint64_t size = RECORD_OVERHEAD + (uint64_t)record->key_size + record->value_size;
    for (uint32_t i = 0; i < record->headers_count; i++)
        size += HEADER_OVERHEAD + record->headers[i].name_size + record->headers[i].value_size;
    return size;
}

static void tell_who_waits(const struct batch *batch, int64_t started, bool *told)
{
    if (*told || batch->quiet || tool_clock() - started < PATIENCE_S * NS_PER_S || isatty(STDERR_FILENO) != 1)
        return;
    fprintf(stderr, "spate: waiting for room in the ring: `spate stat` shows which consumer gates or which claim is stalled\n");
    *told = true;
}

/* publish_claim: one claim. Waits in slices: a signal that comes just before a wait must not be slept over. */
static int publish_claim(struct batch *batch, const struct spate_record *records, uint32_t count)
{
    int64_t started = tool_clock();
    bool told = false;
    for (;;) {
        int64_t left = batch->timeout == SPATE_FOREVER ? LOOK_MS * NS_PER_MS : started + batch->timeout - tool_clock();
        left = left < 0 ? 0 : left > LOOK_MS * NS_PER_MS ? LOOK_MS * NS_PER_MS : left;
        int error = spate_publish_batch(batch->producer, records, count, left, NULL);
        if (error == 0)
            batch->published += count;
        if (error != -ETIMEDOUT && error != -EAGAIN && error != -EINTR)
            return error;
        if (tool_stopped())
            return -EINTR;
        if (batch->timeout != SPATE_FOREVER && tool_clock() - started >= batch->timeout)
            return -ETIMEDOUT;
        tell_who_waits(batch, started, &told);
    }
}

/* publish_group: records of one partition, in claims as large as the ring takes well. When the library finds a claim too large, the rest
 * goes out one by one, so that everything before the culprit is published. */
static int publish_group(struct batch *batch, const struct spate_record *records, size_t count)
{
    size_t done = 0;
    while (done < count) {
        uint32_t take = 0;
        uint64_t size = 0;
        while (done + take < count) {
            size += footprint(&records[done + take]);
            if (take != 0 && size > batch->claim_size_max)
                break;
            take++;
        }
        int error = publish_claim(batch, records + done, take);
        if (error == -EMSGSIZE && take > 1)
            batch->claim_size_max = 0;
        else if (error != 0)
            return error;
        else
            done += take;
    }
    return 0;
}

/* sort_by_place: records -> sorted; starts[place] is where each place's records begin. */
static void sort_by_place(struct batch *batch, uint32_t starts[SPATE_PARTITIONS_MAX + 2])
{
    memset(starts, 0, (batch->partitions + 2) * sizeof(*starts));
    for (size_t i = 0; i < batch->count; i++) {
        const struct spate_record *record = &batch->records[i];
        batch->places[i] = record->key == NULL ? 0 : 1 + spate_partition_of(record->key, record->key_size, batch->partitions);
        starts[batch->places[i] + 1]++;
    }
    for (uint32_t place = 0; place <= batch->partitions; place++)
        starts[place + 1] += starts[place];
    uint32_t next[SPATE_PARTITIONS_MAX + 2];
    memcpy(next, starts, (batch->partitions + 2) * sizeof(*next));
    for (size_t i = 0; i < batch->count; i++) {
        struct spate_record *record = &batch->sorted[next[batch->places[i]]++];
        *record = batch->records[i];
        record->partition = batch->places[i] == 0 ? SPATE_ANY : batch->places[i] - 1;
    }
}

/* wait_for_acks: until all that was published has come where it should. */
static int wait_for_acks(struct batch *batch)
{
    const int64_t started = tool_clock();
    int error = batch->acks == SPATE_WATERMARK_RING ? 0 : -ETIMEDOUT;
    while (error == -ETIMEDOUT) {
        error = spate_wait(batch->producer, SPATE_ANY, 0, batch->acks, LOOK_MS * NS_PER_MS);
        if (tool_stopped() && error != 0)
            return -EINTR;
        if (error == -ETIMEDOUT && batch->timeout != SPATE_FOREVER && tool_clock() - started >= batch->timeout)
            return error;
        if (error == -EINTR)
            error = -ETIMEDOUT;
    }
    return error;
}

int batch_publish(struct batch *batch)
{
    int error = 0;
    if (!batch->by_key) {
        error = publish_group(batch, batch->records, batch->count);
    } else if (batch->count != 0) {
        uint32_t starts[SPATE_PARTITIONS_MAX + 2];
        sort_by_place(batch, starts);
        for (uint32_t place = 0; place <= batch->partitions && error == 0; place++)
            error = publish_group(batch, batch->sorted + starts[place], starts[place + 1] - starts[place]);
    }
    if (error == 0 && batch->count != 0)
        error = wait_for_acks(batch);
    batch->count = 0;
    return error;
}
