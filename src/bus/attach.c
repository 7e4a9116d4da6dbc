/* attach.c: partitions as memory: mapped, checked, shared between the handles of one process; and their lock and repair.
 *
 * Called when a producer or consumer first touches a partition, by slow paths that need the ring lock, and by inspection. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/error.h"
#include "bus/internal.h"
#include "bus/path.h"
#include "shm/descriptor.h"

static int check_identity(const struct spate_topic *topic, uint32_t partition, const struct sp_file_header *header,
                          const char *path)
{
    if (memcmp(header->id, topic->info.id, sizeof header->id) != 0 || header->partition != partition)
        return sp_fail(-EBADMSG,
                       "%s belongs to another topic or partition (somebody copied or renamed it): delete the topic (`spate topic "
                       "delete --force`)",
                       path);
    return 0;
}

static int map_ring(struct spate_topic *topic, uint32_t partition, bool writable, struct sp_attachment *attachment)
{
    char name[32], path[SP_PATH_SIZE];
    struct sp_map whole = {0};

    snprintf(name, sizeof name, "%u.ring", partition);
    snprintf(path, sizeof path, "%s/%s", topic->bus->registry.path, topic->info.name);
    /* The whole file once, to check it; then header and mirrored data, which is how it stays. */
    int error = sp_map_file(topic->dir_fd, name, writable, SP_RING_HEADER_SIZE, path, &whole);
    snprintf(path, sizeof path, "%s/%s/%s", topic->bus->registry.path, topic->info.name, name);
    if (error)
        return error;
    const struct sp_ring_header *header = whole.address;
    error = sp_file_header_check(&header->file, SP_RING_MAGIC, whole.size, path);
    if (!error)
        error = sp_ring_header_check(header, whole.size, path);
    if (!error)
        error = check_identity(topic, partition, &header->file, path);
    struct sp_ring_regions regions = {0};
    uint64_t capacity = header->capacity;
    uint32_t page_size = header->file.page_size;
    if (!error)
        regions = sp_ring_regions(header->producers_max, capacity, page_size);
    /* what was checked is now in locals; a header that changes under us must not matter */
    if (!error && (regions.file_size != whole.size || capacity != topic->info.ring_capacity))
        error = sp_fail(
            -EBADMSG,
            "%s does not fit its topic (ring of %llu bytes, topic says %llu): delete the topic (`spate topic delete --force`)",
            path, (unsigned long long)capacity, (unsigned long long)topic->info.ring_capacity);
    int fd = error ? -1 : sp_open_at(topic->dir_fd, name, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW, 0);
    if (!error && fd < 0)
        error = sp_fail(-errno, "cannot open %s: %s", path, strerror(errno));
    if (!error)
        error = sp_map_mirror(fd, regions.data, capacity, page_size, writable, &attachment->data_map);
    if (fd >= 0)
        close(fd);
    if (error) {
        sp_unmap(&whole);
        return error;
    }
    attachment->header_map = whole;
    return 0;
}

#define TOUCH_MAX ((uint64_t)256 << 20) /* bytes, of all rings of a topic handle */
#define TOUCH_MIRROR ((uint64_t)64 << 10)

static int attach(struct spate_topic *topic, uint32_t partition, enum sp_access access, struct sp_attachment *attachment)
{
    char name[32], path[SP_PATH_SIZE];

    if (topic->bus->is_log)
        return sp_log_bus_attach(topic, partition, attachment);
    int error = map_ring(topic, partition, access == SP_ACCESS_PRODUCE, attachment);
    if (error)
        return error;
    snprintf(name, sizeof name, "%u.cursors", partition);
    snprintf(path, sizeof path, "%s/%s", topic->bus->registry.path, topic->info.name);
    error = sp_map_file(topic->dir_fd, name, access != SP_ACCESS_OBSERVE, sizeof(struct sp_cursors_header), path,
                        &attachment->cursors_map);
    snprintf(path, sizeof path, "%s/%s/%s", topic->bus->registry.path, topic->info.name, name);
    if (error)
        return error;
    struct sp_cursors_header *cursors = attachment->cursors_map.address;
    error = sp_file_header_check(&cursors->file, SP_CURSORS_MAGIC, attachment->cursors_map.size, path);
    if (!error)
        error = sp_cursors_header_check(cursors, attachment->cursors_map.size, path);
    if (!error)
        error = check_identity(topic, partition, &cursors->file, path);
    if (error)
        return error;
    struct sp_ring *ring = &attachment->ring;
    sp_ring_init(ring, attachment->header_map.address, attachment->data_map.address, cursors);
    /* sp_ring_init read the header again: what it took must still be what was checked */
    if (2 * ring->capacity != attachment->data_map.size || ring->producers_max != topic->info.producers_max ||
        ring->unit_shift > 7 || ring->consumers_max != topic->info.consumers_max || ring->mode != topic->info.mode ||
        ring->record_size_max != sp_ring_record_size_max(ring->capacity) ||
        ring->chunk_size != sp_ring_chunk_size(ring->capacity) || 1u << ring->unit_shift != topic->info.alignment)
        return sp_fail(
            -EBADMSG,
            "%s and its topic disagree, or its ring changed while it was opened: delete the topic (`spate topic delete --force`)",
            path);
    return 0;
}

/* Page table entries for whoever will write or read here, but not for gigabytes: they cost time now, and at the death of the process,
 * which others wait for. The mirror is entered by one record a lap, and by what follows it up to the next look. */
static void touch(struct spate_topic *topic, enum sp_access access, struct sp_attachment *attachment)
{
    const uint64_t size = attachment->ring.capacity + sp_min(attachment->ring.capacity, TOUCH_MIRROR);

    if (access == SP_ACCESS_OBSERVE || topic->touched + size > TOUCH_MAX)
        return;
    attachment->touched = size;
    topic->touched += size;
    sp_map_touch(&attachment->data_map, size, access == SP_ACCESS_PRODUCE);
}

static void unmap(struct sp_attachment *attachment)
{
    sp_unmap(&attachment->header_map);
    sp_unmap(&attachment->data_map);
    sp_unmap(&attachment->cursors_map);
    free(attachment);
}

/* A file of the partition is not there: with the whole topic, or alone? */
static int file_is_missing(const struct spate_topic *topic, uint32_t partition)
{
    /* E11 owner: the mark comes before any file goes */
    if (atomic_load_explicit(&topic->file->state, memory_order_acquire) != SP_STATE_LIVE)
        return sp_fail(-ESTALE, "topic %s was deleted: open it anew", topic->info.name);
    return sp_fail(-EBADMSG, "topic %s misses a file of partition %u: delete it (`spate topic delete --force`)", topic->info.name,
                   partition);
}

int sp_attach(struct spate_topic *topic, uint32_t partition, enum sp_access access, struct sp_attachment **ret)
{
    int error = 0;

    pthread_mutex_lock(&topic->mutex);
    struct sp_attachment *attachment = topic->attachments[access][partition];
    if (!attachment) {
        attachment = calloc(1, sizeof *attachment);
        error = attachment ? attach(topic, partition, access, attachment) : sp_fail(-ENOMEM, "no memory for an attachment");
        if (error == -ENOENT)
            error = file_is_missing(topic, partition);
        if (error) {
            if (attachment)
                unmap(attachment);
            goto out;
        }
        topic->attachments[access][partition] = attachment;
        touch(topic, access, attachment);
    }
    attachment->references++;
    *ret = attachment;
out:
    pthread_mutex_unlock(&topic->mutex);
    return error;
}

void sp_detach(struct spate_topic *topic, uint32_t partition, enum sp_access access)
{
    pthread_mutex_lock(&topic->mutex);
    struct sp_attachment *attachment = topic->attachments[access][partition];
    if (--attachment->references == 0) {
        topic->attachments[access][partition] = NULL;
        topic->touched -= attachment->touched;
        unmap(attachment);
    }
    pthread_mutex_unlock(&topic->mutex);
}

int sp_ring_lock(struct spate_topic *topic, uint32_t partition, int64_t timeout, struct sp_lock *ret)
{
    char name[32];

    if (topic->bus->is_log) { /* there is nobody else */
        ret->fd = -1;
        return 0;
    }
    snprintf(name, sizeof name, "%u.cursors", partition);
    int error = sp_lock_open(ret, topic->dir_fd, name, O_RDWR);
    if (error == -ENOENT)
        return file_is_missing(topic, partition);
    if (error)
        return sp_fail(error, "cannot open %s of topic %s to lock it: %s", name, topic->info.name, strerror(-error));
    error = sp_lock_wait(ret, 0, timeout);
    if (error) {
        sp_lock_close(ret);
        return sp_fail(error,
                       "the lock of topic %s, partition %u was not to be had in %lld ms: its holder is stopped (see `spate stat`)",
                       topic->info.name, partition, (long long)(timeout / SP_NS_PER_MS));
    }
    return 0;
}

void sp_ring_unlock(struct sp_lock *lock)
{
    sp_lock_close(lock);
}

int sp_partition_repair(struct spate_topic *topic, uint32_t partition, struct sp_attachment *attachment, int64_t timeout,
                        struct sp_repair_result *ret)
{
    struct sp_ring_header *header = attachment->ring.header;
    struct sp_lock lock;

    int error = sp_ring_lock(topic, partition, timeout, &lock);
    if (error)
        return error;
    const int64_t start = sp_clock_monotonic();
    /* relaxed: a note for `spate stat`, nobody decides by it */
    atomic_store_explicit(&header->repairer, topic->bus->registry.owner, memory_order_relaxed);
    sp_ring_repair(&attachment->ring, sp_bus_liveness(topic->bus), ret);
    atomic_store_explicit(&header->repairer, 0, memory_order_relaxed); /* relaxed: as above */
    if (ret->producers + ret->consumers) {
        uint64_t took = (uint64_t)(sp_clock_monotonic() - start);
        sp_count(&header->counters[SP_RING_REPAIR_NS], took);
        /* relaxed: under the ring lock there is one writer */
        if (took > atomic_load_explicit(&header->counters[SP_RING_REPAIR_NS_MAX], memory_order_relaxed))
            atomic_store_explicit(&header->counters[SP_RING_REPAIR_NS_MAX], took, memory_order_relaxed); /* relaxed: as above */
    }
    sp_ring_unlock(&lock);
    return 0;
}
