/* Tables for people, drawn by libsmartcols. Bytes that are not text appear as 0x6162.
 * What has no columns (put, del, txn) is printed as in the simple format, and events,
 * which have no end, on a line each. */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/print_lock.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

struct column {
    const char *name;
    bool number; /* aligned to the right */
};

static struct libscols_table *table_new(struct printer *p, const struct column *columns,
                                        size_t n)
{
    struct libscols_table *table = scols_new_table();

    for (size_t i = 0; i < n; i++) {
        scols_table_new_column(table, columns[i].name, 0,
                               columns[i].number ? SCOLS_FL_RIGHT : 0);
    }
    scols_table_set_stream(table, p->out);
    scols_table_enable_maxout(table, 0);
    return table;
}

static void table_end(struct libscols_table *table)
{
    scols_print_table(table);
    scols_unref_table(table);
}

static void set_text(struct libscols_line *line, size_t column, const char *text)
{
    scols_line_set_data(line, column, text);
}

static void set_number(struct libscols_line *line, size_t column, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    set_text(line, column, text);
}

static void set_id(struct libscols_line *line, size_t column, uint64_t id)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIx64, id);
    set_text(line, column, text);
}

/* Text as it is; other bytes as one hexadecimal number, as a terminal would choke on
 * them. The caller frees. */
static char *cell_of(struct printer *p, struct slice bytes)
{
    bool text =
        utf8_valid(bytes) && (bytes.len == 0 || memchr(bytes.ptr, 0, bytes.len) == NULL);
    char *cell = mem_alloc(2 * bytes.len + sizeof("0x"));

    if (bytes.len == 0) {
        *cell = '\0';
    } else if (text && !p->hex) {
        memcpy(cell, bytes.ptr, bytes.len);
        cell[bytes.len] = '\0';
    } else {
        strcpy(cell, "0x");
        for (size_t i = 0; i < bytes.len; i++) {
            snprintf(cell + 2 + 2 * i, 3, "%02x", bytes.ptr[i]);
        }
    }
    return cell;
}

static void set_bytes(struct printer *p, struct libscols_line *line, size_t column,
                      struct slice bytes)
{
    scols_line_refer_data(line, column, cell_of(p, bytes)); /* the line frees it */
}

/* ---- ranges ---- */

static void table_range_begin(struct printer *p,
                              const Etcdserverpb__ResponseHeader *header)
{
    static const struct column columns[] = {{"KEY", false},    {"VALUE", false},
                                            {"CREATED", true}, {"MODIFIED", true},
                                            {"VERSION", true}, {"LEASE", true}};

    (void)header;
    p->table = table_new(p, columns, ARRAY_LEN(columns));
}

static void table_range_kvs(struct printer *p, Mvccpb__KeyValue *const *kvs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct libscols_line *line = scols_table_new_line(p->table, NULL);

        set_bytes(p, line, 0, slice_of_binary(kvs[i]->key));
        set_bytes(p, line, 1, slice_of_binary(kvs[i]->value));
        set_number(line, 2, (uint64_t)kvs[i]->create_revision);
        set_number(line, 3, (uint64_t)kvs[i]->mod_revision);
        set_number(line, 4, (uint64_t)kvs[i]->version);
        if (kvs[i]->lease != 0) {
            set_id(line, 5, (uint64_t)kvs[i]->lease);
        }
    }
}

static void table_range_end(struct printer *p, bool more, int64_t count)
{
    (void)more;
    if (p->count_only) {
        fprintf(p->out, "%" PRId64 "\n", count);
        scols_unref_table(p->table);
    } else {
        table_end(p->table);
    }
    p->table = NULL;
}

/* ---- what has no columns ---- */

static void table_put(struct printer *p, const Etcdserverpb__PutResponse *res)
{
    print_simple_ops.put(p, res);
}

static void table_del(struct printer *p, const Etcdserverpb__DeleteRangeResponse *res)
{
    print_simple_ops.del(p, res);
}

static void table_txn(struct printer *p, const Etcdserverpb__TxnResponse *res)
{
    print_simple_ops.txn(p, res);
}

/* ---- the cluster ---- */

static void table_members(struct printer *p, const Etcdserverpb__MemberListResponse *res)
{
    static const struct column columns[] = {
        {"ID", false},         {"STATUS", false},       {"NAME", false},
        {"PEER ADDRS", false}, {"CLIENT ADDRS", false}, {"IS LEARNER", false}};
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < res->n_members; i++) {
        const Etcdserverpb__Member *m = res->members[i];
        struct libscols_line *line = scols_table_new_line(table, NULL);

        set_id(line, 0, m->id);
        set_text(line, 1, m->name[0] != '\0' ? "started" : "unstarted");
        set_text(line, 2, m->name);
        scols_line_refer_data(line, 3, join_texts(m->peerurls, m->n_peerurls));
        scols_line_refer_data(line, 4, join_texts(m->clienturls, m->n_clienturls));
        set_text(line, 5, m->islearner ? "true" : "false");
    }
    table_end(table);
}

static void table_statuses(struct printer *p, const struct endpoint_status *list,
                           size_t n)
{
    static const struct column columns[] = {
        {"ENDPOINT", false}, {"ID", false},        {"VERSION", false},
        {"DB SIZE", true},   {"IS LEADER", false}, {"IS LEARNER", false},
        {"RAFT TERM", true}, {"RAFT INDEX", true}, {"RAFT APPLIED INDEX", true},
        {"ERRORS", false},
    };
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < n; i++) {
        const Etcdserverpb__StatusResponse *s = list[i].status;
        uint64_t member = s->header != NULL ? s->header->member_id : 0;
        struct libscols_line *line = scols_table_new_line(table, NULL);
        char size[SIZE_TEXT_MAX];

        size_text(s->dbsize, size);
        set_text(line, 0, list[i].endpoint);
        set_id(line, 1, member);
        set_text(line, 2, s->version);
        set_text(line, 3, size);
        set_text(line, 4, s->leader == member ? "true" : "false");
        set_text(line, 5, s->islearner ? "true" : "false");
        set_number(line, 6, s->raftterm);
        set_number(line, 7, s->raftindex);
        set_number(line, 8, s->raftappliedindex);
        scols_line_refer_data(line, 9, join_texts(s->errors, s->n_errors));
    }
    table_end(table);
}

static void table_healths(struct printer *p, const struct endpoint_health *list, size_t n)
{
    static const struct column columns[] = {
        {"ENDPOINT", false}, {"HEALTH", false}, {"TOOK", true}, {"ERROR", false}};
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < n; i++) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        char took[DURATION_TEXT_MAX];

        duration_text(list[i].took_ns, took);
        set_text(line, 0, list[i].endpoint);
        set_text(line, 1, list[i].healthy ? "true" : "false");
        set_text(line, 2, took);
        set_text(line, 3, list[i].error);
    }
    table_end(table);
}

/* ---- watches and leases ---- */

/* Events have no end, so that columns cannot be as wide as the widest: a line each. */
static void table_watch(struct printer *p, const Etcdserverpb__WatchResponse *res)
{
    for (size_t i = 0; i < res->n_events; i++) {
        const Mvccpb__Event *event = res->events[i];
        char *key = cell_of(p, slice_of_binary(event->kv->key));
        char *value = cell_of(p, slice_of_binary(event->kv->value));

        fprintf(p->out, "%-8" PRId64 "  %-6s  %s%s%s\n", event->kv->mod_revision,
                event_type_name(event), key, *value != '\0' ? "  " : "", value);
        free(key);
        free(value);
    }
}

static void table_lease_grant(struct printer *p,
                              const Etcdserverpb__LeaseGrantResponse *res)
{
    print_simple_ops.lease_grant(p, res);
}

static void table_lease_revoke(struct printer *p, int64_t id,
                               const Etcdserverpb__LeaseRevokeResponse *res)
{
    print_simple_ops.lease_revoke(p, id, res);
}

static void table_lease_keep_alive(struct printer *p,
                                   const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    print_simple_ops.lease_keep_alive(p, res);
}

static void table_lease_ttl(struct printer *p,
                            const Etcdserverpb__LeaseTimeToLiveResponse *res, bool keys)
{
    static const struct column columns[] = {
        {"LEASE", false}, {"GRANTED", true}, {"REMAINING", true}, {"KEY", false}};
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns) - !keys);
    struct libscols_line *line = scols_table_new_line(table, NULL);
    char text[32];

    set_id(line, 0, (uint64_t)res->id);
    snprintf(text, sizeof(text), "%" PRId64 "s", res->grantedttl);
    set_text(line, 1, text);
    snprintf(text, sizeof(text), "%" PRId64 "s", res->ttl);
    set_text(line, 2, res->ttl < 0 ? "expired" : text);
    for (size_t i = 0; keys && i < res->n_keys; i++) {
        line = i > 0 ? scols_table_new_line(table, NULL) : line;
        set_bytes(p, line, 3, slice_of_binary(res->keys[i]));
    }
    table_end(table);
}

static void table_leases(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *res)
{
    static const struct column columns[] = {{"LEASE", false}};
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < res->n_leases; i++) {
        set_id(scols_table_new_line(table, NULL), 0, (uint64_t)res->leases[i]->id);
    }
    table_end(table);
}

/* ---- locks ---- */

static const struct column hold_columns[] = {
    {"PLACE", true}, {"STATE", false}, {"MODE", false}, {"OWNER", false},
    {"PID", true},   {"TOKEN", true},  {"AGE", true},   {"LEASE", false},
    {"LEFT", true},  {"HOLDS", true},
};

/* Cells of a hold, from column `at` on. */
static void set_hold(struct libscols_line *line, size_t at, const Kvd__V1__LockHold *hold)
{
    char text[LOCK_TEXT_MAX];

    lock_mode_text(hold, text);
    set_text(line, at, text);
    lock_owner_text(hold, text);
    set_text(line, at + 1, text);
    if (hold->owner != NULL && hold->owner->pid != 0) {
        set_number(line, at + 2, (uint64_t)hold->owner->pid);
    }
    set_number(line, at + 3, (uint64_t)hold->token);
    lock_age_text(hold->since_ms, text);
    set_text(line, at + 4, text);
    set_id(line, at + 5, (uint64_t)hold->lease);
    lock_left_text(hold->ttl_ms, text);
    set_text(line, at + 6, text);
}

static void table_locks(struct printer *p, const Kvd__V1__LockListResponse *res)
{
    static const struct column columns[] = {
        {"NAME", false},  {"HOLDERS", true}, {"WAITING", true}, {"MODE", false},
        {"FIRST", false}, {"PID", true},     {"TOKEN", true},   {"AGE", true},
        {"LEASE", false}, {"LEFT", true},
    };
    struct libscols_table *table = table_new(p, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < res->n_locks; i++) {
        const Kvd__V1__LockSummary *lock = res->locks[i];
        struct libscols_line *line = scols_table_new_line(table, NULL);

        set_bytes(p, line, 0, slice_of_binary(lock->name));
        set_number(line, 1, lock->holders);
        set_number(line, 2, lock->waiting);
        if (lock->first != NULL) {
            set_hold(line, 3, lock->first);
        }
    }
    table_end(table);
}

static void table_lock_line(struct printer *p, const char *name,
                            const Kvd__V1__LockInspectResponse *res)
{
    struct libscols_table *table = table_new(p, hold_columns, ARRAY_LEN(hold_columns));

    (void)name;
    for (size_t i = 0; i < res->n_line; i++) {
        struct libscols_line *line = scols_table_new_line(table, NULL);

        set_number(line, 0, i + 1);
        set_text(line, 1, res->line[i]->granted ? "held" : "waits");
        set_hold(line, 2, res->line[i]);
        set_number(line, 9, res->line[i]->n_holds);
    }
    table_end(table);
    lock_text_forced(p, res);
}

const struct print_ops print_table_ops = {
    .range_begin = table_range_begin,
    .range_kvs = table_range_kvs,
    .range_end = table_range_end,
    .put = table_put,
    .del = table_del,
    .txn = table_txn,
    .members = table_members,
    .statuses = table_statuses,
    .healths = table_healths,
    .watch = table_watch,
    .lease_grant = table_lease_grant,
    .lease_revoke = table_lease_revoke,
    .lease_keep_alive = table_lease_keep_alive,
    .lease_ttl = table_lease_ttl,
    .leases = table_leases,
    .locks = table_locks,
    .lock_line = table_lock_line,
};
