/* instructions_test.c: how many instructions a record costs on the fast paths, counted one by one.
 *
 * A child publishes, or polls, so many records between two markers, and is stepped through them (tracer.h). What a record costs is the
 * difference between many and few of them, so that calls and beginnings do not count. The figure is the same on every run of a machine,
 * however noisy it is: a hot path that becomes slower is found at once. Budgets have some room, for other compilers and for processors with
 * narrower stores; the counts of gcc 12 with 64-byte stores are in the table. */
#include <stdio.h>
#include <string.h>

#include "base/arch.h"
#include "proc.h"
#include "tracer.h"

#define FEW 64u
#define MANY 192u
#define BATCH 32u

struct count_case {
    const char *name;
    uint32_t mode, alignment, timestamp;
    void (*act)(const struct count_case *, uint32_t count);
    uint32_t budget; /* instructions a record, caller's loop included */
};

static struct {
    const struct count_case *of;
    uint32_t count;
    spate_producer *producer;
    spate_consumer *consumer;
} child;

static char values[BATCH][64];

static void publish(const struct count_case *of, uint32_t count)
{
    const struct spate_record record = {.partition = 0, .value = values[0], .value_size = 64};

    (void)of;
    for (uint32_t i = 0; i < count; i++)
        (void)spate_publish(child.producer, &record, 0, NULL);
}

static void publish_batches(const struct count_case *of, uint32_t count)
{
    struct spate_record records[BATCH];

    (void)of;
    for (uint32_t i = 0; i < BATCH; i++)
        records[i] = (struct spate_record){.partition = 0, .value = values[i], .value_size = 64};
    for (uint32_t i = 0; i < count; i += BATCH)
        (void)spate_publish_batch(child.producer, records, BATCH, 0, NULL);
}

static void claim_and_commit(const struct count_case *of, uint32_t count)
{
    const struct spate_record record = {.partition = 0, .value_size = 64};
    struct spate_claim claim;

    (void)of;
    for (uint32_t i = 0; i < count; i++) {
        (void)spate_claim(child.producer, &record, &claim);
        (void)spate_commit(child.producer);
    }
}

static void poll_records(const struct count_case *of, uint32_t count)
{
    struct spate_record records[FEW];

    (void)of;
    for (uint32_t i = 0; i < count; i += FEW)
        (void)spate_poll(child.consumer, records, FEW, 0);
}

static void body(void *context)
{
    (void)context;
    struct proc_handles handles = proc_join("counted");
    child.producer = proc_producer(handles.topic);
    child.consumer = proc_consumer(handles.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    publish(child.of, 2 * MANY); /* attached, warm, the bias taken where there is one */
    if (child.of->act == claim_and_commit)
        claim_and_commit(child.of, 4);
    if (child.of->act == poll_records)
        poll_records(child.of, FEW);
    tracer_marker();
    child.of->act(child.of, child.count);
    tracer_marker();
}

static uint32_t count_steps(const struct count_case *of, uint32_t count)
{
    struct tracee tracee;
    uint32_t steps = 0;

    child.of = of;
    child.count = count;
    if (!tracer_spawn(&tracee, body, NULL, NULL))
        return 0;
    while (tracer_step(&tracee))
        steps++;
    tracer_kill(&tracee);
    tracer_reap(&tracee);
    return steps;
}

#define EXCLUSIVE SPATE_MODE_EXCLUSIVE
#define CONCURRENT SPATE_MODE_CONCURRENT
#define NONE SPATE_TIMESTAMP_NONE
#define CLOCK SPATE_TIMESTAMP_CLOCK

static const struct count_case cases[] = {
    /* what it took when this was written is behind each line */
    {"publish, exclusive", EXCLUSIVE, 16, NONE, publish, 66},                      /* 56 */
    {"publish, concurrent", CONCURRENT, 16, NONE, publish, 79},                    /* 68 */
    {"publish, timestamps", CONCURRENT, 64, CLOCK, publish, 320},                  /* 267 */
    {"batches of 32, exclusive", EXCLUSIVE, 16, NONE, publish_batches, 37},        /* 29 */
    {"batches of 32, concurrent", CONCURRENT, 16, NONE, publish_batches, 38},      /* 30 */
    {"batches of 32, timestamps", CONCURRENT, 64, CLOCK, publish_batches, 100},    /* 91 */
    {"claim and commit, exclusive", EXCLUSIVE, 64, NONE, claim_and_commit, 118},   /* 101 */
    {"claim and commit, concurrent", CONCURRENT, 64, NONE, claim_and_commit, 260}, /* 243 */
    {"poll and release, exclusive", EXCLUSIVE, 16, NONE, poll_records, 37},        /* 30 */
    {"poll and release, concurrent", CONCURRENT, 16, NONE, poll_records, 37},      /* 30 */
    {"poll and release, timestamps", CONCURRENT, 64, CLOCK, poll_records, 42},     /* 34 */
};

static void a_record_costs_so_many_instructions(void **state)
{
    char reason[256];
    bool over = false;

    (void)state;
#if !defined(__OPTIMIZE__) || !defined(__x86_64__)
    proc_skip("counted in optimised x86-64 builds only");
#endif
    if (SP_SANITIZED)
        proc_skip("a sanitizer's instructions are not the library's");
    if (!tracer_permitted(reason, sizeof reason))
        proc_skip("%s", reason);
    spate_bus *bus = proc_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct spate_topic_config config;
        spate_topic_config_init(&config);
        config.mode = cases[i].mode;
        config.alignment = cases[i].alignment;
        config.timestamp = cases[i].timestamp;
        config.ring_capacity = 1 << 20;
        OK(spate_topic_create(bus, "counted", &config));
        const uint32_t few = count_steps(&cases[i], FEW), many = count_steps(&cases[i], MANY);
        CHECK(few > 0 && many > few);
        const double each = (double)(many - few) / (MANY - FEW);
        printf("%-30s %6.1f instructions a record, at most %u\n", cases[i].name, each, cases[i].budget);
        over |= each > cases[i].budget;
        OK(spate_topic_delete(bus, "counted", SPATE_DELETE_FORCE));
    }
    spate_bus_close(bus);
    CHECKF(!over, "a fast path has become longer: see the table above");
}

int main(void)
{
    const struct CMUnitTest tests[] = {PROC_TEST(a_record_costs_so_many_instructions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
