#include "raftlog/propose.h"

#include "base/check.h"
#include "base/limits.h"
#include "raftlog/core.h"

/* What an entry costs beside its payload, so that empty ones are bounded too. */
#define ENTRY_OVERHEAD 64

void propose_lead(struct raftlog *log)
{
    struct propose *propose = &log->propose;
    struct raftlog_entry last = {.index = store_last_index(log->store),
                                 .cluster_ms = log->taken_cluster_ms};

    if (last.index > store_get_anchor(log->store)->index) {
        store_get(log->store, last.index, &last);
    } /* else the log is empty behind an installed state, which was taken */
    *propose = (struct propose){
        .cluster_ms = last.cluster_ms + propose->led_ms,
        .looked_ms = env_mono_ms(log->env),
        .base_index = last.index,
    };
}

/* Time between two looks at the monotonic clock, as far as it counts. */
static uint64_t gap_ms(const struct raftlog *log, uint64_t looked_ms)
{
    uint64_t gap = env_mono_ms(log->env) - looked_ms;

    CHECK(env_mono_ms(log->env) >= looked_ms);
    return gap < log->election_ms ? gap : log->election_ms;
}

void propose_heard(struct raftlog *log, bool entries)
{
    struct propose *propose = &log->propose;

    if (propose->heard_term == log->raft.current_term) {
        propose->led_ms += gap_ms(log, propose->heard_ms);
    }
    if (entries) {
        propose->led_ms = 0;
    }
    propose->heard_term = log->raft.current_term;
    propose->heard_ms = env_mono_ms(log->env);
}

uint64_t propose_cluster_ms(const struct raftlog *log)
{
    return log->propose.cluster_ms + gap_ms(log, log->propose.looked_ms);
}

void propose_turn(struct raftlog *log)
{
    log->propose.cluster_ms = propose_cluster_ms(log);
    log->propose.looked_ms = env_mono_ms(log->env);
}

void propose_stamp(struct raftlog *log, struct raftlog_entry *entry)
{
    propose_turn(log);
    entry->cluster_ms = log->propose.cluster_ms;
    entry->wall_ms = env_wall_ms(log->env);
}

void propose_noop(struct raftlog *log)
{
    struct raftlog_entry entry = {.type = RAFTLOG_NOOP};
    bool taken;

    propose_stamp(log, &entry);
    taken = core_submit(log, &entry);
    CHECK(taken);
}

void propose_taken(struct raftlog *log, const struct raftlog_entry *entry)
{
    struct propose *propose = &log->propose;

    if (log->role == RAFTLOG_LEADER && entry->index > propose->base_index &&
        entry->type == RAFTLOG_COMMAND) {
        CHECK(propose->waiting_bytes >= entry->payload.len + ENTRY_OVERHEAD);
        propose->waiting_bytes -= entry->payload.len + ENTRY_OVERHEAD;
    }
}

int raftlog_propose(struct raftlog *log, struct slice payload, uint64_t *index)
{
    struct raftlog_entry entry = {.type = RAFTLOG_COMMAND, .payload = payload};
    struct propose *propose = &log->propose;

    if (log->role != RAFTLOG_LEADER || log->rest & RAFTLOG_REST_ENTRIES) {
        return ERR_NOT_LEADER;
    }
    if (payload.len > LIMIT_ENTRY_BYTES) {
        return ERR_TOO_BIG;
    }
    if (propose->waiting_bytes + payload.len + ENTRY_OVERHEAD > LIMIT_UNCOMMITTED_BYTES ||
        log->commit > log->applied + LIMIT_APPLY_LAG) {
        return ERR_FULL;
    }
    propose_stamp(log, &entry);
    if (!core_submit(log, &entry)) {
        return ERR_NOT_LEADER;
    }
    propose->waiting_bytes += payload.len + ENTRY_OVERHEAD;
    *index = entry.index;
    log->dirty = true;
    return 0;
}
