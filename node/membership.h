/* The members of the cluster: ids and peer addresses as --initial-cluster gives them.
 * What members publish about themselves (name, client URLs) is in the state machine. */
#ifndef KVD_NODE_MEMBERSHIP_H
#define KVD_NODE_MEMBERSHIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "node/config.h"

struct member {
    uint64_t id;
    const char *name;                    /* borrowed from the config */
    const struct config_urls *peer_urls; /* likewise */
};

struct membership {
    struct member items[LIMIT_MEMBERS]; /* sorted by id */
    size_t n;
    uint64_t cluster_id;
    uint64_t self; /* this member's id */
};

/* The config must outlive it. ERR_INVALID: two members with the same URLs, or this member
 * is not among them. */
int membership_init(struct membership *out, const struct config *config, struct err *err);

/* NULL for an unknown id. */
const struct member *membership_find(const struct membership *m, uint64_t id);

/* Members that make a majority. */
static inline size_t membership_quorum(const struct membership *m)
{
    return m->n / 2 + 1;
}

#endif
