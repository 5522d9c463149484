/* What can be asked about locks: reads of the applied state. A reply holds at most
 * LIMIT_LOCK_LIST locks or holds, or less where LIMIT_LOCK_REPLY bytes are reached
 * before: values of candidates may be long. What can fail: the store is dead. */
#include "api/decode.h"
#include "base/limits.h"
#include "kv/history.h"
#include "kv/kv.h"
#include "kv/lease.h"
#include "kv/lock.h"
#include "kv/lock_record.h"
#include "kv/span.h"
#include "kv/state.h"

enum kv_lock_state kv_lock_state(const struct kv *kv, struct slice key, int64_t token)
{
    const struct key *found = index_find(&kv->index, key);
    const struct lock_hold *hold = NULL;

    if (found != NULL && key_is_live(found) && found->created == token) {
        hold = lock_of_key(kv, found);
    }
    if (hold == NULL || !lease_lives(kv, found->lease)) {
        return kv->plants & KV_PLANT_DEAD_WAITER ? KV_LOCK_GRANTED : KV_LOCK_GONE;
    }
    if (kv->plants & KV_PLANT_OUT_OF_LINE) {
        return KV_LOCK_GRANTED;
    }
    return hold->granted ? KV_LOCK_GRANTED : KV_LOCK_WAITING;
}

size_t kv_lock_waiting(const struct kv *kv, struct slice name)
{
    const struct lock_line *line = lock_find_line(kv, name);

    return line != NULL ? line->n - line->n_granted : 0;
}

static enum api_status done(const struct kv *kv, const struct reply *reply)
{
    if (kv->dead) {
        return API_CORRUPT;
    }
    return reply->too_large ? API_RESPONSE_TOO_LARGE : API_OK;
}

bool kv_lock_leads(const struct kv *kv, struct slice name, int64_t created,
                   int64_t modified)
{
    const struct lock_line *line = lock_find_line(kv, name);
    const struct key *key = line != NULL ? lock_first(line)->key : NULL;

    return key != NULL && key->created == created && key->rev == modified;
}

enum api_status kv_lock_leader(struct kv *kv, struct slice name, struct arena *arena,
                               Mvccpb__KeyValue **out)
{
    const struct lock_line *line = lock_find_line(kv, name);
    struct reply reply = reply_for(arena);
    struct version version;
    struct row row;
    const struct key *key;

    *out = NULL;
    if (line == NULL) {
        return API_OK;
    }
    key = lock_first(line)->key;
    version = key_newest(key);
    history_read(kv, key_name(key), key->seq, &row);
    *out = reply_kv(&reply, key_name(key), &version, row.value);
    history_release(kv);
    return done(kv, &reply);
}

static bool is_long(const struct reply *reply, size_t used_before)
{
    return reply->arena->used - used_before >= LIMIT_LOCK_REPLY;
}

/* ---- list ---- */

static bool has_prefix(const struct lock_line *line, struct slice prefix)
{
    return line->len >= prefix.len &&
           (prefix.len == 0 || memcmp(line->name, prefix.ptr, prefix.len) == 0);
}

static Kvd__V1__LockSummary *summary(struct kv *kv, const struct lock_line *line,
                                     struct reply *reply)
{
    Kvd__V1__LockSummary *out = reply_message(reply, &kvd__v1__lock_summary__descriptor);

    if (out != NULL) {
        out->name = reply_bytes(reply, lock_line_name(line));
        out->holders = (uint32_t)line->n_granted;
        out->waiting = (uint32_t)(line->n - line->n_granted);
        out->first = lock_show(kv, lock_first(line), reply);
    }
    return out;
}

enum api_status kv_lock_list(struct kv *kv, const Kvd__V1__LockListRequest *req,
                             struct arena *arena, Kvd__V1__LockListResponse **out)
{
    struct reply reply = reply_for(arena);
    struct slice prefix = api_slice(req->prefix);
    struct slice after = api_slice(req->after);
    size_t used = arena->used;
    size_t most = req->limit > 0 && req->limit < LIMIT_LOCK_LIST ? (size_t)req->limit
                                                                 : LIMIT_LOCK_LIST;
    Kvd__V1__LockListResponse *res =
        reply_message(&reply, &kvd__v1__lock_list_response__descriptor);
    struct lock_line *line = slice_cmp(after, prefix) > 0 ? lock_line_after(kv, after)
                                                          : lock_line_from(kv, prefix);

    if (res != NULL) {
        res->locks = reply_alloc(&reply, most * sizeof(res->locks[0]));
        res->header = reply_header(&reply, kv->meta.revision);
    }
    while (reply_wanted(&reply) && !kv->dead && line != NULL &&
           has_prefix(line, prefix)) {
        if (res->n_locks == most || is_long(&reply, used)) {
            res->more = true;
            break;
        }
        res->locks[res->n_locks++] = summary(kv, line, &reply);
        line = lock_line_after(kv, lock_line_name(line));
    }
    *out = res;
    return done(kv, &reply);
}

/* ---- inspect ---- */

static Kvd__V1__ForcedRelease *last_forced(struct kv *kv, struct slice name,
                                           struct arena *arena)
{
    struct slice key_bytes = kv_lock_forced_key(arena, name);
    const struct key *key = index_find(&kv->index, key_bytes);
    ProtobufCMessage *forced = NULL;
    struct row row;

    if (key == NULL || !key_is_live(key)) {
        return NULL;
    }
    if (history_read(kv, key_bytes, key->seq, &row)) {
        forced =
            api_decode_own(&kvd__v1__forced_release__descriptor, row.value, arena, NULL);
    }
    history_release(kv);
    return (Kvd__V1__ForcedRelease *)forced;
}

enum api_status kv_lock_inspect(struct kv *kv, const Kvd__V1__LockInspectRequest *req,
                                struct arena *arena, Kvd__V1__LockInspectResponse **out)
{
    struct reply reply = reply_for(arena);
    struct slice name = api_slice(req->name);
    const struct lock_line *line = lock_find_line(kv, name);
    size_t n = line == NULL ? 0 : line->n < LIMIT_LOCK_LIST ? line->n : LIMIT_LOCK_LIST;
    Kvd__V1__LockInspectResponse *res =
        reply_message(&reply, &kvd__v1__lock_inspect_response__descriptor);
    const struct list *pos = line != NULL ? line->holds.next : NULL;
    size_t used = arena->used;

    if (res != NULL) {
        res->line = reply_alloc(&reply, n * sizeof(res->line[0]));
        res->header = reply_header(&reply, kv->meta.revision);
        res->last_forced = last_forced(kv, name, arena);
        res->holders = line != NULL ? (uint32_t)line->n_granted : 0;
        res->waiting = line != NULL ? (uint32_t)(line->n - line->n_granted) : 0;
    }
    for (; reply_wanted(&reply) && !kv->dead && res->n_line < n && !is_long(&reply, used);
         pos = pos->next) {
        res->line[res->n_line++] =
            lock_show(kv, lock_hold_at((struct list *)pos), &reply);
    }
    *out = res;
    return done(kv, &reply);
}
