/* machine.h: what was measured on, in words.
 *
 * Called by report.c. */
#ifndef BENCH_REPORT_MACHINE_H
#define BENCH_REPORT_MACHINE_H

#include <jansson.h>

#include "place.h"

/* machine_describe: an object of texts: processor, cores, caches, memory, kernel, what changes figures (virtual machine, governor, huge
 * pages), compiler, version, date. */
json_t *machine_describe(const struct place *place);

#endif
