/* log_test.c: one partition's log read from any offset and time on, over its segments; and what is told of holes and damage.
 *
 * Run by ctest with the label `unit`, over directories that support/log_dir.c makes. A reading is told as text (story): "0-9" is a block
 * of those offsets, whole and checked; "!10-19" offsets that were reported lost; then "." for the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log/log.h"
#include "log_dir.h"
#include "ring/record.h"

static struct log_dir dir;
static struct sp_log handle;
static int root = -1;

static int open_dir(void **state)
{
    (void)state;
    log_dir_open(&dir, NULL);
    root = log_dir_fd(&dir);
    handle.dir_fd = -1;
    return 0;
}

static int close_dir(void **state)
{
    (void)state;
    sp_log_close(&handle);
    close(root);
    log_dir_close(&dir);
    return 0;
}

/* Three segments of four blocks of ten records; offsets 0-39, 40-79, 80-119; timestamps ten times the offset. Blocks take 8 KiB. */
static void make_three(enum spate_compression codec)
{
    for (int i = 0; i < 3; i++) {
        log_dir_begin(&dir);
        log_dir_fill(&dir, 4, 10, 600, codec);
        log_dir_finish(&dir);
    }
}

static void open_log(void)
{
    sp_log_close(&handle);
    assert_int_equal(sp_log_open(&handle, root, LOG_DIR_TOPIC, 0, dir.id), 0);
}

/* As if all descriptors were taken. Returns the limit before. */
static struct rlimit limit_descriptors(void)
{
    struct rlimit before, now;
    const int next = dup(root);

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

/* Whether the records of the block that was loaded are those of log_dir_put. */
static bool is_whole(void)
{
    const struct sp_block_header *header = &handle.block.header;
    uint64_t offset = header->base_offset;

    for (uint64_t at = 0; at < header->raw_size;) {
        const uint64_t word = ((const uint64_t *)(const void *)(handle.raw + at))[1];
        struct spate_record record;
        uint32_t count = 1;
        uint64_t size =
            sp_record_decode(handle.raw + at, word, header->raw_size - at, 1u << handle.segment.identity.unit_shift, &record);
        record.offset = (int64_t)offset;
        if (size == 0 ? !sp_aborted_decode(word, header->raw_size - at, 4, &size, &count) : !log_dir_is_whole(&record))
            return false;
        at += size;
        offset += count;
    }
    return offset == header->base_offset + header->count;
}

static char text[4096];

static const char *story(uint64_t end)
{
    size_t at = 0;

    for (int steps = 0; steps < 200 && at < sizeof text - 64; steps++) {
        const struct sp_block_header *header = &handle.block.header;
        const int error = sp_log_next(&handle, end);
        if (error == -EBADMSG)
            at += (size_t)snprintf(text + at, sizeof text - at, "!%llu-%llu ", (unsigned long long)handle.lost_first,
                                   (unsigned long long)handle.lost_next - 1);
        else if (error == 0)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%llu-%llu ", is_whole() ? "" : "TORN",
                                   (unsigned long long)header->base_offset,
                                   (unsigned long long)header->base_offset + header->count - 1);
        else {
            snprintf(text + at, sizeof text - at, error == -ENODATA ? "." : "%d", error);
            return text;
        }
    }
    return "it does not end";
}

static const char *story_from(uint64_t offset, uint64_t end)
{
    open_log();
    const int error = sp_log_seek(&handle, offset);
    return error ? snprintf(text, sizeof text, "%d", error), text : story(end);
}

static const char *story_from_time(int64_t time, uint64_t end)
{
    open_log();
    const int error = sp_log_seek_time(&handle, time, end);
    return error ? snprintf(text, sizeof text, "%d", error), text : story(end);
}

#define ALL "0-9 10-19 20-29 30-39 40-49 50-59 60-69 70-79 80-89 90-99 100-109 110-119 ."

/* ----------------------------------------------------------------------------------------------------- seeking, reading */

static void reading_goes_on_over_all_segments(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    assert_string_equal(story_from(0, 120), ALL);
}

static void compressed_blocks_are_unpacked(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_LZ4);
    assert_int_equal(sp_block_codec(&dir.blocks[0].header), SPATE_COMPRESSION_LZ4);
    assert_string_equal(story_from(0, 120), ALL);
}

static void a_seek_leads_to_the_block_that_holds_the_offset(void **state)
{
    char expected[200];
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    for (uint64_t offset = 0; offset < 120; offset++) {
        snprintf(expected, sizeof expected, "%llu-%llu ", (unsigned long long)offset / 10 * 10,
                 (unsigned long long)offset / 10 * 10 + 9);
        const char *got = story_from(offset, 120);
        if (strncmp(got, expected, strlen(expected)) != 0)
            fail_msg("from offset %llu: %s", (unsigned long long)offset, got);
    }
}

static void a_seek_to_the_end_finds_nothing_until_there_is_more(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    assert_string_equal(story_from(120, 120), ".");
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_string_equal(story(120), ".");
    assert_string_equal(story(130), "120-129 .");
}

static void a_seek_before_the_first_segment_says_so(void **state)
{
    uint64_t first = 0;
    (void)state;
    dir.next = (struct sp_place){64000, 1000};
    make_three(SPATE_COMPRESSION_NONE);
    open_log();
    assert_int_equal(sp_log_seek(&handle, 999), -ERANGE);
    assert_int_equal(sp_log_seek(&handle, 0), -ERANGE);
    assert_int_equal(sp_log_first(&handle, &first), 0);
    assert_int_equal(first, 1000);
    assert_int_equal(sp_log_seek(&handle, 1000), 0);
    assert_int_equal(sp_log_next(&handle, 1010), 0);
    assert_int_equal(handle.block.header.base_offset, 1000);
    assert_int_equal(handle.block.header.position, 64000);
}

static void nothing_is_read_beyond_the_end_that_was_given(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    assert_string_equal(story_from(0, 40), "0-9 10-19 20-29 30-39 .");
    assert_string_equal(story_from(0, 41), "0-9 10-19 20-29 30-39 40-49 .");
    assert_string_equal(story_from(0, 0), ".");
}

static void what_cannot_be_opened_for_now_is_not_lost(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    assert_string_equal(story_from(0, 40), "0-9 10-19 20-29 30-39 .");
    struct rlimit before = limit_descriptors();
    assert_int_equal(sp_log_next(&handle, 120), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(story(120), "40-49 50-59 60-69 70-79 80-89 90-99 100-109 110-119 .");
}

static void damage_before_what_cannot_be_opened_for_now_is_told_later(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 0, "log"), dir.blocks[3].at + sizeof(struct sp_block_header) + 9); /* blocks are alike in all */
    assert_string_equal(story_from(0, 30), "0-9 10-19 20-29 .");
    struct rlimit before = limit_descriptors();
    assert_int_equal(sp_log_next(&handle, 120), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(story(60), "!30-39 40-49 50-59 .");
}

static void what_was_deleted_is_before_the_first_offset(void **state)
{
    uint64_t first = 0;
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_frontier(&dir, 25, true);
    open_log();
    assert_int_equal(sp_log_first(&handle, &first), 0);
    assert_int_equal(first, 25);
    assert_int_equal(unlink(log_dir_name(&dir, 0, "log")), 0);
    assert_int_equal(sp_log_first(&handle, &first), 0);
    assert_int_equal(first, 40);
}

static void an_empty_log_begins_where_its_frontier_says(void **state)
{
    uint64_t first = 0;
    (void)state;
    open_log();
    assert_int_equal(sp_log_first(&handle, &first), -ENODATA);
    assert_int_equal(first, 0);
    dir.next = (struct sp_place){8000, 500};
    log_dir_begin(&dir);
    log_dir_frontier(&dir, 500, true);
    assert_int_equal(sp_log_first(&handle, &first), -ENODATA);
    assert_int_equal(first, 500);
}

static void there_is_no_log_where_there_is_no_directory(void **state)
{
    struct sp_log other;
    (void)state;
    assert_int_equal(sp_log_open(&other, root, "another", 0, NULL), -ENOENT);
    assert_int_equal(sp_log_open(&other, root, LOG_DIR_TOPIC, 1, NULL), -ENOENT);
}

static void missing_and_damaged_indexes_change_nothing(void **state)
{
    char expected[120][200], times[120][200];
    (void)state;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 60, 2, 3000, SPATE_COMPRESSION_NONE); /* 480 KiB: several entries */
    log_dir_finish(&dir);
    assert_true(dir.entries_count > 5);
    for (uint64_t i = 0; i < 120; i++) {
        snprintf(expected[i], sizeof expected[i], "%.190s", story_from(i, 120));
        snprintf(times[i], sizeof times[i], "%.190s", story_from_time(10 * (int64_t)i - 3, 120));
    }
    assert_true(strncmp(expected[77], "76-77 78-79 ", 12) == 0 && strncmp(times[77], "76-77 78-79 ", 12) == 0);
    const char *path = log_dir_name(&dir, 0, "index");
    for (int how = 0; how < 4; how++) {
        if (how == 0)
            log_dir_flip(path, sizeof(struct sp_index_header) + 20);
        else if (how == 1)
            log_dir_cut(path, 100);
        else if (how == 2)
            log_dir_cut(path, 0);
        else
            assert_int_equal(unlink(path), 0);
        for (uint64_t i = 0; i < 120; i++) {
            assert_true(strncmp(story_from(i, 120), expected[i], 190) == 0);
            assert_null(handle.segment.index);
            assert_true(strncmp(story_from_time(10 * (int64_t)i - 3, 120), times[i], 190) == 0);
        }
    }
}

static void an_index_that_lies_is_not_believed(void **state)
{
    struct {
        struct sp_index_header header;
        struct sp_index_entry entries[2];
    } index = {.header = {.count = 2, .segment_size = 1 << 20, .max_timestamp = INT64_MAX, .next_offset = 40}};
    const uint64_t places[] = {3 * 8192 + 4096, 4096 + 4096, 8192 + 100, 0, UINT64_MAX / 4096 * 4096};
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        index.header.salt = dir.segment_salt; /* of the first segment */
        index.entries[0] = (struct sp_index_entry){0, INT64_MIN, places[i]};
        index.entries[1] = (struct sp_index_entry){5, 0, places[i]};
        sp_index_seal(&index.header, index.entries);
        log_dir_patch(log_dir_name(&dir, 0, "index"), 0, &index, sizeof index.header + sizeof index.entries[0]);
        log_dir_cut(log_dir_name(&dir, 0, "index"), sizeof index.header + sizeof index.entries[0]);
        log_dir_patch(log_dir_name(&dir, 0, "index"), sizeof index.header + sizeof index.entries[0], &index.entries[1],
                      sizeof index.entries[1]);
        assert_string_equal(story_from(0, 120), ALL);
        assert_non_null(strstr(story_from(7, 120), "0-9 10-19 "));
    }
}

static void blocks_of_one_huge_record_are_read_whole(void **state)
{
    (void)state;
    for (enum spate_compression codec = SPATE_COMPRESSION_NONE; codec <= SPATE_COMPRESSION_LZ4; codec++) {
        log_dir_begin(&dir);
        for (int i = 0; i < 3; i++) {
            log_dir_put(&dir, 900000, 1);
            log_dir_seal(&dir, codec);
            log_dir_put(&dir, 10, 1);
            log_dir_seal(&dir, codec);
        }
        log_dir_finish(&dir);
    }
    assert_string_equal(story_from(0, 12), "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9 10-10 11-11 .");
    assert_string_equal(story_from(10, 12), "10-10 11-11 .");
}

static void aborted_records_stay_holes(void **state)
{
    (void)state;
    log_dir_begin(&dir);
    log_dir_put(&dir, 100, 1);
    log_dir_aborted(&dir, 4096, 7);
    log_dir_put(&dir, 100, 2);
    log_dir_seal(&dir, SPATE_COMPRESSION_LZ4);
    log_dir_aborted(&dir, 64, 1);
    log_dir_seal(&dir, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_string_equal(story_from(0, 10), "0-8 9-9 .");
    assert_string_equal(story_from(3, 10), "0-8 9-9 .");
}

/* ------------------------------------------------------------------------------------------------------------- by time */

static void a_seek_by_time_leads_to_exactly_the_first_block_with_such_a_record(void **state)
{
    char expected[32];
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    for (int64_t time = -5; time <= 1190; time += 5) {
        const long long block = time <= 0 ? 0 : (time + 9) / 10 / 10 * 10;
        snprintf(expected, sizeof expected, "%lld-%lld ", block, block + 9);
        const char *got = story_from_time(time, 120);
        if (strncmp(got, expected, strlen(expected)) != 0)
            fail_msg("from time %lld: %s", (long long)time, got);
    }
    assert_string_equal(story_from_time(1191, 120), ".");
    assert_string_equal(story_from_time(INT64_MAX, 120), ".");
}

static void timestamps_need_not_be_in_order(void **state)
{
    static const int64_t times[][3] = {{50, 10, 20}, {15, 5, 1}, {90, 2, 3}, {7, 7, 7}, {60, 95, 4}, {1, 1, 1}};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        if (i % 3 == 0)
            log_dir_begin(&dir);
        for (size_t j = 0; j < 3; j++)
            log_dir_put(&dir, 10, times[i][j]);
        log_dir_seal(&dir, SPATE_COMPRESSION_NONE);
        if (i % 3 == 2)
            log_dir_finish(&dir);
    }
    assert_string_equal(story_from_time(50, 18), "0-2 3-5 6-8 9-11 12-14 15-17 .");
    assert_string_equal(story_from_time(51, 18), "6-8 9-11 12-14 15-17 .");
    assert_string_equal(story_from_time(90, 18), "6-8 9-11 12-14 15-17 .");
    assert_string_equal(story_from_time(91, 18), "12-14 15-17 .");
    assert_string_equal(story_from_time(96, 18), ".");
}

static void a_seek_by_time_begins_behind_what_was_deleted(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_frontier(&dir, 55, true);
    assert_true(strncmp(story_from_time(0, 120), "50-59 60-69", 11) == 0);
    assert_int_equal(sp_log_seek_time(&handle, 0, 120), 0);
    assert_int_equal(handle.next_offset, 55);
}

static void a_seek_by_time_in_an_empty_log_leads_to_its_end(void **state)
{
    (void)state;
    log_dir_begin(&dir);
    log_dir_finish(&dir);
    assert_string_equal(story_from_time(5, 0), ".");
}

/* -------------------------------------------------------------------------------------------------------------- damage */

static uint64_t block_at(uint32_t block)
{
    return sizeof(struct sp_segment_header) + block * 2 * SP_LOG_GRAIN;
}

static void a_damaged_header_costs_its_block_and_no_more(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 40, "log"), block_at(1) + 30);
    assert_string_equal(story_from(30, 120), "30-39 40-49 !50-59 60-69 70-79 80-89 90-99 100-109 110-119 .");
    assert_string_equal(story_from(50, 70), "!50-59 60-69 .");
    assert_string_equal(story_from(55, 70), "!55-59 60-69 .");
    assert_string_equal(story_from(60, 70), "60-69 .");
    assert_string_equal(story_from(69, 80), "60-69 70-79 .");
    assert_string_equal(story_from(75, 80), "70-79 .");
    assert_string_equal(story_from(45, 58), "40-49 !50-57 .");
}

static void damaged_data_costs_its_block_and_no_more(void **state)
{
    (void)state;
    for (enum spate_compression codec = SPATE_COMPRESSION_NONE; codec <= SPATE_COMPRESSION_LZ4; codec++) {
        dir.next = (struct sp_place){0, 0};
        make_three(codec);
        log_dir_flip(log_dir_name(&dir, 40, "log"), (codec ? 4096 + 2 * 4096 : block_at(2)) + 70);
        assert_string_equal(story_from(40, 90), "40-49 50-59 !60-69 70-79 80-89 .");
        assert_string_equal(story_from(65, 90), "!65-69 70-79 80-89 .");
        assert_string_equal(story_from(70, 90), "70-79 80-89 .");
    }
}

static void the_first_and_the_last_block_of_a_segment_may_be_damaged(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 40, "log"), block_at(0) + 50);
    log_dir_flip(log_dir_name(&dir, 40, "log"), block_at(3) + 50);
    log_dir_flip(log_dir_name(&dir, 80, "log"), block_at(3) + 5000);
    assert_string_equal(story_from(35, 120), "30-39 !40-49 50-59 60-69 !70-79 80-89 90-99 100-109 !110-119 .");
    assert_string_equal(story_from(72, 90), "!72-79 80-89 .");
    assert_string_equal(story_from(60, 90), "60-69 !70-79 80-89 .");
}

static void several_bad_blocks_in_a_row_are_one_loss(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 0, "log"), block_at(1));
    log_dir_flip(log_dir_name(&dir, 0, "log"), block_at(2) + 100);
    assert_string_equal(story_from(0, 50), "0-9 !10-29 30-39 40-49 .");
    assert_string_equal(story_from(25, 50), "!25-29 30-39 40-49 .");
    assert_string_equal(story_from(30, 50), "30-39 40-49 .");
}

static void a_page_that_was_lost_is_damage(void **state)
{
    static const uint8_t zeros[4096];
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_patch(log_dir_name(&dir, 0, "log"), block_at(1), zeros, sizeof zeros);
    log_dir_patch(log_dir_name(&dir, 0, "log"), block_at(2) + 4096, zeros, sizeof zeros);
    assert_string_equal(story_from(0, 50), "0-9 !10-29 30-39 40-49 .");
}

static void a_damaged_segment_header_costs_that_segment(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 40, "log"), 2000);
    assert_string_equal(story_from(30, 120), "30-39 !40-79 80-89 90-99 100-109 110-119 .");
    assert_string_equal(story_from(50, 120), "!50-79 80-89 90-99 100-109 110-119 .");
    assert_string_equal(story_from(80, 90), "80-89 .");
    log_dir_flip(log_dir_name(&dir, 0, "log"), 2000);
    assert_string_equal(story_from(0, 90), "!0-39 !40-79 80-89 .");
    log_dir_flip(log_dir_name(&dir, 80, "log"), 2000);
    assert_string_equal(story_from(0, 90), "!0-39 !40-79 !80-89 .");
}

static void a_segment_of_a_newer_build_is_refused_and_not_called_lost(void **state)
{
    const uint32_t version_and_crc[2] = {SP_LOG_VERSION + 1, 12345};
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_patch(log_dir_name(&dir, 40, "log"), offsetof(struct sp_segment_header, version), version_and_crc,
                  sizeof version_and_crc);
    char expected[64];
    snprintf(expected, sizeof expected, "30-39 %d", -EPROTO);
    assert_string_equal(story_from(30, 120), expected);
    open_log();
    assert_int_equal(sp_log_seek(&handle, 50), -EPROTO);
}

static void segments_of_another_topic_are_lost(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    open_log();
    sp_log_close(&handle);
    assert_int_equal(sp_log_open(&handle, root, LOG_DIR_TOPIC, 0, (const uint8_t *)"another topic id"), 0);
    assert_int_equal(sp_log_seek(&handle, 5), 0);
    assert_string_equal(story(120), "!5-39 !40-79 !80-119 .");
}

static void a_segment_that_is_missing_is_a_hole(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    assert_int_equal(unlink(log_dir_name(&dir, 40, "log")), 0);
    assert_string_equal(story_from(20, 90), "20-29 30-39 !40-79 80-89 .");
    assert_string_equal(story_from(50, 90), "!50-79 80-89 .");
    assert_string_equal(story_from(20, 60), "20-29 30-39 !40-59 .");
}

static void offsets_that_were_never_written_are_a_hole(void **state)
{
    (void)state;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    dir.next.offset += 15;
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    dir.next.offset += 5;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_string_equal(story_from(0, 50), "0-9 !10-24 25-34 !35-39 40-49 .");
    assert_string_equal(story_from(12, 50), "!12-24 25-34 !35-39 40-49 .");
    assert_string_equal(story_from(37, 50), "!37-39 40-49 .");
    assert_string_equal(story_from(0, 20), "0-9 !10-19 .");
}

static void zeros_behind_the_last_block_are_its_end(void **state)
{
    (void)state;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 2, 10, 600, SPATE_COMPRESSION_NONE);
    memset(dir.bytes + dir.size, 0, 1 << 20);
    dir.size += 1 << 20;
    log_dir_finish(&dir);
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    assert_string_equal(story_from(0, 30), "0-9 10-19 20-29 .");
    assert_string_equal(story_from_time(195, 30), "20-29 .");
    assert_string_equal(story_from_time(300, 30), ".");
}

static void a_file_that_was_cut_has_lost_its_last_blocks(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_cut(log_dir_name(&dir, 0, "log"), block_at(2) + 5000);
    assert_string_equal(story_from(0, 50), "0-9 10-19 !20-39 40-49 .");
    log_dir_cut(log_dir_name(&dir, 0, "log"), block_at(2));
    assert_string_equal(story_from(15, 50), "10-19 !20-39 40-49 .");
    log_dir_cut(log_dir_name(&dir, 40, "log"), 1000);
    assert_string_equal(story_from(15, 90), "10-19 !20-39 !40-79 80-89 .");
    log_dir_cut(log_dir_name(&dir, 80, "log"), 0);
    assert_string_equal(story_from(15, 90), "10-19 !20-39 !40-79 !80-89 .");
}

static void a_block_that_cannot_be_unpacked_is_lost(void **state)
{
    (void)state;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 3, 10, 600, SPATE_COMPRESSION_LZ4);
    struct sp_block_header *header = (struct sp_block_header *)(void *)(dir.bytes + dir.blocks[1].at);
    header->raw_size += 16; /* sealed anew: the checksums are right */
    sp_block_seal(header, dir.identity.salt);
    log_dir_finish(&dir);
    assert_string_equal(story_from(0, 30), "0-9 !10-19 20-29 .");
    assert_string_equal(story_from(13, 30), "!13-19 20-29 .");
}

static void a_seek_by_time_stops_where_damage_may_hide_the_record(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 40, "log"), block_at(1) + 30); /* the header of 50-59 */
    assert_string_equal(story_from_time(550, 80), "!50-59 60-69 70-79 .");
    assert_string_equal(story_from_time(650, 80), "!50-59 60-69 70-79 .");
    assert_string_equal(story_from_time(450, 80), "40-49 !50-59 60-69 70-79 .");
    assert_string_equal(story_from_time(850, 100), "80-89 90-99 .");
    log_dir_flip(log_dir_name(&dir, 80, "log"), block_at(0) + 30); /* where the index leads */
    assert_string_equal(story_from_time(950, 100), "!80-89 90-99 .");
}

/* ----------------------------------------------------------------------------------------------------------------- end */

static void expect_end(uint64_t offset, uint64_t position)
{
    struct sp_place end = {77, 77};
    open_log();
    assert_int_equal(sp_log_end(&handle, &end), 0);
    assert_int_equal(end.offset, offset);
    assert_int_equal(end.position, position);
}

static void the_end_is_behind_the_last_block(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    expect_end(120, dir.next.position);
    log_dir_frontier(&dir, 0, true);
    expect_end(120, dir.next.position);
    log_dir_patch(log_dir_name(&dir, 80, "log"), dir.size, (const uint8_t[8192]){0}, 8192); /* as allocated */
    expect_end(120, dir.next.position);
}

static void what_was_written_behind_the_frontier_belongs_to_the_log(void **state)
{
    struct sp_place at_frontier;
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_begin(&dir);
    log_dir_fill(&dir, 2, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_frontier(&dir, 0, false);
    at_frontier = dir.next;
    log_dir_fill(&dir, 2, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    expect_end(160, dir.next.position);
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    expect_end(170, dir.next.position);
    assert_int_equal(unlink(log_dir_name(&dir, 160, "log")), 0);
    log_dir_flip(log_dir_name(&dir, 120, "log"), block_at(2) + 100); /* a torn one behind the frontier ends it */
    expect_end(140, at_frontier.position);
}

static void a_torn_tail_does_not_belong_to_the_log(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_patch(log_dir_name(&dir, 80, "log"), block_at(3) + 4096, (const uint8_t[4096]){0}, 4096);
    expect_end(110, dir.blocks[3].header.position);
    log_dir_cut(log_dir_name(&dir, 80, "log"), block_at(2) + 4096);
    expect_end(100, dir.blocks[2].header.position);
}

static void good_blocks_behind_a_torn_one_do_not_belong_to_the_log(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_flip(log_dir_name(&dir, 80, "log"), block_at(1) + 100);
    expect_end(90, dir.blocks[1].header.position);
}

static void what_was_durable_belongs_to_the_log_though_it_is_damaged(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_frontier(&dir, 0, true);
    log_dir_flip(log_dir_name(&dir, 80, "log"), block_at(1) + 100);
    expect_end(120, dir.next.position); /* from the frontier on: what is before was flushed */
    log_dir_cut(log_dir_name(&dir, 80, "log"), block_at(2));
    expect_end(120, dir.next.position);
    assert_string_equal(story_from(80, 120), "80-89 !90-119 .");
    log_dir_flip(log_dir_name(&dir, 80, "log"), 100);
    expect_end(120, dir.next.position);
    assert_int_equal(unlink(log_dir_name(&dir, 80, "log")), 0);
    expect_end(120, dir.next.position);
    assert_string_equal(story_from(70, 120), "70-79 !80-119 .");
}

static void an_empty_last_segment_ends_the_log_where_the_one_before_ends(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    log_dir_begin(&dir); /* made, and never written */
    log_dir_finish(&dir);
    expect_end(120, dir.next.position);
    assert_string_equal(story_from(100, 120), "100-109 110-119 .");
    assert_string_equal(story_from(120, 120), ".");
    log_dir_flip(log_dir_name(&dir, 120, "log"), 100); /* not even its header came to the disk */
    expect_end(120, dir.next.position);
    log_dir_cut(log_dir_name(&dir, 120, "log"), 0);
    expect_end(120, dir.next.position);
}

static void an_empty_log_ends_where_its_frontier_says(void **state)
{
    (void)state;
    expect_end(0, 0);
    dir.next = (struct sp_place){8000, 500};
    log_dir_begin(&dir);
    log_dir_frontier(&dir, 500, true);
    expect_end(500, 8000);
    log_dir_finish(&dir); /* a segment without blocks */
    expect_end(500, 8000);
}

static void a_log_whose_only_segment_is_damaged_has_no_end_without_a_frontier(void **state)
{
    struct sp_place end;
    (void)state;
    log_dir_begin(&dir);
    log_dir_fill(&dir, 1, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    log_dir_flip(log_dir_name(&dir, 0, "log"), 100);
    open_log();
    assert_int_equal(sp_log_end(&handle, &end), -EBADMSG);
    log_dir_frontier(&dir, 0, true);
    expect_end(10, dir.next.position);
}

static void a_frontier_of_another_topic_does_not_count(void **state)
{
    (void)state;
    make_three(SPATE_COMPRESSION_NONE);
    dir.id[0] ^= 1;
    dir.next.offset = 5000;
    log_dir_frontier(&dir, 100, true);
    dir.id[0] ^= 1;
    dir.next.offset = 120;
    expect_end(120, dir.next.position);
    uint64_t first = 77;
    assert_int_equal(sp_log_first(&handle, &first), 0);
    assert_int_equal(first, 0);
}

#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, open_dir, close_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(reading_goes_on_over_all_segments),
        LOG_TEST(compressed_blocks_are_unpacked),
        LOG_TEST(a_seek_leads_to_the_block_that_holds_the_offset),
        LOG_TEST(a_seek_to_the_end_finds_nothing_until_there_is_more),
        LOG_TEST(a_seek_before_the_first_segment_says_so),
        LOG_TEST(nothing_is_read_beyond_the_end_that_was_given),
        LOG_TEST(what_cannot_be_opened_for_now_is_not_lost),
        LOG_TEST(damage_before_what_cannot_be_opened_for_now_is_told_later),
        LOG_TEST(what_was_deleted_is_before_the_first_offset),
        LOG_TEST(an_empty_log_begins_where_its_frontier_says),
        LOG_TEST(there_is_no_log_where_there_is_no_directory),
        LOG_TEST(missing_and_damaged_indexes_change_nothing),
        LOG_TEST(an_index_that_lies_is_not_believed),
        LOG_TEST(blocks_of_one_huge_record_are_read_whole),
        LOG_TEST(aborted_records_stay_holes),
        LOG_TEST(a_seek_by_time_leads_to_exactly_the_first_block_with_such_a_record),
        LOG_TEST(timestamps_need_not_be_in_order),
        LOG_TEST(a_seek_by_time_begins_behind_what_was_deleted),
        LOG_TEST(a_seek_by_time_in_an_empty_log_leads_to_its_end),
        LOG_TEST(a_damaged_header_costs_its_block_and_no_more),
        LOG_TEST(damaged_data_costs_its_block_and_no_more),
        LOG_TEST(the_first_and_the_last_block_of_a_segment_may_be_damaged),
        LOG_TEST(several_bad_blocks_in_a_row_are_one_loss),
        LOG_TEST(a_page_that_was_lost_is_damage),
        LOG_TEST(a_damaged_segment_header_costs_that_segment),
        LOG_TEST(a_segment_of_a_newer_build_is_refused_and_not_called_lost),
        LOG_TEST(segments_of_another_topic_are_lost),
        LOG_TEST(a_segment_that_is_missing_is_a_hole),
        LOG_TEST(offsets_that_were_never_written_are_a_hole),
        LOG_TEST(zeros_behind_the_last_block_are_its_end),
        LOG_TEST(a_file_that_was_cut_has_lost_its_last_blocks),
        LOG_TEST(a_block_that_cannot_be_unpacked_is_lost),
        LOG_TEST(a_seek_by_time_stops_where_damage_may_hide_the_record),
        LOG_TEST(the_end_is_behind_the_last_block),
        LOG_TEST(what_was_written_behind_the_frontier_belongs_to_the_log),
        LOG_TEST(a_torn_tail_does_not_belong_to_the_log),
        LOG_TEST(good_blocks_behind_a_torn_one_do_not_belong_to_the_log),
        LOG_TEST(what_was_durable_belongs_to_the_log_though_it_is_damaged),
        LOG_TEST(an_empty_last_segment_ends_the_log_where_the_one_before_ends),
        LOG_TEST(an_empty_log_ends_where_its_frontier_says),
        LOG_TEST(a_log_whose_only_segment_is_damaged_has_no_end_without_a_frontier),
        LOG_TEST(a_frontier_of_another_topic_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
