/* stamp_test.c: bytes of a payload never make a stamp out of an old one.
 *
 * A record's last bytes may end within the word where, a lap ago, another record's stamp lay. What stays of that stamp and the
 * payload's bytes together must not be the stamp that this place is expected to carry a lap later. Here the bytes are chosen so
 * that they would be if stamps were counted up one by one. (They once were: then with random values it came true once in 2^16 such
 * endings, and the every-instruction kill test met it three times in a million rounds.)
 *
 * Run by ctest with the label `unit`, on a static_ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "static_ring.h"

#define UNIT 64u
#define UNITS ((uint64_t)SPATE_RING_MIN / UNIT) /* in the ring */
#define VALUE 8u                                /* of the records around it: one unit each */

enum fate { COMMIT, ABORT, DIE };

struct scene {
    struct static_ring ring;
    struct sp_writer writer;
    struct sp_reader reader;
};

/* One record of a unit, read at once. */
static void fill(struct scene *scene)
{
    char text[16];
    assert_int_equal(static_ring_publish(&scene->writer, VALUE, NULL), 0);
    static_ring_story(&scene->ring, &scene->reader, text, sizeof text);
    assert_string_equal(text, "r.");
}

/* A claim at the beginning of a lap, of whose value only `count` bytes are written: those that lie at the beginning of the second
 * unit. Then its fate. Returns the units it took. */
static uint64_t plant(struct scene *scene, uint32_t value_size, const void *bytes, uint32_t count, enum fate fate)
{
    const struct spate_record record = {.value = "", .value_size = value_size};
    struct sp_record_shape shape;
    struct sp_place place;
    char text[16];

    assert_int_equal(sp_record_plan(&record, false, false, UNIT, UINT32_MAX, &shape), 0);
    assert_int_equal(sp_writer_claim(&scene->writer, shape.size, 1, &place), 0);
    assert_int_equal(place.position % SPATE_RING_MIN, 0);
    uint8_t *at = scene->ring.data;
    assert_ptr_equal(sp_record_encode(at, &record, &shape, 0), at + SP_RECORD_HEADER_SIZE);
    memcpy(at + UNIT, bytes, count);
    if (fate == COMMIT) {
        sp_writer_commit(&scene->writer);
    } else if (fate == ABORT) {
        sp_writer_abort(&scene->writer);
    } else {
        struct sp_repair_result repaired;
        static_ring_kill_writer(&scene->ring, &scene->writer);
        sp_ring_repair(&scene->ring.ring, static_ring_liveness(&scene->ring), &repaired);
        assert_int_equal(repaired.producers, 1);
        static_ring_attach_writer(&scene->ring, &scene->writer);
    }
    static_ring_story(&scene->ring, &scene->reader, text, sizeof text);
    assert_int_equal(text[strlen(text) - 1], '.');
    return shape.size / UNIT;
}

/* value_size: such that the value ends `count` bytes into the second unit, or far behind. */
static void try_one(enum spate_mode mode, enum fate fate, uint32_t value_size, uint32_t count)
{
    struct static_ring_config config = static_ring_defaults;
    struct scene scene;

    config.mode = mode;
    config.capacity = SPATE_RING_MIN;
    config.unit_shift = 6;
    static_ring_open(&scene.ring, &config);
    static_ring_attach_writer(&scene.ring, &scene.writer);
    assert_int_equal(static_ring_attach_reader(&scene.ring, &scene.reader, SPATE_POLICY_GATE, (struct sp_place){0, 0}), 0);
    for (uint64_t i = 0; i < UNITS; i++)
        fill(&scene);
    /* The next record to begin at the second unit: soon, when nothing is left of the claim; else after a lap, in which the claim
     * counts for one record. */
    const bool gone = mode == SPATE_MODE_EXCLUSIVE && fate != COMMIT;
    const uint64_t units = (SP_RECORD_HEADER_SIZE + value_size + UNIT - 1) / UNIT;
    const uint64_t expected = gone ? UNITS + 1 : UNITS + 1 + (UNITS - units) + 1;
    const uint64_t stamp = sp_stamp(expected, scene.ring.ring.salt);
    assert_int_equal(plant(&scene, value_size, &stamp, count, fate), units);
    for (uint64_t i = gone ? 0 : units; i < (gone ? 1 : UNITS + 1); i++)
        fill(&scene); /* the last one finds a record behind itself, if the planted bytes make one */
    assert_int_equal(sp_ring_tail(&scene.ring.ring).position % SPATE_RING_MIN, UNIT);
    assert_int_equal(sp_ring_tail(&scene.ring.ring).offset, expected);
    fill(&scene);
    static_ring_close(&scene.ring);
}

static void the_end_of_a_value_and_an_old_stamp_never_make_a_new_stamp(void **state)
{
    (void)state;
    for (enum fate fate = COMMIT; fate <= DIE; fate++)
        for (uint32_t count = 2; count < 8; count++) {
            try_one(SPATE_MODE_CONCURRENT, fate, UNIT - SP_RECORD_HEADER_SIZE + count, count);
            try_one(SPATE_MODE_EXCLUSIVE, fate, UNIT - SP_RECORD_HEADER_SIZE + count, count);
        }
}

static void a_value_that_is_written_in_part_never_makes_a_stamp(void **state)
{
    (void)state;
    for (enum fate fate = COMMIT; fate <= DIE; fate++) {
        try_one(SPATE_MODE_CONCURRENT, fate, 1000, 2);
        try_one(SPATE_MODE_EXCLUSIVE, fate, 1000, 2);
    }
}

/* How many bytes two stamps have in common at most, and how many of them at their ends, when they differ by `step`. A byte stays what it
 * is where zero is added to it, or 0xff and a carry; there is none into the lowest, and either none or one through all the highest. */
static void count_common(uint64_t step, int *ret_all, int *ret_ends)
{
    const uint64_t high = step >> 63 ? ~step : step;

    *ret_all = 0;
    for (int i = 0; i < 8; i++) {
        const uint8_t byte = (uint8_t)(step >> 8 * i);
        *ret_all += byte == 0 || byte == 0xff;
    }
    *ret_ends = __builtin_ctzll(step) / 8 + (high ? __builtin_clzll(high) / 8 : 8);
}

static void stamps_of_records_that_are_not_far_apart_differ_in_most_bytes(void **state)
{
    const uint64_t salt = UINT64_C(0x9234567812345678);
    int all, ends;

    (void)state;
    assert_true(SP_STAMP_STEP * SP_STAMP_STEP_INVERSE == 1);
    for (uint64_t distance = 1; distance < UINT64_C(1) << 22; distance++) {
        count_common(sp_stamp(distance + 77, salt) - sp_stamp(77, salt), &all, &ends);
        assert_true(all <= 3 && ends <= 2);
    }
}

static void a_stamp_names_its_offset(void **state)
{
    const uint64_t salts[] = {UINT64_C(1) << 63, UINT64_C(0xffffffffffffffff), UINT64_C(0x9234567812345678)};
    const uint64_t offsets[] = {0, 1, 12345678, (UINT64_C(1) << 62) - 1};

    (void)state;
    for (size_t i = 0; i < sizeof salts / sizeof salts[0]; i++)
        for (size_t j = 0; j < sizeof offsets / sizeof offsets[0]; j++) {
            assert_true(sp_stamp_offset(sp_stamp(offsets[j], salts[i]), salts[i]) == offsets[j]);
            assert_true(sp_stamp(offsets[j], salts[i]) != 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_value_and_an_old_stamp_never_make_a_new_stamp),
        cmocka_unit_test(a_value_that_is_written_in_part_never_makes_a_stamp),
        cmocka_unit_test(stamps_of_records_that_are_not_far_apart_differ_in_most_bytes),
        cmocka_unit_test(a_stamp_names_its_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
