/* gRPC's standard health service. Only the service "" is known: the member as a whole. */
#include "base/check.h"
#include "health.pb-c.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"

#define SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN                                                                  \
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

static bool is_known(const struct call *call)
{
    const Grpc__Health__V1__HealthCheckRequest *req =
        (const Grpc__Health__V1__HealthCheckRequest *)call->request;

    return req->service[0] == '\0';
}

static Grpc__Health__V1__HealthCheckResponse condition(const struct node *node)
{
    Grpc__Health__V1__HealthCheckResponse reply =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    reply.status = node->served && !diverge_stops(&node->diverge) ? SERVING : NOT_SERVING;
    return reply;
}

void rpc_health_check(struct call *call)
{
    Grpc__Health__V1__HealthCheckResponse reply = condition(call->node);

    if (is_known(call)) {
        call_reply(call, &reply.base);
    } else {
        call_fail_text(call, GRPC_NOT_FOUND, "unknown service");
    }
}

/* The stream stays open until the client leaves or the member stops. */
void rpc_health_watch(struct call *call)
{
    Grpc__Health__V1__HealthCheckResponse reply = condition(call->node);

    if (!is_known(call)) {
        reply.status = SERVICE_UNKNOWN;
    }
    call_send(call, &reply.base);
}
