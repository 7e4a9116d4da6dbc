/* clock.c: see clock.h; a thin layer over clock_gettime and clock_nanosleep.
 *
 * Owns nothing. Neither clock can fail with the constants used here, so no error is passed on. */
#include "base/clock.h"

#include <time.h>

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * SP_NS_PER_S + (int64_t)time.tv_nsec;
}

int64_t sp_clock_realtime(void)
{
    return now(CLOCK_REALTIME);
}

int64_t sp_clock_monotonic(void)
{
    return now(CLOCK_MONOTONIC);
}

void sp_sleep(int64_t ns)
{
    if (ns <= 0) {
        return;
    }
    struct timespec time = {.tv_sec = (time_t)(ns / SP_NS_PER_S), .tv_nsec = (long)(ns % SP_NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}
