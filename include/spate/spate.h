/* spate.h: publish and subscribe through shared memory, with Kafka's words.
 *
 * A *bus* is a directory on a memory file system. It holds *topics*; a topic has *partitions*; a partition is one
 * ring buffer of *records*, each with a dense *offset* (0, 1, 2, ...). *Producers* append records, *consumers* read them
 * in order; both are ordinary handles in ordinary processes, and no daemon is needed. Any of them may be killed at any
 * instruction: the others go on within milliseconds, and every record that was committed stays whole.
 *
 *     spate_bus *bus;            spate_bus_open(NULL, NULL, &bus);
 *     spate_topic *topic;        spate_topic_open(bus, "prices", &topic);
 *     spate_producer *producer;  spate_producer_open(topic, NULL, &producer);
 *     spate_consumer *consumer;  spate_consumer_open(topic, NULL, &consumer);
 *
 *     struct spate_record out = {.partition = SPATE_ANY, .value = "42", .value_size = 2};
 *     spate_publish(producer, &out, SPATE_FOREVER, NULL);
 *
 *     struct spate_record in[16];
 *     int count = spate_poll(consumer, in, 16, SPATE_FOREVER);
 *     for (int i = 0; i < count; i++) printf("%.*s\n", (int)in[i].value_size, (const char *)in[i].value);
 *
 * Conventions of this header, said once:
 *   results   0 or a count on success, a negative errno value on failure; outputs are untouched on failure unless a
 *             function says otherwise. spate_last_error() has the whole sentence, with what to do; only -EAGAIN, -ETIMEDOUT, -EINTR
 *             and -EOVERFLOW, which are no failures but answers, say nothing there.
 *   handles   opaque. A handle is used by one thread at a time; different handles are free of each other. A handle does
 *             not survive fork(): in the child every call answers -ECHILD (open the bus anew there).
 *   times     nanoseconds, signed 64 bit; points in time count from 1970-01-01 UTC. A timeout of 0 never waits,
 *             SPATE_FOREVER (and any other negative one) waits without end.
 *   sizes     bytes. Positions count bytes since the topic was created; offsets count records.
 *   options   structs that are extended at their end: set them up with their _init function (which stores their size),
 *             then change what you want. NULL means all defaults.
 *   memory    a library call keeps no pointer that you passed, unless it says so.
 *   cancel    no call is a safe place for pthread_cancel: a thread that is cancelled inside one leaves locks held.
 *
 * Errors every call may give beyond its own list:
 *   -EINVAL   an argument is out of its range                 -> the text names it
 *   -ECHILD   the handle was inherited over fork()            -> open the bus anew in the child
 *   -EBADMSG  shared memory holds what no honest peer writes  -> run `spate verify`; delete or restore the file named
 */
#ifndef SPATE_SPATE_H
#define SPATE_SPATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPATE_API __attribute__((visibility("default")))
#else
#define SPATE_API
#endif

#define SPATE_VERSION_MAJOR 0
#define SPATE_VERSION_MINOR 1
#define SPATE_VERSION_PATCH 0

#define SPATE_FOREVER ((int64_t)-1) /* timeout without end */
#define SPATE_ANY (-1)              /* partition: chosen by key, else sticky round robin; NUMA node: any */
#define SPATE_TOPIC_NAME_MAX 249    /* bytes, as in Kafka */
#define SPATE_PARTITIONS_MAX 1024
#define SPATE_RING_MIN ((uint64_t)64 << 10)
#define SPATE_RING_MAX ((uint64_t)64 << 30)
#define SPATE_BATCH_MAX 4096 /* records in one batch claim */
#define SPATE_KEY_SIZE_MAX 65535

typedef struct spate_bus spate_bus;
typedef struct spate_topic spate_topic;
typedef struct spate_producer spate_producer;
typedef struct spate_consumer spate_consumer;

/* ---------------------------------------------------------------------------------------------- errors and version */

/* spate_version: the version of the library that is loaded, "major.minor.patch"; static, never NULL. */
SPATE_API const char *spate_version(void);

/* spate_strerror: what an error of this library means and what to do about it.
 *   error      a value returned by any function here, negative or positive
 * Returns      a static text, never NULL
 * Threads      any */
SPATE_API const char *spate_strerror(int error);

/* spate_last_error: the whole sentence about the calling thread's latest failure: what, which, why, and the remedy.
 * Returns      a text that stays until the thread's next failing call; "" when there was none
 * Threads      any; each thread has its own (as with errno, so that calls without a handle have one too) */
SPATE_API const char *spate_last_error(void);

/* ------------------------------------------------------------------------------------------------------------- bus */

enum spate_bus_flags {
    SPATE_BUS_OPEN_ONLY = 1 << 0, /* do not create the bus: -ENOENT when it is not there */
    SPATE_BUS_OBSERVE = 1 << 1,   /* do not take part: no participant slot, files opened read-only. Inspection and
                                   * describing work, producers and consumers do not (-EPERM) */
    SPATE_BUS_LOG = 1 << 2, /* `name` is the path of a log directory, which is opened without a bus and without a daemon; it may be
                                   * a copy. Its topics can be listed, described and consumed, to where the log ends */
};

struct spate_bus_options {
    size_t size;                  /* of this struct, set by spate_bus_options_init */
    const char *dir;              /* root of bus directories; NULL: $SPATE_DIR, else /dev/shm/spate */
    const char *participant_name; /* what tools show for this process, cut to 31 bytes; NULL: the program's name */
    uint32_t participants_max;    /* slots of a bus that is created now, 1..4096; default 256 */
    uint32_t mode;                /* file mode of a bus that is created now, e.g. 0660; 0: 0666 less the umask */
    uint32_t flags;               /* enum spate_bus_flags */
};

SPATE_API void spate_bus_options_init(struct spate_bus_options *options);

/* spate_bus_open: open a bus, creating it on first use, and join it as a participant.
 *   name       a bus name (as topic names), or a path (anything with a '/'); NULL or "": $SPATE_BUS, else "default"
 *   options    NULL for defaults
 *   ret_bus    the handle; close it with spate_bus_close
 * Returns      0
 *              -ENOENT   SPATE_BUS_OPEN_ONLY or SPATE_BUS_OBSERVE, and there is no such bus (-ENOTDIR: a file is in the way)
 *              -ENOSPC   the memory file system is full: enlarge it (`mount -o remount,size=...`, docker --shm-size)
 *              -EUSERS   every participant slot is taken by a live process: create the bus with more
 *              -EACCES   no permission: who takes part must be able to write the file `bus` (mode, and umask of who created it)
 *              -EPROTO   the bus was made by a build with another layout version (both are named)
 *              -EBADMSG  a file there is truncated, foreign or damaged
 * Threads      any number of buses per process, each handle for one thread at a time. Its topics, producers and
 *              consumers may be used by other threads
 * Dies here    an unfinished bus file is invisible (it is renamed into place); a half-taken slot is free again, because
 *              its kernel lock is
 * Source       liveness by kernel file locks rather than heartbeats: they work across PID namespaces and never time out */
SPATE_API int spate_bus_open(const char *name, const struct spate_bus_options *options, spate_bus **ret_bus);

/* spate_bus_close: leave the bus. Topics, producers and consumers that are still open keep it: the process takes part until
 * the last of them is closed. NULL is allowed, also for the other close functions. */
SPATE_API void spate_bus_close(spate_bus *bus);

/* spate_bus_path: the directory of the bus; valid while the handle is open. */
SPATE_API const char *spate_bus_path(const spate_bus *bus);

/* ---------------------------------------------------------------------------------------------------------- topics */

enum spate_mode {
    SPATE_MODE_CONCURRENT = 0, /* any number of producers, one total order per partition */
    SPATE_MODE_EXCLUSIVE = 1,  /* one producer at a time and partition; the fastest */
};

enum spate_timestamp {
    SPATE_TIMESTAMP_CLOCK = 0,  /* the library stamps each record with CLOCK_REALTIME at claim; never decreasing per producer */
    SPATE_TIMESTAMP_CALLER = 1, /* spate_record.timestamp is stored as given */
    SPATE_TIMESTAMP_NONE = 2,   /* no timestamp is stored: 8 bytes and a clock reading less per record */
};

enum spate_huge_pages {
    SPATE_HUGE_NONE = 0,
    SPATE_HUGE_TRY = 1,     /* huge pages where the system gives them, else plain pages (see spate_topic_info) */
    SPATE_HUGE_REQUIRE = 2, /* -ENOTSUP when they are not to be had */
};

/* A durable topic has a log on disk, which the daemon `spated` writes from the ring, and readers read as its continuation into the past.
 * Without the daemon it works until its rings are full; then producers wait for the daemon. */
enum spate_flush {
    SPATE_FLUSH_NONE = 0,     /* flush to the device only when somebody waits for it (spate_wait), and when a segment is full */
    SPATE_FLUSH_INTERVAL = 1, /* and at least once every flush_interval */
    SPATE_FLUSH_EACH = 2,     /* always: one flush after the other, each for all that was written meanwhile */
};

enum spate_compression { SPATE_COMPRESSION_NONE = 0, SPATE_COMPRESSION_LZ4 = 1 };

/* flags */
enum spate_cleanup {
    SPATE_CLEANUP_DELETE = 1,  /* segments beyond retention_size or retention_time are deleted */
    SPATE_CLEANUP_COMPACT = 2, /* of each key the newest record is kept; a null value deletes the key */
};

#define SPATE_SEGMENT_MIN ((uint64_t)1 << 20)
#define SPATE_SEGMENT_MAX ((uint64_t)16 << 30)

struct spate_topic_config {
    size_t size;             /* of this struct, set by spate_topic_config_init */
    uint32_t partitions;     /* 1..1024; default 1 */
    uint64_t ring_capacity;  /* bytes per partition, 64 KiB..64 GiB, rounded up to a power of two; default 8 MiB */
    uint32_t mode;           /* enum spate_mode; default concurrent */
    uint32_t alignment;      /* of a record, a power of two 8..128; default 64 (one small record, one cache line) */
    uint32_t timestamp;      /* enum spate_timestamp; default clock */
    uint32_t producers_max;  /* producer slots per partition, 1..1024; default 64 */
    uint32_t consumers_max;  /* consumer slots per partition, 1..4096; default 32 */
    int32_t numa_node;       /* node that the ring's memory is bound to; SPATE_ANY (default): first touch decides */
    uint32_t huge_pages;     /* enum spate_huge_pages; default none */
    int64_t uid, gid;        /* owner of the topic's files; -1 (default): the creator's */
    uint32_t producer_mode;  /* who may produce, as a file mode, e.g. 0600, 0660: per class rw, r (may look: stat, dump, verify) or
                             * nothing; 0: as the bus */
    uint32_t consumer_mode;  /* who may consume, likewise; 0: as the bus. Whoever may produce may consume as well, and all of them
                             * must be able to write the bus (spate_bus_options.mode) */
    uint32_t durable;        /* 1: keep a log. Without, the rest has to stay as by default */
    uint32_t flush;          /* enum spate_flush; default none */
    int64_t flush_interval;  /* ns, of SPATE_FLUSH_INTERVAL; default 100 ms */
    uint32_t compression;    /* enum spate_compression, of the log's blocks; default none */
    uint32_t cleanup;        /* enum spate_cleanup; default delete */
    uint64_t segment_size;   /* bytes of a file of the log, 1 MiB..16 GiB; default 256 MiB. Whole segments are deleted */
    int64_t segment_age;     /* ns after which a segment is closed all the same; -1 (default): never */
    int64_t retention_size;  /* bytes of a partition's log before old segments are deleted; -1 (default): without end */
    int64_t retention_time;  /* ns from a segment's newest record until it is deleted; -1: without end; default 7 days */
    int64_t tombstone_delay; /* ns for which compaction keeps a null value, so that readers see it; default 1 day */
};

struct spate_topic_info {
    char name[SPATE_TOPIC_NAME_MAX + 1];
    uint8_t id[16];  /* random, one per incarnation: a topic deleted and created anew has another */
    int64_t created; /* ns since 1970 */
    uint32_t partitions;
    uint64_t ring_capacity;  /* as allocated */
    uint64_t value_size_max; /* largest value + key + headers of one record: a quarter of the ring, at most 1 GiB */
    uint32_t mode, alignment, timestamp, producers_max, consumers_max;
    int32_t numa_node;
    uint32_t huge_pages; /* as configured */
    uint32_t uid, gid, ring_file_mode, cursors_file_mode;
    uint32_t durable, flush, compression, cleanup; /* this and below: as configured */
    int64_t flush_interval;
    uint64_t segment_size;
    int64_t segment_age, retention_size, retention_time, tombstone_delay;
};

SPATE_API void spate_topic_config_init(struct spate_topic_config *config);

/* spate_topic_config_set: set one field from text, as `spate topic create --config k=v` does.
 *   key        "partitions", "ring", "mode", "alignment", "timestamp", "producers", "consumers", "numa", "huge",
 *              "user", "group", "producer_mode", "consumer_mode", "durable", "flush", "compression", "cleanup", "segment_size",
 *              "segment_age", "retention_size", "retention_time", "tombstone_delay"
 *   value      numbers take K/M/G (binary); mode concurrent|exclusive; timestamp clock|caller|none; huge none|try|require;
 *              numa a node or any; user and group a name or a number; durable yes|no; flush none|interval:MS|each; compression
 *              none|lz4; cleanup delete|compact|compact,delete; times take ms, s, m, h, d (e.g. 7d); retention and age also "none"
 * Returns      0, -EINVAL with the key, the allowed values and the nearest known key in spate_last_error */
SPATE_API int spate_topic_config_set(struct spate_topic_config *config, const char *key, const char *value);

/* spate_topic_create: create a topic with all its rings; the space is allocated now, so it cannot run out later.
 *   name       [a-zA-Z0-9._-]{1,249}, not "." or ".."
 *   config     NULL for defaults
 * Returns      0
 *              -EEXIST   there is a topic of that name (it is left as it is)
 *              -ENOSPC   the memory file system has no room; nothing is left behind. The text says how much is missing
 *              -EACCES   no permission to create in the bus directory
 *              -EPERM    uid or gid of another, and the caller is not root; or the bus is only observed
 *              -ENOTSUP  SPATE_HUGE_REQUIRE and no huge pages, or no such NUMA node
 * Threads      any; of several creators exactly one succeeds
 * Dies here    the directory is renamed into place last: nobody sees half a topic; `spate gc` removes what is left */
SPATE_API int spate_topic_create(spate_bus *bus, const char *name, const struct spate_topic_config *config);

/* spate_topic_open: open a topic for producers and consumers, which keep it alive themselves.
 * Returns      0, -ENOENT (no such topic), -EACCES, -EPROTO (another layout version), -EBADMSG (truncated or foreign) */
SPATE_API int spate_topic_open(spate_bus *bus, const char *name, spate_topic **ret_topic);

/* spate_topic_wait: as spate_topic_open, but wait for a topic that is not there yet.
 * Returns      as spate_topic_open; -ETIMEDOUT (the text names the topic); -EINTR after a signal. Looks every 10 ms (inotify is
 *              not to be had on every memory file system, and creating topics is rare) */
SPATE_API int spate_topic_wait(spate_bus *bus, const char *name, int64_t timeout, spate_topic **ret_topic);

SPATE_API void spate_topic_close(spate_topic *topic);

/* spate_topic_describe: configuration and identity; *ret_info is filled. Returns 0. */
SPATE_API int spate_topic_describe(const spate_topic *topic, struct spate_topic_info *ret_info);

/* spate_topic_list: call `visit` with each topic's name, sorted; stops when it returns non-zero, and returns that.
 * The name is valid during the call. */
SPATE_API int spate_topic_list(spate_bus *bus, int (*visit)(void *context, const char *name), void *context);

enum spate_delete_flags { SPATE_DELETE_FORCE = 1 << 0 };

/* spate_topic_delete: remove a topic; memory is given back when the last process unmaps it.
 *   flags      SPATE_DELETE_FORCE: also while live producers or consumers use it. They learn of it: publishing gives -ESTALE
 *              (at the next commit, at the latest after a sixteenth of the ring), polling gives -ESTALE once everything was read
 * Returns      0, -ENOENT, -EACCES (only its owner or root may), -EPERM (the bus is only observed),
 *              -EBUSY (in use: a live producer that has published, or a consumer; the text names it); nothing was changed then
 * Dies here    before the topic is marked: nothing happened. After: whoever opens or creates the name next finishes the deletion */
SPATE_API int spate_topic_delete(spate_bus *bus, const char *name, uint32_t flags);

/* --------------------------------------------------------------------------------------------------------- records */

struct spate_header {   /* a record header: named metadata, as in Kafka */
    const char *name;   /* not NUL-terminated when read from a record */
    uint32_t name_size; /* 0..65535 */
    const void *value;  /* NULL: a null value, which is not the same as an empty one */
    uint32_t value_size;
};

/* One record, to publish or as read. Zero-initialise it; value NULL is a null value (a tombstone), key NULL no key. An empty
 * key or value is a non-NULL pointer with size 0, and stays different from null. */
struct spate_record {
    int32_t partition; /* publish: SPATE_ANY or 0..partitions-1; read: where it is from */
    uint32_t value_size;
    const void *value; /* spate_claim: ignored, value_size bytes are reserved */
    const void *key;
    uint32_t key_size;                  /* 0..SPATE_KEY_SIZE_MAX */
    uint32_t headers_count;             /* publish and read */
    const struct spate_header *headers; /* publish only; read with spate_record_header (to forward a record, read its headers into
                                         * an array and set this) */
    const void *headers_block;          /* read only: encoded headers, for spate_record_header */
    uint32_t headers_block_size;
    int64_t timestamp; /* ns; publish: used if the topic's source is caller. Read: 0 where there is none */
    int64_t offset;    /* read: dense per partition. Publish: ignored */
};

/* spate_record_header: the index-th header of a record that was read.
 *   ret_header its pointers go into the record: valid as long as the record is
 * Returns      0, -ENOENT (index >= headers_count), -EBADMSG (the block is damaged) */
SPATE_API int spate_record_header(const struct spate_record *record, uint32_t index, struct spate_header *ret_header);

/* ------------------------------------------------------------------------------------------------------- producers */

enum spate_wait_strategy {
    SPATE_WAIT_AUTO = 0,  /* block on machines with few cores for this process (< 4), yield otherwise */
    SPATE_WAIT_SPIN = 1,  /* lowest latency, burns a core */
    SPATE_WAIT_YIELD = 2, /* spin a little, then sched_yield between looks */
    SPATE_WAIT_BLOCK = 3, /* spin a little, then sleep in the kernel (futex) until woken */
};

struct spate_producer_options {
    size_t size;      /* set by spate_producer_options_init */
    uint32_t wait;    /* enum spate_wait_strategy, for room in a full ring */
    const char *name; /* shown by tools, cut to 31 bytes; NULL: the participant's */
};

SPATE_API void spate_producer_options_init(struct spate_producer_options *options);

/* spate_producer_open: a producer for all partitions of the topic; each is attached at its first use.
 *              The ring of a topic with one partition is mapped at once, others at first use: about 1 ms for 8 MiB
 * Returns      0, -EACCES (no write permission on the rings), -ESTALE (topic deleted), -EPERM (the bus is only observed)
 *              Attaching happens inside the first claim, which can therefore also give: -EUSERS (producer table full), -EBUSY
 *              (exclusive topic, and a live producer holds the partition: the text names it), -ETIMEDOUT (the holder of the
 *              partition's lock is stopped: up to 5 s), -ENOMEM, -EPROTO, -EBADMSG
 * Threads      one thread per producer; make one each. */
SPATE_API int spate_producer_open(spate_topic *topic, const struct spate_producer_options *options, spate_producer **ret_producer);

/* spate_producer_close: detach; an open claim is aborted. NULL is allowed. */
SPATE_API void spate_producer_close(spate_producer *producer);

/* spate_producer_max_size: largest value_size + key_size + encoded headers of a record, in bytes. */
SPATE_API uint64_t spate_producer_max_size(const spate_producer *producer);

/* spate_partition_of: the partition that a key belongs to: murmur2(key) & 0x7fffffff, modulo `partitions`, as Kafka's default
 * partitioner, so that both put a key in the same place. */
SPATE_API int32_t spate_partition_of(const void *key, size_t key_size, uint32_t partitions);

struct spate_claim { /* what a claim gives */
    void *value;     /* value_size writable bytes in shared memory, 8-byte aligned; never NULL */
    uint32_t value_size;
    int32_t partition;
    int64_t offset; /* the offset the record will have */
};

/* spate_claim: reserve one record in the ring; the caller fills the value in place, then commits or aborts.
 *   record     partition, key, headers and timestamp are copied now; of the value only value_size matters
 *   ret_claim  `value` is valid until spate_commit or spate_abort; its bytes are undefined (older data) until written
 * Returns      0
 *              -EAGAIN    the ring is full up to a gating consumer or an unfinished claim: spate_producer_wait, then again
 *              -EMSGSIZE  larger than the partition takes (spate_producer_max_size): split it
 *              -ERANGE    no such partition
 *              -ESTALE    the topic was deleted: open it anew
 *              -ENOSPC    durable topics: the ring is full, and the log's file system too: make room, then again
 *              -EIO       durable topics: the ring is full, and the log of the partition failed: mend the disk, start spated anew
 *              -EBUSY     this producer has an open claim: commit or abort it first (or see spate_producer_open)
 * Threads      other processes may publish to the same partition meanwhile. No system call on the fast path
 * Order        takes E2, E5; publishes nothing (commit does, E1). The edges are listed in src/ring/ring.h
 * Dies here    exclusive: nobody saw anything, the next producer takes the space. concurrent: others see a claim whose owner is
 *              dead; the first who needs the space or meets it turns it into an aborted record, readers step over it before
 * Source       claim/commit after Aeron, cached gate after the LMAX Disruptor, packed tail from Spate's own design */
SPATE_API int spate_claim(spate_producer *producer, const struct spate_record *record, struct spate_claim *ret_claim);

/* spate_claim_batch: reserve `count` records of one partition, in order and without others between them, with one claim.
 *   records    count records; the first one's partition (or key) decides for all
 *   count      1..SPATE_BATCH_MAX; with record headers and padding all together at most spate_producer_max_size
 *   ret_claims count entries
 * Returns      as spate_claim. spate_commit publishes all of them, spate_abort none. A reader may see the first ones of a batch
 *              before the last is published */
SPATE_API int spate_claim_batch(spate_producer *producer, const struct spate_record *records, uint32_t count,
                                struct spate_claim *ret_claims);

/* spate_commit: publish what was claimed. A release store per record; sleeping readers are woken, nobody else pays.
 * Returns      0, -ENOENT (no open claim). It cannot fail otherwise: what was claimed can always be published
 * Order        E1 to spate_poll
 * Dies here    a record is published or not, never torn; the rest of a batch is aborted */
SPATE_API int spate_commit(spate_producer *producer);

/* spate_abort: give up what was claimed. exclusive: the space and the offset are used by the next claim. concurrent: an aborted
 * record stays, which readers skip; its offset remains a hole. Returns 0, -ENOENT (no open claim). */
SPATE_API int spate_abort(spate_producer *producer);

/* spate_publish: claim, copy, commit.
 *   record     key, value and headers are copied
 *   timeout    how long to wait for room
 *   ret_offset NULL, or receives the record's offset
 * Returns      0; as spate_claim; -ETIMEDOUT (no room in time; -EAGAIN with timeout 0); -EINTR after a signal while waiting */
SPATE_API int spate_publish(spate_producer *producer, const struct spate_record *record, int64_t timeout, int64_t *ret_offset);

/* spate_publish_batch: the same for count records of one partition (see spate_claim_batch); ret_offset receives the first's. */
SPATE_API int spate_publish_batch(spate_producer *producer, const struct spate_record *records, uint32_t count, int64_t timeout,
                                  int64_t *ret_offset);

/* spate_producer_wait: wait until the partition of the last -EAGAIN may have room; repairs what dead peers left there, and evicts
 * gating consumers past their deadline.
 * Returns      0 (try again; a topic that was deleted meanwhile is told by the next claim), -ETIMEDOUT, -EINTR */
SPATE_API int spate_producer_wait(spate_producer *producer, int64_t timeout);

/* A record of a durable topic goes through these, one after the other. */
enum spate_watermark {
    SPATE_WATERMARK_RING = 0,       /* published: readers of this host see it; a crash of the host loses it */
    SPATE_WATERMARK_WRITTEN = 1,    /* the daemon handed it to the file system: it survives the bus, not a power failure */
    SPATE_WATERMARK_DURABLE = 2,    /* a flush of the device came back */
    SPATE_WATERMARK_REPLICATED = 3, /* flushed on enough hosts */
};

/* spate_wait: wait until a record has come to a watermark. Many may wait at once: one flush serves all that was published before it.
 *   partition  of the record; SPATE_ANY: for all that was published so far to every partition this producer used
 *   offset     of the record, as publishing returned it; everything before it has then come there too. SPATE_ANY: ignored
 *   watermark  enum spate_watermark
 * Returns      0
 *              -ETIMEDOUT  not yet (-EAGAIN with timeout 0). The text says whether a daemon runs
 *              -EINTR      a signal came
 *              -EIO        the daemon could not write the log of this partition, and has given up: mend the disk, start it anew. Whether
 *                          the record survives is not known
 *              -ENOTSUP    the topic is not durable; or SPATE_WATERMARK_REPLICATED, on a single host
 *              -ERANGE     no such partition, this producer published nothing to it, or nobody has published that offset yet
 *              -ESTALE     the topic was deleted
 * Threads      as publishing. System calls: two or three while it waits
 * Order        takes E16 */
SPATE_API int spate_wait(spate_producer *producer, int32_t partition, int64_t offset, uint32_t watermark, int64_t timeout);

/* How far a partition's log is. Each field was true a moment ago. */
struct spate_watermarks {
    int64_t published;                    /* offset behind the last one that is committed, or given up */
    int64_t written, durable, replicated; /* the offset behind the last one that came there */
    int64_t start;                        /* the first offset of the log that may be read */
    uint32_t state;                       /* enum spate_log_state */
    int error;                            /* errno behind the state, or 0 */
};

enum spate_log_state {
    SPATE_LOG_IDLE = 0,   /* no daemon writes it; or the topic is not durable */
    SPATE_LOG_OPEN = 1,   /* it is being written */
    SPATE_LOG_FULL = 2,   /* the file system is full, or descriptors or memory are short: it goes on by itself when they are not */
    SPATE_LOG_FAILED = 3, /* a write or flush failed: it stays as it is until the daemon is started anew */
};

/* spate_topic_watermarks: how far the log of a partition is.
 * Returns 0, -ERANGE, -ESTALE, -EACCES, -EBADMSG */
SPATE_API int spate_topic_watermarks(spate_topic *topic, int32_t partition, struct spate_watermarks *ret);

/* spate_delete_records: records below an offset are no longer wanted. Readers do not get them from now on; the daemon frees whole
 * segments.
 *   offset     first one to keep; -1: all that is published now
 *   timeout    how long to wait for the daemon
 * Returns      0, -ETIMEDOUT (it was asked for, and will be done), -ERANGE (beyond the end, or no such partition), -ENOTSUP (not
 * durable),
 *              -EACCES (who may produce may delete), -ESTALE, -EINTR */
SPATE_API int spate_delete_records(spate_topic *topic, int32_t partition, int64_t offset, int64_t timeout);

/* ------------------------------------------------------------------------------------------------------- consumers */

enum spate_policy {
    SPATE_POLICY_GATE = 0, /* producers wait for this consumer */
    SPATE_POLICY_SKIP = 1, /* producers overwrite; the consumer is told exactly which offsets it lost */
    SPATE_POLICY_SPILL =
        2, /* durable topics: producers overwrite, and the consumer reads on in the log until it has caught up. It loses
                             * nothing and holds up nobody. Views of records have to be checked, as with skip (spate_check) */
    SPATE_POLICY_AUTO = 3, /* the default: spill where the topic is durable, else gate */
};

enum spate_start {
    SPATE_START_END = 0,       /* records published from now on */
    SPATE_START_BEGINNING = 1, /* the oldest record: of the log where there is one (not with policy skip), else of the ring */
    SPATE_START_OFFSET = 2,    /* start_value is an offset */
    SPATE_START_TIME = 3,      /* start_value is a time: the first record with timestamp >= it */
    SPATE_START_LAST = 4,      /* start_value is N: the last N offsets of each partition (holes count) */
};

struct spate_consumer_options {
    size_t size;               /* set by spate_consumer_options_init */
    const int32_t *partitions; /* which ones; NULL: all of the topic */
    uint32_t partitions_count;
    uint32_t policy; /* enum spate_policy */
    uint32_t start;  /* enum spate_start */
    int64_t start_value;
    uint32_t wait;        /* enum spate_wait_strategy */
    int64_t gate_timeout; /* ns a full ring waits for this consumer (gate) before it is evicted; default SPATE_FOREVER (a dead
                                * consumer is dropped at once, whatever this says) */
    const char *name;     /* shown by tools, cut to 31 bytes; NULL: the participant's */
    uint32_t
        watermark; /* enum spate_watermark: records that have not come there are not seen. Default ring: all that is published */
};

SPATE_API void spate_consumer_options_init(struct spate_consumer_options *options);

/* spate_consumer_open: subscribe to one, several or all partitions of the topic.
 * Returns      0, -EACCES (no read permission on rings, or no write permission on cursors), -ERANGE (no such partition, or the start
 *              offset is no longer or not yet there: the text gives the range), -EUSERS (consumer table full), -ESTALE, -EPERM (the
 *              bus is only observed), -ENODATA (start by time on a topic without timestamps)
 * Threads      one thread per consumer
 * Dies here    its cursor is dropped by the first producer that it would hold up */
SPATE_API int spate_consumer_open(spate_topic *topic, const struct spate_consumer_options *options, spate_consumer **ret_consumer);

/* spate_consumer_close: unsubscribe; records read last are released. NULL is allowed. */
SPATE_API void spate_consumer_close(spate_consumer *consumer);

/* spate_poll: the next records, in place.
 *   records    receives up to `count` views into shared memory, in offset order within a partition; valid until the next spate_poll,
 *              spate_read, spate_release, seek or close (gate), or until overwritten (skip: see spate_check)
 *   timeout    how long to wait when there is nothing
 * Returns      number of records, 1..count; 0 when there is nothing (timeout 0)
 *              -ETIMEDOUT  nothing came in time
 *              -EINTR      a signal came while it slept (strategy block; the others do not notice signals: give them a timeout)
 *              -EOVERFLOW  records were lost: spate_consumer_gap says which and why; the next poll goes on behind them
 *              -ESTALE     the topic was deleted and everything readable was read
 * Order        takes E1; releases the previous poll's records (E2)
 * Dies here    producers wait until the kernel tells of the death (at once), then go on without this consumer */
SPATE_API int spate_poll(spate_consumer *consumer, struct spate_record *records, uint32_t count, int64_t timeout);

/* spate_check: whether the views of the last poll are still whole. Needed with policy skip, or gate with a gate_timeout: call it
 * after using the views and before acting on what was read.
 * Returns      0 (whole), -EOVERFLOW (producers have reached them: discard what was read; the next poll reports the gap) */
SPATE_API int spate_check(spate_consumer *consumer);

/* spate_release: give the last poll's records back to the producers without polling again. Returns 0. */
SPATE_API int spate_release(spate_consumer *consumer);

/* spate_read: the next record, copied and checked: what it returns is whole under any policy.
 *   buffer     receives headers, key and value; ret_record points into it
 *   size       of buffer
 * Returns      1; 0, -ETIMEDOUT, -EINTR, -EOVERFLOW, -ESTALE as spate_poll
 *              -EMSGSIZE  the buffer is too small; ret_record->value_size, key_size and headers_block_size say what is needed, and the
 *                         record is not consumed */
SPATE_API int spate_read(spate_consumer *consumer, void *buffer, size_t size, struct spate_record *ret_record, int64_t timeout);

enum spate_lost {
    SPATE_LOST_SKIPPED = 1, /* overwritten before it was read (policy skip) */
    SPATE_LOST_EVICTED = 2, /* this consumer gated longer than its gate_timeout; it gates again from where it goes on */
    SPATE_LOST_DAMAGED = 3, /* shared memory, or the log, was damaged there */
    SPATE_LOST_DELETED = 4, /* the log no longer has them: retention, or spate_delete_records */
};

struct spate_gap {
    int32_t partition;
    uint32_t cause;      /* enum spate_lost */
    int64_t first, next; /* offsets first .. next-1 were lost */
};

/* spate_consumer_gap: what the latest -EOVERFLOW was about. Returns 0, -ENOENT (nothing was lost yet). */
SPATE_API int spate_consumer_gap(const spate_consumer *consumer, struct spate_gap *ret_gap);

/* spate_seek: go on at another place of one partition (or of all: SPATE_ANY).
 *   start      enum spate_start, value as in spate_consumer_options
 * Returns      0, -ERANGE (partition not subscribed, offset not in the ring), -ENODATA (by time, no timestamps) */
SPATE_API int spate_seek(spate_consumer *consumer, int32_t partition, uint32_t start, int64_t value);

/* spate_position: the offset that the next poll of that partition begins with; -ERANGE when it is not subscribed. */
SPATE_API int64_t spate_position(const spate_consumer *consumer, int32_t partition);

/* spate_lag: how many offsets are published beyond the position (SPATE_ANY: summed over all); -ERANGE as above. */
SPATE_API int64_t spate_lag(const spate_consumer *consumer, int32_t partition);

/* spate_offsets: the oldest readable offset, and the one that the next claim will get (records that are claimed and not committed
 * yet lie below it). ret_first and ret_next may be NULL. Returns 0, -ERANGE (partition not subscribed). */
SPATE_API int spate_offsets(spate_consumer *consumer, int32_t partition, int64_t *ret_first, int64_t *ret_next);

/* spate_pause, spate_resume: leave a partition out of polling (SPATE_ANY: all), or take it in again. A paused gating consumer still
 * gates. Return 0, -ERANGE. */
SPATE_API int spate_pause(spate_consumer *consumer, int32_t partition);
SPATE_API int spate_resume(spate_consumer *consumer, int32_t partition);

/* spate_consumer_fd: a descriptor for poll/epoll/select loops that becomes readable when records may be there.
 * Once asked for, every spate_poll with timeout 0 that finds nothing arms it, so the loop is: wait for the descriptor, poll until 0.
 *   returns the descriptor (owned by the consumer; do not read or close it), -ENOSPC (wake table full), or another -errno
 * Stirs        it also becomes readable 8 ms after it was armed, for what no producer tells of (one that died before it could)
 * Cost         a producer that meets an armed descriptor pays the wake-up (a write to a named pipe); others pay nothing */
SPATE_API int spate_consumer_fd(spate_consumer *consumer);

#ifdef __cplusplus
}
#endif
#endif
