/* log_sim_test.c: the log's life by seed: producers, writers, stops, kills, crashes and faults in random order; nothing that was said
 * to be durable is ever lost, nothing else is ever found, and the log goes on when nothing is wrong any more.
 *
 * Each seed turns a random subset of the faults on. Seeds that damage what is on the disk (misdirected writes, bit flips, files removed)
 * check that nothing wrong is taken for a record; all others, that everything is there. SPATE_SEED=n runs that one alone, SPATE_FULL=1
 * random ones for about a quarter of an hour; SPATE_SIM_VERBOSE=1 prints what the daemon says. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim_world.h"

#define SEEDS 800u
#define FULL_SECONDS (14 * 60)

enum {
    FAULT_ERRORS = 1,
    FAULT_ROOM = 2,
    FAULT_SHORT = 4,
    FAULT_SLOW = 8,
    FAULT_DAMAGE = 16,
    FAULT_SPARSE = 32,
    FAULT_READ_ONLY = 64
};

static void arm_error(struct world *world)
{
    struct sim_disk *disk = world->disk;
    const uint64_t kind = world_below(world, SIM_KINDS);
    disk->faults[kind] = (struct sim_fault){disk->calls[kind] + 1 + world_below(world, 12), 1 + world_below(world, 2), -EIO};
}

static void read_only(struct world *world)
{
    static const enum sim_kind kinds[] = {SIM_WRITE,  SIM_ALLOCATE, SIM_PUT,   SIM_TRUNCATE,
                                          SIM_RENAME, SIM_UNLINK,   SIM_MKDIR, SIM_RMDIR};
    const uint64_t times = 1 + world_below(world, 40);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        world->disk->faults[kinds[i]] = (struct sim_fault){world->disk->calls[kinds[i]] + 1, times, -EROFS};
}

static void damage(struct world *world)
{
    struct sim_disk *disk = world->disk;

    world->may_lose = true;
    switch (world_below(world, 4)) {
    case 0: disk->misdirected = 20; break;
    case 1:
        sim_disk_remove_all(disk, "t/0");
        world->figures->removals++;
        break;
    default: world->figures->flips += sim_disk_flip(disk); break;
    }
}

static void inject(struct world *world, uint32_t faults)
{
    struct sim_disk *disk = world->disk;

    if (faults & FAULT_ERRORS && world_below(world, 6) == 0)
        arm_error(world);
    if (faults & FAULT_READ_ONLY && world_below(world, 40) == 0)
        read_only(world);
    if (faults & FAULT_ROOM && world_below(world, 4) == 0) {
        const uint64_t lot = world_below(world, 3);
        disk->quota = lot == 0 ? UINT64_MAX : sim_used(disk) + (lot == 1 ? 0 : world_below(world, 100000));
    }
    if (faults & FAULT_SHORT)
        disk->short_writes = world_below(world, 2) ? 0 : 4;
    if (faults & FAULT_SLOW)
        disk->delay_max = world_below(world, 3) ? 2 * SP_NS_PER_MS : (int64_t)world_below(world, 3 * SP_NS_PER_S);
    if (faults & FAULT_DAMAGE && world_below(world, 20) == 0)
        damage(world);
}

static struct sim_crash random_crash(struct world *world)
{
    static const enum sim_crash_mode modes[] = {SIM_CRASH_OLD,    SIM_CRASH_NEW,    SIM_CRASH_ONE,
                                                SIM_CRASH_RANDOM, SIM_CRASH_RANDOM, SIM_CRASH_RANDOM};
    const uint64_t unflushed = sim_disk_unflushed(world->disk);
    return (struct sim_crash){modes[world_below(world, 6)], world_below(world, unflushed + 1), world_below(world, UINT64_MAX)};
}

/* The host goes down; and perhaps again, while the log is being recovered. */
static void crash(struct world *world)
{
    world_crash(world, random_crash(world));
    for (int i = 0; i < 3 && world_below(world, 2) && !world->is_over; i++) {
        world->disk->dead_at = world->disk->operations + 1 + world_below(world, 40);
        if (world_start(world) == 0) /* too late: it dies in its first moments */
            world_run(world, (int64_t)world_below(world, 5 * SP_NS_PER_MS));
        world->figures->recoveries_crashed += world->disk->is_dead;
        world->disk->is_dead = false;
        world->disk->dead_at = 0;
        world_crash(world, random_crash(world));
    }
}

static void publish_some(struct world *world)
{
    const uint64_t count = 1 + world_below(world, world_below(world, 4) ? 10 : 80);

    for (uint64_t i = 0; i < count && !world->is_over; i++) {
        const uint64_t lot = world_below(world, 100);
        if (lot < 4)
            (void)world_claim(world);
        else if (lot < 5)
            world_kill_producer(world);
        else if (world_publish(world) != 0)
            break;
    }
    for (uint32_t i = 0; i < WORLD_PRODUCERS; i++)
        if (world->producers[i].has_claim && world_below(world, 3))
            world_end_claim(world, &world->producers[i], world_below(world, 2));
}

static void event(struct world *world, uint32_t faults)
{
    const uint64_t lot = world_below(world, 1000);

    if (!world->is_open) {
        if (world->has_ring && world_below(world, 3) == 0)
            publish_some(world);
        else
            (void)world_start(world);
        return;
    }
    inject(world, faults);
    if (lot < 500)
        publish_some(world);
    else if (lot < 900)
        world_run(world, (int64_t)world_below(world, world_below(world, 10) ? 3 * SP_NS_PER_MS : 300 * SP_NS_PER_MS));
    else if (lot < 940)
        sp_log_want(&world->ring.ring, world_below(world, 2) ? SP_LOG_DURABLE : SP_LOG_WRITTEN,
                    world_below(world, world->count + 5));
    else if (lot < 970 && !world->may_lose)
        world_probe(world, random_crash(world), world_below(world, 2) ? 0 : 1 + world_below(world, 30));
    else if (lot < 980)
        (void)world_stop(world);
    else if (lot < 990)
        world_kill(world);
    else
        crash(world);
    if (world->is_open && world->writer.state == SP_LOG_FAILED && world_below(world, 3) == 0) {
        sim_disk_heal(world->disk);
        (void)world_stop(world);
    }
}

static void run_seed(uint64_t seed, struct world_figures *figures)
{
    struct world world;

    world_open(&world, seed, figures);
    uint32_t faults = world_below(&world, 3) ? (uint32_t)world_below(&world, 128) : 0;
    if (world_below(&world, 3))
        faults &= ~(uint32_t)FAULT_DAMAGE;
    world.disk->is_sparse = faults & FAULT_SPARSE;
    const uint64_t events = 100 + world_below(&world, 300);
    for (uint64_t i = 0; i < events && !world.is_over; i++)
        event(&world, faults);
    if (!world.is_over && !world.has_ring)
        sim_disk_heal(world.disk);
    if (!world.is_over)
        world_drain(&world);
    if (!world.is_over && !world_stop(&world))
        world_violate(&world, "it does not stop");
    if (!world.is_over)
        world_verify(&world, world.disk, world.count, "at the end");
    if (!world.is_over && !world.may_lose) {
        world_probe(&world, (struct sim_crash){SIM_CRASH_OLD, 0, seed}, 0);
        world_probe(&world, (struct sim_crash){SIM_CRASH_RANDOM, 0, seed}, 0);
    }
    world_close(&world);
}

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
    }
    world_print("log_sim", &figures);
    assert_int_equal(figures.violations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_durable_is_lost_and_nothing_else_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
