/* Do permissions together cover a range of keys? As the server decides it: every key of
 * the range must lie in one of them. */
#ifndef KVD_CLI_COVERAGE_H
#define KVD_CLI_COVERAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "cli/key_range.h"
#include "rpc.pb-c.h"

struct grant {
    const char *role;
    const Authpb__Permission *permission; /* borrowed */
    bool used;                            /* out: by coverage_holds */
};

struct coverage {
    struct grant *grants;
    size_t n;
    size_t room; /* private */
};

void coverage_add(struct coverage *coverage, struct arena *arena, const char *role,
                  const Authpb__Permission *permission);

/* type: READ or WRITE. Marks the grants that it took. */
bool coverage_holds(struct coverage *coverage, Authpb__Permission__Type type,
                    const struct key_range *range);

#endif
