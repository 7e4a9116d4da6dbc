/* nng.c: nng as a peer: PUSH and PULL over ipc, messages handed over, not copied.
 *
 * Its PUB drops what a slow subscriber has no room for, so it has no broadcast that loses nothing. */
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>

#include "loop.h"

struct nng_end {
    struct peer_end base;
    nng_socket socket;
    nng_msg *message;
};

static int failed(const char *doing, int error)
{
    tool_error("nng: %s: %s", doing, nng_strerror(error));
    return -EIO;
}

/* The receiver listens, senders dial until it does. */
static int open_socket(struct peer_end *end)
{
    struct nng_end *mine = (struct nng_end *)end;
    char address[128];

    snprintf(address, sizeof address, "ipc://%s/%u", end->run->folder, end->channel);
    int error = end->sends ? nng_push0_open(&mine->socket) : nng_pull0_open(&mine->socket);
    if (!error && end->sends)
        error = nng_socket_set_ms(mine->socket, NNG_OPT_RECONNMINT, 1);
    if (!error)
        error = end->sends ? nng_dial(mine->socket, address, NULL, NNG_FLAG_NONBLOCK) : nng_listen(mine->socket, address, NULL, 0);
    return error ? failed(address, error) : 0;
}

/* The first message of each sender is empty: who has it, is connected. */
static int meet(struct peer_end *end)
{
    struct nng_end *mine = (struct nng_end *)end;
    int error = end->sends ? nng_send(mine->socket, mine, 0, 0) : 0;

    for (uint32_t i = 0; !error && !end->sends && i < end->run->spec.producers; i++) {
        error = nng_recvmsg(mine->socket, &mine->message, 0);
        if (!error)
            nng_msg_free(mine->message);
    }
    return error ? failed("nobody came", error) : 0;
}

static void *claim(struct peer_end *end)
{
    struct nng_end *mine = (struct nng_end *)end;

    int error = nng_msg_alloc(&mine->message, end->value_size);
    if (error) {
        failed("no memory for a message", error);
        return NULL;
    }
    return nng_msg_body(mine->message);
}

static int send_value(struct peer_end *end)
{
    struct nng_end *mine = (struct nng_end *)end;

    int error = nng_sendmsg(mine->socket, mine->message, 0);
    mine->message = NULL;
    return error ? failed("cannot send", error) : 0;
}

static const void *receive(struct peer_end *end)
{
    struct nng_end *mine = (struct nng_end *)end;

    int error = nng_recvmsg(mine->socket, &mine->message, 0);
    if (error || nng_msg_len(mine->message) != end->value_size) {
        failed("cannot receive", error);
        return NULL;
    }
    return nng_msg_body(mine->message);
}

static int release(struct peer_end *end)
{
    nng_msg_free(((struct nng_end *)end)->message);
    return 0;
}

static void close_socket(struct peer_end *end)
{
    nng_close(((struct nng_end *)end)->socket);
}

static const struct peer_calls calls = {.end_size = sizeof(struct nng_end),
                                        .open = open_socket,
                                        .meet = meet,
                                        .claim = claim,
                                        .send = send_value,
                                        .receive = receive,
                                        .release = release,
                                        .close = close_socket};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_nng = {.name = "nng",
                              .how = "ipc, PUSH and PULL, messages handed over; blocking",
                              .producers_max = CREW_MAX,
                              .consumers_max = 1,
                              .work = work,
                              .calls = &calls};
