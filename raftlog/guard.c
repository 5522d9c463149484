#include "raftlog/guard.h"

#include "base/check.h"
#include "raftlog/raftlog.h"

static bool off(const struct guard *guard, enum raftlog_plant plant)
{
    return (guard->plants & (unsigned)plant) != 0;
}

static bool admit_append(const struct raft *raft,
                         const struct raft_append_entries *append)
{
    raft_term term = append->prev_log_term;

    /* A leader meets an AppendEntries of its own term only if there are two leaders. */
    if (append->term == raft->current_term && raft->state == RAFT_LEADER) {
        return false;
    }
    if ((append->prev_log_index == 0) != (append->prev_log_term == 0)) {
        return false;
    }
    for (unsigned i = 0; i < append->n_entries; i++) {
        if (append->entries[i].term < term || append->entries[i].term == 0) {
            return false;
        }
        term = append->entries[i].term;
    }
    return term <= append->term;
}

static bool admit_append_result(const struct guard *guard, const struct raft *raft,
                                raft_id from, struct raft_append_entries_result *result)
{
    raft_index match;

    if (off(guard, RAFTLOG_PLANT_NO_R4) || result->rejected == 0 ||
        result->term != raft->current_term || raft_match_index(raft, from, &match) != 0) {
        return true;
    }
    if (result->rejected <= match) {
        return false;
    }
    if (result->last_log_index < match) {
        result->last_log_index = match;
    }
    return true;
}

/* Only what install.c makes, and when libraft has no reason to ignore it: where it does,
 * who owns what the message carries differs from path to path. */
static bool admit_install(const struct raft *raft, raft_id from,
                          const struct raft_install_snapshot *install)
{
    return raft->state == RAFT_FOLLOWER && install->term == raft->current_term &&
           raft->follower_state.current_leader.id == from && !raft->snapshot.installing &&
           install->last_index > raft->trail.snapshot.index &&
           install->last_index > raft->commit_index;
}

bool guard_admit(const struct guard *guard, const struct raft *raft,
                 struct raft_message *message)
{
    switch (message->type) {
    case RAFT_APPEND_ENTRIES:
        return admit_append(raft, &message->append_entries);
    case RAFT_APPEND_ENTRIES_RESULT:
        return admit_append_result(guard, raft, message->server_id,
                                   &message->append_entries_result);
    case RAFT_REQUEST_VOTE_RESULT:
        /* libraft looks at fields of a candidate before it asks whether it is one. */
        return raft->state == RAFT_CANDIDATE;
    case RAFT_REQUEST_VOTE:
    case RAFT_TIMEOUT_NOW:
        return true;
    case RAFT_INSTALL_SNAPSHOT:
        return admit_install(raft, message->server_id, &message->install_snapshot);
    }
    return false;
}

void guard_strip(const struct guard *guard, const struct raft *raft,
                 struct raft_append_entries *append)
{
    raft_index anchor = raft->trail.snapshot.index;
    raft_index covered;

    if (off(guard, RAFTLOG_PLANT_NO_R1) || append->term < raft->current_term ||
        append->prev_log_index >= anchor) {
        return;
    }
    covered = anchor - append->prev_log_index;
    if (covered > append->n_entries) {
        covered = append->n_entries;
    }
    append->entries += covered;
    append->n_entries -= (unsigned)covered;
    append->prev_log_index = anchor;
    append->prev_log_term = raft->trail.snapshot.term;
}

unsigned guard_split(const struct guard *guard, const struct raft_entry *entries,
                     unsigned n)
{
    CHECK(n > 0);
    if (off(guard, RAFTLOG_PLANT_NO_R2)) {
        return n;
    }
    for (unsigned i = 1; i < n; i++) {
        if (entries[i].type == RAFT_CHANGE) {
            return i;
        }
    }
    return n;
}

void guard_before(struct guard *guard, const struct raft *raft,
                  const struct raft_event *event)
{
    const struct raft_message *message = event->receive.message;

    guard->stale_append = false;
    guard->low_pre_vote = false;
    if (event->type != RAFT_RECEIVE) {
        return;
    }
    if (message->type == RAFT_APPEND_ENTRIES) {
        guard->stale_append = message->append_entries.term < raft->current_term;
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        guard->stale_append = message->install_snapshot.term < raft->current_term;
    } else if (message->type == RAFT_REQUEST_VOTE) {
        guard->low_pre_vote = message->request_vote.pre_vote &&
                              message->request_vote.term < raft->current_term;
    }
}

static void correct_reply(const struct guard *guard, const struct raft *raft,
                          struct raft_message *message)
{
    struct raft_append_entries_result *result = &message->append_entries_result;

    if (message->type == RAFT_APPEND_ENTRIES_RESULT && guard->stale_append &&
        !off(guard, RAFTLOG_PLANT_NO_R3)) {
        result->last_log_index = result->rejected > 0 ? result->rejected - 1 : 0;
    } else if (message->type == RAFT_REQUEST_VOTE_RESULT && guard->low_pre_vote &&
               !off(guard, RAFTLOG_PLANT_NO_R6)) {
        message->request_vote_result.term = raft->current_term;
    }
}

void guard_after(struct guard *guard, struct raft *raft, struct raft_update *update)
{
    if (update->flags & RAFT_UPDATE_MESSAGES) {
        for (unsigned i = 0; i < update->messages.n; i++) {
            correct_reply(guard, raft, &update->messages.batch[i]);
        }
    }
    if (raft->commit_index > guard->commit &&
        (!raft->snapshot.installing || off(guard, RAFTLOG_PLANT_NO_R9))) {
        guard->commit = raft->commit_index;
    } else if (!off(guard, RAFTLOG_PLANT_NO_R9)) {
        raft->commit_index = guard->commit;
    }
}

bool guard_must_raise_term(const struct guard *guard,
                           const struct raft_configuration *configuration, uint64_t id)
{
    bool votes = false;
    unsigned voters = 0;

    for (unsigned i = 0; i < configuration->n; i++) {
        if (configuration->servers[i].role == RAFT_VOTER) {
            voters++;
            votes = votes || configuration->servers[i].id == id;
        }
    }
    return votes && voters == 1 && !off(guard, RAFTLOG_PLANT_NO_R5);
}

bool guard_settled(const struct guard *guard, const struct raft *raft,
                   uint64_t commit_term)
{
    return raft->state == RAFT_LEADER &&
           (commit_term == raft->current_term || off(guard, RAFTLOG_PLANT_NO_R8));
}
