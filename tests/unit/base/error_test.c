/* error_test.c: sentences, their limits, and the meaning of every error number that spate.h names.
 *
 * Pure; run by ctest with the label `unit`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <spate/spate.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static void fail_returns_the_error_and_keeps_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(sp_fail(-ENOSPC, "no room for %d rings of \"%s\"", 3, "prices"), -ENOSPC);
    assert_string_equal(spate_last_error(), "no room for 3 rings of \"prices\"");
}

static void fail_leaves_errno_alone(void **state)
{
    (void)state;
    errno = EINTR;
    sp_fail(-EINVAL, "size %d", 1);
    assert_int_equal(errno, EINTR);
}

static void a_sentence_may_quote_the_one_before(void **state)
{
    (void)state;
    sp_fail(-ENOENT, "no file");
    sp_fail(-ENOENT, "cannot open: %s", spate_last_error());
    assert_string_equal(spate_last_error(), "cannot open: no file");
}

static void a_long_sentence_is_cut_and_says_so(void **state)
{
    (void)state;
    char longest[2 * SP_ERROR_TEXT_SIZE];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    sp_fail(-EINVAL, "%s", longest);
    const char *text = spate_last_error();
    assert_int_equal(strlen(text), SP_ERROR_TEXT_SIZE - 1);
    assert_string_equal(text + SP_ERROR_TEXT_SIZE - 4, "...");
}

static void *look_at_last_error(void *ret_empty)
{
    *(int *)ret_empty = spate_last_error()[0] == '\0';
    sp_fail(-EINVAL, "of the other thread");
    return NULL;
}

static void each_thread_has_its_own_sentence(void **state)
{
    (void)state;
    sp_fail(-EINVAL, "of this thread");
    int empty = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_at_last_error, &empty), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(empty);
    assert_string_equal(spate_last_error(), "of this thread");
}

static void strerror_gives_meaning_and_remedy_of_every_documented_error(void **state)
{
    (void)state;
    static const int documented[] = {EACCES, EAGAIN, EBADMSG, EBUSY,     ECHILD, EEXIST, EINTR,  EINVAL, EMSGSIZE,  ENODATA, ENOENT,
                                     ENOMEM, ENOSPC, ENOTSUP, EOVERFLOW, EPERM,  EPROTO, ERANGE, ESTALE, ETIMEDOUT, EUSERS};
    for (size_t i = 0; i < sizeof documented / sizeof documented[0]; i++) {
        const char *text = spate_strerror(-documented[i]);
        assert_non_null(strchr(text, ':')); /* meaning: remedy */
        assert_ptr_equal(text, spate_strerror(documented[i]));
        assert_string_not_equal(text, strerror(documented[i]));
    }
}

static void strerror_knows_other_numbers_and_never_returns_null(void **state)
{
    (void)state;
    assert_string_equal(spate_strerror(0), "no error");
    assert_string_equal(spate_strerror(-EDOM), strerror(EDOM));
    assert_string_equal(spate_strerror(-100000), "unknown error");
    assert_string_equal(spate_strerror(INT_MIN), "unknown error");
    assert_string_equal(spate_strerror(INT_MAX), "unknown error");
}

static void version_is_that_of_the_header(void **state)
{
    (void)state;
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", SPATE_VERSION_MAJOR, SPATE_VERSION_MINOR, SPATE_VERSION_PATCH);
    assert_string_equal(spate_version(), version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_returns_the_error_and_keeps_the_sentence),
        cmocka_unit_test(fail_leaves_errno_alone),
        cmocka_unit_test(a_sentence_may_quote_the_one_before),
        cmocka_unit_test(a_long_sentence_is_cut_and_says_so),
        cmocka_unit_test(each_thread_has_its_own_sentence),
        cmocka_unit_test(strerror_gives_meaning_and_remedy_of_every_documented_error),
        cmocka_unit_test(strerror_knows_other_numbers_and_never_returns_null),
        cmocka_unit_test(version_is_that_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
