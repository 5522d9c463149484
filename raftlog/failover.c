#include "raftlog/failover.h"

#include "base/check.h"
#include "base/log.h"
#include "raftlog/core.h"

#define TRIES      3
#define NOTICE_MS  6  /* in which the others, too, find the leader gone */
#define STAGGER_MS 30 /* a vote, with two syncs of the disk, fits in */

/* The voters that are left take turns in the order of their ids. */
static uint64_t rank(const struct raftlog *log)
{
    uint64_t lower = 0;

    for (size_t i = 0; i < log->n_peers; i++) {
        uint64_t id = log->peers[i].id;

        lower += id < log->id && id != log->failover.gone;
    }
    return lower;
}

void failover_refused(struct raftlog *log, uint64_t member)
{
    struct failover *failover = &log->failover;

    if (log->role != RAFTLOG_FOLLOWER || core_leader(log) != member ||
        failover->gone == member) {
        return;
    }
    log_info("the leader's process is gone", LOG_HEX("leader", member));
    failover->gone = member;
    failover->tries = TRIES;
    failover->due_ms = env_mono_ms(log->env) + NOTICE_MS + rank(log) * STAGGER_MS;
    log->dirty = true;
}

void failover_alive(struct raftlog *log, uint64_t member)
{
    if (log->failover.gone == member) {
        log->failover.gone = 0;
    }
}

void failover_permit(const struct raftlog *log, struct raft_request_vote *vote)
{
    bool gone = log->failover.gone != 0 && core_leader(log) == log->failover.gone;
    bool forgotten = log->role == RAFTLOG_FOLLOWER && core_leader(log) == 0;

    if (gone || forgotten) {
        vote->disrupt_leader = true;
    }
}

/* With entries on the way to the disk libraft would only start its timer anew. */
static bool can_try(const struct raftlog *log)
{
    return log->failover.gone != 0 && log->failover.tries > 0 && !core_barred(log) &&
           log->raft.last_stored == store_last_index(log->store);
}

void failover_turn(struct raftlog *log)
{
    struct failover *failover = &log->failover;
    uint64_t leader = core_leader(log);
    uint64_t now_ms = env_mono_ms(log->env);
    uint64_t timer_ms;

    if (leader != 0 && leader != failover->gone) {
        failover->gone = 0;
    }
    if (!can_try(log) || now_ms < failover->due_ms) {
        return;
    }
    CHECK(log->role != RAFTLOG_LEADER);
    failover->tries--;
    failover->due_ms = now_ms + log->n_peers * STAGGER_MS;
    timer_ms = raft_timeout(&log->raft);
    if (timer_ms > failover_now_ms(log)) {
        failover->ahead_ms = timer_ms - now_ms;
    }
}

uint64_t failover_deadline_ms(const struct raftlog *log)
{
    return can_try(log) ? log->failover.due_ms : UINT64_MAX;
}

uint64_t failover_now_ms(const struct raftlog *log)
{
    return env_mono_ms(log->env) + log->failover.ahead_ms;
}

uint64_t failover_mono_ms(const struct raftlog *log, uint64_t raft_ms)
{
    uint64_t ahead_ms = log->failover.ahead_ms;

    return raft_ms > ahead_ms ? raft_ms - ahead_ms : 0;
}
