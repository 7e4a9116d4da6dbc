/* cyclone.c: Cyclone DDS as a peer: one topic of byte sequences, reliable, keep-all, over the loopback interface.
 *
 * The writer waits for slow readers, the reader spins and takes up to 64 samples by loan. */
#include <dds/dds.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cyclone_value.h"
#include "loop.h"

#define TAKEN 64
#define WAITS_FOR_READERS DDS_SECS(30)

struct cyclone_end {
    struct peer_end base;
    dds_entity_t domain_participant, mine; /* the latter a reader or writer */
    spate_bench_Value value;
    void *taken[TAKEN];
    dds_sample_info_t infos[TAKEN];
    int count, next;
};

static int failed(const char *doing, dds_return_t error)
{
    tool_error("Cyclone DDS: %s: %s", doing, dds_strretcode(-error));
    return -EIO;
}

static int start(void)
{
    /* Only where the user did not configure it: loopback, without multicast, which containers often do not have. */
    return setenv("CYCLONEDDS_URI",
                  "<General><Interfaces><NetworkInterface name='lo' multicast='false'/></Interfaces>"
                  "<AllowMulticast>false</AllowMulticast></General>"
                  "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
                  "<Peers><Peer address='localhost'/></Peers></Discovery>",
                  0);
}

static int open_end(struct peer_end *end)
{
    struct cyclone_end *mine = (struct cyclone_end *)end;
    char name[64];

    snprintf(name, sizeof name, "spate_bench_%d_%u_%u", (int)getppid(), end->run->number, end->channel);
    mine->domain_participant = dds_create_participant(DDS_DOMAIN_DEFAULT, NULL, NULL);
    if (mine->domain_participant < 0)
        return failed("cannot join", mine->domain_participant);
    dds_qos_t *qos = dds_create_qos();
    dds_qset_reliability(qos, DDS_RELIABILITY_RELIABLE, WAITS_FOR_READERS);
    dds_qset_history(qos, DDS_HISTORY_KEEP_ALL, DDS_LENGTH_UNLIMITED);
    dds_qset_resource_limits(qos, 4096, DDS_LENGTH_UNLIMITED, DDS_LENGTH_UNLIMITED);
    const dds_entity_t topic = dds_create_topic(mine->domain_participant, &spate_bench_Value_desc, name, qos, NULL);
    mine->mine = topic < 0    ? topic
                 : end->sends ? dds_create_writer(mine->domain_participant, topic, qos, NULL)
                              : dds_create_reader(mine->domain_participant, topic, qos, NULL);
    dds_delete_qos(qos);
    mine->value = (spate_bench_Value){
        .bytes = {._maximum = end->value_size, ._length = end->value_size, ._buffer = (uint8_t *)end->value, ._release = false}};
    return mine->mine < 0 ? failed("cannot make a reader or writer", mine->mine) : 0;
}

/* Until all writers and readers of the topic have found each other. */
static int meet(struct peer_end *end)
{
    const struct cyclone_end *mine = (const struct cyclone_end *)end;
    const struct peer_spec *spec = &end->run->spec;

    for (;;) {
        uint32_t found = 0;
        if (end->sends) {
            dds_publication_matched_status_t status;
            dds_get_publication_matched_status(mine->mine, &status);
            found = status.current_count;
        } else {
            dds_subscription_matched_status_t status;
            dds_get_subscription_matched_status(mine->mine, &status);
            found = status.current_count;
        }
        if (found >= (end->sends ? spec->consumers : spec->producers))
            return 0;
        usleep(1000);
    }
}

static void *claim(struct peer_end *end)
{
    return end->value;
}

static int send_value(struct peer_end *end)
{
    struct cyclone_end *mine = (struct cyclone_end *)end;

    const dds_return_t error = dds_write(mine->mine, &mine->value);
    return error < 0 ? failed("cannot write", error) : 0;
}

static int give_back(struct cyclone_end *mine)
{
    const dds_return_t error = mine->count > 0 ? dds_return_loan(mine->mine, mine->taken, mine->count) : 0;

    mine->count = mine->next = 0;
    return error < 0 ? failed("cannot give samples back", error) : 0;
}

static const void *receive(struct peer_end *end)
{
    struct cyclone_end *mine = (struct cyclone_end *)end;

    if (mine->next == mine->count) {
        if (give_back(mine) != 0)
            return NULL;
        mine->taken[0] = NULL; /* asks for a loan */
        while ((mine->count = dds_take(mine->mine, mine->taken, mine->infos, TAKEN, TAKEN)) == 0)
            peer_wait(end);
        if (mine->count < 0) {
            failed("cannot take", mine->count);
            mine->count = 0;
            return NULL;
        }
    }
    const spate_bench_Value *value = mine->taken[mine->next];
    if (!mine->infos[mine->next].valid_data || value->bytes._length != end->value_size) {
        tool_error("Cyclone DDS: took a sample that is no value");
        return NULL;
    }
    mine->next++;
    return value->bytes._buffer;
}

static void close_end(struct peer_end *end)
{
    dds_delete(((struct cyclone_end *)end)->domain_participant);
}

static const struct peer_calls calls = {.end_size = sizeof(struct cyclone_end),
                                        .open = open_end,
                                        .meet = meet,
                                        .claim = claim,
                                        .send = send_value,
                                        .receive = receive,
                                        .close = close_end};

static PAYLOAD_CLONES int work(void *run, uint32_t index)
{
    return peer_work(&calls, run, index);
}

const struct peer peer_cyclone = {.name = "Cyclone DDS",
                                  .how = "reliable, keep-all, 4096 samples, UDP over loopback; takes up to 64 by loan, spinning",
                                  .producers_max = CREW_MAX,
                                  .consumers_max = CREW_MAX,
                                  .start = start,
                                  .work = work,
                                  .calls = &calls};
