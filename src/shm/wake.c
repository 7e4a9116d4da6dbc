/* wake.c: wake slots of the bus file: futex words, and named pipes for those who wait in a poll loop.
 *
 * A pipe has a name in `<bus>/~wake/`, so that a producer in another container needs nothing but the directory. Called by
 * consumers when they first sleep (acquire), and by producers and deleters that found somebody asleep (wake). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "shm/descriptor.h"
#include "shm/registry.h"
#include "shm/sleep.h"

static void pipe_name(uint32_t index, char name[64])
{
    snprintf(name, 64, SP_WAKE_DIRECTORY "/%u", index);
}

/* Opened read-write: a reader whose last writer has gone would otherwise be told of a hang-up for ever. */
static int open_pipe(struct sp_registry *registry, uint32_t index, int *ret_fd)
{
    const uint32_t mode = registry->header->mode & 0666;
    char name[64];

    pipe_name(index, name);
    if (mkdirat(registry->dir_fd, SP_WAKE_DIRECTORY, 0700) == 0)
        (void)fchmodat(registry->dir_fd, SP_WAKE_DIRECTORY, mode | (mode & 0444) >> 2, 0);
    (void)unlinkat(registry->dir_fd, name, 0);
    if (mkfifoat(registry->dir_fd, name, 0600) < 0)
        return sp_fail(-errno, "cannot make the pipe %s/%s: %s", registry->path, name, strerror(errno));
    (void)fchmodat(registry->dir_fd, name, mode, 0);
    int fd = sp_open_at(registry->dir_fd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
    if (fd < 0)
        return sp_fail(-errno, "cannot open the pipe %s/%s: %s", registry->path, name, strerror(errno));
    *ret_fd = fd;
    return 0;
}

int sp_wake_acquire(struct sp_registry *registry, uint32_t kind, uint32_t *ret_index, int *ret_fd)
{
    for (uint32_t i = 0; i < registry->wakes_max; i++) {
        struct sp_wake *slot = &registry->wakes[i];
        uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire); /* E11 owner */
        if (owner != 0 && sp_registry_alive(registry, owner))
            continue;
        /* E11 owner; relaxed: on failure, the next slot is tried */
        if (!atomic_compare_exchange_strong_explicit(&slot->owner, &owner, registry->owner, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        if (kind == SP_WAKE_PIPE) {
            int error = open_pipe(registry, i, ret_fd);
            if (error) {
                atomic_store_explicit(&slot->owner, 0, memory_order_release); /* E11 owner */
                return error;
            }
        }
        atomic_store_explicit(&slot->kind, kind,
                              memory_order_release); /* E11 owner: the pipe is there before anybody writes to it */
        *ret_index = i;
        return 0;
    }
    return sp_fail(-ENOSPC,
                   "all %u wake slots of %s are taken: fewer sleeping consumers, or create the bus with a larger participants_max",
                   registry->wakes_max, registry->path);
}

void sp_wake_release(struct sp_registry *registry, uint32_t index, int fd)
{
    char name[64];
    if (fd >= 0) {
        pipe_name(index, name);
        (void)unlinkat(registry->dir_fd, name, 0);
        close(fd);
    }
    atomic_store_explicit(&registry->wakes[index].owner, 0, memory_order_release); /* E11 owner */
}

uint64_t sp_wake_collect(struct sp_registry *registry)
{
    uint64_t collected = 0;
    char name[64];

    for (uint32_t i = 0; i < registry->wakes_max; i++) {
        struct sp_wake *slot = &registry->wakes[i];
        uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire); /* E11 owner */
        if (owner == 0 || sp_registry_alive(registry, owner))
            continue;
        /* E11 owner; relaxed: on failure somebody took it meanwhile. Until the store below it is ours, so nobody makes a pipe
         * there */
        if (!atomic_compare_exchange_strong_explicit(&slot->owner, &owner, registry->owner, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        pipe_name(i, name);
        (void)unlinkat(registry->dir_fd, name, 0); /* whatever `kind` says: it may have died between pipe and kind */
        atomic_store_explicit(&slot->owner, 0, memory_order_release); /* E11 owner */
        collected++;
    }
    return collected;
}

static void write_pipe(struct sp_registry *registry, uint32_t index)
{
    struct stat status;
    char name[64];

    pipe_name(index, name);
    /* read-write, so that we are a reader too: a sleeper that dies right here must not send us SIGPIPE */
    int fd = sp_open_at(registry->dir_fd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
    if (fd < 0)
        return; /* its reader is gone */
    /* A full pipe wakes as well as one more byte. Anything that is not a pipe is somebody's trick. */
    if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && write(fd, "", 1) < 0) {
        /* nothing to do: EAGAIN is a full pipe */
    }
    close(fd);
}

void sp_wake(struct sp_registry *registry, uint32_t index)
{
    if (index >= registry->wakes_max)
        return;
    struct sp_wake *slot = &registry->wakes[index];
    /* E7 sleep: a sleeper that read the old sequence before it looked again will not sleep on it */
    atomic_fetch_add_explicit(&slot->sequence, 1, memory_order_acq_rel);
    if (atomic_load_explicit(&slot->kind, memory_order_acquire) == SP_WAKE_PIPE) /* E11 owner */
        write_pipe(registry, index);
    else
        sp_futex_wake(&slot->sequence, 1);
}
