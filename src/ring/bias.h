/* bias.h: concurrent mode: one producer, for as long as it is the only one, claims as in exclusive mode.
 *
 * A compare-and-swap waits until all earlier stores have left the processor, and they may miss the cache: that is what a claim costs. Most
 * topics have one active producer most of the time. It takes the *bias*: it owns the tail then, appends by plain stores, and lets the tail
 * word follow now and then. Its publishing is bracketed by
 *
 *     slot.claim = position | BIASED;  load bias;  [append]  slot.claim = IDLE
 *
 * and another producer takes the bias away by an asymmetric Dekker (E14), whose fence is a membarrier on its own side:
 *
 *     bias: HELD -> REVOKED;  membarrier;  load slot.claim: not BIASED, nor INTENT?
 *     then the owner is out, and gets in no more. Walk on from the tail over the stamps, bring the tail there, bias -> NONE
 *
 * Anybody may help, and go on where another died or was stopped. It is asked for in the same way (a claim that is on its way by
 * compare-and-swap must be over before the owner may do without):
 *
 *     bias: NONE -> ASKED;  membarrier;  load all other slots' claims: none INTENT or BIASED?  bias: ASKED -> HELD, else -> NONE
 *
 *     killed after                others see                         repaired by
 *     ASKED, HELD, REVOKED        a bias whose owner is dead         whoever wants to claim: the repair ends it, under the ring lock
 *     BIASED stored               the same                           the same; the slot is freed as any
 *     an append, half or whole    a record, or nothing               -
 *     REVOKED, by another         REVOKED                            whoever wants to claim
 *     the tail brought up         the same                           the same: the tail is where it belongs
 *
 * A process that cannot membarrier could never take it away, so from the first such producer on it is FORBIDDEN to ask for it (one that is
 * HELD then ends when its owner publishes next, or goes).
 *
 * The model is tests/spin/bias.pml. Source of the idea: biased locking (Kawachiya, Koseki and Onodera, 2002; Dice, Moir and Scherer, 2006).
 * Called by producers and repairers; no system calls here: whoever calls membarriers between the steps. */
#ifndef SP_RING_BIAS_H
#define SP_RING_BIAS_H

#include "ring/writer.h"

/* sp_bias_ask: step one. Returns whether to membarrier and go on with sp_bias_hold. The writer has no open claim. */
bool sp_bias_ask(struct sp_writer *writer);

/* sp_bias_hold: step two. Returns whether the writer holds it now; if not, nothing has changed. */
bool sp_bias_hold(struct sp_writer *writer);

/* sp_bias_withdraw: instead of step two: as if it had not asked. */
void sp_bias_withdraw(struct sp_writer *writer);

/* sp_bias_give_up: the writer's own. Nothing to do when it does not hold it, or has lost it. */
void sp_bias_give_up(struct sp_writer *writer);

/* sp_bias_lost: the writer has found that it was taken away, or will be: end it ourselves, so that nobody has to wait for a membarrier. */
void sp_bias_lost(struct sp_writer *writer);

/* sp_bias_revoke: step one of taking it away. Returns the bias word to go on with after a membarrier, 0 when there is none (any more). */
uint64_t sp_bias_revoke(struct sp_ring *ring);

/* sp_bias_end: step two. owner_is_dead: then no membarrier was needed, and it does not matter where its owner was.
 * Returns false while its owner is inside: look again */
bool sp_bias_end(struct sp_ring *ring, uint64_t bias, bool owner_is_dead);

/* sp_bias_forbid: nobody may ask for it from now on. sp_bias_owner: the slot of who has it or asks for it, or -1. */
void sp_bias_forbid(struct sp_ring *ring);
int64_t sp_bias_owner(const struct sp_ring *ring);

/* sp_bias_is_inside: whether it would not end now, with its owner alive. */
bool sp_bias_is_inside(const struct sp_ring *ring, uint64_t bias);

#endif
