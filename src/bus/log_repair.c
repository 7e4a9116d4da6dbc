/* log_repair.c: spate_log_repair: what spate_log_verify finds, mended where that can be done without losing what can be read.
 *
 * Each segment is read whole; what is wrong with it decides what is done, which is told before it is done. A dry run goes the same way and
 * only tells. The log's lock is held, as spated holds it. Called by `spate log repair`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "bus/log_rewrite.h"
#include "log/regain.h"
#include "shm/descriptor.h"

struct repair {
    spate_log *log;
    bool applies;
    struct spate_log_repair_result result;
    int (*visit)(void *, const struct spate_log_action *);
    void *context;
    int stopped; /* what `visit` returned to end it, or an error */
    struct spate_topic_info info;
    bool has_info;
    /* of the partition */
    const struct sp_log_part *part;
    bool has_ended;         /* what follows was never acknowledged */
    bool needs_frontier;    /* it is missing or wrong: */
    struct sp_frontier end; /* where the log ends */
    uint64_t expected;      /* offset that the next segment begins with: what is missing before it is told */
    bool knows_expected;
};

/* One action, told. Returns whether to do it. */
__attribute__((format(printf, 6, 7))) static bool act(struct repair *repair, const char *action, const char *file, int64_t first,
                                                      int64_t next, const char *format, ...)
{
    const bool is_none = strcmp(action, "none") == 0;
    struct spate_log_action told = {.file = file, .action = action, .first = first, .next = next};
    va_list arguments;

    if (repair->stopped)
        return false;
    va_start(arguments, format);
    vsnprintf(told.detail, sizeof told.detail, format, arguments);
    va_end(arguments);
    if (repair->visit)
        repair->stopped = repair->visit(repair->context, &told);
    if (repair->stopped)
        return false;
    if (is_none)
        repair->result.failed++;
    else
        repair->result.actions++;
    return repair->applies && !is_none;
}

static void note_error(struct repair *repair, int error)
{
    if (error && !repair->stopped)
        repair->stopped = error;
}

/* ---------------------------------------------------------------------------------------------------------- one segment */

struct look {
    uint64_t blocks;
    uint32_t damages;     /* places where offsets are missing */
    uint64_t first, next; /* from the first of them to the last */
    const char *reason;   /* of the first */
    const char *header;   /* why that of the segment is not good; what it said was regained */
    bool is_torn;         /* what is from `end.at` on was never acknowledged */
    bool is_zero;         /* what is behind the last block */
    bool must_cut;        /* there is something behind the last block */
    bool has_late;        /* a block says too early a time */
    bool is_frontier_wrong, is_compacted;
    struct sp_scan_place end; /* behind the last block that counts */
    struct sp_index_maker index;
    enum sp_index_state index_state;
    struct sp_index_look index_look;
};

static void note_damage(struct look *look, uint64_t first, uint64_t next, const char *reason)
{
    if (look->damages++ == 0) {
        look->first = first;
        look->reason = reason;
    }
    look->next = next;
}

static int look_at_block(struct look *look, const struct sp_blocks *blocks, const struct sp_scan_place *before)
{
    const struct sp_block_header *header = &blocks->header;
    struct sp_block_census census;

    look->blocks++;
    sp_index_look_block(&look->index_look, before, header->base_offset);
    sp_block_count(blocks->identity, header, blocks->raw, &census);
    if (census.reason)
        note_damage(look, census.end.offset, header->base_offset + header->count, census.reason);
    look->has_late |= census.last_timestamp > header->last_timestamp;
    return sp_index_note(&look->index, header, blocks->at);
}

/* Behind the last block. As verify_end in log_verify.c. */
static void look_at_end(const struct repair *repair, uint32_t index, const struct sp_blocks *blocks, struct look *look)
{
    const struct sp_log_part *part = repair->part;
    const uint64_t end = blocks->place.next.offset;
    const bool is_last = index + 1 == part->count;
    uint64_t next = end;

    if (blocks->at >= blocks->source.size)
        return;
    if (!is_last)
        next = sp_max(end, part->bases[index + 1]);
    else if (part->frontier_state == SP_FRONTIER_GOOD)
        next = sp_max(end, part->frontier.offset);
    const bool goes_on = !is_last && next == end;
    look->is_torn = sp_log_is_behind(part, part->bases[index], blocks->at) && !goes_on;
    look->must_cut = look->is_torn || next == end;
    look->is_zero = blocks->is_zero;
    if (!look->must_cut)
        note_damage(look, end, next, blocks->is_zero ? "there are zeros where blocks were" : blocks->reason);
}

static void compare_frontier(const struct repair *repair, uint64_t base, const struct sp_scan_place *place, struct look *look)
{
    const struct sp_frontier *frontier = &repair->part->frontier;

    if (repair->part->frontier_state != SP_FRONTIER_GOOD || frontier->segment != base || look->is_frontier_wrong ||
        place->at < frontier->at || look->end.at >= frontier->at)
        return;
    look->is_frontier_wrong = place->at > frontier->at || place->next.offset != frontier->offset ||
                              (place->at > sizeof(struct sp_segment_header) &&
                               (place->previous != frontier->previous || place->next.position != frontier->position));
}

static int look_at_segment(const struct repair *repair, uint32_t index, struct sp_segment_file *file, const char *header_reason,
                           struct look *look)
{
    const uint64_t base = repair->part->bases[index];
    struct sp_blocks blocks;
    const char *reason;
    int error;

    *look = (struct look){.header = header_reason};
    sp_index_begin(&look->index);
    look->index_state = sp_index_read(repair->part->dir_fd, &file->identity, file->size, &look->index_look.header, &reason);
    sp_blocks_begin(&blocks, &file->source, &file->identity, false);
    do {
        const struct sp_scan_place before = blocks.place;
        if (!(blocks.header.kind & SP_BLOCK_COMPACTED))
            compare_frontier(repair, base, &before, look);
        look->end = before;
        error = sp_blocks_next(&blocks);
        if (error)
            break;
        if (blocks.kind == SP_BLOCKS_GOOD) {
            look->is_compacted |= (blocks.header.kind & SP_BLOCK_COMPACTED) != 0;
            error = look_at_block(look, &blocks, &before);
        } else if (blocks.kind == SP_BLOCKS_DAMAGE) {
            look->is_torn = sp_log_is_behind(repair->part, base, blocks.at);
            look->must_cut |= look->is_torn;
            if (!look->is_torn)
                note_damage(look, blocks.first, blocks.next, blocks.reason);
        } else {
            look_at_end(repair, index, &blocks, look);
        }
    } while (!error && !look->is_torn && blocks.kind != SP_BLOCKS_END);
    sp_index_look_end(&look->index_look, &look->end);
    sp_blocks_end(&blocks);
    return error;
}

static void forget(struct look *look)
{
    sp_index_end(&look->index);
    free(look->index_look.header);
}

static void rewrite(struct repair *repair, struct sp_segment_file *file, const struct look *look, const char *path)
{
    struct sp_rewrite rewrite;
    const bool is_lost = look->damages != 0;
    const char *reason = look->header ? look->header : is_lost ? look->reason : "a block says too early a time";

    if (!act(repair, "aside", path, is_lost ? (int64_t)look->first : -1, is_lost ? (int64_t)look->next : -1,
             "%s%s; %s kept, in new segments, and the old file as *.damaged", reason,
             look->damages > 1 ? " (and in other places)" : "", is_lost ? "the good blocks are" : "all of its blocks are"))
        return;
    int error = sp_rewrite_make(&rewrite, repair->part, file, look->is_torn ? look->end.at : UINT64_MAX);
    if (!error) {
        const struct sp_segment_maker *last = rewrite.count ? &rewrite.parts[rewrite.count - 1] : NULL;
        error = sp_rewrite_put(&rewrite);
        if (last) { /* the log ends in it, or goes on in another segment */
            repair->end.segment = last->identity.base_offset;
            repair->end.at = last->at;
            repair->end.previous = last->previous;
        }
        sp_rewrite_end(&rewrite);
    }
    note_error(repair, error);
}

static void cut(struct repair *repair, const struct sp_segment_file *file, const struct look *look, const char *path)
{
    char name[SP_SEGMENT_NAME_SIZE];

    if (!act(repair, "cut", path, -1, -1, "%" PRIu64 " bytes behind its last block, at %" PRIu64 "%s", file->size - look->end.at,
             look->end.at,
             look->is_zero   ? ": zeros"
             : look->is_torn ? ": never acknowledged as durable"
                             : ""))
        return;
    sp_segment_name(file->identity.base_offset, "log", name);
    const int fd = sp_open_at(repair->part->dir_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
    int error = fd < 0 || ftruncate(fd, (off_t)look->end.at) < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    note_error(repair, error ? sp_fail(error, "cannot cut %s: %s", path, strerror(-error)) : 0);
}

static void make_index(struct repair *repair, const struct sp_segment_file *file, const struct look *look)
{
    char path[SP_LOG_FILE_SIZE];

    sp_log_part_file(repair->part, file->identity.base_offset, "index", path);
    if (act(repair, "index", path, -1, -1, "%s: made anew",
            look->index_state == SP_INDEX_MISSING      ? "it is missing"
            : look->index_state == SP_INDEX_UNFINISHED ? "it is unfinished, or of an earlier life of the segment"
            : look->index_state == SP_INDEX_DAMAGED    ? "it is damaged"
                                                       : look->index_look.wrong))
        note_error(repair,
                   sp_index_write(repair->part->dir_fd, &file->identity, &look->index, look->end.at, look->end.next.offset));
}

/* A segment without anything that counts, out of the way. */
static void put_away(struct repair *repair, uint64_t base, const char *path)
{
    if (!act(repair, "remove", path, -1, -1, "it is behind the end of the log, never acknowledged as durable: renamed to *.cut"))
        return;
    int error = sp_log_rename(repair->part->dir_fd, base, "log", "cut");
    note_error(repair, error ? error : sp_log_sync(repair->part->dir_fd));
}

static void mend(struct repair *repair, struct sp_segment_file *file, const struct look *look, const char *path)
{
    const struct sp_frontier *frontier = &repair->part->frontier;
    const uint64_t base = file->identity.base_offset;
    const bool is_rewritten = look->damages || look->has_late || look->header;

    if (!is_rewritten && look->blocks == 0) {
        if (look->must_cut && file->size > sizeof(struct sp_segment_header))
            put_away(repair, base, path);
        return;
    }
    repair->end.segment = base;
    repair->end.at = look->end.at;
    repair->end.offset = look->end.next.offset;
    repair->end.position = look->end.next.position;
    repair->end.previous = look->end.previous;
    if (is_rewritten) {
        rewrite(repair, file, look, path);
    } else {
        if (look->must_cut)
            cut(repair, file, look, path);
        if (look->index_state != SP_INDEX_GOOD || look->index_look.wrong)
            make_index(repair, file, look);
    }
    /* an earlier repair may have made this one shorter, and been ended before it moved the frontier into the next */
    const bool is_behind = repair->part->frontier_state == SP_FRONTIER_GOOD && frontier->segment == base &&
                           frontier->at > look->end.at && !look->is_compacted;
    if ((look->is_frontier_wrong || is_behind) && !look->damages)
        repair->needs_frontier = true;
}

/* Not what another build wrote, not what is good under another name, and not what may be good but for what somebody appended. */
static bool may_touch(const char *reason)
{
    return !strstr(reason, "newer build") && !strstr(reason, "another offset") && !strstr(reason, SP_SEGMENT_TOO_LARGE);
}

/* The header is not good, but what it said can be found. Returns why it is not; NULL: nothing was to be done, or nothing can be. */
static const char *regain(const struct repair *repair, uint64_t base, struct sp_segment_file *file)
{
    struct sp_segment_identity known = {.partition = repair->part->partition, .base_offset = base};
    const char *reason = file->reason;

    if (!reason || !may_touch(reason) || !repair->has_info)
        return NULL;
    memcpy(known.topic_id, repair->info.id, sizeof known.topic_id);
    known.unit_shift = (uint32_t)__builtin_ctz(repair->info.alignment);
    known.record_max = sp_ring_record_size_max(repair->info.ring_capacity);
    return sp_segment_regain(file, &known) ? reason : NULL;
}

static void set_header_aside(struct repair *repair, uint32_t index, const char *path, const char *reason)
{
    const struct sp_log_part *part = repair->part;
    const uint64_t base = part->bases[index];
    const uint64_t next = index + 1 < part->count                    ? part->bases[index + 1]
                          : part->frontier_state == SP_FRONTIER_GOOD ? sp_max(base, part->frontier.offset)
                                                                     : base;

    if (!may_touch(reason)) {
        act(repair, "none", path, (int64_t)base, (int64_t)next, "%s", reason);
        return;
    }
    if (!act(repair, "aside", path, (int64_t)base, (int64_t)next, "%s: none of its blocks can be told from others", reason))
        return;
    int error = sp_log_set_aside(part->dir_fd, base, false);
    note_error(repair, error ? error : sp_log_sync(part->dir_fd));
}

/* Offsets that are in no segment, before one that begins at `base`. */
static void tell_hole(struct repair *repair, uint64_t base, const char *path)
{
    const uint64_t expected = repair->expected;

    if (!repair->knows_expected || repair->has_ended || repair->stopped || base == expected)
        return;
    if (base < expected)
        act(repair, "none", path, (int64_t)base, (int64_t)expected,
            "the segment before has these as well: one of them does not belong here");
    else if (!sp_log_hole_is_known(repair->part, expected))
        act(repair, "none", path, (int64_t)expected, (int64_t)base, "these are in no file of the log");
}

static void repair_segment(struct repair *repair, uint32_t index)
{
    const struct sp_log_part *part = repair->part;
    const uint64_t base = part->bases[index];
    struct sp_segment_file file;
    struct look look;
    char path[SP_LOG_FILE_SIZE];

    repair->result.segments++;
    sp_log_part_file(part, base, "log", path);
    tell_hole(repair, base, path);
    if (repair->has_ended) {
        put_away(repair, base, path);
        return;
    }
    int error = sp_segment_file_open(&file, part->dir_fd, base, "log");
    if (error) {
        note_error(repair, error);
        return;
    }
    const char *header_reason = sp_log_is_behind(part, base, 0) ? NULL : regain(repair, base, &file);
    repair->knows_expected = false;
    if (file.reason && sp_log_is_behind(part, base, 0) && may_touch(file.reason)) {
        repair->has_ended = true;
        put_away(repair, base, path);
    } else if (file.reason) {
        set_header_aside(repair, index, path, file.reason);
    } else if (file.identity.partition != part->partition ||
               (repair->has_info && memcmp(file.identity.topic_id, repair->info.id, sizeof repair->info.id) != 0)) {
        act(repair, "none", path, (int64_t)base, (int64_t)base, "it belongs to another topic or partition: move it away");
    } else {
        error = look_at_segment(repair, index, &file, header_reason, &look);
        if (error)
            note_error(repair, sp_fail(error, "cannot read %s: %s", path, strerror(-error)));
        else
            mend(repair, &file, &look, path);
        repair->has_ended |= look.is_torn;
        repair->expected = sp_max(look.end.next.offset, look.next);
        repair->knows_expected = !error;
        forget(&look);
    }
    sp_segment_file_close(&file);
}

/* ---------------------------------------------------------------------------------------------------------- partitions */

/* Whether a new segment that an earlier repair could not rename is whole, and fits between those that are there. */
static bool fits(const struct sp_log_part *part, uint64_t base)
{
    struct sp_segment_file file;
    struct sp_blocks blocks;
    bool is_whole = false;
    uint64_t end = base;
    int error = -EBADMSG;

    if (sp_segment_file_open(&file, part->dir_fd, base, SP_NEW_SUFFIX) != 0)
        return false;
    if (!file.reason) {
        sp_blocks_begin(&blocks, &file.source, &file.identity, false);
        while ((error = sp_blocks_next(&blocks)) == 0 && blocks.kind == SP_BLOCKS_GOOD)
            end = blocks.next;
        is_whole = !error && blocks.kind == SP_BLOCKS_END && blocks.at == file.size && end > base;
        sp_blocks_end(&blocks);
    }
    sp_segment_file_close(&file);
    for (uint32_t i = 0; is_whole && i < part->count; i++) {
        if (part->bases[i] >= base) {
            is_whole = part->bases[i] >= end;
            break;
        }
        if (i + 1 < part->count && part->bases[i + 1] < base)
            continue;
        if (sp_segment_file_open(&file, part->dir_fd, part->bases[i], "log") != 0)
            return false;
        sp_blocks_begin(&blocks, &file.source, &file.identity, true);
        while (!file.reason && sp_blocks_next(&blocks) == 0 && blocks.kind != SP_BLOCKS_END)
            is_whole = blocks.next <= base;
        sp_blocks_end(&blocks);
        sp_segment_file_close(&file);
    }
    return is_whole;
}

/* What an earlier repair, or its crash, left. Returns whether segments were added. */
static bool finish_earlier(struct repair *repair, const struct sp_log_part *part)
{
    char path[SP_LOG_FILE_SIZE], name[SP_SEGMENT_NAME_SIZE];
    uint64_t *bases;
    uint32_t count;
    bool has_added = false;

    note_error(repair, sp_log_files(part->dir_fd, SP_NEW_SUFFIX, &bases, &count));
    for (uint32_t i = 0; i < count && !repair->stopped; i++) {
        sp_log_part_file(part, bases[i], SP_NEW_SUFFIX, path);
        if (fits(part, bases[i])) {
            if (!act(repair, "finish", path, -1, -1, "an earlier repair wrote it and was ended before it was put in its place"))
                continue;
            note_error(repair, sp_log_rename(part->dir_fd, bases[i], SP_NEW_SUFFIX, "log"));
            has_added = true;
        } else if (act(repair, "remove", path, -1, -1, "an earlier repair began to write it")) {
            sp_segment_name(bases[i], SP_NEW_SUFFIX, name);
            if (unlinkat(part->dir_fd, name, 0) < 0)
                note_error(repair, sp_fail(-errno, "cannot remove %s: %s", path, strerror(errno)));
        }
    }
    free(bases);
    return has_added;
}

static void mend_frontier(struct repair *repair)
{
    const struct sp_log_part *part = repair->part;
    struct sp_frontier frontier = repair->end;
    char path[SP_LOG_FILE_SIZE];

    if (part->count == 0 || frontier.at == 0 || !repair->has_info)
        return;
    frontier.sequence = 1;
    frontier.start_offset = part->bases[0];
    memcpy(frontier.topic_id, repair->info.id, sizeof frontier.topic_id);
    if (part->frontier_state == SP_FRONTIER_GOOD) {
        if (frontier.offset < part->frontier.offset)
            return; /* what is missing was said */
        frontier.sequence = part->frontier.sequence + 1;
        frontier.start_offset = sp_min(part->frontier.start_offset, frontier.offset);
    }
    snprintf(path, sizeof path, "%s/frontier", part->path);
    if (act(repair, "frontier", path, -1, -1, "written anew: the log is durable up to its end, offset %" PRIu64, frontier.offset))
        note_error(repair, sp_frontier_write(part->dir_fd, &frontier));
}

/* What was durable, and is behind the end of the log. */
static void tell_reach(struct repair *repair)
{
    const struct sp_frontier *frontier = &repair->part->frontier;
    const uint64_t end = repair->knows_expected ? repair->expected : frontier->start_offset;
    char path[SP_LOG_FILE_SIZE];

    if (repair->part->frontier_state != SP_FRONTIER_GOOD || repair->stopped || frontier->offset <= end ||
        (repair->part->count > 0 && !repair->knows_expected) || sp_log_hole_is_known(repair->part, end))
        return;
    snprintf(path, sizeof path, "%s/frontier", repair->part->path);
    act(repair, "none", path, (int64_t)end, (int64_t)frontier->offset, "these were durable, and are in no file of the log");
}

static int repair_part(void *context, const struct sp_log_part *given)
{
    struct repair *repair = context;
    struct sp_log_part part = *given;

    if (finish_earlier(repair, given) && !repair->stopped) { /* look again */
        const int error = sp_log_part_open(&part, repair->log, given->topic, given->partition);
        if (error)
            return error;
    }
    part.is_written = false; /* it is us who have the lock */
    repair->part = &part;
    repair->has_ended = false;
    repair->end = (struct sp_frontier){0};
    repair->needs_frontier =
        part.count && (part.frontier_state == SP_FRONTIER_MISSING || part.frontier_state == SP_FRONTIER_DAMAGED);
    repair->knows_expected = false;
    for (uint32_t i = 0; i < part.count && !repair->stopped; i++)
        repair_segment(repair, i);
    tell_reach(repair);
    if (!repair->stopped && repair->needs_frontier)
        mend_frontier(repair);
    if (part.dir_fd != given->dir_fd)
        sp_log_part_close(&part);
    return repair->stopped;
}

static int repair_topic(void *context, const char *name)
{
    struct repair *repair = context;
    char directory[SPATE_TOPIC_NAME_MAX + 8], path[SPATE_TOPIC_NAME_MAX + 16];
    const char *reason;

    const int error = sp_log_topic_read(repair->log, name, &repair->info, &reason);
    if (error)
        return error;
    repair->has_info = !reason;
    sp_topic_directory(name, directory);
    snprintf(path, sizeof path, "%s/topic", directory);
    if (reason)
        act(repair, "none", path, -1, -1, "%s: copy it from a backup; spated makes it where the topic is on its bus", reason);
    return repair->stopped ? repair->stopped : sp_log_each_part(repair->log, name, repair_part, repair);
}

/* ---------------------------------------------------------------------------------------------------------------- lock */

static int say_busy(spate_log *log)
{
    int64_t pid = 0;
    (void)spate_log_writer(log, &pid);
    return sp_fail(-EBUSY, "process %lld writes the log %s: end it first (SIGTERM ends spated in good order)", (long long)pid,
                   log->path);
}

/* As spated takes it, or mends it: with the process in it. A dry run only looks. */
static int take_lock(spate_log *log, bool applies, struct sp_lock *ret)
{
    char holder[32];

    ret->fd = -1;
    if (!applies) {
        const int writer = spate_log_writer(log, NULL);
        return writer == 1 ? say_busy(log) : writer;
    }
    const int fd = sp_open_at(log->dir_fd, SP_LOG_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644);
    int error = fd < 0 ? -errno : sp_lock_open(ret, log->dir_fd, SP_LOG_LOCK, O_RDWR);
    if (!error)
        error = sp_lock_try(ret, 0);
    if (!error) {
        const int size = snprintf(holder, sizeof holder, "%lld", (long long)getpid());
        if (ftruncate(fd, 0) == 0)
            (void)!pwrite(fd, holder, (size_t)size, 0);
    }
    if (fd >= 0)
        close(fd);
    if (error && ret->fd >= 0)
        sp_lock_close(ret);
    return error == -EAGAIN ? say_busy(log) : error ? sp_fail(error, "cannot lock the log %s: %s", log->path, strerror(-error)) : 0;
}

int spate_log_repair(const char *path, const char *topic, uint32_t flags, struct spate_log_repair_result *ret_result,
                     int (*visit)(void *, const struct spate_log_action *), void *context)
{
    struct repair repair = {.applies = (flags & SPATE_REPAIR_APPLY) != 0, .visit = visit, .context = context};
    struct sp_lock lock;

    if (flags & ~(uint32_t)SPATE_REPAIR_APPLY)
        return sp_fail(-EINVAL, "flags %u: see enum spate_log_repair_flags", flags);
    int result = spate_log_open(path, &repair.log);
    if (result)
        return result;
    result = take_lock(repair.log, repair.applies, &lock);
    if (!result) {
        result = sp_log_each_topic(repair.log, topic, repair_topic, &repair);
        sp_lock_close(&lock);
    }
    spate_log_close(repair.log);
    if (ret_result)
        *ret_result = repair.result;
    return result;
}
