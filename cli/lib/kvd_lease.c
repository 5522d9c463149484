/* Leases: granted here, kept alive by keeper.h, their loss told by the thread for
 * warnings and to whoever uses the lease. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/kvd_parts.h"

#define TTL_S         30
#define MARGIN_MAX_MS 2000

struct kvd_lease {
    struct kvd_client *client;
    struct kept kept;
    int64_t ttl_s;
    bool lost; /* the I/O thread's, as what follows */
    struct err why;
    struct list users;
    struct kvd_warning warning;
};

/* ---- warnings ---- */

static void warn(struct dispatch_job *job)
{
    struct kvd_warning *warning = container_of(job, struct kvd_warning, job);

    warning->lost(warning->owner, &warning->why);
}

static void free_warning(struct dispatch_job *job)
{
    struct kvd_warning *warning = container_of(job, struct kvd_warning, job);

    warning->free(warning);
}

void kvd_warning_init(struct kvd_warning *warning, struct kvd_client *client,
                      kvd_lost_cb lost, void *owner,
                      void (*free)(struct kvd_warning *warning))
{
    *warning = (struct kvd_warning){.job = {.run = warn, .free = free_warning},
                                    .client = client,
                                    .lost = lost,
                                    .owner = owner,
                                    .free = free};
}

void kvd_warning_raise(struct kvd_warning *warning, const struct err *why)
{
    if (warning->lost != NULL && !warning->raised) {
        warning->raised = true;
        kvd_fail(&warning->why, KVD_LOST, "%s", why->text);
        dispatch_submit(warning->client->warnings, &warning->job);
    }
}

bool kvd_warning_remove(struct kvd_warning *warning)
{
    return dispatch_remove(warning->client->warnings, &warning->job);
}

/* ---- users ---- */

static void on_lost(struct kept *kept, const struct err *why)
{
    struct kvd_lease *lease = container_of(kept, struct kvd_lease, kept);

    lease->lost = true;
    lease->why = *why;
    LIST_FOREACH (at, &lease->users) {
        struct kvd_lease_user *user = container_of(at, struct kvd_lease_user, link);

        user->lost(user, why);
    }
    kvd_warning_raise(&lease->warning, why);
}

struct use {
    struct kvd_lease *lease;
    struct kvd_lease_user *user;
};

static void use(void *arg)
{
    struct use *it = arg;

    list_add_tail(&it->lease->users, &it->user->link);
    if (it->lease->lost) {
        it->user->lost(it->user, &it->lease->why);
    }
}

static void use_no_more(void *arg)
{
    struct kvd_lease_user *user = arg;

    list_del(&user->link);
}

void kvd_lease_use(struct kvd_lease *lease, struct kvd_lease_user *user)
{
    io_run(client_io(lease->client->inner), use, &(struct use){lease, user});
}

void kvd_lease_use_no_more(struct kvd_lease *lease, struct kvd_lease_user *user)
{
    io_run(client_io(lease->client->inner), use_no_more, user);
}

bool kvd_lease_is_lost(struct kvd_lease *lease)
{
    return keeper_left_ms(&lease->kept) == 0;
}

/* ---- open and close ---- */

static void free_lease(struct kvd_warning *warning)
{
    free(container_of(warning, struct kvd_lease, warning));
}

static int64_t margin_of(const struct kvd_lease_options *options, int64_t ttl_ms)
{
    int64_t margin_ms = options->margin_ms;

    if (margin_ms <= 0) {
        margin_ms = ttl_ms / 5 < MARGIN_MAX_MS ? ttl_ms / 5 : MARGIN_MAX_MS;
    }
    return margin_ms < ttl_ms / 2 ? margin_ms : ttl_ms / 2;
}

static struct kvd_lease *keep(struct kvd_client *client,
                              const struct kvd_lease_options *options, int64_t id,
                              int64_t ttl_s, int64_t sent_ms)
{
    struct kvd_lease *lease = mem_zero(sizeof(*lease));

    lease->client = client;
    lease->ttl_s = ttl_s;
    list_init(&lease->users);
    kvd_warning_init(&lease->warning, client, options->lost, options->owner, free_lease);
    lease->kept.id = id;
    lease->kept.lost = on_lost;
    lease->kept.margin_ms = margin_of(options, ttl_s * 1000);
    keeper_add(client->keeper, &lease->kept, ttl_s * 1000, sent_ms);
    return lease;
}

static int grant(struct kvd_client *client, const struct kvd_lease_options *options,
                 int64_t *id, int64_t *ttl_s, int64_t *sent_ms, struct kvd_error *err)
{
    Etcdserverpb__LeaseGrantRequest message = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct client_method method = client_lease_grant;
    struct client_request request = {
        .method = &method, .message = &message.base, .timeout_ms = options->timeout_ms};
    const Etcdserverpb__LeaseGrantResponse *res;
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    struct err why = {0};
    int rc;

    method.repeatable = options->id == 0; /* or the second is told that it exists */
    message.id = options->id;
    message.ttl = options->ttl_s != 0 ? options->ttl_s : TTL_S;
    rc = client_ask(client->inner, &request, &arena, &res, &why);
    if (rc == 0) {
        *id = res->id;
        *ttl_s = res->ttl;
        *sent_ms = request.sent_ms;
    } else {
        rc = kvd_fail_from(err, &why, &request);
    }
    arena_close(&arena);
    return rc;
}

static int renew(struct kvd_client *client, int64_t id, int64_t timeout_ms,
                 int64_t *ttl_s, int64_t *sent_ms, struct kvd_error *err)
{
    Etcdserverpb__LeaseKeepAliveRequest message =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct client_request request = {.method = &client_lease_keep_alive,
                                     .message = &message.base,
                                     .timeout_ms = timeout_ms};
    const Etcdserverpb__LeaseKeepAliveResponse *res;
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    struct err why = {0};
    int rc;

    message.id = id;
    rc = client_ask(client->inner, &request, &arena, &res, &why);
    if (rc != 0) {
        rc = kvd_fail_from(err, &why, &request);
    } else if (res->ttl <= 0) {
        rc = kvd_fail(err, KVD_NOT_FOUND, "there is no lease %llx",
                      (unsigned long long)id);
    } else {
        *ttl_s = res->ttl;
        *sent_ms = request.sent_ms;
    }
    arena_close(&arena);
    return rc;
}

int kvd_lease_open(struct kvd_client *client, const struct kvd_lease_options *options,
                   struct kvd_lease **out, struct kvd_error *err)
{
    static const struct kvd_lease_options defaults;
    int64_t id, ttl_s, sent_ms;
    int rc;

    options = options != NULL ? options : &defaults;
    rc = grant(client, options, &id, &ttl_s, &sent_ms, err);
    if (rc == 0) {
        *out = keep(client, options, id, ttl_s, sent_ms);
    }
    return rc;
}

int kvd_lease_adopt(struct kvd_client *client, const struct kvd_lease_options *options,
                    struct kvd_lease **out, struct kvd_error *err)
{
    int64_t ttl_s, sent_ms;
    int rc = renew(client, options->id, options->timeout_ms, &ttl_s, &sent_ms, err);

    if (rc == 0) {
        *out = keep(client, options, options->id, ttl_s, sent_ms);
    }
    return rc;
}

int64_t kvd_lease_id(const struct kvd_lease *lease)
{
    return lease->kept.id;
}

int64_t kvd_lease_ttl_s(const struct kvd_lease *lease)
{
    return lease->ttl_s;
}

int64_t kvd_lease_left_ms(const struct kvd_lease *lease)
{
    return keeper_left_ms((struct kept *)&lease->kept);
}

int kvd_lease_close(struct kvd_lease *lease, struct kvd_error *err)
{
    bool outside;
    int rc;

    if (lease == NULL) {
        return 0;
    }
    keeper_remove(&lease->kept);
    outside = kvd_warning_remove(&lease->warning);
    rc = kvd_lease_revoke(lease->client, lease->kept.id, err);
    if (outside) {
        free(lease);
    }
    return rc;
}

void kvd_lease_leave(struct kvd_lease *lease)
{
    if (lease != NULL) {
        keeper_remove(&lease->kept);
        if (kvd_warning_remove(&lease->warning)) {
            free(lease);
        }
    }
}

/* ---- single calls ---- */

int kvd_lease_grant(struct kvd_client *client, int64_t ttl_s, int64_t id,
                    int64_t *granted_id, int64_t *granted_s, struct kvd_error *err)
{
    struct kvd_lease_options options = {.ttl_s = ttl_s, .id = id};
    int64_t sent_ms;

    return grant(client, &options, granted_id, granted_s, &sent_ms, err);
}

int kvd_lease_revoke(struct kvd_client *client, int64_t id, struct kvd_error *err)
{
    Etcdserverpb__LeaseRevokeRequest message = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct client_request request = {.method = &client_lease_revoke,
                                     .message = &message.base};
    const Etcdserverpb__LeaseRevokeResponse *res;
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    struct err why = {0};
    int rc;

    message.id = id;
    rc = client_ask(client->inner, &request, &arena, &res, &why);
    arena_close(&arena);
    rc = rc != 0 ? kvd_fail_from(err, &why, &request) : 0;
    /* A try whose answer was lost may have been the one that did it. */
    return rc == KVD_NOT_FOUND && request.tries > 1 ? 0 : rc;
}

int kvd_lease_renew(struct kvd_client *client, int64_t id, int64_t *ttl_s,
                    struct kvd_error *err)
{
    int64_t sent_ms;

    return renew(client, id, 0, ttl_s, &sent_ms, err);
}

int kvd_lease_get(struct kvd_client *client, int64_t id, bool with_keys,
                  struct kvd_lease_state **out, struct kvd_error *err)
{
    Etcdserverpb__LeaseTimeToLiveRequest message =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    const Etcdserverpb__LeaseTimeToLiveResponse *res;
    struct kvd_call call = {.method = &client_lease_time_to_live,
                            .message = &message.base};
    struct arena *arena;
    struct kvd_lease_state *state = kvd_new(sizeof(*state), &arena);
    struct kvd_bytes *keys;
    int rc;

    message.id = id;
    message.keys = with_keys;
    rc = kvd_ask(client, &call, arena, &res, err);
    if (rc != 0) {
        kvd_free(state);
        return rc;
    }
    keys = arena_alloc(arena, res->n_keys * sizeof(*keys));
    for (size_t i = 0; i < res->n_keys; i++) {
        keys[i] = kvd_bytes_in(res->keys[i]);
    }
    *state = (struct kvd_lease_state){.id = id,
                                      .ttl_s = res->ttl,
                                      .granted_s = res->grantedttl,
                                      .keys = keys,
                                      .n_keys = res->n_keys};
    *out = state;
    return 0;
}

void kvd_lease_state_free(struct kvd_lease_state *state)
{
    kvd_free(state);
}

int kvd_lease_list(struct kvd_client *client, struct kvd_lease_ids **out,
                   struct kvd_error *err)
{
    Etcdserverpb__LeaseLeasesRequest message = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    const Etcdserverpb__LeaseLeasesResponse *res;
    struct kvd_call call = {.method = &client_lease_leases, .message = &message.base};
    struct arena *arena;
    struct kvd_lease_ids *list = kvd_new(sizeof(*list), &arena);
    int64_t *ids;
    int rc = kvd_ask(client, &call, arena, &res, err);

    if (rc != 0) {
        kvd_free(list);
        return rc;
    }
    ids = arena_alloc(arena, res->n_leases * sizeof(*ids));
    for (size_t i = 0; i < res->n_leases; i++) {
        ids[i] = res->leases[i]->id;
    }
    *list = (struct kvd_lease_ids){.ids = ids, .n_ids = res->n_leases};
    *out = list;
    return 0;
}

void kvd_lease_ids_free(struct kvd_lease_ids *ids)
{
    kvd_free(ids);
}
