/* bad_input_test.c: files that are not what they should be, places without room, records and tables that are too large or full,
 * bad arguments.
 *
 * Whatever lies in the bus directory is input: every kind of file is tried with another version, another layout, another size,
 * foreign bytes, and as something that is no file at all. */
#include "proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "layout/bus_layout.h"
#include "layout/layout.h"

static void patch(const char *path, long offset, const void *bytes, size_t size)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    IS(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

static uint32_t peek32(const char *path, long offset)
{
    uint32_t value = 0;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    IS(pread(fd, &value, 4, offset), 4);
    close(fd);
    return value;
}

/* Everything that a process does with a topic; the first error. */
static int use_topic(void)
{
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    spate_producer *producer = NULL;
    spate_consumer *consumer = NULL;
    struct spate_record record = {.value = "x", .value_size = 1};

    int error = spate_bus_open(proc_bus_path(), NULL, &bus);
    if (!error)
        error = spate_topic_open(bus, "t", &topic);
    if (!error)
        error = spate_consumer_open(topic, NULL, &consumer);
    if (!error)
        error = spate_producer_open(topic, NULL, &producer);
    if (!error)
        error = spate_publish(producer, &record, 0, NULL);
    CHECK(error || spate_poll(consumer, &record, 1, PROC_PATIENCE) == 1);
    spate_producer_close(producer);
    spate_consumer_close(consumer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    return error;
}

static void create_topic(void)
{
    spate_bus *bus = proc_open();
    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_bus_close(bus);
    OK(use_topic());
}

static const char *const files[] = {"bus", "t/topic", "t/0.ring", "t/0.cursors"};
enum { FILES = 4 };

static void another_layout_is_refused_with_both_versions_named(void **state)
{
    (void)state;
    create_topic();
    for (int i = 0; i < FILES; i++) {
        const char *path = proc_file("%s", files[i]);
        uint32_t version = peek32(path, 8), other = 4711, crc = peek32(path, 12), other_crc = crc ^ 1;
        char text[32];

        IS(version, SP_LAYOUT_VERSION);
        patch(path, 8, &other, 4);
        IS(use_topic(), -EPROTO);
        SAYS("version 4711");
        snprintf(text, sizeof text, "version %u", version);
        SAYS(text);
        SAYS(files[i]);
        patch(path, 8, &version, 4);
        patch(path, 12, &other_crc, 4);
        IS(use_topic(), -EPROTO);
        snprintf(text, sizeof text, "%08x", other_crc);
        SAYS(text);
        snprintf(text, sizeof text, "%08x", crc);
        SAYS(text);
        patch(path, 12, &crc, 4);
        OK(use_topic());
    }
}

static void save(const char *path, char **ret_bytes, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    *ret_size = (size_t)status.st_size;
    *ret_bytes = malloc(*ret_size);
    IS(read(fd, *ret_bytes, *ret_size), *ret_size);
    close(fd);
}

static void restore(const char *path, const char *bytes, size_t size)
{
    (void)remove(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
    CHECK(fd >= 0);
    IS(write(fd, bytes, size), size);
    close(fd);
}

static void check_damaged(const char *file, const char *what)
{
    int error = use_topic();
    CHECKF(error == -EBADMSG, "%s %s: %d (%s) instead of -EBADMSG", file, what, error, spate_last_error());
    SAYS(file);
}

static void files_of_another_size_or_kind_are_refused(void **state)
{
    (void)state;
    create_topic();
    for (int i = 0; i < FILES; i++) {
        const char *path = proc_file("%s", files[i]);
        char *bytes, *wrong;
        size_t size;

        save(path, &bytes, &size);
        const size_t sizes[] = {0, 1, 8, 63, 64, 100, 4095, 4096, size / 2, size - 4096, size - 1, size + 1, size + 4096, 2 * size};
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
            OK(truncate(path, (off_t)sizes[j]));
            if (sizes[j] == size)
                continue;
            if (sizes[j] < size && sizes[j] > 4096)
                check_damaged(files[i], "truncated");
            else
                check_damaged(files[i], sizes[j] ? "of another size" : "empty");
            restore(path, bytes, size);
        }
        OK(use_topic());
        wrong = malloc(size);
        memset(wrong, 'x', size);
        restore(path, wrong, size);
        check_damaged(files[i], "foreign");
        memset(wrong, 0, size);
        restore(path, wrong, size);
        check_damaged(files[i], "all zeros");
        restore(path, bytes, size);
        free(wrong);
        free(bytes);
        OK(use_topic());
    }
}

/* Files of one kind, or of another topic, in the place of others. */
static void files_that_were_mixed_up_are_refused(void **state)
{
    (void)state;
    create_topic();
    spate_bus *bus = proc_open();
    proc_create(bus, "u", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_bus_close(bus);
    for (int i = 0; i < FILES; i++) {
        char *bytes, *other;
        size_t size, other_size;
        save(proc_file("%s", files[i]), &bytes, &size);
        const char *const others[] = {files[(i + 1) % FILES], i == 1   ? "u/topic"
                                                              : i == 2 ? "u/0.ring"
                                                              : i == 3 ? "u/0.cursors"
                                                                       : "t/topic"};
        for (int j = 0; j < 2; j++) {
            save(proc_file("%s", others[j]), &other, &other_size);
            restore(proc_file("%s", files[i]), other, other_size);
            check_damaged(files[i], others[j]);
            free(other);
        }
        restore(proc_file("%s", files[i]), bytes, size);
        free(bytes);
        OK(use_topic());
    }
}

static int use_topic_in_child(void *argument)
{
    (void)argument;
    int error = use_topic();
    return error == 0                                                                                         ? 0
           : error == -EBADMSG || error == -ENOENT || error == -ELOOP || error == -EISDIR || error == -ESTALE ? 50
                                                                                                              : 51;
}

/* A pipe nobody writes to would hang whoever opens it; a link would lead elsewhere. */
static void what_is_no_file_neither_hangs_nor_misleads(void **state)
{
    (void)state;
    create_topic();
    for (int i = 0; i < FILES; i++) {
        char *path = strdup(proc_file("%s", files[i])), *aside = strdup(proc_file("%s.aside", files[i]));
        for (int kind = 0; kind < 4; kind++) {
            OK(rename(path, aside));
            if (kind == 0)
                OK(mkfifo(path, 0666));
            else if (kind == 1)
                OK(mkdir(path, 0777));
            else if (kind == 2)
                OK(symlink(aside, path));
            else if (i == 0)
                OK(symlink("/dev/zero", path)); /* without a bus file a new one would be made */
            pid_t child = proc_start(use_topic_in_child, NULL);
            int64_t end = proc_now() + 20 * PROC_S;
            while (proc_is_running(child) && proc_now() < end)
                proc_nap(PROC_MS);
            CHECKF(!proc_is_running(child), "%s as a %s hangs", files[i], kind == 0 ? "pipe" : kind == 1 ? "directory" : "link");
            int status = proc_wait(child);
            CHECKF(status == 50, "%s as kind %d: status %d", files[i], kind, status);
            (void)remove(path);
            OK(rename(aside, path));
        }
        free(path);
        free(aside);
    }
    OK(use_topic());
}

/* --------------------------------------------------------------------------------------------------------- no room */

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static uint64_t free_bytes(const char *path)
{
    uint64_t count = 0;
    char name[600];
    static const char page[4096];

    /* what can really be written, rather than what statfs says */
    snprintf(name, sizeof name, "%s/fill", path);
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    while (write(fd, page, sizeof page) == (ssize_t)sizeof page)
        count += sizeof page;
    close(fd);
    OK(unlink(name));
    return count;
}

static int in_small_tmpfs(void *argument)
{
    spate_bus *bus = NULL;

    (void)argument;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", proc_root(), "tmpfs", 0, "size=4m") < 0)
        return 77;
    OK(spate_bus_open(proc_bus_path(), NULL, &bus));
    const int entries = count_entries(proc_bus_path());
    const uint64_t room = free_bytes(proc_root());
    struct spate_topic_config config = proc_config(1, 16 << 20, SPATE_MODE_CONCURRENT);
    IS(spate_topic_create(bus, "large", &config), -ENOSPC);
    SAYS("free");
    SAYS("shm-size");
    config = proc_config(100, SPATE_RING_MIN, SPATE_MODE_CONCURRENT); /* the first ones fit */
    IS(spate_topic_create(bus, "many", &config), -ENOSPC);
    config = proc_config(1, SPATE_RING_MAX, SPATE_MODE_CONCURRENT);
    IS(spate_topic_create(bus, "huge", &config), -ENOSPC);
    IS(count_entries(proc_bus_path()), entries);
    IS(free_bytes(proc_root()), room);
    config = proc_config(1, 1 << 20, SPATE_MODE_CONCURRENT);
    OK(spate_topic_create(bus, "small", &config));
    /* the space of a topic is taken at its creation: a full file system later hurts nobody */
    char fill[600];
    snprintf(fill, sizeof fill, "%s/fill", proc_root());
    int fd = open(fill, O_RDWR | O_CREAT, 0600);
    static const char page[4096];
    while (write(fd, page, sizeof page) > 0) {
    }
    spate_topic *topic = proc_topic(bus, "small");
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    spate_producer *producer = proc_producer(topic);
    struct spate_record got[64];
    for (int i = 0; i < 20000; i++) {
        proc_publish(producer, 0, 200, 1, (uint64_t)i);
        if (i % 64 == 63)
            CHECK(spate_poll(consumer, got, 64, PROC_PATIENCE) > 0);
    }
    IS(spate_topic_create(bus, "more", &config), -ENOSPC);
    spate_bus *second = NULL;
    char other[600];
    snprintf(other, sizeof other, "%s/other", proc_root());
    IS(spate_bus_open(other, NULL, &second), -ENOSPC);
    return 0;
}

static void without_room_nothing_is_left_behind(void **state)
{
    (void)state;
    int status = proc_wait(proc_start(in_small_tmpfs, NULL));
    if (status == 77)
        proc_skip("no permission to mount a small tmpfs in a private namespace");
    IS(status, 0);
}

/* --------------------------------------------------------------------------------------------------- full tables */

static void a_record_has_its_limit(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_claim claim, claims[2];

    proc_create(bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    const uint32_t most = (uint32_t)spate_producer_max_size(producer);
    char *bytes = calloc(1, most + 1);
    struct spate_header header = {"name", 4, bytes, 100};
    struct spate_record record = {.value_size = most}, batch[2] = {record, record}, headed = {.value_size = most - 112};

    IS(most, SPATE_RING_MIN / 4);
    OK(spate_claim(producer, &record, &claim));
    memset(claim.value, 1, most);
    OK(spate_commit(producer));
    record.value_size = most + 1;
    IS(spate_claim(producer, &record, &claim), -EMSGSIZE);
    SAYS("16384");
    record.value_size = most - 9;
    record.key = bytes;
    record.key_size = 10;
    IS(spate_claim(producer, &record, &claim), -EMSGSIZE);
    record.key_size = 9;
    OK(spate_claim(producer, &record, &claim));
    OK(spate_abort(producer));
    IS(spate_claim_batch(producer, batch, 2, claims), -EMSGSIZE);
    headed.headers = &header;
    headed.headers_count = 1;
    OK(spate_claim(producer, &headed, &claim));
    OK(spate_abort(producer));
    headed.value_size++;
    IS(spate_claim(producer, &headed, &claim), -EMSGSIZE);
    record = (struct spate_record){.value_size = UINT32_MAX};
    IS(spate_claim(producer, &record, &claim), -EMSGSIZE);
    record = (struct spate_record){.key = bytes, .key_size = SPATE_KEY_SIZE_MAX + 1};
    IS(spate_claim(producer, &record, &claim), -EINVAL);
    record = (struct spate_record){.value = NULL, .value_size = 5};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    record = (struct spate_record){.key = NULL, .key_size = 5};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    record = (struct spate_record){.headers = NULL, .headers_count = 5};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    record.headers = &header;
    record.headers_count = 1;
    header = (struct spate_header){NULL, 3, NULL, 0};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    header = (struct spate_header){"n", 1, NULL, 3};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    header = (struct spate_header){bytes, 65536, NULL, 0};
    IS(spate_publish(producer, &record, 0, NULL), -EINVAL);
    proc_publish_text(producer, 0, "after all that");
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
    free(bytes);
}

/* After records of one shape the next one is expected to be like them: one that only looks so is no record. */
static void a_record_beyond_all_limits_is_refused_on_every_path(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {16, 64, 100};
    static char value[128];
    spate_bus *bus = proc_open();
    char name[16];

    for (uint32_t i = 0; i < 12; i++) {
        const uint32_t size = sizes[i % 3];
        struct spate_topic_config config = proc_config(1, SPATE_RING_MIN, i < 6 ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        config.timestamp = i % 6 < 3 ? SPATE_TIMESTAMP_NONE : SPATE_TIMESTAMP_CLOCK;
        config.alignment = 16;
        snprintf(name, sizeof name, "shape-%u", i);
        OK(spate_topic_create(bus, name, &config));
        spate_topic *topic = proc_topic(bus, name);
        spate_producer *producer = proc_producer(topic);
        struct spate_record record = {.partition = 0, .value = value, .value_size = size};
        const struct spate_record bad[] = {{.partition = SPATE_ANY, .value = value, .value_size = UINT32_MAX},
                                           {.partition = 0, .value = value, .value_size = UINT32_MAX},
                                           {.partition = SPATE_ANY, .value = value, .value_size = 1u << 31}};
        struct spate_claim claim;
        int64_t offset = -1;
        for (int n = 0; n < 200; n++) /* by then a lone producer has the bias */
            OK(spate_publish(producer, &record, 0, &offset));
        IS(offset, 199);
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            IS(spate_publish(producer, &bad[b], 0, NULL), -EMSGSIZE);
            IS(spate_publish_batch(producer, &bad[b], 1, 0, NULL), -EMSGSIZE);
            IS(spate_claim(producer, &bad[b], &claim), -EMSGSIZE);
            OK(spate_publish(producer, &record, 0, &offset));
            IS(offset, 200 + (int64_t)b);
        }
        spate_producer_close(producer);
        spate_topic_close(topic);
        OK(spate_topic_delete(bus, name, 0));
    }
    spate_bus_close(bus);
}

static void full_tables_are_named_and_empty_again_after_closing(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_producer *producers[4] = {NULL};
    spate_consumer *consumers[4] = {NULL};
    struct spate_record record = {.value = "x", .value_size = 1};

    config.producers_max = config.consumers_max = 3;
    OK(spate_topic_create(bus, "t", &config));
    spate_topic *topic = proc_topic(bus, "t");
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            producers[i] = proc_producer(topic);
            OK(spate_publish(producers[i], &record, 0, NULL));
            consumers[i] = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
        }
        producers[3] = proc_producer(topic);
        record.partition = 1;
        OK(spate_publish(producers[3], &record, 0, NULL)); /* there is room in the other one */
        record.partition = 0;
        IS(spate_publish(producers[3], &record, 0, NULL), -EUSERS);
        SAYS("3 producer slots");
        IS(spate_consumer_open(topic, NULL, &consumers[3]), -EUSERS);
        SAYS("3 consumer slots");
        CHECK(consumers[3] == NULL);
        spate_producer_close(producers[1]);
        OK(spate_publish(producers[3], &record, 0, NULL)); /* it needs no new handle */
        spate_consumer_close(consumers[1]);
        consumers[1] = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
        spate_producer_close(producers[0]);
        spate_producer_close(producers[2]);
        spate_producer_close(producers[3]);
        for (int i = 0; i < 3; i++)
            spate_consumer_close(consumers[i]);
    }
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int take_part(void *argument)
{
    spate_bus *bus = proc_open();
    proc_add(argument);
    pause();
    return bus != NULL;
}

static void a_bus_takes_just_so_many_participants(void **state)
{
    (void)state;
    struct spate_bus_options options;
    spate_bus *bus = NULL, *one_more = NULL, *observer = NULL;
    proc_word *ready = proc_shared(sizeof *ready);
    pid_t children[3];

    spate_bus_options_init(&options);
    options.participants_max = 4;
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    for (int i = 0; i < 3; i++)
        children[i] = proc_start(take_part, ready);
    proc_await(ready, 3);
    IS(spate_bus_open(proc_bus_path(), NULL, &one_more), -EUSERS);
    SAYS("4 participant slots");
    options.flags = SPATE_BUS_OBSERVE; /* takes no slot */
    OK(spate_bus_open(proc_bus_path(), &options, &observer));
    spate_bus_close(observer);
    proc_kill(children[1]); /* the slots of the dead are free at once */
    OK(spate_bus_open(proc_bus_path(), NULL, &one_more));
    spate_bus_close(one_more);
    children[1] = proc_start(take_part, ready);
    proc_await(ready, 4);
    IS(spate_bus_open(proc_bus_path(), NULL, &one_more), -EUSERS);
    spate_bus_close(bus);
    OK(spate_bus_open(proc_bus_path(), NULL, &one_more));
    spate_bus_close(one_more);
    for (int i = 0; i < 3; i++)
        proc_kill(children[i]);
}

static int hold_exclusive(void *argument)
{
    struct spate_bus_options options;
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.participant_name = "the-one";
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    spate_topic *topic = proc_topic(bus, "t");
    proc_publish_text(proc_producer(topic), 0, "mine");
    proc_add(argument);
    return pause();
}

static void an_exclusive_partition_takes_one_producer(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    spate_bus *bus = proc_open();
    struct spate_record record = {.value = "x", .value_size = 1};
    int64_t offset;

    proc_create(bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_EXCLUSIVE);
    spate_topic *topic = proc_topic(bus, "t");
    pid_t child = proc_start(hold_exclusive, ready);
    proc_await(ready, 1);
    spate_producer *second = proc_producer(topic), *third = proc_producer(topic);
    IS(spate_publish(second, &record, 0, NULL), -EBUSY);
    SAYS("the-one");
    SAYS("exclusive");
    proc_publish_text(second, 1, "the other partition is free");
    record.partition = 1;
    IS(spate_publish(third, &record, 0, NULL), -EBUSY);
    record.partition = 0;
    proc_kill(child);
    OK(spate_publish(second, &record, 0, &offset));
    IS(offset, 1);
    IS(spate_publish(third, &record, 0, NULL), -EBUSY);
    spate_producer_close(second);
    OK(spate_publish(third, &record, 0, &offset));
    IS(offset, 2);
    spate_producer_close(third);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* The text says how to get rid of a topic that cannot be used, and that is how. */
static void a_broken_topic_is_removed_with_force(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    for (int i = 0; i < FILES; i++) {
        if (strcmp(files[i], "bus") == 0)
            continue;
        for (int missing = 0; missing < 2; missing++) {
            proc_create(bus, "t", 2, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
            const char *path = proc_file("%s", files[i]);
            OK(missing ? unlink(path) : truncate(path, 1000));
            int error = spate_topic_delete(bus, "t", 0);
            CHECKF(error == -EBADMSG, "%s %s: %d (%s)", files[i], missing ? "is missing" : "is cut", error, spate_last_error());
            SAYS("--force");
            OK(spate_topic_delete(bus, "t", SPATE_DELETE_FORCE));
        }
    }
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(another_layout_is_refused_with_both_versions_named),
        PROC_TEST(files_of_another_size_or_kind_are_refused),
        PROC_TEST(files_that_were_mixed_up_are_refused),
        PROC_TEST(a_broken_topic_is_removed_with_force),
        PROC_TEST(what_is_no_file_neither_hangs_nor_misleads),
        PROC_TEST(without_room_nothing_is_left_behind),
        PROC_TEST(a_record_has_its_limit),
        PROC_TEST(a_record_beyond_all_limits_is_refused_on_every_path),
        PROC_TEST(full_tables_are_named_and_empty_again_after_closing),
        PROC_TEST(a_bus_takes_just_so_many_participants),
        PROC_TEST(an_exclusive_partition_takes_one_producer),
    };
    return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
