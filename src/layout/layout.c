/* layout.c: the layout checksum, the file header, the place of every region and the checks that attach makes.
 *
 * Called by creators (format, seal) and by everybody who maps a file (check). The checks treat the file as hostile input:
 * each field is copied once into a local before it is judged. */
#include "layout/layout.h"

#include <errno.h>
#include <string.h>

#include "base/align.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "layout/bus_layout.h"
#include "layout/cursors_layout.h"
#include "layout/record_layout.h"
#include "layout/ring_layout.h"
#include "layout/topic_layout.h"
#include "spate/spate.h"

#define SP_ROW(type, field, offset, width) {#type "." #field, offset, width},

static const struct {
    const char *name;
    uint32_t offset;
    uint32_t size;
} layout_rows[] = {SP_FILE_HEADER_FIELDS(SP_ROW) SP_BUS_FIELDS(SP_ROW) SP_TOPIC_FIELDS(SP_ROW) SP_RECORD_FIELDS(SP_ROW)
                       SP_RING_FIELDS(SP_ROW) SP_CURSORS_FIELDS(SP_ROW)};

uint32_t sp_layout_crc(void)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < sizeof layout_rows / sizeof layout_rows[0]; i++) {
        crc = sp_crc32c(crc, layout_rows[i].name, strlen(layout_rows[i].name));
        crc = sp_crc32c(crc, &layout_rows[i].offset, sizeof layout_rows[i].offset);
        crc = sp_crc32c(crc, &layout_rows[i].size, sizeof layout_rows[i].size);
    }
    return crc;
}

void sp_file_header_format(struct sp_file_header *header, uint64_t file_size, const uint8_t id[16], int64_t created,
                           uint32_t partition, uint32_t page_size)
{
    header->version = SP_LAYOUT_VERSION;
    header->layout_crc = sp_layout_crc();
    header->file_size = file_size;
    memcpy(header->id, id, sizeof header->id);
    header->created = created;
    header->partition = partition;
    header->page_size = page_size;
    header->unused = 0;
}

void sp_file_header_seal(struct sp_file_header *header, uint64_t magic)
{
    /* E10 format: whoever sees the magic sees everything that was formatted before */
    atomic_store_explicit(&header->magic, magic, memory_order_release);
}

int sp_file_header_check(const struct sp_file_header *header, uint64_t magic, uint64_t mapped_size, const char *path)
{
    /* E10 format */
    uint64_t found = atomic_load_explicit(&header->magic, memory_order_acquire);
    uint32_t version = header->version;
    uint32_t crc = header->layout_crc;
    uint64_t file_size = header->file_size;

    if (found != magic)
        return sp_fail(-EBADMSG,
                       "%s is not the file it should be (magic %016llx, expected %016llx): it is foreign, unfinished or "
                       "damaged; a topic: `spate topic delete --force`; a bus: remove its directory when nobody uses it",
                       path, (unsigned long long)found, (unsigned long long)magic);
    if (version != SP_LAYOUT_VERSION)
        return sp_fail(-EPROTO,
                       "%s has layout version %u, this build (%s) understands version %u: use the build that made it, or "
                       "remove the bus directory when nobody uses it, and make it anew",
                       path, version, spate_version(), SP_LAYOUT_VERSION);
    if (crc != sp_layout_crc())
        return sp_fail(-EPROTO,
                       "%s says layout version %u like this build, but its layout checksum is %08x, not %08x: it was made by a "
                       "modified build; use that one, or remove the bus directory when nobody uses it",
                       path, version, crc, sp_layout_crc());
    if (file_size != mapped_size)
        return sp_fail(
            -EBADMSG,
            "%s is truncated or was extended: %llu bytes, its header says %llu; delete the topic (`spate topic delete --force`)",
            path, (unsigned long long)mapped_size, (unsigned long long)file_size);
    return 0;
}

struct sp_bus_regions sp_bus_regions(uint32_t participants_max, uint32_t wakes_max, uint32_t page_size)
{
    struct sp_bus_regions regions;
    regions.participants = sizeof(struct sp_bus_header);
    regions.wakes = regions.participants + (uint64_t)participants_max * sizeof(struct sp_participant);
    regions.file_size = sp_align_up(regions.wakes + (uint64_t)wakes_max * sizeof(struct sp_wake), page_size);
    return regions;
}

static int is_page_size(uint32_t size)
{
    return sp_is_power_of_two(size) && size >= 4096 && size <= (1u << 30);
}

int sp_bus_header_check(const struct sp_bus_header *header, uint64_t mapped_size, const char *path)
{
    uint32_t participants = header->participants_max, wakes = header->wakes_max, counters = header->counters_count;
    uint32_t page_size = header->file.page_size;
    if (!is_page_size(page_size) || participants < 1 || participants > SP_PARTICIPANTS_MAX ||
        wakes != participants * SP_WAKES_PER_PARTICIPANT || counters > SP_COUNTER_DESCRIPTORS_MAX ||
        sp_bus_regions(participants, wakes, page_size).file_size != mapped_size)
        return sp_fail(-EBADMSG,
                       "%s: header is damaged (%u participants, %u wake slots, %u counters in %llu bytes); remove its directory "
                       "when nobody uses it",
                       path, participants, wakes, counters, (unsigned long long)mapped_size);
    return 0;
}

static int is_log_config(const struct sp_topic_file *topic)
{
    return topic->durable <= 1 &&
           (!topic->durable || (topic->flush <= SPATE_FLUSH_EACH && topic->compression <= SPATE_COMPRESSION_LZ4 &&
                                topic->cleanup >= 1 && topic->cleanup <= (SPATE_CLEANUP_DELETE | SPATE_CLEANUP_COMPACT) &&
                                topic->segment_size >= SPATE_SEGMENT_MIN && topic->segment_size <= SPATE_SEGMENT_MAX));
}

int sp_topic_file_check(const struct sp_topic_file *topic, const char *path)
{
    uint32_t partitions = topic->partitions, mode = topic->mode, alignment = topic->alignment;
    uint64_t capacity = topic->ring_capacity;
    if (partitions < 1 || partitions > SPATE_PARTITIONS_MAX || mode > SPATE_MODE_EXCLUSIVE ||
        topic->timestamp > SPATE_TIMESTAMP_NONE || !sp_is_power_of_two(alignment) || alignment < 8 || alignment > 128 ||
        !sp_is_power_of_two(capacity) || capacity < SPATE_RING_MIN || capacity > SPATE_RING_MAX || topic->producers_max < 1 ||
        topic->producers_max > 1024 || topic->consumers_max < 1 || topic->consumers_max > 4096 ||
        memchr(topic->name, 0, sizeof topic->name) == NULL || !is_log_config(topic))
        return sp_fail(-EBADMSG,
                       "%s: topic configuration is damaged (%u partitions, mode %u, alignment %u, ring %llu); delete the topic "
                       "(`spate topic delete --force`)",
                       path, partitions, mode, alignment, (unsigned long long)capacity);
    return 0;
}

struct sp_ring_regions sp_ring_regions(uint32_t producers_max, uint64_t capacity, uint32_t page_size)
{
    struct sp_ring_regions regions;
    regions.producers = SP_RING_HEADER_SIZE;
    regions.data = sp_align_up(regions.producers + (uint64_t)producers_max * sizeof(struct sp_producer_slot), page_size);
    regions.file_size = regions.data + capacity;
    return regions;
}

uint64_t sp_ring_payload_max(uint64_t capacity)
{
    return sp_min(capacity / 4, (uint64_t)1 << 30);
}

uint64_t sp_ring_record_size_max(uint64_t capacity)
{
    return sp_ring_payload_max(capacity) + SP_RECORD_OVERHEAD_MAX;
}

uint64_t sp_ring_chunk_size(uint64_t capacity)
{
    return sp_min(capacity / 16, SP_CHUNK_SIZE_MAX);
}

int sp_ring_header_check(const struct sp_ring_header *header, uint64_t file_size, const char *path)
{
    uint64_t capacity = header->capacity, data = header->data_offset;
    uint32_t producers = header->producers_max, shift = header->unit_shift, page_size = header->file.page_size;
    int ok = sp_is_power_of_two(capacity) && capacity >= SPATE_RING_MIN && capacity <= SPATE_RING_MAX && producers >= 1 &&
             producers <= 1024 && shift >= 3 && shift <= 7 && header->mode <= SPATE_MODE_EXCLUSIVE &&
             header->timestamp <= SPATE_TIMESTAMP_NONE && is_page_size(page_size) &&
             header->record_size_max == sp_ring_record_size_max(capacity) && header->chunk_size == sp_ring_chunk_size(capacity) &&
             header->durable <= 1;
    if (ok) {
        struct sp_ring_regions regions = sp_ring_regions(producers, capacity, page_size);
        ok = regions.data == data && regions.file_size == file_size;
    }
    if (!ok)
        return sp_fail(-EBADMSG,
                       "%s: ring header is damaged (capacity %llu, %u producers, data at %llu, file %llu bytes); delete the topic "
                       "(`spate topic delete --force`)",
                       path, (unsigned long long)capacity, producers, (unsigned long long)data, (unsigned long long)file_size);
    return 0;
}

uint64_t sp_cursors_file_size(uint32_t consumers_max, uint32_t page_size)
{
    return sp_align_up(sizeof(struct sp_cursors_header) + (uint64_t)consumers_max * sizeof(struct sp_cursor), page_size);
}

int sp_cursors_header_check(const struct sp_cursors_header *header, uint64_t file_size, const char *path)
{
    uint32_t consumers = header->consumers_max, page_size = header->file.page_size;
    if (consumers < 1 || consumers > 4096 || !is_page_size(page_size) || sp_cursors_file_size(consumers, page_size) != file_size)
        return sp_fail(
            -EBADMSG, "%s: cursors header is damaged (%u consumers in %llu bytes); delete the topic (`spate topic delete --force`)",
            path, consumers, (unsigned long long)file_size);
    return 0;
}
