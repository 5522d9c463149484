/* Happy path: lease, call, armed; then the deletion of the key is watched, from the
 * revision after its creation on. */
#include "cli/lib/claim.h"

#include "base/limits.h"

/* ---- losses, on the I/O thread ---- */

static void lose(struct claim *claim, const struct err *why)
{
    if (atomic_load(&claim->lost)) {
        return;
    }
    claim->why = *why;
    atomic_store(&claim->lost, true);
    client_cancel(claim->client->inner, &claim->request);
    if (claim->armed) {
        kvd_warning_raise(&claim->warning, why);
    }
}

static void on_lease_lost(struct kvd_lease_user *user, const struct err *why)
{
    lose(container_of(user, struct claim, user), why);
}

static bool has_deletion(const struct watch_news *news)
{
    return news->kind == WATCH_EVENTS && news->response->n_events > 0;
}

/* The watch tells deletions only. What was compacted away may have been one: the key is
 * taken for lost, since holding on to it would be the worse mistake. */
static void on_key_news(void *owner)
{
    struct claim *claim = owner;
    struct watch_news *news;
    struct err why;

    while (watch_take(claim->watch, 0, &news, NULL) == 0) {
        if (has_deletion(news)) {
            err_set(&why, ERR_NOT_FOUND, "%.*s was released by somebody else",
                    (int)claim->name.len, (const char *)claim->name.ptr);
            lose(claim, &why);
        } else if (news->kind >= WATCH_COMPACTED) {
            lose(claim, &news->err);
        }
        watch_news_free(news);
    }
}

/* ---- from other threads ---- */

int claim_open(struct claim *claim, struct kvd_client *client, struct kvd_bytes name,
               const struct claim_options *options, struct kvd_error *err)
{
    struct kvd_lease_options lease = {.ttl_s = options->ttl_s};
    int rc = 0;

    *claim = (struct claim){.client = client, .lease = options->lease};
    claim->user.lost = on_lease_lost;
    kvd_warning_init(&claim->warning, client, options->lost, options->lost_owner,
                     options->free);
    if (name.len > LIMIT_CLIENT_SEND / 2) {
        return kvd_fail(err, KVD_TOO_BIG, "a name of %zu bytes", name.len);
    }
    arena_init(&claim->arena, LIMIT_CLIENT_SEND);
    claim->name = kvd_copy(&claim->arena, name);
    if (claim->lease == NULL) {
        claim->own_lease = true;
        rc = kvd_lease_open(client, &lease, &claim->lease, err);
    }
    if (rc != 0) {
        arena_close(&claim->arena);
        return rc;
    }
    kvd_lease_use(claim->lease, &claim->user);
    return 0;
}

struct preparation {
    struct claim *claim;
    struct client_request request;
};

/* There, as that is where the loss looks at it. */
static void prepare(void *arg)
{
    struct preparation *preparation = arg;

    preparation->claim->request = preparation->request;
}

int claim_ask(struct claim *claim, const struct client_method *method,
              const ProtobufCMessage *message, int64_t timeout_ms, struct arena *arena,
              void *reply, struct kvd_error *err)
{
    struct preparation preparation = {
        .claim = claim,
        .request = {.method = method,
                    .message = message,
                    .timeout_ms = timeout_ms,
                    .patient = timeout_ms != 0,
                    .canceled = &claim->lost},
    };
    struct err why = {0};

    io_run(client_io(claim->client->inner), prepare, &preparation);
    if (client_ask(claim->client->inner, &claim->request, arena, reply, &why) == 0) {
        return 0;
    }
    if (atomic_load(&claim->lost)) {
        return kvd_fail(err, KVD_LOST, "%s", claim->why.text);
    }
    return kvd_fail_from(err, &why, &claim->request);
}

static void arm(void *arg)
{
    struct claim *claim = arg;

    claim->armed = !atomic_load(&claim->lost);
}

int claim_arm(struct claim *claim, struct kvd_bytes key, int64_t token,
              struct kvd_error *err)
{
    Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType no_puts =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;

    claim->key = kvd_copy(&claim->arena, key);
    claim->token = token;
    io_run(client_io(claim->client->inner), arm, claim);
    if (!claim->armed) {
        return kvd_fail(err, KVD_LOST, "%s", claim->why.text);
    }
    if (claim->warning.lost != NULL) {
        request.key = kvd_binary(claim->key);
        request.start_revision = token + 1;
        request.filters = &no_puts;
        request.n_filters = 1;
        claim->watch = watch_new(claim->client->inner, &request, on_key_news, claim);
        watch_start(claim->watch);
    }
    return 0;
}

int64_t claim_left_ms(struct claim *claim)
{
    return atomic_load(&claim->lost) ? 0 : kvd_lease_left_ms(claim->lease);
}

bool claim_disarm(struct claim *claim)
{
    kvd_lease_use_no_more(claim->lease, &claim->user);
    if (claim->watch != NULL) {
        watch_stop(claim->watch);
    }
    return kvd_warning_remove(&claim->warning);
}

int claim_close(struct claim *claim, struct kvd_error *err)
{
    int rc = 0;

    watch_close(claim->watch);
    claim->watch = NULL;
    if (claim->own_lease) {
        rc = kvd_lease_close(claim->lease, err);
    }
    arena_close(&claim->arena);
    return rc;
}
