/* ring_layout.h: the file `<bus>/<topic>/<n>.ring`: one partition's records and the producers' words.
 *
 * Producers (and the daemon) map it read-write, consumers read-only. Regions, computed by sp_ring_regions and nowhere else:
 *   0            header
 *   4096         producers[producers_max]     128 bytes each
 *   data_offset  capacity bytes of records; mapped twice in a row, so that a record that wraps is contiguous
 *
 * off size field              written by   access             may
 *   0   64 file               creator      layout.h
 *  64    8 capacity           creator      plain              bytes, a power of two; never change (all of this line)
 *  72    8 data_offset        creator      plain              bytes, a multiple of file.page_size
 *  80    8 salt               creator      plain              random per incarnation
 *  88    4 unit_shift         creator      plain              log2 of the record alignment
 *  92    4 mode               creator      plain              enum spate_mode
 *  96    4 timestamp          creator      plain              enum spate_timestamp
 * 100    4 producers_max      creator      plain
 * 104    8 record_size_max    creator      plain              bytes a record (or a batch) may take in the ring
 * 112    8 chunk_size         creator      plain              bytes between two looks at gates, and between two marks
 * 120    4 durable            creator      plain              1: producers wait for the log
 * 128    8 tail               producers    CAS                packed position and offset (ring/tail.h); only grow.
 *                                                             Concurrent: claimed.
 *                                          (exclusive: store) Exclusive: everything below is committed (ring/ring.h)
 * 136    8 records_base       producers    CAS                only grow; within 2^29 records of the tail
 * 144    8 units_base         producers    CAS                only grow; within 2^33 units of the tail
 * 256    8 reserved           producers    CAS                only grow: bytes below reserved - capacity may be overwritten
 *                                                             at any time
 * 384    4 state              deleter      release/acquire    LIVE -> DELETED
 * 388    4 producers_used     ring lock    release/acquire    only grow: slots at and beyond it were never used
 * 392    8 repairer           ring lock    relaxed            owner word of who holds the ring lock to repair; for `stat`
 * 400    8 bias               producers    CAS                who claims without atomics (ring/bias.h): SP_BIAS_*
 * 512  128 counters           ring lock    relaxed            enum sp_ring_counter
 * 640  128 log                daemon       see below          durable topics: how far the log has come
 * 768  128 wanted             producers    see below          durable topics: what they ask of the daemon
 * 1024 1024 marks[64]         producers    see ring/mark.c    places where walks may begin; offset is mixed with position
 *
 * Log words (one writer: the daemon that holds the log; offsets and positions only grow, and name record boundaries):
 * off size field              access             may
 *   0    8 written            release/acquire    position: everything below was handed to the file system. Producers do not write a
 *                                                ring beyond it, whether a daemon runs or not (E15)
 *   8    8 written_offset     release/acquire    the offset there (E16)
 *  16    8 durable            release/acquire    position: everything below was flushed to the device
 *  24    8 durable_offset     release/acquire    (E16)
 *  32    8 replicated         release/acquire    position: everything below was flushed on enough hosts
 *  40    8 replicated_offset  release/acquire    (E16)
 *  48    8 start_offset       release/acquire    the first offset that the log still has
 *  56    4 state              release/acquire    enum sp_log_state
 *  60    4 error              relaxed            errno behind the state
 *  64    8 owner              release/acquire    owner word of the daemon
 *  72    4 asleep             release/acquire    1: wake wake_slot when something is published or wanted (E7); 2: when wanted
 *  76    4 wake_slot          release/acquire    where the daemon is woken
 *  80    4 sequence           fetch-add          futex word of those who wait for a watermark
 *
 * Wanted words (producers; they only grow):
 *   0    4 notice             relaxed, CAS       SP_NOTICE: somebody waits for a watermark (E16)
 *   8    8 written            CAS                somebody waits for `written` to reach this offset
 *  16    8 durable            CAS                likewise
 *  24    8 start              CAS                records below this offset are to be deleted
 *
 * Producer slot (one writer: its owner, while it lives; then whoever repairs, under the ring lock):
 * off size field     access            may
 *   0    8 owner     release/acquire   0 free; else owner word of a participant. Changed under the ring lock only
 *   8    8 claim     release/acquire   position | phase: IDLE 0, INTENT 1, CLAIMED 2, BIASED 3. Its position never exceeds
 *                                      a byte it may still write
 *  16    8 extent    release/acquire   bytes in alignment units << 32 | number of records
 *  24    8 offset    release/acquire   offset at `claim`'s position: both name one record boundary
 *  32   32 name      plain             NUL-terminated
 *  64   64 counters  relaxed           enum sp_producer_counter; they stay when the slot changes hands */
#ifndef SP_LAYOUT_RING_LAYOUT_H
#define SP_LAYOUT_RING_LAYOUT_H

#include "layout/bus_layout.h"
#include "layout/layout.h"

#define SP_RING_MAGIC SP_MAGIC('r', 'i', 'n', 'g')
#define SP_RING_HEADER_SIZE 4096u
#define SP_MARKS 64u
#define SP_CHUNK_SIZE_MAX ((uint64_t)1 << 30)

enum { SP_PHASE_IDLE = 0, SP_PHASE_INTENT = 1, SP_PHASE_CLAIMED = 2, SP_PHASE_BIASED = 3, SP_PHASE_MASK = 7 };

/* The bias word: slot + 1 (0: nobody) | state | SP_BIAS_FORBIDDEN | generation, one more with every asking. */
enum {
    SP_BIAS_SLOT_MASK = 0xffff,
    SP_BIAS_ASKED = 1 << 16,
    SP_BIAS_HELD = 2 << 16,
    SP_BIAS_REVOKED = 3 << 16,
    SP_BIAS_STATE_MASK = 3 << 16,
    SP_BIAS_FORBIDDEN = 1 << 18,
    SP_BIAS_GENERATION = 1 << 19
};

enum sp_ring_counter {
    SP_RING_ABORTED, /* offsets that died with their producers */
    SP_RING_REPAIRS,
    SP_RING_REPAIR_NS,
    SP_RING_REPAIR_NS_MAX,
    SP_RING_PRODUCERS_DEAD,
    SP_RING_CONSUMERS_DEAD,
    SP_RING_DAMAGED,
    SP_RING_LOG_BYTES,  /* written by the daemon, which is the only writer of these: bytes of the log, */
    SP_RING_LOG_BLOCKS, /* blocks, */
    SP_RING_LOG_FLUSHES,
    SP_RING_LOG_FLUSH_P50, /* ns a flush took, */
    SP_RING_LOG_FLUSH_P99,
    SP_RING_LOG_FLUSH_MAX,
    SP_RING_COUNTERS = 16
};

enum sp_producer_counter {
    SP_PRODUCER_RECORDS,
    SP_PRODUCER_BYTES,
    SP_PRODUCER_ABORTED,
    SP_PRODUCER_STALLS,
    SP_PRODUCER_WAKES,
    SP_PRODUCER_CLOCK_BACKWARDS,
    SP_PRODUCER_EVICTIONS,
    SP_PRODUCER_COUNTERS = 8
};

/* What the daemon does with a partition's log. */
enum sp_log_state {
    SP_LOG_IDLE = 0,   /* no daemon has looked at it yet, or it went away orderly */
    SP_LOG_OPEN = 1,   /* it writes */
    SP_LOG_FULL = 2,   /* the file system is full; it goes on by itself when there is room */
    SP_LOG_FAILED = 3, /* a write or a flush failed: nothing is written any more until the daemon is started anew */
};

enum { SP_LOG_AWAKE = 0, SP_LOG_ASLEEP = 1, SP_LOG_DOZES = 2 };

struct sp_log_words {
    _Atomic uint64_t written;
    _Atomic uint64_t written_offset;
    _Atomic uint64_t durable;
    _Atomic uint64_t durable_offset;
    _Atomic uint64_t replicated;
    _Atomic uint64_t replicated_offset;
    _Atomic uint64_t start_offset;
    _Atomic uint32_t state;
    _Atomic uint32_t error;
    _Atomic uint64_t owner;
    _Atomic uint32_t asleep;
    _Atomic uint32_t wake_slot;
    _Atomic uint32_t sequence;
    uint8_t unused[44];
};

struct sp_wanted_words {
    _Atomic uint32_t notice;
    uint32_t unused0;
    _Atomic uint64_t written;
    _Atomic uint64_t durable;
    _Atomic uint64_t start;
    uint8_t unused1[96];
};

struct sp_mark {
    _Atomic uint64_t position;
    _Atomic uint64_t offset;
};

struct sp_ring_header {
    struct sp_file_header file;
    uint64_t capacity;
    uint64_t data_offset;
    uint64_t salt;
    uint32_t unit_shift;
    uint32_t mode;
    uint32_t timestamp;
    uint32_t producers_max;
    uint64_t record_size_max;
    uint64_t chunk_size;
    uint32_t durable;
    uint32_t unused_config;
    _Atomic uint64_t tail;
    _Atomic uint64_t records_base;
    _Atomic uint64_t units_base;
    uint8_t unused0[104];
    _Atomic uint64_t reserved;
    uint8_t unused1[120];
    _Atomic uint32_t state;
    _Atomic uint32_t producers_used;
    _Atomic uint64_t repairer;
    _Atomic uint64_t bias;
    uint8_t unused2[104];
    _Atomic uint64_t counters[SP_RING_COUNTERS];
    struct sp_log_words log;
    struct sp_wanted_words wanted;
    uint8_t unused3[128];
    struct sp_mark marks[SP_MARKS];
    uint8_t unused4[2048];
};

struct sp_producer_slot {
    _Atomic uint64_t owner;
    _Atomic uint64_t claim;
    _Atomic uint64_t extent;
    _Atomic uint64_t offset;
    char name[SP_NAME_SIZE];
    _Atomic uint64_t counters[SP_PRODUCER_COUNTERS];
};

#define SP_RING_FIELDS(AT)                             \
    AT(struct sp_ring_header, file, 0, 64)             \
    AT(struct sp_ring_header, capacity, 64, 8)         \
    AT(struct sp_ring_header, data_offset, 72, 8)      \
    AT(struct sp_ring_header, salt, 80, 8)             \
    AT(struct sp_ring_header, unit_shift, 88, 4)       \
    AT(struct sp_ring_header, mode, 92, 4)             \
    AT(struct sp_ring_header, timestamp, 96, 4)        \
    AT(struct sp_ring_header, producers_max, 100, 4)   \
    AT(struct sp_ring_header, record_size_max, 104, 8) \
    AT(struct sp_ring_header, chunk_size, 112, 8)      \
    AT(struct sp_ring_header, durable, 120, 4)         \
    AT(struct sp_ring_header, tail, 128, 8)            \
    AT(struct sp_ring_header, records_base, 136, 8)    \
    AT(struct sp_ring_header, units_base, 144, 8)      \
    AT(struct sp_ring_header, reserved, 256, 8)        \
    AT(struct sp_ring_header, state, 384, 4)           \
    AT(struct sp_ring_header, producers_used, 388, 4)  \
    AT(struct sp_ring_header, repairer, 392, 8)        \
    AT(struct sp_ring_header, bias, 400, 8)            \
    AT(struct sp_ring_header, counters, 512, 128)      \
    AT(struct sp_ring_header, log, 640, 128)           \
    AT(struct sp_ring_header, wanted, 768, 128)        \
    AT(struct sp_ring_header, marks, 1024, 1024)       \
    AT(struct sp_log_words, written, 0, 8)             \
    AT(struct sp_log_words, written_offset, 8, 8)      \
    AT(struct sp_log_words, durable, 16, 8)            \
    AT(struct sp_log_words, durable_offset, 24, 8)     \
    AT(struct sp_log_words, replicated, 32, 8)         \
    AT(struct sp_log_words, replicated_offset, 40, 8)  \
    AT(struct sp_log_words, start_offset, 48, 8)       \
    AT(struct sp_log_words, state, 56, 4)              \
    AT(struct sp_log_words, error, 60, 4)              \
    AT(struct sp_log_words, owner, 64, 8)              \
    AT(struct sp_log_words, asleep, 72, 4)             \
    AT(struct sp_log_words, wake_slot, 76, 4)          \
    AT(struct sp_log_words, sequence, 80, 4)           \
    AT(struct sp_wanted_words, notice, 0, 4)           \
    AT(struct sp_wanted_words, written, 8, 8)          \
    AT(struct sp_wanted_words, durable, 16, 8)         \
    AT(struct sp_wanted_words, start, 24, 8)           \
    AT(struct sp_mark, position, 0, 8)                 \
    AT(struct sp_mark, offset, 8, 8)                   \
    AT(struct sp_producer_slot, owner, 0, 8)           \
    AT(struct sp_producer_slot, claim, 8, 8)           \
    AT(struct sp_producer_slot, extent, 16, 8)         \
    AT(struct sp_producer_slot, offset, 24, 8)         \
    AT(struct sp_producer_slot, name, 32, 32)          \
    AT(struct sp_producer_slot, counters, 64, 64)
SP_RING_FIELDS(SP_AT)
static_assert(sizeof(struct sp_ring_header) == SP_RING_HEADER_SIZE, "ring header ABI");
static_assert(sizeof(struct sp_producer_slot) == 128, "producer slot ABI");

struct sp_ring_regions {
    uint64_t producers;
    uint64_t data;
    uint64_t file_size;
};

/* sp_ring_regions: where everything is; page_size as in the file header. */
struct sp_ring_regions sp_ring_regions(uint32_t producers_max, uint64_t capacity, uint32_t page_size);

/* What follows from capacity and producers_max, so that creation and check agree. */
uint64_t sp_ring_payload_max(uint64_t capacity);
uint64_t sp_ring_record_size_max(uint64_t capacity);
uint64_t sp_ring_chunk_size(uint64_t capacity);

/* sp_ring_header_check: every value in range, and the regions inside the file. Returns 0, -EBADMSG. */
int sp_ring_header_check(const struct sp_ring_header *header, uint64_t file_size, const char *path);

#endif
