/* ticks.c: how fast the processor's clock runs.
 *
 * Owns that one figure, which children inherit over fork. */
#include "ticks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arch.h"
#include "base/clock.h"

#define CALIBRATION_NS 50000000

static double per_ns;

static int64_t raw_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether the counter runs at one rate whatever the core does; the kernel says so in /proc/cpuinfo. */
static int is_invariant(void)
{
#if defined(__x86_64__)
    char line[8192];
    int found = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, "flags", 5) == 0 && strstr(line, " constant_tsc") && strstr(line, " nonstop_tsc");
    if (file)
        fclose(file);
    return found;
#else
    return 1;
#endif
}

int ticks_start(void)
{
    if (!is_invariant())
        return -ENOTSUP;
    int64_t begin = raw_ns(), end;
    uint64_t ticks = ticks_now();
    while ((end = raw_ns()) - begin < CALIBRATION_NS) {
        /* busy: a sleeping core may answer late */
    }
    per_ns = (double)(ticks_now() - ticks) / (double)(end - begin);
    return 0;
}

double ticks_to_ns(uint64_t ticks)
{
    return (double)ticks / per_ns;
}

double ticks_per_second(void)
{
    return per_ns * 1e9;
}

#define SPIN_NS 200000.0 /* before a due time */

void ticks_wait_until(uint64_t due)
{
    for (;;) {
        int64_t left = (int64_t)(due - ticks_now());
        if (left <= 0)
            return;
        double ns = ticks_to_ns((uint64_t)left);
        if (ns > 2 * SPIN_NS) {
            int64_t nap = (int64_t)(ns - SPIN_NS);
            const struct timespec pause = {.tv_sec = nap / SP_NS_PER_S, .tv_nsec = nap % SP_NS_PER_S};
            nanosleep(&pause, NULL);
        } else {
            sp_pause();
        }
    }
}
