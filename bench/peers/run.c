/* run.c: one measurement of one peer, and what peers need besides, see peer.h.
 *
 * Called by `spate-bench peers`. Owns nothing between calls. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arch.h"
#include "cli/tool.h"
#include "payload.h"
#include "peer.h"
#include "ticks.h"

#define LIMIT 10u /* s: with some, processes that share a processor wait for each other for ever so long */

int peer_failed(const char *peer, const char *doing)
{
    const int error = errno ? errno : EIO;
    tool_error("%s: %s: %s", peer, doing, strerror(error));
    return -error;
}

void peer_wait(const struct peer_end *end)
{
    if (end->run->crowded)
        sched_yield();
    else
        sp_pause();
}

bool peer_can_run(const char *program)
{
    const char *path = getenv("PATH");
    char file[512];

    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        const size_t length = strcspn(path, ":");
        if (snprintf(file, sizeof file, "%.*s/%s", (int)length, path, program) < (int)sizeof file && access(file, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

int peer_daemon(const char *const *arguments)
{
    const pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        return peer_failed(arguments[0], "cannot be started");
    if (pid > 0)
        return pid;
    const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (nowhere >= 0 && dup2(nowhere, 0) >= 0 && dup2(nowhere, 1) >= 0 && dup2(nowhere, 2) >= 0 &&
        prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

void peer_daemon_end(int pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    for (int i = 0; i < 500; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    (void)rmdir(folder);
}

/* Every consumer gets every record of every producer; a round trip brings each value to both sides. */
static int check(const struct peer *peer, const struct peer_run *run)
{
    const struct peer_spec *spec = &run->spec;
    const uint64_t words = spec->value_size / 8;

    if (spec->traffic == PEER_ROUND_TRIP)
        return run->members[0].sum == run->members[1].sum ? 0
                                                          : tool_error("%s brought back something else than was sent", peer->name);
    for (uint32_t i = spec->producers; i < spec->producers + spec->consumers; i++)
        if (run->members[i].sum != spec->producers * payload_expected(spec->records, words))
            return tool_error("%s delivered something else than was sent", peer->name);
    return 0;
}

static struct peer_result sum_up(const struct peer_run *run)
{
    const struct peer_spec *spec = &run->spec;
    uint64_t begin = UINT64_MAX, end = 0;

    for (uint32_t i = 0; i < spec->producers; i++)
        begin = run->members[i].begin < begin ? run->members[i].begin : begin;
    for (uint32_t i = spec->traffic == PEER_ROUND_TRIP ? 0 : spec->producers; i < spec->producers + spec->consumers; i++)
        end = run->members[i].end > end ? run->members[i].end : end;
    return (struct peer_result){.rate = (double)(spec->records * spec->producers) * 1e9 / ticks_to_ns(end - begin),
                                .p50 = (double)histogram_at(&run->trips, 0.5) / 10};
}

static bool is_crowded(const int *cpus, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (cpus[i] == cpus[j])
                return true;
    return false;
}

int peer_measure(const struct peer *peer, const int *cpus, const struct peer_spec *spec, struct peer_result *ret)
{
    static uint32_t number;
    const size_t size = sizeof(struct peer_run) + (peer->calls->memory ? peer->calls->memory(spec) : 0);

    if (spec->producers > peer->producers_max || spec->consumers > peer->consumers_max)
        return PEER_CANNOT;
    struct peer_run *run = crew_allocate(size);
    run->spec = *spec;
    run->number = ++number;
    run->crew.limit = LIMIT;
    run->crowded = is_crowded(cpus, spec->producers + spec->consumers);
    for (int i = 0; i < PEER_CHANNELS; i++)
        run->fds[i][0] = run->fds[i][1] = -1;
    snprintf(run->folder, sizeof run->folder, "/tmp/spate-peer.XXXXXX");
    int error = mkdtemp(run->folder) ? 0 : peer_failed(peer->name, "cannot make a folder below /tmp");
    if (!error && peer->calls->prepare)
        error = peer->calls->prepare(run);
    if (!error)
        error = crew_run(run, cpus, spec->producers + spec->consumers, peer->work);
    if (error == -ETIMEDOUT)
        tool_error("%s: %u -> %u is left out", peer->name, spec->producers, spec->consumers);
    if (!error)
        error = check(peer, run);
    if (!error)
        *ret = sum_up(run);
    if (peer->calls->clean_up)
        peer->calls->clean_up(run);
    for (int i = 0; i < PEER_CHANNELS; i++)
        for (int j = 0; j < 2; j++)
            if (run->fds[i][j] >= 0)
                close(run->fds[i][j]);
    remove_folder(run->folder);
    crew_free(run, size);
    return error;
}
