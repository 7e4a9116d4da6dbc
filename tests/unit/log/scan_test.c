/* scan_test.c: walking over the blocks of a segment as recovery does: where it ends, and why.
 *
 * Run by ctest with the label `unit`. The segment is memory, built by support/log_dir.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "log_dir.h"

static struct log_dir dir;
static struct sp_scan_source keep, source;
static struct sp_block_header header;
static const char *reason;
static uint64_t end_at, end_position; /* behind the fifth block */

static int open_segment(void **state)
{
    (void)state;
    log_dir_open(&dir, NULL);
    dir.next = (struct sp_place){1 << 20, 500};
    log_dir_begin(&dir);
    log_dir_fill(&dir, 5, 10, 600, SPATE_COMPRESSION_NONE); /* five blocks of two grains, ten records each */
    assert_int_equal(dir.blocks[1].at - dir.blocks[0].at, 2 * SP_LOG_GRAIN);
    end_at = dir.size;
    end_position = dir.next.position;
    memset(dir.bytes + dir.size, 0, 8 * SP_LOG_GRAIN);
    source = log_dir_memory(dir.bytes, dir.size + 8 * SP_LOG_GRAIN, &keep); /* as allocated: zeros behind */
    return 0;
}

static int close_segment(void **state)
{
    (void)state;
    log_dir_close(&dir);
    return 0;
}

/* Walk on; returns how many blocks were good. *ret_end is why it stopped. */
static uint32_t walk(struct sp_scan_place *place, int *ret_end)
{
    uint32_t count = 0;
    while ((*ret_end = sp_scan_block(&source, &dir.identity, place, &header, &reason)) == 0)
        count++;
    return count;
}

static void expect_end(uint32_t blocks, int end, const char *why)
{
    struct sp_scan_place place = sp_scan_begin(&dir.identity);
    int got;
    assert_int_equal(walk(&place, &got), blocks);
    assert_int_equal(got, end);
    if (why && (!reason || !strstr(reason, why)))
        fail_msg("the reason is \"%s\", not \"%s\"", reason ? reason : "none", why);
    assert_int_equal(place.next.offset, 500 + 10 * blocks);
    assert_int_equal(place.at, blocks < 5 ? dir.blocks[blocks].at : end_at);
    if (blocks) /* an empty segment does not say where it is in the ring */
        assert_int_equal(place.next.position, blocks < 5 ? dir.blocks[blocks].header.position : end_position);
    assert_int_equal(place.max_timestamp, blocks ? 10 * (500 + 10 * (int64_t)blocks - 1) : INT64_MIN);
    assert_int_equal(place.previous, blocks ? dir.blocks[blocks - 1].header.header_crc : dir.identity.crc);
}

static struct sp_block_header *header_at(uint32_t block)
{
    return (struct sp_block_header *)(void *)(dir.bytes + dir.blocks[block].at);
}

static void a_scan_ends_where_zeros_begin(void **state)
{
    (void)state;
    expect_end(5, -EBADMSG, "no block begins there");
}

static void a_scan_ends_with_the_file(void **state)
{
    (void)state;
    source = log_dir_memory(dir.bytes, dir.size, &keep);
    expect_end(5, -ENODATA, NULL);
    assert_null(reason);
}

static void a_scan_goes_on_from_any_place_between_two_blocks(void **state)
{
    struct sp_scan_place place = {dir.blocks[3].at, {dir.blocks[3].header.position, 530}, dir.blocks[2].header.header_crc, 7};
    int end;
    (void)state;
    assert_int_equal(walk(&place, &end), 2);
    assert_int_equal(place.at, dir.size);
    place = (struct sp_scan_place){dir.blocks[3].at, {dir.blocks[3].header.position, 530}, dir.blocks[1].header.header_crc, 7};
    assert_int_equal(walk(&place, &end), 0);
    assert_int_equal(place.at, dir.blocks[3].at);
    assert_int_equal(place.max_timestamp, 7);
}

static void a_block_whose_previous_is_another_one_ends_it(void **state)
{
    (void)state;
    header_at(2)->previous ^= 1;
    sp_block_seal(header_at(2), dir.identity.salt);
    expect_end(2, -EBADMSG, "not the next one");
}

static void a_first_block_that_is_not_chained_to_the_segment_ends_it(void **state)
{
    (void)state;
    header_at(0)->previous = 0;
    sp_block_seal(header_at(0), dir.identity.salt);
    expect_end(0, -EBADMSG, "not the next one");
}

static void a_block_that_goes_back_ends_it(void **state)
{
    (void)state;
    header_at(2)->base_offset--;
    sp_block_seal(header_at(2), dir.identity.salt);
    expect_end(2, -EBADMSG, "not the next one");
}

static void offsets_may_be_left_out(void **state)
{
    struct sp_scan_place place = sp_scan_begin(&dir.identity);
    int end;
    (void)state;
    header_at(4)->base_offset += 100;
    sp_block_seal(header_at(4), dir.identity.salt);
    assert_int_equal(walk(&place, &end), 5);
    assert_int_equal(place.next.offset, 650);
}

static void a_damaged_header_ends_it(void **state)
{
    (void)state;
    header_at(3)->epoch ^= 1;
    expect_end(3, -EBADMSG, "checksum of the block's header");
}

static void any_flipped_byte_of_the_data_ends_it(void **state)
{
    uint8_t *data = dir.bytes + dir.blocks[1].at + sizeof header;
    (void)state;
    for (uint32_t i = 0; i < dir.blocks[1].header.stored_size; i += 37) {
        data[i] ^= 0x80;
        expect_end(1, -EBADMSG, "checksum of the block's data");
        data[i] ^= 0x80;
    }
    expect_end(5, -EBADMSG, "no block begins there");
}

static void a_torn_block_ends_it(void **state)
{
    (void)state;
    memset(dir.bytes + dir.blocks[4].at + SP_LOG_GRAIN, 0, SP_LOG_GRAIN); /* its second half did not come to the disk */
    expect_end(4, -EBADMSG, "checksum of the block's data");
}

static void a_file_cut_within_a_block_ends_it(void **state)
{
    (void)state;
    source = log_dir_memory(dir.bytes, dir.blocks[4].at + 1000, &keep);
    expect_end(4, -EBADMSG, "ends behind the file");
    source = log_dir_memory(dir.bytes, dir.blocks[4].at + 63, &keep);
    expect_end(4, -ENODATA, NULL);
}

static void blocks_of_another_segment_end_it(void **state)
{
    (void)state;
    dir.identity.salt++;
    struct sp_scan_place place = sp_scan_begin(&dir.identity);
    int end;
    assert_int_equal(walk(&place, &end), 0);
    assert_int_equal(end, -EBADMSG);
}

static void a_block_larger_than_what_is_read_at_once_is_checked_whole(void **state)
{
    struct sp_scan_place place;
    int end;
    (void)state;
    const struct log_dir_block *large = (log_dir_put(&dir, 300000, 9999), log_dir_seal(&dir, SPATE_COMPRESSION_NONE));
    source = log_dir_memory(dir.bytes, dir.size, &keep);
    place = sp_scan_begin(&dir.identity);
    assert_int_equal(walk(&place, &end), 6);
    assert_int_equal(end, -ENODATA);
    dir.bytes[large->at + 64 + 299999] ^= 1;
    expect_end(5, -EBADMSG, "checksum of the block's data");
}

static int fail_to_read(void *context, uint64_t at, void *to, uint32_t size)
{
    (void)to;
    (void)size;
    return at >= *(uint64_t *)context ? -EIO : -ENODATA;
}

static void a_failure_to_read_is_no_end(void **state)
{
    uint64_t bad = 0;
    struct sp_scan_place place = sp_scan_begin(&dir.identity), later;
    (void)state;
    source = (struct sp_scan_source){fail_to_read, &bad, 1 << 20};
    assert_int_equal(sp_scan_block(&source, &dir.identity, &place, &header, &reason), -EIO);
    assert_null(reason);
    assert_int_equal(sp_scan_later(&source, &dir.identity, place, &later), -EIO);
}

/* ------------------------------------------------------------------------------------------------------- sp_scan_later */

static int later(uint32_t from, uint64_t offset, struct sp_scan_place *ret)
{
    struct sp_scan_place place = sp_scan_begin(&dir.identity);
    place.at = dir.blocks[from].at;
    place.next.offset = offset;
    return sp_scan_later(&source, &dir.identity, place, ret);
}

static void a_good_block_behind_a_bad_one_is_found(void **state)
{
    struct sp_scan_place found;
    (void)state;
    header_at(1)->epoch ^= 1;
    assert_int_equal(later(1, 510, &found), 0);
    assert_int_equal(found.at, dir.blocks[2].at);
    assert_int_equal(found.next.offset, 520);
    assert_int_equal(found.next.position, dir.blocks[2].header.position);
    assert_int_equal(found.previous, dir.blocks[2].header.previous);
    int end;
    assert_int_equal(walk(&found, &end), 3); /* and from there it goes on */
}

static void bad_blocks_are_passed_over_until_a_good_one_comes(void **state)
{
    struct sp_scan_place found;
    (void)state;
    header_at(1)->epoch ^= 1;
    header_at(2)->epoch ^= 1;
    dir.bytes[dir.blocks[3].at + 64] ^= 1; /* its data */
    assert_int_equal(later(1, 510, &found), 0);
    assert_int_equal(found.next.offset, 540);
}

static void nothing_is_found_where_only_zeros_follow(void **state)
{
    struct sp_scan_place found;
    (void)state;
    assert_int_equal(later(4, 540, &found), -ENODATA);
}

static void a_block_that_holds_the_wanted_offset_is_found_though_it_begins_before(void **state)
{
    struct sp_scan_place found;
    (void)state;
    header_at(1)->epoch ^= 1;
    assert_int_equal(later(1, 525, &found), 0);
    assert_int_equal(found.next.offset, 520);
    assert_int_equal(later(1, 530, &found), 0);
    assert_int_equal(found.next.offset, 530); /* what ends before is of no use */
}

static void blocks_in_the_data_of_another_do_not_pass_for_one_of_a_later_offset(void **state)
{
    struct sp_scan_place found;
    (void)state;
    /* the copy of an old block, as if it had been written here in an earlier life */
    memcpy(dir.bytes + dir.size + SP_LOG_GRAIN, dir.bytes + dir.blocks[0].at, 2 * SP_LOG_GRAIN);
    assert_int_equal(later(4, 550, &found), -ENODATA);
}

#define SCAN_TEST(function) cmocka_unit_test_setup_teardown(function, open_segment, close_segment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(a_scan_ends_where_zeros_begin),
        SCAN_TEST(a_scan_ends_with_the_file),
        SCAN_TEST(a_scan_goes_on_from_any_place_between_two_blocks),
        SCAN_TEST(a_block_whose_previous_is_another_one_ends_it),
        SCAN_TEST(a_first_block_that_is_not_chained_to_the_segment_ends_it),
        SCAN_TEST(a_block_that_goes_back_ends_it),
        SCAN_TEST(offsets_may_be_left_out),
        SCAN_TEST(a_damaged_header_ends_it),
        SCAN_TEST(any_flipped_byte_of_the_data_ends_it),
        SCAN_TEST(a_torn_block_ends_it),
        SCAN_TEST(a_file_cut_within_a_block_ends_it),
        SCAN_TEST(blocks_of_another_segment_end_it),
        SCAN_TEST(a_block_larger_than_what_is_read_at_once_is_checked_whole),
        SCAN_TEST(a_failure_to_read_is_no_end),
        SCAN_TEST(a_good_block_behind_a_bad_one_is_found),
        SCAN_TEST(bad_blocks_are_passed_over_until_a_good_one_comes),
        SCAN_TEST(nothing_is_found_where_only_zeros_follow),
        SCAN_TEST(a_block_that_holds_the_wanted_offset_is_found_though_it_begins_before),
        SCAN_TEST(blocks_in_the_data_of_another_do_not_pass_for_one_of_a_later_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
