/* Members as they published themselves: a table of encoded publish commands, and in
 * memory the list that kv_members shows. What can fail: reading the table at open. */
#include "kv/member.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "kv/hash.h"
#include "kv/state.h"

/* Deterministic: fields in the order of their numbers. */
static struct slice encode(const Kvd__Command__Publish *publish)
{
    size_t len = kvd__command__publish__get_packed_size(publish);
    uint8_t *bytes = mem_alloc(len);

    kvd__command__publish__pack(publish, bytes);
    return slice_of(bytes, len);
}

static uint64_t hash_of(const Kvd__Command__Publish *publish)
{
    struct slice bytes = encode(publish);
    uint64_t hash = hash_member(publish->member_id, bytes);

    free((void *)bytes.ptr);
    return hash;
}

static struct kv_member view_of(const Kvd__Command__Publish *publish)
{
    return (struct kv_member){
        .id = publish->member_id,
        .store_id = publish->store_id,
        .name = publish->name,
        .client_urls = (const char *const *)publish->client_urls,
        .n_client_urls = publish->n_client_urls,
        .peer_urls = (const char *const *)publish->peer_urls,
        .n_peer_urls = publish->n_peer_urls,
    };
}

/* Takes the message. Returns the hash of what it replaces, 0 for a new member. */
static uint64_t put(struct members *m, Kvd__Command__Publish *publish)
{
    uint64_t old = 0;
    size_t at = 0;

    while (at < m->n && m->list[at].id < publish->member_id) {
        at++;
    }
    if (at < m->n && m->list[at].id == publish->member_id) {
        old = hash_of(m->publishes[at]);
        kvd__command__publish__free_unpacked(m->publishes[at], NULL);
    } else {
        m->n++;
        m->list = mem_grow(m->list, m->n * sizeof(m->list[0]));
        m->publishes = mem_grow(m->publishes, m->n * sizeof(m->publishes[0]));
        memmove(m->list + at + 1, m->list + at, (m->n - at - 1) * sizeof(m->list[0]));
        memmove(m->publishes + at + 1, m->publishes + at,
                (m->n - at - 1) * sizeof(m->publishes[0]));
    }
    m->publishes[at] = publish;
    m->list[at] = view_of(publish);
    return old;
}

int members_open(struct kv *kv, struct err *err)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_MEMBER_LOAD];
    int rc = 0;
    int step;

    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct slice bytes = db_blob(stmt, 0);
        Kvd__Command__Publish *publish =
            kvd__command__publish__unpack(NULL, bytes.len, bytes.ptr);

        if (publish == NULL) {
            rc = err_set(err, ERR_CORRUPT,
                         "a row of the member table is damaged;"
                         " re-seed this member");
            break;
        }
        put(&kv->members, publish);
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = db_error(&kv->db, err, "read the members");
    }
    sqlite3_reset(stmt);
    return rc;
}

void members_close(struct kv *kv)
{
    struct members *m = &kv->members;

    for (size_t i = 0; i < m->n; i++) {
        kvd__command__publish__free_unpacked(m->publishes[i], NULL);
    }
    free(m->publishes);
    free(m->list);
    *m = (struct members){0};
}

void members_apply(struct kv *kv, const Kvd__Command__Publish *publish)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_MEMBER_STORE];
    struct slice bytes = encode(publish);
    Kvd__Command__Publish *copy =
        kvd__command__publish__unpack(NULL, bytes.len, bytes.ptr);

    CHECK(copy != NULL);
    kv->meta.state_sum += hash_member(publish->member_id, bytes);
    sqlite3_bind_int64(stmt, 1, (int64_t)publish->member_id);
    sqlite3_bind_blob64(stmt, 2, bytes.ptr, bytes.len, SQLITE_STATIC);
    if (sqlite3_step(stmt) != SQLITE_DONE) {
        kv_fail_db(kv, "store a member");
    }
    sqlite3_reset(stmt);
    free((void *)bytes.ptr);
    kv->meta.state_sum -= put(&kv->members, copy);
}

uint64_t members_sum(const struct kv *kv)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < kv->members.n; i++) {
        sum += hash_of(kv->members.publishes[i]);
    }
    return sum;
}

size_t kv_members(const struct kv *kv, const struct kv_member **out)
{
    *out = kv->members.list;
    return kv->members.n;
}
