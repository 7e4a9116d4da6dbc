/* writer.h: one producer's side of one ring: claim, commit, abort.
 *
 * Owned and called by one thread of one process, which holds a producer slot (exclusive mode: slot 0). The hot fields come
 * first. At most one claim is open at a time. The steps are those of the table in ring.h; SP_HOOK points carry its names. */
#ifndef SP_RING_WRITER_H
#define SP_RING_WRITER_H

#include <string.h>

#include "base/arch.h"
#include "base/copy.h"
#include "base/hook.h"
#include "ring/ring.h"

/* What is written is settled, i.e. the tail word and the counters are brought up to date, every 8 records. Not before 4 KiB, which is often
 * enough for streams of small ones (their readers go by the tail word, and give up when it does not move for 2 us: bus/poll.c). After
 * 8 KiB at the latest, unless one claim is larger, for smaller records may follow, and the walk over what is not settled is bounded
 * (sp_ring_tail). */
#define SP_SETTLE_RECORDS 8u
#define SP_SETTLE_SIZE_MIN 4096u
#define SP_SETTLE_SIZE_MAX 8192u

/* AHEAD. A line that is written next lies in a consumer's cache, or far away. Stores wait for theirs in order, so that one which has to be
 * fetched keeps back all that follow. Therefore as many lines as a value has are asked for some way ahead of it; what has come by the time
 * it is written need not be waited for. Not further ahead, for they may be taken from a consumer that still has to read them, and not more
 * at once than a core's own cache keeps.
 * Measured, cores half a microsecond apart: 64 B one by one 0.37 -> 0.50 of the hand-written ring, in batches 0.35 -> 0.58, 1 KiB
 * 0.72 -> 1.04, 16 KiB 0.90 -> 1.00; a round trip is as before. At 1 or 4 KiB ahead a little less. */
#define SP_AHEAD 2048u
#define SP_AHEAD_MOST 16384u

struct sp_writer {
    /* Exclusive mode, or the bias: what is written next lies at base + offset * stride. So each record appended changes one word here,
     * and not two: a store waits in the same queue as those to the ring, which miss the cache, and the queue is what limits a producer. */
    uint64_t offset;
    uint64_t offset_end; /* records below it may be appended without another look */
    uint64_t base;
    /* The shape that sp_writer_append knows: records without key and headers that are like the latest one. */
    uint64_t stride; /* bytes from one to the next */
    uint64_t word;   /* second word of its header */
    uint64_t salt;
    const _Atomic uint32_t *notice;
    _Atomic uint64_t *guard; /* our slot's claim word while we have the bias (bias.h); else NULL */
    uint64_t inside;         /* what it says while we append */
    const _Atomic uint64_t *bias_word;
    uint64_t bias; /* what that says while it is ours */
    uint32_t value_size;
    bool has_timestamp;
    bool fence_on_commit; /* this process is not registered for membarrier: sleepers need a fence of ours (E7) */
    bool mark_due;        /* the next claim is the first in a new chunk */
    /* Slower paths */
    uint8_t *at_end; /* claims may end at or below it without another look; in the ring's data, or in its mirror */
    uint64_t origin; /* the position of data[0] in this lap: position = at - data + origin */
    struct sp_ring *ring;
    struct sp_producer_slot *slot;
    uint8_t *data;
    uint64_t mask;
    uint64_t soft_limit;  /* claims may end at or below it without another look at gates */
    struct sp_place tail; /* the boundary behind tail_word. Exclusive and biased: what is settled */
    uint64_t tail_word;
    uint64_t records_base; /* the base seen when tail was last made exact */
    struct sp_place claim; /* the open claim; count 0: none */
    uint64_t claim_size;
    uint32_t claim_count;
    uint64_t claimed_word;        /* the tail behind our latest claim */
    uint32_t alone, alone_enough; /* claims in a row with nobody else's between them; as many as make the bias worth asking for */
    struct sp_blocker blocker;    /* after -EAGAIN: who is in the way */
};

/* sp_writer_init: take over a slot (its owner word is already ours).
 * Exclusive: finds the end left by the previous producer, also one that died between stamp and tail. */
void sp_writer_init(struct sp_writer *writer, struct sp_ring *ring, uint32_t slot);

/* sp_writer_claim: reserve `size` bytes (a multiple of the record alignment) for `count` records.
 *   ret      position and offset of the first
 * Returns 0, -EAGAIN (see writer->blocker), -EMSGSIZE, -EINPROGRESS (another has the bias: sp_bias_revoke), -ESTALE
 * Order    E3, E4; takes E2 in the slow path */
int sp_writer_claim(struct sp_writer *writer, uint64_t size, uint32_t count, struct sp_place *ret);

/* sp_writer_commit: publish the open claim of one record. sp_writer_commit_batch: of claim_count records of the given sizes.
 * Return not 0 when somebody may be asleep or the ring wants attention.
 * Order    E1, E4, E7 */
uint32_t sp_writer_commit(struct sp_writer *writer);
uint32_t sp_writer_commit_batch(struct sp_writer *writer, const uint32_t *sizes);

/* sp_writer_abort: exclusive: forget the claim. concurrent: commit aborted records in its place. Returns the notice word. */
uint32_t sp_writer_abort(struct sp_writer *writer);

/* sp_writer_owns: whether sp_writer_append and its like may be used: exclusive mode, or the bias. */
static inline bool sp_writer_owns(const struct sp_writer *writer)
{
    return writer->guard || writer->ring->mode == SPATE_MODE_EXCLUSIVE;
}

/* sp_writer_own: everything up to `tail` is claimed, and we have the bias. sp_writer_disown: no more. */
void sp_writer_own(struct sp_writer *writer, struct sp_place tail);
void sp_writer_disown(struct sp_writer *writer);

/* sp_writer_enter, sp_writer_leave: around everything that is written by right of the bias; nothing in exclusive mode.
 * Returns false when it was taken away
 * Order    E14: the fence between the store and the load is the other side's membarrier. E4: leaving publishes what was appended */
static inline bool sp_writer_enter(struct sp_writer *writer)
{
    if (!writer->guard)
        return true;
    atomic_store_explicit(writer->guard, writer->inside, memory_order_release); /* E4 slot */
    atomic_signal_fence(memory_order_seq_cst);                                  /* E14 bias: the compiler keeps the order */
    SP_HOOK("bias:inside");
    if (SP_LIKELY(atomic_load_explicit(writer->bias_word, memory_order_acquire) == writer->bias)) /* E14 bias */
        return true;
    atomic_store_explicit(writer->guard, SP_PHASE_IDLE, memory_order_release); /* E4 slot */
    return false;
}

static inline void sp_writer_leave(struct sp_writer *writer)
{
    if (writer->guard)
        atomic_store_explicit(writer->guard, SP_PHASE_IDLE, memory_order_release); /* E4 slot */
}

/* sp_writer_settle: bring the tail word and the counters up to date. Readers need neither, for they go by the stamps; whoever takes over
 * walks on from the tail. Done by itself as said above. With the bias: inside. */
void sp_writer_settle(struct sp_writer *writer);

/* sp_writer_close: before the slot is given back: settles, gives up the bias. */
void sp_writer_close(struct sp_writer *writer);

/* sp_writer_at: for who owns: where the next record goes. */
static inline uint8_t *sp_writer_at(const struct sp_writer *writer)
{
    return (uint8_t *)(uintptr_t)(writer->base + writer->offset * writer->stride);
}

static inline struct sp_place sp_writer_here(const struct sp_writer *writer)
{
    return (struct sp_place){(uint64_t)(sp_writer_at(writer) - writer->data) + writer->origin, writer->offset};
}

/* sp_writer_reserve: for who owns: make sure that `size` bytes can be claimed, and `size` / stride records appended, without another
 * look. Returns 0, -EAGAIN, -ESTALE, -EINPROGRESS (the bias is gone) */
int sp_writer_reserve(struct sp_writer *writer, uint64_t size);

/* sp_writer_learn: from now on sp_writer_append takes values of this size, with a timestamp or without. */
void sp_writer_learn(struct sp_writer *writer, uint32_t value_size, bool has_timestamp);

/* sp_writer_fetch_ahead: ask for lines, as above, before a value of that size is written at `at`. There need be no memory there. */
static inline __attribute__((always_inline)) void sp_writer_fetch_ahead(const uint8_t *at, uint64_t value_size)
{
    for (uint64_t i = 0; i < value_size && i < SP_AHEAD_MOST; i += 64)
        sp_prefetch_write(at + SP_AHEAD + i);
}

/* sp_writer_lay: exclusive mode: begin a record of the shape learnt, of which timestamp and value are the caller's to write
 * (sp_writer_body). It is no record, and needs no undoing, before sp_writer_stamp.
 * Returns false when there is no room without a look (sp_writer_reserve)
 * Order    E1 */
static inline bool sp_writer_lay(struct sp_writer *writer)
{
    if (SP_UNLIKELY(writer->offset >= writer->offset_end))
        return false;
    struct sp_record_header *header = (struct sp_record_header *)(void *)sp_writer_at(writer);
    sp_writer_fetch_ahead((uint8_t *)header, writer->value_size);
    atomic_store_explicit(&header->word, writer->word, memory_order_relaxed); /* relaxed: before the stamp (E1) */
    return true;
}

/* sp_writer_stamp: that record is one now. */
static inline void sp_writer_stamp(struct sp_writer *writer)
{
    struct sp_record_header *header = (struct sp_record_header *)(void *)sp_writer_at(writer);
    SP_HOOK("commit:stamp");
    atomic_store_explicit(&header->stamp, sp_stamp(writer->offset, writer->salt), memory_order_release); /* E1 commit */
    SP_HOOK("commit:stamped");
    writer->offset++;
}

/* sp_writer_claim_biased: with the bias: claim a record of the shape learnt, and write its second word; the rest is the caller's
 * (sp_writer_body). As sp_writer_claim it is ended by sp_writer_commit or sp_writer_abort.
 * Returns false, with nothing claimed, where that takes more than a look at the bias
 * Order    E3, E4, E14 */
bool sp_writer_claim_biased(struct sp_writer *writer);

/* sp_writer_body: what follows the two words of a header: the timestamp, if there is one. Returns where the value goes. */
static inline __attribute__((always_inline)) uint8_t *sp_writer_body(uint8_t *record, const int64_t *timestamp)
{
    uint8_t *next = record + SP_RECORD_HEADER_SIZE;

    if (!timestamp)
        return next;
    memcpy(next, timestamp, sizeof *timestamp);
    return next + sizeof *timestamp;
}

/* sp_writer_put: write one record at `at` and make it one; there is room, and we are inside. The writer's offset is the caller's to count
 * on.
 *   word, stamp  of its header
 *   timestamp    NULL, a constant, where the shape has none
 * Order          E1 */
static inline __attribute__((always_inline)) void sp_writer_put(uint8_t *at, uint64_t word, uint64_t stamp,
                                                                const int64_t *timestamp, const void *value, size_t value_size,
                                                                void (*copy)(void *to, const void *from, size_t size))
{
    struct sp_record_header *header = (struct sp_record_header *)(void *)at;

    atomic_store_explicit(&header->word, word, memory_order_relaxed); /* relaxed: before the stamp (E1) */
    copy(sp_writer_body(at, timestamp), value, value_size);
    SP_HOOK("commit:stamp");
    atomic_store_explicit(&header->stamp, stamp, memory_order_release); /* E1 commit */
    SP_HOOK("commit:stamped");
}

/* What it does when there is room and nobody to ask. */
static inline __attribute__((always_inline)) void sp_writer_put_next(struct sp_writer *writer, const int64_t *timestamp,
                                                                     const void *value, size_t value_size,
                                                                     void (*copy)(void *to, const void *from, size_t size))
{
    uint8_t *at = sp_writer_at(writer);

    sp_writer_fetch_ahead(at, value_size);
    sp_writer_put(at, writer->word, sp_stamp(writer->offset, writer->salt), timestamp, value, value_size, copy);
    writer->offset++;
}

/* sp_writer_append: claim, copy and commit in one: a value of the size learnt, without key and headers, for who owns. This
 * is the whole of Spate's fast path; the notice word is the caller's to look at.
 *   timestamp  as for sp_writer_put
 *   copy       as sp_copy_words. A constant, so that it becomes part of the caller
 * Returns false, with nothing changed, when there is no room without a look, or the bias is gone: sp_writer_reserve tells
 * Order    E1, E14 */
static inline __attribute__((always_inline)) bool sp_writer_append(struct sp_writer *writer, const int64_t *timestamp,
                                                                   const void *value, size_t value_size,
                                                                   void (*copy)(void *to, const void *from, size_t size))
{
    if (SP_UNLIKELY(writer->offset >= writer->offset_end))
        return false;
    if (SP_LIKELY(!writer->guard)) { /* asked once, not at entering and at leaving */
        sp_writer_put_next(writer, timestamp, value, value_size, copy);
        return true;
    }
    if (!sp_writer_enter(writer))
        return false;
    sp_writer_put_next(writer, timestamp, value, value_size, copy);
    sp_writer_leave(writer);
    return true;
}

/* sp_writer_has_room: whether a claim of that size would succeed now (or fail for another reason than room); renews
 * writer->blocker. */
bool sp_writer_has_room(struct sp_writer *writer, uint64_t size);

#endif
