/* parse.h: values on the command line: the `set` functions of option tables (options.h).
 *
 * All are strict: the whole text must be the value, and what does not fit its type is refused, never cut. Each returns NULL, or a
 * static sentence on what is expected. Text and bytes are kept as pointers into argv. Called by options_parse. */
#ifndef PARSE_H
#define PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *data; /* NULL: not given, which differs from empty */
    size_t size;
};

struct start {     /* where a consumer begins */
    uint32_t kind; /* enum spate_start */
    int64_t value;
};

const char *set_switch(void *target, char *text);    /* bool */
const char *set_text(void *target, char *text);      /* const char *; not empty */
const char *set_partition(void *target, char *text); /* int32_t, 0 .. SPATE_PARTITIONS_MAX - 1 */
const char *set_count(void *target, char *text);     /* uint64_t, at least 1 */
const char *set_duration(void *target, char *text);  /* int64_t ns: "1.5s", "200ms", "2m"; seconds without a unit */
const char *set_wait(void *target, char *text);      /* uint32_t, enum spate_wait_strategy */
const char *set_policy(void *target, char *text);    /* uint32_t, enum spate_policy */
const char *set_watermark(void *target, char *text); /* uint32_t, enum spate_watermark */
const char *set_start(void *target, char *text);     /* struct start: beginning|end|OFFSET|-N|@TIME */
const char *set_escaped(void *target, char *text);   /* struct bytes, with \n \r \t \0 \\ \xHH; not empty */
const char *set_bytes(void *target, char *text);     /* struct bytes, as typed; may be empty */

/* parse_integer: a decimal number with an optional minus sign; false when it is not one or does not fit. */
bool parse_integer(const char *text, int64_t minimum, int64_t maximum, int64_t *ret_value);

/* parse_escape: the character after a backslash.
 *   text       points behind the backslash; on success *text points behind what was used
 * Returns      the byte, or -1 */
int parse_escape(const char **text);

/* parse_time: ns since 1970 from kcat's milliseconds since 1970, ISO 8601 ("2030-01-31", "2030-01-31T12:30:00.5Z", "...+02:00"; local
 * time without a zone) or "-10s", that long before `now`. */
bool parse_time(const char *text, int64_t now, int64_t *ret_time);

#endif
