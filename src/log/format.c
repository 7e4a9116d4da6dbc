/* format.c: sealing and judging the structs of the log; see format.h.
 *
 * The order of every check: magic (is it one at all), version (may this build read it), checksum, and only then what the fields say. */
#include "log/format.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "base/crc32c.h"
#include "layout/record_layout.h"
#include "layout/ring_layout.h"

#define LZ4_RATIO_MAX 255u /* a byte stands for no more: bounds the memory that a hostile block asks for */

/* The checksum of a struct with a field `crc` of 4 bytes, taken as zero. */
static uint32_t crc_without(uint32_t seed, const void *bytes, size_t size, size_t crc_at)
{
    static const uint32_t zero;
    const uint8_t *at = bytes;
    uint32_t crc = sp_crc32c(seed, at, crc_at);
    crc = sp_crc32c(crc, &zero, sizeof zero);
    return sp_crc32c(crc, at + crc_at + sizeof zero, size - crc_at - sizeof zero);
}

/* How all of them but blocks begin. */
struct head {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;
};
static_assert(offsetof(struct head, version) == 8 && offsetof(struct head, crc) == 12, "as log_layout.h says");

/* The checksum of a struct that begins with a head, were it of version `version`, and with the field `crc` taken as zero. */
static uint32_t crc_as(uint32_t version, const void *bytes, size_t size)
{
    struct head head;

    memcpy(&head, bytes, sizeof head);
    head.version = version;
    head.crc = 0;
    return sp_crc32c(sp_crc32c(0, &head, sizeof head), (const uint8_t *)bytes + sizeof head, size - sizeof head);
}

static const char newer_build[] = "it was written by a newer build: use that one to read it";

/* A newer build has another checksum, over who knows what; with a flipped bit in the version the rest is as this build seals it. */
static const char *check_head(const void *bytes, size_t size)
{
    struct head head;

    memcpy(&head, bytes, sizeof head);
    const bool is_sealed = head.crc == crc_as(SP_LOG_VERSION, bytes, size);
    return head.version == SP_LOG_VERSION  ? (is_sealed ? NULL : "the checksum in its header is wrong")
           : is_sealed                     ? "its version is damaged: the rest of it is of this one"
           : head.version > SP_LOG_VERSION ? newer_build
                                           : "its version is 0";
}
static_assert(SP_LOG_VERSION == 1, "check_head: older versions have checksums too");

/* ------------------------------------------------------------------------------------------------------------ segments */

void sp_segment_header_make(struct sp_segment_header *header, struct sp_segment_identity *identity)
{
    *header = (struct sp_segment_header){
        .magic = SP_SEGMENT_MAGIC,
        .version = SP_LOG_VERSION,
        .partition = identity->partition,
        .unit_shift = identity->unit_shift,
        .base_offset = identity->base_offset,
        .salt = identity->salt,
        .stamp_salt = identity->stamp_salt,
        .created = identity->created,
        .record_max = identity->record_max,
    };
    memcpy(header->topic_id, identity->topic_id, sizeof header->topic_id);
    header->crc = crc_as(SP_LOG_VERSION, header, sizeof *header);
    identity->crc = header->crc;
}

const char *sp_segment_header_check(const struct sp_segment_header *header, struct sp_segment_identity *ret)
{
    if (header->magic != SP_SEGMENT_MAGIC)
        return "it is not a segment (its first bytes are others)";
    const char *reason = check_head(header, sizeof *header);
    if (reason)
        return reason;
    if (header->unit_shift < 3 || header->unit_shift > 7 || header->partition >= SPATE_PARTITIONS_MAX ||
        header->record_max > sp_ring_record_size_max(SPATE_RING_MAX))
        return "its header has values that no build writes";
    *ret = (struct sp_segment_identity){
        .partition = header->partition,
        .unit_shift = header->unit_shift,
        .base_offset = header->base_offset,
        .salt = header->salt,
        .stamp_salt = header->stamp_salt,
        .created = header->created,
        .record_max = header->record_max,
        .crc = header->crc,
    };
    memcpy(ret->topic_id, header->topic_id, sizeof ret->topic_id);
    return NULL;
}

void sp_segment_name(uint64_t base_offset, const char *suffix, char name[SP_SEGMENT_NAME_SIZE])
{
    snprintf(name, SP_SEGMENT_NAME_SIZE, "%020" PRIu64 ".%s", base_offset, suffix);
}

bool sp_segment_base(const char *name, const char *suffix, uint64_t *ret_base_offset)
{
    char again[SP_SEGMENT_NAME_SIZE];
    const uint64_t base = strtoull(name, NULL, 10);

    sp_segment_name(base, suffix, again);
    if (strcmp(name, again) != 0)
        return false;
    *ret_base_offset = base;
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- blocks */

static uint32_t block_crc(const struct sp_block_header *header, uint64_t salt)
{
    return crc_without((uint32_t)salt, header, sizeof *header, offsetof(struct sp_block_header, header_crc));
}

void sp_block_seal(struct sp_block_header *header, uint64_t salt)
{
    header->header_crc = block_crc(header, salt);
}

const char *sp_block_check(const struct sp_block_header *header, const struct sp_segment_identity *identity, uint64_t room)
{
    if ((header->kind & ~(SP_BLOCK_CODEC_MASK | SP_BLOCK_COMPACTED)) != SP_BLOCK_MAGIC)
        return "no block begins there";
    if (header->header_crc != block_crc(header, identity->salt))
        return "the checksum of the block's header is wrong";
    const uint32_t codec = sp_block_codec(header), unit = 1u << identity->unit_shift;
    if (codec > SPATE_COMPRESSION_LZ4)
        return "the block has a codec that this build does not know: use a newer one";
    if (header->stored_size > room || sizeof *header > room - header->stored_size)
        return "the block ends behind the file";
    const bool is_plain = codec == SPATE_COMPRESSION_NONE;
    if (header->count == 0 || header->raw_size < SP_RECORD_HEADER_SIZE || header->raw_size % unit != 0 ||
        header->base_offset < identity->base_offset || header->base_offset > (uint64_t)INT64_MAX - header->count ||
        header->position % unit != 0 || header->position > (uint64_t)INT64_MAX - header->raw_size ||
        (is_plain ? header->stored_size != header->raw_size : header->stored_size >= header->raw_size) ||
        (!is_plain && (header->raw_size > LZ4_MAX_INPUT_SIZE || header->raw_size / LZ4_RATIO_MAX > header->stored_size)))
        return "the block's header has values that no build writes";
    return NULL;
}

const char *sp_block_unpack(const struct sp_block_header *header, const void *stored, void *raw)
{
    if (header->raw_size > LZ4_MAX_INPUT_SIZE)
        return "the block is larger than LZ4 blocks are";
    const int size = LZ4_decompress_safe(stored, raw, (int)header->stored_size, (int)header->raw_size);
    return size >= 0 && (uint32_t)size == header->raw_size ? NULL
                                                           : "the block cannot be decompressed, though its checksum is right";
}

uint32_t sp_block_pack(const void *raw, uint32_t size, void *stored)
{
    if (size > LZ4_MAX_INPUT_SIZE)
        return 0;
    const int packed = LZ4_compress_default(raw, stored, (int)size, (int)size - 1);
    return packed > 0 ? (uint32_t)packed : 0;
}

/* ------------------------------------------------------------------------------------------------------------ frontier */

void sp_frontier_seal(struct sp_frontier *frontier)
{
    frontier->magic = SP_FRONTIER_MAGIC;
    frontier->version = SP_LOG_VERSION;
    frontier->crc = crc_as(SP_LOG_VERSION, frontier, sizeof *frontier);
}

const char *sp_frontier_check(const struct sp_frontier *frontier)
{
    if (frontier->magic != SP_FRONTIER_MAGIC)
        return "it is not a frontier";
    const char *reason = check_head(frontier, sizeof *frontier);
    return reason                             ? reason
           : frontier->at % SP_LOG_GRAIN != 0 ? "it points into a block"
           : frontier->offset > INT64_MAX || frontier->segment > INT64_MAX || frontier->start_offset > INT64_MAX
               ? "it has values that no build writes"
               : NULL;
}

const struct sp_frontier *sp_frontier_newest(const struct sp_frontier *a, const struct sp_frontier *b)
{
    if (sp_frontier_check(a) != NULL)
        a = NULL;
    if (sp_frontier_check(b) != NULL)
        b = NULL;
    return !a || (b && b->sequence > a->sequence) ? b : a;
}

/* --------------------------------------------------------------------------------------------------------------- index */

static uint32_t index_crc(const struct sp_index_header *header, const struct sp_index_entry *entries)
{
    return sp_crc32c(crc_as(SP_LOG_VERSION, header, sizeof *header), entries, header->count * sizeof *entries);
}

void sp_index_seal(struct sp_index_header *header, const struct sp_index_entry *entries)
{
    header->magic = SP_INDEX_MAGIC;
    header->version = SP_LOG_VERSION;
    header->crc = index_crc(header, entries);
}

const char *sp_index_check(const struct sp_index_header *header, uint64_t file_size)
{
    if (file_size < sizeof *header || header->magic != SP_INDEX_MAGIC)
        return "it is not an index";
    if (header->count > SPATE_SEGMENT_MAX || file_size != sizeof *header + header->count * sizeof(struct sp_index_entry))
        return header->version > SP_LOG_VERSION ? newer_build : "its size is wrong";
    return check_head(header, file_size);
}

/* --------------------------------------------------------------------------------------------------------------- topic */

void sp_log_topic_make(struct sp_log_topic *topic, const struct spate_topic_info *info)
{
    *topic = (struct sp_log_topic){
        .magic = SP_LOG_TOPIC_MAGIC,
        .version = SP_LOG_VERSION,
        .created = info->created,
        .ring_capacity = info->ring_capacity,
        .partitions = info->partitions,
        .mode = info->mode,
        .alignment = info->alignment,
        .timestamp = info->timestamp,
        .producers_max = info->producers_max,
        .consumers_max = info->consumers_max,
        .numa_node = info->numa_node,
        .huge_pages = info->huge_pages,
        .uid = info->uid,
        .gid = info->gid,
        .producer_mode = info->ring_file_mode,
        .consumer_mode = info->cursors_file_mode,
        .flush = info->flush,
        .compression = info->compression,
        .flush_interval = info->flush_interval,
        .segment_size = info->segment_size,
        .segment_age = info->segment_age,
        .retention_size = info->retention_size,
        .retention_time = info->retention_time,
        .tombstone_delay = info->tombstone_delay,
        .cleanup = info->cleanup,
    };
    memcpy(topic->id, info->id, sizeof topic->id);
    static_assert(sizeof info->name <= sizeof topic->name, "names fit");
    memcpy(topic->name, info->name, sizeof info->name);
    topic->crc = crc_as(SP_LOG_VERSION, topic, sizeof *topic);
}

const char *sp_log_topic_take(const struct sp_log_topic *topic, struct spate_topic_config *ret)
{
    if (topic->magic != SP_LOG_TOPIC_MAGIC)
        return "it is not the topic file of a log";
    const char *reason = check_head(topic, sizeof *topic);
    if (reason)
        return reason;
    if (memchr(topic->name, 0, SPATE_TOPIC_NAME_MAX + 1) == NULL || topic->partitions < 1 ||
        topic->partitions > SPATE_PARTITIONS_MAX)
        return "it has values that no build writes";
    spate_topic_config_init(ret);
    ret->partitions = topic->partitions;
    ret->ring_capacity = topic->ring_capacity;
    ret->mode = topic->mode;
    ret->alignment = topic->alignment;
    ret->timestamp = topic->timestamp;
    ret->producers_max = topic->producers_max;
    ret->consumers_max = topic->consumers_max;
    ret->numa_node = topic->numa_node;
    ret->huge_pages = topic->huge_pages;
    ret->uid = topic->uid;
    ret->gid = topic->gid;
    /* of the two files of a partition, as topic_create.c makes them from who may produce and who may consume: of these it makes the same */
    ret->producer_mode = topic->producer_mode;
    ret->consumer_mode = topic->consumer_mode;
    ret->durable = 1;
    ret->flush = topic->flush;
    ret->compression = topic->compression;
    ret->flush_interval = topic->flush_interval;
    ret->cleanup = topic->cleanup;
    ret->segment_size = topic->segment_size;
    ret->segment_age = topic->segment_age;
    ret->retention_size = topic->retention_size;
    ret->retention_time = topic->retention_time;
    ret->tombstone_delay = topic->tombstone_delay;
    return NULL;
}
