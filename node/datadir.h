/* The data directory: LOCK, IDENTITY, PEERS, CURRENT and the state machine's database;
 * the log (vote, log/) is raftlog's. Everything that can be judged is judged before
 * anything is made or changed, so that a wrong --data-dir costs nothing but a sentence.
 *
 * The database is state-<n>.db; CURRENT says which n. A new state always gets a new
 * number, is made whole beside the old one, and becomes the live one by the rename of
 * CURRENT alone: a crash leaves the one or the other. What CURRENT does not name is
 * removed at the next start. A database that was found damaged is kept as damaged-<n>.db
 * until another one serves. */
#ifndef KVD_NODE_DATADIR_H
#define KVD_NODE_DATADIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "node/current.h"
#include "node/identity.h"

struct datadir {
    struct env *env;
    char *path;
    char *state_path; /* of the live database, DIR/state-<n>.db */
    struct current current;
    struct identity identity;
    struct disk_file *lock; /* private, as all below */
    bool has_others;
    unsigned last_number; /* no state has a higher one */
    char *damaged_path;   /* of a database that was set aside; NULL: there is none */
};

struct datadir_options {
    struct env *env;
    const char *path;
    uint64_t cluster_id; /* what the member was told it is */
    uint64_t member_id;
    bool may_create; /* the cluster is new: an empty or missing directory is made ready */
    bool has_others; /* members from which a lost state can come */
};

/* ERR_INVALID for somebody else's directory, ERR_BUSY when it is in use, ERR_VERSION for
 * a newer format, ERR_CORRUPT, ERR_FULL, ERR_IO; each with a sentence. */
int datadir_open(struct datadir *out, const struct datadir_options *options,
                 struct err *err);

/* State machine and log were made and are durable: from now on a missing file is damage.
 */
int datadir_complete(struct datadir *dir, struct err *err);

void datadir_close(struct datadir *dir);

/* ---- the database: datadir_state.c ---- */

/* The live database is damaged: it is set aside, and an empty one takes its place. */
int datadir_begin_state(struct datadir *dir, struct err *err);

/* ERR_FULL with a sentence when the disk has no room for size bytes more, and for what
 * must stay free: what is their name. */
int datadir_room(struct disk *disk, const char *dir, const char *what, uint64_t size,
                 struct err *err);

/* A number for a new state, and its path, which the caller frees. */
unsigned datadir_next_state(struct datadir *dir);
char *datadir_state_path(const struct datadir *dir, unsigned number);

/* The state of that number, which is whole and durable and was fetched as of that entry,
 * is the live one from now on. On failure the old one is. */
int datadir_switch(struct datadir *dir, unsigned number, uint64_t index, uint64_t term,
                   struct err *err);

/* The path of a damaged database that was set aside and is not needed any more, which the
 * caller frees; NULL when there is none. */
char *datadir_take_damaged(struct datadir *dir);

/* For datadir.c: reads CURRENT, or makes it at the first start, and removes what it does
 * not name. */
int datadir_find_state(struct datadir *dir, struct err *err);

/* Is there a file of that name? 0, ERR_NOT_FOUND, ERR_IO. */
int datadir_look(const struct datadir *dir, const char *name, struct err *err);

#endif
