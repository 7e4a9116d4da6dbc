/* verify.c: `spate verify`: every invariant of a bus, walked; each one that broke is named with its file and place.
 *
 * Observes only, works on a live bus as on a dead one. A bus or topic that cannot even be opened because its bytes are wrong is a
 * violation like any other, not a failure of the tool. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/table.h"
#include "commands.h"
#include "log_view.h"

static int visit(void *context, const struct spate_violation *violation)
{
    json_t *row = json_new();
    json_set_text(row, "file", violation->file);
    json_set_text(row, "rule", violation->rule);
    json_set_text(row, "detail", violation->detail);
    json_array_append_new(context, row);
    return 0;
}

/* add_unreadable: what kept the library from looking, as a violation. */
static void add_unreadable(json_t *violations, struct spate_verify_result *result)
{
    struct spate_violation violation = {.file = "bus", .rule = "readable"};
    snprintf(violation.detail, sizeof(violation.detail), "%s", spate_last_error());
    visit(violations, &violation);
    result->violations++;
}

static void show_text(const struct spate_verify_result *result, const json_t *violations)
{
    static const struct column columns[] = {
        {"file", "file", COLUMN_TEXT}, {"rule", "rule", COLUMN_TEXT}, {"detail", "detail", COLUMN_TEXT}};
    output_print("%" PRIu64 " files, %" PRIu64 " rules checked, %" PRIu64 " records, %" PRIu64 " aborted: ", result->files,
                 result->rules_checked, result->records, result->aborted);
    if (result->violations == 0)
        output_print("no violations\n");
    else
        output_print("%" PRIu64 " violations\n", result->violations);
    table_print("violations", 1, violations, columns, sizeof(columns) / sizeof(columns[0]));
    if (result->violations != 0)
        output_print(
            "\nWhat to do: stop using the files named; `spate dump --file` shows what is in a ring; then delete the topic.\n");
}

static void show_json(const struct spate_verify_result *result, json_t *violations, json_t *log)
{
    json_t *object = json_new();
    json_set_size(object, "files", result->files);
    json_set_size(object, "rules_checked", result->rules_checked);
    json_set_size(object, "records", result->records);
    json_set_size(object, "aborted", result->aborted);
    json_set(object, "violations", json_incref(violations));
    if (log != NULL)
        json_set(object, "log", json_incref(log));
    json_write(object);
}

/* verify: open the bus and walk it. Returns 0, with the result filled, or -errno. */
static int verify(const struct command *command, const char *topic, spate_bus **ret_bus, struct spate_verify_result *result,
                  json_t *violations)
{
    int error = tool_try_open_bus(command, TOOL_OBSERVE, NULL, ret_bus);
    if (error == 0) {
        if (isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1)
            fprintf(stderr, "verifying %s ...\n", spate_bus_path(*ret_bus));
        error = spate_verify(*ret_bus, topic, result, visit, violations);
    }
    if (error != -EBADMSG)
        return error;
    add_unreadable(violations, result);
    return 0;
}

/* check_log: the log of the bus as well. A topic of the bus that has none there is no mistake. Returns the worse of both statuses. */
static int check_log(spate_bus *bus, const char *topic, int status, json_t **ret_object)
{
    const char *path;
    int log_status = log_of_bus(bus, &path);
    if (log_status == STATUS_GO_ON)
        log_status = log_verify(path, topic, ret_object);
    return log_status == STATUS_OK || status == STATUS_FAILURE ? status : log_status;
}

static int run(const struct command *command, int argc, char **argv)
{
    bool json = false, wants_log = false;
    const struct option_spec specs[] = {
        {0, "log", NULL, "then the bus's log on disk, as `spate log verify` does", set_switch, &wants_log},
        {'J', "json", NULL, "one object with the counts and a list of violations", set_switch, &json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    const char *topic = argc != 0 ? argv[0] : NULL;
    spate_bus *bus = NULL;
    struct spate_verify_result result = {0};
    json_t *violations = json_array(), *log = NULL;
    int error = verify(command, topic, &bus, &result, violations);
    status = result.violations != 0 ? STATUS_FOUND : STATUS_OK;
    if (error == -ENOENT && topic != NULL && bus != NULL)
        status = tool_error("no topic '%s' on bus %s: `spate topic list` shows those there are", topic, spate_bus_path(bus));
    else if (error != 0)
        status = tool_failed(error, "cannot verify");
    else if (!json)
        show_text(&result, violations);
    if (error == 0 && wants_log && bus != NULL)
        status = check_log(bus, topic, status, &log);
    if (error == 0 && json)
        show_json(&result, violations, log);
    else if (log != NULL)
        log_verify_show(log);
    json_decref(log);
    json_decref(violations);
    spate_bus_close(bus);
    return status;
}

const struct command command_verify = {
    .path = "spate verify",
    .arguments = "[TOPIC]",
    .arguments_max = 1,
    .summary = "check every invariant of the bus and its topics, or of one topic",
    .details = "Exit status: 0 all hold; 1 something kept it from looking; 2 usage; 3 an invariant is violated: which and where is "
               "listed.\n",
    .run = run,
};
