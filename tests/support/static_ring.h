/* static_ring.h: a whole ring without files or processes, for tests: header, producer slots, doubled data, cursors, and a fake
 * kernel that says who is alive.
 *
 * Used by tests in unit/, race/ and fuzz/. Header and cursors are heap blocks of exactly the right size, so that
 * AddressSanitizer sees a step beyond them; the data is a memfd mapped twice in a row, between two guard pages. Whatever goes
 * wrong in the set-up ends the process: a test never goes on with half a ring. Values carry their offset (static_ring_fill), so
 * that whoever reads one can tell whether it is whole. */
#ifndef SP_TESTS_SUPPORT_STATIC_RING_H
#define SP_TESTS_SUPPORT_STATIC_RING_H

#include "ring/reader.h"
#include "ring/record.h"
#include "ring/ring.h"
#include "ring/writer.h"

#define STATIC_RING_OWNERS 128u

struct static_ring_config {
    uint64_t capacity, salt;
    uint32_t mode, unit_shift, timestamp, producers_max, consumers_max;
    struct sp_place start; /* where the first record goes; not {0, 0}: as if the topic had lived for long */
    bool is_durable;       /* the log gates */
    struct sp_place begin; /* as for sp_ring_format: where the log of an earlier ring ends; then without `start` */
};

/* 64 KiB, concurrent, 16-byte units, no timestamps, 4 producers, 4 consumers, from {0, 0}. */
extern const struct static_ring_config static_ring_defaults;

struct static_ring {
    struct sp_ring ring;
    struct sp_ring_header *header;
    struct sp_cursors_header *cursors;
    uint8_t *data;
    size_t header_size, cursors_size;
    uint8_t *reserved_space; /* of the data mapping, guard pages included */
    size_t reserved_size;
    _Atomic uint64_t alive[STATIC_RING_OWNERS]; /* owner words of the living; 0: none */
    uint64_t next_generation;
    _Atomic uint64_t alive_calls; /* how often somebody asked */
};

void static_ring_open(struct static_ring *s, const struct static_ring_config *config);
void static_ring_close(struct static_ring *s);

/* The fake kernel. An owner word is alive from join to kill. */
uint64_t static_ring_join(struct static_ring *s);
void static_ring_kill(struct static_ring *s, uint64_t owner);
struct sp_liveness static_ring_liveness(struct static_ring *s);

/* static_ring_attach_writer: take the first free producer slot (exclusive: slot 0) with a new owner. Returns the slot.
 * static_ring_detach_writer gives it back; static_ring_kill_writer lets the owner die as it is. */
uint32_t static_ring_attach_writer(struct static_ring *s, struct sp_writer *writer);
void static_ring_detach_writer(struct static_ring *s, struct sp_writer *writer);
void static_ring_kill_writer(struct static_ring *s, const struct sp_writer *writer);

/* static_ring_attach_reader: take the first free cursor with a new owner and place it. Returns what sp_reader_place returned. */
int static_ring_attach_reader(struct static_ring *s, struct sp_reader *reader, enum spate_policy policy, struct sp_place place);
void static_ring_detach_reader(struct static_ring *s, struct sp_reader *reader);
void static_ring_kill_reader(struct static_ring *s, const struct sp_reader *reader);

/* Bytes in the ring of a record with a value of that size and nothing else. */
uint64_t static_ring_record_size(const struct sp_ring *ring, uint32_t value_size);

/* static_ring_claim: plan, claim and encode one record with a filled value. static_ring_publish: and commit it.
 * Return what sp_writer_claim returned; ret_place may be NULL. */
int static_ring_claim(struct sp_writer *writer, uint32_t value_size, struct sp_place *ret_place);
int static_ring_publish(struct sp_writer *writer, uint32_t value_size, struct sp_place *ret_place);

/* The same for a batch of `count` records with values of one size; ret_sizes[count] is for sp_writer_commit_batch. */
int static_ring_claim_batch(struct sp_writer *writer, uint32_t value_size, uint32_t count, uint32_t *ret_sizes,
                            struct sp_place *ret_place);

/* Values whose bytes follow from the offset. */
void static_ring_fill(uint8_t *value, uint32_t size, uint64_t offset);
bool static_ring_is_whole(const uint8_t *value, uint32_t size, uint64_t offset);

/* static_ring_fill_racy: the same, unseen by ThreadSanitizer. For rings with skip readers, which read records while they may be
 * overwritten, look at the stamp there and throw away what they read (ring.h, last paragraph): a race by the letter of C that
 * the tests must allow. */
void static_ring_fill_racy(uint8_t *value, uint32_t size, uint64_t offset);

/* static_ring_story: read on from reader->next as a consumer does (poll, else ask for the verdict and step over the dead), and
 * tell it as text, one letter an offset: 'r' read whole, 'T' torn, '-' a hole. Then why it stopped: '.' end, 'w' waits for a
 * live owner, '!' damaged, 'o' lapped or evicted, 'b' a record that makes no sense, '~' text is full. Releases what it read.
 * `text` has `size` bytes. */
void static_ring_story(struct static_ring *s, struct sp_reader *reader, char *text, size_t size);

/* A small seeded generator (splitmix64), so that a printed seed reproduces a run. */
static inline uint64_t static_ring_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The seed of a run: $SPATE_SEED, else the one given. Printed by whoever fails. */
uint64_t static_ring_seed(uint64_t fallback);

#if defined(SP_HOOKS) && SP_HOOKS
/* static_ring_die_claiming: claim, and die at the hook `point`: the owner is dead afterwards, the slot stays as it was.
 *   point     "claim:intent", "claim:added", "claim:claimed"; the first time it is passed
 *   before    NULL, or called at the point, before death: to let others do something meanwhile
 * Returns true; false when the claim ended before the point was reached */
bool static_ring_die_claiming(struct static_ring *s, struct sp_writer *writer, uint32_t value_size, uint32_t count,
                              const char *point, void (*before)(void *context), void *context);
#endif

#endif
