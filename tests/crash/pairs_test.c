/* pairs_test.c: two or three processes are killed at the same time, each at a step of its own, holding claims beside each other.
 *
 * Each round draws plays, steps and an interleaving: the victims are walked in turns of random length (often a single
 * instruction), the rival publishing now and then between them, until each stands at its step; then all are killed and every
 * promise is checked as in kill_test.c. Steps are drawn from the places where shared memory changes half of the time. The ring
 * has four producer slots, so that three victims and the rival fill it. SPATE_FULL=1 takes forty times as many rounds.
 * SPATE_SEED repeats a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plays.h"

#define ROUNDS 1500u
#define ROUNDS_FULL 60000u

static const char *const names[] = {"publish small",
                                    "publish large",
                                    "publish batch",
                                    "claim, commit, rival",
                                    "claim, abort, rival",
                                    "first claim",
                                    "poll",
                                    "release",
                                    "producer close",
                                    "producer close with a claim",
                                    "publish small, biased",
                                    "publish, taking the bias, rival",
                                    "publish batch, biased, rival"};
#define KINDS (sizeof names / sizeof names[0])

static struct play_steps steps[KINDS];

/* Walk all victims to their steps, in turns. */
static void walk(struct scene *scene, struct tracee *tracees, int victims)
{
    for (;;) {
        int behind = 0, chosen = -1;
        for (int i = 0; i < victims; i++) /* any of those that are not there yet */
            if (tracees[i].state == TRACEE_STEPPING && tracees[i].at < scene->step[i] &&
                scene_random(scene) % (uint64_t)++behind == 0)
                chosen = i;
        if (chosen < 0)
            return;
        uint64_t random = scene_random(scene);
        uint32_t left = scene->step[chosen] - tracees[chosen].at;
        uint32_t turn = (uint32_t)(random & 3 ? random >> 8 & 63 : random >> 8 & 4095) + 1;
        tracer_advance(&tracees[chosen], tracees[chosen].at + (turn < left ? turn : left));
        if (random >> 60 == 0)
            (void)scene_publish(scene, scene->rival, 40 + (uint32_t)(random >> 20 & 127), 0);
    }
}

static void round_of(struct scene *scene)
{
    struct tracee tracees[SCENE_VICTIMS_MAX];
    const int victims = 2 + (int)(scene_random(scene) % 2);
    uint64_t holes = 0;
    char what[128] = "";

    scene_round(scene, victims);
    scene->what = what;
    if (scene_random(scene) % 4 == 0) /* near the end of the ring; now, for later a victim may stand in the way */
        scene_pad(scene, 64 + (uint32_t)(scene_random(scene) % 16) * 64);
    for (int i = 0; i < victims; i++) {
        uint64_t kind = scene_random(scene) % KINDS, random = scene_random(scene);
        const struct play *play = play_find(names[kind]);
        const uint32_t total = steps[kind].trace.total, stores = steps[kind].stores;
        scene->step[i] = random & 1 && stores ? steps[kind].store[(random >> 1) % stores] : (uint32_t)((random >> 1) % (total + 1));
        holes += play_holes_max(play);
        snprintf(what + strlen(what), sizeof what - strlen(what), "%s%s", i ? " + " : "", play->name);
        if (!play_spawn(scene, play, i, &steps[kind].trace, &tracees[i])) {
            for (int j = 0; j < i; j++) {
                tracer_kill(&tracees[j]);
                tracer_reap(&tracees[j]);
            }
            return;
        }
    }
    scene_read(scene, 0);
    walk(scene, tracees, victims);
    scene_after_death(scene, tracees, scene_random(scene) & 1, holes);
}

int main(void)
{
    const char *seed = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    const uint32_t rounds = full && strcmp(full, "1") == 0 ? ROUNDS_FULL : ROUNDS;
    static struct scene scene;
    char reason[128];

    if (!tracer_permitted(reason, sizeof reason)) {
        printf("skipped: %s\n", reason);
        return 77;
    }
    scene.random = seed ? strtoull(seed, NULL, 0) : (uint64_t)scene_now() ^ (uint64_t)getpid() << 32;
    printf("seed %llu (SPATE_SEED), %u rounds\n", (unsigned long long)scene.random, rounds);
    scene_open(&scene, SPATE_MODE_CONCURRENT, "learning");
    for (size_t i = 0; i < KINDS; i++)
        if (!play_learn(&scene, play_find(names[i]), &steps[i]))
            return 1;
    for (uint32_t i = 0; i < rounds; i++) {
        round_of(&scene);
        if (i % 200 == 0)
            scene_verify(&scene);
        if (i % 5000 == 4999)
            printf("%u rounds, %llu violations\n", i + 1, (unsigned long long)scene.violations);
    }
    scene_verify(&scene);
    printf("rounds: %u, violations: %llu; killed to next record delivered: p50 %.3f ms, p99 %.3f ms, max %.3f ms, over 10 ms: %u\n",
           rounds, (unsigned long long)scene.violations, (double)times_percentile(&scene.delivered, 50) / 1e6,
           (double)times_percentile(&scene.delivered, 99) / 1e6, (double)times_percentile(&scene.delivered, 100) / 1e6,
           times_above(&scene.delivered, SCENE_PROMISE));
    scene_close(&scene);
    return scene.violations ? 1 : 0;
}
