/* cleaner.c: see cleaner.h: which partition is due, and what deleting and compacting did to it.
 * The work itself is in spill/clean.c and spill/compact.c. */
#include "cleaner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "spill/clean.h"
#include "supervisor.h"

static void say(void *context, bool is_error, const char *text)
{
    const struct partition *partition = context;
    message(is_error, "topic %s, partition %u: %s", partition->spill->info.name, partition->number, text);
}

/* Readers first, then the frontier (by the partition's worker), then whoever waits for it. */
static void set_start(void *context, uint64_t offset)
{
    struct partition *partition = context;
    struct sp_ring *ring = &partition->attachment->ring;

    atomic_store_explicit(&partition->start, offset, memory_order_relaxed); /* relaxed: a lone number that grows */
    sp_log_start_set(ring, offset);
    sp_wake_watermark(partition->topic->bus, ring, true);
}

static bool must_stop(void *context)
{
    const struct partition *partition = context;
    return partition->worker &&
           atomic_load_explicit(&partition->worker->must_stop, memory_order_relaxed); /* relaxed: a lone flag */
}

static void clean(struct cleaner *cleaner, struct partition *partition, bool is_due)
{
    struct sp_ring *ring = &partition->attachment->ring;
    const uint64_t start = sp_log_start(ring), wanted = sp_log_wanted_start(ring), end = sp_log_offset(ring, SP_LOG_DURABLE);
    const struct clean job = {
        .io = cleaner->io,
        .topic = partition->spill,
        .partition = partition->number,
        .recovered = partition->recovery.end.next.offset,
        .keys_memory = cleaner->supervisor->config->log.keys_memory,
        .tried = &partition->tried,
        .say = say,
        .set_start = set_start,
        .must_stop = must_stop,
        .context = partition,
    };
    struct clean_result result;

    if (!is_due && (wanted <= start || start >= end))
        return;
    const int error = clean_partition(&job, start, wanted, end, &result);
    const char *name = partition->spill->info.name;
    if (error)
        message(true, "topic %s, partition %u: cleaning its log: %s", name, partition->number, strerror(-error));
    if (result.segments)
        message(false, "topic %s, partition %u: deleted %llu segments, %.1f MB; the log begins at offset %llu", name,
                partition->number, (unsigned long long)result.segments, (double)result.bytes / 1e6,
                (unsigned long long)sp_log_start(ring));
    if (result.compacted)
        message(false, "topic %s, partition %u: compacted %llu segments: %llu records superseded, %.1f MB freed", name,
                partition->number, (unsigned long long)result.compacted, (unsigned long long)result.records_removed,
                (double)result.freed / 1e6);
}

/* The topic behind `previous`, held so that it stays; `previous` is let go of. NULL at the end. */
static struct supervised *next_topic(struct supervisor *supervisor, struct supervised *previous)
{
    pthread_mutex_lock(&supervisor->mutex);
    struct supervised *next = previous ? previous->next : supervisor->topics;
    if (previous)
        previous->is_being_cleaned = false;
    while (next && (!next->topic || next->is_leaving || !next->partitions))
        next = next->next;
    if (next)
        next->is_being_cleaned = true;
    pthread_mutex_unlock(&supervisor->mutex);
    return next;
}

/* Until it is time to look again. In slices: whoever stops it or configures it anew does not wait for a long interval to pass. */
static void rest(const struct cleaner *cleaner)
{
    const int64_t begin = sp_clock_monotonic(), slice = 100 * SP_NS_PER_MS;

    while (!atomic_load_explicit(&cleaner->must_stop, memory_order_acquire)) {
        /* relaxed: a lone number */
        const int64_t interval = atomic_load_explicit(&cleaner->scan_interval, memory_order_relaxed);
        const int64_t left = begin + interval - sp_clock_monotonic();
        if (left <= 0)
            return;
        sp_sleep(left < slice ? left : slice);
    }
}

static void *run(void *context)
{
    struct cleaner *cleaner = context;
    struct supervisor *supervisor = cleaner->supervisor;
    int64_t cleaned = sp_clock_monotonic();

    while (!atomic_load_explicit(&cleaner->must_stop, memory_order_acquire)) {
        const int64_t now = sp_clock_monotonic();
        /* relaxed: a lone number */
        const bool is_due = now - cleaned >= atomic_load_explicit(&cleaner->retention_interval, memory_order_relaxed);
        struct supervised *entry = next_topic(supervisor, NULL);
        if (is_due)
            cleaned = now;
        for (; entry; entry = next_topic(supervisor, entry))
            for (uint32_t i = 0; i < entry->count; i++)
                if (atomic_load_explicit(&entry->partitions[i].state, memory_order_acquire) == PARTITION_OPEN &&
                    !atomic_load_explicit(&cleaner->must_stop, memory_order_acquire))
                    clean(cleaner, &entry->partitions[i], is_due);
        rest(cleaner);
    }
    return NULL;
}

void cleaner_configure(struct cleaner *cleaner, const struct config *config)
{
    /* relaxed: lone numbers */
    atomic_store_explicit(&cleaner->retention_interval, config->log.retention_interval, memory_order_relaxed);
    atomic_store_explicit(&cleaner->scan_interval, config->log.scan_interval, memory_order_relaxed);
}

int cleaner_start(struct cleaner *cleaner, struct supervisor *supervisor)
{
    *cleaner = (struct cleaner){.supervisor = supervisor};
    cleaner_configure(cleaner, supervisor->config);
    int error = io_open_plain(supervisor->log_fd, -1, false, &cleaner->io);
    if (!error)
        error = -pthread_create(&cleaner->thread, NULL, run, cleaner);
    if (error)
        return sp_fail(error, "cannot start the cleaner's thread: %s", strerror(-error));
    cleaner->is_running = true;
    return 0;
}

void cleaner_ask_to_stop(struct cleaner *cleaner)
{
    atomic_store_explicit(&cleaner->must_stop, true, memory_order_release);
}

void cleaner_stop(struct cleaner *cleaner)
{
    cleaner_ask_to_stop(cleaner);
    if (cleaner->is_running)
        pthread_join(cleaner->thread, NULL);
    io_close(cleaner->io);
}
