/* gc.c: cleaning up after the dead: in one bus, and below the directory of buses.
 *
 * Nothing needs it to go on: whoever is alive repairs what it meets. Implements spate_gc, spate_gc_dir and spate_bus_list.
 *
 * IN ONE BUS the order is: rings, wake slots, unfinished topics, participants. All but the last are found by owner words of
 * the dead, which stay dead whatever happens (the next holder of a participant slot has another generation), so gc may die
 * anywhere and be run anew.
 *
 * A BUS NOBODY USES is one of whose participants' bytes none is locked. gc_dir first takes the joiners' bytes of all slots (see
 * registry.h), one of which every joiner needs: from then on nobody can join; then it looks whether anybody is in. Under these
 * locks it looks for topics, renames the directory to `~gone.<random>` and removes it. Somebody who is joining at that moment
 * either was first, and the bus stays, or gets no byte until the locks go with the removed file; sp_registry_open then sees
 * that the path no longer leads to the file that it has open, and begins anew. A gc that dies here leaves a `~gone.`
 * directory, which nobody can join; the next one removes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "bus/internal.h"
#include "bus/path.h"
#include "bus/remove.h"
#include "shm/descriptor.h"
#include "shm/handle.h"

#define GONE_PREFIX "~gone."

struct gc {
    struct spate_bus *bus;
    struct spate_gc_result result;
    int error; /* the first that is worth telling; its text is kept */
    char text[SP_ERROR_TEXT_SIZE];
};

/* What could not be done does not keep us from the rest. Others' files, and what is gone by now, are none of our business. */
static void note(struct gc *gc, int error)
{
    if (error == 0 || error == -EACCES || error == -EPERM || error == -EROFS || error == -ENOENT || error == -ESTALE ||
        error == -EAGAIN || gc->error)
        return;
    gc->error = error;
    snprintf(gc->text, sizeof gc->text, "%s", spate_last_error());
}

/* ---------------------------------------------------------------------------------------------------------- one bus */

static int repair_partition(struct gc *gc, struct spate_topic *topic, uint32_t partition)
{
    struct sp_repair_result repaired = {0};
    struct sp_attachment *attachment;

    int error = sp_attach(topic, partition, SP_ACCESS_PRODUCE, &attachment);
    if (error)
        return error;
    error = sp_partition_repair(topic, partition, attachment, SP_RING_LOCK_TIMEOUT, &repaired);
    if (!error && repaired.producers + repaired.consumers) {
        gc->result.producers += repaired.producers;
        gc->result.consumers += repaired.consumers;
        sp_wake_sleepers(gc->bus, &attachment->ring, NULL); /* readers that wait for a dead claim */
        sp_wake_space(&attachment->ring);                   /* writers that wait for a dead gate */
    }
    sp_detach(topic, partition, SP_ACCESS_PRODUCE);
    return error;
}

static int repair_topic(void *context, const char *name)
{
    struct gc *gc = context;
    spate_topic *topic;

    int error = sp_topic_open_once(gc->bus, name, &topic);
    if (error) {
        note(gc, error);
        return 0;
    }
    if (atomic_load_explicit(&topic->file->state, memory_order_acquire) != SP_STATE_LIVE) { /* E11 owner */
        /* its deleter died, or is at it: then this waits, and finds that the topic is gone */
        error = sp_topic_delete(topic, true);
        note(gc, error);
        gc->result.unfinished_topics += error == 0;
    } else {
        for (uint32_t i = 0; i < topic->info.partitions; i++)
            note(gc, repair_partition(gc, topic, i));
    }
    spate_topic_close(topic);
    return 0;
}

/* `~topic.<owner>.<random>` whose owner is dead. */
static bool is_unfinished(struct spate_bus *bus, const char *entry)
{
    char *end;

    if (strncmp(entry, SP_UNFINISHED_PREFIX, strlen(SP_UNFINISHED_PREFIX)) != 0)
        return false;
    const char *digits = entry + strlen(SP_UNFINISHED_PREFIX);
    if (strspn(digits, "0123456789abcdef") == 0)
        return false;
    errno = 0;
    uint64_t owner = strtoull(digits, &end, 16);
    return errno == 0 && *end == '.' && !sp_registry_alive(&bus->registry, owner);
}

static void remove_unfinished(struct gc *gc)
{
    const int bus_fd = gc->bus->registry.dir_fd;
    int fd = sp_open_at(bus_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        note(gc, sp_fail(-errno, "cannot list %s: %s", gc->bus->registry.path, strerror(errno)));
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!is_unfinished(gc->bus, entry->d_name))
            continue;
        int error = sp_remove_directory(bus_fd, entry->d_name);
        if (error)
            note(gc, sp_fail(error, "cannot remove %s/%s: %s", gc->bus->registry.path, entry->d_name, strerror(-error)));
        else
            gc->result.unfinished_topics++;
    }
    closedir(directory);
}

int spate_gc(spate_bus *bus, struct spate_gc_result *ret_result)
{
    struct gc gc = {.bus = bus};

    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (bus->observe)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to clean up");
    note(&gc, spate_topic_list(bus, repair_topic, &gc));
    gc.result.wakes = sp_wake_collect(&bus->registry);
    remove_unfinished(&gc);
    gc.result.participants = sp_registry_collect(&bus->registry);
    if (ret_result)
        *ret_result = gc.result;
    return gc.error ? sp_fail(gc.error, "%s", gc.text) : 0;
}

/* ---------------------------------------------------------------------------------------------- the directory of buses */

/* A bus below the root: a directory, not one of ours for tidying, with a file `bus` in it. */
static bool is_bus(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    char file[SPATE_TOPIC_NAME_MAX + 8];
    struct stat status;
    size_t length = strlen(entry);

    if (length > SPATE_TOPIC_NAME_MAX || entry[0] == '~')
        return false;
    snprintf(file, sizeof file, "%s/bus", entry);
    if (fstatat(dir_fd, entry, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode) ||
        fstatat(dir_fd, file, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
        return false;
    memcpy(name, entry, length + 1);
    return true;
}

static bool is_gone(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    struct stat status;
    size_t length = strlen(entry);

    if (length > SPATE_TOPIC_NAME_MAX || strncmp(entry, GONE_PREFIX, strlen(GONE_PREFIX)) != 0 ||
        fstatat(dir_fd, entry, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode))
        return false;
    memcpy(name, entry, length + 1);
    return true;
}

static int open_root(const char *dir, char path[SP_PATH_SIZE], int *ret_fd)
{
    int error = sp_bus_root(dir, path);
    if (error)
        return error;
    *ret_fd = sp_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    return *ret_fd < 0 ? sp_fail(-errno, "cannot open the directory of buses %s: %s (see --dir, SPATE_DIR)", path, strerror(errno))
                       : 0;
}

int spate_bus_list(const char *dir, int (*visit)(void *, const char *name), void *context)
{
    char path[SP_PATH_SIZE];
    int fd;

    if (!visit)
        return sp_fail(-EINVAL, "visit is NULL");
    int result = open_root(dir, path, &fd);
    if (result)
        return result;
    result = sp_list_directory(fd, is_bus, visit, context);
    close(fd);
    return result;
}

struct gc_dir {
    struct gc gc;
    int root_fd;
    const char *root;
    bool all;
    int (*visit)(void *, const char *path);
    void *context;
};

/* Everything that is not the bus's own housekeeping: topics, and whatever else somebody put there. */
static bool holds_something(int bus_fd)
{
    bool found = false;
    int fd = sp_open_at(bus_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        if (fd >= 0)
            close(fd);
        return true;
    }
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "bus") != 0 &&
                strcmp(entry->d_name, "groups") != 0 && entry->d_name[0] != '~';
    closedir(directory);
    return found;
}

/* Renames a bus away that nobody can join. */
static int rename_away(struct gc_dir *gc, const char *name, char gone[64])
{
    uint64_t random;

    int error = sp_random(&random, sizeof random);
    if (error)
        return sp_fail(error, "no random bytes for a name: %s", strerror(-error));
    snprintf(gone, 64, GONE_PREFIX "%016llx", (unsigned long long)random);
    if (renameat(gc->root_fd, name, gc->root_fd, gone) < 0)
        return sp_fail(-errno, "cannot remove bus %s/%s: %s", gc->root, name, strerror(errno));
    return 0;
}

/* Removes one bus if nobody uses it. Returns 1 when it did, 0 when it is to stay, or -errno. */
static int remove_bus(struct gc_dir *gc, const char *name, int bus_fd)
{
    struct sp_lock lock;
    char gone[64];

    if (!gc->all && holds_something(bus_fd))
        return 0;
    int error = sp_registry_lock_all(bus_fd, name, &lock);
    if (error)
        return error == -EAGAIN || error == -EPROTO ? 0 : error; /* somebody lives there; another version's bus is its own affair */
    if (!gc->all && holds_something(bus_fd)) {
        sp_lock_close(&lock);
        return 0; /* a topic was made just before the locks */
    }
    error = rename_away(gc, name, gone);
    if (!error) {
        error = sp_remove_directory(gc->root_fd, gone);
        error = error ? sp_fail(error, "bus %s/%s is gone, but its files could not all be removed: %s", gc->root, name,
                                strerror(-error))
                      : 1;
    }
    sp_lock_close(&lock); /* not before: see above */
    return error;
}

static int try_to_remove(void *context, const char *name)
{
    struct gc_dir *gc = context;
    char path[SP_PATH_SIZE];

    int bus_fd = sp_open_at(gc->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (bus_fd < 0)
        return 0; /* not ours to enter, or gone */
    int result = remove_bus(gc, name, bus_fd);
    close(bus_fd);
    if (result < 0)
        note(&gc->gc, result);
    if (result <= 0)
        return 0;
    gc->gc.result.buses++;
    snprintf(path, sizeof path, "%.*s/%s", (int)(sizeof path - SPATE_TOPIC_NAME_MAX - 2), gc->root, name);
    return gc->visit ? gc->visit(gc->context, path) : 0;
}

/* What a gc that died left behind. */
static int remove_gone(void *context, const char *name)
{
    struct gc_dir *gc = context;
    int error = sp_remove_directory(gc->root_fd, name);
    if (error)
        note(&gc->gc, sp_fail(error, "cannot remove %s/%s: %s", gc->root, name, strerror(-error)));
    return 0;
}

int spate_gc_dir(const char *dir, int all, struct spate_gc_result *ret_result, int (*visit)(void *, const char *path),
                 void *context)
{
    struct gc_dir gc = {.all = all != 0, .visit = visit, .context = context};
    char path[SP_PATH_SIZE];

    int result = open_root(dir, path, &gc.root_fd);
    if (result)
        return result;
    gc.root = path;
    note(&gc.gc, sp_list_directory(gc.root_fd, is_gone, remove_gone, &gc));
    result = sp_list_directory(gc.root_fd, is_bus, try_to_remove, &gc);
    close(gc.root_fd);
    if (ret_result)
        *ret_result = gc.gc.result;
    if (result)
        return result;
    return gc.gc.error ? sp_fail(gc.gc.error, "%s", gc.gc.text) : 0;
}
