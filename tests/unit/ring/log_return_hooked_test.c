/* log_return_hooked_test.c: the log's gate going back to where the log ends now, while producers go on.
 *
 * Run by ctest with the label `unit`, linked with the race hooks: both orders of a gate that is lowered and a producer that announces how
 * far it will write. One of the two must see the other (E6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/hook.h"
#include "ring/extent.h"
#include "static_ring.h"

#define VALUE 1000u
#define WRITTEN 20u /* records */

static struct static_ring s;
static struct sp_writer writer;
static const char *when;
static int held; /* what sp_log_return said; -1: it was not asked */

static int open_ring(void **state)
{
    struct static_ring_config config = static_ring_defaults;
    (void)state;
    config.is_durable = true;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &writer);
    for (uint32_t i = 0; i < WRITTEN; i++)
        assert_int_equal(static_ring_publish(&writer, VALUE, NULL), 0);
    sp_log_advance(&s.ring, SP_LOG_WRITTEN, sp_ring_tail(&s.ring));
    held = -1;
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    sp_hook = NULL;
    static_ring_close(&s);
    return 0;
}

static void fill(void)
{
    while (static_ring_publish(&writer, VALUE, NULL) == 0)
        ;
    assert_int_equal(writer.blocker.kind, SP_BLOCKER_LOG);
}

static void the_gate_holds_where_nothing_was_announced_beyond(void **state)
{
    (void)state;
    assert_true(sp_log_return(&s.ring, (struct sp_place){0, 0}));
    assert_int_equal(sp_log_offset(&s.ring, SP_LOG_WRITTEN), 0);
    fill();
    assert_int_equal(writer.blocker.position, 0);
    assert_true(sp_ring_tail(&s.ring).position <= s.ring.capacity);
}

static void a_place_that_is_being_overwritten_is_refused(void **state)
{
    const struct sp_place written = sp_log_place(&s.ring, SP_LOG_WRITTEN);
    (void)state;
    fill();
    assert_false(sp_log_return(&s.ring, (struct sp_place){0, 0}));
    assert_int_equal(sp_log_place(&s.ring, SP_LOG_WRITTEN).position, written.position);
    assert_int_equal(sp_log_offset(&s.ring, SP_LOG_WRITTEN), WRITTEN);
    assert_true(sp_log_return(&s.ring, written));
}

/* Where a producer crosses the place that the gate goes back to. */
static void return_meanwhile(const char *point)
{
    if (strcmp(point, when) != 0 || sp_ring_tail(&s.ring).position + VALUE < s.ring.capacity)
        return;
    sp_hook = NULL;
    held = sp_log_return(&s.ring, (struct sp_place){0, 0});
}

static void cross(const char *point)
{
    when = point;
    sp_hook = return_meanwhile;
    fill();
    assert_int_not_equal(held, -1);
}

static void a_producer_that_looked_before_sees_it_after_it_announced(void **state)
{
    (void)state;
    cross("extend:looked");
    assert_true(held);
    assert_true(sp_ring_tail(&s.ring).position <= s.ring.capacity);
}

static void what_was_announced_is_seen_by_the_log(void **state)
{
    (void)state;
    cross("extend:announced");
    assert_false(held);
    assert_true(sp_ring_tail(&s.ring).position > s.ring.capacity);
    assert_int_equal(sp_log_offset(&s.ring, SP_LOG_WRITTEN), WRITTEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_gate_holds_where_nothing_was_announced_beyond, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(a_place_that_is_being_overwritten_is_refused, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(a_producer_that_looked_before_sees_it_after_it_announced, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(what_was_announced_is_seen_by_the_log, open_ring, close_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
