/* schedule_hooked_test.c: many producers and consumers of one ring, interleaved at random at every hook, with deaths, repairs and
 * late-coming gates; after each step the promises of ring.h are checked against a record of what really happened.
 *
 * Run by ctest with the label `unit`, linked with the race hooks. One thread: producers are fibers (ucontext), so that a run is a pure
 * function of its seed ($SPATE_SEED repeats one). Promises: no claim lands on bytes that a gate or an unfinished claim still needs, or
 * beyond what was announced; readers see every committed record exactly once, whole and in order, never one that was not committed;
 * nobody waits for the dead; boundaries given out (published, marks) are boundaries. Each check has a planted bug that it must find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/hook.h"
#include "static_ring.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define FORGET_STACK(memory, size) __asan_unpoison_memory_region(memory, size)
#else
#define FORGET_STACK(memory, size) ((void)0)
#endif

#define FIBERS 5
#define SLOTS 8
#define READERS 4
#define STACK_SIZE 65536
#define OFFSETS_MAX (1u << 20)
#define BATCH 6
#define SLEEP_MAX 40000 /* steps: some laps of the ring */

struct fiber {
    ucontext_t context;
    bool runs; /* has a slot and may be resumed */
    struct sp_writer writer;
    uint64_t size; /* of the claim it is at */
    uint32_t count;
    uint32_t sleeps_until; /* stopped (SIGSTOP, debugger) up to this step */
    bool slept;            /* for long, between its look at the tail and its INTENT: it dies soon, where that matters */
    char stack[STACK_SIZE];
};

struct unfinished { /* a claim that was added and is not finished, of the living and the dead */
    bool used;
    uint64_t position, owner;
};

struct options {
    bool deaths;
    bool greedy;       /* planted: now and then a writer claims beyond its limit */
    bool lying_kernel; /* planted: the living are called dead */
    bool torn_value;   /* planted: a byte of a committed record changes */
    uint32_t steps;
    uint32_t unit_shift, producers_max;
    enum spate_mode mode;
};

static struct static_ring s;
static struct fiber fibers[FIBERS];
static struct unfinished unfinished[64];
static struct sp_reader readers[READERS];
static bool attached[READERS];
static ucontext_t scheduler;
static struct fiber *current;
static struct options options;
static uint64_t seed;
static char fault[256];
static char fate[OFFSETS_MAX];            /* 'r': committed; 0: not, or not yet */
static char hole[OFFSETS_MAX];            /* 1: some reader stepped over it */
static uint64_t position_of[OFFSETS_MAX]; /* + 1; 0: not claimed yet */
static uint64_t committed_count, read_count, deaths_count, late_gates, sleeps_count, stale_count;
static uint32_t step_number;

#define FAULT(...)                                      \
    do {                                                \
        if (!fault[0])                                  \
            snprintf(fault, sizeof fault, __VA_ARGS__); \
    } while (0)

static uint32_t random_below(uint32_t n)
{
    return (uint32_t)(static_ring_random(&seed) >> 16) % n;
}

static void yield_to_scheduler(void)
{
    swapcontext(&current->context, &scheduler);
}

/* -------------------------------------------------------------------------------------------------------- producers */

/* The fetch-add has just happened, and nobody else ran since: the claim is what lies below the tail. */
static void check_claim(void)
{
    struct sp_place tail = sp_ring_tail(&s.ring);
    uint64_t begin = tail.position - current->size;

    if (tail.position > atomic_load(&s.header->reserved))
        FAULT("a claim up to %llu, announced were %llu", (unsigned long long)tail.position,
              (unsigned long long)atomic_load(&s.header->reserved));
    for (int i = 0; i < READERS; i++) {
        if (attached[i] && readers[i].gate && tail.position > atomic_load(&readers[i].cursor->read_position) + s.ring.capacity)
            FAULT("a claim up to %llu lands on what gate %d at %llu has not read", (unsigned long long)tail.position, i,
                  (unsigned long long)atomic_load(&readers[i].cursor->read_position));
    }
    for (int i = 0; i < 64; i++) {
        if (unfinished[i].used && tail.position > unfinished[i].position + s.ring.capacity)
            FAULT("a claim up to %llu lands on an unfinished one at %llu", (unsigned long long)tail.position,
                  (unsigned long long)unfinished[i].position);
    }
    for (uint32_t i = 0; i < current->count; i++) {
        if (tail.offset - current->count + i < OFFSETS_MAX)
            position_of[tail.offset - current->count + i] = begin + i * (current->size / current->count) + 1;
    }
    for (int i = 0; i < 64; i++) {
        if (!unfinished[i].used) {
            unfinished[i] = (struct unfinished){true, begin, atomic_load(&current->writer.slot->owner)};
            return;
        }
    }
}

static void finish_claim(uint64_t position)
{
    for (int i = 0; i < 64; i++) {
        if (unfinished[i].used && unfinished[i].position == position)
            unfinished[i].used = false;
    }
}

static void kill_fiber(struct fiber *fiber)
{
    if (!fiber->runs)
        return;
    static_ring_kill_writer(&s, &fiber->writer);
    deaths_count++;
    if (!options.lying_kernel)
        fiber->runs = false; /* it never goes on; its stack is used again */
}

static void on_hook(const char *point)
{
    if (!current)
        return;
    if (strcmp(point, "claim:added") == 0)
        check_claim();
    if (strcmp(point, "commit:idle") == 0)
        finish_claim(current->writer.claim.position);
    if (strcmp(point, "claim:intent") == 0)
        stale_count +=
            (atomic_load(&current->writer.slot->claim) | SP_PHASE_MASK) + s.ring.capacity < sp_ring_tail(&s.ring).position;
    if (strcmp(point, "claim:looked") == 0 && random_below(200) == 0) {
        current->sleeps_until = step_number + random_below(SLEEP_MAX);
        current->slept = true;
        sleeps_count++;
    } else if (current->slept && options.deaths && random_below(3) == 0) {
        kill_fiber(current);
    }
    if (strcmp(point, "commit:idle") == 0)
        current->slept = false;
    if (!current->runs || random_below(4) != 0 || current->sleeps_until > step_number)
        yield_to_scheduler();
}

static void mark_committed(uint64_t offset)
{
    if (offset >= OFFSETS_MAX)
        return;
    if (hole[offset])
        FAULT("offset %llu is committed after a reader stepped over it as dead", (unsigned long long)offset);
    if (fate[offset] == 'r')
        FAULT("offset %llu is committed twice", (unsigned long long)offset);
    fate[offset] = 'r';
    committed_count++;
}

/* One claim and what follows. Everything may be interrupted for ever at each yield. */
static void produce_one(struct fiber *me)
{
    struct sp_writer *writer = &me->writer;
    uint32_t sizes[BATCH];
    struct sp_place place;
    uint32_t value_size = random_below(8) == 0 ? random_below((uint32_t)s.ring.record_size_max / BATCH - 160) : random_below(150);

    me->count = random_below(4) == 0 ? 1 + random_below(BATCH) : 1;
    me->size = static_ring_record_size(&s.ring, value_size) * me->count;
    if (options.greedy && random_below(8) == 0)
        writer->soft_limit += s.ring.capacity;
    int error = static_ring_claim_batch(writer, value_size, me->count, sizes, &place);
    if (error) {
        if (error != -EAGAIN)
            FAULT("claim: %d", error);
        yield_to_scheduler();
        return;
    }
    if (place.offset >= OFFSETS_MAX || position_of[place.offset] != place.position + 1)
        FAULT("a claim says %llu, offset %llu, but was made elsewhere", (unsigned long long)place.position,
              (unsigned long long)place.offset);
    while (random_below(2))
        yield_to_scheduler();
    if (s.ring.mode == SPATE_MODE_CONCURRENT && random_below(16) == 0) {
        sp_writer_abort(writer);
        finish_claim(place.position);
        return;
    }
    for (uint32_t i = 0; i < me->count; i++) {
        uint64_t position = place.position + i * sizes[0];
        struct sp_record_header *header = (struct sp_record_header *)(void *)(s.data + (position & s.ring.mask));
        /* as sp_writer_commit_batch does it, but with a stop between two stamps, where one may die */
        mark_committed(place.offset + i);
        atomic_store(&header->stamp, sp_stamp(place.offset + i, s.ring.salt));
        if (random_below(4) == 0)
            yield_to_scheduler();
    }
    sp_writer_commit_batch(writer, sizes); /* the same stamps again, and the rest of the protocol */
}

static void run_fiber(void)
{
    for (;;)
        produce_one(current);
}

static void start_fiber(struct fiber *fiber)
{
    uint32_t free_slots = 0;
    for (uint32_t i = 0; i < s.ring.producers_max; i++)
        free_slots += atomic_load(&s.ring.producers[i].owner) == 0;
    if (free_slots == 0)
        return;
    static_ring_attach_writer(&s, &fiber->writer);
    FORGET_STACK(fiber->stack, STACK_SIZE);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_SIZE;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, run_fiber, 0);
    fiber->runs = true;
    fiber->slept = false;
    fiber->sleeps_until = 0;
}

static void resume(struct fiber *fiber)
{
    if (!fiber->runs) {
        start_fiber(fiber);
        return;
    }
    if (fiber->sleeps_until > step_number)
        return;
    current = fiber;
    swapcontext(&scheduler, &fiber->context);
    current = NULL;
}

/* -------------------------------------------------------------------------------------------------------- consumers */

static void see_hole(uint64_t offset, const char *why)
{
    if (offset >= OFFSETS_MAX)
        return;
    if (fate[offset] == 'r')
        FAULT("committed offset %llu was passed over (%s)", (unsigned long long)offset, why);
    hole[offset] = 1;
}

static void replace_lapped(struct sp_reader *reader)
{
    if (reader->gate) {
        FAULT("a gate was lapped");
        return;
    }
    struct sp_place place = sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring));
    sp_reader_place(reader, place, NULL);
}

static void check_boundary(struct sp_place place, const char *what)
{
    struct sp_place tail = sp_ring_tail(&s.ring);
    if (place.offset == tail.offset
            ? place.position != tail.position
            : place.offset > tail.offset || (place.offset < OFFSETS_MAX && position_of[place.offset] != place.position + 1))
        FAULT("%s gave a place that is no boundary: position %llu, offset %llu", what, (unsigned long long)place.position,
              (unsigned long long)place.offset);
}

static void read_some(struct sp_reader *reader)
{
    struct spate_record records[16];
    uint64_t offset = reader->next.offset;
    int n = sp_reader_poll(reader, records, 1 + random_below(16));

    if (n == -EOVERFLOW) {
        replace_lapped(reader);
        return;
    }
    if (n < 0) {
        FAULT("poll: %d at offset %llu", n, (unsigned long long)offset);
        return;
    }
    for (int i = 0; i < n; i++, offset++) {
        for (; offset < (uint64_t)records[i].offset; offset++)
            see_hole(offset, "aborted record");
        if (offset < OFFSETS_MAX && fate[offset] != 'r')
            FAULT("offset %llu was read and never committed", (unsigned long long)offset);
        if (!static_ring_is_whole(records[i].value, records[i].value_size, offset))
            FAULT("offset %llu is torn", (unsigned long long)offset);
        read_count++;
    }
    for (; offset < reader->next.offset; offset++)
        see_hole(offset, "aborted record");
    if (random_below(3))
        sp_reader_release(reader);
    if (n > 0)
        return;
    struct sp_judgement judgement;
    sp_ring_judge(&s.ring, reader->next, static_ring_liveness(&s), &judgement);
    if (sp_reader_is_lapped(reader, reader->next.position))
        replace_lapped(reader);
    else if (judgement.verdict == SP_VERDICT_DEAD) {
        for (uint64_t i = 0; i < judgement.count; i++)
            see_hole(reader->next.offset + i, "verdict");
        sp_reader_skip_dead(reader, judgement.size, judgement.count);
        check_boundary(reader->next, "a verdict");
    } else if (judgement.verdict == SP_VERDICT_DAMAGED)
        FAULT("damaged at offset %llu", (unsigned long long)reader->next.offset);
    else if (judgement.verdict == SP_VERDICT_WAIT && !options.lying_kernel &&
             !static_ring_liveness(&s).alive(&s, atomic_load(&s.ring.producers[judgement.slot].owner)))
        FAULT("a reader waits for the dead slot %u", judgement.slot);
}

static void attach(int i)
{
    struct sp_place place;
    enum spate_policy policy = i == READERS - 1 ? SPATE_POLICY_SKIP : SPATE_POLICY_GATE;

    if (random_below(2)) {
        place = sp_ring_published(&s.ring);
        check_boundary(place, "published");
        for (int u = 0; u < 64; u++) {
            if (unfinished[u].used && unfinished[u].position < place.position && s.ring.mode == SPATE_MODE_CONCURRENT)
                FAULT("published gave %llu, a claim at %llu is unfinished", (unsigned long long)place.position,
                      (unsigned long long)unfinished[u].position);
        }
    } else {
        place = sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring));
        check_boundary(place, "mark");
    }
    attached[i] = static_ring_attach_reader(&s, &readers[i], policy, place) == 0;
    if (!attached[i])
        static_ring_detach_reader(&s, &readers[i]);
    late_gates += attached[i];
}

static void repair(void)
{
    struct sp_repair_result result;
    sp_ring_repair(&s.ring, static_ring_liveness(&s), &result);
    for (int i = 0; i < 64; i++) { /* what died and was repaired needs its bytes no more */
        bool still = false;
        for (uint32_t slot = 0; slot < s.ring.producers_max; slot++)
            still |= atomic_load(&s.ring.producers[slot].owner) == unfinished[i].owner;
        if (unfinished[i].used && !still)
            unfinished[i].used = false;
    }
}

/* --------------------------------------------------------------------------------------------------------- a run */

static void step(void)
{
    uint32_t dice = random_below(1000);

    if (dice < 700) {
        resume(&fibers[random_below(FIBERS)]);
    } else if (dice < 960) {
        int i = (int)random_below(READERS);
        if (attached[i])
            read_some(&readers[i]);
    } else if (dice < 970) {
        int i = (int)random_below(READERS);
        if (attached[i]) {
            static_ring_detach_reader(&s, &readers[i]);
            attached[i] = false;
        }
    } else if (dice < 990) {
        int i = (int)random_below(READERS);
        if (!attached[i])
            attach(i);
    } else if (dice < 995) {
        struct fiber *fiber = &fibers[random_below(FIBERS)];
        if (options.deaths && !fiber->slept)
            kill_fiber(fiber);
    } else {
        repair();
    }
    if (options.torn_value && dice == 0 && sp_ring_tail(&s.ring).position > 4096)
        s.data[random_below((uint32_t)s.ring.capacity)] ^= 1;
}

/* In the end everybody dies; what is left must be told completely. */
static void drain(void)
{
    for (int i = 0; i < FIBERS; i++)
        kill_fiber(&fibers[i]);
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < READERS; i++) {
            for (int n = 0; attached[i] && n < 100000 && readers[i].next.position < sp_ring_tail(&s.ring).position && !fault[0];
                 n++)
                read_some(&readers[i]);
            if (attached[i] && !fault[0] && readers[i].next.offset != sp_ring_tail(&s.ring).offset)
                FAULT("reader %d stops at offset %llu of %llu", i, (unsigned long long)readers[i].next.offset,
                      (unsigned long long)sp_ring_tail(&s.ring).offset);
        }
        repair();
    }
}

static void run(uint64_t run_seed, struct options run_options)
{
    struct static_ring_config config = static_ring_defaults;

    options = run_options;
    seed = run_seed;
    memset(fate, 0, sizeof fate);
    memset(hole, 0, sizeof hole);
    memset(position_of, 0, sizeof position_of);
    memset(unfinished, 0, sizeof unfinished);
    memset(attached, 0, sizeof attached);
    for (int i = 0; i < FIBERS; i++)
        fibers[i].runs = false;
    committed_count = read_count = deaths_count = late_gates = sleeps_count = stale_count = 0;
    fault[0] = 0;
    config.unit_shift = options.unit_shift;
    config.producers_max = options.producers_max;
    config.consumers_max = READERS;
    static_ring_open(&s, &config);
    attach(0);
    attach(READERS - 1);
    sp_hook = on_hook;
    for (step_number = 0; step_number < options.steps && !fault[0]; step_number++)
        step();
    if (!fault[0] && !options.lying_kernel)
        drain();
    sp_hook = NULL;
    static_ring_close(&s);
}

static void runs_find_nothing(uint32_t runs, struct options run_options)
{
    runs = getenv("SPATE_FULL") ? runs * 20 : runs / 2;
    uint64_t first = static_ring_seed(run_options.unit_shift * 1000 + run_options.producers_max);
    uint64_t committed = 0, deaths = 0, late = 0, stale = 0;

    for (uint32_t i = 0; i < runs; i++) {
        run(first + i, run_options);
        if (fault[0])
            fail_msg("SPATE_SEED=%llu: %s", (unsigned long long)(first + i), fault);
        committed += committed_count;
        deaths += deaths_count;
        late += late_gates;
        stale += stale_count;
    }
    assert_true(committed > runs * run_options.steps / 100); /* they did run */
    assert_true(late > runs);
    if (run_options.steps > SLEEP_MAX)
        assert_true(stale > 0); /* an INTENT more than a ring behind the tail: see ring.h */
    assert_int_equal(deaths > runs * FIBERS, run_options.deaths);
}

static bool runs_find_something(uint32_t runs, struct options run_options)
{
    for (uint32_t i = 0; i < runs; i++) {
        run(1000 + i, run_options);
        if (fault[0])
            return true;
    }
    return false;
}

static void without_deaths_no_promise_is_broken(void **state)
{
    (void)state;
    runs_find_nothing(20, (struct options){.steps = 20000, .unit_shift = 4, .producers_max = SLOTS});
    runs_find_nothing(10, (struct options){.steps = 20000, .unit_shift = 7, .producers_max = FIBERS});
}

static void with_deaths_no_promise_is_broken(void **state)
{
    (void)state;
    for (uint32_t unit_shift = 3; unit_shift <= 7; unit_shift++)
        runs_find_nothing(10, (struct options){.steps = 20000, .unit_shift = unit_shift, .producers_max = SLOTS, .deaths = true});
    runs_find_nothing(10,
                      (struct options){.steps = 20000, .unit_shift = 4, .producers_max = 7, .deaths = true}); /* no power of two */
    runs_find_nothing(
        10, (struct options){.steps = 20000, .unit_shift = 4, .producers_max = 512, .deaths = true}); /* many empty slots */
}

static void producers_stopped_for_laps_between_look_and_intent_break_no_promise(void **state)
{
    (void)state;
    runs_find_nothing(15, (struct options){.steps = 80000, .unit_shift = 4, .producers_max = SLOTS});
    runs_find_nothing(15, (struct options){.steps = 80000, .unit_shift = 4, .producers_max = SLOTS, .deaths = true});
    runs_find_nothing(5, (struct options){.steps = 80000, .unit_shift = 7, .producers_max = SLOTS, .deaths = true});
}

static void writers_beyond_their_limit_are_found_out(void **state)
{
    (void)state;
    assert_true(runs_find_something(50, (struct options){.steps = 20000, .unit_shift = 4, .producers_max = SLOTS, .greedy = true}));
    assert_ptr_equal(strstr(fault, "a claim up to"), fault);
}

static void a_kernel_that_calls_the_living_dead_is_found_out(void **state)
{
    (void)state;
    assert_true(runs_find_something(
        50, (struct options){.steps = 20000, .unit_shift = 4, .producers_max = SLOTS, .deaths = true, .lying_kernel = true}));
}

static void a_torn_value_is_found_out(void **state)
{
    (void)state;
    assert_true(
        runs_find_something(50, (struct options){.steps = 20000, .unit_shift = 4, .producers_max = SLOTS, .torn_value = true}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_deaths_no_promise_is_broken),
        cmocka_unit_test(with_deaths_no_promise_is_broken),
        cmocka_unit_test(producers_stopped_for_laps_between_look_and_intent_break_no_promise),
        cmocka_unit_test(writers_beyond_their_limit_are_found_out),
        cmocka_unit_test(a_kernel_that_calls_the_living_dead_is_found_out),
        cmocka_unit_test(a_torn_value_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
