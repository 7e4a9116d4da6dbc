/* descriptor.h: file descriptors that are never taken for standard input, output or error; and reading and writing all of it.
 *
 * A program may run with descriptors 0, 1 or 2 closed (daemons close them; `prog >&-`). The next descriptor to be opened gets the free
 * number, and what the program then prints would go into a file of the bus, and ruin it for everybody. So all descriptors of the
 * library are opened through here. Any thread. */
#ifndef SP_SHM_DESCRIPTOR_H
#define SP_SHM_DESCRIPTOR_H

#include <stdint.h>
#include <sys/types.h>

/* sp_open_at: openat(), closed on exec, and never 0, 1 or 2.
 *   flags, mode   as for openat
 * Returns a descriptor, or -1 with errno set */
int sp_open_at(int dir_fd, const char *path, int flags, mode_t mode);

/* sp_open_plain: a plain file, to read. What is none (a pipe, a device, a directory) is refused and not waited for, links are not followed.
 * Returns a descriptor, -EBADMSG (no plain file), -ELOOP (a link), -errno */
int sp_open_plain(int dir_fd, const char *path);

/* sp_above_standard: the same for a descriptor that was made otherwise: a copy of it that is above 2, the original being closed.
 *   fd   negative: handed on, with errno as it is
 * Returns a descriptor, or -1 with errno set */
int sp_above_standard(int fd);

/* sp_read_fully, sp_write_fully: pread and pwrite of all of it, over interruptions and short counts.
 * Return 0, -ENODATA (the file ends before), -errno */
int sp_read_fully(int fd, void *to, uint64_t size, uint64_t at);
int sp_write_fully(int fd, const void *from, uint64_t size, uint64_t at);

#endif
