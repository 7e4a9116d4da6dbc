/* view.h: what topics, rings, cursors and claims look like as JSON rows; `topic` and `stat` show them, as tables or as they are.
 *
 * Field names here are what scripts rely on: add, never rename. Each row carries its topic and partition, so the lists are flat and one
 * jq filter finds anything. Nothing here writes to shared memory. */
#ifndef VIEW_H
#define VIEW_H

#include <jansson.h>

#include "cli/tool.h"

struct view_lists { /* arrays; rows are appended */
    json_t *topics, *rings, *producers, *cursors, *stalled;
    json_t *logs;     /* of the partitions of durable topics */
    int logs_stopped; /* of these, how many have failed or are full */
};

void view_lists_init(struct view_lists *lists);
void view_lists_free(struct view_lists *lists);

/* view_topic: configuration and identity. */
json_t *view_topic(const struct spate_topic_info *info);

/* view_rings: a topic's row, and those of all its partitions with their producers, cursors and stalled claims.
 * Returns 0, or -errno of the first partition that could not be looked at; the others are there. */
int view_rings(spate_topic *topic, struct view_lists *lists);

json_t *view_participant(const struct spate_participant_info *info);

#endif
