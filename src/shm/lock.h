/* lock.h: kernel file locks (open-file-description locks), the root of everything that is exact about death.
 *
 * A lock on one byte of a file is dropped by the kernel when the process that holds it is gone, however it died, after its
 * memory is: so a byte that can be locked means that its former holder stores nothing any more. It works across PID
 * namespaces and needs no clock.
 *
 * Open-file-description locks belong to the open file, not to the process, and would live on in a forked child that inherits
 * the descriptor. So all lock descriptors are kept in one list per process, and a pthread_atfork handler closes them in the
 * child. (A child made with a raw clone() that keeps our descriptors would keep us alive; nobody who does that is protected
 * from it.) Lock descriptors are never mapped: a mapping would hold the file open too.
 *
 * Threads: any function, any thread; each sp_lock is used by one thread at a time. */
#ifndef SP_SHM_LOCK_H
#define SP_SHM_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct sp_lock {
    int fd;
};

/* sp_lock_open: open a file for locking. flags: O_RDWR (to lock), or O_RDONLY (only to test). Returns 0 or -errno. */
int sp_lock_open(struct sp_lock *lock, int dir_fd, const char *name, int flags);
void sp_lock_close(struct sp_lock *lock);

/* sp_lock_try: take one byte. Returns 0, -EAGAIN (somebody else holds it), -errno. */
int sp_lock_try(struct sp_lock *lock, int64_t byte);

/* sp_lock_wait: the same, for at most `timeout` ns. Returns 0, -ETIMEDOUT, -errno. */
int sp_lock_wait(struct sp_lock *lock, int64_t byte, int64_t timeout);

int sp_lock_release(struct sp_lock *lock, int64_t byte);

/* sp_lock_is_held: whether another open file holds the byte. (Our own lock does not count.) When the kernel cannot say, it
 * says held: a wrong "dead" would be damage, a wrong "alive" is only a wait. */
bool sp_lock_is_held(struct sp_lock *lock, int64_t byte);

#endif
