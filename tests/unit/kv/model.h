/* A store as simple as can be: a snapshot of all keys for every revision. It answers the
 * same requests as the real one, in the text that fixture.h shows. Written from etcd's
 * rules and not from our code. */
#ifndef KVD_TESTS_UNIT_KV_MODEL_H
#define KVD_TESTS_UNIT_KV_MODEL_H

#include "tests/unit/kv/fixture.h"

#define MODEL_KEYS   20
#define MODEL_LEASES 5 /* ids from 1 on */
#ifndef MODEL_REVISIONS
#define MODEL_REVISIONS 12000
#endif

struct model_pair {
    char value[16];
    int64_t created;
    int64_t mod;
    int64_t number; /* 0: not there */
    int64_t lease;
};

struct model_lease {
    int64_t ttl; /* 0: not there */
    uint64_t deadline_ms;
};

struct model_state {
    struct model_pair pairs[MODEL_KEYS];
};

struct model {
    int64_t rev;
    int64_t compacted;
    bool changed;           /* in the request under way */
    struct model_state now; /* with what the request did so far */
    uint64_t cluster_ms;
    struct model_lease leases[MODEL_LEASES + 1]; /* by id */
    struct model_state at[MODEL_REVISIONS];
};

static inline void model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    m->rev = 1;
    m->compacted = -1;
}

/* In order of bytes. */
static inline const char *model_name(int i)
{
    static char names[MODEL_KEYS][16];

    snprintf(names[i], sizeof(names[i]), "k%02d", i);
    return names[i];
}

static inline bool model_covers(ProtobufCBinaryData key, ProtobufCBinaryData end, int i)
{
    struct slice name = slice_str(model_name(i));
    int rc = slice_cmp(name, slice_of(key.data, key.len));

    if (end.len == 0) {
        return rc == 0;
    }
    if (end.len == 1 && end.data[0] == 0) {
        return rc >= 0;
    }
    return rc >= 0 && slice_cmp(name, slice_of(end.data, end.len)) < 0;
}

static inline int64_t model_view(const struct model *m)
{
    return m->changed ? m->rev + 1 : m->rev;
}

static inline void model_end(struct model *m)
{
    if (m->changed) {
        m->rev++;
        cr_assert_lt(m->rev, MODEL_REVISIONS);
        m->at[m->rev] = m->now;
        m->changed = false;
    }
}

static inline void model_show(struct text *text, int i, const struct model_pair *pair,
                              bool with_value, bool with_lease)
{
    show(text, " %s=%s(%" PRId64 ",%" PRId64 ",%" PRId64 ")", model_name(i),
         with_value ? pair->value : "", pair->created, pair->mod, pair->number);
    if (pair->lease != 0 && with_lease) {
        show(text, "!lease %" PRId64, pair->lease);
    }
}

/* ---- leases ---- */

static inline void model_end_lease(struct model *m, int64_t id)
{
    m->leases[id].ttl = 0;
    for (int i = 0; i < MODEL_KEYS; i++) {
        if (m->now.pairs[i].lease == id) {
            m->now.pairs[i] = (struct model_pair){0};
            m->changed = true;
        }
    }
    model_end(m);
}

/* An entry begins. */
static inline void model_time(struct model *m, uint64_t cluster_ms)
{
    m->cluster_ms = cluster_ms;
    for (;;) {
        int64_t first = 0;

        for (int64_t id = 1; id <= MODEL_LEASES; id++) {
            if (m->leases[id].ttl != 0 && m->leases[id].deadline_ms <= cluster_ms &&
                (first == 0 ||
                 m->leases[id].deadline_ms < m->leases[first].deadline_ms)) {
                first = id;
            }
        }
        if (first == 0) {
            return;
        }
        model_end_lease(m, first);
    }
}

static inline void model_begin_lease(struct model *m, int64_t id, int64_t ttl)
{
    m->leases[id] = (struct model_lease){
        .ttl = ttl, .deadline_ms = m->cluster_ms + (uint64_t)ttl * 1000 + 1};
}

static inline enum api_status model_grant(struct model *m,
                                          const Etcdserverpb__LeaseGrantRequest *req,
                                          struct text *text)
{
    if (m->leases[req->id].ttl != 0) {
        return API_LEASE_EXIST;
    }
    model_begin_lease(m, req->id, req->ttl);
    show(text, "grant @%" PRId64 " %" PRId64 " %" PRId64, m->rev, req->id, req->ttl);
    return API_OK;
}

static inline enum api_status model_revoke(struct model *m,
                                           const Etcdserverpb__LeaseRevokeRequest *req,
                                           struct text *text)
{
    if (m->leases[req->id].ttl == 0) {
        return API_LEASE_NOT_FOUND;
    }
    model_end_lease(m, req->id);
    show(text, "revoke @%" PRId64, m->rev);
    return API_OK;
}

static inline void model_renew(struct model *m, const Kvd__Command__LeaseRenew *req,
                               struct text *text)
{
    show(text, "renew");
    for (size_t i = 0; i < req->n_ids; i++) {
        int64_t ttl = m->leases[req->ids[i]].ttl;

        show(text, " %" PRId64, ttl);
        if (ttl != 0) {
            model_begin_lease(m, req->ids[i], ttl);
        }
    }
}

/* ---- range ---- */

static inline int64_t model_target(const struct model_pair *pair, int target)
{
    return target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION  ? pair->number
           : target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE ? pair->created
                                                                        : pair->mod;
}

/* Below 0: a before b in ascending order of the target, ties by key. */
static inline int64_t model_order(const struct model_state *state, int a, int b,
                                  int target)
{
    int64_t rc = 0;

    if (target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE) {
        rc = strcmp(state->pairs[a].value, state->pairs[b].value);
    } else if (target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY) {
        rc = model_target(&state->pairs[a], target) -
             model_target(&state->pairs[b], target);
    }
    return rc != 0 ? rc : a - b;
}

static inline void model_sort(const struct model_state *state, int *list, int n,
                              int target, bool descends)
{
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0; j--) {
            int64_t rc = model_order(state, list[j - 1], list[j], target);
            int swap = list[j];

            if (descends ? rc > 0 : rc < 0) {
                break;
            }
            list[j] = list[j - 1];
            list[j - 1] = swap;
        }
    }
}

static inline bool model_filtered(const Etcdserverpb__RangeRequest *req,
                                  const struct model_pair *pair)
{
    return (req->min_mod_revision != 0 && pair->mod < req->min_mod_revision) ||
           (req->max_mod_revision != 0 && pair->mod > req->max_mod_revision) ||
           (req->min_create_revision != 0 && pair->created < req->min_create_revision) ||
           (req->max_create_revision != 0 && pair->created > req->max_create_revision);
}

static inline void model_range(const struct model *m,
                               const Etcdserverpb__RangeRequest *req, struct text *text)
{
    const struct model_state *state = req->revision > 0 ? &m->at[req->revision] : &m->now;
    bool filters = req->min_mod_revision != 0 || req->max_mod_revision != 0 ||
                   req->min_create_revision != 0 || req->max_create_revision != 0;
    bool descends = req->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    bool by_value = req->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    bool ordered = req->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    int limit = req->limit > 0 ? (int)req->limit : MODEL_KEYS;
    int list[MODEL_KEYS];
    int n = 0;
    int count = 0;

    for (int i = 0; i < MODEL_KEYS; i++) {
        if (state->pairs[i].number != 0 && model_covers(req->key, req->range_end, i)) {
            count++;
            if (!model_filtered(req, &state->pairs[i])) {
                list[n++] = i;
            }
        }
    }
    if (!ordered && !filters && n > limit + 1) {
        n = limit + 1;
    }
    model_sort(state, list, n, (int)req->sort_target, descends);
    show(text, "@%" PRId64 " #%d%s", model_view(m), count,
         n > limit && !req->count_only ? "+" : "");
    for (int i = 0; i < n && i < limit && !req->count_only; i++) {
        model_show(text, list[i], &state->pairs[list[i]], !req->keys_only,
                   !req->keys_only || by_value);
    }
}

static inline enum api_status model_check_range(const struct model *m,
                                                const Etcdserverpb__RangeRequest *req,
                                                bool in_txn)
{
    if (req->revision > m->rev) {
        return API_FUTURE_REV;
    }
    if (req->revision < m->compacted &&
        (in_txn ? req->revision != 0 : req->revision > 0)) {
        return API_COMPACTED;
    }
    return API_OK;
}

/* ---- put, delete ---- */

static inline int model_index(ProtobufCBinaryData key)
{
    for (int i = 0; i < MODEL_KEYS; i++) {
        if (model_covers(key, (ProtobufCBinaryData){0}, i)) {
            return i;
        }
    }
    cr_assert_fail("a key that is not the model's");
    return -1;
}

/* Where both are wrong, etcd names the lease of a put alone, the key of one in a txn. */
static inline enum api_status model_check_put(const struct model *m,
                                              const Etcdserverpb__PutRequest *req,
                                              bool in_txn)
{
    bool absent = (req->ignore_value || req->ignore_lease) &&
                  m->now.pairs[model_index(req->key)].number == 0;
    bool no_lease = req->lease != 0 && m->leases[req->lease].ttl == 0;

    if (absent && (in_txn || !no_lease)) {
        return API_KEY_NOT_FOUND;
    }
    return no_lease ? API_LEASE_NOT_FOUND : API_OK;
}

static inline void model_put(struct model *m, const Etcdserverpb__PutRequest *req,
                             struct text *text)
{
    int i = model_index(req->key);
    struct model_pair *pair = &m->now.pairs[i];

    m->changed = true;
    show(text, "put @%" PRId64, m->rev + 1);
    if (req->prev_kv && pair->number != 0) {
        model_show(text, i, pair, true, true);
    }
    if (pair->number == 0) {
        *pair = (struct model_pair){.created = m->rev + 1};
    }
    pair->mod = m->rev + 1;
    pair->number++;
    pair->lease = req->ignore_lease ? pair->lease : req->lease;
    if (!req->ignore_value) {
        snprintf(pair->value, sizeof(pair->value), "%.*s", (int)req->value.len,
                 (char *)req->value.data);
    }
}

static inline void model_delete(struct model *m,
                                const Etcdserverpb__DeleteRangeRequest *req,
                                struct text *text)
{
    struct text pairs = {.bytes = mem_strdup("")};
    int n = 0;

    for (int i = 0; i < MODEL_KEYS; i++) {
        struct model_pair *pair = &m->now.pairs[i];

        if (pair->number != 0 && model_covers(req->key, req->range_end, i)) {
            if (req->prev_kv) {
                model_show(&pairs, i, pair, true, true);
            }
            *pair = (struct model_pair){0};
            m->changed = true;
            n++;
        }
    }
    show(text, "del @%" PRId64 " #%d", model_view(m), n);
    show(text, "%s", pairs.bytes);
    free(pairs.bytes);
}

/* ---- txn ---- */

static inline bool model_result(int result, int64_t rc)
{
    switch (result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return rc == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return rc > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return rc < 0;
    default:
        return rc != 0;
    }
}

static inline bool model_pair_holds(const Etcdserverpb__Compare *compare,
                                    const struct model_pair *pair)
{
    int64_t stored = 0;

    switch (compare->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE: {
        char given[64];

        snprintf(given, sizeof(given), "%.*s", (int)compare->value.len,
                 (char *)compare->value.data);
        return model_result((int)compare->result, strcmp(pair->value, given));
    }
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        stored = pair->number;
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        stored = pair->created;
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        stored = pair->mod;
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        stored = pair->lease;
        break;
    default:
        break;
    }
    return model_result((int)compare->result, stored - compare->version);
}

static inline bool model_holds(const struct model *m,
                               const Etcdserverpb__Compare *compare)
{
    static const struct model_pair absent;
    bool found = false;

    for (int i = 0; i < MODEL_KEYS; i++) {
        if (m->now.pairs[i].number != 0 &&
            model_covers(compare->key, compare->range_end, i)) {
            found = true;
            if (!model_pair_holds(compare, &m->now.pairs[i])) {
                return false;
            }
        }
    }
    return found || (compare->target != ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE &&
                     model_pair_holds(compare, &absent));
}

/* Branches taken are remembered in the requests themselves: the other one is emptied. */
static inline void model_decide(const struct model *m, Etcdserverpb__TxnRequest *req,
                                bool *succeeded, int *n)
{
    bool all = true;
    size_t n_ops;
    Etcdserverpb__RequestOp **ops;

    for (size_t i = 0; i < req->n_compare; i++) {
        all = all && model_holds(m, req->compare[i]);
    }
    succeeded[(*n)++] = all;
    ops = all ? req->success : req->failure;
    n_ops = all ? req->n_success : req->n_failure;
    for (size_t i = 0; i < n_ops; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            model_decide(m, ops[i]->request_txn, succeeded, n);
        }
    }
}

/* A transaction's path is walked three times. */
enum model_walk { MODEL_CHECK_PUTS, MODEL_CHECK_RANGES, MODEL_RUN };

static inline enum api_status model_run(struct model *m, Etcdserverpb__TxnRequest *req,
                                        const bool **succeeded, enum model_walk walk,
                                        struct text *text, bool outer)
{
    bool all = *(*succeeded)++;
    Etcdserverpb__RequestOp **ops = all ? req->success : req->failure;
    size_t n = all ? req->n_success : req->n_failure;
    struct text inner = {.bytes = mem_strdup("")};
    enum api_status status = API_OK;

    for (size_t i = 0; i < n && status == API_OK; i++) {
        show(&inner, i > 0 ? "; " : "");
        switch (ops[i]->request_case) {
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
            if (walk == MODEL_CHECK_RANGES) {
                status = model_check_range(m, ops[i]->request_range, true);
            } else if (walk == MODEL_RUN) {
                show(&inner, "get ");
                model_range(m, ops[i]->request_range, &inner);
            }
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
            if (walk == MODEL_CHECK_PUTS) {
                status = model_check_put(m, ops[i]->request_put, true);
            } else if (walk == MODEL_RUN) {
                model_put(m, ops[i]->request_put, &inner);
            }
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
            if (walk == MODEL_RUN) {
                model_delete(m, ops[i]->request_delete_range, &inner);
            }
            break;
        default:
            status = model_run(m, ops[i]->request_txn, succeeded, walk, &inner, false);
        }
    }
    if (walk == MODEL_RUN) {
        show(text, "txn @%" PRId64 " %s [", outer ? model_view(m) : 0,
             all ? "yes" : "no");
        show(text, "%s", inner.bytes);
        show(text, "]");
    }
    free(inner.bytes);
    return status;
}

static inline enum api_status model_txn(struct model *m, Etcdserverpb__TxnRequest *req,
                                        struct text *text)
{
    bool succeeded[64];
    enum api_status status = API_OK;
    int n = 0;

    model_decide(m, req, succeeded, &n);
    for (int walk = MODEL_CHECK_PUTS; walk <= MODEL_RUN && status == API_OK; walk++) {
        const bool *at = succeeded;

        status = model_run(m, req, &at, walk, text, true);
    }
    return status;
}

/* ---- any command ---- */

static inline char *model_apply(struct model *m, const Kvd__Command__Command *command)
{
    struct text text = {.bytes = mem_strdup("")};
    enum api_status status = API_OK;

    switch (command->request_case) {
    case KVD__COMMAND__COMMAND__REQUEST_PUT:
        status = model_check_put(m, command->put, false);
        if (status == API_OK) {
            model_put(m, command->put, &text);
        }
        break;
    case KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE:
        model_delete(m, command->delete_range, &text);
        break;
    case KVD__COMMAND__COMMAND__REQUEST_TXN:
        status = model_txn(m, command->txn, &text);
        break;
    case KVD__COMMAND__COMMAND__REQUEST_LEASE_GRANT:
        status = model_grant(m, command->lease_grant, &text);
        break;
    case KVD__COMMAND__COMMAND__REQUEST_LEASE_REVOKE:
        status = model_revoke(m, command->lease_revoke, &text);
        break;
    case KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW:
        model_renew(m, command->lease_renew, &text);
        break;
    default:
        status = command->compact->revision <= m->compacted ? API_COMPACTED
                 : command->compact->revision > m->rev      ? API_FUTURE_REV
                                                            : API_OK;
        if (status == API_OK) {
            m->compacted = command->compact->revision;
        }
    }
    model_end(m);
    if (status != API_OK) {
        show(&text, "%s", api_status_text(status));
    }
    return text.bytes;
}

#endif
