/* hostile_test.c: a process that writes random bytes over the shared files while others publish and poll: nobody crashes, nobody
 * hangs.
 *
 * What the others are told is nobody's business here: any documented error, any record. Each victim works for a while and must
 * come to its end; an alarm says when one does not. Seeded: SPATE_SEED repeats a run (as far as the scheduler does). */
#include "proc.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "spate/inspect.h"

enum { VICTIMS = 6 };

struct scene {
    proc_word stop, published, polled, errors, reopened, crossed;
    uint64_t seed;
    uint32_t mode;
    proc_word next;
};

struct victim {
    struct scene *scene;
    uint64_t random;
    spate_bus *bus;
    spate_topic *topic;
    spate_producer *producer;
    spate_consumer *consumer;
};

static const char *const files[] = {"bus", "h/topic", "h/0.ring", "h/0.cursors", "h/1.ring", "h/1.cursors"};
enum { FILES = 6 };

static uint8_t *map_whole(const char *path, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDWR);

    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    void *address = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(address != MAP_FAILED);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return address;
}

/* One blow: a bit, a byte, a word of some value, or a run, mostly among the headers and tables at the beginning. */
static void scribble(uint8_t *at, size_t size, uint64_t *random)
{
    static const uint64_t values[] = {0, 1, 2, 0x7fffffff, 0xffffffff, UINT64_MAX, INT64_MAX, (uint64_t)1 << 63, 4096};
    size_t reach = proc_below(random, 4) ? (size < 16384 ? size : 16384) : size;
    size_t place = proc_below(random, reach - 64);
    uint64_t word;

    switch (proc_below(random, 5)) {
    case 0: at[place] ^= (uint8_t)(1u << proc_below(random, 8)); break;
    case 1: at[place] = (uint8_t)proc_random(random); break;
    case 2:
        word = values[proc_below(random, sizeof values / sizeof values[0])];
        memcpy(at + place / 8 * 8, &word, 8);
        break;
    case 3: /* nearly right is worse than quite wrong */
        memcpy(&word, at + place / 8 * 8, 8);
        word += proc_below(random, 2) ? proc_below(random, 100000) : (uint64_t)0 - proc_below(random, 100000);
        memcpy(at + place / 8 * 8, &word, 8);
        break;
    default:
        for (size_t i = 0; i < 64; i++)
            at[place + i] = (uint8_t)proc_random(random);
    }
}

__attribute__((no_sanitize("address", "undefined"))) static int vandalise(void *argument)
{
    struct scene *scene = argument;
    uint64_t random = scene->seed;
    uint8_t *maps[FILES];
    size_t sizes[FILES];

    for (int i = 0; i < FILES; i++)
        maps[i] = map_whole(proc_file("%s", files[i]), &sizes[i]);
    while (proc_get(&scene->stop) == 0) {
        for (uint64_t n = 1 + proc_below(&random, 4); n > 0; n--) {
            uint64_t i = proc_below(&random, FILES);
            scribble(maps[i], sizes[i], &random);
        }
        proc_nap((int64_t)proc_below(&random, 3 * PROC_MS));
    }
    return 0;
}

/* Puts back what was there at the beginning, so that the victims get somewhere again. */
static int mend(void *argument)
{
    struct scene *scene = argument;
    uint8_t *maps[FILES], *copies[FILES];
    size_t sizes[FILES];

    for (int i = 0; i < FILES; i++) {
        maps[i] = map_whole(proc_file("%s", files[i]), &sizes[i]);
        copies[i] = malloc(sizes[i]);
        memcpy(copies[i], maps[i], sizes[i]);
    }
    proc_add(&scene->next);
    while (proc_get(&scene->stop) == 0) {
        proc_nap(40 * PROC_MS);
        for (int i = 0; i < FILES; i++)
            memcpy(maps[i], copies[i], sizes[i]);
    }
    return 0;
}

/* Touch every byte that a record says it has: a view must lie in mapped memory, whatever it holds. */
static uint64_t touch(const struct spate_record *record)
{
    const uint8_t *bytes[] = {record->value, record->key, record->headers_block};
    const uint32_t sizes[] = {record->value_size, record->key_size, record->headers_block_size};
    struct spate_header header;
    uint64_t sum = 0;

    for (int i = 0; i < 3; i++)
        for (uint32_t j = 0; bytes[i] && j < sizes[i]; j += 61)
            sum += bytes[i][j];
    for (uint32_t i = 0; i < record->headers_count && i < 10 && spate_record_header(record, i, &header) == 0; i++)
        sum += (uint64_t)(header.name_size ? header.name[header.name_size - 1] : 0);
    return sum;
}

static void give_up(struct victim *v)
{
    spate_consumer_close(v->consumer);
    spate_producer_close(v->producer);
    spate_topic_close(v->topic);
    spate_bus_close(v->bus);
    v->consumer = NULL;
    v->producer = NULL;
    v->topic = NULL;
    v->bus = NULL;
}

static bool begin_anew(struct victim *v)
{
    struct spate_consumer_options consumer_options;
    struct spate_producer_options producer_options;

    proc_add(&v->scene->reopened);
    spate_consumer_options_init(&consumer_options);
    spate_producer_options_init(&producer_options);
    consumer_options.policy = (uint32_t)proc_below(&v->random, 2);
    consumer_options.start = (uint32_t)proc_below(&v->random, 5);
    consumer_options.start_value = (int64_t)proc_below(&v->random, 1000);
    consumer_options.gate_timeout = proc_below(&v->random, 2) ? SPATE_FOREVER : 5 * PROC_MS;
    consumer_options.wait = producer_options.wait = (uint32_t)proc_below(&v->random, 4);
    if (spate_bus_open(proc_bus_path(), NULL, &v->bus) == 0 && spate_topic_open(v->bus, "h", &v->topic) == 0 &&
        spate_producer_open(v->topic, &producer_options, &v->producer) == 0 &&
        spate_consumer_open(v->topic, &consumer_options, &v->consumer) == 0)
        return true;
    proc_add(&v->scene->errors);
    give_up(v);
    proc_nap(PROC_MS);
    return false;
}

static int publish_something(struct victim *v)
{
    struct spate_header header = {"name", 4, "value", 5};
    struct spate_record record = {.partition = (int32_t)proc_below(&v->random, 2),
                                  .key = "key",
                                  .key_size = 3,
                                  .headers = proc_below(&v->random, 3) ? NULL : &header,
                                  .value_size = (uint32_t)proc_below(&v->random, 3000)};
    struct spate_claim claim;

    record.headers_count = record.headers ? 1 : 0;
    int error = spate_claim(v->producer, &record, &claim);
    if (error == -EAGAIN)
        error = spate_producer_wait(v->producer, 2 * PROC_MS);
    else if (error == 0) {
        memset(claim.value, 0x55, claim.value_size);
        error = proc_below(&v->random, 20) ? spate_commit(v->producer) : spate_abort(v->producer);
        if (error == 0)
            proc_add(&v->scene->published);
    }
    return error;
}

static int read_something(struct victim *v)
{
    struct spate_record got[16];
    char buffer[4096];
    struct spate_gap gap;
    int64_t first, next;
    uint64_t sum = 0;
    int n;

    switch (proc_below(&v->random, 12)) {
    case 0: return spate_seek(v->consumer, SPATE_ANY, (uint32_t)proc_below(&v->random, 5), (int64_t)proc_below(&v->random, 100000));
    case 1: return spate_offsets(v->consumer, 0, &first, &next);
    case 2: return (int)spate_lag(v->consumer, SPATE_ANY) & 0;
    case 3: return spate_check(v->consumer);
    case 4: n = spate_read(v->consumer, buffer, sizeof buffer, got, PROC_MS); break;
    case 5:
        (void)spate_consumer_fd(v->consumer);
        n = spate_poll(v->consumer, got, 16, 0);
        break;
    case 6: n = spate_poll(v->consumer, got, 16, PROC_MS); break;
    default: n = spate_poll(v->consumer, got, 16, 0);
    }
    for (int i = 0; i < n; i++)
        sum += touch(&got[i]);
    if (n == -EOVERFLOW)
        (void)spate_consumer_gap(v->consumer, &gap);
    if (n > 0)
        atomic_fetch_add_explicit(&v->scene->polled, (uint64_t)n + (sum & 0), memory_order_relaxed);
    return n;
}

static int ignore_name(void *context, const char *name)
{
    (void)context;
    return name == NULL;
}

static void inspect_something(struct victim *v)
{
    struct spate_ring_info ring;
    struct spate_bus_info bus;
    struct spate_gc_result gc;
    struct spate_verify_result verify;
    struct spate_dump_info dump;

    switch (proc_below(&v->random, 6)) {
    case 0: (void)spate_inspect_ring(v->topic, 0, &ring, NULL, NULL, NULL); break;
    case 1: (void)spate_inspect_bus(v->bus, &bus); break;
    case 2: (void)spate_gc(v->bus, &gc); break;
    case 3: (void)spate_verify(v->bus, "h", &verify, NULL, NULL); break;
    case 4: (void)spate_dump(proc_file("h/0.ring"), &dump, NULL, NULL); break;
    default: (void)spate_topic_list(v->bus, ignore_name, NULL);
    }
}

static int suffer(void *argument)
{
    struct scene *scene = argument;
    uint64_t me = atomic_fetch_add_explicit(&scene->next, 1, memory_order_relaxed);
    struct victim v = {.scene = scene, .random = scene->seed + me};

    while (proc_get(&scene->stop) == 0) {
        if (!v.bus && !begin_anew(&v))
            continue;
        int result = proc_below(&v.random, 2) ? publish_something(&v) : read_something(&v);
        if (proc_below(&v.random, 200) == 0)
            inspect_something(&v);
        if (result < 0)
            proc_add(&scene->errors);
        if (proc_below(&v.random, 2000) == 0 || (result < 0 && proc_below(&v.random, 20) == 0))
            give_up(&v);
    }
    give_up(&v);
    return 0;
}

static void attack(uint32_t mode, uint64_t seed)
{
    struct scene *scene = proc_shared(sizeof *scene);
    struct spate_topic_config config = proc_config(2, SPATE_RING_MIN, mode);
    spate_bus *bus = proc_open();
    pid_t victims[VICTIMS];

    config.producers_max = config.consumers_max = 8;
    OK(spate_topic_create(bus, "h", &config));
    spate_bus_close(bus);
    scene->seed = seed;
    pid_t mender = proc_start(mend, scene);
    proc_await(&scene->next, 1);
    pid_t vandal = proc_start(vandalise, scene);
    for (int i = 0; i < VICTIMS; i++)
        victims[i] = proc_start(suffer, scene);
    for (int64_t end = proc_now() + (proc_is_full() ? 300 * PROC_S : 5 * PROC_S); proc_now() < end; proc_nap(50 * PROC_MS))
        for (int i = 0; i < VICTIMS; i++)
            if (!proc_is_running(victims[i]))
                end = 0; /* see below how it ended */
    proc_set(&scene->stop, 1);
    IS(proc_wait(vandal), 0);
    IS(proc_wait(mender), 0);
    int64_t end = proc_now() + 60 * PROC_S;
    for (int i = 0; i < VICTIMS; i++) {
        while (proc_is_running(victims[i]) && proc_now() < end)
            proc_nap(PROC_MS);
        if (proc_is_running(victims[i])) {
            kill(victims[i], SIGABRT); /* a core, if somebody wants one */
            CHECKF(false, "a process hangs, long after the last scribble");
        }
        int status = proc_wait(victims[i]);
        CHECKF(status == 0, "a process ended with status %d", status);
    }
    print_message("%llu published, %llu polled, %llu errors, opened anew %llu times\n",
                  (unsigned long long)proc_get(&scene->published), (unsigned long long)proc_get(&scene->polled),
                  (unsigned long long)proc_get(&scene->errors), (unsigned long long)proc_get(&scene->reopened));
    CHECK(proc_get(&scene->published) > 0 && proc_get(&scene->polled) > 0);
}

static void random_bytes_neither_crash_nor_hang_anybody_concurrent(void **state)
{
    (void)state;
    proc_alarm(proc_is_full() ? 900 : 120);
    attack(SPATE_MODE_CONCURRENT, proc_seed());
}

static void random_bytes_neither_crash_nor_hang_anybody_exclusive(void **state)
{
    (void)state;
    proc_alarm(proc_is_full() ? 900 : 120);
    attack(SPATE_MODE_EXCLUSIVE, proc_seed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROC_TEST(random_bytes_neither_crash_nor_hang_anybody_concurrent),
        PROC_TEST(random_bytes_neither_crash_nor_hang_anybody_exclusive),
    };
    return cmocka_run_group_tests_name("hostile memory", tests, NULL, NULL);
}
