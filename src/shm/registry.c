/* registry.c: creating, opening, joining and leaving a bus, and telling who lives.
 *
 * Called by src/bus when a bus is opened or closed, and by everybody's slow paths through sp_registry_alive. */
#include "shm/descriptor.h"
#include "shm/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "layout/counters.h"
#include "shm/sleep.h"

/* A directory may be entered by whoever may use the files in it. Where several users may write, each may remove only what is
 * theirs. */
static mode_t bus_directory_mode(uint32_t file_mode)
{
    return (mode_t)(file_mode | (file_mode & 0444) >> 2 | (file_mode & 022 ? S_ISVTX : 0));
}

static int format(int dir_fd, const struct sp_registry_options *options, uint32_t mode)
{
    const uint32_t page_size = sp_page_size(dir_fd);
    const uint32_t wakes = options->participants_max * SP_WAKES_PER_PARTICIPANT;
    const struct sp_bus_regions regions = sp_bus_regions(options->participants_max, wakes, page_size);
    struct sp_new_file file;
    uint8_t id[16];

    int error = sp_random(id, sizeof id);
    if (error)
        return sp_fail(error, "no random bytes for the bus identity: %s", strerror(-error));
    error = sp_file_create(dir_fd, regions.file_size, mode, -1, false, NULL, &file);
    if (error)
        return error;
    struct sp_bus_header *header = file.map.address;
    header->participants_max = options->participants_max;
    header->wakes_max = wakes;
    header->mode = mode;
    header->counters_count = (uint32_t)sp_counter_descriptors_count;
    memcpy(header->counters, sp_counter_descriptors, sp_counter_descriptors_count * sizeof sp_counter_descriptors[0]);
    sp_file_header_format(&header->file, regions.file_size, id, sp_clock_realtime(), 0, page_size);
    sp_file_header_seal(&header->file, SP_BUS_MAGIC);
    error = sp_file_link(&file, dir_fd, "bus");
    sp_file_close(&file);
    return error == -EEXIST ? 0 : error; /* somebody else was quicker: theirs is as good */
}

/* Make the directory and all above it. Those above are the user's own, as mkdir -p makes them; only the root that all users share
 * is open to everybody, with the sticky bit, as /tmp is. */
static int make_directories(const char *path, const char *shared_root, uint32_t mode)
{
    char *copy = strdup(path);
    int error = copy ? 0 : -ENOMEM;

    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && !error; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) == 0) {
            if (shared_root && strcmp(copy, shared_root) == 0)
                (void)chmod(copy, 01777);
        } else if (errno != EEXIST) {
            error = -errno;
        }
        *slash = '/';
    }
    if (!error) {
        if (mkdir(path, 0700) == 0)
            (void)chmod(path, bus_directory_mode(mode));
        else if (errno != EEXIST)
            error = -errno;
    }
    free(copy);
    return error ? sp_fail(error, "cannot make the bus directory %s: %s", path, strerror(-error)) : 0;
}

/* The umask as the kernel tells it: umask() can only read it by changing it, which other threads would notice. */
static uint32_t current_umask(void)
{
    unsigned mask = 022;
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    if (file)
        fclose(file);
    return mask & 0777;
}

static uint32_t file_mode(const struct sp_registry_options *options)
{
    return options->mode ? options->mode : 0666 & ~current_umask();
}

static int open_directory(struct sp_registry *registry, const struct sp_registry_options *options)
{
    registry->dir_fd = sp_open_at(AT_FDCWD, options->path, O_RDONLY | O_DIRECTORY, 0);
    if (registry->dir_fd < 0 && errno == ENOENT && options->create) {
        int error = make_directories(options->path, options->shared_root, file_mode(options));
        if (error)
            return error;
        registry->dir_fd = sp_open_at(AT_FDCWD, options->path, O_RDONLY | O_DIRECTORY, 0);
    }
    if (registry->dir_fd < 0)
        return sp_fail(-errno, "cannot open the bus directory %s: %s%s", options->path, strerror(errno),
                       errno == ENOENT ? " (is the name right? see --bus, --dir, SPATE_BUS, SPATE_DIR)" : "");
    if (faccessat(registry->dir_fd, "bus", F_OK, 0) < 0 && errno == ENOENT) {
        if (!options->create)
            return sp_fail(-ENOENT, "%s holds no bus", options->path);
        return format(registry->dir_fd, options, file_mode(options));
    }
    return 0;
}

static void fill_participant(struct sp_registry *registry, struct sp_participant *me, const char *name)
{
    struct stat status;

    me->flags = registry->membarrier ? SP_PARTICIPANT_MEMBARRIER : 0;
    me->pid = getpid();
    me->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
    me->joined = sp_clock_realtime();
    me->uid = geteuid();
    snprintf(me->name, sizeof me->name, "%s", name);
}

/* Take one slot, if nobody lives there. Its byte must never be locked while it still carries a dead participant's owner word:
 * that one would be alive again for a moment. So joiners exclude each other with a second byte, renew the owner word first,
 * and lock the slot's byte last. */
static int take_slot(struct sp_registry *registry, uint32_t slot, const char *name)
{
    struct sp_participant *participant = &registry->participants[slot];

    int error = sp_lock_try(&registry->lock, SP_LOCK_JOINERS + slot);
    if (error)
        return error;
    if (sp_lock_is_held(&registry->lock, SP_LOCK_PARTICIPANTS + slot)) {
        error = -EAGAIN;
    } else {
        uint64_t old = atomic_load_explicit(&participant->owner, memory_order_acquire); /* E11 owner */
        uint64_t owner = (SP_OWNER_GENERATION(old) + 1) << SP_OWNER_SLOT_BITS | slot;
        atomic_store_explicit(&participant->state, SP_PARTICIPANT_FREE, memory_order_release); /* E11 owner */
        atomic_store_explicit(&participant->owner, owner, memory_order_release);               /* E11 owner */
        fill_participant(registry, participant, name);
        error = sp_lock_try(&registry->lock, SP_LOCK_PARTICIPANTS + slot);
        if (!error) {
            registry->owner = owner;
            atomic_store_explicit(&participant->state, SP_PARTICIPANT_JOINED, memory_order_release); /* E11 owner */
        }
    }
    (void)sp_lock_release(&registry->lock, SP_LOCK_JOINERS + slot);
    return error;
}

static int join(struct sp_registry *registry, const char *name)
{
    /* first the slots that nobody used, then those of the dead: so that a dead participant's name stays readable for a while */
    for (int round = 0; round < 2; round++) {
        for (uint32_t slot = 0; slot < registry->participants_max; slot++) {
            /* E11 owner */
            if (round == 0 &&
                atomic_load_explicit(&registry->participants[slot].state, memory_order_acquire) != SP_PARTICIPANT_FREE)
                continue;
            int error = take_slot(registry, slot, name);
            if (error == -EAGAIN)
                continue;
            if (error)
                return sp_fail(error, "the kernel refuses a file lock on %s/bus: %s; the file system must support fcntl locks",
                               registry->path, strerror(-error));
            return 0;
        }
    }
    return sp_fail(-EUSERS,
                   "all %u participant slots of %s are held by live processes: create the bus with a larger participants_max",
                   registry->participants_max, registry->path);
}

static int map_bus(struct sp_registry *registry, bool writable)
{
    char file[4096];
    int error = sp_map_file(registry->dir_fd, "bus", writable, sizeof(struct sp_bus_header), registry->path, &registry->map);

    if (error)
        return error;
    snprintf(file, sizeof file, "%s/bus", registry->path);
    registry->header = registry->map.address;
    const uint32_t participants_max = registry->header->participants_max, page_size = registry->header->file.page_size;
    error = sp_file_header_check(&registry->header->file, SP_BUS_MAGIC, registry->map.size, file);
    if (!error)
        error = sp_bus_header_check(registry->header, registry->map.size, file);
    if (error)
        return error;
    /* The checks read the header again; what is used are the copies, which must still lie inside the file. */
    const uint32_t wakes_max = participants_max * SP_WAKES_PER_PARTICIPANT;
    if (participants_max > SP_PARTICIPANTS_MAX || page_size < 4096)
        return sp_fail(-EBADMSG, "%s changed while it was opened", file);
    struct sp_bus_regions regions = sp_bus_regions(participants_max, wakes_max, page_size);
    if (regions.file_size > registry->map.size)
        return sp_fail(-EBADMSG, "%s changed while it was opened", file);
    registry->participants_max = participants_max;
    registry->wakes_max = wakes_max;
    registry->participants = (struct sp_participant *)(void *)((uint8_t *)registry->map.address + regions.participants);
    registry->wakes = (struct sp_wake *)(void *)((uint8_t *)registry->map.address + regions.wakes);
    return 0;
}

/* Held by a gc that holds the joiners' bytes of all slots, so that those who find no slot know why. */
#define LOCK_TIDYING (SP_LOCK_JOINERS + SP_PARTICIPANTS_MAX)

/* Whether the path still leads to the file that we hold a lock on: gc may have removed the bus before the lock was ours. */
static bool is_current(const struct sp_registry *registry)
{
    struct stat ours, found;
    char file[4096 + 8];

    snprintf(file, sizeof file, "%s/bus", registry->path);
    return fstat(registry->lock.fd, &ours) == 0 && stat(file, &found) == 0 && ours.st_dev == found.st_dev &&
           ours.st_ino == found.st_ino;
}

static int open_once(struct sp_registry *registry, const struct sp_registry_options *options)
{
    *registry = (struct sp_registry){.dir_fd = -1, .lock.fd = -1};
    registry->path = strdup(options->path);
    int error = registry->path ? open_directory(registry, options) : sp_fail(-ENOMEM, "no memory for a path");
    if (!error)
        error = map_bus(registry, !options->observe);
    if (!error) {
        error = sp_lock_open(&registry->lock, registry->dir_fd, "bus", options->observe ? O_RDONLY : O_RDWR);
        if (error)
            error = sp_fail(error, "cannot open %s/bus for locking: %s", registry->path, strerror(-error));
    }
    if (!error && !options->observe) {
        registry->membarrier = sp_membarrier_register() && sp_membarrier();
        error = join(registry, options->name);
        if (!error && !is_current(registry))
            error = sp_fail(-ESTALE, "the bus %s was removed while it was opened", options->path);
        if (error == -EUSERS && sp_lock_is_held(&registry->lock, LOCK_TIDYING))
            error = -ESTALE;
    }
    if (error)
        sp_registry_close(registry);
    return error;
}

/* While gc looks whether anybody uses a bus it lets nobody join, and it may remove the bus then: both are over in a
 * moment, unless it is stopped just there. */
#define OPEN_TRIES 20    /* when all slots are taken: a gc may have held them until just now */
#define REOPEN_TRIES 500 /* while a gc holds them, or removed the bus */

int sp_registry_open(struct sp_registry *registry, const struct sp_registry_options *options)
{
    for (int tries = 1;; tries++) {
        int error = open_once(registry, options);
        bool is_removed = error == -ESTALE || (error == -ENOENT && options->create);
        if ((error != -EUSERS && !is_removed) || tries >= (is_removed ? REOPEN_TRIES : OPEN_TRIES))
            return error == -ESTALE ? -EUSERS : error;
        sp_sleep(SP_NS_PER_MS);
    }
}

/* Call the slot of a dead participant free. The slot's own byte is only looked at: to lock it would make the dead one live. */
static bool free_dead(struct sp_registry *registry, uint32_t slot)
{
    struct sp_participant *participant = &registry->participants[slot];
    bool freed = false;

    if (sp_lock_try(&registry->lock, SP_LOCK_JOINERS + slot) != 0)
        return false;
    if (atomic_load_explicit(&participant->state, memory_order_acquire) == SP_PARTICIPANT_JOINED && /* E11 owner */
        atomic_load_explicit(&participant->owner, memory_order_acquire) != registry->owner &&       /* E11 owner */
        !sp_lock_is_held(&registry->lock, SP_LOCK_PARTICIPANTS + slot)) {
        atomic_store_explicit(&participant->state, SP_PARTICIPANT_FREE, memory_order_release); /* E11 owner */
        freed = true;
    }
    (void)sp_lock_release(&registry->lock, SP_LOCK_JOINERS + slot);
    return freed;
}

uint64_t sp_registry_collect(struct sp_registry *registry)
{
    uint64_t collected = 0;

    for (uint32_t slot = 0; slot < registry->participants_max; slot++)
        if (atomic_load_explicit(&registry->participants[slot].state, memory_order_acquire) != SP_PARTICIPANT_FREE) /* E11 owner */
            collected += free_dead(registry, slot);
    return collected;
}

int sp_registry_lock_all(int dir_fd, const char *path, struct sp_lock *ret)
{
    struct sp_map map;

    int error = sp_map_file(dir_fd, "bus", false, sizeof(struct sp_bus_header), path, &map);
    if (error)
        return error;
    const struct sp_bus_header *header = map.address;
    error = sp_file_header_check(&header->file, SP_BUS_MAGIC, map.size, path);
    if (!error)
        error = sp_bus_header_check(header, map.size, path);
    const uint32_t participants_max = header->participants_max;
    sp_unmap(&map);
    if (!error)
        error = sp_lock_open(ret, dir_fd, "bus", O_RDWR);
    if (error)
        return error;
    error = sp_lock_try(ret, LOCK_TIDYING);
    for (uint32_t slot = 0; !error && slot < participants_max; slot++) {
        error = sp_lock_try(ret, SP_LOCK_JOINERS + slot);
        if (!error && sp_lock_is_held(ret, SP_LOCK_PARTICIPANTS + slot))
            error = -EAGAIN;
    }
    if (error)
        sp_lock_close(ret);
    return error;
}

void sp_registry_close(struct sp_registry *registry)
{
    if (registry->owner)
        /* E11 owner: dead at once, before the kernel lock goes */
        atomic_store_explicit(&registry->participants[SP_OWNER_SLOT(registry->owner)].state, SP_PARTICIPANT_FREE,
                              memory_order_release);
    sp_lock_close(&registry->lock);
    sp_unmap(&registry->map);
    if (registry->dir_fd >= 0)
        close(registry->dir_fd);
    free(registry->path);
    *registry = (struct sp_registry){.dir_fd = -1, .lock.fd = -1};
}

bool sp_registry_alive(void *context, uint64_t owner)
{
    struct sp_registry *registry = context;
    uint32_t slot = SP_OWNER_SLOT(owner);

    if (owner == registry->owner && owner != 0)
        return true;
    if (slot >= registry->participants_max)
        return false;
    struct sp_participant *participant = &registry->participants[slot];
    if (atomic_load_explicit(&participant->owner, memory_order_acquire) != owner ||               /* E11 owner */
        atomic_load_explicit(&participant->state, memory_order_acquire) != SP_PARTICIPANT_JOINED) /* E11 owner */
        return false;
    if (!sp_lock_is_held(&registry->lock, SP_LOCK_PARTICIPANTS + slot))
        return false;
    /* E11 owner: and still held by that one: joiners renew the word before they lock the byte */
    return atomic_load_explicit(&participant->owner, memory_order_acquire) == owner;
}

void sp_registry_name(const struct sp_registry *registry, uint64_t owner, char name[SP_NAME_SIZE], int64_t *pid)
{
    uint32_t slot = SP_OWNER_SLOT(owner);

    memcpy(name, "?", 2);
    if (pid)
        *pid = 0;
    if (slot >= registry->participants_max)
        return;
    const struct sp_participant *participant = &registry->participants[slot];
    if (atomic_load_explicit(&participant->owner, memory_order_acquire) != owner) /* E11 owner */
        return;
    memcpy(name, participant->name, SP_NAME_SIZE);
    name[SP_NAME_SIZE - 1] = 0;
    if (pid)
        *pid = participant->pid;
}

void sp_registry_describe(const struct sp_registry *registry, uint64_t owner, char *text, uint32_t size)
{
    char name[SP_NAME_SIZE];
    int64_t pid;
    sp_registry_name(registry, owner, name, &pid);
    snprintf(text, size, "%s (pid %lld)", name, (long long)pid);
}
