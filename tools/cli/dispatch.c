/* dispatch.c: from the words of a command line to the command that they name, and what every program of ours does first.
 *
 * Called by the main functions. The process ignores SIGPIPE, so that a reader of standard output that went away is an ordinary error of
 * write, which output.c keeps quiet about. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/tool.h"

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
        output_print("%s %s\n", program_invocation_short_name, spate_version());
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

int tool_main(const struct command *command, int argc, char **argv)
{
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    return output_finish(run(command, argc - 1, argv + 1));
}
