/* writer.h: one producer's side of one ring: claim, commit, abort.
 *
 * Owned and called by one thread of one process, which holds a producer slot (exclusive mode: slot 0). The hot fields come
 * first. At most one claim is open at a time. The steps are those of the table in ring.h; SP_HOOK points carry its names. */
#ifndef SP_RING_WRITER_H
#define SP_RING_WRITER_H

#include "ring/ring.h"

struct sp_writer {
    struct sp_ring *ring;
    struct sp_producer_slot *slot;
    uint8_t *data;
    uint64_t mask, salt;
    uint64_t soft_limit;  /* claims may end at or below it without another look */
    struct sp_place tail; /* exclusive: where the next record goes. concurrent: the boundary behind tail_word */
    uint64_t tail_word;
    uint64_t records_base; /* the base seen when tail was last made exact */
    struct sp_place claim; /* the open claim; count 0: none */
    uint64_t claim_size;
    uint32_t claim_count;
    bool fence_on_commit;      /* this process is not registered for membarrier: sleepers need a fence of ours (E7) */
    bool mark_due;             /* the next claim is the first in a new chunk */
    struct sp_blocker blocker; /* after -EAGAIN: who is in the way */
};

/* sp_writer_init: take over a slot (its owner word is already ours).
 * Exclusive: finds the end left by the previous producer, also one that died between stamp and tail. */
void sp_writer_init(struct sp_writer *writer, struct sp_ring *ring, uint32_t slot);

/* sp_writer_claim: reserve `size` bytes (a multiple of the record alignment) for `count` records.
 *   ret      position and offset of the first
 * Returns 0, -EAGAIN (see writer->blocker), -EMSGSIZE
 * Order    E3, E4; takes E2 in the slow path */
int sp_writer_claim(struct sp_writer *writer, uint64_t size, uint32_t count, struct sp_place *ret);

/* sp_writer_commit: publish the open claim of one record. sp_writer_commit_batch: of claim_count records of the given sizes.
 * Return not 0 when somebody may be asleep or the ring wants attention.
 * Order    E1, E4, E7 */
uint32_t sp_writer_commit(struct sp_writer *writer);
uint32_t sp_writer_commit_batch(struct sp_writer *writer, const uint32_t *sizes);

/* sp_writer_abort: exclusive: forget the claim. concurrent: commit aborted records in its place. Returns the notice word. */
uint32_t sp_writer_abort(struct sp_writer *writer);

/* sp_writer_has_room: whether a claim of that size would succeed now (or fail for another reason than room); renews
 * writer->blocker. */
bool sp_writer_has_room(struct sp_writer *writer, uint64_t size);

#endif
