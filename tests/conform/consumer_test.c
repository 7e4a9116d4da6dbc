/* consumer_test.c: what a consumer promises, wherever its records are: in the ring, in a closed log, in a log that goes on into the ring.
 *
 * Run by ctest with the label `conform`. Each test runs over each source (support/spated.h), whose records follow from their offsets, so
 * that whatever is read can be checked alone. Sources whose log is closed take no more records: what needs a producer is then about the
 * end. */
#include <poll.h>

#include "spated.h"

enum { COUNT = 4000, BUFFER = 64 << 10 };

static struct source source;

static const struct source_kind *kind_of(void **state)
{
    return *state;
}

/* A source of one partition with COUNT offsets. */
static void open_filled(void **state)
{
    source_open(&source, kind_of(state), 1, 0);
    source_publish(&source, 0, COUNT);
    source_ready(&source);
}

/* Poll once for up to `count` records; what comes is checked, and continues at *next. Returns how many. */
static int poll_some(spate_consumer *consumer, uint32_t count, uint64_t *next)
{
    static struct spate_record records[4096];
    const int n = spate_poll(consumer, records, count, 0);

    CHECKF(n >= 0 && (uint32_t)n <= count, "spate_poll: %d (%s)", n, spate_last_error());
    for (int i = 0; i < n; i++) {
        IS(records[i].offset, source_next(records[i].partition, *next, COUNT));
        source_check(&records[i]);
        *next = (uint64_t)records[i].offset + 1;
    }
    return n;
}

/* Read on until there is no more for now, in polls of `count`. Returns how many records. */
static uint64_t read_rest(spate_consumer *consumer, uint32_t count, uint64_t *next)
{
    uint64_t total = 0;
    for (int empty = 0; empty < 3;) {
        const int n = poll_some(consumer, count, next);
        total += (uint64_t)n;
        empty = n ? 0 : empty + 1;
    }
    return total;
}

static uint64_t records_from(uint64_t offset)
{
    uint64_t count = 0;
    for (uint64_t at = source_next(0, offset, COUNT); at < COUNT; at = source_next(0, at + 1, COUNT))
        count++;
    return count;
}

/* It stands there; holes that follow may be behind it already or not. */
static void expect_position(spate_consumer *consumer, uint64_t offset)
{
    const int64_t position = spate_position(consumer, 0);
    CHECKF(position >= (int64_t)offset && position <= (int64_t)source_next(0, offset, COUNT), "the position is %lld, not %llu",
           (long long)position, (unsigned long long)offset);
}

static void expect_rest(spate_consumer *consumer, uint64_t from)
{
    uint64_t next = from;
    IS(read_rest(consumer, 64, &next), records_from(from));
    IS(spate_position(consumer, 0), COUNT);
    IS(spate_lag(consumer, 0), 0);
}

/* ------------------------------------------------------------------------------------------------------------- reading */

static void every_record_is_read_once_in_order_and_whole(void **state)
{
    open_filled(state);
    static const uint32_t counts[] = {1, 7, 64, 4096};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
        uint64_t next = 0;
        IS(read_rest(consumer, counts[i], &next), records_from(0));
        IS(spate_position(consumer, 0), COUNT);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

static void several_consumers_read_the_same_at_their_own_pace(void **state)
{
    spate_consumer *consumers[3];
    uint64_t next[3] = {0, 1000, 3900};
    open_filled(state);
    for (int i = 0; i < 3; i++)
        consumers[i] = source_consumer(&source, SPATE_START_OFFSET, (int64_t)next[i]);
    for (uint32_t round = 0; round < 2000; round++)
        (void)poll_some(consumers[round % 3], 1 + round % 17, &next[round % 3]);
    for (int i = 0; i < 3; i++) {
        (void)read_rest(consumers[i], 100, &next[i]);
        IS(spate_position(consumers[i], 0), COUNT);
        spate_consumer_close(consumers[i]);
    }
    source_close(&source);
}

static void views_stay_whole_until_the_next_poll(void **state)
{
    struct spate_record records[500];
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0), *other;
    int n;

    other = source_consumer(&source, SPATE_START_OFFSET, 2000);
    while ((n = spate_poll(consumer, records, 500, 0)) > 0) {
        uint64_t next = 2000;
        OK(spate_seek(other, 0, SPATE_START_OFFSET, 2000));
        (void)poll_some(other, 100, &next);
        for (int i = 0; i < n; i++)
            source_check(&records[i]);
        OK(spate_check(consumer));
    }
    IS(n, 0);
    OK(spate_release(consumer));
    OK(spate_check(consumer));
    spate_consumer_close(consumer);
    spate_consumer_close(other);
    source_close(&source);
}

static void spate_read_copies_and_leaves_what_does_not_fit(void **state)
{
    static uint8_t buffer[BUFFER];
    struct spate_record record;
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    uint64_t next = 0, refused = 0;

    for (int got; (next = source_next(0, next, COUNT)) < COUNT; next++) {
        got = spate_read(consumer, buffer, 300, &record, 0);
        if (got == -EMSGSIZE) {
            const uint64_t need = (uint64_t)record.value_size + record.key_size + record.headers_block_size;
            CHECK(need > 300 && need < BUFFER);
            refused++;
            CHECK(source_next(0, (uint64_t)spate_position(consumer, 0), COUNT) == next);
            IS(spate_read(consumer, buffer, need - 1, &record, 0), -EMSGSIZE); /* it was not consumed */
            got = spate_read(consumer, buffer, need, &record, 0);
        }
        IS(got, 1);
        IS(record.offset, next);
        source_check(&record);
        IS(spate_position(consumer, 0), next + 1);
    }
    CHECK(refused > 100);
    IS(spate_read(consumer, buffer, BUFFER, &record, 0), 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void polling_and_reading_may_be_mixed(void **state)
{
    static uint8_t buffer[BUFFER];
    struct spate_record record;
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    uint64_t next = 0;

    while (source_next(0, next, COUNT) < COUNT) {
        (void)poll_some(consumer, 1 + (uint32_t)(next % 30), &next);
        if (source_next(0, next, COUNT) == COUNT)
            break;
        IS(spate_read(consumer, buffer, BUFFER, &record, 0), 1);
        IS(record.offset, source_next(0, next, COUNT));
        source_check(&record);
        next = (uint64_t)record.offset + 1;
    }
    spate_consumer_close(consumer);
    source_close(&source);
}

static void holes_and_values_larger_than_most_rings_are_passed(void **state)
{
    struct spate_claim claim;
    const struct spate_record large = {.value_size = 200000};
    source_open(&source, kind_of(state), 1, 1 << 20);
    source_publish(&source, 0, 10);
    for (int i = 0; i < 3; i++) {
        int error;
        while ((error = spate_claim(source.producer, &large, &claim)) == -EAGAIN)
            OK(spate_producer_wait(source.producer, PROC_PATIENCE));
        OK(error);
        IS(claim.offset, 10 + i);
        memset(claim.value, 'a', claim.value_size);
        OK(i == 1 ? spate_commit(source.producer) : spate_abort(source.producer));
    }
    source.published[0] = 13;
    source_publish(&source, 0, 3000);
    source_ready(&source);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    uint64_t next = 0;
    while (next < 10)
        IS(poll_some(consumer, 1, &next), 1);
    struct spate_record record;
    IS(spate_poll(consumer, &record, 1, 0), 1);
    IS(record.offset, 11);
    IS(record.value_size, 200000);
    CHECK(((const char *)record.value)[0] == 'a' && ((const char *)record.value)[199999] == 'a');
    next = 13;
    (void)read_rest(consumer, 50, &next);
    IS(spate_position(consumer, 0), 3013);
    spate_consumer_close(consumer);
    source_close(&source);
}

/* ---------------------------------------------------------------------------------------------------- starts and seeks */

static void a_start_at_an_offset_is_exact(void **state)
{
    open_filled(state);
    for (uint64_t offset = 0; offset <= COUNT; offset += offset < 30 || offset > COUNT - 30 ? 1 : 61) {
        spate_consumer *consumer = source_consumer(&source, SPATE_START_OFFSET, (int64_t)offset);
        uint64_t next = offset;
        expect_position(consumer, offset);
        IS(poll_some(consumer, 1, &next), source_next(0, offset, COUNT) < COUNT);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

static void a_start_at_an_offset_that_is_not_there_is_refused(void **state)
{
    static const int64_t wrong[] = {-1, INT64_MIN, COUNT + 1, INT64_MAX};
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;
    open_filled(state);
    spate_consumer_options_init(&options);
    options.policy = source.kind->policy;
    options.start = SPATE_START_OFFSET;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.start_value = wrong[i];
        IS(spate_consumer_open(source.topic, &options, &consumer), -ERANGE);
        CHECK(consumer == NULL);
    }
    consumer = source_consumer(&source, SPATE_START_OFFSET, 100);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        IS(spate_seek(consumer, 0, SPATE_START_OFFSET, wrong[i]), -ERANGE);
        IS(spate_position(consumer, 0), 100); /* a seek that failed changes nothing */
    }
    uint64_t next = 100;
    IS(poll_some(consumer, 3, &next), 3);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void a_start_at_the_last_n_is_exact(void **state)
{
    static const int64_t counts[] = {0, 1, 2, 19, 100, 1500, COUNT - 1, COUNT, COUNT + 1, 1 << 30, INT64_MAX};
    open_filled(state);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const uint64_t from = counts[i] >= COUNT ? 0 : COUNT - (uint64_t)counts[i];
        spate_consumer *consumer = source_consumer(&source, SPATE_START_LAST, counts[i]);
        expect_position(consumer, from);
        expect_rest(consumer, from);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

static void a_start_at_a_time_is_exact(void **state)
{
    open_filled(state);
    for (int64_t time = -20; time <= 10 * COUNT + 20; time += time < 200 || time > 10 * COUNT - 200 ? 5 : 605) {
        const uint64_t from = source_next(0, time <= 0 ? 0 : (uint64_t)(time + 9) / 10, COUNT);
        spate_consumer *consumer = source_consumer(&source, SPATE_START_TIME, time);
        uint64_t next = from;
        CHECKF(spate_position(consumer, 0) == (int64_t)from, "from time %lld the position is %lld, not %llu", (long long)time,
               (long long)spate_position(consumer, 0), (unsigned long long)from);
        IS(poll_some(consumer, 10, &next) > 0, from < COUNT);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

static void a_start_at_the_end_sees_only_what_comes(void **state)
{
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_END, 0);
    uint64_t next = COUNT;
    IS(spate_position(consumer, 0), COUNT);
    IS(poll_some(consumer, 10, &next), 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void seeks_back_and_forth_lead_where_they_say(void **state)
{
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_END, 0);
    uint64_t seed = proc_seed();

    for (int i = 0; i < 300; i++) {
        const uint64_t target = proc_below(&seed, COUNT);
        uint64_t next = target;
        switch (proc_below(&seed, 4)) {
        case 0: OK(spate_seek(consumer, 0, SPATE_START_OFFSET, (int64_t)target)); break;
        case 1: OK(spate_seek(consumer, SPATE_ANY, SPATE_START_LAST, COUNT - (int64_t)target)); break;
        case 2:
            OK(spate_seek(consumer, 0, SPATE_START_TIME, 10 * (int64_t)target));
            next = source_next(0, target, COUNT);
            break;
        default:
            OK(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0));
            next = 0;
            break;
        }
        expect_position(consumer, next);
        for (uint64_t polls = proc_below(&seed, 5); polls > 0; polls--)
            (void)poll_some(consumer, 1 + (uint32_t)proc_below(&seed, 200), &next);
    }
    OK(spate_seek(consumer, 0, SPATE_START_OFFSET, 0));
    expect_rest(consumer, 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void position_and_lag_follow_what_was_read(void **state)
{
    open_filled(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    uint64_t next = 0;
    int64_t first = -1, end = -1;

    OK(spate_offsets(consumer, 0, &first, &end));
    IS(first, 0);
    IS(end, COUNT);
    IS(spate_lag(consumer, 0), COUNT);
    for (uint32_t i = 1; poll_some(consumer, i % 50 + 1, &next) > 0; i++) {
        const int64_t position = spate_position(consumer, 0);
        expect_position(consumer, next);
        IS(spate_lag(consumer, 0), COUNT - position);
        IS(spate_lag(consumer, SPATE_ANY), COUNT - position);
    }
    (void)read_rest(consumer, 10, &next);
    IS(spate_lag(consumer, 0), 0);
    IS(spate_position(consumer, 1), -ERANGE);
    IS(spate_lag(consumer, 1), -ERANGE);
    spate_consumer_close(consumer);
    source_close(&source);
}

/* ---------------------------------------------------------------------------------------------------------- partitions */

enum { PARTITIONS = 3, EACH = 1300 };

static void open_partitions(void **state)
{
    source_open(&source, kind_of(state), PARTITIONS, 0);
    for (int32_t round = 0; round < 13; round++)
        for (int32_t i = 0; i < PARTITIONS; i++)
            source_publish(&source, i, EACH / 13);
    source_ready(&source);
}

/* Poll until there is no more for now; next: of each partition. */
static void read_partitions(spate_consumer *consumer, uint64_t next[PARTITIONS])
{
    struct spate_record records[100];
    int n;

    for (int empty = 0; empty < 3; empty = n ? 0 : empty + 1) {
        n = spate_poll(consumer, records, 100, 0);
        CHECK(n >= 0);
        for (int i = 0; i < n; i++) {
            const int32_t partition = records[i].partition;
            CHECK(partition >= 0 && partition < PARTITIONS);
            IS(records[i].offset, source_next(partition, next[partition], EACH));
            source_check(&records[i]);
            next[partition] = (uint64_t)records[i].offset + 1;
        }
    }
}

static void all_partitions_are_read_each_in_order(void **state)
{
    uint64_t next[PARTITIONS] = {0};
    open_partitions(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    IS(spate_lag(consumer, SPATE_ANY), PARTITIONS * EACH);
    read_partitions(consumer, next);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        IS(source_next(i, next[i], EACH), EACH);
        IS(spate_position(consumer, i), EACH);
    }
    IS(spate_lag(consumer, SPATE_ANY), 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void some_partitions_may_be_chosen(void **state)
{
    static const int32_t chosen[] = {2, 0};
    struct spate_consumer_options options;
    spate_consumer *consumer;
    uint64_t next[PARTITIONS] = {0};
    open_partitions(state);
    spate_consumer_options_init(&options);
    options.partitions = chosen;
    options.partitions_count = 2;
    options.policy = source.kind->policy;
    options.start = SPATE_START_OFFSET;
    options.start_value = 50;
    OK(spate_consumer_open(source.topic, &options, &consumer));
    next[0] = next[2] = 50;
    read_partitions(consumer, next);
    IS(next[1], 0);
    IS(spate_position(consumer, 0), EACH);
    IS(spate_position(consumer, 1), -ERANGE);
    IS(spate_position(consumer, 2), EACH);
    OK(spate_seek(consumer, 2, SPATE_START_OFFSET, 700));
    next[2] = 700;
    read_partitions(consumer, next);
    IS(spate_position(consumer, 2), EACH);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void a_paused_partition_waits_where_it_is(void **state)
{
    uint64_t next[PARTITIONS] = {0};
    open_partitions(state);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);

    OK(spate_pause(consumer, 1));
    read_partitions(consumer, next);
    IS(next[1], 0);
    IS(spate_position(consumer, 0), EACH);
    IS(spate_position(consumer, 1), 0);
    OK(spate_pause(consumer, SPATE_ANY));
    OK(spate_seek(consumer, 0, SPATE_START_OFFSET, 100));
    OK(spate_resume(consumer, 1));
    next[0] = 100;
    read_partitions(consumer, next);
    IS(next[0], 100);
    IS(spate_position(consumer, 1), EACH);
    OK(spate_resume(consumer, SPATE_ANY));
    read_partitions(consumer, next);
    IS(spate_position(consumer, 0), EACH);
    IS(spate_pause(consumer, 7), -ERANGE);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void an_empty_partition_gives_nothing(void **state)
{
    struct spate_record record;
    static const uint32_t starts[] = {SPATE_START_BEGINNING, SPATE_START_END, SPATE_START_OFFSET, SPATE_START_TIME,
                                      SPATE_START_LAST};
    source_open(&source, kind_of(state), 2, 0);
    source_publish(&source, 1, 20);
    source_ready(&source);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        spate_consumer *consumer = source_consumer(&source, starts[i], 0);
        IS(spate_position(consumer, 0), 0);
        OK(spate_pause(consumer, 1));
        IS(spate_poll(consumer, &record, 1, 0), 0);
        IS(spate_lag(consumer, 0), 0);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

/* ------------------------------------------------------------------------------------------------------------- waiting */

static void waiting_at_the_end_ends_with_its_timeout(void **state)
{
    static uint8_t buffer[BUFFER];
    struct spate_record record;
    open_filled(state);
    for (uint32_t wait = SPATE_WAIT_AUTO; wait <= SPATE_WAIT_BLOCK; wait++) {
        struct spate_consumer_options options;
        spate_consumer *consumer;
        uint64_t next = COUNT - 500;
        spate_consumer_options_init(&options);
        options.policy = source.kind->policy;
        options.wait = wait;
        options.start = SPATE_START_LAST;
        options.start_value = 500;
        OK(spate_consumer_open(source.topic, &options, &consumer));
        (void)read_rest(consumer, 64, &next);
        const int64_t before = proc_now();
        IS(spate_poll(consumer, &record, 1, 20 * PROC_MS), -ETIMEDOUT);
        IS(spate_read(consumer, buffer, BUFFER, &record, 20 * PROC_MS), -ETIMEDOUT);
        CHECK(proc_now() - before >= 40 * PROC_MS);
        IS(spate_poll(consumer, &record, 1, 0), 0);
        spate_consumer_close(consumer);
    }
    source_close(&source);
}

/* A producer in another process: publishes the next 50 when it is told to. */
struct later {
    proc_word go, done;
};

static int publish_later(void *argument)
{
    struct later *later = argument;
    struct proc_handles handles = proc_join("source");
    struct source child = {.producer = proc_producer(handles.topic), .published = {COUNT}};

    for (uint64_t i = 1; i <= 50; i++) {
        proc_await(&later->go, i);
        source_publish(&child, 0, 1);
        proc_add(&later->done);
    }
    spate_producer_close(child.producer);
    proc_leave(handles);
    return 0;
}

static void a_record_that_comes_wakes_who_sleeps_at_the_end(void **state)
{
    struct spate_record record;
    if (kind_of(state)->is_closed)
        proc_skip("a closed log takes no more");
    open_filled(state);
    struct later *later = proc_shared(sizeof *later);
    const pid_t pid = proc_start(publish_later, later);
    struct spate_consumer_options options;
    spate_consumer *consumer;
    spate_consumer_options_init(&options);
    options.policy = source.kind->policy;
    options.wait = SPATE_WAIT_BLOCK;
    options.start = SPATE_START_LAST;
    options.start_value = 300;
    OK(spate_consumer_open(source.topic, &options, &consumer));
    uint64_t next = COUNT - 300;
    (void)read_rest(consumer, 64, &next);
    for (uint64_t i = 1; i <= 50; i++) {
        proc_set(&later->go, i);
        const uint64_t offset = COUNT + i - 1;
        if (source_next(0, offset, offset + 1) == offset) {
            IS(spate_poll(consumer, &record, 1, PROC_PATIENCE), 1);
            IS(record.offset, offset);
            source_check(&record);
        }
        proc_await(&later->done, i);
    }
    IS(proc_wait(pid), 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

static void the_descriptor_becomes_readable_while_there_is_something(void **state)
{
    open_filled(state);
    struct later *later = proc_shared(sizeof *later);
    spate_consumer *consumer = source_consumer(&source, SPATE_START_BEGINNING, 0);
    const int fd = spate_consumer_fd(consumer);
    uint64_t next = 0, end = COUNT;
    pid_t pid = 0;

    if (source.kind->is_closed) {
        CHECKF(fd >= 0 || fd == -ENOSPC, "spate_consumer_fd: %d", fd);
        IS(read_rest(consumer, 64, &next), records_from(0));
        spate_consumer_close(consumer);
        source_close(&source);
        return;
    }
    CHECK(fd >= 0);
    pid = proc_start(publish_later, later);
    for (uint64_t i = 0; next < end + 50;) {
        struct spate_record records[64];
        const int n = spate_poll(consumer, records, 64, 0);
        CHECK(n >= 0);
        for (int j = 0; j < n; j++) {
            IS(records[j].offset, source_next(0, next, UINT64_MAX));
            source_check(&records[j]);
            next = (uint64_t)records[j].offset + 1;
        }
        next = source_next(0, next, end + 50); /* a hole is not waited for */
        if (n > 0 || next >= end + 50)
            continue;
        while (next >= end + i) /* all that was asked for came: ask for one more */
            proc_set(&later->go, ++i);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        IS(poll(&wait, 1, (int)(PROC_PATIENCE / PROC_MS)), 1);
    }
    proc_set(&later->go, 50);
    IS(proc_wait(pid), 0);
    spate_consumer_close(consumer);
    source_close(&source);
}

/* ----------------------------------------------------------------------------------------------------------------- run */

static const struct {
    const char *name;
    CMUnitTestFunction function;
} tests[] = {
#define TEST(function)      \
    {                       \
#function, function \
    }
    TEST(every_record_is_read_once_in_order_and_whole),
    TEST(several_consumers_read_the_same_at_their_own_pace),
    TEST(views_stay_whole_until_the_next_poll),
    TEST(spate_read_copies_and_leaves_what_does_not_fit),
    TEST(polling_and_reading_may_be_mixed),
    TEST(holes_and_values_larger_than_most_rings_are_passed),
    TEST(a_start_at_an_offset_is_exact),
    TEST(a_start_at_an_offset_that_is_not_there_is_refused),
    TEST(a_start_at_the_last_n_is_exact),
    TEST(a_start_at_a_time_is_exact),
    TEST(a_start_at_the_end_sees_only_what_comes),
    TEST(seeks_back_and_forth_lead_where_they_say),
    TEST(position_and_lag_follow_what_was_read),
    TEST(all_partitions_are_read_each_in_order),
    TEST(some_partitions_may_be_chosen),
    TEST(a_paused_partition_waits_where_it_is),
    TEST(an_empty_partition_gives_nothing),
    TEST(waiting_at_the_end_ends_with_its_timeout),
    TEST(a_record_that_comes_wakes_who_sleeps_at_the_end),
    TEST(the_descriptor_becomes_readable_while_there_is_something),
#undef TEST
};
#define TESTS (sizeof tests / sizeof tests[0])

int main(void)
{
    static struct CMUnitTest all[SOURCE_KINDS * TESTS];
    static char names[SOURCE_KINDS * TESTS][128];

    for (size_t i = 0; i < SOURCE_KINDS * TESTS; i++) {
        const struct source_kind *kind = &source_kinds[i / TESTS];
        snprintf(names[i], sizeof names[i], "%s (%s)", tests[i % TESTS].name, kind->name);
        all[i] = (struct CMUnitTest){names[i], tests[i % TESTS].function, proc_setup, proc_teardown, (void *)(uintptr_t)kind};
    }
    return cmocka_run_group_tests(all, NULL, NULL);
}
