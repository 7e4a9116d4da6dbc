/* consumer_wait.c: a consumer that has nothing to read: spinning, yielding, sleeping, or being woken through a descriptor.
 *
 * Sleeping is Dekker with the fence on this side only (E7): set the flags, membarrier, look again, sleep. A sleeper looks up
 * every few milliseconds all the same, because a producer may die after its commit and before its wake-up, and nobody else
 * may ever publish.
 *
 * Runs in the consumer's thread. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/error.h"
#include "bus/consumer.h"
#include "shm/descriptor.h"
#include "shm/handle.h"
#include "shm/sleep.h"

#define SLICE_IDLE (8 * SP_NS_PER_MS)      /* bounds how long a record stays unseen whose producer died before it could wake us */
#define SLICE_PENDING (200 * SP_NS_PER_US) /* while a claim is waited for, whose owner may die any time */
#define SLICE_NO_BARRIER SP_NS_PER_MS      /* without membarrier a wake-up can be missed */

/* Raise the flags on all lanes, then make sure that every producer either sees them or has published what we see when we look
 * again. */
static bool raise_flags(struct spate_consumer *consumer, uint32_t wake_slot)
{
    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        struct sp_consumer_lane *lane = &consumer->lanes[i];
        if (lane->paused)
            continue;
        /* relaxed: published by the release store of `asleep` */
        atomic_store_explicit(&lane->reader.cursor->wake_slot, wake_slot, memory_order_relaxed);
        const bool is_bounded = lane->in_log || lane->reader.watermark;
        atomic_store_explicit(&lane->reader.cursor->asleep, is_bounded ? SP_ASLEEP_BOUNDED : SP_ASLEEP,
                              memory_order_release); /* E7 sleep */
        sp_notice_raise(&lane->attachment->ring.cursors->notice);
    }
    if (consumer->topic->bus->registry.membarrier && sp_membarrier())
        return true;
    atomic_thread_fence(
        memory_order_seq_cst); /* E7 sleep: producers without membarrier fence too; the short slice covers the rest */
    return false;
}

static void lower_flags(struct spate_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->lanes_count; i++)
        atomic_store_explicit(&consumer->lanes[i].reader.cursor->asleep, 0, memory_order_release); /* E7 sleep */
}

/* Its topic was deleted, it does not know yet, and no claim that may still be committed lies in between. */
static bool is_news_of_deletion(const struct sp_consumer_lane *lane)
{
    const struct sp_ring *ring = &lane->attachment->ring;
    return !lane->deleted && atomic_load_explicit(&ring->header->state, memory_order_acquire) != SP_STATE_LIVE && /* E11 owner */
           (int64_t)(sp_ring_claimed(ring).position - lane->reader.next.position) <= 0;
}

/* The watermark is beyond what was read. */
static bool has_passed(const struct sp_consumer_lane *lane)
{
    const uint64_t position = atomic_load_explicit(lane->reader.watermark, memory_order_acquire); /* E16 watermark */
    return (int64_t)(position - lane->reader.next.position) > 0 || sp_reader_is_lapped(&lane->reader, lane->reader.next.position) ||
           is_news_of_deletion(lane);
}

static bool has_something(struct spate_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->lanes_count; i++) {
        struct sp_consumer_lane *lane = &consumer->lanes[i];
        if (lane->paused)
            continue;
        if (lane->in_log || lane->reader.watermark) {
            if (lane->in_log ? sp_lane_has_more(consumer, lane) : has_passed(lane))
                return true;
            continue;
        }
        if (sp_ring_is_committed(&lane->attachment->ring, lane->reader.next) ||
            sp_reader_is_lapped(&lane->reader, lane->reader.next.position) || is_news_of_deletion(lane))
            return true;
    }
    return false;
}

static int nap(int64_t deadline)
{
    int64_t left = deadline - sp_clock_monotonic();
    struct timespec slice = {.tv_nsec = left < SLICE_NO_BARRIER ? left : SLICE_NO_BARRIER};

    if (left <= 0)
        return -ETIMEDOUT;
    return nanosleep(&slice, NULL) < 0 && errno == EINTR ? -EINTR : 0;
}

static int sleep_until_woken(struct spate_consumer *consumer, int64_t deadline, bool pending)
{
    struct sp_registry *registry = &consumer->topic->bus->registry;
    int64_t slice = pending ? SLICE_PENDING : SLICE_IDLE;

    if (consumer->futex_slot < 0) {
        uint32_t slot;
        if (sp_wake_acquire(registry, SP_WAKE_FUTEX, &slot, NULL) != 0)
            return nap(deadline); /* all wake slots are taken: nobody can wake us, so look often */
        consumer->futex_slot = slot;
    }
    struct sp_wake *wake = &registry->wakes[consumer->futex_slot];
    uint32_t sequence = atomic_load_explicit(&wake->sequence, memory_order_acquire); /* E7 sleep */
    if (!raise_flags(consumer, (uint32_t)consumer->futex_slot) && slice > SLICE_NO_BARRIER)
        slice = SLICE_NO_BARRIER;
    int error = 0;
    if (!has_something(consumer)) {
        int64_t left = deadline - sp_clock_monotonic();
        sp_count(&consumer->lanes[0].reader.cursor->counters[SP_CONSUMER_SLEEPS], 1);
        error = left > 0 ? sp_futex_wait(&wake->sequence, sequence, left < slice ? left : slice) : -ETIMEDOUT;
        if (error == -ETIMEDOUT && left > slice)
            error = 0;
    }
    lower_flags(consumer);
    consumer->armed = false;
    return error;
}

int sp_consumer_wait_once(struct spate_consumer *consumer, int64_t waited, int64_t deadline, bool pending)
{
    if (consumer->wait == SPATE_WAIT_SPIN || waited < consumer->spin_time) {
        sp_pause();
        return 0;
    }
    if (consumer->wait == SPATE_WAIT_YIELD) {
        sched_yield();
        return 0;
    }
    int error = sleep_until_woken(consumer, deadline, pending);
    /* The last look is the caller's: a record may have come with the deadline. */
    return error == -ETIMEDOUT ? 1 : error ? error : 1;
}

/* The descriptor is an epoll of two: the pipe that producers write to, and a timer for what no producer tells us of (a claim
 * whose owner may die, a producer that died between commit and wake-up). */
static void drain(struct spate_consumer *consumer)
{
    char bytes[256];
    while (read(consumer->pipe_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
        /* more than one read only when many producers woke us at once */
    }
}

static void set_timer(struct spate_consumer *consumer, int64_t after)
{
    struct itimerspec once = {.it_value.tv_nsec = after};
    (void)timerfd_settime(consumer->timer_fd, 0, &once, NULL); /* also makes it unreadable again */
}

void sp_consumer_arm(struct spate_consumer *consumer, bool pending)
{
    drain(consumer);
    set_timer(consumer, pending ? SLICE_PENDING : SLICE_IDLE);
    (void)raise_flags(consumer, consumer->pipe_slot);
    consumer->armed = true;
}

void sp_consumer_disarm(struct spate_consumer *consumer)
{
    lower_flags(consumer);
    drain(consumer);
    set_timer(consumer, 0);
    consumer->armed = false;
}

void sp_consumer_close_fd(struct spate_consumer *consumer)
{
    if (consumer->pipe_fd >= 0)
        sp_wake_release(&consumer->topic->bus->registry, consumer->pipe_slot, consumer->pipe_fd);
    if (consumer->timer_fd >= 0)
        close(consumer->timer_fd);
    if (consumer->poll_fd >= 0)
        close(consumer->poll_fd);
    consumer->pipe_fd = consumer->timer_fd = consumer->poll_fd = -1;
}

static int open_fd(struct spate_consumer *consumer)
{
    struct epoll_event readable = {.events = EPOLLIN};

    int error = sp_wake_acquire(&consumer->topic->bus->registry, SP_WAKE_PIPE, &consumer->pipe_slot, &consumer->pipe_fd);
    if (error)
        return error;
    consumer->timer_fd = sp_above_standard(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    consumer->poll_fd = sp_above_standard(epoll_create1(EPOLL_CLOEXEC));
    if (consumer->timer_fd < 0 || consumer->poll_fd < 0 ||
        epoll_ctl(consumer->poll_fd, EPOLL_CTL_ADD, consumer->pipe_fd, &readable) < 0 ||
        epoll_ctl(consumer->poll_fd, EPOLL_CTL_ADD, consumer->timer_fd, &readable) < 0) {
        error = sp_fail(-errno, "cannot make a descriptor to poll: %s", strerror(errno));
        sp_consumer_close_fd(consumer);
    }
    return error;
}

int spate_consumer_fd(spate_consumer *consumer)
{
    if (!consumer || consumer->magic != SP_CONSUMER_HANDLE)
        return sp_handle_error(consumer, "consumer");
    if (consumer->poll_fd < 0) {
        int error = open_fd(consumer);
        if (error)
            return error;
        sp_consumer_arm(consumer, false);
        if (has_something(consumer))
            sp_wake(&consumer->topic->bus->registry, consumer->pipe_slot); /* readable now */
    }
    return consumer->poll_fd;
}
