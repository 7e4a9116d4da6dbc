/* log.c: `spate log ls|dump|verify|repair`: log directories, live, closed or copied. Here ls, verify and repair; dump is in log_dump.c.
 *
 * Nothing but repair writes, and that only with --yes. No daemon is needed, and no bus unless the directory is left out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/table.h"
#include "commands.h"
#include "log_view.h"

/* ------------------------------------------------------------------------------------------------------------------ ls */

struct ls {
    spate_log *log;
    const char *topic;
    bool wants_segments;
    json_t *partitions, *segments, *unreadable;
    int error;
};

static void set_sums(json_t *row, uint64_t blocks, uint64_t records, uint64_t raw_size, uint64_t stored_size, int64_t first,
                     int64_t last)
{
    json_set_size(row, "blocks", blocks);
    json_set_size(row, "records", records);
    json_set_size(row, "raw_size", raw_size);
    json_set_size(row, "stored_size", stored_size);
    json_set_number(row, "stored_percent",
                    (json_int_t)(raw_size != 0 ? (double)stored_size * 100.0 / (double)raw_size + 0.5 : 100));
    json_set_time(row, "oldest", first);
    json_set_time(row, "newest", last);
    json_set_number(row, "first_timestamp", first);
    json_set_number(row, "last_timestamp", last);
}

static int visit_segment(void *context, const struct spate_log_segment_info *info)
{
    static const char *const states[] = {"closed", "writing", "uncut", "DAMAGED"};
    static const char *const indexes[] = {"missing", "good", "damaged"};
    struct ls *ls = context;
    json_t *row = json_new();
    json_set_text(row, "topic", info->topic);
    json_set_number(row, "partition", info->partition);
    json_set_text(row, "file", info->file);
    json_set_number(row, "base_offset", info->base_offset);
    json_set_number(row, "first_offset", info->first_offset);
    json_set_number(row, "next_offset", info->next_offset);
    json_set_size(row, "size", info->size);
    json_set_size(row, "used", info->used);
    set_sums(row, info->blocks, info->records, info->raw_size, info->stored_size, info->first_timestamp, info->last_timestamp);
    json_set_time(row, "created", info->created);
    json_set_hex(row, "salt", info->salt);
    json_set_text(row, "state", states[info->state]);
    json_set_text(row, "index", indexes[info->index]);
    json_set_text(row, "reason", info->reason);
    json_array_append_new(ls->segments, row);
    return output_gone();
}

static int visit_partition(void *context, const struct spate_log_partition_info *info)
{
    struct ls *ls = context;
    json_t *row = json_new();
    json_set_text(row, "topic", info->topic);
    json_set_number(row, "partition", info->partition);
    json_set_number(row, "segments", info->segments);
    json_set_number(row, "damaged", info->damaged);
    json_set_number(row, "first_offset", info->first_offset);
    json_set_number(row, "next_offset", info->next_offset);
    json_set(row, "durable_offset", info->frontier ? json_integer(info->durable_offset) : json_null());
    json_set(row, "clean", info->frontier ? json_boolean(info->clean) : json_null());
    json_set_size(row, "size", info->size);
    set_sums(row, info->blocks, info->records, info->raw_size, info->stored_size, info->first_timestamp, info->last_timestamp);
    json_array_append_new(ls->partitions, row);
    if (!ls->wants_segments)
        return 0;
    int error = spate_log_segments(ls->log, info->topic, info->partition, visit_segment, ls);
    return error == -ENOENT ? 0 : error;
}

static int visit_topic(void *context, const struct spate_log_topic_info *topic)
{
    struct ls *ls = context;
    if (topic->info == NULL) {
        json_t *row = json_new();
        json_set_text(row, "topic", topic->name);
        json_set_text(row, "reason", topic->reason);
        json_array_append_new(ls->unreadable, row);
    }
    int error = spate_log_partitions(ls->log, topic->name, visit_partition, ls);
    if (error < 0 && error != -ENOENT) {
        (void)tool_failed(error, "cannot look at topic '%s'", topic->name);
        ls->error = error;
    }
    return error > 0 ? error : 0; /* the others are worth seeing all the same */
}

static void show_ls(const struct ls *ls)
{
    static const struct column partitions[] = {
        {"topic", "topic", COLUMN_TEXT},
        {"part", "partition", COLUMN_NUMBER},
        {"segments", "segments", COLUMN_NUMBER},
        {"damaged", "damaged", COLUMN_NUMBER},
        {"first", "first_offset", COLUMN_NUMBER},
        {"next", "next_offset", COLUMN_NUMBER},
        {"records", "records", COLUMN_NUMBER},
        {"size", "size", COLUMN_SIZE},
        {"stored", "stored_percent", COLUMN_PERCENT},
        {"oldest", "oldest", COLUMN_TEXT},
        {"newest", "newest", COLUMN_TEXT},
    };
    static const struct column segments[] = {
        {"file", "file", COLUMN_TEXT},       {"first", "first_offset", COLUMN_NUMBER}, {"next", "next_offset", COLUMN_NUMBER},
        {"blocks", "blocks", COLUMN_NUMBER}, {"records", "records", COLUMN_NUMBER},    {"used", "used", COLUMN_SIZE},
        {"state", "state", COLUMN_TEXT},     {"index", "index", COLUMN_TEXT},          {"oldest", "oldest", COLUMN_TEXT},
        {"newest", "newest", COLUMN_TEXT},   {"reason", "reason", COLUMN_TEXT},
    };
    static const struct column unreadable[] = {{"topic", "topic", COLUMN_TEXT}, {"reason", "reason", COLUMN_TEXT}};
    table_print("partitions (offsets)", 0, ls->partitions, partitions, sizeof(partitions) / sizeof(partitions[0]));
    table_print("segments", 0, ls->segments, segments, sizeof(segments) / sizeof(segments[0]));
    table_print("topics whose configuration cannot be read", 1, ls->unreadable, unreadable,
                sizeof(unreadable) / sizeof(unreadable[0]));
}

static void show(const struct ls *ls, bool json, const char *path)
{
    int64_t pid = 0;
    int writer = spate_log_writer(ls->log, &pid);
    if (json) {
        json_t *object = json_new();
        json_set_text(object, "directory", path);
        json_set_boolean(object, "written", writer == 1);
        json_set(object, "writer", writer == 1 ? json_integer(pid) : json_null());
        json_set(object, "partitions", json_incref(ls->partitions));
        if (ls->wants_segments)
            json_set(object, "segments", json_incref(ls->segments));
        json_set(object, "unreadable", json_incref(ls->unreadable));
        json_write(object);
        return;
    }
    output_print("log %s  ", path);
    if (writer == 1)
        output_print("written by process %" PRId64 "\n", pid);
    else
        output_print("%s\n", writer == 0 ? "nobody writes it" : "whether somebody writes it cannot be seen");
    show_ls(ls);
}

static int run_ls(const struct command *command, int argc, char **argv)
{
    struct ls ls = {0};
    bool json = false;
    const struct option_spec specs[] = {
        {'l', "segments", NULL, "each segment, too", set_switch, &ls.wants_segments},
        {'t', "topic", "TOPIC", "only this one", set_text, &ls.topic},
        {'J', "json", NULL, "one object with all lists", set_switch, &json},
        {0},
    };
    const char *path = NULL, *none;
    char **words = argv;
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON && argc == 1)
        path = words[0];
    else if (status == STATUS_GO_ON)
        status = log_arguments(0, argv, &path, &none);
    if (status == STATUS_GO_ON)
        status = log_open(path, &ls.log);
    if (status != STATUS_GO_ON)
        return status;
    ls.partitions = json_array();
    ls.segments = json_array();
    ls.unreadable = json_array();
    int error = ls.topic != NULL ? spate_log_partitions(ls.log, ls.topic, visit_partition, &ls)
                                 : spate_log_topics(ls.log, visit_topic, &ls);
    status = ls.error != 0 ? STATUS_FAILURE : STATUS_OK;
    if (error == -ENOENT && ls.topic != NULL)
        status = log_no_topic(path, ls.topic);
    else if (error < 0)
        status = tool_failed(error, "cannot list the log %s", path);
    else
        show(&ls, json, path);
    json_decref(ls.partitions);
    json_decref(ls.segments);
    json_decref(ls.unreadable);
    spate_log_close(ls.log);
    return status;
}

/* -------------------------------------------------------------------------------------------------------------- verify */

static int run_verify(const struct command *command, int argc, char **argv)
{
    bool json = false;
    const struct option_spec specs[] = {
        {'J', "json", NULL, "one object with the counts, the violations and the notes", set_switch, &json},
        {0},
    };
    const char *path, *topic;
    json_t *object = NULL;
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = log_arguments(argc, argv, &path, &topic);
    if (status != STATUS_GO_ON)
        return status;
    status = log_verify(path, topic, &object);
    if (object != NULL && (status == STATUS_OK || status == STATUS_FOUND)) {
        if (json)
            json_write(json_incref(object));
        else
            log_verify_show(object);
    }
    json_decref(object);
    return status;
}

/* -------------------------------------------------------------------------------------------------------------- repair */

static int visit_action(void *context, const struct spate_log_action *action)
{
    json_t *row = json_new();
    json_set_text(row, "file", action->file);
    json_set_text(row, "action", action->action);
    log_set_offsets(row, action->first, action->next);
    json_set_text(row, "detail", action->detail);
    json_array_append_new(context, row);
    return 0;
}

static void show_repair(const char *path, bool apply, const struct spate_log_repair_result *result, const json_t *actions)
{
    static const struct column columns[] = {{"file", "file", COLUMN_TEXT},
                                            {"action", "action", COLUMN_TEXT},
                                            {"offsets", "offsets", COLUMN_TEXT},
                                            {"detail", "detail", COLUMN_TEXT}};
    output_print("log %s: %" PRIu64 " segments, ", path, result->segments);
    if (result->actions == 0 && result->failed == 0)
        output_print("nothing to repair\n");
    else
        output_print("%" PRIu64 " %s%s, %" PRIu64 " that nothing can be done about\n", result->actions,
                     result->actions == 1 ? "repair" : "repairs", apply ? " made" : " to make: give --yes", result->failed);
    table_print(apply ? "done" : "would be done", 0, actions, columns, sizeof(columns) / sizeof(columns[0]));
}

static int run_repair(const struct command *command, int argc, char **argv)
{
    bool json = false, apply = false;
    const struct option_spec specs[] = {
        {0, "yes", NULL, "do it; without, it is only said what would be done", set_switch, &apply},
        {'J', "json", NULL, "one object with the counts and the actions", set_switch, &json},
        {0},
    };
    const char *path, *topic;
    struct spate_log_repair_result result = {0};
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = log_arguments(argc, argv, &path, &topic);
    if (status != STATUS_GO_ON)
        return status;
    json_t *actions = json_array();
    int error = spate_log_repair(path, topic, apply ? SPATE_REPAIR_APPLY : 0, &result, visit_action, actions);
    status = result.failed != 0 || (result.actions != 0 && !apply) ? STATUS_FOUND : STATUS_OK;
    if (error == -ENOENT && topic != NULL && json_array_size(actions) == 0)
        status = log_no_topic(path, topic);
    else if (error != 0)
        status = tool_failed(error, "cannot repair the log");
    if (json && error == 0) {
        json_t *object = json_new();
        json_set_text(object, "directory", path);
        json_set_boolean(object, "applied", apply);
        json_set_size(object, "segments", result.segments);
        json_set_size(object, "failed", result.failed);
        json_set(object, "actions", json_incref(actions));
        json_write(object);
    } else if (!json && (error == 0 || json_array_size(actions) != 0)) {
        show_repair(path, apply, &result, actions);
    }
    json_decref(actions);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------ commands */

static const struct command command_ls = {
    .path = "spate log ls",
    .arguments = "[DIR]",
    .arguments_max = 1,
    .summary = "topics, partitions and segments of a log directory",
    .details =
        "Without DIR: the log of the bus. records counts offsets, those of aborted records as well; stored is what compression\n"
        "left; size is that of the files, the one that is written as allocated. Headers are read, data is not checked: see\n"
        "`spate log verify`.\n"
        "\n"
        "Exit status: 0 shown; 1 the directory, or a topic in it, could not be looked at; 2 usage.\n",
    .run = run_ls,
};

static const struct command command_verify_log = {
    .path = "spate log verify",
    .arguments = "[DIR] [TOPIC]",
    .arguments_max = 2,
    .summary = "read all of a log, or of one topic in it, and check it",
    .details =
        "Without DIR: the log of the bus. A single word is a DIR when it has a '/', or when there is a directory of that name\n"
        "and neither --bus nor SPATE_BUS is given; else it is a TOPIC of the bus's log. May run beside spated; what is being\n"
        "written is left out.\n"
        "A crash leaves no violations. What it leaves is among the notes: spated, or repair, sees to it.\n"
        "\n"
        "Exit status: 0 all is well; 1 something kept it from looking; 2 usage; 3 violations: which, where and which offsets\n"
        "are concerned is listed.\n",
    .run = run_verify,
};

static const struct command command_repair_log = {
    .path = "spate log repair",
    .arguments = "[DIR] [TOPIC]",
    .arguments_max = 2,
    .summary = "make indexes anew, cut torn tails, set what is damaged aside",
    .details =
        "Without --yes it only says what it would do. DIR and TOPIC as for `spate log verify`. spated must not run: the log's\n"
        "lock is taken. Of a damaged segment the good blocks are copied, and the old file is kept as *.damaged; what cannot be\n"
        "read stays a hole, which consumers are told of. No record that can be read is lost.\n"
        "\n"
        "Exit status: 0 nothing to do, or all done; 1 it could not be done (somebody writes it, no room); 2 usage; 3 there is\n"
        "something to do and --yes was not given, or something that nothing can be done about.\n",
    .run = run_repair,
};

static const struct command *const subcommands[] = {&command_ls, &command_dump_log, &command_verify_log, &command_repair_log, NULL};

const struct command command_log = {
    .path = "spate log",
    .arguments = "COMMAND ...",
    .summary = "list, dump, verify and repair the logs of durable topics",
    .details = "`spate log COMMAND --help` explains each. They work on a live log directory as on a copy; `spate consume --log "
               "DIR` reads\n"
               "its records, `spate topic list --log DIR` its topics.\n",
    .subcommands = subcommands,
};
