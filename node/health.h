/* Facts about the member that the HTTP/1.1 pages and the metrics show. The node fills
 * them, health.c and metrics.c render them. */
#ifndef KVD_NODE_HEALTH_H
#define KVD_NODE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "kv/kv.h"
#include "raftlog/raftlog.h"

struct node;

struct health {
    struct raftlog_status log;
    struct kv_stats kv;
    int64_t revision;
    int64_t compact_revision;
    uint64_t applied_index;
    bool has_leader;
    bool diverged; /* its state hash differs from the others': it has stopped serving */
    bool stopping;
    uint64_t pending_calls;
    uint64_t n_connections;
    uint64_t cluster_id;
    uint64_t member_id;
    const char *name;
};

/* Implemented by node.c. */
void node_get_health(struct node *node, struct health *out);

/* A linearizable read gate for /readyz: done(owner, ok) later, exactly once (node.c). */
struct health_probe;
struct health_probe *node_probe(struct node *node, void (*done)(void *owner, bool ok),
                                void *owner);
void node_probe_cancel(struct health_probe *probe);

#endif
