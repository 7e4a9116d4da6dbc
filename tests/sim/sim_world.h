/* sim_world.h: one partition of a host in a test: a ring, its producers, the daemon's parts on a simulated disk, and a model of what
 * must be.
 *
 * The model is told of each record as it is committed, and of nothing else: it knows place, size and checksum of every offset, and how far
 * the daemon said that records are written and durable. All else is looked at from outside, after every step: the words in the ring, the
 * files on the disk. What is wrong is a violation: it is printed with the seed, and ends the run of that seed. */
#ifndef SP_TESTS_SIM_SIM_WORLD_H
#define SP_TESTS_SIM_SIM_WORLD_H

#include "base/clock.h"
#include "sim_disk.h"
#include "spill/recover.h"
#include "spill/writer.h"
#include "static_ring.h"

#define WORLD_PRODUCERS 3u

/* How much of the default work a build does: with sanitizers all is many times slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define SIM_WORK(amount) ((amount) / 3)
#else
#define SIM_WORK(amount) (amount)
#endif

enum record_kind { RECORD_CLAIMED, RECORD_DATA, RECORD_ABORTED };

struct world_record {
    uint64_t position;
    uint32_t size, crc; /* of all its bytes, as they lie in the ring */
    enum record_kind kind;
    uint32_t key; /* which; 0: none */
    bool is_null; /* a tombstone */
    bool is_lost; /* it was written, and a flush failed: nobody need find it any more */
};

struct world_producer {
    struct sp_writer writer;
    bool is_attached, has_claim;
    uint64_t claimed; /* offset */
};

/* What happened, for the line at the end. */
struct world_figures {
    uint64_t seeds, operations, records, bytes, blocks, crashes, kills, restarts, stops, probes, images, violations;
    uint64_t deleted, compacted, superseded; /* segments, segments, records */
    uint64_t recoveries_crashed, failed[SIM_KINDS], short_writes, misdirected, flips, no_room, removals, failures, full;
    int64_t simulated; /* ns */
};

struct world {
    uint64_t seed, random;
    struct sim_disk *disk;
    struct static_ring ring;
    struct static_ring_config ring_config;
    bool has_ring;
    struct world_producer producers[WORLD_PRODUCERS];
    uint32_t producers_count, value_max;

    struct spill_topic topic;
    struct spill_pool pool;
    uint32_t pool_count, buffer_size;
    struct writer writer;
    struct writer_host host;
    bool is_open;
    int64_t began;

    struct world_record *records; /* by offset */
    uint64_t count, room;
    uint64_t first;            /* offsets below may be missing */
    uint64_t written, durable; /* as told in the ring; they never go back while the daemon lives */
    uint64_t acknowledged;     /* the most that was ever said to be durable */
    bool may_lose;             /* something was damaged: what is there must be right, but not all must be there */
    bool has_flush_failed;     /* then what was written may be gone, if it was not durable */
    struct sp_place failed_written, failed_durable;
    bool has_failed;

    uint64_t recovered;    /* offset that the writer began at */
    uint64_t start, tried; /* asked of the writer by the cleaner; the cleaner's own */

    bool is_quiet; /* a violation is expected */
    bool is_over;  /* there was one */
    char violation[300];
    struct world_figures *figures;
    void (*meddle)(struct world *world); /* after each step, for planted bugs */
};

/* world_open: a host with an empty disk and a ring; nothing runs. What kind of topic it is follows from the seed. */
void world_open(struct world *world, uint64_t seed, struct world_figures *figures);
void world_close(struct world *world);

uint64_t world_below(struct world *world, uint64_t limit);
__attribute__((format(printf, 2, 3))) void world_violate(struct world *world, const char *format, ...);

/* world_publish: one record. Returns 0, -EAGAIN (the ring is full). world_claim: and leave it open. world_end_claim: commit or abort it.
 * world_kill_producer: it dies as it is, and another takes its place later. */
int world_publish(struct world *world);
int world_claim(struct world *world);
void world_end_claim(struct world *world, struct world_producer *producer, bool is_commit);
void world_kill_producer(struct world *world);

/* world_start: recover, and write. Returns 0, -errno (what the recovery or the writer said). world_run: let so many ns pass.
 * world_stop: in good order; false when it did not come to that within 4 s. world_kill: the daemon. world_crash: the host. */
int world_start(struct world *world);
void world_run(struct world *world, int64_t ns);
bool world_stop(struct world *world);
void world_kill(struct world *world);
void world_crash(struct world *world, struct sim_crash crash);

/* world_clean: one round of the cleaner: deleting, and compacting where the topic is to be. */
void world_clean(struct world *world, uint64_t wanted_start);

/* world_probe: were there a crash now, would everything be there afterwards? On a copy of the disk.
 *   recover_at  the first recovery dies at its operation of that number; 0: it does not */
void world_probe(struct world *world, struct sim_crash crash, uint64_t recover_at);

/* world_drain: heal everything, and wait until all is durable. */
void world_drain(struct world *world);

/* world_verify: compare the log on a disk with the model, from world->first up to `end`. */
void world_verify(struct world *world, struct sim_disk *disk, uint64_t end, const char *when);

/* world_live: so many things happen, by lot; faults: what may go wrong. world_end: then all is mended, and everything must be there; closes
 * the world. world_random_crash, world_publish_some: as they happen there. */
enum {
    FAULT_ERRORS = 1,
    FAULT_ROOM = 2,
    FAULT_SHORT = 4,
    FAULT_SLOW = 8,
    FAULT_DAMAGE = 16,
    FAULT_SPARSE = 32,
    FAULT_READ_ONLY = 64
};
void world_live(struct world *world, uint32_t faults, uint64_t events);
void world_end(struct world *world);
struct sim_crash world_random_crash(struct world *world);
void world_publish_some(struct world *world);

void world_print(const char *name, const struct world_figures *figures);

#endif
