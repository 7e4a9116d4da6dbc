/* sidecar.h: a spated of our own beside the measurement, on a bus and a log directory that go when it is over.
 *
 * Called by log.c; one at a time. */
#ifndef BENCH_SIDECAR_H
#define BENCH_SIDECAR_H

#include <sys/types.h>

#include "temporary.h"

struct sidecar {
    pid_t process;
    char bus_path[TEMPORARY_PATH_SIZE];
    char log_path[TEMPORARY_PATH_SIZE];
    spate_bus *bus;
};

/* sidecar_start: a bus, a log directory below `directory`, and the spated that lies beside this program, on processor `cpu` (-1: any).
 * Returns 0, or an exit status after a message */
int sidecar_start(struct sidecar *sidecar, const char *directory, int cpu);

/* sidecar_stop: end it and remove everything. */
void sidecar_stop(struct sidecar *sidecar);

/* sidecar_topic: make a topic and open it; when it is durable, wait until its log is being written. Returns 0, or a status after a
 * message. */
int sidecar_topic(struct sidecar *sidecar, const char *name, const struct spate_topic_config *config, spate_topic **ret_topic);

/* sidecar_seconds: processor time that it has used so far. */
double sidecar_seconds(const struct sidecar *sidecar);

#endif
