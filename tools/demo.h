/* demo.h: what the processes of `spate demo` share: the plan, and a page of results in memory that they inherit over fork.
 *
 * demo.c plans, starts, kills and reports; demo_producer.c and demo_consumer.c are the bodies of its children. Each child
 * opens the bus itself, as any other process would. */
#ifndef DEMO_H
#define DEMO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <spate/spate.h>

#include "cli/histogram.h"

#define DEMO_TOPIC "packages"
#define DEMO_PARTITIONS 2
#define DEMO_SOURCES 2 /* producers at a time; each publishes the packages of its own half */
#define DEMO_VICTIM 1  /* the producer that is killed */
#define DEMO_CONSUMERS_MAX 16

struct demo_line { /* one record to be: a line of the data file, keyed by the package it belongs to */
    const char *key, *text;
    uint32_t key_size, text_size;
};

struct demo_plan {
    const char *bus;    /* path of its directory */
    const char *output; /* directory for what the consumers saw */
    struct demo_line *lines[DEMO_SOURCES];
    size_t counts[DEMO_SOURCES];
    size_t paced; /* lines of source 0 published once more, at a fixed rate, to measure latency without a queue */
    uint32_t paced_rate;
    uint32_t consumers;
};

struct demo_consumer_result {
    _Atomic uint64_t records;
    _Atomic uint64_t first_ns, last_ns; /* monotonic: first and last record of the unpaced part */
    _Atomic uint64_t recovered_ns;      /* from the kill to the next record, 0: none yet */
    _Atomic uint64_t holes, duplicates, errors;
    struct histogram busy, paced;
};

struct demo_shared {
    _Atomic uint64_t consumers_ready;
    _Atomic uint64_t killed_ns;  /* monotonic; 0: nobody killed yet */
    _Atomic uint64_t resumed_at; /* the line that the fresh producer went on with */
    _Atomic uint64_t resumed_ns; /* monotonic: its first publish */
    _Atomic bool done;
    struct demo_consumer_result consumers[DEMO_CONSUMERS_MAX];
};

/* Bodies of the children; return an exit status. */
int demo_produce(const struct demo_plan *plan, struct demo_shared *shared, uint32_t source, bool resume);
int demo_produce_paced(const struct demo_plan *plan, struct demo_shared *shared);
int demo_consume(const struct demo_plan *plan, struct demo_shared *shared, uint32_t index);

/* Each record carries the number of its line in a record header of this name (8 bytes, native order); paced ones have none. */
#define DEMO_LINE_HEADER "line"

#endif
