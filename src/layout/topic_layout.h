/* topic_layout.h: the file `<bus>/<topic>/topic`: configuration and identity. Written once by the creator, then only `state`
 * changes.
 *
 * off size field              access            may
 *   0   64 file               layout.h
 *  64    4 state              release/acquire   SP_STATE_LIVE -> SP_STATE_DELETED
 *  68    4 partitions         plain             never change after format; all below too
 *  72    8 ring_capacity      plain             bytes, a power of two
 *  80    4 mode               plain             enum spate_mode
 *  84    4 alignment          plain             bytes, a power of two 8..128
 *  88    4 timestamp          plain             enum spate_timestamp
 *  92    4 producers_max      plain
 *  96    4 consumers_max      plain
 * 100    4 numa_node          plain             -1: any
 * 104    4 huge_pages         plain             enum spate_huge_pages
 * 108    4 uid                plain             owner of the files
 * 112    4 gid                plain
 * 116    4 ring_file_mode     plain             rw for producers, r for consumers
 * 120    4 cursors_file_mode  plain             rw for both
 * 124    4 durable            plain             1: the daemon keeps a log of it, and producers wait for the log
 * 128  256 name               plain             NUL-terminated
 * 384    4 flush              plain             enum spate_flush; this and all below mean nothing where durable is 0
 * 388    4 compression        plain             enum spate_compression
 * 392    8 flush_interval     plain             ns
 * 400    4 cleanup            plain             enum spate_cleanup, ORed
 * 404    4 unused
 * 408    8 segment_size       plain             bytes
 * 416    8 segment_age        plain             ns; -1: without limit, as the others
 * 424    8 retention_size     plain             bytes
 * 432    8 retention_time     plain             ns
 * 440    8 tombstone_delay    plain             ns
 * 448 3648 unused                               0; later configuration */
#ifndef SP_LAYOUT_TOPIC_LAYOUT_H
#define SP_LAYOUT_TOPIC_LAYOUT_H

#include "layout/layout.h"

#define SP_TOPIC_MAGIC SP_MAGIC('t', 'o', 'p', 'i')

enum { SP_STATE_LIVE = 0, SP_STATE_DELETED = 1 };

struct sp_topic_file {
    struct sp_file_header file;
    _Atomic uint32_t state;
    uint32_t partitions;
    uint64_t ring_capacity;
    uint32_t mode;
    uint32_t alignment;
    uint32_t timestamp;
    uint32_t producers_max;
    uint32_t consumers_max;
    int32_t numa_node;
    uint32_t huge_pages;
    uint32_t uid;
    uint32_t gid;
    uint32_t ring_file_mode;
    uint32_t cursors_file_mode;
    uint32_t durable;
    char name[256];
    uint32_t flush;
    uint32_t compression;
    int64_t flush_interval;
    uint32_t cleanup;
    uint32_t unused0;
    uint64_t segment_size;
    int64_t segment_age;
    int64_t retention_size;
    int64_t retention_time;
    int64_t tombstone_delay;
    uint8_t unused1[3648];
};

#define SP_TOPIC_FIELDS(AT)                             \
    AT(struct sp_topic_file, file, 0, 64)               \
    AT(struct sp_topic_file, state, 64, 4)              \
    AT(struct sp_topic_file, partitions, 68, 4)         \
    AT(struct sp_topic_file, ring_capacity, 72, 8)      \
    AT(struct sp_topic_file, mode, 80, 4)               \
    AT(struct sp_topic_file, alignment, 84, 4)          \
    AT(struct sp_topic_file, timestamp, 88, 4)          \
    AT(struct sp_topic_file, producers_max, 92, 4)      \
    AT(struct sp_topic_file, consumers_max, 96, 4)      \
    AT(struct sp_topic_file, numa_node, 100, 4)         \
    AT(struct sp_topic_file, huge_pages, 104, 4)        \
    AT(struct sp_topic_file, uid, 108, 4)               \
    AT(struct sp_topic_file, gid, 112, 4)               \
    AT(struct sp_topic_file, ring_file_mode, 116, 4)    \
    AT(struct sp_topic_file, cursors_file_mode, 120, 4) \
    AT(struct sp_topic_file, durable, 124, 4)           \
    AT(struct sp_topic_file, name, 128, 256)            \
    AT(struct sp_topic_file, flush, 384, 4)             \
    AT(struct sp_topic_file, compression, 388, 4)       \
    AT(struct sp_topic_file, flush_interval, 392, 8)    \
    AT(struct sp_topic_file, cleanup, 400, 4)           \
    AT(struct sp_topic_file, segment_size, 408, 8)      \
    AT(struct sp_topic_file, segment_age, 416, 8)       \
    AT(struct sp_topic_file, retention_size, 424, 8)    \
    AT(struct sp_topic_file, retention_time, 432, 8)    \
    AT(struct sp_topic_file, tombstone_delay, 440, 8)
SP_TOPIC_FIELDS(SP_AT)
static_assert(sizeof(struct sp_topic_file) == 4096, "topic file ABI");

/* sp_topic_file_check: every value in the range that creation allows. Returns 0, -EBADMSG. */
int sp_topic_file_check(const struct sp_topic_file *topic, const char *path);

#endif
