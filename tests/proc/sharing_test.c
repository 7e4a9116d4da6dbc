/* sharing_test.c: more than one of everything in one process: buses, participants, handles of one topic, threads; and closing in
 * any order.
 *
 * A handle is used by one thread at a time; a topic may be shared by threads that open producers and consumers of their own on
 * it. */
#include "proc.h"

#include <dirent.h>
#include <pthread.h>

static int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static int count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    int count = 0;

    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "/dev/shm/") != NULL;
    fclose(maps);
    return count;
}

static void two_buses_do_not_mix(void **state)
{
    (void)state;
    spate_bus *one = NULL, *two = NULL;
    struct spate_record got;
    char path[200];

    snprintf(path, sizeof path, "%s/one", proc_root());
    OK(spate_bus_open(path, NULL, &one));
    struct spate_bus_options options;
    spate_bus_options_init(&options);
    options.dir = proc_root();
    OK(spate_bus_open("two", &options, &two));
    CHECK(strcmp(spate_bus_path(one), path) == 0);
    CHECK(strcmp(spate_bus_path(two), path) != 0);
    proc_create(one, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    proc_create(two, "t", 1, SPATE_RING_MIN, SPATE_MODE_EXCLUSIVE);
    spate_topic *t1 = proc_topic(one, "t"), *t2 = proc_topic(two, "t");
    spate_consumer *c1 = proc_consumer(t1, SPATE_POLICY_GATE, SPATE_START_END, 0),
                   *c2 = proc_consumer(t2, SPATE_POLICY_GATE, SPATE_START_END, 0);
    spate_producer *p1 = proc_producer(t1), *p2 = proc_producer(t2);
    proc_publish_text(p1, 0, "one");
    IS(spate_poll(c2, &got, 1, 0), 0);
    proc_publish_text(p2, 0, "two");
    IS(spate_poll(c1, &got, 1, PROC_PATIENCE), 1);
    CHECK(memcmp(got.value, "one", 3) == 0);
    IS(spate_poll(c2, &got, 1, PROC_PATIENCE), 1);
    CHECK(memcmp(got.value, "two", 3) == 0);
    OK(setenv("SPATE_DIR", proc_root(), 1));
    OK(setenv("SPATE_BUS", "one", 1));
    spate_bus *by_environment = NULL;
    OK(spate_bus_open(NULL, NULL, &by_environment));
    CHECK(strcmp(spate_bus_path(by_environment), path) == 0);
    spate_bus_close(by_environment);
    unsetenv("SPATE_DIR");
    unsetenv("SPATE_BUS");
    spate_consumer_close(c1);
    spate_consumer_close(c2);
    spate_producer_close(p1);
    spate_producer_close(p2);
    spate_topic_close(t1);
    spate_topic_close(t2);
    spate_bus_close(one);
    spate_bus_close(two);
}

static void two_participants_of_one_process_are_two(void **state)
{
    (void)state;
    spate_bus *a = proc_open(), *b = proc_open();
    struct spate_record record = {.value = "x", .value_size = 1}, got;

    proc_create(a, "t", 1, SPATE_RING_MIN, SPATE_MODE_EXCLUSIVE);
    spate_topic *ta = proc_topic(a, "t"), *tb = proc_topic(b, "t");
    spate_producer *pa = proc_producer(ta), *pb = proc_producer(tb);
    spate_consumer *cb = proc_consumer(tb, SPATE_POLICY_GATE, SPATE_START_END, 0);
    OK(spate_publish(pa, &record, 0, NULL));
    IS(spate_publish(pb, &record, 0, NULL), -EBUSY);
    IS(spate_poll(cb, &got, 1, PROC_PATIENCE), 1);
    /* closing one participant leaves the other alive: locks of one process, but of two handles */
    spate_producer_close(pa);
    spate_topic_close(ta);
    spate_bus_close(a);
    OK(spate_publish(pb, &record, 0, NULL));
    spate_bus *c = proc_open();
    IS(spate_topic_delete(c, "t", 0), -EBUSY);
    spate_consumer_close(cb);
    spate_producer_close(pb);
    OK(spate_topic_delete(c, "t", 0));
    spate_topic_close(tb);
    spate_bus_close(b);
    spate_bus_close(c);
}

static void handles_may_be_closed_in_any_order(void **state)
{
    (void)state;
    const int descriptors = count_descriptors(), mappings = count_mappings();

    for (int order = 0; order < 24; order++) {
        int left[4] = {0, 1, 2, 3}, rest = order;
        spate_bus *bus = proc_open();
        if (order == 0)
            proc_create(bus, "t", 3, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
        spate_topic *topic = proc_topic(bus, "t");
        spate_producer *producer = proc_producer(topic);
        spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
        CHECK(spate_consumer_fd(consumer) >= 0);
        struct spate_record got;
        for (int n = 4; n > 0; n--) {
            int chosen = rest % n, what = left[chosen];
            rest /= n;
            left[chosen] = left[n - 1];
            if (producer)
                proc_publish_text(producer, 1, "still works");
            if (producer && consumer)
                IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
            if (what == 0)
                spate_bus_close(bus);
            else if (what == 1)
                spate_topic_close(topic);
            else if (what == 2)
                spate_producer_close(producer), producer = NULL;
            else
                spate_consumer_close(consumer), consumer = NULL;
        }
    }
    IS(count_descriptors(), descriptors);
    IS(count_mappings(), mappings);
}

static void opening_and_closing_many_times_leaks_nothing(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "t", 4, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    const int descriptors = count_descriptors(), mappings = count_mappings();

    for (int i = 0; i < 300; i++) {
        struct proc_handles own = proc_join("t");
        spate_producer *producer = proc_producer(own.topic);
        spate_consumer *consumer = proc_consumer(own.topic, (uint32_t)i % 2, SPATE_START_BEGINNING, 0), *none = NULL;
        struct spate_consumer_options options;
        spate_topic *missing = NULL;
        struct spate_record got;
        proc_publish_text(producer, i % 4, "x");
        IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
        CHECK(i % 3 || spate_consumer_fd(consumer) >= 0);
        IS(spate_poll(consumer, &got, 1, 0) >= 0, 1);
        /* failures, too */
        spate_consumer_options_init(&options);
        options.start = SPATE_START_OFFSET;
        options.start_value = 1 << 20;
        IS(spate_consumer_open(own.topic, &options, &none), -ERANGE);
        IS(spate_topic_open(own.bus, "missing", &missing), -ENOENT);
        IS(spate_topic_create(own.bus, "t", NULL), -EEXIST);
        spate_consumer_close(consumer);
        spate_producer_close(producer);
        proc_leave(own);
    }
    IS(count_descriptors(), descriptors);
    IS(count_mappings(), mappings);
    spate_bus_close(bus);
}

/* ---------------------------------------------------------------------------------------------------------- threads */

enum { THREADS = 8 };

struct shared_topic {
    spate_topic *topic;
    pthread_barrier_t barrier;
    uint64_t records;
    proc_word next_id, failures;
};

/* Checks in threads count rather than jump. */
#define NOTE(condition) ((condition) ? (void)0 : note(shared, #condition, __LINE__))
static void note(struct shared_topic *shared, const char *what, int line)
{
    dprintf(STDERR_FILENO, "thread, line %d: not so: %s; last error: %s\n", line, what, spate_last_error());
    proc_add(&shared->failures);
}

static void *publish_and_read_in_a_thread(void *argument)
{
    struct shared_topic *shared = argument;
    uint64_t id = atomic_fetch_add_explicit(&shared->next_id, 1, memory_order_relaxed), mine = 0, seen = 0, next[THREADS] = {0};
    const uint64_t all = shared->records * THREADS;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;
    struct spate_record got[32];

    NOTE(spate_producer_open(shared->topic, NULL, &producer) == 0);
    NOTE(spate_consumer_open(shared->topic, NULL, &consumer) == 0);
    pthread_barrier_wait(&shared->barrier);
    while (seen < all && proc_get(&shared->failures) == 0) {
        struct spate_record record = {.partition = (int32_t)(mine % 2), .value_size = PROC_VALUE_MIN + (uint32_t)(mine % 100)};
        struct spate_claim claim;
        int error = mine < shared->records ? spate_claim(producer, &record, &claim) : -EAGAIN;
        if (!error) {
            proc_fill(claim.value, record.value_size, id, mine++);
            NOTE(spate_commit(producer) == 0);
        }
        NOTE(error == 0 || error == -EAGAIN);
        int n = spate_poll(consumer, got, 32, mine < shared->records ? 0 : 100 * PROC_MS);
        NOTE(n >= 0 || n == -ETIMEDOUT);
        for (int i = 0; i < n; i++) {
            uint64_t from = 0, sequence = 0;
            NOTE(proc_is_whole(got[i].value, got[i].value_size, &from, &sequence) && from < THREADS);
            NOTE(sequence % 2 == (uint64_t)got[i].partition);
            next[from % THREADS]++;
            seen++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        NOTE(next[i] == shared->records);
    /* each thread has its own last error */
    struct spate_record wrong = {.partition = 100 + (int32_t)id};
    char text[32];
    NOTE(spate_publish(producer, &wrong, 0, NULL) == -ERANGE);
    pthread_barrier_wait(&shared->barrier);
    snprintf(text, sizeof text, "partition %d", 100 + (int)id);
    NOTE(strstr(spate_last_error(), text) != NULL);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    return NULL;
}

static void threads_share_a_topic(void **state)
{
    (void)state;
    struct shared_topic shared = {.records = proc_is_full() ? 500000 : proc_is_slow() ? 500 : 5000};
    pthread_t threads[THREADS];
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    shared.topic = proc_topic(bus, "t");
    pthread_barrier_init(&shared.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        OK(pthread_create(&threads[i], NULL, publish_and_read_in_a_thread, &shared));
    spate_bus_close(bus); /* the topic keeps it */
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&shared.barrier);
    IS(proc_get(&shared.failures), 0);
    spate_topic_close(shared.topic);
}

static void *open_and_close_in_a_thread(void *argument)
{
    struct shared_topic *shared = argument;

    pthread_barrier_wait(&shared->barrier);
    for (uint64_t i = 0; i < shared->records; i++) {
        spate_bus *bus = NULL;
        spate_topic *topic = NULL;
        spate_producer *producer = NULL;
        spate_consumer *consumer = NULL;
        struct spate_record record = {.value = "x", .value_size = 1};
        NOTE(spate_bus_open(proc_bus_path(), NULL, &bus) == 0);
        NOTE(spate_topic_open(bus, "t", &topic) == 0);
        NOTE(spate_producer_open(i % 3 ? topic : shared->topic, NULL, &producer) == 0);
        NOTE(spate_consumer_open(i % 2 ? topic : shared->topic, NULL, &consumer) == 0);
        int error = spate_publish(producer, &record, 0, NULL);
        NOTE(error == 0 || error == -EAGAIN);
        spate_bus_close(bus);
        spate_topic_close(topic);
        spate_producer_close(producer);
        spate_consumer_close(consumer);
    }
    return NULL;
}

static void threads_open_and_close_at_the_same_time(void **state)
{
    (void)state;
    struct shared_topic shared = {.records = proc_is_slow() ? 30 : 300};
    pthread_t threads[THREADS];
    spate_bus *bus = proc_open();

    proc_create(bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    shared.topic = proc_topic(bus, "t");
    pthread_barrier_init(&shared.barrier, NULL, THREADS);
    const int descriptors = count_descriptors(), mappings = count_mappings();
    for (int i = 0; i < THREADS; i++)
        OK(pthread_create(&threads[i], NULL, open_and_close_in_a_thread, &shared));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&shared.barrier);
    IS(proc_get(&shared.failures), 0);
    IS(count_descriptors(), descriptors);
    IS(count_mappings(), mappings);
    spate_topic_close(shared.topic);
    OK(spate_topic_delete(bus, "t", 0));
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(two_buses_do_not_mix),
        PROC_TEST(two_participants_of_one_process_are_two),
        PROC_TEST(handles_may_be_closed_in_any_order),
        PROC_TEST(opening_and_closing_many_times_leaks_nothing),
        PROC_TEST(threads_share_a_topic),
        PROC_TEST(threads_open_and_close_at_the_same_time),
    };
    return cmocka_run_group_tests_name("sharing", tests, NULL, NULL);
}
