/* limit.c: `spate-bench limit`: what the hardware gives between two processors, before any event bus.
 *
 * A cache line's round trip (R), the hand-written ring (L) by value and ring size, copying in each cache, contended atomics. All other
 * commands hold their figures against these, measured in the same rounds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "commands.h"
#include "copy.h"
#include "figures.h"
#include "line.h"
#include "place.h"
#include "spsc.h"
#include "ticks.h"

#define LINE_ROUNDS 20000u

struct limit_case {
    const char *name, *unit;
    enum { LINE_MIN, LINE_P50, LINE_P99, LINE_P999, SPSC, COPY, FETCH_ADD } kind;
    struct spsc_spec spsc; /* records: per second of measuring, roughly */
    size_t copied;         /* both blocks together */
};

static const struct limit_case cases[] = {
    {.name = "line round trip, min", .unit = "ns", .kind = LINE_MIN},
    {.name = "line round trip, p50", .unit = "ns", .kind = LINE_P50},
    {.name = "line round trip, p99", .unit = "ns", .kind = LINE_P99},
    {.name = "line round trip, p99.9", .unit = "ns", .kind = LINE_P999},
    {.name = "ring 64 B, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 256 << 10, 20000000}},
    {.name = "ring 64 B, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 1 << 20, 20000000}},
    {.name = "ring 64 B, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 8 << 20, 20000000}},
    {.name = "ring 1 KiB, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 256 << 10, 2000000}},
    {.name = "ring 1 KiB, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 1 << 20, 2000000}},
    {.name = "ring 1 KiB, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 8 << 20, 2000000}},
    {.name = "ring 16 KiB, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 256 << 10, 100000}},
    {.name = "ring 16 KiB, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 1 << 20, 100000}},
    {.name = "ring 16 KiB, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 8 << 20, 100000}},
    {.name = "copy in L2", .unit = "bytes/s", .kind = COPY, .copied = 512 << 10},
    {.name = "copy in L3", .unit = "bytes/s", .kind = COPY, .copied = 16 << 20},
    {.name = "copy in DRAM", .unit = "bytes/s", .kind = COPY, .copied = (size_t)1 << 30},
    {.name = "contended fetch-add", .unit = "operations/s", .kind = FETCH_ADD},
};
enum { CASES = sizeof cases / sizeof cases[0] };

struct limit {
    const char *pin;
    uint64_t rounds;
    double scale; /* of the records of a measurement */
    bool json;
    int cpus[2];
};

static int measure(const struct limit *limit, const struct limit_case *each, const struct line_result *line, double *ret)
{
    struct spsc_spec spsc = each->spsc;

    switch (each->kind) {
    case LINE_MIN: *ret = line->min; return 0;
    case LINE_P50: *ret = line->p50; return 0;
    case LINE_P99: *ret = line->p99; return 0;
    case LINE_P999: *ret = line->p999; return 0;
    case SPSC: spsc.records = (uint64_t)((double)spsc.records * limit->scale); return spsc_measure(limit->cpus, &spsc, ret);
    case COPY: return copy_measure(limit->cpus[0], each->copied, ret);
    case FETCH_ADD: return fetch_add_measure(limit->cpus, 2, ret);
    }
    return 0;
}

/* One round: everything once, between two looks at the line. Returns 0, 1 when the processors moved meanwhile, or an error. */
static int measure_round(const struct limit *limit, struct figure *figures)
{
    struct line_result before, after;
    double values[CASES];

    int error = line_measure(limit->cpus, LINE_ROUNDS, &before);
    for (int i = 0; i < CASES && !error; i++)
        error = measure(limit, &cases[i], &before, &values[i]);
    if (!error)
        error = line_measure(limit->cpus, LINE_ROUNDS, &after);
    if (error)
        return error;
    enum figures_class class = figures_classify(before.p50);
    if (class != figures_classify(after.p50))
        return 1;
    for (int i = 0; i < CASES; i++)
        figures_add(&figures[i], class, values[i]);
    return 0;
}

static void progress(const struct limit *limit, uint64_t round, uint64_t dropped)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[Kround %llu of %llu%s", (unsigned long long)round + 1, (unsigned long long)limit->rounds,
                dropped ? " (some were dropped: the processors moved)" : "");
}

static int measure_all(const struct limit *limit, struct figure *figures)
{
    uint64_t dropped = 0;

    for (uint64_t round = 0; round < limit->rounds; round++) {
        progress(limit, round, dropped);
        int error = measure_round(limit, figures);
        if (error < 0)
            return error == -EINTR ? tool_error("stopped after %llu rounds", (unsigned long long)round) : STATUS_FAILURE;
        dropped += error == 1;
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    if (!limit->json)
        output_print("%llu rounds, %llu dropped because the processors moved\n", (unsigned long long)limit->rounds,
                     (unsigned long long)dropped);
    return STATUS_GO_ON;
}

static const char *set_pin(void *target, char *text)
{
    if (!place_check_list(text))
        return "a list of processors that this process may use is expected: 0,1 or 2-5";
    *(const char **)target = text;
    return NULL;
}

static const char *set_rounds(void *target, char *text)
{
    const char *reason = set_count(target, text);
    return reason || *(uint64_t *)target <= FIGURES_ROUNDS_MAX ? reason : "at most 101";
}

static int run(const struct command *command, int argc, char **argv)
{
    struct limit limit = {.rounds = 5};
    int64_t time = 0;
    const struct option_spec specs[] = {
        {0, "pin", "CPUS", "the two processors: 0,1 (default: two cores of one L3, if there are)", set_pin, &limit.pin},
        {0, "rounds", "N", "interleaved rounds, 1 to 101; default 5", set_rounds, &limit.rounds},
        {0, "seconds", "TIME", "about how long all of it should take; default 30s", set_duration, &time},
        {'J', "json", NULL, "an object per line: bench, case, unit, median, min, max, class, rounds", set_switch, &limit.json},
        {0},
    };
    static struct figure figures[CASES];
    static struct place place;

    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    const double round_s = (double)(time > 0 ? time : 30 * NS_PER_S) / 1e9 / (double)limit.rounds;
    limit.scale = round_s / 6; /* at scale 1 a round takes about 6 s */
    if (place_load(&place) != 0)
        return STATUS_FAILURE;
    if (ticks_start() != 0)
        return tool_error("the processor's time stamp counter does not run evenly here: nothing could be trusted");
    place_choose(&place, limit.pin, limit.cpus, 2);
    for (int i = 0; i < CASES; i++)
        figures[i] = (struct figure){.name = cases[i].name, .unit = cases[i].unit};
    tool_catch_signals();
    if (!limit.json)
        output_print("%s, processors %d and %d: %s\n", place.model, limit.cpus[0], limit.cpus[1],
                     place_relation_name(place_relate(limit.cpus[0], limit.cpus[1])));
    status = measure_all(&limit, figures);
    if (status == STATUS_GO_ON)
        figures_print("limit", figures, CASES, limit.json);
    return status == STATUS_GO_ON ? STATUS_OK : status;
}

const struct command command_limit = {
    .path = "spate-bench limit",
    .arguments = "",
    .summary = "what the hardware gives between two processors",
    .details =
        "The line's round trip is R, the fastest ring of a value size is L: no message can be passed faster. Every value is\n"
        "written whole and read whole. Rounds in which the processors moved (virtual machines) are dropped, and figures\n"
        "are kept apart by how far apart the two are: sibling (threads of one core), near, far.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
