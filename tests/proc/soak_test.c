/* soak_test.c: producers and consumers that come, leave, stop, and are killed, at random, while every consumer checks every
 * record.
 *
 * The truth is in memory that all share: each producer (an incarnation has an id of its own) notes for each partition how many
 * records it set out to publish, before it claims, and how many it has committed, after it did. A consumer then knows what it
 * must see:
 *
 *   order      the sequences of one producer in one partition come as n, n+1, n+2 ...
 *   loss       ... from one that was not yet claimed when the consumer had subscribed, up to the last one committed
 *   dup        none comes twice, offsets only grow
 *   function   whatever consumer reads offset o finds the same record there
 *   whole      the bytes of a value prove themselves
 *   holes      offsets are left out only for aborted claims and for those of the dead
 *
 * A skipping consumer may lose ranges, if they are reported exactly. The checker is tested itself, with histories that each hold
 * one planted bug. */
#include "proc.h"

#include <signal.h>
#include <sys/wait.h>

#include "spate/inspect.h"

enum { PARTITIONS = 3, IDS = 1 << 16, TABLE = 1 << 16, BATCH = 16, WORKERS = 12 };

/* ---------------------------------------------------------------------------------------------------- the checker */

struct truth {
    struct {
        proc_word claimed[PARTITIONS];   /* set before a claim: sequences below it may exist */
        proc_word committed[PARTITIONS]; /* set after the commit: sequences below it do exist */
    } of[IDS];
    proc_word table[PARTITIONS][TABLE]; /* offset (24 bits) and 40 bits of what was read there */
    proc_word aborted[PARTITIONS];      /* records in claims given up, counted before */
    proc_word deaths;
    proc_word violations, reads, lost, kills, stops, consumers_checked;
    proc_word next_id, stop, drain;
    proc_word leave[WORKERS];
    char text[4][256];
};

struct track {
    uint64_t next;    /* sequence that must come */
    uint64_t ceiling; /* where the first one may be at most */
    uint32_t epoch;   /* of the partition when `next` was true */
    bool is_seen;
};

struct checker {
    struct truth *truth;
    struct track (*tracks)[PARTITIONS];
    int64_t next_offset[PARTITIONS]; /* -1: not known yet */
    uint64_t holes[PARTITIONS];
    uint32_t epoch[PARTITIONS]; /* one more after each gap */
    uint64_t aborted_before[PARTITIONS], deaths_before;
    uint64_t violations;
};

static void violate(struct checker *checker, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void violate(struct checker *checker, const char *format, ...)
{
    va_list arguments;
    uint64_t n = atomic_fetch_add_explicit(&checker->truth->violations, 1, memory_order_acq_rel);

    checker->violations++;
    if (n >= 4)
        return;
    va_start(arguments, format);
    vsnprintf(checker->truth->text[n], sizeof checker->truth->text[n], format, arguments);
    va_end(arguments);
}

/* Call after the subscription: what was claimed by now may lie before it. */
static void checker_begin(struct checker *checker, struct truth *truth)
{
    *checker = (struct checker){.truth = truth, .tracks = calloc(IDS, sizeof *checker->tracks)};
    const uint64_t ids = proc_get(&truth->next_id);
    for (int p = 0; p < PARTITIONS; p++) {
        checker->next_offset[p] = -1;
        for (uint64_t id = 0; id < ids && id < IDS; id++)
            checker->tracks[id][p].ceiling = proc_get(&truth->of[id].claimed[p]);
    }
}

/* Call before the subscription: holes made from here on are its business. */
static void checker_note_before(const struct truth *truth, uint64_t aborted[PARTITIONS])
{
    for (int p = 0; p < PARTITIONS; p++)
        aborted[p] = atomic_load_explicit(&truth->aborted[p], memory_order_acquire);
}

static void check_function(struct checker *checker, int partition, int64_t offset, uint64_t id, uint64_t sequence)
{
    uint64_t state = id << 40 ^ sequence, tag = (uint64_t)offset << 40;
    uint64_t word = tag | proc_random(&state) >> 24;
    proc_word *entry = &checker->truth->table[partition][offset % TABLE];
    uint64_t old = proc_get(entry);

    for (;;) {
        if (old == word)
            return;
        if (old != 0 && old >> 40 == tag >> 40) {
            violate(checker, "function: partition %d, offset %lld is another record for another consumer (id %llu, sequence %llu)",
                    partition, (long long)offset, (unsigned long long)id, (unsigned long long)sequence);
            return;
        }
        /* another lap's; a reader that is a lap behind finds newer ones and leaves them */
        if (old != 0 && (int32_t)(((uint32_t)(old >> 40) - (uint32_t)(tag >> 40)) << 8) > 0)
            return;
        if (atomic_compare_exchange_weak_explicit(entry, &old, word, memory_order_acq_rel, memory_order_acquire))
            return;
    }
}

static void checker_see(struct checker *checker, int partition, int64_t offset, const void *value, uint32_t size)
{
    uint64_t id = 0, sequence = 0;

    if (!proc_is_whole(value, size, &id, &sequence) || id >= IDS) {
        violate(checker, "whole: partition %d, offset %lld is torn", partition, (long long)offset);
        return;
    }
    if (offset < checker->next_offset[partition])
        violate(checker, "dup: partition %d, offset %lld after %lld", partition, (long long)offset,
                (long long)checker->next_offset[partition] - 1);
    else if (checker->next_offset[partition] >= 0)
        checker->holes[partition] += (uint64_t)(offset - checker->next_offset[partition]);
    checker->next_offset[partition] = offset + 1;
    struct track *track = &checker->tracks[id][partition];
    bool is_certain = track->is_seen && track->epoch == checker->epoch[partition];
    if (is_certain && sequence != track->next)
        violate(checker, "order: partition %d, offset %lld, id %llu: sequence %llu instead of %llu (%s)", partition,
                (long long)offset, (unsigned long long)id, (unsigned long long)sequence, (unsigned long long)track->next,
                sequence < track->next ? "dup or reorder" : "loss");
    if (!is_certain && track->is_seen && sequence < track->next)
        violate(checker, "order: partition %d, id %llu: sequence %llu again", partition, (unsigned long long)id,
                (unsigned long long)sequence);
    if (!track->is_seen && checker->epoch[partition] == 0 && sequence > track->ceiling)
        violate(checker, "loss: partition %d, id %llu begins with sequence %llu, though all from %llu came after the subscription",
                partition, (unsigned long long)id, (unsigned long long)sequence, (unsigned long long)track->ceiling);
    track->is_seen = true;
    track->epoch = checker->epoch[partition];
    track->next = sequence + 1;
    check_function(checker, partition, offset, id, sequence);
    proc_add(&checker->truth->reads);
}

static void checker_gap(struct checker *checker, const struct spate_gap *gap)
{
    int64_t *next = &checker->next_offset[gap->partition];

    if (gap->cause != SPATE_LOST_SKIPPED)
        violate(checker, "gap: partition %d, %lld to %lld, cause %u", gap->partition, (long long)gap->first, (long long)gap->next,
                gap->cause);
    if (gap->next <= gap->first || (*next >= 0 && gap->first < *next))
        violate(checker, "gap: partition %d, %lld to %lld, where %lld was next", gap->partition, (long long)gap->first,
                (long long)gap->next, (long long)*next);
    if (*next >= 0)
        checker->holes[gap->partition] += (uint64_t)(gap->first - *next);
    *next = gap->next;
    checker->epoch[gap->partition]++;
    atomic_fetch_add_explicit(&checker->truth->lost, (uint64_t)(gap->next - gap->first), memory_order_relaxed);
}

/* After everything was read, and no producer lives. */
static void checker_end(struct checker *checker)
{
    struct truth *truth = checker->truth;
    const uint64_t ids = proc_get(&truth->next_id);

    for (int p = 0; p < PARTITIONS; p++) {
        for (uint64_t id = 0; id < ids && id < IDS; id++) {
            const struct track *track = &checker->tracks[id][p];
            uint64_t committed = proc_get(&truth->of[id].committed[p]), claimed = proc_get(&truth->of[id].claimed[p]);
            if (track->is_seen && track->next > claimed)
                violate(checker, "invented: partition %d, id %llu, sequence %llu was never claimed", p, (unsigned long long)id,
                        (unsigned long long)track->next - 1);
            if (track->is_seen ? track->epoch != checker->epoch[p] : checker->epoch[p] != 0)
                continue; /* the rest may be in a gap */
            if (track->is_seen ? track->next < committed : committed > track->ceiling)
                violate(checker, "loss: partition %d, id %llu: %llu were committed, the last one seen is before %llu", p,
                        (unsigned long long)id, (unsigned long long)committed, (unsigned long long)track->next);
        }
        uint64_t allowed = proc_get(&truth->aborted[p]) - checker->aborted_before[p] + proc_get(&truth->deaths) * BATCH;
        if (checker->holes[p] > allowed)
            violate(checker, "holes: partition %d: %llu offsets are missing, at most %llu can have been aborted", p,
                    (unsigned long long)checker->holes[p], (unsigned long long)allowed);
    }
    free(checker->tracks);
    proc_add(&truth->consumers_checked);
}

/* ------------------------------------------------------------------------------------------- the checker's own test */

struct event {
    uint64_t id, sequence;
    int64_t offset;
    bool is_torn;
};

/* Two producers of five records each, all committed; what a consumer says it saw. Returns the violations. */
static uint64_t judge_history(const struct event *events, int count, bool second_consumer_swaps)
{
    struct truth *truth = calloc(1, sizeof *truth);
    struct checker checker, second;
    uint8_t value[64];
    uint64_t violations;

    proc_set(&truth->next_id, 2);
    checker_begin(&checker, truth);
    checker_begin(&second, truth);
    for (uint64_t id = 0; id < 2; id++) {
        proc_set(&truth->of[id].claimed[1], 5);
        proc_set(&truth->of[id].committed[1], 5);
    }
    for (int i = 0; i < count; i++) {
        proc_fill(value, sizeof value, events[i].id, events[i].sequence);
        value[40] ^= events[i].is_torn;
        checker_see(&checker, 1, events[i].offset, value, sizeof value);
        if (second_consumer_swaps) { /* the same records, the two producers exchanged */
            proc_fill(value, sizeof value, 1 - events[i].id, events[i].sequence);
            checker_see(&second, 1, events[i].offset, value, sizeof value);
        }
    }
    checker_end(&checker);
    if (second_consumer_swaps)
        checker_end(&second);
    else
        free(second.tracks);
    violations = proc_get(&truth->violations);
    free(truth);
    return violations;
}

static int good_history(struct event events[10])
{
    for (int i = 0; i < 10; i++)
        events[i] = (struct event){.id = (uint64_t)i % 2, .sequence = (uint64_t)i / 2, .offset = i};
    return 10;
}

static void take_out(struct event events[10], int at)
{
    memmove(events + at, events + at + 1, (size_t)(9 - at) * sizeof *events);
}

static void the_checker_finds_every_planted_bug(void **state)
{
    (void)state;
    struct event e[10];
    int n = good_history(e);

    IS(judge_history(e, n, false), 0);
    for (int at = 0; at < 10; at++) {
        good_history(e);
        e[at].is_torn = true;
        CHECKF(judge_history(e, 10, false) > 0, "a torn payload at %d was not found", at);
        good_history(e);
        take_out(e, at);
        CHECKF(judge_history(e, 9, false) > 0, "a loss at %d was not found", at);
        for (int i = at; i < 9; i++) /* lost, and the offsets closed up behind it */
            e[i].offset = i;
        CHECKF(judge_history(e, 9, false) > 0, "a hidden loss at %d was not found", at);
        if (at > 0) {
            good_history(e);
            e[at].id = e[at - 1].id;
            e[at].sequence = e[at - 1].sequence;
            CHECKF(judge_history(e, 10, false) > 0, "a duplicate at %d was not found", at);
            good_history(e);
            e[at] = e[at - 1];
            CHECKF(judge_history(e, 10, false) > 0, "a record delivered twice at %d was not found", at);
        }
        if (at > 1) {
            good_history(e);
            uint64_t sequence = e[at].sequence;
            e[at].sequence = e[at - 2].sequence;
            e[at - 2].sequence = sequence;
            CHECKF(judge_history(e, 10, false) > 0, "a reordering at %d was not found", at);
        }
    }
    good_history(e);
    for (int i = 5; i < 10; i++)
        e[i].offset += 3; /* nobody aborted or died */
    CHECK(judge_history(e, 10, false) > 0);
    good_history(e);
    CHECK(judge_history(e, 10, true) > 0);
    CHECK(judge_history(e, 0, false) > 0);
}

/* ------------------------------------------------------------------------------------------------------ the workers */

struct worker {
    pid_t pid;
    bool consumes;
};

static struct {
    struct truth *truth;
    int slot;
    uint64_t seed;
} job; /* what the next child is to do */

static bool must_leave(struct truth *truth)
{
    return proc_get(&truth->stop) != 0 || proc_get(&truth->leave[job.slot]) != 0;
}

/* One claim: a record or a batch; committed, or sometimes given up. Returns 0 or an error. */
static int produce_once(spate_producer *producer, uint64_t id, int32_t partition, uint64_t *random, uint64_t next[PARTITIONS])
{
    struct truth *truth = job.truth;
    struct spate_record records[BATCH];
    struct spate_claim claims[BATCH];
    uint32_t count = proc_below(random, 4) ? 1 : 1 + (uint32_t)proc_below(random, BATCH);
    bool gives_up = proc_below(random, 50) == 0;
    int error;

    for (uint32_t i = 0; i < count; i++)
        records[i] = (struct spate_record){
            .partition = partition,
            .value_size = (uint32_t)(PROC_VALUE_MIN + proc_below(random, proc_below(random, 100) ? 150 : 2500))};
    if (gives_up)
        atomic_fetch_add_explicit(&truth->aborted[partition], count, memory_order_acq_rel);
    else
        proc_set(&truth->of[id].claimed[partition], next[partition] + count);
    while ((error = spate_claim_batch(producer, records, count, claims)) == -EAGAIN) {
        if (must_leave(truth))
            return 1;
        int waited = spate_producer_wait(producer, 20 * PROC_MS);
        CHECKF(waited == 0 || waited == -ETIMEDOUT, "wait: %d (%s)", waited, spate_last_error());
    }
    if (error)
        return error;
    if (gives_up)
        return spate_abort(producer);
    for (uint32_t i = 0; i < count; i++)
        proc_fill(claims[i].value, claims[i].value_size, id, next[partition] + i);
    OK(spate_commit(producer));
    next[partition] += count;
    proc_set(&truth->of[id].committed[partition], next[partition]);
    return 0;
}

static int produce(void *argument)
{
    struct truth *truth = job.truth;
    uint64_t id = atomic_fetch_add_explicit(&truth->next_id, 1, memory_order_acq_rel), random = job.seed;
    uint64_t next[PARTITIONS] = {0};

    (void)argument;
    if (id >= IDS)
        return 0;
    struct proc_handles own = proc_join("soak");
    spate_producer *producer = proc_producer(own.topic);
    int32_t partition = (int32_t)proc_below(&random, PARTITIONS);
    while (!must_leave(truth)) {
        int error = produce_once(producer, id, partition, &random, next);
        CHECKF(error >= 0 || error == -EBUSY || error == -EUSERS, "claim: %d (%s)", error, spate_last_error());
        if (error == -EBUSY || error == -EUSERS)
            proc_nap(PROC_MS); /* exclusive: somebody else has it */
        if (error || proc_below(&random, 30) == 0)
            partition = (int32_t)proc_below(&random, PARTITIONS);
        if (proc_below(&random, 500) == 0)
            proc_nap((int64_t)proc_below(&random, 3 * PROC_MS));
    }
    spate_producer_close(producer);
    proc_leave(own);
    return 0;
}

static bool is_drained(spate_consumer *consumer)
{
    for (int p = 0; p < PARTITIONS; p++) {
        int64_t next;
        OK(spate_offsets(consumer, p, NULL, &next));
        if (spate_position(consumer, p) < next)
            return false;
    }
    return true;
}

/* Reads until told to leave, or everything is read. Returns whether it was the latter. */
static bool read_along(struct checker *checker, spate_consumer *consumer, uint64_t *random, bool skips)
{
    struct spate_record got[32];
    static _Alignas(16) char buffer[8 << 10];

    for (;;) {
        int n = skips ? spate_read(consumer, buffer, sizeof buffer, got, 20 * PROC_MS)
                      : spate_poll(consumer, got, 1 + (uint32_t)proc_below(random, 32), 20 * PROC_MS);
        CHECKF(n > 0 || n == -ETIMEDOUT || n == -EOVERFLOW, "poll: %d (%s)", n, spate_last_error());
        if (n == -EOVERFLOW) {
            struct spate_gap gap;
            OK(spate_consumer_gap(consumer, &gap));
            checker_gap(checker, &gap);
        }
        for (int i = 0; i < n; i++)
            checker_see(checker, got[i].partition, got[i].offset, got[i].value, got[i].value_size);
        if (n == -ETIMEDOUT && proc_get(&checker->truth->drain) && is_drained(consumer))
            return true;
        if (proc_get(&checker->truth->leave[job.slot]))
            return false;
        if (proc_below(random, 300) == 0)
            proc_nap((int64_t)proc_below(random, 5 * PROC_MS));
    }
}

static int consume(void *argument)
{
    struct truth *truth = job.truth;
    struct checker checker;
    uint64_t random = job.seed, aborted[PARTITIONS];
    const bool skips = proc_below(&random, 4) == 0;

    (void)argument;
    struct proc_handles own = proc_join("soak");
    checker_note_before(truth, aborted);
    const uint32_t start = proc_below(&random, 2) ? SPATE_START_END : SPATE_START_BEGINNING;
    spate_consumer *consumer = proc_consumer(own.topic, skips ? SPATE_POLICY_SKIP : SPATE_POLICY_GATE, start, 0);
    checker_begin(&checker, truth);
    memcpy(checker.aborted_before, aborted, sizeof aborted);
    if (start == SPATE_START_BEGINNING) /* holes from before */
        memset(checker.aborted_before, 0, sizeof checker.aborted_before);
    if (read_along(&checker, consumer, &random, skips))
        checker_end(&checker);
    spate_consumer_close(consumer);
    proc_leave(own);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- the director */

static void end_worker(struct worker *worker, int expected)
{
    int status = proc_wait(worker->pid);
    CHECKF(status == expected || status == 0, "a %s ended with %d", worker->consumes ? "consumer" : "producer", status);
    worker->pid = 0;
}

static void start_worker(struct worker *worker, int slot, uint64_t *random, bool consumes)
{
    job.slot = slot;
    job.seed = proc_random(random);
    proc_set(&job.truth->leave[slot], 0);
    worker->consumes = consumes;
    worker->pid = proc_start(consumes ? consume : produce, NULL);
}

/* Something happens to a worker. */
static void disturb(struct worker *worker, int slot, uint64_t *random)
{
    struct truth *truth = job.truth;

    switch (proc_below(random, 6)) {
    case 0:
    case 1:
    case 2:
        if (!worker->consumes)
            proc_add(&truth->deaths); /* its open claim becomes holes */
        kill(worker->pid, SIGKILL);
        end_worker(worker, 128 + SIGKILL);
        proc_add(&truth->kills);
        break;
    case 3:
        kill(worker->pid, SIGSTOP);
        proc_nap((int64_t)proc_below(random, 10 * PROC_MS));
        kill(worker->pid, SIGCONT);
        proc_add(&truth->stops);
        break;
    default: proc_set(&truth->leave[slot], 1); end_worker(worker, 0);
    }
}

static void soak(uint32_t mode, int64_t duration, uint64_t records_least, uint64_t *random)
{
    struct truth *truth = proc_shared(sizeof *truth);
    struct worker workers[WORKERS] = {{0}};
    struct spate_bus_options options;
    spate_bus *bus = NULL;
    const int64_t end = proc_now() + duration;
    struct spate_verify_result verify;
    uint64_t committed = 0;

    spate_bus_options_init(&options);
    options.participants_max = WORKERS + 2; /* so that slots change hands all the time */
    OK(spate_bus_open(proc_bus_path(), &options, &bus));

    proc_create(bus, "soak", PARTITIONS, 128 << 10, mode);
    job.truth = truth;
    while (proc_now() < end || (committed < records_least && proc_now() < end + 3600 * PROC_S)) {
        int slot = (int)proc_below(random, WORKERS);
        if (workers[slot].pid == 0)
            start_worker(&workers[slot], slot, random, slot % 2);
        else if (proc_below(random, 3))
            disturb(&workers[slot], slot, random);
        proc_nap((int64_t)proc_below(random, 12 * PROC_MS));
        committed = 0;
        for (uint64_t id = 0; id < proc_get(&truth->next_id) && id < IDS; id++)
            for (int p = 0; p < PARTITIONS; p++)
                committed += proc_get(&truth->of[id].committed[p]);
        if (proc_get(&truth->violations))
            break;
    }
    for (int i = 1; i < WORKERS; i += 2) /* somebody shall read to the end */
        if (workers[i].pid == 0)
            start_worker(&workers[i], i, random, true);
    proc_nap(100 * PROC_MS);
    proc_set(&truth->stop, 1);
    for (int i = 0; i < WORKERS; i += 2)
        if (workers[i].pid)
            end_worker(&workers[i], 0);
    proc_set(&truth->drain, 1);
    for (int i = 1; i < WORKERS; i += 2)
        if (workers[i].pid)
            end_worker(&workers[i], 0);
    OK(spate_verify(bus, NULL, &verify, NULL, NULL));
    print_message(
        "%s: %llu records, %llu reads, %llu skipped, %llu producers, %llu kills, %llu stops, %llu consumers checked to the end, "
        "%llu violations\n",
        mode == SPATE_MODE_EXCLUSIVE ? "exclusive" : "concurrent", (unsigned long long)committed,
        (unsigned long long)proc_get(&truth->reads), (unsigned long long)proc_get(&truth->lost),
        (unsigned long long)proc_get(&truth->next_id), (unsigned long long)proc_get(&truth->kills),
        (unsigned long long)proc_get(&truth->stops), (unsigned long long)proc_get(&truth->consumers_checked),
        (unsigned long long)proc_get(&truth->violations));
    for (uint64_t i = 0; i < proc_get(&truth->violations) && i < 4; i++)
        print_error("violation: %s\n", truth->text[i]);
    IS(proc_get(&truth->violations), 0);
    IS(verify.violations, 0);
    CHECK(proc_get(&truth->consumers_checked) >= 3 && committed > 0);
    OK(spate_topic_delete(bus, "soak", 0));
    spate_bus_close(bus);
}

static void nothing_is_lost_doubled_reordered_or_torn_whoever_dies(void **state)
{
    (void)state;
    uint64_t random = proc_seed();
    const int64_t duration = proc_is_full() ? 300 * PROC_S : 15 * PROC_S / 2;
    const uint64_t least = proc_is_full() ? 5000000 : 0;

    proc_alarm(proc_is_full() ? 7000 : 240);
    soak(SPATE_MODE_CONCURRENT, duration, least, &random);
    soak(SPATE_MODE_EXCLUSIVE, duration, least, &random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(the_checker_finds_every_planted_bug),
        PROC_TEST(nothing_is_lost_doubled_reordered_or_torn_whoever_dies),
    };
    return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
