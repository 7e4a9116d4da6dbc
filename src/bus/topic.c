/* topic.c: opening, describing, listing and deleting topics.
 *
 * Creation is in topic_create.c. Implements the topic part of spate.h. Any thread. */
#include <dirent.h>
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
#include "bus/internal.h"
#include "bus/path.h"
#include "bus/remove.h"
#include "shm/descriptor.h"
#include "shm/handle.h"

static void fill_info(struct spate_topic_info *info, const struct sp_topic_file *file)
{
    *info = (struct spate_topic_info){
        .created = file->file.created,
        .partitions = file->partitions,
        .ring_capacity = file->ring_capacity,
        .mode = file->mode,
        .alignment = file->alignment,
        .timestamp = file->timestamp,
        .producers_max = file->producers_max,
        .consumers_max = file->consumers_max,
        .numa_node = file->numa_node,
        .huge_pages = file->huge_pages,
        .uid = file->uid,
        .gid = file->gid,
        .ring_file_mode = file->ring_file_mode,
        .cursors_file_mode = file->cursors_file_mode,
    };
    info->value_size_max = sp_ring_payload_max(info->ring_capacity);
    memcpy(info->id, file->file.id, sizeof info->id);
    memcpy(info->name, file->name, sizeof info->name);
    info->name[sizeof info->name - 1] = 0;
}

/* Whether the directory that was opened is still the topic's. */
static bool is_current(const struct spate_topic *topic, const char *name)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    struct stat ours, named;

    sp_topic_directory(name, directory);
    return fstat(topic->dir_fd, &ours) == 0 && fstatat(topic->bus->registry.dir_fd, directory, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/* The topic file, checked; a private copy is what everything else rests on. */
static int read_topic(struct spate_topic *topic, const char *name)
{
    char path[SP_PATH_SIZE];
    struct sp_topic_file copy;

    snprintf(path, sizeof path, "%s/%s", topic->bus->registry.path, name);
    int error = sp_map_file(topic->dir_fd, "topic", false, sizeof(struct sp_topic_file), path, &topic->map);
    if (error == -ENOENT && !is_current(topic, name))
        return sp_fail(-EAGAIN, "topic %s is being deleted", name);
    if (error == -ENOENT)
        return sp_fail(-EBADMSG, "%s has no topic file: it is not a topic; `spate topic delete --force` removes it", path);
    if (error)
        return error;
    topic->file = topic->map.address;
    snprintf(path, sizeof path, "%s/%s/topic", topic->bus->registry.path, name);
    error = sp_file_header_check(&topic->file->file, SP_TOPIC_MAGIC, topic->map.size, path);
    if (error)
        return error;
    memcpy(&copy, topic->map.address, sizeof copy);
    error = sp_topic_file_check(&copy, path);
    if (error)
        return error;
    fill_info(&topic->info, &copy);
    if (strcmp(topic->info.name, name) != 0)
        return sp_fail(-EBADMSG, "%s calls itself \"%s\": somebody renamed its directory; rename it back", path, topic->info.name);
    return 0;
}

static int alloc_attachments(struct spate_topic *topic)
{
    for (int i = 0; i < SP_ACCESS_KINDS; i++) {
        topic->attachments[i] = calloc(topic->info.partitions, sizeof(struct sp_attachment *));
        if (!topic->attachments[i])
            return sp_fail(-ENOMEM, "no memory for %u partitions", topic->info.partitions);
    }
    return 0;
}

/* One attempt; -EAGAIN when the topic was deleted under it. A topic whose deleter died half-way is opened like any other. */
int sp_topic_open_once(struct spate_bus *bus, const char *name, spate_topic **ret_topic)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    int error = 0;

    struct spate_topic *topic = sp_handle_alloc(sizeof *topic);
    if (!topic)
        return -ENOMEM;
    topic->bus = bus;
    sp_bus_keep(bus);
    pthread_mutex_init(&topic->mutex, NULL);
    atomic_init(&topic->references, 1);
    sp_topic_directory(name, directory);
    topic->dir_fd = sp_open_at(bus->registry.dir_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (topic->dir_fd < 0)
        error = sp_fail(-errno, "cannot open topic %s on bus %s: %s%s", name, bus->registry.path, strerror(errno),
                        errno == ENOENT ? "; create it first (`spate topic create`), or wait for it" : "");
    if (!error)
        error = read_topic(topic, name);
    if (!error)
        error = alloc_attachments(topic);
    topic->magic = SP_TOPIC_HANDLE;
    if (error) {
        sp_topic_drop(topic);
        return error;
    }
    *ret_topic = topic;
    return 0;
}

/* A topic marked deleted is being removed, or its deleter died: then whoever comes next finishes it. */
static int finish_deletion(struct spate_topic *topic)
{
    int error = topic->bus->observe ? -EPERM : sp_topic_delete(topic, true);
    if (error == 0 || error == -ENOENT)
        return 0;
    return sp_fail(-ENOENT,
                   "topic %s was deleted, but its files are still there, and cannot be removed by this process: use `spate gc` as "
                   "their owner",
                   topic->info.name);
}

int spate_topic_open(spate_bus *bus, const char *name, spate_topic **ret_topic)
{
    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (!ret_topic)
        return sp_fail(-EINVAL, "ret_topic is NULL");
    int error = sp_topic_name_check(name);
    if (error)
        return error;
    /* each -EAGAIN is another deletion that went by; a name that changes hands for ever is as good as gone */
    for (int tries = 0; tries < 100; tries++) {
        spate_topic *topic;
        error = sp_topic_open_once(bus, name, &topic);
        if (error && error != -EAGAIN)
            return error;
        if (error)
            continue;
        if (atomic_load_explicit(&topic->file->state, memory_order_acquire) == SP_STATE_LIVE) { /* E11 owner */
            *ret_topic = topic;
            return 0;
        }
        error = finish_deletion(topic);
        sp_topic_drop(topic);
        if (error)
            return error;
    }
    return sp_fail(-ENOENT, "topic %s is deleted faster than it can be opened", name);
}

int spate_topic_wait(spate_bus *bus, const char *name, int64_t timeout, spate_topic **ret_topic)
{
    const int64_t deadline = sp_deadline(timeout);

    for (;;) {
        int error = spate_topic_open(bus, name, ret_topic);
        if (error != -ENOENT)
            return error;
        int64_t left = deadline - sp_clock_monotonic();
        if (left <= 0)
            return -ETIMEDOUT;
        int64_t pause = left < 10 * SP_NS_PER_MS ? left : 10 * SP_NS_PER_MS;
        struct timespec nap = {.tv_sec = 0, .tv_nsec = pause};
        if (nanosleep(&nap, NULL) < 0 && errno == EINTR)
            return -EINTR;
    }
}

void sp_topic_keep(struct spate_topic *topic)
{
    atomic_fetch_add_explicit(&topic->references, 1, memory_order_relaxed); /* relaxed: the caller holds one already */
}

void sp_topic_drop(struct spate_topic *topic)
{
    /* E0 handles */
    if (atomic_fetch_sub_explicit(&topic->references, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < SP_ACCESS_KINDS; i++)
        free(topic->attachments[i]);
    sp_unmap(&topic->map);
    if (topic->dir_fd >= 0)
        close(topic->dir_fd);
    pthread_mutex_destroy(&topic->mutex);
    sp_bus_drop(topic->bus);
    topic->magic = UINT64_MAX;
    sp_handle_free(topic, sizeof *topic);
}

void spate_topic_close(spate_topic *topic)
{
    if (topic && topic->magic == SP_TOPIC_HANDLE)
        sp_topic_drop(topic);
}

int spate_topic_describe(const spate_topic *topic, struct spate_topic_info *ret_info)
{
    if (!topic || topic->magic != SP_TOPIC_HANDLE)
        return sp_handle_error(topic, "topic");
    if (!ret_info)
        return sp_fail(-EINVAL, "ret_info is NULL");
    *ret_info = topic->info;
    return 0;
}

/* By the names of what the directories hold: the '~' behind reserved names does not count. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    const char *x = (*a)->d_name, *y = (*b)->d_name;

    while (*x && *x == *y) {
        x++;
        y++;
    }
    return (*x == '~' ? 0 : (unsigned char)*x) - (*y == '~' ? 0 : (unsigned char)*y);
}

int sp_list_directory(int dir_fd, bool (*is_entry)(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1]),
                      int (*visit)(void *context, const char *name), void *context)
{
    char name[SPATE_TOPIC_NAME_MAX + 1];
    struct dirent **entries;
    int result = 0;

    int count = scandirat(dir_fd, ".", &entries, NULL, by_name);
    if (count < 0)
        return sp_fail(-errno, "cannot list a bus directory: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (result == 0 && is_entry(dir_fd, entries[i]->d_name, name))
            result = visit(context, name);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static bool is_topic(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    struct stat status;
    return entry[0] != '~' && sp_topic_of_directory(entry, name) && fstatat(dir_fd, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode) && (strcmp(entry, "groups") != 0);
}

int spate_topic_list(spate_bus *bus, int (*visit)(void *context, const char *name), void *context)
{
    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (!visit)
        return sp_fail(-EINVAL, "visit is NULL");
    return sp_list_directory(bus->registry.dir_fd, is_topic, visit, context);
}

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

/* is_forced: a damaged ring has no users who could be told. */
static int visit_rings(struct spate_topic *topic, enum visit visit, bool is_forced)
{
    for (uint32_t i = 0; i < topic->info.partitions; i++) {
        struct sp_attachment *attachment;
        struct sp_lock lock;
        int error = sp_attach(topic, i, SP_ACCESS_PRODUCE, &attachment);
        if (is_forced && (error == -EBADMSG || error == -EPROTO || error == -ESTALE)) /* damaged, or missing behind the mark */
            continue;
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

/* Whether this process may take the topic's directory away: before it is marked, since nobody can use it after. */
static int check_removable(const struct spate_topic *topic)
{
    const int bus_fd = topic->bus->registry.dir_fd;
    const uid_t user = geteuid();
    struct stat bus, own;

    if (fstat(bus_fd, &bus) < 0 || fstat(topic->dir_fd, &own) < 0)
        return sp_fail(-errno, "cannot look at topic %s: %s", topic->info.name, strerror(errno));
    bool may = faccessat(bus_fd, ".", W_OK | X_OK, AT_EACCESS) == 0 && faccessat(topic->dir_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
    if ((bus.st_mode & S_ISVTX) && user != 0 && user != bus.st_uid && user != own.st_uid)
        may = false;
    return may ? 0
               : sp_fail(-EACCES, "no permission to delete topic %s: it belongs to user %u; its owner or root may",
                         topic->info.name, own.st_uid);
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
    else if (!is_current(topic, topic->info.name))
        error = sp_fail(-ENOENT, "topic %s was deleted just now", topic->info.name);
    if (!error)
        error = check_removable(topic);
    /* Nothing is changed before every partition was found accessible and unused. Whoever comes between the rounds learns of the
     * deletion like those of a forced one. */
    if (!error)
        error = visit_rings(topic, force ? VISIT_ATTACH : VISIT_UNUSED, force);
    if (!error)
        error = mark_topic(topic);
    if (!error)
        error = visit_rings(topic, VISIT_MARK, force);
    if (!error)
        error = sp_remove_topic_directory(topic->bus, topic->info.name);
    sp_lock_close(&lock);
    return error;
}

int spate_topic_delete(spate_bus *bus, const char *name, uint32_t flags)
{
    const bool force = flags & SPATE_DELETE_FORCE;
    spate_topic *topic;

    if (flags & ~(uint32_t)SPATE_DELETE_FORCE)
        return sp_fail(-EINVAL, "flags %x: see enum spate_delete_flags", flags);
    if (bus && bus->magic == SP_BUS_HANDLE && bus->observe)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to delete topics");
    int error = spate_topic_open(bus, name, &topic);
    if ((error == -EBADMSG || error == -EPROTO) && force)
        return sp_remove_topic_directory(bus, name); /* no topic of ours; its owner may still be rid of it */
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
