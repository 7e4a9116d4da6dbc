/* compact.c: the closed segments of a partition without the records that newer ones of their key supersede; see clean.h.
 *
 * Two passes: over what was added since the last time, to learn the newest offset of each key in it; then over all, copying what is not
 * superseded. Records are read through a reader like any consumer's (ring/reader.h): their bytes are input, and what makes no sense ends
 * the compaction of that segment, which stays as it is. Runs on the cleaner's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/crc32c.h"
#include "layout/record_layout.h"
#include "log/scan.h"
#include "ring/record.h"
#include "spill/clean.h"

#define BLOCK_SIZE ((uint32_t)256 << 10) /* raw bytes of the blocks that are written */

/* ---------------------------------------------------------------------------------------------------------------- keys */

struct key_slot {
    uint64_t low, high; /* hash of the key; both 0: free */
    uint64_t offset;    /* of its newest record */
};

struct keys {
    struct key_slot *slots;
    uint64_t count, mask, most;
    uint64_t seed;
};

static int keys_open(struct keys *keys, const struct clean *clean)
{
    uint64_t slots = 1024;

    while (slots * 2 * sizeof(struct key_slot) <= clean->keys_memory)
        slots *= 2;
    *keys = (struct keys){.slots = calloc(slots, sizeof(struct key_slot)), .mask = slots - 1, .most = slots / 4 * 3};
    clean->io->f->random(clean->io, &keys->seed, sizeof keys->seed);
    return keys->slots ? 0 : -ENOMEM;
}

/* The slot of a key, or the free one where it belongs. The table is never full. */
static struct key_slot *keys_find(const struct keys *keys, const void *key, uint32_t key_size, XXH128_hash_t *ret_hash)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(key, key_size, keys->seed);

    hash.low64 += hash.low64 == 0 && hash.high64 == 0;
    *ret_hash = hash;
    for (uint64_t i = hash.low64 & keys->mask;; i = (i + 1) & keys->mask) {
        struct key_slot *slot = &keys->slots[i];
        if ((slot->low == 0 && slot->high == 0) || (slot->low == hash.low64 && slot->high == hash.high64))
            return slot;
    }
}

static void keys_set(struct keys *keys, const void *key, uint32_t key_size, uint64_t offset)
{
    XXH128_hash_t hash;
    struct key_slot *slot = keys_find(keys, key, key_size, &hash);

    keys->count += slot->low == 0 && slot->high == 0;
    *slot = (struct key_slot){hash.low64, hash.high64, offset};
}

/* Returns whether the key is in the table. */
static bool keys_get(const struct keys *keys, const void *key, uint32_t key_size, uint64_t *ret_offset)
{
    XXH128_hash_t hash;
    const struct key_slot *slot = keys_find(keys, key, key_size, &hash);

    *ret_offset = slot->offset;
    return slot->low != 0 || slot->high != 0;
}

/* --------------------------------------------------------------------------------------------------- reading a segment */

struct source {
    struct io *io;
    int file;
    struct sp_scan_source scan;
    struct sp_segment_identity identity;
    struct sp_scan_place place;
    uint8_t *stored, *raw; /* of the present block */
    uint64_t stored_room, raw_room;
    struct sp_block_header header;
    const uint8_t *records;
    uint64_t at, offset; /* of the next record in it */
};

static int read_source(void *context, uint64_t at, void *to, uint32_t size)
{
    const struct source *source = context;
    return source->io->f->read(source->io, source->file, at, to, size);
}

static int source_open(struct source *source, const struct clean *clean, uint64_t base)
{
    struct sp_segment_header *header = malloc(sizeof *header);
    char path[CLEAN_PATH_SIZE];

    *source = (struct source){.io = clean->io, .file = -1};
    clean_path(clean, base, "log", path);
    source->file = header ? clean->io->f->open(clean->io, path, O_RDONLY) : -ENOMEM;
    int error = source->file < 0 ? source->file : clean->io->f->read(clean->io, source->file, 0, header, sizeof *header);
    if (!error && sp_segment_header_check(header, &source->identity) != NULL)
        error = -EBADMSG;
    free(header);
    if (error)
        return error;
    const int64_t size = clean->io->f->size(clean->io, source->file);
    source->scan = (struct sp_scan_source){read_source, source, size < 0 ? 0 : (uint64_t)size};
    source->place = sp_scan_begin(&source->identity);
    return size < 0 ? (int)size : 0;
}

static void source_close(struct source *source)
{
    if (source->file >= 0)
        source->io->f->close(source->io, source->file);
    free(source->stored);
    free(source->raw);
}

static bool make_room(uint8_t **buffer, uint64_t *room, uint64_t size)
{
    if (*room >= size)
        return true;
    uint8_t *larger = realloc(*buffer, size);
    if (!larger)
        return false;
    *buffer = larger;
    *room = size;
    return true;
}

/* The next block. Returns 0, -ENODATA (no more), -EBADMSG (damaged), -errno. */
static int source_next_block(struct source *source)
{
    const struct sp_scan_place before = source->place;
    const char *reason;

    int error = sp_scan_block(&source->scan, &source->identity, &source->place, &source->header, &reason);
    if (error == -EBADMSG && before.at >= source->scan.size)
        error = -ENODATA;
    if (error)
        return error;
    if (!make_room(&source->stored, &source->stored_room, source->header.stored_size) ||
        !make_room(&source->raw, &source->raw_room, source->header.raw_size))
        return -ENOMEM;
    error = source->io->f->read(source->io, source->file, before.at + sizeof source->header, source->stored,
                                source->header.stored_size);
    if (error)
        return error;
    source->records = source->stored;
    if (sp_block_codec(&source->header) != SPATE_COMPRESSION_NONE) {
        if (sp_block_unpack(&source->header, source->stored, source->raw))
            return -EBADMSG;
        source->records = source->raw;
    }
    source->at = 0;
    source->offset = source->header.base_offset;
    return 0;
}

struct found_record {
    const uint8_t *bytes; /* in ring format */
    uint64_t size;
    uint64_t offset;
    uint32_t count;
    bool is_data;
    struct spate_record record;
};

/* The next record of the present block. Returns 1, 0 (no more in it), -EBADMSG. */
static int source_next(struct source *source, struct found_record *ret)
{
    const uint64_t left = source->header.raw_size - source->at;
    uint64_t stamp, word;

    if (left == 0)
        return 0;
    if (left < SP_RECORD_HEADER_SIZE)
        return -EBADMSG;
    *ret = (struct found_record){.bytes = source->records + source->at, .offset = source->offset, .count = 1};
    memcpy(&stamp, ret->bytes, sizeof stamp);
    memcpy(&word, ret->bytes + sizeof stamp, sizeof word);
    if (stamp != sp_stamp(source->offset, source->identity.stamp_salt))
        return -EBADMSG;
    const uint64_t size_max = sp_min(left, source->identity.record_max);
    ret->size = sp_record_decode(ret->bytes, word, size_max, 1u << source->identity.unit_shift, &ret->record);
    ret->is_data = ret->size != 0;
    if (!ret->is_data && !sp_aborted_decode(word, left, source->identity.unit_shift, &ret->size, &ret->count))
        return -EBADMSG;
    source->at += ret->size;
    source->offset += ret->count;
    return 1;
}

/* --------------------------------------------------------------------------------------------------- writing a segment */

struct target {
    const struct clean *clean;
    int file;
    struct sp_segment_identity identity;
    uint64_t at; /* of the next block in the file */
    uint32_t previous;
    uint8_t *block; /* header, then records */
    uint64_t block_room;
    uint32_t size;        /* bytes of records in it */
    uint64_t begin, next; /* offsets that it covers */
    int64_t first, last;  /* timestamps */
    uint64_t end;         /* in the ring, of the last record that was looked at, kept or not */
    uint64_t missing;     /* offsets from `next` on that no record stands for */
    struct sp_index_maker index;
    uint64_t kept;
};

static int target_flush(struct target *target)
{
    struct io *io = target->clean->io;
    struct sp_block_header *header = (struct sp_block_header *)(void *)target->block;
    uint8_t *data = target->block + sizeof *header;

    if (target->size == 0)
        return 0;
    *header = (struct sp_block_header){
        .kind = SP_BLOCK_MAGIC | SP_BLOCK_COMPACTED,
        .previous = target->previous,
        .base_offset = target->begin,
        .position = target->end > target->size ? target->end - target->size : 0, /* so that it ends where it did */
        .first_timestamp = target->first,
        .last_timestamp = target->last,
        .count = (uint32_t)(target->next - target->begin),
        .raw_size = target->size,
        .stored_size = target->size,
    };
    if (target->clean->topic->info.compression == SPATE_COMPRESSION_LZ4) {
        uint8_t *packed = malloc(target->size);
        const uint32_t size = packed ? sp_block_pack(data, target->size, packed) : 0;
        if (size) {
            memcpy(data, packed, size);
            header->kind |= SPATE_COMPRESSION_LZ4;
            header->stored_size = size;
        }
        free(packed);
    }
    header->data_crc = sp_crc32c(0, data, header->stored_size);
    sp_block_seal(header, target->identity.salt);
    const uint64_t size = sp_block_size(header);
    memset(data + header->stored_size, 0, size - sizeof *header - header->stored_size);
    int error = sp_index_note(&target->index, header, target->at);
    if (!error)
        error = io->f->write(io, target->file, target->at, target->block, (uint32_t)size);
    target->previous = header->header_crc;
    target->at += size;
    target->size = 0;
    return error;
}

/* Room for `size` more bytes of records in the present block, which is begun if need be. */
static int target_reserve(struct target *target, uint64_t size)
{
    int error = 0;

    if (target->size && target->size + size > BLOCK_SIZE)
        error = target_flush(target);
    if (!error && !make_room(&target->block, &target->block_room,
                             sp_align_up(sizeof(struct sp_block_header) + sp_max(BLOCK_SIZE, target->size + size), SP_LOG_GRAIN)))
        error = -ENOMEM;
    if (target->size == 0) {
        target->begin = target->next;
        target->first = target->last = 0;
    }
    return error;
}

static void target_put(struct target *target, const void *bytes, uint64_t size, uint64_t count)
{
    memcpy(target->block + sizeof(struct sp_block_header) + target->size, bytes, size);
    target->size += (uint32_t)size;
    target->next += count;
}

/* Aborted records over the offsets that are missing before what comes next. */
static int target_fill(struct target *target)
{
    const uint32_t unit = 1u << target->identity.unit_shift, size = (uint32_t)sp_align_up(SP_RECORD_HEADER_SIZE, unit);
    uint8_t record[128] = {0};

    while (target->missing) {
        const uint64_t count = sp_min(target->missing, SP_ABORTED_COUNT_MAX);
        const int error = target_reserve(target, size);
        if (error)
            return error;
        const uint64_t words[2] = {sp_stamp(target->next, target->identity.stamp_salt),
                                   sp_record_word(size >> target->identity.unit_shift, (uint32_t)count, SP_RECORD_ABORTED)};
        memcpy(record, words, sizeof words);
        target_put(target, record, size, count);
        target->missing -= count;
    }
    return 0;
}

static int target_add(struct target *target, const struct found_record *found)
{
    int error = target_fill(target);
    if (!error)
        error = target_reserve(target, found->size);
    if (error)
        return error;
    if (found->record.timestamp) {
        if (target->first == 0)
            target->first = found->record.timestamp;
        if (found->record.timestamp > target->last)
            target->last = found->record.timestamp;
    }
    target_put(target, found->bytes, found->size, 1);
    target->kept++;
    return 0;
}

static int target_open(struct target *target, const struct clean *clean, const struct source *source)
{
    struct sp_segment_header *header = malloc(sizeof *header);
    char path[CLEAN_PATH_SIZE];

    *target = (struct target){
        .clean = clean,
        .file = -1,
        .identity = source->identity,
        .at = sizeof *header,
        .next = source->identity.base_offset,
    };
    sp_index_begin(&target->index);
    clean->io->f->random(clean->io, &target->identity.salt, sizeof target->identity.salt);
    clean_path(clean, source->identity.base_offset, "compacting", path);
    target->file = header ? clean->io->f->open(clean->io, path, O_RDWR | O_CREAT | O_TRUNC) : -ENOMEM;
    int error = target->file < 0 ? target->file : 0;
    if (!error) {
        sp_segment_header_make(header, &target->identity);
        target->previous = target->identity.crc;
        error = clean->io->f->write(clean->io, target->file, 0, header, sizeof *header);
    }
    free(header);
    return error;
}

/* Durable, then in the old one's place, then its index. */
static int target_finish(struct target *target, uint64_t next)
{
    const struct clean *clean = target->clean;
    struct io *io = clean->io;
    const uint64_t base = target->identity.base_offset;
    char from[CLEAN_PATH_SIZE], to[CLEAN_PATH_SIZE], directory[CLEAN_PATH_SIZE];

    if (next < target->next) /* it has more than the next one leaves it */
        return -EBADMSG;
    target->missing = next - target->next;
    int error = target_fill(target);
    if (!error)
        error = target_flush(target);
    clean_path(clean, base, "compacting", from);
    clean_path(clean, base, "log", to);
    snprintf(directory, sizeof directory, "%s/%u", clean->topic->directory, clean->partition);
    spill_give(io, clean->topic, from, false);
    if (!error)
        error = io->f->sync(io, from);
    if (!error)
        error = io->f->rename(io, from, to, true);
    if (!error)
        error = io->f->sync(io, directory);
    if (error)
        return error;
    clean_path(clean, base, "index", to);
    spill_write_index(io, clean->topic, to, &target->index, target->identity.salt, target->at, next);
    return 0;
}

static void target_close(struct target *target, bool is_kept)
{
    char path[CLEAN_PATH_SIZE];

    if (target->file >= 0)
        target->clean->io->f->close(target->clean->io, target->file);
    if (!is_kept) {
        clean_path(target->clean, target->identity.base_offset, "compacting", path);
        (void)target->clean->io->f->unlink(target->clean->io, path);
    }
    free(target->block);
    sp_index_end(&target->index);
}

/* ---------------------------------------------------------------------------------------------------------- compacting */

/* Learn the keys of a segment. Returns 0, -ENOSPC (the table is full), -EBADMSG, -errno. */
static int learn(struct keys *keys, const struct clean *clean, const struct clean_segment *segment)
{
    struct source source;
    struct found_record found;

    int error = source_open(&source, clean, segment->base);
    while (!error && (error = source_next_block(&source)) == 0) {
        int got;
        while ((got = source_next(&source, &found)) > 0 && keys->count < keys->most) {
            if (!found.is_data || !found.record.key)
                continue;
            keys_set(keys, found.record.key, found.record.key_size, found.offset);
        }
        error = got < 0 ? got : keys->count >= keys->most ? -ENOSPC : 0;
    }
    source_close(&source);
    return error == -ENODATA ? 0 : error;
}

struct round {
    const struct clean *clean;
    struct keys keys;
    int64_t now;
    bool keeps_tombstones; /* an older segment could not be compacted, so it may have older values of any key */
    struct clean_result *result;
};

static bool is_superseded(const struct round *round, const struct clean_segment *segment, const struct found_record *found)
{
    const struct spate_record *record = &found->record;
    uint64_t newest;

    if (!record->key)
        return false;
    const bool is_known = keys_get(&round->keys, record->key, record->key_size, &newest);
    if (is_known && newest > found->offset)
        return true;
    /* A null value goes when it has been there long enough and no older value of its key is left: all older segments are free of these,
     * since they are compacted first, with this key in the table, in this round or when this segment was compacted. */
    const int64_t time = record->timestamp ? record->timestamp : segment->newest;
    return !record->value && (is_known || segment->is_compacted) && !round->keeps_tombstones &&
           time < round->now - round->clean->topic->info.tombstone_delay;
}

/* One segment. Nothing is changed when nothing is superseded. */
static int rewrite(struct round *round, struct clean_segment *segment)
{
    const struct clean *clean = round->clean;
    struct clean_result *ret = round->result;
    struct source source;
    struct target target = {.file = -1, .clean = clean, .identity.base_offset = segment->base};
    struct found_record found;
    uint64_t removed = 0;
    bool is_done = false;

    int error = source_open(&source, clean, segment->base);
    if (!error)
        error = target_open(&target, clean, &source);
    while (!error && (error = source_next_block(&source)) == 0) {
        int got;
        if (source.header.base_offset > target.next + target.missing)
            target.missing = source.header.base_offset - target.next;
        while (!error && (got = source_next(&source, &found)) != 0) {
            if (got < 0) {
                error = got;
            } else if (!found.is_data || is_superseded(round, segment, &found)) {
                removed += found.is_data;
                target.missing += found.count;
            } else {
                error = target_add(&target, &found);
            }
            target.end = source.header.position + source.at;
        }
    }
    if (error == -ENODATA && (removed || !segment->is_compacted)) {
        error = target_finish(&target, segment->next);
        is_done = !error;
    }
    if (is_done) {
        ret->compacted++;
        ret->records_removed += removed;
        ret->freed += segment->size > target.at ? segment->size - target.at : 0;
        segment->size = target.at;
        segment->is_compacted = true;
    }
    source_close(&source);
    target_close(&target, is_done);
    round->keeps_tombstones |= error == -EBADMSG;
    return error == -ENODATA || error == -EBADMSG ? 0 : error; /* a damaged segment stays as it is */
}

int compact_segments(const struct clean *clean, struct clean_segment *segments, uint32_t count, int64_t now,
                     struct clean_result *ret)
{
    struct round round = {.clean = clean, .now = now, .result = ret};
    uint64_t dirty = 0, all = 0;
    bool has_learnt = false;

    for (uint32_t i = 0; i < count; i++) {
        /* behind one that was mended since, whose keys they were not compacted with */
        segments[i].is_compacted &= i == 0 || segments[i - 1].is_compacted;
        all += segments[i].size;
        dirty += segments[i].is_compacted ? 0 : segments[i].size;
    }
    if (dirty == 0 || dirty < all - dirty || dirty == *clean->tried)
        return 0;
    *clean->tried = dirty; /* what cannot be compacted is not tried again before there is more */
    int error = keys_open(&round.keys, clean);
    uint32_t learnt = 0;
    for (; !error && learnt < count; learnt++) {
        if (segments[learnt].is_compacted)
            continue;
        error = learn(&round.keys, clean, &segments[learnt]);
        if (error == -EBADMSG) /* what is damaged supersedes nothing */
            error = 0;
        if (error)
            break;
        has_learnt = true;
    }
    if (error == -ENOSPC) { /* what was learnt is right, and the rest comes in the next round */
        error = 0;
        if (!has_learnt)
            clean->say(
                clean->context, true,
                "compaction: the keys of one segment do not fit into the memory for them, and nothing behind it is compacted: "
                "see log.keys_memory");
    }
    for (uint32_t i = 0; !error && i < learnt; i++) {
        if (clean->must_stop && clean->must_stop(clean->context))
            break;
        error = rewrite(&round, &segments[i]);
    }
    free(round.keys.slots);
    return error;
}
