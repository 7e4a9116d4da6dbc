/* clean.h: keeping a partition's log within its bounds: deleting old segments, deleting records on demand, compacting by key.
 *
 * Works on segments that are closed, and never on the one that is being written, which is the newest, unless the writer has left that one
 * too, having nothing to write: then it has an index. So it needs nothing of the writer but to be told where the log begins. Runs beside
 * it, on the cleaner's thread, through an io of its own; in the simulator on the same thread.
 *
 * DELETING takes whole segments, oldest first; delete-records moves the beginning of the log into a segment, which goes when all of it is
 * below. Readers are told by the ring's log words before a file is removed. The segment with the newest record stays until there is a newer
 * one, though nobody reads it any more: recovery learns from it where the log goes on.
 *
 * COMPACTING keeps of each key the record with the highest offset, in the closed segments. A segment is copied without the records that a
 * newer one of their key supersedes, into a file of another name, made durable, and renamed over the old one; so at every moment one of
 * the two is there, and with it the newest value of each key. Offsets that are missing then are covered by aborted records. A record with
 * a null value deletes its key; it is kept for tombstone_delay, so that readers who are behind see it. Records without a key are kept.
 *
 * What has been compacted says so in its blocks. It is done again when at least as much has been added as there was. Memory is bounded:
 * keys are held as 128-bit hashes (XXH3 with a random seed) in a table of a fixed size; segments that would overfill it wait for the next
 * round.
 *
 * Source: Kafka's log cleaner. */
#ifndef SPATED_CLEAN_H
#define SPATED_CLEAN_H

#include "spill/writer.h"

struct clean {
    struct io *io;
    const struct spill_topic *topic;
    uint32_t partition;
    uint64_t recovered;   /* offset that the daemon began to write at: segments that begin below are closed */
    uint64_t keys_memory; /* bytes, for the table of keys */
    uint64_t *tried;      /* the partition's own, 0 at first: how much was to be compacted at the latest attempt */
    void (*say)(void *context, bool is_error, const char *text);
    /* set_start: the log begins at `offset` from now on; called before files go. */
    void (*set_start)(void *context, uint64_t offset);
    bool (*must_stop)(void *context); /* between two segments; NULL: never */
    void *context;
};

struct clean_result {
    uint64_t segments, bytes;                   /* deleted */
    uint64_t compacted, records_removed, freed; /* segments rewritten, records left out, bytes less */
};

/* clean_partition: one round.
 *   start         where the log begins now
 *   wanted_start  records below are to be deleted; at most what is durable
 *   end           offset that the log is written to
 * Returns 0, or the -errno of what failed; it is tried again in the next round */
int clean_partition(const struct clean *clean, uint64_t start, uint64_t wanted_start, uint64_t end, struct clean_result *ret);

/* One closed segment, as clean.c lists them for compact.c. */
struct clean_segment {
    uint64_t base, next; /* first offset, and that of the next segment */
    uint64_t size;       /* bytes */
    int64_t newest;      /* at least as late as its newest record, ns since 1970 */
    bool is_compacted;
};

/* compact_segments: see COMPACTING. Leaves segments[] as they are then. */
int compact_segments(const struct clean *clean, struct clean_segment *segments, uint32_t count, int64_t now,
                     struct clean_result *ret);

/* clean_path: "<topic>/<partition>/<20 digits>.<suffix>" */
#define CLEAN_PATH_SIZE (SPATE_TOPIC_NAME_MAX + 64)
void clean_path(const struct clean *clean, uint64_t base, const char *suffix, char path[CLEAN_PATH_SIZE]);

#endif
