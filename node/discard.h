/* Databases that are not needed any more: closed and removed on the bulk lane, since to
 * remove a large file takes a while. */
#ifndef KVD_NODE_DISCARD_H
#define KVD_NODE_DISCARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/env.h"
#include "kv/kv.h"

struct discards {
    struct env *env;
    size_t under_way; /* private */
};

void discards_init(struct discards *discards, struct env *env);

/* Closes the state, NULL for one that is not open, then removes its files. What is not
 * removed before a crash is removed at the next start. */
void discard(struct discards *discards, struct kv *kv, const char *path);

bool discards_idle(const struct discards *discards);

/* Removes a database and what SQLite keeps beside it, at once. */
void discard_files(struct disk *disk, const char *path);

#endif
