/* spsc.c: the hand-written ring: two index words on lines of their own, each side with a private copy of the other's, both released in
 * batches.
 *
 * One function per value size, so that the compiler knows it. Sizes and batches are what was fastest where it was tried: a batch of 2 KiB,
 * but at most a quarter of the ring. Called by limit, targets and everything that needs L. */
#include "spsc.h"

#include "cli/tool.h"
#include "crew.h"
#include "payload.h"
#include "ticks.h"

struct shared {
    struct crew crew;
    _Alignas(128) _Atomic uint64_t head; /* records written */
    _Alignas(128) _Atomic uint64_t tail; /* records read */
    _Alignas(128) struct spsc_spec spec;
    uint64_t begin, end, sum;
    _Alignas(4096) uint64_t values[];
};

static uint64_t batch_of(const struct spsc_spec *spec)
{
    uint64_t batch = spec->value_size < 2048 ? 2048 / spec->value_size : 1, most = spec->capacity / spec->value_size / 4;
    return batch < most ? batch : most;
}

static inline __attribute__((always_inline)) int write_all(struct shared *shared, uint64_t words)
{
    const uint64_t slots = shared->spec.capacity / (8 * words), mask = slots - 1, batch = batch_of(&shared->spec);
    const uint64_t records = shared->spec.records;
    uint64_t read = 0;

    for (uint64_t n = 0; n < records; n += batch) {
        while (n + batch - read > slots) {
            read = atomic_load_explicit(&shared->tail, memory_order_acquire);   /* spsc: read before overwritten */
            if (atomic_load_explicit(&shared->crew.stop, memory_order_relaxed)) /* relaxed: a lone flag */
                return 1;
        }
        for (uint64_t i = n; i < n + batch; i++)
            payload_fill(shared->values + (i & mask) * words, words, i);
        atomic_store_explicit(&shared->head, n + batch, memory_order_release); /* spsc: written before read */
    }
    return 0;
}

static inline __attribute__((always_inline)) int read_all(struct shared *shared, uint64_t words)
{
    const uint64_t slots = shared->spec.capacity / (8 * words), mask = slots - 1, batch = batch_of(&shared->spec);
    const uint64_t records = shared->spec.records;
    uint64_t written = 0, sum = 0;

    for (uint64_t n = 0; n < records; n += batch) {
        while (written - n < batch) {
            written = atomic_load_explicit(&shared->head, memory_order_acquire); /* spsc: written before read */
            if (atomic_load_explicit(&shared->crew.stop, memory_order_relaxed))  /* relaxed: a lone flag */
                return 1;
        }
        for (uint64_t i = n; i < n + batch; i++)
            sum += payload_sum(shared->values + (i & mask) * words, words);
        atomic_store_explicit(&shared->tail, n + batch, memory_order_release); /* spsc: read before overwritten */
    }
    shared->sum = sum;
    return 0;
}

#define SIZE(words)                                                \
    static PAYLOAD_CLONES int write_##words(struct shared *shared) \
    {                                                              \
        return write_all(shared, words);                           \
    }                                                              \
    static PAYLOAD_CLONES int read_##words(struct shared *shared)  \
    {                                                              \
        return read_all(shared, words);                            \
    }
SIZE(8)
SIZE(128)
SIZE(2048)

static int work(void *memory, uint32_t index)
{
    struct shared *shared = memory;
    int result = 1;

    if (crew_meet(&shared->crew, 0))
        return 1;
    if (index == 0)
        shared->begin = ticks_now();
    switch (shared->spec.value_size) {
    case 64: result = index ? read_8(shared) : write_8(shared); break;
    case 1024: result = index ? read_128(shared) : write_128(shared); break;
    case 16384: result = index ? read_2048(shared) : write_2048(shared); break;
    default: break;
    }
    if (index == 1)
        shared->end = ticks_now();
    return result;
}

int spsc_measure(const int cpus[2], const struct spsc_spec *spec, double *ret_rate)
{
    const size_t size = sizeof(struct shared) + spec->capacity;
    struct shared *shared = crew_allocate(size);

    shared->spec = *spec;
    shared->spec.records -= spec->records % batch_of(spec);
    int error = crew_run(shared, cpus, 2, work);
    if (!error && shared->sum != payload_expected(shared->spec.records, spec->value_size / 8))
        error = tool_error("the yardstick ring delivered something else than was written");
    *ret_rate = (double)shared->spec.records * 1e9 / ticks_to_ns(shared->end - shared->begin);
    crew_free(shared, size);
    return error;
}

int spsc_measure_best(const int cpus[2], uint32_t value_size, double *ret_rate)
{
    static const uint64_t rings[] = {256 << 10, 1 << 20, 8 << 20};

    *ret_rate = 0;
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        double rate;
        const struct spsc_spec spec = {.value_size = value_size, .capacity = rings[i], .records = 400000000 / value_size};
        int error = spsc_measure(cpus, &spec, &rate);
        if (error)
            return error;
        *ret_rate = rate > *ret_rate ? rate : *ret_rate;
    }
    return 0;
}
