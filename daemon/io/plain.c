/* plain.c: io.h by ordinary system calls, where io_uring is not to be had.
 *
 * A request is done at once when the thread waits next: writes and flushes come one after the other, and nothing else happens meanwhile.
 * Slower, and otherwise the same. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "io/files.h"

struct plain {
    struct io_files files;
    struct io_request *first, **last;
};

static void plain_submit(struct io *io, struct io_request *request)
{
    struct plain *plain = (struct plain *)(void *)io;
    request->next = NULL;
    *plain->last = request;
    plain->last = &request->next;
}

static void plain_wait(struct io *io, int64_t timeout)
{
    struct plain *plain = (struct plain *)(void *)io;
    struct pollfd wake = {.fd = plain->files.wake_fd, .events = POLLIN};
    struct io_request *request = plain->first;

    /* what these submit is for the next time */
    plain->first = NULL;
    plain->last = &plain->first;
    if (!request && timeout != 0) {
        const struct timespec limit = {timeout / SP_NS_PER_S, timeout % SP_NS_PER_S};
        (void)ppoll(&wake, wake.fd >= 0, &limit, NULL);
        files_drain(&plain->files);
    }
    while (request) {
        struct io_request *next = request->next;
        request->done(request, files_run(request));
        request = next;
    }
}

int io_open_plain(int root_fd, int wake_fd, bool is_direct, struct io **ret)
{
    struct plain *plain = calloc(1, sizeof *plain);

    if (!plain)
        return -ENOMEM;
    files_init(&plain->files, root_fd, wake_fd, is_direct, "pwrite");
    plain->files.functions.submit = plain_submit;
    plain->files.functions.wait = plain_wait;
    plain->last = &plain->first;
    *ret = &plain->files.io;
    return 0;
}
