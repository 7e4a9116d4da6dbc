/* sim_verify.c: the log on a simulated disk, read back block by block and compared with the model; see sim_world.h.
 *
 * It reads as readers do (log/scan.h, log/format.h), through no code of the daemon. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "log/scan.h"
#include "sim_world.h"

#define SEGMENTS_MAX 512u

struct verify {
    struct world *world;
    struct sim_disk *disk;
    const char *when;
    uint64_t bases[SEGMENTS_MAX];
    uint64_t salts[SEGMENTS_MAX];
    uint32_t count;
    uint64_t next, end;
    int file;
    uint8_t *stored, *raw;
    bool is_compacted; /* the present block */
};

static int note(void *context, const char *name)
{
    struct verify *verify = context;
    uint64_t base;

    if (sp_segment_base(name, "log", &base) && verify->count < SEGMENTS_MAX)
        verify->bases[verify->count++] = base;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int read_file(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct verify *verify = context;
    return verify->disk->io.f->read(&verify->disk->io, verify->file, at, to, size);
}

/* Whether compaction may have taken a record out: a newer one of its key is in the log; or it was a tombstone, and old. */
static bool is_superseded(const struct verify *verify, uint64_t offset)
{
    const struct world *world = verify->world;

    if (world->records[offset].is_lost || world->may_lose)
        return true;
    if (world->records[offset].key == 0)
        return false;
    for (uint64_t i = offset + 1; i < verify->end && i < world->count; i++)
        if (world->records[i].key == world->records[offset].key && world->records[i].kind == RECORD_DATA)
            return true;
    return world->records[offset].is_null;
}

/* One record in a block, against the model. Returns its size; 0: a violation was told of. */
static uint64_t check_record(struct verify *verify, const struct sp_segment_identity *identity, const uint8_t *bytes, uint64_t left,
                             uint64_t *offset)
{
    struct world *world = verify->world;
    const struct world_record *record = &world->records[*offset];
    uint64_t words[2], size;
    uint32_t count = 1;

    if (*offset >= world->count || left < sizeof words) {
        world_violate(world, "%s: offset %" PRIu64 " is in the log and was never published", verify->when, *offset);
        return 0;
    }
    memcpy(words, bytes, sizeof words);
    if (words[0] != sp_stamp(*offset, identity->stamp_salt)) {
        world_violate(world, "%s: offset %" PRIu64 " has another one's stamp", verify->when, *offset);
        return 0;
    }
    if (sp_aborted_decode(words[1], left, identity->unit_shift, &size, &count)) {
        for (uint64_t i = *offset; i < *offset + count && i < world->count; i++)
            if (world->records[i].kind != RECORD_ABORTED && !(verify->is_compacted && is_superseded(verify, i)))
                world_violate(world, "%s: offset %" PRIu64 " (key %u, kind %d) is aborted in the log only", verify->when, i,
                              world->records[i].key, (int)world->records[i].kind);
        *offset += count;
        return size;
    }
    if (record->kind != RECORD_DATA || record->size > left || sp_crc32c(0, bytes, record->size) != record->crc) {
        world_violate(world, "%s: offset %" PRIu64 " is not what was published", verify->when, *offset);
        return 0;
    }
    ++*offset;
    return record->size;
}

static void check_block(struct verify *verify, const struct sp_segment_identity *identity, uint64_t at,
                        const struct sp_block_header *header)
{
    struct world *world = verify->world;
    uint64_t offset = header->base_offset;
    const uint8_t *bytes = verify->raw;

    if (read_file(verify, at + sizeof *header, verify->stored, header->stored_size) != 0)
        return;
    if (sp_block_codec(header) == SPATE_COMPRESSION_NONE)
        bytes = verify->stored;
    else if (sp_block_unpack(header, verify->stored, verify->raw) != NULL)
        world_violate(world, "%s: block at offset %" PRIu64 " cannot be unpacked", verify->when, offset);
    verify->is_compacted = header->kind & SP_BLOCK_COMPACTED;
    if (offset < world->count && world->records[offset].position != header->position && !verify->is_compacted)
        world_violate(world, "%s: offset %" PRIu64 " has position %" PRIu64 " in the log and %" PRIu64 " in the ring", verify->when,
                      offset, header->position, world->records[offset].position);
    for (uint64_t done = 0; done < header->raw_size && !world->is_over;) {
        const uint64_t size = check_record(verify, identity, bytes + done, header->raw_size - done, &offset);
        if (size == 0)
            return;
        done += size;
    }
    if (offset != header->base_offset + header->count && !world->is_over)
        world_violate(world, "%s: the block at offset %" PRIu64 " has another count", verify->when, header->base_offset);
}

/* Offsets from verify->next on that no block holds. */
static void check_missing(struct verify *verify, uint64_t end)
{
    struct world *world = verify->world;

    for (uint64_t i = verify->next; i < end && !world->may_lose; i++)
        if (i >= world->count || !world->records[i].is_lost)
            world_violate(world, "%s: offset %" PRIu64 " is missing, of %" PRIu64 " to %" PRIu64, verify->when, i, verify->next,
                          end - 1);
}

static void check_segment(struct verify *verify, uint32_t index)
{
    static struct sp_segment_header header;
    struct world *world = verify->world;
    struct sim_disk *disk = verify->disk;
    struct sp_segment_identity identity;
    struct sp_block_header block;
    char name[SP_SEGMENT_NAME_SIZE], path[SPATE_TOPIC_NAME_MAX + 64];
    const char *reason;

    sp_segment_name(verify->bases[index], "log", name);
    snprintf(path, sizeof path, "%s/0/%s", world->topic.directory, name);
    verify->file = disk->io.f->open(&disk->io, path, O_RDONLY);
    if (verify->file < 0)
        return;
    const struct sp_scan_source source = {read_file, verify, (uint64_t)disk->io.f->size(&disk->io, verify->file)};
    if (read_file(verify, 0, &header, sizeof header) == 0 && !sp_segment_header_check(&header, &identity)) {
        struct sp_scan_place place = sp_scan_begin(&identity);
        verify->salts[index] = identity.salt;
        for (uint32_t i = 0; i < index; i++)
            if (verify->salts[i] == identity.salt)
                world_violate(world, "%s: two segments have the same salt", verify->when);
        for (;;) {
            const uint64_t at = place.at;
            if (sp_scan_block(&source, &identity, &place, &block, &reason) != 0 || world->is_over)
                break;
            if (block.base_offset >= verify->end)
                world_violate(world, "%s: the log goes on at offset %" PRIu64 " behind its end at %" PRIu64, verify->when,
                              block.base_offset, verify->end);
            check_missing(verify, block.base_offset);
            check_block(verify, &identity, at, &block);
            if (block.base_offset + block.count > verify->next)
                verify->next = block.base_offset + block.count;
        }
    }
    disk->io.f->close(&disk->io, verify->file);
}

void world_verify(struct world *world, struct sim_disk *disk, uint64_t end, const char *when)
{
    struct verify *verify = calloc(1, sizeof *verify);
    char path[SPATE_TOPIC_NAME_MAX + 64];
    const struct sim_fault read = disk->faults[SIM_READ], open = disk->faults[SIM_OPEN], list = disk->faults[SIM_LIST];
    const struct sim_fault size = disk->faults[SIM_SIZE];
    void (*const hook)(void *context) = disk->on_operation;
    const uint64_t dead_at = disk->dead_at;
    const bool is_dead = disk->is_dead; /* recovery need not have noticed, when it was done but for what may fail */
    const enum sim_lie lie = disk->lie;

    if (!verify)
        abort();
    disk->faults[SIM_READ] = disk->faults[SIM_OPEN] = disk->faults[SIM_LIST] = disk->faults[SIM_SIZE] = (struct sim_fault){0};
    disk->on_operation = NULL;
    disk->dead_at = 0;
    disk->is_dead = false;
    disk->lie = SIM_HONEST;
    *verify = (struct verify){.world = world, .disk = disk, .when = when, .end = end, .next = world->first};
    const uint64_t room = world->ring_config.capacity + ((uint64_t)512 << 10); /* compacted blocks are larger */
    verify->stored = malloc(room);
    verify->raw = malloc(room);
    if (!verify->stored || !verify->raw)
        abort();
    snprintf(path, sizeof path, "%s/0", world->topic.directory);
    (void)disk->io.f->list(&disk->io, path, note, verify);
    qsort(verify->bases, verify->count, sizeof *verify->bases, compare);
    for (uint32_t i = 0; i < verify->count && !world->is_over; i++)
        check_segment(verify, i);
    if (!world->is_over)
        check_missing(verify, end);
    free(verify->stored);
    free(verify->raw);
    free(verify);
    disk->faults[SIM_READ] = read;
    disk->faults[SIM_OPEN] = open;
    disk->faults[SIM_LIST] = list;
    disk->faults[SIM_SIZE] = size;
    disk->on_operation = hook;
    disk->dead_at = dead_at;
    disk->is_dead = is_dead;
    disk->lie = lie;
}
