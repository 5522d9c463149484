#include "raftlog/raftlog.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/core.h"

/* ---- open and close ---- */

static void on_stored(void *owner)
{
    struct raftlog *log = owner;

    log->dirty = true;
    log->env->ops->wake(log->env);
}

static void add_peers(struct raftlog *log, const struct raftlog_options *options)
{
    for (size_t i = 0; i < options->n_voters; i++) {
        struct peer *peer = &log->peers[log->n_peers];

        if (options->voters[i].id != log->id) {
            peer->id = options->voters[i].id;
            member_address(peer->id, peer->address);
            log->n_peers++;
        }
    }
}

/* The first entry is the cluster itself. It is written with the first turn: until then no
 * job is under way, and the log may be closed. */
static void bootstrap(struct raftlog *log)
{
    struct raftlog_entry entry = {
        .index = 1,
        .term = 1,
        .type = RAFTLOG_CHANGE,
        .payload = slice_of(log->configuration.base, log->configuration.len),
    };

    if (store_term(log->store) == 0) {
        store_set_vote(log->store, 1, 0);
    }
    store_append(log->store, &entry);
}

/* The configuration that the store remembers, if any, must be the one we were told. */
static int check_configuration(struct raftlog *log, const char *dir, struct err *err)
{
    struct slice ours = slice_of(log->configuration.base, log->configuration.len);
    const struct store_anchor *anchor = store_get_anchor(log->store);
    struct raftlog_entry first = {0};
    struct slice theirs = anchor->configuration;

    if (store_last_index(log->store) == 0) {
        return 0;
    }
    if (anchor->index == 0) {
        store_get(log->store, 1, &first);
        theirs = first.payload;
    }
    if (!slice_eq(ours, theirs)) {
        return err_set(
            err, ERR_INVALID,
            "%s/log was made for a cluster with other members; give the members "
            "that it was made with, or an empty data directory",
            dir);
    }
    return 0;
}

static void init_raft(struct raftlog *log)
{
    char address[MEMBER_ADDRESS_SIZE];
    int rc;

    member_address(log->id, address);
    rc = raft_init(&log->raft, NULL, NULL, log->id, address);
    CHECK(rc == 0);
    log->raft.tracer = NULL; /* it formats text in every step */
    raft_seed(&log->raft, (unsigned)env_random_u64(log->env));
    raft_set_pre_vote(&log->raft, true);
    raft_set_heartbeat_timeout(&log->raft, log->heartbeat_ms);
    log->raft.election_timeout = log->election_ms;
    raft_set_max_inflight_entries(&log->raft, UINT32_MAX / 2); /* replicate.c limits */
}

static void start(struct raftlog *log)
{
    struct slice bytes = slice_of(log->configuration.base, log->configuration.len);
    struct raft_configuration configuration;
    bool decoded = member_decode(bytes, &configuration);

    CHECK(decoded);
    log->guard.commit = log->applied;
    init_raft(log);
    if (guard_must_raise_term(&log->guard, &configuration, log->id)) {
        store_set_vote(log->store, store_term(log->store) + 1, log->id);
    }
    raft_configuration_close(&configuration);
    core_start(log);
}

int raftlog_open(struct raftlog **out, const struct raftlog_options *options,
                 struct err *err)
{
    struct raftlog *log;
    int rc = member_check_voters(options->voters, options->n_voters, options->id, err);

    if (rc != 0) {
        return rc;
    }
    log = mem_zero(sizeof(*log));
    log->env = options->env;
    log->events = options->events;
    log->owner = options->owner;
    log->id = options->id;
    log->heartbeat_ms = options->heartbeat_ms;
    log->election_ms = options->election_ms;
    log->taken = options->applied;
    log->applied = options->applied;
    log->taken_cluster_ms = options->applied_cluster_ms;
    truncate_open(log, options);
    log->entries_raft = mem_zero(LIMIT_CHUNK_ENTRIES * sizeof(*log->entries_raft));
    log->entries_full = mem_zero(LIMIT_CHUNK_ENTRIES * sizeof(*log->entries_full));
    raftlog_set_plants(log, options->plants);
    log->configuration = member_encode(options->voters, options->n_voters);
    add_peers(log, options);
    outbox_open(&log->outbox);
    replicate_open(&log->replicate);
    readindex_open(&log->readindex, env_random_u64(log->env));
    rc = store_open(&log->store, log->env, options->dir, on_stored, log, err);
    if (rc != 0) {
        goto fail;
    }
    rc = install_open(log, options, err);
    if (rc == 0) {
        rc = check_configuration(log, options->dir, err);
    }
    if (rc != 0) {
        goto fail;
    }
    if (store_last_index(log->store) == 0) {
        bootstrap(log);
    }
    start(log);
    if (store_is_dead(log->store)) { /* env_fatal has said why, and returned */
        rc = err_set(err, ERR_IO, "%s: the disk failed while the log was opened",
                     options->dir);
        goto fail;
    }
    *out = log;
    return 0;

fail:
    raftlog_close(log);
    return rc;
}

bool raftlog_idle(const struct raftlog *log)
{
    return store_idle(log->store);
}

void raftlog_close(struct raftlog *log)
{
    if (log == NULL) {
        return;
    }
    readindex_close(log);
    if (log->raft.address != NULL) {
        raft_close(&log->raft, NULL);
    }
    store_close(log->store);
    replicate_close(&log->replicate);
    outbox_close(&log->outbox);
    raft_free(log->configuration.base);
    free(log->entries_raft);
    free(log->entries_full);
    free(log);
}

/* ---- use ---- */

/* libraft's timer may lie in the past although nothing is to be done: at most once a
 * millisecond. For a follower it means to campaign. */
static uint64_t timer_ms(const struct raftlog *log)
{
    uint64_t timer;

    if (log->role == RAFTLOG_FOLLOWER && core_barred(log)) {
        return UINT64_MAX;
    }
    timer = failover_mono_ms(log, raft_timeout(&log->raft));

    return timer > log->timer_ms ? timer : log->timer_ms + 1;
}

void raftlog_turn(struct raftlog *log)
{
    log->dirty = false;
    if (log->role == RAFTLOG_LEADER) {
        propose_turn(log);
    }
    store_release(log->store);
    core_persisted(log);
    install_turn(log);
    failover_turn(log);
    if (env_mono_ms(log->env) >= timer_ms(log)) {
        core_timeout(log);
    }
    readindex_turn(log);
    truncate_turn(log);
    if (!(log->rest & RAFTLOG_REST_ENTRIES)) {
        store_retry(log->store);
    }
    store_flush(log->store);
    replicate_turn(log);
    outbox_flush(&log->outbox, log->events, log->owner);
    log->dirty = false;
    readindex_deliver(log);
}

uint64_t raftlog_deadline_ms(const struct raftlog *log)
{
    uint64_t timer = timer_ms(log);
    uint64_t reads = readindex_deadline_ms(log);
    uint64_t failover = failover_deadline_ms(log);
    uint64_t first = reads < timer ? reads : timer;

    if (log->dirty) {
        return 0;
    }
    if (!(log->rest & RAFTLOG_REST_ENTRIES) && store_deadline_ms(log->store) < first) {
        first = store_deadline_ms(log->store);
    }
    return failover < first ? failover : first;
}

uint64_t raftlog_cluster_ms(const struct raftlog *log)
{
    return log->role == RAFTLOG_LEADER ? propose_cluster_ms(log) : log->taken_cluster_ms;
}

bool raftlog_next(struct raftlog *log, struct raftlog_entry *out)
{
    uint64_t stored = store_stored_index(log->store);
    uint64_t upto = log->commit < stored ? log->commit : stored;

    if (log->plants & RAFTLOG_PLANT_APPLY_BEYOND_STORED) {
        upto = log->commit;
    }
    if (log->taken >= upto || install_pauses(log)) {
        return false;
    }
    store_get(log->store, log->taken + 1, out);
    if (store_is_dead(log->store)) {
        return false;
    }
    log->taken++;
    log->taken_cluster_ms = out->cluster_ms;
    propose_taken(log, out);
    return true;
}

void raftlog_applied(struct raftlog *log, uint64_t index)
{
    CHECK(index >= log->applied && index <= log->taken);
    log->applied = index;
    readindex_deliver(log);
}

void raftlog_durable(struct raftlog *log, uint64_t index)
{
    if (index > log->truncate.durable) {
        log->truncate.durable = index;
    }
}

void raftlog_rest(struct raftlog *log, unsigned rest)
{
    log->rest = rest;
}

void raftlog_enter_term(struct raftlog *log, uint64_t term)
{
    core_enter_term(log, term);
}

void raftlog_link_changed(struct raftlog *log, uint64_t member, bool up)
{
    struct peer *peer = core_find_peer(log, member);

    if (peer == NULL || !up) {
        return;
    }
    failover_alive(log, member);
    if (log->role == RAFTLOG_LEADER) {
        replicate_link_up(log, peer);
    }
    readindex_retry(log);
}

void raftlog_link_refused(struct raftlog *log, uint64_t member)
{
    failover_refused(log, member);
}

void raftlog_get_status(const struct raftlog *log, struct raftlog_status *out)
{
    struct store_stats stats;

    store_get_stats(log->store, &stats);
    *out = (struct raftlog_status){
        .role = log->role,
        .id = log->id,
        .term = log->raft.current_term,
        .leader = core_leader(log),
        .commit_index = log->commit > log->applied ? log->commit : log->applied,
        .applied_index = log->applied,
        .last_index = store_last_index(log->store),
        .stored_index = store_stored_index(log->store),
        .first_index = store_get_anchor(log->store)->index + 1,
        .needs_state = install_needs(log),
        .transferee = log->role == RAFTLOG_LEADER ? raft_transferee(&log->raft) : 0,
        .ready = core_settled(log),
        .log_bytes = stats.bytes,
        .segment_bytes = stats.segment,
        .writing_ms = stats.writing_ms,
        .takes_none = log->rest & RAFTLOG_REST_ENTRIES,
        .waits_for_room = stats.waits,
        .fsyncs = stats.fsyncs,
        .fsync_ns = stats.fsync_ns,
        .fsync_max_ns = stats.fsync_max_ns,
        .dropped_frames = log->dropped_frames,
        .elections = log->elections,
        .read_rounds = log->readindex.n_rounds,
    };
}

uint64_t raftlog_match(const struct raftlog *log, uint64_t member)
{
    raft_index match = 0;

    return raft_match_index(&log->raft, member, &match) == 0 ? match : 0;
}

void raftlog_set_plants(struct raftlog *log, unsigned plants)
{
    log->plants = plants;
    log->guard.plants = plants;
}
