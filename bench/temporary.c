/* temporary.c: making and removing the buses of measurements.
 *
 * Called by flow.c, bounce.c and paced.c. Owns nothing. */
#include "temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tool.h"

int temporary_create(char path[TEMPORARY_PATH_SIZE], const char *const *topics, const struct spate_topic_config *config)
{
    const char *dir = getenv("SPATE_DIR");
    spate_bus *bus = NULL;

    snprintf(path, TEMPORARY_PATH_SIZE, "%s/spate-bench.XXXXXX", dir && *dir ? dir : "/dev/shm");
    if (!mkdtemp(path)) {
        int status = tool_error("cannot make %s: %s", path, strerror(errno));
        *path = 0;
        return status;
    }
    int error = spate_bus_open(path, NULL, &bus);
    for (; !error && *topics; topics++)
        error = spate_topic_create(bus, *topics, config);
    spate_bus_close(bus);
    return error ? tool_failed(error, "cannot prepare a topic") : 0;
}

int temporary_create_plain(char path[TEMPORARY_PATH_SIZE], const char *const *topics, uint32_t mode, uint64_t ring)
{
    struct spate_topic_config config;

    spate_topic_config_init(&config);
    config.mode = mode;
    config.ring_capacity = ring;
    config.timestamp = SPATE_TIMESTAMP_NONE;
    return temporary_create(path, topics, &config);
}

void temporary_remove(const char *path, const char *const *topics)
{
    char file[TEMPORARY_PATH_SIZE + 16];
    spate_bus *bus;

    if (!*path)
        return;
    if (spate_bus_open(path, NULL, &bus) == 0) {
        for (; *topics; topics++)
            (void)spate_topic_delete(bus, *topics, SPATE_DELETE_FORCE);
        spate_bus_close(bus);
    }
    snprintf(file, sizeof file, "%s/~wake", path);
    (void)rmdir(file);
    snprintf(file, sizeof file, "%s/bus", path);
    (void)unlink(file);
    (void)rmdir(path);
}

int temporary_open(const char *path, const char *topic, spate_bus **ret_bus, spate_topic **ret_topic)
{
    int error = spate_bus_open(path, NULL, ret_bus);
    return error ? error : spate_topic_open(*ret_bus, topic, ret_topic);
}
