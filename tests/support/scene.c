/* scene.c: the survivors of a crash test: witness, rival, fresh producers, late consumers; and what they may and must see.
 *
 * All checks go through the public interface; the internal header serves only to know where in the ring the tail stands and to
 * compare bytes of the shared files. Called by tests/crash. */
#include "scene.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bus/internal.h"
#include "spate/inspect.h"

#define RIVAL 1u        /* writer id of this process's values */
#define VALUE_SMALL 40u /* with header and timestamp one unit of 64 bytes */
#define VIOLATIONS_SHOWN 20u

int64_t scene_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t scene_random(struct scene *scene)
{
    uint64_t x = scene->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void scene_violation(struct scene *scene, const char *format, ...)
{
    va_list arguments;

    scene->broken = true;
    if (scene->violations++ >= VIOLATIONS_SHOWN || scene->quiet)
        return;
    printf("VIOLATION %s, step", scene->what);
    for (int i = 0; i < scene->victims; i++)
        printf(" %u", scene->step[i]);
    printf(": ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

static void must(int error, const char *what)
{
    if (error < 0) {
        fprintf(stderr, "scene: %s: %s (%s)\n", what, strerror(-error), spate_last_error());
        abort();
    }
}

static spate_consumer *open_consumer(struct scene *scene, uint32_t start, int *ret_error)
{
    struct spate_consumer_options options;
    spate_consumer *consumer = NULL;

    spate_consumer_options_init(&options);
    options.start = start;
    *ret_error = spate_consumer_open(scene->topic, &options, &consumer);
    return consumer;
}

static void build(struct scene *scene)
{
    struct spate_bus_options options;
    struct spate_topic_config config;
    int error;

    snprintf(scene->dir, sizeof scene->dir, "/dev/shm/spate-crash-XXXXXX");
    if (!mkdtemp(scene->dir))
        must(-errno, "mkdtemp");
    spate_bus_options_init(&options);
    options.participants_max = 16;
    must(spate_bus_open(scene->dir, &options, &scene->bus), "bus");
    spate_topic_config_init(&config);
    config.ring_capacity = SCENE_RING;
    config.mode = scene->mode;
    config.producers_max = SCENE_SLOTS;
    config.consumers_max = SCENE_SLOTS;
    config.timestamp = SPATE_TIMESTAMP_NONE; /* for the fastest paths */
    must(spate_topic_create(scene->bus, SCENE_TOPIC, &config), "topic");
    must(spate_topic_open(scene->bus, SCENE_TOPIC, &scene->topic), "topic");
    scene->witness = open_consumer(scene, SPATE_START_BEGINNING, &error);
    must(error, "witness");
    scene->last = -1;
    scene->published = scene->read = 0;
    memset(&scene->ledger, 0, sizeof scene->ledger);
    scene->rival = NULL;
    if (scene->mode == SPATE_MODE_CONCURRENT) {
        must(spate_producer_open(scene->topic, NULL, &scene->rival), "rival");
        must(scene_publish(scene, scene->rival, VALUE_SMALL, 0), "first value");
        scene_read(scene, SCENE_BOUND);
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void scene_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void tear_down(struct scene *scene)
{
    spate_producer_close(scene->rival);
    spate_consumer_close(scene->sleeper);
    spate_consumer_close(scene->witness);
    spate_topic_close(scene->topic);
    spate_bus_close(scene->bus);
    scene->sleeper = NULL;
    scene_remove(scene->dir);
    free(scene->snapshot);
    scene->snapshot = NULL;
}

void scene_open(struct scene *scene, uint32_t mode, const char *what)
{
    scene->mode = mode;
    scene->what = what;
    scene->writer = 1000;
    if (!scene->page) {
        scene->page = mmap(NULL, sizeof *scene->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (scene->page == MAP_FAILED)
            must(-errno, "page");
    }
    build(scene);
}

void scene_close(struct scene *scene)
{
    tear_down(scene);
    munmap(scene->page, sizeof *scene->page);
    scene->page = NULL;
}

void scene_round(struct scene *scene, int victims)
{
    if (scene->broken) {
        tear_down(scene);
        build(scene);
        scene->broken = false;
    }
    scene->rounds++;
    scene->writer += SCENE_VICTIMS_MAX;
    scene->victims = victims;
    scene->holes = 0;
    for (int i = 0; i < SCENE_VICTIMS_MAX; i++) {
        scene->seen[i] = 0;
        atomic_store(&scene->page->of[i].started, 0);
        atomic_store(&scene->page->of[i].done, 0);
        atomic_store(&scene->page->of[i].result, 1);
        atomic_store(&scene->page->of[i].torn, 0);
    }
}

int scene_publish(struct scene *scene, spate_producer *producer, uint32_t size, int64_t timeout)
{
    uint8_t value[4096];
    int64_t offset = -1;
    struct spate_record record = {.partition = 0, .value = value, .value_size = size};

    ledger_fill(value, size, RIVAL, scene->sequence);
    int error = spate_publish(producer, &record, timeout, &offset);
    if (error)
        return error;
    scene->published++;
    scene->newest = offset;
    if (!ledger_note(&scene->ledger, offset, RIVAL, scene->sequence))
        scene_violation(scene, "offset %lld was given to a producer, and is another record's (witness read up to %lld)",
                        (long long)offset, (long long)scene->last);
    scene->sequence++;
    return 0;
}

static const struct sp_ring *ring_of(const struct scene *scene)
{
    return &scene->topic->attachments[SP_ACCESS_CONSUME][0]->ring;
}

/* What is there instead of a whole value, and where everybody stands. */
static void report_torn(struct scene *scene, const struct spate_record *record)
{
    const struct sp_ring *ring = ring_of(scene);
    const struct sp_place tail = sp_ring_tail(ring);
    uint64_t words[4] = {0};

    if (record->value)
        memcpy(words, record->value, record->value_size < sizeof words ? record->value_size : sizeof words);
    scene_violation(
        scene, "the record at offset %lld is torn: %u bytes %016llx %016llx %016llx %016llx at ring index %llu; tail %llu, %llu",
        (long long)record->offset, record->value_size, (unsigned long long)words[0], (unsigned long long)words[1],
        (unsigned long long)words[2], (unsigned long long)words[3],
        (unsigned long long)((uint64_t)((const uint8_t *)record->value - ring->data) & ring->mask),
        (unsigned long long)tail.position, (unsigned long long)tail.offset);
    if (scene->quiet)
        return;
    const struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, NULL);
    uint64_t writer;
    uint32_t sequence;
    printf("    5 ms later it is %s; the next value of this process is %u\n",
           ledger_read(record->value, record->value_size, &writer, &sequence) ? "whole" : "torn", scene->sequence);
    const struct ledger_entry *entry = ledger_find(&scene->ledger, record->offset);
    printf("    the ledger knows of this offset: writer %llu, value %u\n", entry ? (unsigned long long)entry->writer : 0,
           entry ? entry->sequence : 0);
    const uint64_t *at = (const uint64_t *)((uintptr_t)record->value & ~(uintptr_t)63);
    for (uint32_t i = 0; i < 32; i += 4)
        printf("    %4u: %016llx %016llx %016llx %016llx\n", i * 8, (unsigned long long)at[i], (unsigned long long)at[i + 1],
               (unsigned long long)at[i + 2], (unsigned long long)at[i + 3]);
    for (uint32_t i = 0; i < SCENE_SLOTS; i++) {
        const struct sp_producer_slot *slot = &ring->producers[i];
        printf("    slot %u: owner %llx claim %llx extent %llx offset %llu\n", i, (unsigned long long)slot->owner,
               (unsigned long long)slot->claim, (unsigned long long)slot->extent, (unsigned long long)slot->offset);
    }
}

/* One record of the witness. */
static void witnessed(struct scene *scene, const struct spate_record *record)
{
    uint64_t writer;
    uint32_t sequence;

    if (record->offset <= scene->last) {
        scene_violation(scene, "offset %lld comes after %lld", (long long)record->offset, (long long)scene->last);
        return;
    }
    for (int64_t hole = scene->last + 1; hole < record->offset; hole++) {
        scene->holes++;
        if (!ledger_note(&scene->ledger, hole, LEDGER_HOLE, 0))
            scene_violation(scene, "offset %lld was published, and is skipped", (long long)hole);
    }
    scene->last = record->offset;
    if (!ledger_read(record->value, record->value_size, &writer, &sequence)) {
        report_torn(scene, record);
        return;
    }
    if (!ledger_note(&scene->ledger, record->offset, writer, sequence))
        scene_violation(scene, "offset %lld holds another record than its producer was told", (long long)record->offset);
    if (writer == RIVAL) {
        scene->read++;
        return;
    }
    uint64_t index = writer - scene->writer;
    if (index >= (uint64_t)scene->victims)
        scene_violation(scene, "offset %lld is from writer %llu, which is none of this round", (long long)record->offset,
                        (unsigned long long)writer);
    else if (sequence != scene->seen[index])
        scene_violation(scene, "offset %lld: value %u of victim %llu, expected %u", (long long)record->offset, sequence,
                        (unsigned long long)index, scene->seen[index]);
    else
        scene->seen[index]++;
}

void scene_read(struct scene *scene, int64_t timeout)
{
    struct spate_record records[64];
    struct spate_gap gap = {0};

    for (;;) {
        int n = spate_poll(scene->witness, records, 64, timeout);
        for (int i = 0; i < n; i++)
            witnessed(scene, &records[i]);
        if (n == -EOVERFLOW) {
            (void)spate_consumer_gap(scene->witness, &gap);
            scene_violation(scene, "the witness lost offsets %lld..%lld, cause %u", (long long)gap.first, (long long)gap.next - 1,
                            gap.cause);
        } else if (n < 0 && n != -ETIMEDOUT) {
            scene_violation(scene, "the witness's poll: %s", spate_last_error());
        }
        if (n <= 0)
            break;
        timeout = 0;
    }
    (void)spate_release(scene->witness);
}

bool scene_read_until(struct scene *scene, int64_t offset)
{
    const int64_t deadline = scene_now() + SCENE_BOUND;
    while (scene->last < offset && !scene->broken && scene_now() < deadline)
        scene_read(scene, SCENE_BOUND / 4);
    if (scene->last < offset && !scene->broken)
        scene_violation(scene, "offset %lld was published, and is not delivered (last: %lld)", (long long)offset,
                        (long long)scene->last);
    return scene->last >= offset;
}

void scene_sleeper(struct scene *scene)
{
    struct spate_record record;
    int error;

    scene->sleeper = open_consumer(scene, SPATE_START_END, &error);
    if (!error)
        error = spate_consumer_fd(scene->sleeper);
    if (error >= 0)
        error = spate_poll(scene->sleeper, &record, 1, 0);
    if (error)
        scene_violation(scene, "no consumer that sleeps: %d, %s", error, spate_last_error());
}

/* A record was published since it fell asleep: its descriptor must say so. */
static void wake_sleeper(struct scene *scene)
{
    struct pollfd wait = {.fd = spate_consumer_fd(scene->sleeper), .events = POLLIN};

    if (poll(&wait, 1, 100) != 1)
        scene_violation(scene, "a consumer that sleeps on its descriptor is not woken by the next record");
    spate_consumer_close(scene->sleeper);
    scene->sleeper = NULL;
}

void scene_pad(struct scene *scene, uint32_t before)
{
    spate_producer *producer = scene->rival ? scene->rival : scene_fresh(scene);
    const uint64_t mask = SCENE_RING - 1;

    while (producer && !scene->broken && (sp_ring_tail(ring_of(scene)).position & mask) != SCENE_RING - before) {
        int error = scene_publish(scene, producer, VALUE_SMALL, SCENE_BOUND);
        if (error)
            scene_violation(scene, "no room to pad: %s", strerror(-error));
        if (scene->published % 64 == 0)
            scene_read(scene, 0);
    }
    scene_read(scene, 0);
    if (producer != scene->rival)
        spate_producer_close(producer);
}

void scene_bias(struct scene *scene, uint32_t count)
{
    spate_producer_close(scene->rival); /* who lost it before asks later */
    must(spate_producer_open(scene->topic, NULL, &scene->rival), "rival");
    for (uint32_t i = 0; i < count && !scene->broken; i++) {
        if (scene_publish(scene, scene->rival, VALUE_SMALL, 0) != 0)
            scene_violation(scene, "the rival cannot publish: %s", spate_last_error());
        scene_read(scene, 0);
    }
}

spate_producer *scene_fresh(struct scene *scene)
{
    const int64_t deadline = scene_now() + SCENE_BOUND;
    spate_producer *producer;

    int error = spate_producer_open(scene->topic, NULL, &producer);
    if (error) {
        scene_violation(scene, "no fresh producer: %s", spate_last_error());
        return NULL;
    }
    do { /* busy, or no slot: a victim's last breath is not over */
        error = scene_publish(scene, producer, VALUE_SMALL, SCENE_BOUND);
    } while ((error == -EBUSY || error == -EUSERS) && scene_now() < deadline);
    if (error) {
        scene_violation(scene, "a fresh producer cannot publish: %s (%s)", strerror(-error), spate_last_error());
        spate_producer_close(producer);
        return NULL;
    }
    return producer;
}

/* More than a lap, so that whatever the dead left behind is in the way. */
static void lap(struct scene *scene, spate_producer *producer)
{
    int64_t longest = 0, before = scene_now();

    for (uint32_t bytes = 0; bytes < SCENE_RING + SCENE_RING / 8 && !scene->broken;) {
        uint32_t size = LEDGER_VALUE_MIN + (uint32_t)(scene_random(scene) % 200);
        int error = scene_publish(scene, producer, size, SCENE_BOUND);
        int64_t now = scene_now();
        longest = now - before > longest ? now - before : longest;
        if (error)
            scene_violation(scene, "a lap later a publish fails: %s (%s)", strerror(-error), spate_last_error());
        bytes += size;
        if (scene->published % 32 == 0)
            scene_read(scene, 0);
        before = scene_now();
    }
    scene_read(scene, 0);
    times_add(&scene->longest, longest);
}

/* Reads from the beginning what the witness read. */
static void late_reads(struct scene *scene, spate_consumer *consumer)
{
    const int64_t deadline = scene_now() + SCENE_BOUND;
    struct spate_record records[64];
    int64_t last = -1;

    while (last < scene->last && !scene->broken) {
        int n = spate_poll(consumer, records, 64, SCENE_BOUND / 4);
        if (n < 0 && n != -ETIMEDOUT)
            scene_violation(scene, "a late consumer's poll: %s (%s)", strerror(-n), spate_last_error());
        for (int i = 0; i < n; i++) {
            uint64_t writer;
            uint32_t sequence;
            int64_t offset = records[i].offset;
            const struct ledger_entry *entry = ledger_find(&scene->ledger, offset);
            if (!ledger_read(records[i].value, records[i].value_size, &writer, &sequence))
                scene_violation(scene, "a late consumer reads a torn record at offset %lld", (long long)offset);
            else if (!entry || entry->writer != writer || entry->sequence != sequence)
                scene_violation(scene, "a late consumer reads another record at offset %lld than the witness", (long long)offset);
            for (int64_t hole = last + 1; last >= 0 && hole < offset; hole++)
                if (!(entry = ledger_find(&scene->ledger, hole)) || entry->writer != LEDGER_HOLE)
                    scene_violation(scene, "a late consumer does not get offset %lld, which the witness read", (long long)hole);
            last = offset;
        }
        if (n <= 0 && scene_now() > deadline)
            scene_violation(scene, "a late consumer reads up to %lld, the witness up to %lld", (long long)last,
                            (long long)scene->last);
    }
}

void scene_late(struct scene *scene)
{
    int error;
    spate_consumer *consumer = open_consumer(scene, SPATE_START_BEGINNING, &error);

    if (error) {
        scene_violation(scene, "no late consumer: %s", spate_last_error());
        return;
    }
    late_reads(scene, consumer);
    spate_consumer_close(consumer);
}

/* As many producers and consumers as there are slots, less those that live anyway. */
static void slots(struct scene *scene)
{
    spate_producer *producers[SCENE_SLOTS] = {0};
    spate_consumer *consumers[SCENE_SLOTS] = {0};
    const uint32_t free_producers = scene->rival ? SCENE_SLOTS - 1 : 1;
    int error;

    for (uint32_t i = 0; i < free_producers && !scene->broken; i++)
        producers[i] = scene_fresh(scene);
    for (uint32_t i = 0; i < SCENE_SLOTS - 1 && !scene->broken; i++) {
        consumers[i] = open_consumer(scene, SPATE_START_END, &error);
        if (error)
            scene_violation(scene, "consumer slot %u is not to be had: %s", i, spate_last_error());
    }
    for (uint32_t i = 0; i < SCENE_SLOTS; i++) {
        spate_producer_close(producers[i]);
        spate_consumer_close(consumers[i]);
    }
    scene_read(scene, 0);
}

void scene_settle(struct scene *scene, uint64_t holes_max)
{
    for (int i = 0; i < scene->victims && !scene->broken; i++) {
        uint32_t started = atomic_load(&scene->page->of[i].started), done = atomic_load(&scene->page->of[i].done);
        if (scene->seen[i] < done || scene->seen[i] > started)
            scene_violation(scene, "victim %d: %u values were read; it had published %u and begun %u", i, scene->seen[i], done,
                            started);
        if (atomic_load(&scene->page->of[i].torn))
            scene_violation(scene, "victim %d read a record that was not whole", i);
    }
    if (scene->holes > holes_max && !scene->broken)
        scene_violation(scene, "%llu offsets are holes, the victims' claims cover at most %llu", (unsigned long long)scene->holes,
                        (unsigned long long)holes_max);
    if (scene->published != scene->read && !scene->broken)
        scene_violation(scene, "%llu values were published by the survivors, %llu were read", (unsigned long long)scene->published,
                        (unsigned long long)scene->read);
}

void scene_after_death(struct scene *scene, struct tracee *victims, bool fresh_first, uint64_t holes_max)
{
    spate_producer *producer = scene->rival;

    const int64_t since = scene_now();
    for (int i = 0; i < scene->victims; i++) {
        tracer_kill(&victims[i]);
        scene->astray += victims[i].astray;
    }

    if (fresh_first || !producer) {
        producer = scene_fresh(scene);
        times_add(&scene->attached, scene_now() - since);
    } else {
        int error = scene_publish(scene, producer, VALUE_SMALL, SCENE_BOUND);
        if (error)
            scene_violation(scene, "the rival cannot publish: %s", strerror(-error));
    }
    int64_t fence = scene->broken ? -1 : (int64_t)sp_ring_tail(ring_of(scene)).offset - 1;
    if (!scene->broken && scene_read_until(scene, fence))
        times_add(&scene->delivered, scene_now() - since);
    for (int i = 0; i < scene->victims; i++) /* until here they may still have been dying */
        tracer_reap(&victims[i]);
    if (scene->sleeper)
        wake_sleeper(scene);
    if (!scene->broken)
        scene_late(scene);
    if (!scene->broken)
        lap(scene, producer);
    if (producer != scene->rival)
        spate_producer_close(producer);
    if (!scene->broken)
        slots(scene);
    if (!scene->broken)
        scene_late(scene);
    scene_settle(scene, holes_max);
}

static int show_violation(void *context, const struct spate_violation *violation)
{
    struct scene *scene = context;
    scene_violation(scene, "spate_verify: %s: %s: %s", violation->file, violation->rule, violation->detail);
    return 0;
}

void scene_verify(struct scene *scene)
{
    struct spate_verify_result result;

    int error = spate_verify(scene->bus, SCENE_TOPIC, &result, show_violation, scene);
    if (error)
        scene_violation(scene, "spate_verify: %s", spate_last_error());
}

bool scene_changed(struct scene *scene)
{
    const struct sp_attachment *attachment = scene->topic->attachments[SP_ACCESS_CONSUME][0];
    const struct sp_map maps[] = {scene->bus->registry.map, attachment->header_map, attachment->cursors_map};
    bool changed = scene->snapshot == NULL;
    size_t size = 0;

    for (size_t i = 0; i < 3; i++)
        size += maps[i].size;
    if (!scene->snapshot && !(scene->snapshot = calloc(1, size)))
        abort();
    char *at = scene->snapshot;
    for (size_t i = 0; i < 3; i++) {
        if (memcmp(at, maps[i].address, maps[i].size) != 0) {
            memcpy(at, maps[i].address, maps[i].size);
            changed = true;
        }
        at += maps[i].size;
    }
    return changed;
}
