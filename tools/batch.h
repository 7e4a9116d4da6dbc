/* batch.h: records collected from the input and published together.
 *
 * One claim for many records is what makes `produce` fast. A batch keeps order: records with the same key, and records of the same
 * partition, are published in the order in which they were added. Called by produce.c; one thread. */
#ifndef BATCH_H
#define BATCH_H

#include "cli/tool.h"

enum { BATCH_RECORDS = 1024 };

struct batch {
    spate_producer *producer;
    uint64_t claim_size_max; /* bytes of ring that one claim may take */
    uint32_t partitions;
    bool by_key; /* records go where their keys belong, to several partitions */
    bool quiet;
    uint32_t acks;   /* enum spate_watermark that records have to come to */
    int64_t timeout; /* for room, and for that */
    uint64_t published;
    size_t count;
    struct spate_record records[BATCH_RECORDS], sorted[BATCH_RECORDS];
    int32_t places[BATCH_RECORDS]; /* partition + 1, 0 for "any" */
};

/* batch_publish: publish all records and empty the batch; waits for room.
 * Returns      0, or -EINTR (asked to stop: `published` says how many went out), -ETIMEDOUT, or as spate_publish_batch */
int batch_publish(struct batch *batch);

#endif
