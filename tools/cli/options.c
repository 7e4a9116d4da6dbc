/* options.c: the command-line parser: walks argv, finds each option in the command's table, calls its set function.
 *
 * Owns nothing. --bus and --dir are the environment variables SPATE_BUS and SPATE_DIR given on the command line, and that is how they
 * are handed on: the library looks there. Called once by each command, and by tool_dispatch for what stands before the subcommand. */
#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *set_environment(void *target, char *text)
{
    if (text[0] == '\0')
        return "a name is expected";
    return setenv(target, text, 1) == 0 ? NULL : "it cannot be kept in the environment";
}

static char bus_variable[] = "SPATE_BUS", dir_variable[] = "SPATE_DIR";

static const struct option_spec common_specs[] = {
    {'b', "bus", "NAME", "the bus, or its path; otherwise $SPATE_BUS, then \"default\"", set_environment, bus_variable},
    {0, "dir", "PATH", "the directory of buses; otherwise $SPATE_DIR, then /dev/shm/spate", set_environment, dir_variable},
    {'h', "help", NULL, "this text", NULL, NULL},
    {0},
};

struct parser {
    const struct command *command;
    const struct option_spec *specs;
    char **argv;
    int argc, next; /* next: index of the first word not looked at */
    bool help;
};

static bool is_end(const struct option_spec *spec)
{
    return spec->letter == 0 && spec->name == NULL;
}

int options_mistake(const struct command *command, const char *text, ...)
{
    va_list arguments;
    va_start(arguments, text);
    fprintf(stderr, "%s: ", command->path);
    vfprintf(stderr, text, arguments);
    fprintf(stderr, "\nTry `%s --help`.\n", command->path);
    va_end(arguments);
    return STATUS_USAGE;
}

/* --------------------------------------------------------------------------------------------------- the nearest name */

enum { WORD_MAX = 32 };

/* distance: edits (a letter added, dropped, changed, or two neighbours swapped) that turn one word into the other. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t a_size = strlen(a), b_size = strlen(b);
    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        const size_t *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_size % 3][b_size];
}

const char *options_nearest(const char *typed, const char *(*get)(const void *context, int index), const void *context)
{
    const char *nearest = NULL, *candidate;
    size_t nearest_distance = 1 + strlen(typed) / 3; /* a short word tolerates one slip, a long one a few */
    for (int i = 0; (candidate = get(context, i)) != NULL; i++) {
        size_t edits = strncmp(candidate, typed, strlen(typed)) == 0 ? 1 : distance(typed, candidate);
        if (edits <= nearest_distance && (nearest == NULL || edits < nearest_distance)) {
            nearest = candidate;
            nearest_distance = edits;
        }
    }
    return typed[0] != '\0' ? nearest : NULL;
}

/* option_name: the index-th long name, the command's own first, then the common ones. */
static const char *option_name(const void *context, int index)
{
    const struct parser *parser = context;
    for (int table = 0; table < 2; table++)
        for (const struct option_spec *spec = table == 0 ? parser->specs : common_specs; !is_end(spec); spec++)
            if (spec->name != NULL && index-- == 0)
                return spec->name;
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------- one option */

static const struct option_spec *find(const struct parser *parser, char letter, const char *name, size_t name_size)
{
    for (int table = 0; table < 2; table++)
        for (const struct option_spec *spec = table == 0 ? parser->specs : common_specs; !is_end(spec); spec++)
            if (name == NULL ? spec->letter == letter
                             : spec->name != NULL && strlen(spec->name) == name_size && memcmp(spec->name, name, name_size) == 0)
                return spec;
    return NULL;
}

/* apply: `typed` is the option as the user wrote it, for messages; `attached` its value when that was in the same word. */
static int apply(struct parser *parser, const struct option_spec *spec, const char *typed, char *attached)
{
    char *text = attached;
    if (spec->argument != NULL && text == NULL) {
        if (parser->next == parser->argc)
            return options_mistake(parser->command, "%s needs a value: %s", typed, spec->argument);
        text = parser->argv[parser->next++];
    }
    if (spec->set == NULL) {
        parser->help = true;
        return STATUS_GO_ON;
    }
    const char *reason = spec->set(spec->target, text);
    if (reason == NULL)
        return STATUS_GO_ON;
    return options_mistake(parser->command, "%s %.60s%s: %s", typed, text != NULL ? text : "",
                           text != NULL && strlen(text) > 60 ? "..." : "", reason);
}

static int take_long(struct parser *parser, char *word)
{
    char *name = word + 2;
    char *value = strchr(name, '=');
    int name_size = value != NULL ? (int)(value - name) : (int)strlen(name);
    const struct option_spec *spec = find(parser, 0, name, (size_t)name_size);
    char typed[64];
    snprintf(typed, sizeof(typed), "--%.*s", name_size, name);
    if (spec == NULL) {
        const char *nearest = options_nearest(typed + 2, option_name, parser);
        return nearest != NULL ? options_mistake(parser->command, "no option %s: did you mean --%s?", typed, nearest)
                               : options_mistake(parser->command, "no option %s", typed);
    }
    if (value != NULL && spec->argument == NULL)
        return options_mistake(parser->command, "%s takes no value", typed);
    return apply(parser, spec, typed, value != NULL ? value + 1 : NULL);
}

/* take_letters: "-e", "-eJ", "-p 0", "-p0". */
static int take_letters(struct parser *parser, char *word)
{
    for (char *letter = word + 1; *letter != '\0'; letter++) {
        const struct option_spec *spec = find(parser, *letter, NULL, 0);
        const char typed[] = {'-', *letter, '\0'};
        if (spec == NULL)
            return options_mistake(parser->command, "no option %s", typed);
        bool attached = spec->argument != NULL && letter[1] != '\0';
        int status = apply(parser, spec, typed, attached ? letter + 1 : NULL);
        if (status != STATUS_GO_ON)
            return status;
        if (spec->argument != NULL)
            break;
    }
    return STATUS_GO_ON;
}

/* ------------------------------------------------------------------------------------------------------- all of them */

static int check_count(const struct command *command, int count, char **arguments)
{
    if (command->subcommands != NULL)
        return STATUS_GO_ON;
    if (count < command->arguments_min)
        return options_mistake(command, "arguments are missing: %s", command->arguments);
    if (count > command->arguments_max)
        return options_mistake(command, "what is '%.60s'? It takes %s", arguments[command->arguments_max],
                               command->arguments[0] != '\0' ? command->arguments : "options only");
    return STATUS_GO_ON;
}

int options_parse(const struct command *command, const struct option_spec *specs, int *argc, char **argv)
{
    struct parser parser = {.command = command, .specs = specs, .argv = argv, .argc = *argc};
    int count = 0;
    int status = STATUS_GO_ON;
    bool options_ended = false;
    while (parser.next < parser.argc && status == STATUS_GO_ON && !parser.help) {
        char *word = argv[parser.next++];
        if (options_ended || word[0] != '-' || word[1] == '\0') { /* a lone "-" is an argument: standard input */
            argv[count++] = word;
            options_ended = options_ended || command->subcommands != NULL;
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
        } else {
            status = word[1] == '-' ? take_long(&parser, word) : take_letters(&parser, word);
        }
    }
    if (parser.help) {
        help_print(command, specs, common_specs);
        return STATUS_OK;
    }
    *argc = count;
    return status != STATUS_GO_ON ? status : check_count(command, count, argv);
}
