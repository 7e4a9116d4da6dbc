/* consume.c: `spate consume`: records of a topic, as text, by a kcat format, or as JSON.
 *
 * Polls views into shared memory, renders a batch into the output buffer, and only then asks the library whether the views stayed whole
 * (policy skip, or a gate that was given up): if not, what was rendered is taken back, and the next poll says what was lost. Output is
 * written when the buffer is large and whenever there is nothing to read, so a reader of a pipe waits for nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "format.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "commands.h"

enum {
    BATCH = 256,
    LOOK_MS = 200, /* how often a wait looks whether it was asked to stop, or the reader of our output went away */
};

struct consume {
    const char *topic_name, *name;
    int32_t partition;
    struct start start;
    uint64_t count_max;
    bool exit_at_end, formatted, json, unbuffered, quiet, wait_topic;
    struct format format;
    struct bytes key_delimiter, delimiter;
    uint32_t policy, wait, watermark;
    int64_t gate_timeout;
    const char *log_dir;

    spate_bus *bus;
    spate_topic *topic;
    spate_consumer *consumer;
    struct spate_topic_info info;
    struct progress progress;
    int64_t *ends; /* -e: per partition, where its end was at the start */
    uint64_t count;
    bool lost;
    bool broken; /* a record with damaged headers was met */
};

/* --------------------------------------------------------------------------------------------------------- the options */

static const char *set_consume_format(void *target, char *text)
{
    struct consume *consume = target;
    consume->formatted = true;
    return set_format(&consume->format, text);
}

static int parse(const struct command *command, struct consume *consume, int *argc, char **argv)
{
    static char newline[] = "\n";
    const struct option_spec specs[] = {
        {'p', "partition", "PARTITION", "only this one (default: all)", set_partition, &consume->partition},
        {'o', "offset", "WHERE",
         "where to begin: beginning (default; of the log, else of the ring), end, OFFSET, -N (the\n"
         "last N of each partition), @TIME: kcat's milliseconds since 1970, 2030-01-31,\n"
         "2030-01-31T12:00:00.5Z, ...+02:00 (without a zone: local time), or @-10s",
         set_start, &consume->start},
        {'c', "count", "COUNT", "end after so many records", set_count, &consume->count_max},
        {'e', "exit", NULL, "end where each partition's end was at the start", set_switch, &consume->exit_at_end},
        {'f', "format", "FORMAT", "how to print a record, see below", set_consume_format, consume},
        {'J', "json", NULL, "an object per line with kcat's names, see below", set_switch, &consume->json},
        {'K', "key-delimiter", "DELIM", "print KEY DELIM before the value", set_escaped, &consume->key_delimiter},
        {'D', "delimiter", "DELIM", "printed after each record instead of a newline", set_escaped, &consume->delimiter},
        {'Z', "null", NULL, "print NULL for a null key or value (default: nothing)", set_switch, &consume->format.show_null},
        {'u', "unbuffered", NULL, "write each record at once", set_switch, &consume->unbuffered},
        {'q', "quiet", NULL, "no progress on a terminal", set_switch, &consume->quiet},
        {0, "policy", "POLICY",
         "gate: producers wait for this consumer when the ring is full; skip: they\n"
         "overwrite, and what was lost is reported; spill: they overwrite, and what is no\n"
         "more in the ring is read from the log. Default: spill where the topic is durable,\n"
         "else gate",
         set_policy, &consume->policy},
        {0, "gate-timeout", "TIME",
         "let a full ring wait only so long (10s, 200ms, 50us, 2m), then lose records;\n"
         "default: for ever",
         set_duration, &consume->gate_timeout},
        {0, "watermark", "LEVEL", "only records that have come so far: ring (default: all), written, durable", set_watermark,
         &consume->watermark},
        {0, "log", "DIR",
         "read a log directory, or a copy of one, without a bus and without spated, to\n"
         "where it ends",
         set_text, &consume->log_dir},
        {0, "wait", "HOW", "how to wait for records: spin, yield, block, auto (default)", set_wait, &consume->wait},
        {0, "wait-topic", NULL, "wait for a topic that does not exist yet", set_switch, &consume->wait_topic},
        {0, "name", "NAME", "what `spate stat` shows for this consumer", set_text, &consume->name},
        {0},
    };
    int status = options_parse(command, specs, argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (consume->formatted && (consume->json || consume->key_delimiter.data != NULL || consume->delimiter.data != NULL))
        return options_mistake(command, "-f says all: it does not go with -J, -K or -D");
    if (consume->json && consume->key_delimiter.data != NULL)
        return options_mistake(command, "-J has the key in a field of its own: it does not go with -K");
    if ((consume->policy == SPATE_POLICY_SKIP || consume->policy == SPATE_POLICY_SPILL) && consume->gate_timeout != SPATE_FOREVER)
        return options_mistake(command, "--gate-timeout is for policy gate: with the others nobody waits");
    if (consume->log_dir != NULL && (consume->wait_topic || consume->watermark != SPATE_WATERMARK_RING))
        return options_mistake(command, "--log reads what is there: --wait-topic and --watermark are for a bus");
    if (consume->log_dir != NULL && consume->policy == SPATE_POLICY_SKIP)
        return options_mistake(command, "--policy skip reads a ring only: it does not go with --log, which has none");
    consume->exit_at_end |= consume->log_dir != NULL;
    if (consume->delimiter.data == NULL)
        consume->delimiter = (struct bytes){newline, 1};
    if (!consume->formatted)
        format_default(&consume->format, consume->key_delimiter, consume->delimiter);
    return STATUS_GO_ON;
}

/* ------------------------------------------------------------------------------------------------------------ opening */

static int wait_for_topic(struct consume *consume)
{
    int error = -ETIMEDOUT;
    while ((error == -ETIMEDOUT || error == -EINTR) && !tool_stopped() && !output_gone())
        error = spate_topic_wait(consume->bus, consume->topic_name, LOOK_MS * NS_PER_MS, &consume->topic);
    if (error == 0)
        return STATUS_GO_ON;
    return error == -ETIMEDOUT || error == -EINTR ? STATUS_OK : tool_failed(error, "cannot open topic '%s'", consume->topic_name);
}

/* note_ends: where -e stops. */
static int note_ends(struct consume *consume)
{
    consume->ends = tool_allocate(consume->info.partitions, sizeof(*consume->ends));
    for (uint32_t i = 0; i < consume->info.partitions; i++) {
        if (consume->partition != SPATE_ANY && consume->partition != (int32_t)i)
            continue;
        int error = spate_offsets(consume->consumer, (int32_t)i, NULL, &consume->ends[i]);
        if (error != 0)
            return tool_failed(error, "cannot learn the end of topic '%s' partition %u", consume->topic_name, i);
    }
    return STATUS_GO_ON;
}

static int open_consumer(struct consume *consume)
{
    spate_topic_describe(consume->topic, &consume->info);
    struct spate_consumer_options options;
    spate_consumer_options_init(&options);
    if (consume->partition != SPATE_ANY) {
        options.partitions = &consume->partition;
        options.partitions_count = 1;
    }
    options.policy = consume->policy;
    options.watermark = consume->watermark;
    options.start = consume->start.kind;
    options.start_value = consume->start.value;
    options.wait = consume->wait;
    options.gate_timeout = consume->gate_timeout;
    options.name = consume->name;
    int error = spate_consumer_open(consume->topic, &options, &consume->consumer);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot consume topic '%s'", consume->topic_name);
}

static int open_all(const struct command *command, struct consume *consume)
{
    int status = consume->log_dir != NULL ? tool_open_log(consume->log_dir, &consume->bus)
                                          : tool_open_bus(command, TOOL_JOIN, consume->name, &consume->bus);
    if (status == STATUS_GO_ON)
        status = consume->wait_topic ? wait_for_topic(consume)
                 : consume->log_dir != NULL
                     ? tool_open_log_topic(consume->bus, consume->log_dir, consume->topic_name, &consume->topic)
                     : tool_open_topic(consume->bus, consume->topic_name, "or give --wait-topic", &consume->topic);
    if (status == STATUS_GO_ON)
        status = open_consumer(consume);
    if (status == STATUS_GO_ON && consume->exit_at_end)
        status = note_ends(consume);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------- printing */

static void print_record(struct consume *consume, const struct spate_record *record)
{
    if (!consume->json) {
        consume->broken |= !format_record(&consume->format, consume->topic_name, record);
        return;
    }
    json_t *object = json_record(consume->topic_name, record, consume->info.timestamp);
    consume->broken |= object == NULL;
    if (object != NULL) {
        json_write_compact(object);
        output_write(consume->delimiter.data, consume->delimiter.size);
    }
}

/* print_batch: render records and keep what stayed whole. Returns STATUS_GO_ON, or an exit status when that was the end. */
static int print_batch(struct consume *consume, const struct spate_record *records, int count)
{
    size_t mark = output_mark();
    uint64_t printed = 0;
    consume->broken = false;
    for (int i = 0; i < count; i++) {
        const struct spate_record *record = &records[i];
        if (consume->ends != NULL && record->offset >= consume->ends[record->partition])
            continue; /* came after the start: not asked for */
        print_record(consume, record);
        printed++;
    }
    if (spate_check(consume->consumer) == -EOVERFLOW) {
        output_rewind(mark); /* overwritten while we read: the next poll reports them as lost */
        return STATUS_GO_ON;
    }
    consume->count += printed;
    progress_add(&consume->progress, printed, output_mark() - mark);
    bool go_on = consume->unbuffered ? output_flush() : output_settle();
    if (consume->broken)
        return tool_error("topic '%s' holds a record whose headers are damaged (offsets %" PRId64 "..%" PRId64
                          "): run `spate verify %s`",
                          consume->topic_name, records[0].offset, records[count - 1].offset, consume->topic_name);
    return go_on ? STATUS_GO_ON : STATUS_OK;
}

static void report_gap(struct consume *consume)
{
    static const char *const causes[] = {
        [0] = "for an unknown reason",
        [SPATE_LOST_SKIPPED] = "overwritten before they were read (policy skip): read faster, gate, or use a larger ring",
        [SPATE_LOST_EVICTED] =
            "overwritten after the ring had waited --gate-timeout for us: read faster, allow more, or use a larger ring",
        [SPATE_LOST_DAMAGED] = "damaged: run `spate verify`, or `spate log verify`",
        [SPATE_LOST_DELETED] = "deleted from the log (retention, or delete-records)",
    };
    struct spate_gap gap;
    consume->lost = true;
    progress_clear(&consume->progress);
    output_flush(); /* what came before the gap stands before the message on a terminal */
    if (spate_consumer_gap(consume->consumer, &gap) != 0)
        tool_error("records of topic '%s' were lost", consume->topic_name);
    else
        tool_error("lost %" PRId64 " of topic '%s' partition %d: offsets %" PRId64 "..%" PRId64 ": %s", gap.next - gap.first,
                   consume->topic_name, gap.partition, gap.first, gap.next - 1,
                   causes[gap.cause <= SPATE_LOST_DELETED ? gap.cause : 0]);
}

/* --------------------------------------------------------------------------------------------------------------- loop */

static bool is_done(const struct consume *consume)
{
    if (tool_stopped() || (consume->count_max != 0 && consume->count >= consume->count_max))
        return true;
    if (consume->ends == NULL)
        return false;
    for (uint32_t i = 0; i < consume->info.partitions; i++)
        if ((consume->partition == SPATE_ANY || consume->partition == (int32_t)i) &&
            spate_position(consume->consumer, (int32_t)i) < consume->ends[i])
            return false;
    return true;
}

/* next_batch: poll; before waiting, write out what is buffered. Returns as spate_poll, or -EPIPE when nobody reads our output. */
static int next_batch(struct consume *consume, struct spate_record *records)
{
    uint64_t wanted = consume->unbuffered ? 1 : BATCH;
    if (consume->count_max != 0 && consume->count_max - consume->count < wanted)
        wanted = consume->count_max - consume->count;
    int result = spate_poll(consume->consumer, records, (uint32_t)wanted, 0);
    if (result != 0)
        return result;
    if (!output_flush() || output_gone())
        return -EPIPE;
    return spate_poll(consume->consumer, records, (uint32_t)wanted, LOOK_MS * NS_PER_MS);
}

static int consume_records(struct consume *consume)
{
    struct spate_record records[BATCH];
    while (!is_done(consume)) {
        int result = next_batch(consume, records);
        if (result > 0) {
            int status = print_batch(consume, records, result);
            if (status != STATUS_GO_ON)
                return status;
        } else if (result == -EOVERFLOW) {
            report_gap(consume);
        } else if (result == -EPIPE) {
            return STATUS_OK;
        } else if (result == -ESTALE) {
            return tool_error("topic '%s' was deleted; everything it held was read", consume->topic_name);
        } else if (result != 0 && result != -ETIMEDOUT && result != -EINTR) {
            return tool_failed(result, "cannot read topic '%s'", consume->topic_name);
        }
    }
    return STATUS_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct consume consume = {.partition = SPATE_ANY,
                              .start = {.kind = SPATE_START_BEGINNING},
                              .policy = SPATE_POLICY_AUTO,
                              .gate_timeout = SPATE_FOREVER};
    int status = parse(command, &consume, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    consume.topic_name = argv[0];
    tool_catch_signals();
    status = open_all(command, &consume);
    if (status == STATUS_GO_ON) {
        progress_start(&consume.progress, !consume.quiet && !output_is_terminal());
        status = consume_records(&consume);
        progress_clear(&consume.progress);
        output_flush();
    }
    spate_consumer_close(consume.consumer);
    spate_topic_close(consume.topic);
    spate_bus_close(consume.bus);
    free(consume.ends);
    return status == STATUS_OK && consume.lost ? STATUS_FOUND : status;
}

const struct command command_consume = {
    .path = "spate consume",
    .arguments = "TOPIC",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "print the records of a topic as they come",
    .details =
        "Runs until it is told to stop: -c, -e, SIGINT, SIGTERM. FORMAT is printed for each record, and no newline unless it\n"
        "says so:\n"
        "  %t topic      %p partition   %o offset         %T time in ms since 1970 (-1: none)\n"
        "  %k key        %K its size (-1: null)           %h headers as name=value,name=value\n"
        "  %s value      %S its size (-1: null)           %R the same as 4 bytes, big-endian\n"
        "  %% percent    \\n \\r \\t \\0 \\\\ \\xHH bytes\n"
        "With -J the fields are topic, partition, offset, tstype, ts, headers, key, payload. Bytes that are not UTF-8 are not in\n"
        "key, payload or headers but, as base64, in key_base64, payload_base64, headers_base64.\n"
        "\n"
        "Records that were lost are reported on standard error, one line per gap with its offsets and the cause.\n"
        "Exit status: 0 done, or ended by a signal; 1 failure; 2 usage; 3 records were lost.\n",
    .run = run,
};
