/* The two ways in which `kvctl import` stores a folder; see layout.h. */
#ifndef KVD_CLI_IMPORT_H
#define KVD_CLI_IMPORT_H

#include "cli/layout.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/tree.h"

struct import_options {
    const char *prefix;
    bool follow;
    bool prune;
    bool release;
    const char *release_id; /* NULL: made from the time */
    int64_t keep;           /* releases to keep; 0: all */
};

struct import {
    struct session *session;
    struct client *client;
    const struct import_options *options;
    const struct tree *tree;
    struct layout layout;
};

/* What was done, for the summary. */
struct import_result {
    size_t created;
    size_t changed;
    size_t unchanged;
    size_t deleted;
    size_t stale;         /* keys that are not in the folder and were left */
    size_t releases_gone; /* old releases that were deleted */
    struct slice release; /* prefix of the new release; len 0: plain layout */
    int64_t revision;     /* 0: nothing had to be written */
};

/* The key of a file below base. */
struct slice import_key(struct slice base, const struct tree_file *file,
                        struct arena *arena);

/* Does the folder fit one transaction, with room for extra more operations? */
bool import_fits_txn(const struct tree *tree, struct slice base, size_t extra);

/* One transaction for all changes; files that are there already are left alone. Tried
 * again when others change the keys meanwhile. ERR_TOO_BIG: there are too many changes.
 */
int import_plain(struct import *import, struct import_result *result, struct err *err);

/* A new release, then the switch of the pointer, then what --keep leaves out goes.
 * ERR_EXISTS: another import switched first; the new release is removed again. */
int import_release(struct import *import, struct import_result *result, struct err *err);

#endif
