/* planted_test.c: bugs put below the log and beside it on purpose; the checks of the simulation must find each of them. The list of what
 * was caught, and by which check, is printed.
 *
 * A bug is a lie of the simulated disk (sim_disk.h), or something done to the ring after each step. Each is looked for in the same lives
 * as in log_sim_test.c, without other faults, until it is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring/extent.h"
#include "sim_world.h"

#define SEEDS_MAX 400u

static void durable_is_said_with_the_write(struct world *world)
{
    sp_log_advance(&world->ring.ring, SP_LOG_DURABLE, sp_log_place(&world->ring.ring, SP_LOG_WRITTEN));
}

static void producers_do_not_wait(struct world *world)
{
    world->ring.ring.is_durable = false;
}

static void written_is_said_with_the_copy(struct world *world)
{
    if (world->is_open && world->writer.state == SP_LOG_OPEN)
        sp_log_advance(&world->ring.ring, SP_LOG_WRITTEN, world->writer.gathered);
}

static void a_failure_is_not_told(struct world *world)
{
    if (world->is_open && world->writer.state == SP_LOG_FAILED)
        sp_log_state_set(&world->ring.ring, world->host.owner, SP_LOG_OPEN, 0);
}

static const struct {
    const char *name;
    enum sim_lie lie;
    void (*meddle)(struct world *world);
    uint32_t faults;
} bugs[] = {
    {"a flush is reported and does nothing", SIM_LIE_FLUSH, NULL, 0},
    {"a directory is never synced", SIM_LIE_DIRECTORY, NULL, 0},
    {"a write is reported before it is done", SIM_LIE_EARLY_WRITE, NULL, 0},
    {"the last block of a long write is not written", SIM_LIE_LAST_SECTOR, NULL, 0},
    {"salts are used again", SIM_LIE_SALT, NULL, 0},
    {"the frontier is ahead of what is durable", SIM_LIE_FRONTIER, NULL, 0},
    {"recovery does not look at checksums of data", SIM_LIE_CHECKSUM, NULL, 0},
    {"a segment is cut too short", SIM_LIE_CUT, NULL, 0},
    {"a write is lost", SIM_LIE_MISSING_WRITE, NULL, 0},
    {"a flush covers what was written a while before it", SIM_LIE_STALE_FLUSH, NULL, 0},
    {"durable is said when it is written", SIM_HONEST, durable_is_said_with_the_write, 0},
    {"written is said when it is copied", SIM_HONEST, written_is_said_with_the_copy, 0},
    {"producers do not wait for the log", SIM_HONEST, producers_do_not_wait, FAULT_SLOW},
    {"a failure is not told in the ring", SIM_HONEST, a_failure_is_not_told, FAULT_ERRORS},
};

static void each_planted_bug_is_found(void **state)
{
    struct world_figures figures = {0};
    uint32_t caught = 0;
    const uint32_t count = sizeof bugs / sizeof *bugs;
    (void)state;

    for (uint32_t i = 0; i < count; i++) {
        bool is_caught = false;
        for (uint64_t seed = 1; seed <= SEEDS_MAX && !is_caught; seed++) {
            struct world world;
            world_open(&world, seed, &figures);
            world.is_quiet = true;
            world.disk->lie = bugs[i].lie;
            world.meddle = bugs[i].meddle;
            world_live(&world, bugs[i].faults, 150);
            world_end(&world); /* the violation stays readable */
            is_caught = world.is_over;
            if (is_caught)
                printf("caught: %-50s seed %2u: %s\n", bugs[i].name, (unsigned)seed, world.violation);
        }
        if (!is_caught)
            printf("NOT CAUGHT: %s\n", bugs[i].name);
        caught += is_caught;
    }
    printf("planted: %u of %u caught\n", caught, count);
    assert_int_equal(caught, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_planted_bug_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
