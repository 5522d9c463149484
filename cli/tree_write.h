/* Files from a list of paths: what export writes. First every path is checked, then every
 * content goes to a temporary file beside its place, and only when all are complete and
 * on the disk do they get their names. Until then the folder is as it was. */
#ifndef KVD_CLI_TREE_WRITE_H
#define KVD_CLI_TREE_WRITE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "cli/progress.h"

struct tree_writer;

/* Can this path be a file below a folder? Refused: absolute, empty or . or .. components,
 * zero bytes, names that no file system takes. ERR_INVALID says which. */
int tree_path_check(struct slice path, struct err *err);

/* paths[n] in the order of bytes, each one checked here; no path may be another's folder.
 * The folder is made when it is missing. Files that exist are refused unless overwrite.
 */
int tree_writer_open(const char *folder, const struct slice *paths, size_t n,
                     bool overwrite, struct tree_writer **out, struct err *err);

/* The content of paths[i], each once, in any order. */
int tree_writer_add(struct tree_writer *writer, size_t i, struct slice content,
                    struct err *err);

/* Waits for the disk and gives all files their names. progress may be NULL. */
int tree_writer_commit(struct tree_writer *writer, struct progress *progress,
                       struct err *err);

/* Removes what was not committed. */
void tree_writer_close(struct tree_writer *writer);

#endif
