/* nth_failure_test.c: a fixed life of a log in which the nth operation of one kind fails, for n = 1, 2, ... until it is not reached any
 * more, and for each kind and some errors. Whatever fails: nothing that was durable is lost, no file and no buffer stays behind, and when
 * the daemon is started anew the log goes on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_world.h"

#define LIVES SIM_WORK(8u)

static int start(struct world *world)
{
    int error = world_start(world);
    return error && !world->is_over ? world_start(world) : error;
}

static void publish(struct world *world, int bursts)
{
    for (int i = 0; i < bursts && !world->is_over && world->is_open; i++) {
        world_publish_some(world);
        sp_log_want(&world->ring.ring, SP_LOG_DURABLE, world->count);
        world_run(world, 5 * SP_NS_PER_MS);
    }
}

/* Returns whether the nth operation of that kind was reached. */
static bool live(uint64_t seed, enum sim_kind kind, uint64_t n, int error, struct world_figures *figures)
{
    struct world world;

    world_open(&world, seed, figures);
    world.topic.info.segment_size = 32 << 10;
    world.topic.info.cleanup = SPATE_CLEANUP_COMPACT;
    world.disk->faults[kind] = (struct sim_fault){n, 1, -error};
    (void)start(&world);
    publish(&world, 4);
    (void)world_stop(&world);
    if (!world.is_over)
        (void)start(&world);
    publish(&world, 3);
    if (world.is_open)
        world_clean(&world, 0);
    world_kill(&world);
    if (!world.is_over)
        (void)start(&world);
    publish(&world, 2);
    const bool was_reached = world.disk->calls[kind] >= n;
    world_end(&world);
    return was_reached;
}

static void whatever_fails_nothing_durable_is_lost_and_the_log_goes_on(void **state)
{
    static const int errors[] = {EIO, ENOSPC, ENOMEM};
    const char *seed = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    struct world_figures figures = {0};
    const uint64_t lives = full && strcmp(full, "0") != 0 ? 40 : LIVES;
    (void)state;

    for (uint64_t life = 1; life <= lives; life++)
        for (int kind = 0; kind < SIM_KINDS; kind++)
            for (size_t error = 0; error < sizeof errors / sizeof *errors; error++)
                for (uint64_t n = 1; n < 10000; n++)
                    if ((seed && strtoull(seed, NULL, 0) != life) || !live(life, (enum sim_kind)kind, n, errors[error], &figures) ||
                        figures.violations > 10)
                        break;
    world_print("nth_failure", &figures);
    assert_int_equal(figures.violations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_fails_nothing_durable_is_lost_and_the_log_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
