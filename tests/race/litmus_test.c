/* litmus_test.c: the two orders of ring.h that no lock and no single word carries: E6 (a new gate against a writer that extends its
 * limit) and E12 (a gate that reads against a writer that evicts it and overwrites), stressed for a second or two.
 *
 * Run by ctest with the label `race`. Two threads meet at a barrier, do one side each, and compare. Both outcomes must have been seen, or
 * the stress did not stress; a side with its check left out must be found. Payload is written and copied unwatched by ThreadSanitizer: in
 * E12 the race is the point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/arch.h"
#include "static_ring.h"

#define ROUNDS_MAX 300000u
#define NS_MAX 1500000000

static struct static_ring s;
static struct sp_writer writer;
static struct sp_reader reader;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Atomic uint32_t arrived;

/* Both leave within a few cycles of each other. With fewer processors than threads, yielding makes progress. */
static void meet(uint32_t *mine)
{
    *mine += 2;
    atomic_fetch_add(&arrived, 1);
    for (int spins = 0; (int32_t)(atomic_load(&arrived) - *mine) < 0; spins++) {
        if (spins > 2000)
            sched_yield();
        else
            sp_pause();
    }
}

/* So that now the one, now the other is first: 0..1023 pauses. */
static void dawdle(uint64_t pauses)
{
    for (uint64_t i = 0; i < pauses; i++)
        sp_pause();
}

/* In some rounds one side goes first for certain, so that both outcomes are seen on a machine that is too busy for anything else. */
static void wait_for(const _Atomic uint64_t *rounds, uint64_t round)
{
    while (atomic_load(rounds) <= round)
        sched_yield();
}

static int open_exclusive(void **state)
{
    struct static_ring_config config = static_ring_defaults;
    (void)state;
    config.mode = SPATE_MODE_EXCLUSIVE;
    static_ring_open(&s, &config);
    static_ring_attach_writer(&s, &writer);
    atomic_store(&arrived, 0);
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    static_ring_close(&s);
    return 0;
}

/* ----------------------------------------------------------------------------------------------------------- E6 gate */

static struct {
    bool without_check; /* planted: the gate believes in its place without looking at what was announced */
    _Atomic bool stop;
    struct sp_place place;
    _Atomic int placed;
    _Atomic uint64_t tried, extended; /* rounds done by each side */
    uint64_t held, refused, violations, rounds;
} gate;

static void *place_gates(void *unused)
{
    uint32_t mine = 0;
    (void)unused;
    for (;;) {
        meet(&mine); /* the writer has chosen a place */
        if (atomic_load(&gate.stop))
            return NULL;
        if (gate.rounds % 8 == 0)
            wait_for(&gate.extended, gate.rounds);
        dawdle(gate.rounds * 0x9e3779b97f4a7c15u >> 54);
        int error = sp_reader_place(&reader, gate.place, NULL);
        atomic_store(&gate.placed, gate.without_check ? 0 : error);
        atomic_store(&gate.tried, gate.rounds + 1);
        meet(&mine); /* both are done */
        meet(&mine); /* the writer has compared */
        atomic_store(&reader.cursor->state, SP_CURSOR_FREE);
        meet(&mine);
    }
}

static void stress_gates(void)
{
    pthread_t thread;
    uint32_t mine = 0;
    int64_t end = now() + NS_MAX;
    struct sp_place place;

    atomic_store(&gate.tried, 0);
    atomic_store(&gate.extended, 0);
    gate.held = gate.refused = gate.violations = gate.rounds = 0;
    atomic_store(&gate.stop, false);
    assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0}), 0);
    atomic_store(&reader.cursor->state, SP_CURSOR_FREE);
    while (sp_ring_tail(&s.ring).position < 2 * s.ring.capacity)
        static_ring_publish(&writer, 48, NULL);
    assert_int_equal(pthread_create(&thread, NULL, place_gates, NULL), 0);
    for (; gate.rounds < ROUNDS_MAX && now() < end && !gate.violations; gate.rounds++) {
        while (sp_writer_here(&writer).position + 64 <= writer.soft_limit) /* the next claim is the one that extends */
            static_ring_publish(&writer, 48, NULL);
        gate.place.position = atomic_load(&s.header->reserved) - s.ring.capacity; /* holds if nothing more is announced */
        gate.place.offset = gate.place.position / 64;
        meet(&mine);
        if (gate.rounds % 8 == 1)
            wait_for(&gate.tried, gate.rounds);
        dawdle(gate.rounds * 0xd1b54a32d192ed03u >> 54);
        int error = static_ring_claim(&writer, 48, &place);
        atomic_store(&gate.extended, gate.rounds + 1);
        meet(&mine);
        bool overran = writer.soft_limit > gate.place.position + s.ring.capacity;
        if (atomic_load(&gate.placed) == 0) {
            gate.held++;
            gate.violations += overran;
        } else {
            gate.refused++;
        }
        meet(&mine);
        meet(&mine);
        if (error == 0)
            sp_writer_commit(&writer);
        else
            static_ring_publish(&writer, 48, NULL);
    }
    atomic_store(&gate.stop, true);
    meet(&mine);
    pthread_join(thread, NULL);
}

static void a_gate_that_was_placed_holds_and_one_that_cannot_is_refused(void **state)
{
    (void)state;
    gate.without_check = false;
    stress_gates();
    print_message("E6: %llu rounds, %llu held, %llu refused\n", (unsigned long long)gate.rounds, (unsigned long long)gate.held,
                  (unsigned long long)gate.refused);
    assert_int_equal(gate.violations, 0);
    assert_true(gate.held > 0 && gate.refused > 0);
}

static void a_gate_that_does_not_look_is_found_out(void **state)
{
    (void)state;
    gate.without_check = true;
    stress_gates();
    assert_true(gate.violations > 0);
}

/* ---------------------------------------------------------------------------------------------------------- E12 evict */

#define VALUE_SIZE 1008u

static struct {
    bool without_check; /* planted: the reader believes its copy without asking whether it was evicted */
    _Atomic bool stop;
    _Atomic uint64_t whole, refused, violations;
} evict;

static int publish_racy(void)
{
    struct spate_record record = {.value = "", .value_size = VALUE_SIZE};
    struct sp_record_shape shape;
    struct sp_place place;
    sp_record_plan(&record, false, false, 16, 4096, &shape);
    int error = sp_writer_claim(&writer, shape.size, 1, &place);
    if (error)
        return error;
    static_ring_fill_racy(sp_record_encode(s.data + (place.position & s.ring.mask), &record, &shape, 0), VALUE_SIZE, place.offset);
    sp_writer_commit(&writer);
    return 0;
}

static bool seen_enough(void)
{
    return evict.without_check ? atomic_load(&evict.violations) > 0
                               : atomic_load(&evict.whole) > 0 && atomic_load(&evict.refused) > 0;
}

static void *publish_and_evict(void *unused)
{
    int64_t begin = now();
    (void)unused;
    /* longer where a busy machine has not yet shown what has to be seen */
    while (now() < begin + NS_MAX || (now() < begin + 8 * (int64_t)NS_MAX && !seen_enough())) {
        if (publish_racy() == 0)
            continue;
        uint32_t active = atomic_load(&reader.cursor->state);
        if (sp_cursor_state(active) == SP_CURSOR_ACTIVE)
            atomic_compare_exchange_strong_explicit(&reader.cursor->state, &active, sp_cursor_word(active, SP_CURSOR_EVICTED),
                                                    memory_order_acq_rel, memory_order_acquire);
    }
    atomic_store(&evict.stop, true);
    return NULL;
}

__attribute__((no_sanitize("thread"))) static void copy_racy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory"); /* else the compiler may make a memcpy of it, which is watched again */
    }
}

static void stress_evictions(void)
{
    pthread_t thread;
    uint8_t copy[VALUE_SIZE];
    struct spate_record record;

    atomic_store(&evict.whole, 0);
    atomic_store(&evict.refused, 0);
    atomic_store(&evict.violations, 0);
    atomic_store(&evict.stop, false);
    assert_int_equal(static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0}), 0);
    assert_int_equal(pthread_create(&thread, NULL, publish_and_evict, NULL), 0);
    while (!atomic_load(&evict.stop)) {
        int n = sp_reader_poll(&reader, &record, 1);
        if (n == -EOVERFLOW) {
            struct sp_place place;
            do
                place = sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring));
            while (sp_reader_place(&reader, place, NULL) != 0);
            continue;
        }
        if (n != 1 || record.value_size != VALUE_SIZE) {
            sched_yield();
            continue;
        }
        /* in its view the record is its own, and it takes its time: nothing is released */
        for (int times = 0; times < 20; times++) {
            copy_racy(copy, record.value, VALUE_SIZE);
            bool believed = evict.without_check || !sp_reader_is_lapped(&reader, reader.first.position);
            bool whole = static_ring_is_whole(copy, VALUE_SIZE, (uint64_t)record.offset);
            evict.whole += believed && whole;
            evict.refused += !believed;
            evict.violations += believed && !whole;
            if (!believed)
                break;
            sched_yield();
        }
        sp_reader_release(&reader);
    }
    pthread_join(thread, NULL);
}

static void an_evicted_gate_never_believes_an_overwritten_byte(void **state)
{
    (void)state;
    evict.without_check = false;
    stress_evictions();
    print_message("E12: %llu copies whole, %llu refused\n", (unsigned long long)evict.whole, (unsigned long long)evict.refused);
    assert_int_equal(evict.violations, 0);
    assert_true(evict.whole > 0 && evict.refused > 0);
}

static void an_evicted_gate_that_does_not_ask_is_found_out(void **state)
{
    (void)state;
    evict.without_check = true;
    stress_evictions();
    assert_true(evict.violations > 0);
}

int main(void)
{
#define ON_RING(test) cmocka_unit_test_setup_teardown(test, open_exclusive, close_ring)
    const struct CMUnitTest tests[] = {
        ON_RING(a_gate_that_was_placed_holds_and_one_that_cannot_is_refused),
        ON_RING(a_gate_that_does_not_look_is_found_out),
        ON_RING(an_evicted_gate_never_believes_an_overwritten_byte),
        ON_RING(an_evicted_gate_that_does_not_ask_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
