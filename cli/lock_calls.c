/* What a server that is not kvd's is told apart by. */
#include "cli/lock_calls.h"

#include "api/status.h"

int lock_call_refused(struct session *session, const char *what, struct err *err)
{
    struct client *client = session_client(session);

    if (client_status_code(client) != GRPC_UNIMPLEMENTED) {
        return ERR_REFUSED;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: %s needs a kvd server; this one has no lock service of kvd",
                   client_endpoint(client)->text, what);
}
