/* main.c: `spate-bench`: what this machine can do, and how much of it Spate and others reach. The table of its commands.
 *
 * One question per file. Every figure stands beside the physical limit that was measured in the same round, because a figure alone is
 * mostly about who else used the machine. */
#include "cli/tool.h"
#include "commands.h"

static const struct command *const commands[] = {
    &command_limit, &command_latency, &command_throughput, &command_targets, &command_peers,
    &command_scale, &command_memory,  &command_log,        &command_report,  NULL};

static const struct command command_bench = {
    .path = "spate-bench",
    .arguments = "COMMAND ...",
    .summary = "measure this machine, Spate on it, and others",
    .details = "`spate-bench COMMAND --help` explains each.\n"
               "\n"
               "Exit status: 0 measured; 1 it could not be done; 2 usage.\n",
    .subcommands = commands,
};

int main(int argc, char **argv)
{
    return tool_main(&command_bench, argc, argv);
}
