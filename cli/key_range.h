/* The keys that a command names: KEY, KEY RANGE_END, --prefix, --from-key; and the
 * conditions of conditional writes. */
#ifndef KVD_CLI_KEY_RANGE_H
#define KVD_CLI_KEY_RANGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

struct key_range {
    ProtobufCBinaryData key;
    ProtobufCBinaryData range_end; /* empty: the single key */
};

/* Of a command's arguments. ERR_INVALID when they contradict each other. */
int key_range_parse(const struct slice *args, size_t n_args, bool prefix, bool from_key,
                    struct arena *arena, struct key_range *out, struct err *err);

/* All keys with a prefix. */
struct key_range key_range_of_prefix(struct slice prefix, struct arena *arena);

/* Every key that there is. */
bool key_range_is_all(const struct key_range *range);

/* A copy in the arena. */
ProtobufCBinaryData binary_dup(struct arena *arena, struct slice bytes);
ProtobufCBinaryData binary_of(struct slice bytes); /* borrows */

/* What must hold for a write to take place. */
struct conditions {
    int64_t if_rev; /* mod revision; -1: no condition, 0: absent */
    bool if_absent;
    const char *if_value;  /* NULL: no condition */
    Kvd__V1__Fence *fence; /* of the transaction that checks the others; NULL: none */
};

#define CONDITIONS_NONE                                                                  \
    {                                                                                    \
        .if_rev = -1                                                                     \
    }
#define CONDITIONS_MAX 3 /* compares that they become */

bool conditions_given(const struct conditions *conditions);

/* A transaction that does op when the conditions hold for key, else reads key. */
void conditions_txn(const struct conditions *conditions, ProtobufCBinaryData key,
                    Etcdserverpb__RequestOp *op, struct arena *arena,
                    Etcdserverpb__TxnRequest *out);

/* Why the conditions did not hold: ERR_EXISTS with a sentence. */
int conditions_explain(const struct conditions *conditions, const char *key,
                       const Etcdserverpb__TxnResponse *res, struct err *err);

#endif
