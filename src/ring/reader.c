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
                                 .memory_end = UINT64_MAX,
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

/* Where the next record begins. As numbers: what lies elsewhere than in the ring has a base that wraps (sp_reader_open_memory). */
static inline const uint8_t *next_record(const struct sp_reader *reader)
{
    return (const uint8_t *)((uintptr_t)reader->data + (uintptr_t)(reader->next.position & reader->mask));
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

/* STREAMING. A consumer that keeps up with a fast producer does harm: it looks at the very line that is to be written next, its hardware
 * prefetcher pulls those behind it, and the producer has to fetch each of them back before it can go on (a line that is missing stops all
 * later stores). So, when much comes at once, it stays behind: it goes by the tail word, keeps a distance to it, and looks at it
 * again only
 * after a rest (sp_consumer's, in bus/poll.c), until nothing comes any more. Whoever waits for a lone record never gets here.
 * Measured: keeping up 20-40 M records/s, streaming 75 (two far cores; 64-byte values). */
#define STREAM_BEGINS 32u /* records found lately at looks that found MANY, before it is taken for a stream */
#define MANY 4u           /* records at one look: a round trip brings one, and so does any rate below 20 M/s */
#define DISTANCE 2048u    /* bytes: as far as prefetchers run ahead */
#define FAR_BEHIND 8192u  /* bytes: who has so much to read need not rest before it looks again */

/* Goes by the tail word, which in exclusive mode says what is committed; in concurrent mode the stamps do. */
static bool look_ahead(struct sp_reader *reader)
{
    const struct sp_ring *ring = reader->ring;
    const uint64_t here = sp_tail_pack(reader->next.position >> ring->unit_shift, reader->next.offset);
    uint64_t tail = atomic_load_explicit(&ring->header->tail, memory_order_acquire); /* E3 claim */
    uint64_t ahead = (tail - here) >> SP_TAIL_RECORD_BITS << ring->unit_shift;       /* huge where the tail lags behind us */

    if (ahead > ring->capacity || ahead <= DISTANCE)
        return false;
    reader->known = reader->next.position + ahead - DISTANCE;
    reader->must_rest = ahead < FAR_BEHIND;
    return true;
}

/* Where a poll ends: `end`, or nearer in a stream; 0: it is not the time to look. */
static uint64_t stream_end(struct sp_reader *reader, uint64_t end, bool is_patient)
{
    if (!reader->streaming || (int64_t)(reader->known - reader->next.position) > 0)
        return reader->streaming ? reader->known : end;
    if (is_patient && reader->must_rest) {
        reader->must_rest = false;
        return 0;
    }
    if (look_ahead(reader))
        return reader->known;
    if (is_patient)
        return 0;
    reader->streaming = false;
    reader->haste = 0;
    return end;
}

/* A reader that was told to go no further than a watermark. */
static uint64_t bound(const struct sp_reader *reader, uint64_t end)
{
    if (SP_LIKELY(!reader->watermark))
        return end;
    const uint64_t position = atomic_load_explicit(reader->watermark, memory_order_acquire); /* E16 watermark */
    return (int64_t)(position - end) < 0 ? position : end;
}

/* A stream is noticed by how much is found at a look. */
static void notice_haste(struct sp_reader *reader, uint32_t found)
{
    if (reader->streaming)
        return;
    reader->haste = found >= MANY ? reader->haste + found : reader->haste / 2;
    if (reader->haste >= STREAM_BEGINS) {
        reader->streaming = true;
        reader->known = reader->next.position;
    }
}

/* Records like the one before, as most are: nothing has to be decoded, and the processor need not wait for a size to know where the next
 * record is. Returns how many. */
static inline __attribute__((always_inline)) uint32_t take_shape(struct sp_reader *reader, struct spate_record *records,
                                                                 uint32_t max, uint64_t end, bool has_timestamp)
{
    const uint64_t word = reader->word, size = reader->size, head = reader->head;
    const uint64_t left = reader->memory_end - reader->next.position;
    const uint8_t *at = next_record(reader);
    /* from inside the first half, half a ring ahead lies before the end of the mirror; elsewhere all of the last record has to be there */
    const uint8_t *at_end =
        at + sp_min(sp_min(end - reader->next.position, reader->ring->capacity / 2), left < size ? 0 : left - size + 1);
    uint64_t offset = reader->next.offset, stamp = sp_stamp(offset, reader->salt);
    uint32_t n = 0;

    for (; n < max && at < at_end; n++) {
        const struct sp_record_header *header = (const struct sp_record_header *)(const void *)at;
        /* E1 commit */
        if (atomic_load_explicit(&header->stamp, memory_order_acquire) != stamp ||
            atomic_load_explicit(&header->word, memory_order_relaxed) != word) /* relaxed: behind the acquire of the stamp */
            break;
        records[n] = (struct spate_record){.value = at + SP_RECORD_HEADER_SIZE, .offset = (int64_t)offset};
        if (has_timestamp) {
            memcpy(&records[n].timestamp, records[n].value, sizeof records[n].timestamp);
            records[n].value = at + SP_RECORD_HEADER_SIZE + sizeof records[n].timestamp;
        }
        memcpy(&records[n], &head, sizeof head);
        at += size;
        offset++;
        stamp += SP_STAMP_STEP;
    }
    reader->next = (struct sp_place){reader->next.position + n * size, offset};
    return n;
}

static uint32_t take_alike(struct sp_reader *reader, struct spate_record *records, uint32_t max, uint64_t end)
{
    return sp_word_flags(reader->word) & SP_RECORD_TIMESTAMP ? take_shape(reader, records, max, end, true)
                                                             : take_shape(reader, records, max, end, false);
}

/* What one poll found. */
struct found {
    uint32_t n;
    uint64_t bytes, aborted;
    bool damaged;
};

/* One record, of whatever kind. Returns false when there is none, or it makes no sense. */
static bool take_one(struct sp_reader *reader, struct spate_record *record, struct found *found)
{
    const struct sp_ring *ring = reader->ring;
    const uint8_t *at = next_record(reader);
    const struct sp_record_header *header = (const struct sp_record_header *)(const void *)at;
    /* in the ring a mirror follows, elsewhere nothing */
    const uint64_t left = reader->memory_end - reader->next.position, size_max = sp_min(ring->record_size_max, left);

    if (size_max < SP_RECORD_HEADER_SIZE)
        return false;
    /* E1 commit */
    if (atomic_load_explicit(&header->stamp, memory_order_acquire) != sp_stamp(reader->next.offset, reader->salt))
        return false;
    uint64_t word = atomic_load_explicit(&header->word, memory_order_relaxed); /* relaxed: behind the acquire of the stamp */
    uint64_t size = sp_record_decode(at, word, size_max, 1u << ring->unit_shift, record);
    if (SP_UNLIKELY(size == 0)) {
        uint32_t count;
        /* elsewhere it may be from a ring that was larger than this one (bus/log_bus.c) */
        found->damaged = !sp_aborted_decode(word, reader->mask < left ? ring->capacity : left, ring->unit_shift, &size, &count);
        if (!found->damaged) {
            skip(reader, size, count);
            found->aborted += count;
        }
        return !found->damaged;
    }
    record->offset = (int64_t)reader->next.offset;
    record->partition = reader->partition;
    if (SP_LIKELY(!discard(reader, record))) {
        found->bytes += size;
        found->n++;
        const uint64_t plain = sp_record_word(record->value_size, 0, SP_RECORD_DATA);
        /* without key, headers, and a key size that has no key, as only hostile producers write it */
        if ((word & ~sp_record_word(0, 0, SP_RECORD_TIMESTAMP)) == plain) {
            reader->word = word;
            reader->size = size;
            reader->head = sp_record_head(record);
        }
    }
    skip(reader, size, 1);
    return true;
}

static bool is_discarding(const struct sp_reader *reader)
{
    return reader->next.offset < reader->discard_below || reader->discard_before != INT64_MIN;
}

static void take(struct sp_reader *reader, struct spate_record *records, uint32_t max, uint64_t end, struct found *found)
{
    reader->first = reader->next;
    reader->first_discard_before = reader->discard_before;
    while (found->n < max && reader->next.position < end) {
        if (SP_LIKELY(reader->word && !is_discarding(reader))) {
            const uint32_t alike = take_alike(reader, records + found->n, max - found->n, end);
            found->n += alike;
            found->bytes += alike * reader->size;
        }
        if (found->n == max || reader->next.position >= end || !take_one(reader, &records[found->n], found))
            break;
    }
}

static void count(struct sp_reader *reader, const struct found *found)
{
    if (SP_UNLIKELY(found->aborted != 0))
        sp_count(&reader->cursor->counters[SP_CONSUMER_ABORTED], found->aborted);
    if (found->n) {
        sp_count(&reader->cursor->counters[SP_CONSUMER_RECORDS], found->n);
        sp_count(&reader->cursor->counters[SP_CONSUMER_BYTES], found->bytes);
    }
}

void sp_reader_leave(struct sp_reader *reader)
{
    struct sp_cursor *cursor = reader->cursor;

    if (!reader->gate)
        return;
    reader->holds = false;
    /* relaxed: the generation is our own */
    reader->active = sp_cursor_next(atomic_load_explicit(&cursor->state, memory_order_relaxed), SP_CURSOR_EVICTED);
    atomic_store_explicit(&cursor->state, reader->active, memory_order_release); /* E12 evict: as if somebody had evicted it */
}

void sp_reader_open_memory(struct sp_reader *reader, const void *data, uint64_t size, struct sp_place begin, uint64_t stamp_salt)
{
    reader->data = (const uint8_t *)((uintptr_t)data - begin.position); /* so that data + position is where the record is */
    reader->mask = UINT64_MAX;
    reader->memory_end = begin.position + size;
    reader->salt = stamp_salt;
    reader->word = 0;
    reader->next = reader->first = begin;
    reader->streaming = false;
    reader->haste = 0;
}

void sp_reader_open_ring(struct sp_reader *reader)
{
    reader->data = reader->ring->data;
    reader->mask = reader->ring->mask;
    reader->memory_end = UINT64_MAX;
    reader->salt = reader->ring->salt;
    reader->word = 0;
}

int sp_reader_poll_memory(struct sp_reader *reader, struct spate_record *records, uint32_t max)
{
    const uint64_t end = reader->memory_end;
    struct found found = {0};

    take(reader, records, max, end, &found);
    if (reader->cursor)
        count(reader, &found);
    /* what ends before its memory does is no record */
    return found.n == 0 && (found.damaged || reader->next.position < end) ? -EBADMSG : (int)found.n;
}

int sp_reader_poll_patiently(struct sp_reader *reader, struct spate_record *records, uint32_t max, bool is_patient)
{
    const struct sp_place start = reader->next;
    /* two rings ahead: bounds what a hostile producer can keep us at */
    const uint64_t end = bound(reader, stream_end(reader, start.position + 2 * reader->ring->capacity, is_patient));
    struct found found = {0};

    take(reader, records, max, end, &found);
    if (SP_UNLIKELY(sp_reader_is_lapped(reader, start.position))) {
        sp_reader_rewind(reader); /* also the search: garbage may have ended it */
        return -EOVERFLOW;
    }
    count(reader, &found);
    if (SP_UNLIKELY(found.damaged && found.n == 0))
        return -EBADMSG;
    if (found.n)
        notice_haste(reader, found.n);
    return (int)found.n;
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

    reader->streaming = false;
    reader->haste = 0;
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
