/* files.h: the synchronous half of both real implementations of io.h: plain system calls.
 *
 * Included by uring.c and plain.c, whose structs begin with struct io_files. */
#ifndef SPATED_FILES_H
#define SPATED_FILES_H

#include "io/io.h"

struct io_files {
    struct io io;
    int root_fd, wake_fd;
    void (*close)(struct io_files *files); /* what the implementation adds */
    struct io_functions functions;
};

/* files_init: everything but submit and wait, which are the implementation's. */
void files_init(struct io_files *files, int root_fd, int wake_fd, bool is_direct, const char *name);

/* files_run: do a request now. Returns its result. */
int files_run(const struct io_request *request);

/* files_drain: empty the wake descriptor. */
void files_drain(const struct io_files *files);

#endif
