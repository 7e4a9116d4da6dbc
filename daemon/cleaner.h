/* cleaner.h: the thread that deletes and compacts: a look at every partition now and then, beside those who write.
 *
 * It keeps to closed segments, which nobody else writes, and has an io of its own. Of the supervisor it takes one topic at a time, which
 * then stays until it is done with it. */
#ifndef SPATED_CLEANER_H
#define SPATED_CLEANER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "io/io.h"

struct config;
struct supervisor;

struct cleaner {
    struct supervisor *supervisor;
    struct io *io;
    pthread_t thread;
    _Atomic bool must_stop;
    bool is_running;
    _Atomic int64_t retention_interval, scan_interval; /* ns; as configured, and again at a reload */
};

/* cleaner_start: returns 0, -errno with a text. */
int cleaner_start(struct cleaner *cleaner, struct supervisor *supervisor);

/* cleaner_configure: take over what may change while it runs. Called by the supervisor's thread. */
void cleaner_configure(struct cleaner *cleaner, const struct config *config);

/* cleaner_ask_to_stop: between two segments. cleaner_stop: and wait for that. */
void cleaner_ask_to_stop(struct cleaner *cleaner);
void cleaner_stop(struct cleaner *cleaner);

#endif
