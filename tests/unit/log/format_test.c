/* format_test.c: the structs of the log as they are judged: no bit of a sealed one may change, versions that this build cannot read are
 * refused with the reason, and so is what no build writes, although its checksum is right.
 *
 * Run by ctest with the label `unit`. Pure functions on memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "base/crc32c.h"
#include "layout/ring_layout.h"
#include "log/format.h"

/* A struct under test: how it is sealed anew after a change, and judged. */
struct kind {
    const char *name;
    size_t size;
    const char *(*check)(const void *bytes);
    void (*seal)(void *bytes); /* as it would be if that were what is meant */
};

static struct sp_segment_identity identity;
static union {
    uint8_t bytes[4096];
    struct sp_segment_header segment;
    struct sp_block_header block;
    struct sp_frontier frontier;
    struct sp_log_topic topic;
    struct {
        struct sp_index_header header;
        struct sp_index_entry entries[3];
    } index;
} it;

static uint32_t crc_of(const void *bytes, size_t size, size_t crc_at)
{
    uint8_t copy[4096];
    memcpy(copy, bytes, size);
    memset(copy + crc_at, 0, 4);
    return sp_crc32c(0, copy, size);
}

static const char *check_segment(const void *bytes)
{
    struct sp_segment_identity got;
    return sp_segment_header_check(bytes, &got);
}

static void seal_segment(void *bytes)
{
    struct sp_segment_header *header = bytes;
    header->crc = crc_of(bytes, sizeof *header, offsetof(struct sp_segment_header, crc));
}

static const char *check_block(const void *bytes)
{
    return sp_block_check(bytes, &identity, UINT64_MAX);
}

static void seal_block(void *bytes)
{
    sp_block_seal(bytes, identity.salt);
}

static const char *check_frontier(const void *bytes)
{
    return sp_frontier_check(bytes);
}

static void seal_frontier(void *bytes)
{
    struct sp_frontier *frontier = bytes;
    frontier->crc = crc_of(bytes, sizeof *frontier, offsetof(struct sp_frontier, crc));
}

static const char *check_index(const void *bytes)
{
    return sp_index_check(bytes, sizeof it.index);
}

static void seal_index(void *bytes)
{
    struct sp_index_header *header = bytes;
    header->crc = crc_of(bytes, sizeof it.index, offsetof(struct sp_index_header, crc));
}

static const char *check_topic(const void *bytes)
{
    struct spate_topic_config config;
    return sp_log_topic_take(bytes, &config);
}

static void seal_topic(void *bytes)
{
    struct sp_log_topic *topic = bytes;
    topic->crc = crc_of(bytes, sizeof *topic, offsetof(struct sp_log_topic, crc));
}

static const struct kind segment_kind = {"segment", sizeof(struct sp_segment_header), check_segment, seal_segment};
static const struct kind block_kind = {"block", sizeof(struct sp_block_header), check_block, seal_block};
static const struct kind frontier_kind = {"frontier", sizeof(struct sp_frontier), check_frontier, seal_frontier};
static const struct kind index_kind = {"index", sizeof it.index, check_index, seal_index};
static const struct kind topic_kind = {"topic", sizeof(struct sp_log_topic), check_topic, seal_topic};

static void make_segment(void)
{
    memset(&it, 0, sizeof it);
    identity = (struct sp_segment_identity){.topic_id = "an id",
                                            .partition = 7,
                                            .unit_shift = 4,
                                            .base_offset = 1000,
                                            .salt = 0x0123456789abcdef,
                                            .stamp_salt = 0xfedcba9876543210,
                                            .created = 17,
                                            .record_max = 1 << 20};
    sp_segment_header_make(&it.segment, &identity);
}

static void make_block(void)
{
    make_segment();
    memset(&it, 0, sizeof it);
    it.block = (struct sp_block_header){.kind = SP_BLOCK_MAGIC,
                                        .data_crc = 0x01020304,
                                        .previous = identity.crc,
                                        .base_offset = 1003,
                                        .position = 64000,
                                        .first_timestamp = 18,
                                        .last_timestamp = 19,
                                        .count = 3,
                                        .raw_size = 4800,
                                        .stored_size = 4800,
                                        .epoch = 0};
    sp_block_seal(&it.block, identity.salt);
}

static void make_frontier(void)
{
    memset(&it, 0, sizeof it);
    it.frontier = (struct sp_frontier){.sequence = 5,
                                       .segment = 1000,
                                       .at = 8192,
                                       .offset = 1006,
                                       .position = 68800,
                                       .start_offset = 3,
                                       .previous = 0x01020304,
                                       .clean = 1,
                                       .topic_id = "an id"};
    sp_frontier_seal(&it.frontier);
}

static void make_index(void)
{
    memset(&it, 0, sizeof it);
    it.index.header = (struct sp_index_header){
        .count = 3, .segment_size = 1 << 20, .salt = identity.salt, .max_timestamp = 40, .next_offset = 1040};
    for (uint32_t i = 0; i < 3; i++)
        it.index.entries[i] = (struct sp_index_entry){1000 + 10 * i, 10 * (int64_t)i, 4096 + 65536 * i};
    sp_index_seal(&it.index.header, it.index.entries);
}

static void make_topic(void)
{
    struct spate_topic_info info = {.name = "topic.name",
                                    .id = "an id",
                                    .created = 17,
                                    .partitions = 5,
                                    .ring_capacity = 1 << 20,
                                    .alignment = 64,
                                    .producers_max = 6,
                                    .consumers_max = 7,
                                    .numa_node = -1,
                                    .uid = 8,
                                    .gid = 9,
                                    .ring_file_mode = 0640,
                                    .cursors_file_mode = 0660,
                                    .durable = 1,
                                    .flush = SPATE_FLUSH_EACH,
                                    .compression = SPATE_COMPRESSION_LZ4,
                                    .cleanup = SPATE_CLEANUP_COMPACT,
                                    .flush_interval = 10,
                                    .segment_size = 11,
                                    .segment_age = 12,
                                    .retention_size = 13,
                                    .retention_time = 14,
                                    .tombstone_delay = 15};
    sp_log_topic_make(&it.topic, &info);
}

/* Every bit of it, one at a time. */
static void check_every_bit(const struct kind *kind)
{
    uint8_t intact[sizeof it];

    assert_null(kind->check(&it));
    memcpy(intact, &it, sizeof it);
    for (size_t bit = 0; bit < 8 * kind->size; bit++) {
        it.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (kind->check(&it) == NULL)
            fail_msg("%s: byte %zu, bit %zu may be flipped, and nobody notices", kind->name, bit / 8, bit % 8);
        memcpy(&it, intact, sizeof it);
    }
}

static void no_bit_of_a_segment_header_may_change(void **state)
{
    (void)state;
    make_segment();
    check_every_bit(&segment_kind);
}

static void no_bit_of_a_block_header_may_change(void **state)
{
    (void)state;
    make_block();
    check_every_bit(&block_kind);
}

static void no_bit_of_a_frontier_may_change(void **state)
{
    (void)state;
    make_frontier();
    check_every_bit(&frontier_kind);
}

static void no_bit_of_an_index_or_its_entries_may_change(void **state)
{
    (void)state;
    make_index();
    check_every_bit(&index_kind);
}

static void no_bit_of_a_topic_file_may_change(void **state)
{
    (void)state;
    make_topic();
    check_every_bit(&topic_kind);
}

/* Everything but blocks has a version at byte 8. */
static void check_versions(const struct kind *kind)
{
    uint32_t version;

    static_assert(offsetof(struct sp_segment_header, version) == 8 && offsetof(struct sp_index_header, version) == 8 &&
                      offsetof(struct sp_frontier, version) == 8 && offsetof(struct sp_log_topic, version) == 8,
                  "the version is where any build finds it");
    assert_null(kind->check(&it));
    for (uint32_t other = 0; other < 3; other++) {
        if (other == SP_LOG_VERSION)
            continue;
        version = other;
        memcpy(it.bytes + 8, &version, sizeof version);
        assert_non_null(kind->check(&it));
        assert_non_null(strstr(kind->check(&it), "version is damaged")); /* all else is as it was sealed: a bit was flipped */
        const char *expected = other > SP_LOG_VERSION ? "newer build" : "version is 0";
        kind->seal(&it);
        assert_non_null(strstr(kind->check(&it), expected));
        it.bytes[12] ^= 1; /* a newer build may compute its checksum in another way */
        assert_non_null(strstr(kind->check(&it), expected));
        version = SP_LOG_VERSION;
        memcpy(it.bytes + 8, &version, sizeof version);
        kind->seal(&it);
    }
    version = SP_LOG_VERSION;
    memcpy(it.bytes + 8, &version, sizeof version);
    kind->seal(&it);
    assert_null(kind->check(&it));
    it.bytes[0] ^= 1; /* the magic goes before everything */
    kind->seal(&it);
    assert_non_null(kind->check(&it));
    assert_non_null(strstr(kind->check(&it), "it is not "));
}

static void other_versions_are_refused_and_named(void **state)
{
    (void)state;
    make_segment();
    check_versions(&segment_kind);
    make_frontier();
    check_versions(&frontier_kind);
    make_index();
    check_versions(&index_kind);
    make_topic();
    check_versions(&topic_kind);
}

/* One impossible value, with a right checksum. */
static void expect_refused(const struct kind *kind, const char *what)
{
    kind->seal(&it);
    const char *reason = kind->check(&it);
    if (!reason)
        fail_msg("%s: %s is believed", kind->name, what);
    if (strstr(reason, "checksum") || strstr(reason, "version"))
        fail_msg("%s: %s is refused for another reason: %s", kind->name, what, reason);
}

static void a_segment_header_with_impossible_values_is_refused(void **state)
{
    (void)state;
#define REFUSED(field, value) (make_segment(), it.segment.field = (value), expect_refused(&segment_kind, #field " = " #value))
    REFUSED(unit_shift, 2);
    REFUSED(unit_shift, 8);
    REFUSED(unit_shift, UINT32_MAX);
    REFUSED(partition, SPATE_PARTITIONS_MAX);
    REFUSED(record_max, UINT64_MAX);
    REFUSED(record_max, sp_ring_record_size_max(SPATE_RING_MAX) + 1);
#undef REFUSED
}

static void a_block_header_with_impossible_values_is_refused(void **state)
{
    (void)state;
#define REFUSED(field, value) (make_block(), it.block.field = (value), expect_refused(&block_kind, #field " = " #value))
    REFUSED(kind, SP_BLOCK_MAGIC | 2);
    REFUSED(kind, SP_BLOCK_MAGIC | 0x20);
    REFUSED(kind, SP_BLOCK_MAGIC | 0x80);
    REFUSED(kind, SP_BLOCK_MAGIC | SPATE_COMPRESSION_LZ4); /* as large as it was */
    REFUSED(count, 0);
    REFUSED(raw_size, 0);
    REFUSED(raw_size, 8);
    REFUSED(raw_size, 4808);
    REFUSED(raw_size, 4816); /* not compressed, and of another size */
    REFUSED(stored_size, 4784);
    REFUSED(base_offset, 999); /* before the segment */
    REFUSED(base_offset, INT64_MAX);
    REFUSED(base_offset, UINT64_MAX);
    REFUSED(position, 64008);
    REFUSED(position, INT64_MAX / 16 * 16);
    REFUSED(position, UINT64_MAX - 15);
#undef REFUSED
    make_block();
    it.block.kind |= SPATE_COMPRESSION_LZ4;
    it.block.stored_size = 100;
    seal_block(&it);
    assert_null(check_block(&it));
    it.block.raw_size = 1 << 20; /* no 100 bytes become a MiB */
    expect_refused(&block_kind, "a size that nothing expands to");
    it.block.raw_size = (uint32_t)LZ4_MAX_INPUT_SIZE / 16 * 16 + 16;
    it.block.stored_size = it.block.raw_size - 16;
    expect_refused(&block_kind, "a raw size that LZ4 does not take");
}

static void a_block_may_not_be_larger_than_what_is_left_of_the_file(void **state)
{
    (void)state;
    make_block();
    assert_null(sp_block_check(&it.block, &identity, 64 + 4800));
    assert_non_null(sp_block_check(&it.block, &identity, 64 + 4799));
    assert_non_null(sp_block_check(&it.block, &identity, 4799));
    assert_non_null(sp_block_check(&it.block, &identity, 64));
}

static void a_block_of_another_segment_is_refused(void **state)
{
    (void)state;
    make_block();
    struct sp_segment_identity other = identity;
    other.salt++;
    assert_non_null(sp_block_check(&it.block, &other, UINT64_MAX));
    other = identity;
    other.salt ^= UINT64_C(1) << 31;
    assert_non_null(sp_block_check(&it.block, &other, UINT64_MAX));
}

static void a_frontier_that_points_into_a_block_is_refused(void **state)
{
    (void)state;
    make_frontier();
    it.frontier.at = 8193;
    expect_refused(&frontier_kind, "at = 8193");
}

static void a_frontier_of_offsets_that_cannot_be_is_refused(void **state)
{
    (void)state;
    make_frontier();
    it.frontier.offset = UINT64_MAX;
    expect_refused(&frontier_kind, "offset = UINT64_MAX");
    make_frontier();
    it.frontier.segment = (uint64_t)INT64_MAX + 1;
    expect_refused(&frontier_kind, "segment = INT64_MAX + 1");
    make_frontier();
    it.frontier.start_offset = UINT64_MAX;
    expect_refused(&frontier_kind, "start_offset = UINT64_MAX");
}

static void an_index_of_another_size_than_its_file_is_refused(void **state)
{
    (void)state;
    make_index();
    assert_non_null(sp_index_check(&it.index.header, sizeof it.index - 1));
    assert_non_null(sp_index_check(&it.index.header, sizeof it.index + 24));
    assert_non_null(sp_index_check(&it.index.header, sizeof(struct sp_index_header)));
    assert_non_null(sp_index_check(&it.index.header, 10));
    assert_non_null(sp_index_check(&it.index.header, 0));
    make_index();
    it.index.header.count = UINT64_MAX / 24 + 1; /* 24 times that is 8, in 64 bits */
    assert_non_null(sp_index_check(&it.index.header, sizeof it.index.header + 8));
}

static void an_index_without_entries_is_good(void **state)
{
    (void)state;
    make_index();
    it.index.header.count = 0;
    sp_index_seal(&it.index.header, NULL);
    assert_null(sp_index_check(&it.index.header, sizeof it.index.header));
}

static void a_topic_with_impossible_values_is_refused(void **state)
{
    (void)state;
    make_topic();
    it.topic.partitions = 0;
    expect_refused(&topic_kind, "partitions = 0");
    make_topic();
    it.topic.partitions = SPATE_PARTITIONS_MAX + 1;
    expect_refused(&topic_kind, "1025 partitions");
    make_topic();
    memset(it.topic.name, 'a', sizeof it.topic.name);
    expect_refused(&topic_kind, "a name without end");
}

static void a_topic_file_says_what_the_topic_was_created_with(void **state)
{
    struct spate_topic_config config;
    (void)state;
    make_topic();
    assert_null(sp_log_topic_take(&it.topic, &config));
    assert_int_equal(config.partitions, 5);
    assert_int_equal(config.ring_capacity, 1 << 20);
    assert_int_equal(config.alignment, 64);
    assert_int_equal(config.producers_max, 6);
    assert_int_equal(config.consumers_max, 7);
    assert_int_equal(config.numa_node, -1);
    assert_int_equal(config.uid, 8);
    assert_int_equal(config.gid, 9);
    assert_int_equal(config.durable, 1);
    assert_int_equal(config.flush, SPATE_FLUSH_EACH);
    assert_int_equal(config.compression, SPATE_COMPRESSION_LZ4);
    assert_int_equal(config.cleanup, SPATE_CLEANUP_COMPACT);
    assert_int_equal(config.flush_interval, 10);
    assert_int_equal(config.segment_size, 11);
    assert_int_equal(config.segment_age, 12);
    assert_int_equal(config.retention_size, 13);
    assert_int_equal(config.retention_time, 14);
    assert_int_equal(config.tombstone_delay, 15);
    assert_string_equal(it.topic.name, "topic.name");
}

static void of_two_frontiers_the_newest_that_is_valid_counts(void **state)
{
    struct sp_frontier a, b;
    (void)state;
    make_frontier();
    a = b = it.frontier;
    b.sequence = a.sequence + 1;
    sp_frontier_seal(&b);
    assert_ptr_equal(sp_frontier_newest(&a, &b), &b);
    assert_ptr_equal(sp_frontier_newest(&b, &a), &b);
    b.offset++; /* torn */
    assert_ptr_equal(sp_frontier_newest(&a, &b), &a);
    assert_ptr_equal(sp_frontier_newest(&b, &a), &a);
    a.offset++;
    assert_null(sp_frontier_newest(&a, &b));
    memset(&a, 0, sizeof a);
    sp_frontier_seal(&b);
    assert_ptr_equal(sp_frontier_newest(&a, &b), &b);
}

static void names_of_segments_lead_there_and_back(void **state)
{
    static const uint64_t bases[] = {0, 1, 1234567890123456789, INT64_MAX, UINT64_MAX};
    static const char *const others[] = {"",
                                         ".log",
                                         "1.log",
                                         "0000000000000000000a.log",
                                         "00000000000000000001.index",
                                         "00000000000000000001.log2",
                                         "99999999999999999999.log",
                                         " 0000000000000000001.log",
                                         "-0000000000000000001.log",
                                         "+0000000000000000001.log",
                                         "frontier",
                                         "spare"};
    char name[SP_SEGMENT_NAME_SIZE];
    uint64_t base = 77;
    (void)state;
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        sp_segment_name(bases[i], "log", name);
        assert_int_equal(strlen(name), 24);
        assert_true(sp_segment_base(name, "log", &base));
        assert_true(base == bases[i]);
        assert_false(sp_segment_base(name, "index", &base));
    }
    base = 77;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (sp_segment_base(others[i], "log", &base) || base != 77)
            fail_msg("\"%s\" passes for a segment", others[i]);
}

static void records_come_out_of_a_compressed_block_as_they_went_in(void **state)
{
    uint8_t raw[8192], stored[8192], again[8192];
    struct sp_block_header header = {.kind = SP_BLOCK_MAGIC | SPATE_COMPRESSION_LZ4};
    (void)state;
    for (uint32_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i / 100);
    header.raw_size = sizeof raw;
    header.stored_size = sp_block_pack(raw, sizeof raw, stored);
    assert_in_range(header.stored_size, 1, 2000);
    assert_null(sp_block_unpack(&header, stored, again));
    assert_memory_equal(raw, again, sizeof raw);
    header.raw_size -= 16; /* it becomes more, or less, than it should */
    assert_non_null(sp_block_unpack(&header, stored, again));
    header.raw_size += 32;
    uint8_t *larger = malloc(header.raw_size);
    assert_non_null(larger);
    assert_non_null(sp_block_unpack(&header, stored, larger));
    free(larger);
    header.raw_size = sizeof raw;
    header.stored_size--;
    assert_non_null(sp_block_unpack(&header, stored, again));
}

static void what_does_not_become_smaller_is_not_compressed(void **state)
{
    uint8_t raw[4096], stored[4096];
    uint64_t random = 1;
    (void)state;
    for (uint32_t i = 0; i < sizeof raw; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        raw[i] = (uint8_t)(random >> 56);
    }
    assert_int_equal(sp_block_pack(raw, sizeof raw, stored), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_of_a_segment_header_may_change),
        cmocka_unit_test(no_bit_of_a_block_header_may_change),
        cmocka_unit_test(no_bit_of_a_frontier_may_change),
        cmocka_unit_test(no_bit_of_an_index_or_its_entries_may_change),
        cmocka_unit_test(no_bit_of_a_topic_file_may_change),
        cmocka_unit_test(other_versions_are_refused_and_named),
        cmocka_unit_test(a_segment_header_with_impossible_values_is_refused),
        cmocka_unit_test(a_block_header_with_impossible_values_is_refused),
        cmocka_unit_test(a_block_may_not_be_larger_than_what_is_left_of_the_file),
        cmocka_unit_test(a_block_of_another_segment_is_refused),
        cmocka_unit_test(a_frontier_that_points_into_a_block_is_refused),
        cmocka_unit_test(a_frontier_of_offsets_that_cannot_be_is_refused),
        cmocka_unit_test(an_index_of_another_size_than_its_file_is_refused),
        cmocka_unit_test(an_index_without_entries_is_good),
        cmocka_unit_test(a_topic_with_impossible_values_is_refused),
        cmocka_unit_test(a_topic_file_says_what_the_topic_was_created_with),
        cmocka_unit_test(of_two_frontiers_the_newest_that_is_valid_counts),
        cmocka_unit_test(names_of_segments_lead_there_and_back),
        cmocka_unit_test(records_come_out_of_a_compressed_block_as_they_went_in),
        cmocka_unit_test(what_does_not_become_smaller_is_not_compressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
