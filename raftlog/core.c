#include "raftlog/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "peer.pb-c.h"

_Static_assert((int)RAFTLOG_COMMAND == (int)RAFT_COMMAND, "entry types are libraft's");
_Static_assert((int)RAFTLOG_NOOP == (int)RAFT_BARRIER, "entry types are libraft's");
_Static_assert((int)RAFTLOG_CHANGE == (int)RAFT_CHANGE, "entry types are libraft's");
_Static_assert(RAFT_VERSION_NUMBER == 2201,
               "guards and memory rules fit this version only");

/* ---- what happened ---- */

static enum raftlog_role role_of(const struct raft *raft)
{
    switch (raft->state) {
    case RAFT_LEADER:
        return RAFTLOG_LEADER;
    case RAFT_CANDIDATE:
        return RAFTLOG_CANDIDATE;
    default:
        return RAFTLOG_FOLLOWER;
    }
}

static void act_vote(struct raftlog *log)
{
    store_set_vote(log->store, log->raft.current_term, log->raft.voted_for);
}

/* Begins a leadership before the first entry of its term, which libraft may have appended
 * in the same step, is stamped and sent. */
static void act_role(struct raftlog *log)
{
    enum raftlog_role role = role_of(&log->raft);

    if (log->role == RAFTLOG_CANDIDATE && role == RAFTLOG_FOLLOWER) {
        log->elections++;
    }
    log->role = role;
    if (role == RAFTLOG_LEADER && log->lead_term != log->raft.current_term) {
        log->elections++;
        log->lead_term = log->raft.current_term;
        propose_lead(log);
        replicate_lead(log);
        readindex_lead(log);
    }
}

/* The entries of an update are those given to the step, from some position on, or
 * libraft's own first entry of a term. */
static void act_entries(struct raftlog *log, const struct raft_update *update,
                        const struct pending *given)
{
    const struct raft_entry *batch = update->entries.batch;
    bool ours = given != NULL && batch >= given->raft && batch < given->raft + given->n;

    if (update->entries.index <= store_last_index(log->store)) {
        CHECK(update->entries.index > log->commit);
        store_truncate_suffix(log->store, update->entries.index);
    }
    for (unsigned i = 0; i < update->entries.n; i++) {
        struct raftlog_entry entry = {.type = RAFTLOG_NOOP};

        if (ours) {
            entry = given->full[batch + i - given->raft];
        } else {
            CHECK(batch[i].type == RAFT_BARRIER);
            propose_stamp(log, &entry);
        }
        entry.index = update->entries.index + i;
        entry.term = batch[i].term;
        store_append(log->store, &entry);
    }
    raft_free(batch[0].batch);
}

/* A state takes the place of the whole log. */
static void act_snapshot(struct raftlog *log, struct raft_snapshot_metadata *metadata)
{
    struct store_anchor anchor = core_anchor(log, metadata->index, metadata->term);

    CHECK(metadata->index > log->commit);
    store_truncate_prefix(log->store, &anchor);
    raft_configuration_close(&metadata->configuration);
}

static void put_vote_request(struct raftlog *log, const struct raft_message *message)
{
    const struct raft_request_vote *vote = &message->request_vote;
    Kvd__Peer__RequestVote frame = KVD__PEER__REQUEST_VOTE__INIT;

    frame.term = vote->term;
    frame.candidate_id = vote->candidate_id;
    frame.last_log_index = vote->last_log_index;
    frame.last_log_term = vote->last_log_term;
    frame.disrupt_leader = vote->disrupt_leader;
    frame.pre_vote = vote->pre_vote;
    outbox_put(&log->outbox, message->server_id, LINK_REQUEST_VOTE, &frame.base);
}

static void put_vote_result(struct raftlog *log, const struct raft_message *message)
{
    Kvd__Peer__RequestVoteResult frame = KVD__PEER__REQUEST_VOTE_RESULT__INIT;

    frame.term = message->request_vote_result.term;
    frame.vote_granted = message->request_vote_result.vote_granted;
    frame.pre_vote = message->request_vote_result.pre_vote;
    outbox_put(&log->outbox, message->server_id, LINK_REQUEST_VOTE_RESULT, &frame.base);
}

static void put_append_result(struct raftlog *log, const struct raft_message *message)
{
    const struct raft_append_entries_result *result = &message->append_entries_result;
    Kvd__Peer__AppendEntriesResult frame = KVD__PEER__APPEND_ENTRIES_RESULT__INIT;

    frame.term = result->term;
    frame.rejected = result->rejected;
    frame.last_log_index = result->last_log_index;
    if (result->rejected > 0 && result->last_log_index > 0) {
        frame.last_log_term = store_term_of(log->store, result->last_log_index);
    }
    outbox_put(&log->outbox, message->server_id, LINK_APPEND_ENTRIES_RESULT, &frame.base);
}

static void put_timeout_now(struct raftlog *log, const struct raft_message *message)
{
    Kvd__Peer__TimeoutNow frame = KVD__PEER__TIMEOUT_NOW__INIT;

    frame.term = message->timeout_now.term;
    frame.last_log_index = message->timeout_now.last_log_index;
    frame.last_log_term = message->timeout_now.last_log_term;
    outbox_put(&log->outbox, message->server_id, LINK_TIMEOUT_NOW, &frame.base);
}

static void act_message(struct raftlog *log, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_APPEND_ENTRIES:
        replicate_ask(log, message->server_id, message->append_entries.prev_log_index,
                      message->append_entries.n_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        if (!log->quiet) {
            put_append_result(log, message);
        }
        break;
    case RAFT_REQUEST_VOTE:
        if (!core_barred(log)) {
            put_vote_request(log, message);
        }
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        put_vote_result(log, message);
        break;
    case RAFT_TIMEOUT_NOW:
        put_timeout_now(log, message);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        /* Whether it lacks a state shows its answer to an AppendEntries. */
        replicate_ask(log, message->server_id, message->install_snapshot.last_index, 0);
        break;
    }
}

static void act(struct raftlog *log, struct raft_update *update,
                const struct pending *given)
{
    if (update->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) {
        act_vote(log);
    }
    act_role(log);
    if (update->flags & RAFT_UPDATE_ENTRIES) {
        act_entries(log, update, given);
    }
    if (update->flags & RAFT_UPDATE_SNAPSHOT) {
        act_snapshot(log, &update->snapshot.metadata);
    }
    if (update->flags & RAFT_UPDATE_MESSAGES) {
        for (unsigned i = 0; i < update->messages.n; i++) {
            act_message(log, &update->messages.batch[i]);
        }
    }
    CHECK(store_last_index(log->store) == raft_last_index(&log->raft) ||
          store_is_dead(log->store));
    CHECK(log->raft.commit_index >= log->commit);
    log->commit = log->raft.commit_index;
    log->dirty = true;
}

/* ---- steps ---- */

/* 0, or libraft's refusal. */
static int step(struct raftlog *log, struct raft_event *event,
                const struct pending *given)
{
    struct raft_update update;
    int rc;

    event->time = failover_now_ms(log);
    event->capacity = 0;
    guard_before(&log->guard, &log->raft, event);
    rc = raft_step(&log->raft, event, &update);
    if (rc != 0) {
        return rc;
    }
    guard_after(&log->guard, &log->raft, &update);
    act(log, &update, given);
    if (log->role == RAFTLOG_LEADER && !store_is_dead(log->store) &&
        store_term_of(log->store, store_last_index(log->store)) != log->lead_term) {
        propose_noop(log);
    }
    return 0;
}

static void must_step(struct raftlog *log, struct raft_event *event,
                      const struct pending *given)
{
    int rc = step(log, event, given);

    if (rc != 0) {
        char text[ERR_TEXT_MAX];

        (void)snprintf(text, sizeof(text),
                       "member %016" PRIx64 " stops: its log contradicts what the others "
                       "committed (step %d: %s); re-seed it from the others",
                       log->id, (int)event->type, raft_strerror(rc));
        env_fatal(log->env, text);
    }
}

/* What START wants to know of an entry: its term, and the configuration at entry 1. */
static void describe_entries(const struct raftlog *log, uint64_t first,
                             struct raft_entry *entries, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        entries[i] = (struct raft_entry){.term = store_term_of(log->store, first + i),
                                         .type = RAFT_COMMAND};
    }
    if (first == 1 && n > 0) {
        entries[0].type = RAFT_CHANGE;
        entries[0].buf = log->configuration;
    }
}

void core_start(struct raftlog *log)
{
    const struct store_anchor *anchor = store_get_anchor(log->store);
    uint64_t first = anchor->index + 1;
    unsigned n = (unsigned)(store_last_index(log->store) - anchor->index);
    struct raft_entry *entries = mem_zero((n + 1) * sizeof(*entries));
    struct raft_snapshot_metadata metadata = {.index = anchor->index,
                                              .term = anchor->term};
    struct raft_event event = {.type = RAFT_START};

    describe_entries(log, first, entries, n);
    event.start.term = store_term(log->store);
    event.start.voted_for = store_vote(log->store);
    event.start.start_index = first;
    event.start.entries = entries;
    event.start.n_entries = n;
    if (anchor->index > 0) {
        bool decoded = member_decode(anchor->configuration, &metadata.configuration);

        CHECK(decoded);
        metadata.configuration_index = anchor->configuration_index;
        event.start.metadata = &metadata;
    }
    must_step(log, &event, NULL);
    free(entries);
}

void core_receive(struct raftlog *log, struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = message};

    must_step(log, &event, NULL);
}

/* libraft frees the batch of the first entry, or hands it back with the entries to store;
 * their bytes stay ours. */
static void give_batch(struct raft_entry *entries, unsigned n)
{
    void *batch = n > 0 ? raft_malloc(1) : NULL;

    CHECK(n == 0 || batch != NULL);
    for (unsigned i = 0; i < n; i++) {
        entries[i].batch = batch;
    }
}

void core_receive_append(struct raftlog *log, struct raft_message *message,
                         const struct pending *entries)
{
    struct raft_append_entries *append = &message->append_entries;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = message};
    uint64_t last = store_last_index(log->store);
    uint64_t last_term = store_term_of(log->store, last);
    unsigned left;

    guard_strip(&log->guard, &log->raft, append);
    left = append->n_entries;
    do {
        unsigned part = left > 0 ? guard_split(&log->guard, append->entries, left) : 0;

        give_batch(append->entries, part);
        append->n_entries = part;
        must_step(log, &event, entries);
        if (part > 0) {
            append->prev_log_index += part;
            append->prev_log_term = append->entries[part - 1].term;
            append->entries += part;
            left -= part;
        }
    } while (left > 0);
    if (core_leader(log) == message->server_id) {
        propose_heard(log, store_last_index(log->store) != last ||
                               store_term_of(log->store, last) != last_term);
    }
}

bool core_submit(struct raftlog *log, struct raftlog_entry *entry)
{
    struct raft_entry raft = {.term = log->raft.current_term,
                              .type = (enum raft_entry_type)entry->type,
                              .batch = raft_malloc(1)};
    struct pending pending = {.raft = &raft, .full = entry, .n = 1};
    struct raft_event event = {.type = RAFT_SUBMIT, .submit = {.entries = &raft, .n = 1}};
    int rc;

    CHECK(raft.batch != NULL);
    entry->index = store_last_index(log->store) + 1;
    entry->term = raft.term;
    rc = step(log, &event, &pending);
    if (rc != 0) {
        CHECK(rc == RAFT_NOTLEADER);
        raft_free(raft.batch);
    }
    return rc == 0;
}

void core_persisted(struct raftlog *log)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};

    if (!log->raft.snapshot.installing && core_stored(log) > log->raft.last_stored) {
        CHECK(log->role != RAFTLOG_CANDIDATE);
        event.persisted_entries.index = core_stored(log);
        must_step(log, &event, NULL);
    }
}

void core_timeout(struct raftlog *log)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};

    log->timer_ms = env_mono_ms(log->env);
    must_step(log, &event, NULL);
}

void core_transfer(struct raftlog *log, uint64_t to)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .transfer.server_id = to};

    must_step(log, &event, NULL);
}

static struct raft_configuration configuration_of(const struct raftlog *log)
{
    struct slice bytes = slice_of(log->configuration.base, log->configuration.len);
    struct raft_configuration configuration;
    bool decoded = member_decode(bytes, &configuration);

    CHECK(decoded);
    return configuration;
}

static struct raft_snapshot_metadata metadata_of(const struct raftlog *log,
                                                 uint64_t index)
{
    return (struct raft_snapshot_metadata){.index = index,
                                           .term = store_term_of(log->store, index),
                                           .configuration = configuration_of(log),
                                           .configuration_index = 1};
}

void core_truncated(struct raftlog *log, uint64_t index)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT,
                               .snapshot.metadata = metadata_of(log, index)};

    must_step(log, &event, NULL);
}

struct store_anchor core_anchor(const struct raftlog *log, uint64_t index, uint64_t term)
{
    return (struct store_anchor){
        .index = index,
        .term = term,
        .configuration = slice_of(log->configuration.base, log->configuration.len),
        .configuration_index = 1,
    };
}

void core_adopt(struct raftlog *log, uint64_t index)
{
    if (index > log->commit) {
        log->guard.commit = index;
        log->raft.commit_index = index;
        log->commit = index;
    }
    log->dirty = true;
}

void core_install(struct raftlog *log, uint64_t index, uint64_t term)
{
    struct peer *leader = core_find_peer(log, core_leader(log));
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT};
    bool admitted;

    CHECK(leader != NULL);
    message.server_id = leader->id;
    message.server_address = leader->address;
    message.install_snapshot = (struct raft_install_snapshot){
        .term = log->raft.current_term,
        .last_index = index,
        .last_term = term,
        .conf = configuration_of(log),
        .conf_index = 1,
    };
    admitted = guard_admit(&log->guard, &log->raft, &message);
    CHECK(admitted);
    core_receive(log, &message);
    CHECK(log->raft.snapshot.installing);
}

void core_installed(struct raftlog *log, uint64_t index)
{
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};

    CHECK(log->raft.snapshot.installing);
    event.persisted_snapshot.metadata = metadata_of(log, index);
    event.persisted_snapshot.last = true;
    must_step(log, &event, NULL);
    propose_heard(log, true);
}

/* libraft enters a later term with any message of that term: here a request for a vote
 * that has no chance, since every log holds the first entry. */
void core_enter_term(struct raftlog *log, uint64_t term)
{
    const struct peer *peer = &log->peers[0];
    struct raft_message message = {.type = RAFT_REQUEST_VOTE};

    CHECK(log->n_peers > 0);
    if (term <= log->raft.current_term) {
        return;
    }
    message.server_id = peer->id;
    message.server_address = peer->address;
    message.request_vote = (struct raft_request_vote){
        .version = 2, .term = term, .candidate_id = peer->id, .disrupt_leader = true};
    core_receive(log, &message);
    CHECK(log->raft.current_term == term && log->raft.voted_for == 0);
}

uint64_t core_stored(const struct raftlog *log)
{
    return log->plants & RAFTLOG_PLANT_ACK_BEFORE_FSYNC ? store_last_index(log->store)
                                                        : store_stored_index(log->store);
}

bool core_settled(const struct raftlog *log)
{
    return guard_settled(&log->guard, &log->raft, store_term_of(log->store, log->commit));
}

bool core_barred(const struct raftlog *log)
{
    return log->rest != 0 || install_bars(log);
}

uint64_t core_leader(const struct raftlog *log)
{
    switch (log->role) {
    case RAFTLOG_LEADER:
        return log->id;
    case RAFTLOG_CANDIDATE:
        return 0;
    case RAFTLOG_FOLLOWER:
        /* libraft forgets the leader when it campaigns, which a barred member does not.
         */
        return core_barred(log) && failover_now_ms(log) >= raft_timeout(&log->raft)
                   ? 0
                   : log->raft.follower_state.current_leader.id;
    }
    return 0;
}

struct peer *core_find_peer(struct raftlog *log, uint64_t id)
{
    for (size_t i = 0; i < log->n_peers; i++) {
        if (log->peers[i].id == id) {
            return &log->peers[i];
        }
    }
    return NULL;
}
