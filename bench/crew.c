/* crew.c: starting, meeting and ending the processes of one measurement.
 *
 * Called by every measurement. Owns nothing between calls. */
#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arch.h"
#include "cli/tool.h"
#include "place.h"

void *crew_allocate(size_t size)
{
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        tool_out_of_memory();
    (void)madvise(shared, size, MADV_HUGEPAGE);
    memset(shared, 0, size); /* no page faults later */
    return shared;
}

void crew_free(void *shared, size_t size)
{
    munmap(shared, size);
}

static pid_t start(void *shared, int cpu, uint32_t index, const sigset_t *mask, int (*body)(void *shared, uint32_t index))
{
    const pid_t parent = getpid();
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || place_pin(cpu) < 0)
        _exit(1);
    _exit(body(shared, index));
}

static void end_all(const pid_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

/* Waits until all have ended. Signals are blocked but in ppoll, so that none goes by between a look and the wait. The parent sleeps
 * all the while: it must not disturb what is measured. */
static int wait_for_all(pid_t *pids, struct pollfd *ends, uint32_t count, uint32_t limit, const sigset_t *mask)
{
    const int64_t deadline = tool_clock() + limit * NS_PER_S;
    int result = 0;

    for (uint32_t left = count; left > 0;) {
        const int64_t rest = deadline > tool_clock() ? deadline - tool_clock() : 0;
        const struct timespec patience = {rest / NS_PER_S, rest % NS_PER_S};
        int ready = ppoll(ends, count, limit && !result ? &patience : NULL, mask);
        if (ready == 0) {
            tool_error("a measurement took more than %u s and was ended", limit);
            result = -ETIMEDOUT;
        }
        if (ready < 0 && errno == EINTR && tool_stopped())
            result = -EINTR;
        else if (ready < 0 && errno != EINTR)
            return tool_error("cannot wait for a process: %s", strerror(errno));
        for (uint32_t i = 0; ready > 0 && i < count; i++) {
            int status;
            if (!ends[i].revents || waitpid(pids[i], &status, 0) != pids[i])
                continue;
            if (status != 0 && result == 0)
                result = -1;
            pids[i] = 0;
            ends[i].fd = -1 - ends[i].fd; /* ppoll ignores it from now on */
            left--;
        }
        if (result)
            end_all(pids, count);
    }
    return result;
}

int crew_run(void *shared, const int *cpus, uint32_t count, int (*body)(void *shared, uint32_t index))
{
    struct crew *crew = shared;
    pid_t pids[CREW_MAX] = {0};
    struct pollfd ends[CREW_MAX];
    sigset_t stops, before;
    uint32_t started = 0;
    int result = 0;

    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &before);
    *crew = (struct crew){.count = count, .limit = crew->limit};
    for (; started < count && !result; started++) {
        pids[started] = start(shared, cpus[started], started, &before, body);
        ends[started] =
            (struct pollfd){.fd = pids[started] > 0 ? (int)syscall(SYS_pidfd_open, pids[started], 0) : -1, .events = POLLIN};
        if (ends[started].fd < 0)
            result = tool_error("cannot start a process: %s", strerror(errno));
    }
    if (result || tool_stopped())
        end_all(pids, started);
    if (!result)
        result = wait_for_all(pids, ends, count, crew->limit, &before);
    for (uint32_t i = 0; i < started; i++) {
        if (pids[i] > 0)
            waitpid(pids[i], NULL, 0);
        if (ends[i].fd != -1)
            close(ends[i].fd < 0 ? -1 - ends[i].fd : ends[i].fd);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return tool_stopped() ? -EINTR : result;
}

int crew_meet(struct crew *crew, uint32_t n)
{
    /* relaxed: what matters is ordered by the loads below */
    atomic_fetch_add_explicit(&crew->arrived, 1, memory_order_acq_rel); /* crew: what was prepared, before the meeting */
    while (atomic_load_explicit(&crew->arrived, memory_order_acquire) < (n + 1) * crew->count) { /* crew: see above */
        if (atomic_load_explicit(&crew->stop, memory_order_relaxed))                             /* relaxed: a lone flag */
            return -1;
        sp_pause();
    }
    return 0;
}
