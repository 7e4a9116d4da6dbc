/* remove.c: removing topic and bus directories.
 *
 * Called by topic deletion, failed creations, and gc. */
#include "bus/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "shm/descriptor.h"

void sp_tombstone_name(const uint8_t id[16], char name[64])
{
    int size = snprintf(name, 64, SP_TOMBSTONE_PREFIX);
    for (int i = 0; i < 16; i++)
        size += snprintf(name + size, 64 - (size_t)size, "%02x", id[i]);
}

int sp_unfinished_name(const struct spate_bus *bus, char name[64])
{
    uint64_t random;
    int error = sp_random(&random, sizeof random);
    if (error)
        return sp_fail(error, "no random bytes for a name: %s", strerror(-error));
    snprintf(name, 64, SP_UNFINISHED_PREFIX "%llx.%016llx", (unsigned long long)bus->registry.owner, (unsigned long long)random);
    return 0;
}

static int remove_tree(int dir_fd, const char *name, int depth)
{
    int error = 0;
    int fd = sp_open_at(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (!directory) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        if ((errno == EISDIR || errno == EPERM) && depth > 0)
            error = remove_tree(fd, entry->d_name, depth - 1);
        else
            error = -errno;
        if (error && error != -ENOENT)
            break;
    }
    closedir(directory);
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && (!error || error == -ENOENT))
        error = -errno;
    return error == -ENOENT ? 0 : error;
}

int sp_remove_directory(int dir_fd, const char *name)
{
    return remove_tree(dir_fd, name, 2);
}

static bool is_same(int dir_fd, int parent_fd, const char *name)
{
    struct stat ours, named;
    return fstat(dir_fd, &ours) == 0 && fstatat(parent_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

bool sp_topic_directory_is(const struct spate_bus *bus, const char *topic, int dir_fd)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    sp_topic_directory(topic, directory);
    return is_same(dir_fd, bus->registry.dir_fd, directory);
}

int sp_remove_topic_directory(struct spate_bus *bus, const char *topic, int dir_fd)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8], away[64];

    sp_topic_directory(topic, directory);
    int error = sp_unfinished_name(bus, away);
    if (error)
        return error;
    if (!is_same(dir_fd, bus->registry.dir_fd, directory))
        return sp_fail(-ENOENT, "topic %s was deleted just now", topic);
    if (renameat(bus->registry.dir_fd, directory, bus->registry.dir_fd, away) < 0)
        return sp_fail(-errno, "cannot remove topic %s: %s", topic, strerror(errno));
    if (!is_same(dir_fd, bus->registry.dir_fd, away)) { /* it changed hands between the two: give it back */
        (void)renameat2(bus->registry.dir_fd, away, bus->registry.dir_fd, directory, RENAME_NOREPLACE);
        return sp_fail(-ENOENT, "topic %s was deleted just now", topic);
    }
    error = sp_remove_directory(bus->registry.dir_fd, away);
    return error ? sp_fail(error, "topic %s is gone, but its files could not all be removed: %s (try `spate gc`)", topic,
                           strerror(-error))
                 : 0;
}
