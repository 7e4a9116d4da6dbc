/* log.h: look into a log directory, check it and mend it: what `spate log` is made of.
 *
 * A log directory is what the daemon `spated` writes: for each durable topic a directory, in it one for each partition, in that the
 * *segments*, files of *blocks* of *records*. It may be live, closed, or a copy: no bus and no daemon is needed. Everything but
 * spate_log_repair opens files read-only. What a live log shows was true a moment ago; what is behind its end is being written.
 * (To read records as a consumer, with what is damaged left out, use spate_bus_open with SPATE_BUS_LOG.)
 *
 * Whatever is in the files, no call crashes or believes what a checksum does not vouch for; memory is bounded by the largest block, that
 * by its file. Conventions are those of spate.h. A callback returning non-zero ends the walk; the walk returns that value. Pointers given
 * to a callback are valid during the call. */
#ifndef SPATE_LOG_H
#define SPATE_LOG_H

#include <spate/inspect.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct spate_log spate_log;

/* spate_log_open: open a log directory to look.
 *   path       its path
 *   ret_log    the handle; close it with spate_log_close
 * Returns      0, -ENOENT, -ENOTDIR, -EACCES, -ENOMEM
 * Threads      a handle is used by one thread at a time */
SPATE_API int spate_log_open(const char *path, spate_log **ret_log);
SPATE_API void spate_log_close(spate_log *log);

/* spate_log_path: where it is; valid while the handle is open. */
SPATE_API const char *spate_log_path(const spate_log *log);

/* spate_log_find: the log directory of a bus, as the daemon left word of it there.
 *   path       receives it
 *   size       of path
 * Returns      0, -ENOENT (no daemon has written a log for this bus), -ENAMETOOLONG, -errno */
SPATE_API int spate_log_find(spate_bus *bus, char *path, size_t size);

/* spate_log_writer: whether somebody writes this log now (or mends it): its kernel lock is held.
 *   ret_pid    NULL, or receives the process as it calls itself, 0 where it does not say
 * Returns      1, 0 (nobody), -errno */
SPATE_API int spate_log_writer(spate_log *log, int64_t *ret_pid);

struct spate_log_topic_info {
    const char *name;
    const struct spate_topic_info *info; /* as configured; NULL where that cannot be read: */
    const char *reason;                  /* why */
};
/* spate_log_topics: the topics, by name. */
SPATE_API int spate_log_topics(spate_log *log, int (*visit)(void *, const struct spate_log_topic_info *), void *context);

struct spate_log_partition_info {
    const char *topic;
    int32_t partition;
    uint32_t segments;
    uint32_t damaged;         /* segments of which not all can be read */
    int64_t first_offset;     /* the first that may be read: what is below was deleted, or never was */
    int64_t next_offset;      /* behind the last one */
    uint64_t size;            /* bytes of the segments' files; of the one that is written, as allocated */
    uint64_t blocks, records; /* records: offsets, so that aborted ones count */
    uint64_t raw_size;        /* bytes of all records in the ring's format */
    uint64_t stored_size;     /* the same bytes as they are stored: less where blocks are compressed */
    int64_t first_timestamp;  /* of the first record that has one; 0: none has */
    int64_t last_timestamp;   /* the largest */
    int frontier;             /* 1: it is there and good. The rest means nothing without */
    int clean;                /* the daemon that wrote it stopped in good order */
    int64_t durable_offset;   /* everything below is durable */
};
/* spate_log_partitions: the partitions of a topic that have a log, by number. Reads the headers of all blocks: data is not checked.
 * Returns 0, -ENOENT (no such topic), -errno, or the callback's value */
SPATE_API int spate_log_partitions(spate_log *log, const char *topic, int (*visit)(void *, const struct spate_log_partition_info *),
                                   void *context);

enum spate_log_segment_state {
    SPATE_SEGMENT_CLOSED = 0,  /* ends with its last block, and never changes */
    SPATE_SEGMENT_WRITING = 1, /* the last one of a log that is being written */
    SPATE_SEGMENT_UNCUT = 2,   /* what is behind its last block was not cut: a crash left it so. The daemon, or repair, cuts it */
    SPATE_SEGMENT_DAMAGED = 3, /* offsets are missing in it: `reason` */
};
enum spate_log_index_state {
    SPATE_INDEX_MISSING = 0, /* slower to read, that is all; the one that is written has none */
    SPATE_INDEX_GOOD = 1,
    SPATE_INDEX_DAMAGED = 2, /* readers do without */
};

struct spate_log_segment_info {
    const char *topic;
    int32_t partition;
    const char *file;                                /* path within the log directory */
    int64_t base_offset;                             /* of the first record that it may hold, as its name says */
    int64_t first_offset;                            /* of its first block; base_offset when there is none */
    int64_t next_offset;                             /* behind its last block */
    uint64_t size, used;                             /* bytes of the file, and up to the end of the last block */
    uint64_t blocks, records, raw_size, stored_size; /* as for a partition */
    int64_t first_timestamp, last_timestamp;
    int64_t created; /* ns since 1970 */
    uint64_t salt;
    enum spate_log_segment_state state;
    enum spate_log_index_state index;
    const char *reason; /* of SPATE_SEGMENT_DAMAGED; else NULL */
};
/* spate_log_segments: the segments of one partition, oldest first; headers only, as above.
 * Returns 0, -ENOENT (no such topic, or nothing of that partition), -errno, or the callback's value */
SPATE_API int spate_log_segments(spate_log *log, const char *topic, int32_t partition,
                                 int (*visit)(void *, const struct spate_log_segment_info *), void *context);

struct spate_log_block {
    const char *file;                  /* path within the log directory */
    uint64_t at, end;                  /* bytes of the file */
    int64_t first_offset, next_offset; /* offsets first .. next-1 */
    const char *reason; /* NULL: a good block. Else these bytes are none, or no longer, and these offsets cannot be read */
    uint64_t position;  /* this and below: of good ones. Of its first record in the ring */
    int64_t first_timestamp, last_timestamp;
    uint32_t raw_size, stored_size; /* of its records; as stored */
    uint32_t compression;           /* enum spate_compression */
    int compacted;                  /* records were taken out */
    uint32_t epoch;
    uint32_t header_crc, data_crc, previous; /* CRC32C of header and stored bytes; header_crc of the block before */
};
/* spate_log_blocks: the blocks of one partition from an offset on, over all its segments, and the records in them.
 *   offset     blocks that end before it are left out; -1: from the beginning
 *   block      NULL, or called for each block, damaged ones too. What a crash left behind the end is not told (see spate_log_verify)
 *   record     NULL, or called for each record of a good block, after the block, from `offset` on. What makes no sense in a block whose
 *              checksum is right comes as SPATE_RECORD_DAMAGED, with `count` offsets
 * Returns      as spate_log_segments */
SPATE_API int spate_log_blocks(spate_log *log, const char *topic, int32_t partition, int64_t offset,
                               int (*block)(void *, const struct spate_log_block *),
                               int (*record)(void *, const struct spate_dump_record *), void *context);

/* ------------------------------------------------------------------------------------------------------ verify, repair */

struct spate_log_finding {
    const char *file;    /* path within the log directory */
    const char *rule;    /* short name of the invariant, e.g. "block", "offsets-dense", "index" */
    int violation;       /* 0: worth saying, and nothing is wrong: a crash leaves it, and recovery knows it */
    int64_t first, next; /* offsets first .. next-1 are concerned; both -1: none */
    uint64_t at, end;    /* bytes of the file; both 0: all of it, or none */
    char detail[256];
};
struct spate_log_verify_result {
    uint64_t topics, partitions, segments, blocks, records, aborted, bytes;
    uint64_t superseded; /* offsets whose records compaction left out, in aborted ones; not in `aborted` */
    uint64_t violations, notes;
};
/* spate_log_verify: read everything of one topic (NULL: of all) and check it: segment headers; the chain of blocks; both checksums of
 * each; offsets dense within and between segments; each record's stamp and sizes, and its time against the block's; nothing behind the
 * last block of a closed segment; indexes against their segments; the frontier against the blocks that it names, and not beyond the
 * end; the topic file.
 * What follows the frontier at the end of a log that nobody writes is what a crash leaves: no violation, but said. A hole that an
 * earlier repair made, and whose *.damaged file is still there, likewise.
 * Returns 0 (see ret_result->violations), -ENOENT (no such topic), or an error that kept it from looking */
SPATE_API int spate_log_verify(spate_log *log, const char *topic, struct spate_log_verify_result *ret_result,
                               int (*visit)(void *, const struct spate_log_finding *), void *context);

enum spate_log_repair_flags {
    SPATE_REPAIR_APPLY = 1 << 0, /* do it; without, it is only said what would be done */
};
struct spate_log_action {
    const char *file;    /* path within the log directory */
    const char *action;  /* what is done, see below */
    int64_t first, next; /* offsets first .. next-1 are, or remain, unreadable; both -1: none */
    char detail[256];
};
/* Actions:
 *   index     it is made from the segment
 *   cut       what is behind the last block of a segment
 *   aside     the segment is renamed to *.damaged, after its good blocks were copied into new segments
 *   remove    a segment behind the end, none of which was ever acknowledged, is renamed to *.cut; or a *.new is removed
 *   finish    a segment that an earlier repair wrote is put in its place
 *   frontier  it is written anew
 *   none      nothing can be done */
struct spate_log_repair_result {
    uint64_t segments, actions;
    uint64_t failed; /* what nothing can be done about: action "none" */
};
/* spate_log_repair: mend what spate_log_verify finds, in one topic (NULL: in all), on a log that nobody writes.
 *   path       of the log directory
 *   visit      NULL, or told each action before it is taken; returning non-zero ends it before that one
 * Indexes that are missing or wrong are rebuilt; a torn tail is cut, as the daemon's recovery does; of a damaged segment the good blocks
 * are kept and the rest is set aside. Offsets that were lost stay a hole, which consumers are told of. No record that can be read is lost
 * or changed, and no more is touched than was said.
 * Returns      0, -EBUSY (somebody writes it: the text says who), -ENOENT, -EACCES, -ENOSPC, -errno, or the callback's value
 * Dies here    new files are written whole and synced under other names (*.new) and renamed; a second run finishes the work */
SPATE_API int spate_log_repair(const char *path, const char *topic, uint32_t flags, struct spate_log_repair_result *ret_result,
                               int (*visit)(void *, const struct spate_log_action *), void *context);

#ifdef __cplusplus
}
#endif
#endif
