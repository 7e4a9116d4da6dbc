/* counter.c: one perf event, or a child that is traced.
 *
 * Called by flow.c and its processes. */
#include "counter.h"

#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int counter_start(void)
{
    struct perf_event_attr event = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof event,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

uint64_t counter_stop(int counter)
{
    uint64_t count = 0;

    if (counter < 0)
        return 0;
    if (read(counter, &count, sizeof count) != (ssize_t)sizeof count)
        count = 0;
    close(counter);
    return count;
}

void counter_mark(void)
{
    (void)raise(SIGSTOP);
}

/* Lets the child go on; false once it has ended. */
static bool resume(pid_t child, enum __ptrace_request how, int *ret_status)
{
    return ptrace(how, child, NULL, NULL) == 0 && waitpid(child, ret_status, 0) == child && WIFSTOPPED(*ret_status);
}

/* From one mark to the next; 0 when something else stops the child, or ends it. */
static uint64_t step_to_mark(pid_t child, int *status)
{
    uint64_t steps = 0;

    while (resume(child, PTRACE_SINGLESTEP, status)) {
        if (WSTOPSIG(*status) == SIGSTOP)
            return steps;
        if (WSTOPSIG(*status) != SIGTRAP)
            return 0;
        steps++;
    }
    return 0;
}

uint64_t counter_step(int (*body)(void *context), void *context)
{
    const pid_t parent = getpid();
    uint64_t steps = 0;
    int status = 0;

    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        _exit(body(context));
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
        steps = step_to_mark(child, &status);
    if (steps)
        (void)resume(child, PTRACE_CONT, &status); /* to its end */
    if (WIFSTOPPED(status)) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? steps : 0;
}
