/* wakeup.c: futex wake-ups at a fixed rate, with nothing around them. The schedule is that of paced.c, so that the two can be compared.
 *
 * Called by targets. Owns nothing between calls. */
#include "wakeup.h"

#include <errno.h>

#include "base/clock.h"
#include "cli/tool.h"
#include "crew.h"
#include "shm/sleep.h"
#include "ticks.h"

#define PATIENCE (30 * SP_NS_PER_S)

struct shared {
    struct crew crew;
    double rate;
    uint32_t count;
    _Alignas(128) _Atomic uint32_t word; /* how many wake-ups there were */
    _Atomic uint64_t due;
    struct histogram latencies;
};

static int wake(struct shared *shared)
{
    const double interval = ticks_per_second() / shared->rate;
    const uint64_t start = ticks_now() + (uint64_t)(ticks_per_second() / 1000);

    for (uint32_t n = 0; n < shared->count; n++) {
        const uint64_t due = start + (uint64_t)((double)n * interval);
        ticks_wait_until(due);
        atomic_store_explicit(&shared->due, due, memory_order_relaxed);    /* relaxed: the word publishes it */
        atomic_store_explicit(&shared->word, n + 1, memory_order_release); /* wakeup: due before word */
        sp_futex_wake(&shared->word, 1);
    }
    return 0;
}

static int sleep_and_note(struct shared *shared)
{
    for (uint32_t n = 0; n < shared->count; n++) {
        while (atomic_load_explicit(&shared->word, memory_order_acquire) == n) /* wakeup: due before word */
            if (sp_futex_wait(&shared->word, n, PATIENCE) == -ETIMEDOUT)
                return tool_error("nobody woke the sleeper");
        /* relaxed: behind the acquire of the word */
        int64_t late = (int64_t)(ticks_now() - atomic_load_explicit(&shared->due, memory_order_relaxed));
        histogram_add(&shared->latencies, late > 0 ? (int64_t)(ticks_to_ns((uint64_t)late) * 10) : 0);
    }
    return 0;
}

static int work(void *memory, uint32_t index)
{
    struct shared *shared = memory;

    if (crew_meet(&shared->crew, 0))
        return 1;
    return index ? sleep_and_note(shared) : wake(shared);
}

int wakeup_measure(const int cpus[2], double rate, uint32_t count, struct histogram *latencies)
{
    struct shared *shared = crew_allocate(sizeof *shared);

    shared->rate = rate;
    shared->count = count;
    int error = crew_run(shared, cpus, 2, work);
    histogram_merge(latencies, &shared->latencies);
    crew_free(shared, sizeof *shared);
    return error;
}
