/* access_test.c: who may do what: file owners and modes are the whole access model, and a consumer cannot alter a record.
 *
 * Needs root, to become somebody else in children; skipped otherwise. */
#include "proc.h"

#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>

enum { NOBODY = 65534, GROUP = 12345 };

static spate_bus *open_bus(uint32_t mode)
{
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    if (geteuid() != 0)
        proc_skip("needs root, to become another user");
    spate_bus_options_init(&options);
    options.mode = mode;
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    return bus;
}

static void create(spate_bus *bus, const char *name, uint32_t producer_mode, uint32_t consumer_mode, int64_t uid, int64_t gid)
{
    struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);

    config.producer_mode = producer_mode;
    config.consumer_mode = consumer_mode;
    config.uid = uid;
    config.gid = gid;
    OK(spate_topic_create(bus, name, &config));
}

static void become(uid_t uid, gid_t gid)
{
    OK(setgroups(0, NULL));
    OK(setresgid(gid, gid, gid));
    OK(setresuid(uid, uid, uid));
}

struct attempt {
    uid_t uid;
    gid_t gid;
    int bus, topic, produce, consume; /* expected results */
    char name[32];
};

/* What the library answers to somebody else. */
static int attempt(void *argument)
{
    const struct attempt *want = argument;
    struct spate_record record = {.partition = 1, .value = "x", .value_size = 1}, got;
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;

    become(want->uid, want->gid);
    IS(spate_bus_open(proc_bus_path(), NULL, &bus), want->bus);
    if (want->bus)
        return 0;
    IS(spate_topic_open(bus, want->name, &topic), want->topic);
    if (want->topic)
        return 0;
    IS(spate_consumer_open(topic, NULL, &consumer), want->consume);
    int error = spate_producer_open(topic, NULL, &producer);
    if (!error)
        error = spate_publish(producer, &record, 0, NULL);
    IS(error, want->produce);
    if (want->produce)
        IS(spate_topic_delete(bus, want->name, SPATE_DELETE_FORCE), -EACCES);
    if (!want->produce && !want->consume)
        IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return 0;
}

static void try_as(uid_t uid, gid_t gid, const char *name, int bus, int topic, int produce, int consume)
{
    struct attempt want = {.uid = uid, .gid = gid, .bus = bus, .topic = topic, .produce = produce, .consume = consume};

    snprintf(want.name, sizeof want.name, "%s", name);
    int status = proc_wait(proc_start(attempt, &want));
    CHECKF(status == 0, "as user %d, group %d on topic %s", (int)uid, (int)gid, name);
}

static void a_private_bus_is_closed_to_others(void **state)
{
    (void)state;
    spate_bus *bus = open_bus(0600);
    create(bus, "t", 0, 0, -1, -1);
    try_as(NOBODY, NOBODY, "t", -EACCES, 0, 0, 0);
    try_as(0, NOBODY, "t", 0, 0, 0, 0);
    spate_bus_close(bus);
}

static void topics_say_who_may_produce_and_who_may_consume(void **state)
{
    (void)state;
    spate_bus *bus = open_bus(0666);
    create(bus, "open", 0, 0, -1, -1);
    create(bus, "read", 0600, 0666, -1, -1);
    create(bus, "closed", 0600, 0600, -1, -1);
    create(bus, "both", 0666, 0666, -1, -1);
    try_as(NOBODY, NOBODY, "open", 0, 0, 0, 0);
    try_as(NOBODY, NOBODY, "read", 0, 0, -EACCES, 0);
    try_as(NOBODY, NOBODY, "closed", 0, -EACCES, 0, 0);
    try_as(NOBODY, NOBODY, "both", 0, 0, 0, 0);
    try_as(0, 0, "read", 0, 0, 0, 0);
    struct stat status;
    OK(stat(proc_file("read/0.ring"), &status));
    IS(status.st_mode & 0777, 0644);
    OK(stat(proc_file("read/1.cursors"), &status));
    IS(status.st_mode & 0777, 0666);
    OK(stat(proc_file("closed/0.ring"), &status));
    IS(status.st_mode & 0777, 0600);
    spate_bus_close(bus);
}

static int delete_as_nobody(void *argument)
{
    spate_bus *bus = NULL;
    (void)argument;

    become(NOBODY, NOBODY);
    OK(spate_bus_open(proc_bus_path(), NULL, &bus));
    IS(spate_topic_delete(bus, "both", SPATE_DELETE_FORCE), -EACCES);
    SAYS("owner");
    spate_bus_close(bus);
    return 0;
}

/* Who may write a topic's rings could mark them deleted; but not take them away, so he must not do the one without the other. */
static void a_topic_is_deleted_by_its_owner_or_not_at_all(void **state)
{
    (void)state;
    spate_bus *bus = open_bus(0666);

    create(bus, "both", 0666, 0666, -1, -1);
    IS(proc_wait(proc_start(delete_as_nobody, NULL)), 0);
    spate_topic *topic = proc_topic(bus, "both");
    spate_producer *producer = proc_producer(topic);
    proc_publish_text(producer, 0, "it is as it was");
    spate_producer_close(producer);
    spate_topic_close(topic);
    OK(spate_topic_delete(bus, "both", 0));
    spate_bus_close(bus);
}

static void a_class_of_users_that_may_write_may_read(void **state)
{
    struct spate_topic_config config = proc_config(1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    (void)state;
    spate_bus *bus = open_bus(0666);

    config.producer_mode = 0622;
    IS(spate_topic_create(bus, "t", &config), -EINVAL);
    config.producer_mode = 0600;
    config.consumer_mode = 0200;
    IS(spate_topic_create(bus, "t", &config), -EINVAL);
    config.consumer_mode = 0644; /* others may look */
    OK(spate_topic_create(bus, "t", &config));
    spate_bus_close(bus);
}

static void topics_can_belong_to_another_user_or_group(void **state)
{
    (void)state;
    spate_bus *bus = open_bus(0666);
    struct spate_topic_info info;

    create(bus, "theirs", 0600, 0600, NOBODY, GROUP);
    create(bus, "groups", 0660, 0660, 0, GROUP);
    create(bus, "listen", 0600, 0660, NOBODY, GROUP);
    spate_topic *topic = proc_topic(bus, "theirs");
    OK(spate_topic_describe(topic, &info));
    IS(info.uid, NOBODY);
    IS(info.gid, GROUP);
    spate_topic_close(topic);
    try_as(NOBODY, NOBODY, "theirs", 0, 0, 0, 0);
    try_as(1000, GROUP, "theirs", 0, -EACCES, 0, 0);
    try_as(1000, GROUP, "groups", 0, 0, 0, 0);
    try_as(1000, 1000, "groups", 0, -EACCES, 0, 0);
    try_as(NOBODY, NOBODY, "listen", 0, 0, 0, 0);
    try_as(1000, GROUP, "listen", 0, 0, -EACCES, 0);
    try_as(1000, 1000, "listen", 0, -EACCES, 0, 0);
    spate_bus_close(bus);
}

/* Somebody who may only consume is woken like anybody else, and holds producers like anybody else. */
static int consume_as_nobody(void *argument)
{
    proc_word *words = argument;

    become(NOBODY, NOBODY);
    struct proc_handles handles = proc_join("read");
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;
    struct spate_record got[8];
    uint64_t seen = 0;

    spate_consumer_options_init(&options);
    options.wait = SPATE_WAIT_BLOCK;
    OK(spate_consumer_open(handles.topic, &options, &consumer));
    proc_add(&words[0]);
    while (seen < 3000) {
        int n = spate_poll(consumer, got, 8, SPATE_FOREVER);
        CHECK(n > 0);
        seen += (uint64_t)n;
    }
    int fd = spate_consumer_fd(consumer), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECKF(fd >= 0, "no descriptor: %s", spate_last_error());
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    proc_add(&words[0]);
    while (seen < 3100) {
        int n = spate_poll(consumer, got, 8, 0);
        CHECK(n >= 0);
        seen += (uint64_t)n;
        if (n == 0)
            IS(epoll_wait(epoll, &event, 1, 60000), 1);
    }
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static void a_consumer_with_less_rights_is_served_like_any_other(void **state)
{
    (void)state;
    proc_word *words = proc_shared(2 * sizeof *words);
    spate_bus *bus = open_bus(0666);

    create(bus, "read", 0600, 0666, -1, -1);
    spate_topic *topic = proc_topic(bus, "read");
    spate_producer *producer = proc_producer(topic);
    pid_t child = proc_start(consume_as_nobody, words);
    proc_await(&words[0], 1);
    for (uint64_t i = 0; i < 3000; i++) {
        proc_publish(producer, (int32_t)(i % 2), 200, 1, i);
        if (i % 100 == 0)
            proc_nap(PROC_MS);
    }
    proc_await(&words[0], 2);
    for (uint64_t i = 0; i < 100; i++) {
        proc_publish(producer, (int32_t)(i % 2), 200, 1, i);
        proc_nap(100000);
    }
    IS(proc_wait(child), 0);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* ------------------------------------------------------------------------------------------------- read-only records */

struct view {
    uint32_t policy;
    int field; /* which pointer is written through */
};

static int write_into_a_view(void *argument)
{
    const struct view *view = argument;
    struct proc_handles handles = proc_join("t");
    spate_consumer *consumer = proc_consumer(handles.topic, view->policy, SPATE_START_BEGINNING, 0);
    struct spate_record got;
    struct spate_header header;

    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    OK(spate_record_header(&got, 0, &header));
    const void *const fields[] = {got.value, got.key, got.headers_block, header.name, header.value};
    union {
        const void *read;
        char *write;
    } pointer = {.read = fields[view->field]};
    *pointer.write = '!';
    return 0;
}

static void a_store_into_a_record_that_was_polled_faults(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_header header = {"name", 4, "value", 5};
    struct spate_record record = {.value = "value",
                                  .value_size = 5,
                                  .key = "key",
                                  .key_size = 3,
                                  .headers = &header,
                                  .headers_count = 1},
                        got;

    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    OK(spate_publish(producer, &record, 0, NULL));
    for (int field = 0; field < 5; field++) {
        for (uint32_t policy = SPATE_POLICY_GATE; policy <= SPATE_POLICY_SKIP; policy++) {
            struct view view = {policy, field};
            IS(proc_wait(proc_start(write_into_a_view, &view)), 128 + SIGSEGV);
        }
    }
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    CHECK(memcmp(got.value, "value", 5) == 0 && memcmp(got.key, "key", 3) == 0);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void an_observer_describes_and_does_no_more(void **state)
{
    (void)state;
    struct spate_bus_options options;
    spate_bus *bus = NULL, *observer = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;
    struct spate_topic_info info;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_OBSERVE;
    IS(spate_bus_open(proc_bus_path(), &options, &observer), -ENOENT); /* it makes none */
    options.flags = SPATE_BUS_OPEN_ONLY;
    IS(spate_bus_open(proc_bus_path(), &options, &observer), -ENOENT);
    bus = proc_open();
    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    options.flags = SPATE_BUS_OBSERVE;
    OK(spate_bus_open(proc_bus_path(), &options, &observer));
    spate_topic *topic = proc_topic(observer, "t");
    OK(spate_topic_describe(topic, &info));
    IS(spate_producer_open(topic, NULL, &producer), -EPERM);
    IS(spate_consumer_open(topic, NULL, &consumer), -EPERM);
    IS(spate_topic_create(observer, "u", NULL), -EPERM);
    int error = spate_topic_delete(observer, "t", 0);
    CHECKF(error == -EPERM || error == -EACCES, "an observer deletes: %d", error);
    spate_topic_close(topic);
    spate_bus_close(observer);
    topic = proc_topic(bus, "t");
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_private_bus_is_closed_to_others),
        PROC_TEST(topics_say_who_may_produce_and_who_may_consume),
        PROC_TEST(a_topic_is_deleted_by_its_owner_or_not_at_all),
        PROC_TEST(a_class_of_users_that_may_write_may_read),
        PROC_TEST(topics_can_belong_to_another_user_or_group),
        PROC_TEST(a_consumer_with_less_rights_is_served_like_any_other),
        PROC_TEST(a_store_into_a_record_that_was_polled_faults),
        PROC_TEST(an_observer_describes_and_does_no_more),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
