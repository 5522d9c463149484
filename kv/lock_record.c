/* A value that is not a record is shown as it is: the proposal of a candidate. What can
 * fail: SQLite, which is fatal (history_read). */
#include "kv/lock_record.h"

#include "api/decode.h"
#include "base/limits.h"
#include "kv/history.h"
#include "kv/lease.h"
#include "kv/state.h"

#define RECORD_MARK 0x6b6c6f63 /* "kloc" */

static Kvd__V1__LockRecord *decode(struct slice value, struct arena *arena)
{
    const ProtobufCMessageDescriptor *type = &kvd__v1__lock_record__descriptor;
    Kvd__V1__LockRecord *record;

    if (value.len == 0) {
        return NULL;
    }
    record = (Kvd__V1__LockRecord *)api_decode_own(type, value, arena, NULL);
    return record != NULL && record->mark == RECORD_MARK ? record : NULL;
}

Kvd__V1__LockRecord *lock_record(struct kv *kv, const struct lock_hold *hold,
                                 struct arena *arena)
{
    Kvd__V1__LockRecord *record = NULL;
    struct row row;

    if (history_read(kv, key_name(hold->key), hold->key->seq, &row)) {
        record = decode(row.value, arena);
    }
    history_release(kv);
    return record;
}

bool lock_has_record(struct kv *kv, const struct lock_hold *hold, size_t *bytes)
{
    struct arena own = {.max = LIMIT_COMMAND_ARENA};
    bool is_record = false;
    struct row row;

    if (history_read(kv, key_name(hold->key), hold->key->seq, &row)) {
        *bytes = row.value.len;
        is_record = decode(row.value, &own) != NULL;
    }
    history_release(kv);
    arena_close(&own);
    return is_record;
}

ProtobufCBinaryData lock_record_encode(Kvd__V1__LockRecord *record, struct arena *arena)
{
    ProtobufCBinaryData out;

    record->mark = RECORD_MARK;
    out.len = kvd__v1__lock_record__get_packed_size(record);
    out.data = arena_alloc(arena, out.len);
    kvd__v1__lock_record__pack(record, out.data);
    return out;
}

bool lock_record_has(const Kvd__V1__LockRecord *record, const char *hold)
{
    for (size_t i = 0; i < record->n_holds; i++) {
        if (strcmp(record->holds[i], hold) == 0) {
            return true;
        }
    }
    return false;
}

static int64_t ttl_ms(const struct kv *kv, int64_t id)
{
    const struct lease *lease = lease_find(kv, id);

    return lease != NULL && !lease_is_due(kv, lease)
               ? (int64_t)(lease->deadline_ms - kv->meta.cluster_ms)
               : 0;
}

Kvd__V1__LockHold *lock_show(struct kv *kv, const struct lock_hold *hold,
                             struct reply *reply)
{
    Kvd__V1__LockHold *out = reply_message(reply, &kvd__v1__lock_hold__descriptor);
    Kvd__V1__LockRecord *record;
    struct row row;

    if (out == NULL) {
        return NULL;
    }
    out->key = reply_bytes(reply, key_name(hold->key));
    out->token = hold->token;
    out->granted = lock_holds(kv, hold);
    out->mode = hold->mode;
    out->slots = hold->slots;
    out->lease = hold->key->lease;
    out->ttl_ms = ttl_ms(kv, hold->key->lease);
    if (history_read(kv, key_name(hold->key), hold->key->seq, &row)) {
        record = decode(row.value, reply->arena);
        if (record != NULL) {
            out->owner = record->owner;
            out->since_ms = record->since_ms;
            out->n_holds = record->n_holds;
            out->holds = record->holds;
        } else if (row.value.len > 0) {
            out->election = true;
            out->value = reply_bytes(reply, row.value);
        }
    }
    history_release(kv);
    return out;
}
