/* The copy of the state that other members fetch: one private file, DIR/copy.db, shared
 * by all who fetch at a time. It can be read up to `filled` while it is being made. It
 * goes when nobody used it for LIMIT_COPY_IDLE_MS, and at the next start. */
#ifndef KVD_NODE_STATE_COPY_H
#define KVD_NODE_STATE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/env.h"
#include "kv/kv.h"
#include "node/metrics.h"
#include "raftlog/raftlog.h"

#define COPY_NAME "copy.db"

/*   NONE ---use---> ASKED --kv lets us--> FILLING --all of it--> WHOLE
 *    ^-------------------+-- no room ---------+-- failed ------------+   unused */
enum state_copy_state { COPY_NONE, COPY_ASKED, COPY_FILLING, COPY_WHOLE, COPY_NSTATES };

struct state_copy_options {
    struct env *env;
    struct kv *kv;
    struct raftlog *log;
    struct metrics *metrics;
    const char *dir; /* the data directory; must outlive the copy */
};

struct state_copy {
    struct state_copy_options options;
    enum state_copy_state state;
    uint64_t id;        /* of this copy, never 0 while FILLING or WHOLE */
    struct kv_copy of;  /* what it is a copy of */
    uint64_t filled;    /* bytes of the file that can be read */
    uint64_t checksum;  /* of the whole, once WHOLE */
    char *path;         /* private, as all below */
    size_t users;       /* of this copy */
    uint64_t unused_ms; /* since when there are none */
    struct env_job job; /* one slice */
    bool working;       /* it is under way */
    struct disk_file *file;
    uint8_t *slice; /* LIMIT_COPY_SLICE bytes */
    struct digest *digest;
    struct err err; /* of the job; later why there is no copy */
    int rc;
    uint64_t again_ms;  /* asked: kv is looked at again then */
    uint64_t failed_ms; /* when the last one failed; 0: it did not */
};

void state_copy_init(struct state_copy *copy, const struct state_copy_options *options);

/* A copy of the state as of at_least or later, that with this id (0: any) before others.
 * 1: the caller is a user of it until state_copy_leave; 0: ask again in a later turn;
 * negative: there is none, err says why. */
int state_copy_use(struct state_copy *copy, uint64_t id, uint64_t at_least,
                   uint64_t now_ms, struct err *err);

/* The copy with that id, if it is still there, is used by one less. */
void state_copy_leave(struct state_copy *copy, uint64_t id, uint64_t now_ms);

/* It waits for a turn without a batch of the state machine that is open. */
bool state_copy_waits(const struct state_copy *copy);

/* Once a turn, while no batch is open: begins, fills, ends. */
void state_copy_continue(struct state_copy *copy, uint64_t now_ms);
uint64_t state_copy_deadline_ms(const struct state_copy *copy);

/* No job is under way. */
bool state_copy_idle(const struct state_copy *copy);

/* It goes, whoever uses it; idle. */
void state_copy_drop(struct state_copy *copy);
void state_copy_close(struct state_copy *copy);

#endif
