/* walk.h: a walk over all places of a ring, from the oldest to the tail, for those who only look: dump and verify.
 *
 * Unlike a reader it takes nothing for granted: the ring may be a copied file, half overwritten, or held by a hostile
 * producer. Whatever is in memory, a walk ends, stays inside the mapping, and says of every byte what it is. It writes nothing
 * and needs no cursor; on a live ring producers may overtake it, and it goes on at what is oldest then. Used by one thread. */
#ifndef SP_BUS_WALK_H
#define SP_BUS_WALK_H

#include "ring/ring.h"
#include "spate/inspect.h"

struct sp_walk_item {
    struct sp_place place, next; /* what it covers: everything from `place` to `next` */
    enum spate_record_state state;
    bool is_dead;               /* CLAIMED: its owner was judged dead */
    bool is_misshapen;          /* DAMAGED: the stamp is right, the record behind it is not */
    uint32_t slot;              /* CLAIMED: of the producer that is waited for, or was judged dead */
    uint64_t stamp, word;       /* as found */
    struct spate_record record; /* COMMITTED: views, without partition */
};

struct sp_walk {
    const struct sp_ring *ring;
    struct sp_liveness liveness;
    struct sp_place next, end;
    uint32_t doubts_left; /* places without a record that it will still look into: what honest producers can leave, and some more */
    uint32_t laps_left;
    bool is_laid; /* `reserved` makes sense, so it tells when producers overtake the walk */
};

/* sp_walk_begin: from the oldest place that can be found to the tail as it is now. */
void sp_walk_begin(struct sp_walk *walk, const struct sp_ring *ring, struct sp_liveness liveness);

/* sp_walk_next: the next place; false at the end. */
bool sp_walk_next(struct sp_walk *walk, struct sp_walk_item *ret);

/* sp_walk_is_lapped: whether bytes from `position` on may have been overwritten by now. Takes E5. */
bool sp_walk_is_lapped(const struct sp_walk *walk, uint64_t position);

#endif
