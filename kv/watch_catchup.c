/* Watches that are behind: reading the history until they meet the present.
 *
 * Happy path: rows follow from where the watch stopped; a single key's come from the
 * versions that the index knows, a range's by walking over all rows. What lies in the
 * range is encoded and gathered until the batch is full or the turn's rows are used up;
 * the watch moves behind the last whole revision. At the last row of all it waits for
 * news like any other.
 *
 * A revision that is longer than the turn's rows stays gathered (reading.watch), and the
 * next pull goes on with it. What can fail: compaction has passed the watch; SQLite,
 * which is fatal. */
#include "base/check.h"
#include "base/limits.h"
#include "kv/history.h"
#include "kv/state.h"
#include "kv/watch_encode.h"

/* What ended the reading of a pull. */
enum stop { STOP_END, STOP_FULL, STOP_BUDGET, STOP_TOO_LARGE, STOP_FAILED };

#define LOOK_COST 8 /* rows that can be read while the index is asked about a range */

static void charge(struct watch_reading *r, size_t rows)
{
    r->rows_left -= rows < r->rows_left ? rows : r->rows_left;
}

/* ---- rows ---- */

/* The next row belongs to rev: does it end a revision, and with it the batch? */
static bool batch_ends(struct watch_reading *r, int64_t rev)
{
    if (rev == r->rev) {
        return false;
    }
    gather_end_revision(&r->gather);
    r->whole_seq = r->seq;
    r->whole_rev = rev - 1;
    if (gather_full(&r->gather)) {
        return true;
    }
    r->rev = rev;
    return false;
}

static bool is_used_up(const struct watch_reading *r)
{
    return r->rows_left == 0 || r->bytes_left == 0;
}

static bool add_event(struct kv *kv, const struct watch *watch, const struct row *row)
{
    struct watch_reading *r = &kv->watches.reading;
    struct row old;
    bool with_prev =
        (watch->flags & WATCH_PREV_KV) != 0 && watch_find_prev(kv, row, &old);
    size_t body_len = encode_body_size(row);
    size_t prev_len = with_prev ? encode_prev_size(&old) : 0;
    size_t len = body_len + prev_len;
    uint8_t *bytes = r->gather.bytes + len < LIMIT_RESPONSE_BYTES - KIB
                         ? arena_try(&r->arena, len)
                         : NULL;

    if (bytes != NULL) {
        struct watch_event event = {slice_of(bytes, body_len),
                                    slice_of(bytes + body_len, prev_len)};

        encode_body(row, bytes);
        if (with_prev) {
            encode_prev(&old, bytes + body_len);
        }
        gather_add(&r->gather, &event);
        r->bytes_left -= len < r->bytes_left ? len : r->bytes_left;
    }
    history_release_old(kv);
    return bytes != NULL;
}

/* A row of the watch's range. */
static bool take_row(struct kv *kv, const struct watch *watch, const struct row *row)
{
    DCHECK(row->rev >= watch->next);
    return watch_drops(watch, row->number == 0) || add_event(kv, watch, row);
}

/* ---- a single key: by the versions in the index ---- */

static enum stop read_key(struct kv *kv, const struct watch *watch)
{
    struct watch_reading *r = &kv->watches.reading;
    const struct key *key = index_find(&kv->index, watch->spot->span.from);
    int64_t seq;

    charge(r, 1);
    while (key != NULL && (seq = key_row_after(key, watch->next, r->seq)) != 0) {
        struct row row;
        bool fits = true;

        if (is_used_up(r)) {
            return STOP_BUDGET;
        }
        if (!history_read(kv, key_name(key), seq, &row)) {
            history_release(kv);
            return STOP_FAILED;
        }
        charge(r, 1);
        if (batch_ends(r, row.rev)) {
            history_release(kv);
            return STOP_FULL;
        }
        fits = take_row(kv, watch, &row);
        r->seq = seq;
        history_release(kv);
        if (!fits) {
            return STOP_TOO_LARGE;
        }
    }
    return STOP_END;
}

/* ---- a range: by walking over all rows ---- */

static bool lies_in(const struct span *span, struct slice name)
{
    return slice_cmp(name, span->from) >= 0 && !span_ends_before(span, name);
}

/* The row that the statement stands at; values are looked at only when they are needed.
 */
static enum stop visit_row(struct kv *kv, const struct watch *watch, sqlite3_stmt *stmt)
{
    struct watch_reading *r = &kv->watches.reading;
    int64_t seq = sqlite3_column_int64(stmt, 0);
    struct row row;

    if (batch_ends(r, sqlite3_column_int64(stmt, 1))) {
        return STOP_FULL;
    }
    if (lies_in(&watch->spot->span, db_blob(stmt, 7))) {
        if (!history_row(stmt, &row)) {
            kv_fail_damaged(kv, "row %lld of the history is damaged; re-seed this member",
                            (long long)seq);
            return STOP_FAILED;
        }
        if (!take_row(kv, watch, &row)) {
            return STOP_TOO_LARGE;
        }
    }
    r->seq = seq;
    charge(r, 1);
    return STOP_END;
}

static enum stop walk_rows(struct kv *kv, const struct watch *watch)
{
    struct watch_reading *r = &kv->watches.reading;
    enum stop stop = STOP_END;
    int step = SQLITE_ROW;
    sqlite3_stmt *stmt;

    if (r->seq == 0) {
        r->seq = history_before(kv, watch->next);
        r->whole_seq = r->seq;
    }
    stmt = history_follow(kv, r->seq, r->rows_left);
    if (stmt == NULL) {
        return STOP_FAILED;
    }
    while (stop == STOP_END && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        stop = is_used_up(r) ? STOP_BUDGET : visit_row(kv, watch, stmt);
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE) {
        kv_fail_db(kv, "read the history");
        stop = STOP_FAILED;
    }
    sqlite3_reset(stmt);
    return stop == STOP_END && r->rows_left == 0 ? STOP_BUDGET : stop;
}

/* Most ranges are quiet most of the time, which the index knows. */
static enum stop read_range(struct kv *kv, const struct watch *watch)
{
    charge(&kv->watches.reading, LOOK_COST);
    if (index_newest(&kv->index, &watch->spot->span) < watch->next) {
        return STOP_END;
    }
    return walk_rows(kv, watch);
}

/* ---- a pull ---- */

static void begin_reading(struct kv *kv, struct watch *watch)
{
    struct watch_reading *r = &kv->watches.reading;

    gather_begin(&r->gather);
    arena_reset(&r->arena);
    r->rev = 0;
    r->seq = (int64_t)watch->place;
    r->whole_seq = r->seq;
    r->whole_rev = watch->next - 1;
}

/* All that there is has been read. */
static enum watch_news caught_up(struct kv *kv, struct watch *watch,
                                 struct watch_batch *out)
{
    struct watch_gather *gather = &kv->watches.reading.gather;

    gather_end_revision(gather);
    watch->next = kv->meta.revision + 1;
    watch_move(kv, watch, WATCH_WAITING);
    *out = gather_batch(gather, kv->meta.revision);
    return out->n > 0 ? WATCH_EVENTS : WATCH_NOTHING;
}

/* There is more to read, in a later turn or after this batch. */
static enum watch_news stopped(struct kv *kv, struct watch *watch,
                               struct watch_batch *out)
{
    struct watch_reading *r = &kv->watches.reading;

    if (r->gather.whole > 0) {
        watch->next = r->whole_rev + 1;
        watch->place = (uint64_t)r->whole_seq;
        *out = gather_batch(&r->gather, r->whole_rev);
        return WATCH_EVENTS;
    }
    watch->next = r->rev > watch->next ? r->rev : watch->next;
    watch->place = (uint64_t)r->seq;
    r->watch = r->gather.n > 0 ? watch : NULL;
    return WATCH_AGAIN;
}

void watch_stop_reading(struct kv *kv, const struct watch *watch)
{
    if (kv->watches.reading.watch == watch) {
        kv->watches.reading.watch = NULL;
    }
}

enum watch_news watch_catch_up(struct kv *kv, struct watch *watch,
                               struct watch_batch *out)
{
    struct watch_reading *r = &kv->watches.reading;
    enum stop stop;

    if (watch->next < kv->meta.compact_revision) {
        watch_stop_reading(kv, watch);
        return WATCH_COMPACTED;
    }
    if (is_used_up(r) || (r->watch != NULL && r->watch != watch)) {
        return WATCH_AGAIN;
    }
    if (r->watch == NULL) {
        begin_reading(kv, watch);
    }
    r->watch = NULL;
    stop = watch->spot->span.single ? read_key(kv, watch) : read_range(kv, watch);
    switch (stop) {
    case STOP_END:
        return caught_up(kv, watch, out);
    case STOP_FULL:
    case STOP_BUDGET:
        return stopped(kv, watch, out);
    case STOP_TOO_LARGE:
        return r->gather.whole > 0 ? stopped(kv, watch, out) : WATCH_TOO_LARGE;
    case STOP_FAILED:
        break;
    }
    return WATCH_AGAIN;
}

void watch_begin_turn(struct kv *kv)
{
    kv->watches.reading.rows_left = LIMIT_WATCH_ROWS;
    kv->watches.reading.bytes_left = LIMIT_WATCH_ROW_BYTES;
}
