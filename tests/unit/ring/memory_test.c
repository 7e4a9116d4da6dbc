/* memory_test.c: the reader on records that lie in memory, as a block of the log does: what it gives, and that nothing in a hostile block
 * leads it outside.
 *
 * Run by ctest with the label `unit`. The records lie between two unreadable pages: once with their end at the one behind, once with their
 * beginning at the one in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "static_ring.h"

#define SALT UINT64_C(0x1234567812345678)
#define ROOM (1u << 18) /* of the readable part */
#define PAGE 4096u

static const struct sp_place begin = {((uint64_t)1 << 33) + 4096, 5000};

static struct sp_ring_header ring_header;
static struct sp_ring ring;
static struct sp_reader reader;
static uint8_t *fence;             /* PAGE unreadable, ROOM, PAGE unreadable */
static uint8_t block[ROOM];        /* the records as they are built */
static uint32_t at[4096], records; /* where each begins */
static uint32_t size, offsets;     /* of all */

static int open_memory(void **state)
{
    (void)state;
    struct sp_ring_config config = {.capacity = SPATE_RING_MIN, .salt = 1, .unit_shift = 3, .producers_max = 1, .page_size = PAGE};
    memset(&ring_header, 0, sizeof ring_header);
    sp_ring_format(&ring_header, &config);
    sp_ring_init(&ring, &ring_header, NULL, NULL);
    ring.record_size_max = sp_ring_record_size_max(8 << 20); /* as of a topic with a larger ring (bus/log_bus.c) */
    fence = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(fence != MAP_FAILED);
    assert_int_equal(mprotect(fence + PAGE, ROOM, PROT_READ | PROT_WRITE), 0);
    memset(&reader, 0, sizeof reader);
    sp_reader_init(&reader, &ring, NULL, false, 3);
    size = records = offsets = 0;
    return 0;
}

static int close_memory(void **state)
{
    (void)state;
    munmap(fence, ROOM + 2 * PAGE);
    return 0;
}

static void stamp(uint32_t place)
{
    const uint64_t word = sp_stamp(begin.offset + offsets, SALT);
    memcpy(block + place, &word, sizeof word);
}

static void add(const struct spate_record *record)
{
    struct sp_record_shape shape;

    assert_int_equal(sp_record_plan(record, record->timestamp != 0, record->value == NULL, 8, ROOM, &shape), 0);
    assert_true(size + shape.size <= ROOM && records < 4096);
    memset(block + size, 0, shape.size);
    uint8_t *value = sp_record_encode(block + size, record, &shape, record->timestamp);
    if (record->value_size)
        memcpy(value, record->value, record->value_size);
    stamp(size);
    at[records++] = size;
    size += (uint32_t)shape.size;
    offsets++;
}

static void add_aborted(uint32_t bytes, uint32_t count)
{
    const uint64_t word = sp_record_word(bytes / 8, count, SP_RECORD_ABORTED);
    memset(block + size, 0, bytes);
    memcpy(block + size + 8, &word, sizeof word);
    stamp(size);
    at[records++] = size;
    size += bytes;
    offsets += count;
}

/* The records at the fence behind, or in front; the reader opened on them. */
static const uint8_t *place_block(bool in_front)
{
    uint8_t *to = fence + PAGE + (in_front ? 0 : (ROOM - size) & ~7u);
    memcpy(to, block, size);
    sp_reader_open_memory(&reader, to, size, begin, SALT);
    return to;
}

static void touch(const uint8_t *memory, const void *view, uint64_t bytes)
{
    const uint8_t *from = view;

    if (!view || !bytes)
        return;
    assert_true(from >= memory && from <= memory + size && bytes <= (uint64_t)(memory + size - from));
    for (uint64_t i = 0; i < bytes; i += 512)
        __asm__ volatile("" : : "r"(from[i]));
    __asm__ volatile("" : : "r"(from[bytes - 1]));
}

/* Read all there is. Returns what the last poll returned; *ret_count is how many records came. */
static int read_all(const uint8_t *memory, uint32_t max, uint32_t *ret_count)
{
    struct spate_record got[64];
    int64_t last = (int64_t)reader.next.offset - 1;
    int n;

    *ret_count = 0;
    while ((n = sp_reader_poll_memory(&reader, got, max)) > 0) {
        for (int i = 0; i < n; i++) {
            struct spate_header header;
            assert_true(got[i].offset > last);
            last = got[i].offset;
            touch(memory, got[i].key, got[i].key_size);
            touch(memory, got[i].value, got[i].value_size);
            touch(memory, got[i].headers_block, got[i].headers_block_size);
            for (uint32_t j = 0; j < 4; j++)
                if (sp_record_headers_decode(got[i].headers_block, got[i].headers_block_size, got[i].headers_count, j, &header) ==
                    0)
                    touch(memory, header.value, header.value_size);
        }
        *ret_count += (uint32_t)n;
        assert_true(*ret_count <= size / 16);
    }
    assert_true(reader.next.position <= reader.memory_end);
    return n;
}

static const struct spate_header two_headers[] = {{.name = "a", .name_size = 1, .value = "xyz", .value_size = 3},
                                                  {.name = "null", .name_size = 4}};

static void add_all_kinds(void)
{
    static char large[5000];
    add(&(struct spate_record){.value = "value", .value_size = 5});
    add(&(struct spate_record){.value = "value", .value_size = 5});
    add(&(struct spate_record){.value = "value", .value_size = 5, .timestamp = 9});
    add(&(struct spate_record){.key = "key", .key_size = 3, .value = "v", .value_size = 1});
    add(&(struct spate_record){.key = "key", .key_size = 3});
    add(&(struct spate_record){.key = "", .value = "", .headers = two_headers, .headers_count = 2, .timestamp = 10});
    add_aborted(128, 3);
    add(&(struct spate_record){.value = large, .value_size = sizeof large});
    add(&(struct spate_record){.value = large, .value_size = 1});
}

static void records_are_read_as_they_were_written(void **state)
{
    struct spate_record got[16];
    (void)state;
    add_all_kinds();
    const uint8_t *memory = place_block(false);
    assert_int_equal(sp_reader_poll_memory(&reader, got, 16), 8);
    assert_int_equal(got[0].offset, 5000);
    assert_int_equal(got[0].partition, 3);
    assert_int_equal(got[1].offset, 5001);
    assert_memory_equal(got[1].value, "value", 5);
    assert_int_equal(got[1].timestamp, 0);
    assert_int_equal(got[2].timestamp, 9);
    assert_memory_equal(got[3].key, "key", 3);
    assert_null(got[4].value);
    assert_non_null(got[5].key);
    assert_int_equal(got[5].key_size, 0);
    assert_non_null(got[5].value);
    assert_int_equal(got[5].headers_count, 2);
    assert_int_equal(got[6].offset, 5009); /* behind three that were aborted */
    assert_int_equal(got[6].value_size, 5000);
    assert_int_equal(got[7].offset, 5010);
    assert_true((const uint8_t *)got[0].value >= memory && (const uint8_t *)got[7].value < memory + size);
    assert_int_equal(reader.next.position, begin.position + size);
    assert_int_equal(sp_reader_poll_memory(&reader, got, 16), 0);
}

static void any_number_of_records_may_be_asked_for(void **state)
{
    uint32_t count;
    (void)state;
    for (uint32_t i = 0; i < 500; i++)
        add(&(struct spate_record){.value = "abcdefgh", .value_size = i < 400 ? 8 : i % 8, .timestamp = i % 100 ? 3 : 0});
    for (uint32_t max = 1; max <= 64; max += 7) {
        const uint8_t *memory = place_block(false);
        assert_int_equal(read_all(memory, max, &count), 0);
        assert_int_equal(count, 500);
    }
}

static void a_reader_begins_at_the_wanted_offset_inside_a_block(void **state)
{
    struct spate_record got[4];
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        add(&(struct spate_record){.value = "abcdefgh", .value_size = 8, .timestamp = 100 + i});
    for (uint64_t wanted = 4990; wanted < 5100; wanted += 3) {
        place_block(true);
        reader.discard_below = wanted;
        assert_true(sp_reader_poll_memory(&reader, got, 4) > 0);
        assert_int_equal(got[0].offset, wanted < 5000 ? 5000 : wanted);
    }
    place_block(true);
    reader.discard_below = 0;
    reader.discard_before = 150;
    assert_int_equal(sp_reader_poll_memory(&reader, got, 4), 4);
    assert_int_equal(got[0].offset, 5050);
}

static void records_and_holes_may_be_larger_than_the_ring(void **state)
{
    static char large[100000];
    struct spate_record got[4];
    (void)state;
    add_aborted(100000, 1);
    add(&(struct spate_record){.value = large, .value_size = sizeof large});
    add_aborted(16, 1);
    place_block(false);
    assert_int_equal(sp_reader_poll_memory(&reader, got, 4), 1);
    assert_int_equal(got[0].offset, 5001);
    assert_int_equal(got[0].value_size, 100000);
    assert_int_equal(reader.next.offset, 5003);
}

static void only_holes_are_no_error(void **state)
{
    struct spate_record got[4];
    (void)state;
    add_aborted(32, 5);
    add_aborted(16, 1);
    place_block(false);
    assert_int_equal(sp_reader_poll_memory(&reader, got, 4), 0);
    assert_int_equal(reader.next.offset, 5006);
}

static void a_block_that_ends_within_a_record_is_refused_there(void **state)
{
    uint32_t count;
    (void)state;
    add_all_kinds();
    const uint32_t whole = size;
    for (size = 8; size < whole; size += 8) { /* the block is cut, in front of the fence */
        uint32_t good = 0;
        bool is_boundary = false;
        for (uint32_t i = 0; i < records; i++) {
            is_boundary |= at[i] == size;
            good += i + 1 < records && at[i + 1] <= size && i != 6; /* the hole is none */
        }
        const int end = read_all(place_block(false), 4, &count);
        if (end != (is_boundary ? 0 : -EBADMSG) || count != good)
            fail_msg("cut at %u: %u records, then %d", size, count, end);
    }
    size = whole;
}

static void a_record_with_another_stamp_is_refused(void **state)
{
    uint32_t count;
    (void)state;
    add_all_kinds();
    for (uint32_t i = 0; i < records; i++) {
        block[at[i]] ^= 1;
        assert_int_equal(read_all(place_block(false), 4, &count), -EBADMSG);
        assert_int_equal(count, i > 6 ? i - 1 : i);
        block[at[i]] ^= 1;
    }
}

static const uint64_t interesting[] = {0, 1, 7, 8, 15, 16, 0x7fffffff, 0x80000000, 0xffffffff, 0xffff0000, 0xfffffff8};

/* A word of a record's header, or of its headers' sizes, of which some fields are nonsense. */
static uint64_t spoil(uint64_t word, uint64_t *seed)
{
    const uint64_t random = static_ring_random(seed);
    const uint64_t value = interesting[random % (sizeof interesting / sizeof interesting[0])];

    switch (random >> 32 & 7) {
    case 0: return (word & ~UINT64_C(0xffffffff)) | (value & 0xffffffff);
    case 1: return (word & ~(UINT64_C(0xffff) << 32)) | (value & 0xffff) << 32;
    case 2: return word ^ UINT64_C(1) << (48 + (random >> 40 & 15));
    case 3: return word ^ UINT64_C(1) << (random >> 40 & 63);
    case 4: return static_ring_random(seed);
    case 5: return word + (random >> 40 & 15) - 8;
    case 6: return (word & ~(UINT64_C(0xff) << 48)) | (random >> 40 & 0xff) << 48;
    default: return word;
    }
}

static void nonsense_in_a_block_never_leads_outside(void **state)
{
    uint64_t seed = static_ring_seed(1), word;
    uint32_t count, refused = 0;
    (void)state;
    for (int round = 0; round < 30000; round++) {
        const uint64_t before = seed;
        size = records = offsets = 0;
        for (uint64_t i = 0, n = 1 + static_ring_random(&seed) % 2; i < n; i++)
            add_all_kinds();
        for (uint64_t i = 0, n = 1 + static_ring_random(&seed) % 3; i < n; i++) {
            uint32_t place = at[static_ring_random(&seed) % records] + 8;
            if (static_ring_random(&seed) % 4 == 0 && place + 24 <= size)
                place += 8 + 8 * (uint32_t)(static_ring_random(&seed) % 2); /* where sizes of headers may be */
            memcpy(&word, block + place, sizeof word);
            word = spoil(word, &seed);
            memcpy(block + place, &word, sizeof word);
        }
        const int end = read_all(place_block(round % 2), 1 + (uint32_t)round % 5, &count);
        refused += end == -EBADMSG;
        if (end != 0 && end != -EBADMSG)
            fail_msg("SPATE_SEED=%llu: %d", (unsigned long long)before, end);
    }
    assert_in_range(refused, 5000, 29999); /* and it was nonsense */
}

#define MEMORY_TEST(function) cmocka_unit_test_setup_teardown(function, open_memory, close_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(records_are_read_as_they_were_written),
        MEMORY_TEST(any_number_of_records_may_be_asked_for),
        MEMORY_TEST(a_reader_begins_at_the_wanted_offset_inside_a_block),
        MEMORY_TEST(records_and_holes_may_be_larger_than_the_ring),
        MEMORY_TEST(only_holes_are_no_error),
        MEMORY_TEST(a_block_that_ends_within_a_record_is_refused_there),
        MEMORY_TEST(a_record_with_another_stamp_is_refused),
        MEMORY_TEST(nonsense_in_a_block_never_leads_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
