/* mark.c: record boundaries that readers may start from, one per chunk of the ring.
 *
 * Records can be walked forward only. So a producer that enters a new chunk writes down where its first record there begins:
 * marks[chunk number % marks_count] = (position, offset). A mark is only a hint: whoever uses it checks that the stamp at the
 * position belongs to the offset. That is not enough to tell a mark of which half was renewed: a lap later the same chunk may
 * begin at the same index, where the old stamp still lies. So the second word is the offset mixed with the position, and an
 * old half beside a new one gives an offset that no stamp has. Racing writers, dead ones and bit flips thus make marks that
 * are not used. Mark 0 of a fresh ring is (0, 0), which needs no stamp.
 *
 * Called by producers (write) and by whoever opens, seeks, dumps or verifies (find). Any thread. */
#include "ring/ring.h"

static uint64_t mix(uint64_t position)
{
    return position * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: positions a ring apart give offsets that are far apart */
}

void sp_mark_format(struct sp_ring_header *header, uint64_t marks_count, struct sp_place place)
{
    struct sp_mark *mark = &header->marks[place.position / header->chunk_size % marks_count];

    atomic_init(&mark->position, place.position);
    atomic_init(&mark->offset, place.offset + mix(place.position));
}

void sp_mark_write(struct sp_ring *ring, struct sp_place place)
{
    uint64_t chunk = place.position / ring->chunk_size;
    struct sp_mark *mark = &ring->header->marks[chunk % ring->marks_count];
    uint64_t old = atomic_load_explicit(&mark->position, memory_order_relaxed); /* relaxed: only the CAS decides */

    if (old / ring->chunk_size == chunk)
        return; /* somebody marked this chunk already (or it is chunk 0, marked by creation) */
    /* relaxed: position and offset are published together by the release store of the offset */
    if (atomic_compare_exchange_strong_explicit(&mark->position, &old, place.position, memory_order_relaxed, memory_order_relaxed))
        atomic_store_explicit(&mark->offset, place.offset + mix(place.position), memory_order_release); /* E9 mark */
}

bool sp_mark_load(const struct sp_ring *ring, uint32_t index, uint64_t lowest, struct sp_place *ret)
{
    const struct sp_mark *mark = &ring->header->marks[index];
    struct sp_place place;

    place.offset = atomic_load_explicit(&mark->offset, memory_order_acquire); /* E9 mark */
    /* relaxed: ordered behind the load of the offset by its acquire; checked by the stamp below */
    place.position = atomic_load_explicit(&mark->position, memory_order_relaxed);
    place.offset -= mix(place.position);
    if (place.position < lowest || place.position / ring->chunk_size % ring->marks_count != index ||
        (place.position & (((uint64_t)1 << ring->unit_shift) - 1)) != 0)
        return false;
    if (!sp_ring_is_committed(ring, place))
        return false;
    *ret = place;
    return true;
}

struct sp_place sp_mark_oldest(const struct sp_ring *ring, uint64_t lowest)
{
    struct sp_place best = sp_ring_tail(ring);

    if (lowest == 0)
        return (struct sp_place){0, 0};
    for (uint32_t i = 0; i < ring->marks_count; i++) {
        struct sp_place place;
        if (sp_mark_load(ring, i, lowest, &place) && place.position < best.position)
            best = place;
    }
    return best;
}

struct sp_place sp_mark_before(const struct sp_ring *ring, uint64_t lowest, uint64_t offset)
{
    struct sp_place best = sp_mark_oldest(ring, lowest);

    for (uint32_t i = 0; i < ring->marks_count; i++) {
        struct sp_place place;
        if (sp_mark_load(ring, i, lowest, &place) && place.offset <= offset && place.offset > best.offset)
            best = place;
    }
    return best;
}
