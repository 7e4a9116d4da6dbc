/* walk.c: walking a ring that may hold anything (see walk.h).
 *
 * Called by dump.c and verify.c. Every value from memory is checked before it leads anywhere: places only grow, by at least 8
 * bytes each, up to an end that is fixed at the beginning and at most one ring behind the start. */
#include "bus/walk.h"

#include "base/align.h"
#include "ring/record.h"

#define DOUBTS 256u
#define LAPS 64u

bool sp_walk_is_lapped(const struct sp_walk *walk, uint64_t position)
{
    /* E5 announce: what was read before is compared with what is announced by now */
    atomic_thread_fence(memory_order_acquire);
    return walk->is_laid && sp_ring_oldest_position(walk->ring) > position;
}

/* The lowest position that may be read; with the tail that goes with it. */
static uint64_t find_lowest(const struct sp_ring *ring, struct sp_place *ret_tail, bool *ret_is_laid)
{
    for (int tries = 0; tries < 16; tries++) {
        uint64_t lowest = sp_ring_oldest_position(ring);
        *ret_tail = sp_ring_tail(ring);
        if (lowest <= ret_tail->position && ret_tail->position - lowest <= ring->capacity) {
            *ret_is_laid = true;
            return lowest;
        }
    }
    *ret_is_laid = false; /* damaged: all that can be there */
    return ret_tail->position > ring->capacity ? ret_tail->position - ring->capacity : 0;
}

static bool is_claimed_from(const struct sp_ring *ring, uint64_t position)
{
    for (uint32_t i = 0; i < ring->producers_max; i++) {
        const uint64_t claim = atomic_load_explicit(&ring->producers[i].claim, memory_order_acquire); /* E4 slot */
        const uint64_t phase = claim & SP_PHASE_MASK;
        if ((phase == SP_PHASE_INTENT || phase == SP_PHASE_CLAIMED) && claim - phase == position)
            return true;
    }
    return false;
}

/* A stamp there may be left from an earlier lap, in the padding of a record or in what a dead producer never wrote. So what it leads to has
 * to have one too, or to be the beginning of a claim. */
static bool is_followed(const struct sp_ring *ring, struct sp_place place, struct sp_place tail)
{
    uint64_t size;
    uint32_t count;

    if (!sp_ring_step(ring, place, &size, &count) || size > tail.position - place.position || count > tail.offset - place.offset)
        return false;
    const struct sp_place next = {place.position + size, place.offset + count};
    return next.position == tail.position ? next.offset == tail.offset
                                          : sp_ring_is_committed(ring, next) || is_claimed_from(ring, next.position);
}

/* Where no mark can be used: the first bytes that look like a record. */
static struct sp_place scan(const struct sp_ring *ring, uint64_t lowest, struct sp_place tail)
{
    const uint64_t unit = (uint64_t)1 << ring->unit_shift;

    for (uint64_t position = sp_align_up(lowest, unit); position < tail.position; position += unit) {
        uint64_t stamp = atomic_load_explicit(&sp_ring_record(ring, position)->stamp, memory_order_acquire); /* E1 commit */
        uint64_t offset = sp_stamp_offset(stamp, ring->salt);
        const struct sp_place place = {position, offset};
        if (offset < tail.offset && tail.offset - offset <= (tail.position - position) / SP_RECORD_HEADER_SIZE &&
            is_followed(ring, place, tail))
            return place;
    }
    return tail;
}

static struct sp_place find_start(const struct sp_ring *ring, uint64_t lowest, struct sp_place end)
{
    struct sp_place start = sp_mark_oldest(ring, lowest);
    return start.position < end.position ? start : scan(ring, lowest, end);
}

void sp_walk_begin(struct sp_walk *walk, const struct sp_ring *ring, struct sp_liveness liveness)
{
    *walk =
        (struct sp_walk){.ring = ring, .liveness = liveness, .laps_left = LAPS, .doubts_left = DOUBTS + 4 * ring->producers_max};
    uint64_t lowest = find_lowest(ring, &walk->end, &walk->is_laid);
    walk->next = find_start(ring, lowest, walk->end);
}

/* An item that covers size bytes and count offsets, at most up to the end. */
static void cover(const struct sp_walk *walk, struct sp_walk_item *item, enum spate_record_state state, uint64_t size,
                  uint64_t count)
{
    item->state = state;
    if (size == 0 || size > walk->end.position - item->place.position)
        item->next = walk->end;
    else
        item->next = (struct sp_place){item->place.position + size, item->place.offset + count};
}

static void cover_to_boundary(const struct sp_walk *walk, struct sp_walk_item *item, enum spate_record_state state)
{
    struct sp_place boundary = sp_ring_next_boundary(walk->ring, item->place);
    cover(walk, item, state, boundary.position - item->place.position, boundary.offset - item->place.offset);
}

/* The stamp is right: a record, or an aborted one; false when it is neither. */
static bool look_at_record(const struct sp_walk *walk, struct sp_walk_item *item)
{
    const struct sp_ring *ring = walk->ring;
    uint64_t size;
    uint32_t count;

    if (sp_aborted_decode(item->word, ring->capacity, ring->unit_shift, &size, &count)) {
        item->state = SPATE_RECORD_ABORTED;
        item->next = (struct sp_place){item->place.position + size, item->place.offset + count};
        return true;
    }
    size = sp_record_decode((const uint8_t *)sp_ring_record(ring, item->place.position), item->word, ring->record_size_max,
                            1u << ring->unit_shift, &item->record);
    if (size == 0)
        return false;
    item->record.offset = (int64_t)item->place.offset;
    item->state = SPATE_RECORD_COMMITTED;
    item->next = (struct sp_place){item->place.position + size, item->place.offset + 1};
    return true;
}

/* Why is there no record? Returns false when there is one by now. */
static bool look_into(struct sp_walk *walk, struct sp_walk_item *item)
{
    struct sp_judgement judgement;

    if (walk->doubts_left == 0) { /* too much of it: one item for all the rest */
        cover(walk, item, SPATE_RECORD_DAMAGED, 0, 0);
        return true;
    }
    walk->doubts_left--;
    sp_ring_judge(walk->ring, item->place, walk->liveness, &judgement);
    item->slot = judgement.slot;
    switch (judgement.verdict) {
    case SP_VERDICT_READY: return false;
    case SP_VERDICT_END: cover(walk, item, SPATE_RECORD_DAMAGED, 0, 0); break; /* the tail went backwards */
    case SP_VERDICT_WAIT:
        if (judgement.owner_size)
            cover(walk, item, SPATE_RECORD_CLAIMED, judgement.owner_size, judgement.owner_count);
        else
            cover_to_boundary(walk, item, SPATE_RECORD_CLAIMED);
        break;
    case SP_VERDICT_DEAD:
        cover(walk, item, SPATE_RECORD_CLAIMED, judgement.size, judgement.count);
        item->is_dead = true;
        break;
    case SP_VERDICT_DAMAGED: cover(walk, item, SPATE_RECORD_DAMAGED, judgement.size, judgement.count); break;
    }
    return true;
}

static void look_at(struct sp_walk *walk, struct sp_walk_item *item)
{
    const struct sp_record_header *header = sp_ring_record(walk->ring, walk->next.position);

    for (int tries = 0; tries < 16; tries++) {
        *item = (struct sp_walk_item){.place = walk->next};
        item->stamp = atomic_load_explicit(&header->stamp, memory_order_acquire); /* E1 commit */
        item->word = atomic_load_explicit(&header->word, memory_order_relaxed);   /* relaxed: behind the acquire of the stamp */
        if (item->stamp == sp_stamp(item->place.offset, walk->ring->salt)) {
            if (look_at_record(walk, item))
                return;
            item->is_misshapen = true;
            break;
        }
        if (look_into(walk, item))
            return;
    }
    cover_to_boundary(walk, item, SPATE_RECORD_DAMAGED);
}

bool sp_walk_next(struct sp_walk *walk, struct sp_walk_item *ret)
{
    while ((int64_t)(walk->end.position - walk->next.position) > 0) {
        look_at(walk, ret);
        if (!sp_walk_is_lapped(walk, walk->next.position)) {
            walk->next = ret->next;
            return true;
        }
        /* overtaken: what was read may be anything; on from what is oldest now, up to the old end */
        if (walk->laps_left-- == 0)
            return false;
        walk->next = sp_mark_oldest(walk->ring, sp_ring_oldest_position(walk->ring));
    }
    return false;
}
