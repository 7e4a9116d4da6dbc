/* tracer.c: ptrace behind tracer.h.
 *
 * The markers are SIGSTOPs that the child sends itself: under ptrace they come as stops with that signal, which nothing else
 * raises. A step is PTRACE_SINGLESTEP; a gap is crossed with PTRACE_SYSCALL, which stops at the entry and at the exit of each
 * system call. Where a step would execute a system call is read from the instruction itself, for the two architectures we know;
 * elsewhere everything is one gap, which is slow and right. */
#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
    abort();
}

void tracer_marker(void)
{
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
}

/* Wait for the next stop; returns its signal, or 0 when the child is gone. */
static int wait_stop(struct tracee *tracee)
{
    int status;

    while (waitpid(tracee->pid, &status, __WALL) < 0)
        if (errno != EINTR)
            die("waitpid");
    if (WIFSTOPPED(status))
        return WSTOPSIG(status);
    tracee->state = TRACEE_GONE;
    tracee->status = status;
    return 0;
}

static void resume(struct tracee *tracee, int request, int sig)
{
    if (ptrace((enum __ptrace_request)request, tracee->pid, NULL, (void *)(intptr_t)sig) < 0 && errno != ESRCH)
        die("ptrace");
}

bool tracer_spawn(struct tracee *tracee, void (*body)(void *context), void *context, const struct trace *trace)
{
    *tracee = (struct tracee){.trace = trace};
    fflush(NULL);
    tracee->pid = fork();
    if (tracee->pid < 0)
        die("fork");
    if (tracee->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(126);
        body(context);
        _exit(0);
    }
    int sig = wait_stop(tracee);
    if (tracee->state == TRACEE_GONE)
        return false;
    if (sig != SIGSTOP) { /* it crashed while preparing */
        tracer_kill(tracee);
        tracer_reap(tracee);
        return false;
    }
    if (ptrace(PTRACE_SETOPTIONS, tracee->pid, NULL, (void *)(intptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
        die("PTRACE_SETOPTIONS");
    return true;
}

bool tracer_step(struct tracee *tracee)
{
    if (tracee->state != TRACEE_STEPPING)
        return false;
    resume(tracee, PTRACE_SINGLESTEP, 0);
    int sig = wait_stop(tracee);
    if (tracee->state == TRACEE_GONE)
        return false;
    if (sig == SIGSTOP) {
        tracee->state = TRACEE_FINISHED;
        return false;
    }
    if (sig != SIGTRAP) { /* a crash of its own: let it die of it */
        resume(tracee, PTRACE_CONT, sig);
        wait_stop(tracee);
        return false;
    }
    tracee->at++;
    return true;
}

/* Over the next system call, at full speed. */
static bool cross(struct tracee *tracee)
{
    for (int stops = 0; stops < 2;) {
        resume(tracee, PTRACE_SYSCALL, 0);
        int sig = wait_stop(tracee);
        if (tracee->state == TRACEE_GONE)
            return false;
        if (sig == SIGSTOP) {
            tracee->state = TRACEE_FINISHED;
            return false;
        }
        stops += sig == (SIGTRAP | 0x80);
    }
    return true;
}

static uint32_t gap_of(const struct trace *trace, uint32_t step)
{
    uint32_t low = 0, high = trace->gaps;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (trace->begin[middle] <= step)
            low = middle;
        else
            high = middle;
    }
    return low;
}

#if defined(__x86_64__)
static bool set_breakpoint(const struct tracee *tracee, uint64_t address)
{
    return ptrace(PTRACE_POKEUSER, tracee->pid, (void *)offsetof(struct user, u_debugreg[0]), (void *)(uintptr_t)address) == 0 &&
           ptrace(PTRACE_POKEUSER, tracee->pid, (void *)offsetof(struct user, u_debugreg[7]),
                  (void *)(uintptr_t)(address ? 1 : 0)) == 0;
}
#else
static bool set_breakpoint(const struct tracee *tracee, uint64_t address)
{
    (void)tracee, (void)address;
    return false;
}
#endif

/* Which step, at most `to` and behind `at`, is reached for the least by a breakpoint, the rest being stepped; `at` when stepping
 * is best. */
static uint32_t hop_target(const struct trace *trace, uint32_t at, uint32_t to)
{
    const uint32_t setup = 4; /* what setting it costs, in steps */
    uint32_t best = at, cost = to - at;

    for (uint32_t step = to; step > at && to - step < cost; step--) {
        uint32_t hop = trace->times[step] + 1 + setup + (to - step);
        if (hop < cost) {
            cost = hop;
            best = step;
        }
    }
    return best;
}

/* Run at full speed to before step `to` of the same gap. */
static void hop(struct tracee *tracee, uint32_t to)
{
    const struct trace *trace = tracee->trace;

    while (tracee->at < to && trace->pc[tracee->at] == trace->pc[to])
        if (!tracer_step(tracee))
            return;
    uint32_t hits = 0;
    for (uint32_t step = tracee->at + 1; step <= to; step++)
        hits += trace->pc[step] == trace->pc[to];
    if (hits == 0 || !set_breakpoint(tracee, trace->pc[to]))
        return;
    while (hits--) {
        resume(tracee, PTRACE_CONT, 0);
        int sig = wait_stop(tracee);
        if (tracee->state == TRACEE_GONE)
            return;
        if (sig == SIGSTOP) { /* this time it went another way */
            tracee->state = TRACEE_FINISHED;
            break;
        }
    }
    (void)set_breakpoint(tracee, 0);
    if (tracee->state == TRACEE_STEPPING)
        tracee->at = to;
}

/* The address of the next instruction, and whether that is a system call. 0 on an architecture that we do not know. */
static uint64_t look(const struct tracee *tracee, bool *ret_is_call)
{
    uint64_t pc = 0;

    *ret_is_call = false;
#if defined(__x86_64__) || defined(__aarch64__)
    struct user_regs_struct registers;
    struct iovec block = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, tracee->pid, (void *)(intptr_t)NT_PRSTATUS, &block) < 0)
        return 0;
    errno = 0;
#if defined(__x86_64__)
    pc = registers.rip;
    long word = ptrace(PTRACE_PEEKTEXT, tracee->pid, (void *)(uintptr_t)pc, NULL);
    *ret_is_call = errno == 0 && (word & 0xffff) == 0x050f;
#else
    pc = registers.pc;
    long word = ptrace(PTRACE_PEEKTEXT, tracee->pid, (void *)(uintptr_t)(pc & ~(uint64_t)7), NULL);
    *ret_is_call = errno == 0 && (uint32_t)(pc & 4 ? (uint64_t)word >> 32 : (uint64_t)word) == 0xd4000001u;
#endif
#else
    (void)tracee;
#endif
    return pc;
}

void tracer_advance(struct tracee *tracee, uint32_t to)
{
    const struct trace *trace = tracee->trace;

    if (trace && to > tracee->at) {
        uint32_t from = gap_of(trace, tracee->at), gap = gap_of(trace, to);
        for (uint32_t i = from; i < gap; i++)
            if (!cross(tracee))
                return;
        if (gap > from)
            tracee->at = trace->begin[gap];
        if (to < trace->total && to < TRACE_STEPS_MAX) {
            uint32_t target = hop_target(trace, tracee->at, to);
            if (target > tracee->at)
                hop(tracee, target);
        }
    }
    while (tracee->at < to && tracer_step(tracee)) {
        /* one more */
    }
    if (trace && to < trace->total && to < TRACE_STEPS_MAX) {
        bool is_call;
        tracee->astray = tracee->state != TRACEE_STEPPING || look(tracee, &is_call) != trace->pc[to];
    }
}

/* How often each address was seen before within its gap. */
static void count_times(struct trace *trace)
{
    enum { SLOTS = 65536 };
    static struct {
        uint64_t pc;
        uint32_t gap, count;
    } seen[SLOTS];
    const uint32_t steps = trace->total < TRACE_STEPS_MAX ? trace->total : TRACE_STEPS_MAX;
    uint32_t gap = 0;

    memset(seen, 0xff, sizeof seen);
    for (uint32_t step = 0; step < steps; step++) {
        uint64_t pc = trace->pc[step];
        uint32_t at = (uint32_t)(pc * 0x9e3779b97f4a7c15u >> 48);
        while (gap + 1 < trace->gaps && trace->begin[gap + 1] <= step)
            gap++;
        for (uint32_t i = 0; i < SLOTS && seen[at].gap != UINT32_MAX && seen[at].pc != pc; i++)
            at = (at + 1) % SLOTS;
        if (seen[at].pc != pc || seen[at].gap != gap) {
            seen[at].pc = pc;
            seen[at].gap = gap;
            seen[at].count = 0;
        }
        trace->times[step] = seen[at].count++;
    }
}

void tracer_record(struct tracee *tracee, struct trace *ret, void (*seen)(void *context, uint32_t step), void *context)
{
    ret->gaps = 1;
    ret->begin[0] = 0;
    for (;;) {
        bool is_call;
        uint64_t pc = look(tracee, &is_call);
        if (tracee->at < TRACE_STEPS_MAX)
            ret->pc[tracee->at] = pc;
        if (!tracer_step(tracee))
            break;
        if (is_call && ret->gaps < TRACE_GAPS_MAX)
            ret->begin[ret->gaps++] = tracee->at;
        if (seen)
            seen(context, tracee->at);
    }
    ret->total = tracee->at;
    count_times(ret);
}

void tracer_finish(struct tracee *tracee)
{
    while (tracee->state == TRACEE_STEPPING) {
        resume(tracee, PTRACE_CONT, 0);
        int sig = wait_stop(tracee);
        if (tracee->state == TRACEE_STEPPING && sig == SIGSTOP)
            tracee->state = TRACEE_FINISHED;
    }
}

void tracer_kill(const struct tracee *tracee)
{
    if (tracee->state != TRACEE_GONE)
        kill(tracee->pid, SIGKILL);
}

void tracer_reap(struct tracee *tracee)
{
    while (tracee->state != TRACEE_GONE)
        wait_stop(tracee);
}

void tracer_suspend(struct tracee *tracee)
{
    if (ptrace(PTRACE_DETACH, tracee->pid, NULL, (void *)(intptr_t)SIGSTOP) < 0)
        die("PTRACE_DETACH");
    int status;
    if (waitpid(tracee->pid, &status, WUNTRACED) < 0)
        die("waitpid");
    if (!WIFSTOPPED(status)) {
        tracee->state = TRACEE_GONE;
        tracee->status = status;
    }
}

bool tracer_resume(struct tracee *tracee, int64_t timeout)
{
    const struct timespec pause = {.tv_nsec = 100000};
    int status;

    if (tracee->state == TRACEE_GONE)
        return false;
    kill(tracee->pid, SIGCONT);
    for (int64_t waited = 0; waited < timeout; waited += 150000) {
        pid_t pid = waitpid(tracee->pid, &status, WUNTRACED | WNOHANG);
        if (pid == tracee->pid && WIFSTOPPED(status)) {
            tracee->state = TRACEE_FINISHED;
            return true;
        }
        if (pid == tracee->pid) {
            tracee->state = TRACEE_GONE;
            tracee->status = status;
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static void nothing(void *context)
{
    (void)context;
    tracer_marker();
    tracer_marker();
}

#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

bool tracer_permitted(char *reason, size_t size)
{
    struct tracee tracee;

    if (SANITIZED) {
        snprintf(reason, size, "with a sanitizer most steps are its own: run this in the preset release");
        return false;
    }

    if (!tracer_spawn(&tracee, nothing, NULL, NULL)) {
        snprintf(reason, size, "ptrace is not permitted here (container without CAP_SYS_PTRACE, seccomp, or yama)");
        return false;
    }
    bool steps = tracer_step(&tracee);
    tracer_kill(&tracee);
    tracer_reap(&tracee);
    if (!steps)
        snprintf(reason, size, "this system does not single-step");
    return steps;
}
