/* log_dump.c: `spate log dump`: blocks and records of one partition's log, good or damaged.
 *
 * Text is a line a record, and one a block; JSON is one document, written as it is read, since a log may hold any number of records. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "commands.h"
#include "log_view.h"
#include "show.h"

enum { STOP = 1 }; /* returned by the visitors: enough, or nobody reads */

struct log_dump {
    const char *path, *topic;
    bool json, full, blocks_only, has_block;
    int32_t partition;
    int64_t offset; /* -1: from the beginning */
    uint64_t count_max, count, rows;
    uint32_t timestamp; /* enum spate_timestamp of the topic */
    struct progress progress;
};

static int go_on(struct log_dump *dump, uint64_t size)
{
    dump->count++;
    progress_add(&dump->progress, 1, size);
    return output_settle() && (dump->count_max == 0 || dump->count < dump->count_max) ? 0 : STOP;
}

static json_t *block_json(const struct spate_log_block *block)
{
    json_t *row = json_new();
    json_set_text(row, "file", block->file);
    json_set_size(row, "at", block->at);
    json_set_size(row, "end", block->end);
    json_set_number(row, "first", block->first_offset);
    json_set_number(row, "next", block->next_offset);
    json_set_text(row, "damaged", block->reason);
    if (block->reason != NULL)
        return row;
    json_set_size(row, "position", block->position);
    json_set_size(row, "raw_size", block->raw_size);
    json_set_size(row, "stored_size", block->stored_size);
    json_set_text(row, "compression", block->compression == SPATE_COMPRESSION_LZ4 ? "lz4" : "none");
    json_set_boolean(row, "compacted", block->compacted);
    json_set_number(row, "first_timestamp", block->first_timestamp);
    json_set_number(row, "last_timestamp", block->last_timestamp);
    json_set_number(row, "epoch", block->epoch);
    json_set_hex(row, "header_crc", block->header_crc);
    json_set_hex(row, "data_crc", block->data_crc);
    json_set_hex(row, "previous", block->previous);
    return row;
}

static void print_block(const struct spate_log_block *block)
{
    output_print("# %s at %" PRIu64 " .. %" PRIu64 "  offsets %" PRId64 " .. %" PRId64, block->file, block->at, block->end,
                 block->first_offset, block->next_offset - 1);
    if (block->reason != NULL) {
        output_print("  DAMAGED: %s\n", block->reason);
        return;
    }
    output_print("  raw %u  stored %u%s%s  position %" PRIu64 "  crc %08x %08x  previous %08x", block->raw_size, block->stored_size,
                 block->compression == SPATE_COMPRESSION_LZ4 ? " lz4" : "", block->compacted ? " compacted" : "", block->position,
                 block->header_crc, block->data_crc, block->previous);
    if (block->last_timestamp != 0)
        output_print("  times %" PRId64 " .. %" PRId64, block->first_timestamp, block->last_timestamp);
    output_write("\n", 1);
}

static int visit_block(void *context, const struct spate_log_block *block)
{
    struct log_dump *dump = context;
    dump->has_block = true;
    if (!dump->json) {
        print_block(block);
    } else if (dump->blocks_only || block->reason != NULL) {
        output_print("%s\n", dump->rows++ != 0 ? "," : "");
        json_write_compact(block_json(block));
    }
    if (dump->blocks_only)
        return go_on(dump, block->end - block->at);
    return output_settle() ? 0 : STOP;
}

static int visit_record(void *context, const struct spate_dump_record *record)
{
    struct log_dump *dump = context;
    if (dump->json) {
        output_print("%s\n", dump->rows++ != 0 ? "," : "");
        json_write_compact(show_record_json(record, dump->topic, dump->timestamp));
    } else {
        show_record(record, dump->timestamp, dump->full);
    }
    return go_on(dump, record->size);
}

static int visit_topic(void *context, const struct spate_log_topic_info *topic)
{
    struct log_dump *dump = context;
    if (topic->info != NULL && strcmp(topic->name, dump->topic) == 0)
        dump->timestamp = topic->info->timestamp;
    return 0;
}

static int dump_log(struct log_dump *dump)
{
    spate_log *log;
    int status = log_open(dump->path, &log);
    if (status != STATUS_GO_ON)
        return status;
    int error = spate_log_topics(log, visit_topic, dump);
    if (dump->json)
        output_print("{\"%s\": [", dump->blocks_only ? "blocks" : "records");
    progress_start(&dump->progress, !output_is_terminal());
    if (error == 0)
        error = spate_log_blocks(log, dump->topic, dump->partition, dump->offset, visit_block,
                                 dump->blocks_only ? NULL : visit_record, dump);
    progress_clear(&dump->progress);
    spate_log_close(log);
    if (dump->json)
        output_print("]}\n");
    if (error == 0 && dump->offset >= 0 && !dump->has_block)
        return tool_error("the log of topic '%s', partition %d has nothing at offset %" PRId64
                          " or behind it: `spate log ls` shows "
                          "what it has",
                          dump->topic, dump->partition, dump->offset);
    return error == 0 || error == STOP
               ? STATUS_OK
               : tool_failed(error, "cannot read the log of topic '%s', partition %d", dump->topic, dump->partition);
}

static const char *set_offset(void *target, char *text)
{
    struct log_dump *dump = target;
    return parse_integer(text, 0, INT64_MAX, &dump->offset) ? NULL : "an offset, a whole number, is expected";
}

static int run(const struct command *command, int argc, char **argv)
{
    struct log_dump dump = {.offset = -1};
    const struct option_spec specs[] = {
        {'p', "partition", "PARTITION", "which one (default 0)", set_partition, &dump.partition},
        {'o', "offset", "OFFSET", "begin there (default: where the log begins)", set_offset, &dump},
        {'c', "count", "COUNT", "end after so many records (with --blocks: blocks)", set_count, &dump.count_max},
        {0, "blocks", NULL, "blocks only, not their records", set_switch, &dump.blocks_only},
        {0, "full", NULL, "keys and values whole, not their first 64 bytes", set_switch, &dump.full},
        {'J', "json", NULL, "one object: records, or blocks; what is damaged is among them", set_switch, &dump.json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON && argc == 2) {
        dump.path = argv[0];
        dump.topic = argv[1];
    } else if (status == STATUS_GO_ON) {
        const char *none;
        dump.topic = argv[0];
        status = log_arguments(0, argv, &dump.path, &none);
    }
    return status == STATUS_GO_ON ? dump_log(&dump) : status;
}

const struct command command_dump_log = {
    .path = "spate log dump",
    .arguments = "[DIR] TOPIC",
    .arguments_min = 1,
    .arguments_max = 2,
    .summary = "blocks and records of a log",
    .details =
        "Without DIR: the log of the bus. Lines that begin with # are blocks: where in which file, their offsets, sizes and\n"
        "checksums; DAMAGED ones say why, and which offsets cannot be read. The records follow, as `spate dump` shows them.\n"
        "\n"
        "Exit status: 0 walked; 1 the log could not be read; 2 usage.\n",
    .run = run,
};
