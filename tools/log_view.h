/* log_view.h: what the commands on log directories share: which directory is meant, and what verify found.
 *
 * Field names here are what scripts rely on: add, never rename. Only public headers are used. */
#ifndef LOG_VIEW_H
#define LOG_VIEW_H

#include <jansson.h>

#include <spate/log.h>

#include "cli/tool.h"

/* log_arguments: from `[DIR] [TOPIC]` to a path and a topic.
 * Of two words the first is the directory. A single one is, when it has a '/', is "." or "..", or, as long as no bus was chosen (--bus,
 * SPATE_BUS), when there is a directory of that name; else it is a topic. Without a directory it is that of the bus's log.
 *   path       receives the directory; static
 *   ret_topic  NULL when none was given
 * Returns      STATUS_GO_ON, or an exit status after a message */
int log_arguments(int argc, char **argv, const char **ret_path, const char **ret_topic);

/* log_of_bus: the log directory of a bus that is open. Returns as above. */
int log_of_bus(spate_bus *bus, const char **ret_path);

/* log_open: open a log directory to look. Returns as above. */
int log_open(const char *path, spate_log **ret_log);

/* log_no_topic: the message for a topic that is not there. Returns STATUS_FAILURE. */
int log_no_topic(const char *path, const char *topic);

/* log_verify: check it, and keep what was found as one object, with "violations" and "notes".
 * Returns STATUS_OK, STATUS_FOUND, or STATUS_FAILURE after a message */
int log_verify(const char *path, const char *topic, json_t **ret_object);
void log_verify_show(const json_t *object);

/* log_set_offsets: "offsets" as text, "5 .. 9", or null; and "first" and "next" as numbers. */
void log_set_offsets(json_t *row, int64_t first, int64_t next);

#endif
