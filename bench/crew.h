/* crew.h: processes that are pinned, start together, and share a page.
 *
 * A measurement is a function that runs in each of them; what it finds out it leaves in the shared memory. Children are forked, so that
 * they inherit whatever was prepared, and end with _exit. Called by one thread. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CREW_MAX 256

struct crew { /* at the beginning of the shared memory */
    _Alignas(128) _Atomic uint32_t arrived;
    _Alignas(128) _Atomic uint32_t stop; /* somebody failed, or was interrupted: leave loops that wait for others */
    uint32_t count;
    uint32_t limit; /* seconds that they may take; set before crew_run; 0: any */
};

/* crew_allocate: shared, zeroed memory of which the first part is a struct crew. Huge pages where the system gives them.
 * Where there is no memory the process ends with a message. */
void *crew_allocate(size_t size);
void crew_free(void *shared, size_t size);

/* crew_run: one child per processor named, each calls body(shared, index) and exits with what it returns; waits for all. When one fails
 * the others are ended.
 * Returns 0, or -1 after a message when one failed; -ETIMEDOUT after a message when crew->limit was over; -EINTR when SIGINT or SIGTERM
 * came */
int crew_run(void *shared, const int *cpus, uint32_t count, int (*body)(void *shared, uint32_t index));

/* crew_meet: wait until all of the crew came here, the n-th time (0, 1, ...). Spins. Returns 0, or -1 when the crew stops. */
int crew_meet(struct crew *crew, uint32_t n);

#endif
