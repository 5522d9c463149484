#include "node/upkeep.h"

#include "base/check.h"
#include "base/limits.h"
#include "node/node_parts.h"

#define STATS_MS     100 /* between looks at sizes */
#define SECOND_MS    1000
#define TELL_ENTRIES 1024 /* applied entries between two hashes told, at most */

void upkeep_init(struct upkeep *upkeep, struct node *node)
{
    uint64_t applied = kv_applied_index(node->kv);

    /* What survived a crash of the process is not proven to survive one of the machine:
     * durable_index begins at 0. */
    *upkeep = (struct upkeep){
        .told_index = applied,
        .rescan_index = applied,
    };
    kv_get_stats(node->kv, &upkeep->stats);
}

void upkeep_replaced(struct upkeep *upkeep, struct node *node)
{
    CHECK(!upkeep->making_durable);
    upkeep_init(upkeep, node);
    upkeep->durable_index = kv_applied_index(node->kv);
    upkeep->durable_log_bytes = node->status.log_bytes;
}

bool upkeep_idle(const struct upkeep *upkeep)
{
    return !upkeep->making_durable;
}

/* ---- the state made durable, the log cut ---- */

static void on_durable(void *owner, uint64_t applied)
{
    struct node *node = owner;

    node->upkeep.making_durable = false;
    node->upkeep.durable_index = applied;
    node->upkeep.durable_log_bytes = node->status.log_bytes;
    raftlog_durable(node->log, applied);
}

static void make_durable(struct node *node)
{
    struct upkeep *upkeep = &node->upkeep;
    uint64_t entries = kv_applied_index(node->kv) - upkeep->durable_index;
    bool due = entries >= node->config->snapshot_count ||
               (entries > 0 &&
                node->status.log_bytes > upkeep->durable_log_bytes + LIMIT_SEGMENT_BYTES);

    if (due && !upkeep->making_durable) {
        upkeep->making_durable = kv_make_durable(node->kv, on_durable, node);
    }
}

/* ---- the state compared ---- */

static void tell_hash(struct node *node)
{
    Kvd__Peer__StateHash frame = KVD__PEER__STATE_HASH__INIT;

    frame.applied_index = kv_applied_index(node->kv);
    frame.hash = kv_state_hash(node->kv);
    node->upkeep.told_index = frame.applied_index;
    peers_send_all(node->peers, LINK_STATE_HASH, &frame.base);
}

/* ---- by the clock ---- */

static void look_at_sizes(struct node *node, uint64_t now_ms)
{
    struct upkeep *upkeep = &node->upkeep;

    if (now_ms < upkeep->stats_due_ms) {
        return;
    }
    upkeep->stats_due_ms = now_ms + STATS_MS;
    kv_get_stats(node->kv, &upkeep->stats);
    /* While a copy of the state is made there are no checkpoints. */
    machine_observe_wal(node->machine, upkeep->stats.wal_bytes,
                        node->reseed.copy.state == COPY_FILLING ? LIMIT_COPY_WAL
                                                                : LIMIT_WAL_BYTES);
}

static void each_second(struct node *node, uint64_t now_ms)
{
    struct upkeep *upkeep = &node->upkeep;
    uint64_t applied = kv_applied_index(node->kv);

    if (now_ms < upkeep->second_due_ms) {
        return;
    }
    upkeep->second_due_ms = now_ms + SECOND_MS;
    tell_hash(node);
    conns_tick(node->conns, now_ms);
    if (applied == upkeep->rescan_index && !kv_rescan_step(node->kv)) {
        diverge_rotten(&node->diverge);
    }
    upkeep->rescan_index = applied;
}

bool upkeep_run(struct node *node, uint64_t now_ms)
{
    bool more = kv_upkeep(node->kv);

    make_durable(node);
    look_at_sizes(node, now_ms);
    each_second(node, now_ms);
    if (kv_applied_index(node->kv) >= node->upkeep.told_index + TELL_ENTRIES) {
        tell_hash(node);
    }
    return more;
}

uint64_t upkeep_deadline_ms(const struct upkeep *upkeep)
{
    return upkeep->second_due_ms;
}
