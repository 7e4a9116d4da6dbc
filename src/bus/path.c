/* path.c: from names and environment to directories, and from topic names to the directories that hold them.
 *
 * Called by bus.c, topic.c and the inspection functions. */
#include "bus/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bus/internal.h"

int sp_bus_root(const char *dir, char path[SP_PATH_SIZE])
{
    const char *root = dir && *dir ? dir : getenv("SPATE_DIR");
    if (!root || !*root)
        root = SP_DEFAULT_ROOT;
    if ((size_t)snprintf(path, SP_PATH_SIZE, "%s", root) >= SP_PATH_SIZE - SPATE_TOPIC_NAME_MAX - 64)
        return sp_fail(-EINVAL, "the bus root is longer than a path may be");
    return 0;
}

static bool is_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= SPATE_TOPIC_NAME_MAX && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

int sp_bus_path(const char *name, const char *dir, char path[SP_PATH_SIZE])
{
    char root[SP_PATH_SIZE];

    if (!name || !*name)
        name = getenv("SPATE_BUS");
    if (!name || !*name)
        name = "default";
    if (strchr(name, '/')) {
        if ((size_t)snprintf(path, SP_PATH_SIZE, "%s", name) >= SP_PATH_SIZE - SPATE_TOPIC_NAME_MAX - 64)
            return sp_fail(-EINVAL, "the bus path is longer than a path may be");
        return 0;
    }
    if (!is_name(name))
        return sp_fail(-EINVAL, "\"%s\" is not a bus name: 1 to %d of a-z A-Z 0-9 . _ - (or a path with a '/')", name,
                       SPATE_TOPIC_NAME_MAX);
    int error = sp_bus_root(dir, root);
    if (!error && (size_t)snprintf(path, SP_PATH_SIZE, "%s/%s", root, name) >= SP_PATH_SIZE)
        error = sp_fail(-EINVAL, "the bus path is longer than a path may be");
    return error;
}

int sp_topic_name_check(const char *name)
{
    if (!name)
        return sp_fail(-EINVAL, "the topic name is NULL");
    if (!is_name(name))
        return sp_fail(-EINVAL, "\"%.64s\" is not a topic name: 1 to %d of a-z A-Z 0-9 . _ -, and not \".\" or \"..\"", name,
                       SPATE_TOPIC_NAME_MAX);
    return 0;
}

/* Files of the bus itself; topics of these names live in a directory with a '~' behind, which no topic name has. */
static const char *const reserved[] = {"bus", "groups"};

void sp_topic_directory(const char *name, char directory[SPATE_TOPIC_NAME_MAX + 8])
{
    bool is_reserved = false;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        is_reserved |= strcmp(name, reserved[i]) == 0;
    snprintf(directory, SPATE_TOPIC_NAME_MAX + 8, "%s%s", name, is_reserved ? "~" : "");
}

bool sp_topic_of_directory(const char *directory, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    char back[SPATE_TOPIC_NAME_MAX + 8];
    size_t length = strlen(directory);

    if (length > SPATE_TOPIC_NAME_MAX)
        return false;
    memcpy(name, directory, length + 1);
    if (length > 0 && name[length - 1] == '~')
        name[length - 1] = 0;
    if (!is_name(name))
        return false;
    sp_topic_directory(name, back);
    return strcmp(back, directory) == 0;
}
