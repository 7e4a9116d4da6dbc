/* verify_ring.c: the invariants of a ring's words and of its cursors: tail, reserved, marks, producer slots, cursor slots.
 *
 * Part of spate_verify. A rule reads what may only grow in the order that makes a relation between two values hold at every
 * moment: the smaller first when it is an upper bound that is checked, last when it is a lower one. What the dead may leave
 * behind is no violation: ring.h says what that is. */
#include <stdio.h>
#include <string.h>

#include "bus/verify.h"
#include "layout/topic_layout.h"

#define BASE_TRIES 64

/* ------------------------------------------------------------------------------------------------------------ the ring */

static bool ring_state(const struct sp_subject *s, char *detail)
{
    uint32_t state = atomic_load_explicit(&s->ring->header->state, memory_order_acquire); /* E11 owner */
    return state <= SP_STATE_DELETED || sp_broken(detail, "state %u", state);
}

static bool ring_repairer(const struct sp_subject *s, char *detail)
{
    uint64_t owner = atomic_load_explicit(&s->ring->header->repairer, memory_order_acquire); /* E11 owner */
    return sp_is_known_owner(s->registry, owner) ||
           sp_broken(detail, "repaired by owner word %llx, which no participant ever had", (unsigned long long)owner);
}

static bool slots_used(const struct sp_subject *s, char *detail)
{
    uint32_t producers = atomic_load_explicit(&s->ring->header->producers_used, memory_order_acquire); /* E11 owner */
    return producers <= s->ring->producers_max ||
           sp_broken(detail, "%u producer slots used of %u", producers, s->ring->producers_max);
}

/* The bases are raised to the tail at least once a chunk: so a tail beside a base that stands still is at or not far above it. */
static bool tail_bases(const struct sp_subject *s, char *detail)
{
    const struct sp_ring *ring = s->ring;

    for (int tries = 0; tries < BASE_TRIES; tries++) {
        uint64_t records = atomic_load_explicit(&ring->header->records_base, memory_order_acquire); /* E13 base */
        uint64_t units = atomic_load_explicit(&ring->header->units_base, memory_order_acquire);     /* E13 base */
        struct sp_place tail = sp_ring_tail(ring);
        if (atomic_load_explicit(&ring->header->records_base, memory_order_acquire) != records || /* E13 base */
            atomic_load_explicit(&ring->header->units_base, memory_order_acquire) != units)       /* E13 base */
            continue;
        if (tail.offset - records > ring->capacity / SP_RECORD_HEADER_SIZE ||
            tail.position - (units << ring->unit_shift) > ring->capacity)
            return sp_broken(detail,
                             "tail at position %llu, offset %llu, its bases at position %llu, offset %llu: not just below it",
                             (unsigned long long)tail.position, (unsigned long long)tail.offset,
                             (unsigned long long)units << ring->unit_shift, (unsigned long long)records);
        break;
    }
    return true;
}

static bool tail_place(const struct sp_subject *s, char *detail)
{
    struct sp_place tail = sp_ring_tail(s->ring);
    return tail.offset <= tail.position / SP_RECORD_HEADER_SIZE ||
           sp_broken(detail, "tail at position %llu, offset %llu: so many records do not fit", (unsigned long long)tail.position,
                     (unsigned long long)tail.offset);
}

/* Everything claimed was announced, and nothing is announced beyond a ring behind the tail. */
static bool ring_reserved(const struct sp_subject *s, char *detail)
{
    struct sp_place before = sp_ring_tail(s->ring);
    uint64_t reserved = atomic_load_explicit(&s->ring->header->reserved, memory_order_acquire); /* E5 announce */
    struct sp_place after = sp_ring_tail(s->ring);

    return (before.position <= reserved && reserved <= after.position + s->ring->capacity) ||
           sp_broken(detail,
                     "reserved is %llu, the tail at %llu, the capacity %llu: it must lie from the tail to one ring behind it",
                     (unsigned long long)reserved, (unsigned long long)after.position, (unsigned long long)s->ring->capacity);
}

static bool is_unit(const struct sp_ring *ring, uint64_t position)
{
    return (position & (((uint64_t)1 << ring->unit_shift) - 1)) == 0;
}

struct range {
    uint64_t from, to;
    uint32_t slot;
};

/* The claims that are open. Positions are never used twice, so two that were open at different moments do not overlap either. */
static uint32_t collect_claims(const struct sp_ring *ring, struct range *ranges)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ring->producers_max; i++) {
        const struct sp_producer_slot *slot = &ring->producers[i];
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire);   /* E4 slot */
        uint64_t extent = atomic_load_explicit(&slot->extent, memory_order_acquire); /* E4 slot */
        if ((claim & SP_PHASE_MASK) != SP_PHASE_CLAIMED ||
            atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
            continue;
        uint64_t from = claim & ~(uint64_t)SP_PHASE_MASK;
        uint64_t size = (extent >> 32) << ring->unit_shift;
        ranges[count++] = (struct range){from, from + size, i};
    }
    return count;
}

static bool claims_disjoint(const struct sp_subject *s, char *detail)
{
    struct range ranges[1024];
    uint32_t count = collect_claims(s->ring, ranges);

    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (ranges[i].from < ranges[j].to && ranges[j].from < ranges[i].to)
                return sp_broken(detail, "producer slots %u and %u claim the same bytes, from %llu and %llu", ranges[j].slot,
                                 ranges[i].slot, (unsigned long long)ranges[j].from, (unsigned long long)ranges[i].from);
    return true;
}

static const struct sp_rule ring_rules[] = {
    {"ring-state", ring_state}, {"ring-repairer", ring_repairer}, {"slots-used", slots_used},           {"tail-bases", tail_bases},
    {"tail-place", tail_place}, {"ring-reserved", ring_reserved}, {"claims-disjoint", claims_disjoint}, {NULL, NULL}};

/* A mark may be torn or old, then readers do not use it. But nobody writes one for another chunk, or beyond the tail. */
static bool mark_place(const struct sp_subject *s, char *detail)
{
    const struct sp_ring *ring = s->ring;
    uint64_t position = atomic_load_explicit(&ring->header->marks[s->index].position, memory_order_acquire); /* E9 mark */
    struct sp_place tail = sp_ring_tail(ring);

    if (position == 0) /* never used */
        return true;
    if (position / ring->chunk_size % ring->marks_count == s->index && is_unit(ring, position) && position <= tail.position)
        return true;
    return sp_broken(detail, "mark %u: position %llu is of another chunk, unaligned, or beyond the tail at %llu", s->index,
                     (unsigned long long)position, (unsigned long long)tail.position);
}

static const struct sp_rule mark_rules[] = {{"mark-place", mark_place}, {NULL, NULL}};

/* ------------------------------------------------------------------------------------------------------- producer slots */

static bool slot_owner(const struct sp_subject *s, char *detail)
{
    uint64_t owner = atomic_load_explicit(&s->ring->producers[s->index].owner, memory_order_acquire); /* E11 owner */
    return sp_is_known_owner(s->registry, owner) ||
           sp_broken(detail, "producer slot %u: no participant ever had owner word %llx", s->index, (unsigned long long)owner);
}

static bool slot_name(const struct sp_subject *s, char *detail)
{
    return memchr(s->ring->producers[s->index].name, 0, SP_NAME_SIZE) ||
           sp_broken(detail, "producer slot %u: its name has no end", s->index);
}

static bool slot_claim(const struct sp_subject *s, char *detail)
{
    const struct sp_ring *ring = s->ring;
    const struct sp_producer_slot *slot = &ring->producers[s->index];
    const struct sp_place before = sp_ring_tail(ring);
    uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire);                 /* E4 slot */
    uint64_t owner = atomic_load_explicit(&slot->owner, memory_order_acquire);                 /* E11 owner */
    uint32_t used = atomic_load_explicit(&ring->header->producers_used, memory_order_acquire); /* E11 owner */
    const struct sp_place after = sp_ring_tail(ring);
    uint64_t position = claim & ~(uint64_t)SP_PHASE_MASK;
    uint64_t phase = claim & SP_PHASE_MASK;

    if (claim == SP_PHASE_IDLE || atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
        return true;                                                                                 /* it moves: so it lives */
    if (phase != SP_PHASE_INTENT && phase != SP_PHASE_CLAIMED && phase != SP_PHASE_BIASED)
        return sp_broken(detail, "producer slot %u: claim word %llx has no phase", s->index, (unsigned long long)claim);
    if (ring->mode == SPATE_MODE_EXCLUSIVE)
        return sp_broken(detail, "producer slot %u: claim word %llx on an exclusive ring", s->index, (unsigned long long)claim);
    if (owner == 0 || s->index >= used)
        return sp_broken(detail, "producer slot %u: claim word %llx, but nobody holds the slot", s->index,
                         (unsigned long long)claim);
    if (!is_unit(ring, position) || position > after.position)
        return sp_broken(detail, "producer slot %u: claims position %llu, unaligned or beyond the tail at %llu", s->index,
                         (unsigned long long)position, (unsigned long long)after.position);
    /* an INTENT may be older ("A stale INTENT" in ring.h), a claim holds everybody up */
    if (phase == SP_PHASE_CLAIMED && before.position > position && before.position - position > ring->capacity)
        return sp_broken(detail, "producer slot %u: claims position %llu, more than a ring behind the tail at %llu", s->index,
                         (unsigned long long)position, (unsigned long long)before.position);
    return true;
}

static bool slot_extent(const struct sp_subject *s, char *detail)
{
    const struct sp_ring *ring = s->ring;
    const struct sp_producer_slot *slot = &ring->producers[s->index];
    uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire);   /* E4 slot */
    uint64_t extent = atomic_load_explicit(&slot->extent, memory_order_acquire); /* E4 slot */
    uint64_t offset = atomic_load_explicit(&slot->offset, memory_order_acquire); /* E4 slot */
    const struct sp_place tail = sp_ring_tail(ring);
    uint64_t position = claim & ~(uint64_t)SP_PHASE_MASK;
    uint64_t size = (extent >> 32) << ring->unit_shift, count = extent & 0xffffffffu;

    const uint64_t phase = claim & SP_PHASE_MASK;
    if (phase == SP_PHASE_IDLE || phase == SP_PHASE_BIASED ||              /* extent and offset are of an earlier claim */
        atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) /* E4 slot */
        return true;
    if (count == 0 || size > ring->record_size_max || count > size / SP_RECORD_HEADER_SIZE || offset > tail.offset)
        return sp_broken(detail, "producer slot %u: claims %llu bytes for %llu records from offset %llu: impossible", s->index,
                         (unsigned long long)size, (unsigned long long)count, (unsigned long long)offset);
    if (phase == SP_PHASE_CLAIMED && (position + size > tail.position || offset + count > tail.offset))
        return sp_broken(
            detail,
            "producer slot %u: claims %llu bytes for %llu records from position %llu, offset %llu, but the tail is at %llu, %llu",
            s->index, (unsigned long long)size, (unsigned long long)count, (unsigned long long)position, (unsigned long long)offset,
            (unsigned long long)tail.position, (unsigned long long)tail.offset);
    return true;
}

static const struct sp_rule slot_rules[] = {
    {"slot-owner", slot_owner}, {"slot-name", slot_name}, {"slot-claim", slot_claim}, {"slot-extent", slot_extent}, {NULL, NULL}};

/* -------------------------------------------------------------------------------------------------------------- cursors */

static bool cursors_used(const struct sp_subject *s, char *detail)
{
    uint32_t consumers = atomic_load_explicit(&s->ring->cursors->consumers_used, memory_order_acquire); /* E11 owner */
    return consumers <= s->ring->consumers_max || sp_broken(detail, "%u cursors used of %u", consumers, s->ring->consumers_max);
}

static const struct sp_rule cursors_rules[] = {{"cursors-used", cursors_used}, {NULL, NULL}};

static bool cursor_owner(const struct sp_subject *s, char *detail)
{
    uint64_t owner = atomic_load_explicit(&s->ring->cursors->slots[s->index].owner, memory_order_acquire); /* E11 owner */
    return sp_is_known_owner(s->registry, owner) ||
           sp_broken(detail, "cursor %u: no participant ever had owner word %llx", s->index, (unsigned long long)owner);
}

static bool cursor_state(const struct sp_subject *s, char *detail)
{
    const struct sp_cursor *cursor = &s->ring->cursors->slots[s->index];
    uint32_t state = sp_cursor_state(atomic_load_explicit(&cursor->state, memory_order_acquire));  /* E12 evict */
    uint64_t owner = atomic_load_explicit(&cursor->owner, memory_order_acquire);                   /* E11 owner */
    uint32_t used = atomic_load_explicit(&s->ring->cursors->consumers_used, memory_order_acquire); /* E11 owner */

    if (state > SP_CURSOR_EVICTED || (state != SP_CURSOR_FREE && (owner == 0 || s->index >= used)))
        return sp_broken(detail, "cursor %u: state %u, held by owner word %llx", s->index, state, (unsigned long long)owner);
    return true;
}

static bool cursor_policy(const struct sp_subject *s, char *detail)
{
    const struct sp_cursor *cursor = &s->ring->cursors->slots[s->index];
    uint32_t state = sp_cursor_state(atomic_load_explicit(&cursor->state, memory_order_acquire)); /* E12 evict */
    uint32_t policy = cursor->policy;
    return state == SP_CURSOR_FREE || policy <= SPATE_POLICY_SKIP || sp_broken(detail, "cursor %u: policy %u", s->index, policy);
}

/* A reader reads what is committed, so it is not beyond the tail; but in exclusive mode stamps come before the tail that
 * follows them. And a gate that lives holds: the tail is not more than a ring further. (A dead one may have died while it
 * looked for a place.) */
static bool cursor_position(const struct sp_subject *s, char *detail)
{
    const struct sp_ring *ring = s->ring;
    const struct sp_cursor *cursor = &ring->cursors->slots[s->index];
    const uint64_t ahead = ring->mode == SPATE_MODE_EXCLUSIVE ? ring->record_size_max : 0;
    const struct sp_place before = sp_ring_tail(ring);
    uint64_t owner = atomic_load_explicit(&cursor->owner, memory_order_acquire);            /* E11 owner */
    uint32_t word = atomic_load_explicit(&cursor->state, memory_order_acquire);             /* E12 evict */
    uint64_t position = atomic_load_explicit(&cursor->read_position, memory_order_acquire); /* E2 release */
    uint32_t policy = cursor->policy;
    const struct sp_place after = sp_ring_tail(ring);

    if (sp_cursor_state(word) != SP_CURSOR_ACTIVE ||
        atomic_load_explicit(&cursor->state, memory_order_acquire) != word) /* E12 evict */
        return true;
    if (!is_unit(ring, position) || position > after.position + ahead)
        return sp_broken(detail, "cursor %u: at position %llu, unaligned or beyond the tail at %llu", s->index,
                         (unsigned long long)position, (unsigned long long)after.position);
    if (policy == SPATE_POLICY_GATE && before.position > position && before.position - position > ring->capacity &&
        sp_registry_alive(s->registry, owner))
        return sp_broken(detail, "cursor %u: gates at position %llu, more than a ring behind the tail at %llu", s->index,
                         (unsigned long long)position, (unsigned long long)before.position);
    return true;
}

static bool cursor_wake(const struct sp_subject *s, char *detail)
{
    const struct sp_cursor *cursor = &s->ring->cursors->slots[s->index];
    uint32_t asleep = atomic_load_explicit(&cursor->asleep, memory_order_acquire);  /* E7 sleep */
    uint32_t slot = atomic_load_explicit(&cursor->wake_slot, memory_order_relaxed); /* relaxed: behind the acquire of `asleep` */
    return asleep == 0 || (asleep == 1 && slot < s->registry->wakes_max) ||
           sp_broken(detail, "cursor %u: asleep is %u, on wake slot %u of %u", s->index, asleep, slot, s->registry->wakes_max);
}

static bool cursor_name(const struct sp_subject *s, char *detail)
{
    return memchr(s->ring->cursors->slots[s->index].name, 0, SP_NAME_SIZE) ||
           sp_broken(detail, "cursor %u: its name has no end", s->index);
}

static const struct sp_rule cursor_rules[] = {{"cursor-owner", cursor_owner},
                                              {"cursor-state", cursor_state},
                                              {"cursor-policy", cursor_policy},
                                              {"cursor-position", cursor_position},
                                              {"cursor-wake", cursor_wake},
                                              {"cursor-name", cursor_name},
                                              {NULL, NULL}};

static void for_each(struct sp_verify *verify, const struct sp_rule *rules, uint32_t count, struct sp_subject subject)
{
    for (subject.index = 0; subject.index < count && !verify->stopped; subject.index++)
        (void)sp_verify_rules(verify, rules, true, &subject);
}

void sp_verify_ring(struct sp_verify *verify, const struct spate_topic *topic, uint32_t partition, const struct sp_ring *ring)
{
    struct sp_subject subject = {.registry = &verify->bus->registry, .topic = &topic->info, .partition = partition, .ring = ring};
    char directory[SPATE_TOPIC_NAME_MAX + 8];

    sp_topic_directory(topic->info.name, directory);
    snprintf(verify->file, sizeof verify->file, "%s/%u.ring", directory, partition);
    (void)sp_verify_rules(verify, ring_rules, true, &subject);
    for_each(verify, mark_rules, ring->marks_count, subject);
    for_each(verify, slot_rules, ring->producers_max, subject);
    if (!verify->stopped)
        sp_verify_walk(verify, &subject);
    snprintf(verify->file, sizeof verify->file, "%s/%u.cursors", directory, partition);
    (void)sp_verify_rules(verify, cursors_rules, true, &subject);
    for_each(verify, cursor_rules, ring->consumers_max, subject);
}
