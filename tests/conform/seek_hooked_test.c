/* seek_hooked_test.c: producers, deletion and the daemon overtake a seek of a consumer that reads on in the log: it begins where it was
 * asked to all the same, and tells of what is gone.
 *
 * Run by ctest with the label `conform`. The library has hooks here: at each of them more than a ring is published and written. */
#include "base/hook.h"
#include "spated.h"

enum { RING = 64 << 10, PASSED = 3000 }; /* each record takes 64 bytes of the ring, the log some segments for a few thousand */

static spate_bus *bus;
static spate_topic *topic;
static spate_producer *producer;
static pid_t spated;

static struct {
    const char *point;
    uint64_t published;
    int64_t delete_below;
    const char *remove; /* a file of the log */
} hook;

/* Timestamps are ten times the offset. */
static void publish(int count)
{
    static const char value[40];
    for (int i = 0; i < count; i++) {
        struct spate_record record = {.value = value, .value_size = sizeof value, .timestamp = 10 * (int64_t)hook.published++};
        OK(spate_publish(producer, &record, PROC_PATIENCE, NULL));
    }
    OK(spate_wait(producer, SPATE_ANY, 0, SPATE_WATERMARK_WRITTEN, PROC_PATIENCE));
}

static void pass(const char *point)
{
    if (strcmp(point, hook.point) != 0)
        return;
    sp_hook = NULL;
    if (hook.remove) {
        IS(unlink(hook.remove), 0);
        return;
    }
    publish(PASSED);
    if (hook.delete_below)
        OK(spate_delete_records(topic, 0, hook.delete_below, PROC_PATIENCE));
}

static void set_hook(const char *point)
{
    hook.point = point;
    sp_hook = pass;
}

static void open_topic(int count)
{
    struct spate_topic_config config = spated_config(1, RING, SPATE_COMPRESSION_NONE);

    memset(&hook, 0, sizeof hook);
    bus = proc_open();
    OK(spate_topic_create(bus, "t", &config));
    topic = proc_topic(bus, "t");
    producer = proc_producer(topic);
    spated = spated_start();
    spated_await(topic);
    publish(count);
}

static void close_topic(spate_consumer *consumer)
{
    CHECK(sp_hook == NULL); /* it was come by */
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    spated_stop(spated);
}

/* Everything from there on comes, and nothing before. */
static void check_rest(spate_consumer *consumer, int64_t offset)
{
    struct spate_record records[64];

    while (offset < (int64_t)hook.published) {
        const int n = spate_poll(consumer, records, 64, PROC_PATIENCE);
        CHECKF(n > 0, "spate_poll: %d (%s)", n, spate_last_error());
        for (int i = 0; i < n; i++)
            IS(records[i].offset, offset++);
    }
}

static void a_time_that_the_log_has_not_is_found_when_it_comes(void **state)
{
    (void)state;
    open_topic(100);
    set_hook("place:chosen");
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SPILL, SPATE_START_TIME, 2000);
    check_rest(consumer, 200);
    close_topic(consumer);
}

static void a_time_that_was_in_the_ring_is_found_in_the_log(void **state)
{
    (void)state;
    open_topic(500);
    set_hook("place:chosen");
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SPILL, SPATE_START_TIME, 2995);
    check_rest(consumer, 300);
    close_topic(consumer);
}

static void an_earlier_seek_is_forgotten(void **state)
{
    (void)state;
    struct spate_record record;

    open_topic(1500);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SPILL, SPATE_START_OFFSET, 1000);
    IS(spate_poll(consumer, &record, 1, 0), 1);
    IS(record.offset, 1000);
    set_hook("place:chosen");
    OK(spate_seek(consumer, 0, SPATE_START_OFFSET, 900));
    check_rest(consumer, 900);
    close_topic(consumer);
}

static void what_is_deleted_meanwhile_is_told_as_lost(void **state)
{
    (void)state;
    struct spate_gap gap;

    open_topic(1500);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SPILL, SPATE_START_END, 0);
    hook.delete_below = 1000;
    set_hook("place:chosen");
    OK(spate_seek(consumer, 0, SPATE_START_OFFSET, 900));
    OK(spate_consumer_gap(consumer, &gap));
    IS(gap.cause, SPATE_LOST_DELETED);
    IS(gap.first, 900);
    IS(gap.next, 1000);
    check_rest(consumer, 1000);
    close_topic(consumer);
}

/* The log begins with a segment that is gone when it is to be opened. */
static void a_first_segment_that_is_deleted_meanwhile_is_told_as_lost(void **state)
{
    (void)state;
    char path[256];
    struct spate_gap gap;

    open_topic(2 * SPATE_SEGMENT_MIN / 64);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SPILL, SPATE_START_END, 0);
    snprintf(path, sizeof path, "%s/t/0/%020d.log", spated_log_dir(), 0);
    hook.remove = path;
    set_hook("log:listed");
    OK(spate_seek(consumer, 0, SPATE_START_BEGINNING, 0));
    OK(spate_consumer_gap(consumer, &gap));
    IS(gap.cause, SPATE_LOST_DELETED);
    IS(gap.first, 0);
    CHECK(gap.next > 0);
    check_rest(consumer, gap.next);
    close_topic(consumer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_time_that_the_log_has_not_is_found_when_it_comes),
        PROC_TEST(a_time_that_was_in_the_ring_is_found_in_the_log),
        PROC_TEST(an_earlier_seek_is_forgotten),
        PROC_TEST(what_is_deleted_meanwhile_is_told_as_lost),
        PROC_TEST(a_first_segment_that_is_deleted_meanwhile_is_told_as_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
