/* matrix.c: core-to-core latency, see matrix.h.
 *
 * Called by scale. Owns nothing between calls. */
#include "matrix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"

#define TRIPS 5000u
#define WIDE 24 /* processors that fit on a terminal */

struct pair {
    int a, b;
    double values[FIGURES_ROUNDS_MAX]; /* ns */
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The processors named by --pin, or all; each once. */
static int choose(const struct rounds *rounds, int cpus[MATRIX_CPUS_MAX])
{
    int count = 0;

    for (int i = 0; i < PLACE_CPUS_MAX && count < MATRIX_CPUS_MAX; i++) {
        for (int j = 0; j < count; j++)
            if (cpus[j] == rounds->cpus[i])
                return count; /* the list begins again */
        cpus[count++] = rounds->cpus[i];
    }
    return count;
}

static int measure_all(const struct rounds *rounds, struct pair *pairs, int count)
{
    for (uint64_t round = 0; round < rounds->count; round++) {
        for (int i = 0; i < count; i++) {
            struct quantiles line;
            int error = line_measure((const int[]){pairs[i].a, pairs[i].b}, TRIPS, &line);
            if (error)
                return error;
            pairs[i].values[round] = line.p50;
        }
    }
    for (int i = 0; i < count; i++)
        qsort(pairs[i].values, rounds->count, sizeof pairs[i].values[0], compare);
    return 0;
}

static double median_of(const struct rounds *rounds, const struct pair *pair)
{
    return pair->values[rounds->count / 2];
}

static void print_json(const struct rounds *rounds, const struct pair *pairs, int count)
{
    for (int i = 0; i < count; i++) {
        char name[64];
        json_t *row = json_new();
        snprintf(name, sizeof name, "line, processors %d and %d", pairs[i].a, pairs[i].b);
        json_set_text(row, "bench", "scale");
        json_set_text(row, "case", name);
        json_set_text(row, "unit", "ns");
        json_set(row, "median", json_real(median_of(rounds, &pairs[i])));
        json_set(row, "min", json_real(pairs[i].values[0]));
        json_set(row, "max", json_real(pairs[i].values[rounds->count - 1]));
        json_set_number(row, "rounds", (long long)rounds->count);
        json_set_number(row, "a", pairs[i].a);
        json_set_number(row, "b", pairs[i].b);
        json_set_text(row, "relation", place_relation_name(place_relate(pairs[i].a, pairs[i].b)));
        json_write_compact(row);
        output_print("\n");
    }
}

static void print_matrix(const struct rounds *rounds, const struct pair *pairs, const int *cpus, int n)
{
    output_print("\nround trip of a line, ns\n     ");
    for (int j = 0; j < n; j++)
        output_print("%6d", cpus[j]);
    for (int i = 0; i < n; i++) {
        output_print("\n%5d", cpus[i]);
        for (int j = 0; j < n; j++) {
            const int low = i < j ? i : j, high = i < j ? j : i;
            if (i == j)
                output_print("     -");
            else /* pairs are listed row by row, above the diagonal */
                output_print("%6.0f", median_of(rounds, &pairs[low * n - low * (low + 1) / 2 + high - low - 1]));
        }
    }
    output_print("\n");
}

/* For people a table of relations; each is the median of its pairs' medians. */
static void print_relations(const struct rounds *rounds, const struct pair *pairs, int count)
{
    static const struct column columns[] = {
        {"processors", "relation", COLUMN_TEXT}, {"pairs", "pairs", COLUMN_NUMBER}, {"median, ns", "median", COLUMN_NUMBER},
        {"min", "min", COLUMN_NUMBER},           {"max", "max", COLUMN_NUMBER},
    };
    double *values = tool_allocate((size_t)count, sizeof *values);
    json_t *rows = json_array();

    for (int relation = PLACE_SAME_CORE; relation <= PLACE_OTHER_NODE; relation++) {
        int found = 0;
        for (int i = 0; i < count; i++)
            if (place_relate(pairs[i].a, pairs[i].b) == (enum place_relation)relation)
                values[found++] = median_of(rounds, &pairs[i]);
        if (found == 0)
            continue;
        qsort(values, (size_t)found, sizeof *values, compare);
        json_t *row = json_new();
        json_set_text(row, "relation", place_relation_name((enum place_relation)relation));
        json_set_number(row, "pairs", found);
        json_set_number(row, "median", (long long)values[found / 2]);
        json_set_number(row, "min", (long long)values[0]);
        json_set_number(row, "max", (long long)values[found - 1]);
        json_array_append_new(rows, row);
    }
    table_print("by distance", 0, rows, columns, sizeof columns / sizeof columns[0]);
    json_decref(rows);
    free(values);
}

int matrix_measure(const struct rounds *rounds)
{
    int cpus[MATRIX_CPUS_MAX];
    const int n = choose(rounds, cpus), count = n * (n - 1) / 2;
    struct pair *pairs = tool_allocate((size_t)count, sizeof *pairs);
    int at = 0;

    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            pairs[at++] = (struct pair){.a = cpus[i], .b = cpus[j]};
    const int error = measure_all(rounds, pairs, count);
    if (error) {
        free(pairs);
        return error == -EINTR ? tool_error("stopped") : STATUS_FAILURE;
    }
    if (rounds->json) {
        print_json(rounds, pairs, count);
    } else {
        if (n <= WIDE)
            print_matrix(rounds, pairs, cpus, n);
        print_relations(rounds, pairs, count);
    }
    free(pairs);
    return STATUS_GO_ON;
}
