/* recover.c: see recover.h. All through io.h, so that the simulator can crash it between any two operations.
 * Called by the supervisor, on its thread. */
#include "spill/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "log/scan.h"

#define PATH_SIZE (SPATE_TOPIC_NAME_MAX + 64)

struct recover {
    struct io *io;
    const struct spill_topic *topic;
    uint32_t partition;
    char path[SPATE_TOPIC_NAME_MAX + 24];
    void (*say)(void *context, bool is_error, const char *text);
    void *context;
    struct recovery *result;
    uint64_t *bases; /* of the segments, sorted */
    uint32_t count, room;
    struct sp_frontier frontier;
    bool has_frontier, has_passed;
    uint64_t passed_to; /* where the segment ends that was only looked through */
};

__attribute__((format(printf, 3, 4))) static void say(const struct recover *recover, bool is_error, const char *format, ...)
{
    char text[600];
    va_list arguments;
    const int size = snprintf(text, sizeof text, "topic %s, partition %u: ", recover->topic->info.name, recover->partition);

    va_start(arguments, format);
    vsnprintf(text + size, sizeof text - (size_t)size, format, arguments);
    va_end(arguments);
    recover->say(recover->context, is_error, text);
}

static void name_file(const struct recover *recover, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", recover->path, name);
}

static void name_segment(const struct recover *recover, uint64_t base, const char *suffix, char path[PATH_SIZE])
{
    char name[SP_SEGMENT_NAME_SIZE];
    sp_segment_name(base, suffix, name);
    name_file(recover, name, path);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int note_file(void *context, const char *name)
{
    struct recover *recover = context;
    char path[PATH_SIZE];
    uint64_t base;

    if (sp_segment_base(name, "compacting", &base)) { /* a crash left it half made */
        name_file(recover, name, path);
        (void)recover->io->f->unlink(recover->io, path);
    }
    if (!sp_segment_base(name, "log", &base))
        return 0;
    if (recover->count == recover->room) {
        const uint32_t room = recover->room ? 2 * recover->room : 64;
        uint64_t *bases = realloc(recover->bases, room * sizeof *bases);
        if (!bases)
            return -ENOMEM;
        recover->bases = bases;
        recover->room = room;
    }
    recover->bases[recover->count++] = base;
    return 0;
}

/* The directories and an empty frontier, durable before anything is in them. */
static int make(struct recover *recover)
{
    struct io *io = recover->io;
    static const uint8_t zeros[SP_LOG_GRAIN];
    char path[PATH_SIZE];

    int error = io->f->mkdir(io, recover->topic->directory);
    if (!error)
        error = io->f->mkdir(io, recover->path);
    name_file(recover, "frontier", path);
    int file = error ? error : io->f->open(io, path, O_RDWR | O_CREAT);
    if (file < 0)
        return file;
    for (uint64_t at = 0; !error && at < sizeof zeros * 2 && io->f->size(io, file) < (int64_t)(sizeof zeros * 2);
         at += SP_LOG_GRAIN)
        error = io->f->write(io, file, at, zeros, sizeof zeros);
    io->f->close(io, file);
    spill_give(io, recover->topic, recover->topic->directory, true);
    spill_give(io, recover->topic, recover->path, true);
    spill_give(io, recover->topic, path, false);
    if (!error)
        error = io->f->sync(io, path);
    if (!error)
        error = io->f->sync(io, recover->path);
    if (!error)
        error = io->f->sync(io, recover->topic->directory);
    return error ? error : io->f->sync(io, ".");
}

/* Returns 0, also when there is none; -EBADMSG: it is another topic's. */
static int read_frontier(struct recover *recover)
{
    struct io *io = recover->io;
    struct sp_frontier slots[2];
    char path[PATH_SIZE];

    memset(slots, 0, sizeof slots);
    name_file(recover, "frontier", path);
    const int file = io->f->open(io, path, O_RDONLY);
    if (file == -ENOENT)
        return 0;
    if (file < 0)
        return file;
    int error = 0;
    for (uint32_t i = 0; i < 2 && !error; i++) {
        error = io->f->read(io, file, i * (uint64_t)SP_LOG_GRAIN, &slots[i], sizeof slots[i]);
        if (error == -ENODATA) /* made, and not filled before a crash */
            error = 0;
    }
    io->f->close(io, file);
    const struct sp_frontier *newest = error ? NULL : sp_frontier_newest(&slots[0], &slots[1]);
    if (!newest)
        return error;
    if (memcmp(newest->topic_id, recover->topic->id, sizeof newest->topic_id) != 0)
        return sp_fail(
            -EBADMSG,
            "the log in %s is of another topic of that name: move it away, or delete the topic on the bus and start again",
            recover->path);
    recover->frontier = *newest;
    recover->has_frontier = true;
    return 0;
}

/* ----------------------------------------------------------------------------------------------------------- scanning */

struct open_segment {
    struct recover *recover;
    int file;
    struct sp_scan_source source;
    struct sp_segment_identity identity;
    const char *reason; /* why its header is no good; NULL: it is */
};

static int read_segment(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct open_segment *segment = context;
    struct io *io = segment->recover->io;
    return io->f->read(io, segment->file, at, to, size);
}

static int open_segment(struct recover *recover, uint64_t base, struct open_segment *ret)
{
    struct io *io = recover->io;
    static struct sp_segment_header header;
    char path[PATH_SIZE];

    *ret = (struct open_segment){.recover = recover};
    name_segment(recover, base, "log", path);
    ret->file = io->f->open(io, path, O_RDWR);
    if (ret->file < 0)
        return ret->file;
    const int64_t size = io->f->size(io, ret->file);
    ret->source = (struct sp_scan_source){read_segment, ret, size < 0 ? 0 : (uint64_t)size};
    const int error = size < 0 ? (int)size : io->f->read(io, ret->file, 0, &header, sizeof header);
    if (error == -ENODATA)
        ret->reason = "it is shorter than its header";
    else if (!error)
        ret->reason = sp_segment_header_check(&header, &ret->identity);
    if (!error && !ret->reason && memcmp(ret->identity.topic_id, recover->topic->id, sizeof ret->identity.topic_id) != 0)
        ret->reason = "it belongs to another topic";
    if (!error && !ret->reason && ret->identity.base_offset != base)
        ret->reason = "its header names another offset";
    return error == -ENODATA ? 0 : error;
}

static void close_segment(struct open_segment *segment)
{
    if (segment->file >= 0)
        segment->recover->io->f->close(segment->recover->io, segment->file);
}

/* Segments that come behind the end, put aside under another name. Newest first, so that a crash in between leaves no hole. */
static int put_aside(struct recover *recover, uint32_t from)
{
    char path[PATH_SIZE], aside[PATH_SIZE];
    int error = 0;

    for (uint32_t i = recover->count; !error && i > from; i--) {
        name_segment(recover, recover->bases[i - 1], "log", path);
        name_segment(recover, recover->bases[i - 1], "cut", aside);
        error = recover->io->f->rename(recover->io, path, aside, true);
        recover->count = i - 1;
    }
    return error ? error : recover->io->f->sync(recover->io, recover->path);
}

/* What was walked counts as durable from now on, so it is flushed. And written once more before: after a flush that failed the kernel may
 * have it in pages that are marked clean, and never reached the device. */
static int settle(const struct recover *recover, const struct open_segment *segment, const char *path, uint64_t from, uint64_t to)
{
    uint8_t piece[(size_t)16 << 10];
    struct io *io = recover->io;
    int error = 0;

    for (uint64_t at = from; !error && at < to; at += sizeof piece) {
        const uint32_t size = (uint32_t)sp_min(sizeof piece, to - at);
        error = io->f->read(io, segment->file, at, piece, size);
        if (!error)
            error = io->f->write(io, segment->file, at, piece, size);
    }
    return error ? error : io->f->sync(io, path);
}

/* Cut a segment at `at`, which ends it; nothing of it is left when it has no block. What is behind `from` was walked. */
static int cut(struct recover *recover, struct open_segment *segment, uint32_t index, uint64_t from, uint64_t at)
{
    struct io *io = recover->io;
    char path[PATH_SIZE];
    int error = 0;

    name_segment(recover, recover->bases[index], "log", path);
    if (at <= sizeof(struct sp_segment_header)) {
        error = io->f->unlink(io, path);
        recover->count = index;
        return error ? error : io->f->sync(io, recover->path);
    }
    if (segment->source.size != at)
        error = io->f->truncate(io, segment->file, at);
    return error ? error : settle(recover, segment, path, from, at);
}

/* Good blocks behind the end of one segment: only to be able to say so. */
static void look_behind(struct recover *recover, const struct open_segment *segment, struct sp_scan_place end, const char *reason)
{
    struct sp_scan_place later = end;

    if (sp_scan_later(&segment->source, &segment->identity, end, &later) != 0)
        return;
    recover->result->dropped++;
    say(recover, true,
        "after a crash, %s at offset %llu, and there are blocks behind it (from offset %llu on) that had been written and not yet "
        "acknowledged as durable: the log ends before them",
        reason, (unsigned long long)end.next.offset, (unsigned long long)later.next.offset);
}

/* How a segment is looked at. */
enum look {
    LOOK_WALK,     /* from its beginning: nothing in it was known to be durable */
    LOOK_FRONTIER, /* from the frontier */
    LOOK_PASS,     /* only to where it ends: nothing is cut, because the frontier says nothing of places in it */
};

/* Where to begin: what ends before the frontier is durable, and not looked at. Returns the index of the segment. */
static uint32_t find_begin(const struct recover *recover, enum look *ret_look)
{
    const struct sp_frontier *frontier = &recover->frontier;
    const bool has_blocks = frontier->at > sizeof(struct sp_segment_header);
    uint32_t index = 0;

    *ret_look = LOOK_WALK;
    while (recover->has_frontier && index < recover->count && recover->bases[index] < frontier->offset)
        index++;
    if (index == 0)
        return 0;
    /* Before its first block it says nothing of the segment, which may not have been there yet. */
    if (recover->bases[index - 1] == frontier->segment)
        *ret_look = has_blocks ? LOOK_FRONTIER : LOOK_WALK;
    else if (has_blocks) /* a repair was ended before it moved the frontier; or the segment is gone */
        *ret_look = LOOK_PASS;
    else
        return index;
    return index - 1;
}

/* Offsets that were durable, and are in no file any more. One that retention took had a successor, or the log began behind it. */
static void mind_missing(struct recover *recover, bool was_empty)
{
    const struct sp_frontier *frontier = &recover->frontier;
    const uint64_t first = sp_max(recover->passed_to, frontier->start_offset);

    if (!recover->has_frontier || frontier->at <= sizeof(struct sp_segment_header) || frontier->offset <= first ||
        (!was_empty && !recover->has_passed))
        return;
    recover->result->is_short = true;
    say(recover, true, "the log is damaged: offsets %llu to %llu were durable and are missing; see `spate log verify`",
        (unsigned long long)first, (unsigned long long)frontier->offset - 1);
}

/* Whether it is no longer the segment that the frontier points into: compacting puts another file in its place.
 * Returns 1, 0, -errno */
static int is_compacted(struct open_segment *segment)
{
    struct sp_block_header block;

    if (segment->reason)
        return 0;
    const int error = read_segment(segment, sizeof(struct sp_segment_header), &block, sizeof block);
    if (error)
        return error == -ENODATA ? 0 : error;
    return !sp_block_check(&block, &segment->identity, segment->source.size - sizeof(struct sp_segment_header)) &&
           (block.kind & SP_BLOCK_COMPACTED);
}

/* Damaged, although what is in it was durable: that is no crash's doing. It stays as it is, for `spate log repair`. */
static void keep(struct recover *recover, const char *reason)
{
    say(recover, true, "the segment that ends at offset %llu is damaged: %s; `spate log repair` may mend it",
        (unsigned long long)recover->frontier.offset, reason);
    recover->result->is_short = true;
}

static struct log_place end_at(const struct open_segment *segment, struct sp_scan_place place)
{
    return (struct log_place){place.next, segment->identity.base_offset, place.at, place.previous};
}

/* All in it is durable, as in a segment that was compacted, which was closed before: its end is looked for, and nothing of it is cut. */
static int pass(struct recover *recover, const struct open_segment *segment)
{
    struct sp_scan_place place = sp_scan_begin(&segment->identity);
    struct sp_block_header header;
    const char *reason = NULL;
    int scanned;

    do {
        scanned = sp_scan_block(&segment->source, &segment->identity, &place, &header, &reason);
        if (scanned != -EBADMSG)
            continue;
        keep(recover, reason);
        scanned = sp_scan_later(&segment->source, &segment->identity, place, &place);
    } while (scanned == 0);
    recover->has_passed = true;
    recover->passed_to = place.next.offset;
    if (place.next.offset > recover->result->end.next.offset)
        recover->result->end = end_at(segment, place);
    return scanned == -ENODATA ? 0 : scanned;
}

/* Walk a segment from `from` on, and cut it where it ends; what is to be behind it is put aside when it does not go on there. */
static int walk_segment(struct recover *recover, struct open_segment *segment, uint32_t index, struct sp_scan_place from)
{
    struct sp_scan_place place = from;
    struct sp_block_header header;
    const char *reason = NULL;
    const bool is_last = index + 1 == recover->count;
    int scanned = segment->reason ? -EBADMSG : 0, error = 0;

    while (scanned == 0)
        scanned = sp_scan_block(&segment->source, &segment->identity, &place, &header, &reason);
    if (scanned != -EBADMSG && scanned != -ENODATA)
        return scanned;
    const bool has_blocks = !segment->reason && place.at > sizeof(struct sp_segment_header);
    if (has_blocks)
        recover->result->end = end_at(segment, place);
    const bool goes_on =
        has_blocks && !is_last && (recover->bases[index + 1] == place.next.offset || place.at == segment->source.size);
    if (!goes_on && has_blocks)
        look_behind(recover, segment, place, reason ? reason : "the file ends");
    if (!goes_on && !is_last) {
        say(recover, true, "after a crash, the log ends at offset %llu; %u segments behind that were put aside as *.cut",
            (unsigned long long)recover->result->end.next.offset, recover->count - index - 1);
        recover->result->dropped++;
        error = put_aside(recover, index + 1);
    }
    const uint64_t walked_from = from.at > sizeof(struct sp_segment_header) ? from.at : 0;
    return error ? error : cut(recover, segment, index, walked_from, has_blocks ? place.at : 0);
}

static int look_at_segment(struct recover *recover, uint32_t index, enum look look)
{
    const struct sp_frontier *frontier = &recover->frontier;
    struct open_segment segment;

    int error = open_segment(recover, recover->bases[index], &segment);
    if (!error && segment.reason && strstr(segment.reason, "newer build"))
        error =
            sp_fail(-EBADMSG, "segment %llu in %s: %s", (unsigned long long)recover->bases[index], recover->path, segment.reason);
    const int compacted = !error && look == LOOK_FRONTIER ? is_compacted(&segment) : 0;
    if (compacted > 0)
        look = LOOK_PASS;
    if (error || compacted < 0)
        error = error ? error : compacted;
    else if (look == LOOK_WALK)
        error = walk_segment(recover, &segment, index, sp_scan_begin(&segment.identity));
    else if (segment.reason || (look == LOOK_FRONTIER && segment.source.size < frontier->at))
        keep(recover, segment.reason ? segment.reason : "it is shorter than what was flushed");
    else if (look == LOOK_PASS)
        error = pass(recover, &segment);
    else
        error = walk_segment(
            recover, &segment, index,
            (struct sp_scan_place){frontier->at, {frontier->position, frontier->offset}, frontier->previous, INT64_MIN});
    close_segment(&segment);
    return error;
}

/* Walk the segments. The log goes on at recover->result->end.next: never at an offset that it has acknowledged. */
static int walk(struct recover *recover)
{
    const struct sp_frontier *frontier = &recover->frontier;
    struct recovery *result = recover->result;
    const bool was_empty = recover->count == 0;
    enum look look;
    int error = 0;

    if (recover->has_frontier) {
        result->end =
            (struct log_place){{frontier->position, frontier->offset}, frontier->segment, frontier->at, frontier->previous};
        result->sequence = frontier->sequence;
        result->start_offset = sp_max(result->start_offset, frontier->start_offset);
    }
    for (uint32_t i = find_begin(recover, &look); !error && i < recover->count; i++, look = LOOK_WALK)
        error = look_at_segment(recover, i, look);
    if (!error)
        mind_missing(recover, was_empty);
    return error;
}

int recover_partition(struct io *io, const struct spill_topic *topic, uint32_t partition,
                      void (*say_it)(void *context, bool is_error, const char *text), void *context, struct recovery *ret)
{
    struct recover recover = {.io = io, .topic = topic, .partition = partition, .say = say_it, .context = context, .result = ret};
    char path[PATH_SIZE];

    *ret = (struct recovery){0};
    snprintf(recover.path, sizeof recover.path, "%s/%u", topic->directory, partition);
    int error = read_frontier(&recover);
    if (!error)
        error = make(&recover);
    if (!error)
        error = io->f->list(io, recover.path, note_file, &recover);
    if (!error) {
        if (recover.count)
            qsort(recover.bases, recover.count, sizeof *recover.bases, compare);
        ret->is_new = !recover.has_frontier && recover.count == 0;
        ret->start_offset = recover.count ? recover.bases[0] : 0;
        name_file(&recover, "spare", path);
        (void)io->f->unlink(io, path); /* a spare is made anew */
        error = walk(&recover);
    }
    free(recover.bases);
    return error;
}

/* Where to write again what the log lost: as early as the ring still has it. Producers go on meanwhile, and may overtake a place before
 * they are kept from it; then a later one is looked for. What is behind `written` they have been kept from all the time. */
static struct sp_place find_again(struct sp_ring *ring, const struct recovery *recovery, struct sp_place written)
{
    for (int tries = 0; tries < 100; tries++) {
        const uint64_t oldest = sp_ring_oldest_position(ring);
        struct sp_place from = recovery->end.next;
        if (from.position < oldest || !sp_ring_is_committed(ring, from))
            from = sp_mark_oldest(ring, oldest);
        if (from.offset >= written.offset || from.offset < recovery->end.next.offset) /* a mark may lie on either side */
            break;
        if (!sp_log_return(ring, from))
            continue;
        if (sp_ring_is_committed(ring, from))
            return from;
        (void)sp_log_advance(ring, SP_LOG_WRITTEN, written);
        break;
    }
    return written;
}

/* The log goes on at recovery->end.next, and what it has ends before. */
static int note_hole(struct io *io, const struct spill_topic *topic, uint32_t partition, struct recovery *recovery)
{
    struct sp_frontier frontier = {
        .sequence = recovery->sequence + 1,
        .segment = recovery->end.next.offset,
        .offset = recovery->end.next.offset,
        .position = recovery->end.next.position,
        .start_offset = recovery->start_offset,
    };
    char path[PATH_SIZE];

    memcpy(frontier.topic_id, topic->id, sizeof frontier.topic_id);
    sp_frontier_seal(&frontier);
    snprintf(path, sizeof path, "%s/%u/frontier", topic->directory, partition);
    const int file = io->f->open(io, path, O_RDWR);
    if (file < 0)
        return file;
    int error = io->f->write(io, file, frontier.sequence % 2 * SP_LOG_GRAIN, &frontier, sizeof frontier);
    io->f->close(io, file);
    if (!error)
        error = io->f->sync(io, path);
    if (!error)
        recovery->sequence = frontier.sequence;
    return error;
}

int recover_fit(struct io *io, struct sp_ring *ring, const struct spill_topic *topic, uint32_t partition,
                void (*say_it)(void *context, bool is_error, const char *text), void *context, struct recovery *ret)
{
    const struct recover recover = {.topic = topic, .partition = partition, .say = say_it, .context = context};
    const struct sp_place written = sp_log_place(ring, SP_LOG_WRITTEN), tail = sp_ring_tail(ring);

    if (ret->is_new)
        ret->end = (struct log_place){0};
    else /* records that were deleted stay so, though the frontier that says it was not written any more */
        ret->start_offset = sp_max(ret->start_offset, sp_min(sp_log_start(ring), ret->end.next.offset));
    if (ret->end.next.offset == written.offset && ret->end.next.position == written.position)
        return 0;
    /* Blocks that were written, and the daemon died before it said so: the ring still has these records. */
    if (ret->end.next.offset > written.offset && ret->end.next.offset <= tail.offset && ret->end.next.position <= tail.position)
        return 0;
    /* The log lost what had been written, or is new: what the ring still has is written again. */
    const struct sp_place from = find_again(ring, ret, written);
    if (from.offset > ret->end.next.offset && !ret->is_new)
        say(&recover, true, "offsets %llu to %llu are not in the log, and no longer in the ring",
            (unsigned long long)ret->end.next.offset, (unsigned long long)from.offset - 1);
    if (!ret->is_new && from.offset < ret->end.next.offset) { /* nobody honest says so: what is in the log stays as it is */
        say(&recover, true, "the ring says that less was written than the log has: it goes on where the log ends");
        return 0;
    }
    const bool has_hole = from.offset > ret->end.next.offset;
    if (ret->is_new)
        ret->start_offset = from.offset;
    if (has_hole || ret->is_new) /* what ends before says nothing of where it goes on */
        ret->end = (struct log_place){.segment = from.offset};
    ret->end.next = from; /* the ring knows the place of an offset; behind a hole that was compacted the log does not */
    return has_hole ? note_hole(io, topic, partition, ret) : 0;
}
