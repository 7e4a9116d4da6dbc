/* topic_delete.c: taking topics away: in use or not, whole or broken; and telling those who use them.
 *
 * A topic is marked deleted (its file, then each ring), so that whoever uses it learns of it; then its directory is renamed away and
 * removed. Any process; of several deleters one works at a time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "bus/internal.h"
#include "bus/path.h"
#include "bus/remove.h"
#include "shm/descriptor.h"
#include "shm/handle.h"
#include "shm/map.h"

/* Who uses a partition, if anybody lives: fills `who`. Under the ring lock. */
static bool is_used(struct spate_topic *topic, const struct sp_ring *ring, char *who, uint32_t size)
{
    struct sp_registry *registry = &topic->bus->registry;

    for (uint32_t i = 0; i < ring->producers_max + ring->consumers_max; i++) {
        bool is_producer = i < ring->producers_max;
        uint64_t owner =
            atomic_load_explicit(is_producer ? &ring->producers[i].owner : &ring->cursors->slots[i - ring->producers_max].owner,
                                 memory_order_acquire); /* E11 owner */
        if (owner != 0 && sp_registry_alive(registry, owner)) {
            char name[64];
            sp_registry_describe(registry, owner, name, sizeof name);
            snprintf(who, size, "%s %s", is_producer ? "producer" : "consumer", name);
            return true;
        }
    }
    return false;
}

enum visit {
    VISIT_ATTACH, /* may this process delete it at all? */
    VISIT_UNUSED, /* and does nobody use it? */
    VISIT_MARK,   /* mark it deleted, and wake whoever sleeps on it */
};

/* Under the ring lock. */
static int visit_ring(struct spate_topic *topic, struct sp_ring *ring, enum visit visit)
{
    char who[128];

    if (visit == VISIT_UNUSED && is_used(topic, ring, who, sizeof who))
        return sp_fail(-EBUSY, "topic %s is in use by %s: close it first, or force the deletion", topic->info.name, who);
    if (visit != VISIT_MARK)
        return 0;
    atomic_store_explicit(&ring->header->state, SP_STATE_DELETED, memory_order_release); /* E11 owner */
    sp_wake_sleepers(topic->bus, ring, NULL);
    sp_notice_raise(&ring->cursors->notice); /* producers look at the state when they see it */
    sp_wake_space(ring);
    return 0;
}

/* Mark a ring that cannot be attached, as far as it is one: who attached to it while it was whole looks at its state now and then. */
static void mark_ring_file(int dir_fd, const char *name)
{
    struct sp_map map;

    if (sp_map_file(dir_fd, name, true, sizeof(struct sp_ring_header), "", &map) != 0)
        return;
    struct sp_ring_header *header = map.address;
    if (atomic_load_explicit(&header->file.magic, memory_order_acquire) == SP_RING_MAGIC) /* E10 format */
        atomic_store_explicit(&header->state, SP_STATE_DELETED, memory_order_release);    /* E11 owner */
    sp_unmap(&map);
}

static void mark_partition(const struct spate_topic *topic, uint32_t partition)
{
    char name[32];
    snprintf(name, sizeof name, "%u.ring", partition);
    mark_ring_file(topic->dir_fd, name);
}

static int visit_rings(struct spate_topic *topic, enum visit visit, bool is_forced)
{
    for (uint32_t i = 0; i < topic->info.partitions; i++) {
        struct sp_attachment *attachment;
        struct sp_lock lock;
        int error = sp_attach(topic, i, SP_ACCESS_PRODUCE, &attachment);
        if (is_forced && (error == -EBADMSG || error == -EPROTO || error == -ESTALE)) { /* damaged, or missing behind the mark */
            if (visit == VISIT_MARK)
                mark_partition(topic, i);
            continue;
        }
        if (error)
            return error;
        error = visit == VISIT_ATTACH ? 0 : sp_ring_lock(topic, i, SP_RING_LOCK_TIMEOUT, &lock);
        if (!error && visit != VISIT_ATTACH) {
            error = visit_ring(topic, &attachment->ring, visit);
            sp_ring_unlock(&lock);
        }
        sp_detach(topic, i, SP_ACCESS_PRODUCE);
        if (error)
            return error;
    }
    return 0;
}

static int mark_topic(struct spate_topic *topic)
{
    struct sp_map map;
    int error = sp_map_file(topic->dir_fd, "topic", true, sizeof(struct sp_topic_file), topic->info.name, &map);
    if (error)
        return error;
    struct sp_topic_file *file = map.address;
    atomic_store_explicit(&file->state, SP_STATE_DELETED, memory_order_release); /* E11 owner */
    sp_unmap(&map);
    return 0;
}

/* Whether this process may take a topic's directory away: before it is marked, since nobody can use it after. */
static int check_removable(const struct spate_bus *bus, int dir_fd, const char *name)
{
    const int bus_fd = bus->registry.dir_fd;
    const uid_t user = geteuid();
    struct stat parent, own;

    if (fstat(bus_fd, &parent) < 0 || fstat(dir_fd, &own) < 0)
        return sp_fail(-errno, "cannot look at topic %s: %s", name, strerror(errno));
    bool may = faccessat(bus_fd, ".", W_OK | X_OK, AT_EACCESS) == 0 && faccessat(dir_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
    if ((parent.st_mode & S_ISVTX) && user != 0 && user != parent.st_uid && user != own.st_uid)
        may = false;
    return may ? 0
               : sp_fail(-EACCES, "no permission to delete topic %s: it belongs to user %u; its owner or root may", name,
                         own.st_uid);
}

/* The log of a durable topic is the daemon's to remove. It may not run now, and finds the topic gone when it does: this tells it from one
 * that a reboot took, which it would make anew. Without it the log only stays too long. */
static int leave_tombstone(const struct spate_topic *topic)
{
    char name[64];

    if (!topic->info.durable)
        return 0;
    sp_tombstone_name(topic->info.id, name);
    const int fd = sp_open_at(topic->bus->registry.dir_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
    if (fd < 0)
        return sp_fail(-errno, "cannot delete topic %s: cannot leave a note for the daemon: %s", topic->info.name, strerror(errno));
    close(fd);
    return 0;
}

/* Of several deleters one works at a time, and the others find that the name is another topic's now, or nobody's. */
int sp_topic_delete(struct spate_topic *topic, bool force)
{
    struct sp_lock lock;

    int error = sp_lock_open(&lock, topic->dir_fd, "topic", O_RDWR);
    if (error)
        return sp_fail(error, "cannot delete topic %s: %s", topic->info.name, strerror(-error));
    error = sp_lock_wait(&lock, 0, SP_RING_LOCK_TIMEOUT);
    if (error)
        error = sp_fail(-EBUSY, "topic %s is being deleted by another process, which does not go on", topic->info.name);
    else if (!sp_topic_directory_is(topic->bus, topic->info.name, topic->dir_fd))
        error = sp_fail(-ENOENT, "topic %s was deleted just now", topic->info.name);
    if (!error)
        error = check_removable(topic->bus, topic->dir_fd, topic->info.name);
    /* Nothing is changed before every partition was found accessible and unused. Whoever comes between the rounds learns of the
     * deletion like those of a forced one. */
    if (!error)
        error = visit_rings(topic, force ? VISIT_ATTACH : VISIT_UNUSED, force);
    if (!error)
        error = leave_tombstone(topic);
    if (!error)
        error = mark_topic(topic);
    if (!error)
        error = visit_rings(topic, VISIT_MARK, force);
    if (!error)
        error = sp_remove_topic_directory(topic->bus, topic->info.name, topic->dir_fd);
    sp_lock_close(&lock);
    return error;
}

/* What cannot be opened as a topic, but has a topic's name. */
static int delete_broken(struct spate_bus *bus, const char *name)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];

    sp_topic_directory(name, directory);
    int dir_fd = sp_open_at(bus->registry.dir_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (dir_fd < 0)
        return sp_fail(-errno, "cannot delete topic %s: %s", name, strerror(errno));
    int error = check_removable(bus, dir_fd, name);
    int copy = error ? -1 : fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *files = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *entry; files && (entry = readdir(files)) != NULL;) {
        const size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".ring") == 0)
            mark_ring_file(dir_fd, entry->d_name);
    }
    if (files)
        closedir(files);
    if (!error)
        error = sp_remove_topic_directory(bus, name, dir_fd);
    close(dir_fd);
    return error;
}

int spate_topic_delete(spate_bus *bus, const char *name, uint32_t flags)
{
    const bool force = flags & SPATE_DELETE_FORCE;
    spate_topic *topic;

    if (flags & ~(uint32_t)SPATE_DELETE_FORCE)
        return sp_fail(-EINVAL, "flags %x: see enum spate_delete_flags", flags);
    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (bus->observe)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to delete topics");
    int error = spate_topic_open(bus, name, &topic);
    if ((error == -EBADMSG || error == -EPROTO) && force)
        return delete_broken(bus, name);
    if (error == -ENOENT)
        return sp_fail(error, "there is no topic %s on bus %s: see `spate topic list`", name, bus->registry.path);
    if (!error) {
        error = sp_topic_delete(topic, force);
        spate_topic_close(topic);
    }
    if ((error == -EBADMSG || error == -EPROTO) && !force) /* the text argues with the previous one */
        return sp_fail(error, "%s. With force (`spate topic delete --force`) it is removed as it is", spate_last_error());
    return error;
}
