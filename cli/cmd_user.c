/* kvctl user: with etcdctl's words and outputs. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/print_auth.h"
#include "cli/secret.h"

struct user_options {
    const char *new_password;
    bool interactive;
    bool no_password;
    bool detail;
};

#define FIELD(name) offsetof(struct user_options, name)

static const struct user_options defaults = {.interactive = true};

/* ---- add, delete ---- */

/* Where the password comes from: the option, NAME:PASSWORD, the terminal or stdin. */
static int new_password(struct session *session, const struct user_options *options,
                        const char *name, const char *given, const char **out,
                        struct err *err)
{
    if (options->new_password != NULL || given != NULL) {
        *out = options->new_password != NULL ? options->new_password : given;
    } else {
        int rc = options->interactive ? secret_ask_new(name, &session->arena, out, err)
                                      : secret_read(&session->arena, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return (*out)[0] != '\0' ? 0
                             : err_set(err, ERR_INVALID,
                                       "an empty password lets everybody in; see "
                                       "--no-password for users with certificates");
}

static enum exit_code run_add(struct session *session, const void *values,
                              const char **args, size_t n_args, struct err *err)
{
    const struct user_options *options = values;
    Etcdserverpb__AuthUserAddRequest request = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Authpb__UserAddOptions how = AUTHPB__USER_ADD_OPTIONS__INIT;
    Etcdserverpb__AuthUserAddResponse *res;
    const char *password = "";
    const char *given;
    const char *name;
    int rc = 0;

    (void)n_args;
    secret_split(args[0], &session->arena, &name, &given);
    if (!options->no_password) {
        rc = new_password(session, options, name, given, &password, err);
    } else if (given != NULL || options->new_password != NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "a password and --no-password contradict each other");
    }
    if (rc != 0) {
        return exit_code_of(rc);
    }
    how.no_password = options->no_password;
    request.name = (char *)name;
    request.password = (char *)password;
    request.options = &how;
    rc = session_call(session, &client_user_add, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "User %s created", name);
    }
    return exit_code_of(rc);
}

static const struct option_spec add_specs[] = {
    {"new-user-password", 0, OPTION_TEXT, FIELD(new_password), "TEXT",
     "the password, instead of asking for it; others can see it in ps"},
    {"interactive", 0, OPTION_FLAG, FIELD(interactive), NULL,
     "ask for the password on the terminal (default); =false: read it from stdin"},
    {"no-password", 0, OPTION_FLAG, FIELD(no_password), NULL,
     "the user comes with a certificate of this name, and has no password"},
};

const struct command command_user_add = {
    .name = "user add",
    .args = "NAME[:PASSWORD]",
    .summary = "make a user",
    .details = "The user may do nothing until a role is granted to it.\n"
               "\n"
               "Examples:\n"
               "  kvctl user add alice\n"
               "  kvctl user add ci --interactive=false <password.txt\n"
               "  kvctl user add web --no-password\n",
    .specs = add_specs,
    .n_specs = ARRAY_LEN(add_specs),
    .defaults = &defaults,
    .options_size = sizeof(struct user_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_add,
};

static enum exit_code run_delete(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthUserDeleteRequest request =
        ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT;
    Etcdserverpb__AuthUserDeleteResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.name = (char *)args[0];
    rc = session_call(session, &client_user_delete, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "User %s deleted", args[0]);
    }
    return exit_code_of(rc);
}

const struct command command_user_delete = {
    .name = "user delete",
    .args = "NAME",
    .summary = "delete a user; its tokens are void at once",
    .details = "Example:\n"
               "  kvctl user delete alice\n",
    .args_min = 1,
    .args_max = 1,
    .run = run_delete,
};

/* ---- get, list ---- */

static int print_roles(struct session *session,
                       const Etcdserverpb__AuthUserGetResponse *user, struct err *err)
{
    for (size_t i = 0; i < user->n_roles; i++) {
        Etcdserverpb__AuthRoleGetRequest request =
            ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
        Etcdserverpb__AuthRoleGetResponse *res;
        int rc;

        request.role = user->roles[i];
        rc = session_call(session, &client_role_get, &request.base, &res, err);
        if (rc != 0) {
            return rc;
        }
        print_auth_role(&session->printer, user->roles[i], res);
    }
    return 0;
}

static enum exit_code run_get(struct session *session, const void *values,
                              const char **args, size_t n_args, struct err *err)
{
    const struct user_options *options = values;
    Etcdserverpb__AuthUserGetRequest request = ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    Etcdserverpb__AuthUserGetResponse *res;
    int rc;

    (void)n_args;
    request.name = (char *)args[0];
    rc = session_call(session, &client_user_get, &request.base, &res, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    print_auth_user(&session->printer, args[0], res);
    return exit_code_of(options->detail ? print_roles(session, res, err) : 0);
}

static const struct option_spec get_specs[] = {
    {"detail", 0, OPTION_FLAG, FIELD(detail), NULL,
     "also what each of the roles permits"},
};

const struct command command_user_get = {
    .name = "user get",
    .args = "NAME",
    .summary = "show the roles of a user",
    .details = "Users may look at themselves.\n"
               "\n"
               "Example:\n"
               "  kvctl user get alice --detail\n",
    .specs = get_specs,
    .n_specs = ARRAY_LEN(get_specs),
    .options_size = sizeof(struct user_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_get,
};

static enum exit_code run_list(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthUserListRequest request =
        ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;
    Etcdserverpb__AuthUserListResponse *res;
    int rc = session_call(session, &client_user_list, &request.base, &res, err);

    (void)values;
    (void)args;
    (void)n_args;
    if (rc == 0) {
        print_auth_names(&session->printer, res->header, "users", res->users,
                         res->n_users);
    }
    return exit_code_of(rc);
}

const struct command command_user_list = {
    .name = "user list",
    .args = "",
    .summary = "list the users",
    .details = "Example:\n"
               "  kvctl user list\n",
    .run = run_list,
};

/* ---- passwd ---- */

static enum exit_code run_passwd(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthUserChangePasswordRequest request =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    Etcdserverpb__AuthUserChangePasswordResponse *res;
    const char *password;
    int rc = new_password(session, values, args[0], NULL, &password, err);

    (void)n_args;
    if (rc != 0) {
        return exit_code_of(rc);
    }
    request.name = (char *)args[0];
    request.password = (char *)password;
    rc = session_call(session, &client_user_change_password, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Password updated");
    }
    return exit_code_of(rc);
}

static const struct option_spec passwd_specs[] = {
    {"interactive", 0, OPTION_FLAG, FIELD(interactive), NULL,
     "ask for the password on the terminal (default); =false: read it from stdin"},
};

const struct command command_user_passwd = {
    .name = "user passwd",
    .args = "NAME",
    .summary = "change the password of a user; its tokens are void at once",
    .details = "Example:\n"
               "  kvctl user passwd alice\n",
    .specs = passwd_specs,
    .n_specs = ARRAY_LEN(passwd_specs),
    .defaults = &defaults,
    .options_size = sizeof(struct user_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_passwd,
};

/* ---- roles of a user ---- */

static enum exit_code run_grant(struct session *session, const void *values,
                                const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthUserGrantRoleRequest request =
        ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.user = (char *)args[0];
    request.role = (char *)args[1];
    rc = session_call(session, &client_user_grant_role, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Role %s is granted to user %s",
                        args[1], args[0]);
    }
    return exit_code_of(rc);
}

const struct command command_user_grant_role = {
    .name = "user grant-role",
    .args = "NAME ROLE",
    .summary = "give a role to a user",
    .details = "The role root permits everything; it need not be made first.\n"
               "\n"
               "Example:\n"
               "  kvctl user grant-role alice readers\n",
    .args_min = 2,
    .args_max = 2,
    .run = run_grant,
};

static enum exit_code run_revoke(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    Etcdserverpb__AuthUserRevokeRoleRequest request =
        ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;
    Etcdserverpb__AuthUserRevokeRoleResponse *res;
    int rc;

    (void)values;
    (void)n_args;
    request.name = (char *)args[0];
    request.role = (char *)args[1];
    rc = session_call(session, &client_user_revoke_role, &request.base, &res, err);
    if (rc == 0) {
        print_auth_done(&session->printer, res->header, "Role %s is revoked from user %s",
                        args[1], args[0]);
    }
    return exit_code_of(rc);
}

const struct command command_user_revoke_role = {
    .name = "user revoke-role",
    .args = "NAME ROLE",
    .summary = "take a role from a user",
    .details = "Example:\n"
               "  kvctl user revoke-role alice readers\n",
    .args_min = 2,
    .args_max = 2,
    .run = run_revoke,
};
