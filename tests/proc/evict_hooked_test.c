/* evict_hooked_test.c: an eviction meets the very consumer that stood still, not whoever has its slot by the time.
 *
 * Between its decision and its compare-and-swap a producer may be stopped for any time. The library has hooks here; at that point the
 * slow consumer leaves, and another one, which nobody may evict, takes its slot. */
#include "proc.h"

#include "base/hook.h"

static struct {
    spate_topic *topic;
    spate_consumer *slow, *other;
    bool seeks;
} scene;

static void change_hands(const char *point)
{
    if (strcmp(point, "evict:decided") != 0)
        return;
    sp_hook = NULL;
    if (scene.seeks) {
        OK(spate_seek(scene.slow, 0, SPATE_START_BEGINNING, 0));
        return;
    }
    spate_consumer_close(scene.slow);
    scene.slow = NULL;
    scene.other = proc_consumer(scene.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
}

static void evict_and_change_hands(bool seeks)
{
    struct spate_record record = {.value = "x", .value_size = 1}, got;
    struct spate_consumer_options options;
    spate_bus *bus = proc_open();
    int error;

    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    scene.topic = proc_topic(bus, "t");
    scene.other = NULL;
    scene.seeks = seeks;
    spate_producer *producer = proc_producer(scene.topic);
    spate_consumer_options_init(&options);
    options.start = SPATE_START_BEGINNING;
    options.gate_timeout = 20 * PROC_MS;
    OK(spate_consumer_open(scene.topic, &options, &scene.slow));
    sp_hook = change_hands;
    for (int64_t end = proc_now() + PROC_PATIENCE; sp_hook && proc_now() < end;) {
        error = spate_publish(producer, &record, 0, NULL);
        CHECK(error == 0 || error == -EAGAIN);
    }
    CHECK(sp_hook == NULL);
    spate_consumer *now = seeks ? scene.slow : scene.other;
    IS(spate_poll(now, &got, 1, PROC_PATIENCE), 1); /* not evicted: its first record is there, and stays */
    IS(got.offset, 0);
    OK(spate_check(now));
    spate_consumer_close(now);
    spate_producer_close(producer);
    spate_topic_close(scene.topic);
    spate_bus_close(bus);
}

static void a_slot_that_changed_hands_is_not_evicted(void **state)
{
    (void)state;
    evict_and_change_hands(false);
}

static void a_consumer_that_went_elsewhere_is_not_evicted(void **state)
{
    (void)state;
    evict_and_change_hands(true);
}

/* ---- A gate that nobody may evict moves just while a producer looks at it, and others go on: it is not where none can stand. */

static spate_producer *other_producer;

static void move_and_go_on(const char *point)
{
    struct spate_record record = {.value = "x", .value_size = 1}, got[64];

    if (strcmp(point, "rescue:looked") != 0)
        return;
    sp_hook = NULL;
    IS(spate_poll(scene.slow, got, 64, 0), 64);
    OK(spate_release(scene.slow));
    for (int i = 0; i < 10; i++)
        OK(spate_publish(other_producer, &record, 0, NULL));
}

static void a_gate_for_ever_that_moves_while_it_is_looked_at_stays(void **state)
{
    (void)state;
    struct spate_record record = {.value = "x", .value_size = 1}, got[64];
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    scene.topic = proc_topic(bus, "t");
    scene.slow = proc_consumer(scene.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    spate_producer *producer = proc_producer(scene.topic);
    other_producer = proc_producer(scene.topic);
    while (spate_publish(producer, &record, 0, NULL) == 0) {
    }
    for (int64_t end = proc_now() + 1200 * PROC_MS; proc_now() < end; proc_nap(5 * PROC_MS))
        IS(spate_publish(producer, &record, 0, NULL), -EAGAIN);
    sp_hook = move_and_go_on;
    for (int64_t end = proc_now() + PROC_PATIENCE; sp_hook && proc_now() < end; proc_nap(PROC_MS))
        (void)spate_publish(producer, &record, 0, NULL);
    CHECK(sp_hook == NULL);
    IS(spate_poll(scene.slow, got, 64, 0), 64);
    IS(got[0].offset, 64);
    spate_consumer_close(scene.slow);
    spate_producer_close(other_producer);
    spate_producer_close(producer);
    spate_topic_close(scene.topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_slot_that_changed_hands_is_not_evicted),
        PROC_TEST(a_consumer_that_went_elsewhere_is_not_evicted),
        PROC_TEST(a_gate_for_ever_that_moves_while_it_is_looked_at_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
