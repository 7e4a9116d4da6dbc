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

void figures_add(struct figure *figure, enum figures_class class, double value)
{
    if (figure->of[class].count < FIGURES_ROUNDS_MAX)
        figure->of[class].values[figure->of[class].count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct figures_summary figures_summarise(const struct figure *figure, enum figures_class class)
{
    double sorted[FIGURES_ROUNDS_MAX];
    const uint32_t count = figure->of[class].count;

    if (count == 0)
        return (struct figures_summary){0};
    memcpy(sorted, figure->of[class].values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    return (struct figures_summary){
        .median = count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2,
        .min = sorted[0],
        .max = sorted[count - 1],
        .rounds = count,
    };
}

static const struct figure *find(const struct figure *figures, uint32_t count, const char *name)
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

static json_t *row_of(const char *bench, const struct figure *figures, uint32_t count, uint32_t index, enum figures_class class,
                      bool for_table)
{
    const struct figure *figure = &figures[index], *limit = find(figures, count, figure->limit);
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
    if (limit && figures_summarise(limit, class).rounds) {
        double against = figures_summarise(limit, class).median;
        char ratio[32];
        snprintf(ratio, sizeof ratio, "%.2f", summary.median / against);
        json_set(row, "limit", for_table ? json_string(limit->name) : json_real(against));
        json_set(row, "ratio", for_table ? json_string(ratio) : json_real(summary.median / against));
    }
    return row;
}

static void print_class(const char *bench, const struct figure *figures, uint32_t count, enum figures_class class, bool json)
{
    static const struct column columns[] = {
        {"case", "case", COLUMN_TEXT},     {"unit", "unit", COLUMN_TEXT}, {"median", "median", COLUMN_NUMBER},
        {"min", "min", COLUMN_NUMBER},     {"max", "max", COLUMN_NUMBER}, {"rounds", "rounds", COLUMN_NUMBER},
        {"ratio", "ratio", COLUMN_NUMBER}, {"of", "limit", COLUMN_TEXT},
    };
    json_t *rows = json_array();
    bool noisy = false;

    for (uint32_t i = 0; i < count; i++) {
        const struct figures_summary summary = figures_summarise(&figures[i], class);
        if (summary.rounds == 0)
            continue;
        noisy |= summary.max > NOISY_SPREAD * summary.median || summary.median > NOISY_SPREAD * summary.min;
        json_t *row = row_of(bench, figures, count, i, class, !json);
        if (json) {
            json_write_compact(row);
            output_print("\n");
        } else {
            json_array_append_new(rows, row);
        }
    }
    table_print(figures_class_name(class), 0, rows, columns, sizeof columns / sizeof columns[0]);
    if (!json && noisy)
        output_print("The machine was noisy: some rounds differ by more than half. Trust the ratios more than the figures.\n");
    json_decref(rows);
}

void figures_print(const char *bench, const struct figure *figures, uint32_t count, bool json)
{
    for (int class = 0; class < FIGURES_CLASSES; class ++)
        print_class(bench, figures, count, (enum figures_class) class, json);
}
