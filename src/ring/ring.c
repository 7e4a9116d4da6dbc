/* ring.c: what writers, readers and repairers share: the view of a ring, its tail, its frontier.
 *
 * Called by all of them, and by tools. Nothing here writes to shared memory but sp_ring_format. */
#include "ring/ring.h"

#include <string.h>

#include "base/align.h"
#include "base/hook.h"
#include "ring/record.h"
#include "ring/writer.h"

void sp_ring_init(struct sp_ring *ring, struct sp_ring_header *header, uint8_t *data, struct sp_cursors_header *cursors)
{
    *ring = (struct sp_ring){
        .header = header,
        .producers = (struct sp_producer_slot *)(void *)((uint8_t *)header + SP_RING_HEADER_SIZE),
        .data = data,
        .cursors = cursors,
        .capacity = header->capacity,
        .mask = header->capacity - 1,
        .salt = header->salt,
        .unit_shift = header->unit_shift,
        .mode = header->mode,
        .timestamp = header->timestamp,
        .producers_max = header->producers_max,
        .consumers_max = cursors ? cursors->consumers_max : 0,
        .is_durable = header->durable != 0,
    };
    /* Derived, not read: the header may change between its check and now, and these bound what we touch. */
    ring->record_size_max = sp_ring_record_size_max(ring->capacity);
    ring->chunk_size = sp_max(sp_ring_chunk_size(ring->capacity), 1);
    ring->marks_count = (uint32_t)(ring->capacity / ring->chunk_size);
}

/* A ring that begins behind (0, 0) is like one whose earlier records were overwritten, and are all in the log. */
static void begin(struct sp_ring_header *header, const struct sp_ring_config *config)
{
    const struct sp_place place = config->begin;
    const uint64_t units = place.position >> config->unit_shift;

    if (place.position == 0 && place.offset == 0)
        return;
    atomic_init(&header->tail, sp_tail_pack(units, place.offset));
    atomic_init(&header->records_base, place.offset);
    atomic_init(&header->units_base, units);
    atomic_init(&header->reserved, place.position + config->capacity);
    atomic_init(&header->log.written, place.position);
    atomic_init(&header->log.written_offset, place.offset);
    atomic_init(&header->log.durable, place.position);
    atomic_init(&header->log.durable_offset, place.offset);
    sp_mark_format(header, config->capacity / header->chunk_size, place);
}

void sp_ring_format(struct sp_ring_header *header, const struct sp_ring_config *config)
{
    struct sp_ring_regions regions = sp_ring_regions(config->producers_max, config->capacity, config->page_size);

    header->capacity = config->capacity;
    header->data_offset = regions.data;
    header->salt = config->salt;
    header->unit_shift = config->unit_shift;
    header->mode = config->mode;
    header->timestamp = config->timestamp;
    header->producers_max = config->producers_max;
    header->record_size_max = sp_ring_record_size_max(config->capacity);
    header->chunk_size = sp_ring_chunk_size(config->capacity);
    header->durable = config->is_durable;
    begin(header, config);
}

struct sp_place sp_ring_claimed(const struct sp_ring *ring)
{
    struct sp_ring_header *header = ring->header;
    uint64_t records_base, units_base, word;
    int tries = 64; /* an honest base moves once a chunk; a hostile one must not keep us here */

    do {
        records_base = atomic_load_explicit(&header->records_base, memory_order_acquire); /* E13 base */
        units_base = atomic_load_explicit(&header->units_base, memory_order_acquire);     /* E13 base */
        word = atomic_load_explicit(&header->tail, memory_order_acquire);                 /* E3 claim */
        /* relaxed: unchanged means that the tail read between is near the base; it is a range check, not an order */
    } while (atomic_load_explicit(&header->records_base, memory_order_relaxed) != records_base && --tries);
    return sp_tail_unpack(word, records_base, units_base, ring->unit_shift);
}

/* Bounds the walk behind a producer that goes on meanwhile: it settles sooner. */
#define UNSETTLED_MAX (SPATE_BATCH_MAX + SP_SETTLE_SIZE_MAX / SP_RECORD_HEADER_SIZE)

struct sp_place sp_ring_tail(const struct sp_ring *ring)
{
    /* E14 bias: before the tail. Whoever has lost it by now settled before, so the tail says all that was true then */
    const bool is_owned = ring->mode == SPATE_MODE_EXCLUSIVE ||
                          (atomic_load_explicit(&ring->header->bias, memory_order_acquire) & SP_BIAS_SLOT_MASK) != 0;
    struct sp_place tail = sp_ring_claimed(ring);
    uint64_t size;
    uint32_t count;

    if (!is_owned)
        return tail;
    for (uint32_t i = 0; i < UNSETTLED_MAX && sp_ring_is_committed(ring, tail) && sp_ring_step(ring, tail, &size, &count); i++) {
        tail.position += size;
        tail.offset += count;
    }
    return tail;
}

uint64_t sp_ring_oldest_position(const struct sp_ring *ring)
{
    /* relaxed: a lower bound that only grows; those who read records check again afterwards (E5) */
    uint64_t reserved = atomic_load_explicit(&ring->header->reserved, memory_order_relaxed);
    return reserved > ring->capacity ? reserved - ring->capacity : 0;
}

bool sp_ring_is_committed(const struct sp_ring *ring, struct sp_place place)
{
    /* E1 commit */
    return atomic_load_explicit(&sp_ring_record(ring, place.position)->stamp, memory_order_acquire) ==
           sp_stamp(place.offset, ring->salt);
}

bool sp_ring_step(const struct sp_ring *ring, struct sp_place place, uint64_t *ret_size, uint32_t *ret_count)
{
    const struct sp_record_header *header = sp_ring_record(ring, place.position);
    /* relaxed: the caller's acquire of the stamp (E1) ordered it */
    uint64_t word = atomic_load_explicit(&header->word, memory_order_relaxed);
    struct spate_record ignored;

    if (sp_aborted_decode(word, ring->capacity, ring->unit_shift, ret_size, ret_count))
        return true;
    *ret_count = 1;
    *ret_size = sp_record_decode((const uint8_t *)header, word, ring->record_size_max, 1u << ring->unit_shift, &ignored);
    return *ret_size != 0;
}

/* Slots beyond it were never used; a hostile value is bounded by the table. */
static uint32_t used(const _Atomic uint32_t *word, uint32_t max)
{
    uint32_t value = atomic_load_explicit(word, memory_order_acquire); /* E11 owner */
    return value < max ? value : max;
}

#define PUBLISHED_TRIES 1000u /* bounds what a hostile producer can keep us at */

struct sp_place sp_ring_published(const struct sp_ring *ring)
{
    struct sp_place place = sp_ring_tail(ring);
    uint32_t tries = 0;

    if (ring->mode == SPATE_MODE_EXCLUSIVE)
        return place;
    for (uint32_t i = 0, n = used(&ring->header->producers_used, ring->producers_max); i < n; i++) {
        const struct sp_producer_slot *slot = &ring->producers[i];
        uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
        if ((claim & SP_PHASE_MASK) == SP_PHASE_IDLE ||
            (claim & SP_PHASE_MASK) == SP_PHASE_BIASED || /* the tail is behind its records */
            (claim & ~(uint64_t)SP_PHASE_MASK) >= place.position)
            continue;
        struct sp_place claimed = {claim & ~(uint64_t)SP_PHASE_MASK, 0};
        claimed.offset = atomic_load_explicit(&slot->offset, memory_order_acquire); /* E4 slot */
        SP_HOOK("published:slot");
        bool is_stale = (claim & SP_PHASE_MASK) == SP_PHASE_INTENT && sp_ring_is_committed(ring, claimed); /* another was quicker */
        if (atomic_load_explicit(&slot->claim, memory_order_acquire) != claim) { /* E4 slot: position and offset belong together */
            /* an INTENT that became a claim is still in the way. It ends: whoever claims anew claims from a later tail */
            i -= tries++ < PUBLISHED_TRIES ? 1 : 0;
        } else if (!is_stale) {
            place = claimed;
        }
    }
    return place;
}

uint64_t sp_ring_frontier(const struct sp_ring *ring, struct sp_place tail, struct sp_blocker *ret_blocker)
{
    struct sp_blocker blocker = {SP_BLOCKER_NONE, 0, tail.position};

    if (ring->mode == SPATE_MODE_CONCURRENT) {
        for (uint32_t i = 0, n = used(&ring->header->producers_used, ring->producers_max); i < n; i++) {
            const struct sp_producer_slot *slot = &ring->producers[i];
            uint64_t claim = atomic_load_explicit(&slot->claim, memory_order_acquire); /* E4 slot */
            uint64_t position = claim & ~(uint64_t)SP_PHASE_MASK;
            if ((claim & SP_PHASE_MASK) == SP_PHASE_IDLE || position >= blocker.position)
                continue;
            blocker = (struct sp_blocker){SP_BLOCKER_PRODUCER, i, position};
        }
    }
    for (uint32_t i = 0, n = used(&ring->cursors->consumers_used, ring->consumers_max); i < n; i++) {
        const struct sp_cursor *cursor = &ring->cursors->slots[i];
        if (sp_cursor_state(atomic_load_explicit(&cursor->state, memory_order_acquire)) != SP_CURSOR_ACTIVE || /* E12 evict */
            cursor->policy != SPATE_POLICY_GATE)
            continue;
        uint64_t position = atomic_load_explicit(&cursor->read_position, memory_order_acquire); /* E2 release */
        /* A gate more than a ring behind the tail is on its way back to where it was (sp_reader_put_back), or damaged: nobody goes on
         * until that is decided, by itself or by its eviction (sp_producer_rescue). */
        if (position < blocker.position && tail.position - position > ring->capacity)
            position = tail.position - ring->capacity;
        if (position < blocker.position)
            blocker = (struct sp_blocker){SP_BLOCKER_CONSUMER, i, position};
    }
    if (ring->is_durable) {
        uint64_t position = atomic_load_explicit(&ring->header->log.written, memory_order_acquire); /* E15 log gate */
        if (position < blocker.position)
            blocker = (struct sp_blocker){SP_BLOCKER_LOG, 0, position};
    }
    if (ret_blocker)
        *ret_blocker = blocker;
    return blocker.position;
}
