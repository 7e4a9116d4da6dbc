/* files.c: see files.h.
 *
 * Every size that decides how much is read or allocated is bounded by that of a file that is there. */
#include "log/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "shm/descriptor.h"

/* A plain file and its size. Returns a descriptor, -errno; -EBADMSG: it is something else, a link too. */
static int open_plain(int dir_fd, const char *name, uint64_t *ret_size)
{
    struct stat status;

    const int fd = sp_open_plain(dir_fd, name);
    if (fd < 0)
        return fd == -ELOOP ? -EBADMSG : fd;
    const int error = fstat(fd, &status) < 0 ? -errno : 0;
    *ret_size = (uint64_t)status.st_size;
    if (error)
        close(fd);
    return error ? error : fd;
}

/* ------------------------------------------------------------------------------------------------------------ segments */

static int read_segment(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct sp_segment_file *file = context;
    return sp_read_fully(file->fd, to, size, at);
}

int sp_segment_file_open(struct sp_segment_file *file, int dir_fd, uint64_t base_offset, const char *suffix)
{
    char name[SP_SEGMENT_NAME_SIZE];
    struct sp_segment_header header;

    *file = (struct sp_segment_file){.fd = -1};
    sp_segment_name(base_offset, suffix, name);
    const int fd = open_plain(dir_fd, name, &file->size);
    if (fd < 0 && fd != -EBADMSG)
        return sp_fail(fd, "cannot open segment %s of the log: %s", name, strerror(-fd));
    if (fd < 0) {
        file->reason = "it is not a plain file";
        return 0;
    }
    file->fd = fd;
    file->source = (struct sp_scan_source){read_segment, file, file->size};
    const int error = sp_read_fully(fd, &header, sizeof header, 0);
    if (error && error != -ENODATA) {
        sp_segment_file_close(file);
        return sp_fail(error, "cannot read segment %s of the log: %s", name, strerror(-error));
    }
    file->reason = error ? "it is shorter than its header" : sp_segment_header_check(&header, &file->identity);
    if (!file->reason && file->identity.base_offset != base_offset)
        file->reason = "its header names another offset: somebody renamed it";
    if (file->size > SP_SEGMENT_FILE_MAX) {
        file->reason = SP_SEGMENT_TOO_LARGE;
        sp_segment_file_close(file); /* nobody is to look for blocks in it */
    }
    return 0;
}

void sp_segment_file_close(struct sp_segment_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int collect(DIR *files, const char *suffix, uint64_t **ret_bases, uint32_t *ret_count)
{
    uint32_t room = 0;
    uint64_t base;

    errno = 0;
    for (struct dirent *entry; (entry = readdir(files)) != NULL; errno = 0) {
        if (!sp_segment_base(entry->d_name, suffix, &base) || base > INT64_MAX) /* no record has such an offset */
            continue;
        if (*ret_count == room) {
            room = room ? 2 * room : 64;
            uint64_t *bases = realloc(*ret_bases, room * sizeof *bases);
            if (!bases)
                return sp_fail(-ENOMEM, "no memory to list the segments of a log");
            *ret_bases = bases;
        }
        (*ret_bases)[(*ret_count)++] = base;
    }
    return errno ? sp_fail(-errno, "cannot list the segments of a log: %s", strerror(errno)) : 0;
}

int sp_log_files(int dir_fd, const char *suffix, uint64_t **ret_bases, uint32_t *ret_count)
{
    const int copy = sp_open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *files = copy < 0 ? NULL : fdopendir(copy);

    *ret_bases = NULL;
    *ret_count = 0;
    if (!files) {
        const int error = -errno;
        if (copy >= 0)
            close(copy);
        return sp_fail(error, "cannot list the segments of a log: %s", strerror(-error));
    }
    const int error = collect(files, suffix, ret_bases, ret_count);
    closedir(files);
    if (error) {
        free(*ret_bases);
        *ret_bases = NULL;
        *ret_count = 0;
    } else if (*ret_count) {
        qsort(*ret_bases, *ret_count, sizeof **ret_bases, compare);
    }
    return error;
}

/* ------------------------------------------------------------------------------------------------------------ frontier */

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return at[0] == 0 && memcmp(at, at + 1, size - 1) == 0;
}

enum sp_frontier_state sp_frontier_read(int dir_fd, struct sp_frontier *ret, const char **ret_reason)
{
    struct sp_frontier slots[2];
    uint64_t size;

    *ret_reason = NULL;
    memset(slots, 0, sizeof slots);
    const int fd = open_plain(dir_fd, "frontier", &size);
    if (fd == -ENOENT)
        return SP_FRONTIER_MISSING;
    if (fd < 0) {
        *ret_reason = fd == -EBADMSG ? "it is not a plain file" : "it cannot be opened";
        return SP_FRONTIER_DAMAGED;
    }
    for (uint32_t i = 0; i < 2; i++)
        if (sp_read_fully(fd, &slots[i], sizeof slots[i], i * (uint64_t)SP_LOG_GRAIN) != 0)
            memset(&slots[i], 0, sizeof slots[i]); /* made, and not filled before a crash */
    close(fd);
    for (uint32_t i = 0; i < 2; i++)
        if (!is_zero(&slots[i], sizeof slots[i]) && !*ret_reason)
            *ret_reason = sp_frontier_check(&slots[i]);
    const struct sp_frontier *newest = sp_frontier_newest(&slots[0], &slots[1]);
    if (newest) {
        *ret = *newest;
        return SP_FRONTIER_GOOD;
    }
    return *ret_reason ? SP_FRONTIER_DAMAGED : SP_FRONTIER_EMPTY;
}

/* --------------------------------------------------------------------------------------------------------------- index */

/* Read whole; its size was checked against what a segment of that size can have. */
static enum sp_index_state judge_index(int fd, uint64_t size, uint64_t salt, struct sp_index_header **ret, const char **ret_reason)
{
    struct sp_index_header *index = malloc(size);

    *ret_reason = "there is no memory to read it";
    if (!index)
        return SP_INDEX_UNFINISHED;
    *ret_reason = "it is shorter than it was";
    enum sp_index_state state = SP_INDEX_UNFINISHED;
    if (sp_read_fully(fd, index, size, 0) == 0) {
        const bool is_unfinished =
            is_zero(index, sizeof *index) || index->count > (size - sizeof *index) / sizeof(struct sp_index_entry);
        *ret_reason = sp_index_check(index, size);
        state = !*ret_reason ? SP_INDEX_GOOD : is_unfinished ? SP_INDEX_UNFINISHED : SP_INDEX_DAMAGED;
        if (state == SP_INDEX_GOOD && index->salt != salt) {
            *ret_reason = "it is of an earlier life of the segment";
            state = SP_INDEX_UNFINISHED;
        }
    }
    if (state == SP_INDEX_GOOD)
        *ret = index;
    else
        free(index);
    return state;
}

enum sp_index_state sp_index_read(int dir_fd, const struct sp_segment_identity *identity, uint64_t segment_size,
                                  struct sp_index_header **ret, const char **ret_reason)
{
    const uint64_t most = sizeof(struct sp_index_header) + (segment_size / SP_LOG_GRAIN + 1) * sizeof(struct sp_index_entry);
    char name[SP_SEGMENT_NAME_SIZE];
    uint64_t size = 0;

    *ret = NULL;
    *ret_reason = NULL;
    sp_segment_name(identity->base_offset, "index", name);
    const int fd = open_plain(dir_fd, name, &size);
    if (fd == -ENOENT)
        return SP_INDEX_MISSING;
    enum sp_index_state state = SP_INDEX_DAMAGED;
    if (fd < 0) {
        *ret_reason = fd == -EBADMSG ? "it is not a plain file" : "it cannot be opened";
        return state;
    }
    if (size < sizeof(struct sp_index_header)) {
        *ret_reason = "it is shorter than its header";
        state = SP_INDEX_UNFINISHED;
    } else if (size > most) {
        *ret_reason = "it is larger than an index of that segment can be";
    } else {
        state = judge_index(fd, size, identity->salt, ret, ret_reason);
    }
    close(fd);
    return state;
}

void sp_index_look_block(struct sp_index_look *look, const struct sp_scan_place *before, uint64_t base_offset)
{
    if (!look->header || look->wrong || look->next == look->header->count)
        return;
    const struct sp_index_entry *entry = sp_index_entries(look->header) + look->next;
    if (entry->at > before->at)
        return;
    if (entry->at < before->at)
        look->wrong = "an entry points into a block";
    else if (entry->base_offset != base_offset)
        look->wrong = "an entry names another offset than its block has";
    else if (entry->max_timestamp != before->max_timestamp)
        look->wrong = "an entry names another time than the blocks before it have";
    look->next++;
}

void sp_index_look_end(struct sp_index_look *look, const struct sp_scan_place *end)
{
    if (look->header && !look->wrong &&
        (look->next != look->header->count || look->header->segment_size != end->at ||
         look->header->next_offset != end->next.offset || look->header->max_timestamp != end->max_timestamp))
        look->wrong = "its size, entries, time or next offset are not those of the segment";
}
