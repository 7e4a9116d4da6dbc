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

struct supervisor;

struct cleaner {
    struct supervisor *supervisor;
    struct io *io;
    pthread_t thread;
    _Atomic bool must_stop;
    bool is_running;
};

/* cleaner_start: returns 0, -errno with a text. */
int cleaner_start(struct cleaner *cleaner, struct supervisor *supervisor);

/* cleaner_ask_to_stop: between two segments. cleaner_stop: and wait for that. */
void cleaner_ask_to_stop(struct cleaner *cleaner);
void cleaner_stop(struct cleaner *cleaner);

#endif
