/* kvctl lease grant, revoke, timetolive, list and keep-alive: with etcdctl's outputs. Ids
 * are written in hexadecimal, as there. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/lib/socket.h"

struct lease_options {
    int64_t id;
    bool keys;
    bool once;
};

#define FIELD(name) offsetof(struct lease_options, name)

static int parse_id(const char *text, int64_t *id, struct err *err)
{
    static const struct option_spec spec = {.name = "ID", .type = OPTION_HEX};

    if (option_set(&spec, id, text, NULL, err) != 0) {
        return err_set(err, ERR_INVALID,
                       "\"%s\" is not the id of a lease: a hexadecimal number, as "
                       "kvctl lease list prints it",
                       text);
    }
    return 0;
}

/* ---- grant ---- */

/* Seconds as they are, also those that the server will not like; else a duration. */
static int parse_ttl(const char *text, int64_t *ttl_s, struct err *err)
{
    static const struct option_spec spec = {.name = "TTL", .type = OPTION_NUMBER};
    int64_t ms;

    if (option_set(&spec, ttl_s, text, NULL, NULL) == 0) {
        return 0;
    }
    if (duration_parse(text, &ms, err) != 0) {
        return err_prefix(err, ERR_INVALID, "TTL");
    }
    *ttl_s = (ms + 999) / 1000;
    return 0;
}

static enum exit_code run_grant(struct session *session, const void *values,
                                const char **args, size_t n_args, struct err *err)
{
    const struct lease_options *options = values;
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse *res;
    int rc;

    (void)n_args;
    if (parse_ttl(args[0], &request.ttl, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    request.id = options->id;
    rc = session_call(session, &client_lease_grant, &request.base, &res, err);
    if (rc == 0) {
        print_lease_grant(&session->printer, res);
    }
    return exit_code_of(rc);
}

static const struct option_spec grant_specs[] = {
    {"id", 0, OPTION_HEX, FIELD(id), "ID", "the id it shall have; default: any"},
};

const struct command command_lease_grant = {
    .name = "lease grant",
    .args = "TTL",
    .summary = "make a lease",
    .details = "A lease lives TTL seconds (or 90s, 10m, 2h) after it was granted or last "
               "kept alive.\nWhen it ends, the keys that were put with it (kvctl put "
               "--lease) are deleted, all at one\nrevision. The server has a minimum of "
               "a few seconds, and prints what it granted.\n"
               "\n"
               "Examples:\n"
               "  kvctl lease grant 30\n"
               "  kvctl put /services/web/7 10.0.0.7:80 --lease 694d5765fc71500b\n",
    .specs = grant_specs,
    .n_specs = ARRAY_LEN(grant_specs),
    .options_size = sizeof(struct lease_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_grant,
};

/* ---- revoke ---- */

static enum exit_code run_revoke(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    if (parse_id(args[0], &request.id, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    rc = session_call(session, &client_lease_revoke, &request.base, &res, err);
    if (rc == 0) {
        print_lease_revoke(&session->printer, request.id, res);
    }
    return exit_code_of(rc);
}

const struct command command_lease_revoke = {
    .name = "lease revoke",
    .args = "ID",
    .summary = "end a lease and delete its keys",
    .details =
        "The keys go at once, all at one revision. A lease that does not exist (any "
        "more) is a\nfailure, with exit code 1.\n",
    .options_size = sizeof(struct lease_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_revoke,
};

/* ---- timetolive ---- */

static enum exit_code run_timetolive(struct session *session, const void *values,
                                     const char **args, size_t n_args, struct err *err)
{
    const struct lease_options *options = values;
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse *res;
    int rc;

    (void)n_args;
    if (parse_id(args[0], &request.id, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    request.keys = options->keys;
    rc = session_call(session, &client_lease_time_to_live, &request.base, &res, err);
    if (rc == 0) {
        print_lease_ttl(&session->printer, res, options->keys);
    }
    return exit_code_of(rc);
}

static const struct option_spec timetolive_specs[] = {
    {"keys", 0, OPTION_FLAG, FIELD(keys), NULL, "also the keys that go with it"},
};

const struct command command_lease_timetolive = {
    .name = "lease timetolive",
    .args = "ID",
    .summary = "how long a lease still lives",
    .details =
        "A lease that does not exist (any more) is printed as expired; that is not "
        "a failure, as\nin etcdctl.\n",
    .specs = timetolive_specs,
    .n_specs = ARRAY_LEN(timetolive_specs),
    .options_size = sizeof(struct lease_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_timetolive,
};

/* ---- list ---- */

static enum exit_code run_list(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__LeaseLeasesRequest request = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesResponse *res;
    int rc = session_call(session, &client_lease_leases, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_leases(&session->printer, res);
    }
    return exit_code_of(rc);
}

const struct command command_lease_list = {
    .name = "lease list",
    .args = "",
    .summary = "the ids of all leases",
    .details = "In hexadecimal, as the other commands take them.\n",
    .options_size = sizeof(struct lease_options),
    .run = run_list,
};

/* ---- keep-alive ---- */

static void sleep_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* *ttl_s is what the lease lives from now; 0: it is gone. */
static int keep_alive(struct session *session, int64_t id, int64_t *ttl_s,
                      struct err *err)
{
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    Etcdserverpb__LeaseKeepAliveResponse *res;
    struct arena arena;
    int rc;

    arena_init(&arena, session->arena.max);
    request.id = id;
    rc = client_call(session_client(session), &client_lease_keep_alive, &request.base,
                     &arena, &res, err);
    if (rc == 0) {
        *ttl_s = res->ttl;
        if (res->ttl > 0) {
            print_lease_keep_alive(&session->printer, res);
            fflush(session->printer.out);
        }
    }
    arena_close(&arena);
    return rc;
}

/* Until the lease is gone. Contact may be lost for as long as the lease can live. */
static enum exit_code keep_alive_on(struct session *session, int64_t id, int64_t ttl_s,
                                    struct err *err)
{
    int64_t ends_ms = clock_ms() + ttl_s * 1000;

    while (ttl_s > 0) {
        int64_t asked_ms;
        int rc;

        sleep_ms(ttl_s * 1000 / 3);
        asked_ms = clock_ms();
        rc = keep_alive(session, id, &ttl_s, err);
        if (rc == 0) {
            ends_ms = asked_ms + ttl_s * 1000;
        } else if (clock_ms() >= ends_ms) {
            return exit_code_of(rc);
        }
    }
    if (session->printer.format == PRINT_SIMPLE) {
        fprintf(session->printer.out, "lease %016" PRIx64 " expired or revoked.\n",
                (uint64_t)id);
    }
    return command_fail(err, EXIT_CONDITION, "lease %" PRIx64 " does not exist any more",
                        (uint64_t)id);
}

static enum exit_code run_keep_alive(struct session *session, const void *values,
                                     const char **args, size_t n_args, struct err *err)
{
    const struct lease_options *options = values;
    int64_t id, ttl_s;
    int rc;

    (void)n_args;
    if (parse_id(args[0], &id, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    rc = keep_alive(session, id, &ttl_s, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    if (ttl_s <= 0) {
        return command_fail(err, EXIT_CONDITION, "there is no lease %" PRIx64,
                            (uint64_t)id);
    }
    return options->once ? EXIT_OK : keep_alive_on(session, id, ttl_s, err);
}

static const struct option_spec keep_alive_specs[] = {
    {"once", 0, OPTION_FLAG, FIELD(once), NULL, "renew it once and return"},
};

const struct command command_lease_keep_alive = {
    .name = "lease keep-alive",
    .args = "ID",
    .summary = "renew a lease again and again",
    .details = "Renews the lease every third of its time until it is interrupted or the "
               "lease is gone\n(exit code 4). Lost contact is tried again for as long as "
               "the lease can still live.\n",
    .specs = keep_alive_specs,
    .n_specs = ARRAY_LEN(keep_alive_specs),
    .options_size = sizeof(struct lease_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_keep_alive,
};
