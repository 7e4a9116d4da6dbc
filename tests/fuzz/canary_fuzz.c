/* canary_fuzz.c: a planted bug that every fuzzing set-up must find.
 *
 * Registered as a test that must fail. With libFuzzer the six bytes have to be found from an empty corpus, one branch at a time, which
 * proves that coverage guides the search; elsewhere corpus/canary holds them, which proves that the replay notices a crash. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secret[] = {'S', 'P', 'A', 'T', 'E', '!'};
    for (size_t i = 0; i < sizeof secret; i++) {
        if (i >= size || data[i] != (uint8_t)secret[i]) {
            return 0;
        }
    }
    abort();
}
