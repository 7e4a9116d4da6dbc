/* scale.c: `spate-bench scale`: what more cores bring, and how far apart the cores are.
 *
 * Rows for 1, 2, 3, 4, 6, 8, ... all processors: pairs (a partition each), n producers to one consumer, one producer to n consumers. */
#include <stdio.h>

#include "commands.h"
#include "crew.h"
#include "flow.h"
#include "matrix.h"
#include "rounds.h"
#include "spsc.h"

#define VALUE_SIZE 64u
#define RING (8 << 20)

enum scale_kind { YARDSTICK, RATE, PER_CORE };

struct scale_case {
    char name[64];
    enum scale_kind kind;
    uint32_t cores;
    struct flow_spec flow;
};

struct scale {
    struct rounds rounds;
    struct scale_case cases[FIGURES_CASES_MAX];
    struct figure figures[FIGURES_CASES_MAX];
    struct flow_result last;
    uint32_t count;
};

static void add_case(struct scale *scale, enum scale_kind kind, const char *name, uint32_t cores, const struct flow_spec *flow)
{
    struct scale_case *each = &scale->cases[scale->count];

    snprintf(each->name, sizeof each->name, "%s", name);
    each->kind = kind;
    each->cores = cores;
    each->flow = *flow;
    scale->figures[scale->count++] = (struct figure){
        .name = each->name, .unit = "records/s", .follows = kind == PER_CORE, .limit = kind == RATE ? "L 64 B" : NULL};
}

static void add_flow(struct scale *scale, uint32_t cores, uint32_t producers, uint32_t consumers, bool pairs)
{
    const struct flow_spec flow = {.producers = producers,
                                   .consumers = consumers,
                                   .pairs = pairs,
                                   .mode = producers > 1 && !pairs ? SPATE_MODE_CONCURRENT : SPATE_MODE_EXCLUSIVE,
                                   .value_size = VALUE_SIZE,
                                   .batch = 1,
                                   .alignment = 16,
                                   .wait = cores < producers + consumers ? SPATE_WAIT_YIELD : SPATE_WAIT_SPIN,
                                   .ring = RING,
                                   .records = 60000};
    char name[64], what[32];

    if (scale->count + 2 > FIGURES_CASES_MAX)
        return;
    if (pairs)
        snprintf(what, sizeof what, "%u %s", producers, producers > 1 ? "pairs" : "pair");
    else
        snprintf(what, sizeof what, "%u -> %u", producers, consumers);
    snprintf(name, sizeof name, "%u %s, %s", cores, cores > 1 ? "cores" : "core", what);
    add_case(scale, RATE, name, cores, &flow);
    add_case(scale, PER_CORE, "  per core", cores, &flow);
}

/* 1, 2, 3, 4, 6, 8, 12, ... and all. */
static uint32_t next_step(uint32_t cores, uint32_t all)
{
    uint32_t next = cores < 4 ? cores + 1 : (cores & (cores - 1)) == 0 ? cores / 2 * 3 : cores / 3 * 4;
    return cores < all && next > all ? all : next;
}

static void add_cases(struct scale *scale)
{
    const struct flow_spec one = {.value_size = VALUE_SIZE};
    uint32_t all = (uint32_t)scale->rounds.place.count;

    all = all > CREW_MAX ? CREW_MAX : all;
    add_case(scale, YARDSTICK, "L 64 B", 2, &one);
    for (uint32_t cores = 1; cores <= all; cores = next_step(cores, all)) {
        add_flow(scale, cores, cores < 2 ? 1 : cores / 2, cores < 2 ? 1 : cores / 2, true);
        if (cores < 3)
            continue; /* that would be the same */
        add_flow(scale, cores, cores - 1, 1, false);
        add_flow(scale, cores, 1, cores - 1, false);
    }
}

/* Producers first, as flow_measure wants them; each pair on neighbours. */
static void spread(const struct scale *scale, const struct scale_case *each, int *ret)
{
    const struct flow_spec *flow = &each->flow;

    for (uint32_t i = 0; i < flow->producers + flow->consumers; i++) {
        uint32_t at = i;
        if (flow->pairs)
            at = i < flow->producers ? 2 * i : 2 * (i - flow->producers) + 1;
        ret[i] = scale->rounds.cpus[at % each->cores];
    }
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct scale *scale = context;
    struct scale_case *each = &scale->cases[index];
    int cpus[CREW_MAX];

    if (each->kind == YARDSTICK)
        return spsc_measure_best(scale->rounds.cpus, VALUE_SIZE, &ret->value);
    if (each->kind == PER_CORE) {
        ret->value = scale->last.rate / each->cores;
        return 0;
    }
    spread(scale, each, cpus);
    const int error = flow_measure(cpus, &each->flow, &scale->last);
    if (error)
        return error;
    each->flow.records = (uint64_t)(scale->last.rate * scale->rounds.slice / each->flow.producers) + 64;
    ret->value = scale->last.rate;
    return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct scale scale;
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&scale.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&scale.rounds);
    if (status == STATUS_GO_ON && !scale.rounds.only)
        status = matrix_measure(&scale.rounds);
    if (status != STATUS_GO_ON)
        return status;
    add_cases(&scale);
    return rounds_run(&scale.rounds, "scale", scale.figures, scale.count, measure, &scale, 20);
}

const struct command command_scale = {
    .path = "spate-bench scale",
    .arguments = "",
    .summary = "from one core to all of them; how far apart they are",
    .details =
        "Values of 64 bytes. Pairs: a producer and a consumer each with a partition of their own. n -> 1: one partition of a\n"
        "concurrent topic; 1 -> n: every consumer reads everything. ratio is to one hand-written ring. Before that the round\n"
        "trip of a cache line between every two processors (the first 64), named as hwloc sees them; --pin takes fewer,\n"
        "--only leaves it out.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
