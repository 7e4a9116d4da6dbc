/* rounds.h: the loop around all measurements: interleaved rounds, each case between two looks at the line, dropped when the processors
 * moved meanwhile.
 *
 * A command gives its cases and a function that measures one; options, calibration, progress, printing are here. One thread. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "cli/options.h"
#include "figures.h"
#include "line.h"
#include "place.h"

struct rounds {
    /* from the command line: rounds_options */
    const char *pin;
    const char *only; /* cases whose names contain it (and those they are held against); NULL: all */
    uint64_t count;
    int64_t time; /* ns, about, for all of it; 0: the command's default */
    bool json;
    /* for the measuring function */
    struct place place;
    struct quantiles line;    /* measured just before */
    double slice;             /* seconds that one case should take */
    int cpus[PLACE_CPUS_MAX]; /* chosen, nearest together first */
};

/* The options that all measuring commands have; `more` own ones may follow in the array that they are copied to. */
#define ROUNDS_OPTIONS 5
void rounds_options(struct rounds *rounds, struct option_spec specs[ROUNDS_OPTIONS]);

/* The set functions of --pin and --rounds, for option tables (cli/options.h). */
const char *rounds_set_pin(void *target, char *text);   /* const char * */
const char *rounds_set_count(void *target, char *text); /* uint64_t */

/* rounds_start: after the options were parsed: learn the machine, calibrate the clock, say where it runs.
 * Returns STATUS_GO_ON, or an exit status after a message (a build with sanitizers or without optimisation is refused) */
int rounds_start(struct rounds *rounds);

/* One case, measured. */
struct measured {
    double value; /* 0: not to be had here */
    double limit; /* what it is held against, measured beside it; 0: by the name in its figure, or nothing */
};

/* rounds_run: measure all cases `count` times and print them.
 *   bench      the command's name
 *   figures    one per case, named; those that follow another are of its measurement, and asked for after it
 *   measure    one case: 0, or a negative error after a message
 *   seconds    default for all of it
 * Returns an exit status */
int rounds_run(struct rounds *rounds, const char *bench, struct figure *figures, uint32_t cases,
               int (*measure)(void *context, uint32_t index, struct measured *ret), void *context, double seconds);

#endif
