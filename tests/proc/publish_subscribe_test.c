/* publish_subscribe_test.c: what producers put in is what every consumer takes out: the same records, in the same order, with
 * dense offsets.
 *
 * Real processes over the public API, in both modes; what a record may carry; the ways to publish one; which partition it goes
 * to. */
#include "proc.h"

#include <time.h>

enum { PRODUCERS = 3, CONSUMERS = 3, PARTITIONS = 4, RECORDS_MAX = 200000 };

struct traffic {
    uint32_t mode;
    uint32_t records; /* each producer publishes so many */
    proc_word ready;  /* consumers that are subscribed */
    proc_word start;
    proc_word next_id;
    struct {
        uint64_t count[PARTITIONS];
        uint64_t hash[PARTITIONS]; /* over offset, producer and sequence of each record, in order */
    } seen[CONSUMERS];
};

static int produce(void *argument)
{
    struct traffic *traffic = argument;
    struct proc_handles handles = proc_join("t");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t id = atomic_fetch_add_explicit(&traffic->next_id, 1, memory_order_relaxed);
    uint64_t random = id;

    proc_await(&traffic->start, 1);
    for (uint64_t i = 0; i < traffic->records; i++) {
        /* exclusive: a partition each. Concurrent: everybody everywhere */
        int32_t partition = (int32_t)(traffic->mode == SPATE_MODE_EXCLUSIVE ? id : proc_below(&random, PARTITIONS));
        uint32_t size = (uint32_t)(PROC_VALUE_MIN + proc_below(&random, proc_below(&random, 50) ? 200 : 5000));
        proc_publish(producer, partition, size, id, i);
    }
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static int consume(struct traffic *traffic, int me)
{
    struct proc_handles handles = proc_join("t");
    spate_consumer *consumer = proc_consumer(handles.topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    const uint64_t all = (uint64_t)traffic->records * PRODUCERS;
    uint64_t seen = 0, next_sequence[PRODUCERS][PARTITIONS] = {0};
    struct spate_record records[64];

    proc_add(&traffic->ready);
    while (seen < all) {
        int n = spate_poll(consumer, records, 64, PROC_PATIENCE);
        CHECKF(n > 0, "poll gave %d after %llu records: %s", n, (unsigned long long)seen, spate_last_error());
        for (int i = 0; i < n; i++) {
            const struct spate_record *r = &records[i];
            uint64_t id, sequence, *hash = &traffic->seen[me].hash[r->partition];
            CHECK(proc_is_whole(r->value, r->value_size, &id, &sequence) && id < PRODUCERS);
            IS(r->offset, traffic->seen[me].count[r->partition]);
            CHECK(sequence >= next_sequence[id][r->partition]);
            next_sequence[id][r->partition] = sequence + 1;
            traffic->seen[me].count[r->partition]++;
            *hash = *hash * 0x100000001b3u + (id << 32 ^ sequence) + 1;
            seen++;
        }
    }
    IS(spate_lag(consumer, SPATE_ANY), 0);
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static int consume0(void *argument)
{
    return consume(argument, 0);
}
static int consume1(void *argument)
{
    return consume(argument, 1);
}
static int consume2(void *argument)
{
    return consume(argument, 2);
}

static void run_traffic(uint32_t mode, uint64_t ring)
{
    struct traffic *traffic = proc_shared(sizeof *traffic);
    pid_t producers[PRODUCERS], consumers[CONSUMERS];
    spate_bus *bus = proc_open();

    proc_create(bus, "t", PARTITIONS, ring, mode);
    traffic->mode = mode;
    traffic->records = proc_is_full() ? RECORDS_MAX : proc_is_slow() ? 3000 : 20000;
    consumers[0] = proc_start(consume0, traffic);
    consumers[1] = proc_start(consume1, traffic);
    consumers[2] = proc_start(consume2, traffic);
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = proc_start(produce, traffic);
    proc_await(&traffic->ready, CONSUMERS);
    proc_set(&traffic->start, 1);
    for (int i = 0; i < PRODUCERS; i++)
        IS(proc_wait(producers[i]), 0);
    for (int i = 0; i < CONSUMERS; i++)
        IS(proc_wait(consumers[i]), 0);
    for (int i = 1; i < CONSUMERS; i++) {
        for (int p = 0; p < PARTITIONS; p++) {
            IS(traffic->seen[i].count[p], traffic->seen[0].count[p]);
            IS(traffic->seen[i].hash[p], traffic->seen[0].hash[p]);
        }
    }
    spate_bus_close(bus);
}

static void all_consumers_see_the_same_records_in_the_same_order_concurrent(void **state)
{
    (void)state;
    run_traffic(SPATE_MODE_CONCURRENT, 1 << 20);
}

static void all_consumers_see_the_same_records_in_the_same_order_in_a_tiny_ring(void **state)
{
    (void)state;
    run_traffic(SPATE_MODE_CONCURRENT, SPATE_RING_MIN);
}

static void all_consumers_see_the_same_records_in_the_same_order_exclusive(void **state)
{
    (void)state;
    run_traffic(SPATE_MODE_EXCLUSIVE, SPATE_RING_MIN);
}

/* ----------------------------------------------------------------------------------- one process, what a record carries */

struct bench {
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
};

static struct bench open_bench(uint32_t partitions, uint32_t mode, uint32_t timestamp, uint32_t alignment)
{
    struct spate_topic_config config = proc_config(partitions, 1 << 20, mode);
    struct bench bench = {.bus = proc_open()};

    config.timestamp = timestamp;
    config.alignment = alignment;
    OK(spate_topic_create(bench.bus, "b", &config));
    bench.topic = proc_topic(bench.bus, "b");
    bench.producer = proc_producer(bench.topic);
    bench.consumer = proc_consumer(bench.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    return bench;
}

static void close_bench(struct bench bench)
{
    spate_consumer_close(bench.consumer);
    spate_producer_close(bench.producer);
    spate_topic_close(bench.topic);
    spate_bus_close(bench.bus);
}

static void check_bytes(const void *got, uint32_t got_size, const void *expected, uint32_t size)
{
    CHECK((got == NULL) == (expected == NULL));
    IS(got_size, size);
    CHECK(size == 0 || memcmp(got, expected, size) == 0);
}

static void check_same(const struct spate_record *got, const struct spate_record *expected)
{
    check_bytes(got->key, got->key_size, expected->key, expected->key_size);
    check_bytes(got->value, got->value_size, expected->value, expected->value_size);
    IS(got->headers_count, expected->headers_count);
    for (uint32_t i = 0; i < expected->headers_count; i++) {
        struct spate_header header;
        OK(spate_record_header(got, i, &header));
        IS(header.name_size, expected->headers[i].name_size);
        CHECK(memcmp(header.name, expected->headers[i].name, header.name_size) == 0);
        check_bytes(header.value, header.value_size, expected->headers[i].value, expected->headers[i].value_size);
    }
    struct spate_header none;
    IS(spate_record_header(got, got->headers_count, &none), -ENOENT);
}

static const char long_bytes[9000] = "a long value, mostly zeros";

static const struct spate_header some_headers[] = {{"trace", 5, "0123456789abcdef", 16},
                                                   {"null", 4, NULL, 0},
                                                   {"empty", 5, "", 0},
                                                   {"", 0, "nameless", 8},
                                                   {"long", 4, long_bytes, 8999}};

static const struct spate_record shapes[] = {
    {.value = "v", .value_size = 1},
    {.value = "", .value_size = 0},
    {.value = NULL},
    {.key = "k", .key_size = 1, .value = "v", .value_size = 1},
    {.key = "", .key_size = 0, .value = "v", .value_size = 1},
    {.key = "", .key_size = 0, .value = NULL},
    {.key = "tombstone", .key_size = 9},
    {.key = "a key of odd size", .key_size = 17, .value = long_bytes, .value_size = 8191},
    {.value = "h", .value_size = 1, .headers = some_headers, .headers_count = 1},
    {.headers = some_headers, .headers_count = 5},
    {.key = long_bytes, .key_size = 9000, .value = long_bytes, .value_size = 9000, .headers = some_headers, .headers_count = 5},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void publish_shapes(uint32_t mode, uint32_t timestamp, uint32_t alignment)
{
    struct bench b = open_bench(1, mode, timestamp, alignment);
    struct spate_record got[SHAPES];
    static _Alignas(16) char buffer[64 << 10];
    int64_t offset;

    for (uint32_t i = 0; i < SHAPES; i++) {
        struct spate_record record = shapes[i];
        record.partition = i % 2 ? SPATE_ANY : 0;
        OK(spate_publish(b.producer, &record, 0, &offset));
        IS(offset, i);
    }
    IS(spate_poll(b.consumer, got, SHAPES, PROC_PATIENCE), SHAPES);
    for (uint32_t i = 0; i < SHAPES; i++) {
        IS(got[i].offset, i);
        IS(got[i].partition, 0);
        check_same(&got[i], &shapes[i]);
    }
    OK(spate_seek(b.consumer, 0, SPATE_START_BEGINNING, 0));
    for (uint32_t i = 0; i < SHAPES; i++) {
        IS(spate_read(b.consumer, buffer, sizeof buffer, got, PROC_PATIENCE), 1);
        IS(got[0].offset, i);
        check_same(&got[0], &shapes[i]);
    }
    close_bench(b);
    spate_bus *bus = proc_open();
    OK(spate_topic_delete(bus, "b", 0));
    spate_bus_close(bus);
}

static void keys_headers_null_and_empty_come_out_as_they_went_in(void **state)
{
    (void)state;
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++)
        for (uint32_t timestamp = SPATE_TIMESTAMP_CLOCK; timestamp <= SPATE_TIMESTAMP_NONE; timestamp++)
            for (uint32_t alignment = 8; alignment <= 128; alignment *= 2)
                publish_shapes(mode, timestamp, alignment);
}

static int64_t now_real(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * PROC_S + time.tv_nsec;
}

static struct spate_record publish_stamped(struct bench *b, int64_t timestamp)
{
    struct spate_record record = {.value = "x", .value_size = 1, .timestamp = timestamp}, got;
    OK(spate_publish(b->producer, &record, 0, NULL));
    IS(spate_poll(b->consumer, &got, 1, PROC_PATIENCE), 1);
    return got;
}

static void timestamps_come_from_the_source_of_the_topic(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CLOCK, 64);
    int64_t before = now_real();
    struct spate_record first = publish_stamped(&b, 5), second = publish_stamped(&b, 4);
    CHECK(first.timestamp >= before && second.timestamp >= first.timestamp && second.timestamp <= now_real());
    close_bench(b);

    spate_bus *bus = proc_open();
    OK(spate_topic_delete(bus, "b", 0));
    b = open_bench(1, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CALLER, 64);
    IS(publish_stamped(&b, 5).timestamp, 5);
    IS(publish_stamped(&b, -7).timestamp, -7);
    IS(publish_stamped(&b, INT64_MAX).timestamp, INT64_MAX);
    IS(publish_stamped(&b, INT64_MIN).timestamp, INT64_MIN);
    close_bench(b);

    OK(spate_topic_delete(bus, "b", 0));
    b = open_bench(1, SPATE_MODE_EXCLUSIVE, SPATE_TIMESTAMP_NONE, 64);
    IS(publish_stamped(&b, 5).timestamp, 0);
    close_bench(b);
    spate_bus_close(bus);
}

/* In all ways of publishing, taking turns, so that each also comes right behind each other; read alone and many at once. */
#define TURNS 3000

static void publish_in_turn(struct bench *b, uint32_t n)
{
    char values[2][100];
    struct spate_record records[2];
    struct spate_claim claim;

    for (uint32_t i = 0; i < 2; i++) {
        memset(values[i], (int)(n + i), sizeof values[i]);
        records[i] = (struct spate_record){.value = values[i], .value_size = n / 100 % 2 ? 64 : 100, .timestamp = n + i};
    }
    switch (n / 2 % 8) { /* two records each; runs of the same, and changes */
    case 0:
    case 1:
    case 2:
        for (uint32_t i = 0; i < 2; i++)
            OK(spate_publish(b->producer, &records[i], 0, NULL));
        break;
    case 3:
    case 4: OK(spate_publish_batch(b->producer, records, 2, 0, NULL)); break;
    default:
        for (uint32_t i = 0; i < 2; i++) {
            OK(spate_claim(b->producer, &records[i], &claim));
            if (n % 32 == 10) {
                OK(spate_abort(b->producer));
                OK(spate_claim(b->producer, &records[i], &claim));
            }
            memcpy(claim.value, values[i], claim.value_size);
            OK(spate_commit(b->producer));
        }
        break;
    }
}

static void values_and_timestamps_are_right_whichever_way_they_were_published(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++)
        for (uint32_t timestamp = SPATE_TIMESTAMP_CLOCK; timestamp <= SPATE_TIMESTAMP_NONE; timestamp++)
            for (uint32_t at_once = 1; at_once <= 64; at_once *= 64) {
                struct bench b = open_bench(1, mode, timestamp, 16);
                struct spate_record got[64];
                int64_t last = now_real();
                uint32_t next = 0;
                for (uint32_t n = 0; n < TURNS; n += 2) {
                    publish_in_turn(&b, n);
                    for (int count; n + 2 - next >= at_once && (count = spate_poll(b.consumer, got, at_once, 0)) > 0;)
                        for (int i = 0; i < count; i++, next++) {
                            IS(got[i].value_size, next / 100 % 2 ? 64 : 100);
                            for (uint32_t j = 0; j < got[i].value_size; j++)
                                IS(((const uint8_t *)got[i].value)[j], (uint8_t)next);
                            CHECK(got[i].key == NULL && got[i].headers_count == 0);
                            if (timestamp != SPATE_TIMESTAMP_CLOCK)
                                IS(got[i].timestamp, timestamp == SPATE_TIMESTAMP_CALLER ? next : 0);
                            else
                                CHECK(got[i].timestamp >= last && got[i].timestamp <= now_real());
                            last = got[i].timestamp;
                        }
                }
                CHECK(next >= TURNS - 64);
                close_bench(b);
                OK(spate_topic_delete(bus, "b", 0));
            }
    spate_bus_close(bus);
}

/* What was reserved for a large claim must not let many small records go unsettled, for the walk to the end of them is bounded. */
static void small_records_behind_an_aborted_large_claim_are_all_counted(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_EXCLUSIVE, SPATE_TIMESTAMP_NONE, 16);
    const struct spate_record large = {.partition = 0, .value_size = 200000}, small = {.partition = 0, .value = ""};
    struct spate_claim claim;
    int64_t first, next;

    for (int i = 0; i < 4; i++) {
        OK(spate_claim(b.producer, &large, &claim));
        OK(i % 2 ? spate_abort(b.producer) : spate_commit(b.producer));
        for (int n = 0; n < 5000; n++)
            OK(spate_publish(b.producer, &small, 0, NULL));
        OK(spate_offsets(b.consumer, 0, &first, &next));
        IS(next, (i + 1) * 5000 + i / 2 + 1);
        struct spate_record got[64];
        while (spate_poll(b.consumer, got, 64, 0) > 0)
            ;
        OK(spate_release(b.consumer));
    }
    close_bench(b);
}

static void a_claim_tells_the_offset_before_it_is_published(void **state)
{
    (void)state;
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++) {
        struct bench b = open_bench(1, mode, SPATE_TIMESTAMP_CLOCK, 64);
        struct spate_record record = {.key = "k", .key_size = 1, .value_size = 5}, got;
        struct spate_claim claim;
        for (int i = 0; i < 3; i++) {
            OK(spate_claim(b.producer, &record, &claim));
            IS(claim.offset, i);
            IS(claim.partition, 0);
            IS(claim.value_size, 5);
            CHECK((uintptr_t)claim.value % 8 == 0);
            IS(spate_poll(b.consumer, &got, 1, 0), 0);
            memcpy(claim.value, "claim", 5);
            OK(spate_commit(b.producer));
            IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
            IS(got.offset, i);
            check_bytes(got.value, got.value_size, "claim", 5);
        }
        record.value_size = 0;
        OK(spate_claim(b.producer, &record, &claim));
        CHECK(claim.value != NULL);
        OK(spate_commit(b.producer));
        IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
        CHECK(got.value != NULL && got.value_size == 0);
        close_bench(b);
        spate_bus *bus = proc_open();
        OK(spate_topic_delete(bus, "b", 0));
        spate_bus_close(bus);
    }
}

static void one_claim_at_a_time(void **state)
{
    (void)state;
    struct bench b = open_bench(2, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CLOCK, 64);
    struct spate_record record = {.value_size = 8}, published = {.partition = 1, .value = "x", .value_size = 1};
    struct spate_claim claim, second = {.offset = 77};

    IS(spate_commit(b.producer), -ENOENT);
    IS(spate_abort(b.producer), -ENOENT);
    OK(spate_claim(b.producer, &record, &claim));
    IS(spate_claim(b.producer, &record, &second), -EBUSY);
    SAYS("open claim");
    IS(spate_publish(b.producer, &published, 0, NULL), -EBUSY);
    IS(spate_claim_batch(b.producer, &record, 1, &second), -EBUSY);
    IS(second.offset, 77); /* untouched */
    memset(claim.value, 'a', 8);
    OK(spate_commit(b.producer));
    IS(spate_commit(b.producer), -ENOENT);
    close_bench(b);
}

static void an_abort_leaves_a_hole_in_a_concurrent_topic(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CLOCK, 64);
    struct spate_record record = {.value_size = 100}, got[8];
    struct spate_claim claim, claims[5];

    IS(proc_publish_text(b.producer, 0, "zero"), 0);
    OK(spate_claim(b.producer, &record, &claim));
    IS(claim.offset, 1);
    OK(spate_abort(b.producer));
    IS(proc_publish_text(b.producer, 0, "two"), 2);
    struct spate_record batch[5];
    for (int i = 0; i < 5; i++)
        batch[i] = record;
    OK(spate_claim_batch(b.producer, batch, 5, claims));
    IS(claims[0].offset, 3);
    IS(claims[4].offset, 7);
    OK(spate_abort(b.producer));
    IS(proc_publish_text(b.producer, 0, "eight"), 8);
    IS(spate_poll(b.consumer, got, 8, PROC_PATIENCE), 3);
    IS(got[0].offset, 0);
    IS(got[1].offset, 2);
    IS(got[2].offset, 8);
    IS(spate_position(b.consumer, 0), 9);
    close_bench(b);
}

/* Also to who stays behind because much came at once, and now sees only holes up to where it looks. */
static void no_hole_looks_like_the_end(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record records[20], record = {.partition = 0, .value_size = 16};
    struct spate_claim claim;
    int n, total = 0;

    proc_create(bus, "t", 1, 256 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    for (uint64_t i = 0; i < 40; i++)
        proc_publish(producer, 0, 16, 0, i);
    for (int i = 0; i < 2; i++)
        IS(spate_poll(consumer, records, 20, 0), 20);
    for (int i = 0; i < 300; i++) {
        OK(spate_claim(producer, &record, &claim));
        OK(spate_abort(producer));
    }
    for (uint64_t i = 0; i < 20; i++)
        proc_publish(producer, 0, 16, 0, 40 + i);
    while ((n = spate_poll(consumer, records, 20, 0)) > 0)
        total += n;
    IS(n, 0);
    IS(total, 20);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void an_abort_leaves_nothing_in_an_exclusive_topic(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_EXCLUSIVE, SPATE_TIMESTAMP_CLOCK, 64);
    struct spate_record record = {.value_size = 100}, got[8], batch[3] = {record, record, record};
    struct spate_claim claim, claims[3];

    IS(proc_publish_text(b.producer, 0, "zero"), 0);
    for (int i = 0; i < 5; i++) {
        OK(spate_claim(b.producer, &record, &claim));
        IS(claim.offset, 1);
        OK(spate_abort(b.producer));
    }
    OK(spate_claim_batch(b.producer, batch, 3, claims));
    IS(claims[2].offset, 3);
    OK(spate_abort(b.producer));
    IS(proc_publish_text(b.producer, 0, "one"), 1);
    IS(spate_poll(b.consumer, got, 8, PROC_PATIENCE), 2);
    check_bytes(got[1].value, got[1].value_size, "one", 3);
    close_bench(b);
}

static void an_abandoned_claim_is_aborted_by_closing(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CLOCK, 64);
    struct spate_record record = {.value_size = 100}, got;
    spate_producer *other = proc_producer(b.topic);
    struct spate_claim claim;

    OK(spate_claim(other, &record, &claim));
    spate_producer_close(other);
    IS(proc_publish_text(b.producer, 0, "behind"), 1);
    IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
    IS(got.offset, 1);
    close_bench(b);
}

static void batches_are_published_in_one_piece_and_in_order(void **state)
{
    (void)state;
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++) {
        struct bench b = open_bench(3, mode, SPATE_TIMESTAMP_CALLER, 16);
        struct spate_record *batch = calloc(SPATE_BATCH_MAX, sizeof *batch), *got = calloc(SPATE_BATCH_MAX, sizeof *got);
        int64_t offset = -1;
        for (int i = 0; i < SPATE_BATCH_MAX; i++)
            batch[i] = (struct spate_record){.partition = 1,
                                             .value = long_bytes,
                                             .value_size = (uint32_t)i % 40,
                                             .timestamp = i,
                                             .key = i % 3 ? "key" : NULL,
                                             .key_size = i % 3 ? 3 : 0};
        OK(spate_publish_batch(b.producer, batch, SPATE_BATCH_MAX, 0, &offset));
        IS(offset, 0);
        OK(spate_publish_batch(b.producer, batch, 7, 0, &offset));
        IS(offset, SPATE_BATCH_MAX);
        for (int round = 0, next = 0; next < SPATE_BATCH_MAX + 7; round++) {
            int n = spate_poll(b.consumer, got, SPATE_BATCH_MAX, PROC_PATIENCE);
            CHECK(n > 0);
            for (int i = 0; i < n; i++, next++) {
                IS(got[i].offset, next);
                IS(got[i].timestamp, next % SPATE_BATCH_MAX);
                IS(got[i].partition, 1);
                check_same(&got[i], &batch[next % SPATE_BATCH_MAX]);
            }
        }
        IS(spate_publish_batch(b.producer, batch, 0, 0, NULL), -EINVAL);
        IS(spate_publish_batch(b.producer, batch, SPATE_BATCH_MAX + 1, 0, NULL), -EINVAL);
        for (int i = 0; i < SPATE_BATCH_MAX; i++)
            batch[i].value_size = 8000;
        IS(spate_publish_batch(b.producer, batch, SPATE_BATCH_MAX, 0, NULL), -EMSGSIZE);
        free(batch);
        free(got);
        close_bench(b);
        spate_bus *bus = proc_open();
        OK(spate_topic_delete(bus, "b", 0));
        spate_bus_close(bus);
    }
}

static void a_batch_claim_is_filled_in_place(void **state)
{
    (void)state;
    struct bench b = open_bench(1, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_CLOCK, 64);
    struct spate_record records[10], got[10];
    struct spate_claim claims[10];

    for (uint32_t i = 0; i < 10; i++)
        records[i] = (struct spate_record){.value_size = PROC_VALUE_MIN + i * 100};
    OK(spate_claim_batch(b.producer, records, 10, claims));
    IS(spate_poll(b.consumer, got, 10, 0), 0);
    for (uint32_t i = 0; i < 10; i++) {
        IS(claims[i].offset, i);
        IS(claims[i].value_size, records[i].value_size);
        CHECK((uintptr_t)claims[i].value % 8 == 0);
        proc_fill(claims[i].value, claims[i].value_size, 1, i);
    }
    OK(spate_commit(b.producer));
    IS(spate_poll(b.consumer, got, 10, PROC_PATIENCE), 10);
    for (uint32_t i = 0; i < 10; i++) {
        uint64_t sequence;
        CHECK(proc_is_whole(got[i].value, got[i].value_size, NULL, &sequence));
        IS(sequence, i);
    }
    close_bench(b);
}

/* --------------------------------------------------------------------------------------------------- partitions */

/* Known from Kafka's own tests of murmur2: key -> hash & 0x7fffffff. */
static void keys_go_where_kafka_puts_them(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    enum { N = 13 };
    struct bench b = open_bench(N, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_NONE, 64);

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        int32_t expected = (known[i].hash & 0x7fffffff) % N;
        struct spate_record record = {.partition = SPATE_ANY, .key = known[i].key, .key_size = (uint32_t)strlen(known[i].key)}, got;
        IS(spate_partition_of(known[i].key, strlen(known[i].key), N), expected);
        OK(spate_publish(b.producer, &record, 0, NULL));
        IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
        IS(got.partition, expected);
    }
    uint64_t random = 7, key;
    for (int i = 0; i < 1000; i++) {
        key = proc_random(&random);
        struct spate_record record = {.partition = SPATE_ANY, .key = &key, .key_size = 1 + (uint32_t)i % 8}, got;
        OK(spate_publish(b.producer, &record, 0, NULL));
        IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
        IS(got.partition, spate_partition_of(&key, record.key_size, N));
    }
    /* a partition that is named wins over the key */
    struct spate_record named = {.partition = 5, .key = "21", .key_size = 2}, got;
    OK(spate_publish(b.producer, &named, 0, NULL));
    IS(spate_poll(b.consumer, &got, 1, PROC_PATIENCE), 1);
    IS(got.partition, 5);
    close_bench(b);
}

static void records_without_key_go_round_in_sticky_runs(void **state)
{
    (void)state;
    enum { N = 8, EACH = 64 << 10 };
    struct bench b = open_bench(N, SPATE_MODE_CONCURRENT, SPATE_TIMESTAMP_NONE, 64);
    struct spate_record record = {.partition = SPATE_ANY, .value = long_bytes, .value_size = 1000}, got[64];
    uint64_t count[N] = {0}, runs = 0, total = 0;
    struct spate_claim claim;
    int32_t last = -1;

    for (int i = 0; i < N * EACH / 1000; i++) {
        OK(spate_claim(b.producer, &record, &claim));
        runs += claim.partition != last;
        last = claim.partition;
        count[claim.partition]++;
        memset(claim.value, 0, 1000);
        OK(spate_commit(b.producer));
        while (spate_poll(b.consumer, got, 64, 0) > 0)
            total++;
    }
    for (int i = 0; i < N; i++)
        CHECKF(count[i] * N * 2 > N * EACH / 1000, "partition %d got %llu records", i, (unsigned long long)count[i]);
    CHECKF(runs >= N && runs <= N * EACH / 1000 / 8, "%llu runs", (unsigned long long)runs);
    IS(proc_publish_text(b.producer, SPATE_ANY, "x") >= 0, 1);
    struct spate_record wrong = {.partition = N};
    IS(spate_publish(b.producer, &wrong, 0, NULL), -ERANGE);
    SAYS("0..7");
    wrong.partition = -2;
    IS(spate_publish(b.producer, &wrong, 0, NULL), -ERANGE);
    close_bench(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(all_consumers_see_the_same_records_in_the_same_order_concurrent),
        PROC_TEST(all_consumers_see_the_same_records_in_the_same_order_in_a_tiny_ring),
        PROC_TEST(all_consumers_see_the_same_records_in_the_same_order_exclusive),
        PROC_TEST(keys_headers_null_and_empty_come_out_as_they_went_in),
        PROC_TEST(timestamps_come_from_the_source_of_the_topic),
        PROC_TEST(values_and_timestamps_are_right_whichever_way_they_were_published),
        PROC_TEST(small_records_behind_an_aborted_large_claim_are_all_counted),
        PROC_TEST(a_claim_tells_the_offset_before_it_is_published),
        PROC_TEST(one_claim_at_a_time),
        PROC_TEST(an_abort_leaves_a_hole_in_a_concurrent_topic),
        PROC_TEST(no_hole_looks_like_the_end),
        PROC_TEST(an_abort_leaves_nothing_in_an_exclusive_topic),
        PROC_TEST(an_abandoned_claim_is_aborted_by_closing),
        PROC_TEST(batches_are_published_in_one_piece_and_in_order),
        PROC_TEST(a_batch_claim_is_filled_in_place),
        PROC_TEST(keys_go_where_kafka_puts_them),
        PROC_TEST(records_without_key_go_round_in_sticky_runs),
    };
    return cmocka_run_group_tests_name("publish and subscribe", tests, NULL, NULL);
}
