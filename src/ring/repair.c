/* repair.c: what a place without a committed record means, and the clearing up after dead producers and consumers.
 *
 * The verdict is for readers (who cannot write) and repairers alike, and exact: it never guesses from time. Why it is right,
 * for a place p that the tail has passed and that is not committed:
 *   - p was claimed, by some slot. That claim was made before the tail was read, so its INTENT, or a later state of the slot,
 *   is visible (E3, E4).
 *     A later state than its CLAIMED means that p is committed, which the second look at the stamp finds.
 *   - So the owner is among the slots that are CLAIMED over p, or INTENT with a position at or below p. If one CLAIMED over p
 *   is dead, it is the owner.
 *     If any INTENT is alive, it may be: wait. If all are dead, one of them is.
 *   - One dead INTENT: it is the owner, its extent is in the slot. Several: the gap reaches to the next boundary that is
 *   known: a committed record,
 *     the place in another slot (INTENT: the tail it had seen, which is a boundary; CLAIMED: its claim), or the tail.
 *   - A dead owner's words no longer change, so they are read after its death was established, and only a repairer replaces
 *   them, by an aborted record
 *     that covers the same bytes and offsets.
 *
 * Called from slow paths of readers, writers that are short of space, attachers and gc. `alive` makes system calls. */
#include "ring/ring.h"

#include "base/align.h"
#include "ring/record.h"

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
        .place = {claim & ~(uint64_t)SP_PHASE_MASK,
                  atomic_load_explicit(sp_slot_offset(slot, claim), memory_order_acquire)}, /* E4 slot */
        .size = (extent >> 32) << ring->unit_shift,
        .count = extent & 0xffffffffu,
    };
}

static enum relation relate(const struct sp_ring *ring, uint32_t index, uint64_t position, struct sp_liveness liveness,
                            struct slot_view *ret)
{
    const struct sp_producer_slot *slot = &ring->producers[index];

    for (int tries = 0; tries < 16; tries++) {
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
        if ((claim & SP_PHASE_MASK) == SP_PHASE_IDLE || (claim & ~(uint64_t)SP_PHASE_MASK) > position)
            return UNRELATED;
        bool claimed = (claim & SP_PHASE_MASK) == SP_PHASE_CLAIMED;
        *ret = view_slot(ring, slot, claim);
        if (claimed && position - ret->place.position >= ret->size)
            return UNRELATED;
        uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire); /* E11 owner */
        if (owner != 0 && liveness.alive(liveness.context, owner))
            return claimed ? LIVE_CLAIMED : LIVE_INTENT;
        /* dead: read again, for it may have gone on between the first read and its death */
        if (atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
            continue;
        *ret = view_slot(ring, slot, claim);
        if (claimed && position - ret->place.position >= ret->size)
            return UNRELATED;
        return claimed ? DEAD_CLAIMED : DEAD_INTENT;
    }
    return LIVE_INTENT; /* somebody is changing it: whoever that is, it lives */
}

/* The next boundary behind `place` that is certain, at most `tail`. first: how far on at least. */
static struct sp_place next_boundary(const struct sp_ring *ring, struct sp_place place, struct sp_place tail, uint64_t first)
{
    struct sp_place end = tail;
    const uint64_t unit = (uint64_t)1 << ring->unit_shift;

    for (uint32_t i = 0; i < ring->producers_max; i++) {
        const struct sp_producer_slot *slot = &ring->producers[i];
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
        struct slot_view view = view_slot(ring, slot, claim);
        if ((claim & SP_PHASE_MASK) != SP_PHASE_IDLE && view.place.position > place.position &&
            view.place.position < end.position && view.place.offset >= place.offset && view.place.offset <= tail.offset &&
            atomic_load_explicit(&slot->claim, memory_order_acquire) == claim) /* E4 slot: position and offset belong together */
            end = view.place;
    }
    uint64_t limit = sp_min(end.position - place.position, ring->capacity);
    for (uint64_t step = sp_max(sp_align_up(first, unit), unit); step < limit; step += unit) {
        const struct sp_record_header *header = sp_ring_record(ring, place.position + step);
        uint64_t offset = (atomic_load_explicit(&header->stamp, memory_order_acquire) ^ ring->salt) - 1; /* E1 commit */
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
    return count >= 1 && size <= ring->capacity && count <= size / SP_RECORD_HEADER_SIZE &&
           (size & (((uint64_t)1 << ring->unit_shift) - 1)) == 0 && size >> ring->unit_shift <= UINT32_MAX;
}

void sp_ring_judge(const struct sp_ring *ring, struct sp_place place, struct sp_liveness liveness, struct sp_judgement *ret)
{
    struct sp_place tail = sp_ring_tail(ring);
    struct slot_view claimed = {0}, intent = {0};
    uint64_t intent_size_min = UINT64_MAX;
    uint32_t dead_intents = 0, live_intents = 0;
    bool is_claimed = false;

    *ret = (struct sp_judgement){.verdict = SP_VERDICT_END};
    if ((int64_t)(tail.position - place.position) <= 0) {
        if (sp_ring_is_committed(ring, place))
            ret->verdict = SP_VERDICT_READY;
        return;
    }
    if (ring->mode == SPATE_MODE_CONCURRENT) {
        for (uint32_t i = 0; i < ring->producers_max; i++) {
            struct slot_view view;
            switch (relate(ring, i, place.position, liveness, &view)) {
            case UNRELATED: continue;
            case LIVE_CLAIMED:
                ret->slot = i;
                ret->owner_size = view.place.position + view.size - place.position;
                ret->owner_count = view.place.offset + view.count - place.offset;
                ret->verdict = sp_ring_is_committed(ring, place) ? SP_VERDICT_READY : SP_VERDICT_WAIT;
                return;
            case LIVE_INTENT:
                if (!live_intents++ && !is_claimed)
                    ret->slot = i;
                break;
            case DEAD_CLAIMED:
                is_claimed = true;
                claimed = view;
                ret->slot = i;
                break;
            case DEAD_INTENT:
                intent_size_min = sp_min(intent_size_min, view.size);
                intent = view;
                if (!dead_intents++ && !is_claimed && !live_intents)
                    ret->slot = i;
                break;
            }
        }
    }
    if (sp_ring_is_committed(ring, place)) {
        ret->verdict = SP_VERDICT_READY;
        return;
    }
    if (is_claimed)
        found(ret, SP_VERDICT_DEAD, place,
              (struct sp_place){claimed.place.position + claimed.size, claimed.place.offset + claimed.count});
    else if (live_intents)
        ret->verdict = SP_VERDICT_WAIT;
    else if (dead_intents == 1)
        found(ret, SP_VERDICT_DEAD, place, (struct sp_place){place.position + intent.size, place.offset + intent.count});
    else
        found(ret, dead_intents ? SP_VERDICT_DEAD : SP_VERDICT_DAMAGED, place,
              next_boundary(ring, place, tail, dead_intents ? intent_size_min : 0));
    if (ret->verdict == SP_VERDICT_DEAD && !is_plausible(ring, ret->size, ret->count))
        found(ret, SP_VERDICT_DAMAGED, place, next_boundary(ring, place, tail, 0));
}

void sp_ring_write_aborted(struct sp_ring *ring, struct sp_place place, uint64_t size, uint64_t count)
{
    const uint64_t least = sp_align_up(SP_RECORD_HEADER_SIZE, (uint64_t)1 << ring->unit_shift);

    while (count) {
        uint64_t n = sp_min(count, SP_ABORTED_COUNT_MAX);
        uint64_t bytes = n == count ? size : least;
        struct sp_record_header *header = (struct sp_record_header *)(void *)(ring->data + (place.position & ring->mask));
        /* relaxed: published by the stamp below */
        atomic_store_explicit(&header->word, sp_record_word((uint32_t)(bytes >> ring->unit_shift), (uint32_t)n, SP_RECORD_ABORTED),
                              memory_order_relaxed);
        atomic_store_explicit(&header->stamp, sp_stamp(place.offset, ring->salt), memory_order_release); /* E1 commit */
        place.position += bytes;
        place.offset += n;
        size -= bytes;
        count -= n;
    }
}

/* The oldest boundary that can be found at or above `lowest`: by a mark, or else by looking for stamps. */
static struct sp_place oldest_boundary(const struct sp_ring *ring, uint64_t lowest)
{
    struct sp_place place = sp_mark_oldest(ring, lowest);
    struct sp_place tail = sp_ring_tail(ring);

    if (place.position < tail.position)
        return place;
    const uint64_t unit = (uint64_t)1 << ring->unit_shift;
    for (uint64_t position = sp_align_up(lowest, unit); position < tail.position && tail.position - position <= ring->capacity;
         position += unit) {
        uint64_t stamp = atomic_load_explicit(&sp_ring_record(ring, position)->stamp, memory_order_acquire); /* E1 commit */
        uint64_t offset = (stamp ^ ring->salt) - 1;
        if (offset < tail.offset && tail.offset - offset <= (tail.position - position) / SP_RECORD_HEADER_SIZE)
            return (struct sp_place){position, offset};
    }
    return tail;
}

/* Abort what is not committed between two boundaries; false when something there has to wait for a live claimant. */
static bool repair_range(struct sp_ring *ring, struct sp_place place, struct sp_place end, struct sp_liveness liveness,
                         uint64_t *aborted)
{
    while ((int64_t)(end.position - place.position) > 0) {
        struct sp_judgement judgement;
        uint64_t size;
        uint32_t count;
        if (place.position < sp_ring_oldest_position(ring)) {
            /* others may be writing there: what died lies above (see "A stale INTENT" in ring.h) */
            struct sp_place newer = oldest_boundary(ring, sp_ring_oldest_position(ring));
            if (newer.position <= place.position || newer.position >= end.position)
                return true; /* nothing of it is left in the ring (or the words that say so are damaged) */
            place = newer;
            continue;
        }
        if (end.position - place.position > ring->capacity)
            return true; /* the words that say so are damaged: honestly, the tail is at most a ring above the oldest position */
        if (sp_ring_is_committed(ring, place) && sp_ring_step(ring, place, &size, &count)) {
            place = (struct sp_place){place.position + size, place.offset + count};
            continue;
        }
        sp_ring_judge(ring, place, liveness, &judgement);
        switch (judgement.verdict) {
        case SP_VERDICT_END: return true;
        case SP_VERDICT_READY:
            if (!sp_ring_step(ring, place, &size, &count))
                return true; /* a committed record that makes no sense: readers report it, nothing of ours is behind it */
            continue;
        case SP_VERDICT_WAIT:
            if (judgement.owner_size == 0)
                return false;
            place = (struct sp_place){place.position + judgement.owner_size, place.offset + judgement.owner_count};
            continue;
        case SP_VERDICT_DEAD:
            sp_ring_write_aborted(ring, place, judgement.size, judgement.count);
            *aborted += judgement.count;
            break;
        case SP_VERDICT_DAMAGED:
            if (is_plausible(ring, judgement.size, judgement.count))
                sp_ring_write_aborted(ring, place, judgement.size, judgement.count);
            sp_count(&ring->header->counters[SP_RING_DAMAGED], 1);
            break;
        }
        if (judgement.size == 0)
            return true;
        place = (struct sp_place){place.position + judgement.size, place.offset + judgement.count};
    }
    return true;
}

static void repair_producer(struct sp_ring *ring, uint32_t index, struct sp_liveness liveness, struct sp_repair_result *ret)
{
    struct sp_producer_slot *slot = &ring->producers[index];
    uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
    struct slot_view view = view_slot(ring, slot, claim);
    struct sp_place tail = sp_ring_tail(ring);
    struct sp_place end = tail;
    uint64_t aborted = 0;

    if (ring->mode == SPATE_MODE_CONCURRENT && (claim & SP_PHASE_MASK) != SP_PHASE_IDLE && tail.position > view.place.position) {
        if ((claim & SP_PHASE_MASK) == SP_PHASE_CLAIMED)
            end = (struct sp_place){view.place.position + view.size, view.place.offset + view.count};
        if (!repair_range(ring, view.place, end, liveness, &aborted)) {
            ret->unresolved++;
            return;
        }
    }
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
        if (owner == 0 ? atomic_load_explicit(&cursor->state, memory_order_acquire) != SP_CURSOR_ACTIVE
                       : liveness.alive(liveness.context, owner))
            continue;
        atomic_store_explicit(&cursor->state, SP_CURSOR_FREE, memory_order_release); /* E12 evict */
        atomic_store_explicit(&cursor->owner, 0, memory_order_release);              /* E11 owner */
        sp_count(&ring->header->counters[SP_RING_CONSUMERS_DEAD], 1);
        ret->consumers++;
    }
    if (ret->producers + ret->consumers)
        sp_count(&ring->header->counters[SP_RING_REPAIRS], 1);
}
