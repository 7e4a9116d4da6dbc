/* plot.h: three kinds of plots as SVG: lines over steps, horizontal bars, and a matrix.
 *
 * Written by hand, because what a plotting program makes of it would neither follow the page's light and dark colours nor show a value
 * under the pointer, and would be one more thing to install. Colours and fonts are the page's (page.c). All text is escaped here. */
#ifndef BENCH_REPORT_PLOT_H
#define BENCH_REPORT_PLOT_H

#include <stdbool.h>
#include <stdio.h>

#define PLOT_STEPS_MAX 16
#define PLOT_SERIES_MAX 8 /* as many as the page has colours */

/* plot_text: with < > & " escaped. */
void plot_text(FILE *page, const char *text);

/* plot_number: with a prefix where the unit takes one: "1.5 M", "480". Returns text, which must hold 32 bytes. */
char *plot_number(char *text, double value, const char *unit);

struct plot_series {
    const char *name;
    double values[PLOT_STEPS_MAX]; /* 0: none there */
};

/* plot_lines: a line per series over the steps, on a logarithmic scale; a legend below. */
void plot_lines(FILE *page, const char *unit, const char *const *steps, size_t steps_count, const struct plot_series *series,
                size_t series_count);

struct plot_bar {
    const char *name;
    double value, low, high; /* median; the spread is drawn as a thin line */
    double mark;             /* a tick, e.g. what it should reach; 0: none */
    enum { PLOT_PLAIN, PLOT_OURS, PLOT_GOOD, PLOT_BAD } kind;
    const char *more; /* under the pointer; NULL: nothing */
};

/* plot_bars: from the top down; `logarithmic` where values differ by orders of magnitude. */
void plot_bars(FILE *page, const char *unit, const struct plot_bar *bars, size_t count, bool logarithmic);

/* plot_matrix: n times n values, names[i] for row and column i; 0 is left empty. Smaller is better. */
void plot_matrix(FILE *page, const char *unit, const char *const *names, const double *values, size_t n);

#endif
