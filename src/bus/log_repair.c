/* log_repair.c: spate_log_repair; see log.h.
 *
 * To come. */
#include <errno.h>

#include "base/error.h"
#include "bus/log_inspect.h"

int spate_log_repair(const char *path, const char *topic, uint32_t flags, struct spate_log_repair_result *ret_result,
                     int (*visit)(void *, const struct spate_log_action *), void *context)
{
    (void)path, (void)topic, (void)flags, (void)ret_result, (void)visit, (void)context;
    return sp_fail(-ENOTSUP, "not yet");
}
