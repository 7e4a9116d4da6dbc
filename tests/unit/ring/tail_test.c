/* tail_test.c: the packed tail: pack, unpack against bases, advance, with carries and wraps of both fields.
 *
 * Run by ctest with the label `unit`. The reference is 128-bit arithmetic on the full counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring/tail.h"
#include "static_ring.h"

#define RECORDS_FAR ((uint64_t)1 << 29)
#define UNITS_FAR ((uint64_t)1 << 33)

static void assert_place(struct sp_place place, uint64_t position, uint64_t offset)
{
    assert_int_equal(place.position, position);
    assert_int_equal(place.offset, offset);
}

static void unpack_returns_what_was_packed_for_small_counts(void **state)
{
    (void)state;
    for (uint32_t shift = 3; shift <= 7; shift++) {
        for (uint64_t i = 0; i < 1000; i++)
            assert_place(sp_tail_unpack(sp_tail_pack(i * 3, i), 0, 0, shift), (i * 3) << shift, i);
    }
}

static void records_carry_into_units_and_unpack_takes_it_out_again(void **state)
{
    (void)state;
    const uint64_t records = SP_TAIL_RECORD_MASK; /* the next one carries */
    const uint64_t units = 5000;
    uint64_t word = sp_tail_pack(units, records);
    assert_int_equal(word + sp_tail_pack(2, 1), sp_tail_pack(units + 2, records + 1));
    assert_int_equal((word + sp_tail_pack(2, 1)) & SP_TAIL_RECORD_MASK, 0);
    assert_place(sp_tail_unpack(word + sp_tail_pack(2, 1), records - 10, units - 10, 4), (units + 2) << 4, records + 1);
}

static void unpack_is_exact_across_the_wrap_of_the_unit_field(void **state)
{
    (void)state;
    const uint64_t units = ((uint64_t)1 << 34) - 1;
    uint64_t word = sp_tail_pack(units, 77) + sp_tail_pack(3, 1);
    assert_place(sp_tail_unpack(word, 77, units, 6), (units + 3) << 6, 78);
    /* the word itself wrapped: its unit bits are small now */
    assert_true((word >> SP_TAIL_RECORD_BITS) < 10);
}

static void unpack_is_exact_for_any_base_near_enough(void **state)
{
    uint64_t seed = static_ring_seed(1);
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint32_t shift = 3 + (uint32_t)(static_ring_random(&seed) % 5);
        uint64_t records = static_ring_random(&seed) >> (static_ring_random(&seed) % 64);
        uint64_t units = (static_ring_random(&seed) >> (static_ring_random(&seed) % 64)) >> shift;
        uint64_t records_behind = static_ring_random(&seed) % RECORDS_FAR;
        uint64_t units_behind = static_ring_random(&seed) % UNITS_FAR;
        uint64_t word = sp_tail_pack(units, records);
        assert_place(sp_tail_unpack(word, records - records_behind, units - units_behind, shift), units << shift, records);
    }
}

static void unpack_allows_a_base_slightly_ahead(void **state)
{
    (void)state; /* read by somebody else between the load of the tail and that of the base */
    assert_place(sp_tail_unpack(sp_tail_pack(1000, 100), 120, 1040, 4), 1000 << 4, 100);
}

static void unpack_goes_wrong_with_a_base_too_far_behind(void **state)
{
    (void)state; /* the planted bug: it is the raising of the bases that makes unpack exact */
    const uint64_t records = ((uint64_t)1 << 31) + 5, units = (uint64_t)1 << 35;
    struct sp_place place = sp_tail_unpack(sp_tail_pack(units, records), records - RECORDS_FAR - 1, units, 4);
    assert_int_not_equal(place.offset, records);
    place = sp_tail_unpack(sp_tail_pack(units, records), records, units - UNITS_FAR - 1, 4);
    assert_int_not_equal(place.position, units << 4);
}

static void advance_adds_claims_one_by_one(void **state)
{
    uint64_t seed = static_ring_seed(2);
    (void)state;
    for (int start = 0; start < 200; start++) {
        uint32_t shift = 3 + (uint32_t)(static_ring_random(&seed) % 5);
        struct sp_place exact = {.position = (static_ring_random(&seed) >> 20) << shift, .offset = static_ring_random(&seed) >> 10};
        struct sp_place known = exact;
        uint64_t known_word = sp_tail_pack(exact.position >> shift, exact.offset), word = known_word;
        for (int i = 0; i < 1000; i++) {
            uint64_t units = 1 + static_ring_random(&seed) % 100000, records = 1 + static_ring_random(&seed) % 4096;
            word += sp_tail_pack(units, records);
            exact.position += units << shift;
            exact.offset += records;
            struct sp_place place = sp_tail_advance(known, known_word, word, shift);
            assert_place(place, exact.position, exact.offset);
        }
    }
}

static void advance_is_exact_up_to_the_last_record_below_a_full_field(void **state)
{
    (void)state;
    const struct sp_place known = {.position = 4096, .offset = SP_TAIL_RECORD_MASK - 3};
    uint64_t known_word = sp_tail_pack(256, known.offset);
    uint64_t word = known_word + sp_tail_pack(((uint64_t)1 << 34) - 1, SP_TAIL_RECORD_MASK);
    assert_place(sp_tail_advance(known, known_word, word, 4), 4096 + ((((uint64_t)1 << 34) - 1) << 4),
                 known.offset + SP_TAIL_RECORD_MASK);
    /* one more is one too many: this is why writers look at the bases */
    word += sp_tail_pack(0, 1);
    assert_int_not_equal(sp_tail_advance(known, known_word, word, 4).offset, known.offset + SP_TAIL_RECORD_MASK + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpack_returns_what_was_packed_for_small_counts),
        cmocka_unit_test(records_carry_into_units_and_unpack_takes_it_out_again),
        cmocka_unit_test(unpack_is_exact_across_the_wrap_of_the_unit_field),
        cmocka_unit_test(unpack_is_exact_for_any_base_near_enough),
        cmocka_unit_test(unpack_allows_a_base_slightly_ahead),
        cmocka_unit_test(unpack_goes_wrong_with_a_base_too_far_behind),
        cmocka_unit_test(advance_adds_claims_one_by_one),
        cmocka_unit_test(advance_is_exact_up_to_the_last_record_below_a_full_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
