/* throughput.c: `spate-bench throughput`: records per second by mode, size, way of publishing, and number of producers and consumers.
 *
 * Each case beside L, the hand-written ring for one producer, one consumer and this value size, at the ring size that suits it best,
 * measured in the same round. */
#include <stdio.h>

#include "cli/parse.h"
#include "commands.h"
#include "crew.h"
#include "flow.h"
#include "rounds.h"
#include "spsc.h"

#define NOT_GIVEN UINT32_MAX /* --wait */

enum throughput_kind { YARDSTICK, RATE, PER_PROCESSOR, CPU, INSTRUCTIONS };

struct throughput_case {
    char name[64];
    enum throughput_kind kind; /* the last three tell more about the RATE before them */
    struct flow_spec flow;
    double counted; /* INSTRUCTIONS, by single steps: the same each time */
};

struct throughput {
    struct rounds rounds;
    uint64_t ring;
    uint32_t wait, alignment;
    bool detail;
    struct throughput_case cases[FIGURES_CASES_MAX];
    struct figure figures[FIGURES_CASES_MAX];
    struct flow_result last; /* of the case measured just before: its details are cases of their own */
    uint32_t count;
};

static const uint32_t sizes[] = {16, 64, 1024, 16384, 65536};

static const char *size_name(uint32_t size)
{
    static char text[16];
    snprintf(text, sizeof text, size < 1024 ? "%u B" : "%u KiB", size < 1024 ? size : size / 1024);
    return text;
}

static const char *limit_name(uint32_t size)
{
    return size == 64 ? "L 64 B" : size == 1024 ? "L 1 KiB" : size == 16384 ? "L 16 KiB" : NULL;
}

static void add_case(struct throughput *t, const char *name, enum throughput_kind kind, const char *unit,
                     const struct flow_spec *flow)
{
    struct throughput_case *each = &t->cases[t->count];

    snprintf(each->name, sizeof each->name, "%s", name);
    each->kind = kind;
    each->flow = *flow;
    t->figures[t->count++] = (struct figure){
        .name = each->name, .unit = unit, .follows = kind > RATE, .limit = kind == RATE ? limit_name(flow->value_size) : NULL};
}

static void add_flow(struct throughput *t, const struct flow_spec *flow, const char *more)
{
    char name[64], who[24], how[24] = "publish";

    if (flow->api == FLOW_CLAIM)
        snprintf(how, sizeof how, "zero-copy");
    else if (flow->batch > 1)
        snprintf(how, sizeof how, "batches of %u", flow->batch);
    if (flow->pairs)
        snprintf(who, sizeof who, "%u pairs", flow->producers);
    else
        snprintf(who, sizeof who, "%u -> %u", flow->producers, flow->consumers);
    snprintf(name, sizeof name, "%s, %s, %s, %s%s", who, size_name(flow->value_size),
             flow->mode == SPATE_MODE_EXCLUSIVE ? "exclusive" : "concurrent", how, more);
    add_case(t, name, RATE, "records/s", flow);
    if (!t->detail)
        return;
    add_case(t, "  per processor", PER_PROCESSOR, "records/s", flow);
    add_case(t, "  processor time", CPU, "s/Mrecord", flow);
    add_case(t, "  instructions", INSTRUCTIONS, "per record", flow);
}

/* 32, or what a quarter of the ring takes at once. */
static uint32_t largest_batch(const struct throughput *t, uint32_t value_size)
{
    uint32_t batch = 32;
    while (batch > 1 && (uint64_t)batch * (value_size + 256) > t->ring / 4)
        batch /= 2;
    return batch;
}

/* Several of a kind. Where they are more than processors, spinning would be waiting for a turn. */
static void add_shapes(struct throughput *t)
{
    static const struct {
        uint32_t producers, consumers, batch;
    } shapes[] = {{2, 1, 1}, {2, 1, 32}, {1, 3, 32}, {2, 2, 32}};

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const uint32_t processes = shapes[i].producers + shapes[i].consumers;
        const bool fit = processes <= (uint32_t)t->rounds.place.count;
        const struct flow_spec flow = {.producers = shapes[i].producers,
                                       .consumers = shapes[i].consumers,
                                       .value_size = 64,
                                       .batch = shapes[i].batch,
                                       .wait = t->wait == NOT_GIVEN ? (fit ? SPATE_WAIT_SPIN : SPATE_WAIT_YIELD) : t->wait,
                                       .alignment = t->alignment,
                                       .ring = t->ring,
                                       .records = 60000};
        add_flow(t, &flow, "");
    }
}

/* Two processes a processor, each waiting in its way: pairs, so that the machine has as much to do as it can. */
static void add_oversubscribed(struct throughput *t)
{
    static const struct {
        const char *name;
        uint32_t wait;
    } waits[] = {{", oversubscribed, yield", SPATE_WAIT_YIELD},
                 {", oversubscribed, block", SPATE_WAIT_BLOCK},
                 {", oversubscribed, auto", SPATE_WAIT_AUTO}};
    const uint32_t pairs = (uint32_t)t->rounds.place.count > CREW_MAX / 2 ? CREW_MAX / 2 : (uint32_t)t->rounds.place.count;

    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        if (t->wait != NOT_GIVEN && t->wait != waits[i].wait)
            continue;
        const struct flow_spec flow = {.mode = SPATE_MODE_EXCLUSIVE,
                                       .producers = pairs,
                                       .consumers = pairs,
                                       .pairs = true,
                                       .value_size = 64,
                                       .batch = 1,
                                       .wait = waits[i].wait,
                                       .alignment = t->alignment,
                                       .ring = t->ring,
                                       .records = 60000};
        add_flow(t, &flow, waits[i].name);
    }
}

static void add_cases(struct throughput *t)
{
    struct flow_spec flow = {
        .producers = 1, .consumers = 1, .wait = t->wait == NOT_GIVEN ? SPATE_WAIT_SPIN : t->wait, .alignment = t->alignment};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        flow.value_size = sizes[i];
        if (limit_name(sizes[i]))
            add_case(t, limit_name(sizes[i]), YARDSTICK, "records/s", &flow);
    }
    for (int mode = 0; mode < 2; mode++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            flow.mode = mode ? SPATE_MODE_CONCURRENT : SPATE_MODE_EXCLUSIVE;
            flow.value_size = sizes[i];
            flow.ring = t->ring;
            flow.records = 4000000 / sizes[i];
            for (int how = 0; how < 3; how++) {
                flow.batch = how == 1 ? largest_batch(t, flow.value_size) : 1;
                flow.api = how == 2 ? FLOW_CLAIM : FLOW_PUBLISH;
                add_flow(t, &flow, "");
            }
        }
    }
    add_shapes(t);
    add_oversubscribed(t);
}

/* A measurement takes about as long as its slice: how many records that is, is learnt from the round before. */
static int measure_flow(struct throughput *t, struct flow_spec *flow)
{
    int error = flow_measure(t->rounds.cpus, flow, &t->last);
    if (!error)
        flow->records = (uint64_t)(t->last.rate * t->rounds.slice / flow->producers) + flow->batch;
    return error;
}

/* Without a counter, only what waits for nobody can be counted; and that is the same however many there are. */
static int count_instructions(const struct throughput *t, struct throughput_case *each, double *ret)
{
    const bool is_alone = each->flow.producers == 1 && each->flow.consumers == 1;
    int error = 0;

    *ret = t->last.instructions;
    if (*ret == 0 && is_alone && each->counted == 0)
        error = flow_count(&each->flow, &each->counted);
    if (*ret == 0)
        *ret = each->counted;
    return error;
}

static uint32_t processors_of(const struct throughput *t, const struct flow_spec *flow)
{
    const uint32_t processes = flow->producers + flow->consumers, all = (uint32_t)t->rounds.place.count;
    return processes < all ? processes : all;
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct throughput *t = context;
    struct throughput_case *each = &t->cases[index];
    const struct flow_spec *flow = &each->flow;
    int error = 0;

    switch (each->kind) {
    case YARDSTICK: return spsc_measure_best(t->rounds.cpus, flow->value_size, &ret->value);
    case RATE:
        error = measure_flow(t, &each->flow);
        ret->value = t->last.rate;
        break;
    case PER_PROCESSOR: ret->value = t->last.rate / processors_of(t, flow); break;
    case CPU: ret->value = t->last.cpu; break;
    case INSTRUCTIONS: return count_instructions(t, each, &ret->value);
    }
    return error;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct throughput t = {.ring = 8 << 20, .wait = NOT_GIVEN, .alignment = 64};
    struct option_spec specs[ROUNDS_OPTIONS + 4] = {0};

    rounds_options(&t.rounds, specs);
    specs[ROUNDS_OPTIONS] =
        (struct option_spec){0, "detail", NULL, "processor time and instructions per record, too", set_switch, &t.detail};
    specs[ROUNDS_OPTIONS + 1] = (struct option_spec){
        0, "wait", "HOW", "spin, yield, block, auto; default: spin, or yield where processors are shared", set_wait, &t.wait};
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&t.rounds);
    if (status != STATUS_GO_ON)
        return status;
    add_cases(&t);
    return rounds_run(&t.rounds, "throughput", t.figures, t.count, measure, &t, 30);
}

const struct command command_throughput = {
    .path = "spate-bench throughput",
    .arguments = "",
    .summary = "records per second by mode, size, and way of publishing",
    .details =
        "Back-pressured (policy gate), every byte written and read, without timestamps, on a ring of 8 MiB. ratio is to L, the\n"
        "hand-written ring of the same value size for one producer and one consumer. More processes than processors share\n"
        "them; oversubscribed: two to each, as pairs with a partition each. Where the processor's counters cannot be read, the\n"
        "instructions of a producer and a consumer that take turns are counted by single steps.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
