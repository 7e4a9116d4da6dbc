/* counter.c: one perf event.
 *
 * Called by the processes of flow.c. */
#include "counter.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int counter_start(void)
{
    struct perf_event_attr event = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof event,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

uint64_t counter_stop(int counter)
{
    uint64_t count = 0;

    if (counter < 0)
        return 0;
    if (read(counter, &count, sizeof count) != (ssize_t)sizeof count)
        count = 0;
    close(counter);
    return count;
}
