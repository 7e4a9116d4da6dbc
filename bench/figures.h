/* figures.h: what was measured, round by round: medians, their spread, and what they are held against.
 *
 * Cases are measured in interleaved rounds: all of them once, then all again. Each round lies between two measurements of the cache line's
 * round trip (line.h), because on a virtual machine two processors may be siblings of one core in one second and far apart in the next:
 * rounds whose two ends differ are dropped, and figures are kept apart by class. One thread. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define FIGURES_ROUNDS_MAX 101
#define FIGURES_CASES_MAX 256 /* of one command */

/* How far apart two processors are, told from the round trip of a line. */
enum figures_class { FIGURES_SIBLING, FIGURES_NEAR, FIGURES_FAR, FIGURES_CLASSES };
enum figures_class figures_classify(double line_ns);
const char *figures_class_name(enum figures_class class);

struct figure {
    const char *name;   /* of the case */
    const char *unit;   /* "ns", "records/s", "bytes/s" */
    const char *limit;  /* what this one is held against; where it names another figure, that one. NULL: nothing */
    const char *note;   /* for programs: how it was measured; NULL: nothing to say */
    const char *column; /* for people: its place in the row of the figure that it follows, or begins; NULL: a row of its own */
    bool follows;       /* comes from the measurement of the figure before it */
    double target;      /* what the ratio should be: at least, or at_most; 0: none */
    bool at_most;
    struct {
        double values[FIGURES_ROUNDS_MAX], limits[FIGURES_ROUNDS_MAX], ratios[FIGURES_ROUNDS_MAX];
        uint32_t count;
    } of[FIGURES_CLASSES];
};

/* figures_add: one more value, and what it is held against, measured beside it (0: nothing). */
void figures_add(struct figure *figure, enum figures_class class, double value, double limit);

struct figures_summary {
    double median, min, max;
    double limit, ratio; /* medians: of the limits, and of the ratios of each round, which noise shakes less than either. 0: none */
    uint32_t rounds;
};
/* figures_is_met: whether the ratio is as its target says; true where there is no target. */
bool figures_is_met(const struct figure *figure, const struct figures_summary *summary);

/* figures_summarise: of one class; all 0 when there is no round. */
struct figures_summary figures_summarise(const struct figure *figure, enum figures_class class);

/* figures_find: by name; NULL when there is none. */
const struct figure *figures_find(const struct figure *figures, uint32_t count, const char *name);

/* figures_print: all figures that have values, as a table per class, or with `json` one JSON object a line.
 *   bench    the command's name */
void figures_print(const char *bench, const struct figure *figures, uint32_t count, bool json);

#endif
