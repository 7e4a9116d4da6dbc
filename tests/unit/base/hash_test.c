/* hash_test.c: murmur2 and partitions must be Kafka's, bit for bit.
 *
 * Pure; run by ctest with the label `unit`. The vectors are those of Kafka's own UtilsTest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <spate/spate.h>
#include <string.h>

#include "base/hash.h"

static const struct {
    const char *key;
    int32_t hash;
} vectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

static void murmur2_equals_kafkas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        assert_int_equal((int32_t)sp_murmur2(vectors[i].key, strlen(vectors[i].key)), vectors[i].hash);
    }
}

static void murmur2_does_not_care_where_the_key_lies(void **state)
{
    (void)state;
    char buffer[64];
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(buffer + shift, vectors[3].key, strlen(vectors[3].key));
        assert_int_equal((int32_t)sp_murmur2(buffer + shift, strlen(vectors[3].key)), vectors[3].hash);
    }
}

static void murmur2_takes_an_empty_key(void **state)
{
    (void)state;
    assert_int_equal(sp_murmur2(NULL, 0), sp_murmur2("x", 0));
    assert_int_equal((int32_t)sp_murmur2(NULL, 0), 275646681);
}

static void partition_is_the_positive_hash_modulo_the_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        int32_t positive = vectors[i].hash & 0x7fffffff;
        assert_int_equal(spate_partition_of(vectors[i].key, strlen(vectors[i].key), 7), positive % 7);
        assert_int_equal(spate_partition_of(vectors[i].key, strlen(vectors[i].key), 1), 0);
        assert_int_equal(spate_partition_of(vectors[i].key, strlen(vectors[i].key), 0), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur2_equals_kafkas),
        cmocka_unit_test(murmur2_does_not_care_where_the_key_lies),
        cmocka_unit_test(murmur2_takes_an_empty_key),
        cmocka_unit_test(partition_is_the_positive_hash_modulo_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
