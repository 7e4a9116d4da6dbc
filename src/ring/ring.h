/* ring.h: one partition's ring: how records are claimed, committed, read, and repaired when their producer died.
 *
 * Works on memory handed in: no system calls, no allocation. Callers map the files (shm/), decide who is alive (a callback),
 * and hold the *ring lock*, a kernel file lock, where a function says so. Files: tail.h the packed tail | record.h one record
 * | mark.c where walks begin | writer.c claim and commit | reader.c poll and seek | repair.c verdicts on the dead.
 *
 * THE RING. `capacity` bytes, a power of two, mapped twice in a row: a record is always contiguous, and no padding or wrap
 * logic exists. Positions are 64-bit byte counts that never wrap; an index is position & mask. Records lie back to back. A
 * record at (position, offset) is committed exactly when its first word equals sp_stamp(offset, salt), that is (offset - salt) * K.
 *
 * STAMPS. Whatever lies at a unit boundary must not be the stamp that is expected there some time. It is one of these: zero; a whole
 * stamp of an earlier lap, which names another offset; or payload, which is as good as never a stamp, since the salt has 64 random
 * bits. Or a mixture: a value that ends two bytes behind the boundary leaves six bytes of an old stamp, as do values of which only parts
 * are written (structures with holes), claims that are aborted, and producers that die half-way through a copy. Were stamps counted up
 * one by one, those six would be the new stamp's as well, and once in 2^16 such endings the two bytes would be the right ones (it has
 * been so; the every-instruction kill test met it). So K is 2^64 / golden ratio. Stamps of records that are d apart differ by d * K. The
 * high 8 - p bytes of two of them agree only where d * K is within 2^8p of a multiple of 2^64, and no number keeps away from that for as
 * long as the golden ratio: d is then 2^(64 - 8p) / sqrt 5 at least. The low u bytes agree where d is a multiple of 2^8u. So p bytes of
 * payload meet what is left of the right old stamp only at one distance in some 2^(64 - 8p), and even then must be the right ones, by a
 * salt that they do not know: once in 2^8p. Of records less than 2^22 apart (a ring of 64-byte records has 2^22 in 256 MiB) at least five
 * bytes differ, wherever the holes are, and six where what was written is in one piece (tests/unit/ring/stamp_test.c). So nothing has to
 * be cleared before it is written.
 *
 * EXCLUSIVE mode. One producer; it knows position and offset by heart. Claim: arithmetic. Commit: release-store of the stamp, and
 * nothing else: the tail word follows every 4 to 8 KiB, or every claim that is larger (writer.h). So everything below it is committed,
 * and up to a quarter of a ring behind it may be; whoever wants the exact end walks on over the stamps (sp_ring_tail), and so does the
 * successor of a dead producer, which left committed records or nothing. The records that are not settled never fill the ring, or
 * else the
 * walk would begin in what overwrote them (tests/spin/exclusive.pml, never-settled).
 *
 * CONCURRENT mode. The tail is claimed before the record is written, by one compare-and-swap that adds (units << 30) + records to
 * the packed tail (tail.h), and so takes space and assigns dense offsets at once. What is being claimed is written down before,
 * and not into the ring, where a consumer polls the line and would fetch it twice (which is what bounds Aeron), but into the
 * producer's own slot: INTENT(s) names the very tail that the swap is from. So a slot in INTENT(s) owns the bytes from s or
 * none, and whether it does can be told from outside. (The design's first sketch claims by fetch-add. There the INTENT is only
 * a lower bound, and once two producers have died between fetch-add and CLAIMED, nobody can tell whose bytes end where: the
 * model in tests/spin found it.)
 *
 *     IDLE --(1) producer--> INTENT(s) --(2) swap, (3)--> CLAIMED(s) --(4) fill, (5) stamps, (6)--> IDLE
 *     INTENT or CLAIMED, owner dead --(R) whoever repairs, under the ring lock--> IDLE, slot free
 *
 * The position in the slot never exceeds a byte that its owner may still write, in every phase. So min(tail, slots) is the
 * *frontier*: everything below is committed or aborted; and no byte at or above it is ever reused.
 *
 *     killed after step          others see                              repaired by
 *     0 anything before (1)      nothing                                 -
 *     1 INTENT stored, or (2)    a dead INTENT(s), and s claimed by it   readers: a verdict (repair.c). Ring: whoever needs the
 *                                or by another or by nobody              slot or the space: aborted record over it, slot free
 *     3 CLAIMED stored           a claim, owner dead                     the same
 *     4 part of the payload      the same                                the same
 *     5 j of k stamps            j whole records, the rest as in 3       aborted record over the rest
 *     6 IDLE stored              whole records, a dead slot              slot free
 *     R aborted word, no stamp   as before the repair                    the next repairer writes the same again
 *     R stamp, slot not free     an aborted record                       the next repairer finds it, frees the slot
 *
 * A lone producer owns the tail and does none of this: bias.h.
 *
 * A reader's verdict needs no write: a dead owner changes nothing any more, so every reader comes to the same extent and
 * offsets, before and after the repair is written. An owner that is alive but stopped is waited for; it is named, never
 * overtaken.
 *
 * SPACE. A writer may claim without looking up to its private `soft_limit`. When it gets there (once a chunk, capacity/16) it
 * computes limit = min(frontier, gates) + capacity anew, and announces in the shared word `reserved` how far it and others
 * may now write. Readers that do not gate take everything below reserved - capacity as lost. Since a claim succeeds only from
 * the tail that was checked, nobody can be overtaken between check and claim. A gate that seeks back names the older place first and
 * looks then whether it holds (E6); if not, it puts itself back. Meanwhile it may be more than a ring behind, and stops everybody: its
 * old place is kept. Only a damaged one stands there for long, and is evicted.
 *
 * ORDER. Every ordered access cites an edge:
 *
 * E0  handles: last use, fetch-sub (acq_rel)      -> free: the fetch-sub that saw 1 (acq_rel)
 *                                                     within one process: use before free
 * E1  commit: release-store of stamp               -> poll: acquire-load of stamp
 *                                                     payload before stamp
 * E2  release: release-store of read_position      -> extend: acquire-load of read_position
 *                                                     reads are done before overwrite
 * E3  claim: CAS of tail (acq_rel)                 -> verdict, extend, tail: acquire-load of tail
 *                                                     of a claim below the tail seen, the INTENT is visible
 * E4  slot: release-store of claim                 -> verdict, extend: acquire-load of claim
 *                                                     extent before INTENT and CLAIMED; stamps before IDLE
 * E5  announce: CAS of reserved, release fence     -> lapped: acquire fence, load of reserved
 *                                                     whoever read an overwriting byte sees the announcement
 * E6  gate: store of cursor or log.written,        -> extend: CAS of reserved, seq_cst fence, load of cursors
 *         seq_cst fence, load of reserved             and log.written. Dekker, one sees the other: a new gate at P holds if
 *                                                     reserved <= P + capacity afterwards
 * E7  sleep: store of asleep and notice,           -> commit: stamp, then load of notice
 *         membarrier, look again                      Dekker with the fence on the sleeper's side only: the membarrier
 *                                                     makes it a full fence in every producer
 * E8  sleep for room: as E7, with space_notice     -> release: read_position, then load of space_notice
 *                                                     the same with the roles exchanged
 * E9  mark: release-store of mark.offset           -> find: acquire-load of mark.offset
 *                                                     position before offset; the stamp there decides anyway
 * E10 format: release-store of magic               -> check: acquire-load of magic
 *                                                     a sealed file is whole
 * E11 owner: release-store of owner or state       -> acquire-load of owner or state
 *                                                     the slot's other fields before its owner
 * E12 evict: CAS of cursor state (acq_rel)         -> poll, check: acquire fence, load of state
 *                                                     whoever read an overwriting byte sees its eviction. The word has a
 *                                                     generation: it is the placing that stood still, or nobody
 * E13 base: CAS of a tail base (release)           -> tail: acquire-load of the bases
 *                                                     a base never runs ahead of the tail that is read after it
 *
 * E14 bias: store of claim (BIASED or INTENT),     -> revoke, hold: CAS of bias, membarrier, load of claims
 *         load of bias                                Dekker with the fence on the other side only, as E7: whoever is about to
 *                                                     write by what he knew of the bias is seen, or sees that it changed
 * E15 log gate: release-store of log.written       -> extend: acquire-load of log.written
 *                                                     copied into the log before overwrite, as E2
 * E16 watermark: release-store of a watermark,     -> wait: notice, membarrier or wake-up, acquire-load of the watermark
 *         seq_cst fence, load of wanted.notice        Dekker with full fences on both sides: the waiter announces itself and looks
 *                                                     again before it sleeps; the flush was over before the word says so
 *
 * A note on E3: extend takes it not from its first look at the tail but from the seq_cst fence before its second look at the slots.
 *
 * A stale INTENT. Between its look at the tail and its INTENT a producer may be stopped for any time, so that s lies laps behind
 * when it is stored. Its swap then fails. Until it is IDLE again, or repaired, it holds the frontier down: others wait.
 *
 * Payload bytes that are read while a producer may overwrite them (policy skip) are plain loads: a data race by the letter of
 * C, harmless because the copy is thrown away when E5 or E12 says so, and every size among them is range-checked before use. */
#ifndef SP_RING_RING_H
#define SP_RING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/cursors_layout.h"
#include "layout/record_layout.h"
#include "layout/ring_layout.h"
#include "ring/tail.h"
#include "spate/spate.h"

/* A ring as one process sees it. The values were checked at attach and are private copies: what others write into the header
 * later cannot lead us outside the mapping. */
struct sp_ring {
    struct sp_ring_header *header; /* consumers: mapped read-only */
    struct sp_producer_slot *producers;
    uint8_t *data; /* 2 * capacity bytes, the second half a mirror of the first */
    struct sp_cursors_header *cursors;
    uint64_t capacity, mask, salt;
    uint64_t record_size_max, chunk_size;
    uint32_t unit_shift, mode, timestamp, producers_max, consumers_max;
    uint32_t marks_count; /* chunks in the ring */
    bool is_durable;      /* the log gates (E15) */
};

/* sp_ring_init: take the values from headers that passed sp_ring_header_check and sp_cursors_header_check. */
void sp_ring_init(struct sp_ring *ring, struct sp_ring_header *header, uint8_t *data, struct sp_cursors_header *cursors);

/* sp_ring_format: write header and tables of a new ring into zeroed memory; the caller seals the files. */
struct sp_ring_config {
    uint64_t capacity, salt;
    uint32_t mode, unit_shift, timestamp, producers_max, consumers_max, page_size;
    bool is_durable;
    struct sp_place begin; /* of the first record: (0, 0), or where the log of an earlier ring of that partition ends */
};
void sp_ring_format(struct sp_ring_header *header, const struct sp_ring_config *config);

/* sp_ring_claimed: what the tail word says. Concurrent: everything below is claimed, nothing above. Exclusive: everything below is
 * committed, and some records above may be; so it is above the tail of a concurrent ring while somebody has the bias. Takes E3, E13. */
struct sp_place sp_ring_claimed(const struct sp_ring *ring);

/* sp_ring_tail: where the next record goes. Exclusive, or somebody has the bias: walks on from the tail word over the stamps.
 * Takes E1, E3, E13, E14. */
struct sp_place sp_ring_tail(const struct sp_ring *ring);

/* sp_ring_published: a boundary such that everything below it is committed or aborted, as far on as slots tell. */
struct sp_place sp_ring_published(const struct sp_ring *ring);

/* sp_ring_oldest_position: nothing below may be read any more (0 while the ring was not filled once). */
uint64_t sp_ring_oldest_position(const struct sp_ring *ring);

/* The stamp at a position equals that of `offset`. Takes E1. */
bool sp_ring_is_committed(const struct sp_ring *ring, struct sp_place place);

static inline const struct sp_record_header *sp_ring_record(const struct sp_ring *ring, uint64_t position)
{
    return (const struct sp_record_header *)(const void *)(ring->data + (position & ring->mask));
}

/* sp_ring_step: size and offsets of the committed record at `place`; false when its bytes make no sense. */
bool sp_ring_step(const struct sp_ring *ring, struct sp_place place, uint64_t *ret_size, uint32_t *ret_count);

/* What keeps a writer from more space. */
enum sp_blocker_kind { SP_BLOCKER_NONE, SP_BLOCKER_PRODUCER, SP_BLOCKER_CONSUMER, SP_BLOCKER_LOG };
struct sp_blocker {
    enum sp_blocker_kind kind;
    uint32_t slot;
    uint64_t position;
};

/* sp_ring_frontier: the lowest position, at most `tail`, that an unfinished claim or a gate still needs; ret_blocker names
 * it. Takes E2, E4. */
uint64_t sp_ring_frontier(const struct sp_ring *ring, struct sp_place tail, struct sp_blocker *ret_blocker);

/* Marks: record boundaries from which a walk may begin, one per chunk (mark.c). */
void sp_mark_write(struct sp_ring *ring, struct sp_place place);
/* The first mark of a ring that is being made. */
void sp_mark_format(struct sp_ring_header *header, uint64_t marks_count, struct sp_place place);
/* One mark; false when it may not be used. */
bool sp_mark_load(const struct sp_ring *ring, uint32_t index, uint64_t lowest, struct sp_place *ret);
/* The oldest boundary at or above `lowest` (by_offset false), or the newest with offset <= target; the tail when there is
 * none. */
struct sp_place sp_mark_oldest(const struct sp_ring *ring, uint64_t lowest);
struct sp_place sp_mark_before(const struct sp_ring *ring, uint64_t lowest, uint64_t offset);

/* sp_alive: whether a participant (owner word) lives. Exact: decided by the kernel's file locks, not by time. */
struct sp_liveness {
    bool (*alive)(void *context, uint64_t owner);
    void *context;
};

/* Verdict on a place where a reader or a repairer finds no committed record. */
enum sp_verdict {
    SP_VERDICT_END,     /* nothing is claimed there */
    SP_VERDICT_READY,   /* it is committed by now */
    SP_VERDICT_WAIT,    /* its owner lives (slot) */
    SP_VERDICT_DEAD,    /* its owner is dead: `size` bytes and `count` offsets will never be */
    SP_VERDICT_DAMAGED, /* nobody can own it: memory was damaged. size and count lead to the next place that makes sense */
};
struct sp_judgement {
    enum sp_verdict verdict;
    uint32_t slot; /* WAIT, DEAD: the producer slot concerned */
    uint64_t size, count;
    uint64_t owner_size; /* WAIT for a slot that is CLAIMED: what its claim still covers from here; 0 when that is not known */
    uint64_t owner_count;
};
/* sp_ring_judge: why is there no committed record at `place`? Asks `alive` (system calls): for slow paths. Takes E1, E3, E4. */
void sp_ring_judge(const struct sp_ring *ring, struct sp_place place, struct sp_liveness liveness, struct sp_judgement *ret);

/* sp_ring_next_boundary: the next place behind `place` that makes sense, at most the tail: where a reader goes on behind
 * damage. */
struct sp_place sp_ring_next_boundary(const struct sp_ring *ring, struct sp_place place);

/* sp_ring_repair: turn what dead producers left into aborted records and free their slots; drop dead consumers' cursors.
 * Caller holds the ring lock. Idempotent; may die anywhere. */
struct sp_repair_result {
    uint64_t producers, consumers, aborted; /* slots freed, cursors dropped, offsets aborted */
    uint32_t unresolved;                    /* dead slots that have to wait for a live claimant */
};
void sp_ring_repair(struct sp_ring *ring, struct sp_liveness liveness, struct sp_repair_result *ret);

/* sp_ring_write_aborted: cover size bytes and count offsets with aborted records. Only by their owner, or under the ring lock. */
void sp_ring_write_aborted(struct sp_ring *ring, struct sp_place place, uint64_t size, uint64_t count);

/* relaxed: one writer per counter, and readers only report it */
static inline void sp_count(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount, memory_order_relaxed);
}

#endif
