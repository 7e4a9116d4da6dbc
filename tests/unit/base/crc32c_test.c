/* crc32c_test.c: published vectors, and the instruction against the table.
 *
 * Pure; run by ctest with the label `unit`. The vectors are those of RFC 3720, appendix B.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"

static void crc32c_equals_the_published_vectors(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(sp_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(sp_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}

static void crc32c_of_nothing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(sp_crc32c(0, NULL, 0), 0);
    assert_int_equal(sp_crc32c(0xe3069283, NULL, 0), 0xe3069283);
    assert_int_equal(sp_crc32c_portable(0xe3069283, NULL, 0), 0xe3069283);
}

static void crc32c_can_be_continued_at_any_byte(void **state)
{
    (void)state;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    uint32_t whole = sp_crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        assert_int_equal(sp_crc32c(sp_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
    }
}

static void instruction_and_table_agree_at_every_size_and_alignment(void **state)
{
    (void)state;
    unsigned char bytes[96];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
    for (size_t start = 0; start < 16; start++) {
        for (size_t size = 0; size <= sizeof bytes - start; size++) {
            assert_int_equal(sp_crc32c(seed, bytes + start, size), sp_crc32c_portable(seed, bytes + start, size));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_equals_the_published_vectors),
        cmocka_unit_test(crc32c_of_nothing_changes_nothing),
        cmocka_unit_test(crc32c_can_be_continued_at_any_byte),
        cmocka_unit_test(instruction_and_table_agree_at_every_size_and_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
