/* The page of metrics. */
#include "node/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

static struct metrics metrics;
static struct health health;
static char *page;

static void close_all(void)
{
    free(page);
}

TestSuite(metrics, .fini = close_all);

static const char *render(void)
{
    struct buf out = BUF_INIT(MIB);

    metrics_render(&metrics, &health, &out);
    cr_assert_eq(buf_append(&out, "", 1), 0);
    free(page);
    page = mem_dup(buf_slice(&out).ptr, buf_len(&out));
    buf_close(&out);
    return page;
}

static bool has_line(const char *line)
{
    const char *at = strstr(render(), line);

    return at != NULL && (at == page || at[-1] == '\n') && at[strlen(line)] == '\n';
}

Test(metrics, counters_and_facts_have_their_rows)
{
    metrics_add(&metrics, METRIC_PUTS, 7);
    metrics_add(&metrics, METRIC_LEADER_CHANGES, 2);
    health = (struct health){
        .has_leader = true,
        .log = {.role = RAFTLOG_LEADER, .commit_index = 99, .fsync_max_ns = 1500000},
        .applied_index = 98,
        .kv = {.db_bytes = 4096,
               .db_bytes_in_use = 1024,
               .keys = 3,
               .leases = 4,
               .leases_granted = 5,
               .leases_revoked = 6,
               .leases_renewed = 7},
        .revision = 12,
        .compact_revision = -1,
        .member_id = 0xabc,
    };

    cr_assert(has_line("etcd_mvcc_put_total 7"));
    cr_assert(has_line("etcd_server_leader_changes_seen_total 2"));
    cr_assert(has_line("etcd_server_has_leader 1"));
    cr_assert(has_line("etcd_server_is_leader 1"));
    cr_assert(has_line("etcd_server_proposals_committed_total 99"));
    cr_assert(has_line("etcd_server_proposals_applied_total 98"));
    cr_assert(has_line("etcd_mvcc_db_total_size_in_bytes 4096"));
    cr_assert(has_line("etcd_mvcc_db_total_size_in_use_in_bytes 1024"));
    cr_assert(has_line("etcd_debugging_mvcc_keys_total 3"));
    cr_assert(has_line("kvd_leases 4"));
    cr_assert(has_line("etcd_debugging_lease_granted_total 5"));
    cr_assert(has_line("etcd_debugging_lease_revoked_total 6"));
    cr_assert(has_line("etcd_debugging_lease_renewed_total 7"));
    cr_assert(has_line("etcd_debugging_mvcc_compact_revision -1"));
    cr_assert(has_line("etcd_server_id{server_id=\"abc\"} 1"));
    cr_assert(has_line("# TYPE etcd_mvcc_put_total counter"));
    health.log.role = RAFTLOG_FOLLOWER;
    cr_assert(has_line("etcd_server_is_leader 0"));
}

Test(metrics, durations_fall_into_their_buckets)
{
    metrics_time(&metrics, METRIC_TIME_FSYNC, 1, 500000);       /* 0.5 ms */
    metrics_time(&metrics, METRIC_TIME_FSYNC, 2, 6000000);      /* 3 ms each */
    metrics_time(&metrics, METRIC_TIME_FSYNC, 1, 60000000000u); /* a minute */
    metrics_time(&metrics, METRIC_TIME_FSYNC, 0, 0);

    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 1"));
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 1"));
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 3"));
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 3"));
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 4"));
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_count 4"));
    cr_assert_eq(metrics.times[METRIC_TIME_FSYNC].sum_ns, 60006500000u);
}

Test(metrics, the_longest_turn_and_the_long_ones_are_told)
{
    metrics_turn(&metrics, 10000000);
    metrics_turn(&metrics, 12500000);
    metrics_turn(&metrics, 1000);

    cr_assert(has_line("kvd_turns_total 3"));
    cr_assert(has_line("kvd_long_turns_total 1"));
    cr_assert(has_line("kvd_turn_max_seconds 0.012500000000000001"));
}

Test(metrics, fsyncs_are_counted_from_the_logs_sums)
{
    struct raftlog_status status = {.fsyncs = 3, .fsync_ns = 9000000};

    metrics_watch_log(&metrics, &status);
    metrics_watch_log(&metrics, &status);
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_count 3"));
    status.fsyncs++;
    status.fsync_ns += 100;
    metrics_watch_log(&metrics, &status);
    cr_assert(has_line("etcd_disk_wal_fsync_duration_seconds_count 4"));
}

Test(metrics, calls_are_told_by_method_and_code)
{
    metrics_handled(&metrics, RPC_KV_Put, GRPC_OK);
    metrics_handled(&metrics, RPC_KV_Put, GRPC_UNAVAILABLE);
    metrics_handled(&metrics, RPC_Watch_Watch, GRPC_UNIMPLEMENTED);

    cr_assert(has_line("grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\","
                       "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1"));
    cr_assert(
        has_line("grpc_server_handled_total{grpc_code=\"Unavailable\",grpc_method="
                 "\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1"));
    cr_assert(has_line("grpc_server_handled_total{grpc_code=\"Unimplemented\","
                       "grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\","
                       "grpc_type=\"bidi_stream\"} 1"));
    cr_assert(has_line("grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Check\","
                       "grpc_service=\"grpc.health.v1.Health\",grpc_type=\"unary\"} 0"));
}

Test(metrics, process_facts_are_plausible)
{
    double value = 0;

    cr_assert_eq(sscanf(strstr(render(), "\nprocess_resident_memory_bytes") + 1,
                        "process_resident_memory_bytes %lf", &value),
                 1);
    cr_assert_gt(value, 1e6);
    cr_assert_eq(sscanf(strstr(page, "\nprocess_start_time_seconds") + 1,
                        "process_start_time_seconds %lf", &value),
                 1);
    cr_assert_gt(value, 1.7e9);
    cr_assert_eq(
        sscanf(strstr(page, "\nprocess_open_fds") + 1, "process_open_fds %lf", &value),
        1);
    cr_assert_gt(value, 2);
}

/* Each metric: HELP, TYPE, then its samples; every line of a known form; no name twice.
 */
Test(metrics, page_is_well_formed)
{
    char name[128] = "";
    char *rest;
    char *line;

    render();
    rest = page;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char helped[128];
        char *after;

        if (sscanf(line, "# HELP %127s", helped) == 1) {
            char *again = mem_printf("# HELP %s ", helped);

            cr_assert(rest == NULL || strstr(rest, again) == NULL, "%s twice", helped);
            free(again);
            snprintf(name, sizeof(name), "%s", helped);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            cr_assert_eq(strncmp(line + 7, name, strlen(name)), 0, "%s", line);
        } else if (line[0] != '\0') {
            cr_assert_eq(strncmp(line, name, strlen(name)), 0, "%s", line);
            after = strrchr(line, ' ');
            cr_assert_not_null(after);
            strtod(after + 1, &after);
            cr_assert_eq(*after, '\0', "%s", line);
        }
    }
}
