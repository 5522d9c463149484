#include "raftlog/truncate.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/minmax.h"
#include "raftlog/core.h"

/* The anchor is made durable each time, so it moves in steps of this part of what stays.
 */
#define STEP_PART 4

/* Of a disk's segments, which are small where there is little room (store.c): a sixteenth
 * and a quarter of what was free. */
#define HOLD_SEGMENTS   64
#define STREAM_SEGMENTS 256

void truncate_open(struct raftlog *log, const struct raftlog_options *options)
{
    log->truncate.keep_entries =
        options->keep_entries > 0 ? options->keep_entries : LIMIT_LOG_KEEP_ENTRIES;
    log->truncate.hold_entries =
        options->hold_entries > 0 ? options->hold_entries : LIMIT_LOG_HOLD_ENTRIES;
    log->truncate.hold_bytes =
        options->hold_bytes > 0 ? options->hold_bytes : LIMIT_LOG_HOLD_BYTES;
}

void raftlog_hold(struct raftlog *log, uint64_t index)
{
    log->truncate.fetched = index;
}

/* ---- what stays ---- */

/* The entry behind which so many entries lie, no more than so many bytes, and no more
 * than so many segments. At least one entry lies behind it. */
static uint64_t leave(const struct raftlog *log, uint64_t entries, uint64_t bytes,
                      uint64_t segments)
{
    uint64_t last = store_last_index(log->store);
    uint64_t held = last - store_get_anchor(log->store)->index;
    struct store_stats stats;
    uint64_t average;

    store_get_stats(log->store, &stats);
    average = stats.bytes / (held > 0 ? held : 1);
    bytes = u64_min(bytes, segments * stats.segment);
    entries = u64_max(u64_min(entries, bytes / (average + 1)), 1);
    return last > entries ? last - entries : 0;
}

static uint64_t leave_recent(const struct raftlog *log)
{
    return leave(log, log->truncate.keep_entries, LIMIT_LOG_KEEP_BYTES, HOLD_SEGMENTS);
}

/* What somebody who fetches a state here will need. */
static uint64_t leave_fetched(const struct raftlog *log)
{
    if (log->truncate.fetched == 0) {
        return UINT64_MAX;
    }
    return u64_max(log->truncate.fetched,
                   leave(log, UINT64_MAX, LIMIT_LOG_HOLD_STREAM, STREAM_SEGMENTS));
}

static uint64_t lowest_match(const struct raftlog *log)
{
    uint64_t lowest = core_stored(log);

    for (size_t i = 0; i < log->n_peers; i++) {
        lowest = u64_min(lowest, raftlog_match(log, log->peers[i].id));
    }
    return lowest;
}

/* What the leader can spare for the others. */
static uint64_t leave_lacking(const struct raftlog *log)
{
    const struct truncate *truncate = &log->truncate;
    uint64_t most =
        leave(log, truncate->hold_entries, truncate->hold_bytes, HOLD_SEGMENTS);

    return u64_max(lowest_match(log), most);
}

/* ---- truncation ---- */

static void drop_prefix(struct raftlog *log, uint64_t index)
{
    struct store_anchor anchor =
        core_anchor(log, index, store_term_of(log->store, index));

    CHECK(anchor.term != 0);
    FAILPOINT(LOG_TRUNCATE);
    core_truncated(log, index);
    store_truncate_prefix(log->store, &anchor);
}

void truncate_heard(struct raftlog *log, uint64_t may_go)
{
    log->truncate.may_go = u64_max(log->truncate.may_go, may_go);
}

void truncate_turn(struct raftlog *log)
{
    struct truncate *truncate = &log->truncate;
    uint64_t first = store_get_anchor(log->store)->index + 1;
    uint64_t recent;
    uint64_t kept;
    uint64_t upto;

    if (install_pauses(log)) {
        return;
    }
    if (log->role == RAFTLOG_LEADER) {
        truncate_heard(log, u64_min(leave_lacking(log), leave_fetched(log)));
    }
    upto = u64_min(u64_min(truncate->may_go, core_stored(log)),
                   u64_min(truncate->durable, log->applied));
    if (upto < first) {
        return;
    }
    recent = leave_recent(log);
    kept = store_last_index(log->store) - recent;
    upto = u64_min(upto, u64_min(leave_fetched(log), recent));
    if (upto >= first + kept / STEP_PART) {
        drop_prefix(log, upto);
    }
}
