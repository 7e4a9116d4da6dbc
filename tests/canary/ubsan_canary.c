/* ubsan_canary.c: overflows a signed integer; UndefinedBehaviorSanitizer must end it with an error.
 *
 * Registered as a test that must fail, in presets with that sanitizer: otherwise a build that lost the flag would look healthy. */
#include <limits.h>

int main(int argc, char **argv)
{
    (void)argv;
    int sum = INT_MAX;
    sum += argc;
    return sum & 0;
}
