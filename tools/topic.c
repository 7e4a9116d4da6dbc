/* topic.c: `spate topic create|list|describe|trim|delete`.
 *
 * list and describe only observe. list prints bare names, one a line, for scripts; with --json everything that describe knows. */
#include <errno.h>
#include <string.h>

#include "bus/path.h"
#include "bus/topic_config.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/table.h"
#include "view.h"
#include "commands.h"

/* ------------------------------------------------------------------------------------------------------------- create */

/* The library parses configuration values; its sentence names the allowed ones and the nearest key. What was given stands before it. */
static const char *set_config_field(struct spate_topic_config *config, const char *key, const char *value)
{
    if (spate_topic_config_set(config, key, value) == 0)
        return NULL;
    const char *sentence = spate_last_error();
    const size_t key_size = strlen(key), value_size = strlen(value);
    const bool repeats = strncmp(sentence, key, key_size) == 0 && sentence[key_size] == '=' &&
                         strncmp(sentence + key_size + 1, value, value_size) == 0 && sentence[key_size + 1 + value_size] == ':';
    return repeats ? sentence + key_size + value_size + 3 : sentence;
}

static const char *set_partitions(void *target, char *text)
{
    return set_config_field(target, "partitions", text);
}

static const char *set_ring(void *target, char *text)
{
    return set_config_field(target, "ring", text);
}

static const char *set_mode(void *target, char *text)
{
    return set_config_field(target, "mode", text);
}

static const char *set_durable(void *target, char *text)
{
    (void)text;
    return set_config_field(target, "durable", "yes");
}

static const char *set_config(void *target, char *text)
{
    char key[64];
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof(key))
        return "KEY=VALUE is expected";
    memcpy(key, text, (size_t)(equals - text));
    key[equals - text] = '\0';
    return set_config_field(target, key, equals + 1);
}

/* What the library would refuse as well, but only on a bus, and that would be made for it. */
static int check_topic(const char *name, const struct spate_topic_config *config)
{
    struct spate_topic_config taken;
    int error = sp_topic_name_check(name);
    if (error == 0)
        error = sp_topic_config_take(config, &taken);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot create topic '%s'", name);
}

static int run_create(const struct command *command, int argc, char **argv)
{
    struct spate_topic_config config;
    spate_topic_config_init(&config);
    bool if_missing = false;
    const struct option_spec specs[] = {
        {0, "partitions", "COUNT", "1 (default) to 1024", set_partitions, &config},
        {0, "ring", "SIZE", "bytes per partition, 64K to 64G; K, M, G are binary (default 8M)", set_ring, &config},
        {0, "mode", "MODE", "concurrent (default): any number of producers; exclusive: one, faster", set_mode, &config},
        {0, "durable", NULL, "keep a log on disk, which spated writes; without it a full ring waits for spated", set_durable,
         &config},
        {0, "config", "KEY=VALUE", "any of the settings below (repeatable)", set_config, &config},
        {0, "if-missing", NULL, "a topic of that name is no error and stays as it is", set_switch, &if_missing},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    spate_bus *bus = NULL;
    if (status == STATUS_GO_ON)
        status = check_topic(argv[0], &config);
    if (status == STATUS_GO_ON)
        status = tool_open_bus(command, TOOL_JOIN, NULL, &bus);
    if (status != STATUS_GO_ON)
        return status;
    int error = spate_topic_create(bus, argv[0], &config);
    if (error == -EEXIST && if_missing)
        error = 0;
    status = STATUS_OK;
    if (error == -EEXIST)
        status = tool_error("topic '%s' exists on bus %s: delete it first, choose another name, or give --if-missing", argv[0],
                            spate_bus_path(bus));
    else if (error != 0)
        status = tool_failed(error, "cannot create topic '%s'", argv[0]);
    spate_bus_close(bus);
    return status;
}

/* ----------------------------------------------------------------------------------------------------- list, describe */

struct list {
    spate_bus *bus;
    json_t *rows; /* NULL: bare names on standard output */
};

static int visit_topic(void *context, const char *name)
{
    struct list *list = context;
    if (list->rows == NULL) {
        output_print("%s\n", name);
        return 0;
    }
    spate_topic *topic;
    struct spate_topic_info info;
    if (spate_topic_open(list->bus, name, &topic) != 0) { /* no permission, damaged, or deleted just now: its name is all we know */
        json_t *row = json_new();
        json_set_text(row, "topic", name);
        json_array_append_new(list->rows, row);
        return 0;
    }
    spate_topic_describe(topic, &info);
    json_array_append_new(list->rows, view_topic(&info));
    spate_topic_close(topic);
    return 0;
}

static int run_list(const struct command *command, int argc, char **argv)
{
    bool json = false;
    const char *log_dir = NULL;
    const struct option_spec specs[] = {
        {0, "log", "DIR", "topics of a log directory, or of a copy of one; no bus is needed", set_text, &log_dir},
        {'J', "json", NULL, "an array of objects with each topic's configuration", set_switch, &json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    struct list list = {0};
    if (status == STATUS_GO_ON)
        status = log_dir != NULL ? tool_open_log(log_dir, &list.bus) : tool_open_bus(command, TOOL_OBSERVE, NULL, &list.bus);
    if (status != STATUS_GO_ON)
        return status;
    list.rows = json ? json_array() : NULL;
    int error = spate_topic_list(list.bus, visit_topic, &list);
    if (error == 0 && json)
        json_write(json_incref(list.rows));
    json_decref(list.rows);
    spate_bus_close(list.bus);
    return error == 0 ? STATUS_OK : tool_failed(error, "cannot list the topics");
}

enum { LOG_FIELDS = 8 }; /* the last ones: of durable topics only */

static void print_description(const struct view_lists *lists)
{
    static const struct column fields[] = {
        {"topic", "topic", COLUMN_TEXT},
        {"id", "id", COLUMN_TEXT},
        {"created", "created", COLUMN_TEXT},
        {"partitions", "partitions", COLUMN_NUMBER},
        {"ring", "ring_capacity", COLUMN_SIZE},
        {"largest record", "record_size_max", COLUMN_SIZE},
        {"mode", "mode", COLUMN_TEXT},
        {"alignment", "alignment", COLUMN_NUMBER},
        {"timestamp", "timestamp", COLUMN_TEXT},
        {"producers", "producers_max", COLUMN_NUMBER},
        {"consumers", "consumers_max", COLUMN_NUMBER},
        {"NUMA node", "numa_node", COLUMN_NUMBER},
        {"huge pages", "huge_pages", COLUMN_TEXT},
        {"user", "uid", COLUMN_NUMBER},
        {"group", "gid", COLUMN_NUMBER},
        {"ring files", "ring_file_mode", COLUMN_TEXT},
        {"cursors files", "cursors_file_mode", COLUMN_TEXT},
        {"durable", "durable", COLUMN_TEXT},
        {"flush", "flush", COLUMN_TEXT},
        {"compression", "compression", COLUMN_TEXT},
        {"cleanup", "cleanup", COLUMN_TEXT},
        {"segment_size", "segment_size", COLUMN_SIZE},
        {"segment_age", "segment_age", COLUMN_TEXT},
        {"retention_size", "retention_size", COLUMN_SIZE},
        {"retention_time", "retention_time", COLUMN_TEXT},
        {"tombstone_delay", "tombstone_delay", COLUMN_TEXT},
    };
    static const struct column columns[] = {
        {"part", "partition", COLUMN_NUMBER},      {"oldest", "oldest_offset", COLUMN_NUMBER},
        {"next", "next_offset", COLUMN_NUMBER},    {"used", "used_percent", COLUMN_PERCENT},
        {"producers", "producers", COLUMN_NUMBER}, {"consumers", "consumers", COLUMN_NUMBER},
    };
    static const struct column logs[] = {
        {"part", "partition", COLUMN_NUMBER},  {"log", "state", COLUMN_TEXT},         {"start", "start", COLUMN_NUMBER},
        {"durable", "durable", COLUMN_NUMBER}, {"written", "written", COLUMN_NUMBER}, {"published", "published", COLUMN_NUMBER},
    };
    const json_t *topic = json_array_get(lists->topics, 0);
    size_t fields_count = sizeof(fields) / sizeof(fields[0]);
    table_fields(topic, fields, json_is_true(json_object_get(topic, "durable")) ? fields_count : fields_count - LOG_FIELDS);
    table_print("partitions (offsets)", 0, lists->rings, columns, sizeof(columns) / sizeof(columns[0]));
    table_print("logs (offsets)", lists->logs_stopped != 0, lists->logs, logs, sizeof(logs) / sizeof(logs[0]));
}

static int run_describe(const struct command *command, int argc, char **argv)
{
    bool json = false;
    const char *log_dir = NULL;
    const struct option_spec specs[] = {
        {0, "log", "DIR", "a topic of a log directory, or of a copy of one; no bus is needed", set_text, &log_dir},
        {'J', "json", NULL, "one object; its partitions under \"rings\", their logs under \"logs\"", set_switch, &json},
        {0},
    };
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = log_dir != NULL ? tool_open_log(log_dir, &bus) : tool_open_bus(command, TOOL_OBSERVE, NULL, &bus);
    if (status != STATUS_GO_ON)
        return status;
    status = log_dir != NULL ? tool_open_log_topic(bus, log_dir, argv[0], &topic) : tool_open_topic(bus, argv[0], NULL, &topic);
    if (status == STATUS_GO_ON) {
        struct view_lists lists;
        view_lists_init(&lists);
        int error = view_rings(topic, &lists);
        status = error == 0 ? STATUS_OK : tool_failed(error, "cannot look at all partitions of topic '%s'", argv[0]);
        if (!json) {
            print_description(&lists);
        } else {
            json_t *object = json_incref(json_array_get(lists.topics, 0));
            json_set(object, "rings", json_incref(lists.rings));
            json_set(object, "logs", json_incref(lists.logs));
            json_write(object);
        }
        view_lists_free(&lists);
        spate_topic_close(topic);
    }
    spate_bus_close(bus);
    return status;
}

/* ------------------------------------------------------------------------------------------------------------- delete */

static int run_delete(const struct command *command, int argc, char **argv)
{
    bool force = false;
    const struct option_spec specs[] = {
        {0, "force", NULL, "also while live producers or consumers use it; they get an error", set_switch, &force},
        {0},
    };
    spate_bus *bus = NULL;
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = tool_open_bus(command, TOOL_JOIN, NULL, &bus);
    if (status != STATUS_GO_ON)
        return status;
    int error = spate_topic_delete(bus, argv[0], force ? SPATE_DELETE_FORCE : 0);
    if (error == -ENOENT)
        status = tool_error("no topic '%s' on bus %s: `spate topic list` shows those there are", argv[0], spate_bus_path(bus));
    else
        status = error == 0 ? STATUS_OK
                            : tool_failed(error, "cannot delete topic '%s'%s", argv[0],
                                          error == -EBUSY ? " (--force does it all the same)" : "");
    spate_bus_close(bus);
    return status;
}

/* --------------------------------------------------------------------------------------------------------------- trim */

static const char *set_trim_offset(void *target, char *text)
{
    if (strcmp(text, "end") == 0) {
        *(int64_t *)target = -1;
        return NULL;
    }
    return parse_integer(text, 0, INT64_MAX, target) ? NULL : "an offset, a whole number, or end is expected";
}

static int run_trim(const struct command *command, int argc, char **argv)
{
    const int64_t not_given = INT64_MIN;
    int64_t offset = not_given, timeout = 10 * NS_PER_S;
    int32_t partition = -1;
    const struct option_spec specs[] = {
        {'p', "partition", "PARTITION", "which one (needed)", set_partition, &partition},
        {'o', "offset", "OFFSET", "the first one to keep, or end: keep nothing (needed)", set_trim_offset, &offset},
        {0, "timeout", "TIME", "how long to wait for spated (default 10s)", set_duration, &timeout},
        {0},
    };
    spate_bus *bus = NULL;
    spate_topic *topic = NULL;
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON && (partition < 0 || offset == not_given))
        status = options_mistake(command, "-p PARTITION and -o OFFSET are needed");
    if (status == STATUS_GO_ON)
        status = tool_open_bus(command, TOOL_JOIN_EXISTING, NULL, &bus);
    if (status != STATUS_GO_ON)
        return status;
    status = tool_open_topic(bus, argv[0], NULL, &topic);
    if (status == STATUS_GO_ON) {
        int error = spate_delete_records(topic, partition, offset, timeout);
        if (error == -ETIMEDOUT || error == -EAGAIN)
            status = tool_error("topic '%s', partition %d: asked for, and not done within the time: spated does it when it runs "
                                "(`spate stat` shows whether)",
                                argv[0], partition);
        else
            status = error == 0 ? STATUS_OK : tool_failed(error, "cannot trim topic '%s', partition %d", argv[0], partition);
        spate_topic_close(topic);
    }
    spate_bus_close(bus);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------- commands */

static const struct command command_create = {
    .path = "spate topic create",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "make a topic; its memory is allocated now",
    .details = "Settings (--config KEY=VALUE):\n"
               "  partitions, ring, mode           as the options above\n"
               "  alignment 8..128                 of a record (default 64: one small record, one cache line; 8 or 16 is denser)\n"
               "  timestamp clock|caller|none      who stamps records (default clock)\n"
               "  producers, consumers             slots per partition (default 64 and 32)\n"
               "  numa NODE, huge none|try|require where the memory comes from\n"
               "  user, group                      owner of the topic's files\n"
               "  producer_mode, consumer_mode     who may produce and consume, as file modes, e.g. 0660\n"
               "  durable yes|no                   keep a log on disk; the settings below are for that\n"
               "  flush none|interval:MS|each      when it is flushed to the device (default none: when somebody waits for it)\n"
               "  compression none|lz4             of its blocks (default none)\n"
               "  cleanup delete|compact|compact,delete  what becomes of old records (default delete)\n"
               "  segment_size 1M..16G             of its files (default 256M); whole ones are deleted\n"
               "  segment_age TIME|none            close a file after that (default none)\n"
               "  retention_size SIZE|none         delete beyond that, per partition (default none)\n"
               "  retention_time TIME|none         delete what is older (default 7d)\n"
               "  tombstone_delay TIME             compaction keeps null values that long (default 1d)\n"
               "Times take ms, s, m, h or d: 500ms, 7d.\n"
               "\n"
               "Exit status: 0 created; 1 not (it exists, no room, no permission); 2 usage.\n",
    .run = run_create,
};

static const struct command command_list = {
    .path = "spate topic list",
    .arguments = "",
    .summary = "names of the topics, one a line",
    .run = run_list,
};

static const struct command command_describe = {
    .path = "spate topic describe",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "configuration, identity and partitions of a topic",
    .details = "Exit status: 0 shown; 1 no such topic, or not all of it could be read; 2 usage.\n",
    .run = run_describe,
};

static const struct command command_delete = {
    .path = "spate topic delete",
    .arguments = "NAME",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "remove a topic with all its records",
    .details = "Exit status: 0 removed; 1 not (no such topic, in use); 2 usage.\n",
    .run = run_delete,
};

static const struct command command_trim = {
    .path = "spate topic trim",
    .arguments = "TOPIC",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "delete the records of a durable topic below an offset",
    .details = "Readers do not get them from now on; spated frees whole segments of the log.\n"
               "\n"
               "Exit status: 0 done; 1 not, or not within the time (then it is done later); 2 usage.\n",
    .run = run_trim,
};

static const struct command *const subcommands[] = {&command_create, &command_list,   &command_describe,
                                                    &command_trim,   &command_delete, NULL};

const struct command command_topic = {
    .path = "spate topic",
    .arguments = "COMMAND ...",
    .summary = "create, list, describe, trim and delete topics",
    .details = "`spate topic COMMAND --help` explains each.\n",
    .subcommands = subcommands,
};
