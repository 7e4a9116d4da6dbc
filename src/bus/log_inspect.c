/* log_inspect.c: what a log directory holds: topics, partitions, segments, blocks, records. Implements the looking part of log.h.
 *
 * Works on live, closed and copied directories. Nothing is written, nothing is mapped, links are not followed. Any thread, a handle in one
 * at a time. */
#include "bus/log_inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "bus/remove.h"
#include "shm/descriptor.h"
#include "shm/handle.h"

#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW)

/* -------------------------------------------------------------------------------------------------------------- handle */

int sp_log_check(const spate_log *log)
{
    return log && log->magic == SP_LOG_HANDLE ? 0 : sp_handle_error(log, "log");
}

int spate_log_open(const char *path, spate_log **ret_log)
{
    if (!path || !ret_log)
        return sp_fail(-EINVAL, "path or ret_log is NULL");
    if (strlen(path) >= SP_PATH_SIZE)
        return sp_fail(-ENAMETOOLONG, "the path of the log directory is too long");
    const int fd = sp_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return sp_fail(-errno, "cannot open the log directory %s: %s", path, strerror(errno));
    spate_log *log = sp_handle_alloc(sizeof *log);
    if (!log) {
        close(fd);
        return sp_fail(-ENOMEM, "no memory for a log handle");
    }
    log->magic = SP_LOG_HANDLE;
    log->dir_fd = fd;
    snprintf(log->path, sizeof log->path, "%s", path);
    *ret_log = log;
    return 0;
}

void spate_log_close(spate_log *log)
{
    if (!log || log->magic != SP_LOG_HANDLE)
        return;
    close(log->dir_fd);
    sp_handle_free(log, sizeof *log);
}

const char *spate_log_path(const spate_log *log)
{
    return sp_log_check(log) == 0 ? log->path : "";
}

int spate_log_find(spate_bus *bus, char *path, size_t size)
{
    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (!path || size == 0)
        return sp_fail(-EINVAL, "path is NULL, or of no size");
    if (bus->is_log)
        return (size_t)snprintf(path, size, "%s", bus->registry.path) < size ? 0 : sp_fail(-ENAMETOOLONG, "the path is too long");
    const ssize_t length = readlinkat(bus->registry.dir_fd, SP_LOG_LINK, path, size);
    if (length < 0)
        return sp_fail(-errno, "cannot find the log of bus %s: %s%s", bus->registry.path, strerror(errno),
                       errno == ENOENT ? "; has `spated` run on it? Otherwise name the log directory" : "");
    if ((size_t)length >= size)
        return sp_fail(-ENAMETOOLONG, "the path of the log directory is too long");
    path[length] = 0;
    return 0;
}

int spate_log_writer(spate_log *log, int64_t *ret_pid)
{
    char holder[32] = "";
    struct sp_lock lock;

    int error = sp_log_check(log);
    if (error)
        return error;
    error = sp_lock_open(&lock, log->dir_fd, SP_LOG_LOCK, O_RDONLY);
    if (error == -ENOENT) /* a copy of some of it */
        return 0;
    if (error)
        return sp_fail(error, "cannot look at the lock of the log %s: %s", log->path, strerror(-error));
    const bool is_held = sp_lock_is_held(&lock, 0);
    sp_lock_close(&lock);
    if (!is_held || !ret_pid)
        return is_held;
    const int fd = sp_open_at(log->dir_fd, SP_LOG_LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd >= 0) {
        (void)!read(fd, holder, sizeof holder - 1);
        close(fd);
    }
    *ret_pid = strtoll(holder, NULL, 10);
    return 1;
}

/* -------------------------------------------------------------------------------------------------------------- topics */

static void fill_info(const struct sp_log_topic *stored, const struct spate_topic_config *config, struct spate_topic_info *ret)
{
    *ret = (struct spate_topic_info){
        .created = stored->created,
        .partitions = config->partitions,
        .ring_capacity = config->ring_capacity,
        .value_size_max = sp_ring_payload_max(config->ring_capacity),
        .mode = config->mode,
        .alignment = config->alignment,
        .timestamp = config->timestamp,
        .producers_max = config->producers_max,
        .consumers_max = config->consumers_max,
        .numa_node = config->numa_node,
        .huge_pages = config->huge_pages,
        .uid = stored->uid,
        .gid = stored->gid,
        .ring_file_mode = stored->producer_mode,
        .cursors_file_mode = stored->consumer_mode,
        .durable = 1,
        .flush = config->flush,
        .compression = config->compression,
        .cleanup = config->cleanup,
        .flush_interval = config->flush_interval,
        .segment_size = config->segment_size,
        .segment_age = config->segment_age,
        .retention_size = config->retention_size,
        .retention_time = config->retention_time,
        .tombstone_delay = config->tombstone_delay,
    };
    memcpy(ret->id, stored->id, sizeof ret->id);
    memcpy(ret->name, stored->name, sizeof ret->name);
    ret->name[sizeof ret->name - 1] = 0;
}

static int open_topic(const spate_log *log, const char *topic)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8];

    const int error = sp_topic_name_check(topic);
    if (error)
        return error;
    sp_topic_directory(topic, directory);
    const int fd = sp_open_at(log->dir_fd, directory, DIRECTORY, 0);
    return fd >= 0 ? fd : sp_fail(-errno, "cannot open topic %s in the log %s: %s", topic, log->path, strerror(errno));
}

int sp_log_topic_read(const spate_log *log, const char *topic, struct spate_topic_info *ret_info, const char **ret_reason)
{
    struct sp_log_topic stored;
    struct spate_topic_config config;
    struct stat status;

    const int dir_fd = open_topic(log, topic);
    if (dir_fd < 0)
        return dir_fd;
    const int fd = sp_open_at(dir_fd, "topic", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    *ret_reason = "it cannot be opened";
    if (fd < 0 && errno == ENOENT)
        *ret_reason = "it is missing";
    if (fd >= 0) {
        *ret_reason = fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)  ? "it is not a plain file"
                      : sp_read_fully(fd, &stored, sizeof stored, 0) != 0 ? "it is too short"
                                                                          : sp_log_topic_take(&stored, &config);
        close(fd);
    }
    close(dir_fd);
    if (*ret_reason)
        return 0;
    if (strcmp(stored.name, topic) != 0)
        *ret_reason = "it is of a topic of another name";
    else if (config.alignment < 8 || config.alignment > 128 || (config.alignment & (config.alignment - 1)) != 0 ||
             config.ring_capacity < SPATE_RING_MIN || config.ring_capacity > SPATE_RING_MAX)
        *ret_reason = "it has values that no build writes";
    else
        fill_info(&stored, &config, ret_info);
    return 0;
}

static bool is_topic(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    struct stat status;
    return entry[0] != '~' && sp_topic_of_directory(entry, name) && fstatat(dir_fd, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

int sp_log_each_topic(const spate_log *log, const char *topic, int (*visit)(void *, const char *name), void *context)
{
    if (!topic)
        return sp_list_directory(log->dir_fd, is_topic, visit, context);
    const int fd = open_topic(log, topic);
    if (fd < 0)
        return fd;
    close(fd);
    return visit(context, topic);
}

struct topic_visit {
    const spate_log *log;
    int (*visit)(void *, const struct spate_log_topic_info *);
    void *context;
};

static int visit_topic(void *context, const char *name)
{
    const struct topic_visit *visit = context;
    struct spate_topic_info info;
    struct spate_log_topic_info topic = {.name = name};

    const int error = sp_log_topic_read(visit->log, name, &info, &topic.reason);
    if (error)
        topic.reason = "it cannot be opened";
    else if (!topic.reason)
        topic.info = &info;
    return error == -ENOENT ? 0 : visit->visit(visit->context, &topic);
}

int spate_log_topics(spate_log *log, int (*visit)(void *, const struct spate_log_topic_info *), void *context)
{
    const int error = sp_log_check(log);
    if (error || !visit)
        return error ? error : sp_fail(-EINVAL, "visit is NULL");
    return sp_log_each_topic(log, NULL, visit_topic, &(struct topic_visit){log, visit, context});
}

/* --------------------------------------------------------------------------------------------------------------- parts */

int sp_log_part_open(struct sp_log_part *part, const spate_log *log, const char *topic, uint32_t partition)
{
    char directory[SPATE_TOPIC_NAME_MAX + 8], name[16];

    *part = (struct sp_log_part){.dir_fd = -1, .topic = topic, .partition = partition};
    const int topic_fd = open_topic(log, topic);
    if (topic_fd < 0)
        return topic_fd;
    snprintf(name, sizeof name, "%" PRIu32, partition);
    part->dir_fd = sp_open_at(topic_fd, name, DIRECTORY, 0);
    int error = part->dir_fd < 0 ? -errno : 0;
    close(topic_fd);
    if (error)
        return sp_fail(error, "cannot open partition %s of topic %s in the log %s: %s", name, topic, log->path, strerror(-error));
    sp_topic_directory(topic, directory);
    snprintf(part->path, sizeof part->path, "%s/%s", directory, name);
    part->is_written = spate_log_writer((spate_log *)(uintptr_t)log, NULL) == 1;
    part->frontier_state = sp_frontier_read(part->dir_fd, &part->frontier, &part->frontier_reason);
    error = sp_log_files(part->dir_fd, "log", &part->bases, &part->count);
    if (error)
        sp_log_part_close(part);
    return error;
}

void sp_log_part_close(struct sp_log_part *part)
{
    free(part->bases);
    part->bases = NULL;
    if (part->dir_fd >= 0)
        close(part->dir_fd);
    part->dir_fd = -1;
}

void sp_log_part_file(const struct sp_log_part *part, uint64_t base, const char *suffix, char file[SP_LOG_FILE_SIZE])
{
    char name[SP_SEGMENT_NAME_SIZE];
    sp_segment_name(base, suffix, name);
    snprintf(file, SP_LOG_FILE_SIZE, "%s/%s", part->path, name);
}

struct part_visit {
    const spate_log *log;
    const char *topic;
    bool found[SPATE_PARTITIONS_MAX];
};

static bool is_partition(int dir_fd, const char *entry, char name[SPATE_TOPIC_NAME_MAX + 1])
{
    struct stat status;
    char again[16];
    const unsigned long number = strtoul(entry, NULL, 10);

    if (number >= SPATE_PARTITIONS_MAX)
        return false;
    snprintf(again, sizeof again, "%lu", number);
    memcpy(name, again, sizeof again);
    return strcmp(entry, again) == 0 && fstatat(dir_fd, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static int note_partition(void *context, const char *name)
{
    struct part_visit *visit = context;
    visit->found[strtoul(name, NULL, 10) % SPATE_PARTITIONS_MAX] = true;
    return 0;
}

int sp_log_each_part(const spate_log *log, const char *topic, int (*visit)(void *, const struct sp_log_part *), void *context)
{
    struct part_visit parts = {.log = log, .topic = topic};

    const int fd = open_topic(log, topic);
    if (fd < 0)
        return fd;
    int result = sp_list_directory(fd, is_partition, note_partition, &parts);
    close(fd);
    for (uint32_t i = 0; i < SPATE_PARTITIONS_MAX && !result; i++) {
        struct sp_log_part part;
        if (!parts.found[i])
            continue;
        result = sp_log_part_open(&part, log, topic, i);
        if (result == -ENOENT) { /* deleted meanwhile */
            result = 0;
            continue;
        }
        if (!result) {
            result = visit(context, &part);
            sp_log_part_close(&part);
        }
    }
    return result;
}

bool sp_log_is_behind(const struct sp_log_part *part, uint64_t base, uint64_t at)
{
    if (part->frontier_state != SP_FRONTIER_GOOD)
        return part->frontier_state == SP_FRONTIER_EMPTY; /* nothing was ever durable; else nobody knows, and all counts */
    return base > part->frontier.segment || (base == part->frontier.segment && at >= part->frontier.at);
}

bool sp_log_is_active(const struct sp_log_part *part, uint32_t index)
{
    return part->is_written && index + 2 >= part->count;
}

bool sp_log_hole_is_known(const struct sp_log_part *part, uint64_t first)
{
    uint64_t *bases;
    uint32_t count;
    bool is_known = false;

    if (sp_log_files(part->dir_fd, "damaged", &bases, &count) != 0)
        return false;
    for (uint32_t i = 0; i < count && !is_known && bases[i] <= first; i++) {
        struct sp_segment_file file;
        struct sp_blocks blocks;
        uint64_t end = bases[i];
        if (sp_segment_file_open(&file, part->dir_fd, bases[i], "damaged") != 0)
            continue;
        if (!file.reason) {
            sp_blocks_begin(&blocks, &file.source, &file.identity, true);
            while (sp_blocks_next(&blocks) == 0 && blocks.kind != SP_BLOCKS_END)
                end = blocks.next;
            sp_blocks_end(&blocks);
        }
        is_known = first <= end;
        sp_segment_file_close(&file);
    }
    free(bases);
    return is_known;
}

void sp_log_at_end(struct sp_blocks *blocks, struct sp_segment_file *file)
{
    struct stat status;
    if (fstat(file->fd, &status) == 0 && (uint64_t)status.st_size < file->size)
        file->size = blocks->source.size = blocks->end = (uint64_t)status.st_size;
    if (blocks->at >= file->size)
        blocks->reason = NULL;
    else if (!blocks->reason)
        blocks->reason = "the file goes on behind the last block";
}

/* ------------------------------------------------------------------------------------------------------------ segments */

static void add_block(struct spate_log_segment_info *info, const struct sp_block_header *header)
{
    if (info->blocks == 0)
        info->first_offset = (int64_t)header->base_offset;
    info->blocks++;
    info->records += header->count;
    info->raw_size += header->raw_size;
    info->stored_size += header->stored_size;
    if (info->first_timestamp == 0)
        info->first_timestamp = header->first_timestamp;
    if (header->last_timestamp > info->last_timestamp)
        info->last_timestamp = header->last_timestamp;
}

/* How the walk of a segment ended. */
static void judge_end(const struct sp_log_part *part, uint32_t index, struct sp_blocks *blocks, struct sp_segment_file *file,
                      struct spate_log_segment_info *info)
{
    sp_log_at_end(blocks, file);
    info->size = file->size;
    if (part->is_written && index + 1 == part->count)
        info->state = SPATE_SEGMENT_WRITING;
    else if (!blocks->reason)
        info->state = SPATE_SEGMENT_CLOSED;
    else if (sp_log_is_active(part, index))
        info->state = SPATE_SEGMENT_WRITING;
    else if (blocks->is_zero || sp_log_is_behind(part, part->bases[index], blocks->at))
        info->state = SPATE_SEGMENT_UNCUT;
    else
        info->state = SPATE_SEGMENT_DAMAGED;
}

static int walk_segment(const struct sp_log_part *part, uint32_t index, struct sp_segment_file *file,
                        struct spate_log_segment_info *info)
{
    struct sp_blocks blocks;
    bool is_damaged = false;
    int error;

    sp_blocks_begin(&blocks, &file->source, &file->identity, true);
    while ((error = sp_blocks_next(&blocks)) == 0 && blocks.kind != SP_BLOCKS_END) {
        if (blocks.kind == SP_BLOCKS_GOOD)
            add_block(info, &blocks.header);
        else if (sp_log_is_behind(part, part->bases[index], blocks.at))
            break; /* the log ends here; what follows was written before what is missing, and not acknowledged */
        else
            is_damaged = true;
        if (is_damaged && !info->reason)
            info->reason = blocks.reason;
        info->next_offset = (int64_t)blocks.next;
        info->used = blocks.end;
    }
    if (!error)
        judge_end(part, index, &blocks, file, info);
    if (is_damaged)
        info->state = SPATE_SEGMENT_DAMAGED;
    else if (info->state == SPATE_SEGMENT_DAMAGED)
        info->reason = blocks.reason;
    sp_blocks_end(&blocks);
    return error;
}

static int look_at_segment(const struct sp_log_part *part, uint32_t index, char path[SP_LOG_FILE_SIZE],
                           struct spate_log_segment_info *ret)
{
    const uint64_t base = part->bases[index];
    struct sp_segment_file file;
    struct sp_index_header *header;
    const char *reason;

    int error = sp_segment_file_open(&file, part->dir_fd, base, "log");
    if (error)
        return error;
    sp_log_part_file(part, base, "log", path);
    *ret = (struct spate_log_segment_info){
        .topic = part->topic,
        .partition = (int32_t)part->partition,
        .file = path,
        .base_offset = (int64_t)base,
        .first_offset = (int64_t)base,
        .next_offset = (int64_t)base,
        .size = file.size,
        .state = SPATE_SEGMENT_DAMAGED,
        .reason = file.reason,
    };
    if (!file.reason) {
        ret->created = file.identity.created;
        ret->salt = file.identity.salt;
        ret->used = sizeof(struct sp_segment_header);
        error = walk_segment(part, index, &file, ret);
        const enum sp_index_state state = sp_index_read(part->dir_fd, &file.identity, file.size, &header, &reason);
        ret->index = state == SP_INDEX_GOOD      ? SPATE_INDEX_GOOD
                     : state == SP_INDEX_MISSING ? SPATE_INDEX_MISSING
                                                 : SPATE_INDEX_DAMAGED;
        free(header);
    }
    sp_segment_file_close(&file);
    return error;
}

int spate_log_segments(spate_log *log, const char *topic, int32_t partition,
                       int (*visit)(void *, const struct spate_log_segment_info *), void *context)
{
    struct sp_log_part part;
    char path[SP_LOG_FILE_SIZE];

    int result = sp_log_check(log);
    if (!result && !visit)
        result = sp_fail(-EINVAL, "visit is NULL");
    if (!result && (partition < 0 || partition >= SPATE_PARTITIONS_MAX))
        result = sp_fail(-EINVAL, "partition %d: there are 0..%d", partition, SPATE_PARTITIONS_MAX - 1);
    if (!result)
        result = sp_log_part_open(&part, log, topic, (uint32_t)partition);
    if (result)
        return result;
    for (uint32_t i = 0; i < part.count && !result; i++) {
        struct spate_log_segment_info info;
        result = look_at_segment(&part, i, path, &info);
        if (result == -ENOENT) /* deleted since it was listed */
            result = 0;
        else if (!result)
            result = visit(context, &info);
    }
    sp_log_part_close(&part);
    return result;
}

struct partition_visit {
    int (*visit)(void *, const struct spate_log_partition_info *);
    void *context;
};

static void add_segment(struct spate_log_partition_info *sum, const struct spate_log_segment_info *segment)
{
    if (sum->segments++ == 0)
        sum->first_offset = segment->base_offset;
    sum->damaged += segment->state == SPATE_SEGMENT_DAMAGED;
    sum->next_offset = segment->next_offset;
    sum->size += segment->size;
    sum->blocks += segment->blocks;
    sum->records += segment->records;
    sum->raw_size += segment->raw_size;
    sum->stored_size += segment->stored_size;
    if (sum->first_timestamp == 0)
        sum->first_timestamp = segment->first_timestamp;
    if (segment->last_timestamp > sum->last_timestamp)
        sum->last_timestamp = segment->last_timestamp;
}

static int visit_partition(void *context, const struct sp_log_part *part)
{
    const struct partition_visit *visit = context;
    char path[SP_LOG_FILE_SIZE];
    struct spate_log_partition_info sum = {.topic = part->topic, .partition = (int32_t)part->partition};

    for (uint32_t i = 0; i < part->count; i++) {
        struct spate_log_segment_info segment;
        const int error = look_at_segment(part, i, path, &segment);
        if (error == -ENOENT)
            continue;
        if (error)
            return error;
        add_segment(&sum, &segment);
    }
    if (part->frontier_state == SP_FRONTIER_GOOD) {
        sum.frontier = 1;
        sum.clean = part->frontier.clean != 0;
        sum.durable_offset = (int64_t)part->frontier.offset;
        if ((int64_t)part->frontier.start_offset > sum.first_offset)
            sum.first_offset = (int64_t)part->frontier.start_offset;
        if (sum.next_offset < sum.first_offset)
            sum.next_offset = sum.first_offset;
    }
    return visit->visit(visit->context, &sum);
}

int spate_log_partitions(spate_log *log, const char *topic, int (*visit)(void *, const struct spate_log_partition_info *),
                         void *context)
{
    const int error = sp_log_check(log);
    if (error || !visit)
        return error ? error : sp_fail(-EINVAL, "visit is NULL");
    return sp_log_each_part(log, topic, visit_partition, &(struct partition_visit){visit, context});
}

/* ---------------------------------------------------------------------------------------------------- blocks, records */

struct block_visit {
    int64_t offset;
    int (*block)(void *, const struct spate_log_block *);
    int (*record)(void *, const struct spate_dump_record *);
    void *context;
};

static int visit_records(const struct block_visit *visit, const struct sp_blocks *blocks)
{
    struct sp_place place = sp_block_begin(&blocks->header);
    struct spate_dump_record record;
    const char *reason;
    int result = 0;

    while (!result && sp_block_record(blocks->identity, &blocks->header, blocks->raw, &place, &record, &reason))
        if (record.offset + record.count > visit->offset)
            result = visit->record(visit->context, &record);
    if (result || !reason)
        return result;
    record = (struct spate_dump_record){
        .position = place.position,
        .offset = (int64_t)place.offset,
        .state = SPATE_RECORD_DAMAGED,
        .count = (uint32_t)(blocks->header.base_offset + blocks->header.count - place.offset),
        .size = blocks->header.position + blocks->header.raw_size - place.position,
        .owner_slot = -1,
    };
    return visit->record(visit->context, &record);
}

static int visit_block(const struct block_visit *visit, const struct sp_blocks *blocks, const char *path)
{
    const struct sp_block_header *header = &blocks->header;
    struct spate_log_block block = {
        .file = path,
        .at = blocks->at,
        .end = blocks->end,
        .first_offset = (int64_t)blocks->first,
        .next_offset = (int64_t)blocks->next,
    };
    int result = 0;

    if (blocks->kind != SP_BLOCKS_GOOD) {
        block.reason = blocks->reason;
        return visit->block ? visit->block(visit->context, &block) : 0;
    }
    if (block.next_offset <= visit->offset)
        return 0;
    block.position = header->position;
    block.first_timestamp = header->first_timestamp;
    block.last_timestamp = header->last_timestamp;
    block.raw_size = header->raw_size;
    block.stored_size = header->stored_size;
    block.compression = sp_block_codec(header);
    block.compacted = (header->kind & SP_BLOCK_COMPACTED) != 0;
    block.epoch = header->epoch;
    block.header_crc = header->header_crc;
    block.data_crc = header->data_crc;
    block.previous = header->previous;
    if (visit->block)
        result = visit->block(visit->context, &block);
    return result || !visit->record ? result : visit_records(visit, blocks);
}

/* *ret_ended: what follows was never acknowledged, so the log ends here. */
static int visit_segment(const struct sp_log_part *part, uint32_t index, const struct block_visit *visit, bool *ret_ended)
{
    const uint64_t base = part->bases[index];
    struct sp_segment_file file;
    struct sp_blocks blocks;
    char path[SP_LOG_FILE_SIZE];

    int result = sp_segment_file_open(&file, part->dir_fd, base, "log");
    if (result)
        return result == -ENOENT ? 0 : result;
    sp_log_part_file(part, base, "log", path);
    if (file.reason) {
        const uint64_t next = index + 1 < part->count ? part->bases[index + 1] : base;
        const struct spate_log_block block = {
            .file = path, .end = file.size, .first_offset = (int64_t)base, .next_offset = (int64_t)next, .reason = file.reason};
        result = visit->block ? visit->block(visit->context, &block) : 0;
        sp_segment_file_close(&file);
        return result;
    }
    sp_blocks_begin(&blocks, &file.source, &file.identity, false);
    blocks.skip_below = visit->offset > 0 ? (uint64_t)visit->offset : 0;
    while ((result = sp_blocks_next(&blocks)) == 0) {
        if (blocks.kind == SP_BLOCKS_END)
            sp_log_at_end(&blocks, &file);
        if (blocks.kind != SP_BLOCKS_GOOD && (!blocks.reason || sp_log_is_behind(part, base, blocks.at))) {
            *ret_ended = blocks.kind == SP_BLOCKS_DAMAGE;
            break;
        }
        if (blocks.kind == SP_BLOCKS_END && (blocks.is_zero || sp_log_is_active(part, index)))
            break;
        if (blocks.kind == SP_BLOCKS_END && index + 1 < part->count)
            blocks.next = sp_max(blocks.next, part->bases[index + 1]);
        result = visit_block(visit, &blocks, path);
        if (result || blocks.kind == SP_BLOCKS_END)
            break;
    }
    sp_blocks_end(&blocks);
    sp_segment_file_close(&file);
    return result;
}

int spate_log_blocks(spate_log *log, const char *topic, int32_t partition, int64_t offset,
                     int (*block)(void *, const struct spate_log_block *), int (*record)(void *, const struct spate_dump_record *),
                     void *context)
{
    const struct block_visit visit = {offset, block, record, context};
    struct sp_log_part part;
    bool has_ended = false;

    int result = sp_log_check(log);
    if (!result && (partition < 0 || partition >= SPATE_PARTITIONS_MAX))
        result = sp_fail(-EINVAL, "partition %d: there are 0..%d", partition, SPATE_PARTITIONS_MAX - 1);
    if (!result)
        result = sp_log_part_open(&part, log, topic, (uint32_t)partition);
    if (result)
        return result;
    for (uint32_t i = 0; i < part.count && !result && !has_ended; i++) {
        if (offset >= 0 && i + 1 < part.count && part.bases[i + 1] <= (uint64_t)offset)
            continue;
        result = visit_segment(&part, i, &visit, &has_ended);
    }
    sp_log_part_close(&part);
    return result;
}
