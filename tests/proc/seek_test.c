/* seek_test.c: where a consumer begins, and how it is steered: starts, seeks, position, lag, offsets, pause, choice of
 * partitions, waiting for a topic.
 *
 * Records carry their offset as caller timestamp times ten, so that offsets and times can be told apart and compared. */
#include "proc.h"

enum { RING = 64 << 10 };

struct fixture {
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
};

static struct fixture open_fixture(uint32_t partitions, uint32_t timestamp)
{
    struct spate_topic_config config = proc_config(partitions, RING, SPATE_MODE_CONCURRENT);
    struct fixture f = {.bus = proc_open()};

    config.timestamp = timestamp;
    OK(spate_topic_create(f.bus, "s", &config));
    f.topic = proc_topic(f.bus, "s");
    f.producer = proc_producer(f.topic);
    return f;
}

static void close_fixture(struct fixture f)
{
    spate_producer_close(f.producer);
    spate_topic_close(f.topic);
    spate_bus_close(f.bus);
}

/* Publish `count` records into a partition, timestamp ten times the offset. */
static void fill_partition(struct fixture *f, int32_t partition, int count)
{
    static char value[200];
    spate_consumer *look = proc_consumer(f->topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
    int64_t next, offset;

    OK(spate_offsets(look, partition, NULL, &next));
    spate_consumer_close(look);
    for (int i = 0; i < count; i++) {
        struct spate_record record = {
            .partition = partition, .value = value, .value_size = sizeof value, .timestamp = 10 * (next + i)};
        OK(spate_publish(f->producer, &record, PROC_PATIENCE, &offset));
        IS(offset, next + i);
    }
}

/* The next record of a consumer of one partition; -1 when there is none. */
static int64_t next_offset(spate_consumer *consumer)
{
    struct spate_record record;
    int n = spate_poll(consumer, &record, 1, 0);

    CHECK(n >= 0);
    return n == 0 ? -1 : record.offset;
}

static int64_t start_at(struct fixture *f, uint32_t policy, uint32_t start, int64_t value)
{
    spate_consumer *consumer = proc_consumer(f->topic, policy, start, value);
    int64_t position = spate_position(consumer, 0), offset = next_offset(consumer);

    CHECKF(offset == -1 || offset == position, "position is %lld, the record at %lld", (long long)position, (long long)offset);
    spate_consumer_close(consumer);
    return offset;
}

static void check_starts(struct fixture *f, int64_t first, int64_t next)
{
    for (uint32_t policy = SPATE_POLICY_GATE; policy <= SPATE_POLICY_SKIP; policy++) {
        const int64_t middle = (first + next) / 2;
        IS(start_at(f, policy, SPATE_START_BEGINNING, 0), first);
        IS(start_at(f, policy, SPATE_START_END, 0), -1);
        for (int64_t at = first; at < next; at += 7)
            IS(start_at(f, policy, SPATE_START_OFFSET, at), at);
        IS(start_at(f, policy, SPATE_START_OFFSET, next - 1), next - 1);
        IS(start_at(f, policy, SPATE_START_OFFSET, next), -1);
        IS(start_at(f, policy, SPATE_START_TIME, 0), first);
        IS(start_at(f, policy, SPATE_START_TIME, 10 * middle), middle);
        IS(start_at(f, policy, SPATE_START_TIME, 10 * middle + 1), middle + 1);
        IS(start_at(f, policy, SPATE_START_TIME, 10 * (next - 1)), next - 1);
        IS(start_at(f, policy, SPATE_START_TIME, 10 * next), -1);
        IS(start_at(f, policy, SPATE_START_LAST, 0), -1);
        IS(start_at(f, policy, SPATE_START_LAST, 1), next - 1);
        IS(start_at(f, policy, SPATE_START_LAST, 20), next - 20);
        IS(start_at(f, policy, SPATE_START_LAST, 1 << 30), first);
    }
}

static void check_ranges(struct fixture *f, int64_t first, int64_t next)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;
    char low[32], high[32];

    spate_consumer_options_init(&options);
    options.start = SPATE_START_OFFSET;
    snprintf(low, sizeof low, "%lld to", (long long)first);
    snprintf(high, sizeof high, "to %lld", (long long)next);
    const int64_t wrong[] = {first - 1, next + 1, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.start_value = wrong[i];
        IS(spate_consumer_open(f->topic, &options, &consumer), -ERANGE);
        SAYS(low);
        SAYS(high);
        CHECK(consumer == NULL);
    }
}

static void every_start_is_exact_before_the_ring_has_wrapped(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    fill_partition(&f, 0, 50);
    check_starts(&f, 0, 50);
    check_ranges(&f, 0, 50);
    close_fixture(f);
}

static void every_start_is_exact_after_the_ring_has_wrapped(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    int64_t first, next;

    for (int lap = 0; lap < 10; lap++) {
        fill_partition(&f, 0, 301);
        spate_consumer *look = proc_consumer(f.topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
        OK(spate_offsets(look, 0, &first, &next));
        spate_consumer_close(look);
        IS(next, 301 * (lap + 1));
        CHECK(lap == 0 || (first > 0 && next - first > 100));
        check_starts(&f, first, next);
        check_ranges(&f, first, next);
    }
    close_fixture(f);
}

static void every_start_works_in_an_empty_ring(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    const uint32_t starts[] = {SPATE_START_BEGINNING, SPATE_START_END, SPATE_START_OFFSET, SPATE_START_TIME, SPATE_START_LAST};
    spate_consumer *consumers[5];

    for (int i = 0; i < 5; i++)
        consumers[i] = proc_consumer(f.topic, SPATE_POLICY_GATE, starts[i], 0);
    check_ranges(&f, 0, 0);
    fill_partition(&f, 0, 1);
    for (int i = 0; i < 5; i++) {
        IS(next_offset(consumers[i]), 0);
        spate_consumer_close(consumers[i]);
    }
    close_fixture(f);
}

/* A ring that has wrapped, a consumer that waits for something far in the future: it has nothing to read, so it must not hold
 * producers up. */
static void check_future_start(int filled)
{
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    struct spate_record record = {.value = "new", .value_size = 3};
    int accepted = 0;

    fill_partition(&f, 0, filled);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_TIME, 10 * 100000);
    IS(next_offset(consumer), -1);
    for (int i = 0; i < 1000; i++) {
        record.timestamp = 10 * (filled + i);
        int error = spate_publish(f.producer, &record, 0, NULL);
        CHECK(error == 0 || error == -EAGAIN);
        accepted += error == 0;
        IS(next_offset(consumer), -1);
    }
    CHECKF(accepted == 1000, "after %d records only %d of 1000 were accepted, though the consumer had nothing to read", filled,
           accepted);
    record.timestamp = 10 * 100000;
    OK(spate_publish(f.producer, &record, 0, NULL));
    IS(next_offset(consumer), filled + 1000);
    spate_consumer_close(consumer);
    spate_producer_close(f.producer);
    spate_topic_close(f.topic);
    OK(spate_topic_delete(f.bus, "s", 0));
    spate_bus_close(f.bus);
}

static void a_gate_that_starts_in_the_future_holds_nobody_up(void **state)
{
    (void)state;
    for (int filled = 1000; filled < 1040; filled++)
        check_future_start(filled);
}

static void a_start_by_time_needs_timestamps(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_NONE);
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.start = SPATE_START_TIME;
    IS(spate_consumer_open(f.topic, &options, &consumer), -ENODATA);
    SAYS("timestamp");
    options.start = SPATE_START_END;
    OK(spate_consumer_open(f.topic, &options, &consumer));
    IS(spate_seek(consumer, 0, SPATE_START_TIME, 0), -ENODATA);
    IS(spate_seek(consumer, 0, 5, 0), -EINVAL);
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void a_seek_goes_on_exactly_there(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    uint64_t random = 42;
    int64_t first, next;

    fill_partition(&f, 0, 1234);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(spate_offsets(consumer, 0, &first, &next));
    for (int i = 0; i < 500; i++) {
        int64_t at = first + (int64_t)proc_below(&random, (uint64_t)(next - first));
        OK(spate_seek(consumer, i % 2 ? 0 : SPATE_ANY, SPATE_START_OFFSET, at));
        IS(spate_position(consumer, 0), at);
        IS(spate_lag(consumer, 0), next - at);
        for (int j = 0; j < 3 && at + j < next; j++)
            IS(next_offset(consumer), at + j);
        OK(spate_seek(consumer, 0, SPATE_START_TIME, 10 * at - 5));
        IS(next_offset(consumer), at);
    }
    IS(spate_seek(consumer, 0, SPATE_START_OFFSET, first - 1), -ERANGE);
    IS(spate_seek(consumer, 0, SPATE_START_OFFSET, next + 1), -ERANGE);
    IS(spate_seek(consumer, 1, SPATE_START_END, 0), -ERANGE);
    OK(spate_seek(consumer, 0, SPATE_START_END, 0));
    IS(next_offset(consumer), -1);
    OK(spate_seek(consumer, 0, SPATE_START_LAST, 3));
    IS(next_offset(consumer), next - 3);
    spate_consumer_close(consumer);
    close_fixture(f);
}

/* A gate that has gone back holds what it has yet to read again; one that has gone forward gives it free. */
static void a_seek_moves_the_gate(void **state)
{
    (void)state;
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_CALLER);
    struct spate_record record = {.value = "0123456789", .value_size = 10}, got[16];
    int64_t next, from = 0;
    int error = 0;

    fill_partition(&f, 0, 2000);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    OK(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0));
    from = spate_position(consumer, 0);
    while ((error = spate_publish(f.producer, &record, 0, NULL)) == 0) {
    }
    IS(error, -EAGAIN);
    OK(spate_offsets(consumer, 0, NULL, &next));
    for (int64_t at = from; at < next;) {
        int n = spate_poll(consumer, got, 16, PROC_PATIENCE);
        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            IS(got[i].offset, at++);
    }
    OK(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0));
    OK(spate_seek(consumer, 0, SPATE_START_END, 0));
    for (int i = 0; i < 50; i++)
        OK(spate_publish(f.producer, &record, 0, NULL));
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void position_lag_and_offsets_count_records(void **state)
{
    (void)state;
    struct fixture f = open_fixture(2, SPATE_TIMESTAMP_CALLER);
    int64_t first = -1, next = -1;

    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    fill_partition(&f, 0, 10);
    fill_partition(&f, 1, 20);
    IS(spate_lag(consumer, 0), 10);
    IS(spate_lag(consumer, 1), 20);
    IS(spate_lag(consumer, SPATE_ANY), 30);
    IS(spate_lag(consumer, 2), -ERANGE);
    IS(spate_position(consumer, 2), -ERANGE);
    IS(spate_position(consumer, -1), -ERANGE);
    struct spate_record got[16];
    for (int left = 30; left > 0;) {
        int n = spate_poll(consumer, got, 16, PROC_PATIENCE);
        CHECK(n > 0);
        left -= n;
        IS(spate_lag(consumer, SPATE_ANY), left);
    }
    IS(spate_position(consumer, 0), 10);
    IS(spate_position(consumer, 1), 20);
    OK(spate_offsets(consumer, 1, &first, &next));
    IS(first, 0);
    IS(next, 20);
    OK(spate_offsets(consumer, 1, NULL, NULL));
    IS(spate_offsets(consumer, 2, &first, &next), -ERANGE);
    IS(spate_offsets(consumer, SPATE_ANY, &first, &next), -ERANGE);
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void paused_partitions_are_left_out_and_still_gate(void **state)
{
    (void)state;
    struct fixture f = open_fixture(3, SPATE_TIMESTAMP_CALLER);
    struct spate_record record = {.partition = 1, .value = "x", .value_size = 1}, got[64];
    uint64_t by_partition[3] = {0};
    int n, error;

    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(spate_pause(consumer, 1));
    IS(spate_pause(consumer, 3), -ERANGE);
    IS(spate_resume(consumer, -2), -ERANGE);
    for (int p = 0; p < 3; p++)
        fill_partition(&f, p, 10);
    while ((n = spate_poll(consumer, got, 64, 0)) > 0)
        for (int i = 0; i < n; i++)
            by_partition[got[i].partition]++;
    IS(by_partition[0], 10);
    IS(by_partition[1], 0);
    IS(by_partition[2], 10);
    int accepted = 0;
    while ((error = spate_publish(f.producer, &record, 0, NULL)) == 0)
        accepted++;
    IS(error, -EAGAIN); /* a paused gate gates */
    OK(spate_pause(consumer, SPATE_ANY));
    fill_partition(&f, 0, 1);
    IS(spate_poll(consumer, got, 64, 0), 0);
    OK(spate_resume(consumer, SPATE_ANY));
    while ((n = spate_poll(consumer, got, 64, 0)) > 0)
        for (int i = 0; i < n; i++)
            by_partition[got[i].partition]++;
    IS(by_partition[1], 10 + accepted);
    IS(by_partition[0], 11);
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void a_consumer_reads_just_the_partitions_it_names(void **state)
{
    (void)state;
    struct fixture f = open_fixture(8, SPATE_TIMESTAMP_CALLER);
    struct spate_consumer_options options;
    const int32_t chosen[] = {6, 1, 3}, twice[] = {2, 2}, outside[] = {8}, negative[] = {-1};
    uint64_t by_partition[8] = {0};
    spate_consumer *consumer = NULL;
    struct spate_record got[64];
    int n;

    spate_consumer_options_init(&options);
    options.start = SPATE_START_BEGINNING;
    options.partitions = chosen;
    options.partitions_count = 3;
    OK(spate_consumer_open(f.topic, &options, &consumer));
    for (int p = 0; p < 8; p++)
        fill_partition(&f, p, 5 + p);
    while ((n = spate_poll(consumer, got, 64, 0)) > 0)
        for (int i = 0; i < n; i++)
            by_partition[got[i].partition]++;
    for (int p = 0; p < 8; p++)
        IS(by_partition[p], p == 6 || p == 1 || p == 3 ? 5 + p : 0);
    IS(spate_position(consumer, 6), 11);
    IS(spate_position(consumer, 0), -ERANGE);
    IS(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0), -ERANGE);
    spate_consumer_close(consumer);
    consumer = NULL;
    options.partitions = twice;
    options.partitions_count = 2;
    IS(spate_consumer_open(f.topic, &options, &consumer), -EINVAL);
    options.partitions_count = 0;
    IS(spate_consumer_open(f.topic, &options, &consumer), -EINVAL);
    options.partitions = outside;
    options.partitions_count = 1;
    IS(spate_consumer_open(f.topic, &options, &consumer), -ERANGE);
    SAYS("0..7");
    options.partitions = negative;
    IS(spate_consumer_open(f.topic, &options, &consumer), -ERANGE);
    CHECK(consumer == NULL);
    close_fixture(f);
}

/* A partition with records without end must not keep a consumer from the others. */
static void polling_is_fair_to_all_partitions(void **state)
{
    (void)state;
    struct fixture f = open_fixture(4, SPATE_TIMESTAMP_CALLER);
    struct spate_record got[4];
    uint64_t by_partition[4] = {0};

    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    for (int p = 0; p < 4; p++)
        fill_partition(&f, p, 100);
    for (int i = 0; i < 40; i++) {
        int n = spate_poll(consumer, got, 4, 0);
        IS(n, 4);
        for (int j = 0; j < n; j++)
            by_partition[got[j].partition]++;
    }
    for (int p = 0; p < 4; p++)
        IS(by_partition[p], 40);
    spate_consumer_close(consumer);
    close_fixture(f);
}

struct later {
    proc_word waiting;
    proc_word created;
};

static int wait_for_topic(void *argument)
{
    struct later *later = argument;
    spate_bus *bus = proc_open();
    spate_topic *topic = NULL;
    struct spate_record record;

    IS(spate_topic_wait(bus, "later", 0, &topic), -ETIMEDOUT);
    IS(spate_topic_wait(bus, "later", 30 * PROC_MS, &topic), -ETIMEDOUT);
    IS(spate_topic_wait(bus, "no/name", 0, &topic), -EINVAL);
    CHECK(topic == NULL);
    proc_add(&later->waiting);
    OK(spate_topic_wait(bus, "later", SPATE_FOREVER, &topic));
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    IS(spate_poll(consumer, &record, 1, PROC_PATIENCE), 1);
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    OK(spate_topic_wait(bus, "later", 0, &topic));
    spate_topic_close(topic);
    spate_bus_close(bus);
    return 0;
}

static void a_topic_can_be_waited_for(void **state)
{
    (void)state;
    struct later *later = proc_shared(sizeof *later);
    spate_bus *bus = proc_open();
    pid_t waiter = proc_start(wait_for_topic, later);

    proc_await(&later->waiting, 1);
    proc_create(bus, "later", 1, RING, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "later");
    spate_producer *producer = proc_producer(topic);
    proc_publish_text(producer, 0, "hello");
    IS(proc_wait(waiter), 0);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* --------------------------------------------------------------------------------------- seeking among records that are overtaken */

struct stream {
    proc_word stop;
};

static int publish_numbers(void *argument)
{
    struct stream *stream = argument;
    struct proc_handles handles = proc_join("s");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t value[4];
    struct spate_record record = {.partition = 0, .value = value, .value_size = sizeof value};

    while (proc_get(&stream->stop) == 0) {
        int64_t offset;
        int error = spate_publish(producer, &record, PROC_MS, &offset);
        CHECK(error == 0 || error == -ETIMEDOUT);
    }
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

/* Seeks of a gate to the oldest record, just where producers come next. What succeeded is exact; what failed changed nothing. */
static void seeks_to_what_is_just_overtaken_are_exact_or_change_nothing(void **state)
{
    (void)state;
    const int failures_wanted = proc_is_slow() ? 20 : 200;
    struct stream *stream = proc_shared(sizeof *stream);
    struct fixture f = open_fixture(1, SPATE_TIMESTAMP_NONE);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    spate_producer_close(f.producer);
    f.producer = NULL;
    pid_t child = proc_start(publish_numbers, stream);
    struct spate_record got[16];
    int64_t expected = 0, first;

    for (int failures = 0, seeks = 0; failures < failures_wanted && seeks < 300000; seeks++) {
        for (int i = 0; i < 4; i++) {
            int n = spate_poll(consumer, got, 16, PROC_PATIENCE);
            CHECKF(n > 0, "poll: %d (%s) at %lld, after %d seeks", n, spate_last_error(), (long long)expected, seeks);
            for (int j = 0; j < n; j++)
                IS(got[j].offset, expected++);
        }
        OK(spate_release(consumer));
        OK(spate_offsets(consumer, 0, &first, NULL));
        int error = spate_seek(consumer, 0, SPATE_START_OFFSET, first);
        CHECKF(error == 0 || error == -ERANGE, "seek: %d (%s)", error, spate_last_error());
        if (error == 0)
            expected = first;
        else
            failures++;
        IS(spate_position(consumer, 0), expected);
    }
    proc_set(&stream->stop, 1);
    IS(proc_wait(child), 0);
    spate_consumer_close(consumer);
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(every_start_is_exact_before_the_ring_has_wrapped),
        PROC_TEST(every_start_is_exact_after_the_ring_has_wrapped),
        PROC_TEST(every_start_works_in_an_empty_ring),
        PROC_TEST(a_gate_that_starts_in_the_future_holds_nobody_up),
        PROC_TEST(a_start_by_time_needs_timestamps),
        PROC_TEST(a_seek_goes_on_exactly_there),
        PROC_TEST(a_seek_moves_the_gate),
        PROC_TEST(position_lag_and_offsets_count_records),
        PROC_TEST(paused_partitions_are_left_out_and_still_gate),
        PROC_TEST(a_consumer_reads_just_the_partitions_it_names),
        PROC_TEST(polling_is_fair_to_all_partitions),
        PROC_TEST(a_topic_can_be_waited_for),
        PROC_TEST(seeks_to_what_is_just_overtaken_are_exact_or_change_nothing),
    };
    return cmocka_run_group_tests_name("start and seek", tests, NULL, NULL);
}
