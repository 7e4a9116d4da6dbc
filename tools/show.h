/* show.h: a record as it lies in a ring or in a block of the log, for people and as JSON: what `dump` and `log dump` print.
 *
 * Bytes of others are escaped: nothing that is printed steers a terminal. Called by the commands, on standard output. */
#ifndef SHOW_H
#define SHOW_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <spate/inspect.h>

/* show_record: one line. timestamp: enum spate_timestamp of the topic. full: keys and values whole. */
void show_record(const struct spate_dump_record *record, uint32_t timestamp, bool full);

/* show_record_json: the same. name: of the topic. */
json_t *show_record_json(const struct spate_dump_record *record, const char *name, uint32_t timestamp);

/* show_timestamp: the name of an enum spate_timestamp. show_mode: of an enum spate_mode. */
const char *show_timestamp(uint32_t timestamp);
const char *show_mode(uint32_t mode);

#endif
