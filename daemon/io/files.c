/* files.c: see files.h. Each function is one system call, told in -errno; interrupted ones are repeated.
 * Called by the thread that the io belongs to. */
#include "io/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "shm/descriptor.h"

static int root(const struct io *io)
{
    return ((const struct io_files *)(const void *)io)->root_fd;
}

static int or_errno(int result)
{
    return result < 0 ? -errno : result;
}

static int files_open(struct io *io, const char *path, int flags)
{
    return or_errno(sp_open_at(root(io), path, flags | O_NOFOLLOW, 0640));
}

static void files_close(struct io *io, int file)
{
    (void)io;
    close(file);
}

static int files_read(struct io *io, int file, uint64_t at, void *to, uint32_t size)
{
    (void)io;
    return sp_read_fully(file, to, size, at);
}

static int files_write(struct io *io, int file, uint64_t at, const void *from, uint32_t size)
{
    (void)io;
    return sp_write_fully(file, from, size, at);
}

static int files_truncate(struct io *io, int file, uint64_t size)
{
    (void)io;
    return or_errno(ftruncate(file, (off_t)size));
}

static int64_t files_size(struct io *io, int file)
{
    struct stat status;
    (void)io;
    return fstat(file, &status) < 0 ? -errno : status.st_size;
}

static int files_is_named(struct io *io, int file)
{
    struct stat status;
    (void)io;
    return fstat(file, &status) < 0 ? -errno : status.st_nlink > 0;
}

static int files_rename(struct io *io, const char *from, const char *to, bool replaces)
{
    if (!replaces) {
        if (renameat2(root(io), from, root(io), to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EINVAL && errno != ENOSYS) /* a file system that cannot */
            return -errno;
    }
    return or_errno(renameat(root(io), from, root(io), to));
}

static int files_unlink(struct io *io, const char *path)
{
    return or_errno(unlinkat(root(io), path, 0));
}

static int files_mkdir(struct io *io, const char *path)
{
    return mkdirat(root(io), path, 0750) < 0 && errno != EEXIST ? -errno : 0;
}

static int files_rmdir(struct io *io, const char *path)
{
    return or_errno(unlinkat(root(io), path, AT_REMOVEDIR));
}

static int files_give(struct io *io, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
    const int fd = sp_open_at(root(io), path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return -errno;
    const int result = geteuid() == 0 && fchown(fd, uid, gid) < 0 ? -errno : or_errno(fchmod(fd, (mode_t)mode));
    close(fd);
    return result;
}

static int files_sync(struct io *io, const char *path)
{
    const int file = sp_open_at(root(io), path, O_RDONLY | O_NOFOLLOW, 0);
    if (file < 0)
        return -errno;
    const int result = or_errno(fsync(file));
    close(file);
    return result;
}

static int files_list(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context)
{
    const int fd = sp_open_at(root(io), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    int result = 0;

    if (!directory) {
        result = -errno;
        if (fd >= 0)
            close(fd);
        return result;
    }
    for (struct dirent *entry; result == 0 && (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.')
            result = visit(context, entry->d_name);
    closedir(directory);
    return result;
}

static int64_t files_monotonic(struct io *io)
{
    (void)io;
    return sp_clock_monotonic();
}

static int64_t files_realtime(struct io *io)
{
    (void)io;
    return sp_clock_realtime();
}

static void files_random(struct io *io, void *to, size_t size)
{
    (void)io;
    if (sp_random(to, size) != 0)
        memset(to, 0x5a, size); /* a salt that is no secret: it only has to differ, and the kernel always has some */
}

void files_init(struct io_files *files, int root_fd, int wake_fd, bool is_direct, const char *name)
{
    struct io_functions *functions = &files->functions;

    files->io = (struct io){functions, is_direct, name};
    files->root_fd = root_fd;
    files->wake_fd = wake_fd;
    functions->open = files_open;
    functions->close = files_close;
    functions->read = files_read;
    functions->write = files_write;
    functions->truncate = files_truncate;
    functions->size = files_size;
    functions->is_named = files_is_named;
    functions->rename = files_rename;
    functions->unlink = files_unlink;
    functions->mkdir = files_mkdir;
    functions->rmdir = files_rmdir;
    functions->give = files_give;
    functions->sync = files_sync;
    functions->list = files_list;
    functions->monotonic = files_monotonic;
    functions->realtime = files_realtime;
    functions->random = files_random;
}

int files_run(const struct io_request *request)
{
    ssize_t result;

    do {
        switch (request->kind) {
        case IO_WRITE: result = pwrite(request->file, request->data, request->size, (off_t)request->at); break;
        case IO_FLUSH: result = fdatasync(request->file); break;
        case IO_SYNC: result = fsync(request->file); break;
        default:
            result = fallocate(request->file, 0, 0, (off_t)request->at);
            if (result < 0 && errno == EOPNOTSUPP) /* then room is found when it is written, or not */
                result = ftruncate(request->file, (off_t)request->at);
            break;
        }
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : (int)result;
}

void files_drain(const struct io_files *files)
{
    char bytes[256];
    while (files->wake_fd >= 0 && read(files->wake_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
        /* more than one read only when many woke us at once */
    }
}

void io_close(struct io *io)
{
    struct io_files *files = (struct io_files *)(void *)io;
    if (!io)
        return;
    if (files->close)
        files->close(files);
    free(files);
}

bool io_supports_direct(int root_fd)
{
    const int file = sp_open_at(root_fd, ".", O_TMPFILE | O_RDWR | O_DIRECT, 0600);
    if (file < 0)
        return false;
    void *page = NULL;
    bool works = posix_memalign(&page, 4096, 4096) == 0;
    if (works) {
        memset(page, 0, 4096);
        works = pwrite(file, page, 4096, 0) == 4096;
    }
    free(page);
    close(file);
    return works;
}
