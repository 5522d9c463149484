/* The data directory: LOCK, IDENTITY, PEERS, CURRENT and the state machine's database;
 * the log (vote, log/) is raftlog's. Everything that can be judged is judged before
 * anything is made or changed, so that a wrong --data-dir costs nothing but a sentence.
 */
#ifndef KVD_NODE_DATADIR_H
#define KVD_NODE_DATADIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "node/identity.h"

struct datadir {
    struct env *env;
    char *path;
    char *state_path; /* of the live database, DIR/state-<n>.db */
    struct identity identity;
    struct disk_file *lock; /* private */
};

struct datadir_options {
    struct env *env;
    const char *path;
    uint64_t cluster_id; /* what the member was told it is */
    uint64_t member_id;
    bool may_create; /* the cluster is new: an empty or missing directory is made ready */
};

/* ERR_INVALID for somebody else's directory, ERR_BUSY when it is in use, ERR_VERSION for
 * a newer format, ERR_CORRUPT, ERR_FULL, ERR_IO; each with a sentence. */
int datadir_open(struct datadir *out, const struct datadir_options *options,
                 struct err *err);

/* State machine and log were made and are durable: from now on a missing file is damage.
 */
int datadir_complete(struct datadir *dir, struct err *err);

void datadir_close(struct datadir *dir);

#endif
