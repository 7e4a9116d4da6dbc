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
        .durable = file->durable,
        .flush = file->flush,
        .compression = file->compression,
        .cleanup = file->cleanup,
        .flush_interval = file->flush_interval,
        .segment_size = file->segment_size,
        .segment_age = file->segment_age,
        .retention_size = file->retention_size,
        .retention_time = file->retention_time,
        .tombstone_delay = file->tombstone_delay,
    };
    info->value_size_max = sp_ring_payload_max(info->ring_capacity);
    memcpy(info->id, file->file.id, sizeof info->id);
    memcpy(info->name, file->name, sizeof info->name);
    info->name[sizeof info->name - 1] = 0;
}

static bool is_current(const struct spate_topic *topic, const char *name)
{
    return sp_topic_directory_is(topic->bus, name, topic->dir_fd);
}

/* The topic file, checked; a private copy is what everything else rests on. */
static int read_topic(struct spate_topic *topic, const char *name)
{
    char path[SP_PATH_SIZE];
    struct sp_topic_file copy;

    if (topic->bus->is_log) {
        int error = sp_log_bus_topic(topic, name);
        if (!error)
            fill_info(&topic->info, topic->file);
        return !error && strcmp(topic->info.name, name) != 0
                   ? sp_fail(-EBADMSG, "the log %s/%s calls itself \"%s\": somebody renamed its directory; rename it back",
                             topic->bus->registry.path, name, topic->info.name)
                   : error;
    }
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
                        errno == ENOENT && !bus->is_log ? "; create it first (`spate topic create`), or wait for it" : "");
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
