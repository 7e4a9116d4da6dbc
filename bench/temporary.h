/* temporary.h: a bus for one measurement, below $SPATE_DIR, else /dev/shm, and its removal.
 *
 * Created by the parent of all who measure; they open it themselves, as users do. */
#ifndef BENCH_TEMPORARY_H
#define BENCH_TEMPORARY_H

#include <spate/spate.h>

#define TEMPORARY_PATH_SIZE 256

/* temporary_create: a bus with the topics named (ended by NULL). `path` receives where it is, "" when there is none.
 * Returns 0, or an exit status after a message */
int temporary_create(char path[TEMPORARY_PATH_SIZE], const char *const *topics, const struct spate_topic_config *config);

/* temporary_create_plain: the same with topics of one partition, without timestamps. */
int temporary_create_plain(char path[TEMPORARY_PATH_SIZE], const char *const *topics, uint32_t mode, uint64_t ring);

void temporary_remove(const char *path, const char *const *topics);

/* temporary_open: one topic of it, through a bus handle of its own. Returns 0, or as spate_topic_open. */
int temporary_open(const char *path, const char *topic, spate_bus **ret_bus, spate_topic **ret_topic);

#endif
