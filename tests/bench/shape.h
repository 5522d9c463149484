/* What is asked and what must come back: the messages of the load, made from templates in
 * which only the key changes, and the check of each reply. */
#ifndef KVD_TESTS_BENCH_SHAPE_H
#define KVD_TESTS_BENCH_SHAPE_H

#include <stdbool.h>

#include "base/slice.h"

enum shape_kind { SHAPE_PUT, SHAPE_RANGE, SHAPE_TXN, SHAPE_NKINDS };

#define SHAPE_KEY_LEN 22 /* "bench/" and 16 hexadecimal digits */

struct shape {
    size_t value_size;
    struct {
        uint8_t *bytes; /* gRPC prefix and message */
        size_t len;
        size_t keys_at[2]; /* where the key goes; 0: nowhere */
    } templates[SHAPE_NKINDS];
};

void shape_open(struct shape *shape, size_t value_size, bool serializable);
void shape_close(struct shape *shape);

/* "/etcdserverpb.KV/Put" */
const char *shape_path(enum shape_kind kind);

void shape_key(char key[SHAPE_KEY_LEN], uint64_t number);

/* Writes the key into the template; valid until the next call. */
struct slice shape_request(struct shape *shape, enum shape_kind kind,
                           const char key[SHAPE_KEY_LEN]);

/* Is this (gRPC prefix and message) the reply that the request must get? */
bool shape_check(const struct shape *shape, enum shape_kind kind,
                 const char key[SHAPE_KEY_LEN], struct slice reply);

#endif
