/* kvctl member list. */
#include "cli/command.h"

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    Etcdserverpb__MemberListRequest request = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse *res;
    int rc;

    (void)values;
    (void)args;
    (void)n_args;
    request.linearizable = true;
    rc = session_call(session, &client_member_list, &request.base, &res, err);
    if (rc == 0) {
        print_members(&session->printer, res);
    }
    return exit_code_of(rc);
}

const struct command command_member_list = {
    .name = "member list",
    .args = "",
    .summary = "list the members of the cluster",
    .details = "The simple format prints ID, status, name, peer addresses, client "
               "addresses, is learner.\n"
               "\n"
               "Example:\n"
               "  kvctl member list -w table\n",
    .run = run,
};
