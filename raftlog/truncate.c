#include "raftlog/truncate.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "raftlog/core.h"

/* The anchor is made durable each time, so it moves in steps of this part of what stays.
 */
#define STEP_PART 4

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t lowest_match(const struct raftlog *log)
{
    uint64_t lowest = core_stored(log);

    for (size_t i = 0; i < log->n_peers; i++) {
        lowest = lower(lowest, raftlog_match(log, log->peers[i].id));
    }
    return lowest;
}

/* How many recent entries stay: fewer when they are large. At least one stays always. */
static uint64_t entries_kept(const struct raftlog *log)
{
    struct store_stats stats;
    uint64_t held = store_last_index(log->store) - store_get_anchor(log->store)->index;
    uint64_t average;
    uint64_t keep;

    store_get_stats(log->store, &stats);
    average = stats.bytes / (held > 0 ? held : 1);
    keep = lower(log->truncate.keep_entries, LIMIT_LOG_KEEP_BYTES / (average + 1));
    return keep > 0 ? keep : 1;
}

static void drop_prefix(struct raftlog *log, uint64_t index)
{
    struct store_anchor anchor = {
        .index = index,
        .term = store_term_of(log->store, index),
        .configuration = slice_of(log->configuration.base, log->configuration.len),
        .configuration_index = 1,
    };

    CHECK(anchor.term != 0);
    FAILPOINT(LOG_TRUNCATE);
    core_truncated(log, index);
    store_truncate_prefix(log->store, &anchor);
}

void truncate_heard(struct raftlog *log, uint64_t stored_by_all)
{
    if (stored_by_all > log->truncate.stored_by_all) {
        log->truncate.stored_by_all = stored_by_all;
    }
}

void truncate_turn(struct raftlog *log)
{
    struct truncate *truncate = &log->truncate;
    uint64_t first = store_get_anchor(log->store)->index + 1;
    uint64_t last = store_last_index(log->store);
    uint64_t upto;
    uint64_t keep;

    if (log->role == RAFTLOG_LEADER) {
        truncate_heard(log, lowest_match(log));
    }
    upto = lower(lower(truncate->stored_by_all, core_stored(log)),
                 lower(truncate->durable, log->applied));
    if (upto < first) {
        return;
    }
    keep = entries_kept(log);
    if (last <= keep) {
        return;
    }
    upto = lower(upto, last - keep);
    if (upto >= first + keep / STEP_PART) {
        drop_prefix(log, upto);
    }
}
