/* counters.h: what the counters are called.
 *
 * The table is copied into each new bus when it is formatted, so that tools need none of their own. Constant data. */
#ifndef SP_LAYOUT_COUNTERS_H
#define SP_LAYOUT_COUNTERS_H

#include <stddef.h>

#include "layout/bus_layout.h"

extern const struct sp_counter_descriptor sp_counter_descriptors[];
extern const size_t sp_counter_descriptors_count;

#endif
