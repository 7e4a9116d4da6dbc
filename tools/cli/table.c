/* table.c: prints rows of JSON objects as a table with columns as wide as their widest cell.
 *
 * Owns nothing; called by the commands that list. Each cell is formatted twice, once to learn the width: simpler than keeping them. */
#include "cli/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

enum { CELL_SIZE = 300 };

char *table_size(char *text, unsigned long long size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)size;
    while (value >= 1024 && unit < 6) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, value < 10 && value != (double)(int)value ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

static const char *format_cell(char *cell, const json_t *row, const struct column *column)
{
    const json_t *value = json_object_get(row, column->key);
    if (json_is_string(value)) {
        snprintf(cell, CELL_SIZE, "%s", json_string_value(value));
        for (char *each = cell; *each != '\0'; each++)
            if (iscntrl((unsigned char)*each))
                *each = '?';
    } else if (json_is_integer(value) && column->kind == COLUMN_SIZE) {
        table_size(cell, (unsigned long long)json_integer_value(value));
    } else if (json_is_integer(value)) {
        snprintf(cell, CELL_SIZE, column->kind == COLUMN_PERCENT ? "%lld%%" : "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(cell, CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
    } else {
        snprintf(cell, CELL_SIZE, "-");
    }
    return cell;
}

static void print_cell(const char *cell, const struct column *column, int width, int is_last)
{
    if (column->kind != COLUMN_TEXT)
        output_print("%*s", width, cell);
    else
        output_print("%-*s", is_last ? 0 : width, cell);
    output_print("%s", is_last ? "\n" : "  ");
}

void table_print(const char *title, int alarm, const json_t *rows, const struct column *columns, size_t count)
{
    size_t rows_count = json_array_size(rows);
    if (rows_count == 0)
        return;
    char cell[CELL_SIZE];
    int *widths = calloc(count, sizeof(*widths));
    if (widths == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        widths[i] = (int)strlen(columns[i].title);
        for (size_t row = 0; row < rows_count; row++) {
            int width = (int)strlen(format_cell(cell, json_array_get(rows, row), &columns[i]));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    int coloured = output_is_terminal() && getenv("NO_COLOR") == NULL;
    const char *start = !coloured ? "" : alarm ? "\033[1;31m" : "\033[1m";
    output_print("\n%s%s%s\n", start, title, coloured ? "\033[0m" : "");
    for (size_t i = 0; i < count; i++)
        print_cell(columns[i].title, &columns[i], widths[i], i + 1 == count);
    for (size_t row = 0; row < rows_count; row++)
        for (size_t i = 0; i < count; i++)
            print_cell(format_cell(cell, json_array_get(rows, row), &columns[i]), &columns[i], widths[i], i + 1 == count);
    free(widths);
}

void table_fields(const json_t *object, const struct column *columns, size_t count)
{
    char cell[CELL_SIZE];
    int width = 0;
    for (size_t i = 0; i < count; i++)
        width = (int)strlen(columns[i].title) > width ? (int)strlen(columns[i].title) : width;
    for (size_t i = 0; i < count; i++)
        output_print("%-*s  %s\n", width, columns[i].title, format_cell(cell, object, &columns[i]));
}
