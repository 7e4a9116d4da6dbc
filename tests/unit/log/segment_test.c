/* segment_test.c: one segment as readers map it: which files are refused, and with what reason; its blocks; where its index leads.
 *
 * Run by ctest with the label `unit`, over a directory that support/log_dir.c makes: one segment from offset 100 on, of 40 blocks of two
 * records each, 8 KiB a block; timestamps ten times the offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log/segment.h"
#include "log_dir.h"

static struct log_dir dir;
static struct sp_segment segment;
static int folder = -1;
static char path[300]; /* of the segment's file */

static int open_dir(void **state)
{
    char name[300];
    (void)state;
    log_dir_open(&dir, NULL);
    dir.next = (struct sp_place){1 << 20, 100};
    log_dir_begin(&dir);
    log_dir_fill(&dir, 40, 2, 3000, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_true(dir.entries_count >= 4);
    snprintf(name, sizeof name, "%s/" LOG_DIR_TOPIC "/0", dir.path);
    folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    snprintf(path, sizeof path, "%s", log_dir_name(&dir, 100, "log"));
    segment = (struct sp_segment){.fd = -1};
    return 0;
}

static int close_dir(void **state)
{
    (void)state;
    sp_segment_close(&segment);
    close(folder);
    log_dir_close(&dir);
    return 0;
}

static void expect_refused(int error, const char *why)
{
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), error);
    if (!strstr(spate_last_error(), why) || !strstr(spate_last_error(), "t/0/00000000000000000100.log"))
        fail_msg("\"%s\" does not say \"%s\" and which", spate_last_error(), why);
    assert_int_equal(segment.fd, -1);
    assert_null(segment.data);
}

static void a_segment_that_is_not_there_is_named(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    expect_refused(-ENOENT, "No such file");
}

static void a_file_shorter_than_a_header_is_refused(void **state)
{
    (void)state;
    log_dir_cut(path, 4095);
    expect_refused(-EBADMSG, "shorter than its header");
    log_dir_cut(path, 0);
    expect_refused(-EBADMSG, "shorter than its header");
}

static void a_damaged_header_is_refused(void **state)
{
    (void)state;
    log_dir_flip(path, 4000);
    expect_refused(-EBADMSG, "checksum in its header");
    log_dir_flip(path, 4000);
    log_dir_flip(path, 0);
    expect_refused(-EBADMSG, "not a segment");
}

static void a_newer_version_is_refused_as_such(void **state)
{
    const uint32_t version_and_crc[2] = {SP_LOG_VERSION + 1, 12345};
    (void)state;
    log_dir_patch(path, offsetof(struct sp_segment_header, version), version_and_crc, sizeof version_and_crc);
    expect_refused(-EPROTO, "newer build");
}

static void a_segment_of_another_topic_is_refused(void **state)
{
    (void)state;
    dir.id[15] ^= 1;
    expect_refused(-EBADMSG, "another topic");
    assert_int_equal(sp_segment_open(&segment, folder, 100, NULL, "t/0"), 0); /* unless any will do */
}

static void a_renamed_segment_is_refused(void **state)
{
    (void)state;
    assert_int_equal(rename(path, log_dir_name(&dir, 101, "log")), 0);
    assert_int_equal(sp_segment_open(&segment, folder, 101, dir.id, "t/0"), -EBADMSG);
    assert_non_null(strstr(spate_last_error(), "renamed"));
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    assert_int_equal(rename(path, log_dir_name(&dir, 7, "old")), 0);
    assert_int_equal(symlink(log_dir_name(&dir, 7, "old"), path), 0);
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), -ELOOP);
}

static void every_block_is_found_from_the_one_before(void **state)
{
    struct sp_block block;
    uint64_t at = sp_segment_first();
    (void)state;
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    for (uint32_t i = 0; i < 40; i++, at = block.next) {
        assert_int_equal(sp_segment_block(&segment, at, &block), 0);
        assert_int_equal(block.header.base_offset, 100 + 2 * i);
        assert_int_equal(block.at, dir.blocks[i].at);
        assert_int_equal(sp_block_verify(&segment, &block), 0);
    }
    assert_int_equal(sp_segment_block(&segment, at, &block), -ENODATA);
}

static void a_place_where_no_block_begins_gives_none(void **state)
{
    struct sp_block block;
    (void)state;
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    assert_int_equal(sp_segment_block(&segment, 0, &block), -EBADMSG); /* the header is none */
    assert_int_equal(sp_segment_block(&segment, sp_segment_first() + SP_LOG_GRAIN, &block), -EBADMSG);
    assert_int_equal(sp_segment_block(&segment, sp_segment_first() + 64, &block), -ENODATA);
    assert_int_equal(sp_segment_block(&segment, UINT64_MAX, &block), -ENODATA);
    assert_int_equal(sp_segment_block(&segment, UINT64_MAX / SP_LOG_GRAIN * SP_LOG_GRAIN, &block), -ENODATA);
}

static void damaged_data_is_told_with_its_offsets(void **state)
{
    struct sp_block block;
    (void)state;
    log_dir_flip(path, dir.blocks[3].at + 5000);
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    assert_int_equal(sp_segment_block(&segment, dir.blocks[3].at, &block), 0);
    assert_int_equal(sp_block_verify(&segment, &block), -EBADMSG);
    assert_non_null(strstr(spate_last_error(), "offsets 106 to 107"));
}

static void a_segment_that_is_cut_while_it_is_open_gives_no_more_blocks(void **state)
{
    struct sp_block block;
    (void)state;
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    log_dir_cut(path, dir.blocks[30].at);
    assert_int_equal(sp_segment_block(&segment, dir.blocks[30].at, &block), -ENODATA);
    assert_int_equal(sp_segment_block(&segment, dir.blocks[29].at, &block), 0);
    assert_int_equal(sp_block_verify(&segment, &block), 0);
}

static void the_index_leads_at_most_one_step_before_what_is_wanted(void **state)
{
    struct sp_block block;
    bool is_exact = false;
    (void)state;
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    assert_non_null(segment.index);
    for (uint64_t offset = 100; offset < 180; offset++) {
        const uint64_t at = sp_segment_find_offset(&segment, offset), wanted = dir.blocks[(offset - 100) / 2].at;
        assert_in_range(at, wanted > SP_INDEX_STEP + 8192 ? wanted - SP_INDEX_STEP - 8192 : sp_segment_first(), wanted);
        assert_int_equal(sp_segment_block(&segment, at, &block), 0);
        is_exact |= at == wanted && at != sp_segment_first();
        const uint64_t by_time = sp_segment_find_time(&segment, 10 * (int64_t)offset);
        assert_in_range(by_time, wanted > SP_INDEX_STEP + 8192 ? wanted - SP_INDEX_STEP - 8192 : sp_segment_first(), wanted);
    }
    assert_true(is_exact);
    assert_int_equal(sp_segment_find_offset(&segment, 0), sp_segment_first());
    assert_int_equal(sp_segment_find_time(&segment, INT64_MIN), sp_segment_first());
}

static void an_index_of_another_segment_is_left_out(void **state)
{
    (void)state;
    dir.next = (struct sp_place){0, 500};
    log_dir_begin(&dir);
    log_dir_fill(&dir, 40, 2, 3000, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_int_equal(rename(log_dir_name(&dir, 500, "index"), log_dir_name(&dir, 100, "index")), 0);
    assert_int_equal(sp_segment_open(&segment, folder, 100, dir.id, "t/0"), 0);
    assert_null(segment.index);
    assert_int_equal(sp_segment_find_offset(&segment, 179), sp_segment_first());
    assert_int_equal(sp_segment_find_time(&segment, 1790), sp_segment_first());
}

#define SEGMENT_TEST(function) cmocka_unit_test_setup_teardown(function, open_dir, close_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEGMENT_TEST(a_segment_that_is_not_there_is_named),
        SEGMENT_TEST(a_file_shorter_than_a_header_is_refused),
        SEGMENT_TEST(a_damaged_header_is_refused),
        SEGMENT_TEST(a_newer_version_is_refused_as_such),
        SEGMENT_TEST(a_segment_of_another_topic_is_refused),
        SEGMENT_TEST(a_renamed_segment_is_refused),
        SEGMENT_TEST(a_link_is_not_followed),
        SEGMENT_TEST(every_block_is_found_from_the_one_before),
        SEGMENT_TEST(a_place_where_no_block_begins_gives_none),
        SEGMENT_TEST(damaged_data_is_told_with_its_offsets),
        SEGMENT_TEST(a_segment_that_is_cut_while_it_is_open_gives_no_more_blocks),
        SEGMENT_TEST(the_index_leads_at_most_one_step_before_what_is_wanted),
        SEGMENT_TEST(an_index_of_another_segment_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
