/* A request about a few keys, put together from parts, sent, recorded and read. */
#ifndef KVD_CHAOS_KV_REQUEST_H
#define KVD_CHAOS_KV_REQUEST_H

#include "tests/chaos/client.h"
#include "tests/checkers/history.h"

#define KV_PARTS_MAX 4
#define KV_KEY_MAX   48
#define KV_VALUES_EACH                                                                   \
    1000000000ull /* values of a client: its number times this, and on */
#define KV_VALUE_TEXT "%013" PRIu64 /* of one length: in order of numbers */

struct kv_part {
    enum op_kind kind;
    char key[KV_KEY_MAX];
    uint64_t value;
    uint64_t expected;    /* 0: absent */
    int64_t expected_mod; /* its revision */
    bool by_mod;          /* the condition is about the revision, not the value */
    bool unconditional;
    bool serializable;
    bool tell_before;
    int64_t at;
    bool saw; /* of the answer, as what follows */
    uint64_t seen;
    int64_t seen_mod;
};

struct kv_request {
    struct kv_part parts[KV_PARTS_MAX];
    size_t n;
    bool is_txn;
    bool succeeded; /* of the answer, as what follows */
    int64_t revision;
};

enum call_outcome kv_request_run(struct kv_request *request, struct client *client);

#endif
