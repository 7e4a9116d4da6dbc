/* live_test.c: consumers, producers and the daemon while all of them run, die and come back: nothing is lost, nothing comes twice, nobody
 * is held up.
 *
 * Run by ctest with the label `conform`. The topic's ring is small, so that consumers fall out of it into the log and slide back all the
 * time. Values prove themselves (proc_fill). SPATE_SEED repeats a run's random choices. */
#include <signal.h>

#include "spated.h"

enum { RING = 64 << 10, PRODUCERS_MAX = 3, OFFSETS_MAX = 400000 };

/* Shared with the children. */
struct shared {
    proc_word started, published[PRODUCERS_MAX]; /* values of each that are published */
    proc_word go, position;                      /* a consumer child's: what comes next */
    proc_word stop;
    _Atomic uint8_t seen[OFFSETS_MAX];
};

struct writing {
    struct shared *shared;
    uint64_t id, count, seed;
};

static struct shared *shared;
static spate_bus *bus;
static spate_topic *topic;
static pid_t spated;

static void open_live(uint32_t flush, uint32_t compression)
{
    struct spate_topic_config config = spated_config(1, RING, compression);

    config.flush = flush;
    config.flush_interval = 5 * PROC_MS;
    shared = proc_shared(sizeof *shared);
    bus = proc_open();
    OK(spate_topic_create(bus, "live", &config));
    topic = proc_topic(bus, "live");
    spated = spated_start();
    spated_await(topic);
}

static void close_live(void)
{
    spate_topic_close(topic);
    spate_bus_close(bus);
    spated_stop(spated);
}

static int write_values(void *argument)
{
    const struct writing *writing = argument;
    struct proc_handles handles = proc_join("live");
    spate_producer *producer = proc_producer(handles.topic);
    uint64_t seed = writing->seed;

    proc_add(&writing->shared->started);
    for (uint64_t i = 0; i < writing->count && !proc_get(&writing->shared->stop); i++) {
        (void)proc_publish(producer, 0, PROC_VALUE_MIN + (uint32_t)proc_below(&seed, 400), writing->id, i);
        proc_set(&writing->shared->published[writing->id], i + 1);
    }
    spate_producer_close(producer);
    proc_leave(handles);
    return 0;
}

static pid_t start_writer(struct writing *writing, uint64_t id, uint64_t count, uint64_t *seed)
{
    *writing = (struct writing){shared, id, count, proc_random(seed)};
    return proc_start(write_values, writing);
}

static uint64_t published_by_all(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < PRODUCERS_MAX; i++)
        sum += proc_get(&shared->published[i]);
    return sum;
}

/* What a consumer has read so far: every offset exactly once, and of each producer the values in a row. */
struct reading {
    spate_consumer *consumer;
    uint64_t next;
    uint64_t of[PRODUCERS_MAX];
};

static void take(struct reading *reading, const struct spate_record *record)
{
    uint64_t id, sequence;

    CHECKF(record->offset == (int64_t)reading->next, "offset %lld comes where %llu should", (long long)record->offset,
           (unsigned long long)reading->next);
    CHECKF(proc_is_whole(record->value, record->value_size, &id, &sequence), "offset %lld is torn", (long long)record->offset);
    CHECKF(id < PRODUCERS_MAX && sequence == reading->of[id], "offset %lld: value %llu of producer %llu, not %llu",
           (long long)record->offset, (unsigned long long)sequence, (unsigned long long)id, (unsigned long long)reading->of[id]);
    reading->of[id]++;
    reading->next++;
}

/* Views may be overwritten while they are used: so each is copied and checked by spate_read, or the poll is repeated (spate_check). */
static void read_some(struct reading *reading, uint64_t *seed)
{
    static uint8_t buffer[4096];
    struct spate_record records[64];
    int n;

    if (proc_below(seed, 4) == 0) {
        n = spate_read(reading->consumer, buffer, sizeof buffer, records, PROC_PATIENCE);
        CHECKF(n == 1, "spate_read: %d (%s)", n, spate_last_error());
        take(reading, records);
        return;
    }
    n = spate_poll(reading->consumer, records, 1 + (uint32_t)proc_below(seed, 64), PROC_PATIENCE);
    if (n == -EOVERFLOW) {
        struct spate_gap gap;
        OK(spate_consumer_gap(reading->consumer, &gap));
        CHECKF(false, "offsets %lld to %lld were lost, cause %u", (long long)gap.first, (long long)gap.next - 1, gap.cause);
    }
    CHECKF(n > 0, "spate_poll: %d (%s)", n, spate_last_error());
    const struct reading before = *reading;
    uint8_t copies[64][512];
    for (int i = 0; i < n; i++) {
        CHECK(records[i].value_size <= sizeof copies[0]); /* garbage has no size beyond the ring's records, but may have another */
        memcpy(copies[i], records[i].value, records[i].value_size);
        records[i].value = copies[i];
    }
    if (spate_check(reading->consumer) == -EOVERFLOW) {
        *reading = before;
        return;
    }
    for (int i = 0; i < n; i++)
        take(reading, &records[i]);
}

static void read_until(struct reading *reading, uint64_t end, uint64_t *seed)
{
    while (reading->next < end)
        read_some(reading, seed);
}

/* The whole log, without bus and daemon: all offsets below `end` are there. */
static void check_closed_log(uint64_t end, uint64_t *seed)
{
    struct spate_bus_options options;
    spate_bus *log_bus;

    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    OK(spate_bus_open(spated_log_dir(), &options, &log_bus));
    spate_topic *log_topic = proc_topic(log_bus, "live");
    struct reading reading = {.consumer = proc_consumer(log_topic, SPATE_POLICY_AUTO, SPATE_START_BEGINNING, 0)};
    read_until(&reading, end, seed);
    IS(spate_lag(reading.consumer, 0), 0);
    spate_consumer_close(reading.consumer);
    spate_topic_close(log_topic);
    spate_bus_close(log_bus);
}

static uint64_t amount(void)
{
    return proc_is_full() ? 100000 : proc_is_slow() ? 4000 : 40000;
}

/* ------------------------------------------------------------------------------------------------------------ at speed */

static void join_at_speed(uint32_t compression, uint32_t policy)
{
    uint64_t seed = proc_seed();
    struct writing writings[2];
    pid_t writers[2];

    open_live(SPATE_FLUSH_NONE, compression);
    const uint64_t total = 2 * amount();
    for (uint64_t i = 0; i < 2; i++)
        writers[i] = start_writer(&writings[i], i, amount(), &seed);
    for (int round = 0; round < 6; round++) {
        while (published_by_all() < total * (uint64_t)round / 6)
            proc_nap(PROC_MS / 10);
        struct reading reading = {.consumer = proc_consumer(topic, policy, SPATE_START_BEGINNING, 0)};
        const uint64_t end = published_by_all() + proc_below(&seed, 100);
        read_until(&reading, round == 5 || end > total ? total : end, &seed);
        if (reading.next >= total)
            IS(spate_position(reading.consumer, 0), total);
        spate_consumer_close(reading.consumer);
        if (reading.next >= total - 200)
            break;
    }
    for (int i = 0; i < 2; i++)
        IS(proc_wait(writers[i]), 0);
    struct reading last = {.consumer = proc_consumer(topic, policy, SPATE_START_BEGINNING, 0)};
    read_until(&last, total, &seed);
    spate_consumer_close(last.consumer);
    close_live();
    check_closed_log(total, &seed);
}

static void who_joins_at_full_speed_reads_every_offset_once(void **state)
{
    (void)state;
    join_at_speed(SPATE_COMPRESSION_NONE, SPATE_POLICY_SPILL);
}

static void who_joins_a_compressed_log_at_full_speed_reads_every_offset_once(void **state)
{
    (void)state;
    join_at_speed(SPATE_COMPRESSION_LZ4, SPATE_POLICY_SPILL);
}

static void a_gate_that_comes_out_of_the_log_reads_every_offset_once(void **state)
{
    (void)state;
    join_at_speed(SPATE_COMPRESSION_NONE, SPATE_POLICY_GATE);
}

static void who_stands_still_now_and_then_reads_every_offset_once(void **state)
{
    uint64_t seed = proc_seed();
    struct writing writing;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_NONE);
    const pid_t writer = start_writer(&writing, 0, 2 * amount(), &seed);
    struct reading reading = {.consumer = proc_consumer(topic, SPATE_POLICY_AUTO, SPATE_START_BEGINNING, 0)};

    while (reading.next < 2 * amount()) {
        read_some(&reading, &seed);
        if (proc_below(&seed, 50) == 0) /* until it has fallen out of the ring, or not */
            proc_nap((int64_t)proc_below(&seed, 3 * PROC_MS));
    }
    IS(proc_wait(writer), 0);
    spate_consumer_close(reading.consumer);
    close_live();
}

/* -------------------------------------------------------------------------------------------------------------- deaths */

struct consuming {
    struct shared *shared;
    uint64_t end, seed;
};

/* Reads from shared->position on, and says how far it is. */
static int consume(void *argument)
{
    const struct consuming *consuming = argument;
    static uint8_t buffer[4096];
    struct proc_handles handles = proc_join("live");
    spate_consumer *consumer =
        proc_consumer(handles.topic, SPATE_POLICY_AUTO, SPATE_START_OFFSET, (int64_t)proc_get(&consuming->shared->position));
    struct spate_record record;

    while (proc_get(&consuming->shared->position) < consuming->end) {
        IS(spate_read(consumer, buffer, sizeof buffer, &record, PROC_PATIENCE), 1);
        IS(record.offset, proc_get(&consuming->shared->position));
        CHECK(proc_is_whole(record.value, record.value_size, NULL, NULL));
        CHECK(record.offset < OFFSETS_MAX);
        atomic_fetch_add(&consuming->shared->seen[record.offset],
                         1); /* done with it, then said so: it may come twice, if killed between */
        proc_set(&consuming->shared->position, (uint64_t)record.offset + 1);
    }
    spate_consumer_close(consumer);
    proc_leave(handles);
    return 0;
}

static void a_killed_consumer_resumes_where_it_was(void **state)
{
    uint64_t seed = proc_seed(), twice = 0, kills = 0;
    struct writing writing;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_NONE);
    const uint64_t total = 2 * amount();
    const pid_t writer = start_writer(&writing, 0, total, &seed);
    struct consuming consuming = {shared, total, 0};

    while (proc_get(&shared->position) < total) {
        const pid_t pid = proc_start(consume, &consuming);
        const uint64_t until = proc_get(&shared->position) + 1 + proc_below(&seed, total / 8);
        while (proc_get(&shared->position) < until && proc_is_running(pid))
            proc_nap(PROC_MS / 20);
        if (proc_is_running(pid)) {
            kill(pid, SIGKILL);
            kills++;
        }
        const int status = proc_wait(pid);
        CHECKF(status == 0 || status == 128 + SIGKILL, "a consumer ended with status %d", status);
    }
    IS(proc_wait(writer), 0);
    for (uint64_t i = 0; i < total; i++) {
        CHECKF(shared->seen[i] >= 1, "offset %llu was never read", (unsigned long long)i);
        twice += shared->seen[i] > 1;
    }
    CHECKF(twice <= kills, "%llu offsets came twice, with %llu kills", (unsigned long long)twice, (unsigned long long)kills);
    close_live();
}

static void a_killed_daemon_costs_nothing(void **state)
{
    uint64_t seed = proc_seed();
    struct writing writings[2];
    pid_t writers[2];
    (void)state;
    proc_alarm(300);
    open_live(SPATE_FLUSH_INTERVAL, SPATE_COMPRESSION_NONE);
    const uint64_t total = 2 * amount();
    struct reading reading = {.consumer = proc_consumer(topic, SPATE_POLICY_AUTO, SPATE_START_BEGINNING, 0)};
    for (uint64_t i = 0; i < 2; i++)
        writers[i] = start_writer(&writings[i], i, amount(), &seed);
    for (uint64_t round = 1; round <= 8; round++) {
        read_until(&reading, total * round / 10 + proc_below(&seed, total / 20), &seed);
        spated_kill(spated);
        if (round % 2) /* let the ring become full, sometimes */
            proc_nap((int64_t)proc_below(&seed, 20 * PROC_MS));
        spated = spated_start();
        spated_await(topic);
    }
    read_until(&reading, total, &seed);
    for (int i = 0; i < 2; i++)
        IS(proc_wait(writers[i]), 0); /* no call of theirs failed */
    spate_consumer_close(reading.consumer);
    reading = (struct reading){.consumer = proc_consumer(topic, SPATE_POLICY_AUTO, SPATE_START_BEGINNING, 0)};
    read_until(&reading, total, &seed);
    spate_consumer_close(reading.consumer);
    close_live();
    check_closed_log(total, &seed);
}

static void a_daemon_that_is_stopped_and_started_goes_on_with_the_log(void **state)
{
    uint64_t seed = proc_seed();
    struct writing writing;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_LZ4);
    const uint64_t total = amount();
    const pid_t writer = start_writer(&writing, 0, total, &seed);
    struct reading reading = {.consumer = proc_consumer(topic, SPATE_POLICY_GATE, SPATE_START_BEGINNING, 0)};
    for (uint64_t round = 1; round <= 5; round++) {
        read_until(&reading, total * round / 6, &seed);
        spated_stop(spated);
        spated = spated_start();
        spated_await(topic);
    }
    read_until(&reading, total, &seed);
    IS(proc_wait(writer), 0);
    spate_consumer_close(reading.consumer);
    close_live();
    check_closed_log(total, &seed);
}

/* ------------------------------------------------------------------------------------------------------- holding up, marks */

static void a_stopped_consumer_holds_up_nobody(void **state)
{
    uint64_t seed = proc_seed();
    struct writing writing;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_NONE);
    const uint64_t total = amount();
    struct consuming consuming = {shared, total, 0};
    const pid_t consumer = proc_start(consume, &consuming);
    pid_t writer = start_writer(&writing, 0, 100, &seed);

    IS(proc_wait(writer), 0);
    proc_await(&shared->position, 50);
    kill(consumer, SIGSTOP);
    writing.count = total; /* many rings */
    proc_set(&shared->published[0], 0);
    writer = start_writer(&writing, 1, total - 100, &seed);
    IS(proc_wait(writer), 0); /* each of its calls came back: or it would hang, and the alarm ends it */
    CHECK(proc_get(&shared->position) < 200);
    kill(consumer, SIGCONT);
    IS(proc_wait(consumer), 0);
    for (uint64_t i = 0; i < total; i++)
        IS(shared->seen[i], 1);
    close_live();
}

/* A consumer that is told of a watermark reads nothing beyond it, and everything up to it. */
static void read_behind(uint32_t watermark)
{
    uint64_t seed = proc_seed(), polls = 0;
    struct spate_consumer_options options;
    struct spate_watermarks marks;
    struct writing writing;

    open_live(SPATE_FLUSH_INTERVAL, SPATE_COMPRESSION_NONE);
    const uint64_t total = amount();
    const pid_t writer = start_writer(&writing, 0, total, &seed);
    struct reading reading = {0};
    spate_consumer_options_init(&options);
    options.watermark = watermark;
    options.start = SPATE_START_BEGINNING;
    OK(spate_consumer_open(topic, &options, &reading.consumer));
    while (reading.next < total) {
        read_some(&reading, &seed);
        OK(spate_topic_watermarks(topic, 0, &marks));
        const int64_t mark = watermark == SPATE_WATERMARK_DURABLE ? marks.durable : marks.written;
        CHECKF((int64_t)reading.next <= mark, "offset %llu was read, and the watermark is %lld",
               (unsigned long long)reading.next - 1, (long long)mark);
        if (++polls % 20 == 0) /* so that it falls out of the ring, and comes back */
            proc_nap((int64_t)proc_below(&seed, 2 * PROC_MS));
    }
    IS(proc_wait(writer), 0);
    spate_consumer_close(reading.consumer);
    close_live();
}

static void who_reads_what_is_durable_sees_nothing_beyond_it(void **state)
{
    (void)state;
    read_behind(SPATE_WATERMARK_DURABLE);
}

static void who_reads_what_is_written_sees_nothing_beyond_it(void **state)
{
    (void)state;
    read_behind(SPATE_WATERMARK_WRITTEN);
}

static void what_is_not_durable_is_not_seen_until_somebody_waits_for_it(void **state)
{
    struct spate_consumer_options options;
    struct spate_watermarks marks;
    spate_consumer *consumer;
    struct spate_record record;
    int64_t offset = -1;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_NONE);
    spate_producer *producer = proc_producer(topic);
    spate_consumer_options_init(&options);
    options.watermark = SPATE_WATERMARK_DURABLE;
    OK(spate_consumer_open(topic, &options, &consumer));
    for (int i = 0; i < 20; i++) {
        offset = proc_publish_text(producer, 0, "text");
        OK(spate_wait(producer, 0, offset, SPATE_WATERMARK_WRITTEN, PROC_PATIENCE));
        OK(spate_topic_watermarks(topic, 0, &marks));
        if (marks.durable <= offset) { /* nobody flushes: unless a segment was finished just now */
            const int n = spate_poll(consumer, &record, 1, 0);
            OK(spate_topic_watermarks(topic, 0, &marks));
            CHECK(n == 0 || marks.durable > offset);
            if (n == 1)
                continue;
        }
        OK(spate_wait(producer, 0, offset, SPATE_WATERMARK_DURABLE, PROC_PATIENCE));
        IS(spate_poll(consumer, &record, 1, PROC_PATIENCE), 1);
        IS(record.offset, offset);
    }
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    close_live();
}

/* A record that is there, and behind the watermark: a poll neither waits for it longer than it may, nor spins for ever. */
static void a_poll_ends_in_time_while_what_is_there_is_not_durable(void **state)
{
    struct spate_consumer_options options;
    struct spate_watermarks marks;
    spate_consumer *consumer;
    struct spate_record record;
    (void)state;
    open_live(SPATE_FLUSH_NONE, SPATE_COMPRESSION_NONE);
    spate_producer *producer = proc_producer(topic);
    spate_consumer_options_init(&options);
    options.watermark = SPATE_WATERMARK_DURABLE;
    OK(spate_consumer_open(topic, &options, &consumer));
    const int64_t offset = proc_publish_text(producer, 0, "text");
    OK(spate_wait(producer, 0, offset, SPATE_WATERMARK_WRITTEN, PROC_PATIENCE));
    for (int i = 0; i < 200; i++) {
        const int n = spate_poll(consumer, &record, 1, i % 20 == 0 ? PROC_MS : 0);
        OK(spate_topic_watermarks(topic, 0, &marks));
        if (n == 1 && marks.durable > offset) /* somebody flushed: a segment was finished just now */
            break;
        IS(n, i % 20 == 0 ? -ETIMEDOUT : 0);
    }
    spate_consumer_close(consumer);
    spate_producer_close(producer);
    close_live();
}

/* It would be flushed for as long as the topic is there. */
static void check_wait_beyond_the_end(const char *name, uint32_t mode)
{
    struct spate_topic_config config = spated_config(1, RING, SPATE_COMPRESSION_NONE);
    spate_bus *own_bus = proc_open();

    config.mode = mode;
    OK(spate_topic_create(own_bus, name, &config));
    spate_topic *own_topic = proc_topic(own_bus, name);
    spate_producer *producer = proc_producer(own_topic);
    for (int i = 0; i < 20; i++) {
        const int64_t offset = proc_publish_text(producer, 0, "text");
        IS(spate_wait(producer, 0, offset, SPATE_WATERMARK_DURABLE, 0), -EAGAIN); /* no daemon runs */
        IS(spate_wait(producer, 0, offset + 1, SPATE_WATERMARK_WRITTEN, PROC_PATIENCE), -ERANGE);
        SAYS("nobody has published it");
        IS(spate_wait(producer, 0, INT64_MAX, SPATE_WATERMARK_DURABLE, PROC_PATIENCE), -ERANGE);
    }
    spate_producer_close(producer);
    spate_topic_close(own_topic);
    spate_bus_close(own_bus);
}

static void nobody_waits_for_what_was_not_published(void **state)
{
    (void)state;
    check_wait_beyond_the_end("concurrent", SPATE_MODE_CONCURRENT);
    check_wait_beyond_the_end("exclusive", SPATE_MODE_EXCLUSIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(who_joins_at_full_speed_reads_every_offset_once),
        PROC_TEST(who_joins_a_compressed_log_at_full_speed_reads_every_offset_once),
        PROC_TEST(a_gate_that_comes_out_of_the_log_reads_every_offset_once),
        PROC_TEST(who_stands_still_now_and_then_reads_every_offset_once),
        PROC_TEST(a_killed_consumer_resumes_where_it_was),
        PROC_TEST(a_killed_daemon_costs_nothing),
        PROC_TEST(a_daemon_that_is_stopped_and_started_goes_on_with_the_log),
        PROC_TEST(a_stopped_consumer_holds_up_nobody),
        PROC_TEST(who_reads_what_is_durable_sees_nothing_beyond_it),
        PROC_TEST(who_reads_what_is_written_sees_nothing_beyond_it),
        PROC_TEST(what_is_not_durable_is_not_seen_until_somebody_waits_for_it),
        PROC_TEST(a_poll_ends_in_time_while_what_is_there_is_not_durable),
        PROC_TEST(nobody_waits_for_what_was_not_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
