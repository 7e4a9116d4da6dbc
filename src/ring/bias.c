/* bias.c: asking for the bias, holding it, taking it away. The protocol is in bias.h.
 *
 * Called by producers in their slow paths, and by repairers. Owns nothing. */
#include "ring/bias.h"

#include "ring/record.h"

static uint64_t load(const struct sp_ring *ring)
{
    return atomic_load_explicit(&ring->header->bias, memory_order_acquire); /* E14 bias */
}

/* E14 bias; relaxed: on failure somebody else was quicker */
static bool swap(struct sp_ring *ring, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(&ring->header->bias, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static uint64_t with_state(uint64_t bias, uint64_t state)
{
    return (bias & ~(uint64_t)SP_BIAS_STATE_MASK) | state;
}

/* The same without an owner; the generation stays. */
static uint64_t nobody(uint64_t bias)
{
    return bias & ~(uint64_t)(SP_BIAS_STATE_MASK | SP_BIAS_SLOT_MASK);
}

int64_t sp_bias_owner(const struct sp_ring *ring)
{
    return (int64_t)(load(ring) & SP_BIAS_SLOT_MASK) - 1;
}

bool sp_bias_ask(struct sp_writer *writer)
{
    struct sp_ring *ring = writer->ring;
    const uint64_t seen = load(ring);
    const uint64_t slot = (uint64_t)(writer->slot - ring->producers);

    if (seen & (SP_BIAS_SLOT_MASK | SP_BIAS_STATE_MASK | SP_BIAS_FORBIDDEN))
        return false;
    writer->bias = with_state((seen + SP_BIAS_GENERATION) | (slot + 1), SP_BIAS_HELD);
    SP_HOOK("bias:ask");
    return swap(ring, seen, with_state(writer->bias, SP_BIAS_ASKED));
}

/* Whether somebody may be about to claim by compare-and-swap, having found no bias. */
static bool is_anyone_claiming(const struct sp_writer *writer)
{
    const struct sp_ring *ring = writer->ring;

    for (uint32_t i = 0; i < ring->producers_max; i++) {
        uint64_t phase = atomic_load_explicit(&ring->producers[i].claim, memory_order_acquire) & SP_PHASE_MASK; /* E14 bias */
        if (&ring->producers[i] != writer->slot && (phase == SP_PHASE_INTENT || phase == SP_PHASE_BIASED))
            return true;
    }
    return false;
}

/* Slot and generation: what tells one asking from all others. */
static bool is_of(const struct sp_writer *writer, uint64_t bias)
{
    return ((bias ^ writer->bias) & (SP_BIAS_SLOT_MASK | ~(uint64_t)(SP_BIAS_GENERATION - 1))) == 0;
}

void sp_bias_withdraw(struct sp_writer *writer)
{
    uint64_t seen = load(writer->ring);

    while (is_of(writer, seen) && !swap(writer->ring, seen, nobody(seen)))
        seen = load(writer->ring); /* it was revoked or forbidden meanwhile */
}

bool sp_bias_hold(struct sp_writer *writer)
{
    struct sp_ring *ring = writer->ring;

    SP_HOOK("bias:asked");
    if (is_anyone_claiming(writer) || !swap(ring, with_state(writer->bias, SP_BIAS_ASKED), writer->bias)) {
        sp_bias_withdraw(writer);
        return false;
    }
    SP_HOOK("bias:held");
    /* All earlier claims are over, so their swaps of the tail happened before what was loaded from the slots. */
    sp_writer_own(writer, sp_ring_claimed(ring));
    return true;
}

void sp_bias_give_up(struct sp_writer *writer)
{
    if (!writer->guard)
        return;
    if (sp_writer_enter(writer)) {
        sp_writer_settle(writer);
        (void)swap(writer->ring, writer->bias, nobody(writer->bias));
        sp_writer_leave(writer);
    }
    sp_writer_disown(writer);
}

void sp_bias_lost(struct sp_writer *writer)
{
    /* Only we get inside, and we are not. With our generation it is ours still, or nobody's already. */
    if (is_of(writer, load(writer->ring))) {
        uint64_t bias = sp_bias_revoke(writer->ring);
        if (is_of(writer, bias))
            (void)sp_bias_end(writer->ring, bias, false);
    }
    sp_writer_disown(writer);
}

uint64_t sp_bias_revoke(struct sp_ring *ring)
{
    for (;;) {
        uint64_t seen = load(ring);
        if ((seen & (SP_BIAS_SLOT_MASK | SP_BIAS_STATE_MASK)) == 0)
            return 0;
        const uint64_t revoked = with_state(seen, SP_BIAS_REVOKED);
        SP_HOOK("bias:revoke");
        if (seen == revoked || swap(ring, seen, revoked))
            return revoked;
    }
}

bool sp_bias_is_inside(const struct sp_ring *ring, uint64_t bias)
{
    const uint64_t slot = (bias & SP_BIAS_SLOT_MASK) - 1;

    if (slot >= ring->producers_max)
        return false; /* nobody's: damage */
    uint64_t phase =
        atomic_load_explicit(&ring->producers[slot].claim, memory_order_acquire) & SP_PHASE_MASK; /* E14 bias, E4 slot */
    return phase == SP_PHASE_BIASED || phase == SP_PHASE_INTENT;
}

#define END_TRIES 64 /* another helper moves the tail once; more is hostile memory */

/* What the owner appended is stamped, and it does not get in again. Others do the same beside us. A helper that is stopped here until the
 * bias is another's must not bring the tail to where that one's records end for now: whoever ends that bias would find its swap refused,
 * and leave the rest to be overwritten. So after the walk the bias is looked at again: as long as it is this one, nothing is appended, and
 * every walk from the same tail ends at the same place. And it does not end before a walk finds nothing more. */
bool sp_bias_end(struct sp_ring *ring, uint64_t bias, bool owner_is_dead)
{
    SP_HOOK("bias:revoked");
    if (!owner_is_dead && sp_bias_is_inside(ring, bias))
        return false;
    for (int tries = 0; tries < END_TRIES; tries++) {
        uint64_t word = atomic_load_explicit(&ring->header->tail, memory_order_acquire); /* E3 claim */
        const struct sp_place tail = sp_ring_tail(ring);
        const uint64_t end = sp_tail_pack(tail.position >> ring->unit_shift, tail.offset);
        if (load(ring) != bias)
            return true; /* another has ended it */
        SP_HOOK("bias:walked");
        if (end == word) {
            SP_HOOK("bias:settled");
            (void)swap(ring, bias, nobody(bias));
            return true;
        }
        /* E3 claim; relaxed: on failure it looks again */
        (void)atomic_compare_exchange_strong_explicit(&ring->header->tail, &word, end, memory_order_acq_rel, memory_order_relaxed);
    }
    return false;
}

void sp_bias_forbid(struct sp_ring *ring)
{
    uint64_t seen = load(ring);

    while (!(seen & SP_BIAS_FORBIDDEN) && !swap(ring, seen, seen | SP_BIAS_FORBIDDEN))
        seen = load(ring);
}
