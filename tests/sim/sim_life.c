/* sim_life.c: what happens to a host, by lot: producers, stops, kills, crashes and the faults that a seed turned on; see sim_world.h.
 * Called by the tests that run whole seeds. */
#include <errno.h>
#include <string.h>

#include "ring/extent.h"
#include "sim_world.h"

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
    if (faults & FAULT_SHORT)
        disk->short_grain = world_below(world, 2) ? SP_LOG_GRAIN : SIM_SECTOR;
    if (faults & FAULT_SLOW)
        disk->delay_max = world_below(world, 3) ? 2 * SP_NS_PER_MS : (int64_t)world_below(world, 3 * SP_NS_PER_S);
    if (faults & FAULT_DAMAGE && world_below(world, 20) == 0)
        damage(world);
}

struct sim_crash world_random_crash(struct world *world)
{
    static const enum sim_crash_mode modes[] = {SIM_CRASH_OLD,    SIM_CRASH_NEW,    SIM_CRASH_ONE,
                                                SIM_CRASH_RANDOM, SIM_CRASH_RANDOM, SIM_CRASH_RANDOM};
    const uint64_t unflushed = sim_disk_unflushed(world->disk);
    return (struct sim_crash){modes[world_below(world, 6)], world_below(world, unflushed + 1), world_below(world, UINT64_MAX)};
}

/* The host goes down; and perhaps again, while the log is being recovered. */
static void crash(struct world *world)
{
    world_crash(world, world_random_crash(world));
    for (int i = 0; i < 3 && world_below(world, 2) && !world->is_over; i++) {
        world->disk->dead_at = world->disk->operations + 1 + world_below(world, 40);
        if (world_start(world) == 0) /* too late: it dies in its first moments */
            world_run(world, (int64_t)world_below(world, 5 * SP_NS_PER_MS));
        world->figures->recoveries_crashed += world->disk->is_dead;
        world->disk->is_dead = false;
        world->disk->dead_at = 0;
        world_crash(world, world_random_crash(world));
    }
}

void world_publish_some(struct world *world)
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
            world_publish_some(world);
        else
            (void)world_start(world);
        return;
    }
    inject(world, faults);
    if (lot < 500)
        world_publish_some(world);
    else if (lot < 900)
        world_run(world, (int64_t)world_below(world, world_below(world, 10) ? 3 * SP_NS_PER_MS : 300 * SP_NS_PER_MS));
    else if (lot < 940)
        sp_log_want(&world->ring.ring, world_below(world, 2) ? SP_LOG_DURABLE : SP_LOG_WRITTEN,
                    world_below(world, world->count + 5));
    else if (lot < 970 && !world->may_lose)
        world_probe(world, world_random_crash(world), world_below(world, 2) ? 0 : 1 + world_below(world, 30));
    else if (lot < 975)
        world_clean(world, world_below(world, 4) ? 0 : world_below(world, world->durable + 1));
    else if (lot < 982)
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

void world_live(struct world *world, uint32_t faults, uint64_t events)
{
    world->disk->is_sparse = faults & FAULT_SPARSE;
    for (uint64_t i = 0; i < events && !world->is_over; i++)
        event(world, faults);
}

void world_end(struct world *world)
{
    if (!world->is_over)
        world_drain(world);
    if (!world->is_over && !world_stop(world))
        world_violate(world, "it does not stop");
    if (!world->is_over)
        world_verify(world, world->disk, world->count, "at the end");
    if (!world->is_over && !world->may_lose) {
        world_probe(world, (struct sim_crash){SIM_CRASH_OLD, 0, world->seed}, 0);
        world_probe(world, (struct sim_crash){SIM_CRASH_RANDOM, 0, world->seed}, 0);
    }
    world_close(world);
}
