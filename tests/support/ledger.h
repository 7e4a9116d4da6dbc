/* ledger.h: who wrote which record, and what every consumer has to find: the book that the crash tests keep.
 *
 * Each value says who wrote it and as the how-many-eth of its writer, and carries a checksum over all its bytes, so that a torn
 * record is told from a whole one without knowing anything else. The ledger maps offset -> (writer, sequence), from what
 * publishing calls returned and from what the first reader found; whoever reads later must find the same. Offsets are remembered
 * for the last LEDGER_SIZE records: far more than a ring of the tests holds. Plain memory of one process, one thread. */
#ifndef SP_TESTS_SUPPORT_LEDGER_H
#define SP_TESTS_SUPPORT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "spate/spate.h"

#define LEDGER_SIZE 65536u
#define LEDGER_VALUE_MIN 24u

struct ledger_entry {
    int64_t offset;
    uint64_t writer; /* 0: nothing is known; LEDGER_HOLE: an offset without a record */
    uint32_t sequence;
};
#define LEDGER_HOLE UINT64_MAX

struct ledger {
    struct ledger_entry entries[LEDGER_SIZE];
};

/* ledger_fill: write a value of `size` bytes, at least LEDGER_VALUE_MIN. */
void ledger_fill(void *value, uint32_t size, uint64_t writer, uint32_t sequence);

/* ledger_read: take a value apart; false when it is torn or foreign. */
bool ledger_read(const void *value, uint32_t size, uint64_t *ret_writer, uint32_t *ret_sequence);

/* ledger_note: what lies at an offset. Returns false when the ledger knows it otherwise. */
bool ledger_note(struct ledger *ledger, int64_t offset, uint64_t writer, uint32_t sequence);

/* ledger_find: what is known of an offset; NULL when nothing is. */
const struct ledger_entry *ledger_find(const struct ledger *ledger, int64_t offset);

/* Durations in ns, for percentiles. */
struct times {
    int64_t *values;
    uint32_t count, capacity;
};
void times_add(struct times *times, int64_t value);
void times_append(struct times *times, const struct times *more);
int64_t times_percentile(struct times *times, uint32_t percent); /* 100: the largest; 0 when there are none */
uint32_t times_above(const struct times *times, int64_t limit);
void times_free(struct times *times);

#endif
