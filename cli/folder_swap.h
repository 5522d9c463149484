/* A folder that is replaced as a whole: readers see the old files or the new ones, never
 * a mixture.
 *
 *     DIR            what readers see
 *     .DIR.new       the next one, while it is written; then the old one, until it is
 * gone .DIR.kvctl     says that DIR is ours to replace, and what it holds
 *
 * Programs that have DIR as their working directory, or open files in it, keep what they
 * have. */
#ifndef KVD_CLI_FOLDER_SWAP_H
#define KVD_CLI_FOLDER_SWAP_H

#include <stdbool.h>

#include "base/err.h"

struct folder_swap {
    char *folder; /* without trailing slashes */
    char *next;   /* where the next one is to be written */
    char *mark;
};

/* ERR_INVALID: the folder is there, holds files and is not marked, unless adopt.
 * Leftovers of an earlier run are removed. */
int folder_swap_open(struct folder_swap *swap, const char *folder, bool adopt,
                     struct err *err);
void folder_swap_close(struct folder_swap *swap);

/* Is there a folder that an earlier run completed? */
bool folder_swap_has_last(const struct folder_swap *swap);

/* Puts what is in `next` in place. note: a line for people, what it is. ERR_IO. */
int folder_swap_commit(struct folder_swap *swap, const char *note, struct err *err);

#endif
