/* fork_test.c: handles do not survive fork: in the child every call says so, the parent is unharmed, and a child that outlives
 * its parent does not keep it alive. Also NULL, closed and mistaken handles, which every call answers with an error. */
#include "proc.h"

#include <signal.h>
#include <sys/wait.h>

#include "spate/inspect.h"

struct handles {
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
};

static struct handles open_all(void)
{
    struct handles h = {.bus = proc_open()};
    proc_create(h.bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    h.topic = proc_topic(h.bus, "t");
    h.producer = proc_producer(h.topic);
    h.consumer = proc_consumer(h.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    return h;
}

static void close_all(struct handles h)
{
    spate_consumer_close(h.consumer);
    spate_producer_close(h.producer);
    spate_topic_close(h.topic);
    spate_bus_close(h.bus);
}

static int visit_name(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 0;
}

/* Every function that takes a handle, with these. */
static void call_all(const struct handles *h, int expected)
{
    struct spate_record record = {.value = "x", .value_size = 1}, got[2];
    struct spate_claim claim;
    struct spate_topic_info info;
    struct spate_gap gap;
    struct spate_bus_info bus_info;
    struct spate_ring_info ring_info;
    spate_topic *topic = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;
    char buffer[100];
    int64_t first, next;

    CHECK(strcmp(spate_bus_path(h->bus), "") == 0);
    IS(spate_topic_create(h->bus, "u", NULL), expected);
    IS(spate_topic_open(h->bus, "t", &topic), expected);
    IS(spate_topic_wait(h->bus, "t", PROC_S, &topic), expected);
    IS(spate_topic_list(h->bus, visit_name, NULL), expected);
    IS(spate_topic_delete(h->bus, "t", SPATE_DELETE_FORCE), expected);
    IS(spate_inspect_bus(h->bus, &bus_info), expected);
    IS(spate_inspect_participants(h->bus, NULL, NULL), expected);
    IS(spate_gc(h->bus, NULL), expected);
    IS(spate_verify(h->bus, NULL, NULL, NULL, NULL), expected);
    IS(spate_topic_describe(h->topic, &info), expected);
    IS(spate_producer_open(h->topic, NULL, &producer), expected);
    IS(spate_consumer_open(h->topic, NULL, &consumer), expected);
    IS(spate_inspect_ring(h->topic, 0, &ring_info, NULL, NULL, NULL), expected);
    IS(spate_inspect_counters(h->topic, NULL, NULL), expected);
    IS(spate_producer_max_size(h->producer), 0);
    IS(spate_claim(h->producer, &record, &claim), expected);
    IS(spate_claim_batch(h->producer, &record, 1, &claim), expected);
    IS(spate_commit(h->producer), expected);
    IS(spate_abort(h->producer), expected);
    IS(spate_publish(h->producer, &record, 0, NULL), expected);
    IS(spate_publish_batch(h->producer, &record, 1, 0, NULL), expected);
    IS(spate_producer_wait(h->producer, 0), expected);
    IS(spate_poll(h->consumer, got, 2, 0), expected);
    IS(spate_check(h->consumer), expected);
    IS(spate_release(h->consumer), expected);
    IS(spate_read(h->consumer, buffer, sizeof buffer, got, 0), expected);
    IS(spate_consumer_gap(h->consumer, &gap), expected);
    IS(spate_seek(h->consumer, 0, SPATE_START_END, 0), expected);
    IS(spate_position(h->consumer, 0), expected);
    IS(spate_lag(h->consumer, 0), expected);
    IS(spate_offsets(h->consumer, 0, &first, &next), expected);
    IS(spate_pause(h->consumer, 0), expected);
    IS(spate_resume(h->consumer, 0), expected);
    IS(spate_consumer_fd(h->consumer), expected);
    CHECK(!topic && !producer && !consumer);
}

static int use_inherited(void *argument)
{
    struct handles *h = argument;

    call_all(h, -ECHILD);
    SAYS("fork");
    close_all(*h);
    close_all(*h); /* harmless, however often */
    /* the way it is meant */
    struct proc_handles own = proc_join("t");
    spate_producer *producer = proc_producer(own.topic);
    proc_publish_text(producer, 0, "from the child");
    spate_producer_close(producer);
    proc_leave(own);
    return 0;
}

static void inherited_handles_answer_echild_and_the_parent_goes_on(void **state)
{
    (void)state;
    struct handles h = open_all();
    struct spate_record record = {.value_size = 4}, got[4];
    struct spate_claim claim;

    proc_publish_text(h.producer, 0, "before");
    IS(spate_poll(h.consumer, got, 4, PROC_PATIENCE), 1);
    CHECK(spate_consumer_fd(h.consumer) >= 0);
    OK(spate_claim(h.producer, &record, &claim)); /* open while we fork */
    IS(proc_wait(proc_start(use_inherited, &h)), 0);
    memcpy(claim.value, "mine", 4);
    OK(spate_commit(h.producer));
    IS(spate_poll(h.consumer, got, 4, PROC_PATIENCE), 2);
    CHECK(memcmp(got[0].value, "mine", 4) == 0);
    CHECK(memcmp(got[1].value, "from the child", 14) == 0);
    /* its lock is still held: nobody takes it for dead */
    struct spate_gc_result result;
    spate_bus *other = proc_open();
    OK(spate_gc(other, &result));
    IS(result.participants, 0);
    IS(result.producers, 0);
    IS(spate_topic_delete(other, "t", 0), -EBUSY);
    spate_bus_close(other);
    for (int i = 0; i < 1000; i++) {
        proc_publish_text(h.producer, i % 2, "after");
        IS(spate_poll(h.consumer, got, 4, PROC_PATIENCE), 1);
    }
    close_all(h);
}

struct family {
    proc_word ready;
    proc_word grandchild;
};

static int leave_a_child_behind(void *argument)
{
    struct family *family = argument;
    struct proc_handles own = proc_join("t");
    spate_producer *producer = proc_producer(own.topic);
    struct spate_record record = {.value_size = 100};
    struct spate_claim claim;

    (void)proc_consumer(own.topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    OK(spate_claim(producer, &record, &claim));
    pid_t pid = fork(); /* not proc_start: this one shall not die with its parent */
    if (pid == 0) {
        proc_add(&family->ready);
        for (;;)
            pause();
    }
    proc_set(&family->grandchild, (uint64_t)pid);
    proc_add(&family->ready);
    return pause();
}

static void a_child_that_outlives_its_parent_does_not_keep_it_alive(void **state)
{
    (void)state;
    struct family *family = proc_shared(sizeof *family);
    struct handles h = open_all();
    struct spate_record got;

    pid_t parent = proc_start(leave_a_child_behind, family);
    proc_await(&family->ready, 2);
    proc_kill(parent);
    const pid_t grandchild = (pid_t)proc_get(&family->grandchild);
    CHECK(kill(grandchild, 0) == 0);
    /* the claim in front is a dead one's, and its gate gone: records flow */
    for (int i = 0; i < 3000; i++) {
        proc_publish_text(h.producer, 0, "flows");
        int n = spate_poll(h.consumer, &got, 1, 10 * PROC_S);
        if (n != 1)
            kill(grandchild, SIGKILL);
        IS(n, 1);
    }
    kill(grandchild, SIGKILL);
    close_all(h);
}

static void bad_handles_are_errors(void **state)
{
    (void)state;
    struct handles none = {0}, h = open_all();
    /* one kind in the place of another */
    struct handles mixed = {(spate_bus *)h.topic, (spate_topic *)h.bus, (spate_producer *)h.consumer, (spate_consumer *)h.producer};

    call_all(&none, -EINVAL);
    SAYS("NULL");
    close_all(none);
    call_all(&mixed, -EINVAL);
    SAYS("not an open");
    close_all(mixed);
    proc_publish_text(h.producer, 0, "unharmed");
    close_all(h);
}

static void null_arguments_are_errors(void **state)
{
    (void)state;
    struct handles h = open_all();
    struct spate_record record = {.value = "x", .value_size = 1}, got;
    struct spate_claim claim;
    struct spate_header header;
    char buffer[10];

    IS(spate_bus_open(proc_bus_path(), NULL, NULL), -EINVAL);
    IS(spate_topic_open(h.bus, "t", NULL), -EINVAL);
    IS(spate_topic_open(h.bus, NULL, &h.topic), -EINVAL);
    IS(spate_topic_wait(h.bus, "t", 0, NULL), -EINVAL);
    IS(spate_topic_list(h.bus, NULL, NULL), -EINVAL);
    IS(spate_topic_delete(h.bus, NULL, 0), -EINVAL);
    IS(spate_topic_describe(h.topic, NULL), -EINVAL);
    IS(spate_producer_open(h.topic, NULL, NULL), -EINVAL);
    IS(spate_consumer_open(h.topic, NULL, NULL), -EINVAL);
    IS(spate_claim(h.producer, NULL, &claim), -EINVAL);
    IS(spate_claim(h.producer, &record, NULL), -EINVAL);
    IS(spate_claim_batch(h.producer, NULL, 1, &claim), -EINVAL);
    IS(spate_claim_batch(h.producer, &record, 1, NULL), -EINVAL);
    IS(spate_publish(h.producer, NULL, 0, NULL), -EINVAL);
    IS(spate_publish_batch(h.producer, NULL, 1, 0, NULL), -EINVAL);
    IS(spate_poll(h.consumer, NULL, 1, 0), -EINVAL);
    IS(spate_poll(h.consumer, &got, 0, 0), -EINVAL);
    IS(spate_read(h.consumer, NULL, 0, &got, 0), -EINVAL);
    IS(spate_read(h.consumer, buffer, sizeof buffer, NULL, 0), -EINVAL);
    proc_publish_text(h.producer, 0, "a gap needs a place to go");
    IS(spate_consumer_gap(h.consumer, NULL) < 0, 1);
    IS(spate_record_header(NULL, 0, &header), -EINVAL);
    IS(spate_record_header(&record, 0, NULL), -EINVAL);
    spate_bus_close(NULL);
    spate_topic_close(NULL);
    spate_producer_close(NULL);
    spate_consumer_close(NULL);
    close_all(h);
}

static void options_of_a_wrong_size_or_range_are_refused(void **state)
{
    (void)state;
    struct handles h = open_all();
    struct spate_bus_options bus_options;
    struct spate_producer_options producer_options;
    struct spate_consumer_options consumer_options;
    spate_bus *bus = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;

    memset(&bus_options, 0, sizeof bus_options);
    IS(spate_bus_open(proc_bus_path(), &bus_options, &bus), -EINVAL);
    SAYS("spate_bus_options_init");
    spate_bus_options_init(&bus_options);
    bus_options.participants_max = 4097;
    IS(spate_bus_open(proc_bus_path(), &bus_options, &bus), -EINVAL);
    bus_options.participants_max = 1;
    bus_options.mode = 0777;
    IS(spate_bus_open(proc_bus_path(), &bus_options, &bus), -EINVAL);
    IS(spate_bus_open("no name", NULL, &bus), -EINVAL);
    IS(spate_bus_open("..", NULL, &bus), -EINVAL);
    memset(&producer_options, 0, sizeof producer_options);
    IS(spate_producer_open(h.topic, &producer_options, &producer), -EINVAL);
    spate_producer_options_init(&producer_options);
    producer_options.wait = 4;
    IS(spate_producer_open(h.topic, &producer_options, &producer), -EINVAL);
    memset(&consumer_options, 0, sizeof consumer_options);
    IS(spate_consumer_open(h.topic, &consumer_options, &consumer), -EINVAL);
    for (int i = 0; i < 3; i++) {
        spate_consumer_options_init(&consumer_options);
        *(i == 0 ? &consumer_options.policy : i == 1 ? &consumer_options.start : &consumer_options.wait) = 5;
        IS(spate_consumer_open(h.topic, &consumer_options, &consumer), -EINVAL);
    }
    CHECK(!bus && !producer && !consumer);
    close_all(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(inherited_handles_answer_echild_and_the_parent_goes_on),
        PROC_TEST(a_child_that_outlives_its_parent_does_not_keep_it_alive),
        PROC_TEST(bad_handles_are_errors),
        PROC_TEST(null_arguments_are_errors),
        PROC_TEST(options_of_a_wrong_size_or_range_are_refused),
    };
    return cmocka_run_group_tests_name("fork and handles", tests, NULL, NULL);
}
