/* clean.c: which segments there are, which of them go; see clean.h.
 * Runs on the cleaner's thread. */
#include "spill/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/scan.h"

#define INDEX_MOST ((int64_t)1 << 26) /* ten times that of the largest segment */

void clean_path(const struct clean *clean, uint64_t base, const char *suffix, char path[CLEAN_PATH_SIZE])
{
    char name[SP_SEGMENT_NAME_SIZE];
    sp_segment_name(base, suffix, name);
    snprintf(path, CLEAN_PATH_SIZE, "%s/%u/%s", clean->topic->directory, clean->partition, name);
}

struct listing {
    struct clean_segment *segments;
    uint32_t count, room;
    uint64_t active_size; /* of the one that is being written, which is not in the list; 0: there is none */
};

static int note_segment(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t base;

    if (!sp_segment_base(name, "log", &base))
        return 0;
    if (listing->count == listing->room) {
        const uint32_t room = listing->room ? 2 * listing->room : 64;
        struct clean_segment *segments = realloc(listing->segments, room * sizeof *segments);
        if (!segments)
            return -ENOMEM;
        listing->segments = segments;
        listing->room = room;
    }
    listing->segments[listing->count++] = (struct clean_segment){.base = base};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct clean_segment *x = a, *y = b;
    return (x->base > y->base) - (x->base < y->base);
}

/* What the header and the first block say. A segment that cannot be read is old, and not touched by compaction. */
static int look_at(const struct clean *clean, struct clean_segment *segment, struct sp_segment_identity *ret_identity)
{
    struct io *io = clean->io;
    struct sp_segment_header *header = malloc(sizeof *header);
    struct sp_block_header block;
    char path[CLEAN_PATH_SIZE];

    clean_path(clean, segment->base, "log", path);
    const int file = header ? io->f->open(io, path, O_RDONLY) : -ENOMEM;
    if (file < 0) {
        free(header);
        return file;
    }
    const int64_t size = io->f->size(io, file);
    int error = size < 0 ? (int)size : io->f->read(io, file, 0, header, sizeof *header);
    segment->size = size < 0 ? 0 : (uint64_t)size;
    *ret_identity = (struct sp_segment_identity){0};
    segment->is_compacted = true;
    if (!error && !sp_segment_header_check(header, ret_identity) &&
        io->f->read(io, file, sizeof *header, &block, sizeof block) == 0)
        segment->is_compacted = (block.kind & SP_BLOCK_COMPACTED) != 0;
    io->f->close(io, file);
    free(header);
    return error == -ENODATA ? 0 : error;
}

/* What a segment's index says of it; all of the index is checked, since what it says decides what is deleted.
 * Returns 0, -ENODATA (there is none that belongs to it, or it is damaged: it can be made anew), -errno. */
static int read_index(const struct clean *clean, uint64_t base, uint64_t salt, struct sp_index_header *ret)
{
    struct io *io = clean->io;
    struct sp_index_header *index = NULL;
    char path[CLEAN_PATH_SIZE];

    clean_path(clean, base, "index", path);
    const int file = io->f->open(io, path, O_RDONLY);
    if (file < 0)
        return file == -ENOENT ? -ENODATA : file;
    const int64_t size = io->f->size(io, file);
    int error = size < 0 ? (int)size : size < (int64_t)sizeof *index || size > INDEX_MOST ? -ENODATA : 0;
    if (!error && !(index = malloc((size_t)size)))
        error = -ENOMEM;
    if (!error)
        error = io->f->read(io, file, 0, index, (uint32_t)size);
    io->f->close(io, file);
    if (!error && (sp_index_check(index, (uint64_t)size) != NULL || index->salt != salt || index->next_offset < base))
        error = -ENODATA;
    if (!error)
        *ret = *index;
    free(index);
    return error;
}

/* A closed segment without an index is one that a crash kept from being finished: cut it to its end, and make its index, from the headers
 * of its blocks. One in which they do not lead to where the next segment begins is damaged, and left as it is. */
static int finish(const struct clean *clean, struct clean_segment *segment, const struct sp_segment_identity *identity,
                  uint64_t next)
{
    struct io *io = clean->io;
    struct sp_index_maker index;
    uint64_t at = sizeof(struct sp_segment_header), offset = segment->base;
    char path[CLEAN_PATH_SIZE];

    clean_path(clean, segment->base, "log", path);
    const int file = io->f->open(io, path, O_RDWR);
    if (file < 0)
        return file;
    int error = 0;
    sp_index_begin(&index);
    while (!error && at < segment->size) {
        struct sp_block_header header;
        error = io->f->read(io, file, at, &header, sizeof header);
        if (error || sp_block_check(&header, identity, segment->size - at) != NULL)
            break;
        error = sp_index_note(&index, &header, at);
        at += sp_block_size(&header);
        offset = header.base_offset + header.count;
    }
    if (!error && offset == next) {
        if (at < segment->size)
            error = io->f->truncate(io, file, at);
        clean_path(clean, segment->base, "index", path);
        spill_write_index(io, clean->topic, path, &index, identity->salt, at, next);
        segment->size = at;
    }
    sp_index_end(&index);
    io->f->close(io, file);
    return error;
}

/* What there is to know of a closed segment, from the next one's beginning and its own index. */
static int look_at_closed(const struct clean *clean, struct clean_segment *segment, const struct sp_segment_identity *identity,
                          uint64_t next, int64_t next_created)
{
    struct sp_index_header index = {0};

    segment->next = next;
    segment->newest = next_created; /* its records were all there when the next one was made */
    int error = read_index(clean, segment->base, identity->salt, &index);
    if (!error && index.segment_size != segment->size) /* it was not cut to its end when a crash came */
        error = -ENODATA;
    if (error == -ENODATA && identity->record_max) { /* its header was good */
        error = finish(clean, segment, identity, next);
        if (!error)
            error = read_index(clean, segment->base, identity->salt, &index);
    }
    if (!error && clean->topic->info.timestamp != SPATE_TIMESTAMP_NONE && index.max_timestamp != INT64_MIN)
        segment->newest = index.max_timestamp;
    return error == -ENODATA ? 0 : error;
}

/* The newest segment, when nobody writes to it any more: it is from before this daemon, or its writer has left it and given it an index.
 * Without timestamps nobody knows how old its records are: then it is as new as can be.
 * Returns 0, -EBUSY (it is being written), -errno */
static int look_at_newest(const struct clean *clean, struct clean_segment *segment, const struct sp_segment_identity *identity,
                          int64_t now)
{
    struct sp_index_header index;
    uint64_t next = clean->recovered;

    if (segment->base >= clean->recovered) {
        const int error = read_index(clean, segment->base, identity->salt, &index);
        if (error)
            return error == -ENODATA ? -EBUSY : error;
        next = index.next_offset;
    }
    return look_at_closed(clean, segment, identity, next, now);
}

/* Closed segments, oldest first. */
static int list(const struct clean *clean, struct listing *listing, int64_t now)
{
    char path[CLEAN_PATH_SIZE];
    struct sp_segment_identity before = {0};

    snprintf(path, sizeof path, "%s/%u", clean->topic->directory, clean->partition);
    int error = clean->io->f->list(clean->io, path, note_segment, listing);
    if (error || listing->count == 0)
        return error;
    qsort(listing->segments, listing->count, sizeof *listing->segments, compare);
    for (uint32_t i = 0; !error && i < listing->count; i++) {
        struct sp_segment_identity identity;
        error = look_at(clean, &listing->segments[i], &identity);
        if (!error && i > 0)
            error = look_at_closed(clean, &listing->segments[i - 1], &before, listing->segments[i].base, identity.created);
        before = identity;
    }
    if (error)
        return error;
    struct clean_segment *newest = &listing->segments[listing->count - 1];
    error = look_at_newest(clean, newest, &before, now);
    if (error == -EBUSY) {
        listing->active_size = newest->size;
        listing->count--;
        error = 0;
    }
    return error;
}

/* ------------------------------------------------------------------------------------------------------------ deleting */

static int delete_segment(const struct clean *clean, const struct clean_segment *segment, struct clean_result *ret)
{
    char path[CLEAN_PATH_SIZE];

    clean_path(clean, segment->base, "log", path);
    int error = clean->io->f->unlink(clean->io, path);
    if (error && error != -ENOENT)
        return error;
    clean_path(clean, segment->base, "index", path);
    (void)clean->io->f->unlink(clean->io, path);
    ret->segments++;
    ret->bytes += segment->size;
    return 0;
}

/* How many of the oldest segments retention takes. */
static uint32_t count_expired(const struct clean *clean, const struct listing *listing, int64_t now)
{
    const struct spate_topic_info *info = &clean->topic->info;
    uint64_t total = listing->active_size;
    uint32_t expired = 0;

    if (!(info->cleanup & SPATE_CLEANUP_DELETE))
        return 0;
    for (uint32_t i = 0; i < listing->count; i++)
        total += listing->segments[i].size;
    for (; expired < listing->count; expired++) {
        const struct clean_segment *segment = &listing->segments[expired];
        const bool is_old = info->retention_time >= 0 && segment->newest < now - info->retention_time;
        const bool is_much = info->retention_size >= 0 && total - segment->size >= (uint64_t)info->retention_size;
        if (!is_old && !is_much)
            break;
        total -= segment->size;
    }
    return expired;
}

static int delete_expired(const struct clean *clean, struct listing *listing, uint64_t *start, uint64_t wanted, uint64_t end,
                          int64_t now, struct clean_result *ret)
{
    uint32_t expired = count_expired(clean, listing, now);
    uint64_t begin = expired ? listing->segments[expired - 1].next : *start;
    int error = 0;

    begin = begin > wanted ? begin : wanted;
    if (begin > *start) {
        clean->set_start(clean->context, begin);
        *start = begin;
    }
    /* what is left has something durable in it: it tells recovery where the log goes on */
    for (expired = 0;
         expired < listing->count && listing->segments[expired].next <= *start && listing->segments[expired].next < end && !error;
         expired++)
        error = delete_segment(clean, &listing->segments[expired], ret);
    memmove(listing->segments, listing->segments + expired, (listing->count - expired) * sizeof *listing->segments);
    listing->count -= expired;
    return error;
}

int clean_partition(const struct clean *clean, uint64_t start, uint64_t wanted_start, uint64_t end, struct clean_result *ret)
{
    const int64_t now = clean->io->f->realtime(clean->io);
    struct listing listing = {0};

    *ret = (struct clean_result){0};
    int error = list(clean, &listing, now);
    while (listing.count && listing.segments[listing.count - 1].next > end) /* not durable yet: it may be gone after a crash */
        listing.count--;
    wanted_start = wanted_start < end ? wanted_start : end;
    if (!error && listing.segments)
        error = delete_expired(clean, &listing, &start, wanted_start, end, now, ret);
    else if (!error && wanted_start > start)
        clean->set_start(clean->context, wanted_start);
    if (!error && listing.count && clean->topic->info.cleanup & SPATE_CLEANUP_COMPACT)
        error = compact_segments(clean, listing.segments, listing.count, now, ret);
    free(listing.segments);
    return error;
}
