/* planted_hooked_test.c: the checker of the crash tests must find bugs that are put in on purpose.
 *
 * Linked with the library variant that has race hooks (base/hook.h). A hook in the victim breaks the protocol of ring/ring.h at
 * one of its points, as a careless change of writer.c would; then victims are killed, or stopped, step by step until a violation
 * is found. Each bug must be found, and without a bug nothing may be. The list that is printed is the catch list of this
 * checker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hook.h"
#include "bus/producer.h"
#include "plays.h"

static struct victim *self; /* in the victim */
static const struct bug *bug;

static struct sp_writer *writer(void)
{
    return &self->producer->lanes[0].writer;
}

static _Atomic uint64_t *stamp_at(uint64_t position)
{
    return &((struct sp_record_header *)(void *)(writer()->data + (position & writer()->mask)))->stamp;
}

/* The stamp comes before the payload. */
static void stamp_early(void)
{
    struct sp_producer_slot *slot = writer()->slot;
    atomic_store(stamp_at(slot->claim & ~(uint64_t)SP_PHASE_MASK), sp_stamp(slot->offset, writer()->salt));
}

static void idle(void)
{
    atomic_store(&writer()->slot->claim, SP_PHASE_IDLE);
}

/* The claim says that it is larger than it is. */
static void extent_wrong(void)
{
    atomic_fetch_add(&writer()->slot->extent, (uint64_t)2 << 32 | 1);
}

/* The slot forgets whose it is: a live process seems to hold it. */
static void owner_wrong(void)
{
    const struct sp_producer_slot *rival = writer()->ring->producers;
    if (writer()->slot != rival)
        atomic_store(&writer()->slot->owner, atomic_load(&rival->owner));
}

/* IDLE comes before the stamp: taken away at one point, given back at the next. */
static void stamp_away(void)
{
    atomic_store(stamp_at(writer()->claim.position), 0);
}
static void stamp_back(void)
{
    struct sp_place place = writer()->claim;
    atomic_store(stamp_at(place.position), sp_stamp(place.offset, writer()->salt));
}

/* Exclusive: the tail comes before the stamp. */
static void tail_early(void)
{
    const struct sp_writer *w = writer();
    atomic_store(&w->ring->header->tail,
                 sp_tail_pack((w->claim.position + w->claim_size) >> w->ring->unit_shift, w->claim.offset + w->claim_count));
}

static const struct bug {
    const char *name, *play;
    bool stop;
    const char *point;
    void (*act)(void);
    const char *point2;
    void (*act2)(void);
} bugs[] = {
    {"none", "publish small, rival", false, NULL, NULL, NULL, NULL},
    {"none, stopped", "publish small, rival", true, NULL, NULL, NULL, NULL},
    {"none, exclusive", "publish small, exclusive", false, NULL, NULL, NULL, NULL},
    {"stamp before payload", "publish small, rival", false, "claim:claimed", stamp_early, NULL, NULL},
    {"stamp before payload, large", "publish large", false, "claim:claimed", stamp_early, NULL, NULL},
    {"IDLE before payload", "publish small", false, "claim:claimed", idle, NULL, NULL},
    {"IDLE before payload, stopped", "publish small", true, "claim:claimed", idle, NULL, NULL},
    {"IDLE before stamp", "claim, commit, rival", false, "commit:stamped", stamp_away, "commit:idle", stamp_back},
    {"no INTENT", "publish small", false, "claim:intent", idle, NULL, NULL},
    {"no INTENT, stopped", "publish small", true, "claim:intent", idle, NULL, NULL},
    {"extent too large", "publish small, rival", false, "claim:intent", extent_wrong, NULL, NULL},
    {"slot leaked", "publish small", false, "commit:idle", owner_wrong, NULL, NULL},
    {"none, biased, stopped", "publish small, biased, rival", true, NULL, NULL, NULL, NULL},
    {"IDLE before stamp, biased", "publish small, biased, rival", true, "commit:stamp", idle, NULL, NULL},
    {"tail before stamp, exclusive", "publish small, exclusive", false, "commit:stamp", tail_early, NULL, NULL},
};

static void at_point(const char *point)
{
    if (bug->point && strcmp(point, bug->point) == 0)
        bug->act();
    if (bug->point2 && strcmp(point, bug->point2) == 0)
        bug->act2();
}

static void plant(struct victim *victim)
{
    self = victim;
    sp_hook = at_point;
}

/* Steps in a random order until one shows the bug; all of them when there should be none. */
static bool hunt(uint64_t seed)
{
    static struct scene scene;
    static struct play_steps steps;
    const struct play *play = play_find(bug->play);
    uint32_t points = 0;

    scene = (struct scene){.random = seed, .quiet = bug->point != NULL};
    scene_open(&scene, play->mode, bug->name);
    bool learned = play_learn(&scene, play, &steps);
    for (; learned && points < 1500 && (bug->point ? scene.violations == 0 : points < steps.trace.total); points++) {
        uint32_t step = bug->point ? (uint32_t)(scene_random(&scene) % steps.trace.total) : points;
        if (bug->stop)
            (void)play_stop(&scene, play, &steps.trace, step);
        else
            (void)play_kill(&scene, play, &steps.trace, step, scene_random(&scene) & 1);
    }
    bool as_expected = (bug->point != NULL) == (scene.violations > 0); /* some show in the first run, where nobody dies early */
    printf("%-32s %-28s %5u points, %llu violations: %s\n", bug->name, bug->play, points, (unsigned long long)scene.violations,
           as_expected ? (bug->point ? "found" : "clean") : "NOT AS EXPECTED");
    fflush(stdout);
    scene_close(&scene);
    times_free(&scene.delivered);
    times_free(&scene.longest);
    times_free(&scene.attached);
    return as_expected;
}

int main(void)
{
    const char *seed_text = getenv("SPATE_SEED");
    const uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)scene_now() ^ (uint64_t)getpid() << 32;
    int failed = 0;
    char reason[128];

    if (!tracer_permitted(reason, sizeof reason)) {
        printf("skipped: %s\n", reason);
        return 77;
    }
    printf("seed %llu (SPATE_SEED)\n", (unsigned long long)seed);
    play_hook = plant;
    for (size_t i = 0; i < sizeof bugs / sizeof bugs[0]; i++) {
        bug = &bugs[i];
        failed += !hunt(seed);
    }
    return failed ? 1 : 0;
}
