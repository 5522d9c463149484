#include "tests/chaos/lease_calls.h"

#include <stdio.h>
#include <string.h>

#include "api/status.h"
#include "rpc.pb-c.h"

#define IDS_EACH 1000000 /* ids of a client: its number times this, and on */

void lease_begin(struct lease *lease, struct client *client, int64_t ttl)
{
    *lease = (struct lease){.id = (int64_t)client->number * IDS_EACH + ++client->n_leases,
                            .ttl = ttl};
}

/* ---- the record ---- */

static void ask(struct lease *lease, struct client *client, const char *function)
{
    client_invoke(client, function);
    record_number(&client->record, "lease", lease->id);
}

/* Replies are NULL unless the call went well. */
static void answer(struct lease *lease, struct client *client, const char *function,
                   const Etcdserverpb__ResponseHeader *header)
{
    client_answer(client, function, &client->call, header);
    if (client->call.code == GRPC_NOT_FOUND) {
        lease->gone = true;
    }
}

static enum call_outcome call(struct client *client, const char *path,
                              const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *type, const void **reply)
{
    enum call_outcome outcome = caller_call(&client->caller, &client->call, path, request,
                                            type, client->workload->timeout_ms);

    *reply = outcome == CALL_OK ? client->call.reply : NULL;
    return outcome;
}

/* ---- the calls ---- */

void lease_grant(struct lease *lease, struct client *client)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const void *reply;
    const Etcdserverpb__LeaseGrantResponse *told;

    request.id = lease->id;
    request.ttl = lease->ttl;
    ask(lease, client, "grant");
    record_number(&client->record, "ttl", lease->ttl);
    record_end(&client->record);
    call(client, "/etcdserverpb.Lease/LeaseGrant", &request.base,
         &etcdserverpb__lease_grant_response__descriptor, &reply);
    told = reply;
    answer(lease, client, "grant", told != NULL ? told->header : NULL);
    if (told != NULL) {
        record_number(&client->record, "ttl", told->ttl);
        lease->ttl = told->ttl;
        lease->granted = true;
    }
    record_end(&client->record);
    /* An attempt before, whose answer was lost, has made it. */
    lease->granted = lease->granted || client->call.code == GRPC_FAILED_PRECONDITION;
}

void lease_keep_alive(struct lease *lease, struct client *client)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    const void *reply;
    const Etcdserverpb__LeaseKeepAliveResponse *told;

    request.id = lease->id;
    ask(lease, client, "keep_alive");
    record_end(&client->record);
    call(client, "/etcdserverpb.Lease/LeaseKeepAlive", &request.base,
         &etcdserverpb__lease_keep_alive_response__descriptor, &reply);
    told = reply;
    answer(lease, client, "keep_alive", told != NULL ? told->header : NULL);
    if (told != NULL) {
        record_number(&client->record, "ttl", told->ttl);
        lease->gone = lease->gone || told->ttl <= 0;
    }
    record_end(&client->record);
}

void lease_read(struct lease *lease, struct client *client, bool with_keys)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    const void *reply;
    const Etcdserverpb__LeaseTimeToLiveResponse *told;

    request.id = lease->id;
    request.keys = with_keys;
    ask(lease, client, "time_to_live");
    record_end(&client->record);
    call(client, "/etcdserverpb.Lease/LeaseTimeToLive", &request.base,
         &etcdserverpb__lease_time_to_live_response__descriptor, &reply);
    told = reply;
    answer(lease, client, "time_to_live", told != NULL ? told->header : NULL);
    if (told != NULL) {
        record_number(&client->record, "ttl", told->ttl);
        record_number(&client->record, "granted", told->grantedttl);
        if (with_keys) {
            record_number(&client->record, "keys", (int64_t)told->n_keys);
        }
        lease->gone = lease->gone || told->ttl < 0;
    }
    record_end(&client->record);
}

void lease_revoke(struct lease *lease, struct client *client)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    const void *reply;
    const Etcdserverpb__LeaseRevokeResponse *told;

    request.id = lease->id;
    ask(lease, client, "revoke");
    record_end(&client->record);
    call(client, "/etcdserverpb.Lease/LeaseRevoke", &request.base,
         &etcdserverpb__lease_revoke_response__descriptor, &reply);
    told = reply;
    answer(lease, client, "revoke", told != NULL ? told->header : NULL);
    record_end(&client->record);
    lease->gone = lease->gone || told != NULL;
}

void lease_put(struct lease *lease, struct client *client, const char *key, bool attached)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    const void *reply;
    const Etcdserverpb__PutResponse *told;

    request.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    request.value = request.key;
    request.lease = attached ? lease->id : 0;
    ask(lease, client, "lease_put");
    record_text(&client->record, "key", key);
    record_bool(&client->record, "attached", attached);
    record_end(&client->record);
    call(client, "/etcdserverpb.KV/Put", &request.base,
         &etcdserverpb__put_response__descriptor, &reply);
    told = reply;
    answer(lease, client, "lease_put", told != NULL ? told->header : NULL);
    record_end(&client->record);
}
