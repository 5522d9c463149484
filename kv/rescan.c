/* Rereads all rows of history in slices, checks each against its checksum, and their sum
 * and the members' against what the meta row says; then the rows of the leases and those
 * of users and roles, which are checked by themselves. Writes go on in between: what is
 * appended is met later, what compaction removes behind the scan is taken off its sum. */
#include "kv/rescan.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "kv/history.h"
#include "kv/lease_store.h"
#include "kv/state.h"

void rescan_removed(struct kv *kv, int64_t seq, uint64_t hash)
{
    if (kv->rescan.part == RESCAN_HISTORY && seq <= kv->rescan.row) {
        kv->rescan.sum -= hash;
    }
}

/* The next slice of history; false: it is damaged. */
static bool reread_history(struct kv *kv)
{
    struct rescan *r = &kv->rescan;
    sqlite3_stmt *stmt = kv->db.stmts[DB_FOLLOW];
    bool good = true;
    int n = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, r->row);
    sqlite3_bind_int64(stmt, 2, LIMIT_RESCAN_SLICE);
    while (good && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct row row;

        good = history_row(stmt, &row);
        r->row = row.seq;
        r->sum += row.hash;
        n++;
    }
    if (good && step != SQLITE_DONE) {
        kv_fail_db(kv, "reread the history");
    }
    sqlite3_reset(stmt);
    if (!good) {
        log_error("a row of the history is damaged", LOG_INT("row", r->row));
    } else if (n < LIMIT_RESCAN_SLICE) {
        r->row = 0;
        good = r->sum + members_sum(kv) == kv->meta.state_sum - kv->meta.removed_sum;
        if (!good) {
            log_error("the rows of the store do not add up to its state hash");
        }
    }
    return good;
}

bool kv_rescan_step(struct kv *kv)
{
    struct rescan *r = &kv->rescan;
    bool good = true;

    CHECK(!kv->in_batch);
    if (kv->dead) {
        return true;
    }
    switch (r->part) {
    case RESCAN_HISTORY:
        good = reread_history(kv);
        break;
    case RESCAN_LEASES:
        good = lease_rescan(kv, &r->row);
        break;
    case RESCAN_AUTH:
        good = auth_rescan(kv, &r->row);
        break;
    case RESCAN_NPARTS:
        UNREACHABLE();
    }
    if (!good) {
        *r = (struct rescan){0};
    } else if (r->row == 0) {
        r->part = (enum rescan_part)((r->part + 1) % RESCAN_NPARTS);
        r->sum = 0;
    }
    return good;
}
