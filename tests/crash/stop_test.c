/* stop_test.c: a process is stopped after every instruction, others go round the ring, and it goes on as if nothing had
 * happened.
 *
 * For each play that may be stopped and each step k: the victim is walked to k and left there by SIGSTOP, no longer traced; the
 * rival publishes as much as it gets room for, up to more than a lap, while the witness reads; then SIGCONT. A stopped owner's
 * bytes are never overtaken: the rival either gets through (the victim owns nothing) or gets -EAGAIN, and then
 * spate_inspect_ring names the victim as stalled (or, for a consumer, its cursor is what is in the way). Afterwards every call
 * of the victim has succeeded, its records are whole, all is in order, and nothing is a hole. On an exclusive topic the others
 * get -EBUSY.
 *
 * The default run takes the steps at which shared memory changes and a sample; SPATE_FULL=1 takes every k. SPATE_SEED repeats a
 * run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plays.h"

#define SAMPLE 120u
#define STORES_MAX 150u

static struct {
    bool full;
    uint64_t seed, points, blocked, violations;
} run;

/* One more point, counted. */
static void stop_at(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step)
{
    run.blocked += play_stop(scene, play, trace, step);
    run.points++;
}

static void play_all(const struct play *play, const char *step)
{
    static struct scene scene;
    static struct play_steps steps;
    const int64_t start = scene_now();
    const uint64_t points = run.points, blocked = run.blocked;

    scene = (struct scene){.random = run.seed};
    scene_open(&scene, play->mode, play->name);
    if (play_learn(&scene, play, &steps)) {
        const uint32_t total = steps.trace.total;
        if (step)
            stop_at(&scene, play, &steps.trace, (uint32_t)strtoul(step, NULL, 10));
        for (uint32_t k = 0; !step && run.full && k < total; k++)
            stop_at(&scene, play, &steps.trace, k);
        const uint32_t every = steps.stores / STORES_MAX + 1;
        for (uint32_t i = 0; !step && !run.full && i < steps.stores; i += every) /* just before the store, just after it */
            stop_at(&scene, play, &steps.trace, steps.store[i] - (uint32_t)(scene_random(&scene) & 1));
        for (uint32_t i = 0; !step && !run.full && i < SAMPLE; i++)
            stop_at(&scene, play, &steps.trace, (uint32_t)(scene_random(&scene) % total));
        scene_verify(&scene);
    }
    printf("%-32s %6u steps %6llu stops %6llu had to wait %4llu violations %6.1f s\n", play->name, steps.trace.total,
           (unsigned long long)(run.points - points), (unsigned long long)(run.blocked - blocked),
           (unsigned long long)scene.violations, (double)(scene_now() - start) / 1e9);
    fflush(stdout);
    run.violations += scene.violations;
    scene_close(&scene);
    times_free(&scene.delivered);
    times_free(&scene.longest);
    times_free(&scene.attached);
}

int main(int argc, char **argv)
{
    const char *seed = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    char reason[128];

    if (!tracer_permitted(reason, sizeof reason)) {
        printf("skipped: %s\n", reason);
        return 77;
    }
    run.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)scene_now() ^ (uint64_t)getpid() << 32;
    run.full = full && strcmp(full, "1") == 0;
    printf("seed %llu (SPATE_SEED), %s\n", (unsigned long long)run.seed,
           run.full ? "every step" : "sampled (SPATE_FULL=1: every step)");
    for (int i = 0; i < plays_count; i++)
        if (plays[i].flags & PLAY_STOP && (argc < 2 || strcmp(argv[1], plays[i].name) == 0))
            play_all(&plays[i], argc > 2 ? argv[2] : NULL);
    printf("stops: %llu, others had to wait: %llu, violations: %llu\n", (unsigned long long)run.points,
           (unsigned long long)run.blocked, (unsigned long long)run.violations);
    return run.violations || (argc < 2 && run.blocked == 0) ? 1 : 0;
}
