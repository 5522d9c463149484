/* Counters of the daemon, in Prometheus text on /metrics. Names are etcd's where they
 * mean the same (metrics.c maps them). Loop thread only. */
#ifndef KVD_NODE_METRICS_H
#define KVD_NODE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "api/status.h"
#include "base/buf.h"
#include "node/health.h"
#include "node/rpc.h"

enum metric {
    METRIC_CLIENT_CONNECTIONS, /* taken */
    METRIC_CLIENT_REFUSED,     /* over a limit, or broke the protocol */
    METRIC_CLIENT_BYTES_RECEIVED,
    METRIC_CLIENT_BYTES_SENT,
    METRIC_PEER_BYTES_RECEIVED,
    METRIC_PEER_BYTES_SENT,
    METRIC_PEER_REFUSED,
    METRIC_PROPOSALS, /* commands submitted to the log, here or forwarded */
    METRIC_PROPOSALS_FAILED,
    METRIC_PROPOSALS_APPLIED, /* commands applied, of all members */
    METRIC_FORWARDED,
    METRIC_READ_ROUNDS,
    METRIC_LEADER_CHANGES,
    METRIC_TURNS,
    METRIC_LONG_TURNS, /* over METRIC_LONG_TURN_NS */
    METRIC_RANGES,
    METRIC_PUTS,
    METRIC_DELETES,
    METRIC_TXNS,
    METRIC_WATCH_EVENTS, /* sent to watchers */
    METRIC_COPIES,       /* of the state, begun, for others to fetch */
    METRIC_COPIES_FAILED,
    METRIC_STATES_SENT,   /* streams that ended whole */
    METRIC_STATES_BROKEN, /* streams that broke off */
    METRIC_STATE_BYTES_SENT,
    METRIC_STATE_BYTES_RECEIVED,
    METRIC_FETCHES,         /* streams begun, also those that go on with an earlier one */
    METRIC_FETCHES_RESUMED, /* of these, those that go on */
    METRIC_STATES_TAKEN,    /* fetched, and gone on with */
    METRIC_FETCHES_DONE,    /* states that were here whole and verified */
    METRIC_FETCHES_FAILED,  /* states that were thrown away */
    METRIC_HEALTH_SUCCESS,  /* of /health */
    METRIC_HEALTH_FAILURES,
    METRIC_DISK_STALLS,  /* the log's disk did not answer in time */
    METRIC_RATE_LIMITED, /* requests refused for their number */
    METRIC_AUTH_REFUSED, /* calls refused for who made them, wrong passwords included */
    METRIC_TLS_HANDSHAKES,
    METRIC_TLS_RESUMED, /* of these, those that went on with an earlier session */
    METRIC_TLS_FAILURES,
    METRIC_TLS_RELOADS, /* of certificates and keys */
    METRIC_TLS_RELOADS_FAILED,
    METRIC_NMETRICS,
};

enum metric_time {
    METRIC_TIME_FSYNC,  /* of the log */
    METRIC_TIME_COMMIT, /* kv_commit */
    METRIC_TIME_TURN,
    METRIC_NTIMES,
};

/* No turn should take longer: all calls wait meanwhile. */
#define METRIC_LONG_TURN_NS UINT64_C(10000000)

/* Durations by upper bound: 1 ms, 2 ms, 4 ms ... 8.192 s, then longer. */
#define METRIC_BUCKETS 15

struct metric_histogram {
    uint64_t buckets[METRIC_BUCKETS];
    uint64_t sum_ns;
    uint64_t max_ns;
};

/* When what a file of TLS holds runs out. */
struct metric_expiry {
    const char *option; /* that names the file */
    int64_t at_s;       /* seconds since 1970 */
};

#define METRIC_EXPIRIES_MAX 8

struct metrics {
    uint64_t counters[METRIC_NMETRICS];
    struct metric_histogram times[METRIC_NTIMES];
    uint64_t handled[RPC_NMETHODS][GRPC_NCODES];
    struct metric_expiry expiries[METRIC_EXPIRIES_MAX];
    size_t n_expiries;
    uint64_t fsyncs_seen;   /* private to metrics_watch_log */
    uint64_t fsync_ns_seen; /* likewise */
};

static inline void metrics_add(struct metrics *m, enum metric which, uint64_t n)
{
    m->counters[which] += n;
}

/* n durations that took ns together; they count as equal. */
void metrics_time(struct metrics *m, enum metric_time which, uint64_t n, uint64_t ns);

/* A turn of the loop took so long. */
void metrics_turn(struct metrics *m, uint64_t ns);

/* Called once a turn: fsyncs that ended since the last call go to METRIC_TIME_FSYNC. */
void metrics_watch_log(struct metrics *m, const struct raftlog_status *status);

/* A call ended with this gRPC code. */
void metrics_handled(struct metrics *m, enum rpc_id method, int grpc_code);

/* Appends the whole page. */
void metrics_render(const struct metrics *m, const struct health *health,
                    struct buf *out);

#endif
