/* ck.c: Concurrency Kit's ring as a peer: values in the ring itself, written in place, copied out by its dequeue.
 *
 * Its functions are made for one type, so there is one of each value size. One producer: spsc, more: mpsc, whose commit spins until all
 * earlier ones are done: with two producers on one processor each may wait for the other's next turn, record by record. */
#include <ck_ring.h>
#include <stdio.h>

#include "loop.h"

#define RING ((size_t)8 << 20)

struct value_64 {
    uint64_t words[8];
};
struct value_1024 {
    uint64_t words[128];
};
struct value_16384 {
    uint64_t words[2048];
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
CK_RING_PROTOTYPE(64, value_64)
CK_RING_PROTOTYPE(1024, value_1024)
CK_RING_PROTOTYPE(16384, value_16384)
#pragma GCC diagnostic pop

struct channel {
    _Alignas(4096) ck_ring_t ring;
    _Alignas(4096) unsigned char slots[RING];
};

struct ck_end {
    struct peer_end base;
    struct channel *channel;
    unsigned int ticket;
    bool alone;
};

static size_t memory(const struct peer_spec *spec)
{
    (void)spec;
    return PEER_CHANNELS * sizeof(struct channel);
}

static int prepare(struct peer_run *run)
{
    const uint32_t size = run->spec.value_size;

    if (size != 64 && size != 1024 && size != 16384)
        return PEER_CANNOT;
    for (size_t i = 0; i < PEER_CHANNELS; i++)
        ck_ring_init(&((struct channel *)run->memory)[i].ring, (unsigned int)(RING / size));
    return 0;
}

static int open_ring(struct peer_end *end)
{
    struct ck_end *mine = (struct ck_end *)end;

    mine->channel = (struct channel *)end->run->memory + end->channel;
    mine->alone = end->run->spec.producers == 1;
    return 0;
}

#define RESERVE(size)                                                                                     \
    (mine->alone ? ck_ring_enqueue_reserve_spsc_##size(ring, (struct value_##size *)mine->channel->slots) \
                 : ck_ring_enqueue_reserve_mpsc_##size(ring, (struct value_##size *)mine->channel->slots, &mine->ticket))

PEER_INLINE void *claim(struct peer_end *end)
{
    struct ck_end *mine = (struct ck_end *)end;
    ck_ring_t *ring = &mine->channel->ring;
    void *value = NULL;

    for (;;) {
        switch (end->value_size) {
        case 64: value = RESERVE(64); break;
        case 1024: value = RESERVE(1024); break;
        default: value = RESERVE(16384); break;
        }
        if (value)
            return value;
        peer_wait(end);
    }
}

PEER_INLINE int send_value(struct peer_end *end)
{
    struct ck_end *mine = (struct ck_end *)end;

    if (mine->alone)
        ck_ring_enqueue_commit_spsc(&mine->channel->ring);
    else
        ck_ring_enqueue_commit_mpsc(&mine->channel->ring, mine->ticket);
    return 0;
}

/* One receiver: spsc's and mpsc's dequeue are the same. */
#define DEQUEUE(size) \
    ck_ring_dequeue_spsc_##size(ring, (struct value_##size *)mine->channel->slots, (struct value_##size *)end->value)

PEER_INLINE const void *receive(struct peer_end *end)
{
    struct ck_end *mine = (struct ck_end *)end;
    ck_ring_t *ring = &mine->channel->ring;
    bool there = false;

    for (;;) {
        switch (end->value_size) {
        case 64: there = DEQUEUE(64); break;
        case 1024: there = DEQUEUE(1024); break;
        default: there = DEQUEUE(16384); break;
        }
        if (there)
            return end->value;
        peer_wait(end);
    }
}

static const struct peer_calls calls = {.end_size = sizeof(struct ck_end),
                                        .memory = memory,
                                        .prepare = prepare,
                                        .open = open_ring,
                                        .claim = claim,
                                        .send = send_value,
                                        .receive = receive};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_ck = {.name = "ck_ring",
                             .how = "Concurrency Kit, values in a ring of 8 MiB, spsc (mpsc for two producers), spinning",
                             .producers_max = CREW_MAX,
                             .consumers_max = 1,
                             .work = work,
                             .calls = &calls};
