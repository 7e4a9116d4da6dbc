/* extent.c: stretches of committed records, and the log's words in the ring header; see extent.h.
 *
 * Most records are like the one before, of the same size; they are counted without being decoded, as a reader does. Called by the daemon;
 * the words also by producers and consumers that wait for them. */
#include "ring/extent.h"

#include <string.h>

#include "base/align.h"
#include "base/arch.h"
#include "base/hook.h"
#include "ring/record.h"

/* All of it is copied next, and lies in the producer's cache or in memory: asked for some way ahead. */
#define AHEAD 4096u
#define AHEAD_MOST 4096u

static void note_timestamp(struct sp_extent *extent, const uint8_t *record)
{
    int64_t timestamp;

    memcpy(&timestamp, record + SP_RECORD_HEADER_SIZE, sizeof timestamp);
    if (extent->first_timestamp == 0)
        extent->first_timestamp = timestamp;
    if (timestamp > extent->last_timestamp)
        extent->last_timestamp = timestamp;
}

/* Records from extent->end on that have the second word `word`, and so the same size. */
static void take_alike(const struct sp_ring *ring, uint64_t word, uint64_t size, uint64_t size_max, struct sp_extent *extent)
{
    const bool has_timestamp = sp_word_flags(word) & SP_RECORD_TIMESTAMP;
    uint64_t stamp = sp_stamp(extent->end.offset, ring->salt);
    const uint8_t *at = (const uint8_t *)sp_ring_record(ring, extent->end.position);
    const uint64_t room = size_max > extent->size ? (size_max - extent->size) / size : 0;
    /* from inside the first half, half a ring ahead lies before the end of the mirror */
    const uint64_t most = sp_min(room, ring->capacity / 2 / size);
    uint64_t n = 0;

    for (; n < most; n++) {
        const struct sp_record_header *header = (const struct sp_record_header *)(const void *)at;
        /* E1 commit */
        if (atomic_load_explicit(&header->stamp, memory_order_acquire) != stamp ||
            atomic_load_explicit(&header->word, memory_order_relaxed) != word) /* relaxed: behind the acquire of the stamp */
            break;
        if (has_timestamp)
            note_timestamp(extent, at);
        for (uint64_t ahead = 0; ahead < size && ahead < AHEAD_MOST; ahead += 64)
            __builtin_prefetch(at + AHEAD + ahead, 0, 2);
        at += size;
        stamp += SP_STAMP_STEP;
    }
    extent->end.position += n * size;
    extent->end.offset += n;
    extent->records += n;
    extent->size += n * size;
}

void sp_ring_extent(const struct sp_ring *ring, struct sp_place place, uint64_t size_max, struct sp_extent *ret)
{
    /* one ring: from inside the first half of the mapping it ends before the mirror does, whatever a hostile producer wrote */
    const uint64_t most = sp_min(size_max, ring->capacity);

    *ret = (struct sp_extent){.end = place};
    while (sp_ring_is_committed(ring, ret->end)) {
        const struct sp_record_header *header = sp_ring_record(ring, ret->end.position);
        const uint64_t word = atomic_load_explicit(&header->word, memory_order_relaxed); /* relaxed: behind the stamp's acquire */
        struct spate_record record;
        uint32_t count = 1;
        uint64_t size = sp_record_decode((const uint8_t *)header, word, ring->record_size_max, 1u << ring->unit_shift, &record);
        const bool is_data = size != 0;

        if (!is_data && (!sp_aborted_decode(word, ring->capacity, ring->unit_shift, &size, &count) || size > UINT32_MAX / 2 ||
                         count > size / SP_RECORD_HEADER_SIZE)) {
            ret->is_damaged = true;
            return;
        }
        if (ret->size != 0 && ret->size + size > most) {
            ret->is_full = true;
            return;
        }
        if (is_data && sp_word_flags(word) & SP_RECORD_TIMESTAMP)
            note_timestamp(ret, (const uint8_t *)header);
        ret->end.position += size;
        ret->end.offset += count;
        ret->size += size;
        ret->records += is_data;
        if (is_data && !(sp_word_flags(word) & SP_RECORD_HEADERS)) /* headers have sizes of their own */
            take_alike(ring, word, size, most, ret);
    }
}

/* ------------------------------------------------------------------------------------------------------- the log's words */

struct mark {
    _Atomic uint64_t *position, *offset;
};

static struct mark mark_of(const struct sp_ring *ring, enum sp_mark_kind kind)
{
    struct sp_log_words *log = &ring->header->log;
    switch (kind) {
    case SP_LOG_WRITTEN: return (struct mark){&log->written, &log->written_offset};
    case SP_LOG_DURABLE: return (struct mark){&log->durable, &log->durable_offset};
    default: return (struct mark){&log->replicated, &log->replicated_offset};
    }
}

bool sp_log_advance(struct sp_ring *ring, enum sp_mark_kind kind, struct sp_place place)
{
    const struct mark mark = mark_of(ring, kind);

    atomic_store_explicit(mark.offset, place.offset, memory_order_release);     /* E16 watermark */
    atomic_store_explicit(mark.position, place.position, memory_order_release); /* E15 log gate */
    atomic_thread_fence(memory_order_seq_cst);                                  /* E16 watermark */
    /* relaxed: ordered by the fence */
    return atomic_load_explicit(&ring->header->wanted.notice, memory_order_relaxed) & SP_NOTICE;
}

bool sp_log_return(struct sp_ring *ring, struct sp_place place)
{
    const struct sp_place before = sp_log_place(ring, SP_LOG_WRITTEN);

    (void)sp_log_advance(ring, SP_LOG_WRITTEN, place); /* E6 gate: ends in a seq_cst fence */
    SP_HOOK("log_return:lowered");
    /* E6 gate */
    if (atomic_load_explicit(&ring->header->reserved, memory_order_acquire) - place.position <= ring->capacity)
        return true;
    (void)sp_log_advance(ring, SP_LOG_WRITTEN, before); /* what lies behind it was kept all the time */
    return false;
}

uint64_t sp_log_offset(const struct sp_ring *ring, enum sp_mark_kind kind)
{
    return atomic_load_explicit(mark_of(ring, kind).offset, memory_order_acquire); /* E16 watermark */
}

struct sp_place sp_log_place(const struct sp_ring *ring, enum sp_mark_kind kind)
{
    const struct mark mark = mark_of(ring, kind);
    return (struct sp_place){
        .position = atomic_load_explicit(mark.position, memory_order_acquire), /* E16 watermark */
        .offset = atomic_load_explicit(mark.offset, memory_order_acquire),     /* E16 watermark */
    };
}

void sp_log_state_set(struct sp_ring *ring, uint64_t owner, enum sp_log_state state, int error)
{
    struct sp_log_words *log = &ring->header->log;
    atomic_store_explicit(&log->error, (uint32_t)error, memory_order_relaxed); /* relaxed: published by the state */
    atomic_store_explicit(&log->owner, owner, memory_order_release);           /* E11 owner */
    atomic_store_explicit(&log->state, state, memory_order_release);           /* E11 owner */
}

enum sp_log_state sp_log_state(const struct sp_ring *ring, int *ret_error)
{
    const struct sp_log_words *log = &ring->header->log;
    const uint32_t state = atomic_load_explicit(&log->state, memory_order_acquire); /* E11 owner */
    if (ret_error)
        *ret_error = (int)atomic_load_explicit(&log->error, memory_order_relaxed); /* relaxed: behind the state's acquire */
    return state <= SP_LOG_FAILED ? (enum sp_log_state)state : SP_LOG_FAILED;
}

static void raise(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed); /* relaxed: only the CAS decides */
    /* E16 watermark; relaxed: on failure it is compared again */
    while (old < value && !atomic_compare_exchange_weak_explicit(word, &old, value, memory_order_acq_rel, memory_order_relaxed)) {
    }
}

void sp_log_start_set(struct sp_ring *ring, uint64_t offset)
{
    raise(&ring->header->log.start_offset, offset);
}

uint64_t sp_log_start(const struct sp_ring *ring)
{
    return atomic_load_explicit(&ring->header->log.start_offset, memory_order_acquire); /* E16 watermark */
}

static _Atomic uint64_t *wanted_of(const struct sp_ring *ring, enum sp_mark_kind kind)
{
    return kind == SP_LOG_WRITTEN ? &ring->header->wanted.written : &ring->header->wanted.durable;
}

void sp_log_want(struct sp_ring *ring, enum sp_mark_kind kind, uint64_t offset)
{
    raise(wanted_of(ring, kind), offset);
}

uint64_t sp_log_wanted(const struct sp_ring *ring, enum sp_mark_kind kind)
{
    return atomic_load_explicit(wanted_of(ring, kind), memory_order_acquire); /* E16 watermark */
}

void sp_log_want_start(struct sp_ring *ring, uint64_t offset)
{
    raise(&ring->header->wanted.start, offset);
}

uint64_t sp_log_wanted_start(const struct sp_ring *ring)
{
    return atomic_load_explicit(&ring->header->wanted.start, memory_order_acquire); /* E16 watermark */
}
