/* flush.c: when what was written is made durable, and the frontier file that says how far that is; see writer.h.
 *
 * A flush covers what was written when it began. It is of every file that was written since the one before, and of the directory if a
 * segment was named meanwhile. The frontier is written behind it, not more often than every 10 ms, and is itself durable with the next
 * flush (direct I/O, so that it waits in no page cache) or a flush of its own. Recovery begins there; it may be behind, never ahead. */
#include "spill/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define FRONTIER_EVERY (10 * SP_NS_PER_MS)

static uint64_t unflushed(const struct writer *writer)
{
    return writer->written.next.offset - writer->durable.next.offset;
}

static void flush_finished(struct writer *writer)
{
    const int64_t now = writer->io->f->monotonic(writer->io);

    writer->flushes_left = false;
    if (writer->state == SP_LOG_FAILED)
        return;
    if (writer->flush_error) {
        writer_fail(writer, writer->flush_error, "flushing");
        return;
    }
    histogram_add(&writer->flush_times, (uint64_t)(now - writer->flush_began));
    writer->flush_count++;
    writer->flushed_at = now;
    writer->durable = writer->flush_end;
    writer->frontier_due = true;
    sp_log_advance(writer->ring, SP_LOG_DURABLE, writer->durable.next);
    writer->host->wake(writer->host->context, true);
}

static void flush_done(struct io_request *request, int result)
{
    struct writer *writer = request->owner;

    if (result < 0 && !writer->flush_error)
        writer->flush_error = result; /* never tried again: see FAILURE in writer.h */
    if (--writer->flushing == 0)
        flush_finished(writer);
}

static void flush_file(struct writer *writer, enum io_kind kind, int file)
{
    struct io_request *request = &writer->flushes[writer->flushing++];
    *request = (struct io_request){.kind = kind, .file = file, .done = flush_done, .owner = writer};
}

static void begin_flush(struct writer *writer, int64_t now)
{
    struct segment_file *segments[] = {writer->left, writer->current};

    writer->flush_error = 0;
    writer->flush_began = now;
    writer->flush_end = writer->written;
    writer->flushes_left = writer->left->file >= 0;
    for (int i = 0; i < 2; i++) {
        if (segments[i]->file < 0 || !segments[i]->is_dirty)
            continue;
        segments[i]->is_dirty = false;
        flush_file(writer, IO_FLUSH, segments[i]->file);
    }
    if (writer->directory_dirty)
        flush_file(writer, IO_SYNC, writer->directory);
    writer->directory_dirty = false;
    const uint32_t count = writer->flushing;
    if (count == 0) { /* an earlier flush began after all of it was written */
        flush_finished(writer);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        writer->io->f->submit(writer->io, &writer->flushes[i]);
}

/* Whether to flush now; if not, *ret_when says when. */
static bool is_due(const struct writer *writer, int64_t now, int64_t *ret_when)
{
    const struct segment_file *left = writer->left;

    *ret_when = WRITER_NEVER;
    if (writer->flushing)
        return false;
    if (left->file >= 0 && left->writes == 0 && left->is_dirty)
        return true; /* a segment is finished */
    if (unflushed(writer) == 0)
        return false;
    if (writer->is_closing || writer->topic->info.flush == SPATE_FLUSH_EACH)
        return true;
    const uint64_t wanted = sp_log_wanted(writer->ring, SP_LOG_DURABLE);
    if (wanted > writer->durable.next.offset && (wanted <= writer->written.next.offset || writer->in_flight == 0))
        return true; /* if more is on its way, it is not waited for; if what is wanted is not yet written, it comes first */
    if (writer->topic->info.flush != SPATE_FLUSH_INTERVAL)
        return false;
    *ret_when = writer->flushed_at + writer->topic->info.flush_interval;
    return now >= *ret_when;
}

/* ------------------------------------------------------------------------------------------------------------ frontier */

static void frontier_done(struct io_request *request, int result)
{
    struct writer *writer = request->owner;

    writer->frontier_busy = false;
    if (result < 0) {
        writer_fail(writer, result, "writing the frontier");
        return;
    }
    const struct sp_frontier *frontier = (const struct sp_frontier *)(const void *)writer->frontier_page;
    if (request->kind == IO_WRITE && (!writer->io->is_direct || frontier->clean)) {
        writer->frontier_busy = true;
        *request = (struct io_request){.kind = IO_FLUSH, .file = writer->frontier_file, .done = frontier_done, .owner = writer};
        writer->io->f->submit(writer->io, request);
        return;
    }
    writer->frontier_is_clean = frontier->clean && frontier->offset == writer->durable.next.offset;
}

static void write_frontier(struct writer *writer, bool is_clean, int64_t now)
{
    struct sp_frontier *frontier = (struct sp_frontier *)(void *)writer->frontier_page;
    const struct log_place *durable = &writer->durable;

    *frontier = (struct sp_frontier){
        .sequence = ++writer->frontier_sequence,
        .segment = durable->segment,
        .at = durable->at,
        .offset = durable->next.offset,
        .position = durable->next.position,
        .start_offset = writer->start_offset,
        .previous = durable->previous,
        .clean = is_clean,
    };
    memcpy(frontier->topic_id, writer->topic->id, sizeof frontier->topic_id);
    sp_frontier_seal(frontier);
    writer->frontier_due = false;
    writer->frontier_written = now;
    writer->frontier_busy = true;
    writer->frontier_request = (struct io_request){.kind = IO_WRITE,
                                                   .file = writer->frontier_file,
                                                   .at = writer->frontier_sequence % 2 * SP_LOG_GRAIN,
                                                   .data = writer->frontier_page,
                                                   .size = SP_LOG_GRAIN,
                                                   .done = frontier_done,
                                                   .owner = writer};
    writer->io->f->submit(writer->io, &writer->frontier_request);
}

static bool is_all_done(const struct writer *writer)
{
    return writer->is_closing && unflushed(writer) == 0 && writer->in_flight == 0 && !writer->flushing && !writer->large.raw_size &&
           !sp_ring_is_committed(writer->ring, writer->gathered);
}

static int64_t frontier_step(struct writer *writer, int64_t now)
{
    if (writer->frontier_busy)
        return WRITER_NEVER;
    if (is_all_done(writer)) {
        if (!writer->frontier_is_clean || writer->frontier_due)
            write_frontier(writer, true, now);
        return WRITER_NEVER;
    }
    if (!writer->frontier_due)
        return WRITER_NEVER;
    if (now - writer->frontier_written < FRONTIER_EVERY)
        return writer->frontier_written + FRONTIER_EVERY;
    write_frontier(writer, false, now);
    return WRITER_NEVER;
}

int64_t flush_step(struct writer *writer, int64_t now)
{
    int64_t when;

    if (writer->state == SP_LOG_FAILED)
        return WRITER_NEVER;
    if (is_due(writer, now, &when))
        begin_flush(writer, now);
    const int64_t frontier = writer->state == SP_LOG_FAILED ? WRITER_NEVER : frontier_step(writer, now);
    return when < frontier ? when : frontier;
}

int flush_open(struct writer *writer)
{
    char path[SPATE_TOPIC_NAME_MAX + 64];
    void *page;

    writer->frontier_file = -1;
    if (posix_memalign(&page, SP_LOG_GRAIN, SP_LOG_GRAIN) != 0)
        return -ENOMEM;
    memset(page, 0, SP_LOG_GRAIN);
    writer->frontier_page = page;
    snprintf(path, sizeof path, "%s/frontier", writer->path);
    writer->frontier_file = writer->io->f->open(writer->io, path, O_RDWR | (writer->io->is_direct ? O_DIRECT : 0));
    return writer->frontier_file < 0 ? writer->frontier_file : 0;
}

void flush_close(struct writer *writer)
{
    if (writer->frontier_page && writer->frontier_file >= 0)
        writer->io->f->close(writer->io, writer->frontier_file);
    free(writer->frontier_page);
    writer->frontier_page = NULL;
    writer->frontier_file = -1;
}
