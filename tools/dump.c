/* dump.c: `spate dump`: the records and header words of one ring file, live, dead or copied.
 *
 * With --file it needs no bus at all: for a file out of a crash, or from another machine. Text is one line a record; JSON is one document,
 * written as it is read, since a ring may hold millions of records. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "commands.h"
#include "show.h"

enum { STOP = 1 }; /* returned by the visitor: enough, or nobody reads */

struct dump {
    bool json, full, header_only;
    int32_t partition;
    uint64_t count_max, count;
    const char *file;
    char path[4096 + SPATE_TOPIC_NAME_MAX + 32];
    const char *name; /* topic's name, or the path: JSON records carry it */
    struct spate_dump_info info;
    struct progress progress;
};

#define NO_PARTITION (-1) /* not given */

/* --------------------------------------------------------------------------------------------------------------- text */

static void print_info(const struct dump *dump)
{
    const struct spate_dump_info *info = &dump->info;
    output_print("# %s: layout %u, partition %d, %s, alignment %u, timestamp %s, capacity %" PRIu64 "%s\n# topic id ", dump->path,
                 info->layout_version, info->partition, show_mode(info->mode), info->alignment, show_timestamp(info->timestamp),
                 info->capacity, info->deleted ? ", DELETED" : "");
    for (size_t i = 0; i < sizeof(info->topic_id); i++)
        output_print("%02x", info->topic_id[i]);
    output_print(", salt %016" PRIx64 ", tail word %016" PRIx64 "\n", info->salt, info->tail_word);
    output_print("# claimed: position %" PRIu64 ", offset %" PRId64 "; reserved up to position %" PRIu64
                 "; oldest: position %" PRIu64 ", offset %" PRId64 "\n",
                 info->claimed_position, info->claimed_offset, info->reserved_position, info->oldest_position, info->oldest_offset);
    if (!dump->header_only)
        output_print(
            "# position  offset  state  size  header words: stamp (! not that of a committed record) and word  time in ns ...\n");
}

/* --------------------------------------------------------------------------------------------------------------- JSON */

static json_t *info_json(const struct dump *dump)
{
    const struct spate_dump_info *info = &dump->info;
    json_t *row = json_new();
    json_set_text(row, "path", dump->path);
    json_set_number(row, "layout_version", info->layout_version);
    json_set_id(row, "topic_id", info->topic_id);
    json_set_number(row, "partition", info->partition);
    json_set_text(row, "mode", show_mode(info->mode));
    json_set_number(row, "alignment", info->alignment);
    json_set_text(row, "timestamp", show_timestamp(info->timestamp));
    json_set_size(row, "capacity", info->capacity);
    json_set_hex(row, "salt", info->salt);
    json_set_hex(row, "tail_word", info->tail_word);
    json_set_size(row, "claimed_position", info->claimed_position);
    json_set_number(row, "claimed_offset", info->claimed_offset);
    json_set_size(row, "reserved_position", info->reserved_position);
    json_set_size(row, "oldest_position", info->oldest_position);
    json_set_number(row, "oldest_offset", info->oldest_offset);
    json_set_boolean(row, "deleted", info->deleted != 0);
    return row;
}

/* ---------------------------------------------------------------------------------------------------------------- run */

static int visit(void *context, const struct spate_dump_record *record)
{
    struct dump *dump = context;
    if (dump->json) {
        output_print("%s\n", dump->count != 0 ? "," : "");
        json_write_compact(show_record_json(record, dump->name, dump->info.timestamp));
    } else {
        show_record(record, dump->info.timestamp, dump->full);
    }
    dump->count++;
    progress_add(&dump->progress, 1, record->size);
    return output_settle() && (dump->count_max == 0 || dump->count < dump->count_max) ? 0 : STOP;
}

static int dump_file(struct dump *dump)
{
    int error = spate_dump(dump->path, &dump->info, NULL, NULL);
    if (error != 0)
        return tool_failed(error, "cannot read ring file '%s'", dump->path);
    if (dump->json) {
        output_print("{\"ring\": ");
        json_write_compact(info_json(dump));
        output_print(", \"records\": [");
    } else {
        print_info(dump);
    }
    if (!dump->header_only) {
        progress_start(&dump->progress, !output_is_terminal());
        struct spate_dump_info ignored; /* on a live ring the second look differs; what was printed stays */
        error = spate_dump(dump->path, &ignored, visit, dump);
        progress_clear(&dump->progress);
    }
    if (dump->json)
        output_print("]}\n");
    return error == 0 || error == STOP ? STATUS_OK : tool_failed(error, "cannot read all of ring file '%s'", dump->path);
}

/* find_file: the path of the topic's ring file. Only the bus directory's path is needed, but the topic is opened, too, for the message
 * on a wrong name. */
static int find_file(const struct command *command, struct dump *dump)
{
    spate_bus *bus;
    spate_topic *topic;
    int status = tool_open_bus(command, TOOL_OBSERVE, NULL, &bus);
    if (status != STATUS_GO_ON) {
        fprintf(stderr, "spate: a ring file can be read without its bus: spate dump --file .../%s/%d.ring\n", dump->name,
                dump->partition);
        return status;
    }
    snprintf(dump->path, sizeof(dump->path), "%s/%s/%d.ring", spate_bus_path(bus), dump->name, dump->partition);
    int error = spate_topic_open(bus, dump->name, &topic);
    if (error == 0) {
        struct spate_topic_info info;
        spate_topic_describe(topic, &info);
        if ((uint32_t)dump->partition >= info.partitions)
            status = tool_error("topic '%s' has no partition %d: it has %u, counted from 0", dump->name, dump->partition,
                                info.partitions);
        spate_topic_close(topic);
    } else if (error == -ENOENT) {
        status = tool_error("no topic '%s' on bus %s: `spate topic list` shows those there are", dump->name, spate_bus_path(bus));
    }
    spate_bus_close(bus); /* another error: the topic is damaged, which is when its ring is most worth a look */
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct dump dump = {.partition = NO_PARTITION};
    const struct option_spec specs[] = {
        {'p', "partition", "PARTITION", "which one (default 0)", set_partition, &dump.partition},
        {0, "file", "PATH", "a ring file instead of a topic; needs no bus", set_text, &dump.file},
        {'c', "count", "COUNT", "end after so many records", set_count, &dump.count_max},
        {0, "header", NULL, "only the file's header, decoded", set_switch, &dump.header_only},
        {0, "full", NULL, "keys and values whole, not their first 64 bytes", set_switch, &dump.full},
        {'J', "json", NULL, "one object: ring, and records with all of their bytes", set_switch, &dump.json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if ((argc == 0) == (dump.file == NULL))
        return options_mistake(command, "either a TOPIC or --file PATH is expected");
    if (dump.file != NULL && dump.partition != NO_PARTITION)
        return options_mistake(command, "--file names one ring: it does not go with -p");
    if (dump.partition == NO_PARTITION)
        dump.partition = 0;
    dump.name = dump.file != NULL ? dump.file : argv[0];
    if (dump.file != NULL)
        snprintf(dump.path, sizeof(dump.path), "%s", dump.file);
    else if ((status = find_file(command, &dump)) != STATUS_GO_ON)
        return status;
    return dump_file(&dump);
}

const struct command command_dump = {
    .path = "spate dump",
    .arguments = "[TOPIC]",
    .arguments_max = 1,
    .summary = "records and header words of a ring file, live, dead or copied",
    .details = "Walks from the oldest record to the tail. States: committed; aborted (offsets that will never be); claimed (not "
               "committed\n"
               "yet, by the producer slot named); damaged (bytes that no rule explains: see `spate verify`).\n"
               "\n"
               "Exit status: 0 walked; 1 the file could not be read; 2 usage.\n",
    .run = run,
};
