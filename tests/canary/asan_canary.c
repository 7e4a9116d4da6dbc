/* asan_canary.c: reads one byte beyond its memory; AddressSanitizer must end it with an error.
 *
 * Registered as a test that must fail, in presets with AddressSanitizer: otherwise a build that lost the flag would look healthy. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    (void)argv;
    size_t size = (size_t)argc; /* 1, but the compiler does not know */
    char *memory = calloc(size, 1);
    if (memory == NULL) {
        return 0;
    }
    char beyond = memory[size];
    free(memory);
    return beyond & 0;
}
