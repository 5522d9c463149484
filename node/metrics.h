/* Counters of the daemon, in Prometheus text on /metrics. Names are etcd's where they mean
 * the same (metrics.c maps them). Loop thread only. */
#ifndef KVD_NODE_METRICS_H
#define KVD_NODE_METRICS_H

#include <stdint.h>

#include "api/status.h"
#include "base/buf.h"
#include "node/health.h"

enum metric {
    METRIC_CLIENT_CONNECTIONS,    /* taken */
    METRIC_CLIENT_REFUSED,        /* over a limit, or broke the protocol */
    METRIC_CLIENT_BYTES_RECEIVED,
    METRIC_CLIENT_BYTES_SENT,
    METRIC_PEER_BYTES_RECEIVED,
    METRIC_PEER_BYTES_SENT,
    METRIC_PEER_REFUSED,
    METRIC_PROPOSALS,             /* commands submitted to the log, here or forwarded */
    METRIC_PROPOSALS_FAILED,
    METRIC_PROPOSALS_APPLIED,     /* commands applied, of all members */
    METRIC_FORWARDED,
    METRIC_READ_ROUNDS,
    METRIC_LEADER_CHANGES,
    METRIC_TURNS,
    METRIC_RANGES,
    METRIC_PUTS,
    METRIC_DELETES,
    METRIC_TXNS,
    METRIC_NMETRICS,
};

struct metrics {
    uint64_t counters[METRIC_NMETRICS];
    uint64_t grpc_handled[32][17]; /* by method of rpc.def and gRPC code */
};

static inline void metrics_add(struct metrics *m, enum metric which, uint64_t n)
{
    m->counters[which] += n;
}

/* Appends the whole page. */
void metrics_render(const struct metrics *m, const struct health *health, struct buf *out);

#endif
