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
    uint64_t n;        /* finished */
};

/* Opens the second connection. */
int checkpoint_open(struct kv *kv, const char *path, const char *vfs, struct err *err);
void checkpoint_close(struct kv *kv);

/* Starts one when the WAL is long, finishes one that ran. Not inside a batch. */
void checkpoint_step(struct kv *kv);

#endif
