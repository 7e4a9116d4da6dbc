/* matrix.h: the round trip of a cache line between every two processors.
 *
 * Part of `spate-bench scale`. One thread; starts two processes at a time. */
#ifndef BENCH_MATRIX_H
#define BENCH_MATRIX_H

#include "rounds.h"

#define MATRIX_CPUS_MAX 64 /* the first so many: 2016 pairs */

/* matrix_measure: all pairs of the processors that the rounds may use, once a round, and print them: a table of medians, and the median of
 * each relation (SMT siblings, two cores of one L3, ...);
 * with --json an object per pair. Returns STATUS_GO_ON, or an exit status after a message. */
int matrix_measure(const struct rounds *rounds);

#endif
