/* supervisor.h: which topics have logs, and who writes them.
 *
 * Looks at the bus now and then for durable topics that came or went, recovers their logs, hands their partitions to workers, and takes
 * back what was deleted. When it starts, topics that are in the log directory and not on the bus are made there anew: after a reboot the
 * memory is gone, and the log is all there is. One thread, the daemon's first. */
#ifndef SPATED_SUPERVISOR_H
#define SPATED_SUPERVISOR_H

#include "cleaner.h"
#include "worker.h"

/* A topic of the bus. Made, opened and closed by the supervisor. */
struct supervised {
    struct supervised *next;
    char name[SPATE_TOPIC_NAME_MAX + 1];
    ino_t inode; /* of its directory on the bus: another topic of that name has another */
    struct timespec changed;
    struct spate_topic *topic; /* NULL: it is not durable, or was refused, or could not be opened */
    struct spill_topic spill;
    struct partition *partitions;
    uint32_t count;
    bool is_leaving, is_seen;
    bool is_waiting;  /* it, or one of its partitions, could not be opened, and is tried again */
    int64_t retry_at; /* monotonic; and how long it is waited after that */
    int64_t pause;
    int told;              /* the error that was told of last */
    bool is_being_cleaned; /* under the mutex: the cleaner is at work here, so it stays */
};

struct supervisor {
    struct spate_bus *bus;
    const struct config *config;
    const char *log_dir; /* for messages */
    int log_fd;
    struct io *io; /* for what is synchronous */
    struct worker *workers;
    uint32_t workers_count;
    pthread_mutex_t mutex; /* of the list of topics, between us and the cleaner */
    struct supervised *topics;
    bool has_failed;               /* some partition did */
    struct unrestored *unrestored; /* logs whose topics could not be made on the bus, and are tried again */
    int64_t restore_at;            /* monotonic */
    int told;                      /* the error of listing the bus that was told of */
    struct cleaner cleaner;
};

/* supervisor_start: threads, then what the log directory holds. Returns 0, -errno with a text. */
int supervisor_start(struct supervisor *supervisor, struct spate_bus *bus, const struct config *config, const char *log_dir,
                     int log_fd);

/* supervisor_look: one look at the bus. */
void supervisor_look(struct supervisor *supervisor);

/* supervisor_stop: everything is written and flushed when it returns. */
void supervisor_stop(struct supervisor *supervisor);

#endif
