/* record_test.c: a record to bytes and back, in every combination of its parts, and the refusal of bytes that no honest producer wrote.
 *
 * Run by ctest with the label `unit`. Records lie at the end of heap blocks of exactly their size, so that AddressSanitizer sees a step
 * beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/record.h"
#include "static_ring.h"

#define PAYLOAD_MAX 16384u

static uint64_t word_at(const uint8_t *at)
{
    return atomic_load(&((const struct sp_record_header *)(const void *)at)->word);
}

static uint8_t *allocate(uint64_t size)
{
    void *memory = NULL;
    assert_int_equal(posix_memalign(&memory, 128, size), 0);
    memset(memory, 0xa5, size);
    return memory;
}

static void assert_bytes(const void *got, uint32_t got_size, const void *expected, uint32_t size)
{
    if (expected == NULL) {
        assert_null(got);
        assert_int_equal(got_size, 0);
        return;
    }
    assert_non_null(got);
    assert_int_equal(got_size, size);
    if (size)
        assert_memory_equal(got, expected, size);
}

static void assert_headers(const struct spate_record *in, const struct spate_record *out)
{
    struct spate_header header;
    assert_int_equal(out->headers_count, in->headers_count);
    for (uint32_t i = 0; i < in->headers_count; i++) {
        assert_int_equal(sp_record_headers_decode(out->headers_block, out->headers_block_size, out->headers_count, i, &header), 0);
        assert_int_equal(header.name_size, in->headers[i].name_size);
        if (header.name_size)
            assert_memory_equal(header.name, in->headers[i].name, header.name_size);
        assert_bytes(header.value, header.value_size, in->headers[i].value, in->headers[i].value_size);
    }
    assert_int_equal(
        sp_record_headers_decode(out->headers_block, out->headers_block_size, out->headers_count, in->headers_count, &header),
        -ENOENT);
}

static void round_trip(const struct spate_record *in, bool has_timestamp, uint32_t unit)
{
    struct sp_record_shape shape;
    struct spate_record out;
    bool null_value = in->value == NULL;

    assert_int_equal(sp_record_plan(in, has_timestamp, null_value, unit, PAYLOAD_MAX, &shape), 0);
    assert_int_equal(shape.size % unit, 0);
    assert_int_equal(shape.value_at % 8, 0);
    assert_true(shape.size <= PAYLOAD_MAX + SP_RECORD_OVERHEAD_MAX);
    uint8_t *at = allocate(shape.size);
    uint8_t *value = sp_record_encode(at, in, &shape, in->timestamp);
    assert_ptr_equal(value, at + shape.value_at);
    if (in->value_size)
        memcpy(value, in->value, in->value_size);
    memset(&out, 0x77, sizeof out);
    assert_int_equal(sp_record_decode(at, word_at(at), shape.size, unit, &out), shape.size);
    assert_int_equal(out.timestamp, has_timestamp ? in->timestamp : 0);
    assert_bytes(out.key, out.key_size, in->key, in->key_size);
    assert_bytes(out.value, out.value_size, in->value, in->value_size);
    assert_headers(in, &out);
    if (shape.size > unit) /* one unit less readable: refused, not read */
        assert_int_equal(sp_record_decode(at, word_at(at), shape.size - unit, unit, &out), 0);
    free(at);
}

static uint8_t bytes[PAYLOAD_MAX];

static const struct spate_header headers[] = {
    {.name = "trace", .name_size = 5, .value = "12345678", .value_size = 8},
    {.name = "null", .name_size = 4, .value = NULL, .value_size = 0},
    {.name = "empty", .name_size = 5, .value = "", .value_size = 0},
    {.name = NULL, .name_size = 0, .value = "x", .value_size = 1},
    {.name = "trace", .name_size = 5, .value = "again", .value_size = 5},
};

static void every_combination_of_parts_survives_the_round_trip(void **state)
{
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 24, 63, 64, 65, 127, 128, 1000};
    const uint32_t sizes_count = sizeof sizes / sizeof sizes[0];
    (void)state;

    for (uint32_t unit = 8; unit <= 128; unit *= 2) {
        for (uint32_t k = 0; k <= sizes_count; k++) {     /* sizes_count: a null key */
            for (uint32_t v = 0; v <= sizes_count; v++) { /* sizes_count: a tombstone */
                for (uint32_t h = 0; h <= 5; h++) {
                    for (int has_timestamp = 0; has_timestamp < 2; has_timestamp++) {
                        struct spate_record in = {.timestamp = -1234567890123456789 + (int64_t)(k * 100 + v),
                                                  .key = k < sizes_count ? bytes + 3 : NULL,
                                                  .key_size = k < sizes_count ? sizes[k] : 0,
                                                  .value = v < sizes_count ? bytes + 101 : NULL,
                                                  .value_size = v < sizes_count ? sizes[v] : 0,
                                                  .headers = h ? headers : NULL,
                                                  .headers_count = h};
                        round_trip(&in, has_timestamp != 0, unit);
                    }
                }
            }
        }
    }
}

static void the_largest_payload_fits_the_largest_record_at_any_alignment(void **state)
{
    (void)state;
    for (uint32_t unit = 8; unit <= 128; unit *= 2) {
        for (uint32_t key_size = 0; key_size < 20; key_size++) {
            struct spate_record in = {.key = bytes, .key_size = key_size, .headers = headers, .headers_count = 5, .value = bytes};
            uint32_t block = 5 * 8 + 5 + 8 + 4 + 5 + 1 + 5 + 5;
            in.value_size = PAYLOAD_MAX - key_size - block;
            round_trip(&in, true, unit);
        }
    }
}

static void plan_refuses_a_byte_more_than_the_largest_payload(void **state)
{
    struct sp_record_shape shape;
    struct spate_record in = {.key = "k", .key_size = 1, .value = bytes, .value_size = PAYLOAD_MAX - 1};
    (void)state;
    assert_int_equal(sp_record_plan(&in, true, false, 8, PAYLOAD_MAX, &shape), 0);
    in.value_size++;
    assert_int_equal(sp_record_plan(&in, true, false, 8, PAYLOAD_MAX, &shape), -EMSGSIZE);
    in.value_size = UINT32_MAX;
    assert_int_equal(sp_record_plan(&in, true, false, 8, PAYLOAD_MAX, &shape), -EMSGSIZE);
    assert_non_null(strstr(spate_last_error(), "at most 16384"));
}

static void plan_counts_headers_without_overflow(void **state)
{
    struct sp_record_shape shape;
    static struct spate_header many[100];
    struct spate_record in = {.value = "", .headers = many, .headers_count = 100};
    (void)state;
    for (int i = 0; i < 100; i++)
        many[i] = (struct spate_header){.name = "n", .name_size = 1, .value = bytes, .value_size = 0xfffffffe};
    assert_int_equal(sp_record_plan(&in, false, false, 8, (uint64_t)1 << 30, &shape), -EMSGSIZE);
    in.headers_count = UINT32_MAX; /* it stops at the first that is too much, and does not walk beyond the array */
    assert_int_equal(sp_record_plan(&in, false, false, 8, (uint64_t)1 << 30, &shape), -EMSGSIZE);
}

static void plan_refuses_null_pointers_that_come_with_a_size(void **state)
{
    struct sp_record_shape shape;
    struct spate_header header = {.name = NULL, .name_size = 1, .value = "", .value_size = 0};
    (void)state;
    struct spate_record null_key = {.key = NULL, .key_size = 1, .value = ""};
    assert_int_equal(sp_record_plan(&null_key, false, false, 8, PAYLOAD_MAX, &shape), -EINVAL);
    struct spate_record tombstone = {.value_size = 1};
    assert_int_equal(sp_record_plan(&tombstone, false, true, 8, PAYLOAD_MAX, &shape), -EINVAL);
    struct spate_record long_key = {.key = bytes, .key_size = SPATE_KEY_SIZE_MAX + 1, .value = ""};
    assert_int_equal(sp_record_plan(&long_key, false, false, 8, (uint64_t)1 << 30, &shape), -EINVAL);
    struct spate_record no_headers = {.headers = NULL, .headers_count = 1, .value = ""};
    assert_int_equal(sp_record_plan(&no_headers, false, false, 8, PAYLOAD_MAX, &shape), -EINVAL);
    struct spate_record record = {.headers = &header, .headers_count = 1, .value = ""};
    assert_int_equal(sp_record_plan(&record, false, false, 8, PAYLOAD_MAX, &shape), -EINVAL);
    header = (struct spate_header){.name = "n", .name_size = 1, .value = NULL, .value_size = 1};
    assert_int_equal(sp_record_plan(&record, false, false, 8, PAYLOAD_MAX, &shape), -EINVAL);
    header = (struct spate_header){.name = "n", .name_size = 65536, .value = NULL, .value_size = 0};
    assert_int_equal(sp_record_plan(&record, false, false, 8, PAYLOAD_MAX, &shape), -EINVAL);
    header =
        (struct spate_header){.name = "n", .name_size = 1, .value = bytes, .value_size = UINT32_MAX}; /* means null in the format */
    assert_int_equal(sp_record_plan(&record, false, false, 8, UINT64_MAX >> 2, &shape), -EINVAL);
}

static void decode_refuses_other_types_and_unknown_flags(void **state)
{
    uint8_t *at = allocate(64);
    struct spate_record out;
    (void)state;
    for (uint32_t flags = 0; flags < 65536; flags++) {
        bool known = (flags & SP_RECORD_TYPE_MASK) == SP_RECORD_DATA && flags <= SP_RECORD_FLAGS_KNOWN;
        memset(at, 0, 64);
        uint64_t size = sp_record_decode(at, sp_record_word(8, 0, flags), 64, 8, &out);
        assert_int_equal(size != 0, known);
    }
    free(at);
}

static void decode_refuses_sizes_beyond_the_limit(void **state)
{
    uint8_t *at = allocate(128);
    struct spate_record out;
    (void)state;
    memset(at, 0, 128);
    assert_int_equal(sp_record_decode(at, sp_record_word(112, 0, SP_RECORD_DATA), 128, 8, &out), 128);
    assert_int_equal(sp_record_decode(at, sp_record_word(113, 0, SP_RECORD_DATA), 128, 8, &out), 0);
    assert_int_equal(sp_record_decode(at, sp_record_word(UINT32_MAX, 0, SP_RECORD_DATA), 128, 8, &out), 0);
    assert_int_equal(sp_record_decode(at, sp_record_word(UINT32_MAX, 0xffff, SP_RECORD_DATA | SP_RECORD_KEY), 128, 8, &out), 0);
    assert_int_equal(sp_record_decode(at, sp_record_word(0, 113, SP_RECORD_DATA | SP_RECORD_KEY), 128, 8, &out), 0);
    memset(at + 16, 0xff, 8); /* a headers block of 4 GiB */
    assert_int_equal(sp_record_decode(at, sp_record_word(0, 0, SP_RECORD_DATA | SP_RECORD_HEADERS), 128, 8, &out), 0);
    uint64_t sizes = 105; /* one more than is left */
    memcpy(at + 16, &sizes, 8);
    assert_int_equal(sp_record_decode(at, sp_record_word(0, 0, SP_RECORD_DATA | SP_RECORD_HEADERS), 128, 8, &out), 0);
    free(at);
}

static void decode_never_reads_beyond_the_limit_however_small(void **state)
{
    (void)state; /* AddressSanitizer is the judge: size_max bytes are readable, not one more */
    for (uint64_t size_max = 0; size_max <= 40; size_max += 8) {
        uint8_t *at = allocate(size_max ? size_max : 1);
        struct spate_record out;
        uint64_t word = sp_record_word(0, 0, SP_RECORD_DATA | SP_RECORD_TIMESTAMP | SP_RECORD_HEADERS);
        memset(at, 0, size_max);
        assert_int_equal(sp_record_decode(at, word, size_max, 8, &out), size_max >= 32 ? 32 : 0);
        free(at);
    }
}

static void decode_of_random_bytes_stays_inside(void **state)
{
    uint64_t seed = static_ring_seed(3);
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t size_max = 32 + static_ring_random(&seed) % 64 * 8;
        uint8_t *at = allocate(size_max);
        struct spate_record out;
        struct spate_header header;
        for (uint64_t j = 0; j < size_max; j += 8) {
            uint64_t random = static_ring_random(&seed) >> (static_ring_random(&seed) % 64);
            memcpy(at + j, &random, 8);
        }
        uint64_t word = sp_record_word((uint32_t)static_ring_random(&seed) >> (static_ring_random(&seed) % 32),
                                       (uint32_t)static_ring_random(&seed) & 0xffffu >> (static_ring_random(&seed) % 16),
                                       SP_RECORD_DATA | ((uint32_t)static_ring_random(&seed) & 0xf0u));
        uint32_t unit = 8u << static_ring_random(&seed) % 5;
        uint64_t size = sp_record_decode(at, word, size_max, unit, &out);
        assert_true(size <= size_max);
        if (size) {
            uint8_t sum = 0;
            for (uint32_t j = 0; j < out.key_size; j++)
                sum = (uint8_t)(sum + ((const uint8_t *)out.key)[j]);
            for (uint32_t j = 0; j < out.value_size; j++)
                sum = (uint8_t)(sum + ((const uint8_t *)out.value)[j]);
            for (uint32_t j = 0; j < out.headers_count && j < 10; j++) {
                if (sp_record_headers_decode(out.headers_block, out.headers_block_size, out.headers_count, j, &header) == 0) {
                    for (uint32_t b = 0; b < header.name_size; b++)
                        sum = (uint8_t)(sum + (uint8_t)header.name[b]);
                    for (uint32_t b = 0; b < header.value_size; b++)
                        sum = (uint8_t)(sum + ((const uint8_t *)header.value)[b]);
                }
            }
            __asm__ volatile("" : : "r"(sum)); /* the loads are the point */
        }
        free(at);
    }
}

static void a_header_that_leaves_its_block_is_refused(void **state)
{
    struct spate_header header;
    uint32_t block[4] = {1, 8, 0, 0}; /* name 1, value 8: one byte more than there is */
    (void)state;
    assert_int_equal(sp_record_headers_decode(block, 16, 1, 0, &header), -EBADMSG);
    block[1] = 7;
    assert_int_equal(sp_record_headers_decode(block, 16, 1, 0, &header), 0);
    assert_int_equal(sp_record_headers_decode(block, 16, 2, 1, &header), -EBADMSG); /* count says 2, the block holds one */
    assert_int_equal(sp_record_headers_decode(block, 7, 1, 0, &header), -EBADMSG);
    assert_int_equal(sp_record_headers_decode(block, 0, 1, 0, &header), -EBADMSG);
    block[0] = UINT32_MAX;
    block[1] = UINT32_MAX - 1;
    assert_int_equal(sp_record_headers_decode(block, 16, 1, 0, &header), -EBADMSG);
}

static void aborted_records_are_told_from_data_and_from_nonsense(void **state)
{
    const uint64_t capacity = 65536;
    uint64_t size;
    uint32_t count;
    struct spate_record out;
    uint8_t *at = allocate(64);
    (void)state;
    assert_true(sp_aborted_decode(sp_record_word(4, 3, SP_RECORD_ABORTED), capacity, 4, &size, &count));
    assert_int_equal(size, 64);
    assert_int_equal(count, 3);
    assert_int_equal(sp_record_decode(at, sp_record_word(4, 3, SP_RECORD_ABORTED), 64, 16, &out), 0);
    assert_false(sp_aborted_decode(sp_record_word(4, 3, SP_RECORD_DATA), capacity, 4, &size, &count));
    assert_false(sp_aborted_decode(sp_record_word(4, 0, SP_RECORD_ABORTED), capacity, 4, &size, &count));
    assert_false(sp_aborted_decode(sp_record_word(0, 1, SP_RECORD_ABORTED), capacity, 4, &size, &count));
    assert_false(
        sp_aborted_decode(sp_record_word(1, 1, SP_RECORD_ABORTED), capacity, 3, &size, &count)); /* 8 bytes: no header fits */
    assert_true(sp_aborted_decode(sp_record_word(4096, 1, SP_RECORD_ABORTED), capacity, 4, &size, &count));
    assert_false(sp_aborted_decode(sp_record_word(4097, 1, SP_RECORD_ABORTED), capacity, 4, &size, &count));
    assert_false(sp_aborted_decode(sp_record_word(UINT32_MAX, 1, SP_RECORD_ABORTED), capacity, 7, &size, &count));
    free(at);
}

int main(void)
{
    for (uint32_t i = 0; i < PAYLOAD_MAX; i++)
        bytes[i] = (uint8_t)(i * 13 + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_of_parts_survives_the_round_trip),
        cmocka_unit_test(the_largest_payload_fits_the_largest_record_at_any_alignment),
        cmocka_unit_test(plan_refuses_a_byte_more_than_the_largest_payload),
        cmocka_unit_test(plan_counts_headers_without_overflow),
        cmocka_unit_test(plan_refuses_null_pointers_that_come_with_a_size),
        cmocka_unit_test(decode_refuses_other_types_and_unknown_flags),
        cmocka_unit_test(decode_refuses_sizes_beyond_the_limit),
        cmocka_unit_test(decode_never_reads_beyond_the_limit_however_small),
        cmocka_unit_test(decode_of_random_bytes_stays_inside),
        cmocka_unit_test(a_header_that_leaves_its_block_is_refused),
        cmocka_unit_test(aborted_records_are_told_from_data_and_from_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
