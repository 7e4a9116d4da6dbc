/* store.c: see store.h.
 *
 * Plain calls; a file is synced before its name is given to it. */
#include "log/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/error.h"
#include "shm/descriptor.h"

#define MAKE (O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY)

/* What is made belongs to whom the directory belongs to: root may mend the log of a daemon that is not root. */
static int give_away(int fd, int dir_fd)
{
    struct stat status;

    if (geteuid() != 0)
        return 0;
    return fstat(dir_fd, &status) < 0 || fchown(fd, status.st_uid, status.st_gid) < 0 ? -errno : 0;
}

int sp_log_rename(int dir_fd, uint64_t base, const char *from, const char *to)
{
    char old[SP_SEGMENT_NAME_SIZE], new[SP_SEGMENT_NAME_SIZE];

    sp_segment_name(base, from, old);
    sp_segment_name(base, to, new);
    return renameat(dir_fd, old, dir_fd, new) < 0 ? sp_fail(-errno, "cannot rename %s to %s: %s", old, new, strerror(errno)) : 0;
}

int sp_log_sync(int dir_fd)
{
    return fsync(dir_fd) < 0 ? sp_fail(-errno, "cannot sync a directory of the log: %s", strerror(errno)) : 0;
}

/* --------------------------------------------------------------------------------------------------------------- index */

int sp_index_write(int dir_fd, const struct sp_segment_identity *identity, const struct sp_index_maker *maker, uint64_t size,
                   uint64_t next_offset)
{
    const struct sp_index_header header = sp_index_header(maker, identity->salt, size, next_offset);
    char name[SP_SEGMENT_NAME_SIZE];

    sp_segment_name(identity->base_offset, "indexing", name);
    const int fd = sp_open_at(dir_fd, name, MAKE, 0640);
    int error = fd < 0 ? -errno : give_away(fd, dir_fd);
    if (!error)
        error = sp_write_fully(fd, &header, sizeof header, 0);
    if (!error)
        error = sp_write_fully(fd, maker->entries, maker->count * sizeof *maker->entries, sizeof header);
    if (!error && fsync(fd) < 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    if (error) {
        if (fd >= 0)
            (void)unlinkat(dir_fd, name, 0);
        return sp_fail(error, "cannot write an index: %s", strerror(-error));
    }
    return sp_log_rename(dir_fd, identity->base_offset, "indexing", "index");
}

/* ------------------------------------------------------------------------------------------------------------ segments */

int sp_segment_make(struct sp_segment_maker *maker, int dir_fd, const struct sp_segment_identity *identity)
{
    struct sp_segment_header header;
    char name[SP_SEGMENT_NAME_SIZE];

    *maker = (struct sp_segment_maker){.fd = -1, .identity = *identity, .at = sizeof header, .next_offset = identity->base_offset};
    sp_index_begin(&maker->index);
    sp_segment_header_make(&header, &maker->identity);
    maker->previous = maker->identity.crc;
    sp_segment_name(identity->base_offset, SP_NEW_SUFFIX, name);
    maker->fd = sp_open_at(dir_fd, name, MAKE, 0640);
    int error = maker->fd < 0 ? -errno : give_away(maker->fd, dir_fd);
    if (!error)
        error = sp_write_fully(maker->fd, &header, sizeof header, 0);
    if (!error)
        return 0;
    if (maker->fd >= 0)
        sp_segment_drop(maker, dir_fd);
    return sp_fail(error, "cannot write segment %s: %s", name, strerror(-error));
}

int sp_segment_put(struct sp_segment_maker *maker, const struct sp_block_header *header, const void *stored)
{
    static const uint8_t zeros[SP_LOG_GRAIN];
    struct sp_block_header own = *header;

    own.previous = maker->previous;
    own.data_crc = sp_crc32c(0, stored, own.stored_size);
    sp_block_seal(&own, maker->identity.salt);
    const uint64_t size = sp_block_size(&own), used = sizeof own + own.stored_size;
    int error = sp_write_fully(maker->fd, &own, sizeof own, maker->at);
    if (!error)
        error = sp_write_fully(maker->fd, stored, own.stored_size, maker->at + sizeof own);
    if (!error)
        error = sp_write_fully(maker->fd, zeros, size - used, maker->at + used);
    if (error)
        return sp_fail(error, "cannot write a segment: %s", strerror(-error));
    error = sp_index_note(&maker->index, &own, maker->at);
    maker->previous = own.header_crc;
    maker->at += size;
    maker->next_offset = own.base_offset + own.count;
    maker->next_position = own.position + own.raw_size;
    return error;
}

int sp_segment_made(struct sp_segment_maker *maker)
{
    const int error = fsync(maker->fd) < 0 ? -errno : 0;
    close(maker->fd);
    maker->fd = -1;
    return error ? sp_fail(error, "cannot sync a segment: %s", strerror(-error)) : 0;
}

void sp_segment_forget(struct sp_segment_maker *maker)
{
    if (maker->fd >= 0)
        close(maker->fd);
    maker->fd = -1;
    sp_index_end(&maker->index);
}

void sp_segment_drop(struct sp_segment_maker *maker, int dir_fd)
{
    char name[SP_SEGMENT_NAME_SIZE];

    sp_segment_forget(maker);
    sp_segment_name(maker->identity.base_offset, SP_NEW_SUFFIX, name);
    (void)unlinkat(dir_fd, name, 0);
}

/* ------------------------------------------------------------------------------------------------------------ frontier */

int sp_frontier_write(int dir_fd, struct sp_frontier *frontier)
{
    static const uint8_t zeros[SP_LOG_GRAIN];
    struct sp_frontier other = {0};
    const uint64_t at = frontier->sequence % 2 * SP_LOG_GRAIN, other_at = SP_LOG_GRAIN - at;

    sp_frontier_seal(frontier);
    const int fd = sp_open_at(dir_fd, "frontier", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);
    int error = fd < 0 ? -errno : give_away(fd, dir_fd);
    if (!error) {
        const bool is_other_good = sp_read_fully(fd, &other, sizeof other, other_at) == 0 && sp_frontier_check(&other) == NULL &&
                                   other.sequence < frontier->sequence;
        error = sp_write_fully(fd, zeros, sizeof zeros, at);
        if (!error)
            error = sp_write_fully(fd, frontier, sizeof *frontier, at);
        if (!error && fsync(fd) < 0)
            error = -errno;
        if (!error && !is_other_good)
            error = sp_write_fully(fd, zeros, sizeof zeros, other_at);
        if (!error && fsync(fd) < 0)
            error = -errno;
    }
    if (fd >= 0)
        close(fd);
    return error ? sp_fail(error, "cannot write the frontier of a log: %s", strerror(-error)) : 0;
}
