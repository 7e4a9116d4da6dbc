/* bus.c: opening and closing a bus: which directory, which name, joining.
 *
 * Implements the bus part of spate.h. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "bus/internal.h"
#include "bus/path.h"
#include "shm/descriptor.h"
#include "shm/handle.h"

void spate_bus_options_init(struct spate_bus_options *options)
{
    *options = (struct spate_bus_options){.size = sizeof *options, .participants_max = SP_PARTICIPANTS_DEFAULT};
}

/* A caller compiled against an older, shorter struct keeps the defaults of the fields it does not know. */
static int take_options(const struct spate_bus_options *given, struct spate_bus_options *ret)
{
    spate_bus_options_init(ret);
    if (!given)
        return 0;
    if (given->size < offsetof(struct spate_bus_options, flags) || given->size > sizeof *ret)
        return sp_fail(-EINVAL, "bus options of %zu bytes: set them up with spate_bus_options_init", given->size);
    memcpy(ret, given, given->size);
    if (ret->participants_max < 1 || ret->participants_max > SP_PARTICIPANTS_MAX)
        return sp_fail(-EINVAL, "participants_max is %u, allowed are 1..%u", ret->participants_max, SP_PARTICIPANTS_MAX);
    if (ret->mode & ~0666u)
        return sp_fail(-EINVAL, "mode %o: only read and write bits are allowed, e.g. 0660", ret->mode);
    if (ret->flags & ~(uint32_t)(SPATE_BUS_OPEN_ONLY | SPATE_BUS_OBSERVE | SPATE_BUS_LOG))
        return sp_fail(-EINVAL, "flags %x: see enum spate_bus_flags", ret->flags);
    return 0;
}

int spate_bus_open(const char *name, const struct spate_bus_options *given, spate_bus **ret_bus)
{
    struct spate_bus_options options;
    char path[SP_PATH_SIZE];

    if (!ret_bus)
        return sp_fail(-EINVAL, "ret_bus is NULL");
    int error = take_options(given, &options);
    const bool is_log = !error && options.flags & SPATE_BUS_LOG;
    if (is_log && (!name || snprintf(path, sizeof path, "%s", name) >= (int)sizeof path))
        error = sp_fail(-EINVAL, "SPATE_BUS_LOG takes the path of a log directory as name");
    else if (!error && !is_log)
        error = sp_bus_path(name, options.dir, path);
    if (error)
        return error;
    struct spate_bus *bus = sp_handle_alloc(sizeof *bus);
    if (!bus)
        return -ENOMEM;
    bus->is_log = is_log;
    bus->observe = is_log || options.flags & SPATE_BUS_OBSERVE;
    snprintf(bus->name, sizeof bus->name, "%s",
             options.participant_name ? options.participant_name : program_invocation_short_name);
    struct sp_registry_options registry = {
        .path = path,
        .shared_root = SP_DEFAULT_ROOT,
        .name = bus->name,
        .participants_max = options.participants_max,
        .mode = options.mode,
        .create = !(options.flags & (SPATE_BUS_OPEN_ONLY | SPATE_BUS_OBSERVE)),
        .observe = bus->observe,
    };
    error = is_log ? sp_log_bus_open(&bus->registry, path) : sp_registry_open(&bus->registry, &registry);
    if (error) {
        sp_handle_free(bus, sizeof *bus);
        return error;
    }
    bus->magic = SP_BUS_HANDLE;
    atomic_init(&bus->references, 1);
    *ret_bus = bus;
    return 0;
}

int sp_bus_open_log(const struct spate_bus *bus)
{
    const int fd = sp_open_at(bus->registry.dir_fd, bus->is_log ? "." : SP_LOG_LINK, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        return fd;
    return sp_fail(-errno, "cannot open the log of bus %s: %s%s", bus->registry.path, strerror(errno),
                   errno == ENOENT ? "; has `spated` run, and is its log directory to be seen from here?" : "");
}

void sp_bus_keep(struct spate_bus *bus)
{
    atomic_fetch_add_explicit(&bus->references, 1, memory_order_relaxed); /* relaxed: the caller holds one already */
}

void sp_bus_drop(struct spate_bus *bus)
{
    /* E0 handles: all use of the handle, in any thread, before it is freed */
    if (atomic_fetch_sub_explicit(&bus->references, 1, memory_order_acq_rel) != 1)
        return;
    sp_registry_close(&bus->registry);
    bus->magic = UINT64_MAX;
    sp_handle_free(bus, sizeof *bus);
}

void spate_bus_close(spate_bus *bus)
{
    if (bus && bus->magic == SP_BUS_HANDLE)
        sp_bus_drop(bus);
}

const char *spate_bus_path(const spate_bus *bus)
{
    return bus && bus->magic == SP_BUS_HANDLE ? bus->registry.path : "";
}

int64_t sp_deadline(int64_t timeout)
{
    if (timeout < 0)
        return INT64_MAX;
    int64_t now = sp_clock_monotonic();
    return timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}
