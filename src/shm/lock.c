/* lock.c: open-file-description locks, and the table of their descriptors that a forked child must not keep.
 *
 * The table and its mutex are the only process-wide state of the library. The mutex is held over fork, so that a descriptor
 * is either in the table or not open when the child starts. The table holds bare descriptors, because the handles around them
 * are wiped in the child. */
#include "shm/descriptor.h"
#include "shm/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static int *table;
static size_t table_count, table_capacity;

static void before_fork(void)
{
    pthread_mutex_lock(&table_mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&table_mutex);
}

static void after_fork_in_child(void)
{
    for (size_t i = 0; i < table_count; i++)
        close(table[i]);
    table_count = 0;
    pthread_mutex_unlock(&table_mutex);
}

static void table_init(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int sp_lock_open(struct sp_lock *lock, int dir_fd, const char *name, int flags)
{
    int error = 0;

    pthread_once(&table_once, table_init);
    pthread_mutex_lock(&table_mutex);
    if (table_count == table_capacity) {
        size_t capacity = table_capacity ? 2 * table_capacity : 16;
        int *grown = realloc(table, capacity * sizeof *grown);
        if (!grown) {
            error = -ENOMEM;
            goto out;
        }
        table = grown;
        table_capacity = capacity;
    }
    int fd = sp_open_at(dir_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        error = -errno;
        goto out;
    }
    table[table_count++] = fd;
    lock->fd = fd;
out:
    pthread_mutex_unlock(&table_mutex);
    return error;
}

void sp_lock_close(struct sp_lock *lock)
{
    if (lock->fd < 0)
        return;
    pthread_mutex_lock(&table_mutex);
    /* Not by close alone: a child between vfork and exec has the descriptor too, and would keep the locks. */
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(lock->fd, F_OFD_SETLK, &all);
    for (size_t i = 0; i < table_count; i++) {
        if (table[i] == lock->fd) {
            table[i] = table[--table_count];
            break;
        }
    }
    close(lock->fd);
    lock->fd = -1;
    pthread_mutex_unlock(&table_mutex);
}

static int control(struct sp_lock *lock, int command, short type, int64_t byte, struct flock *ret)
{
    *ret = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    int result;
    do {
        result = fcntl(lock->fd, command, ret);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int sp_lock_try(struct sp_lock *lock, int64_t byte)
{
    struct flock range;
    int error = control(lock, F_OFD_SETLK, F_WRLCK, byte, &range);
    return error == -EACCES ? -EAGAIN : error;
}

int sp_lock_wait(struct sp_lock *lock, int64_t byte, int64_t timeout)
{
    const int64_t start = sp_clock_monotonic();
    int64_t pause = 20 * SP_NS_PER_US;

    for (;;) {
        int error = sp_lock_try(lock, byte);
        if (error != -EAGAIN)
            return error;
        if (timeout >= 0 && sp_clock_monotonic() - start >= timeout)
            return -ETIMEDOUT;
        /* polled, because F_OFD_SETLKW has no timeout; such locks are held for microseconds */
        sp_sleep(pause);
        if (pause < SP_NS_PER_MS)
            pause *= 2;
    }
}

int sp_lock_release(struct sp_lock *lock, int64_t byte)
{
    struct flock range;
    return control(lock, F_OFD_SETLK, F_UNLCK, byte, &range);
}

bool sp_lock_is_held(struct sp_lock *lock, int64_t byte)
{
    struct flock range;
    return control(lock, F_OFD_GETLK, F_WRLCK, byte, &range) != 0 || range.l_type != F_UNLCK;
}
