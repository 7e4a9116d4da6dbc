/* verify.c: being written.
 * The rules follow. */
#include <errno.h>
#include "bus/internal.h"
#include "base/error.h"

int spate_verify(spate_bus *bus, const char *topic, struct spate_verify_result *ret_result,
                 int (*visit)(void *, const struct spate_violation *), void *context)
{
    (void)bus;
    (void)topic;
    (void)visit;
    (void)context;
    *ret_result = (struct spate_verify_result){0};
    return 0;
}
