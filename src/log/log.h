/* log.h: one partition's log, read from any offset on, block by block, over its segments.
 *
 * For consumers and tools, in their own process; nothing here writes. One thread per handle. While the daemon writes on, its `written`
 * watermark says how far the log may be read; of a directory that nobody writes, sp_log_end finds the end as recovery would. */
#ifndef SP_LOG_LOG_H
#define SP_LOG_LOG_H

#include "log/scan.h"
#include "log/segment.h"

struct sp_log {
    int dir_fd; /* of the partition's directory, -1: closed */
    bool has_id;
    uint8_t topic_id[16];
    char shown[290];
    bool is_open; /* there is a segment */
    struct sp_segment segment;
    uint64_t at;           /* of the next block in it */
    uint64_t next_offset;  /* of the next block, at least */
    struct sp_block block; /* the latest one */
    const uint8_t *raw;    /* its records: in the mapping, or unpacked into `unpacked`; NULL: none since the latest seek or loss */
    uint8_t *unpacked;
    uint64_t unpacked_size;
    uint64_t lost_first, lost_next; /* after -EBADMSG: offsets that cannot be read */
};

/* sp_log_open: open a partition's log.
 *   log_fd     the log directory
 *   directory  the topic's in it
 *   topic_id   16 bytes, or NULL for whatever is there
 * Returns      0, -ENOENT (there is no such log, or none yet), -EACCES, -errno */
int sp_log_open(struct sp_log *log, int log_fd, const char *directory, uint32_t partition, const uint8_t *topic_id);
void sp_log_close(struct sp_log *log);

/* sp_log_first: the first offset that may be read: where the first segment begins, or what was deleted ends. Returns 0, -ENODATA (the log
 * is empty: *ret_offset is where it will begin, as far as is known), -errno */
int sp_log_first(struct sp_log *log, uint64_t *ret_offset);

/* sp_log_end: where the log ends, found from its frontier on, for a log that nobody writes.
 *   ret_next  offset and ring position of the next record
 * Returns     0, -errno */
int sp_log_end(struct sp_log *log, struct sp_place *ret_next);

/* sp_log_seek: the next block will be the one with that offset, or the first behind it.
 * Returns      0, -ERANGE (it is before the first segment), -errno */
int sp_log_seek(struct sp_log *log, uint64_t offset);

/* sp_log_seek_time: likewise, with the first block that has a record of at least that timestamp; at the end when there is none.
 *   end  offset up to which the log reaches */
int sp_log_seek_time(struct sp_log *log, int64_t time, uint64_t end);

/* sp_log_next: load the next block: judged, and unpacked where it is compressed. log->block and log->raw are valid until the next call.
 *   end      offset up to which the log reaches: what is missing below it is damaged, nothing is looked for above
 * Returns    0
 *            -ENODATA  nothing more below `end`
 *            -EBADMSG  offsets lost_first .. lost_next - 1 are damaged, or not there; the next call goes on behind them
 *            -errno    the file system's */
int sp_log_next(struct sp_log *log, uint64_t end);

#endif
