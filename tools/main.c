/* main.c: `spate`, the command-line tool: the table of its commands.
 *
 * A new command is a file that defines a `struct command`, its declaration in commands.h and a line in the table below. */
#include "cli/tool.h"
#include "commands.h"

static const struct command *const commands[] = {
    &command_topic, &command_produce, &command_consume, &command_stat, &command_dump, &command_verify,
    &command_log,   &command_gc,      &command_doctor,  &command_demo, NULL,
};

static const struct command command_spate = {
    .path = "spate",
    .arguments = "COMMAND ...",
    .summary = "publish, subscribe and look inside a Spate bus",
    .details =
        "`spate COMMAND --help` explains each. In two shell lines:\n"
        "  spate topic create prices && echo 42 | spate produce prices\n"
        "  spate consume prices -c 1\n"
        "\n"
        "Exit status:\n"
        "  0    done. Also when consume or stat --watch was ended by SIGINT or SIGTERM, or its reader went away (| head -1)\n"
        "  1    it could not be done; standard error says why and what to do\n"
        "  2    the command line is wrong; no topic and no record was touched\n"
        "  3    done, but: consume lost records, verify found violations, a log that stat looked at has failed or is full, log "
        "repair has\n"
        "       something to do or could not, doctor found something that prevents working\n"
        "  130  produce was ended by SIGINT (143: SIGTERM) before the end of its input; what it had read is published\n"
        "Other commands are ended by these signals as any program is, which the bus does not mind at any instruction.\n",
    .subcommands = commands,
};

int main(int argc, char **argv)
{
    return tool_main(&command_spate, argc, argv);
}
