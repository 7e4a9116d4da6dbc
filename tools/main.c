/* main.c: `spate`, the command-line tool: the table of commands and the way to them.
 *
 * A new command is a file that defines a `struct command`, its declaration in tool.h and a line in the table below. The process ignores
 * SIGPIPE, so that a reader of standard output that went away is an ordinary error of write, which output.c keeps quiet about. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "output.h"
#include "tool.h"

static const struct command *const commands[] = {
    &command_topic,  &command_produce, &command_consume, &command_stat, &command_dump,
    &command_verify, &command_gc,      &command_doctor,  &command_demo, NULL,
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
        "  3    done, but: consume lost records, verify found violations, doctor found something that prevents working\n"
        "  130  produce was ended by SIGINT (143: SIGTERM) before the end of its input; what it had read is published\n"
        "Other commands are ended by these signals as any program is, which the bus does not mind at any instruction.\n",
    .subcommands = commands,
};

const char *command_name(const struct command *command)
{
    const char *space = strrchr(command->path, ' ');
    return space != NULL ? space + 1 : command->path;
}

static const char *subcommand_name(const void *context, int index)
{
    const struct command *command = ((const struct command *const *)context)[index];
    return command != NULL ? command_name(command) : NULL;
}

static const struct command *find_subcommand(const struct command *command, const char *name)
{
    for (const struct command *const *each = command->subcommands; *each != NULL; each++)
        if (strcmp(command_name(*each), name) == 0)
            return *each;
    return NULL;
}

static int run(const struct command *command, int argc, char **argv)
{
    return command->run != NULL ? command->run(command, argc, argv) : tool_dispatch(command, argc, argv);
}

static const char *set_version(void *target, char *text)
{
    (void)text;
    *(bool *)target = true;
    return NULL;
}

int tool_dispatch(const struct command *command, int argc, char **argv)
{
    bool version = false;
    const struct option_spec specs[] = {
        {'V', "version", NULL, "the version of the library in use", set_version, &version},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    if (version) {
        output_print("spate %s\n", spate_version());
        return STATUS_OK;
    }
    if (argc == 0)
        return options_mistake(command, "a command is missing");
    char help[] = "--help", *help_words[] = {help};
    bool wants_help = strcmp(argv[0], "help") == 0; /* `spate help consume` is `spate consume --help` */
    if (wants_help && argc == 1)
        return run(command, 1, help_words);
    const char *name = argv[wants_help ? 1 : 0];
    const struct command *chosen = find_subcommand(command, name);
    if (chosen != NULL)
        return wants_help ? run(chosen, 1, help_words) : run(chosen, argc - 1, argv + 1);
    const char *nearest = options_nearest(name, subcommand_name, command->subcommands);
    return nearest != NULL ? options_mistake(command, "no command '%s': did you mean '%s'?", name, nearest)
                           : options_mistake(command, "no command '%s'", name);
}

/* A standard descriptor that is closed would be given to the next file that is opened. It gets /dev/null, opened the wrong way round,
 * so that using it still fails. */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            abort();
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    return output_finish(tool_dispatch(&command_spate, argc - 1, argv + 1));
}
