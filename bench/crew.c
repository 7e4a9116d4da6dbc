/* crew.c: starting, meeting and ending the processes of one measurement.
 *
 * Called by every measurement. Owns nothing between calls. */
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arch.h"
#include "cli/tool.h"
#include "place.h"

void *crew_allocate(size_t size)
{
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return NULL;
    (void)madvise(shared, size, MADV_HUGEPAGE);
    memset(shared, 0, size); /* no page faults later */
    return shared;
}

void crew_free(void *shared, size_t size)
{
    munmap(shared, size);
}

static pid_t start(void *shared, int cpu, uint32_t index, int (*body)(void *shared, uint32_t index))
{
    const pid_t parent = getpid();
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
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

int crew_run(void *shared, const int *cpus, uint32_t count, int (*body)(void *shared, uint32_t index))
{
    struct crew *crew = shared;
    pid_t pids[CREW_MAX] = {0};
    int result = 0;

    *crew = (struct crew){.count = count};
    for (uint32_t i = 0; i < count; i++) {
        pids[i] = start(shared, cpus[i], i, body);
        if (pids[i] < 0) {
            result = tool_error("cannot start a process: %s", strerror(errno));
            break;
        }
    }
    if (result)
        end_all(pids, count);
    for (uint32_t left = 0; left < count;) {
        int status = 0;
        if (pids[left] <= 0 || waitpid(pids[left], &status, 0) == pids[left]) {
            pids[left++] = 0;
            if (status != 0 && result == 0)
                result = -1;
        } else if (errno == EINTR && tool_stopped()) {
            result = -EINTR;
        } else if (errno != EINTR) {
            result = tool_error("a process is lost: %s", strerror(errno));
            left++;
        }
        if (result)
            end_all(pids, count);
    }
    return result;
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
