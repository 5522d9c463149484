/* Transactions built piece by piece, with an eye on the limits: the number of operations
 * and the bytes that the whole request takes. */
#ifndef KVD_CLI_TXN_BUILD_H
#define KVD_CLI_TXN_BUILD_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/slice.h"
#include "rpc.pb-c.h"

/* Of the limit of a request, what the server's own envelope and headers may take. */
#define TXN_BUILD_ENVELOPE 4096
/* The most that field tags and lengths add to one put or delete. */
#define TXN_BUILD_OP_OVERHEAD 64

struct txn_build {
    Etcdserverpb__TxnRequest request;
    struct arena *arena; /* what the request points to */
    size_t bytes;        /* estimate of the packed size, never too low */
};

void txn_build_init(struct txn_build *txn, struct arena *arena);

/* Is there room for a put of this size and `spare` further operations? */
bool txn_build_fits(const struct txn_build *txn, size_t key_len, size_t value_len,
                    size_t spare);

/* Can a put of this size be made at all? */
bool txn_build_possible(size_t key_len, size_t value_len);

/* Bytes are borrowed. There must be room. */
void txn_build_put(struct txn_build *txn, struct slice key, struct slice value);
void txn_build_del(struct txn_build *txn, struct slice key, struct slice range_end);

/* Conditions: no key of [key, range_end) was changed after rev; none exists; the key's
 * mod revision is rev. */
void txn_build_if_unchanged(struct txn_build *txn, struct slice key,
                            struct slice range_end, int64_t rev);
void txn_build_if_empty(struct txn_build *txn, struct slice key, struct slice range_end);
void txn_build_if_mod(struct txn_build *txn, struct slice key, int64_t rev);

#endif
