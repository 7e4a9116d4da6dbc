/* topics_test.c: the life of topics: names, configuration, creating, opening, listing, describing, and many of them. Deletion
 * and its races are in delete_test.c. */
#include "proc.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct list {
    char names[64][SPATE_TOPIC_NAME_MAX + 1];
    int count, stop_at;
};

static int collect(void *context, const char *name)
{
    struct list *list = context;

    if (list->count < 64)
        snprintf(list->names[list->count], sizeof list->names[0], "%s", name);
    return ++list->count == list->stop_at ? 77 : 0;
}

static struct list list_topics(spate_bus *bus)
{
    static struct list list;
    memset(&list, 0, sizeof list);
    OK(spate_topic_list(bus, collect, &list));
    return list;
}

static void names_of_every_allowed_kind_work(void **state)
{
    (void)state;
    char longest[SPATE_TOPIC_NAME_MAX + 1], too_long[SPATE_TOPIC_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    memset(too_long, 'y', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
    const char *const good[] = {"a", "A-Z.0_9", "bus",    "groups", "...",   ".hidden", "-dash", "_",
                                "0", "topic",   "0.ring", "wake",   longest, "bus.",    "Bus",   "b-u-s"};
    const char *const bad[] = {"", ".", "..", "a/b", "/", "a b", "a~", "~a", "\xc3\xa4", "a\n", too_long, "a:b", "*", "bus~"};
    spate_bus *bus = proc_open();
    struct spate_topic_info info;
    spate_topic *topic = NULL;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        proc_create(bus, good[i], 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
        spate_topic *one = proc_topic(bus, good[i]);
        OK(spate_topic_describe(one, &info));
        CHECK(strcmp(info.name, good[i]) == 0);
        spate_producer *producer = proc_producer(one);
        proc_publish_text(producer, 0, good[i]);
        spate_producer_close(producer);
        spate_topic_close(one);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        IS(spate_topic_create(bus, bad[i], NULL), -EINVAL);
        SAYS("not a topic name");
        IS(spate_topic_open(bus, bad[i], &topic), -EINVAL);
        IS(spate_topic_delete(bus, bad[i], SPATE_DELETE_FORCE), -EINVAL);
    }
    IS(spate_topic_create(bus, NULL, NULL), -EINVAL);
    struct list list = list_topics(bus);
    IS(list.count, sizeof good / sizeof good[0]);
    for (int i = 1; i < list.count; i++)
        CHECK(strcmp(list.names[i - 1], list.names[i]) < 0);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        OK(spate_topic_delete(bus, good[i], 0));
    IS(list_topics(bus).count, 0);
    spate_bus_close(bus);
}

static void a_list_ends_when_the_visitor_says_so(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct list list = {.stop_at = 2};
    char name[8];

    IS(list_topics(bus).count, 0);
    for (int i = 9; i >= 0; i--) {
        snprintf(name, sizeof name, "t%d", i);
        proc_create(bus, name, 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    }
    IS(spate_topic_list(bus, collect, &list), 77);
    IS(list.count, 2);
    CHECK(strcmp(list.names[0], "t0") == 0 && strcmp(list.names[1], "t1") == 0);
    /* what is no topic is not listed */
    OK(mkdir(proc_file("~new"), 0755));
    FILE *file = fopen(proc_file("notes"), "w");
    CHECK(file != NULL);
    fclose(file);
    IS(list_topics(bus).count, 10);
    spate_bus_close(bus);
}

static void a_topic_is_described_as_it_was_configured(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_topic_config config;
    struct spate_topic_info info;

    spate_topic_config_init(&config);
    config.partitions = 7;
    config.ring_capacity = 100000; /* rounded up */
    config.mode = SPATE_MODE_EXCLUSIVE;
    config.alignment = 16;
    config.timestamp = SPATE_TIMESTAMP_CALLER;
    config.producers_max = 3;
    config.consumers_max = 5;
    config.producer_mode = 0600;
    config.consumer_mode = 0640;
    OK(spate_topic_create(bus, "d", &config));
    spate_topic *topic = proc_topic(bus, "d");
    OK(spate_topic_describe(topic, &info));
    IS(info.partitions, 7);
    IS(info.ring_capacity, 131072);
    IS(info.value_size_max, 32768);
    IS(info.mode, SPATE_MODE_EXCLUSIVE);
    IS(info.alignment, 16);
    IS(info.timestamp, SPATE_TIMESTAMP_CALLER);
    IS(info.producers_max, 3);
    IS(info.consumers_max, 5);
    IS(info.numa_node, SPATE_ANY);
    IS(info.uid, geteuid());
    IS(info.ring_file_mode, 0640);
    IS(info.cursors_file_mode, 0640);
    CHECK(info.created > 0);
    spate_producer *producer = proc_producer(topic);
    IS(spate_producer_max_size(producer), info.value_size_max);
    spate_producer_close(producer);
    spate_topic_close(topic);
    OK(spate_topic_create(bus, "defaults", NULL));
    topic = proc_topic(bus, "defaults");
    OK(spate_topic_describe(topic, &info));
    IS(info.partitions, 1);
    IS(info.ring_capacity, 8 << 20);
    IS(info.mode, SPATE_MODE_CONCURRENT);
    IS(info.alignment, 64);
    IS(info.timestamp, SPATE_TIMESTAMP_CLOCK);
    IS(info.producers_max, 64);
    IS(info.consumers_max, 32);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_second_creation_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(3, SPATE_RING_MIN, SPATE_MODE_EXCLUSIVE);
    struct spate_topic_info before, after;

    proc_create(bus, "once", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "once");
    OK(spate_topic_describe(topic, &before));
    spate_topic_close(topic);
    IS(spate_topic_create(bus, "once", &config), -EEXIST);
    SAYS("once");
    topic = proc_topic(bus, "once");
    OK(spate_topic_describe(topic, &after));
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    spate_topic_close(topic);
    IS(list_topics(bus).count, 1);
    spate_bus_close(bus);
}

/* ----------------------------------------------------------------------------------------------------- configuration */

static void check_limit(spate_bus *bus, size_t field, size_t size, uint64_t value, int expected)
{
    struct spate_topic_config config = proc_config(1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);

    memcpy((char *)&config + field, &value, size);
    int error = spate_topic_create(bus, "limit", &config);
    CHECKF(error == expected, "field at %zu, value %llu: %d instead of %d (%s)", field, (unsigned long long)value, error, expected,
           spate_last_error());
    if (error == 0)
        OK(spate_topic_delete(bus, "limit", 0));
}

#define LIMIT(field, value, expected)                                                                                              \
    check_limit(bus, offsetof(struct spate_topic_config, field), sizeof((struct spate_topic_config *)0)->field, (uint64_t)(value), \
                expected)

static void configurations_outside_their_limits_are_refused(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();

    LIMIT(partitions, 0, -EINVAL);
    LIMIT(partitions, SPATE_PARTITIONS_MAX + 1, -EINVAL);
    LIMIT(ring_capacity, SPATE_RING_MIN - 1, -EINVAL);
    LIMIT(ring_capacity, SPATE_RING_MIN + 1, 0);
    LIMIT(ring_capacity, SPATE_RING_MAX + 1, -EINVAL);
    LIMIT(ring_capacity, UINT64_MAX, -EINVAL);
    LIMIT(mode, 2, -EINVAL);
    LIMIT(alignment, 8, 0);
    LIMIT(alignment, 128, 0);
    LIMIT(alignment, 4, -EINVAL);
    LIMIT(alignment, 48, -EINVAL);
    LIMIT(alignment, 256, -EINVAL);
    LIMIT(alignment, 0, -EINVAL);
    LIMIT(timestamp, 3, -EINVAL);
    LIMIT(producers_max, 0, -EINVAL);
    LIMIT(producers_max, 1, 0);
    LIMIT(producers_max, 1024, 0);
    LIMIT(producers_max, 1025, -EINVAL);
    LIMIT(consumers_max, 0, -EINVAL);
    LIMIT(consumers_max, 4096, 0);
    LIMIT(consumers_max, 4097, -EINVAL);
    LIMIT(huge_pages, 3, -EINVAL);
    LIMIT(huge_pages, SPATE_HUGE_TRY, 0);
    LIMIT(numa_node, 1000, -ENOTSUP);
    LIMIT(numa_node, -2, -EINVAL);
    LIMIT(uid, -2, -EINVAL);
    LIMIT(gid, (int64_t)1 << 33, -EINVAL);
    LIMIT(producer_mode, 0700, -EINVAL);
    LIMIT(consumer_mode, 01666, -EINVAL);
    LIMIT(size, 0, -EINVAL);
    LIMIT(size, sizeof(struct spate_topic_config) + 1, -EINVAL);
    IS(list_topics(bus).count, 0);
    spate_bus_close(bus);
}

static const struct {
    const char *key, *value;
    int expected;
    const char *text;
} settings[] = {
    {"partitions", "12", 0, ""},
    {"ring", "64K", 0, ""},
    {"ring", "8M", 0, ""},
    {"ring", "1G", 0, ""},
    {"ring", "65536", 0, ""},
    {"mode", "exclusive", 0, ""},
    {"alignment", "16", 0, ""},
    {"timestamp", "none", 0, ""},
    {"timestamp", "caller", 0, ""},
    {"producers", "5", 0, ""},
    {"consumers", "6", 0, ""},
    {"numa", "0", 0, ""},
    {"numa", "any", 0, ""},
    {"huge", "try", 0, ""},
    {"user", "0", 0, ""},
    {"group", "0", 0, ""},
    {"producer_mode", "0660", 0, ""},
    {"consumer_mode", "644", 0, ""},
    {"user", "root", 0, ""},
    {"mode", "concurrent", 0, ""},
    {"mode", "both", -EINVAL, "concurrent, exclusive"},
    {"timestamp", "", -EINVAL, "clock, caller, none"},
    {"huge", "yes", -EINVAL, "none, try, require"},
    {"partitions", "", -EINVAL, "not a number"},
    {"partitions", "a", -EINVAL, "not a number"},
    {"partitions", " 1", -EINVAL, "not a number"},
    {"partitions", "1 ", -EINVAL, "not a number"},
    {"partitions", "-1", -EINVAL, "allowed are 1 to 1024"},
    {"partitions", "99999999999", -EINVAL, "allowed are 1 to 1024"},
    {"ring", "1K", -EINVAL, "allowed are 64K to 64G"},
    {"alignment", "9", -EINVAL, "allowed are 8, 16, 32, 64 and 128"},
    {"alignment", "4", -EINVAL, "allowed are 8, 16, 32, 64 and 128"},
    {"segment_age", "0", -EINVAL, "allowed are none, and a time above 0"},
    {"retention_size", "-1K", -EINVAL, "not a number"},
    {"retention_size", "-1", 0, NULL},
    {"user", "4294967296", -EINVAL, "neither a user's name nor a number"},
    {"group", "-1G", -EINVAL, "neither a group's name nor a number"},
    {"consumer_mode", "0777", -EINVAL, "only read and write bits"},
    {"segment_size", "1G", 0, NULL},
    {"segment_size", "1023K", -EINVAL, "allowed are 1M to 16G"},
    {"retention_time", "0", 0, NULL},
    {"retention_time", "5", -EINVAL, "not a time"},
    {"cleanup", "delete,compact", 0, NULL},
    {"zzzz", "1", -EINVAL, "there are partitions, ring,"},
    {"ring", "9999999999999999999", -EINVAL, "not a number"},
    {"ring", "9000000000G", -EINVAL, "not a number"},
    {"ring", "8X", -EINVAL, "not a number"},
    {"ring", "8MM", -EINVAL, "not a number"},
    {"producer_mode", "8", -EINVAL, "octal"},
    {"producer_mode", "rw", -EINVAL, "octal"},
    {"user", "nobody-of-this-name", -EINVAL, "nobody-of-this-name"},
    {"partition", "3", -EINVAL, "did you mean \"partitions\""},
    {"alignement", "3", -EINVAL, "did you mean \"alignment\""},
    {"", "3", -EINVAL, "no topic setting"},
};

static void settings_are_taken_from_text(void **state)
{
    (void)state;
    struct spate_topic_config config, before;

    spate_topic_config_init(&config);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        before = config;
        int error = spate_topic_config_set(&config, settings[i].key, settings[i].value);
        CHECKF(error == settings[i].expected, "%s=%s: %d instead of %d (%s)", settings[i].key, settings[i].value, error,
               settings[i].expected, spate_last_error());
        if (error) {
            SAYS(settings[i].text);
            CHECK(memcmp(&before, &config, sizeof config) == 0);
        }
    }
    IS(config.partitions, 12);
    IS(config.ring_capacity, 65536);
    IS(config.mode, SPATE_MODE_CONCURRENT);
    IS(config.alignment, 16);
    IS(config.timestamp, SPATE_TIMESTAMP_CALLER);
    IS(config.producers_max, 5);
    IS(config.consumers_max, 6);
    IS(config.numa_node, SPATE_ANY);
    IS(config.huge_pages, SPATE_HUGE_TRY);
    IS(config.uid, 0);
    IS(config.producer_mode, 0660);
    IS(config.consumer_mode, 0644);
    IS(spate_topic_config_set(NULL, "ring", "8M"), -EINVAL);
    IS(spate_topic_config_set(&config, NULL, "8M"), -EINVAL);
    IS(spate_topic_config_set(&config, "ring", NULL), -EINVAL);
}

/* ----------------------------------------------------------------------------------------------------------- races */

struct race {
    proc_word ready, go, round, done;
    proc_word winners;
};

enum { RACERS = 8 };

static int race_to_create(void *argument)
{
    struct race *race = argument;
    const int rounds = proc_is_slow() ? 20 : 100;
    char name[32];

    spate_bus *bus = proc_open();
    for (uint64_t round = 1; round <= (uint64_t)rounds; round++) {
        snprintf(name, sizeof name, "race%llu", (unsigned long long)round);
        struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
        proc_add(&race->ready);
        proc_await(&race->ready, round * RACERS);
        int error = spate_topic_create(bus, name, &config);
        CHECKF(error == 0 || error == -EEXIST, "%d: %s", error, spate_last_error());
        if (error == 0)
            proc_add(&race->winners);
        /* whoever lost finds a whole topic at once */
        spate_topic *topic = proc_topic(bus, name);
        spate_producer *producer = proc_producer(topic);
        proc_publish_text(producer, 1, "won or not");
        spate_producer_close(producer);
        spate_topic_close(topic);
    }
    spate_bus_close(bus);
    return 0;
}

static void of_several_creators_exactly_one_wins(void **state)
{
    (void)state;
    struct race *race = proc_shared(sizeof *race);
    pid_t racers[RACERS];

    for (int i = 0; i < RACERS; i++) /* the bus is created in a race, too */
        racers[i] = proc_start(race_to_create, race);
    for (int i = 0; i < RACERS; i++)
        IS(proc_wait(racers[i]), 0);
    IS(proc_get(&race->winners), proc_is_slow() ? 20 : 100);
    spate_bus *bus = proc_open();
    for (int round = 1; round <= (proc_is_slow() ? 20 : 100); round++) {
        char name[32];
        snprintf(name, sizeof name, "race%d", round);
        spate_topic *topic = proc_topic(bus, name);
        spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_BEGINNING, 0);
        IS(spate_lag(consumer, 1), RACERS);
        spate_consumer_close(consumer);
        spate_topic_close(topic);
    }
    /* losers leave nothing */
    DIR *directory = opendir(proc_bus_path());
    int entries = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        entries += entry->d_name[0] == '~' && strcmp(entry->d_name, "~wake") != 0;
    closedir(directory);
    IS(entries, 0);
    spate_bus_close(bus);
}

/* ------------------------------------------------------------------------------------------------------------- many */

static void a_topic_can_have_1024_partitions(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record got[64];
    uint64_t seen = 0;
    int n;

    struct statvfs room;
    if (statvfs("/dev/shm", &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize < (uint64_t)160 << 20)
        proc_skip("/dev/shm has less than 160 MiB of room");
    proc_create(bus, "wide", SPATE_PARTITIONS_MAX, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "wide");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    for (uint64_t i = 0; i < 10 * SPATE_PARTITIONS_MAX; i++)
        proc_publish(producer, (int32_t)(i % SPATE_PARTITIONS_MAX), PROC_VALUE_MIN, i % SPATE_PARTITIONS_MAX,
                     i / SPATE_PARTITIONS_MAX);
    while ((n = spate_poll(consumer, got, 64, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            uint64_t id, sequence;
            CHECK(proc_is_whole(got[i].value, got[i].value_size, &id, &sequence));
            IS(id, got[i].partition);
            IS(sequence, got[i].offset);
        }
        seen += (uint64_t)n;
    }
    IS(seen, 10 * SPATE_PARTITIONS_MAX);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    OK(spate_topic_delete(bus, "wide", 0));
    spate_bus_close(bus);
}

static int count_only(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return 0;
}

static void a_bus_can_hold_10000_topics(void **state)
{
    (void)state;
    enum { ALL = 10000 };
    const int topics = proc_is_slow() && !proc_is_full() ? ALL / 10 : ALL;
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    struct statvfs room;
    char name[32];
    int count = 0;

    config.producers_max = config.consumers_max = 1;
    const uint64_t need = (uint64_t)topics * (SPATE_RING_MIN + (20 << 10)) + (64 << 20), files = 4 * (uint64_t)topics + 100;
    if (statvfs("/dev/shm", &room) == 0 &&
        ((uint64_t)room.f_bavail * room.f_frsize < need || (room.f_files && room.f_favail < files)))
        proc_skip("/dev/shm has no room for %llu MiB in %llu files", (unsigned long long)need >> 20, (unsigned long long)files);
    for (int i = 0; i < topics; i++) {
        snprintf(name, sizeof name, "t%05d", i);
        OK(spate_topic_create(bus, name, &config));
    }
    OK(spate_topic_list(bus, count_only, &count));
    IS(count, topics);
    snprintf(name, sizeof name, "t%05d", topics / 2);
    spate_topic *topic = proc_topic(bus, name);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    spate_producer *producer = proc_producer(topic);
    struct spate_record got;
    proc_publish_text(producer, 0, "one of many");
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    for (int i = 0; i < topics; i++) {
        snprintf(name, sizeof name, "t%05d", i);
        OK(spate_topic_delete(bus, name, 0));
    }
    count = 0;
    OK(spate_topic_list(bus, count_only, &count));
    IS(count, 0);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(names_of_every_allowed_kind_work),
        PROC_TEST(a_list_ends_when_the_visitor_says_so),
        PROC_TEST(a_topic_is_described_as_it_was_configured),
        PROC_TEST(a_second_creation_is_refused_and_changes_nothing),
        PROC_TEST(configurations_outside_their_limits_are_refused),
        PROC_TEST(settings_are_taken_from_text),
        PROC_TEST(of_several_creators_exactly_one_wins),
        PROC_TEST(a_topic_can_have_1024_partitions),
        PROC_TEST(a_bus_can_hold_10000_topics),
    };
    return cmocka_run_group_tests_name("topics", tests, NULL, NULL);
}
