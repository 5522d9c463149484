/* A folder as a list of files: what import stores. Paths are relative, with slashes, in
 * the order of bytes, which is the order of keys. Only regular files count; empty folders
 * leave no trace. */
#ifndef KVD_CLI_TREE_H
#define KVD_CLI_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct tree_file {
    const char *path;
    uint64_t size;
};

struct tree {
    struct tree_file *files;
    size_t n;
    uint64_t bytes;     /* of all files */
    int root;           /* private: descriptor of the folder */
    const char *name;   /* private: of the folder, for messages */
    struct arena arena; /* private */
};

/* Lists the folder; nothing is read yet. follow: symbolic links count as what they point
 * to, otherwise they are refused, as are devices, pipes and sockets. ERR_INVALID or
 * ERR_IO with the path. */
int tree_open(struct tree *tree, const char *folder, bool follow, struct err *err);
void tree_close(struct tree *tree);

/* The content of a file. ERR_INVALID when it is not as long as it was when listed. */
int tree_read(const struct tree *tree, const struct tree_file *file, struct arena *arena,
              struct slice *content, struct err *err);

#endif
