/* A copy of the state for another member: the database file itself.
 *
 * Happy path: kv_copy_begin brings what is in the WAL into the file, over some turns, and
 * holds checkpoints off; then the file stays as it is while the writer appends to the
 * WAL, and a worker reads it with the second connection's own file. It must not be opened
 * a second time: to close it would drop SQLite's locks. What can fail: reading. */
#include "kv/copy.h"

#include <inttypes.h>

#include "base/check.h"
#include "kv/history.h"
#include "kv/state.h"

#define READ_MAX (1 << 30) /* SQLite counts in int */

/* As the second connection sees it. 0: that could not be read. */
static int64_t size_of(struct kv *kv, struct err *err)
{
    struct db view = {.conn = kv->checkpoint.conn};
    int64_t pages = 0;

    db_int(&view, "PRAGMA page_count", &pages, err);
    return pages * DB_PAGE_BYTES;
}

bool kv_copy_begin(struct kv *kv, struct kv_copy *out)
{
    struct copy *copy = &kv->copy;
    struct err err = {0};

    CHECK(!kv->in_batch);
    if (copy->file != NULL || kv->dead) {
        return false;
    }
    history_unpin(kv);
    if (!checkpoint_hold(kv)) {
        return false;
    }
    copy->size = (uint64_t)size_of(kv, &err);
    if (copy->size == 0) {
        checkpoint_release(kv);
        kv_fail(kv, "%s", err.text);
        return false;
    }
    CHECK(sqlite3_file_control(kv->checkpoint.conn, "main", SQLITE_FCNTL_FILE_POINTER,
                               &copy->file) == SQLITE_OK);
    *out = (struct kv_copy){
        .index = kv->committed,
        .term = kv->meta.applied_term,
        .hash = kv_state_hash(kv),
        .size = copy->size,
    };
    return true;
}

int kv_copy_read(struct kv *kv, uint64_t offset, void *bytes, size_t len, struct err *err)
{
    const struct copy *copy = &kv->copy;
    int rc;

    CHECK(copy->file != NULL);
    CHECK(len <= READ_MAX && offset <= copy->size && len <= copy->size - offset);
    rc = copy->file->pMethods->xRead(copy->file, bytes, (int)len, (sqlite3_int64)offset);
    if (rc == SQLITE_OK) {
        return 0;
    }
    return err_set(
        err, ERR_IO, "read %zu bytes at %" PRIu64 " of the database: %s", len, offset,
        rc == SQLITE_IOERR_SHORT_READ ? "the file ends before" : sqlite3_errstr(rc));
}

void kv_copy_end(struct kv *kv)
{
    CHECK(kv->copy.file != NULL);
    kv->copy = (struct copy){0};
    checkpoint_release(kv);
}
