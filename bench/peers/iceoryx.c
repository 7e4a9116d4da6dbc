/* iceoryx.c: iceoryx (classic) as a peer, through its C binding: chunks loaned, written in place, taken and released.
 *
 * Its daemon RouDi runs beside. The publisher waits for full queues; the subscriber spins. */
#include <errno.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"

struct iceoryx_end {
    struct peer_end base;
    iox_pub_storage_t publisher_memory;
    iox_sub_storage_t subscriber_memory;
    iox_pub_t publisher;
    iox_sub_t subscriber;
    void *chunk;
    const void *taken;
};

static int roudi;

static int start(void)
{
    const char *const arguments[] = {"iox-roudi", "--monitoring-mode", "off", "--log-level", "off", "--kill-delay", "1", NULL};

    roudi = peer_daemon(arguments);
    if (roudi > 0) /* it needs 200 MB of shared memory: without, it ends at once, and who wanted it would wait for a minute */
        usleep(500000);
    if (roudi > 0 && waitpid(roudi, NULL, WNOHANG) == 0)
        return 0;
    roudi = 0;
    return tool_error("iox-roudi does not run here: there is one already, or too little shared memory");
}

static void stop(void)
{
    peer_daemon_end(roudi);
    roudi = 0;
}

static int open_publisher(struct iceoryx_end *mine, const char *instance, const char *event)
{
    iox_pub_options_t options;

    iox_pub_options_init(&options);
    options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    mine->publisher = iox_pub_init(&mine->publisher_memory, "spate-bench", instance, event, &options);
    if (!mine->publisher)
        return tool_error("iceoryx: cannot make a publisher");
    return 0;
}

static int open_subscriber(struct iceoryx_end *mine, const char *instance, const char *event)
{
    iox_sub_options_t options;

    iox_sub_options_init(&options);
    options.queueCapacity = mine->base.value_size > 8192 ? 64 : 256; /* RouDi has 200 chunks of that size */
    options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    mine->subscriber = iox_sub_init(&mine->subscriber_memory, "spate-bench", instance, event, &options);
    if (!mine->subscriber)
        return tool_error("iceoryx: cannot make a subscriber");
    return 0;
}

/* RouDi brings the two together some time after both are there. */
static int meet(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;

    while (mine->publisher && !iox_pub_has_subscribers(mine->publisher))
        usleep(1000);
    while (mine->subscriber && iox_sub_get_subscription_state(mine->subscriber) != SubscribeState_SUBSCRIBED)
        usleep(1000);
    return 0;
}

static int open_end(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;
    static bool is_known;
    char name[64], instance[32];

    if (!is_known) {
        snprintf(name, sizeof name, "spate-bench-%d-%u", (int)getpid(), end->run->number);
        iox_set_loglevel(Iceoryx_LogLevel_Off);
        iox_runtime_init(name);
        is_known = true;
    }
    snprintf(instance, sizeof instance, "%d-%u", (int)getppid(), end->run->number);
    return end->sends ? open_publisher(mine, instance, end->channel ? "back" : "there")
                      : open_subscriber(mine, instance, end->channel ? "back" : "there");
}

static void *claim(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;
    enum iox_AllocationResult result;

    while ((result = iox_pub_loan_aligned_chunk(mine->publisher, &mine->chunk, end->value_size, 8)) != AllocationResult_SUCCESS) {
        if (result != AllocationResult_RUNNING_OUT_OF_CHUNKS) {
            tool_error("iceoryx: cannot loan a chunk (%u)", (unsigned)result);
            return NULL;
        }
        peer_wait(end);
    }
    return mine->chunk;
}

static int send_value(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;

    iox_pub_publish_chunk(mine->publisher, mine->chunk);
    return 0;
}

static const void *receive(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;
    enum iox_ChunkReceiveResult result;

    while ((result = iox_sub_take_chunk(mine->subscriber, &mine->taken)) != ChunkReceiveResult_SUCCESS) {
        if (result != ChunkReceiveResult_NO_CHUNK_AVAILABLE) {
            tool_error("iceoryx: cannot take a chunk (%u)", (unsigned)result);
            return NULL;
        }
        peer_wait(end);
    }
    return mine->taken;
}

static int release(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;

    iox_sub_release_chunk(mine->subscriber, mine->taken);
    return 0;
}

static void close_end(struct peer_end *end)
{
    struct iceoryx_end *mine = (struct iceoryx_end *)end;

    if (mine->publisher)
        iox_pub_deinit(mine->publisher);
    if (mine->subscriber)
        iox_sub_deinit(mine->subscriber);
}

static const struct peer_calls calls = {.end_size = sizeof(struct iceoryx_end),
                                        .open = open_end,
                                        .meet = meet,
                                        .claim = claim,
                                        .send = send_value,
                                        .receive = receive,
                                        .release = release,
                                        .close = close_end};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    /* A process tells RouDi that it is gone only on its way through exit; RouDi gives up at its own end over one that did not. What the
     * parent had not printed yet is the parent's. */
    const int status = peer_work(&calls, run, index);
    __fpurge(stdout);
    exit(status);
}

const struct peer peer_iceoryx = {
    .name = "iceoryx",
    .how = "classic, RouDi with its default memory; queues of 256 (16 KiB: 64), the publisher waits; spinning",
    .producers_max = CREW_MAX,
    .consumers_max = CREW_MAX,
    .start = start,
    .stop = stop,
    .program = "iox-roudi",
    .work = work,
    .calls = &calls};
