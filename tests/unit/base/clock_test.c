/* clock_test.c: units and directions of the clocks.
 *
 * Run by ctest with the label `unit`. No upper bounds on time: a loaded machine may stop a test anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static void realtime_counts_nanoseconds_since_1970(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) - 1; /* time() may lag by a tick */
    int64_t now = sp_clock_realtime();
    assert_true(now >= before * SP_NS_PER_S);
    assert_true(now <= ((int64_t)time(NULL) + 2) * SP_NS_PER_S);
}

static void monotonic_never_goes_back(void **state)
{
    (void)state;
    int64_t last = sp_clock_monotonic();
    for (int i = 0; i < 10000; i++) {
        int64_t now = sp_clock_monotonic();
        assert_true(now >= last);
        last = now;
    }
}

static void sleep_takes_at_least_as_long_as_asked(void **state)
{
    (void)state;
    int64_t before = sp_clock_monotonic();
    sp_sleep(3 * SP_NS_PER_MS);
    assert_true(sp_clock_monotonic() - before >= 3 * SP_NS_PER_MS);
}

static void sleep_of_nothing_or_less_returns(void **state)
{
    (void)state;
    sp_sleep(0);
    sp_sleep(-1);
    sp_sleep(INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(realtime_counts_nanoseconds_since_1970),
        cmocka_unit_test(monotonic_never_goes_back),
        cmocka_unit_test(sleep_takes_at_least_as_long_as_asked),
        cmocka_unit_test(sleep_of_nothing_or_less_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
