/* worker.c: see worker.h: the loop of a thread, what its writers ask of it, and how it sleeps.
 * The functions that the supervisor calls are at the end. */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "shm/sleep.h"

#define ACTIVE_FOR (100 * SP_NS_PER_MS) /* after the latest record it is looked for without being told */
#define DOZE SP_NS_PER_MS               /* between two looks then */
#define SLEEP (100 * SP_NS_PER_MS)      /* between two looks when asleep: for what nobody tells of */

/* --------------------------------------------------------------------------------------------- what a writer asks of us */

static void host_repair(void *context)
{
    struct partition *partition = context;
    struct sp_repair_result result;
    (void)sp_partition_repair(partition->topic, partition->number, partition->attachment, 0, &result);
}

static bool host_alive(void *context, uint64_t owner)
{
    struct partition *partition = context;
    return sp_registry_alive(&partition->worker->bus->registry, owner);
}

static void set_counter(struct sp_ring *ring, enum sp_ring_counter counter, uint64_t value)
{
    atomic_store_explicit(&ring->header->counters[counter], value, memory_order_relaxed); /* relaxed: only reported */
}

static void host_wake(void *context, bool is_durable)
{
    struct partition *partition = context;
    struct sp_ring *ring = &partition->attachment->ring;

    set_counter(ring, SP_RING_LOG_BYTES, partition->writer.bytes);
    set_counter(ring, SP_RING_LOG_BLOCKS, partition->writer.blocks);
    sp_wake_watermark(partition->worker->bus, ring, is_durable);
}

static void host_say(void *context, bool is_error, const char *text)
{
    (void)context;
    message(is_error, "%s", text);
}

/* ------------------------------------------------------------------------------------------------- coming and going */

static void open_partition(struct worker *worker, struct partition *partition)
{
    const struct recovery *recovery = &partition->recovery;

    partition->host = (struct writer_host){host_repair, host_alive, host_wake, host_say, partition, worker->bus->registry.owner};
    const int error = writer_open(&partition->writer, worker->io, &worker->pool, &partition->attachment->ring, partition->spill,
                                  partition->number, &partition->host, recovery->end, recovery->start_offset, recovery->sequence);
    partition->seen = UINT64_MAX;
    atomic_store_explicit(&partition->open_error, error, memory_order_relaxed); /* relaxed: published by the state */
    if (error) {
        atomic_store_explicit(&partition->state, PARTITION_LEFT, memory_order_release);
        return;
    }
    if (partition->told)
        message(false, "topic %s, partition %u: its log is open now%s", partition->spill->info.name, partition->number,
                partition->told == -ENOSPC ? ": there is room on the file system again" : "");
    uint32_t coming = PARTITION_COMING;
    atomic_compare_exchange_strong_explicit(&partition->state, &coming, PARTITION_OPEN, memory_order_acq_rel, memory_order_relaxed);
    partition->next = worker->partitions;
    worker->partitions = partition;
}

static void take_arrivals(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    struct partition *arrivals = worker->arrivals;
    worker->arrivals = NULL;
    pthread_mutex_unlock(&worker->mutex);
    while (arrivals) {
        struct partition *partition = arrivals;
        arrivals = partition->next;
        open_partition(worker, partition);
    }
}

static void note_flushes(struct partition *partition)
{
    const struct writer *writer = &partition->writer;
    struct sp_ring *ring = &partition->attachment->ring;

    if (writer->flush_count == 0)
        return;
    set_counter(ring, SP_RING_LOG_FLUSHES, writer->flush_count);
    set_counter(ring, SP_RING_LOG_FLUSH_P50, histogram_quantile(&writer->flush_times, 0.5));
    set_counter(ring, SP_RING_LOG_FLUSH_P99, histogram_quantile(&writer->flush_times, 0.99));
    set_counter(ring, SP_RING_LOG_FLUSH_MAX, writer->flush_times.max);
}

static bool may_leave(const struct partition *partition)
{
    if (atomic_load_explicit(&partition->is_gone, memory_order_relaxed)) /* relaxed: behind the acquire of the state */
        return writer_is_idle(&partition->writer);
    return writer_is_finished(&partition->writer);
}

/* One look at one partition. Returns false when it has left. */
static bool step(struct partition *partition, int64_t now)
{
    struct writer *writer = &partition->writer;
    const uint64_t start = atomic_load_explicit(&partition->start, memory_order_relaxed); /* relaxed: a lone number that grows */

    if (start > writer->start_offset)
        writer_set_start(writer, start);
    if (atomic_load_explicit(&partition->state, memory_order_acquire) == PARTITION_LEAVING) {
        const bool is_gone = atomic_load_explicit(&partition->is_gone, memory_order_relaxed); /* relaxed: see may_leave */
        writer_finish(writer);
        if (may_leave(partition)) {
            note_flushes(partition);
            if (!is_gone && writer->state == SP_LOG_FULL) {
                message(true, "topic %s, partition %u: the file system is full: records from offset %llu on are in the ring only",
                        partition->spill->info.name, partition->number, (unsigned long long)writer->written.next.offset);
                atomic_store_explicit(&partition->has_failed, true, memory_order_relaxed); /* relaxed: a lone flag */
            }
            writer_close(writer);
            atomic_store_explicit(&partition->state, PARTITION_LEFT, memory_order_release);
            return false;
        }
        partition->due = now + SP_NS_PER_MS;
        if (is_gone)
            return true; /* nothing more is begun */
    }
    partition->due = writer_step(writer, now);
    if (writer->gathered.offset != partition->seen || writer->in_flight) {
        partition->seen = writer->gathered.offset;
        partition->active = now;
    }
    if (writer->state == SP_LOG_FAILED)
        atomic_store_explicit(&partition->has_failed, true, memory_order_relaxed); /* relaxed: a lone flag */
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ sleeping */

static void set_asleep(struct worker *worker, uint32_t asleep)
{
    for (struct partition *partition = worker->partitions; partition; partition = partition->next) {
        struct sp_ring *ring = &partition->attachment->ring;
        atomic_store_explicit(&ring->header->log.wake_slot, worker->wake_slot, memory_order_release); /* E7 sleep */
        atomic_store_explicit(&ring->header->log.asleep, asleep, memory_order_release);               /* E7 sleep */
        if (asleep == SP_LOG_ASLEEP)
            sp_notice_raise(&ring->cursors->notice);
    }
    if (asleep == SP_LOG_AWAKE)
        return;
    atomic_thread_fence(memory_order_seq_cst); /* E16 watermark: who wants something sees that we sleep, or we see what he wants */
    if (asleep == SP_LOG_ASLEEP && worker->bus->registry.membarrier)
        (void)sp_membarrier(); /* E7 sleep */
}

/* Something to do that came while we were going to sleep. */
static bool has_something(const struct worker *worker)
{
    for (const struct partition *partition = worker->partitions; partition; partition = partition->next) {
        const struct writer *writer = &partition->writer;
        if (writer->state == SP_LOG_FAILED)
            continue;
        if (sp_log_wanted(writer->ring, SP_LOG_DURABLE) > writer->durable.next.offset && !writer->flushing && !writer->in_flight &&
            writer->durable.next.offset < writer->written.next.offset)
            return true;
        const uint64_t offset = writer->gathered.offset;
        const bool is_wanted =
            sp_log_wanted(writer->ring, SP_LOG_WRITTEN) > offset || sp_log_wanted(writer->ring, SP_LOG_DURABLE) > offset;
        if (!writer->is_blocked && sp_ring_is_committed(writer->ring, writer->gathered) && !writer->in_flight &&
            (!writer->pending_since || is_wanted))
            return true;
    }
    return false;
}

static void wait_for_something(struct worker *worker, int64_t now)
{
    int64_t due = now + SLEEP, active = 0;

    for (const struct partition *partition = worker->partitions; partition; partition = partition->next) {
        if (partition->due < due)
            due = partition->due;
        if (partition->active > active)
            active = partition->active;
    }
    if (due <= now) {
        worker->io->f->wait(worker->io, 0);
        return;
    }
    const bool is_active = now - active < ACTIVE_FOR;
    if (is_active && due > now + DOZE)
        due = now + DOZE;
    set_asleep(worker, is_active ? SP_LOG_DOZES : SP_LOG_ASLEEP);
    worker->io->f->wait(worker->io, has_something(worker) ? 0 : due - now);
    set_asleep(worker, SP_LOG_AWAKE);
}

/* ---------------------------------------------------------------------------------------------------------- the thread */

static void run(struct worker *worker)
{
    int64_t noted = 0;

    for (;;) {
        const bool must_stop = atomic_load_explicit(&worker->must_stop, memory_order_acquire);
        take_arrivals(worker);
        const int64_t now = worker->io->f->monotonic(worker->io);
        const bool must_note = now - noted > 100 * SP_NS_PER_MS;
        for (struct partition **at = &worker->partitions; *at;) {
            struct partition *partition = *at, *next = partition->next;
            if (must_stop)
                worker_remove(partition, false);
            if (must_note)
                note_flushes(partition);
            if (step(partition, now))
                at = &partition->next;
            else
                *at = next;
        }
        if (must_note)
            noted = now;
        if (must_stop && !worker->partitions)
            return;
        wait_for_something(worker, now);
    }
}

/* The io belongs to the thread that made it. */
static void *main_of_thread(void *context)
{
    struct worker *worker = context;
    const struct config *config = worker->config;
    const bool is_direct =
        config->log.direct == CONFIG_DIRECT_YES || (config->log.direct == CONFIG_DIRECT_AUTO && io_supports_direct(worker->log_fd));
    int error = -ENOSYS;

    if (config->log.io != CONFIG_IO_PLAIN)
        error = io_open_uring(worker->log_fd, worker->wake_fd, is_direct, &worker->io);
    if (error && config->log.io == CONFIG_IO_AUTO)
        message(false, "io_uring is not to be had here (%s): writing by pwrite and fdatasync instead, which is slower",
                strerror(-error));
    if (error && config->log.io != CONFIG_IO_URING)
        error = io_open_plain(worker->log_fd, worker->wake_fd, is_direct, &worker->io);
    atomic_store_explicit(&worker->error, error, memory_order_release);
    if (error)
        return NULL;
    if (worker->io->f->reserve)
        worker->io->f->reserve(worker->io, worker->pool.memory, (size_t)worker->pool.count * worker->pool.buffer_size);
    run(worker);
    io_close(worker->io);
    return NULL;
}

int worker_start(struct worker *worker, struct spate_bus *bus, const struct config *config, int log_fd)
{
    *worker = (struct worker){.bus = bus, .config = config, .log_fd = log_fd, .wake_fd = -1};
    pthread_mutex_init(&worker->mutex, NULL);
    int error = sp_wake_acquire(&bus->registry, SP_WAKE_PIPE, &worker->wake_slot, &worker->wake_fd);
    if (error)
        return error;
    error = spill_pool_open(&worker->pool, (uint32_t)(config->log.memory / config->log.block_size), config->log.block_size);
    if (error)
        return sp_fail(error, "no memory for buffers of %llu bytes: see log.memory", (unsigned long long)config->log.memory);
    atomic_init(&worker->error, 1);
    error = -pthread_create(&worker->thread, NULL, main_of_thread, worker);
    if (error)
        return sp_fail(error, "cannot start a thread: %s", strerror(-error));
    while ((error = atomic_load_explicit(&worker->error, memory_order_acquire)) > 0)
        sp_sleep(SP_NS_PER_MS / 10);
    return error ? sp_fail(error, "cannot set up io_uring: %s; log.io = auto goes on without", strerror(-error)) : 0;
}

static void wake(struct worker *worker)
{
    sp_wake(&worker->bus->registry, worker->wake_slot);
}

void worker_add(struct worker *worker, struct partition *partition)
{
    partition->worker = worker;
    pthread_mutex_lock(&worker->mutex);
    partition->next = worker->arrivals;
    worker->arrivals = partition;
    worker->count++;
    pthread_mutex_unlock(&worker->mutex);
    wake(worker);
}

void worker_remove(struct partition *partition, bool is_gone)
{
    uint32_t state = atomic_load_explicit(&partition->state, memory_order_acquire);

    if (is_gone)
        atomic_store_explicit(&partition->is_gone, true, memory_order_relaxed); /* relaxed: published by the state */
    if (state >= PARTITION_LEAVING)
        return;
    while (state < PARTITION_LEAVING && !atomic_compare_exchange_weak_explicit(&partition->state, &state, PARTITION_LEAVING,
                                                                               memory_order_acq_rel, memory_order_acquire)) {
    }
    wake(partition->worker);
}

void worker_ask_to_stop(struct worker *worker)
{
    atomic_store_explicit(&worker->must_stop, true, memory_order_release);
    wake(worker);
}

void worker_stop(struct worker *worker)
{
    worker_ask_to_stop(worker);
    pthread_join(worker->thread, NULL);
    spill_pool_close(&worker->pool);
    sp_wake_release(&worker->bus->registry, worker->wake_slot, worker->wake_fd);
    pthread_mutex_destroy(&worker->mutex);
}
