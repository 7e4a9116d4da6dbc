/* reader.c: poll, release, placing. The protocol and the E-edges are in ring.h.
 *
 * Runs in the consumer's thread, on the hot path. No system calls; ring memory is mapped read-only here. */
#include "ring/reader.h"

#include <errno.h>

#include "base/arch.h"
#include "base/hook.h"
#include "ring/record.h"

void sp_reader_init(struct sp_reader *reader, const struct sp_ring *ring, struct sp_cursor *cursor, bool gate, int32_t partition)
{
    *reader = (struct sp_reader){.ring = ring,
                                 .data = ring->data,
                                 .mask = ring->mask,
                                 .salt = ring->salt,
                                 .cursor = cursor,
                                 .gate = gate,
                                 .discard_before = INT64_MIN,
                                 .partition = partition};
}

/* Bytes from `position` on may have been overwritten; a fence came before. */
static bool is_announced(const struct sp_reader *reader, uint64_t position)
{
    uint64_t reserved = atomic_load_explicit(&reader->ring->header->reserved, memory_order_relaxed); /* relaxed: behind the fence */
    return (int64_t)(reserved - position) > (int64_t)reader->ring->capacity;
}

bool sp_reader_is_lapped(const struct sp_reader *reader, uint64_t position)
{
    /* E5 announce, E12 evict: the reads before are done, and if one of them saw an overwriting byte, the loads below see why */
    atomic_thread_fence(memory_order_acquire);
    if (reader->gate)
        return atomic_load_explicit(&reader->cursor->state, memory_order_relaxed) != reader->active; /* relaxed: fence above */
    return is_announced(reader, position);
}

static void skip(struct sp_reader *reader, uint64_t size, uint64_t count)
{
    reader->next.position += size;
    reader->next.offset += count;
}

void sp_reader_skip_dead(struct sp_reader *reader, uint64_t size, uint64_t count)
{
    skip(reader, size, count);
    sp_count(&reader->cursor->counters[SP_CONSUMER_ABORTED], count);
    sp_count(&reader->cursor->counters[SP_CONSUMER_VERDICTS], 1);
}

/* A record that the seek asked to leave out. */
static bool discard(struct sp_reader *reader, const struct spate_record *record)
{
    if (reader->next.offset < reader->discard_below)
        return true;
    if (record->timestamp < reader->discard_before)
        return true;
    reader->discard_before = INT64_MIN;
    return false;
}

int sp_reader_poll(struct sp_reader *reader, struct spate_record *records, uint32_t max)
{
    const struct sp_ring *ring = reader->ring;
    const uint32_t unit = 1u << ring->unit_shift;
    const struct sp_place start = reader->next;
    const uint64_t end = start.position + 2 * ring->capacity; /* bounds what a hostile producer can keep us at */
    uint64_t bytes = 0, aborted = 0;
    uint32_t n = 0;
    bool damaged = false;

    reader->first = start;
    reader->first_discard_before = reader->discard_before;
    while (n < max && reader->next.position < end) {
        const uint8_t *at = reader->data + (reader->next.position & reader->mask);
        const struct sp_record_header *header = (const struct sp_record_header *)(const void *)at;
        /* E1 commit */
        if (atomic_load_explicit(&header->stamp, memory_order_acquire) != sp_stamp(reader->next.offset, reader->salt))
            break;
        uint64_t word = atomic_load_explicit(&header->word, memory_order_relaxed); /* relaxed: behind the acquire of the stamp */
        struct spate_record *record = &records[n];
        uint64_t size = sp_record_decode(at, word, ring->record_size_max, unit, record);
        if (SP_UNLIKELY(size == 0)) {
            uint32_t count;
            if (!sp_aborted_decode(word, ring->capacity, ring->unit_shift, &size, &count)) {
                damaged = true;
                break;
            }
            skip(reader, size, count);
            aborted += count;
            continue;
        }
        record->offset = (int64_t)reader->next.offset;
        record->partition = reader->partition;
        if (SP_LIKELY(!discard(reader, record))) {
            bytes += size;
            n++;
        }
        skip(reader, size, 1);
    }
    if (SP_UNLIKELY(sp_reader_is_lapped(reader, start.position))) {
        sp_reader_rewind(reader); /* also the search: garbage may have ended it */
        return -EOVERFLOW;
    }
    if (SP_UNLIKELY(aborted != 0))
        sp_count(&reader->cursor->counters[SP_CONSUMER_ABORTED], aborted);
    if (SP_UNLIKELY(damaged && n == 0))
        return -EBADMSG;
    if (n) {
        sp_count(&reader->cursor->counters[SP_CONSUMER_RECORDS], n);
        sp_count(&reader->cursor->counters[SP_CONSUMER_BYTES], bytes);
    }
    return (int)n;
}

void sp_reader_rewind(struct sp_reader *reader)
{
    reader->next = reader->first;
    reader->discard_before = reader->first_discard_before;
}

void sp_reader_release(struct sp_reader *reader)
{
    struct sp_cursor *cursor = reader->cursor;
    /* relaxed: our own word; and the offset is for people, it may be seen beside an older position */
    if (atomic_load_explicit(&cursor->read_position, memory_order_relaxed) == reader->next.position)
        return;
    atomic_store_explicit(&cursor->read_offset, reader->next.offset, memory_order_relaxed);
    atomic_store_explicit(&cursor->read_position, reader->next.position, memory_order_release); /* E2 release */
}

int sp_reader_place(struct sp_reader *reader, struct sp_place place, bool *ret_evicted)
{
    struct sp_cursor *cursor = reader->cursor;
    const uint32_t before = reader->active;

    SP_HOOK("place:chosen");
    atomic_store_explicit(&cursor->read_offset, place.offset, memory_order_relaxed);     /* relaxed: for people */
    atomic_store_explicit(&cursor->read_position, place.position, memory_order_release); /* E2 release */
    SP_HOOK("place:stored");
    /* relaxed: only the exchange decides; the other writer is an evictor, who leaves the generation as it is */
    reader->active = sp_cursor_next(atomic_load_explicit(&cursor->state, memory_order_relaxed), SP_CURSOR_ACTIVE);
    uint32_t old = atomic_exchange_explicit(&cursor->state, reader->active, memory_order_acq_rel); /* E12 evict */
    atomic_thread_fence(memory_order_seq_cst);                                                     /* E6 gate */
    if (old != before)
        reader->holds = false;
    if (ret_evicted && sp_cursor_state(old) == SP_CURSOR_EVICTED)
        *ret_evicted = true;
    /* A gate that goes forward from a place that it holds needs no leave: more may be announced than it allows, by somebody who did
     * not see it before and does at his second look (E6), but nothing is written there. */
    bool is_kept = reader->holds && place.position >= reader->first.position;
    if (!is_kept && is_announced(reader, place.position))
        return -EOVERFLOW;
    reader->holds = reader->gate;
    reader->next = reader->first = place;
    reader->first_discard_before = reader->discard_before;
    return 0;
}

bool sp_reader_keeps(const struct sp_reader *reader)
{
    return reader->holds && !sp_reader_is_lapped(reader, reader->first.position);
}

void sp_reader_put_back(struct sp_reader *reader, bool evicted)
{
    struct sp_cursor *cursor = reader->cursor;

    atomic_store_explicit(&cursor->read_offset, reader->first.offset, memory_order_relaxed);     /* relaxed: for people */
    atomic_store_explicit(&cursor->read_position, reader->first.position, memory_order_release); /* E2 release */
    if (evicted)
        atomic_store_explicit(&cursor->state, sp_cursor_word(reader->active, SP_CURSOR_EVICTED),
                              memory_order_release); /* E12 evict */
}
