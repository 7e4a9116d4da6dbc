/* targets.c: `spate-bench targets`: what Spate wants to reach, row by row, each beside what it is held against.
 *
 * The rows are the contract of the ring: whoever changes it runs this before and after. Every row measures its own limit, just before
 * itself. */
#include <stdio.h>
#include <string.h>

#include "bounce.h"
#include "commands.h"
#include "flow.h"
#include "footprint.h"
#include "paced.h"
#include "rounds.h"
#include "spsc.h"
#include "wakeup.h"

#define KIB ((uint64_t)1 << 10)
#define RING (8 << 20)
#define IDLE_TOPIC_MAX 98304.0 /* bytes of shared memory */
#define WAKEUPS_PER_SECOND 100.0

enum target_kind { ROUND_TRIP, ROUND_TRIP_TAIL, RATE, RATE_OF_SAME_RING, RATE_FAR, WAKE_UP, BLOCK, MEMORY };

struct target {
    const char *name;
    enum target_kind kind;
    double target;
    struct bounce_spec bounce;
    struct flow_spec flow; /* what is 0 is filled in by complete */
};

#define EXCLUSIVE .mode = SPATE_MODE_EXCLUSIVE
#define CONCURRENT .mode = SPATE_MODE_CONCURRENT

static const struct target targets[] = {
    {"round trip, 24 B, exclusive, p50", ROUND_TRIP, 1.15, .bounce = {EXCLUSIVE, 24, SPATE_WAIT_SPIN, 0}},
    {"round trip, 24 B, exclusive, p99.9", ROUND_TRIP_TAIL, 1.5, .flow = {0}},
    {"round trip, 64 B, exclusive, p50", ROUND_TRIP, 1.30, .bounce = {EXCLUSIVE, 64, SPATE_WAIT_SPIN, 0}},
    {"round trip, 64 B, concurrent, p50", ROUND_TRIP, 1.45, .bounce = {CONCURRENT, 64, SPATE_WAIT_SPIN, 0}},
    {"1 -> 1, 64 B, exclusive", RATE, 0.60, .flow = {EXCLUSIVE, .value_size = 64}},
    {"1 -> 1, 64 B, exclusive, batches of 32", RATE, 0.75, .flow = {EXCLUSIVE, .value_size = 64, .batch = 32}},
    {"1 -> 1, 64 B, concurrent", RATE, 0.50, .flow = {CONCURRENT, .value_size = 64}},
    {"1 -> 1, 64 B, concurrent, batches of 32", RATE, 0.60, .flow = {CONCURRENT, .value_size = 64, .batch = 32}},
    {"1 -> 1, 64 B, concurrent, with a rival", RATE, 0.10, .flow = {CONCURRENT, .value_size = 64, .rival = 1000}},
    {"1 -> 1, 64 B, exclusive, ring of 256 KiB", RATE_OF_SAME_RING, 1.0, .flow = {EXCLUSIVE, .value_size = 64, .ring = 256 * KIB}},
    {"1 -> 1, 1 KiB, exclusive", RATE, 0.90, .flow = {EXCLUSIVE, .value_size = 1024}},
    {"1 -> 1, 1 KiB, concurrent", RATE, 0.80, .flow = {CONCURRENT, .value_size = 1024}},
    {"1 -> 1, 16 KiB, exclusive", RATE, 0.95, .flow = {EXCLUSIVE, .value_size = 16384}},
    {"1 -> 1, 16 KiB, concurrent", RATE, 0.90, .flow = {CONCURRENT, .value_size = 16384}},
    {"2 -> 1 on two, 64 B", RATE, 0.40, .flow = {CONCURRENT, .producers = 2, .value_size = 64, .wait = SPATE_WAIT_YIELD}},
    {"2 -> 1 on two, 64 B, batches of 32", RATE, 0.45,
     .flow = {CONCURRENT, .producers = 2, .value_size = 64, .batch = 32, .wait = SPATE_WAIT_YIELD}},
    {"1 -> 3 on two, 64 B, published", RATE, 0.13, .flow = {EXCLUSIVE, .consumers = 3, .value_size = 64, .wait = SPATE_WAIT_YIELD}},
    {"1 -> 1 far, 16 KiB, exclusive", RATE_FAR, 3.0, .flow = {EXCLUSIVE, .value_size = 16384}},
    {"asleep, block, woken, p50", WAKE_UP, 1.15, .flow = {0}},
    {"publishing, consumer may block", BLOCK, 1.03, .flow = {EXCLUSIVE, .value_size = 64}},
    {"memory of an idle topic, ring of 64 KiB", MEMORY, 1.0, .flow = {0}},
};
enum { TARGETS = sizeof targets / sizeof targets[0] };

static const struct {
    const char *unit, *limit;
    bool at_most;
} kinds[] = {
    [ROUND_TRIP] = {"ns", "R", true},
    [ROUND_TRIP_TAIL] = {"ns", "R p99.9", true},
    [RATE] = {"records/s", "L", false},
    [RATE_OF_SAME_RING] = {"records/s", "L at 256 KiB", false},
    [RATE_FAR] = {"records/s", "L, plain stores", false},
    [WAKE_UP] = {"ns", "futex", true},
    [BLOCK] = {"ns/record", "spinning", true},
    [MEMORY] = {"bytes", "96 KiB", true},
};

struct all {
    struct rounds rounds;
    struct figure figures[TARGETS];
    uint64_t records[TARGETS]; /* that take about a slice, learnt from the round before */
    struct quantiles bounced;
    double tail_of_line;
};

static struct flow_spec complete(const struct target *target, uint64_t records)
{
    struct flow_spec flow = target->flow;

    flow.producers = flow.producers ? flow.producers : 1;
    flow.consumers = flow.consumers ? flow.consumers : 1;
    flow.batch = flow.batch ? flow.batch : 1;
    flow.wait = flow.wait ? flow.wait : SPATE_WAIT_SPIN;
    flow.ring = flow.ring ? flow.ring : RING;
    flow.alignment = 16;                                         /* dense: what a topic for throughput is created with */
    flow.api = flow.value_size > 64 ? FLOW_CLAIM : FLOW_PUBLISH; /* large values are written in place, as in the yardstick */
    flow.records = records ? records : 64000000 / flow.value_size;
    return flow;
}

static int measure_flow(struct all *all, uint32_t index, const struct flow_spec *flow, double *ret)
{
    struct flow_result result;
    int cpus[8];

    place_spread(all->rounds.cpus, flow->producers, flow->consumers, cpus);
    int error = flow_measure(cpus, flow, &result);
    if (error)
        return error;
    all->records[index] = (uint64_t)(result.rate * all->rounds.slice / 2 / flow->producers) + 64;
    *ret = result.rate;
    return 0;
}

static int measure_rate(struct all *all, uint32_t index, struct measured *ret)
{
    const struct target *target = &targets[index];
    const struct flow_spec flow = complete(target, all->records[index]);
    const bool is_far = figures_classify(all->rounds.line.p50) == FIGURES_FAR;
    int error;

    if (target->kind == RATE_FAR && !is_far)
        return 0;
    if (target->kind == RATE_OF_SAME_RING) {
        const struct spsc_spec spec = {
            .value_size = flow.value_size, .capacity = flow.ring, .records = 400000000 / flow.value_size};
        error = spsc_measure(all->rounds.cpus, &spec, &ret->limit);
    } else {
        error = spsc_measure_best(all->rounds.cpus, flow.value_size, &ret->limit);
    }
    return error ? error : measure_flow(all, index, &flow, &ret->value);
}

static int measure_round_trip(struct all *all, uint32_t index, struct measured *ret)
{
    struct bounce_spec spec = targets[index].bounce;
    const double trips = all->rounds.slice * 1e9 / all->rounds.line.p50 / 2;

    spec.trips = trips > 1000 ? (uint32_t)trips : 1000;
    int error = bounce_measure(all->rounds.cpus, &spec, &all->bounced);
    all->tail_of_line = all->rounds.line.p999;
    *ret = (struct measured){all->bounced.p50, all->rounds.line.p50};
    return error;
}

static int measure_wake_up(struct all *all, struct measured *ret)
{
    static struct histogram bare, woken;
    const double slice = all->rounds.slice < 0.4 ? 0.4 : all->rounds.slice;
    const struct paced_spec spec = {.value_size = 64,
                                    .wait = SPATE_WAIT_BLOCK,
                                    .rate = WAKEUPS_PER_SECOND,
                                    .records = (uint32_t)(slice / 2 * WAKEUPS_PER_SECOND)};

    bare = woken = (struct histogram){0};
    int error = wakeup_measure(all->rounds.cpus, spec.rate, spec.records, &bare);
    if (!error)
        error = paced_measure(all->rounds.cpus, &spec, &woken);
    *ret = (struct measured){(double)histogram_at(&woken, 0.5) / 10, (double)histogram_at(&bare, 0.5) / 10};
    return error;
}

/* The same flow, with consumers that would sleep if they had nothing to do, and with consumers that would not. */
static int measure_block(struct all *all, uint32_t index, struct measured *ret)
{
    struct flow_spec flow = complete(&targets[index], all->records[index]);
    double spinning = 0, blocking = 0;

    int error = measure_flow(all, index, &flow, &spinning);
    flow.wait = SPATE_WAIT_BLOCK;
    if (!error)
        error = measure_flow(all, index, &flow, &blocking);
    if (!error)
        *ret = (struct measured){1e9 / blocking, 1e9 / spinning};
    return error;
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct all *all = context;

    switch (targets[index].kind) {
    case ROUND_TRIP: return measure_round_trip(all, index, ret);
    case ROUND_TRIP_TAIL: *ret = (struct measured){all->bounced.p999, all->tail_of_line}; return 0;
    case RATE:
    case RATE_OF_SAME_RING:
    case RATE_FAR: return measure_rate(all, index, ret);
    case WAKE_UP: return measure_wake_up(all, ret);
    case BLOCK: return measure_block(all, index, ret);
    case MEMORY: ret->limit = IDLE_TOPIC_MAX; return footprint_measure(64 * KIB, &ret->value);
    }
    return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct all all;
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&all.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&all.rounds);
    if (status != STATUS_GO_ON)
        return status;
    for (int i = 0; i < TARGETS; i++)
        all.figures[i] = (struct figure){.name = targets[i].name,
                                         .unit = kinds[targets[i].kind].unit,
                                         .limit = kinds[targets[i].kind].limit,
                                         .follows = targets[i].kind == ROUND_TRIP_TAIL,
                                         .target = targets[i].target,
                                         .at_most = kinds[targets[i].kind].at_most};
    return rounds_run(&all.rounds, "targets", all.figures, TARGETS, measure, &all, 60);
}

const struct command command_targets = {
    .path = "spate-bench targets",
    .arguments = "",
    .summary = "what Spate wants to reach beside the limits, and whether it does",
    .details =
        "Each row is measured beside its own limit: R, the round trip of one cache line; L, the fastest of three hand-written\n"
        "rings for that value size; a bare futex wake. ratio is the median of the rounds' ratios. The targets are for two\n"
        "physical cores of one L3 (class near); the other classes are printed for comparison.\n"
        "\n"
        "Exit status: 0 measured, also where a target was missed; 1 it could not be done; 2 usage.\n",
    .run = run,
};
