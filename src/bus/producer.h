/* producer.h: a producer as producer.c (publishing) and producer_wait.c (full rings) share it.
 *
 * The first words are the hot ones. Used by one thread. */
#ifndef SP_BUS_PRODUCER_H
#define SP_BUS_PRODUCER_H

#include <fcntl.h>
#include <unistd.h>

#include "bus/internal.h"

struct sp_lane {
    struct sp_writer writer;
    struct sp_attachment *attachment; /* NULL: not attached yet */
    uint64_t line_shape;              /* what sp_record_head gives for records that spate_publish appends itself; NO_SHAPE: none */
    int32_t partition;
    bool deleted;
    int64_t rescued;        /* monotonic time of the last rescue */
    struct sp_blocker gate; /* the consumer that was in the way then, where it stood, */
    uint32_t gate_word;     /* its cursor's state word (0: none yet), */
    int64_t gate_since;     /* and since when it has not moved */
};

struct spate_producer {
    uint64_t magic;
    struct sp_lane *quick; /* where sp_writer_append may be tried; NULL: nowhere, also after fork and while a claim is open */
    struct sp_lane *lanes;
    struct sp_lane *open;                                        /* of the open claim */
    uint32_t *sizes;                                             /* of the records of an open batch */
    enum { SP_OPEN_ONE, SP_OPEN_BATCH, SP_OPEN_LAID } open_kind; /* laid: sp_writer_lay */
    struct sp_lane *learnt;                                      /* what `quick` will be after the open claim */
    uint32_t partitions, unit, timestamp, wait;
    uint64_t payload_max;
    uint32_t sticky, sticky_bytes;
    int64_t last_timestamp;
    struct spate_topic *topic;
    struct sp_lane *blocked; /* of the last -EAGAIN */
    uint64_t blocked_size;
    bool holds_ring; /* mapped when the producer was opened */
    char name[SP_NAME_SIZE];
};

/* sp_producer_rescue: look into why a lane is full: repair the dead, drop dead gates, evict those past their deadline.
 *   now_or_never  look even if it was done less than a millisecond ago
 * Returns whether there is a reason to try again. */
bool sp_producer_rescue(struct spate_producer *producer, struct sp_lane *lane, bool now_or_never);

/* sp_producer_unbias: take away the bias that keeps a lane from claiming. Returns whether to try again at once; if not, the lane's blocker
 * is its owner. */
bool sp_producer_unbias(struct spate_producer *producer, struct sp_lane *lane);

/* sp_producer_wait_until: wait for room on the blocked lane. Returns 0, -ETIMEDOUT, -EINTR. */
int sp_producer_wait_until(struct spate_producer *producer, int64_t deadline);

#endif
