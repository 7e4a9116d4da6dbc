/* ledger.c: values that prove themselves, and the map from offsets to them.
 *
 * A value is: writer (8 bytes), sequence (4), size (4), sum (8), then bytes that follow from writer and sequence. The sum covers
 * all but itself, so any mixture of two values, or of a value and what lay in the ring before, is found. Called by the crash
 * tests and by their victims. */
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

struct value_head {
    uint64_t writer;
    uint32_t sequence, size;
    uint64_t sum;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static uint64_t sum_of(const struct value_head *head, const uint8_t *rest)
{
    uint64_t sum = mix(head->writer ^ mix(head->sequence) ^ (uint64_t)head->size << 32);
    for (uint32_t i = 0; i < head->size - sizeof *head; i++)
        sum = (sum ^ rest[i]) * 0x100000001b3u;
    return mix(sum);
}

void ledger_fill(void *value, uint32_t size, uint64_t writer, uint32_t sequence)
{
    struct value_head head = {writer, sequence, size, 0};
    uint8_t *rest = (uint8_t *)value + sizeof head;
    uint64_t pattern = mix(writer + sequence);

    for (uint32_t i = 0; i < size - sizeof head; i++)
        rest[i] = (uint8_t)(pattern >> (i & 7) * 8) ^ (uint8_t)i;
    head.sum = sum_of(&head, rest);
    memcpy(value, &head, sizeof head);
}

bool ledger_read(const void *value, uint32_t size, uint64_t *ret_writer, uint32_t *ret_sequence)
{
    struct value_head head;

    if (!value || size < sizeof head)
        return false;
    memcpy(&head, value, sizeof head);
    if (head.size != size || head.sum != sum_of(&head, (const uint8_t *)value + sizeof head))
        return false;
    *ret_writer = head.writer;
    *ret_sequence = head.sequence;
    return true;
}

bool ledger_note(struct ledger *ledger, int64_t offset, uint64_t writer, uint32_t sequence)
{
    struct ledger_entry *entry = &ledger->entries[(uint64_t)offset % LEDGER_SIZE];
    if (entry->writer != 0 && entry->offset == offset)
        return entry->writer == writer && entry->sequence == sequence;
    *entry = (struct ledger_entry){offset, writer, sequence};
    return true;
}

const struct ledger_entry *ledger_find(const struct ledger *ledger, int64_t offset)
{
    const struct ledger_entry *entry = &ledger->entries[(uint64_t)offset % LEDGER_SIZE];
    return entry->writer != 0 && entry->offset == offset ? entry : NULL;
}

void times_add(struct times *times, int64_t value)
{
    if (times->count == times->capacity) {
        times->capacity = times->capacity ? 2 * times->capacity : 256;
        times->values = realloc(times->values, times->capacity * sizeof *times->values);
        if (!times->values)
            abort();
    }
    times->values[times->count++] = value;
}

void times_append(struct times *times, const struct times *more)
{
    for (uint32_t i = 0; i < more->count; i++)
        times_add(times, more->values[i]);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t times_percentile(struct times *times, uint32_t percent)
{
    if (times->count == 0)
        return 0;
    qsort(times->values, times->count, sizeof *times->values, compare);
    uint64_t index = (uint64_t)times->count * percent / 100;
    return times->values[index < times->count ? index : times->count - 1];
}

uint32_t times_above(const struct times *times, int64_t limit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < times->count; i++)
        count += times->values[i] > limit;
    return count;
}

void times_free(struct times *times)
{
    free(times->values);
    *times = (struct times){0};
}
