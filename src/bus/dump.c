/* dump.c: a ring file as it is: its header, and every record, claim and damaged byte in it, without a bus.
 *
 * Implements spate_dump. The file may be live, left by the dead, copied to another machine, or garbage: it is mapped
 * read-only by its path, the constants of its header are copied, the copy is checked, and the walk (walk.h) does not believe
 * the rest. Who is alive cannot be known without the bus, so every open claim is shown as claimed. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "bus/walk.h"
#include "layout/topic_layout.h"
#include "shm/descriptor.h"
#include "shm/map.h"

struct dump {
    struct sp_map whole, data;
    struct sp_ring_header constants; /* a copy of everything before the tail */
    struct sp_ring ring;
};

static bool everybody_lives(void *context, uint64_t owner)
{
    (void)context;
    (void)owner;
    return true;
}

/* Maps the file twice, as attaching does: whole, and its data mirrored. */
static int map(struct dump *dump, int fd, const char *path)
{
    struct stat status;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < (off_t)SP_RING_HEADER_SIZE)
        return sp_fail(-EBADMSG, "%s is not a ring file: it is a plain file of at least %u bytes", path, SP_RING_HEADER_SIZE);
    void *address = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED)
        return sp_fail(-errno, "cannot map %s: %s", path, strerror(errno));
    dump->whole = (struct sp_map){address, (uint64_t)status.st_size};
    memcpy(&dump->constants, address, offsetof(struct sp_ring_header, tail));
    int error = sp_file_header_check(&dump->constants.file, SP_RING_MAGIC, dump->whole.size, path);
    if (!error)
        error = sp_ring_header_check(&dump->constants, dump->whole.size, path);
    if (error)
        return error;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (dump->constants.data_offset % page != 0)
        return sp_fail(-EBADMSG, "%s was made on a machine with pages of %u bytes, here they have %llu: dump it there", path,
                       dump->constants.file.page_size, (unsigned long long)page);
    return sp_map_mirror(fd, dump->constants.data_offset, dump->constants.capacity, dump->constants.file.page_size, false,
                         &dump->data);
}

static void init_ring(struct dump *dump)
{
    struct sp_ring *ring = &dump->ring;

    sp_ring_init(ring, &dump->constants, dump->data.address, NULL);
    ring->header = dump->whole.address; /* from here on for the words that move */
    ring->producers = (struct sp_producer_slot *)(void *)((uint8_t *)dump->whole.address + SP_RING_HEADER_SIZE);
}

static void fill_info(const struct dump *dump, const struct sp_walk *walk, struct spate_dump_info *ret)
{
    const struct sp_ring_header *constants = &dump->constants;
    struct sp_ring_header *header = dump->ring.header;

    *ret = (struct spate_dump_info){
        .layout_version = constants->file.version,
        .partition = (int32_t)constants->file.partition,
        .mode = constants->mode,
        .alignment = 1u << constants->unit_shift,
        .timestamp = constants->timestamp,
        .capacity = constants->capacity,
        .salt = constants->salt,
        .tail_word = atomic_load_explicit(&header->tail, memory_order_acquire), /* E3 claim */
        .claimed_position = walk->end.position,
        .claimed_offset = (int64_t)walk->end.offset,
        .reserved_position = atomic_load_explicit(&header->reserved, memory_order_relaxed), /* relaxed: only reported */
        .oldest_position = walk->next.position,
        .oldest_offset = (int64_t)walk->next.offset,
        .deleted = atomic_load_explicit(&header->state, memory_order_acquire) != SP_STATE_LIVE, /* E11 owner */
    };
    memcpy(ret->topic_id, constants->file.id, sizeof ret->topic_id);
}

static uint32_t saturate(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int walk_records(const struct dump *dump, struct sp_walk *walk, int (*visit)(void *, const struct spate_dump_record *),
                        void *context)
{
    struct sp_walk_item item;
    int result = 0;

    while (!result && sp_walk_next(walk, &item)) {
        struct spate_dump_record record = {
            .position = item.place.position,
            .offset = (int64_t)item.place.offset,
            .state = item.state,
            .count = saturate(item.next.offset - item.place.offset),
            .size = item.next.position - item.place.position,
            .stamp = item.stamp,
            .stamp_expected = sp_stamp(item.place.offset, dump->ring.salt),
            .word = item.word,
            .owner_slot = item.state == SPATE_RECORD_CLAIMED ? (int32_t)item.slot : -1,
            .record = item.record,
        };
        record.record.partition = (int32_t)dump->constants.file.partition;
        result = visit(context, &record);
    }
    return result;
}

int spate_dump(const char *path, struct spate_dump_info *ret_info, int (*visit)(void *, const struct spate_dump_record *),
               void *context)
{
    struct dump dump = {0};
    struct sp_walk walk;

    if (!path)
        return sp_fail(-EINVAL, "path is NULL");
    /* O_NONBLOCK: a pipe is refused, not waited for */
    int fd = sp_open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return sp_fail(-errno, "cannot open %s: %s", path, strerror(errno));
    int result = map(&dump, fd, path);
    close(fd);
    if (!result) {
        init_ring(&dump);
        sp_walk_begin(&walk, &dump.ring, (struct sp_liveness){everybody_lives, NULL});
        if (ret_info)
            fill_info(&dump, &walk, ret_info);
        if (visit)
            result = walk_records(&dump, &walk, visit, context);
    }
    sp_unmap(&dump.data);
    sp_unmap(&dump.whole);
    return result;
}
