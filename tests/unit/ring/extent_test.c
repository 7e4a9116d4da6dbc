/* extent_test.c: stretches of committed records as the daemon takes them; the log as a gate for writers; a ring that begins where a log
 * ends.
 *
 * Run by ctest with the label `unit`, on a static_ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ring/extent.h"
#include "static_ring.h"

static struct static_ring s;
static struct sp_writer writer, other;
static struct sp_extent extent;

static void open_ring(struct static_ring_config config)
{
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &writer);
    if (config.mode == SPATE_MODE_CONCURRENT)
        static_ring_attach_writer(&s, &other);
}

static int open_plain(void **state)
{
    (void)state;
    open_ring(static_ring_defaults);
    return 0;
}

static int open_durable(void **state)
{
    struct static_ring_config config = static_ring_defaults;
    (void)state;
    config.is_durable = true;
    open_ring(config);
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    static_ring_close(&s);
    return 0;
}

/* One record of whatever kind, timestamped. Returns its size in the ring. */
static uint64_t publish(const struct spate_record *record)
{
    struct sp_record_shape shape;
    struct sp_place place;

    assert_int_equal(sp_record_plan(record, record->timestamp != 0, record->value == NULL, 16, s.ring.record_size_max, &shape), 0);
    assert_int_equal(sp_writer_claim(&writer, shape.size, 1, &place), 0);
    uint8_t *value = sp_record_encode(s.data + (place.position & s.ring.mask), record, &shape, record->timestamp);
    if (record->value_size)
        memcpy(value, record->value, record->value_size);
    sp_writer_commit(&writer);
    return shape.size;
}

static void take(struct sp_place from, uint64_t size_max)
{
    memset(&extent, 0x55, sizeof extent);
    sp_ring_extent(&s.ring, from, size_max, &extent);
}

static struct sp_record_header *header_at(struct sp_place place)
{
    return (struct sp_record_header *)(void *)(s.data + (place.position & s.ring.mask));
}

static void an_empty_ring_has_an_empty_extent(void **state)
{
    (void)state;
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.size, 0);
    assert_int_equal(extent.records, 0);
    assert_int_equal(extent.end.offset, 0);
    assert_false(extent.is_full || extent.is_damaged);
}

static void records_that_are_alike_are_all_taken(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        static_ring_publish(&writer, 100, NULL);
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 100);
    assert_int_equal(extent.end.offset, 100);
    assert_int_equal(extent.size, 100 * 128);
    assert_int_equal(extent.end.position, 100 * 128);
    assert_int_equal(extent.first_timestamp, 0);
    assert_int_equal(extent.last_timestamp, 0);
    assert_false(extent.is_full || extent.is_damaged);
    take((struct sp_place){50 * 128, 50}, 1 << 20);
    assert_int_equal(extent.records, 50);
}

static void records_of_all_kinds_are_taken(void **state)
{
    static const struct spate_header headers[] = {{.name = "a", .name_size = 1, .value = "xyz", .value_size = 3}};
    uint64_t size = 0;
    (void)state;
    for (int round = 0; round < 20; round++) {
        size += publish(&(struct spate_record){.value = "plain", .value_size = 5, .timestamp = 1000 + round});
        size += publish(
            &(struct spate_record){.key = "k", .key_size = 1, .value = "keyed", .value_size = 5, .timestamp = 2000 + round});
        size += publish(&(struct spate_record){.key = "k", .key_size = 1, .timestamp = 3000 - round}); /* a tombstone */
        size += publish(&(struct spate_record){.value = "", .timestamp = 5 + round});
        for (int i = 0; i < 3; i++)
            size += publish(&(struct spate_record){
                .value = "x", .value_size = 1, .headers = headers, .headers_count = (uint32_t)(i > 1), .timestamp = 4000});
        size += publish(&(struct spate_record){.value = "no time", .value_size = 7});
    }
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 160);
    assert_int_equal(extent.end.offset, 160);
    assert_int_equal(extent.size, size);
    assert_int_equal(extent.first_timestamp, 1000);
    assert_int_equal(extent.last_timestamp, 4000);
}

static void aborted_records_are_covered_and_not_counted(void **state)
{
    uint32_t sizes[5];
    (void)state;
    static_ring_publish(&writer, 100, NULL);
    static_ring_claim(&writer, 1000, NULL);
    sp_writer_abort(&writer);
    static_ring_claim_batch(&writer, 30, 5, sizes, NULL);
    sp_writer_abort(&writer);
    static_ring_publish(&writer, 100, NULL);
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 2);
    assert_int_equal(extent.end.offset, 8);
    assert_int_equal(extent.end.position, sp_ring_tail(&s.ring).position);
    assert_int_equal(extent.size, extent.end.position);
}

static void a_limit_cuts_at_a_boundary_between_records(void **state)
{
    uint64_t ends[64], count = 0, at = 0;
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        if (i % 7 == 3) {
            static_ring_claim(&writer, 50, NULL);
            sp_writer_abort(&writer);
        } else {
            static_ring_publish(&writer, i % 5 ? 100 : 200, NULL);
        }
        ends[count++] = at = sp_ring_tail(&s.ring).position;
    }
    for (uint64_t size_max = 0; size_max <= at + 100; size_max += 4) {
        uint64_t expected = 0;
        while (expected + 1 < count && ends[expected + 1] <= size_max)
            expected++;
        take((struct sp_place){0, 0}, size_max);
        if (extent.size != ends[expected] || extent.end.offset != expected + 1)
            fail_msg("of %llu bytes, %llu are taken, not %llu", (unsigned long long)size_max, (unsigned long long)extent.size,
                     (unsigned long long)ends[expected]);
        assert_int_equal(extent.is_full, expected + 1 < count);
        assert_false(extent.is_damaged);
    }
}

static void a_single_record_larger_than_the_limit_is_taken_alone(void **state)
{
    (void)state;
    static_ring_publish(&writer, 10000, NULL);
    static_ring_publish(&writer, 10000, NULL);
    static_ring_publish(&writer, 10, NULL);
    take((struct sp_place){0, 0}, 4096);
    assert_int_equal(extent.size, 10016);
    assert_int_equal(extent.records, 1);
    assert_true(extent.is_full);
    take(extent.end, 4096);
    assert_int_equal(extent.size, 10016);
    assert_int_equal(extent.end.offset, 2);
    assert_true(extent.is_full);
    take(extent.end, 4096);
    assert_int_equal(extent.records, 1);
    assert_false(extent.is_full);
}

static void an_extent_ends_before_a_claim_that_is_not_committed(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        static_ring_publish(&writer, 100, NULL);
    static_ring_claim(&other, 100, NULL);
    for (int i = 0; i < 10; i++)
        static_ring_publish(&writer, 100, NULL);
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 10);
    assert_false(extent.is_full || extent.is_damaged);
    take(extent.end, 1 << 20);
    assert_int_equal(extent.size, 0);
    sp_writer_commit(&other);
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 21);
}

static void an_extent_ends_before_a_committed_record_that_is_none(void **state)
{
    static const uint64_t nonsense[] = {0,
                                        UINT64_MAX,
                                        0x0003000000000010,
                                        0x0001000000000000 | 0xffffffff,
                                        0x0002000000000000 | 0xffff,
                                        0x0002000100000000,
                                        0x00d1ffffffffffff};
    struct sp_place place, end;
    (void)state;
    for (int i = 0; i < 5; i++)
        static_ring_publish(&writer, 100, NULL);
    static_ring_publish(&writer, 100, &place);
    for (int i = 0; i < 5; i++)
        static_ring_publish(&writer, 100, &end);
    const uint64_t word = atomic_load(&header_at(place)->word);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        atomic_store(&header_at(place)->word, nonsense[i]);
        take((struct sp_place){0, 0}, 1 << 20);
        assert_int_equal(extent.records, 5);
        assert_int_equal(extent.end.offset, place.offset);
        assert_true(extent.is_damaged);
        assert_false(extent.is_full);
    }
    atomic_store(&header_at(place)->word, word);
    take((struct sp_place){0, 0}, 1 << 20);
    assert_int_equal(extent.records, 11);
    assert_false(extent.is_damaged);
}

static void an_extent_goes_on_over_the_end_of_the_ring(void **state)
{
    struct sp_place from = {0, 0};
    (void)state;
    for (int lap = 0; lap < 300; lap++) {
        for (int i = 0; i < 30; i++)
            static_ring_publish(&writer, lap % 3 ? 600 : (uint32_t)(100 + 17 * i), NULL);
        take(from, UINT64_MAX);
        assert_int_equal(extent.records, 30);
        assert_int_equal(extent.size, extent.end.position - from.position);
        assert_int_equal(extent.end.position, sp_ring_tail(&s.ring).position);
        from = extent.end;
    }
    assert_true(from.position > 10 * s.ring.capacity);
}

static void a_ring_full_of_records_is_one_extent(void **state)
{
    struct sp_place from;
    (void)state;
    for (int i = 0; i < 100; i++)
        static_ring_publish(&writer, 600, NULL);
    from = sp_ring_tail(&s.ring);
    const uint64_t count = s.ring.capacity / static_ring_record_size(&s.ring, 600);
    for (uint64_t i = 0; i < count; i++)
        static_ring_publish(&writer, 600, NULL);
    take(from, UINT64_MAX);
    assert_int_equal(extent.records, count);
}

/* ------------------------------------------------------------------------------------------------------- the log's words */

static void writers_stop_a_ring_beyond_what_is_written_and_go_on_when_it_moves(void **state)
{
    struct sp_place last = {0, 0}, written = {0, 0};
    (void)state;
    for (int round = 0; round < 20; round++) {
        uint64_t count = 0;
        int error;
        while ((error = static_ring_publish(&writer, (uint32_t)(50 + 100 * round), &last)) == 0)
            count++;
        const uint64_t size = static_ring_record_size(&s.ring, (uint32_t)(50 + 100 * round)), end = sp_ring_tail(&s.ring).position;
        assert_int_equal(error, -EAGAIN);
        assert_int_equal(writer.blocker.kind, SP_BLOCKER_LOG);
        assert_int_equal(writer.blocker.position, written.position);
        assert_in_range(end, written.position + s.ring.capacity - size, written.position + s.ring.capacity);
        assert_true(round == 0 ? count > 0 : count == 0 || written.position > 0);
        take(written, s.ring.capacity / 3); /* the daemon writes a part */
        sp_log_advance(&s.ring, SP_LOG_WRITTEN, extent.end);
        written = extent.end;
        assert_int_equal(sp_log_offset(&s.ring, SP_LOG_WRITTEN), written.offset);
        assert_int_equal(sp_log_place(&s.ring, SP_LOG_WRITTEN).position, written.position);
    }
}

static void only_what_is_written_lets_writers_go_on(void **state)
{
    (void)state;
    while (static_ring_publish(&writer, 1000, NULL) == 0)
        ;
    take((struct sp_place){0, 0}, UINT64_MAX);
    sp_log_advance(&s.ring, SP_LOG_DURABLE, extent.end);
    sp_log_advance(&s.ring, SP_LOG_REPLICATED, extent.end);
    sp_log_start_set(&s.ring, extent.end.offset);
    assert_int_equal(static_ring_publish(&writer, 1000, NULL), -EAGAIN);
    sp_log_advance(&s.ring, SP_LOG_WRITTEN, extent.end);
    assert_int_equal(static_ring_publish(&writer, 1000, NULL), 0);
}

static void a_ring_that_is_not_durable_has_no_log_gate(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(static_ring_publish(&writer, 1000, NULL), 0);
}

static void what_is_wanted_only_grows(void **state)
{
    (void)state;
    sp_log_want(&s.ring, SP_LOG_WRITTEN, 10);
    sp_log_want(&s.ring, SP_LOG_DURABLE, 7);
    sp_log_want(&s.ring, SP_LOG_WRITTEN, 3);
    sp_log_want_start(&s.ring, 5);
    sp_log_want_start(&s.ring, 4);
    assert_int_equal(sp_log_wanted(&s.ring, SP_LOG_WRITTEN), 10);
    assert_int_equal(sp_log_wanted(&s.ring, SP_LOG_DURABLE), 7);
    assert_int_equal(sp_log_wanted_start(&s.ring), 5);
}

static void advancing_tells_whether_somebody_waits(void **state)
{
    (void)state;
    assert_false(sp_log_advance(&s.ring, SP_LOG_WRITTEN, (struct sp_place){0, 0}));
    atomic_store(&s.header->wanted.notice, SP_NOTICE);
    assert_true(sp_log_advance(&s.ring, SP_LOG_WRITTEN, (struct sp_place){0, 0}));
}

static void a_state_out_of_range_is_a_failed_log(void **state)
{
    int error = 0;
    (void)state;
    sp_log_state_set(&s.ring, 1, SP_LOG_FULL, ENOSPC);
    assert_int_equal(sp_log_state(&s.ring, &error), SP_LOG_FULL);
    assert_int_equal(error, ENOSPC);
    atomic_store(&s.header->log.state, 77);
    assert_int_equal(sp_log_state(&s.ring, NULL), SP_LOG_FAILED);
}

/* ----------------------------------------------------------------------------------------- a ring that begins elsewhere */

static const struct sp_place begins[] = {
    {16, 1}, {65536, 1000}, {65520, 77}, {5 * 65536 + 4096, 12345}, {((uint64_t)1 << 40) + 48, ((uint64_t)1 << 33) + 5}};

static void begin_at(struct sp_place begin, enum spate_mode mode)
{
    struct static_ring_config config = static_ring_defaults;
    config.is_durable = true;
    config.begin = begin;
    config.mode = mode;
    open_ring(config);
}

static void a_ring_begins_where_its_log_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof begins / sizeof begins[0]; i++) {
        const struct sp_place begin = begins[i / 2];
        begin_at(begin, i % 2 ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        const struct sp_place places[] = {sp_ring_tail(&s.ring),
                                          sp_ring_published(&s.ring),
                                          sp_ring_claimed(&s.ring),
                                          sp_log_place(&s.ring, SP_LOG_WRITTEN),
                                          sp_log_place(&s.ring, SP_LOG_DURABLE),
                                          sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring)),
                                          sp_mark_before(&s.ring, sp_ring_oldest_position(&s.ring), begin.offset)};
        for (size_t j = 0; j < sizeof places / sizeof places[0]; j++)
            if (places[j].position != begin.position || places[j].offset != begin.offset)
                fail_msg("begin %zu: place %zu is (%llu, %llu)", i, j, (unsigned long long)places[j].position,
                         (unsigned long long)places[j].offset);
        assert_int_equal(sp_ring_oldest_position(&s.ring), begin.position);
        take(begin, UINT64_MAX);
        assert_int_equal(extent.size, 0);
        static_ring_close(&s);
    }
}

static void a_ring_that_begins_elsewhere_takes_and_gives_records_like_any_other(void **state)
{
    char text[256];
    (void)state;
    for (size_t i = 0; i < 2 * sizeof begins / sizeof begins[0]; i++) {
        const struct sp_place begin = begins[i / 2];
        struct sp_place place = {0, 0}, first;
        struct sp_reader reader;
        uint64_t expected = begin.offset;
        begin_at(begin, i % 2 ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, begin), 0);
        for (int lap = 0; lap < 50; lap++) {
            for (int j = 0; j < 5; j++, expected++) {
                assert_int_equal(static_ring_publish(&writer, 900, lap || j ? &place : &first), 0);
                assert_int_equal((lap || j ? place : first).offset, expected);
            }
            static_ring_story(&s, &reader, text, sizeof text);
            assert_string_equal(text, "rrrrr.");
            sp_log_advance(&s.ring, SP_LOG_WRITTEN, sp_ring_tail(&s.ring));
        }
        assert_int_equal(first.position, begin.position);
        assert_int_equal(reader.next.offset, begin.offset + 250);
        static_ring_close(&s);
    }
}

static void a_ring_that_begins_elsewhere_is_full_after_its_capacity(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        begin_at(begins[i], SPATE_MODE_CONCURRENT);
        while (static_ring_publish(&writer, 1000, NULL) == 0)
            ;
        assert_int_equal(writer.blocker.kind, SP_BLOCKER_LOG);
        assert_in_range(sp_ring_tail(&s.ring).position - begins[i].position, s.ring.capacity - 1024, s.ring.capacity);
        static_ring_close(&s);
    }
}

static void nobody_can_be_placed_before_the_begin(void **state)
{
    struct sp_reader reader;
    (void)state;
    for (size_t i = 1; i < sizeof begins / sizeof begins[0]; i++) {
        begin_at(begins[i], SPATE_MODE_CONCURRENT);
        const struct sp_place before = {begins[i].position - 16, begins[i].offset - 1};
        assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_SKIP, before), -EOVERFLOW);
        assert_int_equal(sp_reader_place(&reader, begins[i], NULL), 0);
        static_ring_close(&s);
    }
}

#define PLAIN(function) cmocka_unit_test_setup_teardown(function, open_plain, close_ring)
#define DURABLE(function) cmocka_unit_test_setup_teardown(function, open_durable, close_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(an_empty_ring_has_an_empty_extent),
        PLAIN(records_that_are_alike_are_all_taken),
        PLAIN(records_of_all_kinds_are_taken),
        PLAIN(aborted_records_are_covered_and_not_counted),
        PLAIN(a_limit_cuts_at_a_boundary_between_records),
        PLAIN(a_single_record_larger_than_the_limit_is_taken_alone),
        PLAIN(an_extent_ends_before_a_claim_that_is_not_committed),
        PLAIN(an_extent_ends_before_a_committed_record_that_is_none),
        PLAIN(an_extent_goes_on_over_the_end_of_the_ring),
        PLAIN(a_ring_full_of_records_is_one_extent),
        DURABLE(writers_stop_a_ring_beyond_what_is_written_and_go_on_when_it_moves),
        DURABLE(only_what_is_written_lets_writers_go_on),
        PLAIN(a_ring_that_is_not_durable_has_no_log_gate),
        PLAIN(what_is_wanted_only_grows),
        PLAIN(advancing_tells_whether_somebody_waits),
        PLAIN(a_state_out_of_range_is_a_failed_log),
        cmocka_unit_test(a_ring_begins_where_its_log_ends),
        cmocka_unit_test(a_ring_that_begins_elsewhere_takes_and_gives_records_like_any_other),
        cmocka_unit_test(a_ring_that_begins_elsewhere_is_full_after_its_capacity),
        cmocka_unit_test(nobody_can_be_placed_before_the_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
