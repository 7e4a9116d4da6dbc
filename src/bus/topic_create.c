/* topic_create.c: making a topic: its directory, its files, all of them whole before anybody sees them.
 *
 * Everything is built in a directory with a name that no topic can have and renamed into place last. A creator that dies
 * leaves that directory, which carries its owner word, so gc knows when nobody works on it any more. Any thread, any process;
 * of several creators exactly one succeeds. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "bus/internal.h"
#include "bus/remove.h"
#include "bus/topic_config.h"
#include "shm/descriptor.h"
#include "shm/handle.h"
#include "shm/map.h"

#define HUGE_PAGE ((uint32_t)2 << 20)

struct creation {
    struct spate_bus *bus;
    struct spate_topic_config config;
    const struct sp_topic_origin *origin;
    uint8_t id[16];
    int64_t created;
    int dir_fd; /* of the unfinished directory */
    uint32_t page_size;
    uint32_t ring_mode, cursors_mode;
};

/* Owner and group of a file or directory, as configured. */
static int give(const struct creation *creation, int fd)
{
    uid_t uid = creation->config.uid < 0 ? (uid_t)-1 : (uid_t)creation->config.uid;
    gid_t gid = creation->config.gid < 0 ? (gid_t)-1 : (gid_t)creation->config.gid;

    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return sp_fail(-errno, "cannot give the topic to user %lld, group %lld: %s", (long long)creation->config.uid,
                       (long long)creation->config.gid, strerror(errno));
    return 0;
}

static int finish_file(const struct creation *creation, struct sp_new_file *file, const char *name)
{
    int error = give(creation, file->fd);
    return error ? error : sp_file_link(file, creation->dir_fd, name);
}

static int create_ring(const struct creation *creation, uint32_t partition)
{
    const struct spate_topic_config *config = &creation->config;
    const struct sp_ring_regions regions = sp_ring_regions(config->producers_max, config->ring_capacity, creation->page_size);
    const bool huge = config->huge_pages != SPATE_HUGE_NONE;
    struct sp_ring_config ring = {
        .capacity = config->ring_capacity,
        .mode = config->mode,
        .unit_shift = sp_log2(config->alignment),
        .timestamp = config->timestamp,
        .producers_max = config->producers_max,
        .consumers_max = config->consumers_max,
        .page_size = creation->page_size,
        .is_durable = config->durable != 0,
        .begin = creation->origin->places ? creation->origin->places[partition] : (struct sp_place){0, 0},
    };
    struct sp_new_file file;
    char name[32];
    bool got_huge = false;

    int error = sp_random(&ring.salt, sizeof ring.salt);
    if (error)
        return sp_fail(error, "no random bytes for a salt: %s", strerror(-error));
    ring.salt |= UINT64_C(1) << 63; /* so that zeroed memory is no record (sp_stamp) */
    error = sp_file_create(creation->dir_fd, regions.file_size, creation->ring_mode, config->numa_node, huge, &got_huge, &file);
    if (error)
        return error;
    if (config->huge_pages == SPATE_HUGE_REQUIRE && !got_huge)
        error =
            sp_fail(-ENOTSUP,
                    "no huge pages for a ring of %llu bytes: use huge=try, a ring of at least 2M, a bus directory on hugetlbfs, or "
                    "allow them in /sys/kernel/mm/transparent_hugepage/shmem_enabled",
                    (unsigned long long)config->ring_capacity);
    struct sp_ring_header *header = file.map.address;
    if (!error) {
        sp_ring_format(header, &ring);
        sp_file_header_format(&header->file, regions.file_size, creation->id, creation->created, partition, creation->page_size);
        sp_file_header_seal(&header->file, SP_RING_MAGIC);
        snprintf(name, sizeof name, "%u.ring", partition);
        error = finish_file(creation, &file, name);
    }
    sp_file_close(&file);
    return error;
}

static int create_cursors(const struct creation *creation, uint32_t partition)
{
    const uint64_t size = sp_cursors_file_size(creation->config.consumers_max, creation->page_size);
    struct sp_new_file file;
    char name[32];

    int error = sp_file_create(creation->dir_fd, size, creation->cursors_mode, creation->config.numa_node, false, NULL, &file);
    if (error)
        return error;
    struct sp_cursors_header *header = file.map.address;
    header->consumers_max = creation->config.consumers_max;
    sp_file_header_format(&header->file, size, creation->id, creation->created, partition, creation->page_size);
    sp_file_header_seal(&header->file, SP_CURSORS_MAGIC);
    snprintf(name, sizeof name, "%u.cursors", partition);
    error = finish_file(creation, &file, name);
    sp_file_close(&file);
    return error;
}

static int create_topic_file(const struct creation *creation, const char *name)
{
    const struct spate_topic_config *config = &creation->config;
    const uint64_t size = sp_align_up(sizeof(struct sp_topic_file), sp_page_size(creation->dir_fd));
    struct sp_new_file file;

    int error = sp_file_create(creation->dir_fd, size, creation->ring_mode, -1, false, NULL, &file); /* consumers only read it */
    if (error)
        return error;
    struct sp_topic_file *topic = file.map.address;
    topic->partitions = config->partitions;
    topic->ring_capacity = config->ring_capacity;
    topic->mode = config->mode;
    topic->alignment = config->alignment;
    topic->timestamp = config->timestamp;
    topic->producers_max = config->producers_max;
    topic->consumers_max = config->consumers_max;
    topic->numa_node = config->numa_node;
    topic->huge_pages = config->huge_pages;
    topic->uid = config->uid < 0 ? geteuid() : (uint32_t)config->uid;
    topic->gid = config->gid < 0 ? getegid() : (uint32_t)config->gid;
    topic->ring_file_mode = creation->ring_mode;
    topic->cursors_file_mode = creation->cursors_mode;
    topic->durable = config->durable;
    topic->flush = config->flush;
    topic->compression = config->compression;
    topic->flush_interval = config->flush_interval;
    topic->cleanup = config->cleanup;
    topic->segment_size = config->segment_size;
    topic->segment_age = config->segment_age;
    topic->retention_size = config->retention_size;
    topic->retention_time = config->retention_time;
    topic->tombstone_delay = config->tombstone_delay;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    sp_file_header_format(&topic->file, size, creation->id, creation->created, 0, creation->page_size);
    sp_file_header_seal(&topic->file, SP_TOPIC_MAGIC);
    error = finish_file(creation, &file, "topic");
    sp_file_close(&file);
    return error;
}

static int create_files(struct creation *creation, const char *name)
{
    const struct spate_topic_config *config = &creation->config;
    const uint32_t bus_mode = creation->bus->registry.header->mode & 0666;
    const uint32_t producers = config->producer_mode ? config->producer_mode : bus_mode;
    const uint32_t consumers = config->consumer_mode ? config->consumer_mode : bus_mode;

    /* Producers write rings, consumers only read them; both write cursors. */
    creation->ring_mode = producers | (consumers & 0444);
    creation->cursors_mode = producers | consumers;
    creation->page_size = sp_page_size(creation->dir_fd);
    if (config->huge_pages != SPATE_HUGE_NONE && config->ring_capacity >= HUGE_PAGE && creation->page_size < HUGE_PAGE)
        creation->page_size = HUGE_PAGE; /* so that the data begins where a huge page can */
    const struct sp_ring_regions ring = sp_ring_regions(config->producers_max, config->ring_capacity, creation->page_size);
    const uint64_t partition_size = ring.file_size + sp_cursors_file_size(config->consumers_max, creation->page_size);
    int error = sp_check_room(creation->dir_fd, config->partitions * partition_size); /* all of it, before anything is taken */
    if (!error)
        error = create_topic_file(creation, name);
    for (uint32_t i = 0; !error && i < config->partitions; i++) {
        error = create_ring(creation, i);
        if (!error)
            error = create_cursors(creation, i);
    }
    if (!error)
        error = give(creation, creation->dir_fd);
    uint32_t mode = creation->cursors_mode | creation->ring_mode;
    if (!error && fchmod(creation->dir_fd, (mode_t)(0700 | (mode & 0444) | (mode & 0444) >> 2)) < 0)
        error = sp_fail(-errno, "cannot set the mode of the topic directory: %s", strerror(errno));
    return error;
}

int spate_topic_create(spate_bus *bus, const char *name, const struct spate_topic_config *given)
{
    static const struct sp_topic_origin fresh = {0};
    return sp_topic_create(bus, name, given, &fresh);
}

int sp_topic_create(struct spate_bus *bus, const char *name, const struct spate_topic_config *given,
                    const struct sp_topic_origin *origin)
{
    struct creation creation = {.bus = bus, .origin = origin, .dir_fd = -1};
    char directory[SPATE_TOPIC_NAME_MAX + 8], unfinished[64];

    if (!bus || bus->magic != SP_BUS_HANDLE)
        return sp_handle_error(bus, "bus");
    if (bus->observe)
        return sp_fail(-EPERM, "the bus was opened with SPATE_BUS_OBSERVE: open it anew without, to create topics");
    int error = sp_topic_name_check(name);
    if (!error)
        error = sp_topic_config_take(given, &creation.config);
    if (error)
        return error;
    sp_topic_directory(name, directory);
    spate_topic *present = NULL;
    /* opening finishes a deletion whose deleter died; only then is the name free */
    if (faccessat(bus->registry.dir_fd, directory, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
        spate_topic_open(bus, name, &present) != -ENOENT)
        error = -EEXIST;
    spate_topic_close(present);
    if (error)
        return sp_fail(-EEXIST, "there is a topic %s on bus %s already: it is left as it is", name, bus->registry.path);
    error = origin->id ? 0 : sp_random(creation.id, sizeof creation.id);
    if (error)
        return sp_fail(error, "no random bytes for the topic identity: %s", strerror(-error));
    if (origin->id)
        memcpy(creation.id, origin->id, sizeof creation.id);
    creation.created = origin->id ? origin->created : sp_clock_realtime();
    error = sp_unfinished_name(bus, unfinished);
    if (error)
        return error;
    if (mkdirat(bus->registry.dir_fd, unfinished, 0700) < 0)
        return sp_fail(-errno, "cannot create topic %s in %s: %s", name, bus->registry.path, strerror(errno));
    creation.dir_fd = sp_open_at(bus->registry.dir_fd, unfinished, O_RDONLY | O_DIRECTORY, 0);
    error =
        creation.dir_fd < 0 ? sp_fail(-errno, "cannot open a new directory: %s", strerror(errno)) : create_files(&creation, name);
    if (!error && renameat2(bus->registry.dir_fd, unfinished, bus->registry.dir_fd, directory, RENAME_NOREPLACE) < 0)
        error = errno == EEXIST ? sp_fail(-EEXIST, "somebody else created topic %s just now: theirs is left as it is", name)
                                : sp_fail(-errno, "cannot name topic %s: %s", name, strerror(errno));
    if (creation.dir_fd >= 0)
        close(creation.dir_fd);
    if (error)
        (void)sp_remove_directory(bus->registry.dir_fd, unfinished);
    return error;
}
