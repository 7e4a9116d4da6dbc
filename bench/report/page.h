/* page.h: results as one HTML page that needs nothing else: plots, then every figure.
 *
 * Called by report.c. */
#ifndef BENCH_REPORT_PAGE_H
#define BENCH_REPORT_PAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "report/results.h"

/* page_write: Returns false when writing failed. */
bool page_write(FILE *page, const struct results *results);

#endif
