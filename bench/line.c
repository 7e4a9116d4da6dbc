/* line.c: two processes throw one cache line at each other.
 *
 * The line holds the sequence number in its first word and a value in the others, so that reading it takes one transfer and nothing
 * more: no message can be passed faster. Each way has its own line, as in a pair of rings. */
#include "line.h"

#include "base/arch.h"
#include "cli/tool.h"
#include "crew.h"
#include "payload.h"
#include "ticks.h"

#define VALUE_WORDS 7
#define WARM_UP 2000u

struct one_line {
    _Alignas(128) _Atomic uint64_t sequence;
    uint64_t value[VALUE_WORDS];
};

struct shared {
    struct crew crew;
    struct one_line there, back;
    uint32_t rounds;
    uint64_t sums[2];
    struct histogram trips; /* tenths of a ns */
};

static inline void throw_line(struct one_line *line, uint64_t n)
{
    payload_fill(line->value, VALUE_WORDS, n);
    atomic_store_explicit(&line->sequence, n, memory_order_release); /* line: value before sequence */
}

static inline int catch_line(struct shared *shared, struct one_line *line, uint64_t n, uint64_t *sum)
{
    while (atomic_load_explicit(&line->sequence, memory_order_acquire) != n) /* line */
        if (atomic_load_explicit(&shared->crew.stop, memory_order_relaxed))  /* relaxed: a lone flag */
            return -1;
    *sum += payload_sum(line->value, VALUE_WORDS);
    return 0;
}

static int throw_and_catch(void *memory, uint32_t index)
{
    struct shared *shared = memory;
    struct one_line *mine = index ? &shared->back : &shared->there, *theirs = index ? &shared->there : &shared->back;
    uint64_t sum = 0;

    if (crew_meet(&shared->crew, 0))
        return 1;
    for (uint64_t n = 1; n <= shared->rounds + WARM_UP; n++) {
        uint64_t begin = ticks_now();
        if (index == 0)
            throw_line(mine, n);
        if (catch_line(shared, theirs, n, &sum))
            return 1;
        if (index == 1)
            throw_line(mine, n);
        else if (n > WARM_UP)
            histogram_add(&shared->trips, (int64_t)(ticks_to_ns(ticks_now() - begin) * 10));
    }
    shared->sums[index] = sum;
    return 0;
}

int line_measure(const int cpus[2], uint32_t rounds, struct quantiles *ret)
{
    struct shared *shared = crew_allocate(sizeof *shared);
    shared->rounds = rounds;
    int error = crew_run(shared, cpus, 2, throw_and_catch);
    if (!error && shared->sums[0] != shared->sums[1])
        error = tool_error("the two processes did not read the same");
    *ret = quantiles_of(&shared->trips);
    crew_free(shared, sizeof *shared);
    return error;
}
