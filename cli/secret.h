/* Passwords from people and from scripts; never shown, never on the command line of
 * another process. */
#ifndef KVD_CLI_SECRET_H
#define KVD_CLI_SECRET_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

/* Asks on the terminal, without echo. ERR_INVALID: there is no terminal, or nobody
 * answered. */
int secret_ask(const char *prompt, struct arena *arena, const char **out,
               struct err *err);

/* Asks twice; both must be the same. */
int secret_ask_new(const char *name, struct arena *arena, const char **out,
                   struct err *err);

/* A line of stdin. */
int secret_read(struct arena *arena, const char **out, struct err *err);

/* Splits name:password at the first colon; *password is NULL where there is none. */
void secret_split(const char *text, struct arena *arena, const char **name,
                  const char **password);

#endif
