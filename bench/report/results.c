/* results.c: see results.h.
 *
 * Called by report.c and page.c. Owns the two JSON values. */
#include "report/results.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tool.h"

#define ROWS_MAX 100000u

static const char *const texts[] = {"bench", "case", "unit", "class", "relation", "note", "verdict"};
static const char *const numbers[] = {"median", "min", "max", "limit", "ratio", "target", "rounds", "a", "b"};
enum { TEXTS = sizeof texts / sizeof texts[0], NUMBERS = sizeof numbers / sizeof numbers[0] };

void results_init(struct results *results)
{
    *results = (struct results){.rows = json_array()};
    if (!results->rows)
        tool_out_of_memory();
}

void results_free(struct results *results)
{
    json_decref(results->machine);
    json_decref(results->rows);
}

static bool all_texts(const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value) if (!json_is_string(value)) return false;
    return true;
}

static const char *check(const json_t *row)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const json_t *value = json_object_get(row, texts[i]);
        if ((!value && i < 3) || (value && !json_is_string(value)))
            return "bench, case and unit must be texts";
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        const json_t *value = json_object_get(row, numbers[i]);
        if ((!value && i < 3) || (value && !json_is_number(value)) || (value && !isfinite(json_number_value(value))) ||
            (value && json_number_value(value) < 0))
            return "median, min and max must be numbers that are not negative";
    }
    return NULL;
}

const char *results_add(struct results *results, const char *line)
{
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *reason = json_is_object(object) ? NULL : "it is not a JSON object";
    json_t *machine = reason ? NULL : json_object_get(object, "machine");

    if (machine && (!json_is_object(machine) || !all_texts(machine)))
        reason = "the machine must be an object of texts";
    else if (!reason && !machine)
        reason = check(object);
    if (!reason && json_array_size(results->rows) >= ROWS_MAX)
        reason = "there are too many";
    if (!reason && machine) {
        json_decref(results->machine);
        results->machine = json_incref(machine);
    } else if (!reason) {
        json_array_append(results->rows, object);
    }
    json_decref(object);
    return reason;
}

int results_read(struct results *results, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    const char *reason = NULL;

    if (!file)
        return tool_error("cannot read %s: %s", path, strerror(errno));
    for (unsigned long number = 1; !reason && getline(&line, &size, file) >= 0; number++) {
        reason = results_add(results, line);
        if (reason)
            tool_error("%s, line %lu: %s", path, number, reason);
    }
    if (!reason && ferror(file)) {
        reason = strerror(errno);
        tool_error("cannot read %s: %s", path, reason);
    }
    if (!reason && json_array_size(results->rows) == 0) {
        reason = "empty";
        tool_error("%s has no measurement in it", path);
    }
    free(line);
    fclose(file);
    return reason ? STATUS_FAILURE : STATUS_GO_ON;
}

bool results_write_lines(const struct results *results, FILE *file)
{
    size_t index;
    json_t *row;

    if (results->machine) {
        fputs("{\"machine\":", file);
        json_dumpf(results->machine, file, JSON_COMPACT);
        fputs("}\n", file);
    }
    json_array_foreach(results->rows, index, row)
    {
        json_dumpf(row, file, JSON_COMPACT | JSON_REAL_PRECISION(7));
        fputc('\n', file);
    }
    return !ferror(file);
}

/* Quoted as RFC 4180 has it. A text that a spreadsheet might take for a formula begins with an apostrophe. */
static void write_field(FILE *file, const char *text)
{
    fputc('"', file);
    if (*text && strchr("=+@\t\r", *text))
        fputc('\'', file);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

bool results_write_csv(const struct results *results, FILE *file)
{
    size_t index;
    json_t *row;

    for (size_t i = 0; i < TEXTS + NUMBERS; i++)
        fprintf(file, "%s%s", i ? "," : "", i < TEXTS ? texts[i] : numbers[i - TEXTS]);
    fputs("\r\n", file);
    json_array_foreach(results->rows, index, row)
    {
        for (size_t i = 0; i < TEXTS + NUMBERS; i++) {
            const json_t *value = json_object_get(row, i < TEXTS ? texts[i] : numbers[i - TEXTS]);
            if (i > 0)
                fputc(',', file);
            if (json_is_string(value))
                write_field(file, json_string_value(value));
            else if (value)
                fprintf(file, "%.7g", json_number_value(value));
        }
        fputs("\r\n", file);
    }
    return !ferror(file);
}

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static double number_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

bool results_row(const struct results *results, size_t index, struct result *ret)
{
    const json_t *row = json_array_get(results->rows, index);

    if (!row)
        return false;
    *ret = (struct result){
        .bench = text_of(row, "bench"),
        .name = text_of(row, "case"),
        .unit = text_of(row, "unit"),
        .class = text_of(row, "class"),
        .relation = text_of(row, "relation"),
        .note = text_of(row, "note"),
        .verdict = text_of(row, "verdict"),
        .median = number_of(row, "median"),
        .min = number_of(row, "min"),
        .max = number_of(row, "max"),
        .limit = number_of(row, "limit"),
        .ratio = number_of(row, "ratio"),
        .target = number_of(row, "target"),
        .rounds = (long long)number_of(row, "rounds"),
        .a = (long long)number_of(row, "a"),
        .b = (long long)number_of(row, "b"),
    };
    return true;
}

bool results_find(const struct results *results, const char *bench, const char *name, const char *class, struct result *ret)
{
    for (size_t i = 0; results_row(results, i, ret); i++)
        if (strcmp(ret->bench, bench) == 0 && strcmp(ret->name, name) == 0 &&
            (!class || (ret->class && strcmp(ret->class, class) == 0)))
            return true;
    return false;
}
