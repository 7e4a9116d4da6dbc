/* log_verify.c: spate_log_verify: everything in a log directory read and checked.
 *
 * Only looks. A rule that is broken is a violation; what a crash leaves, and recovery knows, is a note: so on a log that nobody damaged
 * there is never a violation, whenever its daemon or machine died. On a log that is being written, the end of the last two segments is left
 * out: they are changed meanwhile. Called by `spate log verify` and by tests after every crash. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bus/log_inspect.h"

struct verify {
    const spate_log *log;
    struct spate_log_verify_result result;
    int (*visit)(void *, const struct spate_log_finding *);
    void *context;
    int stopped; /* what `visit` returned to end the walk */
    struct spate_topic_info info;
    bool has_info;
    /* of the partition */
    const struct sp_log_part *part;
    uint64_t expected; /* offset that the next block begins with */
    bool knows_expected;
    bool has_ended;    /* what follows was never acknowledged */
    bool has_frontier; /* the place that it names was seen */
};

struct place { /* of a finding; all zero but the offsets, which are -1: none */
    int64_t first, next;
    uint64_t at, end;
};

static const struct place nowhere = {-1, -1, 0, 0};

static struct place offsets(uint64_t first, uint64_t next)
{
    return (struct place){(int64_t)first, (int64_t)next, 0, 0};
}

enum weight { NOTE, VIOLATION };

__attribute__((format(printf, 6, 7))) static void report(struct verify *verify, enum weight weight, const char *rule,
                                                         const char *file, struct place place, const char *format, ...)
{
    struct spate_log_finding finding = {.file = file,
                                        .rule = rule,
                                        .violation = weight == VIOLATION,
                                        .first = place.first,
                                        .next = place.next,
                                        .at = place.at,
                                        .end = place.end};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(finding.detail, sizeof finding.detail, format, arguments);
    va_end(arguments);
    if (weight == VIOLATION)
        verify->result.violations++;
    else
        verify->result.notes++;
    if (verify->visit && !verify->stopped)
        verify->stopped = verify->visit(verify->context, &finding);
}

/* --------------------------------------------------------------------------------------------------------------- index */

static void open_index(struct verify *verify, const struct sp_segment_file *file, bool is_active, struct sp_index_look *ret)
{
    char path[SP_LOG_FILE_SIZE];
    const char *reason;

    *ret = (struct sp_index_look){0};
    const enum sp_index_state state = sp_index_read(verify->part->dir_fd, &file->identity, file->size, &ret->header, &reason);
    sp_log_part_file(verify->part, file->identity.base_offset, "index", path);
    if (state == SP_INDEX_GOOD || is_active)
        return;
    if (state == SP_INDEX_MISSING)
        report(verify, NOTE, "index", path, nowhere, "there is none: finding a place takes longer; repair makes it");
    else
        report(verify, state == SP_INDEX_DAMAGED ? VIOLATION : NOTE, "index", path, nowhere,
               "%s: readers do without; repair makes it anew", reason);
}

static void finish_index(struct verify *verify, struct sp_index_look *look, const struct sp_blocks *blocks, bool is_whole)
{
    char path[SP_LOG_FILE_SIZE];

    if (!look->header)
        return;
    sp_index_look_end(look, &blocks->place);
    sp_log_part_file(verify->part, blocks->identity->base_offset, "index", path);
    if (look->wrong && is_whole)
        report(verify, VIOLATION, "index", path, nowhere, "%s, though its checksum is right: repair makes it anew", look->wrong);
    free(look->header);
}

/* -------------------------------------------------------------------------------------------------------------- blocks */

static void verify_records(struct verify *verify, const struct sp_blocks *blocks, const char *file)
{
    const struct sp_block_header *header = &blocks->header;
    const uint64_t next = header->base_offset + header->count;
    struct sp_block_census census;

    sp_block_count(blocks->identity, header, blocks->raw, &census);
    verify->result.records += census.records;
    if (header->kind & SP_BLOCK_COMPACTED)
        verify->result.superseded += census.aborted;
    else
        verify->result.aborted += census.aborted;
    if (census.reason)
        report(verify, VIOLATION, "record", file,
               (struct place){(int64_t)census.end.offset, (int64_t)next, blocks->at, blocks->end},
               "%s, though the checksums of its block are right", census.reason);
    if (census.last_timestamp > header->last_timestamp)
        report(verify, VIOLATION, "timestamp", file,
               (struct place){(int64_t)header->base_offset, (int64_t)next, blocks->at, blocks->end},
               "a record is later than its block says: reading from a time would pass it over");
}

static void verify_block(struct verify *verify, const struct sp_blocks *blocks, const char *file)
{
    const uint64_t first = blocks->header.base_offset;

    if (verify->knows_expected && first != verify->expected)
        report(verify, VIOLATION, "offsets-dense", file,
               (struct place){(int64_t)sp_min(first, verify->expected), (int64_t)sp_max(first, verify->expected), blocks->at,
                              blocks->end},
               first > verify->expected ? "the block goes on behind offsets that are nowhere"
                                        : "the block begins with offsets that the one before has");
    verify->expected = first + blocks->header.count;
    verify->knows_expected = true;
    verify->result.blocks++;
    verify->result.bytes += blocks->header.stored_size;
    verify_records(verify, blocks, file);
}

/* Between two blocks: is the place the one that the frontier names? */
static void compare_frontier(struct verify *verify, const struct sp_scan_place *place, uint64_t base)
{
    const struct sp_frontier *frontier = &verify->part->frontier;
    char path[SP_LOG_FILE_SIZE];

    if (verify->part->frontier_state != SP_FRONTIER_GOOD || verify->has_frontier || frontier->segment != base ||
        place->at < frontier->at)
        return;
    verify->has_frontier = true;
    snprintf(path, sizeof path, "%s/frontier", verify->part->path);
    if (place->at > frontier->at)
        report(verify, VIOLATION, "frontier", path, nowhere, "it points into a block of segment %llu, at %llu",
               (unsigned long long)base, (unsigned long long)frontier->at);
    else if (place->next.offset != frontier->offset ||
             (place->at > sizeof(struct sp_segment_header) && /* before, the segment may be another one of that name */
              (place->previous != frontier->previous || place->next.position != frontier->position)))
        report(verify, VIOLATION, "frontier", path, offsets(place->next.offset, frontier->offset),
               "its offset %llu, position or checksum are not those of the blocks before the place in segment %llu that it names",
               (unsigned long long)frontier->offset, (unsigned long long)base);
}

/* ------------------------------------------------------------------------------------------------------------ segments */

/* Behind the last block: nothing may be there. */
static void verify_end(struct verify *verify, uint32_t index, struct sp_blocks *blocks, struct sp_segment_file *file,
                       const char *path)
{
    const struct sp_log_part *part = verify->part;
    const uint64_t base = part->bases[index], end = blocks->place.next.offset;
    const bool is_last = index + 1 == part->count;
    const bool goes_on = !is_last && part->bases[index + 1] == end;
    const bool is_behind = sp_log_is_behind(part, base, blocks->at);
    const struct place place = {-1, -1, blocks->at, blocks->end};

    sp_log_at_end(blocks, file);
    if (!blocks->reason || (sp_log_is_active(part, index) && (blocks->is_zero || is_behind)))
        return;
    uint64_t next = end;
    if (!is_last)
        next = sp_max(end, part->bases[index + 1]);
    else if (part->frontier_state == SP_FRONTIER_GOOD)
        next = sp_max(end, part->frontier.offset);
    if (goes_on || (is_last && next == end) || is_behind) {
        verify->has_ended = is_behind && !goes_on;
        if (blocks->is_zero)
            report(verify, NOTE, "uncut", path, place, "it was not cut behind its last block, as a crash leaves it: repair does");
        else if (is_behind)
            report(verify, NOTE, "torn-tail", path, place,
                   "%s: written and not acknowledged as durable before a crash; the log ends at offset %llu", blocks->reason,
                   (unsigned long long)end);
        else
            report(verify, VIOLATION, "tail", path, place, "behind its last block, a closed segment has bytes that are no block");
        return;
    }
    report(verify, VIOLATION, "block", path, (struct place){(int64_t)end, (int64_t)next, blocks->at, blocks->end}, "%s",
           blocks->is_zero ? "there are zeros where blocks were" : blocks->reason);
    verify->expected = next;
    verify->has_frontier |= part->frontier.segment == base;
}

static void walk(struct verify *verify, uint32_t index, struct sp_segment_file *file, const char *path)
{
    const uint64_t base = verify->part->bases[index];
    const bool is_active = sp_log_is_active(verify->part, index);
    const uint64_t violations = verify->result.violations;
    struct sp_blocks blocks;
    struct sp_index_look look;
    int error = 0;

    open_index(verify, file, is_active, &look);
    sp_blocks_begin(&blocks, &file->source, &file->identity, false);
    while (!verify->stopped) {
        const struct sp_scan_place before = blocks.place;
        if (!(blocks.header.kind & SP_BLOCK_COMPACTED)) /* whose places are others than when the frontier was written */
            compare_frontier(verify, &before, base);
        error = sp_blocks_next(&blocks);
        if (error || blocks.kind == SP_BLOCKS_END)
            break;
        if (blocks.kind == SP_BLOCKS_GOOD) {
            sp_index_look_block(&look, &before, blocks.header.base_offset);
            verify_block(verify, &blocks, path);
            continue;
        }
        const struct place place = {(int64_t)blocks.first, (int64_t)blocks.next, blocks.at, blocks.end};
        if (sp_log_is_behind(verify->part, base, blocks.at)) {
            verify->has_ended = true;
            if (!is_active)
                report(verify, NOTE, "torn-tail", path, place,
                       "%s, and there are blocks behind: written and not acknowledged as durable before a crash", blocks.reason);
            break;
        }
        report(verify, VIOLATION, "block", path, place, "%s", blocks.reason);
        verify->expected = blocks.next;
        verify->knows_expected = true;
    }
    if (error)
        report(verify, VIOLATION, "readable", path, (struct place){-1, -1, blocks.place.at, file->size}, "cannot be read: %s",
               strerror(-error));
    else if (!verify->stopped && blocks.kind == SP_BLOCKS_END)
        verify_end(verify, index, &blocks, file, path);
    finish_index(verify, &look, &blocks, !is_active && violations == verify->result.violations && !verify->has_ended);
    sp_blocks_end(&blocks);
}

static const char *judge_identity(const struct verify *verify, const struct sp_segment_file *file)
{
    const struct sp_segment_identity *identity = &file->identity;
    if (file->reason)
        return file->reason;
    if (identity->partition != verify->part->partition)
        return "it belongs to another partition";
    if (verify->has_info && memcmp(identity->topic_id, verify->info.id, sizeof identity->topic_id) != 0)
        return "it belongs to another topic, or to an earlier one of that name";
    if (verify->has_info && 1u << identity->unit_shift != verify->info.alignment)
        return "its records are not aligned as the topic's are";
    return NULL;
}

static void verify_segment(struct verify *verify, uint32_t index)
{
    const struct sp_log_part *part = verify->part;
    const uint64_t base = part->bases[index];
    struct sp_segment_file file;
    char path[SP_LOG_FILE_SIZE];

    sp_log_part_file(part, base, "log", path);
    const int error = sp_segment_file_open(&file, part->dir_fd, base, "log");
    if (error == -ENOENT) /* deleted since it was listed */
        return;
    if (error) {
        report(verify, VIOLATION, "readable", path, nowhere, "cannot be opened: %s", strerror(-error));
        verify->knows_expected = false;
        return;
    }
    verify->result.segments++;
    if (verify->knows_expected && base > verify->expected)
        report(verify, sp_log_hole_is_known(part, verify->expected) ? NOTE : VIOLATION, "offsets-dense", path,
               offsets(verify->expected, base), "the segment before ends at offset %llu; what was between is %s",
               (unsigned long long)verify->expected,
               sp_log_hole_is_known(part, verify->expected) ? "in a segment that was set aside as *.damaged" : "missing");
    else if (verify->knows_expected && base < verify->expected)
        report(verify, VIOLATION, "offsets-dense", path, offsets(base, verify->expected), "the segment before has these as well");
    else if (!verify->knows_expected && index == 0 && part->frontier_state == SP_FRONTIER_GOOD && !part->is_written &&
             base > part->frontier.start_offset)
        report(verify, NOTE, "offsets-dense", path, offsets(part->frontier.start_offset, base),
               "the log begins behind these: they were deleted just before a crash, or a repair set them aside");
    verify->expected = base;
    verify->knows_expected = true;
    const char *reason = judge_identity(verify, &file);
    if (!reason) {
        walk(verify, index, &file, path);
    } else if (sp_log_is_behind(part, base, 0)) {
        if (!sp_log_is_active(part, index))
            report(verify, NOTE, "torn-tail", path, nowhere, "%s: made and not acknowledged before a crash", reason);
        verify->has_ended = true;
    } else {
        verify->knows_expected = index + 1 < part->count;
        verify->expected = verify->knows_expected ? part->bases[index + 1] : base;
        report(verify, VIOLATION, "segment-header", path, offsets(base, verify->expected), "%s", reason);
    }
    sp_segment_file_close(&file);
}

/* ---------------------------------------------------------------------------------------------------------- partitions */

static void verify_frontier(struct verify *verify, const char *path)
{
    const struct sp_log_part *part = verify->part;
    const struct sp_frontier *frontier = &part->frontier;

    switch (part->frontier_state) {
    case SP_FRONTIER_EMPTY: return; /* the first crash came early */
    case SP_FRONTIER_MISSING:
        if (part->count)
            report(verify, VIOLATION, "frontier", path, nowhere, "it is missing: how far the log was durable is not known");
        return;
    case SP_FRONTIER_DAMAGED:
        report(verify, VIOLATION, "frontier", path, nowhere, "%s: how far the log was durable is not known", part->frontier_reason);
        return;
    default: break;
    }
    if (part->frontier_reason && !part->is_written)
        report(verify, NOTE, "frontier", path, nowhere, "of its two copies, one is not good: %s", part->frontier_reason);
    if (verify->has_info && memcmp(frontier->topic_id, verify->info.id, sizeof frontier->topic_id) != 0)
        report(verify, VIOLATION, "frontier", path, nowhere, "it belongs to another topic, or to an earlier one of that name");
    if (frontier->offset > INT64_MAX || frontier->start_offset > frontier->offset)
        report(verify, VIOLATION, "frontier", path, nowhere, "the log begins at offset %llu, behind what is durable, %llu",
               (unsigned long long)frontier->start_offset, (unsigned long long)frontier->offset);
}

/* Behind the last segment: does the log reach the frontier? */
static void verify_reach(struct verify *verify, const char *path)
{
    const struct sp_log_part *part = verify->part;
    const struct sp_frontier *frontier = &part->frontier;

    if (part->frontier_state != SP_FRONTIER_GOOD || part->is_written)
        return; /* of one that is written, segments may have been deleted meanwhile */
    const uint64_t end = verify->knows_expected ? verify->expected : frontier->start_offset;
    if (frontier->offset > end && frontier->offset <= INT64_MAX) {
        const bool is_known = sp_log_hole_is_known(part, end);
        report(verify, is_known ? NOTE : VIOLATION, "frontier", path, offsets(end, frontier->offset),
               is_known ? "these were durable, and are in a segment that was set aside as *.damaged"
                        : "these were durable, and the log ends before them");
    }
}

/* What a repair, or recovery, has set aside is still there. */
static void note_asides(struct verify *verify, const char *suffix, const char *what)
{
    char path[SP_LOG_FILE_SIZE];
    uint64_t *bases;
    uint32_t count;

    if (sp_log_files(verify->part->dir_fd, suffix, &bases, &count) != 0)
        return;
    for (uint32_t i = 0; i < count && !verify->stopped; i++) {
        sp_log_part_file(verify->part, bases[i], suffix, path);
        report(verify, NOTE, "aside", path, nowhere, "%s", what);
    }
    free(bases);
}

static int verify_part(void *context, const struct sp_log_part *part)
{
    struct verify *verify = context;
    char path[SP_LOG_FILE_SIZE];

    verify->part = part;
    verify->knows_expected = verify->has_ended = verify->has_frontier = false;
    verify->expected = 0;
    verify->result.partitions++;
    snprintf(path, sizeof path, "%s/frontier", part->path);
    if (verify->has_info && part->partition >= verify->info.partitions)
        report(verify, VIOLATION, "partition", part->path, nowhere, "the topic has %u partitions", verify->info.partitions);
    verify_frontier(verify, path);
    for (uint32_t i = 0; i < part->count && !verify->stopped && !verify->has_ended; i++)
        verify_segment(verify, i);
    if (!verify->stopped)
        verify_reach(verify, path);
    note_asides(verify, "damaged", "a segment that a repair set aside; when it is deleted, the hole that it left counts again");
    note_asides(verify, "cut", "a segment that recovery set aside: it was not acknowledged as durable; it may be deleted");
    note_asides(verify, "new", "a segment that a repair began to write: another one puts it in its place, or removes it");
    return verify->stopped;
}

static int verify_topic(void *context, const char *name)
{
    struct verify *verify = context;
    char path[SPATE_TOPIC_NAME_MAX + 16], directory[SPATE_TOPIC_NAME_MAX + 8];
    const char *reason;

    const int error = sp_log_topic_read(verify->log, name, &verify->info, &reason);
    if (error)
        return error == -ENOENT ? 0 : error;
    verify->has_info = !reason;
    verify->result.topics++;
    sp_topic_directory(name, directory);
    snprintf(path, sizeof path, "%s/topic", directory);
    if (reason)
        report(verify, VIOLATION, "topic-file", path, nowhere, "%s", reason);
    return verify->stopped ? verify->stopped : sp_log_each_part(verify->log, name, verify_part, verify);
}

int spate_log_verify(spate_log *log, const char *topic, struct spate_log_verify_result *ret_result,
                     int (*visit)(void *, const struct spate_log_finding *), void *context)
{
    struct verify verify = {.log = log, .visit = visit, .context = context};

    const int error = sp_log_check(log);
    if (error)
        return error;
    const int result = sp_log_each_topic(log, topic, verify_topic, &verify);
    if (ret_result)
        *ret_result = verify.result;
    return result;
}
