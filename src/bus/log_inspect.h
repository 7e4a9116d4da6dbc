/* log_inspect.h: what the files behind include/spate/log.h share: log_inspect.c (looking), log_verify.c and log_repair.c.
 *
 * A *part* is one partition's log, opened: its frontier, read first, and then its segments; so that on a log that is being written the
 * segments reach at least as far as the frontier says. One thread. */
#ifndef SP_BUS_LOG_INSPECT_H
#define SP_BUS_LOG_INSPECT_H

#include "bus/internal.h"
#include "bus/path.h"
#include "log/blocks.h"
#include "log/files.h"
#include "spate/log.h"

#define SP_LOG_HANDLE 0x535041544c4f4701u
#define SP_LOG_LOCK "~lock" /* in the log directory: whoever writes it holds byte 0, and leaves his process there */
#define SP_LOG_FILE_SIZE (SPATE_TOPIC_NAME_MAX + 64)

struct spate_log {
    uint64_t magic;
    int dir_fd;
    char path[SP_PATH_SIZE];
};

struct sp_log_part {
    int dir_fd;
    const char *topic;
    uint32_t partition;
    char path[SPATE_TOPIC_NAME_MAX + 24]; /* within the log directory */
    bool is_written;                      /* somebody does, now */
    enum sp_frontier_state frontier_state;
    struct sp_frontier frontier;
    const char *frontier_reason;
    uint64_t *bases; /* of the segments, sorted */
    uint32_t count;
};

/* sp_log_check: 0, or the error for what is no handle. */
int sp_log_check(const spate_log *log);

/* sp_log_topic_read: the topic file of a topic there.
 *   ret_reason  why it is not good; NULL: it is, and *ret_info is filled
 * Returns       0, -ENOENT (there is no directory of that name), -errno */
int sp_log_topic_read(const spate_log *log, const char *topic, struct spate_topic_info *ret_info, const char **ret_reason);

/* sp_log_each_topic: of one topic, or of all, the name. sp_log_each_part: of a topic, each partition opened. They return what the
 * callback does, or 0, -ENOENT, -errno. */
int sp_log_each_topic(const spate_log *log, const char *topic, int (*visit)(void *, const char *name), void *context);
int sp_log_each_part(const spate_log *log, const char *topic, int (*visit)(void *, const struct sp_log_part *), void *context);

/* sp_log_part_open: returns 0, -ENOENT (no such topic or partition), -errno. */
int sp_log_part_open(struct sp_log_part *part, const spate_log *log, const char *topic, uint32_t partition);
void sp_log_part_close(struct sp_log_part *part);

/* sp_log_part_file: the path of one of its files within the log directory. */
void sp_log_part_file(const struct sp_log_part *part, uint64_t base, const char *suffix, char file[SP_LOG_FILE_SIZE]);

/* sp_log_is_behind: whether a place of a segment is not below the frontier: what is wrong there was never acknowledged as durable. */
bool sp_log_is_behind(const struct sp_log_part *part, uint64_t base, uint64_t at);

/* sp_log_is_active: whether that segment is being written now, or was just left. */
bool sp_log_is_active(const struct sp_log_part *part, uint32_t index);

/* sp_log_hole_is_known: whether a repair set a segment aside (*.damaged) that reached up to that offset: a hole there is no news. */
bool sp_log_hole_is_known(const struct sp_log_part *part, uint64_t first);

/* sp_log_at_end: at SP_BLOCKS_END: look whether the file was cut there meanwhile; then `reason` is NULL. */
void sp_log_at_end(struct sp_blocks *blocks, struct sp_segment_file *file);

#endif
