/* log_sim_test.c: the log's life by seed: producers, writers, stops, kills, crashes and faults in random order; nothing that was said
 * to be durable is ever lost, nothing else is ever found, and the log goes on when nothing is wrong any more.
 *
 * Each seed turns a random subset of the faults on. Seeds that damage what is on the disk (misdirected writes, bit flips, files removed)
 * check that nothing wrong is taken for a record; all others, that everything is there. SPATE_SEED=n runs that one alone, SPATE_FULL=1
 * random ones for about a quarter of an hour; SPATE_SIM_VERBOSE=1 prints what the daemon says. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim_world.h"

#define SEEDS SIM_WORK(1200u)
#define FULL_SECONDS (14 * 60)

static void run_seed(uint64_t seed, struct world_figures *figures)
{
    struct world world;

    world_open(&world, seed, figures);
    uint32_t faults = world_below(&world, 3) ? (uint32_t)world_below(&world, 128) : 0;
    if (world_below(&world, 3))
        faults &= ~(uint32_t)FAULT_DAMAGE;
    world_live(&world, faults, 100 + world_below(&world, 300));
    world_end(&world);
}

/* Of long runs. A hole that the frontier did not tell of was taken for the end of the log; a segment that could not be read, for one that
 * was not compacted; a log that began behind a hole began anew. */
static const uint64_t found_something[] = {1882649710843318, 1882650531922349, 1882650531936432, 1882651582569563,
                                           1882664771530721};

static void nothing_durable_is_lost_and_nothing_else_is_found(void **state)
{
    const char *seed = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    struct world_figures figures = {0};
    const time_t began = time(NULL);
    (void)state;

    if (seed) {
        run_seed(strtoull(seed, NULL, 0), &figures);
    } else if (full && strcmp(full, "0") != 0) {
        const uint64_t first = (uint64_t)began << 20;
        printf("random seeds from %llu on\n", (unsigned long long)first);
        for (uint64_t i = 0; time(NULL) - began < FULL_SECONDS; i++)
            run_seed(first + i, &figures);
    } else {
        for (uint64_t i = 1; i <= SEEDS; i++)
            run_seed(i, &figures);
        for (size_t i = 0; i < sizeof found_something / sizeof *found_something; i++)
            run_seed(found_something[i], &figures);
    }
    world_print("log_sim", &figures);
    assert_int_equal(figures.violations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_durable_is_lost_and_nothing_else_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
