/* death_test.c: processes that are killed or stopped, at places where it matters, and the others that go on.
 *
 * Where exactly a process dies is the business of tests/crash; here are the cases a user can bring about: a claim that is never
 * committed, a gate that never moves, everybody at once, another PID namespace, SIGSTOP instead of SIGKILL. */
#include "proc.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "spate/inspect.h"

struct scene {
    proc_word ready, go, stop, next, end;
    uint32_t batch;
    uint64_t published[64];
};

struct fixture {
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
};

static struct fixture open_fixture(uint32_t mode, uint32_t policy)
{
    struct fixture f = {.bus = proc_open()};
    proc_create(f.bus, "t", 1, SPATE_RING_MIN, mode);
    f.topic = proc_topic(f.bus, "t");
    f.producer = proc_producer(f.topic);
    f.consumer = proc_consumer(f.topic, policy, SPATE_START_BEGINNING, 0);
    return f;
}

static void close_fixture(struct fixture f)
{
    spate_consumer_close(f.consumer);
    spate_producer_close(f.producer);
    spate_topic_close(f.topic);
    spate_bus_close(f.bus);
}

/* Claims one record, or a batch, writes half of it, and never commits. */
static int claim_and_wait(void *argument)
{
    struct scene *scene = argument;
    struct proc_handles own = proc_join("t");
    spate_producer *producer = proc_producer(own.topic);
    struct spate_record records[64];
    struct spate_claim claims[64];

    for (uint32_t i = 0; i < 64; i++)
        records[i] = (struct spate_record){.value_size = 40 + i};
    OK(spate_claim_batch(producer, records, scene->batch, claims));
    memset(claims[0].value, 0xee, claims[0].value_size / 2);
    proc_add(&scene->ready);
    while (proc_get(&scene->go) == 0)
        proc_nap(PROC_MS);
    for (uint32_t i = 0; i < scene->batch; i++)
        memset(claims[i].value, 'c', claims[i].value_size);
    OK(spate_commit(producer));
    spate_producer_close(producer);
    proc_leave(own);
    return 0;
}

static void publish_and_read(struct fixture *f, int count)
{
    struct spate_record got;
    uint64_t sequence;

    for (int i = 0; i < count; i++) {
        int64_t offset = proc_publish(f->producer, 0, 200, 1, (uint64_t)i);
        IS(spate_poll(f->consumer, &got, 1, PROC_PATIENCE), 1);
        IS(got.offset, offset);
        CHECK(proc_is_whole(got.value, got.value_size, NULL, &sequence));
        IS(sequence, i);
    }
}

static void a_claim_of_a_killed_producer_is_stepped_over(void **state)
{
    (void)state;
    for (uint32_t policy = SPATE_POLICY_GATE; policy <= SPATE_POLICY_SKIP; policy++) {
        struct scene *scene = proc_shared(sizeof *scene);
        struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, policy);
        publish_and_read(&f, 3);
        for (int round = 0; round < 20; round++) {
            scene->batch = round % 2 ? 1 : 1 + (uint32_t)round;
            pid_t child = proc_start(claim_and_wait, scene);
            proc_await(&scene->ready, (uint64_t)round + 1);
            int64_t behind = proc_publish(f.producer, 0, 200, 9, 9);
            proc_kill(child);
            struct spate_record got;
            IS(spate_poll(f.consumer, &got, 1, PROC_PATIENCE), 1);
            IS(got.offset, behind); /* everything before it was the dead one's */
            publish_and_read(&f, 30);
        }
        publish_and_read(&f, 3000);
        close_fixture(f);
        spate_bus *bus = proc_open();
        OK(spate_topic_delete(bus, "t", 0));
        spate_bus_close(bus);
    }
}

static void several_claims_of_the_killed_are_stepped_over_at_once(void **state)
{
    (void)state;
    enum { N = 12 };
    struct scene *scene = proc_shared(sizeof *scene);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, SPATE_POLICY_GATE);
    struct spate_record got;
    int64_t behind = 0;
    pid_t children[N];

    scene->batch = 5;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++) {
            children[i] = proc_start(claim_and_wait, scene);
            proc_await(&scene->ready, (uint64_t)(round * N + i + 1));
            if (i % 3 == 0)
                behind = proc_publish(f.producer, 0, 100, 7, (uint64_t)i);
        }
        for (int i = 0; i < N; i++)
            kill(children[i], SIGKILL);
        for (int i = 0; i < N; i++)
            IS(proc_wait(children[i]), 128 + SIGKILL);
        int64_t last = -1;
        for (int i = 0; i < N; i += 3) {
            uint64_t sequence = 0;
            IS(spate_poll(f.consumer, &got, 1, PROC_PATIENCE), 1);
            CHECK(got.offset > last && proc_is_whole(got.value, got.value_size, NULL, &sequence));
            IS(sequence, i);
            last = got.offset;
        }
        IS(last, behind);
        publish_and_read(&f, 1500);
    }
    close_fixture(f);
}

static void an_exclusive_producer_that_was_killed_leaves_no_trace(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct fixture f = open_fixture(SPATE_MODE_EXCLUSIVE, SPATE_POLICY_GATE);
    struct spate_record got;

    for (int round = 0; round < 10; round++) {
        scene->batch = 1 + (uint32_t)round;
        pid_t child = proc_start(claim_and_wait, scene);
        proc_await(&scene->ready, (uint64_t)round + 1);
        proc_kill(child);
        spate_producer *producer = proc_producer(f.topic);
        IS(proc_publish(producer, 0, 100, 1, 1), round); /* the offset it had claimed is given again */
        IS(spate_poll(f.consumer, &got, 1, PROC_PATIENCE), 1);
        IS(got.offset, round);
        spate_producer_close(producer);
    }
    close_fixture(f);
}

/* ---------------------------------------------------------------------------------------------------------- stopped */

static void a_stopped_owner_is_waited_for_and_never_overtaken(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, SPATE_POLICY_GATE);
    struct spate_record got[64], record = {.value = "0123456789", .value_size = 10};
    int behind = 0, error;

    scene->batch = 5;
    pid_t child = proc_start(claim_and_wait, scene);
    proc_await(&scene->ready, 1);
    kill(child, SIGSTOP);
    while ((error = spate_publish(f.producer, &record, 0, NULL)) == 0)
        behind++;
    IS(error, -EAGAIN);
    IS(spate_publish(f.producer, &record, 200 * PROC_MS, NULL), -ETIMEDOUT);
    IS(spate_poll(f.consumer, got, 64, 200 * PROC_MS), -ETIMEDOUT);
    IS(spate_poll(f.consumer, got, 64, 0), 0);
    struct spate_gc_result gc;
    OK(spate_gc(f.bus, &gc));
    IS(gc.producers, 0);
    IS(spate_poll(f.consumer, got, 64, 20 * PROC_MS), -ETIMEDOUT);
    proc_set(&scene->go, 1);
    kill(child, SIGCONT);
    int64_t next = 0;
    while (next < behind + 5) {
        int n = spate_poll(f.consumer, got, 64, PROC_PATIENCE);
        CHECK(n > 0);
        for (int i = 0; i < n; i++, next++) {
            IS(got[i].offset, next);
            IS(got[i].value_size, next < 5 ? 40 + next : 10);
            CHECK(((const char *)got[i].value)[0] == (next < 5 ? 'c' : '0'));
        }
    }
    IS(proc_wait(child), 0);
    publish_and_read(&f, 1000);
    close_fixture(f);
}

static int notice_stalled(void *context, const struct spate_producer_info *producer)
{
    pid_t *found = context;
    if (producer->claim_state == SPATE_CLAIM_CLAIMED && producer->alive && producer->stalled)
        *found = (pid_t)producer->pid;
    return 0;
}

static void a_stopped_owner_is_named(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, SPATE_POLICY_GATE);
    struct spate_ring_info info;
    pid_t found = 0;

    scene->batch = 1;
    pid_t child = proc_start(claim_and_wait, scene);
    proc_await(&scene->ready, 1);
    kill(child, SIGSTOP);
    proc_publish_text(f.producer, 0, "behind");
    OK(spate_inspect_ring(f.topic, 0, &info, notice_stalled, NULL, &found));
    IS(found, child);
    proc_kill(child);
    close_fixture(f);
}

/* ------------------------------------------------------------------------------------------------------ many at once */

static int produce_forever(void *argument)
{
    struct scene *scene = argument;
    struct proc_handles own = proc_join("t");
    spate_producer *producer = proc_producer(own.topic);
    uint64_t id = atomic_fetch_add_explicit(&scene->next, 1, memory_order_relaxed), random = id;

    proc_add(&scene->ready);
    for (uint64_t i = 0; proc_get(&scene->stop) == 0; i++) {
        proc_publish(producer, 0, (uint32_t)(PROC_VALUE_MIN + proc_below(&random, 400)), id, i);
        scene->published[id % 64] = i + 1;
    }
    spate_producer_close(producer);
    proc_leave(own);
    return 0;
}

static int consume_forever(void *argument)
{
    struct scene *scene = argument;
    struct proc_handles own = proc_join("t");
    spate_consumer *consumer = proc_consumer(own.topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    struct spate_record got[32];

    proc_add(&scene->ready);
    while (proc_get(&scene->stop) == 0) {
        int n = spate_poll(consumer, got, 32, 100 * PROC_MS);
        CHECK(n > 0 || n == -ETIMEDOUT);
        for (int i = 0; i < n; i++)
            CHECK(proc_is_whole(got[i].value, got[i].value_size, NULL, NULL));
    }
    spate_consumer_close(consumer);
    proc_leave(own);
    return 0;
}

/* A process group of producers and consumers, all killed with one call. */
static int lead_a_group(void *argument)
{
    setpgid(0, 0);
    for (int i = 0; i < 6; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(i % 2 ? produce_forever(argument) : consume_forever(argument));
        }
    }
    return pause();
}

static void a_process_group_that_is_killed_leaves_the_others_going(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, SPATE_POLICY_GATE);
    struct spate_record got[64];
    uint64_t next_sequence[64] = {0};

    scene->next = 2; /* ids 0 and 1 are for this process */
    for (int round = 0; round < 8; round++) {
        pid_t leader = proc_start(lead_a_group, scene);
        for (int64_t end = proc_now() + PROC_PATIENCE; proc_get(&scene->ready) < 6 * (uint64_t)(round + 1) && proc_now() < end;) {
            int n = spate_poll(f.consumer, got, 64, 10 * PROC_MS); /* ours must move, or they cannot */
            CHECK(n > 0 || n == -ETIMEDOUT);
        }
        for (int i = 0; i < 300; i++) {
            int n = spate_poll(f.consumer, got, 64, PROC_PATIENCE);
            CHECKF(n > 0, "poll: %d (%s)", n, spate_last_error());
            for (int j = 0; j < n; j++) {
                uint64_t id, sequence;
                CHECK(proc_is_whole(got[j].value, got[j].value_size, &id, &sequence));
                CHECK(sequence >= next_sequence[id % 64]);
                next_sequence[id % 64] = sequence + 1;
            }
        }
        kill(-leader, SIGKILL);
        IS(proc_wait(leader), 128 + SIGKILL);
        memset(next_sequence, 0, sizeof next_sequence);
        /* drain, then alone */
        int n;
        while ((n = spate_poll(f.consumer, got, 64, 200 * PROC_MS)) > 0) {
        }
        IS(n, -ETIMEDOUT);
        publish_and_read(&f, 1000);
    }
    close_fixture(f);
}

/* --------------------------------------------------------------------------------------------------- PID namespaces */

static int in_another_namespace(void *argument)
{
    struct scene *scene = argument;
    int status;

    if (unshare(CLONE_NEWPID) < 0)
        return 77;
    pid_t first = fork(); /* pid 1 of the new namespace; when it dies, so do all others there */
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getpid() != 1)
            _exit(78);
        if (fork() == 0)
            _exit(scene->batch ? claim_and_wait(scene) : produce_forever(scene));
        if (fork() == 0)
            _exit(consume_forever(scene));
        for (;;)
            pause();
    }
    while (proc_get(&scene->end) == 0)
        proc_nap(PROC_MS);
    kill(first, SIGKILL);
    waitpid(first, &status, 0);
    return 0;
}

static void liveness_works_across_pid_namespaces(void **state)
{
    (void)state;
    struct fixture f = open_fixture(SPATE_MODE_CONCURRENT, SPATE_POLICY_GATE);
    struct spate_record got[64];

    for (uint32_t batch = 0; batch < 4; batch++) {
        struct scene *scene = proc_shared(sizeof *scene);
        scene->batch = batch;
        pid_t child = proc_start(in_another_namespace, scene);
        while (proc_get(&scene->ready) < 2) {
            int n = spate_poll(f.consumer, got, 64, PROC_MS);
            CHECK(n > 0 || n == -ETIMEDOUT);
            if (!proc_is_running(child)) {
                int status = proc_wait(child);
                if (status == 77) {
                    close_fixture(f);
                    proc_skip("no permission to make a PID namespace");
                }
                CHECKF(false, "status %d", status);
            }
        }
        if (batch == 0) { /* records from the other namespace come through */
            for (int i = 0; i < 100; i++)
                CHECK(spate_poll(f.consumer, got, 64, PROC_PATIENCE) > 0);
        } else { /* alive, though its pid is unknown here: not overtaken */
            proc_publish(f.producer, 0, PROC_VALUE_MIN, 3, batch);
            IS(spate_poll(f.consumer, got, 64, 100 * PROC_MS), -ETIMEDOUT);
        }
        proc_set(&scene->end, 1);
        IS(proc_wait(child), 0);
        int n;
        while ((n = spate_poll(f.consumer, got, 64, 200 * PROC_MS)) > 0) {
        }
        IS(n, -ETIMEDOUT);
        publish_and_read(&f, 2000); /* neither its claim nor its gate is left */
    }
    close_fixture(f);
}

/* -------------------------------------------------------------------------------------------------------- slots */

static int attach_and_wait(void *argument)
{
    struct scene *scene = argument;
    struct proc_handles own = proc_join("t");
    spate_consumer *consumer = proc_consumer(own.topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    spate_producer *producer = proc_producer(own.topic);
    struct spate_record record = {.value_size = 8};
    struct spate_claim claim;

    CHECK(spate_consumer_fd(consumer) >= 0);
    OK(spate_claim(producer, &record, &claim));
    proc_add(&scene->ready);
    return pause();
}

static int show_violation(void *context, const struct spate_violation *violation)
{
    (void)context;
    print_message("%s: %s: %s\n", violation->file, violation->rule, violation->detail);
    return 0;
}

static void the_dead_leak_no_slots(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct spate_bus_options options;
    struct spate_topic_config config = proc_config(1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_bus *bus = NULL;

    spate_bus_options_init(&options);
    options.participants_max = 3;
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    config.producers_max = config.consumers_max = 2;
    OK(spate_topic_create(bus, "t", &config));
    for (int round = 0; round < 100; round++) { /* many times what each table holds */
        pid_t a = proc_start(attach_and_wait, scene), b = proc_start(attach_and_wait, scene);
        proc_await(&scene->ready, 2 * (uint64_t)round + 2);
        proc_kill(a);
        proc_kill(b);
    }
    struct spate_verify_result verify;
    OK(spate_verify(bus, NULL, &verify, show_violation, NULL));
    IS(verify.violations, 0);
    spate_bus_close(bus);
}

/* Whoever is dead stays dead, also while its participant slot changes hands: here joiners wait for just that slot, and another
 * producer attaches, and so repairs, at the same moment. */
static int join_and_leave(void *argument)
{
    struct scene *scene = argument;

    while (proc_get(&scene->stop) == 0) {
        spate_bus *bus = NULL;
        int error = spate_bus_open(proc_bus_path(), NULL, &bus);
        CHECKF(error == 0 || error == -EUSERS, "join: %d (%s)", error, spate_last_error());
        spate_bus_close(bus);
    }
    return 0;
}

static int claim_when_there_is_a_slot(void *argument)
{
    struct scene *scene = argument;
    spate_bus *bus = NULL;
    int error;

    while ((error = spate_bus_open(proc_bus_path(), NULL, &bus)) == -EUSERS)
        sched_yield();
    OK(error);
    spate_topic *topic = proc_topic(bus, "t");
    spate_producer *producer = proc_producer(topic);
    struct spate_record record = {.value_size = 200};
    struct spate_claim claim;
    OK(spate_claim(producer, &record, &claim));
    proc_add(&scene->ready);
    return pause();
}

static void the_dead_stay_dead_while_their_slots_change_hands(void **state)
{
    (void)state;
    struct scene *scene = proc_shared(sizeof *scene);
    struct spate_bus_options options;
    struct fixture f = {0};
    struct spate_record got;
    const int rounds = proc_is_full() ? 20000 : proc_is_slow() ? 200 : 1000;

    proc_alarm(proc_is_full() ? 3600 : 120);
    spate_bus_options_init(&options);
    options.participants_max = 2;
    OK(spate_bus_open(proc_bus_path(), &options, &f.bus));
    proc_create(f.bus, "t", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    f.topic = proc_topic(f.bus, "t");
    f.consumer = proc_consumer(f.topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    pid_t joiners[2] = {proc_start(join_and_leave, scene), proc_start(join_and_leave, scene)};
    for (int round = 0; round < rounds; round++) {
        pid_t child = proc_start(claim_when_there_is_a_slot, scene);
        proc_await(&scene->ready, (uint64_t)round + 1);
        kill(child, SIGKILL);
        f.producer = proc_producer(f.topic);
        int64_t offset =
            proc_publish(f.producer, 0, 100, 1, (uint64_t)round); /* attaches, and repairs if the other is dead by now */
        IS(proc_wait(child), 128 + SIGKILL);
        spate_producer_close(f.producer);
        f.producer = proc_producer(f.topic);
        proc_publish(f.producer, 0, 100, 2, (uint64_t)round);
        int n = spate_poll(f.consumer, &got, 1, PROC_PATIENCE);
        struct spate_gap gap = {0};
        if (n == -EOVERFLOW)
            OK(spate_consumer_gap(f.consumer, &gap));
        CHECKF(n == 1 && got.offset == offset, "round %d: poll gave %d; gap %lld to %lld, cause %u", round, n, (long long)gap.first,
               (long long)gap.next, gap.cause);
        IS(spate_poll(f.consumer, &got, 1, PROC_PATIENCE), 1);
        spate_producer_close(f.producer);
    }
    proc_set(&scene->stop, 1);
    IS(proc_wait(joiners[0]), 0);
    IS(proc_wait(joiners[1]), 0);
    f.producer = NULL;
    close_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_claim_of_a_killed_producer_is_stepped_over),
        PROC_TEST(several_claims_of_the_killed_are_stepped_over_at_once),
        PROC_TEST(an_exclusive_producer_that_was_killed_leaves_no_trace),
        PROC_TEST(a_stopped_owner_is_waited_for_and_never_overtaken),
        PROC_TEST(a_stopped_owner_is_named),
        PROC_TEST(a_process_group_that_is_killed_leaves_the_others_going),
        PROC_TEST(liveness_works_across_pid_namespaces),
        PROC_TEST(the_dead_leak_no_slots),
        PROC_TEST(the_dead_stay_dead_while_their_slots_change_hands),
    };
    return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
