/* reader_test.c: poll, release, placing, being lapped or evicted, leaving out records, and stepping over the dead; and the marks that walks
 * begin at.
 *
 * Run by ctest with the label `unit`, on a static_ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "static_ring.h"

static struct static_ring s;
static struct sp_writer writer;
static struct sp_reader reader;

static int open_exclusive(void **state)
{
    struct static_ring_config config = static_ring_defaults;
    (void)state;
    config.mode = SPATE_MODE_EXCLUSIVE;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &writer);
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    static_ring_close(&s);
    return 0;
}

static struct sp_record_header *record_at(struct sp_place place)
{
    return (struct sp_record_header *)(void *)(s.data + (place.position & s.ring.mask));
}

static void poll_returns_at_most_what_was_asked_for(void **state)
{
    struct spate_record records[8];
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    for (int i = 0; i < 20; i++)
        static_ring_publish(&writer, 10, NULL);
    assert_int_equal(sp_reader_poll(&reader, records, 0), 0);
    assert_int_equal(sp_reader_poll(&reader, records, 8), 8);
    assert_int_equal(sp_reader_poll(&reader, records, 8), 8);
    assert_int_equal(records[7].offset, 15);
    assert_int_equal(reader.first.offset, 8);
    assert_int_equal(sp_reader_poll(&reader, records, 8), 4);
    assert_int_equal(sp_reader_poll(&reader, records, 8), 0);
    assert_int_equal(atomic_load(&reader.cursor->counters[SP_CONSUMER_RECORDS]), 20);
    assert_int_equal(atomic_load(&reader.cursor->counters[SP_CONSUMER_BYTES]), 20 * 32);
}

static void a_view_shows_what_was_published(void **state)
{
    struct spate_record in = {.key = "key", .key_size = 3, .value = "value", .value_size = 5, .timestamp = 17}, out;
    struct sp_record_shape shape;
    struct sp_place place;
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    reader.partition = 9;
    assert_int_equal(sp_record_plan(&in, true, false, 16, sp_ring_payload_max(s.ring.capacity), &shape), 0);
    assert_int_equal(sp_writer_claim(&writer, shape.size, 1, &place), 0);
    memcpy(sp_record_encode(s.data, &in, &shape, in.timestamp), in.value, in.value_size);
    sp_writer_commit(&writer);
    assert_int_equal(sp_reader_poll(&reader, &out, 1), 1);
    assert_int_equal(out.partition, 9);
    assert_int_equal(out.offset, 0);
    assert_int_equal(out.timestamp, 17);
    assert_memory_equal(out.key, "key", 3);
    assert_memory_equal(out.value, "value", 5);
    assert_in_range((uintptr_t)out.value, (uintptr_t)s.data, (uintptr_t)s.data + shape.size); /* in place: nothing was copied */
}

static void bytes_of_an_earlier_lap_are_never_taken_for_a_record(void **state)
{
    struct spate_record record;
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    for (int lap = 0; lap < 5; lap++) { /* records of one size, so that old stamps lie exactly where the next are expected */
        for (uint64_t i = 0; i < s.ring.capacity / 64; i++) {
            assert_int_equal(sp_reader_poll(&reader, &record, 1), 0);
            static_ring_publish(&writer, 48, NULL);
            assert_int_equal(sp_reader_poll(&reader, &record, 1), 1);
            sp_reader_release(&reader);
        }
    }
}

static void a_skip_reader_is_told_when_it_was_lapped(void **state)
{
    struct spate_record records[4];
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_SKIP, (struct sp_place){0, 0});
    static_ring_publish(&writer, 48, NULL);
    assert_int_equal(sp_reader_poll(&reader, records, 1), 1);
    assert_false(sp_reader_is_lapped(&reader, reader.first.position));
    while (sp_ring_oldest_position(&s.ring) == 0)
        static_ring_publish(&writer, 48, NULL);
    /* told before a byte is overwritten: the tail did not reach the second lap yet, or just so */
    assert_true(sp_reader_is_lapped(&reader, 0));
    assert_true(sp_ring_tail(&s.ring).position <= s.ring.capacity + 64);
    struct sp_place before = reader.next;
    assert_int_equal(sp_reader_poll(&reader, records, 4), -EOVERFLOW);
    assert_int_equal(reader.next.position, before.position);
    assert_int_equal(reader.next.offset, before.offset);
    struct sp_place place = sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring));
    assert_int_equal(sp_reader_place(&reader, place, NULL), 0);
    char text[2000];
    static_ring_story(&s, &reader, text, sizeof text);
    assert_int_equal(strspn(text, "r"), strlen(text) - 1);
    assert_int_equal(text[strlen(text) - 1], '.');
}

/* The invariant behind E5, step by step: a byte is overwritten only after its loss was announced. */
static void no_byte_is_claimed_before_it_was_announced(void **state)
{
    uint64_t seed = static_ring_seed(5);
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct sp_place place;
        uint32_t size = (uint32_t)(static_ring_random(&seed) % (i % 10 ? 200 : 15000));
        assert_int_equal(static_ring_claim(&writer, size, &place), 0);
        assert_true(place.position + static_ring_record_size(&s.ring, size) <= atomic_load(&s.header->reserved));
        sp_writer_commit(&writer);
    }
}

static void a_lapped_poll_gives_nothing_and_keeps_the_filter(void **state)
{
    struct spate_record records[4];
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_SKIP, (struct sp_place){0, 0});
    static_ring_publish(&writer, 48, NULL);
    reader.discard_before = -5; /* the record has timestamp 0: the filter would end here */
    atomic_store(&s.header->reserved, s.ring.capacity + 64);
    assert_int_equal(sp_reader_poll(&reader, records, 4), -EOVERFLOW);
    assert_int_equal(reader.discard_before, -5);
    assert_int_equal(reader.next.offset, 0);
    assert_int_equal(atomic_load(&reader.cursor->counters[SP_CONSUMER_RECORDS]), 0);
}

static void an_evicted_gate_is_told(void **state)
{
    struct spate_record records[4];
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_publish(&writer, 48, NULL);
    assert_int_equal(sp_reader_poll(&reader, records, 1), 1);
    assert_false(sp_reader_is_lapped(&reader, 0));
    atomic_store(&reader.cursor->state, SP_CURSOR_EVICTED);
    assert_true(sp_reader_is_lapped(&reader, 0));
    assert_int_equal(sp_reader_poll(&reader, records, 4), -EOVERFLOW);
}

static void a_gate_is_not_disturbed_by_announcements_beyond_its_ring(void **state)
{
    struct spate_record records[4];
    (void)state; /* a writer may have announced before it saw the gate: reserved is a bound for those who do not gate */
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_publish(&writer, 48, NULL);
    atomic_store(&s.header->reserved, 3 * s.ring.capacity);
    assert_int_equal(sp_reader_poll(&reader, records, 4), 1);
}

static void place_refuses_what_writers_have_announced_to_overwrite(void **state)
{
    (void)state;
    while (atomic_load(&s.header->reserved) <= s.ring.capacity)
        static_ring_publish(&writer, 48, NULL);
    uint64_t oldest = sp_ring_oldest_position(&s.ring);
    assert_true(oldest > 0);
    assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){oldest - 64, oldest / 64 - 1}),
                     -EOVERFLOW);
    static_ring_detach_reader(&s, &reader);
    struct sp_place place = sp_mark_oldest(&s.ring, oldest);
    assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, place), 0);
    /* and from now on it holds */
    while (static_ring_publish(&writer, 48, NULL) == 0) {
    }
    assert_true(sp_ring_tail(&s.ring).position <= place.position + s.ring.capacity);
}

static void records_below_an_offset_are_left_out(void **state)
{
    struct spate_record records[8];
    (void)state;
    for (int i = 0; i < 10; i++)
        static_ring_publish(&writer, 8, NULL);
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    reader.discard_below = 7;
    assert_int_equal(sp_reader_poll(&reader, records, 8), 3);
    assert_int_equal(records[0].offset, 7);
    assert_int_equal(atomic_load(&reader.cursor->counters[SP_CONSUMER_RECORDS]), 3);
}

static void records_older_than_a_time_are_left_out_until_the_first_that_is_not(void **state)
{
    static const int64_t times[] = {5, 9, 3, 10, 4, 12};
    struct spate_record records[8];
    struct spate_record in = {.value = ""};
    struct sp_record_shape shape;
    struct sp_place place;
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    for (int i = 0; i < 6; i++) {
        sp_record_plan(&in, true, false, 16, 100, &shape);
        sp_writer_claim(&writer, shape.size, 1, &place);
        sp_record_encode(s.data + place.position, &in, &shape, times[i]);
        sp_writer_commit(&writer);
    }
    reader.discard_before = 10;
    assert_int_equal(sp_reader_poll(&reader, records, 8), 3); /* 10, then 4 too, then 12 */
    assert_int_equal(records[0].offset, 3);
    assert_int_equal(records[1].offset, 4);
}

static void a_record_that_makes_no_sense_is_reported_behind_the_good_ones(void **state)
{
    struct spate_record records[8];
    struct sp_place place;
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_publish(&writer, 8, NULL);
    static_ring_publish(&writer, 8, NULL);
    static_ring_publish(&writer, 8, &place);
    atomic_store(&record_at(place)->word, sp_record_word(UINT32_MAX, 0, SP_RECORD_DATA));
    assert_int_equal(sp_reader_poll(&reader, records, 8), 2);
    assert_int_equal(sp_reader_poll(&reader, records, 8), -EBADMSG);
    assert_int_equal(sp_reader_poll(&reader, records, 8), -EBADMSG);
    assert_int_equal(reader.next.position, place.position);
}

static void a_ring_of_aborted_records_only_ends_the_poll(void **state)
{
    struct spate_record record;
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    /* a hostile producer: every place of the ring says "aborted, go on" with exactly the offset that is expected there; the poll must
     * come to an end */
    for (uint64_t i = 0; i < s.ring.capacity / 16; i++) {
        struct sp_place place = {i * 16, i};
        atomic_store(&record_at(place)->word, sp_record_word(1, 1, SP_RECORD_ABORTED));
        atomic_store(&record_at(place)->stamp, sp_stamp(i, s.ring.salt));
    }
    assert_int_equal(sp_reader_poll(&reader, &record, 1), 0);
    assert_int_equal(reader.next.offset, s.ring.capacity / 16);
}

static void release_stores_position_and_offset(void **state)
{
    struct spate_record records[4];
    (void)state;
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    for (int i = 0; i < 4; i++)
        static_ring_publish(&writer, 48, NULL);
    sp_reader_poll(&reader, records, 3);
    assert_int_equal(atomic_load(&reader.cursor->read_position), 0);
    sp_reader_release(&reader);
    assert_int_equal(atomic_load(&reader.cursor->read_position), 192);
    assert_int_equal(atomic_load(&reader.cursor->read_offset), 3);
}

/* ------------------------------------------------------------------------------------------------------------ marks */

static void the_beginning_needs_no_mark_while_the_ring_was_not_filled(void **state)
{
    (void)state;
    struct sp_place place = sp_mark_oldest(&s.ring, 0);
    assert_int_equal(place.position, 0);
    for (int i = 0; i < 500; i++)
        static_ring_publish(&writer, 48, NULL);
    place = sp_mark_oldest(&s.ring, 0);
    assert_int_equal(place.position, 0);
    assert_int_equal(place.offset, 0);
}

static void the_oldest_mark_is_within_a_chunk_of_the_oldest_byte(void **state)
{
    uint64_t seed = static_ring_seed(6);
    (void)state;
    for (int i = 0; i < 20000; i++) {
        static_ring_publish(&writer, (uint32_t)(static_ring_random(&seed) % 500), NULL);
        uint64_t oldest = sp_ring_oldest_position(&s.ring);
        struct sp_place place = sp_mark_oldest(&s.ring, oldest);
        assert_true(place.position >= oldest);
        assert_true(place.position <= oldest + s.ring.chunk_size + s.ring.record_size_max);
        assert_true(sp_ring_is_committed(&s.ring, place) || place.position == 0);
    }
}

static void every_chunk_gets_a_mark_whatever_the_record_sizes(void **state)
{
    (void)state; /* also records that straddle every chunk boundary */
    for (uint32_t size = 1000; size < 4000; size += 333) {
        while (sp_ring_tail(&s.ring).position < 3 * s.ring.capacity + size * s.ring.capacity / 1000)
            static_ring_publish(&writer, size, NULL);
        uint64_t oldest = sp_ring_oldest_position(&s.ring);
        unsigned used = 0;
        for (uint32_t i = 0; i < s.ring.marks_count; i++) {
            uint64_t position = atomic_load(&s.header->marks[i].position);
            used += position >= oldest;
        }
        assert_true(used >= s.ring.marks_count - 2);
    }
}

static void the_mark_before_an_offset_is_the_newest_not_behind_it(void **state)
{
    (void)state;
    while (sp_ring_tail(&s.ring).position < 3 * s.ring.capacity)
        static_ring_publish(&writer, 48, NULL);
    uint64_t lowest = sp_ring_oldest_position(&s.ring);
    struct sp_place oldest = sp_mark_oldest(&s.ring, lowest);
    uint64_t tail = sp_ring_tail(&s.ring).offset;
    for (uint64_t offset = oldest.offset; offset < tail; offset++) {
        struct sp_place place = sp_mark_before(&s.ring, lowest, offset);
        assert_true(place.offset <= offset);
        assert_true(offset - place.offset <= s.ring.chunk_size / 64 + 1);
        assert_true(sp_ring_is_committed(&s.ring, place));
    }
    /* an offset that is gone gives the oldest */
    assert_int_equal(sp_mark_before(&s.ring, lowest, 0).offset, oldest.offset);
    assert_int_equal(sp_mark_before(&s.ring, lowest, UINT64_MAX).offset <= tail, 1);
}

static void a_mark_that_lies_is_not_used(void **state)
{
    struct sp_mark *mark = &s.header->marks[3];
    (void)state;
    while (sp_ring_tail(&s.ring).position < 2 * s.ring.capacity)
        static_ring_publish(&writer, 48, NULL);
    uint64_t lowest = sp_ring_oldest_position(&s.ring);
    uint64_t position = atomic_load(&mark->position), second = atomic_load(&mark->offset), good = position / 64;
    assert_int_equal(sp_mark_before(&s.ring, lowest, good).offset, good);
    atomic_store(&mark->offset, second + 1);
    assert_int_not_equal(sp_mark_before(&s.ring, lowest, good + 1).offset, good + 1);
    atomic_store(&mark->offset, second);
    static const uint64_t lies[] = {8, 4, 1, 16, (uint64_t)1 << 16, (uint64_t)1 << 40, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        atomic_store(&mark->position, position + lies[i]);
        struct sp_place place = sp_mark_before(&s.ring, lowest, good);
        assert_true(place.position == place.offset * 64);
    }
}

static void a_mark_of_two_laps_is_not_used(void **state)
{
    struct sp_mark *mark = &s.header->marks[3];
    (void)state; /* a producer has stored the new position but neither the new offset nor its stamp; all records have one size */
    while (sp_ring_tail(&s.ring).position < s.ring.capacity)
        static_ring_publish(&writer, 48, NULL);
    uint64_t position = atomic_load(&mark->position), second = atomic_load(&mark->offset);
    struct sp_place old = {position, position / 64}, new = {position + s.ring.capacity, old.offset + s.ring.capacity / 64};
    while (sp_ring_tail(&s.ring).position < new.position + s.ring.chunk_size / 2)
        static_ring_publish(&writer, 48, NULL);
    sp_writer_settle(&writer);
    assert_int_equal(sp_mark_before(&s.ring, new.position, UINT64_MAX).offset, new.offset);
    atomic_store(&mark->offset, second);
    atomic_store(&record_at(new)->stamp, sp_stamp(old.offset, s.ring.salt));
    struct sp_place place = sp_mark_before(&s.ring, new.position, UINT64_MAX);
    assert_true(place.position != new.position);
}

static void an_uncommitted_record_is_no_mark(void **state)
{
    struct static_ring concurrent;
    struct sp_writer one, two;
    struct sp_place place;
    (void)state;
    static_ring_open(&concurrent, NULL);
    static_ring_attach_writer(&concurrent, &one);
    static_ring_attach_writer(&concurrent, &two);
    while (sp_ring_tail(&concurrent.ring).position < 4080)
        static_ring_publish(&one, 0, NULL);
    static_ring_publish(&two, 0, NULL);
    static_ring_claim(&one, 100, &place); /* the first of chunk 1, and open */
    assert_int_equal(atomic_load(&concurrent.header->marks[1].position), place.position);
    assert_int_equal(sp_mark_oldest(&concurrent.ring, 1).position, sp_ring_tail(&concurrent.ring).position);
    sp_writer_commit(&one);
    assert_int_equal(sp_mark_oldest(&concurrent.ring, 1).position, place.position);
    static_ring_close(&concurrent);
}

int main(void)
{
#define ON_RING(test) cmocka_unit_test_setup_teardown(test, open_exclusive, close_ring)
    const struct CMUnitTest tests[] = {
        ON_RING(poll_returns_at_most_what_was_asked_for),
        ON_RING(a_view_shows_what_was_published),
        ON_RING(bytes_of_an_earlier_lap_are_never_taken_for_a_record),
        ON_RING(a_skip_reader_is_told_when_it_was_lapped),
        ON_RING(no_byte_is_claimed_before_it_was_announced),
        ON_RING(a_lapped_poll_gives_nothing_and_keeps_the_filter),
        ON_RING(an_evicted_gate_is_told),
        ON_RING(a_gate_is_not_disturbed_by_announcements_beyond_its_ring),
        ON_RING(place_refuses_what_writers_have_announced_to_overwrite),
        ON_RING(records_below_an_offset_are_left_out),
        ON_RING(records_older_than_a_time_are_left_out_until_the_first_that_is_not),
        ON_RING(a_record_that_makes_no_sense_is_reported_behind_the_good_ones),
        ON_RING(a_ring_of_aborted_records_only_ends_the_poll),
        ON_RING(release_stores_position_and_offset),
        ON_RING(the_beginning_needs_no_mark_while_the_ring_was_not_filled),
        ON_RING(the_oldest_mark_is_within_a_chunk_of_the_oldest_byte),
        ON_RING(every_chunk_gets_a_mark_whatever_the_record_sizes),
        ON_RING(the_mark_before_an_offset_is_the_newest_not_behind_it),
        ON_RING(a_mark_that_lies_is_not_used),
        ON_RING(a_mark_of_two_laps_is_not_used),
        ON_RING(an_uncommitted_record_is_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
