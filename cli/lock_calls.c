/* Methods of kvd.v1.Lock as rows. */
#include "cli/lock_calls.h"

#include "api/status.h"

#define METHOD(rpc, type, only_reads)                                                    \
    {                                                                                    \
        .path = "/kvd.v1.Lock/" rpc, .name = "Lock." rpc,                                \
        .reply = &kvd__v1__##type##__descriptor, .reads = (only_reads)                   \
    }

const struct client_method lock_list = METHOD("List", lock_list_response, true);
const struct client_method lock_inspect = METHOD("Inspect", lock_inspect_response, true);
const struct client_method lock_force_release =
    METHOD("ForceRelease", force_release_response, false);

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
