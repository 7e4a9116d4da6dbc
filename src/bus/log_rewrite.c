/* log_rewrite.c: see log_rewrite.h.
 *
 * Blocks are copied as they are stored; only their headers are sealed anew, for another segment. Of a block in which some record makes no
 * sense, what is before that record is kept. */
#include "bus/log_rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"

/* The new segment that the next block goes to. */
static int begin_part(struct sp_rewrite *rewrite, const struct sp_segment_identity *old, uint64_t base)
{
    struct sp_segment_identity identity = *old;
    struct sp_segment_maker *parts = realloc(rewrite->parts, (rewrite->count + 1) * sizeof *parts);

    if (!parts)
        return sp_fail(-ENOMEM, "no memory to repair a segment");
    rewrite->parts = parts;
    identity.base_offset = base;
    int error = 0;
    if (base != old->base_offset) /* else it keeps its salt, so that whoever knows a place in it finds it there */
        error = sp_random(&identity.salt, sizeof identity.salt);
    if (error)
        return sp_fail(error, "the kernel gives no random bytes");
    error = sp_segment_make(&parts[rewrite->count], rewrite->part->dir_fd, &identity);
    rewrite->count += !error;
    return error;
}

/* The frontier names the place in front of this block, or behind the last one. */
static void move_frontier(struct sp_rewrite *rewrite, const struct sp_segment_maker *part)
{
    rewrite->frontier.segment = part->identity.base_offset;
    rewrite->frontier.at = part->at;
    rewrite->frontier.previous = part->previous;
}

static int copy_block(struct sp_rewrite *rewrite, const struct sp_blocks *blocks, bool *ret_is_whole)
{
    struct sp_segment_maker *part = &rewrite->parts[rewrite->count - 1];
    struct sp_block_header header = blocks->header;
    struct sp_block_census census;

    sp_block_count(blocks->identity, &header, blocks->raw, &census);
    *ret_is_whole = census.reason == NULL;
    if (census.last_timestamp > header.last_timestamp)
        header.last_timestamp = census.last_timestamp;
    if (*ret_is_whole)
        return sp_segment_put(part, &header, blocks->stored);
    if (census.end.offset == header.base_offset)
        return 0;
    header.kind &= ~SP_BLOCK_CODEC_MASK; /* SPATE_COMPRESSION_NONE */
    header.count = (uint32_t)(census.end.offset - header.base_offset);
    header.raw_size = header.stored_size = (uint32_t)(census.end.position - header.position);
    return sp_segment_put(part, &header, blocks->raw);
}

static int copy(struct sp_rewrite *rewrite, struct sp_segment_file *file, uint64_t stop_at)
{
    const struct sp_frontier *old = &rewrite->part->frontier;
    const bool is_named = rewrite->part->frontier_state == SP_FRONTIER_GOOD && old->segment == rewrite->base;
    struct sp_blocks blocks;
    bool needs_part = true;
    int error;

    sp_blocks_begin(&blocks, &file->source, &file->identity, false);
    for (;;) {
        const uint64_t before = blocks.place.at;
        error = sp_blocks_next(&blocks);
        if (error || blocks.kind == SP_BLOCKS_END || blocks.at >= stop_at) {
            if (!error && is_named && old->at == before && !needs_part)
                move_frontier(rewrite, &rewrite->parts[rewrite->count - 1]);
            break;
        }
        if (blocks.kind == SP_BLOCKS_DAMAGE) {
            needs_part = true;
            continue;
        }
        if (needs_part)
            error = begin_part(rewrite, &file->identity, blocks.header.base_offset);
        if (error)
            break;
        if (is_named && old->at == before)
            move_frontier(rewrite, &rewrite->parts[rewrite->count - 1]);
        bool is_whole;
        error = copy_block(rewrite, &blocks, &is_whole);
        if (error)
            break;
        needs_part = !is_whole;
    }
    sp_blocks_end(&blocks);
    return error;
}

/* A part without a block comes of a block whose first record makes no sense. */
static void drop_empty_parts(struct sp_rewrite *rewrite)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < rewrite->count; i++) {
        if (rewrite->parts[i].at > sizeof(struct sp_segment_header))
            rewrite->parts[kept++] = rewrite->parts[i];
        else
            sp_segment_drop(&rewrite->parts[i], rewrite->part->dir_fd);
    }
    rewrite->count = kept;
}

static bool has_segment(const struct sp_rewrite *rewrite, uint64_t base)
{
    for (uint32_t i = 0; i < rewrite->part->count; i++)
        if (rewrite->part->bases[i] == base)
            return true;
    for (uint32_t i = 0; i < rewrite->count; i++)
        if (rewrite->parts[i].identity.base_offset == base)
            return true;
    return false;
}

/* The place that the frontier named is no more: it names one in a segment that is not there and never will be, between those that are and
 * the next one to be made. So recovery goes by what it finds in the last one, and by the frontier's offset. */
static void lose_frontier(struct sp_rewrite *rewrite)
{
    struct sp_frontier *frontier = &rewrite->frontier;

    frontier->segment = frontier->offset;
    do
        frontier->segment--;
    while (frontier->segment > 0 && has_segment(rewrite, frontier->segment));
    frontier->at = sizeof(struct sp_segment_header);
    frontier->previous = 0;
}

/* Nothing was put in place: nothing is left. */
static void give_up(struct sp_rewrite *rewrite)
{
    for (uint32_t i = 0; i < rewrite->count; i++)
        sp_segment_drop(&rewrite->parts[i], rewrite->part->dir_fd);
    sp_rewrite_end(rewrite);
}

void sp_rewrite_end(struct sp_rewrite *rewrite)
{
    for (uint32_t i = 0; i < rewrite->count; i++)
        sp_segment_forget(&rewrite->parts[i]);
    free(rewrite->parts);
    rewrite->parts = NULL;
    rewrite->count = 0;
}

int sp_rewrite_make(struct sp_rewrite *rewrite, const struct sp_log_part *part, struct sp_segment_file *file, uint64_t stop_at)
{
    const struct sp_frontier *old = &part->frontier;

    *rewrite = (struct sp_rewrite){.part = part, .base = file->identity.base_offset};
    rewrite->has_frontier = part->frontier_state == SP_FRONTIER_GOOD && old->segment == rewrite->base;
    rewrite->frontier = *old;
    rewrite->frontier.sequence++;
    rewrite->frontier.at = 0;
    int error = copy(rewrite, file, stop_at);
    drop_empty_parts(rewrite);
    if (rewrite->frontier.at == 0 && rewrite->frontier.offset > 0)
        lose_frontier(rewrite);
    for (uint32_t i = 0; !error && i < rewrite->count; i++)
        error = sp_segment_made(&rewrite->parts[i]);
    for (uint32_t i = 0; !error && i < rewrite->count; i++) {
        char name[SP_SEGMENT_NAME_SIZE];
        sp_segment_name(rewrite->parts[i].identity.base_offset, "log", name);
        if (rewrite->parts[i].identity.base_offset != rewrite->base &&
            faccessat(part->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            error = sp_fail(-EEXIST, "segment %s/%s is in the way", part->path, name);
    }
    if (error)
        give_up(rewrite);
    return error;
}

int sp_log_set_aside(int dir_fd, uint64_t base, bool is_kept)
{
    char name[SP_SEGMENT_NAME_SIZE], aside[SP_SEGMENT_NAME_SIZE + 16];

    sp_segment_name(base, "log", name);
    sp_segment_name(base, "damaged", aside);
    const size_t length = strlen(aside);
    for (int i = 2; i < 1000; i++) {
        if (linkat(dir_fd, name, dir_fd, aside, 0) == 0)
            return is_kept || unlinkat(dir_fd, name, 0) == 0 ? 0 : sp_fail(-errno, "cannot remove %s: %s", name, strerror(errno));
        const int error = -errno;
        if (error != -EEXIST) /* a file system without links */
            return renameat2(dir_fd, name, dir_fd, aside, RENAME_NOREPLACE) == 0
                       ? 0
                       : sp_fail(-errno, "cannot set %s aside: %s", name, strerror(errno));
        snprintf(aside + length, sizeof aside - length, "-%d", i);
    }
    return sp_fail(-EEXIST, "cannot set %s aside: it was too often", name);
}

static int rename_part(const struct sp_rewrite *rewrite, const struct sp_segment_maker *part)
{
    return sp_log_rename(rewrite->part->dir_fd, part->identity.base_offset, SP_NEW_SUFFIX, "log");
}

int sp_rewrite_put(struct sp_rewrite *rewrite)
{
    const int dir_fd = rewrite->part->dir_fd;
    const bool has_first = rewrite->count > 0 && rewrite->parts[0].identity.base_offset == rewrite->base;
    char name[SP_SEGMENT_NAME_SIZE];

    int error = sp_log_set_aside(dir_fd, rewrite->base, has_first);
    if (!error)
        error = sp_log_sync(dir_fd);
    if (!error && has_first)
        error = rename_part(rewrite, &rewrite->parts[0]);
    if (!error) {
        sp_segment_name(rewrite->base, "index", name);
        (void)unlinkat(dir_fd, name, 0); /* of the old one */
        error = sp_log_sync(dir_fd);
    }
    if (!error && rewrite->has_frontier)
        error = sp_frontier_write(dir_fd, &rewrite->frontier);
    for (uint32_t i = has_first; !error && i < rewrite->count; i++)
        error = rename_part(rewrite, &rewrite->parts[i]);
    if (!error)
        error = sp_log_sync(dir_fd);
    for (uint32_t i = 0; !error && i < rewrite->count; i++) {
        const struct sp_segment_maker *part = &rewrite->parts[i];
        error = sp_index_write(dir_fd, &part->identity, &part->index, part->at, part->next_offset);
    }
    return error;
}
