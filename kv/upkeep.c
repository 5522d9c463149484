/* Upkeep between batches, and what it knows for metrics. */
#include "kv/kv.h"

#include "kv/history.h"
#include "kv/state.h"

#define WAL_HEADER  32
#define FRAME_BYTES (DB_PAGE_BYTES + 24)

bool kv_upkeep(struct kv *kv)
{
    history_unpin(kv);
    if (kv->rests) {
        return false;
    }
    checkpoint_step(kv);
    return compact_step(kv);
}

void kv_rest(struct kv *kv, bool rest)
{
    kv->rests = rest;
}

static int64_t wal_used(const struct kv *kv)
{
    int64_t frames = kv->db.wal_frames;

    return frames > 0 ? WAL_HEADER + frames * FRAME_BYTES : 0;
}

uint64_t kv_wal_left(const struct kv *kv)
{
    uint64_t used = (uint64_t)wal_used(kv);

    return kv->durable.reserved > used ? kv->durable.reserved - used : 0;
}

bool kv_compaction_done(const struct kv *kv)
{
    return kv->compact.phase == COMPACT_IDLE;
}

static int64_t number(struct kv *kv, enum db_stmt which)
{
    sqlite3_stmt *stmt = kv->db.stmts[which];
    int64_t value = 0;

    if (!kv->dead && sqlite3_step(stmt) == SQLITE_ROW) {
        value = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_reset(stmt);
    return value;
}

void kv_get_stats(struct kv *kv, struct kv_stats *out)
{
    int64_t pages = number(kv, DB_PAGES);

    *out = (struct kv_stats){
        .keys = kv->index.n_live,
        .leases = kv->leases.n,
        .leases_granted = kv->leases.n_granted,
        .leases_renewed = kv->leases.n_renewed,
        .leases_revoked = kv->leases.n_revoked,
        .versions = kv->index.n_versions,
        .index_bytes = kv->index.bytes,
        .db_bytes = pages * DB_PAGE_BYTES,
        .db_bytes_in_use = (pages - number(kv, DB_PAGES_FREE)) * DB_PAGE_BYTES,
        .wal_bytes = wal_used(kv),
        .compaction_left = compact_left(kv),
        .checkpoints = kv->checkpoint.n,
    };
}
