/* zeromq.c: ZeroMQ as a peer: PUSH and PULL over ipc; XPUB that drops nothing and SUB where several receive all.
 *
 * Its sockets block, for its own thread needs the processor to spin on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "loop.h"

struct zeromq_end {
    struct peer_end base;
    void *context, *socket;
    zmq_msg_t message;
    bool is_broadcast;
};

static int failed(const char *doing)
{
    tool_error("ZeroMQ: %s: %s", doing, zmq_strerror(zmq_errno()));
    return -EIO;
}

/* XPUB has to know all its subscribers, whose subscriptions reach it as messages. PUSH and PULL find each other with the first message,
 * which may take until the next attempt to connect: it is an empty one. */
static int meet(struct peer_end *end)
{
    const struct zeromq_end *mine = (const struct zeromq_end *)end;
    const struct peer_spec *spec = &end->run->spec;
    char message[8];

    if (!mine->is_broadcast && end->sends)
        return zmq_send(mine->socket, NULL, 0, 0) < 0 ? failed("cannot say hello") : 0;
    const uint32_t hellos = !mine->is_broadcast ? spec->producers : end->sends ? spec->consumers : 0;
    for (uint32_t i = 0; i < hellos; i++)
        if (zmq_recv(mine->socket, message, sizeof message, 0) < 0)
            return failed("nobody came");
    return 0;
}

/* Who is alone binds: the receiver of many senders, the sender to many receivers. */
static int open_socket(struct peer_end *end)
{
    struct zeromq_end *mine = (struct zeromq_end *)end;
    const struct peer_spec *spec = &end->run->spec;
    const int all = 1;
    char address[128];

    mine->is_broadcast = spec->consumers > 1;
    const bool binds = end->sends == mine->is_broadcast;
    const int type = mine->is_broadcast ? (end->sends ? ZMQ_XPUB : ZMQ_SUB) : end->sends ? ZMQ_PUSH : ZMQ_PULL;
    mine->context = zmq_ctx_new();
    mine->socket = mine->context ? zmq_socket(mine->context, type) : NULL;
    if (!mine->socket)
        return failed("cannot make a socket");
    if ((type == ZMQ_XPUB && zmq_setsockopt(mine->socket, ZMQ_XPUB_NODROP, &all, sizeof all) < 0) ||
        (type == ZMQ_XPUB && zmq_setsockopt(mine->socket, ZMQ_XPUB_VERBOSE, &all, sizeof all) < 0) ||
        (type == ZMQ_SUB && zmq_setsockopt(mine->socket, ZMQ_SUBSCRIBE, "", 0) < 0))
        return failed("cannot set an option");
    snprintf(address, sizeof address, "ipc://%s/%u", end->run->folder, end->channel);
    if ((binds ? zmq_bind : zmq_connect)(mine->socket, address) < 0)
        return failed(address);
    zmq_msg_init(&mine->message);
    return 0;
}

static void *claim(struct peer_end *end)
{
    struct zeromq_end *mine = (struct zeromq_end *)end;

    if (zmq_msg_init_size(&mine->message, end->value_size) < 0) {
        failed("no memory for a message");
        return NULL;
    }
    return zmq_msg_data(&mine->message);
}

static int send_value(struct peer_end *end)
{
    struct zeromq_end *mine = (struct zeromq_end *)end;

    return zmq_msg_send(&mine->message, mine->socket, 0) < 0 ? failed("cannot send") : 0;
}

static const void *receive(struct peer_end *end)
{
    struct zeromq_end *mine = (struct zeromq_end *)end;

    if (zmq_msg_recv(&mine->message, mine->socket, 0) < 0 || zmq_msg_size(&mine->message) != end->value_size) {
        failed("cannot receive");
        return NULL;
    }
    return zmq_msg_data(&mine->message); /* until the next one is received */
}

static void close_socket(struct peer_end *end)
{
    struct zeromq_end *mine = (struct zeromq_end *)end;

    zmq_close(mine->socket);
    zmq_ctx_term(mine->context);
}

static const struct peer_calls calls = {.end_size = sizeof(struct zeromq_end),
                                        .open = open_socket,
                                        .meet = meet,
                                        .claim = claim,
                                        .send = send_value,
                                        .receive = receive,
                                        .close = close_socket};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_zeromq = {.name = "ZeroMQ",
                                 .how = "ipc, PUSH and PULL, high-water mark 1000; broadcast: XPUB (no drop) and SUB; blocking",
                                 .producers_max = CREW_MAX,
                                 .consumers_max = CREW_MAX,
                                 .work = work,
                                 .calls = &calls};
