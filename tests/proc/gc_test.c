/* gc_test.c: what gc frees, what it leaves alone, and that nobody who is joining a bus loses it.
 *
 * The dead are children that were killed while they held one of everything. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "layout/bus_layout.h"
#include "layout/topic_layout.h"
#include "proc.h"
#include "spate/inspect.h"

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

struct held {
    proc_word ready, generation, slot;
};

static int remember(void *context, const struct spate_participant_info *info)
{
    struct held *held = context;
    if (info->pid != getpid())
        return 0;
    proc_set(&held->generation, info->generation);
    proc_set(&held->slot, info->slot);
    return 0;
}

/* One of everything: an open claim, a gate, a pipe, a half-made topic. */
static int hold(void *argument)
{
    struct held *held = argument;
    struct proc_handles handles = proc_join("t");
    spate_producer *producer = proc_producer(handles.topic);
    spate_consumer *consumer = proc_consumer(handles.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    struct spate_record record = {.value_size = 100};
    struct spate_claim claim;

    OK(spate_claim(producer, &record, &claim));
    CHECK(spate_consumer_fd(consumer) >= 0);
    OK(spate_inspect_participants(handles.bus, remember, held));
    proc_add(&held->ready);
    for (;;)
        pause();
    return 0;
}

static void make_unfinished(uint64_t owner, const char *random)
{
    const char *path = proc_file("~topic.%llx.%s", (unsigned long long)owner, random);
    CHECK(mkdir(path, 0700) == 0);
    int fd = open(proc_file("~topic.%llx.%s/topic", (unsigned long long)owner, random), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static void everything_of_the_dead_is_freed_and_nothing_else(void **state)
{
    (void)state;
    struct held *held = proc_shared(sizeof *held);
    struct held own = {0};
    struct spate_gc_result gc;
    struct spate_record got[4];
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    int fd = spate_consumer_fd(consumer);
    CHECK(fd >= 0);
    OK(spate_inspect_participants(bus, remember, &own));
    pid_t child = proc_start(hold, held);
    proc_await(&held->ready, 1);
    proc_publish_text(producer, 0, "behind");
    const uint64_t theirs = proc_get(&held->generation) << SP_OWNER_SLOT_BITS | proc_get(&held->slot);
    const uint64_t ours = proc_get(&own.generation) << SP_OWNER_SLOT_BITS | proc_get(&own.slot);
    make_unfinished(theirs, "0123456789abcdef");
    make_unfinished(ours, "0123456789abcdef");

    OK(spate_gc(bus, &gc)); /* all of them live */
    CHECK(gc.participants == 0 && gc.producers == 0 && gc.consumers == 0 && gc.wakes == 0 && gc.unfinished_topics == 0);
    CHECK(exists(proc_file("~wake/0")) && exists(proc_file("~wake/1")));

    proc_kill(child);
    OK(spate_gc(bus, &gc));
    IS(gc.participants, 1);
    IS(gc.producers, 1);
    IS(gc.consumers, 1);
    IS(gc.wakes, 1);
    IS(gc.unfinished_topics, 1);
    CHECK(exists(proc_file("~wake/0")) && !exists(proc_file("~wake/1")));
    CHECK(!exists(proc_file("~topic.%llx.0123456789abcdef", (unsigned long long)theirs)));
    CHECK(exists(proc_file("~topic.%llx.0123456789abcdef", (unsigned long long)ours)));
    OK(spate_gc(bus, NULL));
    OK(spate_gc(bus, &gc));
    CHECK(gc.participants == 0 && gc.producers == 0 && gc.consumers == 0 && gc.wakes == 0 && gc.unfinished_topics == 0);
    IS(spate_poll(consumer, got, 4, 0), 1);
    IS(got[0].offset, 1);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_deletion_that_its_deleter_did_not_live_to_finish_is_finished(void **state)
{
    (void)state;
    const uint32_t deleted = SP_STATE_DELETED;
    struct spate_gc_result gc;
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 2, 64 << 10, SPATE_MODE_CONCURRENT);
    proc_create(bus, "u", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    int fd = open(proc_file("t/topic"), O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, &deleted, sizeof deleted, offsetof(struct sp_topic_file, state)) == sizeof deleted);
    close(fd);
    OK(spate_gc(bus, &gc));
    IS(gc.unfinished_topics, 1);
    CHECK(!exists(proc_file("t")) && exists(proc_file("u")));
    proc_create(bus, "t", 2, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_bus_close(bus);
}

static void an_observer_may_not_clean_up(void **state)
{
    (void)state;
    struct spate_bus_options options;
    struct spate_gc_result gc;
    spate_bus *bus = proc_open(), *observer = NULL;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_OBSERVE;
    OK(spate_bus_open(proc_bus_path(), &options, &observer));
    IS(spate_gc(observer, &gc), -EPERM);
    IS(spate_gc(NULL, &gc), -EINVAL);
    spate_bus_close(observer);
    spate_bus_close(bus);
}

static void a_freed_slot_is_taken_again_by_a_new_generation(void **state)
{
    (void)state;
    struct held *held = proc_shared(sizeof *held);
    spate_bus *bus = proc_open();
    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    pid_t child = proc_start(hold, held);
    proc_await(&held->ready, 1);
    proc_kill(child);
    OK(spate_gc(bus, NULL));
    child = proc_start(hold, held);
    proc_await(&held->ready, 2);
    CHECK(proc_get(&held->slot) == 1 && proc_get(&held->generation) == 2);
    proc_kill(child);
    spate_bus_close(bus);
}

static spate_bus *open_bus(const char *name)
{
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.dir = proc_root();
    OK(spate_bus_open(name, &options, &bus));
    return bus;
}

static void make_bus(const char *name, const char *topic)
{
    spate_bus *bus = open_bus(name);
    if (topic)
        proc_create(bus, topic, 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_bus_close(bus);
}

struct names {
    char text[512];
};

static int add_name(void *context, const char *name)
{
    struct names *names = context;
    const char *slash = strrchr(name, '/');
    size_t used = strlen(names->text);
    snprintf(names->text + used, sizeof names->text - used, "%s ", slash ? slash + 1 : name);
    return 0;
}

static int stop(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return 9;
}

static const char *path_in_root(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", proc_root(), name);
    return path;
}

static void buses_that_nobody_uses_are_removed(void **state)
{
    (void)state;
    struct spate_gc_result gc;
    struct names names = {0}, removed = {0};
    int stops = 0;

    make_bus("b-empty", NULL);
    make_bus("a-empty", NULL);
    make_bus("full", "topic");
    spate_bus *used = open_bus("used"), *used_full = open_bus("used-full");
    proc_create(used_full, "topic", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    CHECK(mkdir(path_in_root("stranger"), 0700) == 0);
    CHECK(mkdir(path_in_root("~gone.0123456789abcdef"), 0700) == 0);
    OK(spate_bus_list(proc_root(), add_name, &names));
    assert_string_equal(names.text, "a-empty b-empty full used used-full ");
    IS(spate_bus_list(proc_root(), stop, &stops), 9);
    IS(stops, 1);
    IS(spate_bus_list(path_in_root("nowhere"), stop, &stops), -ENOENT);
    IS(spate_gc_dir(path_in_root("nowhere"), 0, &gc, NULL, NULL), -ENOENT);

    OK(spate_gc_dir(proc_root(), 0, &gc, add_name, &removed));
    assert_string_equal(removed.text, "a-empty b-empty ");
    IS(gc.buses, 2);
    CHECK(!exists(path_in_root("a-empty")) && exists(path_in_root("full")) && exists(path_in_root("used")));
    CHECK(exists(path_in_root("stranger")) && !exists(path_in_root("~gone.0123456789abcdef")));
    removed = (struct names){0};
    OK(spate_gc_dir(proc_root(), 1, &gc, add_name, &removed));
    assert_string_equal(removed.text, "full ");
    CHECK(!exists(path_in_root("full")) && exists(path_in_root("used-full/topic")));
    spate_bus_close(used);
    spate_bus_close(used_full);
    OK(spate_gc_dir(proc_root(), 1, NULL, NULL, NULL));
    CHECK(!exists(path_in_root("used")) && !exists(path_in_root("used-full")) && exists(path_in_root("stranger")));
}

/* Joins and leaves as fast as it can; whenever it has joined, the bus must be there, and stay. */
static int join_again_and_again(void *argument)
{
    proc_word *rounds = argument;
    for (int i = 0; i < (proc_is_slow() ? 100 : 400); i++) {
        spate_bus *bus = open_bus("contested");
        char name[32];
        snprintf(name, sizeof name, "t%d-%d", (int)getpid(), i);
        proc_create(bus, name, 1, 64 << 10, SPATE_MODE_CONCURRENT);
        spate_topic *topic = proc_topic(bus, name);
        spate_producer *producer = proc_producer(topic);
        proc_publish_text(producer, 0, "x");
        spate_producer_close(producer);
        spate_topic_close(topic);
        OK(spate_topic_delete(bus, name, 0));
        spate_bus_close(bus);
        proc_add(rounds);
    }
    return 0;
}

static void nobody_who_joins_loses_the_bus(void **state)
{
    (void)state;
    enum { CHILDREN = 2 };
    proc_word *rounds = proc_shared(sizeof *rounds);
    uint64_t removed = 0;
    pid_t children[CHILDREN];

    for (int i = 0; i < CHILDREN; i++)
        children[i] = proc_start(join_again_and_again, rounds);
    for (bool running = true; running;) {
        struct spate_gc_result gc;
        OK(spate_gc_dir(proc_root(), 1, &gc, NULL, NULL));
        removed += gc.buses;
        running = false;
        for (int i = 0; i < CHILDREN; i++)
            running |= proc_is_running(children[i]);
    }
    for (int i = 0; i < CHILDREN; i++)
        IS(proc_wait(children[i]), 0);
    printf("%llu joins, %llu removals\n", (unsigned long long)proc_get(rounds), (unsigned long long)removed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(everything_of_the_dead_is_freed_and_nothing_else),
        PROC_TEST(a_deletion_that_its_deleter_did_not_live_to_finish_is_finished),
        PROC_TEST(an_observer_may_not_clean_up),
        PROC_TEST(a_freed_slot_is_taken_again_by_a_new_generation),
        PROC_TEST(buses_that_nobody_uses_are_removed),
        PROC_TEST(nobody_who_joins_loses_the_bus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
