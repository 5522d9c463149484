#include "node/rpc.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "health.pb-c.h"
#include "lock.pb-c.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

/* ---- the tables ---- */

static const struct rpc_method methods[RPC_NMETHODS] = {
#define RPC_SERVICE(service, descriptor)
#define RPC_METHOD(service, method, kind, start, needs, flags)                           \
    [RPC_##service##_##                                                                  \
        method] = {#service, #method, RPC_##kind, RPC_NEEDS_##needs, flags, start},
#include "node/rpc.def"
#undef RPC_METHOD
#undef RPC_SERVICE
};

/* Methods of services, counted in order of rpc.def: a service's rows begin where the
 * place of its own marker, less the markers before it, says. */
enum place {
#define RPC_SERVICE(service, descriptor)                       PLACE_##service,
#define RPC_METHOD(service, method, kind, start, needs, flags) PLACE_##service##_##method,
#include "node/rpc.def"
#undef RPC_METHOD
#undef RPC_SERVICE
};

enum service_id {
#define RPC_SERVICE(service, descriptor) SERVICE_##service,
#define RPC_METHOD(service, method, kind, start, needs, flags)
#include "node/rpc.def"
#undef RPC_METHOD
#undef RPC_SERVICE
    NSERVICES,
};

static const struct {
    const ProtobufCServiceDescriptor *type;
    unsigned first; /* row of its first method */
} services[NSERVICES] = {
#define RPC_SERVICE(service, descriptor)                                                 \
    {&descriptor, (unsigned)PLACE_##service - (unsigned)SERVICE_##service},
#define RPC_METHOD(service, method, kind, start, needs, flags)
#include "node/rpc.def"
#undef RPC_METHOD
#undef RPC_SERVICE
};

const struct rpc_method *rpc_get(enum rpc_id id)
{
    CHECK(id < RPC_NMETHODS);
    return &methods[id];
}

static size_t service_of(enum rpc_id id)
{
    size_t i = NSERVICES - 1;

    CHECK(id < RPC_NMETHODS);
    while (services[i].first > id) {
        i--;
    }
    return i;
}

const char *rpc_service_name(enum rpc_id id)
{
    return services[service_of(id)].type->name;
}

static const ProtobufCMethodDescriptor *descriptor_of(enum rpc_id id)
{
    size_t i = service_of(id);

    return &services[i].type->methods[id - services[i].first];
}

const ProtobufCMessageDescriptor *rpc_request_type(enum rpc_id id)
{
    return descriptor_of(id)->input;
}

const ProtobufCMessageDescriptor *rpc_reply_type(enum rpc_id id)
{
    return descriptor_of(id)->output;
}

void rpc_unknown_method(enum rpc_id id, char *text, size_t text_size)
{
    snprintf(text, text_size, "unknown method %s for service %s", rpc_get(id)->name,
             rpc_service_name(id));
}

enum rpc_id rpc_find(const char *path, char *text, size_t text_size)
{
    const char *slash = strrchr(path, '/');
    size_t len;

    if (path[0] != '/' || slash == path) {
        snprintf(text, text_size, "malformed method name: \"%s\"", path);
        return RPC_NMETHODS;
    }
    len = (size_t)(slash - path) - 1;
    for (size_t i = 0; i < NSERVICES; i++) {
        const ProtobufCServiceDescriptor *type = services[i].type;
        const ProtobufCMethodDescriptor *method;

        if (strncmp(type->name, path + 1, len) != 0 || type->name[len] != '\0') {
            continue;
        }
        method = protobuf_c_service_descriptor_get_method_by_name(type, slash + 1);
        if (method != NULL) {
            return services[i].first + (unsigned)(method - type->methods);
        }
        snprintf(text, text_size, "unknown method %s for service %s", slash + 1,
                 type->name);
        return RPC_NMETHODS;
    }
    snprintf(text, text_size, "unknown service %.*s", (int)len, path + 1);
    return RPC_NMETHODS;
}

/* ---- the pipeline ---- */

void rpc_start(struct call *call)
{
    const struct rpc_method *method = rpc_get(call->method);
    struct node *node = call->node;

    if ((method->flags & RPC_STATELESS) == 0 && !node->served) {
        call_fail(call, API_NO_STATE);
    } else if (call->has_leader && node->status.leader == 0) {
        call_fail(call, API_NO_LEADER);
    } else if ((method->flags & RPC_DATA) != 0 && diverge_stops(&node->diverge)) {
        call_fail(call, API_CORRUPT);
    } else {
        admit(call);
    }
}

/* Every reply with a header has it as field 1. */
static Etcdserverpb__ResponseHeader **header_of(ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(reply->descriptor, 1);

    CHECK(field != NULL);
    CHECK(field->descriptor == &etcdserverpb__response_header__descriptor);
    return (Etcdserverpb__ResponseHeader **)((char *)reply + field->offset);
}

void rpc_fill_header(struct call *call, ProtobufCMessage *reply)
{
    unsigned flags = rpc_get(call->method)->flags;
    struct node *node = call->node;
    Etcdserverpb__ResponseHeader **header;

    if ((flags & RPC_NO_HEADER) != 0) {
        return;
    }
    header = header_of(reply);
    if (*header == NULL) {
        *header = arena_alloc(&call->arena, sizeof(**header));
        etcdserverpb__response_header__init(*header);
    }
    (*header)->cluster_id = node->members.cluster_id;
    (*header)->member_id = node->members.self;
    (*header)->raft_term = node->status.term;
    if ((*header)->revision == 0 && (flags & RPC_NO_REVISION) == 0) {
        (*header)->revision = kv_revision(node->kv);
    }
}
