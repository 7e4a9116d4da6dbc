/* handle.c: handle memory by mmap, since only whole mappings can be wiped on fork.
 *
 * Called by src/bus when handles are opened and closed; never on the hot path. */
#include "shm/handle.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/align.h"

static size_t whole_pages(size_t size)
{
    return sp_align_up(size, (uint64_t)sysconf(_SC_PAGESIZE));
}

void *sp_handle_alloc(size_t size)
{
    void *handle = mmap(NULL, whole_pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (handle == MAP_FAILED) {
        sp_fail(-ENOMEM, "no memory for a handle of %zu bytes", size);
        return NULL;
    }
    /* Kernels before 4.14 do not know it; a child would then not be told, but the lock descriptors are closed there all the
     * same. */
    (void)madvise(handle, whole_pages(size), MADV_WIPEONFORK);
    return handle;
}

void sp_handle_free(void *handle, size_t size)
{
    munmap(handle, whole_pages(size));
}
