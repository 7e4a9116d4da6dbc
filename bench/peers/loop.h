/* loop.h: the loop that all peers' processes run, compiled into each peer's own file, so that the compiler sees through the calls and no
 * peer pays for being one of many.
 *
 * Values as in payload.h: written whole, read whole, added up. */
#ifndef BENCH_PEERS_LOOP_H
#define BENCH_PEERS_LOOP_H

#include <errno.h>

#include "cli/tool.h"
#include "payload.h"
#include "peer.h"
#include "ticks.h"

#define PEER_WARM_UP 20u /* round trips */
#define PEER_INLINE static inline __attribute__((always_inline))

PEER_INLINE int peer_throw(const struct peer_calls *calls, struct peer_end *end, uint64_t words, uint64_t n)
{
    uint64_t *value = calls->claim(end);
    if (!value)
        return -EIO;
    payload_fill(value, words, n);
    return calls->send(end);
}

PEER_INLINE int peer_catch(const struct peer_calls *calls, struct peer_end *end, uint64_t words, uint64_t *sum)
{
    const uint64_t *value = calls->receive(end);
    if (!value)
        return -EIO;
    *sum += payload_sum(value, words);
    return calls->release ? calls->release(end) : 0;
}

PEER_INLINE int peer_produce(const struct peer_calls *calls, struct peer_end *end, uint64_t words)
{
    const uint64_t records = end->run->spec.records;
    int error = 0;

    end->run->members[end->index].begin = ticks_now();
    for (uint64_t n = 0; n < records && !error; n++)
        error = peer_throw(calls, end, words, n);
    return error || !calls->flush ? error : calls->flush(end);
}

PEER_INLINE int peer_consume(const struct peer_calls *calls, struct peer_end *end, uint64_t words)
{
    const uint64_t records = end->run->spec.records * end->run->spec.producers;
    uint64_t sum = 0;
    int error = 0;

    for (uint64_t n = 0; n < records && !error; n++)
        error = peer_catch(calls, end, words, &sum);
    end->run->members[end->index].end = ticks_now();
    end->run->members[end->index].sum = sum;
    return error;
}

PEER_INLINE int peer_bounce(const struct peer_calls *calls, struct peer_end *out, struct peer_end *in, uint64_t words)
{
    struct peer_run *run = out->run;
    const bool begins = out->index == 0;
    uint64_t sum = 0;
    int error = 0;

    run->members[out->index].begin = ticks_now();
    for (uint64_t n = 1; n <= run->spec.records + PEER_WARM_UP && !error; n++) {
        const uint64_t begin = ticks_now();
        for (int step = 0; step < 2 && !error; step++) {
            if ((step == 0) != begins) {
                error = peer_catch(calls, in, words, &sum);
            } else {
                error = peer_throw(calls, out, words, n);
                if (!error && calls->flush)
                    error = calls->flush(out);
            }
        }
        if (begins && n > PEER_WARM_UP)
            histogram_add(&run->trips, (int64_t)(ticks_to_ns(ticks_now() - begin) * 10));
    }
    run->members[out->index].end = ticks_now();
    run->members[out->index].sum = sum;
    return error;
}

PEER_INLINE int peer_move(const struct peer_calls *calls, struct peer_end *out, struct peer_end *in, uint64_t words)
{
    if (out && in)
        return peer_bounce(calls, out, in, words);
    return out ? peer_produce(calls, out, words) : peer_consume(calls, in, words);
}

PEER_INLINE int peer_open(const struct peer_calls *calls, struct peer_run *run, uint32_t index, bool sends, struct peer_end **ret)
{
    struct peer_end *end = tool_allocate(1, (calls->end_size + 63) / 64 * 64);
    const bool is_back = run->spec.traffic == PEER_ROUND_TRIP && sends == (index == 1);

    *end = (struct peer_end){.run = run, .channel = is_back, .index = index, .sends = sends, .value_size = run->spec.value_size};
    end->value = payload_allocate(1, run->spec.value_size);
    *ret = end;
    return calls->open(end);
}

/* What a peer's `work` is made of. */
PEER_INLINE int peer_work(const struct peer_calls *calls, struct peer_run *run, uint32_t index)
{
    const bool both = run->spec.traffic == PEER_ROUND_TRIP;
    struct peer_end *out = NULL, *in = NULL;
    int error = 0;

    if (both || index < run->spec.producers)
        error = peer_open(calls, run, index, true, &out);
    if (!error && (both || index >= run->spec.producers))
        error = peer_open(calls, run, index, false, &in);
    if (!error && out && calls->meet)
        error = calls->meet(out);
    if (!error && in && calls->meet)
        error = calls->meet(in);
    if (!error && crew_meet(&run->crew, 0))
        return 1;
    if (!error)
        error = run->spec.value_size == 64 ? peer_move(calls, out, in, 8) : peer_move(calls, out, in, run->spec.value_size / 8);
    /* Who closes at once might take with it what the other has not read yet. */
    if (!error && crew_meet(&run->crew, 1))
        return 1;
    if (error)
        atomic_store(&run->crew.stop, 1);
    if (out && calls->close)
        calls->close(out);
    if (in && calls->close)
        calls->close(in);
    return error ? 1 : 0;
}

#endif
