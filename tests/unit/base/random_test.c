/* random_test.c: random bytes fill the whole buffer and nothing beyond it.
 *
 * Run by ctest with the label `unit`. Chances of a false alarm are below 2^-100. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"

static void random_fills_a_large_buffer_to_its_end(void **state)
{
    (void)state;
    static unsigned char bytes[100000]; /* larger than what getrandom promises to give at once */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(sp_random(bytes, sizeof bytes - 16), 0);
    unsigned last = 0;
    unsigned beyond = 0;
    for (size_t i = 1; i <= 16; i++) {
        last |= bytes[sizeof bytes - 16 - i];
        beyond |= bytes[sizeof bytes - i];
    }
    assert_int_not_equal(last, 0);
    assert_int_equal(beyond, 0);
}

static void random_differs_from_call_to_call(void **state)
{
    (void)state;
    unsigned char one[16], two[16];
    assert_int_equal(sp_random(one, sizeof one), 0);
    assert_int_equal(sp_random(two, sizeof two), 0);
    assert_memory_not_equal(one, two, sizeof one);
}

static void random_of_nothing_succeeds(void **state)
{
    (void)state;
    assert_int_equal(sp_random(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_fills_a_large_buffer_to_its_end),
        cmocka_unit_test(random_differs_from_call_to_call),
        cmocka_unit_test(random_of_nothing_succeeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
