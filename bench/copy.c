/* copy.c: memory bandwidth and contended atomics: limits that rings meet, but a ping-pong does not show.
 *
 * Called by limit. */
#include "copy.h"

#include <string.h>

#include "cli/tool.h"
#include "crew.h"
#include "ticks.h"

#define WORK_NS 20e6
#define ADDS 200000u

struct copy {
    struct crew crew;
    size_t size; /* of both blocks together */
    double rate;
    _Alignas(4096) char bytes[];
};

static int copy(void *memory, uint32_t index)
{
    struct copy *shared = memory;
    const size_t half = shared->size / 2;
    uint64_t begin = 0, done = 0;
    (void)index;

    for (int round = -1; done == 0 || ticks_to_ns(ticks_now() - begin) < WORK_NS; round++) {
        if (round == 0) /* the first brought it into the cache */
            begin = ticks_now();
        memcpy(shared->bytes + half, shared->bytes, half);
        __asm__ volatile("" ::: "memory"); /* each of them is made */
        if (round >= 0)
            done += half;
    }
    shared->rate = (double)done * 1e9 / ticks_to_ns(ticks_now() - begin);
    return 0;
}

int copy_measure(int cpu, size_t size, double *ret_rate)
{
    struct copy *shared = crew_allocate(sizeof *shared + size);
    shared->size = size;
    int error = crew_run(shared, &cpu, 1, copy);
    *ret_rate = shared->rate;
    crew_free(shared, sizeof *shared + size);
    return error;
}

struct adders {
    struct crew crew;
    _Alignas(128) _Atomic uint64_t word;
    _Alignas(128) uint64_t begin[CREW_MAX], end[CREW_MAX];
};

static int add(void *memory, uint32_t index)
{
    struct adders *shared = memory;

    if (crew_meet(&shared->crew, 0))
        return 1;
    shared->begin[index] = ticks_now();
    for (uint32_t i = 0; i < ADDS; i++)
        atomic_fetch_add_explicit(&shared->word, 1, memory_order_acq_rel); /* only the price is of interest */
    shared->end[index] = ticks_now();
    return 0;
}

int fetch_add_measure(const int *cpus, unsigned count, double *ret_rate)
{
    struct adders *shared = crew_allocate(sizeof *shared);
    int error = crew_run(shared, cpus, count, add);
    uint64_t begin = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < count; i++) {
        begin = shared->begin[i] < begin ? shared->begin[i] : begin;
        end = shared->end[i] > end ? shared->end[i] : end;
    }
    *ret_rate = (double)ADDS * count * 1e9 / ticks_to_ns(end - begin);
    crew_free(shared, sizeof *shared);
    return error;
}
