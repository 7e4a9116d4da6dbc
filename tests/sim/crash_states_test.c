/* crash_states_test.c: every state that a crash can leave behind, as far as it can be enumerated: before each operation of a few lives of a
 * log, disks are made as they would be after a crash there, and recovered.
 *
 * Of each place: nothing of what is not durable; all of it; each write alone; and some random subsets of sectors, names and sizes. What
 * was said to be durable must be there, nothing else may be, and recovering again must change nothing; for some of them also when
 * recovery itself is cut short before each of its operations in turn. SPATE_SEED=n runs that life alone, SPATE_FULL=1 many more. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ring/extent.h"
#include "sim_world.h"

#define LIVES SIM_WORK(20u)
#define FULL_SECONDS (14 * 60)
#define RANDOM 6u /* subsets a place */
#define ALONE 16u /* writes that are tried alone, at most */
#define CUT_EVERY 23u

static struct {
    struct world *world;
    uint64_t places, seed;
    bool is_busy;
} run;

static void try_cuts(struct world *world, struct sim_crash crash)
{
    uint64_t before;

    for (uint64_t at = 1; at < 200 && !world->is_over; at++) {
        before = world->figures->recoveries_crashed;
        world_probe(world, crash, at);
        if (world->figures->recoveries_crashed == before)
            return; /* it was done before that */
    }
}

static void at_operation(void *context)
{
    struct world *world = context;

    if (run.is_busy || world->is_over)
        return;
    run.is_busy = true;
    if (world->has_ring) {
        const uint64_t durable = sp_log_offset(&world->ring.ring, SP_LOG_DURABLE);
        world->acknowledged = durable > world->acknowledged ? durable : world->acknowledged;
    }
    const uint64_t unflushed = sim_disk_unflushed(world->disk);
    world_probe(world, (struct sim_crash){SIM_CRASH_OLD, 0, 0}, 0);
    world_probe(world, (struct sim_crash){SIM_CRASH_NEW, 0, 0}, 0);
    for (uint64_t i = 0; i < unflushed && i < ALONE; i++)
        world_probe(world, (struct sim_crash){SIM_CRASH_ONE, unflushed - 1 - i, 0}, 0);
    for (uint64_t i = 0; i < RANDOM; i++)
        world_probe(world, (struct sim_crash){SIM_CRASH_RANDOM, 0, static_ring_random(&run.seed)}, 0);
    if (run.places++ % CUT_EVERY == 0)
        try_cuts(world, (struct sim_crash){SIM_CRASH_RANDOM, 0, static_ring_random(&run.seed)});
    run.is_busy = false;
}

static void publish(struct world *world, int bursts)
{
    for (int i = 0; i < bursts && !world->is_over; i++) {
        world_publish_some(world);
        if (i % 2)
            sp_log_want(&world->ring.ring, SP_LOG_DURABLE, world->count);
        world_run(world, 6 * SP_NS_PER_MS);
    }
}

/* Begin, change segments, compact, die, begin again, delete, lose power, begin, stop, begin. */
static void live(uint64_t seed, struct world_figures *figures)
{
    struct world world;

    world_open(&world, seed, figures);
    world.topic.info.segment_size = 48 << 10;
    world.value_max = 6000;
    world.topic.info.cleanup = SPATE_CLEANUP_COMPACT;
    run.world = &world;
    run.seed = seed;
    world.disk->on_operation = at_operation;
    world.disk->context = &world;
    (void)world_start(&world);
    publish(&world, 10);
    world_clean(&world, 0);
    world_kill(&world);
    (void)world_start(&world);
    publish(&world, 6);
    world_clean(&world, world.durable / 2);
    world_crash(&world, (struct sim_crash){SIM_CRASH_RANDOM, 0, seed});
    (void)world_start(&world);
    publish(&world, 2);
    (void)world_stop(&world);
    (void)world_start(&world);
    publish(&world, 1);
    world_end(&world);
}

static void every_legal_state_is_recovered_to_all_that_was_acknowledged(void **state)
{
    const char *seed = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    struct world_figures figures = {0};
    const time_t began = time(NULL);
    (void)state;

    if (seed)
        live(strtoull(seed, NULL, 0), &figures);
    else if (full && strcmp(full, "0") != 0)
        for (uint64_t i = 1; time(NULL) - began < FULL_SECONDS; i++)
            live(i, &figures);
    else
        for (uint64_t i = 1; i <= LIVES; i++)
            live(i, &figures);
    printf("crash_states: %" PRIu64 " places, %" PRIu64 " states tried\n", run.places, figures.images);
    world_print("crash_states", &figures);
    assert_int_equal(figures.violations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_legal_state_is_recovered_to_all_that_was_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
