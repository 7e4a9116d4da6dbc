/* producer_wait.c: a producer in front of a full ring: who is in the way, and how to wait for it.
 *
 * The blocker is a dead producer's claim (repair it), a live one's (wait: it is never overtaken), a dead consumer's gate
 * (drop it), or a live one's (wait, or evict it when it stood still longer than its own gate_timeout). Runs in the producer's
 * thread; makes system calls. */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hook.h"
#include "bus/producer.h"
#include "ring/bias.h"
#include "ring/extent.h"
#include "shm/handle.h"
#include "shm/sleep.h"

#define RESCUE_INTERVAL SP_NS_PER_MS
#define SLICE_GATE (2 * SP_NS_PER_MS)    /* between two looks at a gating consumer's life and deadline */
#define SLICE_CLAIM (100 * SP_NS_PER_US) /* a live claimant wakes nobody: it is looked at */

#define DAMAGED_PATIENCE SP_NS_PER_S /* with a gate that stands where none can stand */

/* `active` is the state word of the very placing that stood still: whoever has the slot by now, or has sought meanwhile, is safe. */
static void evict(struct spate_producer *producer, struct sp_lane *lane, struct sp_cursor *cursor, uint32_t active)
{
    SP_HOOK("evict:decided");
    /* E12 evict; relaxed: on failure somebody else was quicker */
    if (!atomic_compare_exchange_strong_explicit(&cursor->state, &active, sp_cursor_word(active, SP_CURSOR_EVICTED),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    sp_count(&lane->writer.slot->counters[SP_PRODUCER_EVICTIONS], 1);
    sp_wake_sleepers(producer->topic->bus, &lane->attachment->ring, NULL); /* so that it learns of it at once */
}

static bool rescue_from_consumer(struct spate_producer *producer, struct sp_lane *lane, const struct sp_blocker *blocker,
                                 int64_t now)
{
    struct sp_ring *ring = &lane->attachment->ring;
    struct sp_cursor *cursor = &ring->cursors->slots[blocker->slot];
    struct sp_repair_result repaired;
    uint32_t word = atomic_load_explicit(&cursor->state, memory_order_acquire);  /* E12 evict: before all that it stands for */
    uint64_t owner = atomic_load_explicit(&cursor->owner, memory_order_acquire); /* E11 owner */

    if (owner == 0 || !sp_registry_alive(&producer->topic->bus->registry, owner))
        return sp_partition_repair(producer->topic, (uint32_t)lane->partition, lane->attachment, 0, &repaired) == 0;
    const struct sp_place tail =
        sp_ring_tail(ring); /* before the position: a gate that holds is then not more than a ring behind */
    uint64_t position = atomic_load_explicit(&cursor->read_position, memory_order_acquire); /* E2 release */
    SP_HOOK("rescue:looked");
    if (sp_cursor_state(word) != SP_CURSOR_ACTIVE)
        return true; /* it holds nobody any more */
    if (lane->gate_word != word || lane->gate.slot != blocker->slot || lane->gate.position != position) {
        lane->gate = (struct sp_blocker){SP_BLOCKER_CONSUMER, blocker->slot, position};
        lane->gate_word = word;
        lane->gate_since = now;
        sp_count(&lane->writer.slot->counters[SP_PRODUCER_STALLS], 1);
        return false;
    }
    int64_t limit = cursor->gate_timeout;
    if ((int64_t)(tail.position - position) > (int64_t)ring->capacity && (limit < 0 || limit > DAMAGED_PATIENCE))
        limit = DAMAGED_PATIENCE;
    if (limit < 0 || now - lane->gate_since < limit)
        return false;
    evict(producer, lane, cursor, word);
    return true;
}

bool sp_producer_rescue(struct spate_producer *producer, struct sp_lane *lane, bool now_or_never)
{
    const int64_t now = sp_clock_monotonic();
    const struct sp_blocker blocker = lane->writer.blocker;
    struct sp_repair_result repaired;

    if (!now_or_never && now - lane->rescued < RESCUE_INTERVAL)
        return false;
    lane->rescued = now;
    if (blocker.kind == SP_BLOCKER_CONSUMER && blocker.slot < lane->attachment->ring.consumers_max)
        return rescue_from_consumer(producer, lane, &blocker, now);
    if (blocker.kind != SP_BLOCKER_PRODUCER || blocker.slot >= lane->attachment->ring.producers_max)
        return false;
    /* E11 owner */
    uint64_t owner = atomic_load_explicit(&lane->attachment->ring.producers[blocker.slot].owner, memory_order_acquire);
    if (owner != 0 && sp_registry_alive(&producer->topic->bus->registry, owner))
        return false;
    return sp_partition_repair(producer->topic, (uint32_t)lane->partition, lane->attachment, 0, &repaired) == 0 &&
           repaired.producers > 0;
}

#define UNBIAS_LOOKS 200 /* an owner is inside for as long as a record or a batch is copied */

bool sp_producer_unbias(struct spate_producer *producer, struct sp_lane *lane)
{
    struct sp_ring *ring = &lane->attachment->ring;
    const uint64_t bias = sp_bias_revoke(ring);

    if (bias == 0)
        return true;
    lane->writer.blocker = (struct sp_blocker){SP_BLOCKER_PRODUCER, (uint32_t)(bias & SP_BIAS_SLOT_MASK) - 1, 0};
    if (!producer->topic->bus->registry.membarrier || !sp_membarrier())
        return false; /* its owner sees to it when it publishes next or closes */
    for (int i = 0; i < UNBIAS_LOOKS; i++) {
        if (sp_bias_end(ring, bias, false))
            return true;
        sp_pause();
    }
    return false;
}

static bool has_room(struct spate_producer *producer, struct sp_lane *lane)
{
    return sp_writer_has_room(&lane->writer, producer->blocked_size);
}

enum sp_log_state sp_producer_blocked_by_log(const struct spate_producer *producer, const struct sp_lane *lane, int *ret_error)
{
    const struct sp_ring *ring = &lane->attachment->ring;

    if (lane->writer.blocker.kind != SP_BLOCKER_LOG)
        return SP_LOG_OPEN;
    const enum sp_log_state state = sp_log_state(ring, ret_error);
    const bool is_stopped = state == SP_LOG_FAILED || (state == SP_LOG_FULL && (*ret_error == ENOSPC || *ret_error == EDQUOT));
    const uint64_t owner = atomic_load_explicit(&ring->header->log.owner, memory_order_acquire); /* E11 owner */
    return is_stopped && owner != 0 && sp_registry_alive(&producer->topic->bus->registry, owner) ? state : SP_LOG_OPEN;
}

/* By a log that cannot go on: the next attempt tells. */
static bool is_refused(const struct spate_producer *producer, const struct sp_lane *lane)
{
    int error;
    return sp_producer_blocked_by_log(producer, lane, &error) != SP_LOG_OPEN;
}

/* Sleep until a consumer releases something, or a slice is over. The mirror image of a consumer's sleep (E8). */
static int sleep_for_room(struct spate_producer *producer, struct sp_lane *lane, int64_t deadline)
{
    struct sp_cursors_header *cursors = lane->attachment->ring.cursors;
    const struct sp_registry *registry = &producer->topic->bus->registry;
    bool by_claim = lane->writer.blocker.kind == SP_BLOCKER_PRODUCER;
    int64_t slice = by_claim ? SLICE_CLAIM : SLICE_GATE;

    uint32_t sequence = atomic_load_explicit(&cursors->space_sequence, memory_order_acquire); /* E8 sleep for room */
    sp_notice_raise(&cursors->space_notice);
    if (!registry->membarrier || !sp_membarrier()) {
        atomic_thread_fence(memory_order_seq_cst); /* E8 sleep for room, as good as it gets; the slice does the rest */
        slice = slice < SP_NS_PER_MS ? slice : SP_NS_PER_MS;
    }
    if (has_room(producer, lane))
        return 0;
    int64_t left = deadline - sp_clock_monotonic();
    if (left <= 0)
        return -ETIMEDOUT;
    int error = sp_futex_wait(&cursors->space_sequence, sequence, left < slice ? left : slice);
    return error == -EINTR ? error : 0;
}

int sp_producer_wait_until(struct spate_producer *producer, int64_t deadline)
{
    struct sp_lane *lane = producer->blocked;
    const int64_t spin_until = sp_clock_monotonic() + (producer->wait == SPATE_WAIT_SPIN ? 0 : sp_spin_time());

    if (!lane)
        return 0;
    for (;;) {
        if (has_room(producer, lane) || sp_producer_rescue(producer, lane, false) || is_refused(producer, lane))
            return 0;
        int64_t now = sp_clock_monotonic();
        if (now >= deadline)
            return -ETIMEDOUT;
        if (producer->wait == SPATE_WAIT_SPIN || now < spin_until) {
            for (int i = 0; i < 16; i++)
                sp_pause();
        } else if (producer->wait == SPATE_WAIT_YIELD) {
            sched_yield();
        } else {
            int error = sleep_for_room(producer, lane, deadline);
            if (error)
                return error;
        }
    }
}

int spate_producer_wait(spate_producer *producer, int64_t timeout)
{
    if (!producer || producer->magic != SP_PRODUCER_HANDLE)
        return sp_handle_error(producer, "producer");
    return sp_producer_wait_until(producer, sp_deadline(timeout));
}
