/* descriptor.c: opening files so that nobody prints into them; reading and writing them whole.
 *
 * Called wherever the library opens something. */
#include "shm/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int sp_above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(fd);
    errno = error;
    return above;
}

int sp_open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
    return sp_above_standard(openat(dir_fd, path, flags | O_CLOEXEC, mode));
}

int sp_open_plain(int dir_fd, const char *path)
{
    struct stat status;

    const int fd = sp_open_at(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return -errno;
    const int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EBADMSG;
    if (!error)
        return fd;
    close(fd);
    return error;
}

int sp_read_fully(int fd, void *to, uint64_t size, uint64_t at)
{
    for (uint64_t done = 0; done < size;) {
        const ssize_t got = pread(fd, (uint8_t *)to + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        done += (uint64_t)got;
    }
    return 0;
}

int sp_write_fully(int fd, const void *from, uint64_t size, uint64_t at)
{
    for (uint64_t done = 0; done < size;) {
        const ssize_t put = pwrite(fd, (const uint8_t *)from + done, size - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        done += (uint64_t)put;
    }
    return 0;
}
