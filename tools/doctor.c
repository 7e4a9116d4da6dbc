/* doctor.c: `spate doctor`: what of this machine matters to Spate: what is found, and what to do about it.
 *
 * Owns the list of findings, which the checks (doctor.h) fill through doctor_report. It opens no bus, so it also works where none can be
 * made, which is when it is needed most. */
#include "doctor.h"
#include "commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/parse.h"

static json_t *findings;
static int problems;

static const char *const level_names[] = {"ok", "note", "problem"};

void doctor_report(enum finding_level level, const char *what, const char *advice, const char *found, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, found);
    vsnprintf(text, sizeof(text), found, arguments);
    va_end(arguments);
    problems += level == FINDING_PROBLEM;
    json_t *row = json_new();
    json_set_text(row, "level", level_names[level]);
    json_set_text(row, "what", what);
    json_set_text(row, "found", text);
    json_set_text(row, "advice", advice);
    json_array_append_new(findings, row);
}

char *doctor_read(const char *path, char *text, unsigned size)
{
    text[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return text;
    if (fgets(text, (int)size, file) == NULL)
        text[0] = '\0';
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void show_text(void)
{
    int coloured = output_is_terminal() && getenv("NO_COLOR") == NULL;
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *finding = json_array_get(findings, i);
        const char *level = json_string_value(json_object_get(finding, "level"));
        const char *advice = json_string_value(json_object_get(finding, "advice"));
        const char *colour = !coloured || strcmp(level, "ok") == 0 ? "" : strcmp(level, "note") == 0 ? "\033[33m" : "\033[1;31m";
        output_print("%s%-8s%s%-16s  %s%s%s\n", colour, level, colour[0] != '\0' ? "\033[0m" : "",
                     json_string_value(json_object_get(finding, "what")), json_string_value(json_object_get(finding, "found")),
                     advice != NULL ? " -> " : "", advice != NULL ? advice : "");
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    bool json = false;
    const struct option_spec specs[] = {
        {'J', "json", NULL, "one object with the list of findings", set_switch, &json},
        {0},
    };
    int status = options_parse(command, specs, &argc, argv);
    if (status != STATUS_GO_ON)
        return status;
    findings = json_array();
    doctor_check_root();
    doctor_check_kernel();
    doctor_check_machine();
    if (json) {
        json_t *object = json_new();
        json_set_number(object, "problems", problems);
        json_set(object, "findings", json_incref(findings));
        json_write(object);
    } else {
        show_text();
    }
    json_decref(findings);
    return problems != 0 ? STATUS_FOUND : STATUS_OK;
}

const struct command command_doctor = {
    .path = "spate doctor",
    .arguments = "",
    .summary = "what this machine offers, what stands in the way, what to do",
    .details =
        "Each line: ok, note (works, but could be better) or problem (prevents working); what; what is found -> what to do.\n"
        "\n"
        "Exit status: 0 no problem; 2 usage; 3 something prevents working.\n",
    .run = run,
};
