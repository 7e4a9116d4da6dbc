/* commands.h: the commands of `spate-bench`, one file each.
 *
 * Included by those files and by main.c, which lists them. */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

#include "cli/tool.h"

extern const struct command command_limit, command_throughput, command_latency, command_targets, command_peers, command_scale,
    command_memory, command_report, command_log;

#endif
