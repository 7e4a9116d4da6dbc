/* seek_hooked_test.c: producers overtake a seek at the worst moments. What failed changed nothing; what succeeded is exact.
 *
 * The library has hooks here: at each of them a producer goes as far as it is let. */
#include "proc.h"

#include "base/hook.h"

#define SIZE 40u /* with header and timestamp one unit of 64 bytes */

static struct {
    const char *point;
    int records; /* to publish there, at most */
    spate_producer *producer;
} hook;

static int publish(void)
{
    static const char value[SIZE];
    struct spate_record record = {.value = value, .value_size = SIZE};

    int error = spate_publish(hook.producer, &record, 0, NULL);
    CHECK(error == 0 || error == -EAGAIN);
    return error;
}

static void go_on(const char *point)
{
    if (strcmp(point, hook.point) != 0)
        return;
    sp_hook = NULL;
    for (int i = 0; i < hook.records && publish() == 0; i++) {
    }
}

struct fixture {
    spate_bus *bus;
    spate_topic *topic;
};

static struct fixture open_fixture(void)
{
    struct fixture f = {.bus = proc_open()};

    proc_create(f.bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    f.topic = proc_topic(f.bus, "t");
    hook.producer = proc_producer(f.topic);
    return f;
}

static void close_fixture(struct fixture f)
{
    sp_hook = NULL;
    spate_producer_close(hook.producer);
    spate_topic_close(f.topic);
    spate_bus_close(f.bus);
}

/* A gate in the middle of a full ring seeks to the oldest record; before, or while it is not decided, producers go on. */
static void check_failed_seek(int records)
{
    struct fixture f = open_fixture();
    spate_consumer *gate = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    struct spate_record got[64];
    int64_t first;

    while (publish() == 0) {
    }
    for (int n = 0; n < 512;) { /* a poll may give less than there is */
        int some = spate_poll(gate, got, 64, 0);
        CHECK(some > 0);
        n += some;
    }
    OK(spate_release(gate)); /* half of the ring is free now */
    OK(spate_offsets(gate, 0, &first, NULL));
    hook.point = "place:chosen";
    hook.records = records;
    sp_hook = go_on;
    IS(spate_seek(gate, 0, SPATE_START_OFFSET, first), -ERANGE);
    CHECK(sp_hook == NULL);
    IS(spate_position(gate, 0), 512);
    if (records < 512)
        OK(publish()); /* it does not hold more than it did */
    while (publish() == 0) {
    }
    for (int64_t expected = 512, end = 1024 + 512; expected < end;) {
        int some = spate_poll(gate, got, 64, 0);
        CHECK(some > 0);
        IS(got[0].offset, expected);
        OK(spate_check(gate));
        expected += some;
    }
    spate_consumer_close(gate);
    close_fixture(f);
}

static void a_seek_that_is_overtaken_by_little_changes_nothing(void **state)
{
    (void)state;
    check_failed_seek(70);
}

static void a_seek_that_is_overtaken_by_all_changes_nothing(void **state)
{
    (void)state;
    check_failed_seek(100000);
}

static struct fixture overtaken;

/* Producers go on where the seek is not decided: first before the old place is named, then while it is. */
static void go_on_twice(const char *point)
{
    if (strcmp(point, "place:chosen") == 0) {
        while (publish() == 0) {
        }
    } else if (strcmp(point, "place:stored") == 0) {
        sp_hook = NULL;
        IS(publish(), -EAGAIN); /* the gate is more than a ring behind for a moment, and holds all the same */
    }
}

static void a_gate_holds_while_its_seek_fails(void **state)
{
    (void)state;
    overtaken = open_fixture();
    spate_consumer *gate = proc_consumer(overtaken.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    struct spate_record got[64];
    int64_t first;

    while (publish() == 0) {
    }
    for (int i = 0; i < 8; i++)
        IS(spate_poll(gate, got, 64, 0), 64);
    OK(spate_release(gate));
    OK(spate_offsets(gate, 0, &first, NULL));
    sp_hook = go_on_twice;
    IS(spate_seek(gate, 0, SPATE_START_OFFSET, first), -ERANGE);
    CHECK(sp_hook == NULL);
    IS(spate_poll(gate, got, 64, 0), 64);
    IS(got[0].offset, 512);
    spate_consumer_close(gate);
    close_fixture(overtaken);
}

/* ---- Forward, from a place that is held, while more is announced than the gate allows: a producer has announced what it computed
 * before the gate was there; that it may not write there it finds at its second look. */

static spate_consumer *late_gate;
static struct fixture late;

static void come_late(const char *point)
{
    if (strcmp(point, "extend:looked") != 0)
        return;
    sp_hook = NULL;
    late_gate = proc_consumer(late.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
}

static void a_gate_goes_forward_from_where_it_holds(void **state)
{
    (void)state;
    late = open_fixture();
    static char value[15000];
    struct spate_record record = {.value = value, .value_size = sizeof value}, got[64];
    int64_t first;

    for (int i = 0; i < 1100; i++)
        OK(publish()); /* a little more than the ring: nobody gates */
    sp_hook = come_late;
    int error = spate_publish(hook.producer, &record, 0, NULL);
    CHECK(sp_hook == NULL);
    CHECK(error == 0 || error == -EAGAIN);
    IS(spate_poll(late_gate, got, 1, 0), 1);
    OK(spate_check(late_gate));
    first = got[0].offset;
    /* each of these offsets is held, whatever was announced */
    for (int64_t offset = first; offset < 1100; offset += 50) {
        OK(spate_seek(late_gate, 0, SPATE_START_OFFSET, offset));
        while (publish() == 0) {
        }
        IS(spate_poll(late_gate, got, 1, 0), 1);
        IS(got[0].offset, offset);
        OK(spate_check(late_gate));
    }
    spate_consumer_close(late_gate);
    close_fixture(late);
}

/* The record that was sought is overwritten just when it was found: it is lost, and said to be. */
static void a_record_that_is_overtaken_when_it_was_found_is_told_as_lost(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    spate_consumer *skipper = proc_consumer(f.topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
    struct spate_record got;
    struct spate_gap gap;

    for (int i = 0; i < 500; i++)
        OK(publish());
    hook.point = "settle:found";
    hook.records = 3000;
    sp_hook = go_on;
    OK(spate_seek(skipper, 0, SPATE_START_OFFSET, 77));
    CHECK(sp_hook == NULL);
    IS(spate_poll(skipper, &got, 1, 0), -EOVERFLOW);
    OK(spate_consumer_gap(skipper, &gap));
    IS(gap.first, 77);
    spate_consumer_close(skipper);
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_seek_that_is_overtaken_by_little_changes_nothing),
        PROC_TEST(a_seek_that_is_overtaken_by_all_changes_nothing),
        PROC_TEST(a_gate_holds_while_its_seek_fails),
        PROC_TEST(a_gate_goes_forward_from_where_it_holds),
        PROC_TEST(a_record_that_is_overtaken_when_it_was_found_is_told_as_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
