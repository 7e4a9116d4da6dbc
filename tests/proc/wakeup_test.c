/* wakeup_test.c: no wake-up is ever lost between living processes.
 *
 * A sleeper of the library looks up every few milliseconds all the same (a producer may die between its commit and its wake-up),
 * which would hide a lost wake-up behind a little slowness. So this executable puts itself between the library and the kernel:
 * syscall(2) is defined here, and turns every futex wait with a timeout of a millisecond or more into one without. Now a lost
 * wake-up hangs, and the alarm says so. (Shorter ones are for claims of others that are waited for, where nobody promises to
 * wake.) */
#include "proc.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>

static bool is_endless = true;

/* The only system calls made this way by the library have at most six arguments. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list arguments;
    long a[6];

    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT && a[3] && is_endless) {
        const struct timespec *limit = (const struct timespec *)a[3];
        if (limit->tv_sec > 0 || limit->tv_nsec >= PROC_MS)
            a[3] = 0;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bool has_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

static spate_consumer *open_blocking(spate_topic *topic)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.wait = SPATE_WAIT_BLOCK;
    OK(spate_consumer_open(topic, &options, &consumer));
    return consumer;
}

static spate_producer *open_blocking_producer(spate_topic *topic)
{
    struct spate_producer_options options;
    spate_producer *producer = NULL;

    spate_producer_options_init(&options);
    options.wait = SPATE_WAIT_BLOCK;
    OK(spate_producer_open(topic, &options, &producer));
    return producer;
}

struct task {
    uint32_t rounds, partitions;
    proc_word ready, next_id;
};

static void play(const char *in, const char *out, bool serve, struct task *task)
{
    spate_bus *bus = proc_open();
    spate_topic *from = proc_topic(bus, in), *to = proc_topic(bus, out);
    spate_consumer *consumer = open_blocking(from);
    spate_producer *producer = open_blocking_producer(to);
    uint64_t random = serve;
    struct spate_record got;

    proc_add(&task->ready);
    proc_await(&task->ready, 2);
    for (uint32_t i = 0; i < task->rounds; i++) {
        if (serve)
            proc_publish(producer, (int32_t)proc_below(&random, task->partitions), PROC_VALUE_MIN, serve, i);
        uint64_t sequence;
        IS(spate_poll(consumer, &got, 1, SPATE_FOREVER), 1);
        CHECK(proc_is_whole(got.value, got.value_size, NULL, &sequence) && sequence == i);
        if (!serve)
            proc_publish(producer, (int32_t)proc_below(&random, task->partitions), PROC_VALUE_MIN, serve, i);
        if (proc_below(&random, 64) == 0) /* stray from the beat */
            proc_nap((int64_t)proc_below(&random, 50000));
    }
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    spate_topic_close(from);
    spate_topic_close(to);
    spate_bus_close(bus);
}

static int ping(void *argument)
{
    play("pong", "ping", true, argument);
    return 0;
}

static int pong(void *argument)
{
    play("ping", "pong", false, argument);
    return 0;
}

static void ping_pong(uint32_t mode, uint32_t partitions, uint32_t rounds)
{
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();

    if (!has_membarrier())
        proc_skip("this kernel has no expedited membarrier: sleepers look up often instead of relying on wake-ups");
    proc_alarm(proc_is_full() ? 3000 : 280);
    proc_create(bus, "ping", partitions, SPATE_RING_MIN, mode);
    proc_create(bus, "pong", partitions, SPATE_RING_MIN, mode);
    *task = (struct task){.rounds = proc_is_slow() ? rounds / 20 : rounds, .partitions = partitions};
    if (proc_is_full())
        task->rounds *= 10;
    pid_t a = proc_start(ping, task), b = proc_start(pong, task);
    IS(proc_wait(a), 0);
    IS(proc_wait(b), 0);
    spate_bus_close(bus);
}

static void no_wake_up_is_lost_in_ping_pong_concurrent(void **state)
{
    (void)state;
    ping_pong(SPATE_MODE_CONCURRENT, 1, 200000);
}

static void no_wake_up_is_lost_in_ping_pong_exclusive(void **state)
{
    (void)state;
    ping_pong(SPATE_MODE_EXCLUSIVE, 1, 20000);
}

static void no_wake_up_is_lost_over_many_partitions(void **state)
{
    (void)state;
    ping_pong(SPATE_MODE_CONCURRENT, 40, 6000);
}

/* ------------------------------------------------------------------------------------------- room and records together */

static int pour(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("ping");
    spate_producer *producer = open_blocking_producer(handles.topic);
    uint64_t id = atomic_fetch_add_explicit(&task->next_id, 1, memory_order_relaxed), random = id + 9;

    proc_await(&task->ready, 2);
    for (uint32_t i = 0; i < task->rounds; i++) {
        struct spate_record record = {.value_size = (uint32_t)(PROC_VALUE_MIN + proc_below(&random, 3000))};
        struct spate_claim claim;
        int error;
        while ((error = spate_claim(producer, &record, &claim)) == -EAGAIN)
            OK(spate_producer_wait(producer, SPATE_FOREVER));
        OK(error);
        proc_fill(claim.value, record.value_size, id, i);
        OK(spate_commit(producer));
        if (proc_below(&random, 200) == 0)
            proc_nap((int64_t)proc_below(&random, 400000));
    }
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static int drink(void *argument)
{
    struct task *task = argument;
    struct proc_handles handles = proc_join("ping");
    spate_consumer *consumer = open_blocking(handles.topic);
    uint64_t random = (uint64_t)getpid(), seen = 0;
    struct spate_record got[4];

    proc_add(&task->ready);
    while (seen < 2 * (uint64_t)task->rounds) {
        int n = spate_poll(consumer, got, 1 + (uint32_t)proc_below(&random, 4), SPATE_FOREVER);
        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            IS(got[i].offset, seen++);
        if (proc_below(&random, 200) == 0)
            proc_nap((int64_t)proc_below(&random, 400000));
    }
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static void no_wake_up_is_lost_at_a_full_and_at_an_empty_ring(void **state)
{
    (void)state;
    struct task *task = proc_shared(sizeof *task);
    spate_bus *bus = proc_open();
    pid_t children[4];

    if (!has_membarrier())
        proc_skip("this kernel has no expedited membarrier: sleepers look up often instead of relying on wake-ups");
    proc_create(bus, "ping", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    *task = (struct task){.rounds = proc_is_full() ? 500000 : proc_is_slow() ? 3000 : 30000, .partitions = 1};
    for (int i = 0; i < 4; i++)
        children[i] = proc_start(i < 2 ? drink : pour, task);
    for (int i = 0; i < 4; i++)
        IS(proc_wait(children[i]), 0);
    spate_bus_close(bus);
}

/* The checker must be able to fail: a reader that is never woken hangs with endless waits. */
static int sleep_alone(void *argument)
{
    struct proc_handles handles = proc_join("ping");
    spate_consumer *consumer = open_blocking(handles.topic);
    struct spate_record got;

    proc_add(argument);
    return spate_poll(consumer, &got, 1, 20 * PROC_MS) == -ETIMEDOUT ? 0 : 1;
}

static void waits_are_endless_in_this_test(void **state)
{
    (void)state;
    proc_word *ready = proc_shared(sizeof *ready);
    spate_bus *bus = proc_open();

    if (!has_membarrier())
        proc_skip("this kernel has no expedited membarrier: sleepers look up often instead of relying on wake-ups");
    proc_create(bus, "ping", 1, SPATE_RING_MIN, SPATE_MODE_CONCURRENT);
    pid_t endless = proc_start(sleep_alone, ready);
    is_endless = false;
    pid_t bounded = proc_start(sleep_alone, ready);
    is_endless = true;
    IS(proc_wait(bounded), 0);
    proc_nap(PROC_S);
    CHECK(proc_is_running(endless));
    proc_kill(endless);
    spate_bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(waits_are_endless_in_this_test),
        PROC_TEST(no_wake_up_is_lost_in_ping_pong_concurrent),
        PROC_TEST(no_wake_up_is_lost_in_ping_pong_exclusive),
        PROC_TEST(no_wake_up_is_lost_over_many_partitions),
        PROC_TEST(no_wake_up_is_lost_at_a_full_and_at_an_empty_ring),
    };
    return cmocka_run_group_tests_name("wake-ups", tests, NULL, NULL);
}
