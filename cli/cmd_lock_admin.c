/* kvctl lock list, show and release: what an operator sees of locks and does to them. */
#include <inttypes.h>
#include <string.h>

#include "api/status.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/input.h"
#include "cli/lock_calls.h"

struct admin_options {
    int64_t limit;
    int64_t token;
    const char *reason;
    bool yes;
};

#define FIELD(name) offsetof(struct admin_options, name)

static ProtobufCBinaryData binary_of_text(const char *text)
{
    return binary_of(slice_str(text));
}

/* session_call, with a sentence for servers that are not kvd. */
static int call(struct session *session, const struct client_method *method,
                const ProtobufCMessage *request, void *reply, struct err *err)
{
    int rc = session_call(session, method, request, reply, err);

    return rc == ERR_REFUSED ? lock_call_refused(session, "looking at locks", err) : rc;
}

/* ---- list ---- */

/* Adds the locks of a page to those before, which are part of the first page. */
static void append_page(struct session *session, Kvd__V1__LockListResponse *all,
                        const Kvd__V1__LockListResponse *page)
{
    size_t n = all->n_locks + page->n_locks;
    Kvd__V1__LockSummary **locks = arena_alloc(&session->arena, n * sizeof(*locks));

    memcpy(locks, all->locks, all->n_locks * sizeof(*locks));
    memcpy(locks + all->n_locks, page->locks, page->n_locks * sizeof(*locks));
    all->locks = locks;
    all->n_locks = n;
    all->more = page->more;
}

/* All pages, up to the limit. */
static int read_list(struct session *session, const char *prefix, int64_t limit,
                     Kvd__V1__LockListResponse **all, struct err *err)
{
    Kvd__V1__LockListRequest request = KVD__V1__LOCK_LIST_REQUEST__INIT;
    int rc;

    request.prefix = binary_of_text(prefix);
    request.limit = limit;
    rc = call(session, &client_lock_list, &request.base, all, err);
    while (rc == 0 && (*all)->more && (*all)->n_locks > 0 &&
           (limit == 0 || (int64_t)(*all)->n_locks < limit)) {
        Kvd__V1__LockListResponse *page;

        request.after = (*all)->locks[(*all)->n_locks - 1]->name;
        request.limit = limit > 0 ? limit - (int64_t)(*all)->n_locks : 0;
        rc = call(session, &client_lock_list, &request.base, &page, err);
        if (rc == 0) {
            append_page(session, *all, page);
        }
    }
    return rc;
}

static enum exit_code run_list(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    const struct admin_options *options = values;
    Kvd__V1__LockListResponse *res;
    int rc;

    if (options->limit < 0) {
        return command_fail(err, EXIT_ARGUMENTS, "--limit takes a number from 1 on");
    }
    rc = read_list(session, n_args > 0 ? args[0] : "", options->limit, &res, err);
    if (rc == 0) {
        print_locks(&session->printer, res);
    }
    return exit_code_of(rc);
}

static const struct option_spec list_specs[] = {
    {"limit", 0, OPTION_NUMBER, FIELD(limit), "N", "at most N locks"},
};

const struct command command_lock_list = {
    .name = "lock list",
    .args = "[PREFIX]",
    .summary = "locks and elections that are held or waited for",
    .details = "One line per lock whose name begins with PREFIX: its mode, how many hold "
               "it and wait for\nit, and the first holder. Locks of etcd's clients and "
               "candidates of elections are among\nthem. -w table gives columns, -w json "
               "all details.\n",
    .specs = list_specs,
    .n_specs = ARRAY_LEN(list_specs),
    .options_size = sizeof(struct admin_options),
    .args_max = 1,
    .run = run_list,
};

/* ---- show ---- */

static int inspect(struct session *session, const char *name,
                   Kvd__V1__LockInspectResponse **res, struct err *err)
{
    Kvd__V1__LockInspectRequest request = KVD__V1__LOCK_INSPECT_REQUEST__INIT;

    request.name = binary_of_text(name);
    return call(session, &client_lock_inspect, &request.base, res, err);
}

static enum exit_code run_show(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    Kvd__V1__LockInspectResponse *res;
    int rc = inspect(session, args[0], &res, err);

    (void)values;
    (void)n_args;
    if (rc == 0) {
        print_lock_line(&session->printer, args[0], res);
    }
    return exit_code_of(rc);
}

const struct command command_lock_show = {
    .name = "lock show",
    .args = "NAME",
    .summary = "who holds a lock and who waits for it",
    .details = "The line of the lock: those that hold it, then those that wait, in the "
               "order in which\nthey will get it, with mode, owner, host and process "
               "(as the client said), how long they\nare there, fencing token, lease and "
               "what is left of it; and the last forced release.\n",
    .options_size = sizeof(struct admin_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_show,
};

/* ---- release ---- */

static enum exit_code confirm(struct session *session, const char *name, int64_t token,
                              struct err *err)
{
    struct printer to_stderr = {.out = stderr, .format = PRINT_SIMPLE};
    Kvd__V1__LockInspectResponse *res;
    int rc = inspect(session, name, &res, err);

    if (rc != 0) {
        return exit_code_of(rc);
    }
    print_lock_line(&to_stderr, name, res);
    fprintf(stderr, "This takes the hold with token %" PRId64 " away.", token);
    if (!input_confirm(" Its owner may still be at work.")) {
        fputc('\n', stderr);
        return command_fail(err, EXIT_ARGUMENTS,
                            "the hold's owner may still be at work; say that you are "
                            "sure with --yes");
    }
    return EXIT_OK;
}

static enum exit_code run_release(struct session *session, const void *values,
                                  const char **args, size_t n_args, struct err *err)
{
    const struct admin_options *options = values;
    Kvd__V1__ForceReleaseRequest request = KVD__V1__FORCE_RELEASE_REQUEST__INIT;
    Kvd__V1__ForceReleaseResponse *res;
    int rc;

    (void)n_args;
    if (options->token <= 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say whose hold: --token N, as kvctl lock show %s prints it",
                            args[0]);
    }
    if (options->reason == NULL || *options->reason == '\0') {
        return command_fail(err, EXIT_ARGUMENTS,
                            "say why, for the record: --reason TEXT");
    }
    if (!options->yes) {
        enum exit_code code = confirm(session, args[0], options->token, err);

        if (code != EXIT_OK) {
            return code;
        }
    }
    request.name = binary_of_text(args[0]);
    request.token = options->token;
    request.reason = (char *)options->reason;
    rc = call(session, &client_lock_force_release, &request.base, &res, err);
    if (rc == 0) {
        fprintf(session->printer.out, "released %s, token %" PRId64 "\n", args[0],
                options->token);
    }
    if (rc == ERR_REFUSED &&
        client_status_code(session_client(session)) == GRPC_NOT_FOUND) {
        return EXIT_CONDITION;
    }
    return exit_code_of(rc);
}

static const struct option_spec release_specs[] = {
    {"token", 0, OPTION_NUMBER, FIELD(token), "N", "of the hold, as lock show prints it"},
    {"reason", 0, OPTION_TEXT, FIELD(reason), "TEXT", "for the record"},
    {"yes", 0, OPTION_FLAG, FIELD(yes), NULL, "do not ask"},
};

const struct command command_lock_release = {
    .name = "lock release",
    .args = "NAME --token N --reason TEXT",
    .summary = "take a lock away from its holder",
    .details =
        "For operators: ends the hold with this token, or takes a waiter out of the "
        "line. "
        "The\nnext in the line gets the lock at once, so make sure first that the owner "
        "is really gone:\na process that still works can only be kept from harm by "
        "fences (kvctl put --fence), as\nits token is old from now on. The owner's kvctl "
        "stops its command when it hears of it.\nWho did it, when and why is kept, see "
        "lock show.\n"
        "\n"
        "Example:\n"
        "  kvctl lock release deploy --token 4711 --reason 'build7 burnt down'\n",
    .specs = release_specs,
    .n_specs = ARRAY_LEN(release_specs),
    .options_size = sizeof(struct admin_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_release,
};
