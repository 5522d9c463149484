/* Reading of what users give on stdin or as files, whole and byte for byte. */
#ifndef KVD_CLI_INPUT_H
#define KVD_CLI_INPUT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/* Everything that the descriptor gives, into the arena. name is for messages. ERR_IO, or
 * ERR_TOO_BIG over max bytes. */
int input_read(int fd, const char *name, size_t max, struct arena *arena,
               struct slice *out, struct err *err);
int input_read_file(const char *path, size_t max, struct arena *arena, struct slice *out,
                    struct err *err);

/* Asks on the terminal; true when the answer is "yes". Without a terminal: false. */
bool input_confirm(const char *question);

#endif
