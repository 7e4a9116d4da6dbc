/* dump_test.c: spate_dump of ring files that are live, dead, copied, damaged, foreign.
 *
 * A copied file is all that is left of a bus after a crash, so it must be readable without anything else; and whatever is in it,
 * reading it neither crashes nor goes on for ever. */
#include <fcntl.h>
#include <sys/stat.h>

#include "layout/ring_layout.h"
#include "proc.h"
#include "spate/inspect.h"

struct dumped {
    struct spate_dump_info info;
    uint64_t count, committed, aborted, claimed, damaged, bytes;
    int64_t next_offset;
    uint64_t next_position;
    int32_t owner_slot;
    bool is_dense;
    char first[64];
};

static int see(void *context, const struct spate_dump_record *record)
{
    struct dumped *dumped = context;

    if (dumped->count++ == 0) {
        dumped->next_offset = record->offset;
        dumped->next_position = record->position;
        dumped->is_dense = true;
        if (record->state == SPATE_RECORD_COMMITTED && record->record.value_size < sizeof dumped->first)
            memcpy(dumped->first, record->record.value, record->record.value_size);
    }
    dumped->is_dense &= record->offset == dumped->next_offset && record->position == dumped->next_position && record->size > 0;
    dumped->next_offset = record->offset + record->count;
    dumped->next_position = record->position + record->size;
    dumped->bytes += record->size;
    switch (record->state) {
    case SPATE_RECORD_COMMITTED:
        CHECK(record->stamp == record->stamp_expected && record->record.offset == record->offset && record->count == 1);
        dumped->committed++;
        break;
    case SPATE_RECORD_ABORTED: dumped->aborted += record->count; break;
    case SPATE_RECORD_CLAIMED:
        dumped->claimed += record->count;
        dumped->owner_slot = record->owner_slot;
        break;
    case SPATE_RECORD_DAMAGED: dumped->damaged++; break;
    }
    return 0;
}

static struct dumped dump(const char *path)
{
    struct dumped dumped = {.owner_slot = -1};
    OK(spate_dump(path, &dumped.info, see, &dumped));
    return dumped;
}

/* The whole of a file, and back. */
static uint8_t *load(const char *path, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    uint8_t *bytes = malloc((size_t)status.st_size);
    CHECK(bytes && read(fd, bytes, (size_t)status.st_size) == status.st_size);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return bytes;
}

static void store(const char *path, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void check_copy_equals_live(const char *live, const char *path, int64_t records)
{
    size_t size;
    uint8_t *bytes = load(live, &size);
    store(path, bytes, size);
    free(bytes);
    struct dumped a = dump(live), b = dump(path);
    IS(a.committed, records);
    IS(b.committed, records);
    CHECK(a.is_dense && b.is_dense && a.count == b.count && a.bytes == b.bytes && a.aborted == b.aborted);
    IS(a.damaged + b.damaged + a.claimed + b.claimed, 0);
    IS(b.next_position, b.info.claimed_position);
    IS(b.next_offset, b.info.claimed_offset);
}

static void a_copied_file_reads_as_the_live_one(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++) {
        const char *name = mode ? "x" : "c";
        proc_create(bus, name, 2, 64 << 10, mode);
        spate_topic *topic = proc_topic(bus, name);
        spate_producer *producer = proc_producer(topic);
        proc_publish_text(producer, 1, "the first");
        for (int i = 1; i < 50; i++)
            proc_publish_text(producer, 1, "more");
        check_copy_equals_live(proc_file("%s/1.ring", name), proc_file("copy"), 50);
        struct dumped got = dump(proc_file("copy"));
        CHECK(strcmp(got.first, "the first") == 0 && got.info.partition == 1 && got.info.mode == mode &&
              got.info.capacity == 64 << 10);
        CHECK(got.info.oldest_offset == 0 && got.info.claimed_offset == 50 && !got.info.deleted && got.info.alignment == 64);
        struct dumped empty = dump(proc_file("%s/0.ring", name));
        CHECK(empty.count == 0 && empty.info.claimed_position == 0 && empty.info.partition == 0);
        spate_producer_close(producer);
        spate_topic_close(topic);
    }
    spate_bus_close(bus);
}

static void a_ring_that_was_overwritten_many_times_begins_at_its_oldest(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    for (uint64_t i = 0; i < 5000; i++)
        proc_publish(producer, 0, (uint32_t)(PROC_VALUE_MIN + i % 200), 0, i);
    struct dumped got = dump(proc_file("t/0.ring"));
    CHECK(got.is_dense && got.damaged == 0 && got.info.oldest_offset > 4000 && got.bytes > 32 << 10 && got.bytes <= 64 << 10);
    IS(got.next_offset, 5000);
    IS(got.next_offset - got.info.oldest_offset, got.committed);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int die_claiming(void *argument)
{
    struct proc_handles handles = proc_join("t");
    spate_producer *producer = proc_producer(handles.topic);
    struct spate_record record = {.value_size = 1000};
    struct spate_claim claim;

    OK(spate_claim(producer, &record, &claim));
    proc_add(argument);
    for (;;)
        pause();
    return 0;
}

static void open_claims_are_named_and_aborted_ones_counted(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_word *ready = proc_shared(sizeof *ready);
    struct spate_gc_result gc;

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    proc_publish_text(producer, 0, "before");
    pid_t child = proc_start(die_claiming, ready);
    proc_await(ready, 1);
    proc_publish_text(producer, 0, "behind");
    struct dumped got = dump(proc_file("t/0.ring"));
    CHECK(got.committed == 2 && got.claimed == 1 && got.owner_slot == 1 && got.is_dense);
    proc_kill(child);
    got = dump(proc_file("t/0.ring")); /* without the bus nobody knows that it is dead */
    CHECK(got.committed == 2 && got.claimed == 1 && got.owner_slot == 1);
    OK(spate_gc(bus, &gc));
    got = dump(proc_file("t/0.ring"));
    CHECK(got.committed == 2 && got.claimed == 0 && got.aborted == 1 && got.is_dense);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int stop(void *context, const struct spate_dump_record *record)
{
    (void)record;
    ++*(int *)context;
    return 17;
}

static void what_is_no_ring_file_is_refused(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    struct spate_dump_info info;
    size_t size;
    int visits = 0;

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    proc_publish_text(producer, 0, "x");
    proc_publish_text(producer, 0, "y");
    uint8_t *bytes = load(proc_file("t/0.ring"), &size);
    struct sp_ring_header *header = (struct sp_ring_header *)(void *)bytes;
    OK(spate_dump(proc_file("t/0.ring"), NULL, NULL, NULL));
    IS(spate_dump(proc_file("t/0.ring"), NULL, stop, &visits), 17);
    IS(visits, 1);
    IS(spate_dump(proc_file("nothing"), &info, NULL, NULL), -ENOENT);
    IS(spate_dump(NULL, &info, NULL, NULL), -EINVAL);
    IS(spate_dump(proc_file("t"), &info, NULL, NULL), -EBADMSG);
    IS(spate_dump(proc_file("t/topic"), &info, NULL, NULL), -EBADMSG);
    CHECK(mkfifo(proc_file("pipe"), 0600) == 0);
    IS(spate_dump(proc_file("pipe"), &info, NULL, NULL), -EBADMSG);
    store(proc_file("copy"), bytes, 100);
    IS(spate_dump(proc_file("copy"), &info, NULL, NULL), -EBADMSG);
    store(proc_file("copy"), bytes, size - 4096);
    IS(spate_dump(proc_file("copy"), &info, NULL, NULL), -EBADMSG);
    header->file.version++;
    store(proc_file("copy"), bytes, size);
    IS(spate_dump(proc_file("copy"), &info, NULL, NULL), -EPROTO);
    header->file.version--;
    header->data_offset += 4096;
    store(proc_file("copy"), bytes, size);
    IS(spate_dump(proc_file("copy"), &info, NULL, NULL), -EBADMSG);
    free(bytes);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int count_bytes(void *context, const struct spate_dump_record *record)
{
    uint64_t *bytes = context;
    *bytes += record->size;
    if (record->state == SPATE_RECORD_COMMITTED) /* all that a view shows can be read */
        for (uint32_t i = 0; i < record->record.value_size; i++)
            *bytes += ((const uint8_t *)record->record.value)[i] & 0;
    return 0;
}

static void damage_of_any_kind_is_survived(void **state)
{
    (void)state;
    uint64_t seed = proc_seed();
    spate_bus *bus = proc_open();
    size_t size;

    proc_create(bus, "t", 1, 64 << 10, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    for (uint64_t i = 0; i < 1500; i++)
        proc_publish(producer, 0, (uint32_t)(PROC_VALUE_MIN + i % 100), 0, i);
    uint8_t *bytes = load(proc_file("t/0.ring"), &size), *copy = malloc(size);
    CHECK(copy != NULL);
    for (int i = 0; i < (proc_is_slow() ? 200 : 1500); i++) {
        memcpy(copy, bytes, size);
        uint64_t changes = 1 + proc_below(&seed, 8);
        for (uint64_t j = 0; j < changes; j++) {
            /* mostly in the words that move and in the slots */
            size_t at = proc_below(&seed, 4) ? 128 + proc_below(&seed, 8192) : proc_below(&seed, size);
            uint64_t word = proc_below(&seed, 2) ? proc_random(&seed) : proc_below(&seed, 4);
            at &= ~(size_t)7;
            memcpy(copy + (at < size - 8 ? at : 128), &word, 8);
        }
        uint64_t counted = 0;
        struct spate_dump_info info;
        store(proc_file("copy"), copy, size);
        int error = spate_dump(proc_file("copy"), &info, count_bytes, &counted);
        CHECKF(error == 0 || error == -EBADMSG || error == -EPROTO, "error %d", error);
        CHECKF(counted <= 2 * (64 << 10), "%llu bytes in a ring of 64K", (unsigned long long)counted);
    }
    free(copy);
    free(bytes);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_copied_file_reads_as_the_live_one),
        PROC_TEST(a_ring_that_was_overwritten_many_times_begins_at_its_oldest),
        PROC_TEST(open_claims_are_named_and_aborted_ones_counted),
        PROC_TEST(what_is_no_ring_file_is_refused),
        PROC_TEST(damage_of_any_kind_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
