/* segments.c: the files of a writer: the spare that is made ready, entering it, leaving it, its index; see writer.h.
 * Runs on the writer's thread. */
#include "spill/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Segments are allocated whole, so the first ones are small, and each is twice as large as the one before up to the topic's size: a
 * partition in which little happens takes little. */
#define SEGMENT_FIRST ((uint64_t)4 << 20)

#define IDLE_LEAST SP_NS_PER_S /* without a record, before a segment is left for that */

#define PATH_SIZE (SPATE_TOPIC_NAME_MAX + 64)

static void name_file(const struct writer *writer, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", writer->path, name);
}

static void name_segment(const struct writer *writer, uint64_t base, const char *suffix, char path[PATH_SIZE])
{
    char name[SP_SEGMENT_NAME_SIZE];
    sp_segment_name(base, suffix, name);
    name_file(writer, name, path);
}

void spill_give(struct io *io, const struct spill_topic *topic, const char *path, bool is_directory)
{
    const struct spate_topic_info *info = &topic->info;
    const uint32_t readers = info->ring_file_mode & 0444;

    if (!io->f->give || !info->ring_file_mode)
        return;
    (void)io->f->give(io, path, (is_directory ? 0700 | readers >> 2 : 0600) | readers, info->uid, info->gid);
}

int segments_open(struct writer *writer)
{
    writer->segment_size = SEGMENT_FIRST;
    writer->active.file = writer->closing.file = writer->spare_file = -1;
    writer->current = &writer->active;
    writer->left = &writer->closing;
    writer->directory = writer->io->f->open(writer->io, writer->path, O_RDONLY | O_DIRECTORY);
    return writer->directory < 0 ? writer->directory : 0;
}

static void forget(struct writer *writer, struct segment_file *segment)
{
    if (segment->file >= 0)
        writer->io->f->close(writer->io, segment->file);
    sp_index_end(&segment->index);
    *segment = (struct segment_file){.file = -1};
}

void segments_close(struct writer *writer)
{
    char path[PATH_SIZE];

    if (writer->current) {
        forget(writer, writer->current);
        forget(writer, writer->left);
    }
    if (writer->spare_file >= 0) {
        writer->io->f->close(writer->io, writer->spare_file);
        name_file(writer, "spare", path);
        (void)writer->io->f->unlink(writer->io, path);
    }
    if (writer->directory >= 0)
        writer->io->f->close(writer->io, writer->directory);
    writer->spare_file = writer->directory = -1;
}

/* ----------------------------------------------------------------------------------------------------------- the spare */

static void drop_spare(struct writer *writer)
{
    writer->io->f->close(writer->io, writer->spare_file);
    writer->spare_file = -1;
    writer->spare = SPARE_NONE;
}

/* No matter, while there is room in the present segment. */
static void no_spare(struct writer *writer, int error)
{
    writer->spare = SPARE_NONE;
    writer->spare_error = error;
    if (writer_is_passing(error))
        writer->spare_retry_at = writer->io->f->monotonic(writer->io) + WRITER_RETRY;
    else if (error != -ECANCELED)
        writer_fail(writer, error, "making a segment");
}

static void spare_made(struct io_request *request, int result)
{
    struct writer *writer = request->owner;

    if (writer->state == SP_LOG_FAILED)
        result = -ECANCELED;
    if (result == 0) {
        writer->spare = SPARE_READY;
        writer->lacks_spare = false;
        writer_go_on(writer);
        return;
    }
    drop_spare(writer);
    no_spare(writer, result);
}

static void make_spare(struct writer *writer, uint64_t block_size)
{
    char path[PATH_SIZE];

    name_file(writer, "spare", path);
    const uint64_t size = sp_min(writer->topic->info.segment_size, writer->segment_size);
    writer->spare_size = sp_align_up(sp_max(size, sizeof(struct sp_segment_header) + block_size), SP_LOG_GRAIN);
    writer->spare_file = writer->io->f->open(writer->io, path, O_RDWR | O_CREAT | O_TRUNC | (writer->io->is_direct ? O_DIRECT : 0));
    if (writer->spare_file < 0) {
        const int error = writer->spare_file;
        writer->spare_file = -1;
        no_spare(writer, error);
        return;
    }
    spill_give(writer->io, writer->topic, path, false);
    writer->spare = SPARE_MAKING;
    writer->spare_request = (struct io_request){
        .kind = IO_ALLOCATE, .file = writer->spare_file, .at = writer->spare_size, .done = spare_made, .owner = writer};
    writer->io->f->submit(writer->io, &writer->spare_request);
}

/* ----------------------------------------------------------------------------------------------------------- preparing */

#define PREPARE_BELOW ((uint64_t)64 << 10) /* blocks that are larger do not care */

static void prepare_done(struct io_request *request, int result)
{
    struct writer *writer = request->owner;
    struct segment_file *segment = request == &writer->active.prepare ? &writer->active : &writer->closing;

    if (request->kind == IO_WRITE && (result == -ENOSPC || result == -EDQUOT)) { /* then blocks find out by themselves */
        segment->preparing = 0;
        segment->prepared = segment->size;
        segment->writes--;
        return;
    }
    if (writer->state != SP_LOG_FAILED && result < 0) /* a flush is told of an error once: it may be a block's */
        writer_fail(writer, result, "preparing a segment");
    if (writer->state != SP_LOG_FAILED && request->kind == IO_WRITE) {
        segment->preparing = (uint32_t)result & ~(SP_LOG_GRAIN - 1);
        *request = (struct io_request){.kind = IO_FLUSH, .file = segment->file, .done = prepare_done, .owner = writer};
        if (segment->preparing) {
            writer->io->f->submit(writer->io, request);
            return;
        }
    }
    segment->prepared += segment->preparing;
    segment->preparing = 0;
    segment->writes--;
}

static void prepare(struct writer *writer)
{
    struct segment_file *segment = writer->current;
    const bool is_waited_for = writer->topic->info.flush != SPATE_FLUSH_NONE || sp_log_wanted(writer->ring, SP_LOG_DURABLE) > 0;

    if (segment->file < 0 || segment->preparing || !is_waited_for || writer->latest_size >= PREPARE_BELOW || writer->is_closing ||
        writer->large.raw_size) /* its pieces lie behind `at` */
        return;
    segment->prepared = sp_max(segment->prepared, segment->at);
    const uint64_t ahead = segment->prepared - segment->at, left = segment->size - segment->prepared;
    if (ahead >= SPILL_ZEROS_SIZE / 2 || left == 0)
        return;
    segment->preparing = (uint32_t)sp_min(left, SPILL_ZEROS_SIZE);
    segment->prepare = (struct io_request){.kind = IO_WRITE,
                                           .file = segment->file,
                                           .at = segment->prepared,
                                           .data = writer->pool->zeros,
                                           .size = segment->preparing,
                                           .done = prepare_done,
                                           .owner = writer};
    segment->writes++;
    writer->io->f->submit(writer->io, &segment->prepare);
}

/* ------------------------------------------------------------------------------------------------- entering and leaving */

/* The next segment's size, from how much of this one was needed before it was left for its age. */
static void grow(struct writer *writer, const struct segment_file *segment)
{
    if (segment->file >= 0 && segment->at < segment->size / 4)
        writer->segment_size = sp_max(writer->segment_size / 2, SEGMENT_FIRST);
    else if (segment->file < 0 || segment->at >= segment->size / 2)
        writer->segment_size = sp_min(2 * writer->segment_size, SPATE_SEGMENT_MAX);
}

static void enter(struct writer *writer, struct writer_slot *slot, int64_t now)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    const struct spill_topic *topic = writer->topic;
    struct segment_file *segment = writer->left;

    name_file(writer, "spare", from);
    /* behind the latest block, also where the ring is damaged: a hole inside a segment is no end of the log to recovery */
    const struct sp_place begin = writer->latest_end;
    name_segment(writer, begin.offset, "log", to);
    /* the present one may be empty, and too small for the record that is next: its name is the same */
    const bool replaces = writer->current->file >= 0 && writer->current->identity.base_offset == begin.offset;
    const int error = writer->io->f->rename(writer->io, from, to, replaces);
    if (error) {
        spill_pool_give(writer->pool, slot->buffer);
        writer_fail(writer, error, "naming a segment");
        return;
    }
    *segment = (struct segment_file){
        .file = writer->spare_file,
        .identity = {.partition = writer->partition,
                     .unit_shift = writer->ring->unit_shift,
                     .base_offset = begin.offset,
                     .stamp_salt = writer->ring->salt,
                     .created = writer->io->f->realtime(writer->io),
                     .record_max = writer->ring->record_size_max},
        .at = sizeof(struct sp_segment_header),
        .prepared = sizeof(struct sp_segment_header),
        .size = writer->spare_size,
        .opened = now,
    };
    sp_index_begin(&segment->index);
    memcpy(segment->identity.topic_id, topic->id, sizeof topic->id);
    writer->io->f->random(writer->io, &segment->identity.salt, sizeof segment->identity.salt);
    writer->spare_file = -1;
    writer->spare = SPARE_NONE;
    grow(writer, writer->current);
    writer->left = writer->current;
    writer->current = segment;
    writer->directory_dirty = true;
    sp_segment_header_make((struct sp_segment_header *)(void *)slot->buffer, &segment->identity);
    segment->previous = segment->identity.crc;
    writer_submit_slot(writer, slot, 0, sizeof(struct sp_segment_header),
                       (struct log_place){begin, segment->identity.base_offset, segment->at, segment->previous});
}

static bool is_too_old(const struct writer *writer, const struct segment_file *segment, int64_t now)
{
    const int64_t age = writer->topic->info.segment_age;
    return age > 0 && now - segment->opened >= age && segment->at > sizeof(struct sp_segment_header);
}

/* When the present segment is to be left although nothing more comes: it is too old, or all in it is. Otherwise the cleaner, who keeps to
 * segments that are closed, would never delete or compact the last records of a topic that has gone quiet. */
static int64_t leave_idle_at(const struct writer *writer)
{
    const struct spate_topic_info *info = &writer->topic->info;
    const struct segment_file *current = writer->current;
    int64_t when = WRITER_NEVER;

    if (current->file < 0 || current->at <= sizeof(struct sp_segment_header) || writer->is_closing)
        return WRITER_NEVER;
    if (info->segment_age > 0 && info->segment_age < WRITER_NEVER / 2)
        when = current->opened + info->segment_age;
    if (info->cleanup & SPATE_CLEANUP_DELETE && info->retention_time >= 0 && info->retention_time < WRITER_NEVER / 2) {
        const int64_t expired = current->latest + (info->retention_time > IDLE_LEAST ? info->retention_time : IDLE_LEAST);
        when = expired < when ? expired : when;
    }
    return when;
}

/* Nothing is on its way into it. */
static bool is_idle(const struct writer *writer)
{
    return writer->current->writes == 0 && writer->in_flight == 0 && !writer->large.raw_size && writer->left->file < 0 &&
           !writer->flushing;
}

bool segments_room(struct writer *writer, uint64_t size, int64_t now)
{
    struct segment_file *current = writer->current;

    if (current->preparing && current->at + size > current->prepared)
        return false; /* zeros must not come behind the block that they make room for */
    if (current->file >= 0 && current->size - current->at >= size && !is_too_old(writer, current, now))
        return true;
    if (writer->left->file >= 0 || writer->in_flight == WRITER_DEPTH)
        return false;
    if (writer->spare == SPARE_READY && writer->spare_size - sizeof(struct sp_segment_header) < size)
        drop_spare(writer);
    if (writer->spare == SPARE_NONE && now >= writer->spare_retry_at)
        make_spare(writer, size);
    if (writer->spare == SPARE_NONE && writer->state != SP_LOG_FAILED) {
        writer->lacks_spare = true;
        writer_full(writer, writer->spare_error, "making a segment");
    }
    if (writer->spare != SPARE_READY)
        return false;
    struct writer_slot *slot = writer_take_slot(writer);
    if (!slot)
        return false;
    enter(writer, slot, now);
    return writer->state != SP_LOG_FAILED;
}

void spill_write_index(struct io *io, const struct spill_topic *topic, const char *path, const struct sp_index_maker *index,
                       uint64_t salt, uint64_t size, uint64_t next_offset)
{
    const struct sp_index_header header = sp_index_header(index, salt, size, next_offset);

    const int file = io->f->open(io, path, O_RDWR | O_CREAT | O_TRUNC);
    if (file < 0)
        return;
    if (io->f->write(io, file, sizeof header, index->entries, (uint32_t)(index->count * sizeof *index->entries)) == 0)
        (void)io->f->write(io, file, 0, &header, sizeof header);
    io->f->close(io, file);
    spill_give(io, topic, path, false);
}

/* The segment that was left: all of it is durable. */
static void finish_left(struct writer *writer)
{
    struct segment_file *left = writer->left;
    char path[PATH_SIZE];
    const int error = left->at < left->size ? writer->io->f->truncate(writer->io, left->file, left->at) : 0;

    if (error)
        writer_fail(writer, error, "cutting a segment to its end");
    name_segment(writer, left->identity.base_offset, "index", path);
    spill_write_index(writer->io, writer->topic, path, &left->index, left->identity.salt, left->at,
                      writer->current->file >= 0 ? writer->current->identity.base_offset : writer->latest_end.offset);
    /* The cleaner may have taken it meanwhile, and its index before this one came: then nobody else would. Where it put a compacted one in
     * its place, that gets an index again at the next look. */
    if (writer->io->f->is_named(writer->io, left->file) == 0)
        (void)writer->io->f->unlink(writer->io, path);
    forget(writer, left);
}

int64_t segments_step(struct writer *writer, int64_t now)
{
    struct segment_file *current = writer->current, *left = writer->left;

    const bool has_finished = left->file >= 0 && left->writes == 0 && !left->is_dirty && !writer->flushes_left;
    if (has_finished)
        finish_left(writer);
    /* at the very end the current one is left too */
    if (writer->is_closing && writer->frontier_is_clean && current->file >= 0 && left->file < 0 && current->writes == 0 &&
        !current->is_dirty && !writer->flushing && !writer->large.raw_size) {
        writer->left = current;
        writer->current = left;
        finish_left(writer);
    }
    const int64_t leave_at = writer->state == SP_LOG_OPEN ? leave_idle_at(writer) : WRITER_NEVER;
    if (now >= leave_at && is_idle(writer)) {
        grow(writer, current);
        writer->left = current;
        writer->current = current = left;
    }
    if (writer->state != SP_LOG_FAILED)
        prepare(writer);
    const bool is_wanted = writer->lacks_spare || (current->file >= 0 && current->at > current->size / 2 && !writer->is_closing);
    if (writer->spare == SPARE_NONE && is_wanted && now >= writer->spare_retry_at)
        make_spare(writer, 0);
    const int64_t retry_at = writer->spare == SPARE_NONE && is_wanted ? writer->spare_retry_at : WRITER_NEVER;
    if (has_finished && writer->is_blocked) /* which may have been what the records waited for */
        return now;
    return leave_at > now && leave_at < retry_at ? leave_at : retry_at;
}
