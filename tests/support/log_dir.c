/* log_dir.c: see log_dir.h: segments, indexes, frontiers and topic files, byte by byte.
 *
 * Linked to every test executable, and included by fuzz targets, so it needs nothing but the library under test and libc. */
#include "log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "layout/record_layout.h"
#include "layout/ring_layout.h"
#include "ring/record.h"

#define ROOM ((uint64_t)16 << 20) /* of a segment, and of a block */

static void need(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "log_dir: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static void write_file(const char *path, const void *bytes, uint64_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    need(fd >= 0, path);
    for (uint64_t done = 0; done < size;) {
        const ssize_t wrote = write(fd, (const uint8_t *)bytes + done, size - done);
        need(wrote > 0, path);
        done += (uint64_t)wrote;
    }
    close(fd);
}

void log_dir_open(struct log_dir *dir, const char *path)
{
    static const uint8_t id[16] = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    const char *where = getenv("TMPDIR");
    char name[sizeof dir->path + 32];

    *dir = (struct log_dir){.unit_shift = 4,
                            .record_max = sp_ring_record_size_max(4 << 20),
                            .stamp_salt = 0xc0c1c2c3c4c5c6c7,
                            .segment_salt = 0xd0d1d2d3d4d5d6d7,
                            .created = 1700000000000000000};
    memcpy(dir->id, id, sizeof id);
    if (path)
        snprintf(dir->path, sizeof dir->path, "%s", path);
    else
        snprintf(dir->path, sizeof dir->path, "%.200s/spate-log.XXXXXX", where ? where : "/tmp");
    need(path ? mkdir(path, 0755) == 0 || errno == EEXIST : mkdtemp(dir->path) != NULL, dir->path);
    snprintf(name, sizeof name, "%s/" LOG_DIR_TOPIC, dir->path);
    need(mkdir(name, 0755) == 0 || errno == EEXIST, name);
    snprintf(name, sizeof name, "%s/" LOG_DIR_TOPIC "/0", dir->path);
    need(mkdir(name, 0755) == 0 || errno == EEXIST, name);
    dir->bytes = malloc(ROOM);
    dir->pending = malloc(ROOM);
    need(dir->bytes && dir->pending, "no memory");
}

void log_dir_drop(struct log_dir *dir)
{
    free(dir->bytes);
    free(dir->pending);
    dir->bytes = dir->pending = NULL;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void log_dir_close(struct log_dir *dir)
{
    log_dir_drop(dir);
    need(nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0, dir->path);
}

/* ------------------------------------------------------------------------------------------------------------ segments */

void log_dir_begin(struct log_dir *dir)
{
    dir->identity = (struct sp_segment_identity){.partition = dir->partition,
                                                 .unit_shift = dir->unit_shift,
                                                 .base_offset = dir->next.offset,
                                                 .salt = dir->segment_salt + dir->next.offset,
                                                 .stamp_salt = dir->stamp_salt,
                                                 .created = dir->created,
                                                 .record_max = dir->record_max};
    memcpy(dir->identity.topic_id, dir->id, sizeof dir->id);
    sp_segment_header_make((struct sp_segment_header *)(void *)dir->bytes, &dir->identity);
    dir->size = sizeof(struct sp_segment_header);
    dir->previous = dir->identity.crc;
    dir->blocks_count = dir->entries_count = 0;
    dir->max_timestamp = INT64_MIN;
}

void log_dir_finish(struct log_dir *dir)
{
    struct {
        struct sp_index_header header;
        struct sp_index_entry entries[LOG_DIR_BLOCKS];
    } index = {.header = {.count = dir->entries_count,
                          .segment_size = dir->size,
                          .salt = dir->identity.salt,
                          .max_timestamp = dir->max_timestamp,
                          .next_offset = dir->next.offset}};

    write_file(log_dir_name(dir, dir->identity.base_offset, "log"), dir->bytes, dir->size);
    memcpy(index.entries, dir->entries, sizeof index.entries);
    sp_index_seal(&index.header, index.entries);
    write_file(log_dir_name(dir, dir->identity.base_offset, "index"), &index,
               sizeof index.header + dir->entries_count * sizeof index.entries[0]);
}

/* --------------------------------------------------------------------------------------------------- records and blocks */

static void begin_block(struct log_dir *dir)
{
    if (dir->pending_header.count == 0)
        dir->pending_header = (struct sp_block_header){.base_offset = dir->next.offset, .position = dir->next.position};
}

static void append(struct log_dir *dir, uint64_t size, uint32_t count)
{
    dir->pending_size += (uint32_t)size;
    dir->pending_header.count += count;
    dir->next.position += size;
    dir->next.offset += count;
}

static void stamp(struct log_dir *dir, uint8_t *at)
{
    atomic_store_explicit(&((struct sp_record_header *)(void *)at)->stamp, sp_stamp(dir->next.offset, dir->stamp_salt),
                          memory_order_relaxed); /* relaxed: nobody else sees it */
}

void log_dir_record(struct log_dir *dir, const struct spate_record *record)
{
    struct sp_record_shape shape;

    begin_block(dir);
    uint8_t *at = dir->pending + dir->pending_size;
    need(sp_record_plan(record, true, record->value == NULL, 1u << dir->unit_shift, dir->record_max, &shape) == 0, "plan");
    need(dir->pending_size + shape.size <= ROOM, "the block is too large");
    memset(at, 0, shape.size);
    uint8_t *value = sp_record_encode(at, record, &shape, record->timestamp);
    if (record->value_size)
        memcpy(value, record->value, record->value_size);
    stamp(dir, at);
    if (dir->pending_header.first_timestamp == 0)
        dir->pending_header.first_timestamp = record->timestamp;
    if (record->timestamp > dir->pending_header.last_timestamp)
        dir->pending_header.last_timestamp = record->timestamp;
    append(dir, shape.size, 1);
}

static void fill(uint8_t *value, uint32_t size, uint64_t offset)
{
    for (uint32_t i = 0; i < size; i++)
        value[i] = (uint8_t)(i < 8 ? offset >> (8 * i) : offset + i / 64);
}

void log_dir_put(struct log_dir *dir, uint32_t size, int64_t timestamp)
{
    uint8_t *value = malloc(size + 1u);

    need(value != NULL, "no memory");
    fill(value, size, dir->next.offset);
    log_dir_record(dir, &(struct spate_record){.value = value, .value_size = size, .timestamp = timestamp});
    free(value);
}

bool log_dir_is_whole(const struct spate_record *record)
{
    const uint8_t *value = record->value;
    for (uint32_t i = 0; i < record->value_size; i++)
        if (value[i] != (uint8_t)(i < 8 ? record->offset >> (8 * i) : record->offset + i / 64))
            return false;
    return true;
}

void log_dir_aborted(struct log_dir *dir, uint32_t size, uint32_t count)
{
    begin_block(dir);
    uint8_t *at = dir->pending + dir->pending_size;
    memset(at, 0, size);
    atomic_store_explicit(&((struct sp_record_header *)(void *)at)->word,
                          sp_record_word(size >> dir->unit_shift, count, SP_RECORD_ABORTED),
                          memory_order_relaxed); /* relaxed: nobody else sees it */
    stamp(dir, at);
    append(dir, size, count);
}

void log_dir_raw(struct log_dir *dir, const void *bytes, uint32_t size, uint32_t count)
{
    begin_block(dir);
    memcpy(dir->pending + dir->pending_size, bytes, size);
    append(dir, size, count);
}

static void index_block(struct log_dir *dir, const struct sp_block_header *header)
{
    if (dir->entries_count == 0 || dir->size - dir->indexed >= SP_INDEX_STEP) {
        dir->entries[dir->entries_count++] = (struct sp_index_entry){header->base_offset, dir->max_timestamp, dir->size};
        dir->indexed = dir->size;
    }
    if (header->last_timestamp > dir->max_timestamp)
        dir->max_timestamp = header->last_timestamp;
}

const struct log_dir_block *log_dir_seal(struct log_dir *dir, enum spate_compression codec)
{
    struct sp_block_header *header = &dir->pending_header;
    uint8_t *to = dir->bytes + dir->size, *data = to + sizeof *header;

    need(dir->blocks_count < LOG_DIR_BLOCKS && dir->size + dir->pending_size + 2 * SP_LOG_GRAIN <= ROOM, "the segment is full");
    memset(to, 0, sp_align_up(sizeof *header + dir->pending_size, SP_LOG_GRAIN));
    uint32_t packed = codec == SPATE_COMPRESSION_LZ4 ? sp_block_pack(dir->pending, dir->pending_size, data) : 0;
    if (packed) {
        memset(data + packed, 0, dir->pending_size - packed);
    } else {
        memcpy(data, dir->pending, dir->pending_size);
        codec = SPATE_COMPRESSION_NONE;
    }
    header->kind = SP_BLOCK_MAGIC | (uint32_t)codec;
    header->raw_size = dir->pending_size;
    header->stored_size = packed ? packed : dir->pending_size;
    header->data_crc = sp_crc32c(0, data, header->stored_size);
    header->previous = dir->previous;
    sp_block_seal(header, dir->identity.salt);
    memcpy(to, header, sizeof *header);
    index_block(dir, header);
    dir->blocks[dir->blocks_count] = (struct log_dir_block){*header, dir->size};
    dir->previous = header->header_crc;
    dir->size += sp_block_size(header);
    dir->pending_size = 0;
    header->count = 0;
    return &dir->blocks[dir->blocks_count++];
}

void log_dir_fill(struct log_dir *dir, uint32_t blocks, uint32_t records, uint32_t size, enum spate_compression codec)
{
    for (uint32_t i = 0; i < blocks; i++) {
        for (uint32_t j = 0; j < records; j++)
            log_dir_put(dir, size, 10 * (int64_t)dir->next.offset);
        log_dir_seal(dir, codec);
    }
}

/* --------------------------------------------------------------------------------------------------------- other files */

void log_dir_frontier(struct log_dir *dir, uint64_t start_offset, bool is_clean)
{
    char path[sizeof dir->path + 32];
    static uint8_t bytes[2 * SP_LOG_GRAIN];

    memset(bytes, 0, sizeof bytes);
    for (uint32_t i = 0; i < 2; i++) {
        struct sp_frontier frontier = {.sequence = ++dir->sequence,
                                       .segment = dir->identity.base_offset,
                                       .at = i ? dir->size : sizeof(struct sp_segment_header),
                                       .offset = i ? dir->next.offset : dir->identity.base_offset,
                                       .position = i                   ? dir->next.position
                                                   : dir->blocks_count ? dir->blocks[0].header.position
                                                                       : dir->next.position,
                                       .start_offset = start_offset,
                                       .previous = i ? dir->previous : dir->identity.crc,
                                       .clean = i && is_clean};
        memcpy(frontier.topic_id, dir->id, sizeof dir->id);
        sp_frontier_seal(&frontier);
        memcpy(bytes + frontier.sequence % 2 * SP_LOG_GRAIN, &frontier, sizeof frontier);
    }
    snprintf(path, sizeof path, "%s/" LOG_DIR_TOPIC "/%u/frontier", dir->path, dir->partition);
    write_file(path, bytes, SP_LOG_GRAIN + sizeof(struct sp_frontier));
}

void log_dir_topic(struct log_dir *dir, enum spate_compression compression)
{
    char path[sizeof dir->path + 32];
    struct sp_log_topic topic;
    struct spate_topic_info info = {.name = LOG_DIR_TOPIC,
                                    .created = dir->created,
                                    .partitions = 1,
                                    .ring_capacity = 4 << 20,
                                    .mode = SPATE_MODE_CONCURRENT,
                                    .alignment = 1u << dir->unit_shift,
                                    .timestamp = SPATE_TIMESTAMP_CALLER,
                                    .producers_max = 4,
                                    .consumers_max = 4,
                                    .numa_node = -1,
                                    .ring_file_mode = 0644,
                                    .cursors_file_mode = 0666,
                                    .durable = 1,
                                    .flush = SPATE_FLUSH_INTERVAL,
                                    .compression = compression,
                                    .cleanup = SPATE_CLEANUP_DELETE,
                                    .flush_interval = 100000000,
                                    .segment_size = SPATE_SEGMENT_MIN,
                                    .segment_age = -1,
                                    .retention_size = -1,
                                    .retention_time = 604800000000000,
                                    .tombstone_delay = 86400000000000};

    memcpy(info.id, dir->id, sizeof dir->id);
    sp_log_topic_make(&topic, &info);
    snprintf(path, sizeof path, "%s/" LOG_DIR_TOPIC "/topic", dir->path);
    write_file(path, &topic, sizeof topic);
}

const char *log_dir_name(const struct log_dir *dir, uint64_t base_offset, const char *suffix)
{
    static char paths[4][sizeof dir->path + 64];
    static unsigned next;
    char *path = paths[next++ % 4], name[SP_SEGMENT_NAME_SIZE];

    sp_segment_name(base_offset, suffix, name);
    snprintf(path, sizeof paths[0], "%s/" LOG_DIR_TOPIC "/%u/%s", dir->path, dir->partition, name);
    return path;
}

void log_dir_patch(const char *path, uint64_t at, const void *bytes, uint64_t size)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    need(fd >= 0 && pwrite(fd, bytes, size, (off_t)at) == (ssize_t)size, path);
    close(fd);
}

void log_dir_flip(const char *path, uint64_t at)
{
    uint8_t byte = 0;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    need(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1, path);
    byte ^= 1;
    need(pwrite(fd, &byte, 1, (off_t)at) == 1, path);
    close(fd);
}

void log_dir_cut(const char *path, uint64_t size)
{
    need(truncate(path, (off_t)size) == 0, path);
}

uint64_t log_dir_size(const char *path)
{
    struct stat status;
    need(stat(path, &status) == 0, path);
    return (uint64_t)status.st_size;
}

int log_dir_fd(const struct log_dir *dir)
{
    const int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(fd >= 0, dir->path);
    return fd;
}

static int read_memory(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct sp_scan_source *keep = context;
    if (at > keep->size || size > keep->size - at)
        return -ENODATA;
    memcpy(to, (const uint8_t *)keep->context + at, size);
    return 0;
}

struct sp_scan_source log_dir_memory(const void *bytes, uint64_t size, struct sp_scan_source *keep)
{
    *keep = (struct sp_scan_source){.context = (void *)(uintptr_t)bytes, .size = size};
    return (struct sp_scan_source){read_memory, keep, size};
}
