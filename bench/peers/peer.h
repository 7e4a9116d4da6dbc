/* peer.h: what others offer for passing records between processes on one host, behind one set of calls, so that all of them, Spate too,
 * carry the same values under the same loop.
 *
 * One file per peer, which defines a `struct peer`; peers.c lists them. A file is built only where its package is installed. Each peer
 * is used as its documentation recommends for speed, waits for slow receivers, loses nothing, and says in `how` what it was told. */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/histogram.h"
#include "crew.h"
#include "temporary.h"

#define PEER_FOLDER_SIZE 64 /* short: names of Unix sockets in it must not exceed 107 bytes */
#define PEER_CHANNELS 2     /* there and, for round trips, back */
#define PEER_CANNOT 2       /* instead of an error: not with this peer, or not on this machine */

enum peer_traffic { PEER_ROUND_TRIP, PEER_FLOW };

struct peer_spec {
    enum peer_traffic traffic;
    uint32_t producers, consumers; /* 1, 1 for round trips; each consumer gets every record */
    uint32_t value_size;           /* a multiple of 8 */
    uint64_t records;              /* of each producer, or round trips */
};

/* One measurement, in memory that all its processes share. */
struct peer_run {
    struct crew crew;
    struct peer_spec spec;
    char folder[PEER_FOLDER_SIZE];     /* empty, for this measurement, removed after it with all files in it */
    char address[TEMPORARY_PATH_SIZE]; /* where its processes meet, when the peer keeps one */
    uint32_t number;                   /* differs from one measurement to the next, for names */
    bool crowded;                      /* more processes than processors: who waits lets others run */
    int fds[PEER_CHANNELS][2];         /* for peers that are prepared before the processes are started: [0] receives, [1] sends */
    struct {
        _Alignas(128) uint64_t begin, end, sum;
    } members[CREW_MAX];
    struct histogram trips; /* tenths of a ns */
    _Alignas(4096) unsigned char memory[];
};

/* What one process holds of a channel. A peer's own struct begins with it. */
struct peer_end {
    struct peer_run *run;
    uint32_t channel;
    uint32_t index; /* of the process: producers first */
    bool sends;
    uint32_t value_size;
    uint64_t *value; /* memory for one value, for peers that copy */
};

/* Those that may be NULL say so. Errors are negative; the call that found one has said what. */
struct peer_calls {
    size_t end_size;                                /* of the peer's own struct */
    size_t (*memory)(const struct peer_spec *spec); /* bytes after struct peer_run; NULL: none */
    int (*prepare)(struct peer_run *run);           /* before the processes are started: 0, PEER_CANNOT, an error; NULL */
    void (*clean_up)(struct peer_run *run);         /* after they ended, also where prepare failed; NULL */
    int (*open)(struct peer_end *end);              /* in its process; must not wait for others */
    int (*meet)(struct peer_end *end);              /* wait until nothing that is sent will be missed; NULL */
    void *(*claim)(struct peer_end *end);           /* where to write the next value; NULL: it failed */
    int (*send)(struct peer_end *end);              /* what was written; waits for room */
    int (*flush)(struct peer_end *end);             /* all that was sent is on its way; NULL */
    const void *(*receive)(struct peer_end *end);   /* the next value, for which it waits; NULL: it failed */
    int (*release)(struct peer_end *end);           /* that value is not looked at any more; NULL */
    void (*close)(struct peer_end *end);            /* NULL */
};

struct peer {
    const char *name; /* without commas */
    const char *how;  /* it was told to do it */
    uint32_t producers_max, consumers_max;
    uint64_t bytes_max;                     /* of values in one measurement, for those that keep them all; 0: any */
    int (*start)(void);                     /* what runs beside all its measurements; 0, or an error; NULL */
    void (*stop)(void);                     /* NULL */
    const char *program;                    /* that start needs; NULL */
    int (*work)(void *run, uint32_t index); /* one process: peer_work with these calls (loop.h) */
    const struct peer_calls *calls;
};

struct peer_result {
    double rate; /* flow: records per second, of all producers together; round trips: 1 / mean */
    double p50;  /* round trips: ns */
};

/* peer_measure: Returns 0, PEER_CANNOT, or another number after a message. */
int peer_measure(const struct peer *peer, const int *cpus, const struct peer_spec *spec, struct peer_result *ret);

/* peer_failed: say what failed, with errno's text. Returns a negative error. */
int peer_failed(const char *peer, const char *doing);

/* peer_daemon: start a program, which ends with this process, its output thrown away. Returns its id, or -errno after a message.
 * peer_daemon_end: end it and wait. */
int peer_daemon(const char *const *arguments);
void peer_daemon_end(int pid);

/* peer_wait: while spinning. */
void peer_wait(const struct peer_end *end);

/* peer_can_run: there is a program of this name in PATH. */
bool peer_can_run(const char *program);

#endif
