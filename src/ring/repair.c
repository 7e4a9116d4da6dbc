/* repair.c: what a place without a committed record means, and the clearing up after dead producers and consumers.
 *
 * The verdict is for readers (who cannot write) and repairers alike, and exact: it never guesses from time. Why it is right, for
 * a boundary p that the tail has passed and that is not committed:
 *   - p was claimed, by a compare-and-swap from p. The claimant had stored INTENT(p) before, so that or a later state of its slot
 *     is visible (E3, E4). A later state than CLAIMED(p) means that p is committed, which the second look at the stamp finds.
 *   - So the owner is among the slots that are INTENT(p), or CLAIMED over p. If one is CLAIMED over p, it is the owner. If any
 *     INTENT(p) is alive, it may be: wait. If all are dead, one of them is.
 *   - One dead INTENT(p): it is the owner, its extent is in the slot. Several: the claim reaches to the next boundary. Every claim
 *     behind it is committed, or in a slot at its exact place, so the nearest stamp or slot behind p, or else the tail, is it.
 *   - A dead owner's words no longer change, so they are read after its death was established, and only a repairer replaces
 *     them, by an aborted record that covers the same bytes and offsets.
 * tests/spin checks this with a death before every store.
 *
 * Called from slow paths of readers, writers that are short of space, attachers and gc. `alive` makes system calls. */
#include "ring/ring.h"

#include "base/align.h"
#include "ring/bias.h"
#include "ring/record.h"

#define TRIES 16 /* for a slot that changes while it is read: so many claims in a row are somebody very much alive */

/* How a producer slot relates to an uncommitted place. */
enum relation { UNRELATED, LIVE_INTENT, LIVE_CLAIMED, DEAD_INTENT, DEAD_CLAIMED };

struct slot_view {
    struct sp_place place;
    uint64_t size, count;
};

static struct slot_view view_slot(const struct sp_ring *ring, const struct sp_producer_slot *slot, uint64_t claim)
{
    uint64_t extent = atomic_load_explicit(&slot->extent, memory_order_acquire); /* E4 slot */
    return (struct slot_view){
        .place = {claim & ~(uint64_t)SP_PHASE_MASK, atomic_load_explicit(&slot->offset, memory_order_acquire)}, /* E4 slot */
        .size = (extent >> 32) << ring->unit_shift,
        .count = extent & 0xffffffffu,
    };
}

/* Whether a claim word can concern a place at all. */
static bool concerns(uint64_t claim, uint64_t position)
{
    switch (claim & SP_PHASE_MASK) {
    case SP_PHASE_INTENT: return (claim & ~(uint64_t)SP_PHASE_MASK) == position;
    case SP_PHASE_CLAIMED: return (claim & ~(uint64_t)SP_PHASE_MASK) <= position;
    default: return false;
    }
}

/* Extent and offset are believed only when the claim word is unchanged behind them: an owner that goes on stores those of its
 * next claim. */
static enum relation relate(const struct sp_ring *ring, uint32_t index, uint64_t position, struct sp_liveness liveness,
                            struct slot_view *ret)
{
    const struct sp_producer_slot *slot = &ring->producers[index];

    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
        bool claimed = (claim & SP_PHASE_MASK) == SP_PHASE_CLAIMED;
        if (!concerns(claim, position))
            return UNRELATED;
        *ret = view_slot(ring, slot, claim);
        uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire); /* E11 owner */
        bool lives = owner != 0 && liveness.alive(liveness.context, owner);
        if (!lives)
            *ret = view_slot(ring, slot, claim); /* it may have gone on between the first look and its death */
        if (atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
            continue;
        if (claimed && position - ret->place.position >= ret->size)
            return UNRELATED;
        return claimed ? (lives ? LIVE_CLAIMED : DEAD_CLAIMED) : (lives ? LIVE_INTENT : DEAD_INTENT);
    }
    return LIVE_INTENT; /* somebody is changing it: whoever that is, it lives */
}

/* The place that a slot names, if it lies between two others; a slot that changes meanwhile is read again. */
static void nearer_slot(const struct sp_ring *ring, const struct sp_producer_slot *slot, struct sp_place place,
                        struct sp_place *end)
{
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
        struct slot_view view = view_slot(ring, slot, claim);
        if (atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
            continue;
        if ((claim & SP_PHASE_MASK) != SP_PHASE_IDLE && (claim & SP_PHASE_MASK) != SP_PHASE_BIASED && /* names no claim */
            view.place.position > place.position && view.place.position < end->position && view.place.offset >= place.offset &&
            view.place.offset <= end->offset)
            *end = view.place;
        return;
    }
}

/* The next boundary behind `place`, at most `tail`. first: how far on at least. */
static struct sp_place next_boundary(const struct sp_ring *ring, struct sp_place place, struct sp_place tail, uint64_t first)
{
    struct sp_place end = (int64_t)(tail.position - place.position) > 0 ? tail : place;
    const uint64_t unit = (uint64_t)1 << ring->unit_shift;

    for (uint32_t i = 0; i < ring->producers_max; i++)
        nearer_slot(ring, &ring->producers[i], place, &end);
    uint64_t limit = sp_min(end.position - place.position, ring->capacity);
    for (uint64_t step = sp_max(sp_align_up(first, unit), unit); step < limit; step += unit) {
        const struct sp_record_header *header = sp_ring_record(ring, place.position + step);
        /* E1 commit */
        uint64_t offset = sp_stamp_offset(atomic_load_explicit(&header->stamp, memory_order_acquire), ring->salt);
        if (offset - place.offset <= step / SP_RECORD_HEADER_SIZE && offset < end.offset)
            return (struct sp_place){place.position + step, offset};
    }
    return end;
}

static void found(struct sp_judgement *ret, enum sp_verdict verdict, struct sp_place from, struct sp_place to)
{
    ret->verdict = verdict;
    ret->size = to.position - from.position;
    ret->count = to.offset - from.offset;
}

struct sp_place sp_ring_next_boundary(const struct sp_ring *ring, struct sp_place place)
{
    return next_boundary(ring, place, sp_ring_tail(ring), 0);
}

/* What an honest dead claim can be. */
static bool is_plausible(const struct sp_ring *ring, uint64_t size, uint64_t count)
{
    return count >= 1 && count <= SP_ABORTED_COUNT_MAX && size <= ring->record_size_max && count <= size / SP_RECORD_HEADER_SIZE &&
           (size & (((uint64_t)1 << ring->unit_shift) - 1)) == 0;
}

/* What the slots say about a place. */
struct claimants {
    struct slot_view claimed, intent; /* DEAD_CLAIMED; the last DEAD_INTENT */
    uint64_t intent_size_min;
    uint32_t dead_intents, live_intents;
    bool is_claimed;
};

/* Returns true when a live slot is CLAIMED over the place: then there is nothing to judge. */
static bool look_at_slots(const struct sp_ring *ring, struct sp_place place, struct sp_liveness liveness,
                          struct claimants *claimants, struct sp_judgement *ret)
{
    for (uint32_t i = 0; i < ring->producers_max; i++) {
        struct slot_view view;
        switch (relate(ring, i, place.position, liveness, &view)) {
        case UNRELATED: continue;
        case LIVE_CLAIMED:
            ret->slot = i;
            ret->owner_size = view.place.position + view.size - place.position;
            ret->owner_count = view.place.offset + view.count - place.offset;
            return true;
        case LIVE_INTENT:
            if (!claimants->live_intents++ && !claimants->is_claimed)
                ret->slot = i;
            break;
        case DEAD_CLAIMED:
            claimants->is_claimed = true;
            claimants->claimed = view;
            ret->slot = i;
            break;
        case DEAD_INTENT:
            claimants->intent_size_min = sp_min(claimants->intent_size_min, view.size);
            claimants->intent = view;
            if (!claimants->dead_intents++ && !claimants->is_claimed && !claimants->live_intents)
                ret->slot = i;
            break;
        }
    }
    return false;
}

void sp_ring_judge(const struct sp_ring *ring, struct sp_place place, struct sp_liveness liveness, struct sp_judgement *ret)
{
    struct sp_place tail = sp_ring_claimed(ring);
    struct claimants claimants = {.intent_size_min = UINT64_MAX};
    bool is_held = false;

    *ret = (struct sp_judgement){.verdict = SP_VERDICT_END};
    if ((int64_t)(tail.position - place.position) > 0 && ring->mode == SPATE_MODE_CONCURRENT)
        is_held = look_at_slots(ring, place, liveness, &claimants, ret);
    if (sp_ring_is_committed(ring, place)) {
        ret->verdict = SP_VERDICT_READY;
        return;
    }
    if (is_held) {
        ret->verdict = SP_VERDICT_WAIT;
        return;
    }
    /* Nothing is there; or the stamp is gone because the place lies a lap behind by now. E5 announce: who saw a byte that overwrote it
     * sees that announced; and nobody announces so much over a claim that is not committed. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t reserved = atomic_load_explicit(&ring->header->reserved, memory_order_relaxed); /* relaxed: behind the fence */
    if ((int64_t)(tail.position - place.position) <= 0 || (int64_t)(reserved - place.position) > (int64_t)ring->capacity)
        return;
    if (claimants.is_claimed)
        found(ret, SP_VERDICT_DEAD, place,
              (struct sp_place){claimants.claimed.place.position + claimants.claimed.size,
                                claimants.claimed.place.offset + claimants.claimed.count});
    else if (claimants.live_intents)
        ret->verdict = SP_VERDICT_WAIT;
    else if (claimants.dead_intents == 1)
        found(ret, SP_VERDICT_DEAD, place,
              (struct sp_place){place.position + claimants.intent.size, place.offset + claimants.intent.count});
    else
        found(ret, claimants.dead_intents ? SP_VERDICT_DEAD : SP_VERDICT_DAMAGED, place,
              next_boundary(ring, place, tail, claimants.dead_intents ? claimants.intent_size_min : 0));
    if (ret->verdict == SP_VERDICT_DEAD && !is_plausible(ring, ret->size, ret->count))
        found(ret, SP_VERDICT_DAMAGED, place, next_boundary(ring, place, tail, 0));
}

void sp_ring_write_aborted(struct sp_ring *ring, struct sp_place place, uint64_t size, uint64_t count)
{
    struct sp_record_header *header = (struct sp_record_header *)(void *)(ring->data + (place.position & ring->mask));

    /* relaxed: published by the stamp below */
    atomic_store_explicit(&header->word, sp_record_word((uint32_t)(size >> ring->unit_shift), (uint32_t)count, SP_RECORD_ABORTED),
                          memory_order_relaxed);
    atomic_store_explicit(&header->stamp, sp_stamp(place.offset, ring->salt), memory_order_release); /* E1 commit */
}

/* The place of a dead INTENT: its claim if nobody else's. Returns false when only a live INTENT of the same place can tell. */
static bool repair_intent(struct sp_ring *ring, struct sp_place place, struct sp_liveness liveness, uint64_t *aborted)
{
    struct sp_judgement judgement;

    sp_ring_judge(ring, place, liveness, &judgement);
    if (judgement.verdict == SP_VERDICT_WAIT)
        return judgement.owner_size != 0; /* it is claimed by another, who lives: then not by this one */
    if (judgement.verdict == SP_VERDICT_DEAD) {
        sp_ring_write_aborted(ring, place, judgement.size, judgement.count);
        *aborted += judgement.count;
    }
    return true;
}

/* The rest of a dead claim, behind the records that it committed. */
static void repair_claimed(struct sp_ring *ring, const struct slot_view *view, uint64_t *aborted)
{
    const struct sp_place end = {view->place.position + view->size, view->place.offset + view->count};
    struct sp_place place = view->place;
    uint64_t size;
    uint32_t count;

    if (!is_plausible(ring, view->size, view->count))
        return; /* damage: readers report it */
    while (place.position < end.position && sp_ring_is_committed(ring, place) && sp_ring_step(ring, place, &size, &count)) {
        place.position += size;
        place.offset += count;
    }
    if (place.position < end.position && place.offset < end.offset) {
        sp_ring_write_aborted(ring, place, end.position - place.position, end.offset - place.offset);
        *aborted += end.offset - place.offset;
    }
}

/* A bias whose owner is dead, or is nobody. */
static void repair_bias(struct sp_ring *ring, struct sp_liveness liveness)
{
    const int64_t slot = sp_bias_owner(ring);

    if (slot < 0)
        return;
    uint64_t owner =
        slot < ring->producers_max ? atomic_load_explicit(&ring->producers[slot].owner, memory_order_acquire) : 0; /* E11 owner */
    if (owner != 0 && liveness.alive(liveness.context, owner))
        return;
    uint64_t bias = sp_bias_revoke(ring);
    if (bias && (int64_t)(bias & SP_BIAS_SLOT_MASK) - 1 == slot)
        (void)sp_bias_end(ring, bias, true);
}

static void repair_producer(struct sp_ring *ring, uint32_t index, struct sp_liveness liveness, struct sp_repair_result *ret)
{
    struct sp_producer_slot *slot = &ring->producers[index];
    uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
    struct slot_view view = view_slot(ring, slot, claim);
    uint64_t aborted = 0;

    /* A claim that is not in the ring any more, or not yet, is damage, or an INTENT that was stale when it was stored. */
    bool is_current = ring->mode == SPATE_MODE_CONCURRENT && sp_ring_claimed(ring).position - view.place.position <= ring->capacity;
    if (is_current && (claim & SP_PHASE_MASK) == SP_PHASE_INTENT && !repair_intent(ring, view.place, liveness, &aborted)) {
        ret->unresolved++;
        return;
    }
    if (is_current && (claim & SP_PHASE_MASK) == SP_PHASE_CLAIMED)
        repair_claimed(ring, &view, &aborted);
    sp_count(&ring->header->counters[SP_RING_ABORTED], aborted);
    sp_count(&ring->header->counters[SP_RING_PRODUCERS_DEAD], 1);
    atomic_store_explicit(&slot->claim, SP_PHASE_IDLE, memory_order_release); /* E4 slot: after the aborted records */
    atomic_store_explicit(&slot->owner, 0, memory_order_release);             /* E11 owner */
    ret->producers++;
    ret->aborted += aborted;
}

void sp_ring_repair(struct sp_ring *ring, struct sp_liveness liveness, struct sp_repair_result *ret)
{
    *ret = (struct sp_repair_result){0};
    repair_bias(ring, liveness); /* first, so that the tail says what the dead have claimed */
    for (uint32_t i = 0; i < ring->producers_max; i++) {
        uint64_t owner = atomic_load_explicit(&ring->producers[i].owner, memory_order_acquire); /* E11 owner */
        /* E4 slot: a claim without an owner is damage, but it holds up everybody all the same */
        bool is_orphan = owner == 0 && atomic_load_explicit(&ring->producers[i].claim, memory_order_acquire) != SP_PHASE_IDLE;
        if (is_orphan || (owner != 0 && !liveness.alive(liveness.context, owner)))
            repair_producer(ring, i, liveness, ret);
    }
    for (uint32_t i = 0; i < ring->consumers_max; i++) {
        struct sp_cursor *cursor = &ring->cursors->slots[i];
        uint64_t owner = atomic_load_explicit(&cursor->owner, memory_order_acquire); /* E11 owner */
        /* E12 evict: an active cursor without an owner is damage, but it gates all the same */
        uint32_t word = atomic_load_explicit(&cursor->state, memory_order_acquire); /* E12 evict */
        if (owner == 0 ? sp_cursor_state(word) != SP_CURSOR_ACTIVE : liveness.alive(liveness.context, owner))
            continue;
        word = atomic_load_explicit(&cursor->state, memory_order_acquire); /* E12 evict: it may have sought before it died */
        atomic_store_explicit(&cursor->state, sp_cursor_word(word, SP_CURSOR_FREE), memory_order_release); /* E12 evict */
        atomic_store_explicit(&cursor->owner, 0, memory_order_release);                                    /* E11 owner */
        sp_count(&ring->header->counters[SP_RING_CONSUMERS_DEAD], 1);
        ret->consumers++;
    }
    if (ret->producers + ret->consumers)
        sp_count(&ring->header->counters[SP_RING_REPAIRS], 1);
}
