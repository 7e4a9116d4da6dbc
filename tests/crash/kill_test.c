/* kill_test.c: a process is killed after every instruction of every call; the others go on, and nothing that was committed is
 * lost.
 *
 * For each play (support/plays.h): a first run counts its steps and learns which of them change shared memory; then a new victim
 * is walked to step k, killed, and all promises are checked (support/scene.h): the next record is delivered, everything
 * committed before is whole and read once, in order and alike by a consumer that was there and by one that comes later; the
 * victim's records are whole or absent; holes are at most its claim; a full lap passes; every slot can be taken again. No daemon
 * runs.
 *
 * The default run takes every k of the short plays, and of the long ones (attach, close) those around stores plus a random
 * sample. SPATE_FULL=1 takes every k of all, several times where a rival publishes in between. SPATE_SEED repeats a run. With
 * arguments: kill_test [PLAY [STEP]]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plays.h"

#define SHORT_PLAY 700u   /* steps: up to here every one is taken */
#define SAMPLE 200u       /* random steps of a longer one */
#define STORE_SAMPLE 100u /* places after stores of a longer one */

static struct {
    bool full;
    uint64_t seed;
    uint64_t points, violations, astray;
    struct times delivered, longest, attached;
} run;

static void one(struct scene *scene, const struct play *play, const struct trace *trace, uint32_t step)
{
    const int repeats = !run.full || play->flags & PLAY_ATTACH ? 1 : play->flags & PLAY_RIVAL ? 8 : 2;
    uint64_t first = scene_random(scene);

    for (int i = 0; i < repeats; i++, first++) {
        (void)play_kill(scene, play, trace, step, first & 1);
        run.points++;
    }
}

/* Every step of a short play; of a long one those around stores, and some at random. */
static void all(struct scene *scene, const struct play *play, const struct play_steps *steps)
{
    const uint32_t total = steps->trace.total;

    if (run.full || total <= SHORT_PLAY) {
        for (uint32_t step = 0; step <= total; step++)
            one(scene, play, &steps->trace, step);
        return;
    }
    for (uint32_t i = 0; i < steps->stores && i < STORE_SAMPLE; i++) {
        uint32_t store = steps->store[steps->stores <= STORE_SAMPLE ? i : scene_random(scene) % steps->stores];
        one(scene, play, &steps->trace, store);
    }
    for (uint32_t i = 0; i < SAMPLE; i++)
        one(scene, play, &steps->trace, (uint32_t)(scene_random(scene) % (total + 1)));
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void report(const char *name, uint32_t steps, uint64_t points, struct scene *scene, double seconds)
{
    printf("%-32s %6u %6llu %4llu  %6.3f %6.3f %7.3f %3u  %6.3f %7.3f %3u  %5.1f\n", name, steps, (unsigned long long)points,
           (unsigned long long)scene->violations, ms(times_percentile(&scene->delivered, 50)),
           ms(times_percentile(&scene->delivered, 99)), ms(times_percentile(&scene->delivered, 100)),
           times_above(&scene->delivered, SCENE_PROMISE), ms(times_percentile(&scene->longest, 99)),
           ms(times_percentile(&scene->longest, 100)), times_above(&scene->longest, SCENE_PROMISE), seconds);
    fflush(stdout);
}

static void play_all(const struct play *play, const char *step)
{
    static struct scene scene;
    static struct play_steps steps;
    const int64_t start = scene_now();
    const uint64_t points = run.points;

    scene = (struct scene){.random = run.seed};
    scene_open(&scene, play->mode, play->name);
    if (play_learn(&scene, play, &steps)) {
        if (step)
            one(&scene, play, &steps.trace, (uint32_t)strtoul(step, NULL, 10));
        else
            all(&scene, play, &steps);
        scene_verify(&scene);
    }
    report(play->name, steps.trace.total, run.points - points, &scene, (double)(scene_now() - start) / 1e9);
    scene_close(&scene);
    run.violations += scene.violations;
    run.astray += scene.astray;
    times_append(&run.delivered, &scene.delivered);
    times_append(&run.longest, &scene.longest);
    times_append(&run.attached, &scene.attached);
    times_free(&scene.delivered);
    times_free(&scene.longest);
    times_free(&scene.attached);
}

static void line(const char *what, struct times *times)
{
    printf("%s: p50 %.3f ms, p99 %.3f ms, max %.3f ms, over 10 ms: %u of %u\n", what, ms(times_percentile(times, 50)),
           ms(times_percentile(times, 99)), ms(times_percentile(times, 100)), times_above(times, SCENE_PROMISE), times->count);
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
    printf("%-32s %6s %6s %4s  %22s %3s  %14s %3s  %5s\n", "play", "steps", "kills", "bad", "delivered p50 p99 max", ">10",
           "lap p99 max", ">10", "s");
    for (int i = 0; i < plays_count; i++)
        if (argc < 2 || strcmp(argv[1], plays[i].name) == 0)
            play_all(&plays[i], argc > 2 ? argv[2] : NULL);
    line("kill to next record delivered    ", &run.delivered);
    line("kill to publish of a new producer", &run.attached);
    line("longest publish of the lap after ", &run.longest);
    printf("kill points: %llu (%llu a little off the step meant), violations: %llu\n", (unsigned long long)run.points,
           (unsigned long long)run.astray, (unsigned long long)run.violations);
    return run.violations ? 1 : 0;
}
