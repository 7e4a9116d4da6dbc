/* report.c: `spate-bench report`: all measurements, one after the other, as one page; also as JSON lines and CSV.
 *
 * Each command runs as a process of its own, as if it had been typed with --json. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "commands.h"
#include "place.h"
#include "report/machine.h"
#include "report/page.h"
#include "report/results.h"
#include "rounds.h"

#define PATH_SIZE 512

struct report {
    const char *folder, *from, *pin;
    uint64_t rounds;
    int64_t time; /* ns, about, for all of it; 0: what each takes by default */
};

/* What is run, and how much of the time it gets. */
static const struct {
    const char *name, *option;
    double share;
} steps[] = {{"limit", NULL, 0.06},     {"targets", NULL, 0.2}, {"peers", NULL, 0.34}, {"latency", NULL, 0.18},
             {"throughput", NULL, 0.1}, {"scale", NULL, 0.06},  {"memory", NULL, 0.06}};
enum { STEPS = sizeof steps / sizeof steps[0] };
#define SECONDS 360.0

/* ------------------------------------------------------------------------------------------------------------- measure */

/* A child that runs one command; its standard output comes through *ret. Returns its id, or -1 after a message. */
static pid_t start(const struct report *report, size_t step, FILE **ret)
{
    char rounds[32], seconds[32];
    const char *arguments[16] = {"spate-bench", steps[step].name, "--json", "--rounds", rounds, "--seconds", seconds};
    size_t count = 7;
    int ends[2];

    snprintf(rounds, sizeof rounds, "%llu", (unsigned long long)report->rounds);
    snprintf(seconds, sizeof seconds, "%.1f", (report->time ? (double)report->time / 1e9 : SECONDS) * steps[step].share);
    if (report->pin) {
        arguments[count++] = "--pin";
        arguments[count++] = report->pin;
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return tool_error("cannot make a pipe: %s", strerror(errno)), -1;
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent && dup2(ends[1], STDOUT_FILENO) >= 0)
            execv("/proc/self/exe", (char *const *)arguments);
        _exit(127);
    }
    close(ends[1]);
    *ret = pid > 0 ? fdopen(ends[0], "re") : NULL;
    if (!*ret) {
        tool_error("cannot start a process: %s", strerror(errno));
        close(ends[0]);
        if (pid > 0)
            kill(pid, SIGTERM);
        if (pid > 0)
            waitpid(pid, NULL, 0);
        return -1;
    }
    return pid;
}

static int take_lines(struct results *results, const char *name, FILE *lines)
{
    char *line = NULL;
    size_t size = 0;
    const char *reason = NULL;

    while (!reason && getline(&line, &size, lines) >= 0)
        reason = results_add(results, line);
    free(line);
    return reason ? tool_error("%s printed something unexpected: %s", name, reason) : STATUS_GO_ON;
}

/* Ctrl-C reaches the child as well, which says so and ends. */
static int measure_step(const struct report *report, size_t step, struct results *results)
{
    FILE *lines;
    int state = 0;

    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s (%zu of %d)\n", steps[step].name, step + 1, STEPS);
    const pid_t pid = start(report, step, &lines);
    if (pid < 0)
        return STATUS_FAILURE;
    int status = take_lines(results, steps[step].name, lines);
    fclose(lines);
    if (status != STATUS_GO_ON || tool_stopped())
        kill(pid, SIGTERM);
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
        kill(pid, SIGTERM);
    if (tool_stopped())
        return tool_error("stopped");
    if (status == STATUS_GO_ON && state != 0)
        status = STATUS_FAILURE; /* it has said why */
    return status;
}

static int measure_all(const struct report *report, struct results *results)
{
    struct place place;

    if (place_load(&place) != 0)
        return STATUS_FAILURE;
    results->machine = machine_describe(&place);
    for (size_t step = 0; step < STEPS; step++) {
        const int status = measure_step(report, step, results);
        if (status != STATUS_GO_ON)
            return status;
    }
    return STATUS_GO_ON;
}

/* --------------------------------------------------------------------------------------------------------------- write */

/* Written beside, then renamed: whoever looks sees the old one or the whole new one. */
static int write_file(const struct report *report, const char *name, const struct results *results,
                      bool (*write)(const struct results *results, FILE *file))
{
    char path[PATH_SIZE], beside[PATH_SIZE];

    if (snprintf(path, sizeof path, "%s/%s", report->folder, name) >= PATH_SIZE ||
        snprintf(beside, sizeof beside, "%s/~%s", report->folder, name) >= PATH_SIZE)
        return tool_error("the folder's name is too long");
    FILE *file = fopen(beside, "we");
    bool good = file && write(results, file);
    if (file && fclose(file) != 0)
        good = false;
    if (!good || rename(beside, path) < 0) {
        const int status = tool_error("cannot write %s: %s", path, strerror(errno));
        (void)unlink(beside);
        return status;
    }
    output_print("%s\n", path);
    return STATUS_GO_ON;
}

static bool write_page(const struct results *results, FILE *file)
{
    return page_write(file, results);
}

static int write_all(const struct report *report, const struct results *results)
{
    int status = write_file(report, "results.jsonl", results, results_write_lines);
    if (status == STATUS_GO_ON)
        status = write_file(report, "results.csv", results, results_write_csv);
    if (status == STATUS_GO_ON)
        status = write_file(report, "report.html", results, write_page);
    return status == STATUS_GO_ON ? STATUS_OK : status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct report report = {.folder = "spate-report", .rounds = 5};
    struct results results;
    const struct option_spec specs[] = {
        {'o', "out", "FOLDER", "where the files go, made if need be; default spate-report", set_text, &report.folder},
        {0, "from", "FILE", "do not measure: take the lines of a results.jsonl", set_text, &report.from},
        {0, "pin", "CPUS", "which processors, in order: 0,1 or 2-5 (default: nearest together first)", rounds_set_pin, &report.pin},
        {0, "rounds", "N", "interleaved rounds of each measurement, 1 to 101; default 5", rounds_set_count, &report.rounds},
        {0, "seconds", "TIME", "about how long all of it should take; default 6m", set_duration, &report.time},
        {0},
    };

    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (mkdir(report.folder, 0777) < 0 && errno != EEXIST)
        return tool_error("cannot make %s: %s", report.folder, strerror(errno));
    tool_catch_signals();
    results_init(&results);
    status = report.from ? results_read(&results, report.from) : measure_all(&report, &results);
    if (status == STATUS_GO_ON)
        status = write_all(&report, &results);
    results_free(&results);
    return status;
}

const struct command command_report = {
    .path = "spate-bench report",
    .arguments = "",
    .summary = "all of it, as one page with plots",
    .details = "Writes FOLDER/report.html, which needs nothing else and may be sent to others, and the same figures as\n"
               "results.jsonl and results.csv. Runs limit, targets, peers, latency, throughput, scale and memory.\n"
               "\n"
               "Exit status: 0 written; 1 it could not be done; 2 usage.\n",
    .run = run,
};
