/* counters.h: what the counters are called: the table that is copied into each new bus, so that tools need none of their own. */
#ifndef SP_LAYOUT_COUNTERS_H
#define SP_LAYOUT_COUNTERS_H

#include <stddef.h>

#include "layout/bus_layout.h"

extern const struct sp_counter_descriptor sp_counter_descriptors[];
extern const size_t sp_counter_descriptors_count;

#endif
