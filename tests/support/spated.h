/* spated.h: the daemon as a child of a test, and the ways in which consumers can come by the same records.
 *
 * On top of proc.h, whose fixture is the test's; the log is kept in its root directory, and whatever still runs is ended by its teardown. A
 * *source* is a topic whose records lie in the ring only, in a closed log only, or in a log that the daemon writes from a ring so small
 * that most of them are found nowhere else. Tests that hold for all of them take one as their state. One thread. */
#ifndef SP_TESTS_SUPPORT_SPATED_H
#define SP_TESTS_SUPPORT_SPATED_H

#include "proc.h"

/* spated_start: start $SPATE_BUILD/bin/spated on the fixture's bus, with a log directory beside it; returns at once. spated_stop: SIGTERM;
 * it has to end in good order. spated_kill: SIGKILL. spated_await: wait until the log of every partition is being written. */
pid_t spated_start(void);
void spated_stop(pid_t pid);
void spated_kill(pid_t pid);
void spated_await(spate_topic *topic);

/* spated_log_dir: where the log is. spated_settle: wait until all that is published there is written, or durable. */
const char *spated_log_dir(void);
void spated_settle(spate_topic *topic, spate_producer *producer, uint32_t watermark);

/* spated_config: of a durable topic with caller's timestamps, and with segments so small that there are several. */
struct spate_topic_config spated_config(uint32_t partitions, uint64_t ring_capacity, uint32_t compression);

struct source_kind {
    const char *name;
    bool is_durable, is_closed; /* closed: the log is read after its daemon has gone (SPATE_BUS_LOG) */
    uint32_t compression, policy;
    uint64_t ring_capacity;
};

#define SOURCE_KINDS 6
extern const struct source_kind source_kinds[SOURCE_KINDS];

struct source {
    const struct source_kind *kind;
    spate_bus *bus, *log_bus;
    spate_topic *written; /* where the producer is */
    spate_topic *topic;   /* where consumers are opened, after source_publish */
    spate_producer *producer;
    pid_t spated;
    uint32_t partitions;
    uint64_t published[8]; /* offsets, of each partition */
};

/* source_open: a topic of that kind. source_publish: publish `count` more offsets of a partition, by the rules of source_record.
 * source_ready: now consumers may be opened; a closed one takes no more. */
void source_open(struct source *source, const struct source_kind *kind, uint32_t partitions, uint64_t ring_capacity_min);
void source_publish(struct source *source, int32_t partition, uint64_t count);
void source_ready(struct source *source);
void source_close(struct source *source);

/* source_consumer: opened on it, from there. */
spate_consumer *source_consumer(const struct source *source, uint32_t start, int64_t value);

/* source_record: what is published at an offset: of all sizes, with and without key and headers, null and empty ones; timestamps ten times
 * the offset. false: nothing, the claim is given up. `value` and `keys` receive what the record points to. source_check: that a record
 * which was read is that one. */
#define SOURCE_VALUE_MAX 3000u
struct source_room {
    uint8_t value[SOURCE_VALUE_MAX];
    char key[32];
    struct spate_header headers[2];
};
bool source_record(int32_t partition, uint64_t offset, struct source_room *room, struct spate_record *ret);
void source_check(const struct spate_record *record);

/* source_next: the first offset from there on that has a record; limit: none does. */
uint64_t source_next(int32_t partition, uint64_t offset, uint64_t limit);

#endif
