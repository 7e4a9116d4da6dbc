/* fuzz_ring.h: one small ring for the fuzz targets, put back into the same state before each input, and everything that processes do to a
 * ring.
 *
 * Included by ring_fuzz.c and cursors_fuzz.c, each a program of its own, which is why the support source is included here as well: fuzz
 * targets are built from one file. The ring is in its second lap: records, a dead INTENT, a dead CLAIMED, a live claim, a gate and a skip
 * reader. */
#ifndef SP_TESTS_FUZZ_FUZZ_RING_H
#define SP_TESTS_FUZZ_FUZZ_RING_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "static_ring.c" /* support/ */

static struct static_ring fuzz_ring;
static struct sp_writer fuzz_writer;
static struct sp_reader fuzz_gate, fuzz_skip;
static uint8_t *intact_header, *intact_cursors, *intact_data;

static inline void fuzz_ring_build(void)
{
    static const uint8_t id[16] = "fuzz";
    struct static_ring_config config = static_ring_defaults;
    struct static_ring *s = &fuzz_ring;
    struct sp_writer dead[2], stuck;
    uint32_t sizes[3];
    char text[256];

    static_ring_open(s, &config);
    sp_file_header_format(&s->header->file, sp_ring_regions(config.producers_max, config.capacity, 4096).file_size, id, 1, 0, 4096);
    sp_file_header_seal(&s->header->file, SP_RING_MAGIC);
    sp_file_header_format(&s->cursors->file, sp_cursors_file_size(config.consumers_max, 4096), id, 1, 0, 4096);
    sp_file_header_seal(&s->cursors->file, SP_CURSORS_MAGIC);
    static_ring_attach_writer(s, &fuzz_writer);
    static_ring_attach_writer(s, &stuck);
    static_ring_attach_writer(s, &dead[0]);
    static_ring_attach_writer(s, &dead[1]);
    static_ring_attach_reader(s, &fuzz_skip, SPATE_POLICY_SKIP, (struct sp_place){0, 0});
    static_ring_attach_reader(s, &fuzz_gate, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    while (sp_ring_tail(&s->ring).position < config.capacity + 3000) {
        static_ring_publish(&fuzz_writer, 1000, NULL);
        static_ring_story(s, &fuzz_gate, text, sizeof text);
    }
    struct sp_place place;
    static_ring_claim(&dead[0], 100, &place);
    static_ring_publish(&fuzz_writer, 30, NULL);
    static_ring_claim_batch(&dead[1], 50, 3, sizes, NULL);
    static_ring_claim(&stuck, 64, NULL);
    atomic_store(&dead[0].slot->claim, place.position | SP_PHASE_INTENT);
    static_ring_kill_writer(s, &dead[0]);
    static_ring_kill_writer(s, &dead[1]);
    static_ring_publish(&fuzz_writer, 3, NULL);
    intact_header = malloc(s->header_size);
    intact_cursors = malloc(s->cursors_size);
    intact_data = malloc(config.capacity);
    if (!intact_header || !intact_cursors || !intact_data)
        abort();
    memcpy(intact_header, s->header, s->header_size);
    memcpy(intact_cursors, s->cursors, s->cursors_size);
    memcpy(intact_data, s->data, config.capacity);
}

static inline void fuzz_ring_restore(void)
{
    if (!intact_header)
        fuzz_ring_build();
    memcpy(fuzz_ring.header, intact_header, fuzz_ring.header_size);
    memcpy(fuzz_ring.cursors, intact_cursors, fuzz_ring.cursors_size);
    memcpy(fuzz_ring.data, intact_data, fuzz_ring.ring.capacity);
}

static inline void fuzz_touch(const void *bytes, uint32_t size)
{
    if (bytes && size) {
        __asm__ volatile("" : : "r"(((const uint8_t *)bytes)[0]), "r"(((const uint8_t *)bytes)[size - 1]));
    }
}

static inline void fuzz_read(const struct sp_ring *ring, struct sp_reader reader)
{
    struct spate_record records[4];
    struct sp_judgement judgement;

    reader.ring = ring;
    for (int step = 0; step < 50; step++) {
        int n = sp_reader_poll(&reader, records, 4);
        for (int i = 0; i < n; i++) {
            struct spate_header header;
            fuzz_touch(records[i].key, records[i].key_size);
            fuzz_touch(records[i].value, records[i].value_size);
            fuzz_touch(records[i].headers_block, records[i].headers_block_size);
            if (sp_record_headers_decode(records[i].headers_block, records[i].headers_block_size, records[i].headers_count, 0,
                                         &header) == 0)
                fuzz_touch(header.value, header.value_size);
        }
        if (n > 0) {
            sp_reader_release(&reader);
            continue;
        }
        if (n == -EOVERFLOW) {
            if (sp_reader_place(&reader, sp_mark_oldest(ring, sp_ring_oldest_position(ring)), NULL) != 0)
                return;
            continue;
        }
        sp_ring_judge(ring, reader.next, static_ring_liveness(&fuzz_ring), &judgement);
        if (judgement.verdict == SP_VERDICT_DEAD)
            sp_reader_skip_dead(&reader, judgement.size, judgement.count);
        else if (judgement.verdict == SP_VERDICT_DAMAGED || n == -EBADMSG)
            sp_reader_place(&reader, sp_ring_next_boundary(ring, reader.next), NULL);
        else if (judgement.verdict != SP_VERDICT_READY)
            return;
    }
}

static inline void fuzz_write(struct sp_ring *ring, struct sp_writer writer)
{
    writer.ring = ring;
    for (uint32_t i = 0; i < 6; i++) {
        sp_writer_has_room(&writer, 64);
        if (static_ring_claim(&writer, i * 300, NULL) == 0) {
            if (i % 3)
                sp_writer_commit(&writer);
            else
                sp_writer_abort(&writer);
        }
    }
}

/* Everything, in the order in which it happens around a death. `ring` was made from headers that passed their checks. */
static inline void fuzz_run(struct sp_ring *ring)
{
    struct sp_liveness liveness = static_ring_liveness(&fuzz_ring);
    struct sp_repair_result result;
    struct sp_blocker blocker;
    struct sp_writer writer;
    struct sp_place tail = sp_ring_tail(ring);

    sp_ring_published(ring);
    sp_ring_frontier(ring, tail, &blocker);
    sp_mark_before(ring, sp_ring_oldest_position(ring), tail.offset);
    fuzz_read(ring, fuzz_gate);
    fuzz_read(ring, fuzz_skip);
    fuzz_write(ring, fuzz_writer);
    sp_ring_repair(ring, liveness, &result);
    sp_ring_repair(ring, liveness, &result);
    fuzz_read(ring, fuzz_gate);
    sp_writer_init(&writer, ring, 0);
    fuzz_write(ring, writer);
    fuzz_read(ring, fuzz_gate);
}

#endif
