/* log_layout.h: the log on disk: what a log directory, a topic in it, a segment, a block, an index and a frontier look like.
 *
 *     <log directory>/lock                              a kernel lock on it: one daemon at a time
 *     <log directory>/<topic>/topic                     struct sp_log_topic: identity and configuration, so that a bus can be made anew
 *     <log directory>/<topic>/<n>/<20 digits>.log       a segment: struct sp_segment_header, then blocks
 *     <log directory>/<topic>/<n>/<20 digits>.index     struct sp_index_header, then entries; made from the segment, and can be again
 *     <log directory>/<topic>/<n>/frontier              two struct sp_frontier: how far the log is durable, and where it begins
 *
 * The 20 digits are the first offset that the segment may hold. (Topics named like a reserved word get a '~', as in the bus directory.)
 * Little-endian. Every struct ends its validity in a CRC32C of its own, seeded as said, and has a version: a build that finds a newer one
 * refuses the file and says so. Older versions stay readable for ever; tests/golden holds one of each.
 *
 * A SEGMENT is allocated at its full size and never extended while it is written; what is behind its last block is zero, or whatever was
 * written and not acknowledged before a crash. When it is closed it is cut to its end. Closed segments never change; compaction writes
 * new ones.
 *
 * Segment header, 4096 bytes:
 * off size field
 *   0    8 magic          SP_SEGMENT_MAGIC
 *   8    4 version        SP_LOG_VERSION
 *  12    4 crc            CRC32C of these 4096 bytes with this field 0
 *  16   16 topic_id
 *  32    4 partition
 *  36    4 unit_shift     log2 of the alignment of records
 *  40    8 base_offset    of the first record that it may hold
 *  48    8 salt           random: blocks of another segment do not pass for this one's
 *  56    8 stamp_salt     the ring's: the stamps in the records are made with it
 *  64    8 created        ns since 1970
 *  72    8 record_max     largest record, as the ring has it
 *  80 4016 0
 *
 * Block: at a multiple of 4096 bytes; header, then stored_size bytes, then zeros up to the next multiple.
 * off size field
 *   0    4 kind             SP_BLOCK_MAGIC | codec | SP_BLOCK_COMPACTED
 *   4    4 header_crc       CRC32C of the 64 bytes with this field 0, continued from the low half of the segment's salt
 *   8    4 data_crc         CRC32C of the stored bytes
 *  12    4 previous         header_crc of the block before, in the first the segment's crc: so that no block of an earlier life of
 *  the file
 *                           passes for the next one
 *  16    8 base_offset      of the first record
 *  24    8 position         of the first record in the ring, bytes; in a compacted block chosen so that its end is where it was
 *  32    8 first_timestamp  of its first record; 0 where there are none
 *  40    8 last_timestamp   the largest in it
 *  48    4 count            offsets that it covers
 *  52    4 raw_size         bytes of its records, in ring format
 *  56    4 stored_size      bytes behind the header: raw_size, or less with LZ4
 *  60    4 epoch            of the leader; 0 on a single host
 *
 * Records lie in a block exactly as they lay in the ring (record_layout.h), aborted ones too.
 *
 * Index: header of 64 bytes (magic, version, crc over header and entries with this field 0, count, size of the segment, the segment's
 * salt), then entries, each: base_offset 8 | max_timestamp of everything before 8 | position in the file 8. One about every 64 KiB.
 *
 * Frontier, 128 bytes, two of them 4096 apart, written in turn; the valid one with the larger sequence counts:
 * off size field
 *   0    8 magic, 8  4 version, 12  4 crc
 *  16    8 sequence
 *  24    8 segment          base offset of the segment that `at` is in
 *  32    8 at               place in that file: everything before it, and all earlier segments, is durable
 *  40    8 offset           of the next record there
 *  48    8 position
 *  56    8 start_offset     first offset that may be read: what is below was deleted
 *  64    4 previous         header_crc of the block before `at`
 *  68    4 clean            1: written when the daemon stopped in good order
 *  72   16 topic_id
 *  88   40 0 */
#ifndef SP_LAYOUT_LOG_LAYOUT_H
#define SP_LAYOUT_LOG_LAYOUT_H

#include "layout/layout.h"

#define SP_LOG_VERSION 1u
#define SP_LOG_GRAIN 4096u /* blocks, groups and direct I/O: no disk block that holds acknowledged records is written again */
#define SP_SEGMENT_MAGIC SP_MAGIC('s', 'e', 'g', 'm')
#define SP_INDEX_MAGIC SP_MAGIC('i', 'n', 'd', 'x')
#define SP_FRONTIER_MAGIC SP_MAGIC('f', 'r', 'o', 'n')
#define SP_LOG_TOPIC_MAGIC SP_MAGIC('l', 't', 'o', 'p')
#define SP_BLOCK_MAGIC ((uint32_t)'S' << 8 | (uint32_t)'P' << 16 | (uint32_t)'b' << 24) /* the codec is in the low byte */
#define SP_BLOCK_CODEC_MASK 0x0fu                                                       /* enum spate_compression */
#define SP_BLOCK_COMPACTED 0x10u           /* records were taken out: aborted ones stand for the offsets that are missing */
#define SP_INDEX_STEP ((uint64_t)64 << 10) /* bytes of a segment between two entries */

struct sp_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;
    uint8_t topic_id[16];
    uint32_t partition;
    uint32_t unit_shift;
    uint64_t base_offset;
    uint64_t salt;
    uint64_t stamp_salt;
    int64_t created;
    uint64_t record_max;
    uint8_t unused[4016];
};

struct sp_block_header {
    uint32_t kind;
    uint32_t header_crc;
    uint32_t data_crc;
    uint32_t previous;
    uint64_t base_offset;
    uint64_t position;
    int64_t first_timestamp;
    int64_t last_timestamp;
    uint32_t count;
    uint32_t raw_size;
    uint32_t stored_size;
    uint32_t epoch;
};

struct sp_index_entry {
    uint64_t base_offset;
    int64_t max_timestamp;
    uint64_t at;
};

struct sp_index_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;
    uint64_t count;
    uint64_t segment_size;
    uint64_t salt;
    int64_t max_timestamp; /* of the whole segment */
    uint64_t next_offset;  /* behind its last record */
    uint64_t unused;
};

struct sp_frontier {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;
    uint64_t sequence;
    uint64_t segment;
    uint64_t at;
    uint64_t offset;
    uint64_t position;
    uint64_t start_offset;
    uint32_t previous;
    uint32_t clean;
    uint8_t topic_id[16];
    uint8_t unused[40];
};

/* The file `topic` of a log: what spate_topic_create was told, and the identity. */
struct sp_log_topic {
    uint64_t magic;
    uint32_t version;
    uint32_t crc; /* of all 1024 bytes, with this field 0 */
    uint8_t id[16];
    int64_t created;
    uint64_t ring_capacity;
    uint32_t partitions;
    uint32_t mode;
    uint32_t alignment;
    uint32_t timestamp;
    uint32_t producers_max;
    uint32_t consumers_max;
    int32_t numa_node;
    uint32_t huge_pages;
    uint32_t uid;
    uint32_t gid;
    uint32_t producer_mode;
    uint32_t consumer_mode;
    uint32_t flush;
    uint32_t compression;
    int64_t flush_interval;
    uint64_t segment_size;
    int64_t segment_age;
    int64_t retention_size;
    int64_t retention_time;
    int64_t tombstone_delay;
    uint32_t cleanup;
    uint32_t unused0;
    char name[256];
    uint8_t unused1[608];
};

#define SP_LOG_FIELDS(AT)                              \
    AT(struct sp_segment_header, magic, 0, 8)          \
    AT(struct sp_segment_header, version, 8, 4)        \
    AT(struct sp_segment_header, crc, 12, 4)           \
    AT(struct sp_segment_header, topic_id, 16, 16)     \
    AT(struct sp_segment_header, partition, 32, 4)     \
    AT(struct sp_segment_header, unit_shift, 36, 4)    \
    AT(struct sp_segment_header, base_offset, 40, 8)   \
    AT(struct sp_segment_header, salt, 48, 8)          \
    AT(struct sp_segment_header, stamp_salt, 56, 8)    \
    AT(struct sp_segment_header, created, 64, 8)       \
    AT(struct sp_segment_header, record_max, 72, 8)    \
    AT(struct sp_block_header, kind, 0, 4)             \
    AT(struct sp_block_header, header_crc, 4, 4)       \
    AT(struct sp_block_header, data_crc, 8, 4)         \
    AT(struct sp_block_header, previous, 12, 4)        \
    AT(struct sp_block_header, base_offset, 16, 8)     \
    AT(struct sp_block_header, position, 24, 8)        \
    AT(struct sp_block_header, first_timestamp, 32, 8) \
    AT(struct sp_block_header, last_timestamp, 40, 8)  \
    AT(struct sp_block_header, count, 48, 4)           \
    AT(struct sp_block_header, raw_size, 52, 4)        \
    AT(struct sp_block_header, stored_size, 56, 4)     \
    AT(struct sp_block_header, epoch, 60, 4)           \
    AT(struct sp_index_entry, base_offset, 0, 8)       \
    AT(struct sp_index_entry, max_timestamp, 8, 8)     \
    AT(struct sp_index_entry, at, 16, 8)               \
    AT(struct sp_index_header, crc, 12, 4)             \
    AT(struct sp_index_header, count, 16, 8)           \
    AT(struct sp_index_header, segment_size, 24, 8)    \
    AT(struct sp_index_header, salt, 32, 8)            \
    AT(struct sp_index_header, max_timestamp, 40, 8)   \
    AT(struct sp_index_header, next_offset, 48, 8)     \
    AT(struct sp_frontier, crc, 12, 4)                 \
    AT(struct sp_frontier, sequence, 16, 8)            \
    AT(struct sp_frontier, segment, 24, 8)             \
    AT(struct sp_frontier, at, 32, 8)                  \
    AT(struct sp_frontier, offset, 40, 8)              \
    AT(struct sp_frontier, position, 48, 8)            \
    AT(struct sp_frontier, start_offset, 56, 8)        \
    AT(struct sp_frontier, previous, 64, 4)            \
    AT(struct sp_frontier, clean, 68, 4)               \
    AT(struct sp_frontier, topic_id, 72, 16)           \
    AT(struct sp_log_topic, id, 16, 16)                \
    AT(struct sp_log_topic, created, 32, 8)            \
    AT(struct sp_log_topic, ring_capacity, 40, 8)      \
    AT(struct sp_log_topic, partitions, 48, 4)         \
    AT(struct sp_log_topic, consumer_mode, 92, 4)      \
    AT(struct sp_log_topic, flush, 96, 4)              \
    AT(struct sp_log_topic, flush_interval, 104, 8)    \
    AT(struct sp_log_topic, tombstone_delay, 144, 8)   \
    AT(struct sp_log_topic, cleanup, 152, 4)           \
    AT(struct sp_log_topic, name, 160, 256)
SP_LOG_FIELDS(SP_AT)
static_assert(sizeof(struct sp_segment_header) == 4096, "segment header ABI");
static_assert(sizeof(struct sp_block_header) == 64, "block header ABI");
static_assert(sizeof(struct sp_index_entry) == 24, "index entry ABI");
static_assert(sizeof(struct sp_index_header) == 64, "index header ABI");
static_assert(sizeof(struct sp_frontier) == 128, "frontier ABI");
static_assert(sizeof(struct sp_log_topic) == 1024, "topic ABI");

#endif
