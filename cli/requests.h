/* Requests made from options and arguments: shared by the commands get, put and del and
 * by the lines of a transaction, which have the same syntax. */
#ifndef KVD_CLI_REQUESTS_H
#define KVD_CLI_REQUESTS_H

#include "base/arena.h"
#include "base/err.h"
#include "cli/key_range.h"
#include "rpc.pb-c.h"

struct get_options {
    const char *consistency; /* "l" or "s" */
    const char *order;
    const char *sort_by;
    int64_t limit;
    int64_t rev;
    bool prefix;
    bool from_key;
    bool keys_only;
    bool count_only;
    bool value_only;
    bool must_exist;
};

struct put_options {
    int64_t lease;
    bool prev_kv;
    bool ignore_value;
    bool ignore_lease;
    const char *file;
    const char *fence; /* NAME:TOKEN */
    struct conditions conditions;
};

struct del_options {
    bool prefix;
    bool from_key;
    bool prev_kv;
    bool yes;
    const char *fence; /* NAME:TOKEN */
    struct conditions conditions;
};

/* All: ERR_INVALID says which argument is wrong. What they borrow lives in the arena. */
int get_request(const struct get_options *options, const struct slice *args,
                size_t n_args, struct arena *arena, Etcdserverpb__RangeRequest *out,
                struct err *err);
int del_request(const struct del_options *options, const struct slice *args,
                size_t n_args, struct arena *arena, Etcdserverpb__DeleteRangeRequest *out,
                struct err *err);

/* value may be {NULL, 0} with ignore_value. */
int put_request(const struct put_options *options, struct slice key, struct slice value,
                Etcdserverpb__PutRequest *out, struct err *err);

/* Arguments of the command line as bytes. */
struct slice *slices_of_args(struct arena *arena, const char *const *args, size_t n_args);

/* A request as an operation of a transaction. */
Etcdserverpb__RequestOp *op_of_put(struct arena *arena, Etcdserverpb__PutRequest *put);
Etcdserverpb__RequestOp *op_of_del(struct arena *arena,
                                   Etcdserverpb__DeleteRangeRequest *del);
Etcdserverpb__RequestOp *op_of_get(struct arena *arena, Etcdserverpb__RangeRequest *get);

#endif
