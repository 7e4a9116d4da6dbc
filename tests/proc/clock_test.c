/* clock_test.c: a clock that is set back: a producer's timestamps never decrease, and the counter says how often that was
 * needed.
 *
 * The executable defines clock_gettime itself, so the library in it reads a clock that the test moves; other processes are not
 * needed. */
#include "proc.h"

#include <sys/syscall.h>
#include <time.h>

#include "spate/inspect.h"

static int64_t shift; /* what CLOCK_REALTIME is wrong by */

/* In front of libc's. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);

    if (clock == CLOCK_REALTIME && result == 0) {
        int64_t now = time->tv_sec * PROC_S + time->tv_nsec + shift;
        time->tv_sec = now / PROC_S;
        time->tv_nsec = now % PROC_S;
    }
    return result;
}

static int add_backwards(void *context, const struct spate_counter_info *counter)
{
    if (strcmp(counter->name, "clock_backwards") == 0)
        *(uint64_t *)context += counter->value;
    return 0;
}

static uint64_t count_backwards(spate_topic *topic)
{
    uint64_t count = 0;
    OK(spate_inspect_counters(topic, add_backwards, &count));
    return count;
}

static void timestamps_never_decrease_and_the_counter_counts(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record got, record = {.value = "x", .value_size = 1};
    int64_t last = INT64_MIN;
    uint64_t random = 5, behind = 0;

    shift = 0;
    proc_create(bus, "t", 3, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    for (int i = 0; i < 1000; i++) {
        if (i % 10 == 0)
            shift += proc_below(&random, 2) ? -(int64_t)proc_below(&random, (uint64_t)(3600 * PROC_S)) : 1000 * PROC_S;
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        int64_t now = time.tv_sec * PROC_S + time.tv_nsec;
        bool is_behind = now + PROC_S < last; /* not only by a moment */
        uint64_t before = count_backwards(topic);
        record.partition = i % 3;
        OK(spate_publish(producer, &record, 0, NULL));
        IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
        CHECK(got.timestamp >= last);
        if (is_behind) {
            IS(got.timestamp, last);
            IS(count_backwards(topic), before + 1);
            behind++;
        } else {
            CHECK(got.timestamp >= now);
        }
        last = got.timestamp;
    }
    CHECK(behind > 100 && behind < 1000);
    /* it is per producer: another one stamps by the clock as it is now */
    shift -= 100000 * PROC_S;
    spate_producer *other = proc_producer(topic);
    OK(spate_publish(other, &record, 0, NULL));
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    CHECK(got.timestamp < last);
    spate_producer_close(other);
    spate_producer_close(producer);
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_batch_has_timestamps_that_never_decrease(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record batch[100], got[100];

    shift = 0;
    proc_create(bus, "t", 1, 1 << 20, SPATE_MODE_EXCLUSIVE);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    for (int i = 0; i < 100; i++)
        batch[i] = (struct spate_record){.value = "x", .value_size = 1};
    int64_t last = 0;
    for (int round = 0; round < 3; round++) {
        OK(spate_publish_batch(producer, batch, 100, 0, NULL));
        shift -= 10 * PROC_S;
        IS(spate_poll(consumer, got, 100, PROC_PATIENCE), 100);
        for (int i = 0; i < 100; i++) {
            CHECK(got[i].timestamp >= last);
            last = got[i].timestamp;
        }
    }
    spate_producer_close(producer);
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(timestamps_never_decrease_and_the_counter_counts),
        PROC_TEST(a_batch_has_timestamps_that_never_decrease),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
