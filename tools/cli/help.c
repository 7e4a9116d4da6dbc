/* help.c: `--help` of every command, printed from the same tables that parse its options and list its subcommands.
 *
 * Owns nothing; called by options_parse. Help goes to standard output, because it was asked for. */
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "cli/output.h"

enum { OPTION_WIDTH = 30 };

/* print_indented: several lines, each after the first indented by `width`. */
static void print_indented(const char *text, int width)
{
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        output_print("%.*s\n%*s", (int)(end - text), text, width, "");
    output_print("%s\n", text);
}

static void print_option(const struct option_spec *spec)
{
    char left[64];
    int size = spec->letter != 0 ? snprintf(left, sizeof(left), "  -%c%s", spec->letter, spec->name != NULL ? ", " : "")
                                 : snprintf(left, sizeof(left), "      ");
    size += snprintf(left + size, sizeof(left) - (size_t)size, "%s%s%s%s", spec->name != NULL ? "--" : "",
                     spec->name != NULL ? spec->name : "", spec->argument != NULL ? " " : "",
                     spec->argument != NULL ? spec->argument : "");
    if (size < OPTION_WIDTH)
        output_print("%-*s", OPTION_WIDTH, left);
    else
        output_print("%s\n%*s", left, OPTION_WIDTH, "");
    print_indented(spec->help, OPTION_WIDTH);
}

static void print_options(const struct option_spec *specs)
{
    for (; specs->letter != 0 || specs->name != NULL; specs++)
        print_option(specs);
}

void help_print(const struct command *command, const struct option_spec *specs, const struct option_spec *common)
{
    output_print("Usage: %s [OPTION]...%s%s\n%s.\n\n", command->path, command->arguments[0] != '\0' ? " " : "", command->arguments,
                 command->summary);
    if (command->subcommands != NULL) {
        output_print("Commands:\n");
        for (const struct command *const *each = command->subcommands; *each != NULL; each++)
            output_print("  %-10s%s\n", command_name(*each), (*each)->summary);
        output_print("\n");
    }
    output_print("Options:\n");
    print_options(specs);
    print_options(common);
    if (command->details != NULL)
        output_print("\n%s", command->details);
}
