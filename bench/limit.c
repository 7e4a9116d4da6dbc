/* limit.c: `spate-bench limit`: what the hardware gives between two processors, before any event bus.
 *
 * A cache line's round trip (R), the hand-written ring (L) by value and ring size, copying in each cache, contended atomics. All other
 * commands hold their figures against these, measured in the same rounds. */
#include "commands.h"
#include "copy.h"
#include "rounds.h"
#include "spsc.h"

struct limit_case {
    const char *name, *unit;
    enum { LINE_MIN, LINE_P50, LINE_P99, LINE_P999, SPSC, COPY, FETCH_ADD } kind;
    struct spsc_spec spsc; /* records: of the first round */
    size_t copied;         /* both blocks together */
};

static const struct limit_case cases[] = {
    {.name = "line round trip, min", .unit = "ns", .kind = LINE_MIN},
    {.name = "line round trip, p50", .unit = "ns", .kind = LINE_P50},
    {.name = "line round trip, p99", .unit = "ns", .kind = LINE_P99},
    {.name = "line round trip, p99.9", .unit = "ns", .kind = LINE_P999},
    {.name = "ring 64 B, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 256 << 10, 2000000}},
    {.name = "ring 64 B, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 1 << 20, 2000000}},
    {.name = "ring 64 B, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {64, 8 << 20, 2000000}},
    {.name = "ring 1 KiB, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 256 << 10, 200000}},
    {.name = "ring 1 KiB, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 1 << 20, 200000}},
    {.name = "ring 1 KiB, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {1024, 8 << 20, 200000}},
    {.name = "ring 16 KiB, 256 KiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 256 << 10, 20000}},
    {.name = "ring 16 KiB, 1 MiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 1 << 20, 20000}},
    {.name = "ring 16 KiB, 8 MiB", .unit = "records/s", .kind = SPSC, .spsc = {16384, 8 << 20, 20000}},
    {.name = "copy in L2", .unit = "bytes/s", .kind = COPY, .copied = 512 << 10},
    {.name = "copy in L3", .unit = "bytes/s", .kind = COPY, .copied = 16 << 20},
    {.name = "copy in DRAM", .unit = "bytes/s", .kind = COPY, .copied = (size_t)1 << 30},
    {.name = "contended fetch-add", .unit = "operations/s", .kind = FETCH_ADD},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* A measurement takes about as long as its slice: how many records that is, is learnt from the round before. */
struct limit {
    struct rounds rounds;
    uint64_t records[CASES];
};

static int measure_spsc(struct limit *limit, uint32_t index, double *ret)
{
    struct spsc_spec spec = cases[index].spsc;

    spec.records = limit->records[index];
    int error = spsc_measure(limit->rounds.cpus, &spec, ret);
    if (!error)
        limit->records[index] = (uint64_t)(*ret * limit->rounds.slice) + spec.capacity / spec.value_size;
    return error;
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct limit *limit = context;
    const struct limit_case *each = &cases[index];
    const struct quantiles *line = &limit->rounds.line;

    switch (each->kind) {
    case LINE_MIN: ret->value = line->min; return 0;
    case LINE_P50: ret->value = line->p50; return 0;
    case LINE_P99: ret->value = line->p99; return 0;
    case LINE_P999: ret->value = line->p999; return 0;
    case SPSC: return measure_spsc(limit, index, &ret->value);
    case COPY: return copy_measure(limit->rounds.cpus[0], each->copied, &ret->value);
    case FETCH_ADD: return fetch_add_measure(limit->rounds.cpus, 2, &ret->value);
    }
    return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct limit limit;
    static struct figure figures[CASES];
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&limit.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&limit.rounds);
    if (status != STATUS_GO_ON)
        return status;
    for (int i = 0; i < CASES; i++) {
        figures[i] = (struct figure){
            .name = cases[i].name, .unit = cases[i].unit, .follows = cases[i].kind > LINE_MIN && cases[i].kind <= LINE_P999};
        limit.records[i] = cases[i].spsc.records;
    }
    return rounds_run(&limit.rounds, "limit", figures, CASES, measure, &limit, 20);
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
