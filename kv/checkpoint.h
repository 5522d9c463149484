/* Checkpoints: moving what is in the WAL into the database file, in the background. */
#ifndef KVD_KV_CHECKPOINT_H
#define KVD_KV_CHECKPOINT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"

struct kv;

enum checkpoint_state {
    CHECKPOINT_IDLE,
    CHECKPOINT_RUNNING, /* on the work lane */
    CHECKPOINT_RAN,     /* the writer has to finish it */
    CHECKPOINT_HELD,    /* none may run: the database file is being copied */
    CHECKPOINT_NSTATES,
};

struct checkpoint {
    struct env_job job;
    enum checkpoint_state state;
    sqlite3 *conn;     /* the work lane's own connection */
    int rc;            /* of the job */
    int frames_done;   /* of the WAL, moved by the job */
    int frames_before; /* by the pass before */
    int n_passes;      /* of the one under way */
    int frames_start;  /* length of the WAL at which the next one starts */
    bool seen;         /* one ran since open: what is left in the WAL is known */
    int frames_moved;  /* by all passes; more than the WAL has: it began anew */
    int patience;      /* frames that the writer moves at most for a hold */
    uint64_t n;        /* finished */
};

/* Opens the second connection. */
int checkpoint_open(struct kv *kv, const char *path, const char *vfs, struct err *err);
void checkpoint_close(struct kv *kv);

/* Starts one when the WAL is long, finishes one that ran. Not inside a batch. */
void checkpoint_step(struct kv *kv);

/* At open, when nothing was written yet: brings what an earlier run left in the WAL into
 * the database file. False: not all of it can be: another process reads, or the disk has
 * no room. */
bool checkpoint_whole(struct kv *kv);

/* Brings all of the WAL into the database file, which then stays as it is until
 * checkpoint_release. False: not yet, call again in a later turn. Not inside a batch. */
bool checkpoint_hold(struct kv *kv);
void checkpoint_release(struct kv *kv);

#endif
