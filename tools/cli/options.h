/* options.h: one table per command that is both the parser and the help.
 *
 *     const struct option_spec specs[] = {
 *         {'p', "partition", "PARTITION", "only this partition", set_partition, &consume.partition},
 *         {'e', "exit", NULL, "end when ...", set_switch, &consume.exit_at_end},
 *         {0},
 *     };
 *     int status = options_parse(command, specs, &argc, argv);
 *     if (status != STATUS_GO_ON) return status;
 *
 * getopt_long would parse, but not say what it did not understand well enough to suggest the nearest option, nor print the help from
 * the same table. Values are parsed by the set functions, which are strict: trailing garbage and overflow are refused. Their text is a
 * word of argv, NULL for a switch: it lives as long as the process, so they may keep pointers into it, and change it. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "cli/tool.h"

struct option_spec {
    char letter;                                  /* 0: none */
    const char *name;                             /* without "--"; NULL: none */
    const char *argument;                         /* its name in the help; NULL: a switch */
    const char *help;                             /* may have several lines */
    const char *(*set)(void *target, char *text); /* returns NULL, or why the text is refused */
    void *target;
};

/* options_parse: set the options' targets and leave the arguments in argv[0 .. *argc).
 * Options and arguments may be mixed, "--" ends the options; a command with subcommands stops at the first argument. --help, --bus and
 * --dir are understood by every command.
 * Returns      STATUS_GO_ON, or an exit status after the help or a message */
int options_parse(const struct command *command, const struct option_spec *specs, int *argc, char **argv);

/* options_mistake: a message about the command line on standard error, with where the help is. Returns STATUS_USAGE. */
int options_mistake(const struct command *command, const char *text, ...) __attribute__((format(printf, 2, 3)));

/* options_nearest: the candidate that `typed` was probably meant to be, or NULL.
 *   get        the index-th candidate, NULL at the end */
const char *options_nearest(const char *typed, const char *(*get)(const void *context, int index), const void *context);

/* help_print: the command's help on standard output, from its tables. */
void help_print(const struct command *command, const struct option_spec *specs, const struct option_spec *common);

/* command_name: the last word of its path. */
const char *command_name(const struct command *command);

#endif
