/* wait.c: waking those who sleep, and choosing how to wait.
 *
 * The slow halves of commit and release: called when the notice word that they load says that somebody may be asleep. The
 * words and the Dekker argument are
 * E7 and E8 in ring/ring.h. */
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "bus/internal.h"
#include "shm/sleep.h"

/* A notice word: bit 0 says that somebody may sleep, the rest counts how often that was said. A waker that has woken everybody
 * takes the bit back, but only from the very word that it saw: whoever came meanwhile has counted it up, and no value comes
 * twice. A waker that dies or is stopped half-way leaves the bit, and the next one does it all again: waking twice is harmless. */
void sp_notice_raise(_Atomic uint32_t *notice)
{
    uint32_t seen = atomic_load_explicit(notice, memory_order_relaxed); /* relaxed: only the CAS decides */
    /* E7 sleep, E8 sleep for room; relaxed: on failure it is tried with the word found */
    while (
        !atomic_compare_exchange_weak_explicit(notice, &seen, (seen | SP_NOTICE) + 2, memory_order_acq_rel, memory_order_relaxed)) {
    }
}

static void notice_lower(_Atomic uint32_t *notice, uint32_t seen)
{
    /* E7 sleep, E8 sleep for room; relaxed: on failure somebody came, and the next waker sees to it */
    atomic_compare_exchange_strong_explicit(notice, &seen, seen & ~(uint32_t)SP_NOTICE, memory_order_acq_rel, memory_order_relaxed);
}

void sp_wake_sleepers(struct spate_bus *bus, struct sp_ring *ring, _Atomic uint64_t *counter)
{
    struct sp_cursors_header *cursors = ring->cursors;
    uint32_t notice = atomic_load_explicit(&cursors->notice, memory_order_acquire);       /* E7 sleep */
    uint32_t used = atomic_load_explicit(&cursors->consumers_used, memory_order_acquire); /* E11 owner */

    for (uint32_t i = 0; i < used && i < ring->consumers_max; i++) {
        struct sp_cursor *cursor = &cursors->slots[i];
        if (atomic_load_explicit(&cursor->asleep, memory_order_acquire) == 0) /* E7 sleep */
            continue;
        /* relaxed: behind the acquire of `asleep`; any value is safe */
        sp_wake(&bus->registry, atomic_load_explicit(&cursor->wake_slot, memory_order_relaxed));
        if (counter)
            sp_count(counter, 1);
    }
    if (ring->is_durable && atomic_load_explicit(&ring->header->log.asleep, memory_order_acquire) == SP_LOG_ASLEEP) /* E7 sleep */
        sp_wake_log(bus, ring);
    /* a deleted topic keeps its notice, so that every producer looks at the state */
    if (atomic_load_explicit(&ring->header->state, memory_order_acquire) == SP_STATE_LIVE) /* E11 owner */
        notice_lower(&cursors->notice, notice);
}

void sp_wake_log(struct spate_bus *bus, struct sp_ring *ring)
{
    /* E7 sleep: any value is safe */
    sp_wake(&bus->registry, atomic_load_explicit(&ring->header->log.wake_slot, memory_order_acquire));
}

void sp_wake_watermark(struct spate_bus *bus, struct sp_ring *ring, bool is_durable)
{
    struct sp_cursors_header *cursors = ring->cursors;
    _Atomic uint32_t *notice = &ring->header->wanted.notice;
    const uint32_t waiting = atomic_load_explicit(notice, memory_order_acquire); /* E16 watermark */

    if (waiting & SP_NOTICE) {
        atomic_fetch_add_explicit(&ring->header->log.sequence, 1, memory_order_acq_rel); /* E16 watermark */
        sp_futex_wake_for(&ring->header->log.sequence, INT_MAX, is_durable ? SP_SLEEP_ANY : SP_SLEEP_WRITTEN);
        if (is_durable) /* else those who wait for that sleep on, and need the notice */
            notice_lower(notice, waiting);
    }
    /* relaxed: behind the fence of sp_log_advance (E16); consumers that are missed look up by themselves */
    if (atomic_load_explicit(&cursors->notice, memory_order_relaxed) & SP_NOTICE) {
        uint32_t used = atomic_load_explicit(&cursors->consumers_used, memory_order_acquire); /* E11 owner */
        for (uint32_t i = 0; i < used && i < ring->consumers_max; i++) {
            struct sp_cursor *cursor = &cursors->slots[i];
            /* E7 sleep; relaxed: any slot is safe */
            if (atomic_load_explicit(&cursor->asleep, memory_order_acquire) == SP_ASLEEP_BOUNDED)
                sp_wake(&bus->registry, atomic_load_explicit(&cursor->wake_slot, memory_order_relaxed));
        }
    }
    /* relaxed: as above, for producers that wait for room */
    if (atomic_load_explicit(&cursors->space_notice, memory_order_relaxed) & SP_NOTICE)
        sp_wake_space(ring);
}

void sp_wake_space(struct sp_ring *ring)
{
    struct sp_cursors_header *cursors = ring->cursors;
    uint32_t notice = atomic_load_explicit(&cursors->space_notice, memory_order_acquire); /* E8 sleep for room */

    atomic_fetch_add_explicit(&cursors->space_sequence, 1, memory_order_acq_rel); /* E8 sleep for room */
    sp_futex_wake(&cursors->space_sequence, INT_MAX);
    notice_lower(&cursors->space_notice, notice);
}

static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

uint32_t sp_wait_strategy(uint32_t asked)
{
    if (asked != SPATE_WAIT_AUTO)
        return asked;
    return usable_cores() < 4 ? SPATE_WAIT_BLOCK : SPATE_WAIT_YIELD;
}

int64_t sp_spin_time(void)
{
    /* about what two wake-ups cost; on a single core nobody can publish while we spin */
    return usable_cores() < 2 ? 0 : 20 * SP_NS_PER_US;
}
