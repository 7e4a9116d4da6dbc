/* descriptors.c: a pipe and Unix sockets, the kernel's own ways, as peers.
 *
 * Both sides spin on non-blocking descriptors; the receiver takes as much as there is with each call. Buffers of 1 MiB. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

#define BUFFER ((size_t)1 << 20)
#define TAKEN_AT_ONCE ((size_t)64 << 10)

struct descriptor_end {
    struct peer_end base;
    int fd;
    unsigned char *taken; /* at least one value, and as many as fit */
    size_t taken_max, first, last;
};

static int open_end(struct peer_end *end)
{
    struct descriptor_end *mine = (struct descriptor_end *)end;

    mine->fd = end->run->fds[end->channel][end->sends];
    mine->taken_max = TAKEN_AT_ONCE > end->value_size ? TAKEN_AT_ONCE : end->value_size;
    mine->taken = tool_allocate(1, mine->taken_max);
    return 0;
}

static void *claim_own(struct peer_end *end)
{
    return end->value;
}

PEER_INLINE int write_value(struct peer_end *end)
{
    const struct descriptor_end *mine = (const struct descriptor_end *)end;
    const unsigned char *from = (const unsigned char *)end->value;

    for (size_t left = end->value_size; left > 0;) {
        const ssize_t done = write(mine->fd, from, left);
        if (done > 0) {
            from += done;
            left -= (size_t)done;
        } else if (errno == EAGAIN) {
            peer_wait(end);
        } else {
            return peer_failed("a descriptor", "cannot write");
        }
    }
    return 0;
}

PEER_INLINE const void *read_value(struct peer_end *end)
{
    struct descriptor_end *mine = (struct descriptor_end *)end;

    if (mine->last - mine->first < end->value_size) { /* what is left of a stream comes to the front */
        memmove(mine->taken, mine->taken + mine->first, mine->last - mine->first);
        mine->last -= mine->first;
        mine->first = 0;
    }
    while (mine->last - mine->first < end->value_size) {
        const ssize_t done = read(mine->fd, mine->taken + mine->last, mine->taken_max - mine->last);
        if (done > 0) {
            mine->last += (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            peer_wait(end);
        } else {
            errno = done < 0 ? errno : EPIPE;
            peer_failed("a descriptor", "cannot read");
            return NULL;
        }
    }
    const void *value = mine->taken + mine->first;
    mine->first += end->value_size;
    return value;
}

/* ---------------------------------------------------------------------------------------------------------------- pipe */

static int prepare_pipe(struct peer_run *run)
{
    for (int i = 0; i < PEER_CHANNELS; i++)
        if (pipe2(run->fds[i], O_NONBLOCK | O_CLOEXEC) < 0 || fcntl(run->fds[i][1], F_SETPIPE_SZ, (int)BUFFER) < 0)
            return peer_failed("pipe", "cannot make one");
    return 0;
}

static const struct peer_calls pipe_calls = {.end_size = sizeof(struct descriptor_end),
                                             .prepare = prepare_pipe,
                                             .open = open_end,
                                             .claim = claim_own,
                                             .send = write_value,
                                             .receive = read_value};

static PAYLOAD_CLONES int work_pipe(void *run, uint32_t index)
{
    return peer_work(&pipe_calls, run, index);
}

/* Several may write to one pipe as long as a value is at most PIPE_BUF: then it stays in one piece. */
const struct peer peer_pipe = {.name = "pipe",
                               .how = "1 MiB, non-blocking, spinning; a write per value, reads of up to 64 KiB",
                               .producers_max = CREW_MAX,
                               .consumers_max = 1,
                               .work = work_pipe,
                               .calls = &pipe_calls};

/* ------------------------------------------------------------------------------------------------------------- sockets */

static int prepare_sockets(struct peer_run *run, int type)
{
    const int buffer = (int)BUFFER;

    for (int i = 0; i < PEER_CHANNELS; i++)
        if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, run->fds[i]) < 0 ||
            setsockopt(run->fds[i][1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) < 0)
            return peer_failed("Unix socket", "cannot make a pair");
    return 0;
}

static int prepare_stream(struct peer_run *run)
{
    return prepare_sockets(run, SOCK_STREAM);
}

static const struct peer_calls stream_calls = {.end_size = sizeof(struct descriptor_end),
                                               .prepare = prepare_stream,
                                               .open = open_end,
                                               .claim = claim_own,
                                               .send = write_value,
                                               .receive = read_value};

static PAYLOAD_CLONES int work_stream(void *run, uint32_t index)
{
    return peer_work(&stream_calls, run, index);
}

const struct peer peer_stream = {.name = "Unix socket",
                                 .how = "stream, 1 MiB, non-blocking, spinning; a write per value, reads of up to 64 KiB",
                                 .producers_max = 1,
                                 .consumers_max = 1,
                                 .work = work_stream,
                                 .calls = &stream_calls};

/* A packet per value, so that several may send to one; as many as there are, up to 32, are taken with one call. */

#define PACKETS 32

struct packet_end {
    struct peer_end base;
    int fd, count, next;
    struct mmsghdr packets[PACKETS];
    struct iovec places[PACKETS];
};

static int open_packets(struct peer_end *end)
{
    struct packet_end *mine = (struct packet_end *)end;
    unsigned char *values = tool_allocate(PACKETS, end->value_size);

    mine->fd = end->run->fds[end->channel][end->sends];
    for (size_t i = 0; i < PACKETS; i++) {
        mine->places[i] = (struct iovec){values + i * end->value_size, end->value_size};
        mine->packets[i].msg_hdr = (struct msghdr){.msg_iov = &mine->places[i], .msg_iovlen = 1};
    }
    return 0;
}

static int send_packet(struct peer_end *end)
{
    const struct packet_end *mine = (const struct packet_end *)end;

    while (send(mine->fd, end->value, end->value_size, 0) < 0) {
        if (errno != EAGAIN)
            return peer_failed("Unix socket", "cannot send a packet");
        peer_wait(end);
    }
    return 0;
}

static const void *receive_packet(struct peer_end *end)
{
    struct packet_end *mine = (struct packet_end *)end;

    if (mine->next == mine->count) {
        while ((mine->count = recvmmsg(mine->fd, mine->packets, PACKETS, 0, NULL)) < 0) {
            if (errno != EAGAIN) {
                peer_failed("Unix socket", "cannot receive packets");
                return NULL;
            }
            peer_wait(end);
        }
        mine->next = 0;
    }
    if (mine->count == 0 || mine->packets[mine->next].msg_len != end->value_size) {
        errno = EPIPE;
        peer_failed("Unix socket", "received a packet that is no value");
        return NULL;
    }
    return mine->places[mine->next++].iov_base;
}

static int prepare_packets(struct peer_run *run)
{
    return prepare_sockets(run, SOCK_SEQPACKET);
}

static const struct peer_calls packet_calls = {.end_size = sizeof(struct packet_end),
                                               .prepare = prepare_packets,
                                               .open = open_packets,
                                               .claim = claim_own,
                                               .send = send_packet,
                                               .receive = receive_packet};

static PAYLOAD_CLONES int work_packets(void *run, uint32_t index)
{
    return peer_work(&packet_calls, run, index);
}

const struct peer peer_packets = {.name = "Unix socket packets",
                                  .how = "seqpacket, 1 MiB, non-blocking, spinning; a send per value, recvmmsg of up to 32",
                                  .producers_max = CREW_MAX,
                                  .consumers_max = 1,
                                  .work = work_packets,
                                  .calls = &packet_calls};
