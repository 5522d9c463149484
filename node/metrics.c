/* The page of metrics: a table of rows, histograms, and the calls by method and code.
 * Format: Prometheus text exposition format 0.0.4. Nothing here fails. */
#include "node/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "health.pb-c.h"
#include "node/process.h"
#include "node/text.h"
#include "node/version.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#define NS_PER_SECOND 1e9

/* ---- rows ---- */

struct facts {
    const struct metrics *metrics;
    const struct health *health;
    struct process_facts process;
};

enum row_source {
    ROW_COUNTER, /* place: enum metric */
    ROW_BOOL,    /* place: offset in struct health */
    ROW_U64,
    ROW_I64,
    ROW_PROCESS_U64, /* place: offset in struct process_facts */
    ROW_PROCESS_DOUBLE,
    ROW_IS_LEADER, /* computed */
    ROW_FSYNC_MAX,
    ROW_TIME_MAX, /* place: enum metric_time */
};

struct row {
    const char *name;
    const char *type;
    const char *help;
    enum row_source source;
    size_t place;
};

#define HEALTH(field)  offsetof(struct health, field)
#define PROCESS(field) offsetof(struct process_facts, field)

static const struct row rows[] = {
    {"etcd_server_has_leader", "gauge", "Whether a leader is known. 1 is yes, 0 is no.",
     ROW_BOOL, HEALTH(has_leader)},
    {"etcd_server_is_leader", "gauge", "Whether this member leads. 1 is yes, 0 is no.",
     ROW_IS_LEADER, 0},
    {"etcd_server_leader_changes_seen_total", "counter", "Changes of leader seen.",
     ROW_COUNTER, METRIC_LEADER_CHANGES},
    {"etcd_server_proposals_committed_total", "gauge",
     "Index of the last entry committed.", ROW_U64, HEALTH(log.commit_index)},
    {"etcd_server_proposals_applied_total", "gauge", "Index of the last entry applied.",
     ROW_U64, HEALTH(applied_index)},
    {"etcd_server_proposals_pending", "gauge", "Calls that wait for the log.", ROW_U64,
     HEALTH(pending_calls)},
    {"etcd_server_proposals_failed_total", "counter", "Proposals that failed.",
     ROW_COUNTER, METRIC_PROPOSALS_FAILED},
    {"etcd_server_health_success", "counter", "Answers of /health that said healthy.",
     ROW_COUNTER, METRIC_HEALTH_SUCCESS},
    {"etcd_server_health_failures", "counter", "Answers of /health that said unhealthy.",
     ROW_COUNTER, METRIC_HEALTH_FAILURES},
    {"etcd_mvcc_db_total_size_in_bytes", "gauge", "Size of the database file.", ROW_I64,
     HEALTH(kv.db_bytes)},
    {"etcd_mvcc_db_total_size_in_use_in_bytes", "gauge",
     "Size of the database file without its free pages.", ROW_I64,
     HEALTH(kv.db_bytes_in_use)},
    {"etcd_mvcc_range_total", "counter", "Ranges served by this member.", ROW_COUNTER,
     METRIC_RANGES},
    {"etcd_mvcc_put_total", "counter", "Puts applied.", ROW_COUNTER, METRIC_PUTS},
    {"etcd_mvcc_delete_total", "counter", "Deletes applied.", ROW_COUNTER,
     METRIC_DELETES},
    {"etcd_mvcc_txn_total", "counter", "Transactions applied.", ROW_COUNTER, METRIC_TXNS},
    {"etcd_debugging_mvcc_keys_total", "gauge", "Live keys.", ROW_U64, HEALTH(kv.keys)},
    {"etcd_debugging_mvcc_current_revision", "gauge", "Revision of the store.", ROW_I64,
     HEALTH(revision)},
    {"etcd_debugging_mvcc_compact_revision", "gauge", "Revision of the last compaction.",
     ROW_I64, HEALTH(compact_revision)},
    {"etcd_debugging_mvcc_watch_stream_total", "gauge", "Open watch streams.", ROW_U64,
     HEALTH(n_watch_streams)},
    {"etcd_debugging_mvcc_watcher_total", "gauge", "Watchers of this member.", ROW_U64,
     HEALTH(watches.watches)},
    {"etcd_debugging_mvcc_slow_watcher_total", "gauge",
     "Watchers that are behind and read the history.", ROW_U64, HEALTH(watches.behind)},
    {"etcd_debugging_mvcc_events_total", "counter", "Events sent to watchers.",
     ROW_COUNTER, METRIC_WATCH_EVENTS},
    {"kvd_disk_full", "gauge",
     "Whether this member takes no writes for want of room. 1 is yes, 0 is no.", ROW_BOOL,
     HEALTH(disk_full)},
    {"kvd_disk_free_bytes", "gauge", "Room on the disk of the data directory.", ROW_I64,
     HEALTH(disk_space)},
    {"kvd_disk_stalls_total", "counter",
     "Times that a write of the log took longer than half an election timeout.",
     ROW_COUNTER, METRIC_DISK_STALLS},
    {"kvd_rate_limited_total", "counter",
     "Requests refused because their client had made too many (--rate-limit).",
     ROW_COUNTER, METRIC_RATE_LIMITED},
    {"kvd_auth_refused_total", "counter",
     "Calls refused for who made them: no user, no permission, a wrong password.",
     ROW_COUNTER, METRIC_AUTH_REFUSED},
    {"kvd_watch_ranges", "gauge", "Distinct keys and ranges that are watched.", ROW_U64,
     HEALTH(watches.ranges)},
    {"etcd_debugging_lease_granted_total", "counter", "Leases granted since start.",
     ROW_U64, HEALTH(kv.leases_granted)},
    {"etcd_debugging_lease_revoked_total", "counter",
     "Leases revoked or expired since start.", ROW_U64, HEALTH(kv.leases_revoked)},
    {"etcd_debugging_lease_renewed_total", "counter",
     "Keep-alives that renewed a lease since start.", ROW_U64, HEALTH(kv.leases_renewed)},
    {"kvd_leases", "gauge", "Leases there are.", ROW_U64, HEALTH(kv.leases)},
    {"etcd_network_client_grpc_received_bytes_total", "counter",
     "Bytes received from clients.", ROW_COUNTER, METRIC_CLIENT_BYTES_RECEIVED},
    {"etcd_network_client_grpc_sent_bytes_total", "counter", "Bytes sent to clients.",
     ROW_COUNTER, METRIC_CLIENT_BYTES_SENT},
    {"kvd_client_connections", "gauge", "Open connections of clients.", ROW_U64,
     HEALTH(n_connections)},
    {"kvd_client_connections_total", "counter", "Connections taken from clients.",
     ROW_COUNTER, METRIC_CLIENT_CONNECTIONS},
    {"kvd_client_refused_total", "counter",
     "Connections refused for a limit or ended for a breach of the protocol.",
     ROW_COUNTER, METRIC_CLIENT_REFUSED},
    {"kvd_peer_received_bytes_total", "counter", "Bytes received from other members.",
     ROW_COUNTER, METRIC_PEER_BYTES_RECEIVED},
    {"kvd_peer_sent_bytes_total", "counter", "Bytes sent to other members.", ROW_COUNTER,
     METRIC_PEER_BYTES_SENT},
    {"kvd_peer_refused_total", "counter", "Links refused to or by other members.",
     ROW_COUNTER, METRIC_PEER_REFUSED},
    {"kvd_commands_proposed_total", "counter",
     "Commands submitted to the log, here or forwarded.", ROW_COUNTER, METRIC_PROPOSALS},
    {"kvd_commands_applied_total", "counter", "Commands applied, of all members.",
     ROW_COUNTER, METRIC_PROPOSALS_APPLIED},
    {"kvd_commands_forwarded_total", "counter", "Commands forwarded to the leader.",
     ROW_COUNTER, METRIC_FORWARDED},
    {"kvd_read_rounds_total", "counter", "Rounds that confirmed linearizable reads.",
     ROW_COUNTER, METRIC_READ_ROUNDS},
    {"kvd_turns_total", "counter", "Turns of the loop.", ROW_COUNTER, METRIC_TURNS},
    {"kvd_long_turns_total", "counter", "Turns of the loop longer than 10 ms.",
     ROW_COUNTER, METRIC_LONG_TURNS},
    {"kvd_turn_max_seconds", "gauge", "Longest turn of the loop since start.",
     ROW_TIME_MAX, METRIC_TIME_TURN},
    {"kvd_elections_total", "counter", "Elections this member stood in.", ROW_U64,
     HEALTH(log.elections)},
    {"kvd_term", "gauge", "Term of the log.", ROW_U64, HEALTH(log.term)},
    {"kvd_log_first_index", "gauge", "Oldest log entry held.", ROW_U64,
     HEALTH(log.first_index)},
    {"kvd_log_last_index", "gauge", "Newest log entry.", ROW_U64, HEALTH(log.last_index)},
    {"kvd_log_stored_index", "gauge", "Newest log entry on this disk.", ROW_U64,
     HEALTH(log.stored_index)},
    {"kvd_log_bytes", "gauge", "Size of the log on disk.", ROW_U64,
     HEALTH(log.log_bytes)},
    {"kvd_log_fsync_max_seconds", "gauge", "Longest fsync of the log since start.",
     ROW_FSYNC_MAX, 0},
    {"kvd_log_dropped_frames_total", "counter", "Frames of members that made no sense.",
     ROW_U64, HEALTH(log.dropped_frames)},
    {"kvd_index_versions", "gauge", "Versions of keys in memory.", ROW_U64,
     HEALTH(kv.versions)},
    {"kvd_index_bytes", "gauge", "Memory of the key index.", ROW_U64,
     HEALTH(kv.index_bytes)},
    {"kvd_sqlite_wal_bytes", "gauge", "Size of SQLite's write-ahead log.", ROW_I64,
     HEALTH(kv.wal_bytes)},
    {"kvd_sqlite_checkpoints_total", "counter", "Checkpoints of SQLite.", ROW_U64,
     HEALTH(kv.checkpoints)},
    {"kvd_compaction_rows_left", "gauge", "Superseded rows not yet removed.", ROW_U64,
     HEALTH(kv.compaction_left)},
    {"kvd_state_copies_total", "counter",
     "Copies of the state begun, for other members to fetch.", ROW_COUNTER,
     METRIC_COPIES},
    {"kvd_state_copies_failed_total", "counter", "Copies of the state that failed.",
     ROW_COUNTER, METRIC_COPIES_FAILED},
    {"kvd_state_streams_sent_total", "counter",
     "Streams of the state to other members that ended whole.", ROW_COUNTER,
     METRIC_STATES_SENT},
    {"kvd_state_streams_broken_total", "counter",
     "Streams of the state to other members that broke off.", ROW_COUNTER,
     METRIC_STATES_BROKEN},
    {"kvd_state_stream_sent_bytes_total", "counter",
     "Bytes of the state sent to other members.", ROW_COUNTER, METRIC_STATE_BYTES_SENT},
    {"kvd_state_stream_received_bytes_total", "counter",
     "Bytes received in streams of the state.", ROW_COUNTER, METRIC_STATE_BYTES_RECEIVED},
    {"kvd_state_fetches_started_total", "counter",
     "Streams begun to fetch the state from another member.", ROW_COUNTER,
     METRIC_FETCHES},
    {"kvd_state_fetches_resumed_total", "counter",
     "Streams to fetch the state that went on with an earlier one.", ROW_COUNTER,
     METRIC_FETCHES_RESUMED},
    {"kvd_states_installed_total", "counter",
     "States of other members that this one went on with.", ROW_COUNTER,
     METRIC_STATES_TAKEN},
    {"kvd_state_fetches_completed_total", "counter",
     "States fetched from other members, whole and verified.", ROW_COUNTER,
     METRIC_FETCHES_DONE},
    {"kvd_state_fetches_failed_total", "counter",
     "States fetched from other members and thrown away.", ROW_COUNTER,
     METRIC_FETCHES_FAILED},
    {"kvd_tls_handshakes_total", "counter", "Handshakes of TLS that succeeded.",
     ROW_COUNTER, METRIC_TLS_HANDSHAKES},
    {"kvd_tls_handshakes_resumed_total", "counter",
     "Handshakes of TLS that went on with an earlier session.", ROW_COUNTER,
     METRIC_TLS_RESUMED},
    {"kvd_tls_failures_total", "counter",
     "Connections that ended for a failed handshake or a breach of TLS.", ROW_COUNTER,
     METRIC_TLS_FAILURES},
    {"kvd_tls_reloads_total", "counter",
     "Times that certificates and keys were read again.", ROW_COUNTER,
     METRIC_TLS_RELOADS},
    {"kvd_tls_reloads_failed_total", "counter",
     "Times that they were of no use, and the earlier ones stayed.", ROW_COUNTER,
     METRIC_TLS_RELOADS_FAILED},
    {"kvd_needs_state", "gauge",
     "Whether this member fetches the state from another one.", ROW_BOOL,
     HEALTH(needs_state)},
    {"kvd_diverged", "gauge", "Whether the state differs from the other members'.",
     ROW_BOOL, HEALTH(diverged)},
    {"process_cpu_seconds_total", "counter", "User and system CPU time spent.",
     ROW_PROCESS_DOUBLE, PROCESS(cpu_seconds)},
    {"process_start_time_seconds", "gauge", "Start of the process since 1970.",
     ROW_PROCESS_DOUBLE, PROCESS(start_time_seconds)},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", ROW_PROCESS_U64,
     PROCESS(resident_bytes)},
    {"process_virtual_memory_bytes", "gauge", "Virtual memory.", ROW_PROCESS_U64,
     PROCESS(virtual_bytes)},
    {"process_open_fds", "gauge", "Open file descriptors.", ROW_PROCESS_U64,
     PROCESS(open_files)},
    {"process_max_fds", "gauge", "Limit of open file descriptors.", ROW_PROCESS_U64,
     PROCESS(open_files_max)},
};

static void add_head(struct buf *out, const char *name, const char *type,
                     const char *help)
{
    text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_u64(struct buf *out, const char *name, uint64_t value)
{
    text_add(out, "%s %" PRIu64 "\n", name, value);
}

static void add_double(struct buf *out, const char *name, double value)
{
    text_add(out, "%s %.17g\n", name, value);
}

static void add_row(struct buf *out, const struct row *row, const struct facts *facts)
{
    const void *in_health = (const char *)facts->health + row->place;
    const void *in_process = (const char *)&facts->process + row->place;

    add_head(out, row->name, row->type, row->help);
    switch (row->source) {
    case ROW_COUNTER:
        add_u64(out, row->name, facts->metrics->counters[row->place]);
        break;
    case ROW_BOOL:
        add_u64(out, row->name, *(const bool *)in_health);
        break;
    case ROW_U64:
        add_u64(out, row->name, *(const uint64_t *)in_health);
        break;
    case ROW_I64:
        text_add(out, "%s %" PRId64 "\n", row->name, *(const int64_t *)in_health);
        break;
    case ROW_PROCESS_U64:
        add_u64(out, row->name, *(const uint64_t *)in_process);
        break;
    case ROW_PROCESS_DOUBLE:
        add_double(out, row->name, *(const double *)in_process);
        break;
    case ROW_IS_LEADER:
        add_u64(out, row->name, facts->health->log.role == RAFTLOG_LEADER);
        break;
    case ROW_FSYNC_MAX:
        add_double(out, row->name,
                   (double)facts->health->log.fsync_max_ns / NS_PER_SECOND);
        break;
    case ROW_TIME_MAX:
        add_double(out, row->name,
                   (double)facts->metrics->times[row->place].max_ns / NS_PER_SECOND);
        break;
    }
}

/* ---- histograms ---- */

static const struct {
    const char *name;
    const char *help;
} histograms[METRIC_NTIMES] = {
    [METRIC_TIME_FSYNC] = {"etcd_disk_wal_fsync_duration_seconds",
                           "Durations of fsync of the log."},
    [METRIC_TIME_COMMIT] = {"etcd_disk_backend_commit_duration_seconds",
                            "Durations of commits of the database."},
    [METRIC_TIME_TURN] = {"kvd_turn_duration_seconds", "Durations of turns of the loop."},
};

/* Upper bounds: 1 ms doubled with each bucket; the last one has none. */
static uint64_t bound_ns(size_t bucket)
{
    return UINT64_C(1000000) << bucket;
}

static void add_histogram(struct buf *out, enum metric_time which,
                          const struct metric_histogram *histogram)
{
    const char *name = histograms[which].name;
    uint64_t n = 0;

    add_head(out, name, "histogram", histograms[which].help);
    for (size_t i = 0; i + 1 < METRIC_BUCKETS; i++) {
        n += histogram->buckets[i];
        text_add(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                 (double)bound_ns(i) / NS_PER_SECOND, n);
    }
    n += histogram->buckets[METRIC_BUCKETS - 1];
    text_add(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
    text_add(out, "%s_sum %.17g\n", name, (double)histogram->sum_ns / NS_PER_SECOND);
    text_add(out, "%s_count %" PRIu64 "\n", name, n);
}

/* ---- calls ---- */

#define RPC_SERVICE(service, descriptor) SERVICE_##service,
#define RPC_METHOD(service, method, kind, start, needs, flags)
enum service {
#include "node/rpc.def"
};
#undef RPC_SERVICE
#undef RPC_METHOD

#define RPC_SERVICE(service, descriptor) [SERVICE_##service] = &descriptor,
#define RPC_METHOD(service, method, kind, start, needs, flags)
static const ProtobufCServiceDescriptor *const services[] = {
#include "node/rpc.def"
};
#undef RPC_SERVICE
#undef RPC_METHOD

#define RPC_SERVICE(service, descriptor)
#define RPC_METHOD(service, method, kind, start, needs, flags)                           \
    [RPC_##service##_##method] = {SERVICE_##service, #method, METHOD_TYPE_##kind},
#define METHOD_TYPE_UNARY         "unary"
#define METHOD_TYPE_SERVER_STREAM "server_stream"
#define METHOD_TYPE_BIDI          "bidi_stream"
static const struct {
    enum service service;
    const char *name;
    const char *type;
} methods[RPC_NMETHODS] = {
#include "node/rpc.def"
};
#undef RPC_SERVICE
#undef RPC_METHOD

static void add_calls(struct buf *out, const struct metrics *m)
{
    static const char name[] = "grpc_server_handled_total";

    add_head(out, name, "counter", "Calls ended on this member, by method and code.");
    for (size_t i = 0; i < RPC_NMETHODS; i++) {
        for (size_t code = 0; code < GRPC_NCODES; code++) {
            if (code != GRPC_OK && m->handled[i][code] == 0) {
                continue;
            }
            text_add(out,
                     "%s{grpc_code=\"%s\",grpc_method=\"%s\",grpc_service=\"%s\","
                     "grpc_type=\"%s\"} %" PRIu64 "\n",
                     name, grpc_code_name((int)code), methods[i].name,
                     services[methods[i].service]->name, methods[i].type,
                     m->handled[i][code]);
        }
    }
}

/* ---- what runs out ---- */

static void add_expiries(struct buf *out, const struct metrics *m)
{
    static const char name[] = "kvd_tls_certificate_expiry_seconds";

    if (m->n_expiries == 0) {
        return;
    }
    add_head(out, name, "gauge",
             "When what a file of TLS holds expires, in seconds since 1970.");
    for (size_t i = 0; i < m->n_expiries; i++) {
        text_add(out, "%s{file=\"%s\"} %" PRId64 "\n", name, m->expiries[i].option,
                 m->expiries[i].at_s);
    }
}

/* ---- public ---- */

void metrics_time(struct metrics *m, enum metric_time which, uint64_t n, uint64_t ns)
{
    struct metric_histogram *histogram = &m->times[which];
    size_t bucket = 0;

    if (n == 0) {
        return;
    }
    while (bucket + 1 < METRIC_BUCKETS && ns / n > bound_ns(bucket)) {
        bucket++;
    }
    histogram->buckets[bucket] += n;
    histogram->sum_ns += ns;
    histogram->max_ns = ns / n > histogram->max_ns ? ns / n : histogram->max_ns;
}

void metrics_turn(struct metrics *m, uint64_t ns)
{
    metrics_add(m, METRIC_TURNS, 1);
    metrics_add(m, METRIC_LONG_TURNS, ns > METRIC_LONG_TURN_NS);
    metrics_time(m, METRIC_TIME_TURN, 1, ns);
}

void metrics_watch_log(struct metrics *m, const struct raftlog_status *status)
{
    metrics_time(m, METRIC_TIME_FSYNC, status->fsyncs - m->fsyncs_seen,
                 status->fsync_ns - m->fsync_ns_seen);
    m->fsyncs_seen = status->fsyncs;
    m->fsync_ns_seen = status->fsync_ns;
}

void metrics_handled(struct metrics *m, enum rpc_id method, int grpc_code)
{
    CHECK(method < RPC_NMETHODS);
    CHECK(grpc_code >= 0 && grpc_code < GRPC_NCODES);
    m->handled[method][grpc_code]++;
}

void metrics_render(const struct metrics *m, const struct health *health, struct buf *out)
{
    struct facts facts = {.metrics = m, .health = health};

    process_read(&facts.process);
    add_head(out, "etcd_server_version", "gauge", "Version of the API; 1 for the label.");
    text_add(out, "etcd_server_version{server_version=\"%s\"} 1\n", VERSION_API);
    add_head(out, "etcd_cluster_version", "gauge",
             "Version of the API that the cluster agreed on; 1 for the label.");
    text_add(out, "etcd_cluster_version{cluster_version=\"%s\"} 1\n",
             VERSION_API_CLUSTER);
    add_head(out, "etcd_server_id", "gauge", "Id of this member; 1 for the label.");
    text_add(out, "etcd_server_id{server_id=\"%" PRIx64 "\"} 1\n", health->member_id);
    add_head(out, "kvd_version", "gauge", "Version of kvd; 1 for the label.");
    text_add(out, "kvd_version{version=\"%s\"} 1\n", KVD_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        add_row(out, &rows[i], &facts);
    }
    for (size_t i = 0; i < METRIC_NTIMES; i++) {
        add_histogram(out, (enum metric_time)i, &m->times[i]);
    }
    add_calls(out, m);
    add_expiries(out, m);
}
