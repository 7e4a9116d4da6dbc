/* figures.c: collecting, summing up and printing figures.
 *
 * Called by the measuring commands. Owns nothing. */
#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"

#define SIBLING_BELOW 95.0 /* ns; what siblings of one core, cores of one L3, and others showed on Zen 4 and Sapphire Rapids */
#define NEAR_BELOW 300.0
#define NOISY_SPREAD 1.5 /* largest value to median: beyond it, somebody else was on the machine */

enum figures_class figures_classify(double line_ns)
{
    return line_ns < SIBLING_BELOW ? FIGURES_SIBLING : line_ns < NEAR_BELOW ? FIGURES_NEAR : FIGURES_FAR;
}

const char *figures_class_name(enum figures_class class)
{
    static const char *const names[] = {"sibling", "near", "far"};
    return names[class];
}

void figures_add(struct figure *figure, enum figures_class class, double value, double limit)
{
    const uint32_t at = figure->of[class].count;

    if (at == FIGURES_ROUNDS_MAX)
        return;
    figure->of[class].values[at] = value;
    figure->of[class].limits[at] = limit;
    figure->of[class].ratios[at] = limit > 0 ? value / limit : 0;
    figure->of[class].count++;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *sorted, uint32_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static void sort(double *sorted, const double *values, uint32_t count)
{
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
}

struct figures_summary figures_summarise(const struct figure *figure, enum figures_class class)
{
    struct figures_summary summary = {.rounds = figure->of[class].count};
    double sorted[FIGURES_ROUNDS_MAX];

    if (summary.rounds == 0)
        return summary;
    sort(sorted, figure->of[class].limits, summary.rounds);
    summary.limit = median(sorted, summary.rounds);
    sort(sorted, figure->of[class].ratios, summary.rounds);
    summary.ratio = median(sorted, summary.rounds);
    sort(sorted, figure->of[class].values, summary.rounds);
    summary.median = median(sorted, summary.rounds);
    summary.min = sorted[0];
    summary.max = sorted[summary.rounds - 1];
    return summary;
}

bool figures_is_met(const struct figure *figure, const struct figures_summary *summary)
{
    if (figure->target == 0)
        return true;
    return figure->at_most ? summary->ratio <= figure->target : summary->ratio >= figure->target;
}

const struct figure *figures_find(const struct figure *figures, uint32_t count, const char *name)
{
    for (uint32_t i = 0; name && i < count; i++)
        if (strcmp(figures[i].name, name) == 0)
            return &figures[i];
    return NULL;
}

/* 1234567.8 as "1.23 M": three digits are more than any of these figures is worth. */
static json_t *for_people(double value, const char *unit)
{
    static const char *const prefixes[] = {"", " k", " M", " G", " T"};
    char text[48];
    size_t power = 0;

    if (strcmp(unit, "ns") != 0)
        for (; value >= 1000 && power < 4; power++)
            value /= 1000;
    snprintf(text, sizeof text, "%.*f%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, prefixes[power]);
    return json_string(text);
}

static void set_ratio(json_t *row, const char *key, const char *format, double value, bool for_table)
{
    char text[32];
    snprintf(text, sizeof text, format, value);
    json_set(row, key, for_table ? json_string(text) : json_real(value));
}

static json_t *row_of(const char *bench, const struct figure *figure, enum figures_class class, bool for_table)
{
    const struct figures_summary summary = figures_summarise(figure, class);
    json_t *row = json_new();

    json_set_text(row, "bench", bench);
    json_set_text(row, "case", figure->name);
    json_set_text(row, "unit", figure->unit);
    json_set(row, "median", for_table ? for_people(summary.median, figure->unit) : json_real(summary.median));
    json_set(row, "min", for_table ? for_people(summary.min, figure->unit) : json_real(summary.min));
    json_set(row, "max", for_table ? for_people(summary.max, figure->unit) : json_real(summary.max));
    json_set_text(row, "class", figures_class_name(class));
    json_set_number(row, "rounds", summary.rounds);
    if (summary.limit > 0) {
        json_set(row, "limit", for_table ? json_string(figure->limit) : json_real(summary.limit));
        set_ratio(row, "ratio", summary.ratio < 0.1 ? "%.4f" : "%.2f", summary.ratio, for_table);
    }
    if (figure->note && !for_table)
        json_set_text(row, "note", figure->note);
    if (figure->target > 0) {
        set_ratio(row, "target", figure->at_most ? "<= %.2f" : ">= %.2f", figure->target, for_table);
        json_set_text(row, "verdict", figures_is_met(figure, &summary) ? "ok" : "short");
    }
    return row;
}

/* Quantiles side by side: a row is a figure and those that follow it. The ratio is that of the middle, p50. */
static void print_columns(const struct figure *figures, uint32_t count, enum figures_class class)
{
    static const struct column columns[] = {
        {"case", "case", COLUMN_TEXT},         {"min", "min", COLUMN_NUMBER}, {"p50", "p50", COLUMN_NUMBER},
        {"p90", "p90", COLUMN_NUMBER},         {"p99", "p99", COLUMN_NUMBER}, {"p99.9", "p99.9", COLUMN_NUMBER},
        {"p99.99", "p99.99", COLUMN_NUMBER},   {"max", "max", COLUMN_NUMBER}, {"rounds", "rounds", COLUMN_NUMBER},
        {"p50 ratio", "ratio", COLUMN_NUMBER}, {"of", "limit", COLUMN_TEXT},
    };
    json_t *rows = json_array(), *row = NULL;

    for (uint32_t i = 0; i < count; i++) {
        const struct figures_summary summary = figures_summarise(&figures[i], class);
        if (summary.rounds == 0)
            continue;
        if (!figures[i].follows) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)(strrchr(figures[i].name, ',') - figures[i].name), figures[i].name);
            row = json_new();
            json_set_text(row, "case", name);
            json_set_number(row, "rounds", summary.rounds);
            json_array_append_new(rows, row);
        }
        json_set(row, figures[i].column, for_people(summary.median, figures[i].unit));
        if (summary.limit > 0 && strcmp(figures[i].column, "p50") == 0) {
            json_set(row, "limit", json_string(figures[i].limit));
            set_ratio(row, "ratio", "%.2f", summary.ratio, true);
        }
    }
    table_print(figures_class_name(class), 0, rows, columns, sizeof columns / sizeof columns[0]);
    json_decref(rows);
}

static void print_class(const char *bench, const struct figure *figures, uint32_t count, enum figures_class class, bool json)
{
    static const struct column columns[] = {
        {"case", "case", COLUMN_TEXT},     {"unit", "unit", COLUMN_TEXT}, {"median", "median", COLUMN_NUMBER},
        {"min", "min", COLUMN_NUMBER},     {"max", "max", COLUMN_NUMBER}, {"rounds", "rounds", COLUMN_NUMBER},
        {"ratio", "ratio", COLUMN_NUMBER}, {"of", "limit", COLUMN_TEXT},  {"target", "target", COLUMN_TEXT},
        {"", "verdict", COLUMN_TEXT},
    };
    bool has_targets = false;
    json_t *rows = json_array();
    bool noisy = false;

    for (uint32_t i = 0; i < count; i++) {
        const struct figures_summary summary = figures_summarise(&figures[i], class);
        if (summary.rounds == 0)
            continue;
        noisy |= summary.max > NOISY_SPREAD * summary.median || summary.median > NOISY_SPREAD * summary.min;
        has_targets |= figures[i].target > 0;
        json_t *row = row_of(bench, &figures[i], class, !json);
        if (json) {
            json_write_compact(row);
            output_print("\n");
        } else {
            json_array_append_new(rows, row);
        }
    }
    table_print(figures_class_name(class), 0, rows, columns, sizeof columns / sizeof columns[0] - (has_targets ? 0 : 2));
    if (!json && noisy)
        output_print("The machine was noisy: some rounds differ by more than half. Trust the ratios more than the figures.\n");
    json_decref(rows);
}

void figures_print(const char *bench, const struct figure *figures, uint32_t count, bool json)
{
    for (int class = 0; class < FIGURES_CLASSES; class ++)
        if (figures[0].column && !json)
            print_columns(figures, count, (enum figures_class) class);
        else
            print_class(bench, figures, count, (enum figures_class) class, json);
}
