/* bias_hooked_test.c: interleavings of taking the bias away that need three to meet: a helper that was stopped for long, an owner, another
 * helper. (Two at a time are tests/spin/bias.pml's.) Run by ctest with the label `unit`, on a static_ring; who is stopped is a call whose
 * hook runs the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/copy.h"
#include "base/hook.h"
#include "ring/bias.h"
#include "static_ring.h"

#define SIZE 40u

static struct static_ring s;
static struct sp_writer first, second;
static const char *stop_at;
static void (*meanwhile)(void);

static void on_hook(const char *point)
{
    if (!stop_at || strcmp(point, stop_at) != 0)
        return;
    stop_at = NULL;
    meanwhile();
}

static void take(struct sp_writer *writer)
{
    assert_true(sp_bias_ask(writer));
    assert_true(sp_bias_hold(writer));
    sp_writer_learn(writer, SIZE, false);
}

static void append(struct sp_writer *writer, uint32_t count)
{
    static const char value[SIZE] = "value";

    for (uint32_t i = 0; i < count; i++)
        if (!sp_writer_append(writer, NULL, value, SIZE, sp_copy_words)) {
            assert_int_equal(sp_writer_reserve(writer, writer->stride), 0);
            assert_true(sp_writer_append(writer, NULL, value, SIZE, sp_copy_words));
        }
}

static void open_ring(void)
{
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &first);
    static_ring_attach_writer(&s, &second);
    take(&first);
    append(&first, 3);
    sp_hook = on_hook;
}

static void close_ring(void)
{
    sp_hook = NULL;
    stop_at = NULL;
    static_ring_close(&s);
}

/* The bias that somebody is taking away ends, another gets it and appends what it does not settle. */
static void others_go_on(void)
{
    assert_true(sp_bias_end(&s.ring, sp_bias_revoke(&s.ring), false));
    take(&second);
    append(&second, 4);
}

/* As above, with the tail that the stopped one will find; then that one goes on, and everything is taken away again. */
static void check_end_by_a_stale_helper(const char *point)
{
    open_ring();
    const uint64_t bias = sp_bias_revoke(&s.ring);
    stop_at = point;
    meanwhile = others_go_on;
    (void)sp_bias_end(&s.ring, bias, false);
    assert_null(stop_at);
    append(&second, 5);
    uint64_t later = sp_bias_revoke(&s.ring);
    assert_int_not_equal(later, bias);
    assert_true(sp_bias_end(&s.ring, later, false));
    assert_int_equal(sp_bias_owner(&s.ring), -1);
    assert_int_equal(sp_ring_claimed(&s.ring).offset, 3 + 4 + 5); /* or else the next claim is over what was committed */
    close_ring();
}

static void a_stale_helper_moves_no_tail(void **state)
{
    (void)state;
    check_end_by_a_stale_helper("bias:revoked");
    check_end_by_a_stale_helper("bias:walked");
    check_end_by_a_stale_helper("bias:settled");
}

/* The stopped one takes the later owner's records for the end, and that owner appends more: the very case. */
static struct sp_place seen;
static void stop_in_the_walk(void)
{
    others_go_on();
    seen = sp_ring_tail(&s.ring);
}

static void what_was_found_behind_another_bias_is_not_settled(void **state)
{
    (void)state;
    open_ring();
    const uint64_t bias = sp_bias_revoke(&s.ring);
    stop_at = "bias:revoked"; /* it loads the tail and walks only afterwards, over the other's records */
    meanwhile = stop_in_the_walk;
    assert_true(sp_bias_end(&s.ring, bias, false));
    assert_int_equal(seen.offset, 7);
    assert_int_equal(sp_ring_claimed(&s.ring).offset, 3); /* the other's are its own to settle */
    assert_int_equal(sp_bias_owner(&s.ring), second.slot - s.ring.producers);
    close_ring();
}

static void revoke(void)
{
    (void)sp_bias_revoke(&s.ring);
}

static void an_asking_that_was_revoked_leaves_no_bias(void **state)
{
    (void)state;
    for (int forbidden = 0; forbidden < 2; forbidden++) {
        static_ring_open(&s, NULL);
        static_ring_attach_writer(&s, &first);
        static_ring_attach_writer(&s, &second);
        assert_true(sp_bias_ask(&first));
        if (forbidden)
            sp_bias_forbid(&s.ring);
        else
            revoke();
        assert_false(sp_bias_hold(&first));
        assert_int_equal(sp_bias_owner(&s.ring), -1);
        assert_int_equal(sp_bias_ask(&second), !forbidden);
        close_ring();
    }
}

static void the_counters_of_who_lost_it_do_not_run_backwards(void **state)
{
    struct sp_place place;
    (void)state;
    open_ring();
    sp_hook = NULL;
    assert_true(sp_bias_end(&s.ring, sp_bias_revoke(&s.ring), false));
    for (int i = 0; i < 20; i++)
        assert_int_equal(static_ring_publish(&second, SIZE, &place), 0);
    assert_int_equal(static_ring_publish(&first, SIZE, &place), 0); /* finds that it lost the bias */
    assert_null(first.guard);
    assert_int_equal(place.offset, 3 + 20);
    assert_int_equal(atomic_load(&first.slot->counters[SP_PRODUCER_RECORDS]), 4);
    close_ring();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_helper_moves_no_tail),
        cmocka_unit_test(what_was_found_behind_another_bias_is_not_settled),
        cmocka_unit_test(an_asking_that_was_revoked_leaves_no_bias),
        cmocka_unit_test(the_counters_of_who_lost_it_do_not_run_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
