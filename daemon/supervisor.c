/* supervisor.c: see supervisor.h: topics as they come and go, and where each of their partitions' logs goes on.
 * Runs on the daemon's first thread. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hwloc.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "bus/remove.h"
#include "spill/catalog.h"

/* Between two tries at what could not be opened: the first, and the longest. Each may read and flush a good part of a log. */
#define RETRY SP_NS_PER_S
#define RETRY_MOST (8 * SP_NS_PER_S)

/* ------------------------------------------------------------------------------------------------- partitions and topics */

static struct worker *least_loaded(struct supervisor *supervisor)
{
    struct worker *best = &supervisor->workers[0];
    for (uint32_t i = 1; i < supervisor->workers_count; i++)
        if (supervisor->workers[i].count < best->count)
            best = &supervisor->workers[i];
    return best;
}

/* What recovery says; what is tried again says the same again, which is told once. */
static void say(void *context, bool is_error, const char *text)
{
    struct said *said = context;
    const uint32_t crc = sp_crc32c(0, text, strlen(text));

    for (uint32_t i = 0; i < SAID_MOST; i++)
        if (said->crcs[i] == crc)
            return;
    said->crcs[said->next++ % SAID_MOST] = crc;
    message(is_error, "%s", text);
}

static const char *reason_of(int error)
{
    return error == -EBADMSG || error == -EEXIST  ? spate_last_error()
           : error == -ENOSPC || error == -EDQUOT ? "the file system is full"
                                                  : strerror(-error);
}

/* What producers and `spate stat` are told of a partition that nobody writes. */
static void tell_ring(struct supervisor *supervisor, struct sp_ring *ring, int error)
{
    sp_log_state_set(ring, supervisor->bus->registry.owner, writer_is_passing(error) ? SP_LOG_FULL : SP_LOG_FAILED, -error);
}

/* A partition that could not be opened, by us or by its worker. */
static void not_opened(struct supervisor *supervisor, struct supervised *entry, struct partition *partition, int error)
{
    partition->is_waiting = writer_is_passing(error);
    if (partition->told != error)
        message(true, "topic %s, partition %u: its log cannot be opened: %s%s", entry->name, partition->number, reason_of(error),
                partition->is_waiting ? "; this is tried again until it can" : "");
    partition->told = error;
    if (partition->attachment)
        tell_ring(supervisor, &partition->attachment->ring, error);
    entry->is_waiting |= partition->is_waiting;
    supervisor->has_failed |= !partition->is_waiting;
    atomic_store_explicit(&partition->state, PARTITION_LEFT, memory_order_relaxed); /* relaxed: no thread has it */
}

static void open_partition(struct supervisor *supervisor, struct supervised *entry, uint32_t number)
{
    struct partition *partition = &entry->partitions[number];
    int error = 0;

    partition->topic = entry->topic;
    partition->spill = &entry->spill;
    partition->number = number;
    if (!partition->attachment)
        error = sp_attach(entry->topic, number, SP_ACCESS_PRODUCE, &partition->attachment);
    if (!error)
        error = recover_partition(supervisor->io, &entry->spill, number, say, &partition->said, &partition->recovery);
    if (!error)
        error = recover_fit(supervisor->io, &partition->attachment->ring, &entry->spill, number, say, &partition->said,
                            &partition->recovery);
    if (error) {
        not_opened(supervisor, entry, partition, error);
        return;
    }
    partition->is_waiting = false;
    atomic_store_explicit(&partition->state, PARTITION_COMING, memory_order_release);
    worker_add(least_loaded(supervisor), partition);
}

static bool has_tombstone(const struct supervisor *supervisor, const uint8_t id[16])
{
    char name[64];
    sp_tombstone_name(id, name);
    return faccessat(supervisor->bus->registry.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void remove_log(struct supervisor *supervisor, const char *directory, const char *name, const uint8_t id[16])
{
    char tombstone[64];
    const int error = catalog_remove(supervisor->io, directory);

    if (error)
        message(true, "topic %s was deleted, but its log in %s/%s cannot be removed: %s", name, supervisor->log_dir, directory,
                strerror(-error));
    else
        message(false, "topic %s was deleted, and its log with it", name);
    if (error)
        return;
    sp_tombstone_name(id, tombstone);
    (void)unlinkat(supervisor->bus->registry.dir_fd, tombstone, 0);
}

/* The log directory may hold a topic of that name that is another one. */
static int check_identity(struct supervisor *supervisor, const struct supervised *entry)
{
    struct sp_log_topic known;

    int error = catalog_load(supervisor->io, entry->spill.directory, &known);
    const bool is_another = !error && memcmp(known.id, entry->spill.id, sizeof known.id) != 0;
    if (is_another && has_tombstone(supervisor, known.id)) { /* which was deleted before its log was opened */
        remove_log(supervisor, entry->spill.directory, entry->name, known.id);
        error = catalog_load(supervisor->io, entry->spill.directory, &known);
    }
    if (error == -ENOENT)
        return catalog_store(supervisor->io, &entry->spill);
    if (is_another && !error)
        error = sp_fail(
            -EEXIST,
            "%s/%s is the log of another topic of that name: delete the topic on the bus to have the old one back, or move that "
            "directory away, and start spated again",
            supervisor->log_dir, entry->spill.directory);
    return error;
}

static void close_entry(struct supervised *entry)
{
    free(entry->partitions);
    entry->partitions = NULL;
    entry->count = 0;
    spate_topic_close(entry->topic);
    entry->topic = NULL;
}

/* A topic whose partitions were not even looked at. */
static void refuse(struct supervisor *supervisor, struct supervised *entry, int error)
{
    struct sp_attachment *attachment;

    entry->is_waiting = writer_is_passing(error);
    if (entry->told != error)
        message(true, "topic %s: no log is written: %s%s", entry->name, reason_of(error),
                entry->is_waiting ? "; this is tried again until it can be" : "");
    entry->told = error;
    for (uint32_t i = 0; i < entry->spill.info.partitions; i++) {
        if (sp_attach(entry->topic, i, SP_ACCESS_PRODUCE, &attachment) != 0)
            continue;
        tell_ring(supervisor, &attachment->ring, error);
        sp_detach(entry->topic, i, SP_ACCESS_PRODUCE);
    }
    supervisor->has_failed |= !entry->is_waiting;
    close_entry(entry);
}

static void open_topic(struct supervisor *supervisor, struct supervised *entry)
{
    int error = spate_topic_open(supervisor->bus, entry->name, &entry->topic);
    if (error) {
        entry->topic = NULL;
        entry->is_waiting = writer_is_passing(error);
        if (error != -ENOENT && error != entry->told)
            message(true, "topic %s: %s%s", entry->name, spate_last_error(),
                    entry->is_waiting ? "; this is tried again until it can be opened" : "");
        entry->told = error;
        return;
    }
    struct spate_topic_info *info = &entry->spill.info;
    (void)spate_topic_describe(entry->topic, info);
    if (!info->durable) {
        close_entry(entry);
        return;
    }
    memcpy(entry->spill.id, info->id, sizeof entry->spill.id);
    sp_topic_directory(entry->name, entry->spill.directory);
    error = check_identity(supervisor, entry);
    entry->partitions = error ? NULL : calloc(info->partitions, sizeof *entry->partitions);
    if (!error && !entry->partitions)
        error = -ENOMEM;
    if (error) {
        refuse(supervisor, entry, error);
        return;
    }
    for (; entry->count < info->partitions; entry->count++)
        open_partition(supervisor, entry, entry->count);
    const uint32_t count = entry->count;
    if (!entry->is_waiting)
        message(false, "topic %s: writing its log, %u partition%s from offset %llu on", entry->name, count, count == 1 ? "" : "s",
                (unsigned long long)entry->partitions[0].recovery.end.next.offset);
}

/* What a worker could not open comes back to us. */
static void take_back(struct supervisor *supervisor, struct supervised *entry, struct partition *partition)
{
    if (!partition->worker || atomic_load_explicit(&partition->state, memory_order_acquire) != PARTITION_LEFT)
        return;
    const int error = atomic_load_explicit(&partition->open_error, memory_order_relaxed); /* relaxed: behind the state's acquire */
    if (!error)
        return;
    partition->worker->count--;
    partition->worker = NULL;
    not_opened(supervisor, entry, partition, error);
}

/* The next try, when this one is in vain. */
static void put_off(struct supervised *entry, int64_t now)
{
    entry->pause = entry->pause == 0 ? RETRY : 2 * entry->pause < RETRY_MOST ? 2 * entry->pause : RETRY_MOST;
    entry->retry_at = now + entry->pause;
}

/* Partitions that could not be opened, once more. */
static void open_waiting(struct supervisor *supervisor, struct supervised *entry, int64_t now)
{
    for (uint32_t i = 0; i < entry->count; i++)
        take_back(supervisor, entry, &entry->partitions[i]);
    if (!entry->is_waiting || now < entry->retry_at)
        return;
    put_off(entry, now);
    entry->is_waiting = false;
    for (uint32_t i = 0; i < entry->count; i++)
        if (entry->partitions[i].is_waiting)
            open_partition(supervisor, entry, i);
}

static bool is_left(const struct partition *partition)
{
    return !partition->attachment || atomic_load_explicit(&partition->state, memory_order_acquire) == PARTITION_LEFT;
}

static bool is_being_cleaned(struct supervisor *supervisor, struct supervised *entry)
{
    pthread_mutex_lock(&supervisor->mutex);
    const bool is_busy = entry->is_being_cleaned;
    entry->is_leaving |= !is_busy; /* from now on the cleaner passes it over */
    pthread_mutex_unlock(&supervisor->mutex);
    return is_busy;
}

static bool is_deleted(const struct supervised *entry)
{
    return entry->topic && atomic_load_explicit(&entry->topic->file->state, memory_order_acquire) != SP_STATE_LIVE;
}

/* Returns whether all of its partitions have left their workers; then they are let go of. */
static bool close_topic(struct supervisor *supervisor, struct supervised *entry)
{
    for (uint32_t i = 0; i < entry->count; i++)
        if (!is_left(&entry->partitions[i]))
            return false;
    if (is_being_cleaned(supervisor, entry))
        return false;
    for (uint32_t i = 0; i < entry->count; i++) {
        struct partition *partition = &entry->partitions[i];
        /* relaxed: its worker let go of it */
        supervisor->has_failed |= atomic_load_explicit(&partition->has_failed, memory_order_relaxed);
        const bool was_never_opened = partition->is_waiting || atomic_load_explicit(&partition->open_error, memory_order_relaxed) !=
                                                                   0; /* relaxed: as above */
        supervisor->has_failed |= was_never_opened && !is_deleted(entry);
        if (partition->worker)
            partition->worker->count--;
        if (partition->attachment)
            sp_detach(entry->topic, i, SP_ACCESS_PRODUCE);
    }
    close_entry(entry);
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ deletion */

/* Topics that were deleted. Their logs go when nobody writes them any more. */
static void look_at_known(struct supervisor *supervisor)
{
    for (struct supervised **at = &supervisor->topics; *at;) {
        struct supervised *entry = *at;
        if (is_deleted(entry) && !entry->is_leaving) {
            pthread_mutex_lock(&supervisor->mutex);
            entry->is_leaving = true;
            pthread_mutex_unlock(&supervisor->mutex);
            for (uint32_t i = 0; i < entry->count; i++)
                if (entry->partitions[i].worker)
                    worker_remove(&entry->partitions[i], true);
        }
        const bool is_over = entry->is_leaving ? close_topic(supervisor, entry) : !entry->topic && !entry->is_seen;
        if (!is_over) {
            at = &entry->next;
            continue;
        }
        if (entry->is_leaving)
            remove_log(supervisor, entry->spill.directory, entry->name, entry->spill.id);
        pthread_mutex_lock(&supervisor->mutex);
        *at = entry->next;
        pthread_mutex_unlock(&supervisor->mutex);
        free(entry);
    }
}

/* --------------------------------------------------------------------------------------------------------- a bus anew */

/* A log that has no topic on the bus, and could not get one for want of memory or descriptors. */
struct unrestored {
    struct unrestored *next;
    struct said said;
    char directory[SPATE_TOPIC_NAME_MAX + 8];
};

/* Returns whether it is to be tried again. */
__attribute__((format(printf, 4, 5))) static bool not_restored(struct supervisor *supervisor, struct unrestored *log, int error,
                                                               const char *format, ...)
{
    const bool is_passing = writer_is_passing(error);
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (is_passing && size > 0 && (size_t)size < sizeof text)
        snprintf(text + size, sizeof text - (size_t)size, "; this is tried again until it can be");
    say(&log->said, true, text);
    supervisor->has_failed |= !is_passing;
    return is_passing;
}

/* A topic that has a log and is not on the bus. Returns whether it is to be tried again. */
static bool make_from_log(struct supervisor *supervisor, struct unrestored *log, const struct sp_log_topic *known)
{
    struct spill_topic spill = {0};
    struct spate_topic_config config;
    struct sp_place *places = calloc(known->partitions, sizeof *places);
    int error = places ? 0 : -ENOMEM;
    bool is_waiting = false;

    (void)sp_log_topic_take(known, &config);
    snprintf(spill.directory, sizeof spill.directory, "%s", log->directory);
    memcpy(spill.info.name, known->name, sizeof spill.info.name); /* ended: sp_log_topic_take looked */
    memcpy(spill.id, known->id, sizeof spill.id);
    for (uint32_t i = 0; !error && i < known->partitions; i++) {
        struct recovery recovery;
        error = recover_partition(supervisor->io, &spill, i, say, &log->said, &recovery);
        if (!error)
            places[i] = recovery.end.next;
    }
    const struct sp_topic_origin origin = {known->id, known->created, places};
    const bool is_bad = error != 0;
    if (!error)
        error = sp_topic_create(supervisor->bus, known->name, &config, &origin);
    if (!error)
        message(false, "topic %s: made on the bus from its log", known->name);
    else
        is_waiting = not_restored(supervisor, log, error, "topic %s is in the log directory and cannot be made on the bus: %s",
                                  known->name, is_bad && error != -EBADMSG ? strerror(-error) : spate_last_error());
    free(places);
    return is_waiting;
}

/* Returns whether it is to be tried again. */
static bool restore(struct supervisor *supervisor, struct unrestored *log)
{
    const char *directory = log->directory;
    struct sp_log_topic known;
    char on_bus[SPATE_TOPIC_NAME_MAX + 8];

    const int error = catalog_load(supervisor->io, directory, &known);
    if (error == -ENOENT || error == -ENOTDIR) /* never finished, or half removed; or no directory at all */
        return false;
    if (error)
        return not_restored(supervisor, log, error, "%s in the log directory: %s", directory,
                            error == -EBADMSG ? spate_last_error() : strerror(-error));
    sp_topic_directory(known.name, on_bus);
    if (strcmp(on_bus, directory) != 0) {
        message(false, "%s/%s calls itself %s: a copy, which is left alone", supervisor->log_dir, directory, known.name);
        return false;
    }
    /* in this order: who deletes a topic leaves the tombstone before the directory goes */
    const bool is_on_bus = faccessat(supervisor->bus->registry.dir_fd, on_bus, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    if (has_tombstone(supervisor, known.id))
        remove_log(supervisor, directory, known.name, known.id);
    else if (!is_on_bus)
        return make_from_log(supervisor, log, &known);
    return false;
}

static int look_at_log(void *context, const char *directory)
{
    struct supervisor *supervisor = context;
    struct unrestored *log = calloc(1, sizeof *log);

    if (!log)
        return -ENOMEM;
    snprintf(log->directory, sizeof log->directory, "%s", directory);
    if (!restore(supervisor, log)) {
        free(log);
        return 0;
    }
    log->next = supervisor->unrestored;
    supervisor->unrestored = log;
    supervisor->restore_at = sp_clock_monotonic() + RETRY_MOST;
    return 0;
}

static void restore_waiting(struct supervisor *supervisor, int64_t now)
{
    if (!supervisor->unrestored || now < supervisor->restore_at)
        return;
    supervisor->restore_at = now + RETRY_MOST;
    for (struct unrestored **at = &supervisor->unrestored; *at;) {
        struct unrestored *log = *at;
        if (restore(supervisor, log)) {
            at = &log->next;
            continue;
        }
        *at = log->next;
        free(log);
    }
}

/* ------------------------------------------------------------------------------------------------------------- looking */

static struct supervised *find(struct supervisor *supervisor, const char *name, const struct stat *status)
{
    for (struct supervised *entry = supervisor->topics; entry; entry = entry->next)
        if (strcmp(entry->name, name) == 0 &&
            (entry->topic || (entry->inode == status->st_ino && entry->changed.tv_sec == status->st_mtim.tv_sec &&
                              entry->changed.tv_nsec == status->st_mtim.tv_nsec)))
            return entry;
    return NULL;
}

static int look_at_name(void *context, const char *name)
{
    struct supervisor *supervisor = context;
    char directory[SPATE_TOPIC_NAME_MAX + 8];
    const int64_t now = sp_clock_monotonic();
    struct stat status;
    int64_t pause = 0;
    int told = 0;

    sp_topic_directory(name, directory);
    if (fstatat(supervisor->bus->registry.dir_fd, directory, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    struct supervised *entry = find(supervisor, name, &status);
    if (entry && (entry->topic || !entry->is_waiting || now < entry->retry_at)) {
        entry->is_seen = true;
        return 0;
    }
    if (entry) { /* it is tried anew; the cleaner may just be looking at the old one, which goes as if it were gone */
        told = entry->told;
        pause = entry->pause;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return 0;
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->inode = status.st_ino;
    entry->changed = status.st_mtim;
    entry->is_seen = true;
    entry->told = told;
    entry->pause = pause;
    put_off(entry, now);
    open_topic(supervisor, entry);
    pthread_mutex_lock(&supervisor->mutex);
    entry->next = supervisor->topics;
    supervisor->topics = entry;
    pthread_mutex_unlock(&supervisor->mutex);
    return 0;
}

/* What is known needs no listing, which may fail: that the workers took the last descriptor has to be told all the same. */
void supervisor_look(struct supervisor *supervisor)
{
    const int64_t now = sp_clock_monotonic();

    for (struct supervised *entry = supervisor->topics; entry; entry = entry->next) {
        entry->is_seen = false;
        if (entry->topic && !entry->is_leaving && !is_deleted(entry))
            open_waiting(supervisor, entry, now);
    }
    restore_waiting(supervisor, now);
    const int error = spate_topic_list(supervisor->bus, look_at_name, supervisor);
    if (error && error != supervisor->told)
        message(true, "new topics are not noticed: %s; this is tried again until it can be", spate_last_error());
    else if (!error && supervisor->told)
        message(false, "new topics are noticed again");
    supervisor->told = error;
    for (struct supervised *entry = supervisor->topics; error && entry; entry = entry->next)
        entry->is_seen = true; /* for all we know */
    look_at_known(supervisor);
}

/* -------------------------------------------------------------------------------------------------- beginning and end */

/* Several threads go to cores of their own, as far from each other as the caches are. */
static void place_threads(struct supervisor *supervisor)
{
    const uint32_t count = supervisor->workers_count;
    hwloc_topology_t topology;
    hwloc_cpuset_t sets[64];

    if (count < 2 || count > 64 || hwloc_topology_init(&topology) < 0)
        return;
    if (hwloc_topology_load(topology) == 0) {
        hwloc_obj_t root = hwloc_get_root_obj(topology);
        if (hwloc_distrib(topology, &root, 1, sets, count, INT32_MAX, 0) == 0) {
            for (uint32_t i = 0; i < count; i++) {
                hwloc_bitmap_singlify(sets[i]);
                (void)hwloc_set_thread_cpubind(topology, supervisor->workers[i].thread, sets[i], 0);
                hwloc_bitmap_free(sets[i]);
            }
        }
    }
    hwloc_topology_destroy(topology);
}

static uint32_t threads_of(const struct config *config)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->log.threads)
        return config->log.threads;
    return processors < 8 ? 1 : processors > 64 ? 8 : (uint32_t)processors / 8;
}

int supervisor_start(struct supervisor *supervisor, struct spate_bus *bus, const struct config *config, const char *log_dir,
                     int log_fd)
{
    const uint32_t count = threads_of(config);

    *supervisor = (struct supervisor){.bus = bus, .config = config, .log_dir = log_dir, .log_fd = log_fd};
    pthread_mutex_init(&supervisor->mutex, NULL);
    int error = io_open_plain(log_fd, -1, false, &supervisor->io);
    supervisor->workers = calloc(count, sizeof *supervisor->workers);
    if (error || !supervisor->workers)
        return sp_fail(-ENOMEM, "no memory");
    for (; !error && supervisor->workers_count < count; supervisor->workers_count += error == 0)
        error = worker_start(&supervisor->workers[supervisor->workers_count], bus, config, log_fd);
    if (error)
        return error;
    place_threads(supervisor);
    error = catalog_list(supervisor->io, look_at_log, supervisor);
    if (error)
        return sp_fail(error, "cannot list %s: %s", log_dir, strerror(-error));
    supervisor_look(supervisor);
    return cleaner_start(&supervisor->cleaner, supervisor);
}

void supervisor_stop(struct supervisor *supervisor)
{
    cleaner_ask_to_stop(&supervisor->cleaner);
    for (uint32_t i = 0; i < supervisor->workers_count; i++)
        worker_ask_to_stop(&supervisor->workers[i]);
    for (uint32_t i = 0; i < supervisor->workers_count; i++)
        worker_stop(&supervisor->workers[i]);
    cleaner_stop(&supervisor->cleaner);
    while (supervisor->unrestored) {
        struct unrestored *log = supervisor->unrestored;
        supervisor->unrestored = log->next;
        supervisor->has_failed = true;
        free(log);
    }
    while (supervisor->topics) {
        struct supervised *entry = supervisor->topics;
        supervisor->topics = entry->next;
        supervisor->has_failed |= !entry->topic && entry->is_waiting;
        if (entry->topic)
            (void)close_topic(supervisor, entry);
        free(entry);
    }
    free(supervisor->workers);
    io_close(supervisor->io);
}
