/* kvctl auth: the switch, and a way to try a grant before somebody relies on it. */
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/coverage.h"
#include "cli/print_auth.h"
#include "cli/requests.h"

/* ---- on and off ---- */

static enum exit_code run_enable(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthEnableRequest request = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    Etcdserverpb__AuthEnableResponse *res;
    int rc = session_call(session, &client_auth_enable, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Authentication Enabled");
    }
    return exit_code_of(rc);
}

const struct command command_auth_enable = {
    .name = "auth enable",
    .args = "",
    .summary = "from now on everybody must say who they are",
    .details = "A user root with the role root must be there first:\n"
               "\n"
               "  kvctl user add root\n"
               "  kvctl user grant-role root root\n"
               "  kvctl auth enable\n",
    .run = run_enable,
};

static enum exit_code run_disable(struct session *session, const void *values,
                                  const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthDisableRequest request = ETCDSERVERPB__AUTH_DISABLE_REQUEST__INIT;
    Etcdserverpb__AuthDisableResponse *res;
    int rc = session_call(session, &client_auth_disable, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Authentication Disabled");
    }
    return exit_code_of(rc);
}

const struct command command_auth_disable = {
    .name = "auth disable",
    .args = "",
    .summary = "from now on everybody may do everything",
    .details = "Users and roles stay; all tokens are void.\n"
               "\n"
               "Example:\n"
               "  kvctl --user root auth disable\n",
    .run = run_disable,
};

static enum exit_code run_status(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthStatusRequest request = ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;
    Etcdserverpb__AuthStatusResponse *res;
    int rc = session_call(session, &client_auth_status, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_auth_status(&session->printer, res);
    }
    return exit_code_of(rc);
}

const struct command command_auth_status = {
    .name = "auth status",
    .args = "",
    .summary = "show whether it is on, and how often users and roles were changed",
    .details = "Example:\n"
               "  kvctl auth status\n",
    .run = run_status,
};

/* ---- check ---- */

struct check_options {
    bool prefix;
    bool from_key;
};

#define FIELD(name) offsetof(struct check_options, name)

/* The permissions of all roles of a user; *is_root: it has the role root. */
static int gather(struct session *session, const char *user, struct coverage *coverage,
                  bool *is_root, struct err *err)
{
    Etcdserverpb__AuthUserGetRequest who = ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    Etcdserverpb__AuthUserGetResponse *found;
    int rc;

    who.name = (char *)user;
    rc = session_call(session, &client_user_get, &who.base, &found, err);
    for (size_t i = 0; rc == 0 && i < found->n_roles && !*is_root; i++) {
        Etcdserverpb__AuthRoleGetRequest what = ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
        Etcdserverpb__AuthRoleGetResponse *role;

        *is_root = strcmp(found->roles[i], "root") == 0;
        what.role = found->roles[i];
        if (!*is_root) {
            rc = session_call(session, &client_role_get, &what.base, &role, err);
        }
        for (size_t k = 0; rc == 0 && !*is_root && k < role->n_perm; k++) {
            coverage_add(coverage, &session->arena, found->roles[i], role->perm[k]);
        }
    }
    return rc;
}

static void print_grants(FILE *out, const struct coverage *coverage)
{
    for (size_t i = 0; i < coverage->n; i++) {
        if (coverage->grants[i].used) {
            fprintf(out, "  by role %s: ", coverage->grants[i].role);
            print_auth_range(out, coverage->grants[i].permission->key,
                             coverage->grants[i].permission->range_end);
            fputc('\n', out);
        }
    }
}

static bool parse_verb(const char *verb, Authpb__Permission__Type *out)
{
    static const char *const reads[] = {"get", "watch", "read"};
    static const char *const writes[] = {"put", "del", "write"};

    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        if (strcmp(verb, reads[i]) == 0 || strcmp(verb, writes[i]) == 0) {
            *out = strcmp(verb, reads[i]) == 0 ? AUTHPB__PERMISSION__TYPE__READ
                                               : AUTHPB__PERMISSION__TYPE__WRITE;
            return true;
        }
    }
    return false;
}

static enum exit_code run_check(struct session *session, const void *values,
                                const char **args, size_t n_args, struct err *err)
{
    const struct check_options *options = values;
    struct coverage coverage = {0};
    FILE *out = session->printer.out;
    Authpb__Permission__Type type;
    struct key_range range;
    bool is_root = false;
    bool may;
    int rc;

    if (!parse_verb(args[1], &type)) {
        return command_fail(err, EXIT_ARGUMENTS, "\"%s\" is not get, watch, put or del",
                            args[1]);
    }
    if (key_range_parse(slices_of_args(&session->arena, args + 2, n_args - 2), n_args - 2,
                        options->prefix, options->from_key, &session->arena, &range,
                        err) != 0) {
        return EXIT_ARGUMENTS;
    }
    rc = gather(session, args[0], &coverage, &is_root, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    may = is_root || coverage_holds(&coverage, type, &range);
    fprintf(out, "%s %s %s ", args[0], may ? "may" : "may not", args[1]);
    print_auth_range(out, range.key, range.range_end);
    fputc('\n', out);
    if (is_root) {
        fputs("  by role root, which permits everything\n", out);
    } else if (may) {
        print_grants(out, &coverage);
    }
    return may ? EXIT_OK : EXIT_CONDITION;
}

static const struct option_spec check_specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, "all keys that begin with KEY"},
    {"from-key", 0, OPTION_FLAG, FIELD(from_key), NULL, "KEY and all keys behind it"},
};

const struct command command_auth_check = {
    .name = "auth check",
    .args = "USER get|watch|put|del KEY [RANGE_END]",
    .summary = "say whether a user may do this, and by which roles",
    .details = "Looks at the roles of the user and does nothing else. The exit code is 4 "
               "when the user may not.\n"
               "\n"
               "Examples:\n"
               "  kvctl auth check alice get /app/x\n"
               "  kvctl auth check alice put /app/ --prefix\n",
    .specs = check_specs,
    .n_specs = ARRAY_LEN(check_specs),
    .options_size = sizeof(struct check_options),
    .args_min = 3,
    .args_max = 4,
    .run = run_check,
};
