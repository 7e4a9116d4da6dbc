/* counters.c: the descriptors of all counters. Ids are for ever; append, never renumber.
 *
 * Each writer has its own words: rings, producer slots and cursor slots, in the enums of ring_layout.h and cursors_layout.h. */
#include "layout/counters.h"

#include "layout/cursors_layout.h"
#include "layout/ring_layout.h"
#include "spate/inspect.h"

#define RING(number, word, text, measure)                            \
    {                                                                \
        number, SPATE_SCOPE_RING, SPATE_COUNTER, word, text, measure \
    }
#define PRODUCER(number, word, text, measure)                            \
    {                                                                    \
        number, SPATE_SCOPE_PRODUCER, SPATE_COUNTER, word, text, measure \
    }
#define CONSUMER(number, word, text, measure)                            \
    {                                                                    \
        number, SPATE_SCOPE_CONSUMER, SPATE_COUNTER, word, text, measure \
    }

const struct sp_counter_descriptor sp_counter_descriptors[] = {
    RING(1, SP_RING_ABORTED, "aborted_by_repair", "offsets"),
    RING(2, SP_RING_REPAIRS, "repairs", "1"),
    RING(3, SP_RING_REPAIR_NS, "repair_time", "ns"),
    {4, SPATE_SCOPE_RING, SPATE_GAUGE, SP_RING_REPAIR_NS_MAX, "repair_time_max", "ns"},
    RING(5, SP_RING_PRODUCERS_DEAD, "producers_died", "1"),
    RING(6, SP_RING_CONSUMERS_DEAD, "consumers_died", "1"),
    RING(7, SP_RING_DAMAGED, "damaged", "1"),
    RING(8, SP_RING_LOG_BYTES, "log_bytes", "bytes"),
    RING(9, SP_RING_LOG_BLOCKS, "log_blocks", "1"),
    RING(10, SP_RING_LOG_FLUSHES, "log_flushes", "1"),
    {11, SPATE_SCOPE_RING, SPATE_GAUGE, SP_RING_LOG_FLUSH_P50, "log_flush_p50", "ns"},
    {12, SPATE_SCOPE_RING, SPATE_GAUGE, SP_RING_LOG_FLUSH_P99, "log_flush_p99", "ns"},
    {13, SPATE_SCOPE_RING, SPATE_GAUGE, SP_RING_LOG_FLUSH_MAX, "log_flush_max", "ns"},
    PRODUCER(32, SP_PRODUCER_RECORDS, "records_published", "records"),
    PRODUCER(33, SP_PRODUCER_BYTES, "bytes_published", "bytes"),
    PRODUCER(34, SP_PRODUCER_ABORTED, "records_aborted", "records"),
    PRODUCER(35, SP_PRODUCER_STALLS, "stalls", "1"),
    PRODUCER(36, SP_PRODUCER_WAKES, "wakes", "1"),
    PRODUCER(37, SP_PRODUCER_CLOCK_BACKWARDS, "clock_backwards", "1"),
    PRODUCER(38, SP_PRODUCER_EVICTIONS, "evictions", "1"),
    CONSUMER(64, SP_CONSUMER_RECORDS, "records_read", "records"),
    CONSUMER(65, SP_CONSUMER_BYTES, "bytes_read", "bytes"),
    CONSUMER(66, SP_CONSUMER_ABORTED, "aborted_skipped", "offsets"),
    CONSUMER(67, SP_CONSUMER_LOST_SKIPPED, "lost_skipped", "offsets"),
    CONSUMER(68, SP_CONSUMER_LOST_EVICTED, "lost_evicted", "offsets"),
    CONSUMER(69, SP_CONSUMER_LOST_DAMAGED, "lost_damaged", "offsets"),
    CONSUMER(70, SP_CONSUMER_SLEEPS, "sleeps", "1"),
    CONSUMER(71, SP_CONSUMER_VERDICTS, "dead_claims_passed", "1"),
};

const size_t sp_counter_descriptors_count = sizeof sp_counter_descriptors / sizeof sp_counter_descriptors[0];

static_assert(sizeof sp_counter_descriptors / sizeof sp_counter_descriptors[0] <= SP_COUNTER_DESCRIPTORS_MAX, "table is full");
