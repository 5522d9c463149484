/* Builds a member in order and tears it down in reverse.
 *
 * Order of building: listeners are bound first, so that a port in use costs nothing; then
 * the data directory is judged and locked; then state machine and log are opened; then
 * the member is complete, and the peers are let in. Clients are let in by the turn, when
 * the member's announcement was applied. */
#include "node/node.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/node_parts.h"

static const unsigned node_next[NODE_NSTATES] = {
    [NODE_STARTING] = 1u << NODE_SERVING | 1u << NODE_STOPPING,
    [NODE_SERVING] = 1u << NODE_STOPPING,
    [NODE_STOPPING] = 1u << NODE_STOPPED,
    [NODE_STOPPED] = 0,
};

void node_move(struct node *node, enum node_state to)
{
    CHECK(node_next[node->state] & 1u << to);
    node->state = to;
}

/* ---- what the parts tell ---- */

static void on_fatal(void *owner, const char *text)
{
    struct node *node = owner;

    node->dead = true;
    env_fatal(node->env, text);
}

static void on_lock_changed(void *owner, struct slice name, struct slice key,
                            int64_t token)
{
    struct node *node = owner;

    waits_note(&node->waits, name, key, token);
}

static void on_auth_changed(void *owner, const struct kv_auth_event *event)
{
    struct node *node = owner;

    access_note(&node->access, event);
}

static void on_frame(void *owner, uint64_t from, const struct link_frame *frame)
{
    struct node *node = owner;

    if (frame->type == LINK_FORWARD) {
        machine_forwarded(node->machine, from,
                          (const Kvd__Peer__Forward *)frame->message);
    } else if (frame->type == LINK_FORWARD_REFUSED) {
        machine_refused(node->machine, (const Kvd__Peer__ForwardRefused *)frame->message);
    } else if (frame->type == LINK_STATE_HASH) {
        const Kvd__Peer__StateHash *point = (const Kvd__Peer__StateHash *)frame->message;

        diverge_receive(&node->diverge, from, point->applied_index, point->hash);
    } else if (frame->type == LINK_FITNESS) {
        fitness_heard(node, from, ((const Kvd__Peer__Fitness *)frame->message)->lacks);
    } else {
        raftlog_receive(node->log, from, frame);
    }
}

static void on_link(void *owner, uint64_t member, bool up)
{
    struct node *node = owner;

    if (up) {
        fitness_met(node, member);
    }
    raftlog_link_changed(node->log, member, up);
}

static void on_refused(void *owner, uint64_t member)
{
    struct node *node = owner;

    raftlog_link_refused(node->log, member);
}

static void on_fetching(void *owner, uint64_t member, struct stream *stream,
                        struct slice more)
{
    struct node *node = owner;

    reseed_accept(&node->reseed, member, stream, more);
}

static int on_meet(void *owner, uint64_t member, uint64_t store, struct err *err)
{
    struct node *node = owner;

    return identity_meet(&node->dir.identity, node->env->disk, node->dir.path, member,
                         store, err);
}

static void on_send(void *owner, uint64_t to, struct slice frame)
{
    struct node *node = owner;

    peers_send(node->peers, to, frame);
}

/* A link is told to be half full to whoever has no room for entries: so none are sent. */
static size_t on_backlog(void *owner, uint64_t to)
{
    struct node *node = owner;
    size_t backlog = peers_backlog(node->peers, to);

    return fitness_is_full(node, to) && backlog < LIMIT_PEER_BACKLOG / 2
               ? LIMIT_PEER_BACKLOG / 2
               : backlog;
}

static const struct peers_events peers_events = {
    .received = on_frame,
    .changed = on_link,
    .meet = on_meet,
    .refused = on_refused,
    .fetching = on_fetching,
};

static const struct raftlog_events log_events = {
    .send = on_send,
    .backlog = on_backlog,
};

/* ---- building ---- */

static void open_network(struct node *node)
{
    const struct config *config = node->config;
    const struct peers_options peers = {
        .env = node->env,
        .self = {.members = &node->members, .epoch = node->epoch},
        .metrics = &node->metrics,
        .events = &peers_events,
        .owner = node,
    };
    const struct conns_options conns = {
        .node = node,
        .env = node->env,
        .metrics = &node->metrics,
        .limits =
            {
                .message_bytes = config->max_request_bytes + LIMIT_REQUEST_OVERHEAD,
                .header_bytes = LIMIT_HEADER_BYTES,
                .streams = config->max_streams < LIMIT_STREAMS ? config->max_streams
                                                               : LIMIT_STREAMS,
                .queued_bytes = LIMIT_RESPONSE_BYTES + KIB,
            },
    };

    node->peers = peers_open(&peers);
    node->conns = conns_open(&conns);
}

static int listen_all(struct node *node, struct err *err)
{
    const struct config *config = node->config;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->listen_peer.n; i++) {
        const struct config_url *url = &config->listen_peer.items[i];

        rc = peers_listen(node->peers, url->address, config_peer_security(url), err);
        err_prefix(rc != 0 ? err : NULL, rc, "--listen-peer-urls");
    }
    for (size_t i = 0; rc == 0 && i < config->listen_client.n; i++) {
        const struct config_url *url = &config->listen_client.items[i];

        rc = conns_listen(node->conns, url->address, config_client_security(url), err);
        err_prefix(rc != 0 ? err : NULL, rc, "--listen-client-urls");
    }
    return rc;
}

static struct kv_options state_options(struct node *node)
{
    return (struct kv_options){
        .env = node->env,
        .path = node->dir.state_path,
        .fatal = on_fatal,
        .fatal_owner = node,
        .lock_changed = on_lock_changed,
        .lock_owner = node,
        .auth_changed = on_auth_changed,
        .auth_owner = node,
    };
}

/* A database that is damaged makes place for an empty one, where there are members to
 * fill it from. */
static int open_database(struct node *node, struct err *err)
{
    struct kv_options options = state_options(node);
    struct err why;
    int rc = kv_open(&node->kv, &options, &why);

    if (rc != ERR_CORRUPT || node->members.n == 1) {
        return rc != 0 ? err_set(err, rc, "%s", why.text) : 0;
    }
    log_error(
        "the state of this member is damaged: it is set aside, an empty one takes its "
        "place and is filled from the log, or from another member",
        LOG_TEXT("damage", why.text));
    rc = datadir_begin_state(&node->dir, err);
    options.path = node->dir.state_path;
    return rc == 0 ? kv_open(&node->kv, &options, err) : rc;
}

static int open_state(struct node *node, struct err *err)
{
    const struct datadir_options options = {
        .env = node->env,
        .path = node->config->data_dir,
        .cluster_id = node->members.cluster_id,
        .member_id = node->members.self,
        .may_create = node->config->cluster_new,
        .has_others = node->members.n > 1,
    };
    int rc;

    rc = datadir_open(&node->dir, &options, err);
    if (rc != 0) {
        return rc;
    }
    peers_set_store(node->peers, node->dir.identity.store_id);
    return open_database(node, err);
}

static int open_log(struct node *node, struct err *err)
{
    struct raftlog_voter voters[LIMIT_MEMBERS];
    const struct raftlog_options options = {
        .env = node->env,
        .dir = node->dir.path,
        .id = node->members.self,
        .voters = voters,
        .n_voters = node->members.n,
        .applied = kv_applied_index(node->kv),
        .applied_term = kv_applied_term(node->kv),
        .applied_cluster_ms = kv_cluster_ms(node->kv),
        .installed = node->dir.current.seed_index,
        .installed_term = node->dir.current.seed_term,
        .heartbeat_ms = node->config->heartbeat_ms,
        .election_ms = node->config->election_ms,
        .keep_entries = node->config->catchup_entries,
        .hold_entries = node->config->hold_entries,
        .hold_bytes = node->config->hold_bytes,
        .events = &log_events,
        .owner = node,
    };

    for (size_t i = 0; i < node->members.n; i++) {
        voters[i].id = node->members.items[i].id;
    }
    return raftlog_open(&node->log, &options, err);
}

static void open_machine(struct node *node)
{
    uint64_t now_ms = env_mono_ms(node->env);
    uint64_t request_max = node->config->max_request_bytes;
    const struct kv_options state = state_options(node);
    const struct machine_options options = {
        .env = node->env,
        .kv = node->kv,
        .log = node->log,
        .peers = node->peers,
        .diverge = &node->diverge,
        .metrics = &node->metrics,
        .members = &node->members,
        .epoch = node->epoch,
        .request_max =
            request_max < MACHINE_COMMAND_MAX ? request_max : MACHINE_COMMAND_MAX,
        .election_ms = node->config->election_ms,
    };

    diverge_init(&node->diverge, &node->members);
    fitness_init(&node->fitness);
    if (kv_applied_index(node->kv) > 0) {
        diverge_record(&node->diverge, kv_applied_index(node->kv),
                       kv_state_hash(node->kv));
    }
    node->machine = machine_open(&options);
    raftlog_get_status(node->log, &node->status);
    access_set_state(&node->access, node->kv);
    calls_init(&node->calls, node->config->rate_limit, now_ms);
    watching_init(&node->watching, now_ms);
    waits_init(&node->waits, now_ms);
    renewals_init(&node->renewals, node->machine, options.request_max);
    upkeep_init(&node->upkeep, node);
    reseed_init(&node->reseed, node, &state);
    publisher_init(&node->publisher, node->machine, node->env, node->config,
                   node->members.self, node->dir.identity.store_id);
}

int node_open(struct node **out, const struct config *config, struct env *env,
              struct err *err)
{
    struct node *node = mem_zero(sizeof(*node));
    int rc;

    node->env = env;
    node->config = config;
    node->epoch = env_random_u64(env) | 1;
    probes_init(&node->probes);
    rc = membership_init(&node->members, config, err);
    if (rc == 0) {
        rc = access_open(&node->access, config, env, err);
        err_prefix(rc != 0 ? err : NULL, rc, "--auth-token");
    }
    if (rc != 0) {
        goto fail;
    }
    open_network(node);
    rc = listen_all(node, err);
    if (rc == 0) {
        rc = open_state(node, err);
    }
    if (rc == 0) {
        rc = open_log(node, err);
    }
    if (rc == 0) {
        rc = datadir_complete(&node->dir, err);
    }
    if (rc != 0) {
        goto fail;
    }
    open_machine(node);
    peers_start(node->peers);
    log_info("member opened", LOG_TEXT("name", config->name),
             LOG_HEX("member", node->members.self),
             LOG_HEX("cluster", node->members.cluster_id),
             LOG_TEXT("data_dir", config->data_dir),
             LOG_UINT("applied_index", kv_applied_index(node->kv)),
             LOG_INT("revision", kv_revision(node->kv)));
    *out = node;
    return 0;

fail:
    node_close(node);
    return rc;
}

/* ---- what others ask ---- */

bool node_ready(const struct node *node)
{
    return node->served;
}

struct metrics *node_metrics(struct node *node)
{
    return &node->metrics;
}

void node_get_health(struct node *node, struct health *out)
{
    *out = (struct health){
        .log = node->status,
        .kv = node->upkeep.stats,
        .revision = kv_revision(node->kv),
        .compact_revision = kv_compact_revision(node->kv),
        .applied_index = kv_applied_index(node->kv),
        .has_leader = node->status.leader != 0,
        .diverged = diverge_stops(&node->diverge),
        .no_state = !node->served,
        .stopping = node->state >= NODE_STOPPING,
        .disk_full = node->fitness.lacks & FITNESS_FULL,
        .disk_stalled = node->fitness.lacks & FITNESS_STALLED,
        .disk_space = node->fitness.space,
        .pending_calls = machine_pending(node->machine),
        .n_connections = conns_count(node->conns),
        .n_watch_streams = node->watching.n_streams,
        .cluster_id = node->members.cluster_id,
        .member_id = node->members.self,
        .name = node->config->name,
    };
    out->needs_state = reseed_describe(node, out->state_text, sizeof(out->state_text));
    watch_get_stats(node->kv, &out->watches);
}

void node_set_plants(struct node *node, unsigned log_plants, unsigned kv_plants)
{
    raftlog_set_plants(node->log, log_plants);
    kv_set_plants(node->kv, kv_plants);
    node->renewals.planted = kv_plants & KV_PLANT_EARLY_RENEWAL ? node->kv : NULL;
}

void node_set_watch_ring(struct node *node, size_t bytes)
{
    watch_set_ring(node->kv, bytes);
}

void node_set_lock_steps(struct node *node, size_t steps)
{
    kv_set_lock_steps(node->kv, steps);
}

void node_set_state_chunk(struct node *node, size_t bytes)
{
    state_server_set_chunk(&node->reseed.server, bytes);
}

/* ---- the end ---- */

bool node_stopped(const struct node *node)
{
    return node->state == NODE_STOPPED;
}

bool node_idle(const struct node *node)
{
    return raftlog_idle(node->log) && kv_idle(node->kv) && reseed_idle(&node->reseed) &&
           passwords_idle(&node->access.passwords);
}

void node_close(struct node *node)
{
    bool whole;

    if (node == NULL) {
        return;
    }
    whole = node->machine != NULL;
    if (whole) {
        probes_close(&node->probes);
    }
    if (node->conns != NULL) {
        conns_close(node->conns);
    }
    machine_close(node->machine);
    if (whole) {
        calls_close(&node->calls);
        watching_close(&node->watching);
        waits_close(&node->waits);
        renewals_close(&node->renewals);
        publisher_close(&node->publisher);
        reseed_close(&node->reseed);
    }
    raftlog_close(node->log);
    kv_close(node->kv);
    access_close(&node->access);
    peers_close(node->peers);
    if (node->dir.path != NULL) {
        datadir_close(&node->dir);
    }
    free(node);
}
