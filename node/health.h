/* Facts about the member that the HTTP/1.1 pages and the metrics show. The node fills
 * them, health.c and metrics.c render them. */
#ifndef KVD_NODE_HEALTH_H
#define KVD_NODE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "kv/kv.h"
#include "kv/watch.h"
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
    bool no_state;    /* it does not answer clients yet */
    bool needs_state; /* it fetches the state from another member; state_text says more */
    char state_text[48];
    bool stopping;
    bool disk_full;    /* less room than the reserve */
    bool disk_stalled; /* a write of the log takes too long */
    int64_t disk_space;
    uint64_t pending_calls;
    uint64_t n_connections;
    uint64_t n_watch_streams;
    struct watch_stats watches;
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

/* ---- health.c: the answers ---- */

#define HEALTH_EXCLUDED_MAX 8

struct health_query {
    struct slice check; /* of /livez/CHECK and /readyz/CHECK; empty: all of them */
    bool serializable;  /* of /health: ask this member only */
    bool verbose;       /* of /livez and /readyz */
    struct slice excluded[HEALTH_EXCLUDED_MAX]; /* checks, or alarms of /health */
    size_t n_excluded;
};

enum health_page { HEALTH_PAGE_HEALTH, HEALTH_PAGE_LIVEZ, HEALTH_PAGE_READYZ };

/* The check of that name belongs to the page. */
bool health_has_check(enum health_page page, struct slice check);

/* The answer depends on a linearizable read that this member may try. */
bool health_needs_probe(enum health_page page, const struct health_query *query,
                        const struct health *health);

/* Appends the answer; read_ok is the outcome of the probe. Returns whether all is well.
 */
bool health_render(enum health_page page, const struct health_query *query,
                   const struct health *health, bool read_ok, struct buf *out);

#endif
