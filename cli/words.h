/* Which command a command line names. Global options may stand before, between and after
 * the words of the command. */
#ifndef KVD_CLI_WORDS_H
#define KVD_CLI_WORDS_H

#include "cli/command.h"

/* Finds the command and takes its words out of words[0..*n). NULL when the line names
 * none: then *unknown is the word that is wrong, or NULL when there is no word at all. */
const struct command *words_take_command(const char **words, size_t *n,
                                         const char **unknown);

/* "no such command", with a suggestion if one is near. */
enum exit_code words_unknown(const char *const *words, size_t n, const char *unknown,
                             struct err *err);

#endif
