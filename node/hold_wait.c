#include "node/hold_wait.h"

#include "base/limits.h"
#include "base/mem.h"
#include "node/calls.h"
#include "node/node_parts.h"

#define AGAIN_MS 100 /* after a read gate that failed */

uint64_t hold_wait_patience_ms(const struct node *node, struct slice name)
{
    size_t before = kv_lock_waiting(node->kv, name);

    return before < LIMIT_LOCK_PATIENCE ? before : LIMIT_LOCK_PATIENCE;
}

/* What is applied is all that is committed, as far as anyone can know without asking. */
static bool is_up_to_date(const struct node *node)
{
    return node->status.role == RAFTLOG_LEADER &&
           kv_applied_term(node->kv) == node->status.term &&
           kv_applied_index(node->kv) == node->status.commit_index;
}

static void park(struct hold_wait *wait, uint64_t due_ms);

/* True when it was decided. */
static bool decide(struct hold_wait *wait, bool confirmed)
{
    struct call *call = wait->call;
    enum kv_lock_state state = kv_lock_state(call->node->kv, wait->key, wait->token);

    if (state == KV_LOCK_WAITING) {
        if (wait->wait.waiting && wait->events->waits != NULL) {
            wait->events->waits(call);
        }
        return call->state == CALL_ENDED;
    }
    waits_end(&call->node->waits, &wait->wait);
    if (state == KV_LOCK_GONE) {
        wait->events->gone(call);
        return true;
    }
    if (!confirmed && !is_up_to_date(call->node)) {
        return false;
    }
    wait->events->granted(call);
    return true;
}

static void confirm(struct call *call)
{
    struct hold_wait *wait = call->owner;

    if (!decide(wait, true)) {
        park(wait, wait->due_ms);
    }
}

static void look(struct hold_wait *wait)
{
    if (!decide(wait, false) && !wait->wait.waiting) {
        call_gate(wait->call, confirm);
    }
}

static void on_woken(struct wait *inner)
{
    look(container_of(inner, struct hold_wait, wait));
}

static void on_late(struct wait *inner)
{
    struct hold_wait *wait = container_of(inner, struct hold_wait, wait);

    if (wait->due_ms <= env_mono_ms(wait->call->node->env)) {
        wait->events->late(wait->call);
    } else {
        park(wait, wait->due_ms);
        look(wait);
    }
}

static void park(struct hold_wait *wait, uint64_t due_ms)
{
    wait->wait.woken = on_woken;
    wait->wait.late = on_late;
    waits_for_hold(&wait->call->node->waits, &wait->wait, wait->key, wait->token, due_ms);
}

void hold_wait_start(struct hold_wait *wait, struct call *call,
                     const struct hold_wait_events *events, struct slice key,
                     int64_t token, uint64_t due_ms)
{
    wait->call = call;
    wait->events = events;
    wait->key = key;
    wait->token = token;
    wait->due_ms = due_ms;
    call->lingers = true;
    park(wait, due_ms);
    look(wait);
}

void hold_wait_again(struct hold_wait *wait)
{
    uint64_t again_ms = env_mono_ms(wait->call->node->env) + AGAIN_MS;

    park(wait, again_ms < wait->due_ms ? again_ms : wait->due_ms);
}

void hold_wait_end(struct hold_wait *wait)
{
    if (wait->call != NULL) {
        waits_end(&wait->call->node->waits, &wait->wait);
    }
}
