/* log.c: see log.h.
 *
 * A segment ends where the next one begins: when no block follows, the directory is looked at. The daemon makes a segment's file before
 * anything in it is below the watermark, and a reader asks for nothing above, so what is missing is damaged, not late. */
#include "log/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "shm/descriptor.h"

int sp_log_open(struct sp_log *log, int log_fd, const char *directory, uint32_t partition, const uint8_t *topic_id)
{
    char path[SPATE_TOPIC_NAME_MAX + 24];

    *log = (struct sp_log){.segment.fd = -1};
    snprintf(path, sizeof path, "%s/%u", directory, partition);
    snprintf(log->shown, sizeof log->shown, "%s", path);
    log->dir_fd = sp_open_at(log_fd, path, O_RDONLY | O_DIRECTORY, 0);
    if (log->dir_fd < 0)
        return sp_fail(-errno, "cannot open the log of partition %s: %s%s", path, strerror(errno),
                       errno == ENOENT ? "; has `spated` run yet?" : "");
    if (topic_id) {
        memcpy(log->topic_id, topic_id, sizeof log->topic_id);
        log->has_id = true;
    }
    return 0;
}

static void leave_segment(struct sp_log *log)
{
    if (log->is_open)
        sp_segment_close(&log->segment);
    log->is_open = false;
}

void sp_log_close(struct sp_log *log)
{
    leave_segment(log);
    free(log->unpacked);
    log->unpacked = NULL;
    if (log->dir_fd >= 0)
        close(log->dir_fd);
    log->dir_fd = -1;
}

enum which { LAST_AT_OR_BEFORE, FIRST_AFTER, FIRST };

/* A segment by its base offset. Returns 0, -ENODATA (there is none, or no directory any more), -errno. */
static int find_segment(const struct sp_log *log, enum which which, uint64_t offset, uint64_t *ret_base)
{
    const int copy = sp_open_at(log->dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *files = copy < 0 ? NULL : fdopendir(copy);
    bool found = false;
    uint64_t base;

    if (!files) {
        const int error = -errno;
        if (copy >= 0)
            close(copy);
        return error == -ENOENT ? -ENODATA : sp_fail(error, "cannot list the log %s: %s", log->shown, strerror(-error));
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(files)) != NULL; errno = 0) {
        if (!sp_segment_base(entry->d_name, "log", &base) || (which == FIRST_AFTER && base <= offset) ||
            (which == LAST_AT_OR_BEFORE && base > offset))
            continue;
        if (!found || (which == LAST_AT_OR_BEFORE ? base > *ret_base : base < *ret_base))
            *ret_base = base;
        found = true;
    }
    const int error = -errno;
    closedir(files);
    return error ? sp_fail(error, "cannot list the log %s: %s", log->shown, strerror(-error)) : found ? 0 : -ENODATA;
}

/* A listing may pass by a file that compacting replaces meanwhile; a second one does not. */
static int find_first(const struct sp_log *log, uint64_t *ret_base)
{
    uint64_t base;

    const int error = find_segment(log, FIRST, 0, ret_base);
    if (error && error != -ENODATA)
        return error;
    const int later = find_segment(log, FIRST, 0, &base);
    if (later && later != -ENODATA)
        return later;
    if (!later && (error || base < *ret_base))
        *ret_base = base;
    return error && later ? -ENODATA : 0;
}

static int enter_segment(struct sp_log *log, uint64_t base)
{
    leave_segment(log);
    int error = sp_segment_open(&log->segment, log->dir_fd, base, log->has_id ? log->topic_id : NULL, log->shown);
    if (error)
        return error;
    log->is_open = true;
    log->at = sp_segment_first();
    return 0;
}

static int read_frontier(const struct sp_log *log, struct sp_frontier *ret)
{
    struct sp_frontier slots[2];

    const int fd = sp_open_plain(log->dir_fd, "frontier");
    if (fd < 0)
        return fd;
    memset(slots, 0, sizeof slots);
    for (int i = 0; i < 2; i++) /* a slot that is not there is like one that is not valid */
        if (pread(fd, &slots[i], sizeof slots[i], (off_t)i * SP_LOG_GRAIN) != (ssize_t)sizeof slots[i])
            memset(&slots[i], 0, sizeof slots[i]);
    close(fd);
    const struct sp_frontier *newest = sp_frontier_newest(&slots[0], &slots[1]);
    if (!newest || (log->has_id && memcmp(newest->topic_id, log->topic_id, sizeof log->topic_id) != 0))
        return -ENODATA;
    *ret = *newest;
    return 0;
}

int sp_log_first(struct sp_log *log, uint64_t *ret_offset)
{
    struct sp_frontier frontier = {0};
    uint64_t base = 0;

    const bool has_frontier = read_frontier(log, &frontier) == 0;
    const int error = find_first(log, &base);
    if (error && error != -ENODATA)
        return error;
    *ret_offset = error ? frontier.offset : has_frontier && frontier.start_offset > base ? frontier.start_offset : base;
    return error;
}

struct mapping {
    const struct sp_segment *segment;
};

static int read_mapping(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct sp_segment *segment = context;
    const ssize_t got = pread(segment->fd, to, size, (off_t)at);
    return got == (ssize_t)size ? 0 : got < 0 ? -errno : -ENODATA;
}

/* Then it is no longer the segment that the frontier points into. */
static bool is_compacted(struct sp_segment *segment)
{
    struct sp_block block;
    return sp_segment_block(segment, sp_segment_first(), &block) == 0 && (block.header.kind & SP_BLOCK_COMPACTED);
}

int sp_log_end(struct sp_log *log, struct sp_place *ret_next)
{
    struct sp_frontier frontier = {0};
    struct sp_block_header header;
    const char *reason;
    uint64_t base;

    const bool has_frontier = read_frontier(log, &frontier) == 0;
    int error = find_segment(log, LAST_AT_OR_BEFORE, INT64_MAX, &base);
    *ret_next = (struct sp_place){frontier.position, frontier.offset};
    while (!error) {
        /* The last segment may have been made and never written: then the one before ends the log. */
        error = enter_segment(log, base);
        if (!error) {
            const struct sp_scan_source source = {read_mapping, &log->segment, log->segment.mapped_size};
            struct sp_scan_place place = sp_scan_begin(&log->segment.identity);
            if (has_frontier && frontier.segment == base && frontier.at > sp_segment_first() && !is_compacted(&log->segment))
                place = (struct sp_scan_place){frontier.at, {frontier.position, frontier.offset}, frontier.previous, INT64_MIN};
            while (sp_scan_block(&source, &log->segment.identity, &place, &header, &reason) == 0)
                ;
            if (place.at > sp_segment_first() || base == 0 || find_segment(log, LAST_AT_OR_BEFORE, base - 1, &base) != 0) {
                *ret_next = place.next;
                break;
            }
        } else if (error == -EBADMSG && base > 0) {
            error = find_segment(log, LAST_AT_OR_BEFORE, base - 1, &base);
        }
    }
    leave_segment(log);
    /* What was durable belongs to it though it is missing: reading tells of it. */
    if (has_frontier && (!error || error == -ENODATA || error == -EBADMSG) && ret_next->offset <= frontier.offset) {
        *ret_next = (struct sp_place){frontier.position, frontier.offset};
        return 0;
    }
    return error == -ENODATA ? 0 : error;
}

/* The segment that holds an offset, entered. Retention may remove it between the two, and then another is the one.
 * Returns 0, -ENODATA (there is none), -EBADMSG (its header is damaged), -errno */
static int find_and_enter(struct sp_log *log, uint64_t offset, uint64_t *ret_base)
{
    int error = 0;

    for (int tries = 0; tries < 100; tries++) {
        error = find_segment(log, LAST_AT_OR_BEFORE, offset, ret_base);
        if (!error)
            error = enter_segment(log, *ret_base);
        if (error != -ENOENT)
            break;
    }
    return error;
}

/* Go on to the block with that offset, from log->at in the segment that is open; or to damage that is in the way (step_over_damage). */
static void walk_to(struct sp_log *log, uint64_t offset)
{
    struct sp_block block;

    while (sp_segment_block(&log->segment, log->at, &block) == 0 && block.header.base_offset + block.header.count <= offset)
        log->at = block.next;
}

/* Go on to the first block with a record of at least that time, at `first` or behind it; or to where damage may hide one.
 * Returns false when there is none in this segment */
static bool walk_to_time(struct sp_log *log, int64_t time, uint64_t first, uint64_t end)
{
    const struct sp_scan_source source = {read_mapping, &log->segment, log->segment.mapped_size};
    uint64_t known = log->segment.identity.base_offset; /* good up to here */
    struct sp_scan_place found;
    struct sp_block block;
    int error;

    log->at = sp_segment_find_time(&log->segment, time);
    if (sp_segment_block(&log->segment, log->at, &block) !=
        0) /* damaged just there: which offset it has is only known from before */
        log->at = sp_segment_first();
    for (; (error = sp_segment_block(&log->segment, log->at, &block)) == 0; log->at = block.next) {
        known = block.header.base_offset + block.header.count;
        if (block.header.last_timestamp >= time && known > first) {
            log->next_offset = block.header.base_offset > first ? block.header.base_offset : first;
            return true;
        }
    }
    const struct sp_scan_place from = {.at = log->at, .next = {0, known}};
    if (error != -EBADMSG || known >= end || sp_scan_later(&source, &log->segment.identity, from, &found) != 0)
        return false; /* the end of its blocks */
    log->next_offset = known > first ? known : first;
    return true;
}

int sp_log_seek(struct sp_log *log, uint64_t offset)
{
    struct sp_block block;
    uint64_t base;

    log->raw = NULL;
    int error = find_and_enter(log, offset, &base);
    if (error == -ENODATA)
        return sp_fail(-ERANGE, "offset %llu is before the beginning of the log %s", (unsigned long long)offset, log->shown);
    log->next_offset = offset;
    if (error == -EBADMSG) /* its header is damaged: reading on tells of it */
        return 0;
    if (error)
        return error;
    log->at = sp_segment_find_offset(&log->segment, offset);
    if (sp_segment_block(&log->segment, log->at, &block) != 0 || block.header.base_offset > offset)
        log->at = sp_segment_first(); /* the index lies, or leads to damage */
    walk_to(log, offset);
    return 0;
}

int sp_log_seek_time(struct sp_log *log, int64_t time, uint64_t end)
{
    uint64_t base = 0;

    log->raw = NULL;
    int error = sp_log_first(log, &base);
    if (error == -ENODATA)
        return sp_log_seek(log, end);
    const uint64_t first = base;
    if (!error)
        error = find_segment(log, LAST_AT_OR_BEFORE, first, &base);
    for (; !error; error = find_segment(log, FIRST_AFTER, base, &base)) {
        error = enter_segment(log, base);
        if (error == -EBADMSG || error == -ENOENT)
            continue; /* its header is damaged: reading on will tell of it; or it was just deleted */
        if (error)
            return error;
        if ((!log->segment.index || log->segment.index->max_timestamp >= time) && walk_to_time(log, time, first, end))
            return 0;
    }
    return error == -ENODATA ? sp_log_seek(log, end) : error;
}

static int load(struct sp_log *log, const struct sp_block *block)
{
    int error = sp_block_verify(&log->segment, block);
    if (error)
        return error;
    log->raw = block->stored;
    if (sp_block_codec(&block->header) != SPATE_COMPRESSION_NONE) {
        if (log->unpacked_size < block->header.raw_size) {
            uint8_t *larger = realloc(log->unpacked, block->header.raw_size);
            if (!larger)
                return sp_fail(-ENOMEM, "no memory for a block of %u bytes of the log %s", block->header.raw_size, log->shown);
            log->unpacked = larger;
            log->unpacked_size = block->header.raw_size;
        }
        const char *reason = sp_block_unpack(&block->header, block->stored, log->unpacked);
        if (reason)
            return sp_fail(-EBADMSG, "segment %s of the log at %llu: %s", log->segment.path, (unsigned long long)block->at, reason);
        log->raw = log->unpacked;
    }
    log->block = *block;
    log->at = block->next;
    log->next_offset = block->header.base_offset + block->header.count;
    return 0;
}

/* Nothing good at log->at, although the log reaches further: on to the next good block, in this segment or a later one. Damage in front
 * of what is wanted next (that was walked to from before it) is nobody's loss. Nor is what cannot be looked for now: that is an error, and
 * the next call looks again. */
static int step_over_damage(struct sp_log *log, uint64_t end)
{
    const struct sp_scan_source source = {read_mapping, &log->segment, log->segment.mapped_size};
    struct sp_scan_place found;
    struct sp_block block;
    uint64_t base = 0;

    log->lost_first = log->next_offset;
    log->lost_next = end;
    for (;;) {
        const struct sp_scan_place from = {.at = log->at, .next = {0, log->next_offset}};
        int error = log->is_open ? sp_scan_later(&source, &log->segment.identity, from, &found) : -ENODATA;
        if (error == -ENODATA || error == -EBADMSG || error == -EIO) { /* what the disk cannot read is lost, too */
            error = find_segment(log, FIRST_AFTER, log->next_offset, &base);
            if (error && error != -ENODATA)
                return error;
            if (!error && base < end) {
                log->lost_next = base;
                leave_segment(log);
            }
            break;
        }
        if (error)
            return error;
        log->at = found.at;
        if (found.next.offset > log->next_offset) {
            log->lost_next = found.next.offset < end ? found.next.offset : end;
            break;
        }
        error = sp_segment_block(&log->segment, log->at, &block);
        if (!error)
            error = load(log, &block);
        if (error != -EBADMSG)
            return error;
    }
    log->next_offset = log->lost_next;
    log->raw = NULL;
    return -EBADMSG;
}

static bool holds(const struct sp_block *block, uint64_t offset)
{
    return block->header.base_offset <= offset && offset - block->header.base_offset < block->header.count;
}

int sp_log_next(struct sp_log *log, uint64_t end)
{
    struct sp_block block = {0};
    uint64_t base = 0;
    bool is_sure = false;

    if (log->next_offset >= end)
        return -ENODATA;
    for (int looks = 0; looks < 3; looks++) {
        int error = log->is_open ? sp_segment_block(&log->segment, log->at, &block) : -ENODATA;
        if (error == 0 && holds(&block, log->next_offset)) {
            error = load(log, &block);
            return error == -EBADMSG ? step_over_damage(log, end) : error;
        }
        if (error && error != -ENODATA && error != -EBADMSG)
            return error;
        if (error == 0 && block.header.base_offset > log->next_offset) { /* a hole, told of in the same way */
            log->lost_first = log->next_offset;
            log->lost_next = log->next_offset = block.header.base_offset < end ? block.header.base_offset : end;
            log->raw = NULL;
            return -EBADMSG;
        }
        /* the segment ends here: the next one begins with the next offset */
        error = find_segment(log, LAST_AT_OR_BEFORE, log->next_offset, &base);
        if (error && error != -ENODATA)
            return error;
        if (error || (log->is_open && base <= log->segment.identity.base_offset)) {
            if (is_sure)
                break;
            is_sure = true; /* as in find_first */
            continue;
        }
        error = enter_segment(log, base);
        if (error == -EBADMSG || error == -ENOENT)
            break;
        if (error)
            return error;
        walk_to(log, log->next_offset);
    }
    return step_over_damage(log, end);
}
