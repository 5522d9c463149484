/* Where sending and fetching of states meet the rest of the member.
 *
 * Happy path of a member that lacks a state: the log says so, the state is fetched and
 * verified beside the old one, which serves on; then, at a moment without open batch and
 * background work, CURRENT is switched, the state machine goes on with the new state, the
 * log begins behind it, and everything that knew the old one looks anew. A crash before
 * CURRENT was switched leaves the old state, after it the new one, whose line in CURRENT
 * tells the log where to begin. What can fail is said where it fails: nothing here. */
#include "node/reseed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "node/node_parts.h"

/* ---- who may get this member's state ---- */

static int judge(void *owner, struct err *err)
{
    const struct node *node = owner;

    if (diverge_stops(&node->diverge)) {
        return err_set(err, ERR_REFUSED,
                       "member %016" PRIx64
                       " has stopped serving: its own state is damaged "
                       "or differs from the others'",
                       node->members.self);
    }
    if (node->status.needs_state != 0 || node->state == NODE_STOPPING) {
        return err_set(err, ERR_REFUSED, "member %016" PRIx64 " %s", node->members.self,
                       node->state == NODE_STOPPING ? "is stopping"
                                                    : "needs a state itself");
    }
    return 0;
}

static int on_meet(void *owner, uint64_t member, uint64_t store, struct err *err)
{
    struct node *node = owner;

    return identity_meet(&node->dir.identity, node->env->disk, node->dir.path, member,
                         store, err);
}

void reseed_init(struct reseed *reseed, struct node *node, const struct kv_options *state)
{
    const struct state_copy_options copy = {
        .env = node->env,
        .kv = node->kv,
        .log = node->log,
        .metrics = &node->metrics,
        .dir = node->dir.path,
    };
    const struct state_server_options server = {
        .env = node->env,
        .copy = &reseed->copy,
        .metrics = &node->metrics,
        .rate = node->config->state_rate,
        .judge = judge,
        .owner = node,
    };
    const struct state_fetch_options fetch = {
        .env = node->env,
        .self = &reseed->self,
        .dir = &node->dir,
        .discards = &reseed->discards,
        .metrics = &node->metrics,
        .kv = *state,
        .meet = on_meet,
        .owner = node,
    };

    reseed->self = (struct hello_self){
        .members = &node->members,
        .store_id = node->dir.identity.store_id,
        .epoch = node->epoch,
    };
    discards_init(&reseed->discards, node->env);
    state_copy_init(&reseed->copy, &copy);
    state_server_init(&reseed->server, &server);
    state_fetch_init(&reseed->fetch, &fetch);
}

void reseed_accept(struct reseed *reseed, uint64_t member, struct stream *stream,
                   struct slice more)
{
    state_server_accept(&reseed->server, member, stream, more);
}

/* ---- whether this member lacks one ---- */

bool reseed_repairs(const struct node *node)
{
    return diverge_is_rotten(&node->diverge) && node->members.n > 1;
}

/* As of which index or later; 0: it lacks none. */
static uint64_t need_of(const struct node *node)
{
    uint64_t need = node->status.needs_state;

    if (reseed_repairs(node) && kv_applied_index(node->kv) > need) {
        need = kv_applied_index(node->kv);
    }
    return need;
}

bool reseed_needed(const struct node *node)
{
    return need_of(node) != 0;
}

void reseed_continue(struct node *node, uint64_t now_ms)
{
    struct reseed *reseed = &node->reseed;
    uint64_t index = need_of(node);
    const struct fetch_need need = {
        .index = index,
        .term = raftlog_committed_term(node->log, index),
        .leader = node->status.leader,
        .urgent = !node->served,
    };

    state_server_continue(&reseed->server, now_ms);
    state_fetch_continue(&reseed->fetch, &need, now_ms);
}

bool reseed_describe(const struct node *node, char *text, size_t text_size)
{
    if (!reseed_needed(node)) {
        return false;
    }
    snprintf(text, text_size, "fetching the state: %u%%",
             state_fetch_percent(&node->reseed.fetch));
    return true;
}

/* ---- the change ---- */

/* The copy for others is of the old state, whose log goes. */
static bool copy_let_go(struct state_copy *copy)
{
    if (copy->state == COPY_FILLING) {
        return false; /* soon */
    }
    state_copy_drop(copy);
    return true;
}

static bool may_replace(struct node *node)
{
    return upkeep_idle(&node->upkeep) && kv_idle(node->kv) &&
           copy_let_go(&node->reseed.copy);
}

/* Everything that remembers something of the old state. */
static void look_anew(struct node *node)
{
    machine_replaced(node->machine);
    diverge_restart(&node->diverge, kv_applied_index(node->kv), kv_state_hash(node->kv));
    upkeep_replaced(&node->upkeep, node);
    waits_note_all(&node->waits);
    node->env->ops->wake(node->env);
}

static void replace(struct node *node, const struct fetch_begin *of)
{
    struct reseed *reseed = &node->reseed;
    char *old_path = datadir_state_path(&node->dir, node->dir.current.number);
    unsigned number;
    struct kv *fresh = state_fetch_take(&reseed->fetch, &number);
    struct err err;

    raftlog_enter_term(node->log, of->log_term);
    if (datadir_switch(&node->dir, number, of->index, of->term, &err) != 0) {
        node->dead = true;
        env_fatal(node->env, err.text);
        kv_close(fresh);
        free(old_path);
        return;
    }
    FAILPOINT(CURRENT_SWITCHED);
    kv_replace(node->kv, fresh);
    FAILPOINT(STATE_REPLACED);
    raftlog_install(node->log, of->index, of->term, kv_cluster_ms(node->kv));
    raftlog_get_status(node->log, &node->status);
    look_anew(node);
    metrics_add(&node->metrics, METRIC_STATES_TAKEN, 1);
    log_info("goes on with the state of another member", LOG_UINT("index", of->index),
             LOG_INT("revision", kv_revision(node->kv)),
             LOG_TEXT("database", node->dir.state_path));
    discard(&reseed->discards, fresh, old_path);
    free(old_path);
}

/* Frames that came in this turn may have changed what is needed. */
static bool fits(const struct node *node, const struct fetch_begin *of)
{
    struct raftlog_status log;

    raftlog_get_status(node->log, &log);
    return log.role != RAFTLOG_LEADER && of->index >= log.needs_state &&
           of->index >= kv_applied_index(node->kv);
}

/* The state that was fetched takes the place of the one that is there, unless that got
 * ahead by itself meanwhile. */
static void try_replace(struct node *node)
{
    struct fetch_begin of;

    if (state_fetch_ready(&node->reseed.fetch, &of) == NULL || !fits(node, &of) ||
        !may_replace(node)) {
        return;
    }
    replace(node, &of);
}

bool reseed_waits(const struct node *node)
{
    struct fetch_begin of;

    return state_copy_waits(&node->reseed.copy) ||
           state_fetch_ready(&node->reseed.fetch, &of) != NULL;
}

void reseed_quiet(struct node *node, uint64_t now_ms)
{
    state_copy_continue(&node->reseed.copy, now_ms);
    try_replace(node);
}

void reseed_settled(struct node *node)
{
    char *path = datadir_take_damaged(&node->dir);

    if (path != NULL) {
        discard(&node->reseed.discards, NULL, path);
        free(path);
    }
}

/* ---- the end ---- */

uint64_t reseed_deadline_ms(const struct reseed *reseed)
{
    const uint64_t deadlines[] = {
        state_copy_deadline_ms(&reseed->copy),
        state_server_deadline_ms(&reseed->server),
        state_fetch_deadline_ms(&reseed->fetch),
    };
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) {
        first = deadlines[i] < first ? deadlines[i] : first;
    }
    return first;
}

bool reseed_idle(const struct reseed *reseed)
{
    return state_copy_idle(&reseed->copy) && state_server_idle(&reseed->server) &&
           state_fetch_idle(&reseed->fetch) && discards_idle(&reseed->discards);
}

void reseed_close(struct reseed *reseed)
{
    state_server_close(&reseed->server);
    state_fetch_close(&reseed->fetch);
    state_copy_close(&reseed->copy);
}
