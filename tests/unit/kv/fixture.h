/* A store in a directory of its own under build/, with an environment whose work lane
 * runs when the test says so. Requests are built in the fixture's arena, responses shown
 * as text. */
#ifndef KVD_TESTS_UNIT_KV_FIXTURE_H
#define KVD_TESTS_UNIT_KV_FIXTURE_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk_posix.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/kv.h"

struct fixture {
    struct env env; /* first: what submit gets */
    struct env_job *jobs;
    struct kv *kv;
    char dir[64];
    char path[96];
    struct arena arena;         /* of requests and responses, until the fixture closes */
    struct slice payload;       /* of the last entry */
    enum api_status status;     /* of the last command */
    ProtobufCMessage *response; /* of the last command */
    uint64_t passed_ms;         /* cluster time beside 10 ms an entry */
    Kvd__Command__Client *client; /* whose the commands are, or NULL */
    void (*auth_changed)(void *owner, const struct kv_auth_event *event);
    int n_fatal;
    char fatal[ERR_TEXT_MAX];
    struct err err; /* of the last open */
};

/* ---- environment ---- */

static inline void fixture_submit(struct env *env, enum env_lane lane,
                                  struct env_job *job)
{
    struct fixture *fx = (struct fixture *)env;

    cr_assert_eq(lane, ENV_LANE_WORK);
    job->next = fx->jobs;
    fx->jobs = job;
}

/* Runs the jobs submitted so far. */
static inline void fixture_work(struct fixture *fx)
{
    struct env_job *job = fx->jobs;

    fx->jobs = NULL;
    while (job != NULL) {
        struct env_job *next = job->next;

        job->run(job);
        job->done(job);
        job = next;
    }
}

static inline void fixture_fatal(void *owner, const char *text)
{
    struct fixture *fx = owner;

    fx->n_fatal++;
    snprintf(fx->fatal, sizeof(fx->fatal), "%s", text);
}

/* ---- life ---- */

static inline int fixture_try_open(struct fixture *fx)
{
    struct kv_options options = {.env = &fx->env,
                                 .path = fx->path,
                                 .fatal = fixture_fatal,
                                 .fatal_owner = fx,
                                 .auth_changed = fx->auth_changed,
                                 .auth_owner = fx};

    memset(&fx->err, 0, sizeof(fx->err));
    return kv_open(&fx->kv, &options, &fx->err);
}

/* An environment and an empty directory. */
static inline void fixture_prepare(struct fixture *fx)
{
    static const struct env_ops ops = {.submit = fixture_submit};

    memset(fx, 0, sizeof(*fx));
    fx->env.ops = &ops;
    fx->env.disk = disk_posix();
    arena_init(&fx->arena, 1 * GIB);
    mkdir("build", 0777);
    mkdir("build/kv-tests", 0777);
    snprintf(fx->dir, sizeof(fx->dir), "build/kv-tests/XXXXXX");
    cr_assert_not_null(mkdtemp(fx->dir));
    strcpy(fx->path, fx->dir);
    strcat(fx->path, "/state-1.db");
}

static inline void fixture_open(struct fixture *fx)
{
    fixture_prepare(fx);
    cr_assert_eq(fixture_try_open(fx), 0, "%s", fx->err.text);
}

static inline void fixture_stop(struct fixture *fx)
{
    while (fx->jobs != NULL) {
        fixture_work(fx);
    }
    kv_close(fx->kv);
    fx->kv = NULL;
}

static inline void fixture_reopen(struct fixture *fx)
{
    fixture_stop(fx);
    cr_assert_eq(fixture_try_open(fx), 0, "%s", fx->err.text);
}

static inline void fixture_close(struct fixture *fx)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[128];

    fixture_stop(fx);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", fx->path, suffixes[i]);
        unlink(name);
    }
    rmdir(fx->dir);
    arena_close(&fx->arena);
}

/* ---- requests ---- */

static inline ProtobufCBinaryData bytes_of(struct fixture *fx, const char *text)
{
    struct slice copy = arena_dup(&fx->arena, slice_str(text != NULL ? text : ""));

    return (ProtobufCBinaryData){.len = copy.len, .data = (uint8_t *)copy.ptr};
}

/* "\0" as text cannot be: this is a range_end that means no end. */
static inline ProtobufCBinaryData no_end(void)
{
    return (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)""};
}

static inline void *message_new(struct fixture *fx,
                                const ProtobufCMessageDescriptor *type)
{
    void *message = arena_zero(&fx->arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    return message;
}

static inline Etcdserverpb__PutRequest *put_new(struct fixture *fx, const char *key,
                                                const char *value)
{
    Etcdserverpb__PutRequest *req =
        message_new(fx, &etcdserverpb__put_request__descriptor);

    req->key = bytes_of(fx, key);
    req->value = bytes_of(fx, value);
    return req;
}

/* end: NULL for one key; "" for no end. */
static inline ProtobufCBinaryData end_of(struct fixture *fx, const char *end)
{
    return end != NULL && end[0] == '\0' ? no_end() : bytes_of(fx, end);
}

static inline Etcdserverpb__RangeRequest *range_new(struct fixture *fx, const char *key,
                                                    const char *end)
{
    Etcdserverpb__RangeRequest *req =
        message_new(fx, &etcdserverpb__range_request__descriptor);

    req->key = bytes_of(fx, key);
    req->range_end = end_of(fx, end);
    return req;
}

static inline Etcdserverpb__DeleteRangeRequest *delete_new(struct fixture *fx,
                                                           const char *key,
                                                           const char *end)
{
    Etcdserverpb__DeleteRangeRequest *req =
        message_new(fx, &etcdserverpb__delete_range_request__descriptor);

    req->key = bytes_of(fx, key);
    req->range_end = end_of(fx, end);
    return req;
}

static inline Etcdserverpb__RequestOp *op_put(struct fixture *fx, const char *key,
                                              const char *value)
{
    Etcdserverpb__RequestOp *op = message_new(fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = put_new(fx, key, value);
    return op;
}

static inline Etcdserverpb__RequestOp *op_get(struct fixture *fx, const char *key,
                                              const char *end)
{
    Etcdserverpb__RequestOp *op = message_new(fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = range_new(fx, key, end);
    return op;
}

static inline Etcdserverpb__RequestOp *op_delete(struct fixture *fx, const char *key,
                                                 const char *end)
{
    Etcdserverpb__RequestOp *op = message_new(fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = delete_new(fx, key, end);
    return op;
}

static inline Etcdserverpb__RequestOp *op_txn(struct fixture *fx,
                                              Etcdserverpb__TxnRequest *txn)
{
    Etcdserverpb__RequestOp *op = message_new(fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    op->request_txn = txn;
    return op;
}

/* A compare of a number; the union member is the target's. */
static inline Etcdserverpb__Compare *compare_number(struct fixture *fx, const char *key,
                                                    int target, int result,
                                                    int64_t number)
{
    static const int cases[] = {
        ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION,
        ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION,
        ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION,
        ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE,
        ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE,
    };
    Etcdserverpb__Compare *compare = message_new(fx, &etcdserverpb__compare__descriptor);

    compare->key = bytes_of(fx, key);
    compare->target = target;
    compare->result = result;
    compare->target_union_case = cases[target];
    compare->version = number;
    return compare;
}

static inline Etcdserverpb__Compare *compare_value(struct fixture *fx, const char *key,
                                                   int result, const char *value)
{
    Etcdserverpb__Compare *compare = message_new(fx, &etcdserverpb__compare__descriptor);

    compare->key = bytes_of(fx, key);
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    compare->result = result;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    compare->value = bytes_of(fx, value);
    return compare;
}

/* Lists end with NULL; a list may be NULL. */
static inline size_t list_copy(struct fixture *fx, void *const *list, void *out)
{
    size_t n = 0;
    void *copy;

    while (list != NULL && list[n] != NULL) {
        n++;
    }
    copy = arena_zero(&fx->arena, (n + 1) * sizeof(void *));
    if (n > 0) {
        memcpy(copy, list, n * sizeof(void *));
    }
    memcpy(out, &copy, sizeof(copy));
    return n;
}

#define IF(...)   ((void *[]){__VA_ARGS__, NULL})
#define THEN(...) ((void *[]){__VA_ARGS__, NULL})
#define ELSE(...) ((void *[]){__VA_ARGS__, NULL})

static inline Etcdserverpb__TxnRequest *txn_new(struct fixture *fx, void *const *compares,
                                                void *const *success,
                                                void *const *failure)
{
    Etcdserverpb__TxnRequest *req =
        message_new(fx, &etcdserverpb__txn_request__descriptor);

    req->n_compare = list_copy(fx, compares, &req->compare);
    req->n_success = list_copy(fx, success, &req->success);
    req->n_failure = list_copy(fx, failure, &req->failure);
    return req;
}

/* ---- commands ---- */

static inline struct arena *fixture_find(void *owner,
                                         const Kvd__Command__Command *command)
{
    return &((struct fixture *)owner)->arena;
}

static inline void fixture_applied(void *owner, const Kvd__Command__Command *command,
                                   enum api_status status, ProtobufCMessage *response)
{
    struct fixture *fx = owner;

    fx->status = status;
    fx->response = response;
}

static inline Kvd__Command__Command *command_new(struct fixture *fx, int request_case,
                                                 void *request)
{
    Kvd__Command__Command *command = message_new(fx, &kvd__command__command__descriptor);

    command->client = fx->client;
    command->request_case = request_case;
    command->put = request;
    return command;
}

static inline struct slice batch_of(struct fixture *fx, Kvd__Command__Command **commands,
                                    size_t n)
{
    Kvd__Command__Batch batch = KVD__COMMAND__BATCH__INIT;
    uint8_t *bytes;
    size_t len;

    batch.commands = commands;
    batch.n_commands = n;
    len = kvd__command__batch__get_packed_size(&batch);
    bytes = arena_alloc(&fx->arena, len);
    kvd__command__batch__pack(&batch, bytes);
    return slice_of(bytes, len);
}

/* The next entry, inside a batch that the caller began. */
static inline void fixture_entry(struct fixture *fx, struct slice payload)
{
    uint64_t index = kv_applied_index(fx->kv) + 1;
    struct kv_waiters waiters = {fixture_find, fixture_applied, fx};
    struct kv_entry entry = {.index = index,
                             .term = 1,
                             .cluster_ms = fx->passed_ms + index * 10,
                             .payload = payload};

    fx->payload = payload;
    kv_apply(fx->kv, &entry, &waiters);
}

/* One command as an entry and a batch of its own. */
static inline enum api_status fixture_run(struct fixture *fx, int request_case,
                                          void *request)
{
    Kvd__Command__Command *command = command_new(fx, request_case, request);

    fx->status = API_CANCELED;
    fx->response = NULL;
    kv_begin(fx->kv);
    fixture_entry(fx, batch_of(fx, &command, 1));
    kv_commit(fx->kv);
    return fx->status;
}

static inline enum api_status run_put(struct fixture *fx, Etcdserverpb__PutRequest *req)
{
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_PUT, req);
}

static inline enum api_status run_delete(struct fixture *fx,
                                         Etcdserverpb__DeleteRangeRequest *req)
{
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_DELETE_RANGE, req);
}

static inline enum api_status run_txn(struct fixture *fx, Etcdserverpb__TxnRequest *req)
{
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_TXN, req);
}

static inline enum api_status run_compact(struct fixture *fx, int64_t revision)
{
    Etcdserverpb__CompactionRequest *req =
        message_new(fx, &etcdserverpb__compaction_request__descriptor);

    req->revision = revision;
    return fixture_run(fx, KVD__COMMAND__COMMAND__REQUEST_COMPACT, req);
}

static inline void put(struct fixture *fx, const char *key, const char *value)
{
    cr_assert_eq(run_put(fx, put_new(fx, key, value)), API_OK);
}

static inline void remove_keys(struct fixture *fx, const char *key, const char *end)
{
    cr_assert_eq(run_delete(fx, delete_new(fx, key, end)), API_OK);
}

static inline void compact_fully(struct fixture *fx, int64_t revision)
{
    cr_assert_eq(run_compact(fx, revision), API_OK);
    while (kv_upkeep(fx->kv)) {
        fixture_work(fx);
    }
    cr_assert(kv_compaction_done(fx->kv));
}

/* Drives the scan to its end, however many pages that takes. */
static inline enum api_status run_range(struct fixture *fx,
                                        const Etcdserverpb__RangeRequest *req,
                                        Etcdserverpb__RangeResponse **out)
{
    struct kv_scan *scan = NULL;
    enum api_status status = kv_range(fx->kv, req, &fx->arena, out, &scan);

    if (status == API_OK && scan != NULL) {
        while (kv_scan_step(scan, &status, out) == 0) {
        }
        kv_scan_close(scan);
    }
    return status;
}

/* ---- responses as text ---- */

struct text {
    char *bytes;
    size_t len;
};

static inline void show(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void show(struct text *text, const char *format, ...)
{
    char *piece = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&piece, format, args);
    va_end(args);
    cr_assert(len >= 0);
    text->bytes = mem_grow(text->bytes, text->len + (size_t)len + 1);
    memcpy(text->bytes + text->len, piece, (size_t)len + 1);
    text->len += (size_t)len;
    free(piece);
}

/* key=value(created,mod,version) */
static inline void show_pair(struct text *text, const Mvccpb__KeyValue *pair)
{
    show(text, " %.*s=%.*s(%" PRId64 ",%" PRId64 ",%" PRId64 ")", (int)pair->key.len,
         (char *)pair->key.data, (int)pair->value.len, (char *)pair->value.data,
         pair->create_revision, pair->mod_revision, pair->version);
    if (pair->lease != 0) {
        show(text, "!lease %" PRId64, pair->lease);
    }
}

static inline void show_range(struct text *text, const Etcdserverpb__RangeResponse *res)
{
    show(text, "@%" PRId64 " #%" PRId64 "%s", res->header->revision, res->count,
         res->more ? "+" : "");
    for (size_t i = 0; i < res->n_kvs; i++) {
        show_pair(text, res->kvs[i]);
    }
}

static inline void show_put(struct text *text, const Etcdserverpb__PutResponse *res)
{
    show(text, "put @%" PRId64, res->header->revision);
    if (res->prev_kv != NULL) {
        show_pair(text, res->prev_kv);
    }
}

static inline void show_delete(struct text *text,
                               const Etcdserverpb__DeleteRangeResponse *res)
{
    show(text, "del @%" PRId64 " #%" PRId64, res->header->revision, res->deleted);
    for (size_t i = 0; i < res->n_prev_kvs; i++) {
        show_pair(text, res->prev_kvs[i]);
    }
}

static inline void show_txn(struct text *text, const Etcdserverpb__TxnResponse *res)
{
    show(text, "txn @%" PRId64 " %s [", res->header->revision,
         res->succeeded ? "yes" : "no");
    for (size_t i = 0; i < res->n_responses; i++) {
        const Etcdserverpb__ResponseOp *op = res->responses[i];

        show(text, i > 0 ? "; " : "");
        switch (op->response_case) {
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE:
            show(text, "get ");
            show_range(text, op->response_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT:
            show_put(text, op->response_put);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE:
            show_delete(text, op->response_delete_range);
            break;
        case ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN:
            show_txn(text, op->response_txn);
            break;
        default:
            cr_assert_fail("a response without its member");
        }
    }
    show(text, "]");
}

static inline void show_lease(struct text *text, const ProtobufCMessage *res)
{
    const Etcdserverpb__LeaseGrantResponse *grant =
        (const Etcdserverpb__LeaseGrantResponse *)res;
    const Kvd__Command__LeaseRenewed *renew = (const Kvd__Command__LeaseRenewed *)res;

    if (res->descriptor == &etcdserverpb__lease_grant_response__descriptor) {
        show(text, "grant @%" PRId64 " %" PRId64 " %" PRId64, grant->header->revision,
             grant->id, grant->ttl);
    } else if (res->descriptor == &etcdserverpb__lease_revoke_response__descriptor) {
        show(text, "revoke @%" PRId64,
             ((const Etcdserverpb__LeaseRevokeResponse *)res)->header->revision);
    } else if (res->descriptor == &kvd__command__lease_renewed__descriptor) {
        show(text, "renew");
        for (size_t i = 0; i < renew->n_ttls; i++) {
            show(text, " %" PRId64, renew->ttls[i]);
        }
    }
}

/* Any response, or the status's message when it was refused. */
static inline char *show_outcome(enum api_status status, const ProtobufCMessage *res)
{
    struct text text = {.bytes = mem_strdup("")};

    if (status != API_OK) {
        show(&text, "%s", api_status_text(status));
    } else if (res == NULL) {
        show(&text, "done");
    } else if (res->descriptor == &etcdserverpb__range_response__descriptor) {
        show_range(&text, (const Etcdserverpb__RangeResponse *)res);
    } else if (res->descriptor == &etcdserverpb__put_response__descriptor) {
        show_put(&text, (const Etcdserverpb__PutResponse *)res);
    } else if (res->descriptor == &etcdserverpb__delete_range_response__descriptor) {
        show_delete(&text, (const Etcdserverpb__DeleteRangeResponse *)res);
    } else if (res->descriptor == &etcdserverpb__txn_response__descriptor) {
        show_txn(&text, (const Etcdserverpb__TxnResponse *)res);
    } else {
        show_lease(&text, res);
    }
    return text.bytes;
}

static inline void expect_outcome(enum api_status status, const ProtobufCMessage *res,
                                  const char *want)
{
    char *got = show_outcome(status, res);

    cr_assert_str_eq(got, want, "got  %s\nwant %s", got, want);
    free(got);
}

/* Of the last command. */
static inline void expect(struct fixture *fx, const char *want)
{
    expect_outcome(fx->status, fx->response, want);
}

static inline void expect_range(struct fixture *fx, const Etcdserverpb__RangeRequest *req,
                                const char *want)
{
    Etcdserverpb__RangeResponse *res = NULL;
    enum api_status status = run_range(fx, req, &res);

    expect_outcome(status, (ProtobufCMessage *)res, want);
}

static inline void expect_get(struct fixture *fx, const char *key, const char *end,
                              int64_t revision, const char *want)
{
    Etcdserverpb__RangeRequest *req = range_new(fx, key, end);

    req->revision = revision;
    expect_range(fx, req, want);
}

#endif
