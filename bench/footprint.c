/* footprint.c: counts the blocks of a topic's files.
 *
 * Called by targets. Owns nothing between calls. */
#include "footprint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/tool.h"
#include "temporary.h"

static const char *const topics[] = {"idle", NULL};

/* Of the regular files in a directory. */
static int sum_blocks(const char *path, double *ret_bytes)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    struct stat file;

    if (!directory)
        return tool_error("cannot look into %s: %s", path, strerror(errno));
    *ret_bytes = 0;
    while ((entry = readdir(directory)) != NULL)
        if (fstatat(dirfd(directory), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(file.st_mode))
            *ret_bytes += (double)file.st_blocks * 512;
    closedir(directory);
    return 0;
}

int footprint_measure(uint64_t ring, double *ret_bytes)
{
    char bus[TEMPORARY_PATH_SIZE], path[TEMPORARY_PATH_SIZE + 8];
    struct spate_topic_config config;

    spate_topic_config_init(&config);
    config.ring_capacity = ring;
    int error = temporary_create(bus, topics, &config);
    if (!error) {
        snprintf(path, sizeof path, "%s/%s", bus, topics[0]);
        error = sum_blocks(path, ret_bytes);
    }
    temporary_remove(bus, topics);
    return error;
}
