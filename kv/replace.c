/* Going on with a state that came from another member.
 *
 * All that was read from the old database is exchanged for what was read from the new
 * one; what belongs to this process stays: the owner's callbacks, the watches, the
 * cursors of reads, which hold names and revisions but nothing of the index. Revisions
 * and rows mean the same in both states, for they come of one log. Nothing here can fail.
 */
#include "base/check.h"
#include "kv/auth_apply.h"
#include "kv/history.h"
#include "kv/state.h"

static void take_state(struct kv *to, const struct kv *from)
{
    to->path = from->path;
    to->db = from->db;
    to->meta = from->meta;
    to->committed = from->committed;
    to->index = from->index;
    to->leases = from->leases;
    to->locks = from->locks;
    to->members = from->members;
    to->auth = from->auth;
    to->compact = from->compact;
    to->checkpoint = from->checkpoint;
    to->durable = from->durable;
    to->rescan = from->rescan;
    db_moved(&to->db);
}

/* Counted since the process began, whatever the state. */
static void keep_counts(struct kv *kv, const struct kv *old)
{
    kv->leases.n_granted += old->leases.n_granted;
    kv->leases.n_renewed += old->leases.n_renewed;
    kv->leases.n_revoked += old->leases.n_revoked;
    kv->checkpoint.n += old->checkpoint.n;
}

static void check_exchange(const struct kv *kv, const struct kv *fresh)
{
    CHECK(!kv->in_batch && !fresh->in_batch);
    CHECK(kv_idle(kv) && kv_idle(fresh));
    CHECK(!fresh->dead && fresh->watches.n == 0);
    CHECK(fresh->meta.applied_index >= kv->meta.applied_index);
    CHECK(fresh->meta.applied_term >= kv->meta.applied_term);
    CHECK(fresh->meta.cluster_ms >= kv->meta.cluster_ms);
    CHECK(fresh->meta.revision >= kv->meta.revision);
    CHECK(fresh->meta.compact_revision >= kv->meta.compact_revision);
}

void kv_replace(struct kv *kv, struct kv *fresh)
{
    struct kv old;

    if (kv->dead) {
        return;
    }
    check_exchange(kv, fresh);
    history_unpin(kv);
    history_unpin(fresh);
    old = *kv;
    take_state(kv, fresh);
    take_state(fresh, &old);
    keep_counts(kv, fresh);
    if (!(kv->plants & KV_PLANT_WATCH_STAYS)) {
        watches_replaced(kv, fresh->meta.revision);
    }
    auth_tell(kv, KV_AUTH_ALL_OUT, NULL, NULL);
    kv->loses_next = kv->plants & KV_PLANT_COPY_BEHIND;
    /* Its file has no future. */
    db_abandon(&fresh->db);
}
