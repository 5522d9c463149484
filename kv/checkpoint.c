/* Background checkpoints.
 *
 * Happy path: the WAL reached WAL_CHECKPOINT_BYTES; a PASSIVE checkpoint on the work
 * lane, with a connection of its own, moves the bulk while writes go on; then the writer,
 * between two transactions, moves the few frames that came meanwhile, so that the next
 * transaction starts the WAL from its beginning. A reader that pins old frames only
 * delays that: the next try comes when the WAL has grown by a quarter more; so does a
 * full disk, for everything is in the WAL still. Another error of SQLite is fatal.
 *
 * A hold: once nothing is left in the WAL, the second connection begins to read. Such a
 * reader needs the database file alone, so no checkpoint, of whichever process, writes to
 * it while the reader is there; the writer begins the WAL anew and goes on. */
#include "kv/checkpoint.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/state.h"

#define FRAME_BYTES  (DB_PAGE_BYTES + 24)
#define FRAMES_START ((int)(WAL_CHECKPOINT_BYTES / FRAME_BYTES))
#define FRAMES_LEFT  (FRAMES_START / 32) /* few enough for the writer */
#define PASSES_MAX   4

static const unsigned state_next[CHECKPOINT_NSTATES] = {
    [CHECKPOINT_IDLE] = 1u << CHECKPOINT_RUNNING | 1u << CHECKPOINT_HELD,
    [CHECKPOINT_RUNNING] = 1u << CHECKPOINT_RAN,
    [CHECKPOINT_RAN] = 1u << CHECKPOINT_IDLE | 1u << CHECKPOINT_RUNNING,
    [CHECKPOINT_HELD] = 1u << CHECKPOINT_IDLE,
};

static void checkpoint_move(struct checkpoint *c, enum checkpoint_state to)
{
    CHECK(state_next[c->state] & 1u << to);
    c->state = to;
}

/* What the WAL has, and how much of it was moved. */
static int passive(sqlite3 *conn, int *frames, int *frames_done)
{
    return sqlite3_wal_checkpoint_v2(conn, "main", SQLITE_CHECKPOINT_PASSIVE, frames,
                                     frames_done);
}

static void job_run(struct env_job *job)
{
    struct checkpoint *c = container_of(job, struct checkpoint, job);

    FAILPOINT(CHECKPOINT);
    c->rc = passive(c->conn, NULL, &c->frames_done);
}

static void job_done(struct env_job *job)
{
    struct checkpoint *c = container_of(job, struct checkpoint, job);
    struct kv *kv = container_of(c, struct kv, checkpoint);

    checkpoint_move(c, CHECKPOINT_RAN);
    c->seen = true;
    if (c->rc == SQLITE_FULL) {
        return;
    }
    c->frames_moved = c->frames_done;
    if (c->rc == SQLITE_CORRUPT) {
        kv_fail_damaged(kv, "checkpoint in the background: %s", sqlite3_errstr(c->rc));
    } else if (c->rc != SQLITE_OK && c->rc != SQLITE_BUSY) {
        kv_fail(kv, "checkpoint in the background: %s", sqlite3_errstr(c->rc));
    }
}

int checkpoint_open(struct kv *kv, const char *path, const char *vfs, struct err *err)
{
    struct checkpoint *c = &kv->checkpoint;
    struct db db = {0};
    int64_t version;
    int rc = db_open(&db, path, vfs, err);

    if (rc == 0) {
        rc = db_exec(&db, "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0",
                     "apply the settings", err);
    }
    if (rc == 0) {
        rc = db_int(&db, "PRAGMA schema_version", &version, err); /* finds the WAL */
    }
    if (rc != 0) {
        db_close(&db);
        return rc;
    }
    c->job.run = job_run;
    c->job.done = job_done;
    c->conn = db.conn;
    c->frames_start = FRAMES_START;
    c->patience = FRAMES_LEFT;
    return 0;
}

void checkpoint_close(struct kv *kv)
{
    sqlite3_close_v2(kv->checkpoint.conn);
    kv->checkpoint.conn = NULL;
}

static void start(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;

    checkpoint_move(c, CHECKPOINT_RUNNING);
    c->frames_before = c->n_passes > 0 ? c->frames_done : 0;
    c->n_passes++;
    env_submit(kv->env, ENV_LANE_WORK, &c->job);
}

static void end(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;

    c->n++;
    c->n_passes = 0;
    c->frames_start = kv->db.wal_frames + FRAMES_START / 4;
    checkpoint_move(c, CHECKPOINT_IDLE);
}

/* The writer's own pass. True when nothing is left in the WAL. */
static bool finish(struct kv *kv)
{
    int frames = 0;
    int rc;

    FAILPOINT(CHECKPOINT_LAST);
    rc = passive(kv->db.conn, &frames, &kv->checkpoint.frames_moved);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_FULL) {
        kv_fail_db(kv, "checkpoint");
    }
    return rc == SQLITE_OK && kv->checkpoint.frames_moved == frames;
}

/* What is to be done after a pass of the work lane. */
static void go_on(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;
    int left = kv->db.wal_frames - c->frames_done;
    bool moves = c->frames_done > c->frames_before; /* no reader is in the way */

    if (c->rc == SQLITE_FULL) {
        end(kv);
        return;
    }
    if (left > FRAMES_LEFT && moves && c->n_passes < PASSES_MAX) {
        start(kv);
        return;
    }
    /* Less than none: the WAL began anew already. */
    if (left >= 0) {
        finish(kv);
    }
    end(kv);
}

void checkpoint_step(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;

    CHECK(!kv->in_batch);
    if (kv->dead) {
        return;
    }
    if (c->state == CHECKPOINT_RAN) {
        go_on(kv);
    }
    if (kv->db.wal_frames < FRAMES_START) {
        c->frames_start = FRAMES_START; /* the WAL began anew */
    }
    if (kv->db.wal_frames < c->frames_moved) {
        c->frames_moved = 0; /* likewise */
    }
    if (c->state == CHECKPOINT_IDLE && kv->db.wal_frames >= c->frames_start) {
        start(kv);
    }
}

bool checkpoint_whole(struct kv *kv)
{
    int frames = 0;
    int moved = 0;

    return passive(kv->db.conn, &frames, &moved) == SQLITE_OK && moved == frames;
}

static int frames_left(const struct kv *kv)
{
    int left = kv->db.wal_frames - kv->checkpoint.frames_moved;

    return left >= 0 ? left : kv->db.wal_frames;
}

static bool begin_to_read(struct kv *kv)
{
    static const char sql[] = "BEGIN; SELECT id FROM meta";

    if (sqlite3_exec(kv->checkpoint.conn, sql, NULL, NULL, NULL) != SQLITE_OK) {
        kv_fail(kv, "hold the database file: %s", sqlite3_errmsg(kv->checkpoint.conn));
        return false;
    }
    return true;
}

bool checkpoint_hold(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;

    CHECK(!kv->in_batch);
    if (kv->dead) {
        return false;
    }
    if (c->state == CHECKPOINT_RAN) {
        go_on(kv);
    }
    if (c->state != CHECKPOINT_IDLE || kv->dead) {
        return false;
    }
    /* Who writes much while a pass runs makes the next one long; so that there is an end,
     * the writer waits longer from try to try. */
    if (!c->seen || frames_left(kv) > c->patience) {
        c->patience *= c->patience < FRAMES_START ? 2 : 1;
        start(kv);
        return false;
    }
    if (!finish(kv) || !begin_to_read(kv)) {
        return false;
    }
    c->patience = FRAMES_LEFT;
    checkpoint_move(c, CHECKPOINT_HELD);
    return true;
}

void checkpoint_release(struct kv *kv)
{
    struct checkpoint *c = &kv->checkpoint;

    checkpoint_move(c, CHECKPOINT_IDLE);
    c->frames_start = FRAMES_START;
    if (sqlite3_exec(c->conn, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        kv_fail(kv, "release the database file: %s", sqlite3_errmsg(c->conn));
    }
}
