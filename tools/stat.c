/* stat.c: `spate stat`: what goes on in a bus: participants, rings, positions, lag, and the claims that everybody waits for.
 *
 * Only observes: no participant slot is taken and nothing is written, so it works on a full or half-dead bus. What it shows was true a
 * moment ago, field by field. Everything is collected as JSON rows (view.c) and shown as tables or as they are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/table.h"
#include "view.h"
#include "commands.h"

struct stat {
    bool json, counters;
    int64_t watch;          /* ns between looks, 0: one look */
    const char *topic_name; /* NULL: all */
    spate_bus *bus;
    /* of one look */
    struct view_lists lists;
    json_t *bus_row, *participants, *counter_rows;
    int error; /* of the first topic that could not be looked at */
    /* of the look before: "topic/partition" -> bytes of its log */
    json_t *log_bytes;
    int64_t log_time;
};

/* --------------------------------------------------------------------------------------------------------- collecting */

static int visit_participant(void *context, const struct spate_participant_info *info)
{
    struct stat *stat = context;
    json_array_append_new(stat->participants, view_participant(info));
    return 0;
}

static int visit_counter(void *context, const struct spate_counter_info *info)
{
    static const char *const scopes[] = {"ring", "producer", "consumer"};
    struct stat *stat = context;
    json_t *row = json_new();
    json_set_text(row, "topic", info->topic);
    json_set_number(row, "partition", info->partition);
    json_set_text(row, "scope", (unsigned)info->scope < 3 ? scopes[info->scope] : "?");
    json_set_number(row, "slot", info->slot);
    json_set_text(row, "owner", info->owner);
    json_set_text(row, "name", info->name);
    json_set_text(row, "unit", info->unit);
    json_set_text(row, "kind", info->kind == SPATE_COUNTER ? "counter" : "gauge");
    json_set_size(row, "value", info->value);
    json_array_append_new(stat->counter_rows, row);
    return 0;
}

static int visit_topic(void *context, const char *name)
{
    struct stat *stat = context;
    spate_topic *topic;
    int error = spate_topic_open(stat->bus, name, &topic);
    if (error == 0) {
        error = stat->counters ? spate_inspect_counters(topic, visit_counter, stat) : view_rings(topic, &stat->lists);
        spate_topic_close(topic);
    }
    if (error == -ENOENT && stat->topic_name == NULL)
        return 0; /* deleted between the listing and the look */
    if (error != 0) {
        (void)(error == -ENOENT ? tool_no_topic(stat->bus, name, NULL) : tool_failed(error, "cannot look at topic '%s'", name));
        stat->error = error;
    }
    return 0; /* the others are worth seeing all the same */
}

static int collect_bus(struct stat *stat)
{
    struct spate_bus_info info;
    int error = spate_inspect_bus(stat->bus, &info);
    if (error == 0)
        error = spate_inspect_participants(stat->bus, visit_participant, stat);
    if (error != 0)
        return error;
    stat->bus_row = json_new();
    json_set_text(stat->bus_row, "path", info.path);
    json_set_id(stat->bus_row, "id", info.id);
    json_set_time(stat->bus_row, "created", info.created);
    json_set_number(stat->bus_row, "layout_version", info.layout_version);
    json_set_number(stat->bus_row, "participants_max", info.participants_max);
    json_set_number(stat->bus_row, "participants_alive", info.participants_alive);
    json_set_number(stat->bus_row, "participants_dead", info.participants_dead);
    return 0;
}

/* collect: one look. Returns 0 or -errno. */
static int collect(struct stat *stat)
{
    view_lists_init(&stat->lists);
    stat->participants = json_array();
    stat->counter_rows = json_array();
    stat->bus_row = NULL;
    stat->error = 0;
    int error = collect_bus(stat);
    if (error != 0)
        return error;
    if (stat->topic_name != NULL)
        return visit_topic(stat, stat->topic_name);
    return spate_topic_list(stat->bus, visit_topic, stat);
}

static void release(struct stat *stat)
{
    view_lists_free(&stat->lists);
    json_decref(stat->bus_row);
    json_decref(stat->participants);
    json_decref(stat->counter_rows);
}

/* note_rates: bytes a second of the logs since the look before. */
static void note_rates(struct stat *stat)
{
    json_t *now_bytes = json_new();
    int64_t now = tool_clock();
    double seconds = (double)(now - stat->log_time) / (double)NS_PER_S;
    for (size_t i = 0; i < json_array_size(stat->lists.logs); i++) {
        char key[SPATE_TOPIC_NAME_MAX + 16];
        json_t *row = json_array_get(stat->lists.logs, i);
        snprintf(key, sizeof(key), "%s/%lld", json_string_value(json_object_get(row, "topic")),
                 (long long)json_integer_value(json_object_get(row, "partition")));
        json_int_t bytes = json_integer_value(json_object_get(row, "bytes"));
        json_t *before = json_object_get(stat->log_bytes, key);
        bool known = before != NULL && bytes >= json_integer_value(before) && seconds > 0;
        json_set(row, "bytes_per_second",
                 known ? json_integer((json_int_t)((double)(bytes - json_integer_value(before)) / seconds)) : json_null());
        json_set(now_bytes, key, json_integer(bytes));
    }
    json_decref(stat->log_bytes);
    stat->log_bytes = now_bytes;
    stat->log_time = now;
}

/* ------------------------------------------------------------------------------------------------------------ showing */

#define PRINT_TABLE(title, alarm, rows, columns) table_print(title, alarm, rows, columns, sizeof(columns) / sizeof((columns)[0]))

static const struct column participant_columns[] = {
    {"slot", "slot", COLUMN_NUMBER}, {"name", "name", COLUMN_TEXT}, {"pid", "pid", COLUMN_NUMBER},
    {"state", "state", COLUMN_TEXT}, {"uid", "uid", COLUMN_NUMBER}, {"joined", "joined", COLUMN_TEXT},
};
static const struct column ring_columns[] = {
    {"topic", "topic", COLUMN_TEXT},
    {"part", "partition", COLUMN_NUMBER},
    {"mode", "mode", COLUMN_TEXT},
    {"capacity", "capacity", COLUMN_SIZE},
    {"used", "used_percent", COLUMN_PERCENT},
    {"oldest", "oldest_offset", COLUMN_NUMBER},
    {"next offset", "next_offset", COLUMN_NUMBER},
    {"lag max", "lag_max", COLUMN_NUMBER},
    {"producers", "producers", COLUMN_NUMBER},
    {"consumers", "consumers", COLUMN_NUMBER},
};
static const struct column cursor_columns[] = {
    {"topic", "topic", COLUMN_TEXT},     {"part", "partition", COLUMN_NUMBER}, {"slot", "slot", COLUMN_NUMBER},
    {"consumer", "name", COLUMN_TEXT},   {"pid", "pid", COLUMN_NUMBER},        {"state", "state", COLUMN_TEXT},
    {"policy", "policy", COLUMN_TEXT},   {"offset", "offset", COLUMN_NUMBER},  {"lag", "lag", COLUMN_NUMBER},
    {"evicted", "evicted", COLUMN_TEXT}, {"asleep", "asleep", COLUMN_TEXT},
};
static const struct column log_columns[] = {
    {"topic", "topic", COLUMN_TEXT},
    {"part", "partition", COLUMN_NUMBER},
    {"state", "state", COLUMN_TEXT},
    {"start", "start", COLUMN_NUMBER},
    {"durable", "durable", COLUMN_NUMBER},
    {"written", "written", COLUMN_NUMBER},
    {"published", "published", COLUMN_NUMBER},
    {"lag", "lag_records", COLUMN_NUMBER},
    {"lag size", "lag_bytes", COLUMN_SIZE},
    {"bytes", "bytes", COLUMN_SIZE},
    {"bytes/s", "bytes_per_second", COLUMN_SIZE},
    {"flush p50 us", "flush_p50_us", COLUMN_NUMBER},
    {"p99", "flush_p99_us", COLUMN_NUMBER},
    {"max", "flush_max_us", COLUMN_NUMBER},
};
static const struct column stalled_columns[] = {
    {"topic", "topic", COLUMN_TEXT}, {"part", "partition", COLUMN_NUMBER}, {"owner", "name", COLUMN_TEXT},
    {"pid", "pid", COLUMN_NUMBER},   {"slot", "slot", COLUMN_NUMBER},      {"state", "state", COLUMN_TEXT},
    {"claim", "claim", COLUMN_TEXT}, {"how", "how", COLUMN_TEXT},
};
static const struct column counter_columns[] = {
    {"topic", "topic", COLUMN_TEXT},   {"part", "partition", COLUMN_NUMBER}, {"scope", "scope", COLUMN_TEXT},
    {"slot", "slot", COLUMN_NUMBER},   {"owner", "owner", COLUMN_TEXT},      {"counter", "name", COLUMN_TEXT},
    {"value", "value", COLUMN_NUMBER}, {"unit", "unit", COLUMN_TEXT},
};

static void show_tables(const struct stat *stat)
{
    json_t *bus = stat->bus_row;
    output_print("bus %s  participants %lld alive, %lld dead of %lld  layout %lld  created %s\n",
                 json_string_value(json_object_get(bus, "path")),
                 (long long)json_integer_value(json_object_get(bus, "participants_alive")),
                 (long long)json_integer_value(json_object_get(bus, "participants_dead")),
                 (long long)json_integer_value(json_object_get(bus, "participants_max")),
                 (long long)json_integer_value(json_object_get(bus, "layout_version")),
                 json_is_null(json_object_get(bus, "created")) ? "-" : json_string_value(json_object_get(bus, "created")));
    if (stat->counters) {
        PRINT_TABLE("counters", 0, stat->counter_rows, counter_columns);
        return;
    }
    PRINT_TABLE("participants", 0, stat->participants, participant_columns);
    PRINT_TABLE("rings", 0, stat->lists.rings, ring_columns);
    PRINT_TABLE("logs of durable topics (offsets)", stat->lists.logs_stopped != 0, stat->lists.logs, log_columns);
    PRINT_TABLE("cursors", 0, stat->lists.cursors, cursor_columns);
    PRINT_TABLE("stalled claims: readers and writers wait for these", 1, stat->lists.stalled, stalled_columns);
}

static void show_json(const struct stat *stat)
{
    json_t *object = json_new();
    json_set(object, "bus", json_incref(stat->bus_row));
    if (stat->counters) {
        json_set(object, "counters", json_incref(stat->counter_rows));
    } else {
        json_set(object, "participants", json_incref(stat->participants));
        json_set(object, "topics", json_incref(stat->lists.topics));
        json_set(object, "rings", json_incref(stat->lists.rings));
        json_set(object, "logs", json_incref(stat->lists.logs));
        json_set(object, "producers", json_incref(stat->lists.producers));
        json_set(object, "cursors", json_incref(stat->lists.cursors));
        json_set(object, "stalled", json_incref(stat->lists.stalled));
    }
    if (stat->watch == 0) {
        json_write(object);
        return;
    }
    json_write_compact(object);
    output_write("\n", 1);
}

/* --------------------------------------------------------------------------------------------------------------- run */

/* look: collect and show once. Returns STATUS_OK, STATUS_FAILURE, or STATUS_GO_ON when --watch goes on. */
static int look(struct stat *stat)
{
    int error = collect(stat);
    if (error != 0) {
        release(stat);
        return tool_failed(error, "cannot look at bus %s", spate_bus_path(stat->bus));
    }
    note_rates(stat);
    if (stat->watch != 0 && !stat->json && output_is_terminal())
        output_print("\033[H\033[J");
    if (stat->json)
        show_json(stat);
    else
        show_tables(stat);
    if (stat->watch != 0 && !stat->json && !output_is_terminal())
        output_print("\n");
    bool has_stopped = stat->lists.logs_stopped != 0;
    release(stat);
    if (!output_flush())
        return STATUS_OK;
    if (stat->watch == 0)
        return stat->error != 0 ? STATUS_FAILURE : has_stopped ? STATUS_FOUND : STATUS_OK;
    return STATUS_GO_ON;
}

static void sleep_until(int64_t time)
{
    const int64_t slice = 200 * NS_PER_MS; /* a signal just before a sleep must not be slept over for long */
    for (int64_t left = time - tool_clock(); left > 0 && !tool_stopped() && !output_gone(); left = time - tool_clock()) {
        left = left < slice ? left : slice;
        nanosleep(&(struct timespec){.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S}, NULL);
    }
}

static const char *set_watch(void *target, char *text)
{
    const char *reason = set_duration(target, text);
    return reason != NULL || *(int64_t *)target > 0 ? reason : "more than 0 is expected";
}

static int run(const struct command *command, int argc, char **argv)
{
    struct stat stat = {0};
    const struct option_spec specs[] = {
        {'J', "json", NULL, "one object with all lists (with --watch: one line per look)", set_switch, &stat.json},
        {0, "counters", NULL, "the counters instead, as the bus itself describes them", set_switch, &stat.counters},
        {'w', "watch", "SECONDS", "look again and again", set_watch, &stat.watch},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON && argc != 0 && argv[0][0] == '\0')
        status = options_mistake(command, "an empty name is no topic");
    if (status == STATUS_GO_ON)
        status = tool_open_bus(command, TOOL_OBSERVE, NULL, &stat.bus);
    if (status != STATUS_GO_ON)
        return status;
    stat.topic_name = argc != 0 ? argv[0] : NULL;
    if (stat.watch != 0)
        tool_catch_signals();
    int64_t time = tool_clock();
    while ((status = look(&stat)) == STATUS_GO_ON && !tool_stopped() && !output_gone())
        sleep_until(time += stat.watch);
    json_decref(stat.log_bytes);
    spate_bus_close(stat.bus);
    return status == STATUS_GO_ON ? STATUS_OK : status;
}

const struct command command_stat = {
    .path = "spate stat",
    .arguments = "[TOPIC]",
    .arguments_max = 1,
    .summary = "bus, participants, rings, logs, positions, lag, stalled claims",
    .details =
        "used is what lies between the slowest gating consumer and the end, in percent of the ring: at 100 producers wait.\n"
        "lag is counted in offsets, behind what is claimed.\n"
        "\n"
        "Of the logs of durable topics: start is the first offset that can be read, durable and written what a flush and the\n"
        "file system have; lag is what is published and not written. States: open; no daemon (start spated: a full ring waits\n"
        "for it); FULL (the disk: it goes on when there is room); FAILED (mend the disk, then start spated anew). bytes and\n"
        "flush times count since spated began; bytes/s with --watch.\n"
        "\n"
        "Exit status: 0 shown, or --watch was ended; 1 the bus or a topic could not be looked at; 2 usage; 3 some log has failed\n"
        "or is full.\n",
    .run = run,
};
