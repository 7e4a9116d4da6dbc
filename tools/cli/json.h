/* json.h: JSON objects one typed field at a time, and what libjansson lacks for us: bytes that may not be UTF-8, times, whole records.
 *
 * One rule for bytes, everywhere in the tools: a field that is valid UTF-8 is a JSON string; otherwise the field is absent and the field
 * of the same name with "_base64" appended holds the bytes in base64 (RFC 4648, padded). Nothing is lost and the JSON is always valid.
 * Out of memory ends the process, so no setter fails. Called by all commands with --json. */
#ifndef JSON_H
#define JSON_H

#include <jansson.h>

#include "cli/tool.h"

json_t *json_new(void); /* an empty object */

/* json_set: object[name] = value; takes the reference over. */
void json_set(json_t *object, const char *name, json_t *value);

void json_set_number(json_t *object, const char *name, int64_t value);
void json_set_size(json_t *object, const char *name, uint64_t value);
void json_set_boolean(json_t *object, const char *name, int value);
void json_set_hex(json_t *object, const char *name, uint64_t value);      /* "0x...": words that no JSON number holds exactly */
void json_set_id(json_t *object, const char *name, const uint8_t id[16]); /* 32 hexadecimal digits */
void json_set_time(json_t *object, const char *name, int64_t ns);         /* "2030-01-31T12:00:00.000Z"; null for 0 */
void json_set_text(json_t *object, const char *name, const char *text);   /* null for NULL; otherwise as json_text */

/* json_set_bytes: object[name], or object[name_base64], by the rule above; null when data is NULL. */
void json_set_bytes(json_t *object, const char *name, const void *data, size_t size);

/* json_text: a name that the bus holds; bytes that are not UTF-8 become "\xHH". */
json_t *json_text(const char *text);

/* json_record: a record with kcat's field names: topic, partition, offset, tstype, ts, headers, key, payload.
 *   timestamp  enum spate_timestamp of the topic: clock is kcat's "logappend", caller "create"; without timestamps both are absent
 * Headers are kcat's flat list [name, value, name, value, ...]; when one of them is not UTF-8, headers_base64 holds all in base64.
 * Returns NULL when the headers are damaged (or were overwritten while they were read). */
json_t *json_record(const char *topic, const struct spate_record *record, uint32_t timestamp);

/* json_write: to standard output, for people. json_write_compact: without a newline, for lines and documents written in pieces.
 * Both release the object. */
void json_write(json_t *object);
void json_write_compact(json_t *object);

#endif
