/* verify_walk.c: the invariants of a ring's records, found by walking all of them.
 *
 * Part of spate_verify. Every place from the oldest to the tail is committed, aborted, claimed by a producer slot, or a claim
 * whose owner is dead; offsets are dense; each record makes sense; the walk ends exactly at the tail; and marks lie on
 * boundaries. On a live ring producers may overtake the walk, which then goes on at what is oldest. */
#include <string.h>

#include "bus/verify.h"
#include "bus/walk.h"
#include "ring/record.h"

#define LOOKS 3
#define REPORTS_MAX 32u /* per ring and walk: more of the same helps nobody */

struct verify_walk {
    struct sp_verify *verify;
    const struct sp_ring *ring;
    struct sp_walk walk;
    struct sp_place marks[SP_MARKS]; /* those that readers would use; offset UINT64_MAX: none, or found on a boundary */
    uint32_t reports;
    bool is_damaged;
};

/* The next item. Damage is looked at three times: what is being written has a moment to become what it will be. */
static bool step(struct verify_walk *w, struct sp_walk_item *ret)
{
    struct sp_walk before = w->walk;

    for (int look = 1;; look++) {
        if (!sp_walk_next(&w->walk, ret))
            return false;
        if (ret->state != SPATE_RECORD_DAMAGED || look == LOOKS)
            return true;
        sp_verify_nap(w->verify);
        w->walk = before;
    }
}

static bool may_report(struct verify_walk *w, const struct sp_walk_item *item)
{
    return !sp_walk_is_lapped(&w->walk, item->place.position) && w->reports++ < REPORTS_MAX;
}

static void report_damage(struct verify_walk *w, const struct sp_walk_item *item)
{
    const uint64_t stamped = sp_stamp_offset(item->stamp, w->ring->salt);
    const unsigned long long position = item->place.position, offset = item->place.offset,
                             size = item->next.position - item->place.position;

    w->is_damaged = true;
    if (!may_report(w, item))
        return;
    if (item->is_misshapen)
        sp_verify_report(w->verify, "record-shape", "position %llu, offset %llu: header word %016llx fits no record", position,
                         offset, (unsigned long long)item->word);
    else if (stamped > item->place.offset && stamped < w->walk.end.offset)
        sp_verify_report(w->verify, "offsets-dense", "position %llu: offset %llu expected, the record there has %llu", position,
                         offset, (unsigned long long)stamped);
    else
        sp_verify_report(w->verify, "place-owned",
                         "position %llu, offset %llu: %llu bytes are neither committed, aborted nor claimed (stamp %016llx)",
                         position, offset, size, (unsigned long long)item->stamp);
}

static bool record_flags(const struct verify_walk *w, const struct sp_walk_item *item)
{
    const uint32_t flags = sp_word_flags(item->word);
    (void)w;
    return ((flags & SP_RECORD_KEY) || sp_word_key_size(item->word) == 0) &&
           (!(flags & SP_RECORD_NULL_VALUE) || sp_word_value_size(item->word) == 0);
}

static bool record_timestamp(const struct verify_walk *w, const struct sp_walk_item *item)
{
    return ((sp_word_flags(item->word) & SP_RECORD_TIMESTAMP) != 0) == (w->ring->timestamp != SPATE_TIMESTAMP_NONE);
}

static bool record_headers(const struct verify_walk *w, const struct sp_walk_item *item)
{
    const struct spate_record *record = &item->record;
    struct spate_header last;
    (void)w;
    return !(sp_word_flags(item->word) & SP_RECORD_HEADERS) ||
           (record->headers_count > 0 && sp_record_headers_decode(record->headers_block, record->headers_block_size,
                                                                  record->headers_count, record->headers_count - 1, &last) == 0);
}

static const struct {
    const char *name;
    bool (*holds)(const struct verify_walk *, const struct sp_walk_item *);
    const char *text;
} record_rules[] = {
    {"record-flags", record_flags, "a key or value where the flags say that there is none"},
    {"record-timestamp", record_timestamp, "a timestamp on a topic without, or none on a topic with"},
    {"record-headers", record_headers, "its headers do not fit their block"},
};

#define RECORD_RULES (sizeof record_rules / sizeof record_rules[0])
#define WALK_RULES 6u /* record-shape, offsets-dense, place-owned, walk-start, walk-end, mark-boundary */

static void verify_record(struct verify_walk *w, const struct sp_walk_item *item)
{
    for (size_t i = 0; i < RECORD_RULES; i++)
        if (!record_rules[i].holds(w, item) && may_report(w, item))
            sp_verify_report(w->verify, record_rules[i].name, "position %llu, offset %llu: %s (header word %016llx)",
                             (unsigned long long)item->place.position, (unsigned long long)item->place.offset, record_rules[i].text,
                             (unsigned long long)item->word);
}

static void load_marks(struct verify_walk *w)
{
    for (uint32_t i = 0; i < SP_MARKS; i++)
        if (i >= w->ring->marks_count || !sp_mark_load(w->ring, i, 0, &w->marks[i]))
            w->marks[i] = (struct sp_place){0, UINT64_MAX};
}

/* Marks that readers would begin at, but the walk passed over. */
static void verify_marks(struct verify_walk *w, struct sp_place start, struct sp_place reached)
{
    for (uint32_t i = 0; i < SP_MARKS; i++) {
        const struct sp_walk_item item = {.place = w->marks[i]};
        if (w->marks[i].offset != UINT64_MAX && w->marks[i].position > start.position && w->marks[i].position < reached.position &&
            may_report(w, &item))
            sp_verify_report(w->verify, "mark-boundary", "mark %u: at position %llu, offset %llu no record begins", i,
                             (unsigned long long)w->marks[i].position, (unsigned long long)w->marks[i].offset);
    }
}

/* With half a ring behind the tail and no claim open there is a place to begin at. */
static bool has_start(const struct verify_walk *w)
{
    const struct sp_ring *ring = w->ring;

    if (w->walk.next.position < w->walk.end.position || w->walk.end.position == 0)
        return true;
    if (w->walk.is_laid && w->walk.end.position - sp_ring_oldest_position(ring) < ring->capacity / 2)
        return true;
    for (uint32_t i = 0; i < ring->producers_max; i++)
        if (atomic_load_explicit(&ring->producers[i].claim, memory_order_acquire) != SP_PHASE_IDLE) /* E4 slot */
            return true;
    return false;
}

static void begin(struct verify_walk *w)
{
    for (int look = 1;; look++) {
        load_marks(w);
        sp_walk_begin(&w->walk, w->ring, sp_bus_liveness(w->verify->bus));
        if (has_start(w))
            return;
        if (look == LOOKS)
            break;
        sp_verify_nap(w->verify);
    }
    sp_verify_report(w->verify, "walk-start",
                     "tail at position %llu, but neither a mark nor a stamp below it: the records are gone",
                     (unsigned long long)w->walk.end.position);
}

static void count(struct sp_verify *verify, const struct sp_walk_item *item)
{
    if (item->state == SPATE_RECORD_COMMITTED)
        verify->result.records++;
    else if (item->state == SPATE_RECORD_ABORTED || item->is_dead)
        verify->result.aborted += item->next.offset - item->place.offset;
}

void sp_verify_walk(struct sp_verify *verify, const struct sp_subject *subject)
{
    struct verify_walk w = {.verify = verify, .ring = subject->ring};
    struct sp_walk_item item;

    verify->result.rules_checked += WALK_RULES + RECORD_RULES;
    begin(&w);
    const struct sp_place start = w.walk.next;
    struct sp_place reached = start;
    while (!verify->stopped && step(&w, &item)) {
        struct sp_place *mark = &w.marks[item.place.position / w.ring->chunk_size % w.ring->marks_count];
        if (mark->position == item.place.position && mark->offset == item.place.offset)
            mark->offset = UINT64_MAX;
        count(verify, &item);
        if (item.state == SPATE_RECORD_COMMITTED)
            verify_record(&w, &item);
        else if (item.state == SPATE_RECORD_DAMAGED)
            report_damage(&w, &item);
        reached = item.next;
    }
    if (verify->stopped || w.is_damaged)
        return;
    /* not when producers overtook the walk, and what is oldest now lies behind its end */
    if (w.walk.next.position == reached.position &&
        (reached.position != w.walk.end.position || reached.offset != w.walk.end.offset))
        sp_verify_report(verify, "walk-end", "the records end at position %llu, offset %llu, the tail is at %llu, %llu",
                         (unsigned long long)reached.position, (unsigned long long)reached.offset,
                         (unsigned long long)w.walk.end.position, (unsigned long long)w.walk.end.offset);
    verify_marks(&w, start, reached);
}
