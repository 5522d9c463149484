/* One turn of a member: everything it does, in one written order. Events of the loop
 * (sockets, finished jobs) only record what arrived; all work is done here.
 *
 *  1. What arrived: frames of other members step the log; complete requests are checked
 *     and become commands, read gates or answers; the turn's commands become one entry.
 *     While there are leases, time may ask for an entry, too.
 *  2. The log: timers, one disk write, frames for the other members; a look at the disk,
 *     which may be full or slow.
 *  3. Apply: what a quorum has on disk. Opens read gates.
 *  4. Answers: commands that were applied, locks that were passed on, gates that opened,
 *     pages of long reads. What is answered is on a quorum's disks in the log; a crash
 *     before the state machine's own transaction only means that entries are applied
 *     again.
 *  5. Watchers: those that have something to pull and whose client takes it.
 *  6. Output: one write per member and one per client connection. Whole states, to
 *     members that fetch one and from a member that gives one.
 *  7. The state machine's transaction, every few turns: it costs the same for one entry
 *     and for a thousand. Then the change to a state that was fetched, and upkeep:
 *     compaction, checkpoints, sizes, state hashes.
 *     Last, since nobody waits for it.
 *
 * Frames that upkeep gathers leave with the next turn's output. */
#include "base/check.h"
#include "node/lessor.h"
#include "node/node_parts.h"

#define STOP_MS              4500 /* with the leaving of the process: 5 s */
#define LEADERLESS_ELECTIONS 3    /* election timeouts without a leader, as in etcd */

/* ---- life: let clients in, let them go ---- */

static void open_doors(struct node *node)
{
    if (node->state != NODE_STARTING) {
        return;
    }
    if (publisher_done(&node->publisher)) {
        node_move(node, NODE_SERVING);
        node->served = true;
        conns_accept(node->conns);
        reseed_settled(node);
    } else if (node->status.needs_state != 0 && !node->shown) {
        node->shown = true;
        conns_accept(node->conns);
    }
}

/* Hands leadership over, again where an earlier try came to nothing; true when it is gone
 * or there is nobody to take it. */
static bool let_go(struct node *node)
{
    uint64_t next;

    if (node->status.role != RAFTLOG_LEADER) {
        return true;
    }
    next = fitness_successor(node, true);
    if (next == 0 || peers_n_up(node->peers) + 1 < membership_quorum(&node->members)) {
        return true;
    }
    raftlog_transfer(node->log, next);
    return false;
}

static void close_doors(struct node *node, uint64_t now_ms)
{
    bool quiet;

    if (node->state != NODE_STOPPING) {
        return;
    }
    quiet = let_go(node) && conns_count(node->conns) == 0 &&
            machine_pending(node->machine) == 0;
    if (quiet || now_ms >= node->stop_by_ms) {
        calls_fail_all(&node->calls, API_STOPPED);
        conns_flush(node->conns);
        node_move(node, NODE_STOPPED);
    }
}

void node_stop(struct node *node)
{
    if (node->state == NODE_STOPPING || node->state == NODE_STOPPED) {
        return;
    }
    node_move(node, NODE_STOPPING);
    node->stop_by_ms = env_mono_ms(node->env) + STOP_MS;
    calls_fail_streams(&node->calls, API_STOPPED);
    conns_go_away(node->conns);
    node->env->ops->wake(node->env);
}

/* Streams of clients that asked for it end when there was no leader for a while. */
static void watch_leader(struct node *node, uint64_t now_ms)
{
    if (node->status.leader != 0) {
        node->led_ms = now_ms;
    } else if (now_ms >=
               node->led_ms + LEADERLESS_ELECTIONS * node->config->election_ms) {
        calls_fail_leaderless(&node->calls);
    }
}

/* ---- the turn ---- */

void node_turn(struct node *node)
{
    uint64_t began_ns = env_mono_ns(node->env);
    uint64_t now_ms = began_ns / 1000000;
    bool more;

    if (node->dead || node->state == NODE_STOPPED) {
        return;
    }
    peers_receive(node->peers, now_ms);
    calls_start(&node->calls);
    renewals_submit(&node->renewals);
    if (node->status.needs_state == 0) {
        publisher_continue(&node->publisher, now_ms);
    }
    machine_propose(node->machine, now_ms);
    lessor_propose(node->log, node->kv);

    raftlog_turn(node->log);
    raftlog_get_status(node->log, &node->status);
    watch_leader(node, now_ms);
    fitness_turn(node, now_ms);

    more = !reseed_repairs(node) && fitness_may_apply(node) &&
           machine_apply(node->machine, now_ms);
    if (node->dead) {
        return;
    }

    machine_answer(node->machine, now_ms);
    more |= renewals_wait(&node->renewals);
    more |= waits_continue(&node->waits, now_ms);
    more |= calls_continue(&node->calls, now_ms);
    probes_continue(&node->probes, now_ms);
    more |= watching_feed(node, now_ms);
    open_doors(node);

    peers_flush(node->peers, now_ms);
    conns_flush(node->conns);
    close_doors(node, now_ms); /* the last connection may just have ended */
    reseed_continue(node, now_ms);

    if (machine_commit(node->machine, now_ms,
                       now_ms >= upkeep_deadline_ms(&node->upkeep) ||
                           reseed_waits(node) || node->fitness.lacks & FITNESS_FULL)) {
        reseed_quiet(node, now_ms);
        more |= !node->dead && upkeep_run(node, now_ms);
    }
    node->metrics.counters[METRIC_READ_ROUNDS] = node->status.read_rounds;
    metrics_watch_log(&node->metrics, &node->status);
    metrics_turn(&node->metrics, env_mono_ns(node->env) - began_ns);
    if (more || machine_submitted(node->machine)) {
        node->env->ops->wake(node->env);
    }
}

uint64_t node_deadline_ms(const struct node *node)
{
    uint64_t now_ms = env_mono_ms(node->env);
    const uint64_t deadlines[] = {
        raftlog_deadline_ms(node->log),
        lessor_deadline_ms(node->log, node->kv, now_ms),
        machine_deadline_ms(node->machine),
        calls_deadline_ms(&node->calls),
        watching_deadline_ms(&node->watching),
        waits_deadline_ms(&node->waits),
        conns_deadline_ms(node->conns),
        probes_deadline_ms(&node->probes),
        peers_deadline_ms(node->peers),
        node->status.needs_state == 0 ? publisher_deadline_ms(&node->publisher)
                                      : UINT64_MAX,
        fitness_deadline_ms(&node->fitness),
        upkeep_deadline_ms(&node->upkeep),
        reseed_deadline_ms(&node->reseed),
        node->state == NODE_STOPPING ? node->stop_by_ms : UINT64_MAX,
    };
    uint64_t first = UINT64_MAX;

    if (node->dead || node->state == NODE_STOPPED) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < ARRAY_LEN(deadlines); i++) {
        first = deadlines[i] < first ? deadlines[i] : first;
    }
    return first;
}
