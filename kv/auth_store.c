/* Users and roles: sorted lists in memory, in SQLite a table of encoded records.
 *
 * Happy path: a command puts a whole record, which replaces the one of that name; it is
 * encoded, stored and decoded again, so that what is in memory is what will be read. A
 * record lists roles by name, permissions by key and range_end, without duplicates. The
 * union of what a user is granted is made when it is asked for, and anew after any
 * change. What can fail, at open: SQLite; a row whose checksum does not match or that
 * makes no sense; rows that do not add up to what the meta row says. The rows' numbers
 * are this member's own: the state hash is of the records. */
#include "kv/auth_store.h"

#include <inttypes.h>
#include <stdlib.h>

#include "api/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "kv/hash.h"
#include "kv/load.h"
#include "kv/state.h"

static const ProtobufCMessageDescriptor *const types[AUTH_NKINDS] = {
    [AUTH_USER] = &authpb__user__descriptor,
    [AUTH_ROLE] = &authpb__role__descriptor,
};

static struct slice name_of(enum auth_kind kind, const ProtobufCMessage *record)
{
    return api_slice(kind == AUTH_USER ? ((const Authpb__User *)record)->name
                                       : ((const Authpb__Role *)record)->name);
}

/* ---- records ---- */

static int compare_grants(const Authpb__Permission *grant, ProtobufCBinaryData key,
                          ProtobufCBinaryData range_end)
{
    int rc = slice_cmp(api_slice(grant->key), api_slice(key));

    return rc != 0 ? rc : slice_cmp(api_slice(grant->range_end), api_slice(range_end));
}

bool auth_role_at(const Authpb__User *user, const char *role, size_t *at)
{
    size_t i = 0;

    while (i < user->n_roles && strcmp(user->roles[i], role) < 0) {
        i++;
    }
    *at = i;
    return i < user->n_roles && strcmp(user->roles[i], role) == 0;
}

bool auth_grant_at(const Authpb__Role *role, ProtobufCBinaryData key,
                   ProtobufCBinaryData range_end, size_t *at)
{
    size_t i = 0;

    while (i < role->n_keypermission &&
           compare_grants(role->keypermission[i], key, range_end) < 0) {
        i++;
    }
    *at = i;
    return i < role->n_keypermission &&
           compare_grants(role->keypermission[i], key, range_end) == 0;
}

static bool user_makes_sense(const Authpb__User *user)
{
    if (user->options == NULL || user->password.len > LIMIT_AUTH_PASSWORD ||
        user->n_roles > LIMIT_AUTH_USER_ROLES) {
        return false;
    }
    for (size_t i = 1; i < user->n_roles; i++) {
        if (strcmp(user->roles[i - 1], user->roles[i]) >= 0) {
            return false;
        }
    }
    return true;
}

static bool role_makes_sense(const Authpb__Role *role)
{
    if (role->n_keypermission > LIMIT_AUTH_GRANTS) {
        return false;
    }
    for (size_t i = 0; i < role->n_keypermission; i++) {
        const Authpb__Permission *grant = role->keypermission[i];

        if (!auth_span_valid(grant->key, grant->range_end) ||
            (unsigned)grant->permtype > AUTHPB__PERMISSION__TYPE__READWRITE ||
            (i > 0 && compare_grants(role->keypermission[i - 1], grant->key,
                                     grant->range_end) >= 0)) {
            return false;
        }
    }
    return true;
}

static bool makes_sense(enum auth_kind kind, const ProtobufCMessage *record)
{
    struct slice name = name_of(kind, record);

    return name.len > 0 && name.len <= LIMIT_AUTH_NAME &&
           (kind == AUTH_USER ? user_makes_sense((const Authpb__User *)record)
                              : role_makes_sense((const Authpb__Role *)record));
}

/* ---- what roles and users grant ---- */

static void drop_spans(struct auth *auth, struct auth_item *item)
{
    for (int i = 0; i < AUTH_NACCESS; i++) {
        if (item->kind == AUTH_USER) {
            auth->n_spans -= item->spans[i].n;
        }
        free(item->spans[i].list);
        item->spans[i] = (struct auth_spans){0};
    }
    free(item->ends);
    item->ends = NULL;
    item->ready = 0;
}

static void add_span(struct auth_spans *spans, struct span span)
{
    spans->list[spans->n++] = span;
}

static void read_grants(struct auth_item *item)
{
    const Authpb__Role *role = auth_role(item);
    size_t n_bytes = 0;
    uint8_t *end;

    for (size_t i = 0; i < role->n_keypermission; i++) {
        n_bytes += role->keypermission[i]->key.len + 1;
    }
    item->ends = end = mem_zero(n_bytes + 1);
    for (int i = 0; i < AUTH_NACCESS; i++) {
        item->spans[i].list =
            mem_alloc((role->n_keypermission + 1) * sizeof(struct span));
    }
    for (size_t i = 0; i < role->n_keypermission; i++) {
        const Authpb__Permission *grant = role->keypermission[i];
        struct span span = span_of(grant->key, grant->range_end);

        if (span.single) {
            span.single = false;
            span.to = slice_of(end, span.from.len + 1);
            memcpy(end, span.from.ptr, span.from.len);
            end += span.to.len;
        }
        if (grant->permtype != AUTHPB__PERMISSION__TYPE__WRITE) {
            add_span(&item->spans[KV_AUTH_READ], span);
        }
        if (grant->permtype != AUTHPB__PERMISSION__TYPE__READ) {
            add_span(&item->spans[KV_AUTH_WRITE], span);
        }
    }
}

static void drop_all_unions(struct auth *auth)
{
    const struct auth_list *users = &auth->lists[AUTH_USER];

    for (size_t i = 0; i < users->n; i++) {
        drop_spans(auth, users->items[i]);
    }
    CHECK(auth->n_spans == 0);
}

static struct auth_spans unite(const struct kv *kv, const Authpb__User *user,
                               enum kv_auth_access access)
{
    struct auth_spans all = {0};

    for (size_t i = 0; i < user->n_roles; i++) {
        const struct auth_item *role =
            auth_find(kv, AUTH_ROLE, slice_str(user->roles[i]));
        const struct auth_spans *spans = role != NULL ? &role->spans[access] : NULL;

        if (spans == NULL || spans->n == 0) {
            continue;
        }
        all.list = mem_grow(all.list, (all.n + spans->n) * sizeof(all.list[0]));
        memcpy(all.list + all.n, spans->list, spans->n * sizeof(all.list[0]));
        all.n += spans->n;
    }
    auth_spans_merge(&all);
    return all;
}

const struct auth_spans *auth_granted(struct kv *kv, struct auth_item *user,
                                      enum kv_auth_access access)
{
    struct auth *auth = &kv->auth;
    struct auth_spans all[AUTH_NACCESS];
    size_t n = 0;

    CHECK(user->kind == AUTH_USER);
    if (user->ready == auth->changes) {
        return &user->spans[access];
    }
    drop_spans(auth, user);
    for (int i = 0; i < AUTH_NACCESS; i++) {
        all[i] = unite(kv, auth_user(user), (enum kv_auth_access)i);
        n += all[i].n;
    }
    if (auth->n_spans + n > LIMIT_AUTH_SPANS) {
        drop_all_unions(auth);
    }
    memcpy(user->spans, all, sizeof(all));
    auth->n_spans += n;
    user->ready = auth->changes;
    return &user->spans[access];
}

/* ---- items ---- */

/* Where it is in the list, or belongs. */
static size_t place_of(const struct auth_list *list, struct slice name)
{
    size_t low = 0;
    size_t high = list->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_cmp(list->items[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct auth_item *auth_find(const struct kv *kv, enum auth_kind kind, struct slice name)
{
    const struct auth_list *list = &kv->auth.lists[kind];
    size_t at = place_of(list, name);

    return at < list->n && slice_eq(list->items[at]->name, name) ? list->items[at] : NULL;
}

static struct auth_item *add_item(struct auth *auth, enum auth_kind kind,
                                  struct slice name, int64_t row)
{
    struct auth_list *list = &auth->lists[kind];
    struct auth_item *item = mem_zero(sizeof(*item));
    size_t at = place_of(list, name);

    if (list->n == list->room) {
        list->room += list->room / 2 + 16;
        list->items = mem_grow(list->items, list->room * sizeof(list->items[0]));
    }
    memmove(list->items + at + 1, list->items + at,
            (list->n - at) * sizeof(list->items[0]));
    list->items[at] = item;
    list->n++;
    item->kind = kind;
    item->row = row;
    return item;
}

/* Takes its record back, if it has one: out of the sums, too. */
static void clear_item(struct kv *kv, struct auth_item *item)
{
    drop_spans(&kv->auth, item);
    if (item->record != NULL) {
        protobuf_c_message_free_unpacked(item->record, NULL);
        kv->meta.auth_sum -= item->hash;
        kv->auth.bytes -= item->size + AUTH_RECORD_COST;
    }
    item->record = NULL;
}

/* Takes the record, which is that of these bytes. */
static void set_item(struct kv *kv, struct auth_item *item, ProtobufCMessage *record,
                     struct slice bytes)
{
    size_t at;

    clear_item(kv, item);
    item->record = record;
    item->name = name_of(item->kind, record);
    item->hash = hash_auth(item->kind, bytes);
    item->size = bytes.len;
    kv->meta.auth_sum += item->hash;
    kv->auth.bytes += bytes.len + AUTH_RECORD_COST;
    kv->auth.changes++;
    if (item->kind == AUTH_USER) {
        item->is_root = auth_role_at(auth_user(item), KV_AUTH_ROOT, &at);
    } else {
        read_grants(item);
    }
}

/* ---- rows ---- */

static uint64_t checksum_of(int64_t row, int64_t kind, struct slice record)
{
    return hash_auth((int)kind, record) + (uint64_t)row;
}

/* The columns of DB_AUTH_LOAD; false: damaged. */
static bool read_row(sqlite3_stmt *stmt, int64_t *row, enum auth_kind *kind,
                     struct slice *record)
{
    int64_t number = sqlite3_column_int64(stmt, 1);

    *row = sqlite3_column_int64(stmt, 0);
    *record = db_blob(stmt, 3);
    if (number < 0 || number >= AUTH_NKINDS ||
        checksum_of(*row, number, *record) != (uint64_t)sqlite3_column_int64(stmt, 2)) {
        return false;
    }
    *kind = (enum auth_kind)number;
    return true;
}

static bool load_row(struct kv *kv, sqlite3_stmt *stmt)
{
    ProtobufCMessage *record;
    struct slice bytes;
    enum auth_kind kind;
    int64_t row;

    if (!read_row(stmt, &row, &kind, &bytes)) {
        return false;
    }
    record = protobuf_c_message_unpack(types[kind], NULL, bytes.len, bytes.ptr);
    if (record == NULL) {
        return false;
    }
    if (!makes_sense(kind, record) ||
        auth_find(kv, kind, name_of(kind, record)) != NULL) {
        protobuf_c_message_free_unpacked(record, NULL);
        return false;
    }
    set_item(kv, add_item(&kv->auth, kind, name_of(kind, record), row), record, bytes);
    kv->auth.last_row = row;
    return true;
}

int auth_load(struct kv *kv, struct err *err)
{
    const struct auth_item *root;
    uint64_t sum = kv->meta.auth_sum;
    int rc;

    kv->meta.auth_sum = 0;
    kv->auth.changes = 1;
    rc = load_rows(kv, DB_AUTH_LOAD, "users and roles", load_row, err);
    if (rc != 0) {
        return rc;
    }
    root = auth_find(kv, AUTH_USER, slice_str(KV_AUTH_ROOT));
    if (kv->meta.auth_sum != sum ||
        (kv->meta.auth_enabled && (root == NULL || !root->is_root))) {
        return err_set(err, ERR_CORRUPT,
                       "users or roles are missing (%zu and %zu are there); re-seed this"
                       " member",
                       kv->auth.lists[AUTH_USER].n, kv->auth.lists[AUTH_ROLE].n);
    }
    return 0;
}

void auth_close(struct auth *auth)
{
    for (int kind = 0; kind < AUTH_NKINDS; kind++) {
        struct auth_list *list = &auth->lists[kind];

        for (size_t i = 0; i < list->n; i++) {
            drop_spans(auth, list->items[i]);
            protobuf_c_message_free_unpacked(list->items[i]->record, NULL);
            free(list->items[i]);
        }
        free(list->items);
    }
    *auth = (struct auth){0};
}

bool auth_fits(const struct kv *kv, enum auth_kind kind, const ProtobufCMessage *record)
{
    const struct auth_item *old = auth_find(kv, kind, name_of(kind, record));
    size_t before = old != NULL ? old->size + AUTH_RECORD_COST : 0;

    return kv->auth.bytes - before + protobuf_c_message_get_packed_size(record) +
               AUTH_RECORD_COST <=
           LIMIT_AUTH_BYTES;
}

static void store_row(struct kv *kv, const struct auth_item *item, struct slice record)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_AUTH_STORE];

    sqlite3_bind_int64(stmt, 1, item->row);
    sqlite3_bind_int64(stmt, 2, item->kind);
    sqlite3_bind_int64(stmt, 3, (int64_t)checksum_of(item->row, item->kind, record));
    sqlite3_bind_blob64(stmt, 4, record.ptr, record.len, SQLITE_STATIC);
    kv_db_run(kv, DB_AUTH_STORE, "store a user or a role");
    sqlite3_clear_bindings(stmt);
}

void auth_put(struct kv *kv, enum auth_kind kind, const ProtobufCMessage *record)
{
    size_t len = protobuf_c_message_get_packed_size(record);
    uint8_t *bytes = mem_alloc(len);
    struct auth_item *item = auth_find(kv, kind, name_of(kind, record));
    ProtobufCMessage *copy;

    CHECK(kv->in_batch);
    CHECK(makes_sense(kind, record));
    protobuf_c_message_pack(record, bytes);
    copy = protobuf_c_message_unpack(types[kind], NULL, len, bytes);
    CHECK(copy != NULL);
    if (item == NULL) {
        item = add_item(&kv->auth, kind, name_of(kind, record), ++kv->auth.last_row);
    }
    set_item(kv, item, copy, slice_of(bytes, len));
    store_row(kv, item, slice_of(bytes, len));
    free(bytes);
}

void auth_drop(struct kv *kv, struct auth_item *item)
{
    struct auth_list *list = &kv->auth.lists[item->kind];
    size_t at = place_of(list, item->name);

    CHECK(kv->in_batch);
    CHECK(list->items[at] == item);
    sqlite3_bind_int64(kv->db.stmts[DB_AUTH_REMOVE], 1, item->row);
    kv_db_run(kv, DB_AUTH_REMOVE, "remove a user or a role");
    list->n--;
    memmove(list->items + at, list->items + at + 1,
            (list->n - at) * sizeof(list->items[0]));
    clear_item(kv, item);
    free(item);
    kv->auth.changes++;
}

/* ---- the rescan ---- */

bool auth_rescan(struct kv *kv, int64_t *row)
{
    sqlite3_stmt *stmt = kv->db.stmts[DB_AUTH_LOAD];
    bool good = true;
    int64_t last = 0;
    int n = 0;
    int step = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, *row);
    sqlite3_bind_int64(stmt, 2, LIMIT_RESCAN_AUTH);
    while (good && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct slice record;
        enum auth_kind kind;

        good = read_row(stmt, &last, &kind, &record);
        n++;
    }
    if (good && step != SQLITE_DONE) {
        kv_fail_db(kv, "reread the users and roles");
    }
    sqlite3_reset(stmt);
    if (!good) {
        log_error("a row of the users and roles is damaged", LOG_INT("row", last));
    }
    *row = n < LIMIT_RESCAN_AUTH ? 0 : last;
    return good;
}
