/* ring_test.c: producers and consumers in threads over one ring: everything committed is read once, whole and in order, by everybody who
 * gates; what skip readers accept is whole; producers that die at a hook disturb nobody.
 *
 * Run by ctest with the label `race`, also under ThreadSanitizer. Gate tests let it watch the payload: a missing edge between commit and
 * poll, or between release and overwrite, is a report. Where a skip reader is present payload is written and copied unwatched
 * (no_sanitize), because skip readers read bytes that may be overwritten meanwhile and throw the copy away (ring.h, last paragraph). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/hook.h"
#include "static_ring.h"

#define THREADS_MAX 8
#define VALUE_MAX 256

static struct static_ring s;
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t committed; /* records stamped */
static _Atomic bool producers_done;
static _Atomic uint32_t faults;
static char fault[256];

#define FAULT(...)                                      \
    do {                                                \
        if (atomic_fetch_add(&faults, 1) == 0)          \
            snprintf(fault, sizeof fault, __VA_ARGS__); \
    } while (0)

struct producer {
    pthread_t thread;
    struct sp_writer writer;
    uint32_t records;
    bool racy;       /* a skip reader is present */
    uint32_t die_in; /* hooks passed until death; 0: never */
    jmp_buf death;
    uint64_t seed;
};

struct consumer {
    pthread_t thread;
    struct sp_reader reader;
    bool copies;
    uint64_t read, lost, holes;
};

static _Thread_local struct producer *me;

static void on_hook(const char *point)
{
    (void)point;
    if (me && me->die_in && --me->die_in == 0)
        longjmp(me->death, 1);
}

static int publish(struct producer *producer)
{
    struct sp_writer *writer = &producer->writer;
    uint32_t size = (uint32_t)(static_ring_random(&producer->seed) % VALUE_MAX);
    struct sp_place place;
    uint32_t sizes[8];
    uint32_t count = 1 + (uint32_t)(static_ring_random(&producer->seed) % 64 == 0) * 7;

    if (!producer->racy) {
        int error = static_ring_claim_batch(writer, size, count, sizes, &place);
        if (error)
            return error;
        sp_writer_commit_batch(writer, sizes);
        return (int)count;
    }
    struct spate_record record = {.value = "", .value_size = size};
    struct sp_record_shape shape;
    sp_record_plan(&record, false, false, 1u << s.ring.unit_shift, VALUE_MAX, &shape);
    int error = sp_writer_claim(writer, shape.size, 1, &place);
    if (error)
        return error;
    static_ring_fill_racy(sp_record_encode(s.data + (place.position & s.ring.mask), &record, &shape, 0), size, place.offset);
    sp_writer_commit(writer);
    return 1;
}

static void repair(void)
{
    struct sp_repair_result result;
    pthread_mutex_lock(&ring_lock);
    sp_ring_repair(&s.ring, static_ring_liveness(&s), &result);
    pthread_mutex_unlock(&ring_lock);
}

static void *produce(void *argument)
{
    struct producer *producer = argument;
    me = producer;
    if (setjmp(producer->death) != 0) {
        static_ring_kill_writer(&s, &producer->writer);
        return NULL;
    }
    for (uint32_t n = 0; n < producer->records && !atomic_load(&faults);) {
        int result = publish(producer);
        if (result > 0) {
            atomic_fetch_add(&committed, (uint32_t)result);
            n += (uint32_t)result;
        } else if (result == -EAGAIN) {
            if (producer->writer.blocker.kind == SP_BLOCKER_PRODUCER)
                repair();
            sched_yield();
        } else {
            FAULT("publish: %d", result);
        }
    }
    return NULL;
}

/* Copies bytes that a producer may be overwriting; whoever calls it asks sp_reader_is_lapped afterwards. */
__attribute__((no_sanitize("thread"))) static void copy_racy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory"); /* else the compiler may make a memcpy of it, which is watched again */
    }
}

/* Returns false when it was lapped meanwhile. */
static bool check_records(struct consumer *consumer, const struct spate_record *records, int n, uint64_t offset)
{
    uint8_t copy[VALUE_MAX];
    for (int i = 0; i < n; i++, offset++) {
        const uint8_t *value = records[i].value;
        uint32_t size = records[i].value_size;
        if (consumer->copies) {
            if (size > VALUE_MAX)
                size = VALUE_MAX; /* garbage is possible here as well */
            copy_racy(copy, value, size);
            if (sp_reader_is_lapped(&consumer->reader, consumer->reader.first.position))
                return false;
            value = copy;
        }
        if ((uint64_t)records[i].offset < offset)
            FAULT("offset %lld after %llu", (long long)records[i].offset, (unsigned long long)offset);
        consumer->holes += (uint64_t)records[i].offset - offset;
        offset = (uint64_t)records[i].offset;
        if (!static_ring_is_whole(value, size, offset))
            FAULT("offset %llu is torn", (unsigned long long)offset);
        consumer->read++;
    }
    consumer->holes += consumer->reader.next.offset - offset;
    return true;
}

static void go_on_behind_a_loss(struct consumer *consumer)
{
    uint64_t offset = consumer->reader.next.offset;
    struct sp_place place;
    do
        place = sp_mark_oldest(&s.ring, sp_ring_oldest_position(&s.ring));
    while (place.offset < offset || sp_reader_place(&consumer->reader, place, NULL) != 0);
    consumer->lost += place.offset - offset;
}

/* Nothing is there: why? Returns whether the end was reached. */
static bool look_closer(struct consumer *consumer)
{
    struct sp_reader *reader = &consumer->reader;
    struct sp_judgement judgement;
    bool done = atomic_load(&producers_done); /* before the look, so that nothing came after it */

    sp_ring_judge(&s.ring, reader->next, static_ring_liveness(&s), &judgement);
    if (sp_reader_is_lapped(reader, reader->next.position)) {
        if (reader->gate)
            FAULT("a gate was lapped");
        return false;
    }
    if (judgement.verdict == SP_VERDICT_DEAD) {
        sp_reader_skip_dead(reader, judgement.size, judgement.count);
        consumer->holes += judgement.count;
    } else if (judgement.verdict == SP_VERDICT_DAMAGED) {
        FAULT("damaged at offset %llu", (unsigned long long)reader->next.offset);
    }
    sched_yield();
    return judgement.verdict == SP_VERDICT_END && done;
}

static void *consume(void *argument)
{
    struct consumer *consumer = argument;
    struct spate_record records[32];

    while (!atomic_load(&faults)) {
        struct sp_place before = consumer->reader.next;
        int n = sp_reader_poll(&consumer->reader, records, 32);
        if (n == -EBADMSG) {
            FAULT("a record makes no sense at offset %llu", (unsigned long long)consumer->reader.next.offset);
        } else if (n == -EOVERFLOW) {
            if (consumer->reader.gate)
                FAULT("a gate was lapped");
            else
                go_on_behind_a_loss(consumer);
        } else {
            struct sp_place next = consumer->reader.next;
            uint64_t read = consumer->read, holes = consumer->holes;
            if (!check_records(consumer, records, n, before.offset)) {
                consumer->read = read; /* lost after all */
                consumer->holes = holes;
                consumer->lost += next.offset - before.offset;
                continue;
            }
            sp_reader_release(&consumer->reader);
            if (n == 0 && look_closer(consumer))
                break;
        }
    }
    return NULL;
}

struct cast {
    enum spate_mode mode;
    int producers, gates, skips;
    uint32_t records; /* each */
    bool deaths;
};

static void play(struct cast cast)
{
    static struct producer producers[THREADS_MAX];
    static struct consumer consumers[THREADS_MAX];
    struct static_ring_config config = static_ring_defaults;
    int consumers_count = cast.gates + cast.skips;

    config.mode = cast.mode;
    config.producers_max = 8;
    static_ring_open(&s, &config);
    atomic_store(&committed, 0);
    atomic_store(&producers_done, false);
    atomic_store(&faults, 0);
    memset(producers, 0, sizeof producers);
    memset(consumers, 0, sizeof consumers);
    sp_hook = on_hook;
    for (int i = 0; i < cast.producers; i++) {
        static_ring_attach_writer(&s, &producers[i].writer);
        producers[i].records = cast.records;
        producers[i].racy = cast.skips > 0;
        producers[i].seed = static_ring_seed(1) + (uint64_t)i;
        producers[i].die_in = cast.deaths && i ? 1000 * (uint32_t)i + (uint32_t)i : 0;
    }
    for (int i = 0; i < consumers_count; i++) {
        static_ring_attach_reader(&s, &consumers[i].reader, i < cast.gates ? SPATE_POLICY_GATE : SPATE_POLICY_SKIP,
                                  (struct sp_place){0, 0});
        consumers[i].copies = i >= cast.gates;
        assert_int_equal(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]), 0);
    }
    for (int i = 0; i < cast.producers; i++)
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    for (int i = 0; i < cast.producers; i++)
        pthread_join(producers[i].thread, NULL);
    repair();
    atomic_store(&producers_done, true);
    for (int i = 0; i < consumers_count; i++)
        pthread_join(consumers[i].thread, NULL);
    sp_hook = NULL;
    if (atomic_load(&faults))
        fail_msg("%s", fault);
    struct sp_place tail = sp_ring_tail(&s.ring);
    uint64_t aborted = atomic_load(&s.header->counters[SP_RING_ABORTED]);
    for (int i = 0; i < consumers_count; i++) {
        assert_int_equal(consumers[i].reader.next.offset, tail.offset);
        assert_int_equal(consumers[i].read + consumers[i].lost + consumers[i].holes, tail.offset);
        if (i < cast.gates) {
            assert_int_equal(consumers[i].lost, 0);
            assert_int_equal(consumers[i].holes, aborted);
        }
    }
    if (!cast.deaths) {
        assert_int_equal(aborted, 0);
        assert_int_equal(atomic_load(&committed), tail.offset);
    } else {
        assert_true(atomic_load(&committed) <= tail.offset - aborted); /* who died behind its stamp did not count itself */
    }
    static_ring_close(&s);
}

static void concurrent_producers_and_gates(void **state)
{
    (void)state;
    play((struct cast){.mode = SPATE_MODE_CONCURRENT, .producers = 3, .gates = 2, .records = 15000});
}

static void concurrent_producers_and_skip_readers(void **state)
{
    (void)state;
    play((struct cast){.mode = SPATE_MODE_CONCURRENT, .producers = 3, .gates = 0, .skips = 2, .records = 30000});
}

static void concurrent_producers_with_both_kinds_of_readers(void **state)
{
    (void)state;
    play((struct cast){.mode = SPATE_MODE_CONCURRENT, .producers = 2, .gates = 1, .skips = 1, .records = 15000});
}

static void an_exclusive_producer_and_gates(void **state)
{
    (void)state;
    play((struct cast){.mode = SPATE_MODE_EXCLUSIVE, .producers = 1, .gates = 2, .records = 40000});
}

static void an_exclusive_producer_and_skip_readers(void **state)
{
    (void)state;
    play((struct cast){.mode = SPATE_MODE_EXCLUSIVE, .producers = 1, .gates = 0, .skips = 2, .records = 80000});
}

static void producers_that_die_at_hooks_disturb_nobody(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++)
        play((struct cast){.mode = SPATE_MODE_CONCURRENT, .producers = 4, .gates = 2, .records = 4000, .deaths = true});
}

/* ------------------------------------------------------------------------------------------------ forced interleavings */

static _Atomic int stage;

static void wait_for_stage(int wanted)
{
    while (atomic_load(&stage) != wanted)
        sched_yield();
}

static _Thread_local const char *stop_point;

static void stop_here(const char *point)
{
    if (stop_point && strcmp(point, stop_point) == 0) {
        stop_point = NULL;
        atomic_store(&stage, 1);
        wait_for_stage(2);
    }
}

struct stopped {
    pthread_t thread;
    struct sp_writer writer;
    const char *point;
};

static void *publish_with_a_stop(void *argument)
{
    struct stopped *stopped = argument;
    stop_point = stopped->point;
    static_ring_publish(&stopped->writer, 100, NULL);
    return NULL;
}

static void a_producer_stopped_at_any_point_of_its_claim_is_waited_for(void **state)
{
    static const char *const points[] = {"claim:added", "claim:claimed"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        static struct stopped stopped;
        struct sp_writer other;
        struct sp_reader reader;
        char text[32];
        static_ring_open(&s, NULL);
        static_ring_attach_writer(&s, &stopped.writer);
        static_ring_attach_writer(&s, &other);
        static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
        stopped.point = points[i];
        atomic_store(&stage, 0);
        sp_hook = stop_here;
        pthread_create(&stopped.thread, NULL, publish_with_a_stop, &stopped);
        wait_for_stage(1);
        static_ring_publish(&other, 50, NULL);
        static_ring_story(&s, &reader, text, sizeof text);
        assert_string_equal(text, "w");
        repair(); /* nothing to repair: it lives */
        static_ring_story(&s, &reader, text, sizeof text);
        assert_string_equal(text, "w");
        atomic_store(&stage, 2);
        pthread_join(stopped.thread, NULL);
        sp_hook = NULL;
        static_ring_story(&s, &reader, text, sizeof text);
        assert_string_equal(text, "rr.");
        static_ring_close(&s);
    }
}

static void a_producer_stopped_between_intent_and_claim_blocks_only_space(void **state)
{
    static struct stopped stopped;
    struct sp_writer other;
    struct sp_reader reader;
    char text[4096];
    (void)state;
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, &stopped.writer);
    static_ring_attach_writer(&s, &other);
    static_ring_attach_reader(&s, &reader, SPATE_POLICY_GATE, (struct sp_place){0, 0});
    stopped.point = "claim:intent";
    atomic_store(&stage, 0);
    sp_hook = stop_here;
    pthread_create(&stopped.thread, NULL, publish_with_a_stop, &stopped);
    wait_for_stage(1);
    unsigned published = 0;
    while (static_ring_publish(&other, 100, NULL) == 0) {
        published++;
        static_ring_story(&s, &reader, text, sizeof text);
        assert_string_equal(text, "r."); /* readers do not wait: what is committed is read */
    }
    assert_true(published > 400);
    assert_int_equal(other.blocker.kind, SP_BLOCKER_PRODUCER);
    atomic_store(&stage, 2);
    pthread_join(stopped.thread, NULL);
    sp_hook = NULL;
    assert_int_equal(static_ring_publish(&other, 100, NULL), 0);
    static_ring_story(&s, &reader, text, sizeof text);
    assert_string_equal(text, "rr.");
    static_ring_close(&s);
}

/* ---- E6 by hand: the gate comes while a writer extends its limit. */

static struct sp_reader gate;
static struct sp_place gate_place;
static int gate_placed;

static void place_a_gate(const char *point)
{
    if (strcmp(point, "extend:announced") != 0)
        return;
    sp_hook = NULL;
    gate_placed = static_ring_attach_reader(&s, &gate, SPATE_POLICY_GATE, gate_place);
}

/* A ring in its second lap whose next claim extends; gate_place is the oldest place that holds until then. */
static void open_before_extending(struct sp_writer *writer)
{
    static_ring_open(&s, NULL);
    static_ring_attach_writer(&s, writer);
    do
        static_ring_publish(writer, 48, NULL);
    while (sp_ring_tail(&s.ring).position < 2 * s.ring.capacity || sp_ring_tail(&s.ring).position + 64 <= writer->soft_limit);
    gate_place.position = atomic_load(&s.header->reserved) - s.ring.capacity;
    gate_place.offset = gate_place.position / 64;
}

static void a_gate_that_comes_after_the_announcement_is_refused(void **state)
{
    struct sp_writer writer;
    (void)state;
    open_before_extending(&writer);
    sp_hook = place_a_gate;
    static_ring_publish(&writer, 48, NULL);
    assert_null(sp_hook); /* it was passed */
    assert_int_equal(gate_placed, -EOVERFLOW);
    static_ring_close(&s);
}

static void a_gate_that_looked_before_the_announcement_is_seen_behind_it(void **state)
{
    struct sp_writer writer;
    (void)state;
    open_before_extending(&writer);
    sp_hook = place_a_gate; /* what it finds at its look does not matter: it looked before, and believes in its place */
    int error = static_ring_publish(&writer, 48, NULL);
    assert_null(sp_hook);
    assert_int_equal(error, -EAGAIN);
    assert_int_equal(writer.blocker.kind, SP_BLOCKER_CONSUMER);
    assert_true(writer.soft_limit <= gate_place.position + s.ring.capacity);
    static_ring_detach_reader(&s, &gate);
    assert_int_equal(static_ring_publish(&writer, 48, NULL), 0);
    static_ring_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concurrent_producers_and_gates),
        cmocka_unit_test(concurrent_producers_and_skip_readers),
        cmocka_unit_test(concurrent_producers_with_both_kinds_of_readers),
        cmocka_unit_test(an_exclusive_producer_and_gates),
        cmocka_unit_test(an_exclusive_producer_and_skip_readers),
        cmocka_unit_test(producers_that_die_at_hooks_disturb_nobody),
        cmocka_unit_test(a_producer_stopped_at_any_point_of_its_claim_is_waited_for),
        cmocka_unit_test(a_producer_stopped_between_intent_and_claim_blocks_only_space),
        cmocka_unit_test(a_gate_that_comes_after_the_announcement_is_refused),
        cmocka_unit_test(a_gate_that_looked_before_the_announcement_is_seen_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
