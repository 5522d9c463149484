/* The methods of the gRPC API: a row each (rpc.def), found by the path of a call. */
#ifndef KVD_NODE_RPC_H
#define KVD_NODE_RPC_H

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct call;

enum rpc_id {
#define RPC_SERVICE(service, descriptor)
#define RPC_METHOD(service, method, kind, start, needs, flags) RPC_##service##_##method,
#include "node/rpc.def"
#undef RPC_METHOD
#undef RPC_SERVICE
    RPC_NMETHODS,
};

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

/* What a caller needs while auth is on. All but the first begin with a user. */
enum rpc_need {
    RPC_NEEDS_NOTHING = 1, /* no row may leave it out */
    RPC_NEEDS_LOGIN,
    RPC_NEEDS_READ,  /* of what the request names: admit.h, asked before the reply */
    RPC_NEEDS_WRITE, /* the same, asked where the command is applied */
    RPC_NEEDS_SELF,  /* the user or a role of the user; or ADMIN */
    RPC_NEEDS_ADMIN, /* the role root */
    RPC_NEEDS_EACH,  /* the handler asks for each message */
};

enum rpc_flag {
    RPC_DATA = 1 << 0,        /* reads or writes replicated data: refused when diverged */
    RPC_NO_REVISION = 1 << 1, /* the reply's header carries no revision */
    RPC_NO_HEADER = 1 << 2,   /* the reply has no header */
    RPC_FENCED = 1 << 3,      /* takes a fence from the metadata */
    RPC_STATELESS = 1 << 4,   /* answered also before the member has a state */
    RPC_URGENT = 1 << 5,      /* eases the load, keeps a promise or shows the health: the
                               * rate limit refuses it last */
};

struct rpc_method {
    const char *service; /* "KV" */
    const char *name;    /* "Range" */
    enum rpc_kind kind;
    enum rpc_need needs;
    unsigned flags;
    /* Begins a call whose request was decoded; ends it now or later by call_reply or
     * call_fail. NULL: this version does not have it. */
    void (*start)(struct call *call);
};

/* The row of a method; CHECKs the id. */
const struct rpc_method *rpc_get(enum rpc_id id);

/* "etcdserverpb.KV", as in paths and metrics. */
const char *rpc_service_name(enum rpc_id id);

/* Finds the method of "/package.Service/Method"; RPC_NMETHODS for an unknown one, with
 * gRPC's sentence about what is unknown in text (text_size bytes). */
enum rpc_id rpc_find(const char *path, char *text, size_t text_size);

/* gRPC's sentence for a method that this version does not have. */
void rpc_unknown_method(enum rpc_id id, char *text, size_t text_size);

/* Types of a method's request and reply. */
const ProtobufCMessageDescriptor *rpc_request_type(enum rpc_id id);
const ProtobufCMessageDescriptor *rpc_reply_type(enum rpc_id id);

/* The one pipeline: checks that hold for every method, then who calls, then its start. */
void rpc_start(struct call *call);

/* Cluster, member, term and, where it is still 0, the revision of a reply. */
void rpc_fill_header(struct call *call, ProtobufCMessage *reply);

#endif
