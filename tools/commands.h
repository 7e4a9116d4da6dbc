/* commands.h: the commands of `spate`, a file each.
 *
 * Included by those files and by main.c, which lists them. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli/tool.h"

extern const struct command command_topic, command_produce, command_consume, command_stat, command_dump, command_verify, command_gc,
    command_doctor, command_demo, command_log;
extern const struct command command_dump_log; /* of command_log */

#endif
