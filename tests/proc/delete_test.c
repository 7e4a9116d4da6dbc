/* delete_test.c: topics that go away: refused while in use, forced, created anew under the same name, and all of that in a race.
 *
 * A producer on a deleted topic learns of it at the next commit, at the latest after a sixteenth of the ring; a consumer drains,
 * then learns. */
#include "proc.h"

#include <dirent.h>
#include <signal.h>

static void create_small(spate_bus *bus, const char *name, uint32_t partitions)
{
    proc_create(bus, name, partitions, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
}

static void what_is_not_there_cannot_be_opened_or_deleted(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    spate_topic *topic = NULL;

    IS(spate_topic_open(bus, "nowhere", &topic), -ENOENT);
    SAYS("nowhere");
    IS(spate_topic_delete(bus, "nowhere", 0), -ENOENT);
    IS(spate_topic_delete(bus, "nowhere", SPATE_DELETE_FORCE), -ENOENT);
    create_small(bus, "here", 1);
    OK(spate_topic_delete(bus, "here", 0));
    IS(spate_topic_delete(bus, "here", 0), -ENOENT);
    IS(spate_topic_open(bus, "here", &topic), -ENOENT);
    CHECK(topic == NULL);
    spate_bus_close(bus);
}

struct user {
    proc_word ready;
    bool consumes;
};

static int use(void *argument)
{
    struct user *user = argument;
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.participant_name = "the-culprit";
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    spate_topic *topic = proc_topic(bus, "used");
    if (user->consumes)
        (void)proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
    else
        proc_publish_text(proc_producer(topic), 1, "x");
    proc_add(&user->ready);
    return pause();
}

static void deleting_a_topic_in_use_is_refused_and_names_the_user(void **state)
{
    (void)state;
    struct user *user = proc_shared(sizeof *user);
    spate_bus *bus = proc_open();
    char pid[32];

    create_small(bus, "used", 3);
    spate_topic *topic = proc_topic(bus, "used"); /* a handle alone is no use */
    for (int i = 0; i < 2; i++) {
        user->consumes = i == 1;
        pid_t child = proc_start(use, user);
        proc_await(&user->ready, (uint64_t)i + 1);
        IS(spate_topic_delete(bus, "used", 0), -EBUSY);
        SAYS(i ? "consumer" : "producer");
        SAYS("the-culprit");
        snprintf(pid, sizeof pid, "%d", (int)child);
        SAYS(pid);
        /* nothing was changed: everybody goes on */
        spate_producer *producer = proc_producer(topic);
        for (int p = 0; p < 3; p++)
            for (int j = 0; j < 2000; j++)
                proc_publish_text(producer, p, "still alive");
        spate_producer_close(producer);
        proc_kill(child);
    }
    OK(spate_topic_delete(bus, "used", 0)); /* the dead do not use it */
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* Publishes until the topic is gone. How many records came after `gone` was set. */
static int publish_until_stale(void *argument)
{
    proc_word *words = argument; /* ready, gone, late (result) */
    struct proc_handles handles = proc_join("doomed");
    spate_producer *producer = proc_producer(handles.topic);
    char value[100] = {0};
    struct spate_record record = {.value = value, .value_size = sizeof value};
    uint64_t late = 0;
    int error;

    for (uint64_t i = 0; (error = spate_publish(producer, &record, PROC_PATIENCE, NULL)) == 0; i++) {
        late += proc_get(&words[1]);
        if (i == 100)
            proc_add(&words[0]);
    }
    IS(error, -ESTALE);
    SAYS("doomed");
    IS(spate_publish(producer, &record, 0, NULL), -ESTALE);
    CHECKF(late <= SPATE_RING_MIN / 16 / 128 + 2, "%llu records were accepted after the deletion", (unsigned long long)late);
    spate_producer *another = NULL;
    spate_consumer *consumer = NULL;
    int opened = spate_producer_open(handles.topic, NULL, &another);
    CHECKF(opened == -ESTALE, "a producer on a deleted topic: %d (%s)", opened, spate_last_error());
    IS(spate_consumer_open(handles.topic, NULL, &consumer), -ESTALE);
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static void producers_learn_of_a_forced_deletion(void **state)
{
    (void)state;
    enum { N = 4 };
    proc_word *words = proc_shared(4 * sizeof *words);
    spate_bus *bus = proc_open();
    pid_t children[N];

    create_small(bus, "doomed", 1);
    for (int i = 0; i < N; i++)
        children[i] = proc_start(publish_until_stale, words);
    proc_await(&words[0], N);
    IS(spate_topic_delete(bus, "doomed", 0), -EBUSY);
    OK(spate_topic_delete(bus, "doomed", SPATE_DELETE_FORCE));
    proc_set(&words[1], 1);
    for (int i = 0; i < N; i++)
        IS(proc_wait(children[i]), 0);
    spate_bus_close(bus);
}

/* A producer that waits for room when the topic is deleted is woken and told. */
static int wait_for_room_until_stale(void *argument)
{
    struct proc_handles handles = proc_join("doomed");
    spate_producer *producer = proc_producer(handles.topic);
    struct spate_record record = {.value = "0123456789", .value_size = 10};

    while (spate_publish(producer, &record, 0, NULL) == 0) {
    }
    proc_add(argument);
    IS(spate_publish(producer, &record, SPATE_FOREVER, NULL), -ESTALE);
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static int wait_for_records_until_stale(void *argument)
{
    struct proc_handles handles = proc_join("doomed");
    spate_consumer *consumer = proc_consumer(handles.topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
    struct spate_record got;

    proc_add(argument);
    int n;
    while ((n = spate_poll(consumer, &got, 1, SPATE_FOREVER)) == 1 || n == -EOVERFLOW) {
    }
    IS(n, -ESTALE);
    SAYS("doomed");
    IS(spate_poll(consumer, &got, 1, 0), -ESTALE);
    IS(spate_poll(consumer, &got, 1, SPATE_FOREVER), -ESTALE);
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

/* Also when the topic is broken by then, and cannot be opened any more. */
static void those_who_use_a_broken_topic_learn_of_its_deletion(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record got;

    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(rename(proc_file("t"), proc_file("renamed")));
    IS(spate_topic_delete(bus, "renamed", 0), -EBADMSG);
    OK(spate_topic_delete(bus, "renamed", SPATE_DELETE_FORCE));
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), -ESTALE);
    spate_consumer_close(consumer);
    spate_topic_close(topic);

    proc_create(bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    topic = proc_topic(bus, "t");
    consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(unlink(proc_file("t/1.cursors")));
    OK(spate_topic_delete(bus, "t", SPATE_DELETE_FORCE));
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), -ESTALE);
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void those_who_wait_learn_of_a_forced_deletion(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    spate_bus *bus = proc_open();

    create_small(bus, "doomed", 2);
    spate_topic *topic = proc_topic(bus, "doomed");
    spate_consumer *gate = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    pid_t consumer = proc_start(wait_for_records_until_stale, ready);
    proc_await(ready, 1);
    pid_t producer = proc_start(wait_for_room_until_stale, ready);
    proc_await(ready, 2);
    proc_nap(20 * PROC_MS);
    OK(spate_topic_delete(bus, "doomed", SPATE_DELETE_FORCE));
    IS(proc_wait(producer), 0);
    IS(proc_wait(consumer), 0);
    spate_consumer_close(gate);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_consumer_drains_a_deleted_topic_first(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_record got[7];
    int seen = 0, n;

    create_small(bus, "doomed", 3);
    spate_topic *topic = proc_topic(bus, "doomed");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    for (int i = 0; i < 300; i++)
        proc_publish_text(producer, i % 3, "drained");
    OK(spate_topic_delete(bus, "doomed", SPATE_DELETE_FORCE));
    while ((n = spate_poll(consumer, got, 7, PROC_PATIENCE)) > 0)
        seen += n;
    IS(n, -ESTALE);
    IS(seen, 300);
    /* a read again is allowed while the handle is open */
    OK(spate_seek(consumer, 1, SPATE_START_BEGINNING, 0));
    for (seen = 0; (n = spate_poll(consumer, got, 7, 0)) > 0;)
        seen += n;
    IS(seen, 100);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void a_topic_created_anew_is_another_topic(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_topic_info old_info, new_info;
    struct spate_record got;

    create_small(bus, "again", 2);
    spate_topic *old_topic = proc_topic(bus, "again");
    spate_producer *old_producer = proc_producer(old_topic), *untouched = proc_producer(old_topic);
    spate_consumer *old_consumer = proc_consumer(old_topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    proc_publish_text(old_producer, 0, "old");
    OK(spate_topic_delete(bus, "again", SPATE_DELETE_FORCE));
    create_small(bus, "again", 2);
    spate_topic *new_topic = proc_topic(bus, "again");
    OK(spate_topic_describe(old_topic, &old_info));
    OK(spate_topic_describe(new_topic, &new_info));
    CHECK(memcmp(old_info.id, new_info.id, sizeof old_info.id) != 0);
    CHECK(new_info.created >= old_info.created);
    spate_producer *new_producer = proc_producer(new_topic);
    spate_consumer *new_consumer = proc_consumer(new_topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);

    /* old handles do not touch the new one, whatever they do: at most one more record into the old ring */
    struct spate_record record = {.value = "late", .value_size = 4};
    int error = spate_publish(old_producer, &record, 0, NULL);
    CHECK(error == 0 || error == -ESTALE);
    IS(spate_publish(old_producer, &record, 0, NULL), -ESTALE);
    record.partition = 1; /* not attached yet */
    IS(spate_publish(old_producer, &record, 0, NULL), -ESTALE);
    IS(spate_publish(untouched, &record, 0, NULL), -ESTALE);
    IS(spate_poll(new_consumer, &got, 1, 0), 0);
    proc_publish_text(new_producer, 0, "new");
    IS(spate_poll(new_consumer, &got, 1, PROC_PATIENCE), 1);
    IS(got.offset, 0);
    CHECK(memcmp(got.value, "new", 3) == 0);
    IS(spate_poll(old_consumer, &got, 1, PROC_PATIENCE), 1);
    CHECK(memcmp(got.value, "old", 3) == 0);
    spate_consumer_close(old_consumer);
    spate_producer_close(old_producer);
    spate_producer_close(untouched);
    spate_topic_close(old_topic);
    IS(spate_topic_delete(bus, "again", 0), -EBUSY);
    spate_consumer_close(new_consumer);
    spate_producer_close(new_producer);
    spate_topic_close(new_topic);
    OK(spate_topic_delete(bus, "again", 0));
    spate_bus_close(bus);
}

/* ----------------------------------------------------------------------------------------------------------- races */

enum { RACERS = 6 };

struct race {
    proc_word stop;
    proc_word next;
    uint64_t created[RACERS], deleted[RACERS], published[RACERS], stale[RACERS];
};

/* Publish to whatever is there under that name. If, afterwards, another or no topic has the name, the producer must learn of it. */
static void publish_some(struct race *race, uint64_t me, spate_bus *bus, uint64_t *random)
{
    spate_topic *topic = NULL, *now = NULL;
    spate_producer *producer = NULL;
    struct spate_topic_info mine, current;
    struct spate_record record = {.partition = 0, .value = "0123456789", .value_size = 10};

    int error = spate_topic_open(bus, "hot", &topic);
    CHECKF(error == 0 || error == -ENOENT, "open: %d (%s)", error, spate_last_error());
    if (error)
        return;
    OK(spate_topic_describe(topic, &mine));
    error = spate_producer_open(topic, NULL, &producer);
    CHECKF(error == 0 || error == -ESTALE, "producer: %d (%s)", error, spate_last_error());
    for (uint64_t i = proc_below(random, 200); !error && i > 0; i--) {
        error = spate_publish(producer, &record, PROC_PATIENCE, NULL);
        CHECKF(error == 0 || error == -ESTALE, "publish: %d (%s)", error, spate_last_error());
        race->published[me] += error == 0;
    }
    if (!error) {
        int found = spate_topic_open(bus, "hot", &now);
        CHECKF(found == 0 || found == -ENOENT, "open again: %d (%s)", found, spate_last_error());
        if (found == 0)
            OK(spate_topic_describe(now, &current));
        if (found != 0 || memcmp(current.id, mine.id, sizeof mine.id) != 0) {
            for (int i = 0; i < 10000 && !error; i++)
                error = spate_publish(producer, &record, PROC_PATIENCE, NULL);
            CHECKF(error == -ESTALE, "the topic is gone, and its producer was not told after 10000 records");
        }
        spate_topic_close(now);
    }
    race->stale[me] += error == -ESTALE;
    spate_producer_close(producer);
    spate_topic_close(topic);
}

static int race_on_one_name(void *argument)
{
    struct race *race = argument;
    uint64_t me = atomic_fetch_add_explicit(&race->next, 1, memory_order_relaxed), random = me;
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    int error;

    while (proc_get(&race->stop) == 0) {
        switch (proc_below(&random, 4)) {
        case 0:
            error = spate_topic_create(bus, "hot", &config);
            CHECKF(error == 0 || error == -EEXIST, "create: %d (%s)", error, spate_last_error());
            race->created[me] += error == 0;
            break;
        case 1:
            error = spate_topic_delete(bus, "hot", proc_below(&random, 2) ? SPATE_DELETE_FORCE : 0);
            CHECKF(error == 0 || error == -ENOENT || error == -EBUSY, "delete: %d (%s)", error, spate_last_error());
            race->deleted[me] += error == 0;
            break;
        default: publish_some(race, me, bus, &random);
        }
    }
    spate_bus_close(bus);
    return 0;
}

static void creating_deleting_and_publishing_in_a_race_gives_only_expected_answers(void **state)
{
    (void)state;
    struct race *race = proc_shared(sizeof *race);
    uint64_t created = 0, deleted = 0, published = 0, stale = 0;
    spate_bus *bus = proc_open();
    pid_t racers[RACERS];

    proc_alarm(600);
    for (int i = 0; i < RACERS; i++)
        racers[i] = proc_start(race_on_one_name, race);
    proc_nap(proc_is_full() ? 300 * PROC_S : 8 * PROC_S);
    proc_set(&race->stop, 1);
    for (int i = 0; i < RACERS; i++)
        IS(proc_wait(racers[i]), 0);
    for (int i = 0; i < RACERS; i++) {
        created += race->created[i];
        deleted += race->deleted[i];
        published += race->published[i];
        stale += race->stale[i];
    }
    print_message("%llu created, %llu deleted, %llu records published, %llu producers told\n", (unsigned long long)created,
                  (unsigned long long)deleted, (unsigned long long)published, (unsigned long long)stale);
    CHECK(created > 0 && deleted > 0 && published > 0);
    CHECKF(created - deleted <= 1, "%llu created, %llu deleted", (unsigned long long)created, (unsigned long long)deleted);
    int error = spate_topic_delete(bus, "hot", 0);
    IS(error, created == deleted ? -ENOENT : 0);
    DIR *directory = opendir(proc_bus_path());
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        CHECKF(entry->d_name[0] != '~' || strcmp(entry->d_name, "~wake") == 0, "%s was left behind", entry->d_name);
    closedir(directory);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(what_is_not_there_cannot_be_opened_or_deleted),
        PROC_TEST(deleting_a_topic_in_use_is_refused_and_names_the_user),
        PROC_TEST(producers_learn_of_a_forced_deletion),
        PROC_TEST(those_who_wait_learn_of_a_forced_deletion),
        PROC_TEST(those_who_use_a_broken_topic_learn_of_its_deletion),
        PROC_TEST(a_consumer_drains_a_deleted_topic_first),
        PROC_TEST(a_topic_created_anew_is_another_topic),
        PROC_TEST(creating_deleting_and_publishing_in_a_race_gives_only_expected_answers),
    };
    return cmocka_run_group_tests_name("deletion", tests, NULL, NULL);
}
