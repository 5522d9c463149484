/* What is asked of keys and what must come back: requests made from templates in which
 * only the key changes, and the check of each reply. */
#ifndef KVD_TESTS_BENCH_SHAPE_H
#define KVD_TESTS_BENCH_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "tests/bench/method.h"

#define SHAPE_KEY_LEN   22 /* "bench/" and 16 hexadecimal digits */
#define SHAPE_STAMP_LEN 8

struct shape {
    size_t value_size;
    struct {
        uint8_t *bytes; /* gRPC prefix and message */
        size_t len;
        size_t keys_at[2]; /* where the key goes; 0: nowhere */
    } templates[METHOD_TXN + 1];
};

void shape_open(struct shape *shape, size_t value_size, bool serializable);
void shape_close(struct shape *shape);

void shape_key(char key[SHAPE_KEY_LEN], uint64_t number);
bool shape_key_number(struct slice key, uint64_t *out);

/* Put, range or txn of this key, with the prefix; valid until the next call. */
struct slice shape_request(struct shape *shape, enum method method, uint64_t key_number);

/* A put whose value begins with the stamp. */
struct slice shape_stamped_put(struct shape *shape, uint64_t key_number, uint64_t stamp);
bool shape_stamp(struct slice value, uint64_t *out);

/* Is this message (without prefix) the reply that the request must get? */
bool shape_check(const struct shape *shape, enum method method, uint64_t key_number,
                 struct slice message);

#endif
