/* writer.c: claim, commit, abort. The protocol, its step table and the E-edges are in ring.h.
 *
 * Runs in the producer's thread, on the hot path; sp_writer_extend is the slow path, once a chunk. No system calls. */
#include "ring/writer.h"

#include <errno.h>

#include "base/align.h"
#include "layout/topic_layout.h"
#include "ring/bias.h"

/* Learn the tail exactly; needed when others claimed more than sp_tail_advance can tell apart. */
static void resync(struct sp_writer *writer)
{
    struct sp_ring *ring = writer->ring;
    /* relaxed: compared for change only */
    writer->records_base = atomic_load_explicit(&ring->header->records_base, memory_order_relaxed);
    writer->tail = sp_ring_claimed(ring);
    writer->tail_word = sp_tail_pack(writer->tail.position >> ring->unit_shift, writer->tail.offset);
}

static void stand(struct sp_writer *writer, const uint8_t *at, uint64_t offset)
{
    writer->offset = writer->offset_end = offset;
    writer->base = (uint64_t)(uintptr_t)at - offset * writer->stride;
}

/* Exclusive mode: the next record goes to `place`, and none without another look. */
static void stand_at(struct sp_writer *writer, struct sp_place place)
{
    stand(writer, writer->data + (place.position & writer->mask), place.offset);
    writer->at_end = sp_writer_at(writer);
    writer->origin = place.position & ~writer->mask;
}

/* Claims of a lone producer before it asks for the bias, twice as many once it was taken away. Not more: taking it, and having it taken,
 * costs as much as some 50 claims by compare-and-swap, so it pays even where another publishes one record in a few hundred. */
#define ALONE_ENOUGH 64u
#define ALONE_ENOUGH_MAX 128u

void sp_writer_init(struct sp_writer *writer, struct sp_ring *ring, uint32_t slot)
{
    *writer = (struct sp_writer){.ring = ring,
                                 .slot = &ring->producers[slot],
                                 .data = ring->data,
                                 .mask = ring->mask,
                                 .salt = ring->salt,
                                 .bias_word = &ring->header->bias,
                                 .alone_enough = ALONE_ENOUGH,
                                 .stride = 1,
                                 .notice = &ring->cursors->notice,
                                 .mark_due = true};
    if (ring->mode == SPATE_MODE_EXCLUSIVE) {
        /* The previous producer may have died between its latest records and the tail store: sp_ring_tail walks over them. */
        struct sp_place tail = sp_ring_tail(ring);
        /* E3 claim: in this mode everything below the tail is committed */
        atomic_store_explicit(&ring->header->tail, sp_tail_pack(tail.position >> ring->unit_shift, tail.offset),
                              memory_order_release);
        stand_at(writer, tail);
    }
    resync(writer);
}

void sp_writer_learn(struct sp_writer *writer, uint32_t value_size, bool has_timestamp)
{
    const uint8_t *at = sp_writer_at(writer);
    const uint64_t head_size = SP_RECORD_HEADER_SIZE + (has_timestamp ? sizeof(int64_t) : 0);

    writer->value_size = value_size;
    writer->has_timestamp = has_timestamp;
    writer->word = sp_record_word(value_size, 0, SP_RECORD_DATA | (has_timestamp ? (uint32_t)SP_RECORD_TIMESTAMP : 0));
    writer->stride = sp_align_up(head_size + value_size, (uint64_t)1 << writer->ring->unit_shift);
    stand(writer, at, writer->offset);
}

/* Raise a base word to at least `value`; it only grows. */
static void base_raise(_Atomic uint64_t *base, uint64_t value)
{
    uint64_t old = atomic_load_explicit(base, memory_order_relaxed); /* relaxed: only the CAS decides */
    while ((int64_t)(value - old) > 0 &&
           !atomic_compare_exchange_weak_explicit(base, &old, value, memory_order_release, memory_order_relaxed)) { /* E13 base */
        /* relaxed: on failure `old` is compared again, nothing is read through it */
    }
}

/* Make soft_limit allow a claim of `need` bytes at `tail`, or say who is in the way. Announces before it allows (E5); looks
 * at the gates before, to choose the target, and after, to see those that came meanwhile (E6). Takes E2 through
 * sp_ring_frontier. */
static int sp_writer_extend(struct sp_writer *writer, struct sp_place tail, uint64_t need)
{
    struct sp_ring *ring = writer->ring;
    struct sp_ring_header *header = ring->header;
    uint64_t want = tail.position + need;

    if (atomic_load_explicit(&header->state, memory_order_acquire) != SP_STATE_LIVE) /* E11 owner */
        return -ESTALE;
    base_raise(&header->records_base, tail.offset);
    base_raise(&header->units_base, tail.position >> ring->unit_shift);
    uint64_t limit = sp_ring_frontier(ring, tail, &writer->blocker) + ring->capacity;
    if (want > limit)
        return -EAGAIN;
    uint64_t target = sp_min(limit, sp_max(want, sp_align_up(tail.position + 1, ring->chunk_size)));
    SP_HOOK("extend:looked");
    uint64_t reserved = atomic_load_explicit(&header->reserved, memory_order_relaxed); /* relaxed: only the CAS decides */
    while (reserved < target) {
        /* E5 announce, E6 gate. On failure `reserved` is just compared again */
        if (atomic_compare_exchange_weak_explicit(&header->reserved, &reserved, target, memory_order_acq_rel, memory_order_acquire))
            reserved = target;
    }
    SP_HOOK("extend:announced");
    atomic_thread_fence(memory_order_seq_cst); /* E6 gate, and the release fence of E5 announce */
    limit = sp_ring_frontier(ring, tail, &writer->blocker) + ring->capacity;
    writer->soft_limit = sp_min(limit, reserved);
    writer->mark_due = true;
    return want > writer->soft_limit ? -EAGAIN : 0;
}

static void mark_if_due(struct sp_writer *writer, struct sp_place place)
{
    if (SP_UNLIKELY(writer->mark_due)) {
        writer->mark_due = false;
        sp_mark_write(writer->ring, place);
    }
}

void sp_writer_settle(struct sp_writer *writer)
{
    const struct sp_place here = sp_writer_here(writer);

    if (here.offset == writer->tail.offset)
        return;
    writer->tail_word = sp_tail_pack(here.position >> writer->ring->unit_shift, here.offset);
    SP_HOOK("settle:tail");
    /* E3 claim: everything below the tail is committed, or claimed with an INTENT */
    atomic_store_explicit(&writer->ring->header->tail, writer->tail_word, memory_order_release);
    sp_count(&writer->slot->counters[SP_PRODUCER_RECORDS], here.offset - writer->tail.offset);
    sp_count(&writer->slot->counters[SP_PRODUCER_BYTES], here.position - writer->tail.position);
    writer->tail = here;
    writer->inside = here.position | SP_PHASE_BIASED;
}

void sp_writer_own(struct sp_writer *writer, struct sp_place tail)
{
    writer->tail = tail;
    writer->tail_word = sp_tail_pack(tail.position >> writer->ring->unit_shift, tail.offset);
    stand_at(writer, tail);
    writer->inside = tail.position | SP_PHASE_BIASED;
    writer->guard = &writer->slot->claim;
}

void sp_writer_disown(struct sp_writer *writer)
{
    const struct sp_place here = sp_writer_here(writer);

    /* What was appended since the last settling: whoever took the bias brings the tail there, but counts nothing. The tail may also be
     * what others claimed (resync); then nothing of ours is uncounted. */
    if ((int64_t)(here.offset - writer->tail.offset) > 0) {
        sp_count(&writer->slot->counters[SP_PRODUCER_RECORDS], here.offset - writer->tail.offset);
        sp_count(&writer->slot->counters[SP_PRODUCER_BYTES], here.position - writer->tail.position);
    }
    writer->guard = NULL;
    writer->alone = 0;
    writer->offset_end = writer->offset;
    writer->alone_enough = (uint32_t)sp_min(2 * (uint64_t)writer->alone_enough, ALONE_ENOUGH_MAX);
    resync(writer);
}

void sp_writer_close(struct sp_writer *writer)
{
    if (writer->ring->mode == SPATE_MODE_EXCLUSIVE)
        sp_writer_settle(writer);
    else
        sp_bias_give_up(writer);
}

int sp_writer_reserve(struct sp_writer *writer, uint64_t size)
{
    if (SP_UNLIKELY(size > (uint64_t)(writer->at_end - sp_writer_at(writer)))) {
        if (!sp_writer_enter(writer))
            return -EINPROGRESS;
        sp_writer_settle(writer);
        sp_writer_leave(writer);
        stand_at(writer, writer->tail);
        if (writer->tail.position + size > writer->soft_limit) {
            int error = sp_writer_extend(writer, writer->tail, size);
            if (error)
                return error;
        }
        mark_if_due(writer, writer->tail);
        const uint64_t some = sp_min(sp_max(SP_SETTLE_RECORDS * writer->stride, SP_SETTLE_SIZE_MIN), SP_SETTLE_SIZE_MAX);
        writer->at_end += sp_min(writer->soft_limit - writer->tail.position, sp_max(size, some));
    }
    writer->offset_end = writer->offset + (uint64_t)(writer->at_end - sp_writer_at(writer)) / writer->stride;
    return 0;
}

static int claim_exclusive(struct sp_writer *writer, uint64_t size, uint32_t count, struct sp_place *ret)
{
    int error = sp_writer_reserve(writer, size);
    if (SP_UNLIKELY(error))
        return error;
    writer->claim = sp_writer_here(writer);
    writer->claim_size = size;
    writer->claim_count = count;
    *ret = writer->claim;
    return 0;
}

/* Where the tail is; the base is looked at after it: unchanged, it says that the tail was near the boundary we know. */
static struct sp_place look(struct sp_writer *writer, uint64_t *ret_word)
{
    struct sp_ring_header *header = writer->ring->header;

    sp_prefetch_write(&header->tail);
    *ret_word = atomic_load_explicit(&header->tail, memory_order_acquire); /* E13 base: before the load of the base */
    /* relaxed: compared for change only */
    if (SP_LIKELY(atomic_load_explicit(&header->records_base, memory_order_relaxed) == writer->records_base))
        return sp_tail_advance(writer->tail, writer->tail_word, *ret_word, writer->ring->unit_shift);
    resync(writer);
    *ret_word = writer->tail_word;
    return writer->tail;
}

/* Before a claim that is not appended; what was appended must lie below the tail. */
static void settle_or_lose(struct sp_writer *writer)
{
    if (sp_writer_enter(writer)) {
        sp_writer_settle(writer);
        sp_writer_leave(writer);
    } else {
        sp_bias_lost(writer);
    }
}

/* Steps 1 to 3 of the table in ring.h. The compare-and-swap is from the very word that the INTENT names; who was overtaken looks
 * again. (That word comes back only after 2^34 units, 128 GiB at least, to the byte and to the record; from the INTENT on nobody
 * gets further than a ring.) */
static int claim_concurrent(struct sp_writer *writer, uint64_t size, uint32_t count, struct sp_place *ret)
{
    struct sp_ring *ring = writer->ring;
    struct sp_producer_slot *slot = writer->slot;
    const uint64_t units = size >> ring->unit_shift;
    const uint64_t add = sp_tail_pack(units, count);
    struct sp_place place;
    uint64_t word;

    if (writer->guard)
        settle_or_lose(writer);
    /* E4 slot: release, so that whoever sees this extent beside our previous claim will see, when it looks again, that the claim
     * is over */
    atomic_store_explicit(&slot->extent, units << 32 | count, memory_order_release);
    for (;;) {
        place = look(writer, &word);
        if (SP_UNLIKELY(place.position + size > writer->soft_limit)) {
            int error = sp_writer_extend(writer, place, size);
            if (error)
                return error;
        }
        SP_HOOK("claim:looked");
        atomic_store_explicit(&slot->offset, place.offset, memory_order_release);                    /* E4 slot: as extent */
        atomic_store_explicit(&slot->claim, place.position | SP_PHASE_INTENT, memory_order_release); /* E4 slot */
        SP_HOOK("claim:intent");
        if (SP_UNLIKELY(writer->fence_on_commit))
            atomic_thread_fence(memory_order_seq_cst); /* E14 bias: others' membarriers do not reach this process */
        atomic_signal_fence(memory_order_seq_cst);     /* E14 bias: the compiler keeps the order */
        const uint64_t bias = atomic_load_explicit(writer->bias_word, memory_order_acquire); /* E14 bias */
        if (writer->guard && bias == writer->bias) {
            atomic_store_explicit(&ring->header->tail, word + add, memory_order_release); /* E3 claim: nobody else may claim */
            break;
        }
        if (SP_UNLIKELY((bias & (SP_BIAS_SLOT_MASK | SP_BIAS_STATE_MASK)) != 0)) {
            atomic_store_explicit(&slot->claim, SP_PHASE_IDLE, memory_order_release); /* E4 slot */
            /* E11 owner */
            return atomic_load_explicit(&ring->header->state, memory_order_acquire) == SP_STATE_LIVE ? -EINPROGRESS : -ESTALE;
        }
        /* E3 claim; relaxed: on failure it looks again */
        if (SP_LIKELY(atomic_compare_exchange_strong_explicit(&ring->header->tail, &word, word + add, memory_order_acq_rel,
                                                              memory_order_relaxed)))
            break;
        atomic_store_explicit(&slot->claim, SP_PHASE_IDLE, memory_order_release); /* E4 slot */
    }
    writer->alone = word == writer->claimed_word ? writer->alone + 1 : 0;
    writer->claimed_word = word + add;
    SP_HOOK("claim:added");
    atomic_store_explicit(&slot->claim, place.position | SP_PHASE_CLAIMED, memory_order_release); /* E4 slot */
    SP_HOOK("claim:claimed");
    writer->tail = place;
    writer->tail_word = word;
    writer->claim = place;
    writer->claim_size = size;
    writer->claim_count = count;
    mark_if_due(writer, place);
    *ret = place;
    return 0;
}

/* What claim_concurrent does where nobody else can have claimed, there is room, and nothing is unsettled. The open claim must not keep
 * others out until its commit, so it is one like any other's, below the tail, and not written inside the bias. */
bool sp_writer_claim_biased(struct sp_writer *writer)
{
    struct sp_producer_slot *slot = writer->slot;
    const struct sp_place place = writer->tail;
    const uint64_t units = writer->stride >> writer->ring->unit_shift;

    if (writer->offset >= writer->offset_end || writer->offset != place.offset)
        return false;
    atomic_store_explicit(&slot->extent, units << 32 | 1, memory_order_release); /* E4 slot: as in claim_concurrent */
    atomic_store_explicit(&slot->offset, place.offset, memory_order_release);    /* E4 slot */
    atomic_store_explicit(&slot->claim, place.position | SP_PHASE_INTENT, memory_order_release); /* E4 slot */
    SP_HOOK("claim:intent");
    atomic_signal_fence(memory_order_seq_cst); /* E14 bias: the compiler keeps the order */
    if (SP_UNLIKELY(atomic_load_explicit(writer->bias_word, memory_order_acquire) != writer->bias)) { /* E14 bias */
        atomic_store_explicit(&slot->claim, SP_PHASE_IDLE, memory_order_release);                     /* E4 slot */
        return false;
    }
    /* E3 claim: nobody else may claim */
    atomic_store_explicit(&writer->ring->header->tail, writer->tail_word + sp_tail_pack(units, 1), memory_order_release);
    SP_HOOK("claim:added");
    atomic_store_explicit(&slot->claim, place.position | SP_PHASE_CLAIMED, memory_order_release); /* E4 slot */
    SP_HOOK("claim:claimed");
    writer->claim = place;
    writer->claim_size = writer->stride;
    writer->claim_count = 1;
    struct sp_record_header *header = (struct sp_record_header *)(void *)sp_writer_at(writer);
    sp_writer_fetch_ahead((uint8_t *)header, writer->value_size);
    atomic_store_explicit(&header->word, writer->word, memory_order_relaxed); /* relaxed: before the stamp (E1) */
    return true;
}

int sp_writer_claim(struct sp_writer *writer, uint64_t size, uint32_t count, struct sp_place *ret)
{
    if (SP_UNLIKELY(size > writer->ring->record_size_max))
        return -EMSGSIZE;
    if (writer->ring->mode == SPATE_MODE_EXCLUSIVE)
        return claim_exclusive(writer, size, count, ret);
    return claim_concurrent(writer, size, count, ret);
}

bool sp_writer_has_room(struct sp_writer *writer, uint64_t size)
{
    struct sp_place tail = sp_ring_tail(writer->ring);
    uint64_t limit = sp_ring_frontier(writer->ring, tail, &writer->blocker) + writer->ring->capacity;

    if (atomic_load_explicit(&writer->ring->header->state, memory_order_acquire) != SP_STATE_LIVE) /* E11 owner */
        return true;
    const int64_t owner = sp_bias_owner(writer->ring);
    /* fence_on_commit: then this process cannot take it away, and waits until it is given up */
    if (owner >= 0 && !writer->guard && (writer->fence_on_commit || sp_bias_is_inside(writer->ring, (uint64_t)owner + 1))) {
        writer->blocker = (struct sp_blocker){SP_BLOCKER_PRODUCER, (uint32_t)owner, tail.position};
        return false;
    }
    return tail.position + size <= limit;
}

/* Step 5: the stamp makes the record. */
static inline void stamp(struct sp_writer *writer, uint64_t position, uint64_t offset)
{
    struct sp_record_header *header = (struct sp_record_header *)(void *)(writer->data + (position & writer->mask));
    SP_HOOK("commit:stamp");
    atomic_store_explicit(&header->stamp, sp_stamp(offset, writer->salt), memory_order_release); /* E1 commit */
}

/* Behind a claim that was ours alone: the next one lies there. */
static void step_over(struct sp_writer *writer)
{
    const struct sp_place end = {writer->claim.position + writer->claim_size, writer->claim.offset + writer->claim_count};

    if (writer->claim_count != 1 || writer->claim_size != writer->stride || writer->offset >= writer->offset_end) {
        if (writer->guard)
            sp_writer_own(writer, end);
        else
            stand(writer, sp_writer_at(writer) + writer->claim_size, end.offset);
        return;
    }
    writer->offset++; /* and what is reserved stays so */
    if (writer->guard) {
        writer->tail = end;
        writer->tail_word = sp_tail_pack(end.position >> writer->ring->unit_shift, end.offset);
        writer->inside = end.position | SP_PHASE_BIASED;
    }
}

/* Step 6, and the look at the sleepers. */
static uint32_t finish(struct sp_writer *writer)
{
    SP_HOOK("commit:stamped");
    if (writer->ring->mode == SPATE_MODE_EXCLUSIVE) {
        step_over(writer);
    } else {
        atomic_store_explicit(&writer->slot->claim, SP_PHASE_IDLE, memory_order_release); /* E4 slot: after the stamps */
        sp_count(&writer->slot->counters[SP_PRODUCER_RECORDS], writer->claim_count);
        sp_count(&writer->slot->counters[SP_PRODUCER_BYTES], writer->claim_size);
        if (writer->guard) /* appending goes on behind it, unless the bias was taken away meanwhile, which the next one finds */
            step_over(writer);
    }
    SP_HOOK("commit:idle");
    writer->claim_count = 0;
    if (SP_UNLIKELY(writer->fence_on_commit))
        atomic_thread_fence(memory_order_seq_cst); /* E7 sleep: without membarrier this side needs the fence too */
    /* relaxed: E7, the sleeper's membarrier orders this load behind the stamp */
    return atomic_load_explicit(writer->notice, memory_order_relaxed) & SP_NOTICE;
}

uint32_t sp_writer_commit(struct sp_writer *writer)
{
    stamp(writer, writer->claim.position, writer->claim.offset);
    return finish(writer);
}

uint32_t sp_writer_commit_batch(struct sp_writer *writer, const uint32_t *sizes)
{
    struct sp_place place = writer->claim;
    for (uint32_t i = 0; i < writer->claim_count; i++) {
        stamp(writer, place.position, place.offset);
        place.position += sizes[i];
        place.offset++;
    }
    return finish(writer);
}

uint32_t sp_writer_abort(struct sp_writer *writer)
{
    struct sp_ring *ring = writer->ring;
    uint32_t count = writer->claim_count;

    if (ring->mode == SPATE_MODE_EXCLUSIVE) {
        writer->claim_count = 0;
        /* what was reserved for it would let others go unsettled for too long */
        writer->at_end = sp_writer_at(writer);
        writer->offset_end = writer->offset;
        return 0;
    }
    sp_ring_write_aborted(ring, writer->claim, writer->claim_size, count);
    writer->claim_count = 0;
    sp_count(&writer->slot->counters[SP_PRODUCER_ABORTED], count);
    atomic_store_explicit(&writer->slot->claim, SP_PHASE_IDLE, memory_order_release); /* E4 slot */
    if (writer->guard)
        sp_writer_own(writer, (struct sp_place){writer->claim.position + writer->claim_size, writer->claim.offset + count});
    if (writer->fence_on_commit)
        atomic_thread_fence(memory_order_seq_cst);                                         /* E7 sleep */
    return atomic_load_explicit(&ring->cursors->notice, memory_order_relaxed) & SP_NOTICE; /* relaxed: as in finish */
}
