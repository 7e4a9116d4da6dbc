/* segment_v1_test.c: the log on disk in version 1, as the committed files in golden/segment-v1/ have it: a topic file, a frontier, two
 * segments (one with a compressed block) and their indexes. They are read exactly, by this build and every later one.
 *
 * Run by ctest with the label `golden`. While this is the version that is written, the same directory is also built anew
 * (support/log_dir.c) and has to have the same bytes; only what LZ4 made may differ, for another version of it compresses in another way.
 * A difference means that builds would misread each other's logs: raise SP_LOG_VERSION (layout/log_layout.h), keep reading the old one, and
 * keep these files as they are. They were written once, with SPATE_GOLDEN_WRITE=1, and that is refused where they exist. */
#include "proc.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "log_dir.h"

#define FILE_MAX ((size_t)1 << 20)

static const struct spate_header headers[] = {{.name = "trace", .name_size = 5, .value = "17", .value_size = 2},
                                              {.name = "null", .name_size = 4},
                                              {.name = "empty", .name_size = 5, .value = ""}};

#define RECORD(time, ...)                                      \
    {                                                          \
        .timestamp = 1700000000000000000 + (time), __VA_ARGS__ \
    }
#define TEXT(text) .value = (text), .value_size = sizeof(text) - 1
#define KEY(text) .key = (text), .key_size = sizeof(text) - 1

/* What is in there. Offset 3 .. 5 and 9 are holes. */
static const struct {
    int64_t offset;
    struct spate_record record;
} expected[] = {
    {0, RECORD(0, TEXT("the first one"))},
    {1, RECORD(1, TEXT("with a key"), KEY("key"))},
    {2, RECORD(2, TEXT("with all there is"), KEY("k"), .headers = headers, .headers_count = 3)},
    {6, RECORD(9, KEY("key"))},           /* a tombstone */
    {7, RECORD(5, .value = "", KEY(""))}, /* empty, not null; and older than the one before */
    {8, RECORD(10, TEXT("twins"))},
    {10, RECORD(10, TEXT("twins"))},
    {11, RECORD(11, TEXT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))},
    {12, RECORD(12, TEXT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"))},
    {13, RECORD(13, TEXT("the last one"), .headers = headers, .headers_count = 1)},
};
#define EXPECTED (sizeof expected / sizeof expected[0])

static const char *const files[] = {"t/topic",
                                    "t/0/frontier",
                                    "t/0/00000000000000000000.log",
                                    "t/0/00000000000000000000.index",
                                    "t/0/00000000000000000008.log",
                                    "t/0/00000000000000000008.index"};
#define FILES (sizeof files / sizeof files[0])
#define SECOND_SEGMENT 4

static const char *golden_path(void)
{
    static char path[4096];
    const char *source = getenv("SPATE_SOURCE");
    if (source)
        snprintf(path, sizeof path, "%s/tests/golden/segment-v1", source);
    else
        snprintf(path, sizeof path, "%.*ssegment-v1", (int)(strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__);
    return path;
}

static uint64_t build(struct log_dir *dir)
{
    log_dir_begin(dir);
    for (size_t i = 0; i < 3; i++)
        log_dir_record(dir, &expected[i].record);
    log_dir_aborted(dir, 160, 3);
    log_dir_seal(dir, SPATE_COMPRESSION_NONE);
    log_dir_record(dir, &expected[3].record);
    log_dir_record(dir, &expected[4].record);
    log_dir_seal(dir, SPATE_COMPRESSION_NONE);
    log_dir_finish(dir);
    log_dir_begin(dir);
    log_dir_record(dir, &expected[5].record);
    log_dir_aborted(dir, 16, 1);
    log_dir_record(dir, &expected[6].record);
    log_dir_seal(dir, SPATE_COMPRESSION_NONE);
    for (size_t i = 7; i < EXPECTED; i++)
        log_dir_record(dir, &expected[i].record);
    const uint64_t packed_at = log_dir_seal(dir, SPATE_COMPRESSION_LZ4)->at;
    log_dir_finish(dir);
    log_dir_frontier(dir, 1, true);
    log_dir_topic(dir, SPATE_COMPRESSION_LZ4);
    return packed_at;
}

/* Reads a whole file; fails when there is none. */
static size_t read_file(const char *root, const char *name, uint8_t *bytes)
{
    char path[4600];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "rb");
    CHECKF(file != NULL, "%s is missing", path);
    const size_t size = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    return size;
}

/* -1: equal; else the first byte that differs, or where the shorter one ends. */
static int64_t first_difference(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t at = 0;
    while (at < a_size && at < b_size && a[at] == b[at])
        at++;
    return at == a_size && at == b_size ? -1 : (int64_t)at;
}

static uint8_t golden[FILE_MAX], now[FILE_MAX];

static void what_is_written_is_what_was_committed(void **state)
{
    struct log_dir dir;
    (void)state;
    if (SP_LOG_VERSION != 1)
        proc_skip("another version is written by now");
    log_dir_open(&dir, proc_file("../built"));
    const uint64_t packed_at = build(&dir);
    CHECK(packed_at > 0);
    for (size_t i = 0; i < FILES; i++) {
        size_t size = read_file(golden_path(), files[i], golden), built = read_file(dir.path, files[i], now);
        if (i == SECOND_SEGMENT) {
            const size_t fixed = (size_t)packed_at;
            CHECK(size > fixed && built > fixed);
            IS(golden[fixed] & SP_BLOCK_CODEC_MASK, SPATE_COMPRESSION_LZ4);
            size = built = fixed;
        }
        const int64_t at = first_difference(golden, size, now, built);
        CHECKF(at < 0, "%s differs at byte %lld: other builds would misread it; see the opening comment", files[i], (long long)at);
    }
    log_dir_drop(&dir);
}

static void a_changed_byte_would_be_seen(void **state)
{
    (void)state; /* the planted bug */
    const size_t size = read_file(golden_path(), files[0], golden);
    memcpy(now, golden, size);
    IS(first_difference(golden, size, now, size), -1);
    now[700] ^= 1;
    IS(first_difference(golden, size, now, size), 700);
    now[700] ^= 1;
    IS(first_difference(golden, size, now, size - 1), size - 1);
}

static void check_record(const struct spate_record *got, size_t i)
{
    const struct spate_record *want = &expected[i].record;

    IS(got->offset, expected[i].offset);
    IS(got->timestamp, want->timestamp);
    CHECK((got->key == NULL) == (want->key == NULL) && got->key_size == want->key_size);
    CHECK((got->value == NULL) == (want->value == NULL) && got->value_size == want->value_size);
    CHECK(!want->key_size || memcmp(got->key, want->key, want->key_size) == 0);
    CHECK(!want->value_size || memcmp(got->value, want->value, want->value_size) == 0);
    IS(got->headers_count, want->headers_count);
    for (uint32_t j = 0; j < want->headers_count; j++) {
        struct spate_header header;
        OK(spate_record_header(got, j, &header));
        IS(header.name_size, headers[j].name_size);
        CHECK(memcmp(header.name, headers[j].name, header.name_size) == 0);
        IS(header.value_size, headers[j].value_size);
        CHECK((header.value == NULL) == (headers[j].value == NULL));
        CHECK(!header.value_size || memcmp(header.value, headers[j].value, header.value_size) == 0);
    }
}

static spate_topic *open_golden(spate_bus **ret_bus)
{
    struct spate_bus_options options;
    spate_topic *topic = NULL;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    OK(spate_bus_open(golden_path(), &options, ret_bus));
    OK(spate_topic_open(*ret_bus, "t", &topic));
    return topic;
}

static void read_from(spate_topic *topic, uint32_t start, int64_t value, size_t first)
{
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_AUTO, start, value);
    struct spate_record record;

    for (size_t i = first; i < EXPECTED; i++) {
        IS(spate_poll(consumer, &record, 1, 0), 1);
        check_record(&record, i);
    }
    IS(spate_poll(consumer, &record, 1, 0), 0);
    IS(spate_position(consumer, 0), 14);
    spate_consumer_close(consumer);
}

static void every_record_is_read_as_it_was_written(void **state)
{
    spate_bus *bus;
    (void)state;
    spate_topic *topic = open_golden(&bus);
    read_from(topic, SPATE_START_BEGINNING, 0, 1); /* the frontier says that offset 0 was deleted */
    read_from(topic, SPATE_START_OFFSET, 1, 1);
    read_from(topic, SPATE_START_OFFSET, 4, 3);
    read_from(topic, SPATE_START_OFFSET, 12, 8);
    read_from(topic, SPATE_START_LAST, 3, 7);
    read_from(topic, SPATE_START_TIME, expected[3].record.timestamp, 3);
    read_from(topic, SPATE_START_TIME, expected[6].record.timestamp + 1, 7);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void the_topic_is_described_as_it_was_created(void **state)
{
    struct spate_topic_info info;
    spate_bus *bus;
    (void)state;
    spate_topic *topic = open_golden(&bus);
    OK(spate_topic_describe(topic, &info));
    CHECK(strcmp(info.name, "t") == 0);
    IS(info.id[0], 0xa0);
    IS(info.id[15], 0xaf);
    IS(info.created, 1700000000000000000);
    IS(info.partitions, 1);
    IS(info.ring_capacity, 4 << 20);
    IS(info.alignment, 16);
    IS(info.timestamp, SPATE_TIMESTAMP_CALLER);
    IS(info.producers_max, 4);
    IS(info.consumers_max, 4);
    IS(info.durable, 1);
    IS(info.flush, SPATE_FLUSH_INTERVAL);
    IS(info.compression, SPATE_COMPRESSION_LZ4);
    IS(info.cleanup, SPATE_CLEANUP_DELETE);
    IS(info.flush_interval, 100000000);
    IS(info.segment_size, SPATE_SEGMENT_MIN);
    IS(info.segment_age, -1);
    IS(info.retention_size, -1);
    IS(info.retention_time, 604800000000000);
    IS(info.tombstone_delay, 86400000000000);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int setup(void **state)
{
    if (proc_setup(state) != 0)
        return -1;
    struct log_dir dir;
    struct stat status;
    if (getenv("SPATE_GOLDEN_WRITE") && stat(golden_path(), &status) < 0) {
        log_dir_open(&dir, golden_path());
        (void)build(&dir);
        log_dir_drop(&dir);
    }
    return mkdir(proc_bus_path(), 0755); /* so that paths beside it can be named */
}

#define GOLDEN_TEST(function) cmocka_unit_test_setup_teardown(function, setup, proc_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GOLDEN_TEST(what_is_written_is_what_was_committed),
        GOLDEN_TEST(a_changed_byte_would_be_seen),
        GOLDEN_TEST(every_record_is_read_as_it_was_written),
        GOLDEN_TEST(the_topic_is_described_as_it_was_created),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
