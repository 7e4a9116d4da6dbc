/* release_test.c: what a consumer steps over without showing it to anybody is given back to the producers, and what a caller throws
 * away is given again.
 *
 * A gate that waits inside spate_poll for something worth returning must not hold the ring up meanwhile; and spate_check that says
 * "discard" must lose nothing of the partitions that were whole. */
#include "proc.h"

enum { RING = 64 << 10, ROUNDS = 5000 };

struct waiting {
    uint32_t start;
    int64_t value;
    proc_word ready;
};

/* Waits for one record, and exits with the first byte of its value. */
static int wait_for_one(void *argument)
{
    struct waiting *waiting = argument;
    struct proc_handles handles = proc_join("p");
    spate_consumer *consumer = proc_consumer(handles.topic, SPATE_POLICY_GATE, waiting->start, waiting->value);
    struct spate_record record;

    proc_add(&waiting->ready);
    IS(spate_poll(consumer, &record, 1, SPATE_FOREVER), 1);
    int status = *(const char *)record.value;
    spate_consumer_close(consumer);
    proc_leave(handles);
    return status;
}

static void a_waiting_gate_gives_back_what_was_aborted(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "p", 1, RING, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "p");
    spate_producer *producer = proc_producer(topic);
    struct waiting *waiting = proc_shared(sizeof *waiting);
    struct spate_record record = {.value_size = 1};
    struct spate_claim claim;

    waiting->start = SPATE_START_BEGINNING;
    pid_t child = proc_start(wait_for_one, waiting);
    proc_await(&waiting->ready, 1);
    for (int i = 0; i < ROUNDS; i++) {
        int error;
        while ((error = spate_claim(producer, &record, &claim)) == -EAGAIN)
            OK(spate_producer_wait(producer, PROC_PATIENCE));
        OK(error);
        OK(spate_abort(producer));
    }
    proc_publish_text(producer, 0, "\7");
    IS(proc_wait(child), 7);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_gate_that_waits_for_a_time_gives_back_what_is_older(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(1, RING, SPATE_MODE_EXCLUSIVE);
    config.timestamp = SPATE_TIMESTAMP_CALLER;
    OK(spate_topic_create(bus, "p", &config));
    spate_topic *topic = proc_topic(bus, "p");
    spate_producer *producer = proc_producer(topic);
    struct waiting *waiting = proc_shared(sizeof *waiting);

    waiting->start = SPATE_START_TIME;
    waiting->value = ROUNDS;
    pid_t child = proc_start(wait_for_one, waiting);
    proc_await(&waiting->ready, 1);
    for (int i = 0; i <= ROUNDS; i++) {
        struct spate_record record = {.timestamp = i, .value = i == ROUNDS ? "\10" : "\1", .value_size = 1};
        OK(spate_publish(producer, &record, PROC_PATIENCE, NULL));
    }
    IS(proc_wait(child), 8);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_poll_that_is_discarded_is_given_again_where_it_was_whole(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "p", 2, RING, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "p");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
    struct spate_record records[16];
    int64_t seen[2] = {0, 0};

    for (int i = 0; i < 3; i++) {
        proc_publish_text(producer, 0, "zero");
        proc_publish_text(producer, 1, "one");
    }
    IS(spate_poll(consumer, records, 16, 0), 6);
    OK(spate_check(consumer));
    for (int i = 0; i < 5000; i++)
        proc_publish_text(producer, 0, "a lap");
    IS(spate_check(consumer), -EOVERFLOW);
    IS(spate_check(consumer), -EOVERFLOW); /* it does not get better */
    for (int count; (count = spate_poll(consumer, records, 16, 0)) != 0;) {
        struct spate_gap gap;
        if (count == -EOVERFLOW) {
            OK(spate_consumer_gap(consumer, &gap));
            IS(gap.first, seen[gap.partition]);
            seen[gap.partition] = gap.next;
            continue;
        }
        CHECK(count > 0);
        for (int i = 0; i < count; i++)
            IS(records[i].offset, seen[records[i].partition]++);
    }
    IS(seen[0], 5003);
    IS(seen[1], 3);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_waiting_gate_gives_back_what_was_aborted),
        PROC_TEST(a_gate_that_waits_for_a_time_gives_back_what_is_older),
        PROC_TEST(a_poll_that_is_discarded_is_given_again_where_it_was_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
