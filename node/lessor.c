#include "node/lessor.h"

#include "base/env.h"
#include "base/failpoint.h"
#include "kv/kv.h"
#include "raftlog/raftlog.h"

#define BEAT_MS                                                                          \
    1000 /* cluster time between two entries while there are leases, at most */

/* Cluster time at which an entry is wanted; UINT64_MAX: none is. */
static uint64_t wanted_ms(const struct raftlog *log, const struct kv *kv)
{
    uint64_t due_ms = kv_lease_deadline_ms(kv);
    uint64_t beat_ms = kv_cluster_ms(kv) + BEAT_MS;
    struct raftlog_status status;

    if (due_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    raftlog_get_status(log, &status);
    if (status.role != RAFTLOG_LEADER || status.transferee != 0 || status.takes_none ||
        status.last_index > kv_applied_index(kv)) {
        return UINT64_MAX;
    }
    return due_ms < beat_ms ? due_ms : beat_ms;
}

int64_t lessor_free_id(uint64_t *next, struct env *env, const struct kv *kv)
{
    int64_t id;

    do {
        if (*next == 0) {
            *next = env_random_u64(env);
        }
        id = (int64_t)((*next)++ & INT64_MAX);
    } while (id == 0 || kv_lease_exists(kv, id));
    return id;
}

void lessor_propose(struct raftlog *log, const struct kv *kv)
{
    uint64_t index;

    /* Refused, it is tried again with the next turn. */
    if (raftlog_cluster_ms(log) >= wanted_ms(log, kv)) {
        FAILPOINT(LEASE_DUE);
        (void)raftlog_propose(log, (struct slice){0}, &index);
    }
}

uint64_t lessor_deadline_ms(const struct raftlog *log, const struct kv *kv,
                            uint64_t now_ms)
{
    uint64_t wanted = wanted_ms(log, kv);
    uint64_t cluster_ms = raftlog_cluster_ms(log);

    if (wanted == UINT64_MAX) {
        return UINT64_MAX;
    }
    return wanted > cluster_ms ? now_ms + (wanted - cluster_ms) : now_ms;
}
