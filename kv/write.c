/* Puts and deletes: a row of history and a version in the index for each changed key.
 * What was refused must be refused before (write_check_lease, write_check_key); here
 * nothing can fail but SQLite. */
#include "kv/write.h"

#include "base/check.h"
#include "kv/history.h"
#include "kv/span.h"
#include "kv/state.h"

struct write write_begin(struct kv *kv)
{
    CHECK(kv->in_batch);
    return (struct write){.kv = kv, .rev = kv->meta.revision + 1};
}

void write_end(struct write *write)
{
    if (write->n > 0) {
        write->kv->meta.revision = write->rev;
    }
}

int64_t write_view(const struct write *write)
{
    return write->n > 0 ? write->rev : write->rev - 1;
}

enum api_status write_check_lease(struct kv *kv, const Etcdserverpb__PutRequest *req)
{
    return req->lease != 0 && !lease_lives(kv, req->lease) ? API_LEASE_NOT_FOUND : API_OK;
}

enum api_status write_check_key(struct kv *kv, const Etcdserverpb__PutRequest *req)
{
    if (req->ignore_value || req->ignore_lease) {
        const struct key *key = index_find(&kv->index, api_slice(req->key));

        if (key == NULL || !key_is_live(key)) {
            return API_KEY_NOT_FOUND;
        }
    }
    return API_OK;
}

/* Every change of a key comes by here. old: the key that the row changes, or NULL. */
static void append(struct write *write, struct key *old, struct index_place *place,
                   struct row *row)
{
    struct kv *kv = write->kv;
    int64_t old_lease = old != NULL && key_is_live(old) ? old->lease : 0;
    struct key *key;
    struct version version = {.rev = write->rev,
                              .created = row->created,
                              .number = row->number,
                              .lease = row->lease};

    row->rev = write->rev;
    version.seq = history_append(kv, row);
    watches_note(kv, row);
    key = index_add(&kv->index, place, row->key, &version);
    if (row->lease != old_lease) {
        if (old_lease != 0) {
            lease_detach(kv, old_lease, key);
        }
        if (row->lease != 0) {
            lease_attach(kv, row->lease, key);
        }
    }
    if (row->lease != 0 || old_lease != 0) {
        lock_note(kv, key);
    }
    write->n++;
}

/* A tombstone below the compact revision is gone, whether or not a slice of compaction
 * has come by: rows must be the same on every member. */
static int64_t prev_of(const struct kv *kv, const struct key *key)
{
    if (key == NULL || (!key_is_live(key) && key->rev < kv->meta.compact_revision)) {
        return 0;
    }
    return key->seq;
}

Etcdserverpb__PutResponse *write_put(struct write *write,
                                     const Etcdserverpb__PutRequest *req,
                                     struct reply *reply)
{
    struct kv *kv = write->kv;
    struct row row = {.key = api_slice(req->key), .value = api_slice(req->value)};
    Etcdserverpb__PutResponse *res =
        reply_message(reply, &etcdserverpb__put_response__descriptor);
    struct index_place place;
    struct key *key = index_locate(&kv->index, row.key, &place);
    bool live = key != NULL && key_is_live(key);
    bool with_prev = res != NULL && req->prev_kv;
    struct row old = {0};

    if (live && (with_prev || req->ignore_value)) {
        struct version version = key_newest(key);

        history_read(kv, row.key, key->seq, &old);
        if (with_prev) {
            res->prev_kv = reply_kv(reply, old.key, &version, old.value);
        }
    }
    if (req->ignore_value) {
        row.value = old.value; /* empty if this txn deleted the key after the check */
    }
    row.prev = prev_of(kv, key);
    row.created = write->rev;
    row.number = 1;
    row.lease = req->lease;
    if (live) {
        row.created = key->created;
        row.number = key->number + 1;
        row.lease = req->ignore_lease ? key->lease : req->lease;
    }
    append(write, key, &place, &row);
    history_release(kv);
    if (res != NULL) {
        res->header = reply_header(reply, write->rev);
    }
    return res;
}

static void add_prev(struct kv *kv, const struct key *key, struct reply *reply,
                     Etcdserverpb__DeleteRangeResponse *res)
{
    struct version version = key_newest(key);
    struct row row;

    history_read(kv, key_name(key), key->seq, &row);
    res->prev_kvs[res->n_prev_kvs++] = reply_kv(reply, row.key, &version, row.value);
    history_release(kv);
}

void write_delete_key(struct write *write, struct key *key)
{
    struct row row = {.prev = key->seq, .key = key_name(key)};
    struct index_place place;
    struct key *found = index_locate(&write->kv->index, row.key, &place);

    CHECK(found == key && key_is_live(key));
    append(write, key, &place, &row);
}

Etcdserverpb__DeleteRangeResponse *write_delete(
    struct write *write, const Etcdserverpb__DeleteRangeRequest *req, struct reply *reply)
{
    struct kv *kv = write->kv;
    struct span span = span_of(req->key, req->range_end);
    Etcdserverpb__DeleteRangeResponse *res =
        reply_message(reply, &etcdserverpb__delete_range_response__descriptor);
    struct index_place place;
    uint64_t n = 0;

    if (res != NULL && req->prev_kv) {
        index_count(&kv->index, &span, span.from, write->rev, SIZE_MAX, &n);
        res->prev_kvs = reply_alloc(reply, n * sizeof(res->prev_kvs[0]));
        n = 0;
    }
    for (struct key *key = index_first(&kv->index, &span, span.from, &place);
         key != NULL && !kv->dead; key = index_next(&kv->index, &span, &place)) {
        struct row row = {.prev = key->seq, .key = key_name(key)};

        if (!key_is_live(key)) {
            continue;
        }
        if (req->prev_kv && reply_wanted(reply)) {
            add_prev(kv, key, reply, res);
        }
        append(write, key, &place, &row);
        n++;
    }
    if (res != NULL) {
        res->header = reply_header(reply, write_view(write));
        res->deleted = (int64_t)n;
    }
    return res;
}
