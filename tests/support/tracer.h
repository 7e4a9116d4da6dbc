/* tracer.h: a child process that is walked instruction by instruction, and stopped or killed after any of them.
 *
 * Used by tests/crash. The child is forked from the test (so everything it needs is loaded and resolved already), asks to be
 * traced, prepares itself at full speed and raises a *marker*; from there to its second marker its life is a sequence of
 * *steps*, one per instruction:
 *
 *     fork | prepare, full speed | marker | step 0, 1, 2, ... | marker | _exit
 *
 * A step costs some 15 us. Attaching takes many thousands of them, so a first run records the address of each and where system
 * calls are (what lies between two is a *gap*). Later runs cross whole gaps at full speed (PTRACE_SYSCALL), then run to a nearby
 * instruction that is rarely passed (a hardware breakpoint; x86-64 only), and step the rest. Step numbers of two runs of the
 * same code agree but for spinning and clock reading, which is good enough: any place is a place to die at.
 *
 * One thread; works in the calling process, which is the tracer. Nothing here knows the library. */
#ifndef SP_TESTS_SUPPORT_TRACER_H
#define SP_TESTS_SUPPORT_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_GAPS_MAX 4096u
#define TRACE_STEPS_MAX 262144u /* steps beyond it are only counted */

/* What the first run learned. Large: keep it static. */
struct trace {
    uint32_t total;                  /* steps from marker to marker */
    uint32_t gaps;                   /* stretches between system calls, at least 1 */
    uint32_t begin[TRACE_GAPS_MAX];  /* first step of each */
    uint64_t pc[TRACE_STEPS_MAX];    /* address of the instruction that step i executes */
    uint32_t times[TRACE_STEPS_MAX]; /* how often that address was executed before, since the gap began */
};

enum tracee_state {
    TRACEE_STEPPING, /* between its markers */
    TRACEE_FINISHED, /* at its second marker */
    TRACEE_GONE,     /* it exited, or a signal killed it */
};

struct tracee {
    pid_t pid;
    enum tracee_state state;
    uint32_t at;               /* steps done */
    bool astray;               /* it went another way than the first run: `at` is a guess */
    int status;                /* as of waitpid, when it is gone */
    const struct trace *trace; /* NULL: always step */
};

/* tracer_permitted: whether this system lets us trace a child; the reason when not. */
bool tracer_permitted(char *reason, size_t size);

/* tracer_spawn: fork a child that runs `body(context)`, and wait for its first marker. False when it ended before: see status. */
bool tracer_spawn(struct tracee *tracee, void (*body)(void *context), void *context, const struct trace *trace);

/* tracer_marker: called by the child, at both ends of what is stepped. */
void tracer_marker(void);

/* tracer_step: one instruction. Returns whether it is still between its markers. */
bool tracer_step(struct tracee *tracee);

/* tracer_advance: go on until `to` steps are done in all, or it is finished. */
void tracer_advance(struct tracee *tracee, uint32_t to);

/* tracer_record: step to the second marker and learn the gaps; `seen` (or NULL) is called after each step. */
void tracer_record(struct tracee *tracee, struct trace *ret, void (*seen)(void *context, uint32_t step), void *context);

/* tracer_finish: run on to the second marker at full speed. */
void tracer_finish(struct tracee *tracee);

/* tracer_kill: SIGKILL, wherever it is. tracer_reap: take its remains (the kill does not wait). */
void tracer_kill(const struct tracee *tracee);
void tracer_reap(struct tracee *tracee);

/* tracer_suspend: leave it stopped by SIGSTOP, no longer traced. tracer_resume: SIGCONT; returns when it stands at its second
 * marker (again stopped by SIGSTOP), or false after `timeout` ns. Then only kill and reap are left. */
void tracer_suspend(struct tracee *tracee);
bool tracer_resume(struct tracee *tracee, int64_t timeout);

#endif
