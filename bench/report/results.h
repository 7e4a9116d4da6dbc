/* results.h: the lines that the measuring commands print with --json, collected: read, looked up, written as JSON lines and CSV.
 *
 * The lines may come from another machine or another hand: what is not as expected is refused with its line number. One thread. */
#ifndef BENCH_REPORT_RESULTS_H
#define BENCH_REPORT_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct results {
    json_t *machine; /* an object of texts, described by whoever measured; NULL: not known */
    json_t *rows;    /* an array of objects, each with bench, case, unit, median, min, max */
};

void results_init(struct results *results);
void results_free(struct results *results);

/* results_add: one line. Returns NULL, or why it was refused. */
const char *results_add(struct results *results, const char *line);

/* results_read: a file of such lines. Returns STATUS_GO_ON, or an exit status after a message. */
int results_read(struct results *results, const char *path);

/* results_write_lines, results_write_csv: Returns false when writing failed. */
bool results_write_lines(const struct results *results, FILE *file);
bool results_write_csv(const struct results *results, FILE *file);

/* One row, as numbers; what it does not have is 0 or NULL. Texts live as long as the results. */
struct result {
    const char *bench, *name, *unit, *class, *relation, *note, *verdict;
    double median, min, max, limit, ratio, target;
    long long rounds, a, b;
};
/* results_row: the index-th, false at the end. results_find: the row of a case; class NULL: any. */
bool results_row(const struct results *results, size_t index, struct result *ret);
bool results_find(const struct results *results, const char *bench, const char *name, const char *class, struct result *ret);

#endif
