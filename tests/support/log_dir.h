/* log_dir.h: a log directory made by hand, through src/log/format.h and nothing of the daemon: for tests that need one exactly so.
 *
 * Records are gathered into a pending block, blocks into a segment that is built in memory, and that is written to its file when it is
 * finished. Offsets and ring positions go on by themselves; a test may jump ahead by changing `next` between two blocks. Each value says
 * its offset (log_dir_is_whole), unless it is given. Whatever goes wrong here ends the process: a test never goes on with half a log. One
 * thread. */
#ifndef SP_TESTS_SUPPORT_LOG_DIR_H
#define SP_TESTS_SUPPORT_LOG_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "log/format.h"
#include "log/scan.h"
#include "ring/tail.h"

#define LOG_DIR_TOPIC "t"
#define LOG_DIR_BLOCKS 256u

/* A finished or unfinished block of the segment that is built, or was built last. */
struct log_dir_block {
    struct sp_block_header header;
    uint64_t at; /* in the file */
};

struct log_dir {
    char path[256]; /* of the log directory */
    uint32_t partition;
    uint8_t id[16];
    uint32_t unit_shift;
    uint64_t record_max, stamp_salt, segment_salt;
    int64_t created;
    struct sp_place next; /* where the next record goes */
    uint64_t sequence;    /* of the latest frontier */

    struct sp_segment_identity identity;
    uint8_t *bytes; /* the segment */
    uint64_t size;
    uint32_t previous;
    struct log_dir_block blocks[LOG_DIR_BLOCKS];
    uint32_t blocks_count;
    struct sp_index_entry entries[LOG_DIR_BLOCKS];
    uint32_t entries_count;
    uint64_t indexed;
    int64_t max_timestamp;

    uint8_t *pending; /* the block's records */
    uint32_t pending_size;
    struct sp_block_header pending_header;
};

/* log_dir_open: a new log directory with partition 0 of topic LOG_DIR_TOPIC, somewhere temporary; path NULL, or where. 16-byte units,
 * records of up to 1 MiB, fixed salts and times: the same calls give the same bytes. log_dir_close: remove it. log_dir_drop: leave the
 * files. */
void log_dir_open(struct log_dir *dir, const char *path);
void log_dir_close(struct log_dir *dir);
void log_dir_drop(struct log_dir *dir);

/* log_dir_begin: begin a segment at dir->next. log_dir_finish: write its file, cut to its end, and its index. */
void log_dir_begin(struct log_dir *dir);
void log_dir_finish(struct log_dir *dir);

/* log_dir_record: append a record to the pending block. log_dir_put: one with a value of `size` bytes that says its offset.
 * log_dir_aborted: an aborted one. log_dir_raw: bytes that are to pass for `count` records. */
void log_dir_record(struct log_dir *dir, const struct spate_record *record);
void log_dir_put(struct log_dir *dir, uint32_t size, int64_t timestamp);
void log_dir_aborted(struct log_dir *dir, uint32_t size, uint32_t count);
void log_dir_raw(struct log_dir *dir, const void *bytes, uint32_t size, uint32_t count);

/* log_dir_seal: end the pending block, compressed if that makes it smaller. Returns it. log_dir_fill: blocks of `records` records of
 * `size` bytes, timestamps ten times the offset. */
const struct log_dir_block *log_dir_seal(struct log_dir *dir, enum spate_compression codec);
void log_dir_fill(struct log_dir *dir, uint32_t blocks, uint32_t records, uint32_t size, enum spate_compression codec);

/* log_dir_frontier: write both slots: the newer one says that the log is durable up to the end of what was built so far. */
void log_dir_frontier(struct log_dir *dir, uint64_t start_offset, bool is_clean);

/* log_dir_topic: write the file `topic`. */
void log_dir_topic(struct log_dir *dir, enum spate_compression compression);

/* Files of the partition, changed and removed. log_dir_name: the path of a segment's file. */
const char *log_dir_name(const struct log_dir *dir, uint64_t base_offset, const char *suffix);
void log_dir_patch(const char *path, uint64_t at, const void *bytes, uint64_t size);
void log_dir_flip(const char *path, uint64_t at);
void log_dir_cut(const char *path, uint64_t size);
uint64_t log_dir_size(const char *path);

/* log_dir_is_whole: whether a value is that of log_dir_put at an offset. */
bool log_dir_is_whole(const struct spate_record *record);

/* log_dir_fd: the log directory, opened; closed by the caller. log_dir_memory: a scan source over bytes. */
int log_dir_fd(const struct log_dir *dir);
struct sp_scan_source log_dir_memory(const void *bytes, uint64_t size, struct sp_scan_source *keep);

#endif
