/* policy_test.c: what happens when a ring is full: gates hold producers, producers evict gates past their deadline, skipping
 * consumers are told exactly what they lost, and a copying read never returns a torn record.
 *
 * Values prove themselves (proc_fill); sequences equal offsets, so that what was read and what was lost can be added up. */
#include "proc.h"

#include <signal.h>

enum { RING = 64 << 10, SIZE = 100 };

struct fixture {
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
};

static struct fixture open_fixture(uint32_t mode)
{
    struct fixture f = {.bus = proc_open()};
    proc_create(f.bus, "p", 1, RING, mode);
    f.topic = proc_topic(f.bus, "p");
    f.producer = proc_producer(f.topic);
    return f;
}

static void close_fixture(struct fixture f)
{
    spate_producer_close(f.producer);
    spate_topic_close(f.topic);
    spate_bus_close(f.bus);
}

static spate_consumer *open_gate(spate_topic *topic, int64_t gate_timeout)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.gate_timeout = gate_timeout;
    options.start = SPATE_START_BEGINNING;
    options.name = "the gate";
    OK(spate_consumer_open(topic, &options, &consumer));
    return consumer;
}

/* Publish without waiting until the ring is full; sequence = offset. Returns how many. */
static int fill_ring(spate_producer *producer)
{
    char value[SIZE];
    struct spate_record record = {.value = value, .value_size = SIZE};
    int count = 0, error;

    for (;; count++) {
        struct spate_claim claim;
        error = spate_claim(producer, &record, &claim);
        if (error)
            break;
        proc_fill(claim.value, SIZE, 0, (uint64_t)claim.offset);
        OK(spate_commit(producer));
    }
    IS(error, -EAGAIN);
    return count;
}

static void check_record(const struct spate_record *record, int64_t offset)
{
    uint64_t sequence = 0;

    IS(record->offset, offset);
    CHECK(proc_is_whole(record->value, record->value_size, NULL, &sequence));
    IS(sequence, offset);
}

static void check_gate(uint32_t mode)
{
    struct fixture f = open_fixture(mode);
    spate_consumer *consumer = open_gate(f.topic, SPATE_FOREVER);
    char value[SIZE] = {0};
    struct spate_record record = {.value = value, .value_size = SIZE}, got[64];

    const int count = fill_ring(f.producer);
    CHECKF(count > RING / 256 / 2 && count <= RING / 128, "%d records fit", count);
    IS(spate_publish(f.producer, &record, 0, NULL), -EAGAIN);
    IS(spate_publish(f.producer, &record, 20 * PROC_MS, NULL), -ETIMEDOUT);
    IS(spate_producer_wait(f.producer, 20 * PROC_MS), -ETIMEDOUT);
    IS(spate_producer_wait(f.producer, 0), -ETIMEDOUT);
    for (int64_t at = 0; at < count;) {
        int n = spate_poll(consumer, got, 64, PROC_PATIENCE);
        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            check_record(&got[i], at++);
    }
    /* the last views are still held; the rest is free */
    OK(spate_producer_wait(f.producer, 0));
    OK(spate_publish(f.producer, &record, 0, NULL));
    OK(spate_release(consumer));
    IS(spate_poll(consumer, got, 64, PROC_PATIENCE), 1);
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void a_gate_holds_producers_in_a_concurrent_topic(void **state)
{
    (void)state;
    check_gate(SPATE_MODE_CONCURRENT);
}

static void a_gate_holds_producers_in_an_exclusive_topic(void **state)
{
    (void)state;
    check_gate(SPATE_MODE_EXCLUSIVE);
}

static void the_slowest_of_several_gates_decides(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *slow = open_gate(f.topic, SPATE_FOREVER), *fast = open_gate(f.topic, SPATE_FOREVER);
    char value[SIZE] = {0};
    struct spate_record record = {.value = value, .value_size = SIZE}, got[64];

    fill_ring(f.producer);
    while (spate_poll(fast, got, 64, 0) > 0) {
    }
    IS(spate_publish(f.producer, &record, 0, NULL), -EAGAIN);
    while (spate_poll(slow, got, 64, 0) > 0) {
    }
    OK(spate_publish(f.producer, &record, 0, NULL));
    spate_consumer_close(slow);
    fill_ring(f.producer);
    IS(spate_publish(f.producer, &record, 0, NULL), -EAGAIN);
    spate_consumer_close(fast);
    for (int i = 0; i < 5000; i++)
        OK(spate_publish(f.producer, &record, 0, NULL)); /* nobody gates any more */
    close_fixture(f);
}

static void views_stay_whole_until_they_are_released(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = open_gate(f.topic, SPATE_FOREVER);
    struct spate_record got[64];
    int64_t next = 0;

    for (int round = 0; round < 200; round++) {
        fill_ring(f.producer);
        int n = spate_poll(consumer, got, 64, PROC_PATIENCE);
        CHECK(n > 0);
        fill_ring(f.producer); /* takes what the previous poll released, and nothing of this one's */
        for (int i = 0; i < n; i++)
            check_record(&got[i], next++);
        OK(spate_check(consumer));
    }
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void a_gate_past_its_deadline_is_evicted_and_told_what_it_lost(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = open_gate(f.topic, 30 * PROC_MS);
    struct spate_record got[8];
    struct spate_gap gap;
    int64_t first, next;

    IS(spate_consumer_gap(consumer, &gap), -ENOENT);
    fill_ring(f.producer);
    IS(spate_poll(consumer, got, 8, PROC_PATIENCE), 8);
    OK(spate_release(consumer));
    for (int i = 0; i < 3000; i++)
        proc_publish(f.producer, 0, SIZE, 0, UINT64_MAX); /* evicts once, then nobody is in the way */
    IS(spate_poll(consumer, got, 8, 0), -EOVERFLOW);
    OK(spate_consumer_gap(consumer, &gap));
    OK(spate_offsets(consumer, 0, &first, &next));
    IS(gap.cause, SPATE_LOST_EVICTED);
    IS(gap.partition, 0);
    IS(gap.first, 8);
    IS(gap.next, first);
    IS(spate_position(consumer, 0), gap.next);
    IS(spate_poll(consumer, got, 8, 0), 8);
    IS(got[0].offset, gap.next);
    /* it gates again */
    char value[SIZE] = {0};
    struct spate_record record = {.value = value, .value_size = SIZE};
    int error;
    while ((error = spate_publish(f.producer, &record, 0, NULL)) == 0) {
    }
    IS(error, -EAGAIN);
    OK(spate_check(consumer));
    spate_consumer_close(consumer);
    close_fixture(f);
}

/* Evicted while it holds views: spate_check says so, and the gap begins with the first of them. */
static void an_evicted_gate_learns_that_its_views_are_gone(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = open_gate(f.topic, 30 * PROC_MS);
    struct spate_record got[8];
    struct spate_gap gap;

    fill_ring(f.producer);
    IS(spate_poll(consumer, got, 8, PROC_PATIENCE), 8);
    IS(spate_poll(consumer, got, 8, PROC_PATIENCE), 8);
    OK(spate_check(consumer));
    for (int i = 0; i < 3000; i++)
        proc_publish(f.producer, 0, SIZE, 0, UINT64_MAX);
    IS(spate_check(consumer), -EOVERFLOW);
    IS(spate_poll(consumer, got, 8, 0), -EOVERFLOW);
    OK(spate_consumer_gap(consumer, &gap));
    IS(gap.first, 8);
    IS(gap.cause, SPATE_LOST_EVICTED);
    IS(spate_poll(consumer, got, 8, 0), 8);
    IS(got[0].offset, gap.next);
    OK(spate_check(consumer));
    spate_consumer_close(consumer);
    close_fixture(f);
}

/* A slow gate that moves is not evicted: the deadline counts from when it stopped. */
static void a_gate_that_moves_is_not_evicted(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = open_gate(f.topic, 2 * PROC_S);
    struct spate_record got;
    int64_t next = 0;

    fill_ring(f.producer);
    for (int i = 0; i < 300; i++) {
        struct spate_record record = {.value = "x", .value_size = 1};
        IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
        IS(got.offset, next++);
        int error = spate_publish(f.producer, &record, 10 * PROC_MS, NULL);
        CHECK(error == 0 || error == -ETIMEDOUT);
    }
    spate_consumer_close(consumer);
    close_fixture(f);
}

/* Publishes by trying only, until there is room. Returns when that was. */
static int64_t push(spate_producer *producer)
{
    struct spate_record record = {.value = "x", .value_size = 1};
    int error;

    while ((error = spate_publish(producer, &record, 0, NULL)) == -EAGAIN)
        proc_nap(PROC_MS / 2);
    OK(error);
    return proc_now();
}

/* Not from when another consumer stopped at the same place, and not from when the same one was there before. */
static void a_deadline_counts_from_ones_own_standstill(void **state)
{
    (void)state;
    const int64_t deadline = 300 * PROC_MS, before = 400 * PROC_MS;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    struct spate_record got[64], record = {.value = "x", .value_size = 1};

    fill_ring(f.producer);
    for (int64_t end = proc_now() + before; proc_now() < end; proc_nap(PROC_MS))
        IS(spate_publish(f.producer, &record, 0, NULL), -EAGAIN);
    spate_consumer_close(consumer);
    int64_t since = proc_now();
    consumer = open_gate(f.topic, deadline);
    CHECK(push(f.producer) - since >= deadline);
    spate_consumer_close(consumer);

    consumer = open_gate(f.topic, deadline);
    while (spate_publish(f.producer, &record, 0, NULL) == 0) {
    }
    proc_nap(2 * PROC_MS);
    IS(spate_publish(f.producer, &record, 0, NULL), -EAGAIN); /* the producer has seen it stand here */
    while (spate_poll(consumer, got, 64, 0) > 0) {
    }
    proc_nap(before);
    since = proc_now();
    OK(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0));
    CHECK(push(f.producer) - since >= deadline);
    spate_consumer_close(consumer);
    close_fixture(f);
}

/* -------------------------------------------------------------------------------------------------------- skipping */

struct pressure {
    proc_word ready;
    proc_word stop;
    proc_word last; /* offset behind the last record published */
    uint64_t read, lost, gaps, torn_views;
    uint32_t mode;
    bool copy; /* the consumer reads copies */
};

static int overwrite(void *argument)
{
    struct pressure *pressure = argument;
    struct proc_handles handles = proc_join("p");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t random = 1;
    struct spate_record record = {.partition = 0};
    struct spate_claim claim = {0};

    proc_await(&pressure->ready, 1);
    while (proc_get(&pressure->stop) == 0) {
        record.value_size = (uint32_t)(PROC_VALUE_MIN + proc_below(&random, proc_below(&random, 4) ? 200 : 12000));
        OK(spate_claim(producer, &record, &claim));
        proc_fill(claim.value, record.value_size, 7, (uint64_t)claim.offset);
        OK(spate_commit(producer));
    }
    proc_set(&pressure->last, (uint64_t)claim.offset + 1);
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

/* The range that an -EOVERFLOW is about begins where reading stopped. */
static void account_gap(struct pressure *pressure, const spate_consumer *consumer, int64_t *next)
{
    struct spate_gap gap;

    OK(spate_consumer_gap(consumer, &gap));
    IS(gap.cause, SPATE_LOST_SKIPPED);
    IS(gap.first, *next);
    CHECK(gap.next > gap.first);
    pressure->lost += (uint64_t)(gap.next - gap.first);
    pressure->gaps++;
    *next = gap.next;
}

static int read_copies(struct pressure *pressure, spate_consumer *consumer, int64_t *next)
{
    static _Alignas(16) char buffer[32 << 10];
    struct spate_record got;
    int n = spate_read(consumer, buffer, sizeof buffer, &got, 0);

    if (n == 1) {
        check_record(&got, *next); /* a copy is whole, always */
        ++*next;
        pressure->read++;
    } else if (n == -EOVERFLOW) {
        account_gap(pressure, consumer, next);
    } else {
        IS(n, 0);
    }
    return n;
}

static int read_views(struct pressure *pressure, spate_consumer *consumer, int64_t *next)
{
    struct spate_record got[16];
    bool whole = true;
    int n = spate_poll(consumer, got, 16, 0);

    if (n == -EOVERFLOW) {
        account_gap(pressure, consumer, next);
        return n;
    }
    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        uint64_t sequence = 0;
        IS(got[i].offset, *next + i);
        whole &= proc_is_whole(got[i].value, got[i].value_size, NULL, &sequence) && sequence == (uint64_t)got[i].offset;
    }
    if (spate_check(consumer) == 0) {
        CHECK(whole); /* what the check calls whole is whole */
        *next += n;
        pressure->read += (uint64_t)n;
    } else {
        pressure->torn_views += !whole;
    }
    return n;
}

static int skip_along(void *argument)
{
    struct pressure *pressure = argument;
    struct proc_handles handles = proc_join("p");
    spate_consumer *consumer = proc_consumer(handles.topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
    int64_t next = 0;
    int n;

    proc_add(&pressure->ready);
    do {
        n = pressure->copy ? read_copies(pressure, consumer, &next) : read_views(pressure, consumer, &next);
        /* fall behind now and then */
        if (next % 1000 == 0)
            proc_nap(PROC_MS);
    } while (n != 0 || proc_get(&pressure->last) == 0 || (uint64_t)next < proc_get(&pressure->last));
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static void press(uint32_t mode, bool copy)
{
    struct pressure *pressure = proc_shared(sizeof *pressure);
    spate_bus *bus = proc_open();

    proc_create(bus, "p", 1, RING, mode);
    pressure->copy = copy;
    pid_t consumer = proc_start(skip_along, pressure), producer = proc_start(overwrite, pressure);
    proc_nap(proc_is_full() ? 60 * PROC_S : 2 * PROC_S);
    proc_set(&pressure->stop, 1);
    IS(proc_wait(producer), 0);
    IS(proc_wait(consumer), 0);
    print_message("%llu published: %llu read, %llu lost in %llu gaps, %llu torn views thrown away\n",
                  (unsigned long long)proc_get(&pressure->last), (unsigned long long)pressure->read,
                  (unsigned long long)pressure->lost, (unsigned long long)pressure->gaps, (unsigned long long)pressure->torn_views);
    IS(pressure->read + pressure->lost, proc_get(&pressure->last));
    CHECK(pressure->read > 0 && pressure->lost > 0);
    spate_bus_close(bus);
}

static void a_copying_read_under_pressure_is_never_torn_concurrent(void **state)
{
    (void)state;
    press(SPATE_MODE_CONCURRENT, true);
}

static void a_copying_read_under_pressure_is_never_torn_exclusive(void **state)
{
    (void)state;
    press(SPATE_MODE_EXCLUSIVE, true);
}

static void what_the_check_calls_whole_is_whole_concurrent(void **state)
{
    (void)state;
    press(SPATE_MODE_CONCURRENT, false);
}

static void what_the_check_calls_whole_is_whole_exclusive(void **state)
{
    (void)state;
    press(SPATE_MODE_EXCLUSIVE, false);
}

/* One process, deterministic: aborted offsets are neither read nor lost while they are in the ring. */
static void read_lost_and_aborted_add_up(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    spate_consumer *consumer = proc_consumer(f.topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
    struct spate_record record = {.value_size = SIZE}, got[16];
    int64_t published = 0, aborted_in_ring = 0, read = 0, lost = 0, last = -1, next;
    uint64_t random = 3;
    bool is_aborted[4096] = {false};
    struct spate_claim claim;
    struct spate_gap gap;
    int n;

    for (int round = 0; round < 20; round++) {
        int records = (int)proc_below(&random, 900);
        for (int i = 0; i < records; i++) {
            OK(spate_claim(f.producer, &record, &claim));
            IS(claim.offset, published++);
            proc_fill(claim.value, SIZE, 0, (uint64_t)claim.offset);
            is_aborted[claim.offset % 4096] = proc_below(&random, 5) == 0;
            OK(is_aborted[claim.offset % 4096] ? spate_abort(f.producer) : spate_commit(f.producer));
        }
        while ((n = spate_poll(consumer, got, 16, 0)) != 0) {
            int64_t upto = n < 0 ? (OK(spate_consumer_gap(consumer, &gap)), gap.first) : -1;
            for (int i = 0; i < n; i++) {
                for (last++; last < got[i].offset; last++, aborted_in_ring++)
                    CHECK(is_aborted[last % 4096]);
                check_record(&got[i], last);
                CHECK(!is_aborted[last % 4096]);
                read++;
            }
            if (n == -EOVERFLOW) {
                for (last++; last < upto; last++, aborted_in_ring++)
                    CHECK(is_aborted[last % 4096]);
                IS(gap.first, last);
                lost += gap.next - gap.first;
                last = gap.next - 1;
            }
        }
        OK(spate_offsets(consumer, 0, NULL, &next));
        IS(next, published);
        for (last++; last < published; last++, aborted_in_ring++)
            CHECK(is_aborted[last % 4096]);
        last--;
        IS(read + lost + aborted_in_ring, published);
    }
    CHECK(lost > 0 && aborted_in_ring > 0);
    spate_consumer_close(consumer);
    close_fixture(f);
}

static void a_read_with_a_small_buffer_says_what_it_needs_and_consumes_nothing(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    struct spate_header header = {"h", 1, "0123456789", 10};
    struct spate_record record = {
        .key = "key", .key_size = 3, .value = "a value", .value_size = 7, .headers = &header, .headers_count = 1};
    struct spate_record got = {0}, untouched = {.value_size = 12345};
    char buffer[256];

    for (uint32_t policy = SPATE_POLICY_GATE; policy <= SPATE_POLICY_SKIP; policy++) {
        spate_consumer *consumer = proc_consumer(f.topic, policy, SPATE_START_END, 0);
        OK(spate_publish(f.producer, &record, 0, NULL));
        proc_publish_text(f.producer, 0, "next");
        int64_t position = spate_position(consumer, 0);
        for (int i = 0; i < 3; i++) {
            IS(spate_read(consumer, buffer, 20, &got, PROC_PATIENCE), -EMSGSIZE);
            IS(got.value_size, 7);
            IS(got.key_size, 3);
            IS(spate_position(consumer, 0), position);
        }
        IS(spate_read(consumer, buffer, got.value_size + got.key_size + got.headers_block_size, &got, PROC_PATIENCE), 1);
        IS(got.offset, position);
        CHECK(memcmp(got.value, "a value", 7) == 0 && (const char *)got.value > buffer && (const char *)got.value < buffer + 256);
        IS(spate_read(consumer, buffer, sizeof buffer, &got, PROC_PATIENCE), 1);
        CHECK(memcmp(got.value, "next", 4) == 0);
        IS(spate_read(consumer, buffer, sizeof buffer, &untouched, 0), 0);
        IS(spate_read(consumer, buffer, sizeof buffer, &untouched, 5 * PROC_MS), -ETIMEDOUT);
        IS(untouched.value_size, 12345);
        spate_consumer_close(consumer);
    }
    close_fixture(f);
}

/* -------------------------------------------------------------------------------------------------------- the dead */

static const char bytes[SIZE];

static int gate_and_wait(void *argument)
{
    struct proc_handles handles = proc_join("p");
    (void)open_gate(handles.topic, SPATE_FOREVER);
    proc_add(argument);
    return pause();
}

static void a_dead_gate_holds_nobody_up(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    pid_t gates[5];

    for (int i = 0; i < 5; i++)
        gates[i] = proc_start(gate_and_wait, ready);
    proc_await(ready, 5);
    fill_ring(f.producer);
    struct spate_record record = {.value = bytes, .value_size = SIZE};
    for (int i = 0; i < 5; i++) {
        IS(spate_publish(f.producer, &record, i == 0 ? 10 * PROC_MS : 0, NULL), i == 0 ? -ETIMEDOUT : -EAGAIN);
        proc_kill(gates[i]);
    }
    for (int i = 0; i < 5000; i++)
        OK(spate_publish(f.producer, &record, PROC_PATIENCE, NULL));
    close_fixture(f);
}

/* A producer that only ever tries, and never waits, gets rid of a dead gate too. */
static void a_dead_gate_gives_way_to_a_producer_that_only_tries(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    struct fixture f = open_fixture(SPATE_MODE_EXCLUSIVE);
    pid_t gate = proc_start(gate_and_wait, ready);
    struct spate_record record = {.value = bytes, .value_size = SIZE};
    int64_t end = proc_now() + PROC_PATIENCE;
    int error;

    proc_await(ready, 1);
    fill_ring(f.producer);
    proc_kill(gate);
    while ((error = spate_publish(f.producer, &record, 0, NULL)) == -EAGAIN && proc_now() < end) {
    }
    OK(error);
    close_fixture(f);
}

static void a_stopped_gate_is_waited_for(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT);
    pid_t gate = proc_start(gate_and_wait, ready);
    struct spate_record record = {.value = bytes, .value_size = SIZE};

    proc_await(ready, 1);
    kill(gate, SIGSTOP);
    fill_ring(f.producer);
    IS(spate_publish(f.producer, &record, 300 * PROC_MS, NULL), -ETIMEDOUT);
    kill(gate, SIGCONT);
    proc_kill(gate);
    OK(spate_publish(f.producer, &record, PROC_PATIENCE, NULL));
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_gate_holds_producers_in_a_concurrent_topic),
        PROC_TEST(a_gate_holds_producers_in_an_exclusive_topic),
        PROC_TEST(the_slowest_of_several_gates_decides),
        PROC_TEST(views_stay_whole_until_they_are_released),
        PROC_TEST(a_gate_past_its_deadline_is_evicted_and_told_what_it_lost),
        PROC_TEST(an_evicted_gate_learns_that_its_views_are_gone),
        PROC_TEST(a_gate_that_moves_is_not_evicted),
        PROC_TEST(a_deadline_counts_from_ones_own_standstill),
        PROC_TEST(a_copying_read_under_pressure_is_never_torn_concurrent),
        PROC_TEST(a_copying_read_under_pressure_is_never_torn_exclusive),
        PROC_TEST(what_the_check_calls_whole_is_whole_concurrent),
        PROC_TEST(what_the_check_calls_whole_is_whole_exclusive),
        PROC_TEST(read_lost_and_aborted_add_up),
        PROC_TEST(a_read_with_a_small_buffer_says_what_it_needs_and_consumes_nothing),
        PROC_TEST(a_dead_gate_holds_nobody_up),
        PROC_TEST(a_dead_gate_gives_way_to_a_producer_that_only_tries),
        PROC_TEST(a_stopped_gate_is_waited_for),
    };
    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
