/* log_view.c: see log_view.h.
 *
 * Owns the path it hands out, which lives as long as the process. */
#include "log_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"

/* ----------------------------------------------------------------------------------------------------------- arguments */

int log_of_bus(spate_bus *bus, const char **ret_path)
{
    static char path[4096];
    int error = spate_log_find(bus, path, sizeof(path));
    if (error != 0)
        return tool_failed(error, "which log");
    *ret_path = path;
    return STATUS_GO_ON;
}

/* find_log: of the bus that --bus, SPATE_BUS or the default choose. It is not made for that. */
static int find_log(const char **ret_path)
{
    spate_bus *bus;
    struct spate_bus_options options;
    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_OPEN_ONLY | SPATE_BUS_OBSERVE;
    int error = spate_bus_open(NULL, &options, &bus);
    if (error != 0)
        return tool_failed(error, "cannot open the bus (its log directory can be named as well)");
    int status = log_of_bus(bus, ret_path);
    spate_bus_close(bus);
    return status;
}

/* Where a bus is named its topics come first, and only what cannot be a topic's name is a directory. */
static bool is_directory(const char *word, bool is_bus_named)
{
    struct stat status;
    if (strchr(word, '/') != NULL || strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
        return true;
    return !is_bus_named && stat(word, &status) == 0 && S_ISDIR(status.st_mode);
}

int log_arguments(int argc, char **argv, const char **ret_path, const char **ret_topic)
{
    const char *bus = getenv("SPATE_BUS"); /* --bus sets it */
    *ret_path = *ret_topic = NULL;
    if (argc == 2 || (argc == 1 && is_directory(argv[0], bus != NULL && bus[0] != '\0')))
        *ret_path = argv[0];
    if (argc > (*ret_path != NULL))
        *ret_topic = argv[argc - 1];
    return *ret_path != NULL ? STATUS_GO_ON : find_log(ret_path);
}

int log_open(const char *path, spate_log **ret_log)
{
    int error = spate_log_open(path, ret_log);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot open the log");
}

int log_no_topic(const char *path, const char *topic)
{
    return tool_error("no topic '%s' in the log %s: `spate log ls %s` shows those there are", topic, path, path);
}

/* -------------------------------------------------------------------------------------------------------------- verify */

void log_set_offsets(json_t *row, int64_t first, int64_t next)
{
    bool known = first >= 0;
    json_set(row, "first", known ? json_integer(first) : json_null());
    json_set(row, "next", known ? json_integer(next) : json_null());
    if (!known)
        json_set(row, "offsets", json_null());
    else if (next > first)
        json_set(row, "offsets", json_sprintf("%" PRId64 " .. %" PRId64, first, next - 1));
    else
        json_set(row, "offsets", json_sprintf("from %" PRId64, first));
}

struct findings {
    json_t *violations, *notes;
};

static int visit_finding(void *context, const struct spate_log_finding *finding)
{
    struct findings *findings = context;
    bool has_place = finding->at != 0 || finding->end != 0;
    json_t *row = json_new();
    json_set_text(row, "file", finding->file);
    json_set_text(row, "rule", finding->rule);
    log_set_offsets(row, finding->first, finding->next);
    json_set(row, "at", has_place ? json_integer((json_int_t)finding->at) : json_null());
    json_set(row, "end", has_place ? json_integer((json_int_t)finding->end) : json_null());
    json_set(row, "bytes", has_place ? json_sprintf("%" PRIu64 " .. %" PRIu64, finding->at, finding->end) : json_null());
    json_set_text(row, "detail", finding->detail);
    json_array_append_new(finding->violation ? findings->violations : findings->notes, row);
    return 0;
}

int log_verify(const char *path, const char *topic, json_t **ret_object)
{
    struct spate_log_verify_result result = {0};
    spate_log *log;
    int status = log_open(path, &log);
    if (status != STATUS_GO_ON)
        return status;
    if (isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1)
        fprintf(stderr, "verifying the log %s ...\n", path);
    struct findings findings = {json_array(), json_array()};
    int error = spate_log_verify(log, topic, &result, visit_finding, &findings);
    json_t *object = json_new();
    json_set_text(object, "directory", path);
    json_set_size(object, "topics", result.topics);
    json_set_size(object, "partitions", result.partitions);
    json_set_size(object, "segments", result.segments);
    json_set_size(object, "blocks", result.blocks);
    json_set_size(object, "records", result.records);
    json_set_size(object, "aborted", result.aborted);
    json_set_size(object, "superseded", result.superseded);
    json_set_size(object, "bytes", result.bytes);
    json_set(object, "violations", findings.violations);
    json_set(object, "notes", findings.notes);
    spate_log_close(log);
    *ret_object = object;
    if (error == -ENOENT && topic != NULL)
        status = log_no_topic(path, topic);
    else if (error != 0)
        status = tool_failed(error, "cannot verify the log %s", path);
    else
        status = result.violations != 0 ? STATUS_FOUND : STATUS_OK;
    return status;
}

static void print_count(const json_t *object, const char *key, const char *one, const char *after)
{
    const long long count = (long long)json_integer_value(json_object_get(object, key));
    output_print("%lld %s%s%s", count, one, count == 1 ? "" : "s", after);
}

void log_verify_show(const json_t *object)
{
    static const struct column columns[] = {{"file", "file", COLUMN_TEXT},
                                            {"rule", "rule", COLUMN_TEXT},
                                            {"offsets", "offsets", COLUMN_TEXT},
                                            {"bytes", "bytes", COLUMN_TEXT},
                                            {"detail", "detail", COLUMN_TEXT}};
    const size_t count = sizeof(columns) / sizeof(columns[0]);
    const json_t *violations = json_object_get(object, "violations"), *notes = json_object_get(object, "notes");
    char size[32];
    output_print("log %s: ", json_string_value(json_object_get(object, "directory")));
    print_count(object, "topics", "topic", ", ");
    print_count(object, "partitions", "partition", ", ");
    print_count(object, "segments", "segment", ", ");
    print_count(object, "blocks", "block", " of ");
    output_print("%s, ", table_size(size, (unsigned long long)json_integer_value(json_object_get(object, "bytes"))));
    print_count(object, "records", "record", ", ");
    output_print("%lld aborted", (long long)json_integer_value(json_object_get(object, "aborted")));
    if (json_integer_value(json_object_get(object, "superseded")) != 0) /* by compaction */
        output_print(", %lld superseded", (long long)json_integer_value(json_object_get(object, "superseded")));
    output_print(": ");
    if (json_array_size(violations) == 0)
        output_print("no violations\n");
    else
        output_print("%zu violations\n", json_array_size(violations));
    table_print("violations", 1, violations, columns, count);
    table_print("notes: nothing is wrong there", 0, notes, columns, count);
    if (json_array_size(violations) != 0)
        output_print("\nWhat to do: copy the directory; then stop spated and try `spate log repair`, which says what it would do. "
                     "What can be read\nstays readable meanwhile: consumers are told of the offsets that cannot.\n");
}
