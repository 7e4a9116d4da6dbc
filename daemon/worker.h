/* worker.h: a thread that writes the logs of many partitions.
 *
 * Each worker has an io, a pool of buffers and its partitions; nothing of these is shared, so nothing is locked but the list of what
 * comes and goes, which the supervisor changes. The worker looks at all its partitions, starts what can be started, and waits for what is
 * done.
 *
 * SLEEP. Like a network driver it is woken by the first record and then looks by itself: while anything was written in the last tenth of
 * a second it looks every millisecond at least, and publishing costs producers nothing; only when nothing comes any more does it ask to
 * be woken. Whoever waits for a watermark always wakes it. */
#ifndef SPATED_WORKER_H
#define SPATED_WORKER_H

#include <pthread.h>

#include "bus/internal.h"
#include "config.h"
#include "spill/recover.h"

/* A partition whose log is written. Made and freed by the supervisor, used by its worker in between. */
/* What was said of something that is tried again, by checksum. */
#define SAID_MOST 8u
struct said {
    uint32_t crcs[SAID_MOST];
    uint32_t next;
};

struct partition {
    struct worker *worker;
    struct spate_topic *topic; /* one reference */
    struct sp_attachment *attachment;
    const struct spill_topic *spill;
    uint32_t number;
    struct recovery recovery; /* what the log was like at the beginning */
    struct writer writer;
    struct writer_host host;
    struct partition *next;           /* of the worker's */
    _Atomic uint32_t state;           /* enum partition_state */
    _Atomic bool has_failed, is_gone; /* gone: its topic was deleted */
    _Atomic int open_error;           /* -errno: why its worker could not open it */
    _Atomic uint64_t start;           /* where the cleaner wants the log to begin */
    uint64_t tried;                   /* the cleaner's */
    bool is_waiting;                  /* the supervisor's: it could not be opened, and is tried again */
    int told;                         /* the supervisor's: the error that was told of last; its worker looks */
    struct said said;                 /* the supervisor's: by recovery */
    int64_t due;                      /* when its next step is */
    int64_t active;                   /* when it last had something */
    uint64_t seen;                    /* `gathered` then */
};

enum partition_state { PARTITION_COMING, PARTITION_OPEN, PARTITION_LEAVING, PARTITION_LEFT };

struct worker {
    struct spate_bus *bus;
    const struct config *config;
    int log_fd;
    pthread_t thread;
    pthread_mutex_t mutex;        /* of `arrivals` */
    struct partition *arrivals;   /* to be taken up */
    struct partition *partitions; /* the thread's own */
    uint32_t count;               /* of both, for who chooses a worker */
    struct io *io;
    struct spill_pool pool;
    uint32_t wake_slot;
    int wake_fd;
    _Atomic bool must_stop;
    _Atomic int error; /* why it could not start; 1: starting */
};

/* worker_start: run a thread.
 *   log_fd  the log directory
 * Returns   0, -errno (with a text): no memory, no wake slot, no thread */
int worker_start(struct worker *worker, struct spate_bus *bus, const struct config *config, int log_fd);

/* worker_add: hand a partition over. worker_remove: have it written to its end, or, where it is gone, dropped; done when its state is
 * PARTITION_LEFT. worker_stop: all of them, then the thread ends; waits for it. Called by the supervisor. */
void worker_add(struct worker *worker, struct partition *partition);
void worker_remove(struct partition *partition, bool is_gone);
void worker_stop(struct worker *worker);

/* worker_ask_to_stop: the beginning of worker_stop, so that several stop at once. */
void worker_ask_to_stop(struct worker *worker);

/* message: one line for whoever runs the daemon; defined by main.c. Any thread. */
void message(bool is_error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
