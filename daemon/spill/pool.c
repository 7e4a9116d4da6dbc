/* pool.c: see pool.h. The buffer that was given back last is taken first: it is still in the cache.
 * Called by the writers of one thread. */
#include "spill/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/align.h"
#include "layout/log_layout.h"

#define HUGE_PAGE ((size_t)2 << 20)

int spill_pool_open(struct spill_pool *pool, uint32_t count, uint32_t buffer_size)
{
    void *memory;

    *pool = (struct spill_pool){.count = count, .buffer_size = buffer_size};
    const size_t size = sp_align_up((size_t)count * buffer_size, HUGE_PAGE);
    if (posix_memalign(&memory, HUGE_PAGE, size) != 0)
        return -ENOMEM;
    (void)madvise(memory, size, MADV_HUGEPAGE); /* fewer pages for the kernel to look at; a hint */
    pool->memory = memory;
    pool->free = calloc(count, sizeof *pool->free);
    if (!pool->free) {
        free(memory);
        return -ENOMEM;
    }
    memset(memory, 0, (size_t)count * buffer_size); /* all of it now: no page faults later */
    void *zeros;
    if (posix_memalign(&zeros, SP_LOG_GRAIN, SPILL_ZEROS_SIZE) != 0) {
        spill_pool_close(pool);
        return -ENOMEM;
    }
    pool->zeros = memset(zeros, 0, SPILL_ZEROS_SIZE);
    while (pool->free_count < count)
        spill_pool_give(pool, pool->memory + (size_t)pool->free_count * buffer_size);
    return 0;
}

void spill_pool_close(struct spill_pool *pool)
{
    free(pool->memory);
    free(pool->free);
    free(pool->zeros);
    *pool = (struct spill_pool){0};
}

uint8_t *spill_pool_take(struct spill_pool *pool)
{
    return pool->free_count ? pool->free[--pool->free_count] : NULL;
}

void spill_pool_give(struct spill_pool *pool, uint8_t *buffer)
{
    pool->free[pool->free_count++] = buffer;
}
