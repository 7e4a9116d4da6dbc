/* layout_test.c: the checks that attach makes: each field of each header out of its range is refused with the right error, and the regions
 * lie where the prose says.
 *
 * Run by ctest with the label `unit`. The bytes themselves are pinned by golden/layout_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "layout/bus_layout.h"
#include "layout/counters.h"
#include "layout/cursors_layout.h"
#include "layout/ring_layout.h"
#include "layout/topic_layout.h"
#include "static_ring.h"

static const uint8_t id[16] = "0123456789abcde";

static void a_sealed_file_is_accepted_and_an_unsealed_one_is_not(void **state)
{
    struct sp_file_header header = {0};
    (void)state;
    sp_file_header_format(&header, 8192, id, 1234, 3, 4096);
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8192, "f"), -EBADMSG);
    sp_file_header_seal(&header, SP_RING_MAGIC);
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8192, "f"), 0);
    assert_int_equal(sp_file_header_check(&header, SP_BUS_MAGIC, 8192, "f"), -EBADMSG);
    assert_int_equal(header.partition, 3);
    assert_int_equal(header.created, 1234);
    assert_memory_equal(header.id, id, 16);
}

static void a_truncated_or_extended_file_is_refused(void **state)
{
    struct sp_file_header header = {0};
    (void)state;
    sp_file_header_format(&header, 8192, id, 0, 0, 4096);
    sp_file_header_seal(&header, SP_RING_MAGIC);
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8191, "f"), -EBADMSG);
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8193, "f"), -EBADMSG);
    assert_non_null(strstr(spate_last_error(), "truncated"));
}

static void another_version_or_layout_is_refused_and_both_are_named(void **state)
{
    struct sp_file_header header = {0};
    (void)state;
    sp_file_header_format(&header, 8192, id, 0, 0, 4096);
    sp_file_header_seal(&header, SP_RING_MAGIC);
    header.version = 42;
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8192, "some/file"), -EPROTO);
    assert_non_null(strstr(spate_last_error(), "some/file"));
    assert_non_null(strstr(spate_last_error(), "42"));
    assert_non_null(strstr(spate_last_error(), spate_version()));
    header.version = SP_LAYOUT_VERSION;
    header.layout_crc ^= 1;
    assert_int_equal(sp_file_header_check(&header, SP_RING_MAGIC, 8192, "f"), -EPROTO);
}

/* --------------------------------------------------------------------------------------------------------- ring */

static struct sp_ring_header ring_header(uint64_t capacity, uint32_t producers_max, uint32_t page_size)
{
    static struct sp_ring_header header;
    struct sp_ring_config config = {.capacity = capacity, .unit_shift = 6, .producers_max = producers_max, .page_size = page_size};
    memset(&header, 0, sizeof header);
    sp_ring_format(&header, &config);
    header.file.page_size = page_size;
    return header;
}

static uint64_t ring_size(const struct sp_ring_header *header)
{
    return sp_ring_regions(header->producers_max, header->capacity, header->file.page_size).file_size;
}

static void every_ring_that_can_be_created_is_accepted(void **state)
{
    static const uint32_t producers[] = {1, 2, 3, 64, 100, 1023, 1024};
    static const uint32_t pages[] = {4096, 65536, 1u << 21, 1u << 30};
    (void)state;
    for (uint64_t capacity = SPATE_RING_MIN; capacity <= SPATE_RING_MAX; capacity *= 2) {
        for (size_t p = 0; p < sizeof producers / sizeof producers[0]; p++) {
            for (size_t g = 0; g < sizeof pages / sizeof pages[0]; g++) {
                struct sp_ring_header header = ring_header(capacity, producers[p], pages[g]);
                assert_int_equal(sp_ring_header_check(&header, ring_size(&header), "r"), 0);
                /* what the ring relies on */
                assert_true(header.record_size_max <= capacity / 2);
                assert_true(capacity / header.chunk_size <= SP_MARKS);
                assert_true(capacity / header.chunk_size >= 16);
                assert_int_equal(header.data_offset % pages[g], 0);
                assert_true(header.data_offset >= SP_RING_HEADER_SIZE + producers[p] * sizeof(struct sp_producer_slot));
            }
        }
    }
}

static void a_ring_header_with_any_field_out_of_range_is_refused(void **state)
{
    const struct sp_ring_header good = ring_header(SPATE_RING_MIN, 4, 4096);
    const uint64_t size = ring_size(&good);
    struct sp_ring_header bad;
    (void)state;
#define REFUSED(change)                                                    \
    do {                                                                   \
        bad = good;                                                        \
        change;                                                            \
        assert_int_equal(sp_ring_header_check(&bad, size, "r"), -EBADMSG); \
    } while (0)
    REFUSED(bad.capacity = 0);
    REFUSED(bad.capacity = SPATE_RING_MIN / 2);
    REFUSED(bad.capacity = SPATE_RING_MIN + 8);
    REFUSED(bad.capacity = SPATE_RING_MAX * 2);
    REFUSED(bad.capacity = SPATE_RING_MIN * 2);
    REFUSED(bad.data_offset += 4096);
    REFUSED(bad.data_offset = UINT64_MAX);
    REFUSED(bad.unit_shift = 2);
    REFUSED(bad.unit_shift = 8);
    REFUSED(bad.unit_shift = UINT32_MAX);
    REFUSED(bad.mode = 2);
    REFUSED(bad.timestamp = 3);
    REFUSED(bad.producers_max = 0);
    REFUSED(bad.producers_max = 1025);
    REFUSED(bad.producers_max = UINT32_MAX);
    REFUSED(bad.record_size_max++);
    REFUSED(bad.chunk_size = 0);
    REFUSED(bad.file.page_size = 0);
    REFUSED(bad.file.page_size = 2048);
    REFUSED(bad.file.page_size = 4097);
    REFUSED(bad.file.page_size = 1u << 31);
    assert_int_equal(sp_ring_header_check(&good, size + 4096, "r"), -EBADMSG);
    assert_int_equal(sp_ring_header_check(&good, size - 1, "r"), -EBADMSG);
#undef REFUSED
}

static void a_view_of_a_ring_stays_inside_whatever_the_header_says_afterwards(void **state)
{
    struct static_ring s;
    struct sp_ring before;
    (void)state; /* a hostile producer may change the header between the check and the use */
    static_ring_open(&s, NULL);
    before = s.ring;
    s.header->record_size_max = UINT64_MAX;
    s.header->chunk_size = 0;
    struct sp_ring after;
    sp_ring_init(&after, s.header, s.data, s.cursors);
    assert_int_equal(after.record_size_max, before.record_size_max);
    assert_int_equal(after.chunk_size, before.chunk_size);
    assert_int_equal(after.marks_count, before.marks_count);
    static_ring_close(&s);
}

/* ------------------------------------------------------------------------------------------------ cursors, bus, topic */

static void cursors_out_of_range_are_refused(void **state)
{
    static struct sp_cursors_header header;
    (void)state;
    memset(&header, 0, sizeof header);
    header.file.page_size = 4096;
    for (uint32_t n = 1; n <= 4096; n++) {
        header.consumers_max = n;
        uint64_t size = sp_cursors_file_size(n, 4096);
        assert_true(size >= sizeof header + n * sizeof(struct sp_cursor));
        assert_int_equal(size % 4096, 0);
        assert_int_equal(sp_cursors_header_check(&header, size, "c"), 0);
        assert_int_equal(sp_cursors_header_check(&header, size + 4096, "c"), -EBADMSG);
    }
    header.consumers_max = 0;
    assert_int_equal(sp_cursors_header_check(&header, sp_cursors_file_size(0, 4096), "c"), -EBADMSG);
    header.consumers_max = 4097;
    assert_int_equal(sp_cursors_header_check(&header, sp_cursors_file_size(4097, 4096), "c"), -EBADMSG);
    header.consumers_max = UINT32_MAX;
    assert_int_equal(sp_cursors_header_check(&header, 4096, "c"), -EBADMSG);
    header.consumers_max = 1;
    header.file.page_size = 3;
    assert_int_equal(sp_cursors_header_check(&header, 4096, "c"), -EBADMSG);
}

static void a_bus_header_out_of_range_is_refused(void **state)
{
    static struct sp_bus_header header;
    struct sp_bus_regions regions = sp_bus_regions(256, 1024, 4096);
    (void)state;
    memset(&header, 0, sizeof header);
    header.file.page_size = 4096;
    header.participants_max = 256;
    header.wakes_max = 1024;
    header.counters_count = SP_COUNTER_DESCRIPTORS_MAX;
    assert_int_equal(regions.participants, 4096);
    assert_int_equal(regions.wakes, 4096 + 256 * 128);
    assert_int_equal(regions.file_size, 4096 + 256 * 128 + 1024 * 64);
    assert_int_equal(sp_bus_header_check(&header, regions.file_size, "b"), 0);
    assert_int_equal(sp_bus_header_check(&header, regions.file_size - 4096, "b"), -EBADMSG);
    header.wakes_max = 1025;
    assert_int_equal(sp_bus_header_check(&header, regions.file_size, "b"), -EBADMSG);
    header.wakes_max = 1024;
    header.counters_count = SP_COUNTER_DESCRIPTORS_MAX + 1;
    assert_int_equal(sp_bus_header_check(&header, regions.file_size, "b"), -EBADMSG);
    header.counters_count = 0;
    header.participants_max = 0;
    header.wakes_max = 0;
    assert_int_equal(sp_bus_header_check(&header, 4096, "b"), -EBADMSG);
    header.participants_max = 1u << 30; /* times four wraps to 0 */
    assert_int_equal(sp_bus_header_check(&header, 4096, "b"), -EBADMSG);
}

static void a_topic_file_out_of_range_is_refused(void **state)
{
    static struct sp_topic_file good, bad;
    (void)state;
    memset(&good, 0, sizeof good);
    good.partitions = 1;
    good.ring_capacity = SPATE_RING_MIN;
    good.alignment = 64;
    good.producers_max = 64;
    good.consumers_max = 32;
    assert_int_equal(sp_topic_file_check(&good, "t"), 0);
#define REFUSED(change)                                             \
    do {                                                            \
        bad = good;                                                 \
        change;                                                     \
        assert_int_equal(sp_topic_file_check(&bad, "t"), -EBADMSG); \
    } while (0)
    REFUSED(bad.partitions = 0);
    REFUSED(bad.partitions = SPATE_PARTITIONS_MAX + 1);
    REFUSED(bad.ring_capacity = SPATE_RING_MIN - 1);
    REFUSED(bad.ring_capacity = SPATE_RING_MAX << 1);
    REFUSED(bad.mode = 2);
    REFUSED(bad.timestamp = 3);
    REFUSED(bad.alignment = 4);
    REFUSED(bad.alignment = 256);
    REFUSED(bad.alignment = 24);
    REFUSED(bad.producers_max = 0);
    REFUSED(bad.producers_max = 1025);
    REFUSED(bad.consumers_max = 0);
    REFUSED(bad.consumers_max = 4097);
    REFUSED(memset(bad.name, 'x', sizeof bad.name));
#undef REFUSED
}

/* -------------------------------------------------------------------------------------------------------- counters */

static void counter_ids_and_names_are_unique_and_words_in_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < sp_counter_descriptors_count; i++) {
        const struct sp_counter_descriptor *one = &sp_counter_descriptors[i];
        static const uint32_t words[] = {SP_RING_COUNTERS, SP_PRODUCER_COUNTERS, SP_CONSUMER_COUNTERS};
        assert_true(one->scope < 3);
        assert_true(one->index < words[one->scope]);
        assert_true(one->name[0] && memchr(one->name, 0, sizeof one->name));
        assert_true(one->unit[0] && memchr(one->unit, 0, sizeof one->unit));
        for (size_t j = i + 1; j < sp_counter_descriptors_count; j++) {
            assert_int_not_equal(one->id, sp_counter_descriptors[j].id);
            assert_string_not_equal(one->name, sp_counter_descriptors[j].name);
            assert_false(one->scope == sp_counter_descriptors[j].scope && one->index == sp_counter_descriptors[j].index);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_file_is_accepted_and_an_unsealed_one_is_not),
        cmocka_unit_test(a_truncated_or_extended_file_is_refused),
        cmocka_unit_test(another_version_or_layout_is_refused_and_both_are_named),
        cmocka_unit_test(every_ring_that_can_be_created_is_accepted),
        cmocka_unit_test(a_ring_header_with_any_field_out_of_range_is_refused),
        cmocka_unit_test(a_view_of_a_ring_stays_inside_whatever_the_header_says_afterwards),
        cmocka_unit_test(cursors_out_of_range_are_refused),
        cmocka_unit_test(a_bus_header_out_of_range_is_refused),
        cmocka_unit_test(a_topic_file_out_of_range_is_refused),
        cmocka_unit_test(counter_ids_and_names_are_unique_and_words_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
