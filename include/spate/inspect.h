/* inspect.h: look into a bus, a topic or a copied ring file: what the tools `stat`, `dump`, `verify`, `gc` are made of.
 *
 * Everything here reads shared memory that other processes are changing: what it returns was true a moment ago, field by field.
 * Nothing here writes to shared memory except spate_gc. Conventions are those of spate.h. A callback returning non-zero ends the
 * walk; the walk returns that value. Pointers given to a callback are valid during the call. */
#ifndef SPATE_INSPECT_H
#define SPATE_INSPECT_H

#include <spate/spate.h>

#ifdef __cplusplus
extern "C" {
#endif

struct spate_bus_info {
    char path[4096];
    uint8_t id[16];
    int64_t created; /* ns since 1970 */
    uint32_t layout_version;
    uint32_t participants_max, participants_alive, participants_dead;
};
SPATE_API int spate_inspect_bus(spate_bus *bus, struct spate_bus_info *ret_info);

struct spate_participant_info {
    uint32_t slot;
    uint64_t generation;
    int alive;              /* its kernel lock is held. A slot that is neither alive nor dead is not visited */
    int64_t pid;            /* as its own PID namespace numbers it: for people, never for decisions */
    uint64_t pid_namespace; /* inode number of that namespace */
    uint32_t uid;
    int64_t joined; /* ns since 1970 */
    char name[32];
};
SPATE_API int spate_inspect_participants(spate_bus *bus, int (*visit)(void *, const struct spate_participant_info *),
                                         void *context);

enum spate_claim_state {
    SPATE_CLAIM_IDLE = 0,
    SPATE_CLAIM_INTENT = 1,  /* about to claim, or died or stopped just there */
    SPATE_CLAIM_CLAIMED = 2, /* claimed, not yet committed */
};

struct spate_producer_info {
    uint32_t slot;
    char name[32]; /* as the producer named itself, else of its participant, or "?" when that slot was reused */
    int64_t pid;
    int alive;
    enum spate_claim_state claim_state;
    uint64_t claim_position; /* of the oldest byte it may still write; meaningless when idle */
    int64_t claim_offset;    /* CLAIMED only */
    uint32_t claim_count;    /* records in the claim */
    uint64_t claim_size;     /* bytes */
    int stalled;             /* the claim is what readers and writers wait for: it did not move between two looks 1 ms apart
                                    * (the owner is stopped, slow or dead) */
};

struct spate_cursor_info {
    uint32_t slot;
    char name[32];
    int64_t pid;
    int alive;
    enum spate_policy policy;
    int evicted;
    int asleep;
    uint64_t position;
    int64_t offset;
    int64_t lag;          /* offsets behind what is claimed */
    int64_t gate_timeout; /* ns or SPATE_FOREVER */
};

/* The log of a durable topic's partition, as the ring knows it. (For what is on disk: spate/log.h.) */
struct spate_ring_log {
    int durable; /* the topic is. The rest means nothing without */
    struct spate_watermarks
        marks;           /* and the state; SPATE_LOG_IDLE also when the daemon that wrote it is gone (unless it had failed) */
    int alive;           /* that daemon lives */
    int64_t pid;         /* as it numbers itself, 0: there was none */
    int64_t lag_records; /* offsets that are published and not written yet, */
    uint64_t lag_bytes;  /* and their bytes */
    uint64_t bytes, blocks, flushes;         /* by this daemon */
    int64_t flush_p50, flush_p99, flush_max; /* ns that its flushes took; 0: none yet */
};

struct spate_ring_info {
    int32_t partition;
    uint64_t capacity;
    uint64_t claimed_position;   /* bytes ever claimed */
    int64_t claimed_offset;      /* records ever claimed */
    uint64_t published_position; /* everything below is committed or aborted */
    uint64_t oldest_position;    /* nothing below is readable any more */
    int64_t oldest_offset;
    uint64_t used;                 /* bytes between the slowest gating consumer and the tail */
    uint32_t producers, consumers; /* attached now */
    int huge_pages;                /* 1: the mapping of this process got them */
    struct spate_ring_log log;
};

/* spate_inspect_ring: one partition. Callbacks may be NULL.
 * Returns 0, -ESTALE (deleted), -ERANGE, -EACCES, -EBADMSG, or a callback's value. */
SPATE_API int spate_inspect_ring(spate_topic *topic, int32_t partition, struct spate_ring_info *ret_info,
                                 int (*producer)(void *, const struct spate_producer_info *),
                                 int (*cursor)(void *, const struct spate_cursor_info *), void *context);

enum spate_counter_kind { SPATE_COUNTER = 0 /* only grows */, SPATE_GAUGE = 1 };
enum spate_counter_scope { SPATE_SCOPE_RING = 0, SPATE_SCOPE_PRODUCER = 1, SPATE_SCOPE_CONSUMER = 2 };

/* A counter as the bus itself describes it (the table lies in the bus file, so a tool needs no list of its own). */
struct spate_counter_info {
    uint32_t id;
    const char *name; /* e.g. "records", lower case with underscores */
    const char *unit; /* "records", "bytes", "ns", "1" */
    enum spate_counter_kind kind;
    enum spate_counter_scope scope;
    const char *topic;
    int32_t partition;
    uint32_t slot;     /* of the producer or consumer; 0 for a ring */
    const char *owner; /* its name, "" for a ring */
    uint64_t value;
};
/* spate_inspect_counters: every counter of every partition of the topic. */
SPATE_API int spate_inspect_counters(spate_topic *topic, int (*visit)(void *, const struct spate_counter_info *), void *context);

enum spate_record_state {
    SPATE_RECORD_COMMITTED = 1,
    SPATE_RECORD_ABORTED = 2, /* `count` offsets that will never be */
    SPATE_RECORD_CLAIMED = 3, /* not committed yet; see owner_slot */
    SPATE_RECORD_DAMAGED = 4, /* neither: `size` bytes that no rule explains */
};

struct spate_dump_record {
    uint64_t position;
    int64_t offset;
    enum spate_record_state state;
    uint32_t count; /* offsets covered, 1 for a committed record */
    uint64_t size;  /* bytes in the ring, header and padding included */
    uint64_t stamp, stamp_expected,
        word;                   /* the two header words as they are in memory, and the stamp of a committed record there */
    int32_t owner_slot;         /* producer slot for CLAIMED, -1 otherwise */
    struct spate_record record; /* COMMITTED only */
};

struct spate_dump_info { /* the ring file's header, decoded */
    uint32_t layout_version;
    uint8_t topic_id[16];
    int32_t partition;
    uint32_t mode, alignment, timestamp;
    uint64_t capacity, salt, tail_word, claimed_position;
    int64_t claimed_offset;
    uint64_t reserved_position, oldest_position;
    int64_t oldest_offset;
    int deleted;
};

/* spate_dump: walk a ring file, live, dead or copied, from its oldest record to its tail, without a bus.
 *   path       of a `<n>.ring` file; it is opened read-only
 *   visit      NULL: only the header
 * Returns      0, -ENOENT, -EACCES, -EBADMSG (not a ring file, truncated), -EPROTO (other layout version) */
SPATE_API int spate_dump(const char *path, struct spate_dump_info *ret_info, int (*visit)(void *, const struct spate_dump_record *),
                         void *context);

struct spate_violation {
    const char *file; /* path within the bus directory */
    const char *rule; /* short name of the invariant, e.g. "offsets-dense" */
    char detail[256];
};
struct spate_verify_result {
    uint64_t files, rules_checked, records, aborted, violations;
};
/* spate_verify: check every invariant of the bus file and of one topic (NULL: all topics): headers, sizes, tables, tail against
 * checkpoints, the walk of stamps, offsets dense, cursors within the ring, slots against participants.
 * Returns 0 (see ret_result->violations), or an error that kept it from looking. On a live bus it re-checks what moved meanwhile. */
SPATE_API int spate_verify(spate_bus *bus, const char *topic, struct spate_verify_result *ret_result,
                           int (*visit)(void *, const struct spate_violation *), void *context);

struct spate_gc_result {
    uint64_t participants;         /* dead participants whose slots were freed */
    uint64_t producers, consumers; /* dead slots repaired and freed in rings and cursors */
    uint64_t unfinished_topics;    /* half-created or half-deleted topics removed */
    uint64_t wakes;                /* wake slots (and their pipes) of the dead */
    uint64_t buses; /* bus directories without topics and without live participants that were removed (spate_gc_dir) */
};
/* spate_gc: clean up after the dead in one bus. Nothing needs it to go on; it gives memory and slots back early. */
SPATE_API int spate_gc(spate_bus *bus, struct spate_gc_result *ret_result);

/* spate_gc_dir: remove, below a root directory (NULL: the default one), every bus that nobody uses and that has no topic.
 *   all        also those that hold topics, when no participant lives: their records are lost with them
 *   visit      NULL, or told the path of each removed bus */
SPATE_API int spate_gc_dir(const char *dir, int all, struct spate_gc_result *ret_result, int (*visit)(void *, const char *path),
                           void *context);

/* spate_bus_list: names of the buses below a root directory (NULL: the default one), sorted. */
SPATE_API int spate_bus_list(const char *dir, int (*visit)(void *, const char *name), void *context);

#ifdef __cplusplus
}
#endif
#endif
