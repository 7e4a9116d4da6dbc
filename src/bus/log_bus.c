/* log_bus.c: a log directory opened in place of a bus (SPATE_BUS_LOG): no shared memory, no daemon, nobody else.
 *
 * All that the rest of src/bus works on is there, in memory of this process: a bus file with one participant, a topic file made from the
 * log's, and for each partition a ring of the smallest size that is empty and begins where the log ends. So a consumer reads the log like
 * that of any other topic, comes to its end, enters the ring, and waits there for what never comes. Where the log ends is found as
 * recovery finds it; nothing on disk is changed. Any thread; locks of the topic as elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "bus/internal.h"
#include "log/log.h"
#include "ring/extent.h"
#include "shm/descriptor.h"

#define CONSUMERS 64u

static int map_private(uint64_t size, struct sp_map *ret)
{
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
        return sp_fail(-ENOMEM, "no memory to read a log");
    *ret = (struct sp_map){address, size};
    return 0;
}

int sp_log_bus_open(struct sp_registry *registry, const char *path)
{
    const uint32_t page_size = 4096;
    const struct sp_bus_regions regions = sp_bus_regions(1, 0, page_size);

    *registry = (struct sp_registry){.dir_fd = -1, .lock.fd = -1};
    registry->dir_fd = sp_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (registry->dir_fd < 0)
        return sp_fail(-errno, "cannot open the log directory %s: %s", path, strerror(errno));
    registry->path = strdup(path);
    int error = registry->path ? map_private(regions.file_size, &registry->map) : -ENOMEM;
    if (error) {
        sp_registry_close(registry);
        return error;
    }
    registry->header = registry->map.address;
    registry->header->mode = 0600;
    registry->participants = (struct sp_participant *)(void *)((uint8_t *)registry->map.address + regions.participants);
    registry->participants_max = 1;
    registry->owner = (uint64_t)1 << SP_OWNER_SLOT_BITS;
    return 0;
}

static int read_topic(const struct spate_topic *topic, const char *name, struct sp_log_topic *ret,
                      struct spate_topic_config *ret_config)
{
    const int fd = sp_open_plain(topic->dir_fd, "topic");
    const int error = fd < 0 ? fd : sp_read_fully(fd, ret, sizeof *ret, 0);

    if (fd >= 0)
        close(fd);
    if (error && error != -ENODATA)
        return sp_fail(error, "cannot read %s/%s/topic: %s%s", topic->bus->registry.path, name,
                       error == -EBADMSG ? "it is not a plain file" : strerror(-error),
                       error == -ENOENT ? "; it is not the log of a topic" : "");
    const char *reason = error ? "it is too short" : sp_log_topic_take(ret, ret_config);
    return reason ? sp_fail(-EBADMSG, "%s/%s/topic: %s", topic->bus->registry.path, name, reason) : 0;
}

int sp_log_bus_topic(struct spate_topic *topic, const char *name)
{
    struct sp_log_topic stored = {0};
    struct spate_topic_config config;

    int error = read_topic(topic, name, &stored, &config);
    if (!error)
        error = map_private(sizeof(struct sp_topic_file), &topic->map);
    if (error)
        return error;
    struct sp_topic_file *file = topic->map.address;
    *file = (struct sp_topic_file){
        .partitions = config.partitions,
        .ring_capacity = config.ring_capacity,
        .mode = config.mode,
        .alignment = config.alignment,
        .timestamp = config.timestamp,
        .producers_max = config.producers_max,
        .consumers_max = config.consumers_max,
        .numa_node = config.numa_node,
        .huge_pages = config.huge_pages,
        .uid = (uint32_t)config.uid,
        .gid = (uint32_t)config.gid,
        .ring_file_mode = stored.producer_mode,
        .cursors_file_mode = stored.consumer_mode,
        .durable = 1,
        .flush = config.flush,
        .compression = config.compression,
        .flush_interval = config.flush_interval,
        .cleanup = config.cleanup,
        .segment_size = config.segment_size,
        .segment_age = config.segment_age,
        .retention_size = config.retention_size,
        .retention_time = config.retention_time,
        .tombstone_delay = config.tombstone_delay,
    };
    sp_file_header_format(&file->file, sizeof *file, stored.id, stored.created, 0, 4096);
    memcpy(file->name, stored.name, sizeof file->name);
    topic->file = file;
    return sp_topic_file_check(file, name);
}

/* The end of a partition's log, and its first offset. A partition that was never written has none. */
static int find_log(const struct spate_topic *topic, uint32_t partition, struct sp_place *ret_end, uint64_t *ret_first)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    struct sp_log log;

    sp_topic_directory(topic->info.name, directory);
    *ret_end = (struct sp_place){0, 0};
    *ret_first = 0;
    int error = sp_log_open(&log, topic->bus->registry.dir_fd, directory, partition, topic->info.id);
    if (error)
        return error == -ENOENT ? 0 : error;
    error = sp_log_end(&log, ret_end);
    if (!error)
        error = sp_log_first(&log, ret_first);
    sp_log_close(&log);
    return error == -ENODATA ? 0 : error;
}

int sp_log_bus_attach(struct spate_topic *topic, uint32_t partition, struct sp_attachment *attachment)
{
    const uint32_t page_size = 4096;
    const struct sp_ring_regions regions = sp_ring_regions(1, SPATE_RING_MIN, page_size);
    struct sp_place end;
    uint64_t first;

    int error = find_log(topic, partition, &end, &first);
    if (!error)
        error = map_private(regions.data, &attachment->header_map);
    if (!error)
        error = map_private(2 * SPATE_RING_MIN, &attachment->data_map);
    if (!error)
        error = map_private(sp_cursors_file_size(CONSUMERS, page_size), &attachment->cursors_map);
    if (error)
        return error;
    const struct sp_ring_config config = {
        .capacity = SPATE_RING_MIN,
        .salt = UINT64_C(1) << 63, /* zeroed memory is no record */
        .mode = SPATE_MODE_CONCURRENT,
        .unit_shift = (uint32_t)__builtin_ctz(topic->info.alignment),
        .timestamp = topic->info.timestamp,
        .producers_max = 1,
        .page_size = page_size,
        .is_durable = true,
        .begin = end,
    };
    struct sp_ring_header *header = attachment->header_map.address;
    struct sp_cursors_header *cursors = attachment->cursors_map.address;
    sp_ring_format(header, &config);
    cursors->consumers_max = CONSUMERS;
    struct sp_ring *ring = &attachment->ring;
    sp_ring_init(ring, header, attachment->data_map.address, cursors);
    ring->record_size_max = sp_ring_record_size_max(topic->info.ring_capacity); /* of the records in the log */
    sp_log_advance(ring, SP_LOG_WRITTEN, end);
    sp_log_advance(ring, SP_LOG_DURABLE, end);
    sp_log_start_set(ring, first);
    return 0;
}
