/* waiting_test.c: waiting for records and for room, by every strategy and by descriptor; and that those who need not wait make
 * no system call.
 *
 * Nothing is measured: what must happen is waited for with great patience, and what must not happen (a system call) is answered
 * by the kernel with death. Lost wake-ups are in wakeup_test.c. */
#include "proc.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static spate_consumer *open_waiting(spate_topic *topic, uint32_t wait, uint32_t start)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.wait = wait;
    options.start = start;
    OK(spate_consumer_open(topic, &options, &consumer));
    return consumer;
}

static spate_producer *open_producer(spate_topic *topic, uint32_t wait)
{
    struct spate_producer_options options;
    spate_producer *producer = NULL;

    spate_producer_options_init(&options);
    options.wait = wait;
    OK(spate_producer_open(topic, &options, &producer));
    return producer;
}

struct task {
    uint32_t wait, mode;
    uint32_t records, partitions;
    proc_word ready, read, stop;
    proc_word result;
};

/* ------------------------------------------------------------------------------------------------------ strategies */

static int consume_by_strategy(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_consumer *consumer = open_waiting(handles.topic, task->wait, SPATE_START_END);
    struct spate_record got;

    proc_add(&task->ready);
    for (uint32_t i = 0; i < task->records; i++) {
        IS(spate_poll(consumer, &got, 1, i % 2 ? SPATE_FOREVER : PROC_PATIENCE), 1);
        IS(got.offset, i);
        proc_add(&task->read);
    }
    IS(spate_poll(consumer, &got, 1, 0), 0);
    int64_t before = proc_now();
    IS(spate_poll(consumer, &got, 1, 30 * PROC_MS), -ETIMEDOUT);
    CHECK(proc_now() - before >= 30 * PROC_MS);
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static void a_consumer_gets_lone_records_by_every_strategy(void **state)
{
    (void)state;
    for (uint32_t wait = SPATE_WAIT_AUTO; wait <= SPATE_WAIT_BLOCK; wait++) {
        struct task *task = proc_shared(sizeof *task);
        spate_bus *bus = proc_open();
        proc_create(bus, "w", 1, SPATE_RING_MIN, wait % 2 ? SPATE_MODE_EXCLUSIVE : SPATE_MODE_CONCURRENT);
        *task = (struct task){.wait = wait, .records = 100};
        spate_topic *topic = proc_topic(bus, "w");
        spate_producer *producer = proc_producer(topic);
        pid_t consumer = proc_start(consume_by_strategy, task);
        proc_await(&task->ready, 1);
        for (uint32_t i = 0; i < task->records; i++) {
            if (i % 3)
                proc_nap(2 * PROC_MS); /* so that it sleeps in between */
            proc_publish_text(producer, 0, "lone");
            if (i % 10 == 0)
                proc_await(&task->read, i + 1); /* it must not need the next one to see this one */
        }
        IS(proc_wait(consumer), 0);
        spate_producer_close(producer);
        spate_topic_close(topic);
        OK(spate_topic_delete(bus, "w", 0));
        spate_bus_close(bus);
    }
}

static int produce_by_strategy(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_producer *producer = open_producer(handles.topic, task->wait);
    static char value[1000];
    struct spate_record record = {.value = value, .value_size = sizeof value};

    proc_await(&task->ready, 1);
    for (uint32_t i = 0; i < task->records; i++)
        OK(spate_publish(producer, &record, i % 2 ? SPATE_FOREVER : PROC_PATIENCE, NULL));
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static void a_producer_gets_room_by_every_strategy(void **state)
{
    (void)state;
    for (uint32_t wait = SPATE_WAIT_AUTO; wait <= SPATE_WAIT_BLOCK; wait++) {
        struct task *task = proc_shared(sizeof *task);
        spate_bus *bus = proc_open();
        struct spate_record got[8];
        proc_create(bus, "w", 1, SPATE_RING_MIN, wait % 2 ? SPATE_MODE_CONCURRENT : SPATE_MODE_EXCLUSIVE);
        *task = (struct task){.wait = wait, .records = 500};
        spate_topic *topic = proc_topic(bus, "w");
        pid_t producer = proc_start(produce_by_strategy, task);
        spate_consumer *consumer = open_waiting(topic, SPATE_WAIT_BLOCK, SPATE_START_END);
        proc_set(&task->ready, 1);
        for (uint32_t seen = 0; seen < task->records;) {
            int n = spate_poll(consumer, got, 8, PROC_PATIENCE);
            CHECK(n > 0);
            seen += (uint32_t)n;
            proc_nap(PROC_MS);
        }
        IS(proc_wait(producer), 0);
        spate_consumer_close(consumer);
        spate_topic_close(topic);
        OK(spate_topic_delete(bus, "w", 0));
        spate_bus_close(bus);
    }
}

static void on_signal(int number)
{
    (void)number;
}

static int wait_to_be_interrupted(void *argument)
{
    struct task *task = argument;
    struct sigaction action = {.sa_handler = on_signal};
    struct proc_handles handles = proc_join("w");
    struct spate_record got, record = {.value = "x", .value_size = 1};

    sigaction(SIGUSR1, &action, NULL);
    spate_consumer *consumer = open_waiting(handles.topic, SPATE_WAIT_BLOCK, SPATE_START_END);
    spate_producer *producer = open_producer(handles.topic, SPATE_WAIT_BLOCK);
    proc_set(&task->ready, 1);
    IS(spate_poll(consumer, &got, 1, SPATE_FOREVER), -EINTR);
    while (spate_publish(producer, &record, 0, NULL) == 0) {
    }
    proc_set(&task->ready, 2);
    IS(spate_publish(producer, &record, SPATE_FOREVER, NULL), -EINTR);
    proc_set(&task->ready, 3);
    IS(spate_producer_wait(producer, SPATE_FOREVER), -EINTR);
    proc_set(&task->ready, 4);
    spate_topic *none = NULL;
    IS(spate_topic_wait(handles.bus, "none", SPATE_FOREVER, &none), -EINTR);
    proc_set(&task->ready, 5);
    return 0;
}

static void a_signal_ends_every_wait(void **state)
{
    (void)state;
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();

    proc_create(bus, "w", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    pid_t child = proc_start(wait_to_be_interrupted, task);
    for (uint64_t stage = 1; stage <= 4; stage++) {
        proc_await(&task->ready, stage);
        for (int i = 0; i < 10000 && proc_get(&task->ready) == stage; i++) {
            proc_nap(5 * PROC_MS);
            if (proc_get(&task->ready) == stage)
                kill(child, SIGUSR1);
        }
    }
    IS(proc_wait(child), 0);
    spate_bus_close(bus);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static int produce_anywhere(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t random = (uint64_t)getpid();

    proc_await(&task->ready, 1);
    for (uint32_t i = 0; i < task->records; i++) {
        proc_publish(producer, (int32_t)proc_below(&random, task->partitions), PROC_VALUE_MIN, 1, i);
        if (proc_below(&random, 20) == 0)
            proc_nap(300000);
    }
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

/* Poll until nothing is left; how many records came. */
static uint64_t poll_out(spate_consumer *consumer)
{
    struct spate_record got[32];
    uint64_t count = 0;
    int n;

    while ((n = spate_poll(consumer, got, 32, 0)) > 0)
        count += (uint64_t)n;
    IS(n, 0);
    return count;
}

enum loop { LEVEL_EPOLL, EDGE_EPOLL, POLL };

static void run_loop(enum loop kind)
{
    enum { PRODUCERS = 3, CONSUMERS = 2 };
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();
    spate_consumer *consumers[CONSUMERS];
    struct pollfd fds[CONSUMERS];
    uint64_t seen[CONSUMERS] = {0};
    pid_t producers[PRODUCERS];

    *task = (struct task){.records = proc_is_slow() ? 1000 : 5000, .partitions = 100};
    proc_create(bus, "w", task->partitions, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "w");
    int epoll = epoll_create1(0);
    for (int i = 0; i < CONSUMERS; i++) {
        consumers[i] = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
        int fd = spate_consumer_fd(consumers[i]);
        CHECK(fd >= 0);
        IS(spate_consumer_fd(consumers[i]), fd);
        struct epoll_event event = {.events = EPOLLIN | (kind == EDGE_EPOLL ? EPOLLET : 0u), .data.u32 = (uint32_t)i};
        OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
        fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
        IS(poll_out(consumers[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = proc_start(produce_anywhere, task);
    proc_set(&task->ready, 1);
    const uint64_t all = (uint64_t)PRODUCERS * task->records;
    while (seen[0] < all || seen[1] < all) {
        if (kind == POLL) {
            CHECK(poll(fds, CONSUMERS, -1) > 0 || errno == EINTR);
            for (int i = 0; i < CONSUMERS; i++)
                seen[i] += fds[i].revents ? poll_out(consumers[i]) : 0;
        } else {
            struct epoll_event event;
            IS(epoll_wait(epoll, &event, 1, -1), 1);
            seen[event.data.u32] += poll_out(consumers[event.data.u32]);
        }
    }
    for (int i = 0; i < PRODUCERS; i++)
        IS(proc_wait(producers[i]), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        IS(seen[i], all);
        spate_consumer_close(consumers[i]);
    }
    close(epoll);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void the_descriptor_works_in_a_level_triggered_epoll_loop(void **state)
{
    (void)state;
    run_loop(LEVEL_EPOLL);
}

static void the_descriptor_works_in_an_edge_triggered_epoll_loop(void **state)
{
    (void)state;
    run_loop(EDGE_EPOLL);
}

static void the_descriptor_works_in_a_poll_loop(void **state)
{
    (void)state;
    run_loop(POLL);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, timeout_ms) == 1;
}

static void the_descriptor_is_readable_when_records_were_there_before(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "w", 3, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "w");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);

    proc_publish_text(producer, 2, "before");
    int fd = spate_consumer_fd(consumer);
    CHECK(is_readable(fd, 60000));
    IS(poll_out(consumer), 1);
    proc_publish_text(producer, 1, "after");
    CHECK(is_readable(fd, 60000));
    IS(poll_out(consumer), 1);
    /* waiting in the kernel in between takes nothing away */
    struct spate_record got;
    IS(spate_poll(consumer, &got, 1, 20 * PROC_MS), -ETIMEDOUT);
    proc_publish_text(producer, 0, "x");
    IS(spate_poll(consumer, &got, 1, PROC_PATIENCE), 1);
    IS(poll_out(consumer), 0);
    proc_publish_text(producer, 0, "y");
    CHECK(is_readable(fd, 60000));
    IS(poll_out(consumer), 1);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* Of 1000 looks right after a poll that found nothing, how many find the descriptor readable. It stirs now and then, but must
 * not burn a core. */
static int count_readable(spate_consumer *consumer, int fd)
{
    int readable = 0;

    for (int i = 0; i < 1000; i++) {
        IS(poll_out(consumer), 0);
        readable += is_readable(fd, 0);
    }
    return readable;
}

static void the_descriptor_calms_down_after_a_wake_up_for_nothing(void **state)
{
    (void)state;
    spate_bus *bus = proc_open();
    proc_create(bus, "w", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "w");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    struct spate_record record = {.value_size = 10};
    struct spate_claim claim;

    int fd = spate_consumer_fd(consumer);
    CHECK(count_readable(consumer, fd) < 500);
    OK(spate_claim(producer, &record, &claim));
    OK(spate_abort(producer));
    CHECK(is_readable(fd, 60000));
    int readable = count_readable(consumer, fd);
    CHECKF(readable < 500, "after an aborted record the descriptor stays readable (%d of 1000 looks)", readable);
    proc_publish_text(producer, 0, "real");
    CHECK(is_readable(fd, 60000));
    IS(poll_out(consumer), 1);
    readable = count_readable(consumer, fd);
    CHECKF(readable < 500, "after a record the descriptor stays readable (%d of 1000 looks)", readable);
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static int claim_and_wait(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_producer *producer = proc_producer(handles.topic);
    struct spate_record record = {.value_size = 10};
    struct spate_claim claim;

    OK(spate_claim(producer, &record, &claim));
    proc_add(&task->ready);
    return pause();
}

/* Behind the claim of a dead producer lies a record: nobody but its own loop can bring the consumer there. */
static void the_descriptor_gets_a_loop_past_a_dead_claim(void **state)
{
    (void)state;
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();
    proc_create(bus, "w", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "w");
    spate_producer *producer = proc_producer(topic);
    spate_consumer *consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);

    int fd = spate_consumer_fd(consumer);
    IS(poll_out(consumer), 0);
    proc_publish_text(producer, 0, "attached");
    CHECK(is_readable(fd, 60000));
    IS(poll_out(consumer), 1);
    for (int alive = 0; alive < 2; alive++) {
        pid_t claimant = proc_start(claim_and_wait, task);
        proc_await(&task->ready, (uint64_t)alive + 1);
        if (!alive)
            proc_kill(claimant);
        proc_publish_text(producer, 0, "behind");
        uint64_t seen = 0;
        for (int i = 0; i < 50 && seen == 0; i++) {
            if (!is_readable(fd, 5000))
                break;
            seen += poll_out(consumer);
            if (alive && i == 5)
                proc_kill(claimant); /* it dies after the loop has looked */
        }
        CHECKF(seen == 1, "the record behind a claim whose owner died (%s the loop looked) was not seen within seconds",
               alive ? "after" : "before");
    }
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

static void more_sleepers_than_wake_slots(void **state)
{
    (void)state;
    struct spate_bus_options options;
    spate_bus *bus = NULL;
    spate_consumer *consumers[12];
    struct spate_record got;
    int with_fd = 0;

    spate_bus_options_init(&options);
    options.participants_max = 2; /* 8 wake slots */
    OK(spate_bus_open(proc_bus_path(), &options, &bus));
    proc_create(bus, "w", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    spate_topic *topic = proc_topic(bus, "w");
    spate_producer *producer = proc_producer(topic);
    for (int i = 0; i < 12; i++) {
        consumers[i] = open_waiting(topic, SPATE_WAIT_BLOCK, SPATE_START_END);
        int fd = spate_consumer_fd(consumers[i]);
        CHECK(fd >= 0 || fd == -ENOSPC);
        if (fd == -ENOSPC)
            SAYS("wake slots");
        with_fd += fd >= 0;
    }
    IS(with_fd, 8);
    /* who got none can still wait */
    IS(spate_poll(consumers[11], &got, 1, 20 * PROC_MS), -ETIMEDOUT);
    proc_publish_text(producer, 0, "x");
    for (int i = 0; i < 12; i++) {
        IS(spate_poll(consumers[i], &got, 1, PROC_PATIENCE), 1);
        spate_consumer_close(consumers[i]);
    }
    spate_consumer *again = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
    CHECK(spate_consumer_fd(again) >= 0);
    spate_consumer_close(again);
    spate_producer_close(producer);
    spate_topic_close(topic);
    spate_bus_close(bus);
}

/* --------------------------------------------------------------------------------------------------- no system calls */

/* From here on every system call but exit_group kills the process. (AddressSanitizer calls sigaltstack in front of every _exit.) */
static void forbid_system_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, proc_is_slow() ? SYS_sigaltstack : SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};

    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static int read_clock_only(void *argument)
{
    struct timespec time;

    (void)argument;
    clock_gettime(CLOCK_REALTIME, &time);
    forbid_system_calls();
    clock_gettime(CLOCK_REALTIME, &time);
    return 0;
}

static int call_anything(void *argument)
{
    (void)argument;
    forbid_system_calls();
    (void)getppid();
    return 0;
}

static int publish_quietly(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_producer *producer = proc_producer(handles.topic);
    struct spate_record batch[10], record = {.partition = SPATE_ANY, .key = "k", .key_size = 1, .value_size = 100};
    struct spate_claim claim, claims[10];

    for (int i = 0; i < 10; i++) {
        batch[i] = (struct spate_record){.partition = 0, .value = "batch", .value_size = 5};
        proc_publish_text(producer, i % 2, "attach");
    }
    OK(spate_publish_batch(producer, batch, 10, 0, NULL)); /* the first batch allocates */
    for (int i = 0; i < 100; i++)
        proc_publish_text(producer, 0, "alone"); /* a lone producer takes the bias, which takes a membarrier, once */
    forbid_system_calls();
    for (uint32_t i = 0; i < task->records; i++) {
        int error = 0;
        if (i % 4 == 0) {
            error = spate_claim(producer, &record, &claim);
            if (!error) {
                memset(claim.value, 1, claim.value_size);
                error = spate_commit(producer);
            }
        } else if (i % 4 == 1) {
            error = spate_publish(producer, &batch[i % 10], SPATE_FOREVER, NULL);
        } else if (i % 4 == 2) {
            error = spate_publish_batch(producer, batch, 10, 0, NULL);
        } else {
            error = spate_claim_batch(producer, batch, 3, claims);
            if (!error)
                error = i % 3 ? spate_commit(producer) : spate_abort(producer);
        }
        if (error)
            _exit(100 - error);
    }
    _exit(0);
}

static int poll_quietly(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("w");
    spate_consumer *consumer =
        proc_consumer(handles.topic, task->wait ? SPATE_POLICY_SKIP : SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0);
    struct spate_record got[7];
    char buffer[4096];

    forbid_system_calls();
    for (uint32_t seen = 0, round = 0; seen < task->records; round++) {
        int n = round % 3 ? spate_poll(consumer, got, 7, round % 2 ? SPATE_FOREVER : 0)
                          : spate_read(consumer, buffer, sizeof buffer, got, SPATE_FOREVER);
        if (n <= 0)
            _exit(1);
        seen += (uint32_t)n;
    }
    _exit(0);
}

static void check_quiet(uint32_t mode, uint32_t timestamp, uint64_t ring, bool with_consumers)
{
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();
    struct spate_topic_config config = proc_config(2, ring, mode);
    spate_consumer *gate = NULL, *skip = NULL;

    *task = (struct task){.records = proc_is_slow() ? 20000 : 100000};
    config.timestamp = timestamp;
    OK(spate_topic_create(bus, "w", &config));
    spate_topic *topic = proc_topic(bus, "w");
    if (with_consumers) { /* there, but awake */
        gate = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_END, 0);
        skip = proc_consumer(topic, SPATE_POLICY_SKIP, SPATE_START_END, 0);
        struct spate_record got;
        /* has slept before, and woke up */
        IS(spate_poll(gate, &got, 1, 20 * PROC_MS), -ETIMEDOUT);
        spate_producer *producer = proc_producer(topic);
        proc_publish_text(producer, 0, "awake");
        proc_publish_text(producer, 1, "awake");
        spate_producer_close(producer);
    }
    IS(proc_wait(proc_start(publish_quietly, task)), 0);
    if (with_consumers) {
        IS(proc_wait(proc_start(poll_quietly, task)), 0);
        task->wait = 1; /* and again, skipping */
        IS(proc_wait(proc_start(poll_quietly, task)), 0);
        spate_consumer_close(gate);
        spate_consumer_close(skip);
    }
    spate_topic_close(topic);
    OK(spate_topic_delete(bus, "w", 0));
    spate_bus_close(bus);
}

static void publishing_and_polling_make_no_system_call(void **state)
{
    (void)state;
    if (proc_wait(proc_start(call_anything, NULL)) != 128 + SIGSYS)
        proc_skip("this kernel does not let a seccomp filter kill");
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++) {
        check_quiet(mode, SPATE_TIMESTAMP_NONE, 256 << 20, true);
        check_quiet(mode, SPATE_TIMESTAMP_NONE, SPATE_RING_MIN, false);
    }
}

static void stamping_records_makes_no_system_call(void **state)
{
    (void)state;
    if (proc_wait(proc_start(call_anything, NULL)) != 128 + SIGSYS)
        proc_skip("this kernel does not let a seccomp filter kill");
    if (proc_wait(proc_start(read_clock_only, NULL)) != 0)
        proc_skip("on this machine reading the clock is a system call (no vDSO clock source)");
    for (uint32_t mode = SPATE_MODE_CONCURRENT; mode <= SPATE_MODE_EXCLUSIVE; mode++) {
        check_quiet(mode, SPATE_TIMESTAMP_CLOCK, 256 << 20, true);
        check_quiet(mode, SPATE_TIMESTAMP_CLOCK, SPATE_RING_MIN, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(a_consumer_gets_lone_records_by_every_strategy),
        PROC_TEST(a_producer_gets_room_by_every_strategy),
        PROC_TEST(a_signal_ends_every_wait),
        PROC_TEST(the_descriptor_works_in_a_level_triggered_epoll_loop),
        PROC_TEST(the_descriptor_works_in_an_edge_triggered_epoll_loop),
        PROC_TEST(the_descriptor_works_in_a_poll_loop),
        PROC_TEST(the_descriptor_is_readable_when_records_were_there_before),
        PROC_TEST(the_descriptor_calms_down_after_a_wake_up_for_nothing),
        PROC_TEST(the_descriptor_gets_a_loop_past_a_dead_claim),
        PROC_TEST(more_sleepers_than_wake_slots),
        PROC_TEST(publishing_and_polling_make_no_system_call),
        PROC_TEST(stamping_records_makes_no_system_call),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
