/* The Auth service of a store without users: it says that authentication is off, so that
 * clients which carry a password go on without a token. */
#include "node/calls.h"
#include "node/handlers.h"

void rpc_auth_status(struct call *call)
{
    Etcdserverpb__AuthStatusResponse reply = ETCDSERVERPB__AUTH_STATUS_RESPONSE__INIT;

    reply.authrevision = 1;
    call_reply(call, &reply.base);
}

void rpc_authenticate(struct call *call)
{
    call_fail(call, API_AUTH_NOT_ENABLED);
}
