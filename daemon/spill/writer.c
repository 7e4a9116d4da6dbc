/* writer.c: gathering records from the ring into blocks, and writing these in order; see writer.h.
 *
 * Runs on the writer's thread. The ring's bytes are input: they are walked before they are copied, and what is copied has the checksum of
 * what was copied, whatever producers do to the ring meanwhile. */
#include "spill/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "layout/record_layout.h"

#define STUCK_LOOK SP_NS_PER_MS         /* between two looks at a claim that is not committed */
#define CHECK_EVERY SP_NS_PER_S         /* that the files still have their names */
#define LINGER_NONE (50 * SP_NS_PER_MS) /* where nobody is promised anything */

__attribute__((format(printf, 3, 4))) static void say(const struct writer *writer, bool is_error, const char *format, ...)
{
    char text[600];
    va_list arguments;
    int size = snprintf(text, sizeof text, "topic %s, partition %u: ", writer->topic->info.name, writer->partition);

    va_start(arguments, format);
    vsnprintf(text + size, sizeof text - (size_t)size, format, arguments);
    va_end(arguments);
    writer->host->say(writer->host->context, is_error, text);
}

static void set_state(struct writer *writer, enum sp_log_state state, int error)
{
    writer->state = state;
    writer->error = error;
    sp_log_state_set(writer->ring, writer->host->owner, state, error);
    writer->host->wake(writer->host->context, true);
}

void writer_fail(struct writer *writer, int error, const char *doing)
{
    if (writer->state == SP_LOG_FAILED)
        return;
    set_state(writer, SP_LOG_FAILED, -error);
    say(writer, true,
        "%s failed: %s. Its log is closed: everything below offset %llu is durable, and %s. Mend the disk, then start spated anew",
        doing, strerror(-error), (unsigned long long)writer->durable.next.offset, "producers are refused once the ring is full");
}

bool writer_is_passing(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN: return true;
    default: return false;
    }
}

static bool is_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

void writer_full(struct writer *writer, int error, const char *doing)
{
    if (writer->state != SP_LOG_OPEN)
        return;
    set_state(writer, SP_LOG_FULL, -error);
    say(writer, true, "%s: %s. Producers are refused once the ring is full; it goes on by itself when there is room", doing,
        is_room(error) ? "the file system is full" : strerror(-error));
}

static uint32_t stalled(const struct writer *writer)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < writer->in_flight; i++)
        count += writer->slots[(writer->first + i) % WRITER_DEPTH].is_stalled;
    return count;
}

void writer_go_on(struct writer *writer)
{
    if (writer->state != SP_LOG_FULL || writer->lacks_spare || stalled(writer))
        return;
    say(writer, false, is_room(-writer->error) ? "there is room on the file system again" : "it goes on");
    set_state(writer, SP_LOG_OPEN, 0);
}

/* -------------------------------------------------------------------------------------------------------------- writing */

struct writer_slot *writer_take_slot(struct writer *writer)
{
    if (writer->in_flight == WRITER_DEPTH)
        return NULL;
    struct writer_slot *slot = &writer->slots[(writer->first + writer->in_flight) % WRITER_DEPTH];
    slot->buffer = spill_pool_take(writer->pool);
    return slot->buffer ? slot : NULL;
}

/* What is done from the front of the queue on has been written, in order. */
static void pop(struct writer *writer)
{
    bool has_moved = false;

    while (writer->in_flight && writer->slots[writer->first].is_done) {
        struct writer_slot *slot = &writer->slots[writer->first];
        spill_pool_give(writer->pool, slot->buffer);
        writer->first = (writer->first + 1) % WRITER_DEPTH;
        writer->in_flight--;
        if (writer->state == SP_LOG_FAILED)
            continue;
        writer->written = slot->end;
        has_moved = true;
    }
    if (has_moved) {
        sp_log_advance(writer->ring, SP_LOG_WRITTEN, writer->written.next);
        writer->host->wake(writer->host->context, false);
    }
}

static void write_done(struct io_request *request, int result)
{
    struct writer *writer = request->owner;
    struct writer_slot *slot = (struct writer_slot *)(void *)((char *)request - offsetof(struct writer_slot, request));
    /* of a short write, what was written in whole disk blocks counts */
    const uint32_t done = result <= 0                         ? 0
                          : (uint32_t)result == request->size ? request->size
                                                              : (uint32_t)result & ~(SP_LOG_GRAIN - 1);

    if (writer->state != SP_LOG_FAILED && done < request->size) {
        if (result == -ENOSPC || result == -EDQUOT) {
            slot->is_stalled = true;
            writer->retry_at = writer->io->f->monotonic(writer->io) + WRITER_RETRY;
            writer_full(writer, result, "writing a block");
            return;
        }
        if (result == -EINTR || result == -EAGAIN || result > 0) {
            request->at += done;
            request->data = (const uint8_t *)request->data + done;
            request->size -= done;
            writer->io->f->submit(writer->io, request);
            return;
        }
        writer_fail(writer, result < 0 ? result : -EIO, "writing a block");
    }
    slot->segment->writes--;
    slot->segment->is_dirty = true;
    slot->is_done = true;
    writer_go_on(writer);
    pop(writer);
}

void writer_submit_slot(struct writer *writer, struct writer_slot *slot, uint64_t at, uint32_t size, struct log_place end)
{
    slot->segment = writer->current;
    slot->end = end;
    slot->is_done = slot->is_stalled = false;
    slot->request = (struct io_request){.kind = IO_WRITE,
                                        .file = writer->current->file,
                                        .at = at,
                                        .data = slot->buffer,
                                        .size = size,
                                        .done = write_done,
                                        .owner = writer};
    writer->current->writes++;
    writer->in_flight++;
    writer->io->f->submit(writer->io, &slot->request);
}

/* -------------------------------------------------------------------------------------------------------------- blocks */

static struct sp_block_header begin_block(const struct writer *writer, const struct sp_extent *extent)
{
    return (struct sp_block_header){
        .kind = SP_BLOCK_MAGIC,
        .previous = writer->current->previous,
        .base_offset = writer->gathered.offset,
        .position = writer->gathered.position,
        .first_timestamp = extent->first_timestamp,
        .last_timestamp = extent->last_timestamp,
        .count = (uint32_t)(extent->end.offset - writer->gathered.offset),
        .raw_size = (uint32_t)extent->size,
        .stored_size = (uint32_t)extent->size,
    };
}

static const uint8_t *records(const struct writer *writer)
{
    return (const uint8_t *)sp_ring_record(writer->ring, writer->gathered.position);
}

static struct log_place place_behind(const struct writer *writer, struct sp_place next)
{
    const struct segment_file *segment = writer->current;
    return (struct log_place){next, segment->identity.base_offset, segment->at, segment->previous};
}

/* What was gathered up to `end` is in the block that was just put into the current segment. */
static void gathered(struct writer *writer, const struct sp_block_header *header, struct sp_place end)
{
    const uint64_t size = sp_block_size(header);

    (void)sp_index_note(&writer->current->index, header, writer->current->at);
    writer->current->previous = header->header_crc;
    writer->current->at += size;
    writer->gathered = writer->latest_end = end;
    writer->blocks++;
    writer->bytes += size;
    writer->latest_size = size;
    writer->current->latest = writer->io->f->monotonic(writer->io);
    writer->pending_since = 0;
}

/* One block that fits into a buffer. */
static void put_block(struct writer *writer, struct writer_slot *slot, const struct sp_extent *extent)
{
    struct sp_block_header *header = (struct sp_block_header *)(void *)slot->buffer;
    uint8_t *data = slot->buffer + sizeof *header;
    const uint64_t at = writer->current->at;

    *header = begin_block(writer, extent);
    const uint32_t packed =
        writer->topic->info.compression == SPATE_COMPRESSION_LZ4 ? sp_block_pack(records(writer), header->raw_size, data) : 0;
    if (packed) {
        header->kind |= SPATE_COMPRESSION_LZ4;
        header->stored_size = packed;
        header->data_crc = sp_crc32c(0, data, packed);
    } else {
        header->data_crc = sp_crc32c_copy(0, data, records(writer), header->raw_size);
    }
    sp_block_seal(header, writer->current->identity.salt);
    const uint64_t size = sp_block_size(header);
    memset(data + header->stored_size, 0, size - sizeof *header - header->stored_size);
    gathered(writer, header, extent->end);
    writer_submit_slot(writer, slot, at, (uint32_t)size, place_behind(writer, extent->end));
}

/* A record that is larger than a buffer, in pieces: the second to the last, and then the first, in which the header is. So the header has
 * the checksum of what was copied, as everywhere. The place of all but the one that is written last is where the block begins, so that it
 * counts as written when all of it is. */
static void begin_large(struct writer *writer, const struct sp_extent *extent)
{
    writer->large = begin_block(writer, extent);
    writer->large_done = writer->pool->buffer_size;
    writer->large_crc = 0;
}

static void submit_piece(struct writer *writer, struct writer_slot *slot, uint64_t at, uint64_t size, struct sp_place end)
{
    const uint64_t whole = sp_align_up(size, SP_LOG_GRAIN);

    memset(slot->buffer + size, 0, whole - size);
    writer_submit_slot(writer, slot, at, (uint32_t)whole, place_behind(writer, end));
}

static void put_piece(struct writer *writer, struct writer_slot *slot)
{
    struct sp_block_header *header = &writer->large;
    const uint64_t total = sizeof *header + header->stored_size, buffer_size = writer->pool->buffer_size;
    const uint64_t begin = writer->large_done, block_at = writer->current->at;
    const struct sp_place next = {header->position + header->raw_size, header->base_offset + header->count};

    if (begin < total) {
        const uint64_t size = sp_min(buffer_size, total - begin);
        writer->large_crc = sp_crc32c_copy(writer->large_crc, slot->buffer, records(writer) + begin - sizeof *header, size);
        writer->large_done = begin + size;
        submit_piece(writer, slot, block_at + begin, size, writer->latest_end);
        return;
    }
    const uint32_t crc = sp_crc32c_copy(0, slot->buffer + sizeof *header, records(writer), buffer_size - sizeof *header);
    header->data_crc = sp_crc32c_combine(crc, writer->large_crc, total - buffer_size);
    sp_block_seal(header, writer->current->identity.salt);
    memcpy(slot->buffer, header, sizeof *header);
    gathered(writer, header, next);
    submit_piece(writer, slot, block_at, buffer_size, next);
    header->raw_size = 0;
}

/* ----------------------------------------------------------------------------------------------------------- gathering */

/* Nothing is committed where we stand: nothing is there, or a claim, whose owner may be dead, or what nobody can have written. */
static int64_t look_into(struct writer *writer, const struct sp_extent *extent, int64_t now)
{
    const struct sp_liveness liveness = {writer->host->alive, writer->host->context};
    struct sp_judgement judgement;

    if (!extent->is_damaged && (int64_t)(sp_ring_claimed(writer->ring).position - writer->gathered.position) <= 0) {
        writer->stuck_since = 0;
        return WRITER_NEVER;
    }
    if (writer->stuck_since == 0)
        writer->stuck_since = now;
    if (now - writer->stuck_since < STUCK_LOOK)
        return writer->stuck_since + STUCK_LOOK;
    writer->stuck_since = now;
    judgement.verdict = SP_VERDICT_DAMAGED;
    if (!extent->is_damaged)
        sp_ring_judge(writer->ring, writer->gathered, liveness, &judgement);
    if (judgement.verdict == SP_VERDICT_DEAD) {
        writer->host->repair(writer->host->context);
    } else if (judgement.verdict == SP_VERDICT_DAMAGED) {
        const uint64_t first = writer->gathered.offset;
        const struct sp_place next = sp_ring_next_boundary(writer->ring, writer->gathered);
        if (next.offset < first || next.position <= writer->gathered.position || next.offset > INT64_MAX) {
            writer_fail(writer, -EBADMSG, "reading the ring, which is damaged beyond repair,");
            return WRITER_NEVER;
        }
        writer->gathered = next;
        say(writer, true, "the ring is damaged: offsets %llu to %llu are not in the log", (unsigned long long)first,
            (unsigned long long)writer->gathered.offset - 1);
    }
    return now + STUCK_LOOK;
}

/* Whether what there is should wait for more. */
static bool lingers(struct writer *writer, const struct sp_extent *extent, int64_t now, int64_t *ret_until)
{
    const uint64_t offset = writer->gathered.offset;

    /* a block that is worth it, or as much as the ring may be kept waiting for */
    if (extent->is_full || extent->size >= sp_min(writer->pool->buffer_size / 2, writer->ring->capacity / 4))
        return false;
    if (writer->is_closing || writer->linger == 0 || sp_log_wanted(writer->ring, SP_LOG_WRITTEN) > offset ||
        sp_log_wanted(writer->ring, SP_LOG_DURABLE) > offset)
        return writer->in_flight > 0; /* its completion calls us again */
    if (writer->pending_since == 0)
        writer->pending_since = now;
    *ret_until = writer->pending_since + writer->linger;
    return now < *ret_until;
}

static int64_t gather(struct writer *writer, int64_t now)
{
    int64_t until = WRITER_NEVER;

    writer->is_blocked = true;
    while (writer->in_flight < WRITER_DEPTH) {
        struct writer_slot *slot;
        struct sp_extent extent;
        if (writer->large.raw_size) {
            slot = writer_take_slot(writer);
            if (!slot)
                return now + SP_NS_PER_MS; /* others have the buffers */
            put_piece(writer, slot);
            continue;
        }
        const uint64_t most = writer->pool->buffer_size - sizeof(struct sp_block_header);
        sp_ring_extent(writer->ring, writer->gathered, most, &extent);
        if (extent.size == 0) {
            writer->is_blocked = false;
            return look_into(writer, &extent, now);
        }
        writer->stuck_since = 0;
        if (lingers(writer, &extent, now, &until)) {
            writer->is_blocked = false;
            return until;
        }
        if (!segments_room(writer, sp_align_up(sizeof(struct sp_block_header) + extent.size, SP_LOG_GRAIN), now) ||
            writer->in_flight == WRITER_DEPTH)
            return WRITER_NEVER; /* a completion calls us again */
        if (extent.size > most) {
            begin_large(writer, &extent);
            continue;
        }
        slot = writer_take_slot(writer);
        if (!slot)
            return now + SP_NS_PER_MS;
        put_block(writer, slot, &extent);
    }
    return WRITER_NEVER;
}

static void retry(struct writer *writer)
{
    for (uint32_t i = 0; i < writer->in_flight; i++) {
        struct writer_slot *slot = &writer->slots[(writer->first + i) % WRITER_DEPTH];
        if (!slot->is_stalled)
            continue;
        slot->is_stalled = false;
        writer->io->f->submit(writer->io, &slot->request);
    }
}

/* Files that somebody removed take writes as before, and lose them. */
static void check_names(struct writer *writer, int64_t now)
{
    if (now - writer->checked_at < CHECK_EVERY || !writer->current->writes)
        return;
    writer->checked_at = now;
    const int named = writer->io->f->is_named(writer->io, writer->current->file);
    if (named <= 0)
        writer_fail(writer, named < 0 ? named : -ENOENT, "looking for its segment, which somebody removed,");
}

int64_t writer_step(struct writer *writer, int64_t now)
{
    if (writer->state == SP_LOG_FAILED)
        return WRITER_NEVER;
    if (writer->retry_at && now >= writer->retry_at) {
        writer->retry_at = 0;
        retry(writer);
    }
    check_names(writer, now);
    int64_t next = gather(writer, now);
    const int64_t changing = segments_step(writer, now), flushing = flush_step(writer, now);
    next = changing < next ? changing : next;
    next = flushing < next ? flushing : next;
    return writer->retry_at && writer->retry_at < next ? writer->retry_at : next;
}

/* ----------------------------------------------------------------------------------------------------- opening, closing */

int writer_open(struct writer *writer, struct io *io, struct spill_pool *pool, struct sp_ring *ring,
                const struct spill_topic *topic, uint32_t partition, const struct writer_host *host, struct log_place end,
                uint64_t start_offset, uint64_t sequence)
{
    *writer = (struct writer){
        .io = io,
        .pool = pool,
        .ring = ring,
        .topic = topic,
        .partition = partition,
        .host = host,
        .gathered = end.next,
        .latest_end = end.next,
        .written = end,
        .durable = end,
        .start_offset = start_offset,
        .frontier_sequence = sequence,
        .linger = topic->info.flush == SPATE_FLUSH_EACH       ? 0
                  : topic->info.flush == SPATE_FLUSH_INTERVAL ? (int64_t)sp_min((uint64_t)topic->info.flush_interval, LINGER_NONE)
                                                              : LINGER_NONE,
    };
    snprintf(writer->path, sizeof writer->path, "%s/%u", topic->directory, partition);
    int error = segments_open(writer);
    if (!error)
        error = flush_open(writer);
    if (error) {
        writer_close(writer);
        return error;
    }
    sp_log_advance(ring, SP_LOG_WRITTEN, end.next);
    sp_log_advance(ring, SP_LOG_DURABLE, end.next);
    sp_log_start_set(ring, start_offset);
    set_state(writer, SP_LOG_OPEN, 0);
    return 0;
}

void writer_close(struct writer *writer)
{
    for (; writer->in_flight; writer->in_flight--) /* what did not fit, and what failed and all behind it */
        spill_pool_give(writer->pool, writer->slots[(writer->first + writer->in_flight - 1) % WRITER_DEPTH].buffer);
    flush_close(writer);
    segments_close(writer);
    if (writer->state == SP_LOG_OPEN || writer->state == SP_LOG_FULL)
        sp_log_state_set(writer->ring, 0, SP_LOG_IDLE, 0);
}

void writer_finish(struct writer *writer)
{
    writer->is_closing = true;
}

bool writer_is_idle(const struct writer *writer)
{
    bool is_busy = writer->flushing || writer->frontier_busy || writer->spare == SPARE_MAKING || writer->active.preparing ||
                   writer->closing.preparing;
    for (uint32_t i = 0; i < writer->in_flight; i++)
        is_busy |= !writer->slots[(writer->first + i) % WRITER_DEPTH].is_stalled;
    return !is_busy;
}

bool writer_is_finished(const struct writer *writer)
{
    const bool is_done = writer->frontier_is_clean && !writer->frontier_due && writer->current->file < 0 && writer->left->file < 0;
    const bool is_in_vain = writer->state == SP_LOG_FULL; /* what does not fit stays in the ring */
    return writer_is_idle(writer) && (writer->state == SP_LOG_FAILED || (writer->is_closing && (is_done || is_in_vain)));
}

void writer_set_start(struct writer *writer, uint64_t offset)
{
    writer->start_offset = offset;
    writer->frontier_due = true;
    sp_log_start_set(writer->ring, offset);
}
