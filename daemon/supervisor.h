/* supervisor.h: which topics have logs, and who writes them.
 *
 * Looks at the bus now and then for durable topics that came or went, recovers their logs, hands their partitions to workers, and
 * takes back
 * what was deleted. When it starts, topics that are in the log directory and not on the bus are made there anew: after a reboot the
 * memory is
 * gone, and the log is all there is. One thread, the daemon's first. */
#ifndef SPATED_SUPERVISOR_H
#define SPATED_SUPERVISOR_H

#include "worker.h"

struct supervised; /* a topic */

struct supervisor {
    struct spate_bus *bus;
    const struct config *config;
    const char *log_dir; /* for messages */
    int log_fd;
    struct io *io; /* for what is synchronous */
    struct worker *workers;
    uint32_t workers_count;
    struct supervised *topics;
    bool has_failed; /* some partition did */
};

/* supervisor_start: threads, then what the log directory holds. Returns 0, -errno with a text. */
int supervisor_start(struct supervisor *supervisor, struct spate_bus *bus, const struct config *config, const char *log_dir,
                     int log_fd);

/* supervisor_look: one look at the bus. */
void supervisor_look(struct supervisor *supervisor);

/* supervisor_stop: everything is written and flushed when it returns. */
void supervisor_stop(struct supervisor *supervisor);

#endif
