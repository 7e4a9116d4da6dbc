/* io.h: the seam between the log and the world: files, the clock, random bytes.
 *
 * All of the daemon's log code reaches disk and time through this table and nothing else, so that it runs unchanged on a simulated disk
 * that tears writes, loses what was not flushed, fills up and fails (tests/sim). Two real ones: uring.c, and plain.c where io_uring is
 * not allowed. What is on the hot path (writing, flushing, allocating) is asynchronous; what is rare is not.
 *
 * Paths are relative to the log directory. One io belongs to one thread; `done` is called from io_wait on that thread. */
#ifndef SPATED_IO_H
#define SPATED_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum io_kind {
    IO_WRITE,    /* size bytes from data at `at`; result: how many, which may be fewer */
    IO_FLUSH,    /* of a file's data to the device (fdatasync); result 0 */
    IO_SYNC,     /* of a file or directory with its metadata (fsync); result 0 */
    IO_ALLOCATE, /* make room for `at` bytes from the file's beginning, as its new size; result 0 */
};

/* One operation. It is the caller's memory, and in use until `done` was called. */
struct io_request {
    enum io_kind kind;
    int file;
    uint64_t at;
    const void *data;
    uint32_t size;
    void (*done)(struct io_request *request, int result); /* result: as said above, or -errno */
    void *owner;                                          /* the caller's */
    int result;                                           /* the implementation's, as `next` */
    struct io_request *next;
};

struct io;

struct io_functions {
    /* submit: begin an operation. It is not reported before the next wait. */
    void (*submit)(struct io *io, struct io_request *request);
    /* wait: until something is done, the io is woken, or `timeout` ns are over; reports all that is done. timeout 0: only report. */
    void (*wait)(struct io *io, int64_t timeout);

    /* reserve: most data that is written comes from this memory: an io may have the kernel look at it once instead of each time. NULL: it
     * makes no difference. */
    void (*reserve)(struct io *io, void *memory, size_t size);

    /* The rest is synchronous. All return 0 (or what is said) or -errno. */
    int (*open)(struct io *io, const char *path, int flags); /* a file, >= 0; O_CREAT makes mode 0640 */
    void (*close)(struct io *io, int file);
    int (*read)(struct io *io, int file, uint64_t at, void *to, uint32_t size); /* all of it; -ENODATA: the file is shorter */
    int (*write)(struct io *io, int file, uint64_t at, const void *from, uint32_t size);
    int (*truncate)(struct io *io, int file, uint64_t size);
    int64_t (*size)(struct io *io, int file);
    int (*is_named)(struct io *io, int file); /* 1; 0: its last name was removed */
    /* rename: -EEXIST where `to` is there and is not to be replaced (as far as the file system can do that) */
    int (*rename)(struct io *io, const char *from, const char *to, bool replaces);
    int (*unlink)(struct io *io, const char *path);
    int (*mkdir)(struct io *io, const char *path); /* 0 also when it is there */
    int (*rmdir)(struct io *io, const char *path);
    /* give: owner and mode of a file or directory. NULL: there are none here. */
    int (*give)(struct io *io, const char *path, uint32_t mode, uint32_t uid, uint32_t gid);
    int (*sync)(struct io *io, const char *path); /* fsync of a file or directory */
    int (*list)(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context);

    int64_t (*monotonic)(struct io *io); /* ns */
    int64_t (*realtime)(struct io *io);
    void (*random)(struct io *io, void *to, size_t size);
};

struct io {
    const struct io_functions *f;
    bool is_direct; /* files for IO_WRITE are opened with O_DIRECT: data, at and size are multiples of SP_LOG_GRAIN */
    const char *name;
};

/* io_open_uring: through io_uring.
 *   root_fd   the log directory
 *   wake_fd   a descriptor that ends waits when it becomes readable; it is drained. -1: none
 *   is_direct whether to try O_DIRECT
 * Returns     0, -errno where io_uring is not to be had (ENOSYS, EPERM in containers): take the other */
int io_open_uring(int root_fd, int wake_fd, bool is_direct, struct io **ret);

/* io_open_plain: through pwrite and fdatasync. Never fails but for memory. */
int io_open_plain(int root_fd, int wake_fd, bool is_direct, struct io **ret);

void io_close(struct io *io);

/* io_supports_direct: whether files in that directory can be written with O_DIRECT (not on tmpfs, for one). */
bool io_supports_direct(int root_fd);

#endif
