/* latency.c: `spate-bench latency`: round trips by size, mode and way of waiting; one way at fixed rates; cold wake-ups.
 *
 * Round trips stand beside R, the round trip of one cache line in the same round. What is paced is free of coordinated omission. */
#include <stdio.h>

#include "bounce.h"
#include "commands.h"
#include "paced.h"
#include "rounds.h"

enum latency_kind { LINE, BOUNCE, PACED };

struct latency_case {
    enum latency_kind kind;
    struct bounce_spec bounce;
    struct paced_spec paced;
    struct quantiles quantiles; /* of the latest measurement: each is a figure of its own */
};

struct latency {
    struct rounds rounds;
    struct latency_case cases[FIGURES_CASES_MAX / QUANTILES];
    char names[FIGURES_CASES_MAX][64];
    struct figure figures[FIGURES_CASES_MAX];
    uint32_t count; /* of cases; each has QUANTILES figures */
};

static struct latency_case *add_case(struct latency *latency, enum latency_kind kind, const char *name)
{
    struct latency_case *each = &latency->cases[latency->count];

    each->kind = kind;
    for (uint32_t q = 0; q < QUANTILES; q++) {
        uint32_t index = latency->count * QUANTILES + q;
        snprintf(latency->names[index], sizeof latency->names[index], "%s, %s", name, quantiles_name(q));
        latency->figures[index] = (struct figure){.name = latency->names[index],
                                                  .unit = "ns",
                                                  .column = quantiles_name(q),
                                                  .follows = q > 0,
                                                  .limit = kind == BOUNCE ? latency->names[q] : NULL /* the line's */};
    }
    latency->count++;
    return each;
}

static void add_bounce(struct latency *latency, uint32_t mode, uint32_t value_size, uint32_t wait)
{
    static const char *const waits[] = {"auto", "spin", "yield", "block"};
    char name[48];

    snprintf(name, sizeof name, "%u B, %s, %s", value_size, mode == SPATE_MODE_EXCLUSIVE ? "exclusive" : "concurrent", waits[wait]);
    add_case(latency, BOUNCE, name)->bounce = (struct bounce_spec){mode, value_size, wait, 2000};
}

static void add_paced(struct latency *latency, const char *how, double rate, uint32_t wait, bool by_descriptor)
{
    char name[48];

    snprintf(name, sizeof name, "%s at %.0f/s", how, rate);
    add_case(latency, PACED, name)->paced =
        (struct paced_spec){.value_size = 64, .wait = wait, .by_descriptor = by_descriptor, .rate = rate};
}

static void add_cases(struct latency *latency)
{
    static const uint32_t sizes[] = {24, 64, 256, 1024, 4096};
    static const double rates[] = {1, 100, 10000, 100000, 1000000};

    add_case(latency, LINE, "line");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        add_bounce(latency, SPATE_MODE_EXCLUSIVE, sizes[i], SPATE_WAIT_SPIN);
        add_bounce(latency, SPATE_MODE_CONCURRENT, sizes[i], SPATE_WAIT_SPIN);
    }
    add_bounce(latency, SPATE_MODE_EXCLUSIVE, 64, SPATE_WAIT_YIELD);
    add_bounce(latency, SPATE_MODE_EXCLUSIVE, 64, SPATE_WAIT_BLOCK);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        add_paced(latency, "one way, spin,", rates[i], SPATE_WAIT_SPIN, false);
    add_paced(latency, "asleep, block,", 1, SPATE_WAIT_BLOCK, false);
    add_paced(latency, "asleep, block,", 100, SPATE_WAIT_BLOCK, false);
    add_paced(latency, "asleep, epoll,", 1, SPATE_WAIT_AUTO, true);
    add_paced(latency, "asleep, epoll,", 100, SPATE_WAIT_AUTO, true);
}

static int measure_bounce(struct latency *latency, struct latency_case *each, double slice)
{
    int error = bounce_measure(latency->rounds.cpus, &each->bounce, &each->quantiles);
    if (error)
        return error;
    double trips = slice * 1e9 / (each->quantiles.p50 > 1 ? each->quantiles.p50 : 1);
    each->bounce.trips = trips < 1000 ? 1000 : trips > 1e7 ? 10000000 : (uint32_t)trips;
    return 0;
}

static int measure_paced(struct latency *latency, struct latency_case *each, double slice)
{
    static struct histogram latencies;
    double records = slice * each->paced.rate;

    latencies = (struct histogram){0};
    each->paced.records = records < 3 ? 3 : (uint32_t)records;
    int error = paced_measure(latency->rounds.cpus, &each->paced, &latencies);
    if (error)
        return error;
    each->quantiles = quantiles_of(&latencies);
    return 0;
}

/* The first figure of a case measures; the others are its further quantiles. */
static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct latency *latency = context;
    struct latency_case *each = &latency->cases[index / QUANTILES];
    const struct quantiles *line = &latency->rounds.line;
    const double slice = latency->rounds.slice;
    int error = 0;

    if (index % QUANTILES == 0) {
        if (each->kind == BOUNCE)
            error = measure_bounce(latency, each, slice);
        else if (each->kind == PACED)
            error = measure_paced(latency, each, slice);
    }
    ret->value = quantiles_at(each->kind == LINE ? line : &each->quantiles, index % QUANTILES);
    if (each->kind == BOUNCE)
        ret->limit = quantiles_at(line, index % QUANTILES);
    return error;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct latency latency;
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&latency.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&latency.rounds);
    if (status != STATUS_GO_ON)
        return status;
    add_cases(&latency);
    return rounds_run(&latency.rounds, "latency", latency.figures, latency.count * QUANTILES, measure, &latency, 60);
}

const struct command command_latency = {
    .path = "spate-bench latency",
    .arguments = "",
    .summary = "round trips, one way at fixed rates, cold wake-ups",
    .details = "Round trips: publish, read, publish back, read, through two topics; ratio is to the line's own quantile. One way:\n"
               "from when a record was due, so that a late one counts as late. Asleep: the consumer sleeps between two records,\n"
               "at 1/s at least three of them a round.\n"
               "\n"
               "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
