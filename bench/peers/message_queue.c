/* message_queue.c: POSIX message queues as a peer.
 *
 * How many messages and how long is limited by the system: what it does not allow is not measured. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loop.h"

struct queue_end {
    struct peer_end base;
    mqd_t queue;
};

static void name_queue(const struct peer_run *run, uint32_t channel, char name[64])
{
    snprintf(name, 64, "/spate-peer-%d-%u-%u", (int)getppid(), run->number, channel);
}

static int open_queue(struct peer_end *end)
{
    struct queue_end *mine = (struct queue_end *)end;

    mine->queue = end->run->fds[end->channel][0];
    return 0;
}

/* Made before the processes are started, and unlinked at once: they inherit it. */
static int prepare(struct peer_run *run)
{
    static const long lengths[] = {1024, 256, 64, 10};
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    (void)setrlimit(RLIMIT_MSGQUEUE, &unlimited); /* as far as it is allowed */
    for (uint32_t channel = 0; channel < PEER_CHANNELS; channel++) {
        char name[64];
        mqd_t queue = -1;
        name_queue(run, channel, name);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0] && queue < 0; i++) {
            struct mq_attr attributes = {.mq_maxmsg = lengths[i], .mq_msgsize = run->spec.value_size};
            queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NONBLOCK, 0600, &attributes);
        }
        if (queue < 0)
            return errno == EINVAL || errno == EMFILE || errno == ENOSYS ? PEER_CANNOT
                                                                         : peer_failed("POSIX queue", "cannot make one");
        (void)mq_unlink(name);
        run->fds[channel][0] = queue;
    }
    return 0;
}

static void *claim_own(struct peer_end *end)
{
    return end->value;
}

static int send_value(struct peer_end *end)
{
    while (mq_send(((struct queue_end *)end)->queue, (const char *)end->value, end->value_size, 0) < 0) {
        if (errno != EAGAIN)
            return peer_failed("POSIX queue", "cannot send");
        peer_wait(end);
    }
    return 0;
}

static const void *receive_value(struct peer_end *end)
{
    while (mq_receive(((struct queue_end *)end)->queue, (char *)end->value, end->value_size, NULL) < 0) {
        if (errno != EAGAIN) {
            peer_failed("POSIX queue", "cannot receive");
            return NULL;
        }
        peer_wait(end);
    }
    return end->value;
}

static const struct peer_calls calls = {.end_size = sizeof(struct queue_end),
                                        .prepare = prepare,
                                        .open = open_queue,
                                        .claim = claim_own,
                                        .send = send_value,
                                        .receive = receive_value};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_queue = {.name = "POSIX queue",
                                .how = "1024 messages where allowed, else fewer; non-blocking, spinning",
                                .producers_max = CREW_MAX,
                                .consumers_max = 1,
                                .work = work,
                                .calls = &calls};
