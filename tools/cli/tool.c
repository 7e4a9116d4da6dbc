/* tool.c: failing, opening a bus or a topic, and stopping on a signal, the same way in every command.
 *
 * Owns the flag that a signal sets, and nothing else. Called by every command on the main thread; the signal handler only stores to an
 * atomic. */
#include "cli/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"

static _Atomic int stop_signal;

int tool_error(const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, text, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return STATUS_FAILURE;
}

int tool_failed(int error, const char *doing, ...)
{
    va_list arguments;
    va_start(arguments, doing);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, doing, arguments);
    va_end(arguments);
    const char *sentence = spate_last_error();
    fprintf(stderr, ": %s\n", sentence[0] != '\0' ? sentence : spate_strerror(error));
    return error == -EINVAL ? STATUS_USAGE : STATUS_FAILURE;
}

_Noreturn void tool_out_of_memory(void)
{
    tool_error("out of memory: end other programs or raise this one's limit (ulimit -v, the container's memory)");
    exit(STATUS_FAILURE);
}

void *tool_allocate(size_t count, size_t size)
{
    void *memory = calloc(count != 0 ? count : 1, size);
    if (memory == NULL)
        tool_out_of_memory();
    return memory;
}

int tool_try_open_bus(const struct command *command, enum tool_access access, const char *name, spate_bus **ret_bus)
{
    static const uint32_t flags[] = {
        [TOOL_JOIN] = 0,
        [TOOL_JOIN_EXISTING] = SPATE_BUS_OPEN_ONLY,
        [TOOL_OBSERVE] = SPATE_BUS_OPEN_ONLY | SPATE_BUS_OBSERVE,
    };
    struct spate_bus_options options;
    spate_bus_options_init(&options);
    options.participant_name = name != NULL ? name : command->path;
    options.flags = flags[access];
    int error = spate_bus_open(NULL, &options, ret_bus);
    if (error == -ENOENT && access == TOOL_OBSERVE) {
        /* There is nothing to observe yet: make it, as every other command would, so that `spate topic list` on a fresh machine
         * shows an empty list and not an error; then look at it from outside. */
        spate_bus *created;
        options.flags = 0;
        error = spate_bus_open(NULL, &options, &created);
        if (error != 0)
            return error;
        spate_bus_close(created);
        options.flags = flags[access];
        error = spate_bus_open(NULL, &options, ret_bus);
    }
    return error;
}

int tool_open_bus(const struct command *command, enum tool_access access, const char *name, spate_bus **ret_bus)
{
    int error = tool_try_open_bus(command, access, name, ret_bus);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot open the bus");
}

int tool_open_log(const char *directory, spate_bus **ret_bus)
{
    struct spate_bus_options options;
    spate_bus_options_init(&options);
    options.flags = SPATE_BUS_LOG;
    int error = spate_bus_open(directory, &options, ret_bus);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot open the log");
}

int tool_no_topic(spate_bus *bus, const char *name, const char *hint)
{
    return tool_error("no topic '%s' on bus %s: create it with `spate topic create %s`%s%s", name, spate_bus_path(bus), name,
                      hint != NULL ? ", " : "", hint != NULL ? hint : "");
}

int tool_open_topic(spate_bus *bus, const char *name, const char *hint, spate_topic **ret_topic)
{
    int error = spate_topic_open(bus, name, ret_topic);
    if (error == -ENOENT)
        return tool_no_topic(bus, name, hint);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot open topic '%s'", name);
}

int tool_open_log_topic(spate_bus *log, const char *directory, const char *name, spate_topic **ret_topic)
{
    int error = spate_topic_open(log, name, ret_topic);
    if (error == -ENOENT)
        return tool_error("no topic '%s' in the log %s: `spate topic list --log %s` shows those there are", name, directory,
                          directory);
    return error == 0 ? STATUS_GO_ON : tool_failed(error, "cannot open topic '%s'", name);
}

static void ask_to_stop(int signal_number)
{
    atomic_store_explicit(&stop_signal, signal_number, memory_order_relaxed); /* relaxed: a lone flag, it orders nothing */
}

void tool_catch_signals(void)
{
    /* No SA_RESTART: a wait must come back. SA_RESETHAND: who is stuck in a write to a pipe nobody reads can still be ended. */
    struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int tool_stopped(void)
{
    return atomic_load_explicit(&stop_signal, memory_order_relaxed); /* relaxed: see ask_to_stop */
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * NS_PER_S + time.tv_nsec;
}

int64_t tool_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t tool_now(void)
{
    return read_clock(CLOCK_REALTIME);
}
