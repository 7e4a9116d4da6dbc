/* descriptor.c: opening files so that nobody prints into them.
 *
 * Called wherever the library opens something. */
#include "shm/descriptor.h"

#include <errno.h>
#include <fcntl.h>
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
