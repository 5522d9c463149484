/* The state machine: open, close, a batch of entries as one SQLite transaction.
 *
 * Happy path: kv_open makes or opens the file, checks the meta row, rebuilds the index,
 * reads the leases, the members, the users and roles and opens the connection for
 * checkpoints. kv_begin and kv_commit enclose kv_apply (apply.c); the meta row goes in
 * with the commit, so data and applied index are never apart. What can fail: opening
 * (err). An error later ends in kv_fail. */
#include "kv/kv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "kv/damage.h"
#include "kv/hash.h"
#include "kv/history.h"
#include "kv/lease_store.h"
#include "kv/load.h"
#include "kv/schema.h"
#include "kv/state.h"
#include "kv/tree.h"

/* ---- the end of following the log ---- */

static void fatal_exit(void *owner, const char *text)
{
    log_error(text);
    _exit(1);
}

static void fail(struct kv *kv, bool damaged, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void fail(struct kv *kv, bool damaged, const char *format, va_list args)
{
    char text[ERR_TEXT_MAX];
    int len = snprintf(text, sizeof(text), "state machine at index %" PRIu64 ": ",
                       kv->meta.applied_index);

    vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
    if (damaged) {
        damage_note(kv->env->disk, kv->path, text + len);
    }
    kv->dead = true;
    kv->fatal(kv->fatal_owner, text);
}

void kv_fail(struct kv *kv, const char *format, ...)
{
    va_list args;

    if (!kv->dead) {
        va_start(args, format);
        fail(kv, false, format, args);
        va_end(args);
    }
}

void kv_fail_damaged(struct kv *kv, const char *format, ...)
{
    va_list args;

    if (!kv->dead) {
        va_start(args, format);
        fail(kv, true, format, args);
        va_end(args);
    }
}

void kv_fail_db(struct kv *kv, const char *what)
{
    struct err err;

    if (db_error(&kv->db, &err, what) == ERR_CORRUPT) {
        kv_fail_damaged(kv, "%s", err.text);
    } else {
        kv_fail(kv, "%s", err.text);
    }
}

/* ---- open, close ---- */

/* SQLite would make it readable for others. */
static int make_file(struct disk *disk, const char *path, struct err *err)
{
    struct disk_file *file = NULL;
    int rc = disk->ops->open(disk, path, DISK_CREATE | DISK_EXCLUSIVE, &file);

    if (rc == -EEXIST) {
        return 0;
    }
    if (rc < 0) {
        return err_set(err, ERR_IO, "make the file: %s", strerror(-rc));
    }
    disk->ops->close(file);
    return 0;
}

/* SQLite would make what is missing. */
static int look_at_copy(struct kv *kv, int64_t *size, struct err *err)
{
    struct disk *disk = kv->env->disk;
    struct disk_file *file;
    int rc = disk->ops->open(disk, kv->path, DISK_READ_ONLY, &file);

    if (rc < 0) {
        return err_set(err, ERR_IO, "open: %s", strerror(-rc));
    }
    *size = disk->ops->size(file);
    disk->ops->close(file);
    return *size > 0 ? 0 : err_set(err, ERR_CORRUPT, "the file is empty");
}

static int open_copy(struct kv *kv, struct err *err)
{
    int64_t size = 0;
    int64_t pages = 0;
    int rc;

    if ((rc = look_at_copy(kv, &size, err)) != 0 ||
        (rc = schema_open(&kv->db, kv->path, kv->env->disk->sqlite_vfs, err)) != 0 ||
        (rc = db_int(&kv->db, "PRAGMA page_count", &pages, err)) != 0) {
        return rc;
    }
    return size <= pages * DB_PAGE_BYTES
               ? 0
               : err_set(err, ERR_CORRUPT, "the file is longer than its header says");
}

static int open_own(struct kv *kv, struct err *err)
{
    struct disk *disk = kv->env->disk;
    int rc;

    if ((rc = make_file(disk, kv->path, err)) != 0 ||
        (rc = damage_check(disk, kv->path, err)) != 0) {
        return rc;
    }
    return schema_open(&kv->db, kv->path, disk->sqlite_vfs, err);
}

static int open_parts(struct kv *kv, bool is_copy, struct err *err)
{
    struct disk *disk = kv->env->disk;
    int rc;

    if ((rc = is_copy ? open_copy(kv, err) : open_own(kv, err)) != 0 ||
        (rc = meta_load(&kv->db, &kv->meta, err)) != 0 ||
        (rc = load_state(kv, err)) != 0 ||
        (rc = checkpoint_open(kv, kv->path, disk->sqlite_vfs, err)) != 0 ||
        (rc = tree_check(kv, err)) != 0) {
        return rc;
    }
    durable_reserve(&kv->durable, disk);
    /* The entry of the WAL in its directory must survive before the WAL is relied on. */
    rc = disk_sync_entry(disk, kv->path);
    return rc == 0 ? 0 : err_set(err, ERR_IO, "sync its directory: %s", strerror(-rc));
}

static int open_store(struct kv **out, const struct kv_options *options, bool is_copy,
                      struct err *err)
{
    struct kv *kv = mem_zero(sizeof(*kv));
    int rc;

    kv->env = options->env;
    kv->fatal = options->fatal != NULL ? options->fatal : fatal_exit;
    kv->fatal_owner = options->fatal_owner;
    kv->path = mem_strdup(options->path);
    arena_init(&kv->command, LIMIT_COMMAND_ARENA);
    index_open(&kv->index);
    leases_open(&kv->leases);
    durable_open(&kv->durable, options->path);
    rc = open_parts(kv, is_copy, err);
    if (rc != 0) {
        kv->dead = true;
        kv_close(kv);
        return err_prefix(err, rc, "%s", options->path);
    }
    compact_open(kv);
    kv->lock_changed = options->lock_changed;
    kv->lock_owner = options->lock_owner;
    kv->auth_changed = options->auth_changed;
    kv->auth_owner = options->auth_owner;
    kv->committed = kv->meta.applied_index;
    *out = kv;
    return 0;
}

int kv_open(struct kv **out, const struct kv_options *options, struct err *err)
{
    return open_store(out, options, false, err);
}

int kv_open_copy(struct kv **out, const struct kv_options *options, struct err *err)
{
    return open_store(out, options, true, err);
}

bool kv_idle(const struct kv *kv)
{
    return !kv->durable.busy && kv->checkpoint.state != CHECKPOINT_RUNNING &&
           kv->copy.file == NULL;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL) {
        return;
    }
    CHECK(kv_idle(kv));
    if (kv->dead && kv->db.conn != NULL) {
        db_abandon(&kv->db);
    }
    checkpoint_close(kv);
    db_close(&kv->db);
    durable_close(&kv->durable);
    compact_close(kv);
    members_close(kv);
    auth_close(&kv->auth);
    locks_close(&kv->locks);
    leases_close(&kv->leases);
    watches_close(kv);
    index_close(&kv->index);
    arena_close(&kv->command);
    free(kv->path);
    free(kv);
}

/* ---- batches ---- */

void kv_db_run(struct kv *kv, enum db_stmt which, const char *what)
{
    sqlite3_stmt *stmt = kv->db.stmts[which];

    if (!kv->dead && sqlite3_step(stmt) != SQLITE_DONE) {
        kv_fail_db(kv, what);
    }
    sqlite3_reset(stmt);
}

void kv_db_begin(struct kv *kv)
{
    history_unpin(kv);
    kv_db_run(kv, DB_BEGIN, "begin a transaction");
}

static void store_and_commit(struct kv *kv, const struct meta *meta)
{
    if (!kv->dead && !meta_store(&kv->db, meta)) {
        kv_fail_db(kv, "write the meta row");
    }
    FAILPOINT(STATE_COMMIT);
    kv_db_run(kv, DB_COMMIT, "commit");
    FAILPOINT(STATE_COMMITTED);
}

void kv_db_commit(struct kv *kv)
{
    if (kv->plants & KV_PLANT_APPLIED_OUTSIDE_TXN) {
        struct meta without = kv->meta;

        without.applied_index = kv->committed;
        store_and_commit(kv, &without);
        kv_db_begin(kv);
    }
    store_and_commit(kv, &kv->meta);
}

void kv_begin(struct kv *kv)
{
    CHECK(!kv->in_batch);
    kv_db_begin(kv);
    kv->in_batch = true;
}

void kv_commit(struct kv *kv)
{
    CHECK(kv->in_batch);
    lease_store_changes(kv);
    kv_db_commit(kv);
    kv->in_batch = false;
    kv->committed = kv->meta.applied_index;
}

void kv_set_plants(struct kv *kv, unsigned plants)
{
    kv->plants = plants;
}

void kv_set_lock_steps(struct kv *kv, size_t steps)
{
    kv->lock_steps = steps;
}

/* ---- what is applied ---- */

uint64_t kv_applied_index(const struct kv *kv)
{
    return kv->meta.applied_index;
}

uint64_t kv_applied_term(const struct kv *kv)
{
    return kv->meta.applied_term;
}

uint64_t kv_cluster_ms(const struct kv *kv)
{
    return kv->meta.cluster_ms;
}

int64_t kv_revision(const struct kv *kv)
{
    return kv->meta.revision;
}

int64_t kv_compact_revision(const struct kv *kv)
{
    return kv->meta.compact_revision;
}

uint64_t kv_state_hash(const struct kv *kv)
{
    return hash_state(&kv->meta);
}
