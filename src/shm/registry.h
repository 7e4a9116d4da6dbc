/* registry.h: the bus file as one process holds it: who takes part, who is alive, where sleepers are woken.
 *
 * Every open bus handle is a *participant*: it holds the kernel lock on byte SP_LOCK_PARTICIPANTS + slot of the bus file,
 * through an open file of its own that is never mapped. Everything else in the bus names a participant by its owner word,
 * generation << 16 | slot. It is alive exactly while the slot still carries that word and the byte is locked. A slot of a
 * dead participant may be taken at once: the new generation makes the old name dead for good. Once dead, an owner word is
 * never alive again, not even for a moment: whoever takes the slot renews the word before it locks the byte, and joiners
 * exclude each other by another byte, SP_LOCK_JOINERS + slot.
 *
 * Threads: join and leave by one; the rest by any. */
#ifndef SP_SHM_REGISTRY_H
#define SP_SHM_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/bus_layout.h"
#include "shm/lock.h"
#include "shm/map.h"

struct sp_registry {
    int dir_fd; /* of the bus directory; the registry's to close */
    char *path; /* of the bus directory */
    struct sp_map map;
    struct sp_bus_header *header;
    struct sp_participant *participants;
    struct sp_wake *wakes;
    uint32_t participants_max, wakes_max; /* checked copies */
    struct sp_lock lock;
    uint64_t owner;  /* our own word; 0 when only observing */
    bool membarrier; /* this process is covered by others' membarriers, and may use its own */
};

struct sp_registry_options {
    const char *path;          /* of the bus directory */
    const char *shared_root;   /* a directory above it that, when it has to be made, is made for everybody */
    const char *name;          /* of this participant */
    uint32_t participants_max; /* for a bus that is created */
    uint32_t mode;             /* likewise; 0: 0666 less the umask */
    bool create, observe;
};

/* sp_registry_open: open the bus at `path`, create it if allowed, and join. Returns as spate_bus_open. */
int sp_registry_open(struct sp_registry *registry, const struct sp_registry_options *options);
void sp_registry_close(struct sp_registry *registry);

/* sp_registry_collect: mark the slots of dead participants as free. Their generations stay, so that they stay dead. Returns
 * how many. */
uint64_t sp_registry_collect(struct sp_registry *registry);

/* sp_registry_lock_all: make sure that nobody takes part in the bus in a directory, and that nobody can join while the lock
 * is held. Returns 0, -EAGAIN (somebody lives), -EACCES, -EBADMSG, -EPROTO (not a bus that we understand) */
int sp_registry_lock_all(int dir_fd, const char *path, struct sp_lock *ret);

/* sp_registry_alive: the liveness callback of src/ring; context is the registry. One system call, unless it is ourselves.
 * Takes E11. */
bool sp_registry_alive(void *registry, uint64_t owner);

/* sp_registry_name: what the participant calls itself; "?" when the slot has changed hands. `pid` may be NULL. */
void sp_registry_name(const struct sp_registry *registry, uint64_t owner, char name[SP_NAME_SIZE], int64_t *pid);

/* sp_registry_describe: "name (pid 123)" of an owner, for error texts. */
void sp_registry_describe(const struct sp_registry *registry, uint64_t owner, char *text, uint32_t size);

/* Wake slots: where one consumer is woken, by a futex or through a named pipe that a poll loop can wait for. */
#define SP_WAKE_DIRECTORY "~wake"

/* sp_wake_acquire: take a slot; for SP_WAKE_PIPE *ret_fd is the descriptor to poll. Returns 0, -ENOSPC (all taken by live
 * participants), -errno. */
int sp_wake_acquire(struct sp_registry *registry, uint32_t kind, uint32_t *ret_index, int *ret_fd);
void sp_wake_release(struct sp_registry *registry, uint32_t index, int fd);

/* sp_wake_collect: free the slots of the dead, and remove their pipes. Returns how many. */
uint64_t sp_wake_collect(struct sp_registry *registry);

/* sp_wake: wake whoever sleeps there. `index` may be any value: it comes from shared memory. */
void sp_wake(struct sp_registry *registry, uint32_t index);

#endif
