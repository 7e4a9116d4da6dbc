/* table.h: rows of JSON objects as a table for people.
 *
 * Commands collect what they show once, as JSON; --json prints that, otherwise the same rows go through here. So both always agree, and
 * a column is one line in the command's table of columns. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

#include <jansson.h>

enum column_kind {
    COLUMN_TEXT,    /* left; text of others is shown with control characters replaced: names must not steer a terminal */
    COLUMN_NUMBER,  /* right */
    COLUMN_SIZE,    /* right, "8 MiB" */
    COLUMN_PERCENT, /* right */
};

struct column {
    const char *title;
    const char *key; /* of the row's object; "-" is shown where it is absent or null */
    enum column_kind kind;
};

/* table_print: on standard output: an empty line, the title, the columns' titles, the rows. Nothing when there are no rows.
 *   alarm      the title is shown as something to act on */
void table_print(const char *title, int alarm, const json_t *rows, const struct column *columns, size_t count);

/* table_fields: one object, a line for each of its fields. */
void table_fields(const json_t *object, const struct column *columns, size_t count);

/* table_size: bytes for people, e.g. "8 MiB", "1.5 GiB"; text must hold 32 bytes. Returns text. */
char *table_size(char *text, unsigned long long size);

#endif
