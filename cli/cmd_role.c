/* kvctl role: with etcdctl's words and outputs. */
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/print_auth.h"
#include "cli/requests.h"

struct role_options {
    bool prefix;
    bool from_key;
};

#define FIELD(name) offsetof(struct role_options, name)

/* ---- add, delete ---- */

static enum exit_code run_add(struct session *session, const void *values,
                              const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleAddRequest request = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthRoleAddResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.name = (char *)args[0];
    rc = session_call(session, &client_role_add, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Role %s created", args[0]);
    }
    return exit_code_of(rc);
}

const struct command command_role_add = {
    .name = "role add",
    .args = "NAME",
    .summary = "make a role",
    .details = "It permits nothing until permissions are granted to it.\n"
               "\n"
               "Example:\n"
               "  kvctl role add readers\n",
    .args_min = 1,
    .args_max = 1,
    .run = run_add,
};

static enum exit_code run_delete(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleDeleteRequest request =
        ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT;
    Etcdserverpb__AuthRoleDeleteResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.role = (char *)args[0];
    rc = session_call(session, &client_role_delete, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Role %s deleted", args[0]);
    }
    return exit_code_of(rc);
}

const struct command command_role_delete = {
    .name = "role delete",
    .args = "NAME",
    .summary = "delete a role and take it from all users",
    .details = "Example:\n"
               "  kvctl role delete readers\n",
    .args_min = 1,
    .args_max = 1,
    .run = run_delete,
};

/* ---- get, list ---- */

static enum exit_code run_get(struct session *session, const void *values,
                              const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleGetRequest request = ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
    Etcdserverpb__AuthRoleGetResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.role = (char *)args[0];
    rc = session_call(session, &client_role_get, &request.base, &res, err);
    if (rc == 0) {
        print_auth_role(&session->printer, args[0], res);
    }
    return exit_code_of(rc);
}

const struct command command_role_get = {
    .name = "role get",
    .args = "NAME",
    .summary = "show what a role permits",
    .details = "Users may look at their own roles.\n"
               "\n"
               "Example:\n"
               "  kvctl role get readers\n",
    .args_min = 1,
    .args_max = 1,
    .run = run_get,
};

static enum exit_code run_list(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleListRequest request =
        ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;
    Etcdserverpb__AuthRoleListResponse *res;
    int rc = session_call(session, &client_role_list, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_auth_names(&session->printer, res->header, "roles", res->roles,
                         res->n_roles);
    }
    return exit_code_of(rc);
}

const struct command command_role_list = {
    .name = "role list",
    .args = "",
    .summary = "list the roles",
    .details = "Example:\n"
               "  kvctl role list\n",
    .run = run_list,
};

/* ---- permissions ---- */

static bool parse_type(const char *text, Authpb__Permission__Type *out)
{
    static const struct {
        const char *name;
        Authpb__Permission__Type type;
    } types[] = {
        {"read", AUTHPB__PERMISSION__TYPE__READ},
        {"write", AUTHPB__PERMISSION__TYPE__WRITE},
        {"readwrite", AUTHPB__PERMISSION__TYPE__READWRITE},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcasecmp(text, types[i].name) == 0) {
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

static int parse_range(struct session *session, const struct role_options *options,
                       const char **args, size_t n_args, struct key_range *out,
                       struct err *err)
{
    return key_range_parse(slices_of_args(&session->arena, args, n_args), n_args,
                           options->prefix, options->from_key, &session->arena, out, err);
}

static enum exit_code run_grant(struct session *session, const void *values,
                                const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    Etcdserverpb__AuthRoleGrantPermissionResponse *res;
    struct key_range range;
    int rc;

    if (!parse_type(args[1], &permission.permtype)) {
        return command_fail(err, EXIT_ARGUMENTS, "\"%s\" is not read, write or readwrite",
                            args[1]);
    }
    if (parse_range(session, values, args + 2, n_args - 2, &range, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    permission.key = range.key;
    permission.range_end = range.range_end;
    request.name = (char *)args[0];
    request.perm = &permission;
    rc = session_call(session, &client_role_grant_permission, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Role %s updated", args[0]);
    }
    return exit_code_of(rc);
}

static const struct option_spec range_specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, "all keys that begin with KEY"},
    {"from-key", 0, OPTION_FLAG, FIELD(from_key), NULL, "KEY and all keys behind it"},
};

const struct command command_role_grant_permission = {
    .name = "role grant-permission",
    .args = "ROLE read|write|readwrite KEY [RANGE_END]",
    .summary = "let a role read or write keys",
    .details = "A permission of the same keys is replaced.\n"
               "\n"
               "Examples:\n"
               "  kvctl role grant-permission readers read /app/ --prefix\n"
               "  kvctl role grant-permission deploy readwrite /app/version\n",
    .specs = range_specs,
    .n_specs = ARRAY_LEN(range_specs),
    .options_size = sizeof(struct role_options),
    .args_min = 3,
    .args_max = 4,
    .run = run_grant,
};

static void print_revoked(struct session *session, const char *role,
                          const struct key_range *range,
                          const Etcdserverpb__ResponseHeader *header)
{
    const ProtobufCBinaryData *key = &range->key;
    const ProtobufCBinaryData *end = &range->range_end;

    if (end->len == 0) {
        print_auth_done(&session->printer, header,
                        "Permission of key %.*s is revoked from role %s", (int)key->len,
                        (const char *)key->data, role);
    } else if (end->len == 1 && end->data[0] == 0) {
        print_auth_done(&session->printer, header,
                        "Permission of range [%.*s, <open ended> is revoked from role %s",
                        (int)key->len, (const char *)key->data, role);
    } else {
        print_auth_done(&session->printer, header,
                        "Permission of range [%.*s, %.*s) is revoked from role %s",
                        (int)key->len, (const char *)key->data, (int)end->len,
                        (const char *)end->data, role);
    }
}

static enum exit_code run_revoke(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    Etcdserverpb__AuthRoleRevokePermissionResponse *res;
    struct key_range range;
    int rc;

    if (parse_range(session, values, args + 1, n_args - 1, &range, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    request.role = (char *)args[0];
    request.key = range.key;
    request.range_end = range.range_end;
    rc = session_call(session, &client_role_revoke_permission, &request.base, &res, err);
    if (rc == 0) {
        print_revoked(session, args[0], &range, res->header);
    }
    return exit_code_of(rc);
}

const struct command command_role_revoke_permission = {
    .name = "role revoke-permission",
    .args = "ROLE KEY [RANGE_END]",
    .summary = "take a permission from a role",
    .details = "The keys must be those of the grant: a part of them is not taken.\n"
               "\n"
               "Example:\n"
               "  kvctl role revoke-permission readers /app/ --prefix\n",
    .specs = range_specs,
    .n_specs = ARRAY_LEN(range_specs),
    .options_size = sizeof(struct role_options),
    .args_min = 2,
    .args_max = 3,
    .run = run_revoke,
};
