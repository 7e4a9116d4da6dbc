/* recover_test.c: where recovery finds the end of a partition's log, and that it leaves alone what was durable.
 *
 * Run by ctest with the label `unit`, over directories that support/log_dir.c makes: states that a crash, a repair that was ended, or a
 * disk leave behind, exactly. Each is recovered twice. Crashes at every place are the simulator's (tests/sim). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "log_dir.h"
#include "spill/recover.h"

static struct log_dir dir;
static struct io *io;
static int root = -1;
static char said[2000];

static int open_dir(void **state)
{
    (void)state;
    log_dir_open(&dir, NULL);
    root = log_dir_fd(&dir);
    assert_int_equal(io_open_plain(root, -1, false, &io), 0);
    said[0] = 0;
    return 0;
}

static int close_dir(void **state)
{
    (void)state;
    io_close(io);
    close(root);
    log_dir_close(&dir);
    return 0;
}

static void say(void *context, bool is_error, const char *text)
{
    (void)context;
    (void)is_error;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

/* A segment of blocks of ten records. */
static void make_segment(uint32_t blocks)
{
    log_dir_begin(&dir);
    log_dir_fill(&dir, blocks, 10, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
}

/* The one frontier there is. */
static void set_frontier(uint64_t segment, uint64_t at, uint64_t offset, uint32_t previous)
{
    struct sp_frontier frontier = {.sequence = 1, .segment = segment, .at = at, .offset = offset, .previous = previous};
    char path[320];

    memcpy(frontier.topic_id, dir.id, sizeof frontier.topic_id);
    sp_frontier_seal(&frontier);
    snprintf(path, sizeof path, "%s/%s/0/frontier", dir.path, LOG_DIR_TOPIC);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 2 * SP_LOG_GRAIN) == 0);
    assert_int_equal(pwrite(fd, &frontier, sizeof frontier, SP_LOG_GRAIN), sizeof frontier);
    close(fd);
}

static struct recovery recover_once(void)
{
    struct spill_topic topic = {.directory = LOG_DIR_TOPIC};
    struct recovery recovery;

    memcpy(topic.id, dir.id, sizeof topic.id);
    snprintf(topic.info.name, sizeof topic.info.name, "%s", LOG_DIR_TOPIC);
    assert_int_equal(recover_partition(io, &topic, 0, say, NULL, &recovery), 0);
    return recovery;
}

/* Twice: the same comes out. */
static struct recovery recover(void)
{
    char before[sizeof said];
    const struct recovery first = recover_once();

    memcpy(before, said, sizeof said);
    said[0] = 0;
    const struct recovery second = recover_once();
    assert_int_equal(second.end.next.offset, first.end.next.offset);
    assert_int_equal(second.end.segment, first.end.segment);
    assert_int_equal(second.is_short, first.is_short);
    memcpy(said, before, sizeof said);
    return first;
}

static void expect_said(const char *what)
{
    if (!strstr(said, what))
        fail_msg("it said '%s', and not '%s'", said, what);
}

static uint64_t size_of(uint64_t base)
{
    return log_dir_size(log_dir_name(&dir, base, "log"));
}

/* ----------------------------------------------------------------------------------------------------------------- tests */

static void a_log_ends_behind_its_last_good_block(void **state)
{
    (void)state;
    make_segment(3);
    const struct log_dir_block *third = &dir.blocks[2];
    set_frontier(0, dir.blocks[1].at, 10, dir.blocks[0].header.header_crc);
    const struct recovery whole = recover();
    assert_int_equal(whole.end.next.offset, 30);
    assert_int_equal(whole.end.at, size_of(0));
    assert_string_equal(said, "");
    log_dir_flip(log_dir_name(&dir, 0, "log"), third->at + 100);
    const struct recovery torn = recover();
    assert_int_equal(torn.end.next.offset, 20);
    assert_int_equal(torn.end.at, third->at);
    assert_int_equal(size_of(0), third->at);
    assert_false(torn.is_short);
}

static void what_is_below_the_frontier_is_not_cut(void **state)
{
    (void)state;
    make_segment(3);
    const uint64_t size = size_of(0);
    log_dir_flip(log_dir_name(&dir, 0, "log"), dir.blocks[1].at + 100);
    set_frontier(0, dir.size, 30, dir.previous);
    assert_int_equal(recover().end.next.offset, 30);
    assert_int_equal(size_of(0), size);
    log_dir_flip(log_dir_name(&dir, 0, "log"), 100); /* in its header */
    const struct recovery kept = recover();
    assert_int_equal(kept.end.next.offset, 30);
    assert_int_equal(kept.end.segment, 0);
    assert_true(kept.is_short);
    expect_said("the segment that ends at offset 30 is damaged");
    assert_int_equal(size_of(0), size);
}

static void a_frontier_in_front_of_what_is_there_leaves_older_segments_alone(void **state)
{
    (void)state;
    make_segment(3);
    const uint64_t size = size_of(0);
    log_dir_flip(log_dir_name(&dir, 0, "log"), dir.blocks[1].at + 100);
    set_frontier(30, 0, 30, 0); /* a hole before it, or a daemon that had begun and written nothing */
    assert_int_equal(recover().end.next.offset, 30);
    assert_string_equal(said, "");
    assert_int_equal(size_of(0), size);
    make_segment(2);
    const struct recovery gone_on = recover();
    assert_int_equal(gone_on.end.next.offset, 50);
    assert_int_equal(gone_on.end.segment, 30);
    assert_int_equal(size_of(0), size);
}

static void a_segment_that_begins_behind_damage_in_the_ring_is_walked(void **state)
{
    (void)state;
    dir.next.offset = 10;
    log_dir_begin(&dir);
    dir.next.offset = 13; /* 10 to 12 were damaged there */
    log_dir_fill(&dir, 1, 1, 600, SPATE_COMPRESSION_NONE);
    log_dir_finish(&dir);
    set_frontier(10, sizeof(struct sp_segment_header), 13, 0);
    const struct recovery recovery = recover();
    assert_int_equal(recovery.end.next.offset, 14);
    assert_int_equal(recovery.end.segment, 10);
    assert_string_equal(said, "");
}

static void a_frontier_that_a_repair_did_not_move_hides_nothing(void **state)
{
    (void)state;
    make_segment(1);
    const uint32_t previous = dir.previous;
    make_segment(3); /* 10 to 39, of which 20 were durable when the frontier was written */
    const uint64_t size = size_of(10);
    set_frontier(0, (uint64_t)1 << 20, 30, previous); /* in the old file, which was longer */
    const struct recovery recovery = recover();
    assert_int_equal(recovery.end.next.offset, 40);
    assert_int_equal(recovery.end.segment, 10);
    assert_int_equal(recovery.end.at, size);
    assert_int_equal(size_of(10), size);
    assert_string_equal(said, "");
}

static void what_no_file_has_any_more_is_told(void **state)
{
    (void)state;
    make_segment(2);
    set_frontier(20, (uint64_t)1 << 20, 35, 0);
    const struct recovery recovery = recover();
    assert_int_equal(recovery.end.next.offset, 35);
    assert_true(recovery.is_short);
    expect_said("offsets 20 to 34 were durable and are missing");
    assert_int_equal(unlink(log_dir_name(&dir, 0, "log")), 0);
    said[0] = 0;
    assert_true(recover().is_short);
    expect_said("offsets 0 to 34 were durable and are missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_ends_behind_its_last_good_block, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(what_is_below_the_frontier_is_not_cut, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(a_frontier_in_front_of_what_is_there_leaves_older_segments_alone, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(a_segment_that_begins_behind_damage_in_the_ring_is_walked, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(a_frontier_that_a_repair_did_not_move_hides_nothing, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(what_no_file_has_any_more_is_told, open_dir, close_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
