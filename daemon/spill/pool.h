/* pool.h: buffers that blocks are made in, shared by all partitions of a thread, so that memory is bounded however many there are.
 *
 * Aligned for direct I/O. One thread. */
#ifndef SPATED_POOL_H
#define SPATED_POOL_H

#include <stdint.h>

#define SPILL_ZEROS_SIZE ((uint32_t)1 << 20)

struct spill_pool {
    uint8_t *memory;
    uint8_t **free; /* a stack */
    uint32_t free_count, count;
    uint32_t buffer_size; /* bytes of each */
    uint8_t *zeros;       /* SPILL_ZEROS_SIZE bytes, never written */
};

/* spill_pool_open: count buffers of buffer_size bytes, a multiple of SP_LOG_GRAIN. Returns 0, -ENOMEM. */
int spill_pool_open(struct spill_pool *pool, uint32_t count, uint32_t buffer_size);
void spill_pool_close(struct spill_pool *pool);

/* spill_pool_take: a buffer, or NULL while all are in use. */
uint8_t *spill_pool_take(struct spill_pool *pool);
void spill_pool_give(struct spill_pool *pool, uint8_t *buffer);

#endif
