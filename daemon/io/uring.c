/* uring.c: io.h through io_uring.
 *
 * One ring per thread, completions taken only when the thread waits (DEFER_TASKRUN), no polling kernel thread. Writes and flushes are
 * never linked: a chain ends where a submission ends, and a short write would cancel the flush behind it. What does not fit into the
 * submission queue is submitted first; the completion queue holds all that can be in flight.
 *
 * Source: the discipline is io_uring's manual pages' and what other logs learnt with it. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "io/files.h"

#define ENTRIES 256u

struct uring {
    struct io_files files;
    struct io_uring ring;
    bool is_polling;         /* the wake descriptor is being watched */
    const uint8_t *reserved; /* registered as buffer 0 */
    size_t reserved_size;
};

static struct io_uring_sqe *get_sqe(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    while (!sqe) {
        (void)io_uring_submit(&uring->ring);
        sqe = io_uring_get_sqe(&uring->ring);
    }
    return sqe;
}

static bool is_reserved(const struct uring *uring, const struct io_request *request)
{
    const size_t at = (size_t)((const uint8_t *)request->data - uring->reserved);
    return uring->reserved_size && (const uint8_t *)request->data >= uring->reserved && at < uring->reserved_size &&
           request->size <= uring->reserved_size - at;
}

/* Pinned once; the limit on locked memory may forbid it, then pages are pinned for each write. */
static void uring_reserve(struct io *io, void *memory, size_t size)
{
    struct uring *uring = (struct uring *)(void *)io;
    const struct iovec buffer = {memory, size};

    if (io_uring_register_buffers(&uring->ring, &buffer, 1) != 0)
        return;
    uring->reserved = memory;
    uring->reserved_size = size;
}

static void uring_submit(struct io *io, struct io_request *request)
{
    struct uring *uring = (struct uring *)(void *)io;
    struct io_uring_sqe *sqe = get_sqe(uring);

    switch (request->kind) {
    case IO_WRITE:
        if (is_reserved(uring, request))
            io_uring_prep_write_fixed(sqe, request->file, request->data, request->size, request->at, 0);
        else
            io_uring_prep_write(sqe, request->file, request->data, request->size, request->at);
        break;
    case IO_FLUSH: io_uring_prep_fsync(sqe, request->file, IORING_FSYNC_DATASYNC); break;
    case IO_SYNC: io_uring_prep_fsync(sqe, request->file, 0); break;
    case IO_ALLOCATE: io_uring_prep_fallocate(sqe, request->file, 0, 0, (off_t)request->at); break;
    }
    io_uring_sqe_set_data(sqe, request);
}

static void watch_wake(struct uring *uring)
{
    if (uring->is_polling || uring->files.wake_fd < 0)
        return;
    struct io_uring_sqe *sqe = get_sqe(uring);
    io_uring_prep_poll_add(sqe, uring->files.wake_fd, POLLIN);
    io_uring_sqe_set_data(sqe, NULL);
    uring->is_polling = true;
}

/* All that is done by now. A request may submit others meanwhile; those are for the next time. */
static void report(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    struct io_request *first = NULL, **last = &first;

    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        struct io_request *request = io_uring_cqe_get_data(cqe);
        count++;
        if (!request) {
            uring->is_polling = false;
            files_drain(&uring->files);
            continue;
        }
        request->result = cqe->res;
        request->next = NULL;
        *last = request;
        last = &request->next;
    }
    io_uring_cq_advance(&uring->ring, count);
    while (first) {
        struct io_request *request = first;
        first = request->next;
        if (request->kind == IO_ALLOCATE && request->result == -EOPNOTSUPP)
            request->result = files_run(request);
        request->done(request, request->result);
    }
}

static void uring_wait(struct io *io, int64_t timeout)
{
    struct uring *uring = (struct uring *)(void *)io;
    struct __kernel_timespec limit = {.tv_sec = timeout / SP_NS_PER_S, .tv_nsec = timeout % SP_NS_PER_S};
    struct io_uring_cqe *cqe;

    watch_wake(uring);
    if (timeout == 0)
        (void)io_uring_submit_and_get_events(&uring->ring);
    else
        (void)io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &limit, NULL);
    report(uring);
}

static void uring_close(struct io_files *files)
{
    io_uring_queue_exit(&((struct uring *)(void *)files)->ring);
}

int io_open_uring(int root_fd, int wake_fd, bool is_direct, struct io **ret)
{
    struct uring *uring = calloc(1, sizeof *uring);

    if (!uring)
        return -ENOMEM;
    files_init(&uring->files, root_fd, wake_fd, is_direct, "io_uring");
    uring->files.functions.submit = uring_submit;
    uring->files.functions.wait = uring_wait;
    uring->files.functions.reserve = uring_reserve;
    uring->files.close = uring_close;
    int error =
        io_uring_queue_init(ENTRIES, &uring->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP);
    if (error == -EINVAL) /* before Linux 6.1 */
        error = io_uring_queue_init(ENTRIES, &uring->ring, IORING_SETUP_CLAMP);
    if (error) {
        free(uring);
        return error;
    }
    *ret = &uring->files.io;
    return 0;
}
