/* Elections by etcd's service. The lease names the candidate's key, so that campaigning
 * can be repeated over other endpoints without harm. */
#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/claim.h"
#include "cli/lib/feed.h"
#include "v3election.pb-c.h"

struct kvd_candidate {
    struct claim claim;
};

/* The texts are part of etcd's API. */
static int translate(int rc, const char *text, struct kvd_error *err)
{
    if (rc != KVD_REFUSED && rc != KVD_NOT_FOUND) {
        return rc;
    }
    if (strstr(text, "election: no leader") != NULL) {
        rc = KVD_NOT_FOUND;
    } else if (strstr(text, "election: not leader") != NULL ||
               strstr(text, "session is expired") != NULL ||
               strstr(text, "requested lease not found") != NULL) {
        rc = KVD_LOST;
    }
    if (err != NULL) {
        err->code = rc;
    }
    return rc;
}

static int ask(struct kvd_client *client, const struct kvd_call *call,
               struct arena *arena, void *reply, struct kvd_error *err)
{
    struct kvd_error unread;
    int rc;

    err = err != NULL ? err : &unread;
    rc = kvd_ask(client, call, arena, reply, err);
    return rc != 0 ? translate(rc, err->text, err) : 0;
}

/* ---- candidates ---- */

static void free_candidate(struct kvd_warning *warning)
{
    free(container_of(container_of(warning, struct claim, warning), struct kvd_candidate,
                      claim));
}

static void leader_key(const struct kvd_candidate *candidate,
                       V3electionpb__LeaderKey *out)
{
    v3electionpb__leader_key__init(out);
    out->name = kvd_binary(candidate->claim.name);
    out->key = kvd_binary(candidate->claim.key);
    out->rev = candidate->claim.token;
    out->lease = kvd_lease_id(candidate->claim.lease);
}

/* Leaves the line where it may still stand: its key is known by the lease. */
static void withdraw(struct kvd_candidate *candidate)
{
    char *key = mem_printf("%.*s/%llx", (int)candidate->claim.name.len,
                           (const char *)candidate->claim.name.ptr,
                           (unsigned long long)kvd_lease_id(candidate->claim.lease));

    kvd_delete(candidate->claim.client, kvd_key(key), NULL, NULL, NULL);
    free(key);
}

static void give_up(struct kvd_candidate *candidate)
{
    bool outside = claim_disarm(&candidate->claim);

    if (!candidate->claim.own_lease) {
        withdraw(candidate);
    }
    claim_close(&candidate->claim, NULL);
    CHECK(outside); /* no loss was told, as there was nothing to lose */
    free(candidate);
}

static int campaign(struct kvd_candidate *candidate, struct kvd_bytes value,
                    int64_t wait_ms, struct kvd_error *err)
{
    V3electionpb__CampaignRequest request = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;
    const V3electionpb__CampaignResponse *res;
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    struct kvd_error unread;
    int rc;

    err = err != NULL ? err : &unread;
    request.name = kvd_binary(candidate->claim.name);
    request.lease = kvd_lease_id(candidate->claim.lease);
    request.value = kvd_binary(value);
    rc = claim_ask(&candidate->claim, &client_campaign, &request.base, wait_ms, &arena,
                   &res, err);
    /* We see the end of our time first, or the server does. */
    if (rc == KVD_TIMEOUT || (rc != 0 && err->status == GRPC_DEADLINE_EXCEEDED)) {
        rc = kvd_fail(err, KVD_BUSY, "not elected in time");
    } else if (rc != 0) {
        rc = translate(rc, err->text, err);
    } else if (res->leader == NULL) {
        rc =
            kvd_fail(err, KVD_CORRUPT, "elected, but the reply does not say by what key");
    } else {
        rc = claim_arm(&candidate->claim, kvd_bytes_in(res->leader->key),
                       res->leader->rev, err);
    }
    arena_close(&arena);
    return rc;
}

int kvd_campaign(struct kvd_client *client, struct kvd_bytes name, struct kvd_bytes value,
                 const struct kvd_campaign_options *options, struct kvd_candidate **out,
                 struct kvd_error *err)
{
    static const struct kvd_campaign_options defaults;
    struct kvd_candidate *candidate = mem_zero(sizeof(*candidate));
    struct claim_options claim = {.free = free_candidate};
    int rc;

    options = options != NULL ? options : &defaults;
    claim.lease = options->lease;
    claim.ttl_s = options->ttl_s;
    claim.lost = options->lost;
    claim.lost_owner = options->lost_owner;
    rc = claim_open(&candidate->claim, client, name, &claim, err);
    if (rc != 0) {
        free(candidate);
        return rc;
    }
    rc = campaign(candidate, value, options->wait_ms > 0 ? options->wait_ms : -1, err);
    if (rc != 0) {
        give_up(candidate);
        return rc;
    }
    *out = candidate;
    return 0;
}

struct kvd_bytes kvd_candidate_key(const struct kvd_candidate *candidate)
{
    return candidate->claim.key;
}

int64_t kvd_candidate_lease(const struct kvd_candidate *candidate)
{
    return kvd_lease_id(candidate->claim.lease);
}

struct kvd_fence kvd_candidate_fence(const struct kvd_candidate *candidate)
{
    return (struct kvd_fence){.lock = candidate->claim.name,
                              .token = candidate->claim.token};
}

int64_t kvd_candidate_left_ms(const struct kvd_candidate *candidate)
{
    return claim_left_ms((struct claim *)&candidate->claim);
}

int kvd_candidate_proclaim(struct kvd_candidate *candidate, struct kvd_bytes value,
                           struct kvd_error *err)
{
    V3electionpb__ProclaimRequest request = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;
    V3electionpb__LeaderKey leader;
    const V3electionpb__ProclaimResponse *res;
    struct kvd_call call = {.method = &client_proclaim, .message = &request.base};
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    int rc;

    leader_key(candidate, &leader);
    request.leader = &leader;
    request.value = kvd_binary(value);
    rc = ask(candidate->claim.client, &call, &arena, &res, err);
    arena_close(&arena);
    return rc;
}

int kvd_candidate_resign(struct kvd_candidate *candidate, struct kvd_error *err)
{
    V3electionpb__ResignRequest request = V3ELECTIONPB__RESIGN_REQUEST__INIT;
    V3electionpb__LeaderKey leader;
    const V3electionpb__ResignResponse *res;
    struct kvd_call call = {.method = &client_resign, .message = &request.base};
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    bool outside;
    int rc;

    if (candidate == NULL) {
        return 0;
    }
    outside = claim_disarm(&candidate->claim);
    leader_key(candidate, &leader);
    request.leader = &leader;
    rc = ask(candidate->claim.client, &call, &arena, &res, err);
    arena_close(&arena);
    claim_close(&candidate->claim, NULL);
    if (outside) {
        free(candidate);
    }
    return rc;
}

int kvd_leader(struct kvd_client *client, struct kvd_bytes name, struct kvd_result **out,
               struct kvd_error *err)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    const V3electionpb__LeaderResponse *res;
    struct kvd_call call = {.method = &client_leader, .message = &request.base};
    struct arena *arena;
    struct kvd_result *result = kvd_new(sizeof(*result), &arena);
    int rc;

    request.name = kvd_binary(name);
    rc = ask(client, &call, arena, &res, err);
    if (rc == 0 && res->kv == NULL) {
        rc = kvd_fail(err, KVD_NOT_FOUND, "there is no leader");
    }
    if (rc != 0) {
        kvd_free(result);
        return rc;
    }
    result->revision = res->header != NULL ? res->header->revision : 0;
    result->kvs = kvd_kvs_of(arena, &res->kv, 1);
    result->n_kvs = 1;
    result->count = 1;
    *out = result;
    return 0;
}
