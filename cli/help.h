/* The help texts, made from the tables of commands and options. */
#ifndef KVD_CLI_HELP_H
#define KVD_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

void help_overview(FILE *out);
void help_command(FILE *out, const struct command *command);

/* A topic that is not a command: "formats", "exit-codes". False when there is none. */
bool help_topic(FILE *out, const char *topic);

#endif
