/* namespace_test.c: the victims live in another PID namespace than the survivors: their process ids mean nothing to each other,
 * deaths are noticed all the same.
 *
 * Liveness comes from kernel file locks, not from pids. The test unshares a PID namespace for its children (a keeper holds it as
 * its process 1), runs a sample of kill_test.c with victims in there, and goes back. Needs CAP_SYS_ADMIN; skipped where that is
 * missing. SPATE_SEED repeats a run. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plays.h"

#define SAMPLE 100u
#define SAMPLE_FULL 2000u

static const char *const names[] = {
    "publish small, rival",    "publish batch", "claim, abort, rival", "first claim, repairing a corpse", "poll",
    "publish small, exclusive"};

static uint64_t sample(const char *name, uint64_t seed, uint32_t points)
{
    static struct scene scene;
    static struct play_steps steps;
    const struct play *play = play_find(name);

    scene = (struct scene){.random = seed};
    scene_open(&scene, play->mode, name);
    if (play_learn(&scene, play, &steps)) {
        for (uint32_t i = 0; i < points; i++)
            (void)play_kill(&scene, play, &steps.trace, (uint32_t)(scene_random(&scene) % (steps.trace.total + 1)), i & 1);
        for (uint32_t i = 0; i < points && play->flags & PLAY_STOP; i++)
            (void)play_stop(&scene, play, &steps.trace, (uint32_t)(scene_random(&scene) % steps.trace.total));
        scene_verify(&scene);
    }
    printf("%-32s %5llu deaths and stops, %llu violations, delivered after: p50 %.3f ms, max %.3f ms\n", name,
           (unsigned long long)scene.rounds, (unsigned long long)scene.violations,
           (double)times_percentile(&scene.delivered, 50) / 1e6, (double)times_percentile(&scene.delivered, 100) / 1e6);
    scene_close(&scene);
    times_free(&scene.delivered);
    times_free(&scene.longest);
    times_free(&scene.attached);
    return scene.violations;
}

int main(void)
{
    const char *seed_text = getenv("SPATE_SEED"), *full = getenv("SPATE_FULL");
    const uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)scene_now() ^ (uint64_t)getpid() << 32;
    uint64_t violations = 0;
    char reason[128];

    if (!tracer_permitted(reason, sizeof reason)) {
        printf("skipped: %s\n", reason);
        return 77;
    }
    int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (home < 0 || unshare(CLONE_NEWPID) < 0) {
        printf("skipped: no PID namespace is to be had here: %s\n", strerror(errno));
        return 77;
    }
    pid_t keeper = fork();
    if (keeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    printf("seed %llu (SPATE_SEED)\n", (unsigned long long)seed);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        violations += sample(names[i], seed, full && strcmp(full, "1") == 0 ? SAMPLE_FULL : SAMPLE);
    kill(keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    (void)setns(home, CLONE_NEWPID);
    close(home);
    printf("violations: %llu\n", (unsigned long long)violations);
    return violations ? 1 : 0;
}
