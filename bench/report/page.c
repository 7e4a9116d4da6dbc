/* page.c: which figures are shown how, see page.h.
 *
 * A section per question, as the commands have it; what was not measured is left out. Where the processors moved (figures.h) there is a
 * part per class that has enough figures. Owns nothing. */
#include "report/page.h"

#include <stdlib.h>
#include <string.h>

#include "cli/tool.h"
#include "report/plot.h"

#define BARS_MAX 64
#define MATRIX_MAX 64
#define NAME_SIZE 128
#define ENOUGH 0.3 /* of the figures that the largest class has */

static const char style[] =
    ":root{--page:#fff;--ink:#1c2430;--soft:#5c6877;--rule:#dfe4ea;--plain:#8d9bab;--ours:#0b6bcb;--good:#1a7f4b;--bad:#c2571a;"
    "--c0:#5c6877;--c1:#0b6bcb;--c2:#d2691e;--c3:#1a7f4b;--c4:#8e44ad;--c5:#b8860b;--c6:#008b9a;--c7:#c0325b}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14181d;--ink:#e4e9ef;--soft:#9aa7b5;--rule:#2c343d;--plain:#6c7a89;--ours:#"
    "4da3f5;"
    "--good:#3fbf7f;--bad:#ec8b4c;--c0:#9aa7b5;--c1:#4da3f5;--c2:#f0955a;--c3:#3fbf7f;--c4:#c08be0;--c5:#e0b84c;--c6:#3cc4d4;"
    "--c7:#f0708f}}\n"
    "body{margin:0 auto;max-width:960px;padding:32px 24px;background:var(--page);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    "h1{font-size:30px;margin:0 0 4px}h2{font-size:22px;margin:48px 0 4px}h3{font-size:16px;margin:24px 0 4px}\n"
    "p{margin:4px 0 12px;color:var(--soft);max-width:46em}svg{width:100%;height:auto;display:block}\n"
    "table{border-collapse:collapse;font-size:14px;width:100%}td,th{padding:3px 12px 3px 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--rule)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".wide{overflow-x:auto}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}.tiles div{flex:1 1 140px;border:1px solid "
    "var(--rule);border-radius:8px;padding:12px 16px}.tiles b{display:block;font-size:24px}.tiles "
    "span{color:var(--soft);font-size:14px}\n"
    "text{font-size:12px;fill:var(--ink)}.scale{fill:var(--soft)}.end{text-anchor:end}.middle{text-anchor:middle}.value{font-"
    "weight:600}\n"
    ".grid{stroke:var(--rule)}.axis{stroke:var(--soft)}.line{fill:none;stroke-width:2}.bar.plain{fill:var(--plain)}.bar.ours{fill:"
    "var(--ours)}.bar.good{fill:var(--good)}.bar.bad{fill:var(--bad)}.spread{stroke:var(--ink);stroke-width:1.5;opacity:.6}\n"
    ".mark{stroke:var(--ink);stroke-width:2.5}.cell{fill:var(--ours)}.legend span{margin-right:18px;white-space:nowrap}.legend i{"
    "display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:6px}\n"
    ".c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}"
    ".c6{stroke:var(--c6)}.c7{stroke:var(--c7)}.dot.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}.dot.c2{fill:var(--c2)}.dot.c3{fill:"
    "var(--c3)}.dot.c4{fill:var(--c4)}.dot.c5{fill:var(--c5)}.dot.c6{fill:var(--c6)}.dot.c7{fill:var(--c7)}\n"
    "i.c0{background:var(--c0)}i.c1{background:var(--c1)}i.c2{background:var(--c2)}i.c3{background:var(--c3)}i.c4{background:"
    "var(--c4)}i.c5{background:var(--c5)}i.c6{background:var(--c6)}i.c7{background:var(--c7)}\n"
    "summary{cursor:pointer;margin-top:48px;font-size:22px;font-weight:600}\n";

/* What is drawn, and of which class. */
struct part {
    FILE *page;
    const struct results *results;
    const char *class;
};

static bool find(const struct part *part, const char *bench, const char *name, struct result *ret)
{
    return results_find(part->results, bench, name, part->class, ret);
}

static bool belongs(const struct part *part, const struct result *row, const char *bench)
{
    return strcmp(row->bench, bench) == 0 && row->class && strcmp(row->class, part->class) == 0;
}

static bool has(const struct part *part, const char *bench)
{
    struct result row;
    for (size_t i = 0; results_row(part->results, i, &row); i++)
        if (belongs(part, &row, bench))
            return true;
    return false;
}

static void head(const struct part *part, const char *title, const char *text)
{
    fprintf(part->page, "<h2>%s</h2>\n<p>%s</p>\n", title, text);
}

/* ------------------------------------------------------------------------------------------------------------- latency */

/* The quantiles of a case, that is of rows named "CASE, p50" and so on. Returns false when there is none. */
static bool take_quantiles(const struct part *part, const char *name, struct plot_series *ret)
{
    static const char *const steps[] = {"min", "p50", "p90", "p99", "p99.9", "p99.99", "max"};
    char full[NAME_SIZE];
    bool any = false;

    *ret = (struct plot_series){.name = name};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct result row;
        snprintf(full, sizeof full, "%s, %s", name, steps[i]);
        if (find(part, "latency", full, &row)) {
            ret->values[i] = row.median;
            any = true;
        }
    }
    return any;
}

static void latency_plot(const struct part *part, const char *title, const char *const *names, size_t count)
{
    static const char *const steps[] = {"min", "p50", "p90", "p99", "p99.9", "p99.99", "max"};
    struct plot_series series[PLOT_SERIES_MAX];
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += take_quantiles(part, names[i], &series[found]);
    if (found == 0)
        return;
    fprintf(part->page, "<h3>%s</h3>\n", title);
    plot_lines(part->page, "ns", steps, sizeof steps / sizeof steps[0], series, found);
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void latency(const struct part *part)
{
    static const char *const sizes[] = {"line",
                                        "24 B, exclusive, spin",
                                        "64 B, exclusive, spin",
                                        "256 B, exclusive, spin",
                                        "1024 B, exclusive, spin",
                                        "4096 B, exclusive, spin"};
    static const char *const waits[] = {"line", "64 B, exclusive, spin", "64 B, concurrent, spin", "64 B, exclusive, yield",
                                        "64 B, exclusive, block"};
    static const char *const rates[] = {"one way, spin, at 1/s", "one way, spin, at 100/s", "one way, spin, at 10000/s",
                                        "one way, spin, at 100000/s", "one way, spin, at 1000000/s"};
    static const char *const asleep[] = {"asleep, block, at 1/s", "asleep, block, at 100/s", "asleep, epoll, at 1/s",
                                         "asleep, epoll, at 100/s"};

    if (!has(part, "latency"))
        return;
    head(part, "Latency",
         "How late the unlucky ones are: medians of the rounds' quantiles. In the first two plots the grey line is the cache line "
         "itself, which no "
         "message can beat.");
    latency_plot(part, "Round trips by size", sizes, COUNT(sizes));
    latency_plot(part, "Round trips of 64 bytes by mode and way of waiting", waits, COUNT(waits));
    latency_plot(part, "One way at a fixed rate, from when each record was due", rates, COUNT(rates));
    latency_plot(part, "Waking a consumer that sleeps", asleep, COUNT(asleep));
}

/* ---------------------------------------------------------------------------------------------------------- throughput */

static void throughput(const struct part *part)
{
    static const char *const steps[] = {"16 B", "64 B", "1 KiB", "16 KiB", "64 KiB"};
    static const struct {
        const char *name, *mode, *how;
    } ways[] = {{"exclusive, publish", "exclusive", "publish"},     {"exclusive, batches", "exclusive", "batches"},
                {"exclusive, zero-copy", "exclusive", "zero-copy"}, {"concurrent, publish", "concurrent", "publish"},
                {"concurrent, batches", "concurrent", "batches"},   {"concurrent, zero-copy", "concurrent", "zero-copy"}};
    struct plot_series series[PLOT_SERIES_MAX] = {{.name = "hand-written ring (L)"}};
    char name[NAME_SIZE];
    struct result row;

    if (!has(part, "throughput"))
        return;
    for (size_t i = 0; i < COUNT(steps); i++) {
        snprintf(name, sizeof name, "L %s", steps[i]);
        if (find(part, "throughput", name, &row))
            series[0].values[i] = row.median;
    }
    for (size_t way = 0; way < COUNT(ways); way++) {
        series[way + 1].name = ways[way].name;
        for (size_t i = 0; i < COUNT(steps); i++) {
            snprintf(name, sizeof name, "1 -> 1, %s, %s, %s", steps[i], ways[way].mode, ways[way].how);
            for (size_t j = 0; results_row(part->results, j, &row); j++)
                if (belongs(part, &row, "throughput") && strncmp(row.name, name, strlen(name)) == 0)
                    series[way + 1].values[i] = row.median;
        }
    }
    head(part, "Throughput by size", "One producer, one consumer; every byte written and read; nothing lost.");
    plot_lines(part->page, "records/s", steps, COUNT(steps), series, COUNT(ways) + 1);
}

/* ---------------------------------------------------------------------------------------------------------------- bars */

/* Rows of a bench as bars, those for which `wanted` says so. */
static size_t take_bars(const struct part *part, const char *bench, bool (*wanted)(const struct result *row), struct plot_bar *bars)
{
    struct result row;
    size_t count = 0;

    for (size_t i = 0; count < BARS_MAX && results_row(part->results, i, &row); i++)
        if (belongs(part, &row, bench) && wanted(&row))
            bars[count++] =
                (struct plot_bar){.name = row.name, .value = row.median, .low = row.min, .high = row.max, .more = row.note};
    return count;
}

static void targets(const struct part *part)
{
    struct plot_bar bars[BARS_MAX];
    struct result row;
    char more[BARS_MAX][NAME_SIZE];

    if (!has(part, "targets"))
        return;
    head(part, "Against the limit",
         "Each bar is a ratio to what the hardware gives, measured just before it. The tick is the aim: rates and sizes should "
         "reach it, times stay below. Green: reached.");
    for (int rates = 1; rates >= 0; rates--) {
        size_t count = 0;
        for (size_t i = 0; count < BARS_MAX && results_row(part->results, i, &row); i++) {
            const bool is_rate = strcmp(row.unit, "records/s") == 0;
            if (!belongs(part, &row, "targets") || is_rate != (rates == 1) || row.ratio <= 0)
                continue;
            char value[32], limit[32];
            snprintf(more[count], NAME_SIZE, "%s %s of %s", plot_number(value, row.median, row.unit), row.unit,
                     plot_number(limit, row.limit, row.unit));
            bars[count] = (struct plot_bar){.name = row.name,
                                            .value = row.ratio,
                                            .mark = row.target,
                                            .kind = row.verdict && strcmp(row.verdict, "ok") == 0 ? PLOT_GOOD : PLOT_BAD,
                                            .more = more[count]};
            count++;
        }
        if (count > 0)
            fprintf(part->page, "<h3>%s</h3>\n", rates ? "Rates: at least" : "Times and sizes: at most");
        plot_bars(part->page, "", bars, count, false);
    }
}

static bool is_limit(const struct result *row)
{
    return strcmp(row->unit, "ns") != 0;
}

static bool is_scale(const struct result *row)
{
    return !row->relation && row->name[0] != ' ';
}

static bool is_any(const struct result *row)
{
    return row->name[0] != ' ';
}

static void limits(const struct part *part)
{
    struct plot_bar bars[BARS_MAX];
    size_t count = take_bars(part, "limit", is_limit, bars);

    if (count == 0)
        return;
    head(part, "What the hardware gives",
         "Rings written by hand for one value size, copies, and an atomic that two processors want. Records, "
         "bytes or operations per second.");
    plot_bars(part->page, "per second", bars, count, true);
}

/* Cases are named "WORKLOAD, PEER"; one plot a workload. The limit is its first bar. */
static void peers(const struct part *part)
{
    static const struct {
        const char *name, *limit, *title;
    } workloads[] = {{"round trip 64 B", "R", "Round trip of 64 bytes (less is better)"},
                     {"1 -> 1 64 B", "L 64 B", "One producer, one consumer, 64 bytes"},
                     {"1 -> 1 1 KiB", "L 1 KiB", "One producer, one consumer, 1 KiB"},
                     {"1 -> 1 16 KiB", "L 16 KiB", "One producer, one consumer, 16 KiB"},
                     {"2 -> 1 64 B", "L 64 B", "Two producers, one consumer, on two processors"},
                     {"1 -> 3 64 B", "L 64 B", "One producer, three consumers, on two processors"}};

    if (!has(part, "peers"))
        return;
    head(part, "Beside others",
         "The same values through what one might use instead, all under the same loop, written whole and read whole. "
         "Logarithmic: a step of the scale is a factor. Point at a bar to see how it was configured.");
    for (size_t w = 0; w < COUNT(workloads); w++) {
        struct plot_bar bars[BARS_MAX];
        struct result row;
        const char *unit = "records/s";
        const size_t length = strlen(workloads[w].name);
        size_t count = 0;
        for (size_t i = 0; count < BARS_MAX && results_row(part->results, i, &row); i++) {
            const bool is_the_limit = strcmp(row.name, workloads[w].limit) == 0;
            const bool is_peer = strncmp(row.name, workloads[w].name, length) == 0 && strncmp(row.name + length, ", ", 2) == 0;
            if (!belongs(part, &row, "peers") || (!is_the_limit && !is_peer))
                continue;
            const char *name = is_peer                      ? row.name + length + 2
                               : strcmp(row.name, "R") == 0 ? "cache line (R)"
                                                            : "hand-written ring (L)";
            bars[count++] = (struct plot_bar){.name = name,
                                              .value = row.median,
                                              .low = row.min,
                                              .high = row.max,
                                              .kind = strncmp(name, "Spate", 5) == 0 ? PLOT_OURS : PLOT_PLAIN,
                                              .more = row.note};
            unit = row.unit;
        }
        if (count > 1)
            fprintf(part->page, "<h3>%s</h3>\n", workloads[w].title);
        if (count > 1)
            plot_bars(part->page, unit, bars, count, true);
    }
}

static void scale(const struct part *part)
{
    struct plot_bar bars[BARS_MAX];
    const size_t count = take_bars(part, "scale", is_scale, bars);

    if (count == 0)
        return;
    head(part, "More cores", "64-byte values, records per second of all producers together.");
    plot_bars(part->page, "records/s", bars, count, false);
}

static void memory(const struct part *part)
{
    struct plot_bar bars[BARS_MAX];
    const size_t count = take_bars(part, "memory", is_any, bars);

    if (count == 0)
        return;
    head(part, "Where the ring lies", "Plain and huge pages, and NUMA nodes where there are several.");
    plot_bars(part->page, "records/s", bars, count, true);
}

/* -------------------------------------------------------------------------------------------------------------- matrix */

static size_t index_of(long long *cpus, size_t *count, long long cpu)
{
    for (size_t i = 0; i < *count; i++)
        if (cpus[i] == cpu)
            return i;
    if (*count == MATRIX_MAX)
        return MATRIX_MAX;
    cpus[*count] = cpu;
    return (*count)++;
}

/* Pairs have no class: each is what it was when it was measured. */
static void matrix(FILE *page, const struct results *results)
{
    static double pairs[MATRIX_MAX][MATRIX_MAX];
    double *values = tool_allocate((size_t)MATRIX_MAX * MATRIX_MAX, sizeof *values);
    static char texts[MATRIX_MAX][24];
    const char *names[MATRIX_MAX];
    long long cpus[MATRIX_MAX];
    struct result row;
    size_t count = 0;

    memset(pairs, 0, sizeof pairs);
    for (size_t i = 0; results_row(results, i, &row); i++) {
        if (!row.relation)
            continue;
        const size_t a = index_of(cpus, &count, row.a), b = index_of(cpus, &count, row.b);
        if (a < MATRIX_MAX && b < MATRIX_MAX)
            pairs[a][b] = pairs[b][a] = row.median;
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "%lld", cpus[i]);
        names[i] = texts[i];
        for (size_t j = 0; j < count; j++)
            values[i * count + j] = pairs[i][j];
    }
    if (count > 0) {
        fputs("<h2>From core to core</h2>\n<p>Round trip of a cache line between every two processors, in ns.</p>\n", page);
        plot_matrix(page, "ns", names, values, count);
    }
    free(values);
}

/* ---------------------------------------------------------------------------------------------------------------- text */

static void tile(const struct part *part, const char *name, const char *title, const char *of)
{
    struct result row;
    char number[32];

    if (!find(part, "targets", name, &row))
        return;
    fprintf(part->page, "<div><span>%s</span><b>%s%s</b><span>%.2f of %s</span></div>\n", title,
            plot_number(number, row.median, row.unit), strcmp(row.unit, "ns") == 0 ? "" : "/s", row.ratio, of);
}

static void tiles(const struct part *part)
{
    fputs("<div class=\"tiles\">\n", part->page);
    tile(part, "round trip, 64 B, exclusive, p50", "round trip of 64 bytes", "a cache line's");
    tile(part, "1 -> 1, 64 B, exclusive", "64 bytes, one by one", "a hand-written ring");
    tile(part, "1 -> 1, 64 B, exclusive, batches of 32", "64 bytes, batches", "a hand-written ring");
    tile(part, "1 -> 1, 16 KiB, exclusive", "16 KiB, in place", "a hand-written ring");
    tile(part, "asleep, block, woken, p50", "waking a sleeper", "a bare futex");
    fputs("</div>\n", part->page);
}

static void write_machine(FILE *page, const json_t *machine)
{
    const char *key;
    json_t *value;

    fputs("<table>\n", page);
    json_object_foreach((json_t *)machine, key, value)
    {
        fputs("<tr><th>", page);
        plot_text(page, key);
        fputs("</th><td>", page);
        plot_text(page, json_string_value(value));
        fputs("</td></tr>\n", page);
    }
    fputs("</table>\n", page);
}

static void write_cell(FILE *page, const char *text)
{
    fputs("<td>", page);
    plot_text(page, text ? text : "");
    fputs("</td>", page);
}

static void write_number(FILE *page, double value, const char *unit)
{
    char number[32];
    fprintf(page, "<td class=\"n\">%s</td>", value > 0 ? plot_number(number, value, unit) : "");
}

static void write_all(FILE *page, const struct results *results)
{
    struct result row;

    fputs("<details><summary>Every figure</summary>\n<div "
          "class=\"wide\"><table>\n<tr><th>bench</th><th>case</th><th>unit</th><th>class</th>"
          "<th class=\"n\">median</th><th class=\"n\">min</th><th class=\"n\">max</th><th class=\"n\">rounds</th><th "
          "class=\"n\">ratio</th>"
          "<th class=\"n\">target</th><th></th></tr>\n",
          page);
    for (size_t i = 0; results_row(results, i, &row); i++) {
        fputs("<tr>", page);
        write_cell(page, row.bench);
        write_cell(page, row.name);
        write_cell(page, row.unit);
        write_cell(page, row.class);
        write_number(page, row.median, row.unit);
        write_number(page, row.min, row.unit);
        write_number(page, row.max, row.unit);
        fprintf(page, "<td class=\"n\">%lld</td>", row.rounds);
        write_number(page, row.ratio, "");
        write_number(page, row.target, "");
        write_cell(page, row.verdict);
        fputs("</tr>\n", page);
    }
    fputs("</table></div></details>\n", page);
}

static void write_part(FILE *page, const struct results *results, const char *class, bool is_only)
{
    const struct part part = {page, results, class};

    if (!is_only)
        fprintf(page, "<h2>While the processors were %s</h2>\n", class);
    tiles(&part);
    targets(&part);
    peers(&part);
    latency(&part);
    throughput(&part);
    scale(&part);
    memory(&part);
    limits(&part);
}

static const char *const classes[] = {"near", "sibling", "far"};

/* How many rows each class has; returns the largest. */
static size_t count_classes(const struct results *results, size_t counts[COUNT(classes)])
{
    struct result row;
    size_t most = 0;

    for (size_t c = 0; c < COUNT(classes); c++) {
        counts[c] = 0;
        for (size_t i = 0; results_row(results, i, &row); i++)
            counts[c] += row.class && strcmp(row.class, classes[c]) == 0;
        most = counts[c] > most ? counts[c] : most;
    }
    return most;
}

bool page_write(FILE *page, const struct results *results)
{
    size_t counts[COUNT(classes)], shown = 0;
    const size_t most = count_classes(results, counts);

    fprintf(page,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
            "content=\"width=device-width,initial-scale=1\"><title>spate-bench report</title>\n<style>\n%s</style></head><body>\n"
            "<h1>What this machine can do, and what Spate does with it</h1>\n"
            "<p>Medians of interleaved rounds, each measured between two looks at the cache line; the thin lines are the smallest "
            "and the "
            "largest round. A figure alone is mostly about who else used the machine: trust the ratios.</p>\n",
            style);
    if (results->machine)
        write_machine(page, results->machine);
    for (size_t c = 0; c < COUNT(classes); c++)
        shown += (double)counts[c] >= ENOUGH * (double)most && counts[c] > 0;
    for (size_t c = 0; c < COUNT(classes); c++)
        if ((double)counts[c] >= ENOUGH * (double)most && counts[c] > 0)
            write_part(page, results, classes[c], shown == 1);
    if (shown == 1)
        fputs("<p>Rounds in which the processors lay otherwise to each other (virtual machines move them) are in the table "
              "below.</p>\n",
              page);
    matrix(page, results);
    write_all(page, results);
    fputs("</body></html>\n", page);
    return !ferror(page);
}
