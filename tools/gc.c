/* gc.c: `spate gc`: clean up after the dead: participants, half-made topics, buses that nobody uses.
 *
 * Nothing needs it to go on: whoever is alive repairs what it meets. It gives memory and slots back early, and tidies the directory of
 * buses. A bus that holds topics is only removed with --all, because its records go with it. */
#include <errno.h>
#include <inttypes.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "commands.h"

struct gc {
    bool json, all, bus_only;
    json_t *removed;
};

static int visit_removed(void *context, const char *path)
{
    json_array_append_new(context, json_text(path));
    return 0;
}

/* clean_bus: the chosen bus. One that does not exist is clean, and is not created for that. */
static int clean_bus(const struct command *command, struct spate_gc_result *result)
{
    spate_bus *bus;
    int error = tool_try_open_bus(command, TOOL_JOIN_EXISTING, NULL, &bus);
    if (error == -ENOENT)
        return STATUS_GO_ON;
    if (error != 0)
        return tool_failed(error, "cannot open the bus");
    error = spate_gc(bus, result);
    int status = error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot clean up bus %s", spate_bus_path(bus));
    spate_bus_close(bus);
    return status;
}

static void show_text(const struct spate_gc_result *result, const json_t *removed)
{
    output_print("freed: %" PRIu64 " participants, %" PRIu64 " producers, %" PRIu64 " consumers, %" PRIu64
                 " wake slots; removed: %" PRIu64 " unfinished topics, %" PRIu64 " buses\n",
                 result->participants, result->producers, result->consumers, result->wakes, result->unfinished_topics,
                 result->buses);
    for (size_t i = 0; i < json_array_size(removed); i++)
        output_print("removed %s\n", json_string_value(json_array_get(removed, i)));
}

static void show_json(const struct spate_gc_result *result, json_t *removed)
{
    json_t *object = json_new();
    json_set_size(object, "participants", result->participants);
    json_set_size(object, "producers", result->producers);
    json_set_size(object, "consumers", result->consumers);
    json_set_size(object, "wakes", result->wakes);
    json_set_size(object, "unfinished_topics", result->unfinished_topics);
    json_set_size(object, "buses", result->buses);
    json_set(object, "removed", json_incref(removed));
    json_write(object);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct gc gc = {0};
    const struct option_spec specs[] = {
        {0, "all", NULL, "also remove buses with topics when no participant lives: their records are lost", set_switch, &gc.all},
        {0, "bus-only", NULL, "clean the chosen bus, leave the others alone", set_switch, &gc.bus_only},
        {'J', "json", NULL, "one object with what was freed and removed", set_switch, &gc.json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON && gc.all && gc.bus_only)
        status = options_mistake(command, "--all and --bus-only exclude each other");
    if (status != STATUS_GO_ON)
        return status;
    struct spate_gc_result result = {0}, dir_result = {0};
    gc.removed = json_array();
    status = clean_bus(command, &result);
    int error = gc.bus_only ? 0 : spate_gc_dir(NULL, gc.all, &dir_result, visit_removed, gc.removed);
    if (error == -ENOENT) /* no directory of buses: nothing to clean */
        error = 0;
    if (error != 0)
        status = tool_failed(error, "cannot clean up the directory of buses");
    result.buses += dir_result.buses;
    if (status == STATUS_GO_ON || error == 0) {
        if (gc.json)
            show_json(&result, gc.removed);
        else
            show_text(&result, gc.removed);
    }
    json_decref(gc.removed);
    return status == STATUS_GO_ON ? STATUS_OK : status;
}

const struct command command_gc = {
    .path = "spate gc",
    .arguments = "",
    .summary = "free what dead participants left, remove buses that nobody uses",
    .details = "Cleans the chosen bus, and removes each bus below the root that has neither topics nor live participants.\n"
               "\n"
               "Exit status: 0 cleaned (also when there was nothing to do); 1 not all could be; 2 usage.\n",
    .run = run,
};
