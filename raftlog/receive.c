/* Frames of other members become libraft's messages.
 *
 * Happy path: the frame's type picks a function, which checks every field that libraft
 * takes for granted, fills the message and steps it; probes and questions about reads are
 * answered here. Frames that make no sense - from strangers, with indexes out of range,
 * of entries whose terms fall - are dropped and counted: consensus asks again if it
 * mattered. */
#include <string.h>

#include "base/check.h"
#include "peer.pb-c.h"
#include "raftlog/core.h"
#include "raftlog/link.h"

/* Far from where sums of indexes would wrap. */
#define INDEX_MAX ((uint64_t)1 << 62)

/* False: the frame makes no sense. */
typedef bool (*receive_fn)(struct raftlog *log, struct peer *peer,
                           const ProtobufCMessage *frame);

static struct raft_message message_from(const struct peer *peer,
                                        enum raft_message_type type)
{
    return (struct raft_message){
        .type = type, .server_id = peer->id, .server_address = peer->address};
}

static bool receive_vote_request(struct raftlog *log, struct peer *peer,
                                 const ProtobufCMessage *frame)
{
    const Kvd__Peer__RequestVote *vote = (const Kvd__Peer__RequestVote *)frame;
    struct raft_message message = message_from(peer, RAFT_REQUEST_VOTE);

    if (vote->candidate_id != peer->id || vote->term == 0 || vote->term > INDEX_MAX) {
        return false;
    }
    message.request_vote = (struct raft_request_vote){
        .version = 2,
        .term = vote->term,
        .candidate_id = vote->candidate_id,
        .last_log_index = vote->last_log_index,
        .last_log_term = vote->last_log_term,
        .disrupt_leader = vote->disrupt_leader,
        .pre_vote = vote->pre_vote,
    };
    failover_permit(log, &message.request_vote);
    core_receive(log, &message);
    return true;
}

static bool receive_vote_result(struct raftlog *log, struct peer *peer,
                                const ProtobufCMessage *frame)
{
    const Kvd__Peer__RequestVoteResult *result =
        (const Kvd__Peer__RequestVoteResult *)frame;
    struct raft_message message = message_from(peer, RAFT_REQUEST_VOTE_RESULT);

    if (result->term == 0 || result->term > INDEX_MAX) {
        return false;
    }
    message.request_vote_result = (struct raft_request_vote_result){
        .version = 2,
        .term = result->term,
        .vote_granted = result->vote_granted,
        .pre_vote = result->pre_vote,
    };
    if (guard_admit(&log->guard, &log->raft, &message)) {
        core_receive(log, &message);
    }
    return true;
}

static bool entry_valid(const Kvd__Peer__Entry *entry)
{
    struct raft_configuration configuration;

    switch (entry->type) {
    case RAFTLOG_COMMAND:
        return entry->payload.len <= LIMIT_ENTRY_BYTES;
    case RAFTLOG_NOOP:
        return entry->payload.len == 0;
    case RAFTLOG_CHANGE:
        if (!member_decode(slice_of(entry->payload.data, entry->payload.len),
                           &configuration)) {
            return false;
        }
        raft_configuration_close(&configuration);
        return true;
    }
    return false;
}

/* Fills the two arrays of log with the frame's entries. */
static bool take_entries(struct raftlog *log, const Kvd__Peer__AppendEntries *append)
{
    for (size_t i = 0; i < append->n_entries; i++) {
        const Kvd__Peer__Entry *entry = append->entries[i];

        if (!entry_valid(entry)) {
            return false;
        }
        log->entries_raft[i] = (struct raft_entry){
            .term = entry->term,
            .type = (enum raft_entry_type)entry->type,
            .buf = {.base = entry->payload.data, .len = entry->payload.len},
        };
        log->entries_full[i] = (struct raftlog_entry){
            .type = (enum raftlog_entry_type)entry->type,
            .cluster_ms = entry->cluster_ms,
            .wall_ms = entry->wall_ms,
            .payload = slice_of(entry->payload.data, entry->payload.len),
        };
    }
    return true;
}

/* No room for them: who leads is taken note of, but not what he sends. The commit index
 * must not pass what he has just said to be the same in both logs. */
static void leave_entries(struct raft_append_entries *append)
{
    append->n_entries = 0;
    if (append->leader_commit > append->prev_log_index) {
        append->leader_commit = append->prev_log_index;
    }
}

static bool receive_append(struct raftlog *log, struct peer *peer,
                           const ProtobufCMessage *frame)
{
    const Kvd__Peer__AppendEntries *append = (const Kvd__Peer__AppendEntries *)frame;
    struct raft_message message = message_from(peer, RAFT_APPEND_ENTRIES);
    struct pending pending = {.raft = log->entries_raft,
                              .full = log->entries_full,
                              .n = (unsigned)append->n_entries};
    bool full = log->rest & RAFTLOG_REST_ENTRIES && append->n_entries > 0;

    if (append->term == 0 || append->term > INDEX_MAX ||
        append->prev_log_index > INDEX_MAX || append->leader_commit > INDEX_MAX ||
        append->n_entries > LIMIT_CHUNK_ENTRIES || !take_entries(log, append)) {
        return false;
    }
    if (store_backlog(log->store) > LIMIT_UNCOMMITTED_BYTES) {
        return true; /* the disk is behind: the leader will send it again */
    }
    message.append_entries = (struct raft_append_entries){
        .term = append->term,
        .prev_log_index = append->prev_log_index,
        .prev_log_term = append->prev_log_term,
        .leader_commit = append->leader_commit,
        .entries = log->entries_raft,
        .n_entries = (unsigned)append->n_entries,
    };
    if (full) {
        leave_entries(&message.append_entries);
    }
    if (!guard_admit(&log->guard, &log->raft, &message)) {
        return false;
    }
    log->quiet = full;
    core_receive_append(log, &message, &pending);
    log->quiet = false;
    if (core_leader(log) == peer->id && append->term == log->raft.current_term) {
        failover_alive(log, peer->id);
        install_heard(log);
        truncate_heard(log, append->truncate_to);
    }
    return true;
}

static bool receive_append_result(struct raftlog *log, struct peer *peer,
                                  const ProtobufCMessage *frame)
{
    const Kvd__Peer__AppendEntriesResult *result =
        (const Kvd__Peer__AppendEntriesResult *)frame;
    struct raft_message message = message_from(peer, RAFT_APPEND_ENTRIES_RESULT);

    if (result->term == 0 || result->term > INDEX_MAX || result->rejected > INDEX_MAX ||
        result->last_log_index > INDEX_MAX) {
        return false;
    }
    message.append_entries_result = (struct raft_append_entries_result){
        .version = 2,
        .term = result->term,
        .rejected = result->rejected,
        .last_log_index = result->last_log_index,
    };
    if (!guard_admit(&log->guard, &log->raft, &message)) {
        return true;
    }
    core_receive(log, &message);
    if (log->role != RAFTLOG_LEADER || result->term != log->lead_term) {
        return true;
    }
    if (result->rejected > 0) {
        replicate_rejected(log, peer, result->rejected, result->last_log_index,
                           result->last_log_term);
    } else {
        replicate_acknowledged(log, peer, result->last_log_index);
    }
    return true;
}

static bool receive_timeout_now(struct raftlog *log, struct peer *peer,
                                const ProtobufCMessage *frame)
{
    const Kvd__Peer__TimeoutNow *timeout = (const Kvd__Peer__TimeoutNow *)frame;
    struct raft_message message = message_from(peer, RAFT_TIMEOUT_NOW);

    if (timeout->term == 0 || timeout->term > INDEX_MAX) {
        return false;
    }
    if (core_barred(log)) {
        return true; /* he will find another one */
    }
    message.timeout_now = (struct raft_timeout_now){
        .term = timeout->term,
        .last_log_index = timeout->last_log_index,
        .last_log_term = timeout->last_log_term,
    };
    core_receive(log, &message);
    return true;
}

static bool receive_need_state(struct raftlog *log, struct peer *peer,
                               const ProtobufCMessage *frame)
{
    const Kvd__Peer__NeedState *need = (const Kvd__Peer__NeedState *)frame;

    if (need->at_least == 0 || need->at_least > INDEX_MAX) {
        return false;
    }
    if (log->role == RAFTLOG_FOLLOWER && core_leader(log) == peer->id &&
        need->term == log->raft.current_term) {
        install_told(log, need->at_least);
    }
    return true;
}

static bool receive_probe(struct raftlog *log, struct peer *peer,
                          const ProtobufCMessage *frame)
{
    const Kvd__Peer__TermProbe *probe = (const Kvd__Peer__TermProbe *)frame;
    Kvd__Peer__TermProbeResult result = KVD__PEER__TERM_PROBE_RESULT__INIT;

    result.term = log->raft.current_term;
    result.round = probe->round;
    outbox_put(&log->outbox, peer->id, LINK_TERM_PROBE_RESULT, &result.base);
    log->dirty = true;
    return true;
}

static bool receive_probe_result(struct raftlog *log, struct peer *peer,
                                 const ProtobufCMessage *frame)
{
    const Kvd__Peer__TermProbeResult *result = (const Kvd__Peer__TermProbeResult *)frame;

    readindex_probe_answered(log, peer, result->term, result->round);
    return true;
}

static bool receive_read_index(struct raftlog *log, struct peer *peer,
                               const ProtobufCMessage *frame)
{
    readindex_remote(log, peer->id, ((const Kvd__Peer__ReadIndex *)frame)->sequence);
    return true;
}

static bool receive_read_index_result(struct raftlog *log, struct peer *peer,
                                      const ProtobufCMessage *frame)
{
    const Kvd__Peer__ReadIndexResult *result = (const Kvd__Peer__ReadIndexResult *)frame;

    readindex_remote_answered(log, peer->id, result->sequence, result->index,
                              result->not_leader);
    return true;
}

static const receive_fn receivers[] = {
    [LINK_REQUEST_VOTE] = receive_vote_request,
    [LINK_REQUEST_VOTE_RESULT] = receive_vote_result,
    [LINK_APPEND_ENTRIES] = receive_append,
    [LINK_APPEND_ENTRIES_RESULT] = receive_append_result,
    [LINK_TIMEOUT_NOW] = receive_timeout_now,
    [LINK_TERM_PROBE] = receive_probe,
    [LINK_TERM_PROBE_RESULT] = receive_probe_result,
    [LINK_READ_INDEX] = receive_read_index,
    [LINK_READ_INDEX_RESULT] = receive_read_index_result,
    [LINK_NEED_STATE] = receive_need_state,
};

void raftlog_receive(struct raftlog *log, uint64_t from, const struct link_frame *frame)
{
    struct peer *peer = core_find_peer(log, from);
    size_t type = (size_t)frame->type;

    if (peer == NULL || type >= ARRAY_LEN(receivers) || receivers[type] == NULL ||
        !receivers[type](log, peer, frame->message)) {
        log->dropped_frames++;
    }
}
