/* crc32c_test.c: published vectors, every implementation against the table, copying, combining, and the constants computed anew.
 *
 * Pure but for one thread that disturbs a copy; run by ctest with the label `unit`. The vectors are those of RFC 3720, appendix B.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc32c.h"

enum { SIZE_MAX_SMALL = 600, ALIGNMENTS = 64, SIZE_LARGE = 300 * 1024, GUARD = 64 };

static uint32_t random_state = 1;

static uint32_t random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void fill_randomly(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(random_number() >> 8);
    }
}

static const struct sp_crc32c_way *usable_from(const struct sp_crc32c_way *way)
{
    while (way->name != NULL && !way->usable()) {
        way++;
    }
    return way;
}

#define FOR_EACH_WAY(way) \
    for (const struct sp_crc32c_way *way = usable_from(sp_crc32c_ways); (way)->name != NULL; (way) = usable_from((way) + 1))

static void crc32c_equals_the_published_vectors(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(sp_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    FOR_EACH_WAY(way)
    {
        assert_int_equal(way->crc(0, bytes, sizeof bytes), 0x46dd794e);
        assert_int_equal(way->crc(0, "123456789", 9), 0xe3069283);
    }
}

static void crc32c_of_nothing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(sp_crc32c(0, NULL, 0), 0);
    assert_int_equal(sp_crc32c(0xe3069283, NULL, 0), 0xe3069283);
    assert_int_equal(sp_crc32c_portable(0xe3069283, NULL, 0), 0xe3069283);
    assert_int_equal(sp_crc32c_copy(0xe3069283, NULL, NULL, 0), 0xe3069283);
    assert_int_equal(sp_crc32c_combine(0xe3069283, 0, 0), 0xe3069283);
    FOR_EACH_WAY(way)
    {
        assert_int_equal(way->crc(0xe3069283, NULL, 0), 0xe3069283);
        assert_int_equal(way->copy(0xe3069283, NULL, NULL, 0), 0xe3069283);
    }
}

static void crc32c_can_be_continued_at_any_byte(void **state)
{
    (void)state;
    static unsigned char bytes[2000];
    fill_randomly(bytes, sizeof bytes);
    uint32_t whole = sp_crc32c_portable(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        assert_int_equal(sp_crc32c(sp_crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
        FOR_EACH_WAY(way)
        {
            assert_int_equal(way->crc(way->crc(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
        }
    }
}

static void all_ways_agree_at_every_small_size_and_alignment(void **state)
{
    (void)state;
    static unsigned char bytes[ALIGNMENTS + SIZE_MAX_SMALL] __attribute__((aligned(64)));
    fill_randomly(bytes, sizeof bytes);
    for (size_t start = 0; start < ALIGNMENTS; start++) {
        const uint32_t begun = random_number();
        uint32_t expected = begun;
        for (size_t size = 0; size <= SIZE_MAX_SMALL; size++) {
            assert_int_equal(sp_crc32c(begun, bytes + start, size), expected);
            FOR_EACH_WAY(way)
            {
                assert_int_equal(way->crc(begun, bytes + start, size), expected);
            }
            if (size < SIZE_MAX_SMALL) {
                expected = sp_crc32c_portable(expected, bytes + start + size, 1);
            }
        }
    }
}

static void all_ways_agree_at_large_sizes(void **state)
{
    (void)state;
    static unsigned char bytes[SIZE_LARGE] __attribute__((aligned(64)));
    fill_randomly(bytes, sizeof bytes);
    for (int i = 0; i < 200; i++) {
        size_t size = random_number() % (i % 4 == 0 ? SIZE_LARGE : 8192);
        size_t start = random_number() % (SIZE_LARGE - size);
        uint32_t begun = random_number(), expected = sp_crc32c_portable(begun, bytes + start, size);
        assert_int_equal(sp_crc32c(begun, bytes + start, size), expected);
        FOR_EACH_WAY(way)
        {
            assert_int_equal(way->crc(begun, bytes + start, size), expected);
        }
    }
}

/* Copies `size` bytes to `to` in a field of other bytes and looks that all that should is there, and nothing else. */
static void check_copy(uint32_t (*copy)(uint32_t, void *, const void *, size_t), unsigned char *to, const unsigned char *from,
                       size_t size, uint32_t begun, uint32_t expected)
{
    static unsigned char untouched[GUARD];
    memset(untouched, 0x5a, sizeof untouched);
    memset(to - GUARD, 0x5a, size + 2 * (size_t)GUARD);
    assert_int_equal(copy(begun, to, from, size), expected);
    assert_memory_equal(to - GUARD, untouched, GUARD);
    assert_memory_equal(to, from, size);
    assert_memory_equal(to + size, untouched, GUARD);
}

static void copies_are_whole_and_summed_at_every_small_size_and_alignment(void **state)
{
    (void)state;
    static unsigned char from[ALIGNMENTS + SIZE_MAX_SMALL] __attribute__((aligned(64)));
    static unsigned char to[2 * GUARD + ALIGNMENTS + SIZE_MAX_SMALL] __attribute__((aligned(64)));
    fill_randomly(from, sizeof from);
    for (size_t start = 0; start < ALIGNMENTS; start++) {
        const uint32_t begun = random_number();
        uint32_t expected = begun;
        for (size_t size = 0; size <= SIZE_MAX_SMALL; size++) {
            unsigned char *target = to + GUARD + (start * 5 + size) % ALIGNMENTS;
            check_copy(sp_crc32c_copy, target, from + start, size, begun, expected);
            FOR_EACH_WAY(way)
            {
                check_copy(way->copy, target, from + start, size, begun, expected);
            }
            if (size < SIZE_MAX_SMALL) {
                expected = sp_crc32c_portable(expected, from + start + size, 1);
            }
        }
    }
}

static void copies_are_whole_and_summed_at_large_sizes(void **state)
{
    (void)state;
    static unsigned char from[SIZE_LARGE], to[SIZE_LARGE + ALIGNMENTS + 2 * GUARD];
    fill_randomly(from, sizeof from);
    for (int i = 0; i < 100; i++) {
        size_t size = random_number() % (i % 4 == 0 ? SIZE_LARGE : 8192 + 64);
        size_t start = random_number() % (SIZE_LARGE - size);
        uint32_t begun = random_number(), expected = sp_crc32c_portable(begun, from + start, size);
        unsigned char *target = to + GUARD + random_number() % ALIGNMENTS;
        check_copy(sp_crc32c_copy, target, from + start, size, begun, expected);
        FOR_EACH_WAY(way)
        {
            check_copy(way->copy, target, from + start, size, begun, expected);
        }
    }
}

/* Three pages of which only the middle one may be touched. */
static unsigned char *page_between_guards(size_t page)
{
    unsigned char *memory = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_READ | PROT_WRITE), 0);
    return memory + page;
}

static void nothing_beside_the_data_is_touched(void **state)
{
    (void)state;
    const size_t page = 65536; /* as large as pages get */
    unsigned char *from = page_between_guards(page), *to = page_between_guards(page);
    fill_randomly(from, page);
    for (size_t size = 1; size <= SIZE_MAX_SMALL; size++) {
        uint32_t at_begin = sp_crc32c_portable(7, from, size), at_end = sp_crc32c_portable(7, from + page - size, size);
        FOR_EACH_WAY(way)
        {
            assert_int_equal(way->crc(7, from, size), at_begin);
            assert_int_equal(way->crc(7, from + page - size, size), at_end);
            assert_int_equal(way->copy(7, to + page - size, from, size), at_begin);
            assert_int_equal(way->copy(7, to, from + page - size, size), at_end);
        }
    }
    assert_int_equal(munmap(from - page, 3 * page), 0);
    assert_int_equal(munmap(to - page, 3 * page), 0);
}

/* A source that does not hold still: all its words count up, again and again, until told to stop. */
struct disturbed {
    uint64_t words[1030];
    _Atomic bool stop;
};

/* That this races with the copy is what is tested. */
__attribute__((no_sanitize("thread"))) static void *disturb(void *argument)
{
    struct disturbed *source = argument;
    while (!atomic_load_explicit(&source->stop, memory_order_relaxed)) { /* relaxed: only the flag itself */
        for (size_t i = 0; i < sizeof source->words / sizeof *source->words; i++) {
            source->words[i] += 0x0123456789abcdefu;
        }
        __asm__ volatile("" ::: "memory");
    }
    return NULL;
}

static void the_sum_is_that_of_the_copy_while_the_source_changes(void **state)
{
    (void)state;
    static struct disturbed source;
    static unsigned char to[sizeof source.words];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, disturb, &source), 0);
    bool all_equal = true;
    for (int i = 0; i < 300; i++) {
        size_t size = i % 3 == 0 ? (size_t)(i % 200) : sizeof source.words - (size_t)(i % 80);
        FOR_EACH_WAY(way)
        {
            uint32_t crc = way->copy(0, to, source.words, size);
            all_equal = all_equal && crc == sp_crc32c_portable(0, to, size);
        }
    }
    atomic_store_explicit(&source.stop, true, memory_order_relaxed); /* relaxed: only the flag itself */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(all_equal);
}

static void combining_equals_the_sum_of_both_in_a_row(void **state)
{
    (void)state;
    static unsigned char bytes[SIZE_LARGE];
    fill_randomly(bytes, sizeof bytes);
    uint32_t crc_a = sp_crc32c(0, bytes, 1000);
    for (size_t size = 0; size < SIZE_LARGE - 1000; size += 1 + size / 8) {
        uint32_t crc_b = sp_crc32c(0, bytes + 1000, size);
        assert_int_equal(sp_crc32c_combine(crc_a, crc_b, size), sp_crc32c(0, bytes, 1000 + size));
    }
}

/* Sizes beyond what can be computed byte by byte: by joining b's halves first, or a and b's first half first, the same has to come out. */
static void combining_is_associative_at_any_size(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint32_t a = random_number() << 8, b = random_number(), c = random_number();
        uint64_t size_b = (uint64_t)random_number() << (i % 39), size_c = (uint64_t)random_number() << (i % 31);
        uint32_t left = sp_crc32c_combine(sp_crc32c_combine(a, b, size_b), c, size_c);
        uint32_t right = sp_crc32c_combine(a, sp_crc32c_combine(b, c, size_c), size_b + size_c);
        assert_int_equal(left, right);
    }
}

/* a * b modulo the polynomial, here with x^0 as bit 0, term by term. */
static uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (int i = 0; i < 32; i++) {
        sum ^= (a >> i & 1) ? b << i : 0;
    }
    for (int i = 63; i >= 32; i--) {
        sum ^= (sum >> i & 1) ? 0x11edc6f41u << (i - 32) : 0;
    }
    return sum;
}

static uint32_t power_of_x(uint32_t exponent)
{
    uint64_t power = 1;
    for (int i = 31; i >= 0; i--) {
        power = product(power, power);
        power = (exponent >> i & 1) ? product(power, 2) : power;
    }
    uint32_t reflected = 0;
    for (int i = 0; i < 32; i++) {
        reflected |= (uint32_t)(power >> i & 1) << (31 - i);
    }
    return reflected;
}

static void constants_are_the_powers_of_x_that_they_should_be(void **state)
{
    (void)state;
    size_t count = 0;
    for (; sp_crc32c_powers[count].exponent != 0; count++) {
        assert_int_equal(sp_crc32c_powers[count].value, power_of_x(sp_crc32c_powers[count].exponent));
    }
    assert_true(count > 31);
    for (unsigned i = 0; i < 31; i++) {
        assert_int_equal(sp_crc32c_powers[i].exponent, 1u << i);
    }
    assert_int_equal(power_of_x(1u << 31), power_of_x(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_equals_the_published_vectors),
        cmocka_unit_test(crc32c_of_nothing_changes_nothing),
        cmocka_unit_test(crc32c_can_be_continued_at_any_byte),
        cmocka_unit_test(all_ways_agree_at_every_small_size_and_alignment),
        cmocka_unit_test(all_ways_agree_at_large_sizes),
        cmocka_unit_test(copies_are_whole_and_summed_at_every_small_size_and_alignment),
        cmocka_unit_test(copies_are_whole_and_summed_at_large_sizes),
        cmocka_unit_test(nothing_beside_the_data_is_touched),
        cmocka_unit_test(the_sum_is_that_of_the_copy_while_the_source_changes),
        cmocka_unit_test(combining_equals_the_sum_of_both_in_a_row),
        cmocka_unit_test(combining_is_associative_at_any_size),
        cmocka_unit_test(constants_are_the_powers_of_x_that_they_should_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
