/* inspect_test.c: what spate_inspect_* tell: participants, rings, producers, cursors, counters; on handles that take part and on
 * handles that only observe.
 *
 * The dead are children that were killed; the stalled is a child with an open claim. */
#include <signal.h>
#include <sys/wait.h>

#include "layout/counters.h"
#include "proc.h"
#include "spate/inspect.h"

static spate_bus *observe(void)
{
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_OBSERVE;
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    return bus;
}

struct seen {
    struct spate_participant_info participants[8];
    struct spate_producer_info producers[8];
    struct spate_cursor_info cursors[8];
    uint32_t participants_count, producers_count, cursors_count;
};

static int see_participant(void *context, const struct spate_participant_info *info)
{
    struct seen *seen = context;
    seen->participants[seen->participants_count++] = *info;
    return 0;
}

static int see_producer(void *context, const struct spate_producer_info *info)
{
    struct seen *seen = context;
    seen->producers[seen->producers_count++] = *info;
    return 0;
}

static int see_cursor(void *context, const struct spate_cursor_info *info)
{
    struct seen *seen = context;
    seen->cursors[seen->cursors_count++] = *info;
    return 0;
}

static int stop_at_once(void *context)
{
    ++*(int *)context;
    return 42;
}

static int stop_participant(void *context, const struct spate_participant_info *info)
{
    (void)info;
    return stop_at_once(context);
}

static int stop_producer(void *context, const struct spate_producer_info *info)
{
    (void)info;
    return stop_at_once(context);
}

static int stop_counter(void *context, const struct spate_counter_info *info)
{
    (void)info;
    return stop_at_once(context);
}

/* A child that holds a claim of three records, a gate and its place until it is killed. */
static int hold(void *argument)
{
    struct proc_handles handles = proc_join("t");
    struct spate_producer_options options;
    spate_producer *producer = NULL;
    struct spate_record records[3] = {{.value_size = 100}, {.value_size = 100}, {.value_size = 100}};
    struct spate_claim claims[3];

    spate_producer_options_init(&options);
    options.name = "the holder";
    OK(spate_producer_open(handles.topic, &options, &producer));
    proc_consumer(handles.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(spate_claim_batch(producer, records, 3, claims));
    proc_add(argument);
    for (;;)
        pause();
    return 0;
}

static void participants_are_shown_alive_and_dead(void **state)
{
    (void)state;
    spate_bus *bus = proc_open(), *observer = observe();
    proc_word *ready = proc_shared(sizeof *ready);
    struct spate_bus_info info;
    struct seen seen = {0};

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    pid_t child = proc_start(hold, ready);
    proc_await(ready, 1);
    OK(spate_inspect_bus(observer, &info));
    IS(info.participants_alive, 2);
    IS(info.participants_dead, 0);
    CHECK(strcmp(info.path, proc_bus_path()) == 0 && info.created > 0 && info.layout_version == SP_LAYOUT_VERSION);
    OK(spate_inspect_participants(observer, see_participant, &seen));
    IS(seen.participants_count, 2);
    CHECK(seen.participants[0].alive && seen.participants[1].alive && seen.participants[0].pid == getpid());
    IS(seen.participants[1].pid, child);
    CHECK(seen.participants[0].pid_namespace == seen.participants[1].pid_namespace && seen.participants[0].uid == geteuid());

    proc_kill(child);
    OK(spate_inspect_bus(bus, &info));
    IS(info.participants_alive, 1);
    IS(info.participants_dead, 1);
    seen = (struct seen){0};
    OK(spate_inspect_participants(bus, see_participant, &seen));
    IS(seen.participants_count, 2);
    CHECK(seen.participants[0].alive && !seen.participants[1].alive && seen.participants[1].pid == child);
    spate_bus_close(observer);
    spate_bus_close(bus);
}

static void a_ring_shows_its_producers_and_cursors(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_word *ready = proc_shared(sizeof *ready);
    struct spate_ring_info info;
    struct seen seen = {0};

    proc_create(bus, "t", 2, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
    for (int i = 0; i < 5; i++)
        proc_publish_text(producer, 0, "before");
    pid_t child = proc_start(hold, ready);
    proc_await(ready, 1);
    /* which partition the child's batch went to is its own choice: publish on both behind it */
    proc_publish_text(producer, 0, "behind");
    proc_publish_text(producer, 1, "behind");
    spate_bus *observer = observe();
    spate_topic *observed = proc_topic(observer, "t");
    int held = -1;
    for (int partition = 0; partition < 2; partition++) {
        seen = (struct seen){0};
        OK(spate_inspect_ring(observed, partition, &info, see_producer, see_cursor, &seen));
        IS(info.partition, partition);
        IS(info.capacity, 64 << 10);
        IS(info.consumers, 2);
        IS(seen.cursors_count, 2);
        IS(info.producers, seen.producers_count);
        const struct spate_cursor_info *ours = &seen.cursors[0], *theirs = &seen.cursors[1];
        CHECK(ours->policy == SPATE_POLICY_SKIP && ours->alive && ours->pid == getpid() && !ours->evicted && ours->offset == 0);
        CHECK(theirs->policy == SPATE_POLICY_GATE && theirs->alive && theirs->pid == child &&
              theirs->gate_timeout == SPATE_FOREVER);
        IS(ours->lag, info.claimed_offset);
        IS(info.used, info.claimed_position); /* the child's gate stands at the beginning */
        if (seen.producers_count == 2)
            held = partition;
        else
            IS(info.published_position, info.claimed_position);
    }
    CHECK(held >= 0);
    seen = (struct seen){0};
    OK(spate_inspect_ring(observed, held, &info, see_producer, NULL, &seen));
    IS(seen.producers[0].claim_state, SPATE_CLAIM_IDLE);
    CHECK(!seen.producers[0].stalled && seen.producers[0].alive);
    const struct spate_producer_info *holder = &seen.producers[1];
    CHECK(holder->alive && holder->stalled && holder->pid == child && strcmp(holder->name, "the holder") == 0);
    IS(holder->claim_state, SPATE_CLAIM_CLAIMED);
    IS(holder->claim_count, 3);
    IS(holder->claim_offset, held == 0 ? 5 : 0);
    IS(holder->claim_position, info.published_position);
    CHECK(holder->claim_size >= 300 && holder->claim_size < info.claimed_position);
    IS(info.claimed_offset, holder->claim_offset + 4);

    proc_kill(child);
    seen = (struct seen){0};
    OK(spate_inspect_ring(observed, held, &info, see_producer, see_cursor, &seen));
    IS(info.producers, 1);
    IS(info.consumers, 1);
    CHECK(!seen.producers[1].alive && seen.producers[1].stalled && !seen.cursors[1].alive);
    spate_topic_close(observed);
    spate_bus_close(observer);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_cursor_shows_where_it_is(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_ring_info info;
    struct spate_record records[4];
    struct seen seen = {0};

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_EXCLUSIVE);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    for (int i = 0; i < 10; i++)
        proc_publish_text(producer, 0, "x");
    IS(spate_poll(consumer, records, 4, 0), 4);
    OK(spate_release(consumer));
    OK(spate_inspect_ring(topic, 0, &info, see_producer, see_cursor, &seen));
    IS(seen.cursors[0].offset, 4);
    IS(seen.cursors[0].lag, 6);
    IS(info.used, info.claimed_position - seen.cursors[0].position);
    IS(info.oldest_offset, 0);
    IS(info.claimed_offset, 10);
    IS(seen.producers_count, 1);
    IS(seen.producers[0].claim_state, SPATE_CLAIM_IDLE);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    seen = (struct seen){0};
    OK(spate_inspect_ring(topic, 0, &info, see_producer, see_cursor, &seen));
    CHECK(seen.cursors_count == 0 && seen.producers_count == 0 && info.producers == 0 && info.consumers == 0 && info.used == 0);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

struct counted {
    uint64_t values[128]; /* by id, summed over slots */
    uint32_t seen[128];
};

static int count_counter(void *context, const struct spate_counter_info *info)
{
    struct counted *counted = context;
    CHECK(info->id < 128 && info->name[0] && info->unit[0] && strcmp(info->topic, "t") == 0 && info->partition == 0);
    CHECK((info->scope == SPATE_SCOPE_RING) == (info->owner[0] == 0));
    counted->values[info->id] += info->value;
    counted->seen[info->id]++;
    return 0;
}

static uint64_t value_of(const struct counted *counted, const char *name)
{
    for (size_t i = 0; i < sp_counter_descriptors_count; i++)
        if (strcmp(sp_counter_descriptors[i].name, name) == 0)
            return counted->values[sp_counter_descriptors[i].id];
    CHECKF(false, "no counter %s", name);
    return 0;
}

static void counters_are_complete_and_stay_when_slots_change_hands(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record records[16];
    struct counted counted = {0};

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    for (int round = 0; round < 2; round++) {
        spate_producer *producer = proc_producer(topic);
        spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
        for (int i = 0; i < 7; i++)
            proc_publish_text(producer, 0, "x");
        IS(spate_poll(consumer, records, 16, 0), 7);
        spate_consumer_close(consumer);
        spate_producer_close(producer);
    }
    OK(spate_inspect_counters(topic, count_counter, &counted));
    for (size_t i = 0; i < sp_counter_descriptors_count; i++)
        CHECKF(counted.seen[sp_counter_descriptors[i].id] == 1, "%s was seen %u times", sp_counter_descriptors[i].name,
               counted.seen[sp_counter_descriptors[i].id]);
    IS(value_of(&counted, "records_published"), 14);
    IS(value_of(&counted, "records_read"), 14);
    IS(value_of(&counted, "bytes_published"), value_of(&counted, "bytes_read"));
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_ring_info info;
    int visits = 0;

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    proc_publish_text(producer, 0, "x");
    IS(spate_inspect_ring(topic, 1, &info, NULL, NULL, NULL), -ERANGE);
    IS(spate_inspect_ring(topic, -1, &info, NULL, NULL, NULL), -ERANGE);
    IS(spate_inspect_ring(NULL, 0, &info, NULL, NULL, NULL), -EINVAL);
    OK(spate_inspect_ring(topic, 0, NULL, NULL, NULL, NULL));
    IS(spate_inspect_bus(bus, NULL), -EINVAL);
    IS(spate_inspect_bus(NULL, NULL), -EINVAL);
    IS(spate_inspect_participants(bus, NULL, NULL), -EINVAL);
    IS(spate_inspect_counters(topic, NULL, NULL), -EINVAL);
    IS(spate_inspect_participants(bus, stop_participant, &visits), 42);
    IS(spate_inspect_ring(topic, 0, &info, stop_producer, NULL, &visits), 42);
    IS(spate_inspect_counters(topic, stop_counter, &visits), 42);
    IS(visits, 3);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(participants_are_shown_alive_and_dead),
        PROC_TEST(a_ring_shows_its_producers_and_cursors),
        PROC_TEST(a_cursor_shows_where_it_is),
        PROC_TEST(counters_are_complete_and_stay_when_slots_change_hands),
        PROC_TEST(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
