/* cursors_layout.h: the file `<bus>/<topic>/<n>.cursors`: where consumers are, whom they hold up, who sleeps.
 *
 * Mapped read-write by consumers and producers. Kept apart from the ring so that the ring can be read-only for consumers.
 *
 * off size field            written by            access             may
 *   0   64 file             creator               layout.h
 *  64    4 consumers_max    creator               plain              never change
 * 128    4 notice           consumers, producers  relaxed, CAS       SP_NOTICE: somebody may be asleep (E7); above it a count
 * 132    4 consumers_used   ring lock             release/acquire    only grow: slots at and beyond it were never used
 * 256    4 space_notice     producers, consumers  relaxed, CAS       SP_NOTICE: a producer may be asleep for room (E8)
 * 260    4 space_sequence   consumers             fetch-add          only grow (futex word of those producers)
 * 512      slots[consumers_max], 256 bytes each:
 *
 * Cursor slot
 * off size field          written by           access              may
 *   0    8 read_position  owner                release/acquire     only grow between seeks: all bytes below it are released (E2)
 *   8    8 read_offset    owner                relaxed             offset at read_position
 *  64   64 counters       owner                relaxed             enum sp_consumer_counter; they stay when the slot changes
 *                                                                  hands
 * 128    8 owner          ring lock            release/acquire     0 free, else owner word of a participant
 * 136    4 state          owner, evictor       exchange, CAS       low 2 bits: FREE -> ACTIVE -> EVICTED -> ACTIVE; -> FREE under
 *                                                                  the ring lock. Above them a generation, one more with every
 *                                                                  taking and every placing: who evicts names which one he means
 * 140    4 policy         owner                plain, before ACTIVE enum spate_policy
 * 144    8 gate_timeout   owner                plain, before ACTIVE ns, or -1
 * 152    4 asleep         owner                release/acquire     1: wake wake_slot when something is published (E7); 2: also
 *                                                                  when a watermark moved (SP_ASLEEP_BOUNDED)
 * 156    4 wake_slot      owner                plain, before asleep index into the bus's wakes
 * 160   32 name           owner                plain
 * 192   64 unused */
#ifndef SP_LAYOUT_CURSORS_LAYOUT_H
#define SP_LAYOUT_CURSORS_LAYOUT_H

#include "layout/bus_layout.h"
#include "layout/layout.h"

#define SP_CURSORS_MAGIC SP_MAGIC('c', 'u', 'r', 's')

enum { SP_NOTICE = 1 };
enum { SP_ASLEEP = 1, SP_ASLEEP_BOUNDED = 2 };
enum { SP_CURSOR_FREE = 0, SP_CURSOR_ACTIVE = 1, SP_CURSOR_EVICTED = 2, SP_CURSOR_STATE_MASK = 3, SP_CURSOR_GENERATION = 4 };

enum sp_consumer_counter {
    SP_CONSUMER_RECORDS,
    SP_CONSUMER_BYTES,
    SP_CONSUMER_ABORTED, /* aborted offsets stepped over */
    SP_CONSUMER_LOST_SKIPPED,
    SP_CONSUMER_LOST_EVICTED,
    SP_CONSUMER_LOST_DAMAGED,
    SP_CONSUMER_SLEEPS,
    SP_CONSUMER_VERDICTS, /* claims of the dead that it stepped over before anybody repaired them */
    SP_CONSUMER_COUNTERS = 8
};

struct sp_cursor {
    _Atomic uint64_t read_position;
    _Atomic uint64_t read_offset;
    uint8_t unused0[48];
    _Atomic uint64_t counters[SP_CONSUMER_COUNTERS];
    _Atomic uint64_t owner;
    _Atomic uint32_t state;
    uint32_t policy;
    int64_t gate_timeout;
    _Atomic uint32_t asleep;
    _Atomic uint32_t wake_slot;
    char name[SP_NAME_SIZE];
    uint8_t unused1[64];
};

struct sp_cursors_header {
    struct sp_file_header file;
    uint32_t consumers_max;
    uint8_t unused0[60];
    _Atomic uint32_t notice;
    _Atomic uint32_t consumers_used;
    uint8_t unused1[120];
    _Atomic uint32_t space_notice;
    _Atomic uint32_t space_sequence;
    uint8_t unused2[248];
    struct sp_cursor slots[];
};

#define SP_CURSORS_FIELDS(AT)                            \
    AT(struct sp_cursor, read_position, 0, 8)            \
    AT(struct sp_cursor, read_offset, 8, 8)              \
    AT(struct sp_cursor, counters, 64, 64)               \
    AT(struct sp_cursor, owner, 128, 8)                  \
    AT(struct sp_cursor, state, 136, 4)                  \
    AT(struct sp_cursor, policy, 140, 4)                 \
    AT(struct sp_cursor, gate_timeout, 144, 8)           \
    AT(struct sp_cursor, asleep, 152, 4)                 \
    AT(struct sp_cursor, wake_slot, 156, 4)              \
    AT(struct sp_cursor, name, 160, 32)                  \
    AT(struct sp_cursors_header, file, 0, 64)            \
    AT(struct sp_cursors_header, consumers_max, 64, 4)   \
    AT(struct sp_cursors_header, notice, 128, 4)         \
    AT(struct sp_cursors_header, consumers_used, 132, 4) \
    AT(struct sp_cursors_header, space_notice, 256, 4)   \
    AT(struct sp_cursors_header, space_sequence, 260, 4)
SP_CURSORS_FIELDS(SP_AT)
static_assert(sizeof(struct sp_cursor) == 256, "cursor ABI");
static_assert(sizeof(struct sp_cursors_header) == 512, "cursors header ABI");

/* sp_cursor_state: FREE, ACTIVE or EVICTED, of a state word. sp_cursor_word: the same generation in another state.
 * sp_cursor_next: the next generation. */
static inline uint32_t sp_cursor_state(uint32_t word)
{
    return word & SP_CURSOR_STATE_MASK;
}

static inline uint32_t sp_cursor_word(uint32_t word, uint32_t state)
{
    return (word & ~(uint32_t)SP_CURSOR_STATE_MASK) | state;
}

static inline uint32_t sp_cursor_next(uint32_t word, uint32_t state)
{
    return sp_cursor_word(word + SP_CURSOR_GENERATION, state);
}

/* sp_cursors_file_size: bytes of the file, rounded up to a page. */
uint64_t sp_cursors_file_size(uint32_t consumers_max, uint32_t page_size);

/* sp_cursors_header_check: consumers_max in range and the slots inside the file. Returns 0, -EBADMSG. */
int sp_cursors_header_check(const struct sp_cursors_header *header, uint64_t file_size, const char *path);

#endif
