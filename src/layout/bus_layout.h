/* bus_layout.h: the file `<bus>/bus`: identity, who takes part, where sleepers are woken, what the counters mean.
 *
 * Mapped read-write by every participant. Regions, computed by sp_bus_regions and nowhere else:
 *   0      header, with the table of counter descriptors at 1024
 *   4096   participants[participants_max]     128 bytes each
 *   ...    wakes[wakes_max]                   64 bytes each
 *
 * Header:
 * off size field              written by   access   may
 *   0   64 file               creator      layout.h
 *  64    4 participants_max   creator      plain    never change after format
 *  68    4 wakes_max          creator      plain    never change
 *  72    4 mode               creator      plain    never change: file mode that topics inherit
 *  76    4 counters_count     creator      plain    never change: descriptors in use
 *
 * Participant (slot i is held by whoever holds the kernel lock on byte SP_LOCK_PARTICIPANTS + i of the file; see
 * shm/registry.h):
 * off size field         written by          access             may
 *   0    8 owner         lock holder         release / acquire  generation << 16 | slot; a new holder adds one generation
 *   8    4 state         lock holder         release / acquire  0 free, 1 joined
 *  12    4 flags         lock holder         plain              SP_PARTICIPANT_MEMBARRIER: registered for expedited membarrier
 *  16    8 pid           lock holder         plain              for people only
 *  24    8 pid_namespace lock holder         plain              inode number, for people only
 *  32    8 joined        lock holder         plain              ns since 1970
 *  40    4 uid           lock holder         plain
 *  44    4 unused
 *  48   32 name          lock holder         plain              NUL-terminated; readers bound it
 *  80   48 unused
 *
 * Wake slot (where one sleeping consumer is woken; shm/wake.c):
 * off size field      written by          access              may
 *   0    4 sequence   wakers              fetch-add           only grow (futex word)
 *   4    4 kind       holder              release / acquire   SP_WAKE_FUTEX or SP_WAKE_PIPE
 *   8    8 owner      holder              compare-and-swap    0 free, else the participant's owner word
 *  16   48 unused */
#ifndef SP_LAYOUT_BUS_LAYOUT_H
#define SP_LAYOUT_BUS_LAYOUT_H

#include "layout/layout.h"

#define SP_BUS_MAGIC SP_MAGIC('b', 'u', 's', 0)
#define SP_PARTICIPANTS_DEFAULT 256u
#define SP_PARTICIPANTS_MAX 4096u
#define SP_WAKES_PER_PARTICIPANT 4u
#define SP_NAME_SIZE 32u
/* First lock bytes, far behind any byte of data: who holds a slot, and who is about to take or free it. */
#define SP_LOCK_PARTICIPANTS ((int64_t)1 << 40)
#define SP_LOCK_JOINERS ((int64_t)1 << 41)

#define SP_OWNER_SLOT_BITS 16u
#define SP_OWNER_SLOT(owner) ((uint32_t)((owner)&0xffffu))
#define SP_OWNER_GENERATION(owner) ((owner) >> SP_OWNER_SLOT_BITS)

enum { SP_PARTICIPANT_FREE = 0, SP_PARTICIPANT_JOINED = 1 };
enum { SP_PARTICIPANT_MEMBARRIER = 1 };
enum { SP_WAKE_FUTEX = 1, SP_WAKE_PIPE = 2 };

struct sp_counter_descriptor {
    uint16_t id;
    uint8_t scope;  /* enum spate_counter_scope */
    uint8_t kind;   /* enum spate_counter_kind */
    uint32_t index; /* which word of the owner's counters */
    char name[40];
    char unit[16];
};

#define SP_COUNTER_DESCRIPTORS_MAX 48u

struct sp_bus_header {
    struct sp_file_header file;
    uint32_t participants_max;
    uint32_t wakes_max;
    uint32_t mode;
    uint32_t counters_count;
    uint8_t unused[944];
    struct sp_counter_descriptor counters[SP_COUNTER_DESCRIPTORS_MAX];
};

struct sp_participant {
    _Atomic uint64_t owner;
    _Atomic uint32_t state;
    uint32_t flags;
    int64_t pid;
    uint64_t pid_namespace;
    int64_t joined;
    uint32_t uid;
    uint32_t unused0;
    char name[SP_NAME_SIZE];
    uint8_t unused1[48];
};

struct sp_wake {
    _Atomic uint32_t sequence;
    _Atomic uint32_t kind;
    _Atomic uint64_t owner;
    uint8_t unused[48];
};

#define SP_BUS_FIELDS(AT)                             \
    AT(struct sp_counter_descriptor, id, 0, 2)        \
    AT(struct sp_counter_descriptor, scope, 2, 1)     \
    AT(struct sp_counter_descriptor, kind, 3, 1)      \
    AT(struct sp_counter_descriptor, index, 4, 4)     \
    AT(struct sp_counter_descriptor, name, 8, 40)     \
    AT(struct sp_counter_descriptor, unit, 48, 16)    \
    AT(struct sp_bus_header, file, 0, 64)             \
    AT(struct sp_bus_header, participants_max, 64, 4) \
    AT(struct sp_bus_header, wakes_max, 68, 4)        \
    AT(struct sp_bus_header, mode, 72, 4)             \
    AT(struct sp_bus_header, counters_count, 76, 4)   \
    AT(struct sp_bus_header, counters, 1024, 3072)    \
    AT(struct sp_participant, owner, 0, 8)            \
    AT(struct sp_participant, state, 8, 4)            \
    AT(struct sp_participant, flags, 12, 4)           \
    AT(struct sp_participant, pid, 16, 8)             \
    AT(struct sp_participant, pid_namespace, 24, 8)   \
    AT(struct sp_participant, joined, 32, 8)          \
    AT(struct sp_participant, uid, 40, 4)             \
    AT(struct sp_participant, name, 48, 32)           \
    AT(struct sp_wake, sequence, 0, 4)                \
    AT(struct sp_wake, kind, 4, 4)                    \
    AT(struct sp_wake, owner, 8, 8)
SP_BUS_FIELDS(SP_AT)
static_assert(sizeof(struct sp_bus_header) == 4096, "bus header ABI");
static_assert(sizeof(struct sp_participant) == 128, "participant ABI");
static_assert(sizeof(struct sp_wake) == 64, "wake slot ABI");

struct sp_bus_regions {
    uint64_t participants; /* offset of each region, and the whole size */
    uint64_t wakes;
    uint64_t file_size;
};

/* sp_bus_regions: where everything is, from the two counts; create, attach, dump and verify all use it. page_size as in the
 * file header. */
struct sp_bus_regions sp_bus_regions(uint32_t participants_max, uint32_t wakes_max, uint32_t page_size);

/* sp_bus_header_check: counts in range and consistent with the file's size. Returns 0, -EBADMSG. */
int sp_bus_header_check(const struct sp_bus_header *header, uint64_t mapped_size, const char *path);

#endif
