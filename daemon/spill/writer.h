/* writer.h: one partition's log as it is being written: from the ring into blocks, into segments, to the device.
 *
 * A writer is event code: writer_step looks at what the ring has and what the disk is ready for, starts what can be started and returns;
 * completions come from io_wait. Nothing in it blocks, but for the rare synchronous calls of io.h at the change of a segment. Everything
 * it knows of the world comes through the io and the ring, so the simulator runs it as it is. One thread per writer.
 *
 *     ring ---gathered--> buffers ---written--> file system ---durable--> device
 *
 * Three places move through the log, and never back. `gathered`: copied into a buffer. `written`: the write of everything before has
 * succeeded; told to producers, who may now overwrite it in the ring. `durable`: a flush that began after that has come back.
 *
 * GROUP COMMIT. One flush is in flight at a time; what is written meanwhile is the next group. A flush begins when somebody waits for it,
 * or always, or when its interval is over, as the topic says.
 *
 * LINGER. A block takes at least 4 KiB of the file, so a lone record waits a little for company, unless somebody waits for it, and while
 * a write is under way until that is done. With nobody waiting it is the kernel's page cache that it waits for elsewhere; here it is the
 * ring, which outlives the daemon.
 *
 * SEGMENTS. The next one is allocated while the present one is written, under the name `spare`, and gets its own when it is entered. It
 * is not durable before its directory entry is; both are part of the next flush. The one that was left is flushed, cut to its end and
 * given an index. One that nothing is written to any more is left when it is too old, or all in it is.
 *
 * PREPARING. Blocks that are written for the first time make the file system note that they are, in its journal, and the flush behind them
 * has to wait for that. Where small groups are flushed one after the other, the next stretch of the segment is therefore written with zeros
 * and flushed before it is needed; a flush then has nothing to do but flush. Measured: 2.3 ms without. Large blocks do without.
 *
 * FAILURE. A write or flush that fails is final: pages whose writing failed are marked clean by the kernel, so that a second flush would
 * succeed without them. The partition stops where it is, says so in the ring, and its producers are refused once the ring is full. A full
 * file system is no failure: what did not fit is tried again until there is room. */
#ifndef SPATED_WRITER_H
#define SPATED_WRITER_H

#include "io/io.h"
#include "log/index.h"
#include "ring/extent.h"
#include "spill/histogram.h"
#include "spill/pool.h"

#define WRITER_DEPTH 8u /* blocks in flight */

/* What is the same for all partitions of a topic. */
struct spill_topic {
    char directory[SPATE_TOPIC_NAME_MAX + 8]; /* in the log directory */
    uint8_t id[16];
    struct spate_topic_info info;
};

/* spill_give: let those read a file or directory of the log who may read the topic's rings. The owner is the topic's. As good as it gets:
 * whoever is not root gives what he may. */
void spill_give(struct io *io, const struct spill_topic *topic, const char *path, bool is_directory);

/* spill_write_index: the index of a segment that is finished. For speed only: that it cannot be written is no failure of the log. */
void spill_write_index(struct io *io, const struct spill_topic *topic, const char *path, const struct sp_index_maker *index,
                       uint64_t salt, uint64_t size, uint64_t next_offset);

/* What the writer cannot do itself. */
struct writer_host {
    void (*repair)(void *context); /* dead producers are in the way: have the ring repaired. Called at most once a millisecond */
    bool (*alive)(void *context, uint64_t owner);
    /* somebody may wait for a watermark, or for room in the ring; is_durable: else only `written` was moved */
    void (*wake)(void *context, bool is_durable);
    void (*say)(void *context, bool is_error, const char *text); /* once, where something is decided */
    void *context;
    uint64_t owner; /* our owner word, for the ring */
};

struct segment_file {
    int file; /* -1: none */
    struct sp_segment_identity identity;
    uint64_t at;        /* where the next block goes */
    uint64_t size;      /* as allocated */
    uint32_t previous;  /* header_crc of the block before */
    uint32_t writes;    /* in flight */
    bool is_dirty;      /* something was written since the latest flush began */
    uint64_t prepared;  /* everything before this place has been written once, or is being written by a block */
    uint32_t preparing; /* bytes behind it that are being written with zeros; 0: none */
    struct io_request prepare;
    int64_t opened; /* monotonic */
    int64_t latest; /* monotonic time of its latest block */
    struct sp_index_maker index;
};

/* A place between two blocks, on disk and in the ring. */
struct log_place {
    struct sp_place next;
    uint64_t segment, at;
    uint32_t previous;
};

struct writer_slot {
    struct io_request request;
    struct segment_file *segment;
    uint8_t *buffer;
    struct log_place end;     /* written is this far when it is done, and all before it */
    bool is_done, is_stalled; /* stalled: there was no room for it */
};

enum spare_state { SPARE_NONE, SPARE_MAKING, SPARE_READY };

struct writer {
    struct io *io;
    struct spill_pool *pool;
    struct sp_ring *ring;
    const struct spill_topic *topic;
    const struct writer_host *host;
    uint32_t partition;
    char path[SPATE_TOPIC_NAME_MAX + 24]; /* of the partition's directory */

    enum sp_log_state state;
    int error;
    struct sp_place gathered;
    struct sp_place latest_end; /* behind the latest block: `gathered`, unless the ring is damaged in between */
    struct log_place written, durable;
    uint64_t start_offset;
    int64_t pending_since; /* monotonic time when what is not gathered was first seen; 0: nothing is */
    int64_t linger;        /* ns */
    int64_t stuck_since;   /* before a claim that is not committed; 0: not */
    int64_t retry_at;      /* blocks that did not fit; 0: there are none */
    int64_t checked_at;    /* that the files are still there */
    bool is_closing;       /* no lingering, then flush */
    bool is_blocked;       /* there are records to gather, and no room for them yet: what makes room, or a time, calls */

    struct writer_slot slots[WRITER_DEPTH];
    uint32_t first, in_flight; /* slots in use: a queue */
    /* a record that is larger than a buffer goes in pieces */
    struct sp_block_header large; /* raw_size 0: none under way */
    uint64_t large_done;          /* the next piece begins there; behind the end: the first piece is the one that is left */
    uint32_t large_crc;           /* of the pieces so far */

    struct segment_file active, closing;
    struct segment_file *current, *left; /* of the two */
    int directory;
    bool directory_dirty;
    enum spare_state spare;
    int spare_file;
    uint64_t spare_size;
    uint64_t segment_size; /* of the next one, at most the topic's */
    struct io_request spare_request;
    int64_t spare_retry_at; /* after ENOSPC */
    bool lacks_spare;       /* nothing can be written before there is one */
    int spare_error;        /* why the latest could not be made */

    struct io_request flushes[3];
    uint32_t flushing; /* requests in flight; 0: none */
    int flush_error;
    struct log_place flush_end;
    bool flushes_left; /* the one in flight is also of the segment that was left */
    int64_t flush_began, flushed_at;

    int frontier_file;
    struct io_request frontier_request;
    bool frontier_busy, frontier_due, frontier_is_clean;
    uint64_t frontier_sequence;
    int64_t frontier_written; /* monotonic time of the latest */
    uint8_t *frontier_page;

    struct histogram flush_times;
    uint64_t bytes, blocks, flush_count;
    uint64_t latest_size; /* of the latest block */
};

/* writer_open: take up a partition's log where recovery found its end.
 *   end           where it goes on: gathered, written and durable
 *   start_offset  first offset that may be read
 * Returns 0, -ENOMEM, -errno of the directory */
int writer_open(struct writer *writer, struct io *io, struct spill_pool *pool, struct sp_ring *ring,
                const struct spill_topic *topic, uint32_t partition, const struct writer_host *host, struct log_place end,
                uint64_t start_offset, uint64_t sequence);

/* writer_step: do what can be done now. Returns the monotonic time at which to call again if nothing happens before (INT64_MAX: never; at
 * or below now: at once). */
int64_t writer_step(struct writer *writer, int64_t now);

/* writer_finish: from now on write and flush everything at once. writer_is_finished: that is done, or has failed. */
void writer_finish(struct writer *writer);
bool writer_is_finished(const struct writer *writer);

/* writer_is_idle: nothing is in flight: it may be closed. writer_close: let go of everything; the files stay as they are. */
bool writer_is_idle(const struct writer *writer);
void writer_close(struct writer *writer);

/* writer_set_start: records below `offset` are gone for readers. Goes into the frontier. */
void writer_set_start(struct writer *writer, uint64_t offset);

/* writer_fail: stop for good. writer_full: wait for room. writer_go_on: there may be room again. writer_is_passing: an error (-errno) that
 * may be over in a moment: the file system, the table of open files or memory is full. */
void writer_fail(struct writer *writer, int error, const char *doing);
void writer_full(struct writer *writer, int error, const char *doing);
bool writer_is_passing(int error);
void writer_go_on(struct writer *writer);

#endif
