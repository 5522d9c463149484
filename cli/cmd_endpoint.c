/* kvctl endpoint status and health: every endpoint is asked on its own connection, none
 * stands in for another. With --cluster the endpoints are those that the members publish.
 *
 * An endpoint that fails is reported on stderr (status) or in its row (health); the
 * others are still printed, and the exit code tells. */
#include <time.h>

#include "api/status.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/requests.h"

struct endpoint_options {
    bool cluster;
};

static const struct option_spec specs[] = {
    {"cluster", 0, OPTION_FLAG, offsetof(struct endpoint_options, cluster), NULL,
     "ask all members of the cluster"},
};

struct endpoints {
    struct endpoint *list;
    size_t n;
};

/* The client addresses of all members, or those of --endpoints. */
static int choose_endpoints(struct session *session,
                            const struct endpoint_options *options, struct endpoints *out,
                            struct err *err)
{
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse *res;
    int rc;

    *out = (struct endpoints){session->endpoints, session->n_endpoints};
    if (!options->cluster) {
        return 0;
    }
    rc = session_call(session, &client_member_list, &request.base, &res, err);
    if (rc != 0) {
        return rc;
    }
    *out = (struct endpoints){
        .list = arena_alloc(&session->arena, LIMIT_ENDPOINTS * sizeof(struct endpoint))};
    for (size_t m = 0; m < res->n_members; m++) {
        for (size_t u = 0; u < res->members[m]->n_clienturls; u++) {
            if (out->n == LIMIT_ENDPOINTS) {
                return err_set(err, ERR_TOO_BIG, "the members publish more than %d URLs",
                               LIMIT_ENDPOINTS);
            }
            rc =
                endpoint_parse(res->members[m]->clienturls[u], &out->list[out->n++], err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return out->n > 0 ? 0
                      : err_set(err, ERR_NOT_FOUND,
                                "no member publishes a client URL; leave --cluster out");
}

/* ---- status ---- */

static enum exit_code run_status(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    struct endpoint_status *list;
    struct endpoints endpoints;
    size_t n = 0;
    int failed = 0;
    int rc = choose_endpoints(session, values, &endpoints, err);

    (void)args;
    (void)n_args;
    if (rc != 0) {
        return exit_code_of(rc);
    }
    list = arena_alloc(&session->arena, endpoints.n * sizeof(*list));
    for (size_t i = 0; i < endpoints.n; i++) {
        struct client *client = session_client_of(session, &endpoints.list[i], 1);
        const Etcdserverpb__StatusResponse *res;

        rc = client_call(client, &client_status, &request.base, &session->arena, &res,
                         err);
        if (rc == 0) {
            list[n++] = (struct endpoint_status){endpoints.list[i].text, res};
        } else {
            fprintf(stderr, "Failed to get the status of endpoint %s (%s)\n",
                    endpoints.list[i].text, err->text);
            failed = rc;
        }
        client_close(client);
    }
    print_statuses(&session->printer, list, n);
    if (failed != 0) {
        return command_fail(err, exit_code_of(failed), "%zu of %zu endpoints failed",
                            endpoints.n - n, endpoints.n);
    }
    return EXIT_OK;
}

const struct command command_endpoint_status = {
    .name = "endpoint status",
    .args = "",
    .summary = "print the state of each endpoint",
    .details = "The simple format prints endpoint, ID, version, db size, is leader, is "
               "learner, raft\nterm, raft index, raft applied index, errors.\n"
               "\n"
               "Example:\n"
               "  kvctl endpoint status --cluster -w table\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct endpoint_options),
    .run = run_status,
};

/* ---- health ---- */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A linearizable read of any key needs a quorum; permission denied is an answer, too.
 * Then the alarms, of which none may be raised. */
static int check_health(struct session *session, struct client *client, struct err *err)
{
    Etcdserverpb__RangeRequest read = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarms = ETCDSERVERPB__ALARM_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *found;
    const Etcdserverpb__AlarmResponse *raised;
    int rc;

    read.key = binary_of(slice_str("health"));
    rc = client_call(client, &client_range, &read.base, &session->arena, &found, err);
    if (rc == ERR_REFUSED && client_status_code(client) == GRPC_PERMISSION_DENIED) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    rc = client_call(client, &client_alarm_list, &alarms.base, &session->arena, &raised,
                     err);
    if (rc == ERR_REFUSED && (client_status_code(client) == GRPC_PERMISSION_DENIED ||
                              client_status_code(client) == GRPC_UNIMPLEMENTED)) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (raised->n_alarms > 0) {
        return err_set(err, ERR_REFUSED, "active alarm: %s",
                       raised->alarms[0]->alarm == ETCDSERVERPB__ALARM_TYPE__NOSPACE
                           ? "NOSPACE"
                           : "CORRUPT");
    }
    return 0;
}

static enum exit_code run_health(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    struct endpoint_health *list;
    struct endpoints endpoints;
    size_t unhealthy = 0;
    int rc = choose_endpoints(session, values, &endpoints, err);

    (void)args;
    (void)n_args;
    if (rc != 0) {
        return exit_code_of(rc);
    }
    list = arena_alloc(&session->arena, endpoints.n * sizeof(*list));
    for (size_t i = 0; i < endpoints.n; i++) {
        struct client *client = session_client_of(session, &endpoints.list[i], 1);
        int64_t start_ns = now_ns();
        struct slice why;

        rc = check_health(session, client, err);
        why = rc != 0
                  ? arena_dup(&session->arena, slice_of(err->text, strlen(err->text) + 1))
                  : slice_of("", 1);
        list[i] = (struct endpoint_health){
            .endpoint = endpoints.list[i].text,
            .healthy = rc == 0,
            .took_ns = now_ns() - start_ns,
            .error = (const char *)why.ptr,
        };
        unhealthy += rc != 0;
        client_close(client);
    }
    print_healths(&session->printer, list, endpoints.n);
    if (unhealthy > 0) {
        return command_fail(err, EXIT_ERROR, "unhealthy cluster: %zu of %zu endpoints",
                            unhealthy, endpoints.n);
    }
    return EXIT_OK;
}

const struct command command_endpoint_health = {
    .name = "endpoint health",
    .args = "",
    .summary = "ask each endpoint whether it can serve",
    .details = "An endpoint is healthy when it answers a linearizable read and no alarm "
               "is raised.\nThe exit code is 1 when one is not.\n"
               "\n"
               "Example:\n"
               "  kvctl endpoint health --cluster\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct endpoint_options),
    .run = run_health,
};
