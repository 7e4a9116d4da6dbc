/* peers.c: `spate-bench peers`: the same values, pinned to the same processors, through what one would use instead of Spate.
 *
 * All go through one loop (peers/loop.h), each stands beside the limit that was measured in the same round: R for round trips, L for the
 * rest. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"
#include "commands.h"
#include "peers/peer.h"
#include "rounds.h"
#include "spsc.h"

#define BYTES_MAX ((uint64_t)4 << 30) /* of values in one measurement */
#define WARM_UP_RECORDS 200u
#define GROWTH 4u /* from one warm-up to the next: where many share a processor, few records go fast and more of them do not */

/* Which peers this build has: the weak ones are null where their file was left out. */
extern const struct peer peer_spate, peer_spate_concurrent, peer_pipe, peer_stream, peer_packets, peer_queue;
extern const struct peer peer_ck __attribute__((weak)), peer_zeromq __attribute__((weak)), peer_nng __attribute__((weak)),
    peer_redis __attribute__((weak)), peer_iceoryx __attribute__((weak)), peer_cyclone __attribute__((weak));

static const struct {
    const struct peer *peer;
    const char *name, *packages; /* for people, where it is missing */
} offers[] = {
    {&peer_spate, NULL, NULL},
    {&peer_spate_concurrent, NULL, NULL},
    {&peer_ck, "ck_ring", "libck-dev"},
    {&peer_iceoryx, "iceoryx", "libiceoryx-binding-c-dev, libiceoryx-posh-dev, libiceoryx-hoofs-dev, iceoryx"},
    {&peer_pipe, NULL, NULL},
    {&peer_stream, NULL, NULL},
    {&peer_packets, NULL, NULL},
    {&peer_queue, NULL, NULL},
    {&peer_zeromq, "ZeroMQ", "libzmq3-dev"},
    {&peer_nng, "nng", "libnng-dev"},
    {&peer_cyclone, "Cyclone DDS", "cyclonedds-dev, cyclonedds-tools"},
    {&peer_redis, "Redis streams", "libhiredis-dev, redis-server"},
};
enum { OFFERS = sizeof offers / sizeof offers[0] };

static const struct workload {
    const char *name, *unit, *limit;
    struct peer_spec spec;
} workloads[] = {
    {"round trip 64 B", "ns", "R", {PEER_ROUND_TRIP, 1, 1, 64, 0}},
    {"1 -> 1 64 B", "records/s", "L 64 B", {PEER_FLOW, 1, 1, 64, 0}},
    {"1 -> 1 1 KiB", "records/s", "L 1 KiB", {PEER_FLOW, 1, 1, 1024, 0}},
    {"1 -> 1 16 KiB", "records/s", "L 16 KiB", {PEER_FLOW, 1, 1, 16384, 0}},
    {"2 -> 1 64 B", "records/s", "L 64 B", {PEER_FLOW, 2, 1, 64, 0}},
    {"1 -> 3 64 B", "records/s", "L 64 B", {PEER_FLOW, 1, 3, 64, 0}},
};
enum { WORKLOADS = sizeof workloads / sizeof workloads[0] };

struct peers_case {
    const struct workload *workload; /* NULL: the line, or the yardstick for `value_size` */
    const struct peer *peer;
    uint32_t value_size;
    uint64_t records; /* that take about a slice; 0: not known yet */
    bool cannot;
};

struct peers {
    struct rounds rounds;
    struct peers_case cases[FIGURES_CASES_MAX];
    struct figure figures[FIGURES_CASES_MAX];
    char names[FIGURES_CASES_MAX][64];
    bool started[OFFERS];
    const char *without[OFFERS]; /* why it is not measured */
    uint32_t count;
};

/* ------------------------------------------------------------------------------------------------------------- measure */

static uint64_t records_for(const struct peers_case *each, double rate, double seconds)
{
    const uint64_t bytes = each->peer->bytes_max ? each->peer->bytes_max : BYTES_MAX;
    const uint64_t most = bytes / each->workload->spec.value_size / each->workload->spec.producers;
    const double wanted = rate * seconds / each->workload->spec.producers;

    return wanted < WARM_UP_RECORDS ? WARM_UP_RECORDS : wanted > (double)most ? most : (uint64_t)wanted;
}

/* The first time: larger and larger, until it is known how many take a slice. That is the warm-up, too. */
static int learn(struct peers *peers, struct peers_case *each, const int *cpus)
{
    struct peer_spec spec = each->workload->spec;
    struct peer_result result;

    for (bool known = false; !known;) {
        spec.records = each->records > 0 ? each->records : WARM_UP_RECORDS;
        const int error = peer_measure(each->peer, cpus, &spec, &result);
        if (error)
            return error;
        const uint64_t target = records_for(each, result.rate, peers->rounds.slice);
        known = target <= spec.records * GROWTH;
        each->records = known ? target : spec.records * GROWTH;
    }
    return 0;
}

/* A peer that fails has said why; it is left out, the others go on. */
static int measure_peer(struct peers *peers, struct peers_case *each, double *ret)
{
    struct peer_spec spec = each->workload->spec;
    struct peer_result result;
    int cpus[CREW_MAX];

    if (each->cannot)
        return 0;
    place_spread(peers->rounds.cpus, spec.producers, spec.consumers, cpus);
    int error = each->records == 0 ? learn(peers, each, cpus) : 0;
    spec.records = each->records;
    if (!error)
        error = peer_measure(each->peer, cpus, &spec, &result);
    if (error == -EINTR || tool_stopped())
        return -EINTR;
    each->cannot = error != 0;
    if (error)
        return 0;
    each->records = records_for(each, result.rate, peers->rounds.slice);
    *ret = spec.traffic == PEER_ROUND_TRIP ? result.p50 : result.rate;
    return 0;
}

static int measure(void *context, uint32_t index, struct measured *ret)
{
    struct peers *peers = context;
    struct peers_case *each = &peers->cases[index];

    if (each->peer)
        return measure_peer(peers, each, &ret->value);
    if (each->value_size)
        return spsc_measure_best(peers->rounds.cpus, each->value_size, &ret->value);
    ret->value = peers->rounds.line.p50;
    return 0;
}

/* --------------------------------------------------------------------------------------------------------------- cases */

static void add_limit(struct peers *peers, const char *name, const char *unit, uint32_t value_size)
{
    for (uint32_t i = 0; i < peers->count; i++)
        if (strcmp(peers->figures[i].name, name) == 0)
            return;
    peers->cases[peers->count].value_size = value_size;
    peers->figures[peers->count++] = (struct figure){.name = name, .unit = unit};
}

static void add_case(struct peers *peers, const struct workload *workload, const struct peer *peer)
{
    const uint32_t index = peers->count++;

    peers->cases[index] = (struct peers_case){.workload = workload, .peer = peer};
    snprintf(peers->names[index], sizeof peers->names[index], "%s, %s", workload->name, peer->name);
    peers->figures[index] =
        (struct figure){.name = peers->names[index], .unit = workload->unit, .limit = workload->limit, .note = peer->how};
}

static void add_cases(struct peers *peers)
{
    for (size_t w = 0; w < WORKLOADS; w++) {
        const struct workload *workload = &workloads[w];
        add_limit(peers, workload->limit, workload->unit, workload->spec.traffic == PEER_FLOW ? workload->spec.value_size : 0);
        for (size_t i = 0; i < OFFERS; i++) {
            const struct peer *peer = offers[i].peer;
            if (!peers->without[i] && workload->spec.producers <= peer->producers_max &&
                workload->spec.consumers <= peer->consumers_max)
                add_case(peers, workload, peer);
        }
    }
}

/* --------------------------------------------------------------------------------------------------------- from the start */

static void look_for(struct peers *peers)
{
    for (size_t i = 0; i < OFFERS; i++) {
        if (!offers[i].peer)
            peers->without[i] = "this build was made without it";
        else if (offers[i].peer->program && !peer_can_run(offers[i].peer->program))
            peers->without[i] = "its server is not installed";
    }
}

static void print_configuration(const struct peers *peers)
{
    static const struct column columns[] = {{"peer", "peer", COLUMN_TEXT}, {"measured as", "how", COLUMN_TEXT}};
    json_t *rows = json_array();

    for (size_t i = 0; i < OFFERS; i++) {
        char missing[256];
        json_t *row = json_new();
        snprintf(missing, sizeof missing, "not measured: %s (%s)", peers->without[i] ? peers->without[i] : "",
                 offers[i].packages ? offers[i].packages : "");
        json_set_text(row, "peer", offers[i].peer ? offers[i].peer->name : offers[i].name);
        json_set_text(row, "how", peers->without[i] ? missing : offers[i].peer->how);
        json_array_append_new(rows, row);
    }
    table_print("peers", 0, rows, columns, 2);
    json_decref(rows);
}

static void start_servers(struct peers *peers)
{
    for (size_t i = 0; i < OFFERS; i++) {
        if (peers->without[i] || !offers[i].peer->start)
            continue;
        peers->started[i] = offers[i].peer->start() == 0;
        if (!peers->started[i])
            peers->without[i] = "its server does not start";
    }
}

static void stop_servers(const struct peers *peers)
{
    for (size_t i = 0; i < OFFERS; i++)
        if (peers->started[i] && offers[i].peer->stop)
            offers[i].peer->stop();
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct peers peers;
    struct option_spec specs[ROUNDS_OPTIONS + 1] = {0};

    rounds_options(&peers.rounds, specs);
    int status = options_parse(command, specs, &argc, argv);
    if (status == STATUS_GO_ON)
        status = rounds_start(&peers.rounds);
    if (status != STATUS_GO_ON)
        return status;
    look_for(&peers);
    start_servers(&peers);
    add_cases(&peers);
    if (!peers.rounds.json)
        print_configuration(&peers);
    status = rounds_run(&peers.rounds, "peers", peers.figures, peers.count, measure, &peers, 120);
    stop_servers(&peers);
    return status;
}

const struct command command_peers = {
    .path = "spate-bench peers",
    .arguments = "",
    .summary = "the same through what one would use instead",
    .details =
        "Every peer carries the same values, each written whole and read whole, between the same two processors, in the way\n"
        "its documentation recommends for speed; slow receivers are waited for, nothing is lost. Peers whose package was\n"
        "missing when this was built are named and left out. 2 -> 1 and 1 -> 3 share two processors; every consumer of\n"
        "1 -> 3 gets every record. Servers of peers (Redis, RouDi) are started and ended; round trips are medians.\n"
        "\n"
        "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .run = run,
};
