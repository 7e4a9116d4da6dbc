/* internal.h: what the files of src/bus share: the handles behind the public header, and attachments to rings.
 *
 * Ownership: a topic keeps its bus, a producer or consumer keeps its topic (reference counts, any thread). A topic caches the
 * mappings of its partitions, so that ten producers of one process map a ring once. The handles live in memory that a forked
 * child finds wiped (shm/handle.h); what they point to is ordinary memory. */
#ifndef SP_BUS_INTERNAL_H
#define SP_BUS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bus/path.h"
#include "layout/topic_layout.h"
#include "ring/reader.h"
#include "ring/writer.h"
#include "shm/registry.h"
#include "spate/inspect.h"
#include "spate/spate.h"

#define SP_BUS_HANDLE 0x5350415442555301u
#define SP_TOPIC_HANDLE 0x5350415454504301u
#define SP_PRODUCER_HANDLE 0x5350415450524401u
#define SP_CONSUMER_HANDLE 0x5350415443534d01u

struct spate_bus {
    uint64_t magic;
    struct sp_registry registry;
    char name[SP_NAME_SIZE]; /* of this participant */
    bool observe;            /* nothing may be produced, created or deleted; and nothing consumed, unless: */
    bool is_log;             /* it is a log directory (SPATE_BUS_LOG; log_bus.c) */
    _Atomic uint32_t references;
};

/* How a partition is mapped. */
enum sp_access {
    SP_ACCESS_PRODUCE = 0, /* ring and cursors read-write */
    SP_ACCESS_CONSUME = 1, /* ring read-only, cursors read-write */
    SP_ACCESS_OBSERVE = 2, /* both read-only */
    SP_ACCESS_KINDS = 3,
};

struct sp_attachment {
    struct sp_ring ring;
    struct sp_map header_map, data_map, cursors_map;
    uint32_t references; /* under the topic's mutex */
    uint64_t touched;    /* bytes of it that count towards the topic's */
};

struct spate_topic {
    uint64_t magic;
    struct spate_bus *bus;
    int dir_fd;
    struct sp_map map;
    const struct sp_topic_file *file;
    struct spate_topic_info info;
    pthread_mutex_t mutex; /* of the attachments */
    struct sp_attachment **attachments[SP_ACCESS_KINDS];
    uint64_t touched; /* bytes of rings that sp_map_touch was called for */
    _Atomic uint32_t references;
};

/* Where a topic comes from that existed before: from its log. All zero: it is new. */
struct sp_topic_origin {
    const uint8_t *id;             /* 16 bytes, or NULL */
    int64_t created;               /* ns since 1970 */
    const struct sp_place *places; /* where each partition's ring begins, or NULL */
};

/* sp_topic_create: as spate_topic_create. */
int sp_topic_create(struct spate_bus *bus, const char *name, const struct spate_topic_config *given,
                    const struct sp_topic_origin *origin);

void sp_bus_keep(struct spate_bus *bus);
void sp_bus_drop(struct spate_bus *bus);
void sp_topic_keep(struct spate_topic *topic);
void sp_topic_drop(struct spate_topic *topic);

static inline struct sp_liveness sp_bus_liveness(struct spate_bus *bus)
{
    return (struct sp_liveness){sp_registry_alive, &bus->registry};
}

/* sp_bus_open_log: the directory of the bus's log. Returns a descriptor, -ENOENT (no daemon has made one), -EACCES, -errno. */
int sp_bus_open_log(const struct spate_bus *bus);
#define SP_LOG_LINK "~log" /* in the bus directory, to the log directory */

/* sp_log_bus_open: in place of sp_registry_open, for a log directory. sp_log_bus_topic: the topic file of a topic there, as
 * `<bus>/<topic>/topic` would be. sp_log_bus_attach: an empty ring, private to this process, that begins where the partition's log ends.
 * Return 0, -ENOENT, -EACCES, -EBADMSG, -ENOMEM, ... */
int sp_log_bus_open(struct sp_registry *registry, const char *path);
int sp_log_bus_topic(struct spate_topic *topic, const char *name);
int sp_log_bus_attach(struct spate_topic *topic, uint32_t partition, struct sp_attachment *attachment);

/* sp_topic_directory: the name of its directory within the bus directory. */
void sp_topic_directory(const char *name, char directory[SPATE_TOPIC_NAME_MAX + 8]);
/* The inverse; false for entries that are not topics. */
bool sp_topic_of_directory(const char *directory, char name[SPATE_TOPIC_NAME_MAX + 1]);

/* sp_attach: map one partition, checked. Returns 0, -EACCES, -EBADMSG, -EPROTO, -ENOMEM. */
int sp_attach(struct spate_topic *topic, uint32_t partition, enum sp_access access, struct sp_attachment **ret);
void sp_detach(struct spate_topic *topic, uint32_t partition, enum sp_access access);

/* sp_ring_lock: take the ring lock of a partition (byte 0 of its cursors file). timeout 0: try. Returns 0, -ETIMEDOUT (who
 * repairs is named), -errno. */
int sp_ring_lock(struct spate_topic *topic, uint32_t partition, int64_t timeout, struct sp_lock *ret);
void sp_ring_unlock(struct sp_lock *lock);
#define SP_RING_LOCK_TIMEOUT ((int64_t)5000000000)

/* sp_partition_repair: sp_ring_repair under the lock, timed and counted; 0, or -ETIMEDOUT when another repairs. */
int sp_partition_repair(struct spate_topic *topic, uint32_t partition, struct sp_attachment *attachment, int64_t timeout,
                        struct sp_repair_result *ret);

/* sp_wake_sleepers, sp_wake_space: slow halves of commit (E7) and release (E8). */
void sp_wake_sleepers(struct spate_bus *bus, struct sp_ring *ring, _Atomic uint64_t *counter);
void sp_wake_space(struct sp_ring *ring);
/* sp_wake_log: wake the daemon. sp_wake_watermark: by the daemon, after it moved a watermark: wake who waits for that, and for room.
 * is_durable: it may be any; else only `written` was, and who waits for `durable` need not get up for it. */
void sp_wake_log(struct spate_bus *bus, struct sp_ring *ring);
void sp_wake_watermark(struct spate_bus *bus, struct sp_ring *ring, bool is_durable);
enum { SP_SLEEP_WRITTEN = 1, SP_SLEEP_DURABLE = 2 }; /* what is waited for on log.sequence */
/* sp_notice_raise: say on a notice word that somebody sleeps, or that the ring wants attention. */
void sp_notice_raise(_Atomic uint32_t *notice);

/* sp_wait_strategy: AUTO resolved for this machine. sp_spin_time: ns to spin before sleeping or yielding. */
uint32_t sp_wait_strategy(uint32_t asked);
int64_t sp_spin_time(void);

/* sp_deadline: the monotonic time at which a timeout ends; INT64_MAX for SPATE_FOREVER. */
int64_t sp_deadline(int64_t timeout);

#endif
