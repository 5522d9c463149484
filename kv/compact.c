/* Compaction in slices.
 *
 * A row is superseded at the revision of the key's next row, and that one names it in
 * prev. So the rows in (last compaction, compact revision] tell what is to be removed,
 * and the work is as much as what was written since, not as much as what is stored. Happy
 * path: a slice walks over some of these rows, trims the index and collects prev, and the
 * row itself if it is a tombstone below the compact revision; when the walk is over, or
 * LIMIT_COMPACT_ROUND rows are collected, slices remove them in ascending order, which
 * touches each page once.
 *
 * A stop at any point does no harm: rows up to meta.compact_seq are settled; those after
 * it are walked again, and since removal ascends, a row that names a superseded one never
 * goes before it. A tombstone exactly at the compact revision stays (a watch from there
 * must see the delete) and is looked at again by the next compaction, which is why rows
 * of that revision are never settled. */
#include "kv/compact.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/state.h"

/* ---- a binary heap of seqs ---- */

static void heap_push(struct compact *c, int64_t seq)
{
    size_t i = c->n++;

    if (c->n > c->room) {
        c->room = c->room > 0 ? 2 * c->room : 1024;
        c->heap = mem_grow(c->heap, c->room * sizeof(c->heap[0]));
    }
    while (i > 0 && c->heap[(i - 1) / 2] > seq) {
        c->heap[i] = c->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->heap[i] = seq;
}

static int64_t heap_pop(struct compact *c)
{
    int64_t least = c->heap[0];
    int64_t last = c->heap[--c->n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < c->n && c->heap[child + 1] < c->heap[child]) {
            child++;
        }
        if (child >= c->n || c->heap[child] >= last) {
            break;
        }
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = last;
    return least;
}

static void heap_free(struct compact *c)
{
    free(c->heap);
    c->heap = NULL;
    c->n = 0;
    c->room = 0;
}

/* ---- the two kinds of slices ----
 *
 * IDLE -> WALK -> REMOVE -> IDLE, or -> WALK for the next round. */

static const unsigned phase_next[COMPACT_NPHASES] = {
    [COMPACT_IDLE] = 1u << COMPACT_WALK,
    [COMPACT_WALK] = 1u << COMPACT_REMOVE,
    [COMPACT_REMOVE] = 1u << COMPACT_WALK | 1u << COMPACT_IDLE,
};

static void compact_move(struct compact *c, enum compact_phase to)
{
    CHECK(phase_next[c->phase] & 1u << to);
    c->phase = to;
}

static void walk_slice(struct kv *kv)
{
    struct compact *c = &kv->compact;
    sqlite3_stmt *stmt = kv->db.stmts[DB_WALK];
    int64_t upto = kv->meta.compact_revision;
    int n = 0;
    int step;

    FAILPOINT(COMPACT_WALK);
    sqlite3_bind_int64(stmt, 1, c->seq);
    sqlite3_bind_int64(stmt, 2, LIMIT_COMPACT_WALK);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        int64_t seq = sqlite3_column_int64(stmt, 0);
        int64_t rev = sqlite3_column_int64(stmt, 1);
        int64_t prev = sqlite3_column_int64(stmt, 2);
        bool tombstone = sqlite3_column_int64(stmt, 3) == 0;

        if (rev > upto) {
            n = 0;
            break;
        }
        n++;
        if (prev != 0) {
            heap_push(c, prev);
        }
        if (tombstone && rev < upto) {
            heap_push(c, seq);
        }
        index_trim(&kv->index, db_blob(stmt, 4), upto);
        c->seq = seq;
        c->settled = rev < upto ? seq : c->settled;
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        kv_fail_db(kv, "look for superseded rows");
    }
    sqlite3_reset(stmt);
    c->walked = n < LIMIT_COMPACT_WALK;
    if (c->walked || c->n + 2 * LIMIT_COMPACT_WALK > LIMIT_COMPACT_ROUND) {
        compact_move(c, COMPACT_REMOVE);
    }
}

/* False for a row that is gone already: it was removed before a restart. */
static bool remove_row(struct kv *kv, int64_t seq)
{
    sqlite3_stmt *sum = kv->db.stmts[DB_SUM];
    sqlite3_stmt *stmt = kv->db.stmts[DB_REMOVE];
    uint64_t hash;
    int step;

    sqlite3_bind_int64(sum, 1, seq);
    step = sqlite3_step(sum);
    hash = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(sum, 0) : 0;
    sqlite3_reset(sum);
    if (step == SQLITE_DONE) {
        return false;
    }
    sqlite3_bind_int64(stmt, 1, seq);
    if (step != SQLITE_ROW || sqlite3_step(stmt) != SQLITE_DONE) {
        kv_fail_db(kv, "remove a superseded row");
    }
    sqlite3_reset(stmt);
    kv->meta.removed_sum += hash;
    kv->meta.row_count--;
    rescan_removed(kv, seq, hash);
    return true;
}

static void remove_slice(struct kv *kv)
{
    struct compact *c = &kv->compact;
    int n_seen = 0;
    int n_removed = 0;

    if (c->n > 0 || kv->meta.compact_seq != c->settled) {
        FAILPOINT(COMPACT_REMOVE);
        kv_db_begin(kv);
        while (c->n > 0 && n_removed < LIMIT_COMPACT_SLICE &&
               n_seen++ < LIMIT_COMPACT_WALK) {
            n_removed += remove_row(kv, heap_pop(c));
        }
        if (c->n == 0) {
            FAILPOINT(COMPACT_SETTLE);
            kv->meta.compact_seq = c->settled;
        }
        kv_db_commit(kv);
    }
    if (c->n == 0) {
        heap_free(c);
        compact_move(c, c->walked ? COMPACT_IDLE : COMPACT_WALK);
    }
}

/* ---- life ---- */

void compact_open(struct kv *kv)
{
    kv->compact = (struct compact){
        .phase = kv->meta.compact_revision >= 0 ? COMPACT_WALK : COMPACT_IDLE,
        .seq = kv->meta.compact_seq,
        .settled = kv->meta.compact_seq,
    };
}

void compact_close(struct kv *kv)
{
    heap_free(&kv->compact);
}

enum api_status compact_apply(struct kv *kv, int64_t revision)
{
    struct compact *c = &kv->compact;

    if (revision <= kv->meta.compact_revision) {
        return API_COMPACTED;
    }
    if (revision > kv->meta.revision) {
        return API_FUTURE_REV;
    }
    kv->meta.compact_revision = revision;
    FAILPOINT(COMPACT);
    c->walked = false;
    c->seq = c->settled;
    if (c->phase == COMPACT_IDLE) {
        compact_move(c, COMPACT_WALK);
    }
    return API_OK;
}

bool compact_step(struct kv *kv)
{
    CHECK(!kv->in_batch);
    if (kv->dead) {
        return false;
    }
    switch (kv->compact.phase) {
    case COMPACT_IDLE:
        return false;
    case COMPACT_WALK:
        walk_slice(kv);
        return true;
    case COMPACT_REMOVE:
        remove_slice(kv);
        return true; /* also for the last one: somebody may wait for the end */
    case COMPACT_NPHASES:
        break;
    }
    UNREACHABLE();
}

uint64_t compact_left(const struct kv *kv)
{
    const struct compact *c = &kv->compact;
    uint64_t unseen = (uint64_t)(kv->meta.seq - c->seq);

    return c->n + (c->phase == COMPACT_IDLE || c->walked ? 0 : unseen);
}
