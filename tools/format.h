/* format.h: kcat's format strings: how `consume` prints a record.
 *
 * Compiled once into pieces, rendered once per record into the output buffer. Tokens, as kcat has them:
 *     %t topic   %p partition   %o offset   %T timestamp (ms since 1970, -1: none)
 *     %k key     %K its size in bytes (-1: null)     %s value   %S its size (-1: null)   %R the same, 4 bytes, big-endian
 *     %h headers, name=value,name=value              %% a percent sign
 * and the escapes \n \r \t \0 \\ \xHH. Called by consume.c only. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/parse.h"
#include "cli/tool.h"

struct format_piece {
    char token; /* 0: the literal */
    struct bytes literal;
};

enum { FORMAT_PIECES_MAX = 256 };

struct format {
    struct format_piece pieces[FORMAT_PIECES_MAX];
    size_t count;
    bool show_null; /* print a null key or value as NULL, not as nothing (consume -Z) */
};

/* set_format: an option's set function (options.h); target is a struct format. */
const char *set_format(void *target, char *text);

/* format_default: key, key delimiter, value, delimiter; without a key when key_delimiter.data is NULL. */
void format_default(struct format *format, struct bytes key_delimiter, struct bytes delimiter);

/* format_record: append one record to standard output. Returns false when its headers are damaged (or were overwritten meanwhile). */
bool format_record(const struct format *format, const char *topic, const struct spate_record *record);

#endif
