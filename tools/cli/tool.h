/* tool.h: what every command of `spate` has in common: the command table's entry, exit statuses, failing, opening a bus, stopping.
 *
 * Each command is one file that defines one `struct command` (or one per subcommand); main.c lists them. A command parses its own
 * options with options.h, prints with output.h, table.h and json.h, and uses nothing but the public headers: whatever a tool can do,
 * any program can. (`spate topic create` alone asks the library's own check before it opens a bus, so that a mistake makes none.) One
 * thread; all state here belongs to the process. */
#ifndef TOOL_H
#define TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include <spate/inspect.h>
#include <spate/spate.h>

/* What the shell sees. `spate --help` prints the same list: keep the two together. */
enum status {
    STATUS_GO_ON = -1, /* not an exit status: the options are parsed, the command can run */
    STATUS_OK = 0,
    STATUS_FAILURE = 1, /* it could not be done; standard error says why and what to do */
    STATUS_USAGE = 2,   /* the command line is wrong; no topic and no record was touched */
    /* done, but: consume lost records, verify found violations, a log that stat looked at has failed or is full, log repair has something
     * to do or could not, doctor found something that prevents working */
    STATUS_FOUND = 3,
};

struct command {
    const char *path;      /* as typed: "spate topic create"; its last word is its name */
    const char *arguments; /* what follows the options: "TOPIC [FILE...]", "" for nothing */
    int arguments_min, arguments_max;
    const char *summary; /* one line, for the list of commands */
    const char *details; /* the rest of the help, after the options; NULL for nothing */
    int (*run)(const struct command *command, int argc, char **argv); /* arguments only, no program name; an exit status */
    const struct command *const *subcommands;                         /* instead of run, ended by NULL */
};

/* tool_main: what main() does: make sure of the standard descriptors, run the command that the words name, write out what is printed.
 * Returns the exit status. */
int tool_main(const struct command *command, int argc, char **argv);

/* tool_dispatch: run the subcommand that argv[0] names, or answer --help, --version and mistakes. Returns an exit status. */
int tool_dispatch(const struct command *command, int argc, char **argv);

/* tool_error: the program's name, the text and a newline on standard error. Returns STATUS_FAILURE, so that it can end a function. */
int tool_error(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* tool_failed: the same for a failed library call: what was being done, then the library's sentence, which has the remedy.
 * Returns STATUS_USAGE for -EINVAL (an argument was out of range), STATUS_FAILURE otherwise. */
int tool_failed(int error, const char *doing, ...) __attribute__((format(printf, 2, 3)));

/* tool_out_of_memory: say so and end the process: a command-line tool has nothing better to do. */
_Noreturn void tool_out_of_memory(void);

/* tool_allocate: zeroed memory, or the process ends. */
void *tool_allocate(size_t count, size_t size);

enum tool_access {
    TOOL_JOIN,          /* take part; the bus is created on first use */
    TOOL_JOIN_EXISTING, /* take part in a bus that is there */
    TOOL_OBSERVE, /* look only: no participant slot, nothing written; a bus that is not there is created like by any other command */
};

/* tool_try_open_bus: the bus that --bus, SPATE_BUS, --dir and SPATE_DIR choose.
 *   name       what others see of this process; NULL: the command's path
 * Returns      0 or as spate_bus_open, without a message */
int tool_try_open_bus(const struct command *command, enum tool_access access, const char *name, spate_bus **ret_bus);

/* tool_open_bus: the same. Returns STATUS_GO_ON, or an exit status after a message. */
int tool_open_bus(const struct command *command, enum tool_access access, const char *name, spate_bus **ret_bus);

/* tool_open_log: a log directory in place of a bus. Returns as tool_open_bus. */
int tool_open_log(const char *directory, spate_bus **ret_bus);

/* tool_open_topic: a topic that must exist.
 *   hint       what else the user may do when it does not: "or give --create"; NULL for nothing
 * Returns      STATUS_GO_ON, or an exit status after a message */
int tool_open_topic(spate_bus *bus, const char *name, const char *hint, spate_topic **ret_topic);

/* tool_open_log_topic: the same of a log directory. */
int tool_open_log_topic(spate_bus *log, const char *directory, const char *name, spate_topic **ret_topic);

/* tool_no_topic: the message for a topic that does not exist. Returns STATUS_FAILURE. */
int tool_no_topic(spate_bus *bus, const char *name, const char *hint);

/* tool_catch_signals: from now on the first SIGINT or SIGTERM only asks to stop, so that open handles are closed and what was read is
 * printed; a second one ends the process as usual. Commands that do not call this are ended by the first: nothing they do minds. */
void tool_catch_signals(void);

/* tool_stopped: the signal that asked to stop, or 0. */
int tool_stopped(void);

/* tool_clock: CLOCK_MONOTONIC in ns; tool_now: CLOCK_REALTIME in ns. */
int64_t tool_clock(void);
int64_t tool_now(void);

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

#endif
