/* flow.h: records from producers to consumers through Spate, as fast as they go; what throughput, scale and targets are made of.
 *
 * One process per producer and per consumer, each with a bus handle of its own, as users have. Back-pressured (policy gate), every byte
 * written and read (payload.h). Called by one thread. */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdbool.h>
#include <stdint.h>

enum flow_api {
    FLOW_PUBLISH, /* spate_publish, or spate_publish_batch of `batch` records: values are copied from private memory */
    FLOW_CLAIM,   /* spate_claim (or _batch), values written in place, spate_commit */
};

struct flow_spec {
    uint32_t mode; /* enum spate_mode */
    uint32_t producers, consumers;
    bool
        pairs; /* as many partitions as producers and as consumers, and each has one of its own; else one, and all read everything */
    uint32_t huge_pages; /* enum spate_huge_pages */
    uint32_t node;       /* of NUMA, that the ring is bound to, plus 1; 0: any */
    uint32_t value_size; /* a multiple of 8 */
    uint32_t batch;      /* records per call, 1..64 */
    uint32_t alignment;
    uint32_t wait; /* enum spate_wait_strategy, of both sides */
    uint32_t
        rival; /* every so many records, another producer (of the same process, so that it takes no time) publishes one; 0: never */
    enum flow_api api;
    uint64_t ring;    /* bytes */
    uint64_t records; /* of each producer */
};

struct flow_result {
    double rate;         /* records published per second, by all producers together */
    double cpu;          /* seconds of processor time per million records published, all processes together */
    bool has_huge_pages; /* the producer's mapping has */
    double instructions; /* user-mode instructions per record published, all processes together; 0: not to be had here */
};

/* flow_measure: from cpus[0 .. producers) to cpus[producers .. producers + consumers).
 * Returns 0, or as crew_run */
int flow_measure(const int *cpus, const struct flow_spec *spec, struct flow_result *ret);

/* flow_count: user-mode instructions per record of one producer and one consumer of that kind, which take turns in one process and so never
 * wait; for machines that cannot count (flow_result.instructions is 0). Takes up to a second.
 *   ret    0: there is no way here
 * Returns 0, or an exit status after a message */
int flow_count(const struct flow_spec *spec, double *ret);

#endif
