/* writer_test.c: claim, commit, abort and batches of one producer or several in turn, in both modes; gates, wraps, limits.
 *
 * Run by ctest with the label `unit`, on a static_ring. Threads are in race/, deaths in repair_*_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "layout/topic_layout.h"
#include "static_ring.h"

static const enum spate_mode modes[] = {SPATE_MODE_CONCURRENT, SPATE_MODE_EXCLUSIVE};

static struct static_ring_config config_of(enum spate_mode mode)
{
    struct static_ring_config config = static_ring_defaults;
    config.mode = mode;
    return config;
}

static void assert_story(struct static_ring *s, struct sp_reader *reader, const char *expected)
{
    char text[4096];
    static_ring_story(s, reader, text, sizeof text);
    assert_string_equal(text, expected);
}

static void published_records_are_read_in_order_with_dense_offsets(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader reader;
        struct sp_place place;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0}), 0);
        assert_story(&s, &reader, ".");
        uint64_t position = 0;
        for (uint64_t i = 0; i < 10; i++) {
            assert_int_equal(static_ring_publish(&writer, (uint32_t)(i * 5), &place), 0);
            assert_int_equal(place.offset, i);
            assert_int_equal(place.position, position);
            position += static_ring_record_size(&s.ring, (uint32_t)(i * 5));
        }
        assert_story(&s, &reader, "rrrrrrrrrr.");
        assert_int_equal(sp_ring_tail(&s.ring).position, position);
        assert_int_equal(sp_ring_tail(&s.ring).offset, 10);
        if (sp_writer_owns(&writer))
            sp_writer_settle(&writer); /* the counters are brought up to date now and then */
        assert_int_equal(sp_ring_claimed(&s.ring).position, position);
        assert_int_equal(atomic_load(&writer.slot->counters[SP_PRODUCER_RECORDS]), 10);
        assert_int_equal(atomic_load(&writer.slot->counters[SP_PRODUCER_BYTES]), position);
        static_ring_close(&s);
    }
}

static void a_record_is_invisible_until_it_is_committed(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader reader;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        assert_int_equal(static_ring_claim(&writer, 100, NULL), 0);
        assert_int_equal(writer.claim_count, 1);
        assert_story(&s, &reader, m ? "." : "w"); /* exclusive: nobody sees a claim */
        sp_writer_commit(&writer);
        assert_int_equal(writer.claim_count, 0);
        assert_story(&s, &reader, "r.");
        static_ring_close(&s);
    }
}

static void published_boundary_stays_below_an_open_claim(void **state)
{
    struct static_ring s;
    struct sp_writer one, two;
    struct sp_place place;
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &one);
    static_ring_attach_writer(&s, &two);
    static_ring_publish(&one, 8, NULL);
    static_ring_claim(&one, 8, &place);
    static_ring_publish(&two, 8, NULL);
    assert_int_equal(sp_ring_published(&s.ring).position, place.position);
    assert_int_equal(sp_ring_published(&s.ring).offset, 1);
    assert_int_equal(sp_ring_tail(&s.ring).offset, 3);
    sp_writer_commit(&one);
    assert_int_equal(sp_ring_published(&s.ring).offset, 3);
    static_ring_close(&s);
}

static void exclusive_abort_gives_space_and_offset_back(void **state)
{
    struct static_ring s;
    struct sp_writer writer;
    struct sp_reader reader;
    struct sp_place one, two;
    struct static_ring_config config = config_of(SPATE_MODE_EXCLUSIVE);
    (void)state;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &writer);
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_claim(&writer, 500, &one);
    sp_writer_abort(&writer);
    assert_int_equal(writer.claim_count, 0);
    assert_story(&s, &reader, ".");
    static_ring_publish(&writer, 20, &two);
    assert_int_equal(one.position, two.position);
    assert_int_equal(one.offset, two.offset);
    assert_story(&s, &reader, "r.");
    static_ring_close(&s);
}

static void concurrent_abort_leaves_a_hole_that_readers_step_over(void **state)
{
    struct static_ring s;
    struct sp_writer writer;
    struct sp_reader reader;
    uint32_t sizes[5];
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &writer);
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    static_ring_publish(&writer, 8, NULL);
    static_ring_claim(&writer, 500, NULL);
    sp_writer_abort(&writer);
    static_ring_publish(&writer, 8, NULL);
    static_ring_claim_batch(&writer, 40, 5, sizes, NULL);
    sp_writer_abort(&writer);
    static_ring_publish(&writer, 8, NULL);
    assert_story(&s, &reader, "r-r-----r.");
    assert_int_equal(atomic_load(&writer.slot->counters[SP_PRODUCER_ABORTED]), 6);
    assert_int_equal(atomic_load(&reader.cursor->counters[SP_CONSUMER_ABORTED]), 6);
    static_ring_close(&s);
}

static void a_batch_is_contiguous_and_published_in_order(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader reader;
        struct sp_place place;
        static uint32_t sizes[300];
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        static_ring_publish(&writer, 3, NULL);
        assert_int_equal(static_ring_claim_batch(&writer, 8, 300, sizes, &place), 0);
        assert_int_equal(place.offset, 1);
        assert_story(&s, &reader, m ? "r." : "rw");
        sp_writer_commit_batch(&writer, sizes);
        assert_int_equal(sp_ring_tail(&s.ring).offset, 301);
        char text[400];
        static_ring_story(&s, &reader, text, sizeof text);
        assert_int_equal(strspn(text, "r"), 300);
        assert_string_equal(text + 300, ".");
        static_ring_close(&s);
    }
}

static void records_wrap_around_the_end_of_the_ring_in_one_piece(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        for (uint32_t unit_shift = 3; unit_shift <= 7; unit_shift++) {
            struct static_ring s;
            struct sp_writer writer;
            struct sp_reader reader;
            struct static_ring_config config = config_of(modes[m]);
            uint64_t seed = static_ring_seed(unit_shift);
            char text[64];
            config.unit_shift = unit_shift;
            static_ring_open(&s, &config);
            static_ring_attach_writer(&s, &writer);
            static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
            unsigned wrapped = 0;
            while (writer.tail.position < 20 * s.ring.capacity) {
                struct sp_place place;
                uint32_t size = (uint32_t)(static_ring_random(&seed) % 5000);
                assert_int_equal(static_ring_publish(&writer, size, &place), 0);
                wrapped += (place.position & s.ring.mask) + static_ring_record_size(&s.ring, size) > s.ring.capacity;
                static_ring_story(&s, &reader, text, sizeof text);
                assert_string_equal(text, "r.");
            }
            assert_true(wrapped >= 15);
            static_ring_close(&s);
        }
    }
}

static void positions_and_offsets_go_on_far_from_zero(void **state)
{
    static const struct sp_place starts[] = {
        {((uint64_t)1 << 38) - 4096, ((uint64_t)1 << 30) - 20}, /* both fields of the packed word wrap */
        {((uint64_t)1 << 52) - 8192, ((uint64_t)1 << 40) - 10},
        {((uint64_t)1 << 62) - 2048, ((uint64_t)1 << 45) - 10},
    };
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct static_ring s;
        struct sp_writer writers[3];
        struct sp_reader reader;
        struct static_ring_config config = config_of(modes[i % 2]);
        struct sp_place expected = starts[i / 2];
        config.start = expected;
        static_ring_open(&s, &config);
        int writers_count = i % 2 ? 1 : 3;
        for (int w = 0; w < writers_count; w++)
            static_ring_attach_writer(&s, &writers[w]);
        assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, expected), 0);
        for (int n = 0; n < 3000; n++) {
            struct sp_place place;
            char text[16];
            assert_int_equal(static_ring_publish(&writers[n % writers_count], (uint32_t)n % 300, &place), 0);
            assert_int_equal(place.position, expected.position);
            assert_int_equal(place.offset, expected.offset);
            expected.position += static_ring_record_size(&s.ring, (uint32_t)n % 300);
            expected.offset++;
            static_ring_story(&s, &reader, text, sizeof text);
            assert_string_equal(text, "r.");
        }
        static_ring_close(&s);
    }
}

static void a_writer_that_slept_while_2_to_the_31_records_passed_finds_its_place(void **state)
{
    struct static_ring s;
    struct sp_writer writer;
    struct sp_place place, far = {.position = ((uint64_t)1 << 36) + 64, .offset = ((uint64_t)1 << 31) + 12345};
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &writer);
    static_ring_publish(&writer, 8, NULL);
    /* as others would have left it: bases raised on the way */
    atomic_store(&s.header->tail, sp_tail_pack(far.position >> 4, far.offset));
    atomic_store(&s.header->records_base, far.offset - 100);
    atomic_store(&s.header->units_base, (far.position >> 4) - 100);
    atomic_store(&s.header->reserved, far.position);
    assert_int_equal(static_ring_publish(&writer, 8, &place), 0);
    assert_int_equal(place.position, far.position);
    assert_int_equal(place.offset, far.offset);
    static_ring_close(&s);
}

static void the_largest_record_fits_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader reader;
        struct sp_place place;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        const uint32_t largest = (uint32_t)s.ring.record_size_max;
        assert_int_equal(sp_writer_claim(&writer, largest + 1, 1, &place), -EMSGSIZE);
        assert_int_equal(sp_writer_claim(&writer, UINT64_MAX, 1, &place), -EMSGSIZE);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(static_ring_publish(&writer, largest - 16, NULL), 0);
            assert_story(&s, &reader, "r.");
        }
        static_ring_close(&s);
    }
}

static void claim_fails_when_a_gating_consumer_is_one_ring_behind(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader gate, other;
        struct spate_record records[4];
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &other, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        static_ring_attach_reader(&s, &gate, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        uint64_t published = 0;
        while (static_ring_publish(&writer, 48, NULL) == 0)
            published++;
        assert_int_equal(static_ring_publish(&writer, 48, NULL), -EAGAIN);
        assert_int_equal(writer.blocker.kind, SP_BLOCKER_CONSUMER);
        assert_false(sp_writer_has_room(&writer, 64));
        uint64_t room = s.ring.capacity - published * 64;
        assert_in_range(room, 0, 63);
        assert_true(sp_ring_tail(&s.ring).position <= s.ring.capacity);
        /* one gate goes on: the other holds, and is named */
        assert_int_equal(sp_reader_poll(&other, records, 4), 4);
        sp_reader_release(&other);
        assert_int_equal(static_ring_publish(&writer, 48, NULL), -EAGAIN);
        assert_int_equal(writer.blocker.slot, 1);
        assert_int_equal(writer.blocker.position, 0);
        /* polling alone frees nothing, releasing does */
        assert_int_equal(sp_reader_poll(&gate, records, 4), 4);
        assert_int_equal(static_ring_publish(&writer, 48, NULL), -EAGAIN);
        sp_reader_release(&gate);
        assert_true(sp_writer_has_room(&writer, 4 * 64));
        assert_false(sp_writer_has_room(&writer, 5 * 64));
        for (int i = 0; i < 4; i++)
            assert_int_equal(static_ring_publish(&writer, 48, NULL), 0);
        assert_int_equal(static_ring_publish(&writer, 48, NULL), -EAGAIN);
        /* a gate that was evicted or left holds nobody */
        atomic_store(&gate.cursor->state, SP_CURSOR_EVICTED);
        static_ring_detach_reader(&s, &other);
        for (int i = 0; i < 5000; i++)
            assert_int_equal(static_ring_publish(&writer, 48, NULL), 0);
        assert_int_equal(sp_reader_poll(&gate, records, 4), -EOVERFLOW);
        static_ring_close(&s);
    }
}

static void claim_fails_when_an_unfinished_claim_is_one_ring_behind(void **state)
{
    struct static_ring s;
    struct sp_writer slow, fast;
    struct sp_place place;
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &fast);
    static_ring_attach_writer(&s, &slow);
    static_ring_publish(&fast, 48, NULL);
    static_ring_claim(&slow, 48, &place);
    int error;
    while ((error = static_ring_publish(&fast, 48, NULL)) == 0) {
    }
    assert_int_equal(error, -EAGAIN);
    assert_int_equal(fast.blocker.kind, SP_BLOCKER_PRODUCER);
    assert_int_equal(fast.blocker.slot, 1);
    assert_int_equal(fast.blocker.position, place.position);
    assert_int_equal(fast.claim_count, 0);
    sp_writer_commit(&slow);
    assert_int_equal(static_ring_publish(&fast, 48, NULL), 0);
    static_ring_close(&s);
}

static void a_skip_consumer_never_holds_up_a_writer(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader reader;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_SKIP, (struct sp_place){0, 0});
        for (int i = 0; i < 5000; i++)
            assert_int_equal(static_ring_publish(&writer, 48, NULL), 0);
        static_ring_close(&s);
    }
}

static void a_claim_that_was_refused_leaves_no_trace(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct sp_reader gate;
        struct sp_place place = {77, 88};
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_attach_reader(&s, &gate, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        while (static_ring_publish(&writer, 1000, NULL) == 0) {
        }
        uint64_t tail = atomic_load(&s.header->tail);
        assert_int_equal(sp_writer_claim(&writer, s.ring.record_size_max, 1, &place), -EAGAIN);
        assert_int_equal(place.position, 77);
        assert_int_equal(place.offset, 88);
        assert_int_equal(atomic_load(&s.header->tail), tail);
        assert_int_equal(atomic_load(&writer.slot->claim) & SP_PHASE_MASK, SP_PHASE_IDLE);
        assert_int_equal(writer.claim_count, 0);
        static_ring_close(&s);
    }
}

static void claim_says_so_when_the_topic_was_deleted(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_publish(&writer, 8, NULL);
        atomic_store(&s.header->state, SP_STATE_DELETED);
        int error = 0;
        for (int i = 0; i < 300 && error == 0; i++) /* a sixteenth of the ring at the latest */
            error = static_ring_publish(&writer, 8, NULL);
        assert_int_equal(error, -ESTALE);
        static_ring_close(&s);
    }
}

static void commit_returns_the_notice_of_sleepers(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        struct static_ring s;
        struct sp_writer writer;
        struct static_ring_config config = config_of(modes[m]);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &writer);
        static_ring_claim(&writer, 8, NULL);
        assert_int_equal(sp_writer_commit(&writer), 0);
        atomic_store(&s.cursors->notice, 1);
        writer.fence_on_commit = true;
        static_ring_claim(&writer, 8, NULL);
        assert_int_equal(sp_writer_commit(&writer), 1);
        static_ring_close(&s);
    }
}

static void exclusive_successor_goes_on_behind_the_stamps_of_a_dead_one(void **state)
{
    (void)state;
    for (uint32_t stamped = 0; stamped <= 3; stamped++) {
        struct static_ring s;
        struct sp_writer dead, next;
        struct sp_reader reader;
        struct sp_place place;
        uint32_t sizes[3];
        char text[64];
        struct static_ring_config config = config_of(SPATE_MODE_EXCLUSIVE);
        static_ring_open(&s, &config);
        static_ring_attach_writer(&s, &dead);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        static_ring_publish(&dead, 100, NULL);
        static_ring_claim_batch(&dead, 40, 3, sizes, &place);
        for (uint32_t i = 0; i < stamped; i++) { /* it dies after so many stamps, before the store of the tail */
            atomic_store(&((struct sp_record_header *)(void *)(s.data + (place.position & s.ring.mask)))->stamp,
                         sp_stamp(place.offset, s.ring.salt));
            place.position += sizes[i];
            place.offset++;
        }
        static_ring_kill_writer(&s, &dead);
        static_ring_story(&s, &reader, text, sizeof text);
        assert_int_equal(strspn(text, "r"), 1 + stamped); /* readers see them without any repair */
        assert_string_equal(text + 1 + stamped, ".");
        struct sp_repair_result result;
        sp_ring_repair(&s.ring, static_ring_liveness(&s), &result);
        assert_int_equal(result.producers, 1);
        assert_int_equal(result.aborted, 0);
        assert_int_equal(static_ring_attach_writer(&s, &next), 0);
        assert_int_equal(sp_ring_tail(&s.ring).position, place.position);
        assert_int_equal(sp_ring_tail(&s.ring).offset, place.offset);
        static_ring_publish(&next, 8, &place);
        assert_int_equal(place.offset, 1 + stamped);
        assert_story(&s, &reader, "r.");
        static_ring_close(&s);
    }
}

static void exclusive_successor_finds_a_whole_largest_batch_without_tail(void **state)
{
    struct static_ring s;
    struct sp_writer dead, next;
    static uint32_t sizes[SPATE_BATCH_MAX];
    struct sp_place place;
    struct static_ring_config config = config_of(SPATE_MODE_EXCLUSIVE);
    (void)state;
    config.capacity = SPATE_RING_MIN * 8;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &dead);
    assert_int_equal(static_ring_claim_batch(&dead, 8, SPATE_BATCH_MAX, sizes, &place), 0);
    uint64_t tail = atomic_load(&s.header->tail);
    sp_writer_commit_batch(&dead, sizes);
    assert_int_equal(atomic_load(&s.header->tail), tail); /* dies before it settles */
    struct sp_place committed = {place.position, place.offset + SPATE_BATCH_MAX};
    for (uint32_t i = 0; i < SPATE_BATCH_MAX; i++)
        committed.position += sizes[i];
    assert_int_equal(sp_ring_tail(&s.ring).position, committed.position);
    static_ring_detach_writer(&s, &dead);
    static_ring_attach_writer(&s, &next);
    assert_int_equal(atomic_load(&s.header->tail), sp_tail_pack(committed.position >> s.ring.unit_shift, committed.offset));
    static_ring_close(&s);
}

static void a_reused_slot_keeps_its_counters(void **state)
{
    struct static_ring s;
    struct sp_writer writer;
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &writer);
    static_ring_publish(&writer, 8, NULL);
    static_ring_detach_writer(&s, &writer);
    assert_int_equal(static_ring_attach_writer(&s, &writer), 0);
    static_ring_publish(&writer, 8, NULL);
    assert_int_equal(atomic_load(&writer.slot->counters[SP_PRODUCER_RECORDS]), 2);
    static_ring_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_records_are_read_in_order_with_dense_offsets),
        cmocka_unit_test(a_record_is_invisible_until_it_is_committed),
        cmocka_unit_test(published_boundary_stays_below_an_open_claim),
        cmocka_unit_test(exclusive_abort_gives_space_and_offset_back),
        cmocka_unit_test(concurrent_abort_leaves_a_hole_that_readers_step_over),
        cmocka_unit_test(a_batch_is_contiguous_and_published_in_order),
        cmocka_unit_test(records_wrap_around_the_end_of_the_ring_in_one_piece),
        cmocka_unit_test(positions_and_offsets_go_on_far_from_zero),
        cmocka_unit_test(a_writer_that_slept_while_2_to_the_31_records_passed_finds_its_place),
        cmocka_unit_test(the_largest_record_fits_and_one_byte_more_is_refused),
        cmocka_unit_test(claim_fails_when_a_gating_consumer_is_one_ring_behind),
        cmocka_unit_test(claim_fails_when_an_unfinished_claim_is_one_ring_behind),
        cmocka_unit_test(a_skip_consumer_never_holds_up_a_writer),
        cmocka_unit_test(a_claim_that_was_refused_leaves_no_trace),
        cmocka_unit_test(claim_says_so_when_the_topic_was_deleted),
        cmocka_unit_test(commit_returns_the_notice_of_sleepers),
        cmocka_unit_test(exclusive_successor_goes_on_behind_the_stamps_of_a_dead_one),
        cmocka_unit_test(exclusive_successor_finds_a_whole_largest_batch_without_tail),
        cmocka_unit_test(a_reused_slot_keeps_its_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
