/* Looking at locks, and an operator's hand on them. */
#include <string.h>

#include "base/mem.h"
#include "cli/lib/kvd_parts.h"
#include "lock.pb-c.h"

static struct kvd_hold hold_of(const Kvd__V1__LockHold *hold)
{
    const Kvd__V1__LockOwner *owner = hold->owner;

    return (struct kvd_hold){
        .key = kvd_bytes_in(hold->key),
        .token = hold->token,
        .granted = hold->granted,
        .mode = (enum kvd_lock_mode)hold->mode,
        .slots = hold->slots,
        .lease = hold->lease,
        .ttl_ms = hold->ttl_ms,
        .since_ms = hold->since_ms,
        .owner = owner != NULL ? owner->owner : "",
        .host = owner != NULL ? owner->host : "",
        .pid = owner != NULL ? owner->pid : 0,
        .holds = (const char *const *)hold->holds,
        .n_holds = hold->n_holds,
        .election = hold->election,
        .value = kvd_bytes_in(hold->value),
    };
}

/* NULL for NULL. */
static const struct kvd_hold *one_hold(struct arena *arena, const Kvd__V1__LockHold *hold)
{
    struct kvd_hold *out;

    if (hold == NULL) {
        return NULL;
    }
    out = arena_alloc(arena, sizeof(*out));
    *out = hold_of(hold);
    return out;
}

/* One reply's worth of locks, at the end of those that the list has. */
static int list_more(struct kvd_client *client, Kvd__V1__LockListRequest *request,
                     struct arena *arena, struct kvd_locks *list, struct kvd_error *err)
{
    const Kvd__V1__LockListResponse *res;
    struct kvd_call call = {.method = &client_lock_list, .message = &request->base};
    struct kvd_lock_summary *locks;
    int rc = kvd_ask(client, &call, arena, &res, err);

    if (rc != 0) {
        return rc;
    }
    locks = arena_alloc(arena, (list->n_locks + res->n_locks) * sizeof(*locks));
    if (list->n_locks > 0) {
        memcpy(locks, list->locks, list->n_locks * sizeof(*locks));
    }
    for (size_t i = 0; i < res->n_locks; i++) {
        locks[list->n_locks + i] = (struct kvd_lock_summary){
            .name = kvd_bytes_in(res->locks[i]->name),
            .holders = res->locks[i]->holders,
            .waiting = res->locks[i]->waiting,
            .first = one_hold(arena, res->locks[i]->first),
        };
        request->after = res->locks[i]->name;
    }
    list->revision = res->header != NULL ? res->header->revision : 0;
    list->locks = locks;
    list->n_locks += res->n_locks;
    list->more = res->more && res->n_locks > 0;
    return 0;
}

int kvd_lock_list(struct kvd_client *client, struct kvd_bytes prefix, int64_t limit,
                  struct kvd_locks **out, struct kvd_error *err)
{
    Kvd__V1__LockListRequest request = KVD__V1__LOCK_LIST_REQUEST__INIT;
    struct arena *arena;
    struct kvd_locks *list = kvd_new(sizeof(*list), &arena);
    int rc;

    request.prefix = kvd_binary(prefix);
    do {
        request.limit = limit > 0 ? limit - (int64_t)list->n_locks : 0;
        rc = list_more(client, &request, arena, list, err);
    } while (rc == 0 && list->more && (limit <= 0 || (int64_t)list->n_locks < limit));
    if (rc != 0) {
        kvd_free(list);
        return rc;
    }
    *out = list;
    return 0;
}

void kvd_locks_free(struct kvd_locks *locks)
{
    kvd_free(locks);
}

int kvd_lock_inspect(struct kvd_client *client, struct kvd_bytes name,
                     struct kvd_lock_line **out, struct kvd_error *err)
{
    Kvd__V1__LockInspectRequest request = KVD__V1__LOCK_INSPECT_REQUEST__INIT;
    const Kvd__V1__LockInspectResponse *res;
    struct kvd_call call = {.method = &client_lock_inspect, .message = &request.base};
    struct arena *arena;
    struct kvd_lock_line *line = kvd_new(sizeof(*line), &arena);
    struct kvd_hold *holds;
    int rc;

    request.name = kvd_binary(name);
    rc = kvd_ask(client, &call, arena, &res, err);
    if (rc != 0) {
        kvd_free(line);
        return rc;
    }
    holds = arena_alloc(arena, res->n_line * sizeof(*holds));
    for (size_t i = 0; i < res->n_line; i++) {
        holds[i] = hold_of(res->line[i]);
    }
    line->revision = res->header != NULL ? res->header->revision : 0;
    line->line = holds;
    line->n_line = res->n_line;
    line->forced_by = "";
    line->forced_reason = "";
    if (res->last_forced != NULL) {
        line->forced_token = res->last_forced->token;
        line->forced_at_ms = res->last_forced->at_ms;
        line->forced_by = res->last_forced->by;
        line->forced_reason = res->last_forced->reason;
        line->forced_hold = one_hold(arena, res->last_forced->hold);
    }
    *out = line;
    return 0;
}

void kvd_lock_line_free(struct kvd_lock_line *line)
{
    kvd_free(line);
}

int kvd_lock_force_release(struct kvd_client *client, struct kvd_bytes name,
                           int64_t token, const char *reason, struct kvd_error *err)
{
    Kvd__V1__ForceReleaseRequest request = KVD__V1__FORCE_RELEASE_REQUEST__INIT;
    const Kvd__V1__ForceReleaseResponse *res;
    struct kvd_call call = {.method = &client_lock_force_release,
                            .message = &request.base};
    struct arena *arena;
    void *block = kvd_new(0, &arena);
    int rc;

    request.name = kvd_binary(name);
    request.token = token;
    request.reason = (char *)(reason != NULL ? reason : "");
    rc = kvd_ask(client, &call, arena, &res, err);
    kvd_free(block);
    return rc;
}
