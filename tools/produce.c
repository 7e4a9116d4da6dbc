/* produce.c: `spate produce`: standard input, or files, become records.
 *
 * Reads, cuts into lines (lines.c), collects (batch.c) and publishes whatever is complete before it waits for more input: a typed line
 * goes out at once, a busy pipe in batches. Everything before a line that cannot be published is published. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "lines.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "commands.h"

enum {
    HEADERS_MAX = 1024,
    CLAIM_SIZE_MAX = 256 << 10, /* of ring per claim: large enough to be fast, small enough for readers to go along */
};

struct produce {
    const char *topic_name, *name;
    int32_t partition;
    struct bytes key, key_delimiter, delimiter;
    struct spate_header headers[HEADERS_MAX];
    uint32_t headers_count;
    bool tee, empty_is_null, raw, create, quiet;
    uint64_t count_max;
    uint32_t wait, acks;
    int64_t timeout;

    spate_bus *bus;
    spate_topic *topic;
    struct spate_topic_info info;
    struct batch batch;
    struct progress progress;
    uint64_t line;           /* number of the line, or of the file, that was taken last; from 1 */
    uint64_t collected_size; /* bytes of the records collected since the last publish, for progress */
    uint64_t record_size_max;
};

/* --------------------------------------------------------------------------------------------------------- the options */

/* set_header: NAME=VALUE; NAME alone has a null value. */
static const char *set_header(void *target, char *text)
{
    struct produce *produce = target;
    const char *equals = strchr(text, '=');
    if (produce->headers_count == HEADERS_MAX)
        return "there are 1024 headers already";
    struct spate_header *header = &produce->headers[produce->headers_count++];
    header->name = text;
    header->name_size = (uint32_t)(equals != NULL ? (size_t)(equals - text) : strlen(text));
    header->value = equals != NULL ? equals + 1 : NULL;
    header->value_size = equals != NULL ? (uint32_t)strlen(equals + 1) : 0;
    return header->name_size != 0 && header->name_size <= UINT16_MAX ? NULL : "NAME=VALUE is expected, NAME of 1 to 65535 bytes";
}

static int parse(const struct command *command, struct produce *produce, int *argc, char **argv)
{
    static char newline[] = "\n";
    const struct option_spec specs[] = {
        {'p', "partition", "PARTITION", "into this one (default: by the key, else spread)", set_partition, &produce->partition},
        {'K', "key-delimiter", "DELIM", "each line is KEY DELIM VALUE; a line without DELIM has no key", set_escaped,
         &produce->key_delimiter},
        {'k', "key", "KEY", "the key of every record that has none from -K", set_bytes, &produce->key},
        {'H', "header", "NAME=VALUE", "a header of every record; NAME alone: a null value (repeatable)", set_header, produce},
        {'D', "delimiter", "DELIM", "ends a record instead of a newline; \\n \\t \\xHH are understood", set_escaped,
         &produce->delimiter},
        {'T', "tee", NULL, "copy the input to standard output once it is published", set_switch, &produce->tee},
        {'Z', "null", NULL, "an empty value or key is null", set_switch, &produce->empty_is_null},
        {'c', "count", "COUNT", "end after so many records", set_count, &produce->count_max},
        {0, "raw", NULL, "a record per FILE with all of its bytes; no FILE, or -: standard input", set_switch, &produce->raw},
        {0, "create", NULL, "create the topic with the defaults when it does not exist", set_switch, &produce->create},
        {0, "timeout", "TIME", "fail when a full ring gives no room for so long: 10s, 200ms, 2m (default: wait)", set_duration,
         &produce->timeout},
        {'a', "acks", "LEVEL",
         "when a record counts as published: ring (default), written (spated gave it to the\n"
         "file system) or durable (it was flushed to the device); durable topics only",
         set_watermark, &produce->acks},
        {0, "wait", "HOW", "how to wait for room: spin, yield, block, auto (default)", set_wait, &produce->wait},
        {0, "name", "NAME", "what `spate stat` shows for this producer", set_text, &produce->name},
        {'q', "quiet", NULL, "no progress on a terminal", set_switch, &produce->quiet},
        {0},
    };
    int status = options_parse(command, specs, argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (!produce->raw && *argc > 1)
        return options_mistake(command, "'%s': files are for --raw; for the lines of a file use <FILE", argv[1]);
    if (produce->raw && (produce->key_delimiter.data != NULL || produce->delimiter.data != NULL))
        return options_mistake(command, "-K and -D cut lines: they do not go with --raw");
    if (produce->delimiter.data == NULL)
        produce->delimiter = (struct bytes){newline, 1};
    return STATUS_GO_ON;
}

/* ------------------------------------------------------------------------------------------------------------ opening */

static int open_topic(struct produce *produce)
{
    int error = spate_topic_open(produce->bus, produce->topic_name, &produce->topic);
    if (error == -ENOENT && produce->create) {
        error = spate_topic_create(produce->bus, produce->topic_name, NULL);
        if (error == 0 || error == -EEXIST) /* somebody else was faster: as good */
            error = spate_topic_open(produce->bus, produce->topic_name, &produce->topic);
    }
    if (error == -ENOENT)
        return tool_no_topic(produce->bus, produce->topic_name, "or give --create");
    if (error != 0)
        return tool_failed(error, "cannot open topic '%s'", produce->topic_name);
    spate_topic_describe(produce->topic, &produce->info);
    return STATUS_GO_ON;
}

static int open_all(const struct command *command, struct produce *produce)
{
    int status = tool_open_bus(command, TOOL_JOIN, produce->name, &produce->bus);
    if (status == STATUS_GO_ON)
        status = open_topic(produce);
    if (status != STATUS_GO_ON)
        return status;
    if (produce->partition != SPATE_ANY && (uint32_t)produce->partition >= produce->info.partitions)
        return tool_error("topic '%s' has no partition %d: it has %u, counted from 0", produce->topic_name, produce->partition,
                          produce->info.partitions);
    struct spate_producer_options options;
    spate_producer_options_init(&options);
    options.wait = produce->wait;
    options.name = produce->name;
    struct batch *batch = &produce->batch;
    int error = spate_producer_open(produce->topic, &options, &batch->producer);
    if (error != 0)
        return tool_failed(error, "cannot produce to topic '%s'", produce->topic_name);
    produce->record_size_max = spate_producer_max_size(batch->producer);
    batch->claim_size_max = produce->record_size_max / 2 < CLAIM_SIZE_MAX ? produce->record_size_max / 2 : CLAIM_SIZE_MAX;
    batch->partitions = produce->info.partitions;
    batch->by_key = produce->partition == SPATE_ANY && batch->partitions > 1 && produce->key_delimiter.data != NULL;
    if (produce->acks != SPATE_WATERMARK_RING && !produce->info.durable)
        return tool_error("topic '%s' is not durable: there is no log to wait for (--acks); create it with --durable",
                          produce->topic_name);
    batch->acks = produce->acks;
    batch->timeout = produce->timeout;
    batch->quiet = produce->quiet;
    return STATUS_GO_ON;
}

/* --------------------------------------------------------------------------------------------------------- one record */

/* set_record: value and key as the options say. `text` stays in place until the batch is published. */
static void set_record(struct produce *produce, struct spate_record *record, struct bytes text)
{
    static const char empty[1];
    produce->collected_size += text.size;
    *record = (struct spate_record){
        .partition = produce->partition,
        .key = produce->key.data,
        .key_size = (uint32_t)produce->key.size,
        .headers = produce->headers,
        .headers_count = produce->headers_count,
    };
    const struct bytes *delimiter = &produce->key_delimiter;
    char *found = delimiter->data != NULL ? memmem(text.data, text.size, delimiter->data, delimiter->size) : NULL;
    if (found != NULL) {
        record->key = text.data;
        record->key_size = (uint32_t)(found - text.data);
        size_t taken = record->key_size + delimiter->size;
        text = (struct bytes){text.data + taken, text.size - taken};
    }
    record->value = text.size != 0 ? text.data : empty;
    record->value_size = (uint32_t)text.size;
    if (produce->empty_is_null && record->value_size == 0)
        record->value = NULL;
    if (produce->empty_is_null && record->key_size == 0)
        record->key = NULL;
    if (produce->info.timestamp == SPATE_TIMESTAMP_CALLER)
        record->timestamp = tool_now();
}

static int too_large(const struct produce *produce, const char *what)
{
    return tool_error("%s %" PRIu64 " is larger than a record of topic '%s' can be (%" PRIu64
                      " bytes with its key and headers): split it, "
                      "or create the topic with a --ring of four times the record; published before it: %" PRIu64,
                      what, produce->line, produce->topic_name, produce->record_size_max, produce->batch.published);
}

/* publish: what is collected. Returns STATUS_GO_ON or an exit status after a message. */
static int publish(struct produce *produce)
{
    uint64_t before = produce->batch.published;
    int error = batch_publish(&produce->batch);
    progress_add(&produce->progress, produce->batch.published - before, produce->collected_size);
    produce->collected_size = 0;
    if (error == 0)
        return STATUS_GO_ON;
    progress_clear(&produce->progress);
    if (error == -EINTR)
        return STATUS_OK; /* asked to stop: run() says how */
    const char *topic = produce->topic_name;
    uint64_t published = produce->batch.published;
    if (error == -EMSGSIZE && !produce->batch.by_key) { /* its headers made it too large: only the library can tell */
        produce->line = published + 1;
        return too_large(produce, "record");
    }
    if (error == -ETIMEDOUT && produce->acks == SPATE_WATERMARK_RING)
        return tool_error("topic '%s' gave no room in time: `spate stat` shows which consumer gates or which claim is stalled; "
                          "published: %" PRIu64,
                          topic, published);
    return tool_failed(error, "cannot publish to topic '%s' (published so far: %" PRIu64 ")", topic, published);
}

/* check_size: a record that is too large ends the run, after what came before it is published. */
static int check_size(struct produce *produce, const struct spate_record *record, const char *what)
{
    uint64_t size = (uint64_t)record->value_size + record->key_size;
    if (record->key_size > SPATE_KEY_SIZE_MAX) {
        int status = publish(produce);
        return status != STATUS_GO_ON
                   ? status
                   : tool_error("%s %" PRIu64 ": a key of %u bytes: keys have at most %d; is the delimiter right?", what,
                                produce->line, record->key_size, SPATE_KEY_SIZE_MAX);
    }
    if (size <= produce->record_size_max)
        return STATUS_GO_ON;
    int status = publish(produce);
    return status != STATUS_GO_ON ? status : too_large(produce, what);
}

/* ------------------------------------------------------------------------------------------------------------- inputs */

/* take_lines: publish all complete lines that are buffered. */
static int take_lines(struct produce *produce, struct lines *lines)
{
    struct batch *batch = &produce->batch;
    struct bytes line = {0};
    int status = STATUS_GO_ON;
    const char *tee_start = lines->data + lines->start;
    bool more = true;
    while (more && status == STATUS_GO_ON) {
        more = (produce->count_max == 0 || produce->line < produce->count_max) && lines_next(lines, &line);
        if (more) {
            produce->line++;
            set_record(produce, &batch->records[batch->count], line);
            status = check_size(produce, &batch->records[batch->count], "line");
            if (status != STATUS_GO_ON)
                return status;
            batch->count++;
        }
        if (batch->count == BATCH_RECORDS || !more) {
            const char *tee_end = lines->data + lines->start;
            status = publish(produce);
            if (produce->tee && status == STATUS_GO_ON) {
                output_write(tee_start, (size_t)(tee_end - tee_start));
                tee_start = tee_end;
                if (!output_flush())
                    return STATUS_OK;
            }
        }
    }
    return status;
}

/* next_lines: read once and publish what became complete. Returns STATUS_GO_ON, or an exit status at the end. */
static int next_lines(struct produce *produce, struct lines *lines)
{
    int error = lines_fill(lines);
    if (error == -EINTR)
        return STATUS_OK;
    if (error == -EMSGSIZE) {
        produce->line++;
        return too_large(produce, "line");
    }
    if (error != 0)
        return tool_error("cannot read standard input: %s", strerror(-error));
    int status = take_lines(produce, lines);
    if (status == STATUS_GO_ON && (lines->at_end || (produce->count_max != 0 && produce->line >= produce->count_max)))
        status = STATUS_OK;
    return status;
}

static int produce_lines(struct produce *produce)
{
    struct lines lines;
    lines_init(&lines, produce->delimiter, produce->record_size_max + produce->key_delimiter.size);
    int status;
    do
        status = next_lines(produce, &lines);
    while (status == STATUS_GO_ON);
    lines_free(&lines);
    return status;
}

/* read_file: all bytes of a file, at most one read more than a record can have; data is NULL on failure, and errno says why. */
static struct bytes read_file(const struct produce *produce, int file)
{
    size_t capacity = 64 << 10;
    struct bytes content = {tool_allocate(capacity, 1), 0};
    for (;;) {
        ssize_t result = read(file, content.data + content.size, capacity - content.size);
        if (result < 0 && errno == EINTR && !tool_stopped())
            continue;
        if (result < 0) {
            free(content.data);
            return (struct bytes){0};
        }
        content.size += (size_t)result;
        if (result == 0 || content.size > produce->record_size_max)
            return content;
        if (content.size == capacity && (content.data = realloc(content.data, capacity *= 2)) == NULL)
            tool_out_of_memory();
    }
}

static int produce_file(struct produce *produce, const char *path)
{
    int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return tool_error("cannot open '%s': %s; published before it: %" PRIu64, path, strerror(errno), produce->batch.published);
    struct bytes content = read_file(produce, file);
    int error = errno;
    if (file != STDIN_FILENO)
        close(file);
    produce->line++;
    if (content.data == NULL && tool_stopped())
        return STATUS_OK;
    if (content.data == NULL)
        return tool_error("cannot read '%s': %s; published before it: %" PRIu64, path, strerror(error), produce->batch.published);
    struct spate_record *record = &produce->batch.records[0];
    set_record(produce, record, content);
    int status = check_size(produce, record, "file");
    if (status == STATUS_GO_ON) {
        produce->batch.count = 1;
        status = publish(produce);
    }
    if (produce->tee && status == STATUS_GO_ON) {
        output_write(content.data, content.size);
        status = output_flush() ? STATUS_GO_ON : STATUS_OK;
    }
    free(content.data);
    return status;
}

static int produce_files(struct produce *produce, int count, char **paths)
{
    static char standard_input[] = "-";
    char *only_input[] = {standard_input};
    if (count == 0) {
        paths = only_input;
        count = 1;
    }
    int status = STATUS_GO_ON;
    for (int i = 0; i < count && status == STATUS_GO_ON && (produce->count_max == 0 || produce->line < produce->count_max); i++)
        status = tool_stopped() ? STATUS_OK : produce_file(produce, paths[i]);
    return status != STATUS_GO_ON ? status : STATUS_OK;
}

/* ---------------------------------------------------------------------------------------------------------------- run */

static int run(const struct command *command, int argc, char **argv)
{
    static struct produce produce = {.partition = SPATE_ANY, .timeout = SPATE_FOREVER}; /* static: it is large */
    int status = parse(command, &produce, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    produce.topic_name = argv[0];
    tool_catch_signals();
    status = open_all(command, &produce);
    if (status == STATUS_GO_ON) {
        progress_start(&produce.progress, !produce.quiet && !produce.tee && isatty(STDIN_FILENO) != 1);
        status = produce.raw ? produce_files(&produce, argc - 1, argv + 1) : produce_lines(&produce);
        progress_clear(&produce.progress);
    }
    spate_producer_close(produce.batch.producer);
    spate_topic_close(produce.topic);
    spate_bus_close(produce.bus);
    return status == STATUS_OK && tool_stopped() ? 128 + tool_stopped() : status;
}

const struct command command_produce = {
    .path = "spate produce",
    .arguments = "TOPIC [FILE...]",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .summary = "publish each line of standard input as a record",
    .details =
        "Every complete line is published before more input is waited for. With -K and several partitions a record goes where its\n"
        "key belongs (murmur2, as Kafka's default partitioner); the order of each key is kept. A last line without a newline is a\n"
        "record, too. On a topic with timestamp=caller records get the current time.\n"
        "\n"
        "Exit status: 0 all input is published; 1 it could not be (what came before is); 2 usage; 130 or 143 when SIGINT or "
        "SIGTERM\n"
        "came first.\n",
    .run = run,
};
