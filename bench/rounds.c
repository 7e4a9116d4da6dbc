/* rounds.c: rounds, see rounds.h.
 *
 * Called by the measuring commands. Owns nothing between calls. */
#include "rounds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/parse.h"
#include "ticks.h"

#define LINE_TRIPS 20000u

struct bench_cases {
    struct figure *figures;
    uint32_t count;
    int (*measure)(void *context, uint32_t index, struct measured *ret);
    void *context;
    uint64_t round;                          /* 1, 2, ... */
    uint64_t measured_in[FIGURES_CASES_MAX]; /* the round of the latest value */
};

const char *rounds_set_pin(void *target, char *text)
{
    if (!place_check_list(text))
        return "a list of processors that this process may use is expected: 0,1 or 2-5";
    *(const char **)target = text;
    return NULL;
}

const char *rounds_set_count(void *target, char *text)
{
    const char *reason = set_count(target, text);
    return reason || *(uint64_t *)target <= FIGURES_ROUNDS_MAX ? reason : "at most 101";
}

void rounds_options(struct rounds *rounds, struct option_spec specs[ROUNDS_OPTIONS])
{
    const struct option_spec common[ROUNDS_OPTIONS] = {
        {0, "pin", "CPUS", "which processors, in order: 0,1 or 2-5 (default: nearest together first)", rounds_set_pin,
         &rounds->pin},
        {0, "only", "TEXT", "only cases with this in their names: 64 B, exclusive", set_text, &rounds->only},
        {0, "rounds", "N", "interleaved rounds, 1 to 101; default 5", rounds_set_count, &rounds->count},
        {0, "seconds", "TIME", "about how long all of it should take: 30s, 2m", set_duration, &rounds->time},
        {'J', "json", NULL, "an object per line: bench, case, unit, median, min, max, class, rounds, limit, ratio", set_switch,
         &rounds->json},
    };
    rounds->count = 5;
    for (int i = 0; i < ROUNDS_OPTIONS; i++)
        specs[i] = common[i];
}

int rounds_start(struct rounds *rounds)
{
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return tool_error("this build is for finding bugs, not for measuring: cmake --preset release");
#endif
    if (place_load(&rounds->place) != 0)
        return STATUS_FAILURE;
    if (rounds->place.count < 2)
        return tool_error("only one processor may be used here: what goes on between two cannot be measured (taskset, cpuset)");
    if (ticks_start() != 0)
        return tool_error("the processor's time stamp counter does not run evenly here: nothing could be trusted");
    place_choose(&rounds->place, rounds->pin, rounds->cpus, PLACE_CPUS_MAX);
    tool_catch_signals();
    if (!rounds->json)
        output_print("%s, processors %d and %d: %s\n", rounds->place.model, rounds->cpus[0], rounds->cpus[1],
                     place_relation_name(place_relate(rounds->cpus[0], rounds->cpus[1])));
    return STATUS_GO_ON;
}

/* The value of this round of the figure that another is held against; 0 when it has none of this class. */
static double limit_of(const struct figure *figures, uint32_t cases, const struct figure *figure, enum figures_class class,
                       uint64_t round, const uint64_t *measured_in)
{
    const struct figure *limit = figures_find(figures, cases, figure->limit);

    if (!limit || limit->of[class].count == 0 || measured_in[limit - figures] != round)
        return 0;
    return limit->of[class].values[limit->of[class].count - 1];
}

/* Whether a case, or one that follows it, was asked for, or is what such a one is held against. */
static bool is_wanted(const struct rounds *rounds, const struct bench_cases *all, uint32_t first, uint32_t count)
{
    if (!rounds->only)
        return true;
    for (uint32_t i = first; i < first + count; i++) {
        if (strstr(all->figures[i].name, rounds->only))
            return true;
        for (uint32_t j = 0; j < all->count; j++)
            if (all->figures[j].limit && strcmp(all->figures[j].limit, all->figures[i].name) == 0 &&
                strstr(all->figures[j].name, rounds->only))
                return true;
    }
    return false;
}

static uint32_t with_followers(const struct bench_cases *all, uint32_t first)
{
    uint32_t count = 1;
    while (first + count < all->count && all->figures[first + count].follows)
        count++;
    return count;
}

/* One case and those that follow it, between two looks at the line. Returns 0, 1 when the processors moved meanwhile, or an error. */
static int run_case(struct rounds *rounds, struct bench_cases *all, uint32_t first, uint32_t count)
{
    struct measured values[FIGURES_CASES_MAX];
    const struct quantiles before = rounds->line;

    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct measured){0};
        int error = all->measure(all->context, first + i, &values[i]);
        if (error)
            return error < 0 ? error : -EIO;
    }
    int error = line_measure(rounds->cpus, LINE_TRIPS, &rounds->line);
    if (error)
        return error < 0 ? error : -EIO;
    enum figures_class class = figures_classify(before.p50);
    if (class != figures_classify(rounds->line.p50))
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        struct figure *figure = &all->figures[first + i];
        if (values[i].value <= 0)
            continue;
        double limit = values[i].limit;
        if (limit <= 0)
            limit = limit_of(all->figures, all->count, figure, class, all->round, all->measured_in);
        figures_add(figure, class, values[i].value, limit);
        all->measured_in[first + i] = all->round;
    }
    return 0;
}

/* Returns how many cases were dropped, or an error. */
static int run_round(struct rounds *rounds, struct bench_cases *all)
{
    int dropped = 0;

    int error = line_measure(rounds->cpus, LINE_TRIPS, &rounds->line);
    if (error)
        return error < 0 ? error : -EIO;
    for (uint32_t i = 0; i < all->count;) {
        const uint32_t count = with_followers(all, i);
        int result = is_wanted(rounds, all, i, count) ? run_case(rounds, all, i, count) : 0;
        if (result < 0)
            return result;
        dropped += result;
        i += count;
    }
    return dropped;
}

static void progress(const struct rounds *rounds, uint64_t round, uint64_t dropped)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K");
    if (round < rounds->count)
        fprintf(stderr, "round %llu of %llu%s", (unsigned long long)round + 1, (unsigned long long)rounds->count,
                dropped ? " (some were dropped: the processors moved)" : "");
}

int rounds_run(struct rounds *rounds, const char *bench, struct figure *figures, uint32_t cases,
               int (*measure)(void *context, uint32_t index, struct measured *ret), void *context, double seconds)
{
    struct bench_cases all = {.figures = figures, .count = cases, .measure = measure, .context = context};
    uint64_t dropped = 0;
    uint32_t measurements = 0;

    for (uint32_t i = 0; i < cases; i += with_followers(&all, i))
        measurements += is_wanted(rounds, &all, i, with_followers(&all, i));
    if (measurements == 0)
        return tool_error("no case has '%s' in its name", rounds->only);
    if (rounds->time > 0)
        seconds = (double)rounds->time / 1e9;
    rounds->slice = seconds / (double)rounds->count / measurements;
    for (uint64_t round = 0; round < rounds->count; round++) {
        progress(rounds, round, dropped);
        all.round = round + 1;
        int result = run_round(rounds, &all);
        if (result < 0) {
            progress(rounds, rounds->count, 0);
            return result == -EINTR ? tool_error("stopped in round %llu", (unsigned long long)round + 1) : STATUS_FAILURE;
        }
        dropped += (uint64_t)result;
    }
    progress(rounds, rounds->count, 0);
    if (!rounds->json) {
        output_print("%llu rounds", (unsigned long long)rounds->count);
        output_print(dropped ? "; %llu of %llu measurements were dropped because the processors moved\n" : "\n",
                     (unsigned long long)dropped, (unsigned long long)(rounds->count * measurements));
    }
    figures_print(bench, figures, cases, rounds->json);
    return STATUS_OK;
}
