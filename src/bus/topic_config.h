/* topic_config.h: whether a configuration is one that a topic can have, apart from whether there is room for it.
 *
 * spate_topic_create asks first of all; `spate topic create` does before it opens a bus, which may come to be by that. Any thread. */
#ifndef SP_BUS_TOPIC_CONFIG_H
#define SP_BUS_TOPIC_CONFIG_H

#include "spate/spate.h"

/* sp_topic_config_take: the configuration as it will be: complete, and with the ring's size rounded up.
 *   given      NULL: the defaults; may be of an older, shorter struct
 * Returns      0, -EINVAL (out of range, or settings that do not go together; the text says which) */
int sp_topic_config_take(const struct spate_topic_config *given, struct spate_topic_config *ret);

#endif
