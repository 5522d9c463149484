/* A client of a cluster: calls by method, over whichever endpoint answers. Never prints
 * and never exits. Any thread may call, several at once; they share one connection.
 *
 * When an endpoint cannot be reached, the next one is tried. A call that a server could
 * not serve just now (status Unavailable) is tried again elsewhere until its time is over
 * if it may be repeated; a write is tried again only when it surely was not taken.
 * Otherwise its outcome is ERR_UNKNOWN, and the message says so. */
#ifndef KVD_LIB_CLIENT_H
#define KVD_LIB_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/io.h"
#include "cli/lib/tls.h"

struct client;

/* A method of the API. */
struct client_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    const char *name; /* "Range": for messages */
    const ProtobufCMessageDescriptor *reply;
    bool repeatable; /* doing it twice does no harm */
};

extern const struct client_method client_range;
extern const struct client_method client_put;
extern const struct client_method client_delete_range;
extern const struct client_method client_txn;
extern const struct client_method client_compact;
extern const struct client_method client_status;
extern const struct client_method client_alarm_list; /* Alarm, asked with action GET */
extern const struct client_method client_member_list;
extern const struct client_method client_auth_enable;
extern const struct client_method client_auth_disable;
extern const struct client_method client_auth_status;
extern const struct client_method client_user_add;
extern const struct client_method client_user_get;
extern const struct client_method client_user_list;
extern const struct client_method client_user_delete;
extern const struct client_method client_user_change_password;
extern const struct client_method client_user_grant_role;
extern const struct client_method client_user_revoke_role;
extern const struct client_method client_role_add;
extern const struct client_method client_role_get;
extern const struct client_method client_role_list;
extern const struct client_method client_role_delete;
extern const struct client_method client_role_grant_permission;
extern const struct client_method client_role_revoke_permission;
extern const struct client_method client_lease_grant; /* with a given ID it is a write */
extern const struct client_method client_lease_revoke;
extern const struct client_method client_lease_keep_alive; /* with a single request */
extern const struct client_method client_lease_time_to_live;
extern const struct client_method client_lease_leases;
extern const struct client_method client_lock_acquire; /* kvd.v1.Lock */
extern const struct client_method client_lock_release;
extern const struct client_method client_lock_list;
extern const struct client_method client_lock_inspect;
extern const struct client_method client_lock_force_release;
extern const struct client_method client_campaign;
extern const struct client_method client_proclaim;
extern const struct client_method client_leader;
extern const struct client_method client_resign;

struct client_options {
    const struct endpoint *endpoints; /* copied */
    size_t n_endpoints;
    struct tls_options tls;         /* used while it opens */
    struct credentials credentials; /* copied; shown at the beginning of each link */
    int64_t dial_timeout_ms;        /* per endpoint */
    int64_t command_timeout_ms;     /* per call, dialing included */
    int64_t ping_ms;                /* silence that is suspicious; 0: 5000 */
    void (*trace)(void *owner, const char *line); /* each step, for people; may be NULL */
    void *trace_owner;
};

/* ERR_IO: no thread or descriptor is to be had. ERR_INVALID: a file of TLS cannot be
 * used. */
int client_open(const struct client_options *options, struct client **out,
                struct err *err);

/* No call may be under way, nothing may be open. */
void client_close(struct client *client);

/* A call in all its detail; most need only client_call. */
struct client_request {
    const struct client_method *method;
    const ProtobufCMessage *message;
    int64_t timeout_ms;          /* 0: the client's; -1: none */
    bool patient;                /* the answer may take long: silence is not suspicious */
    const atomic_bool *canceled; /* or NULL; set before client_cancel, so that a call that
                                  * has not begun is caught, too */

    int grpc_code;           /* out: after ERR_REFUSED */
    char text[ERR_TEXT_MAX]; /* out: the server's message alone */
    int64_t sent_ms;         /* out: when the last try began */
    int tries;               /* out */
    struct call *call;       /* private */
};

/* Calls, and decodes the reply into the arena; reply is the address of a pointer to the
 * method's reply type. Errors: ERR_NETWORK and ERR_TIMEOUT (nothing was changed),
 * ERR_REFUSED (a server said no), ERR_UNKNOWN (a write that may have been applied),
 * ERR_TOO_BIG, ERR_CORRUPT (a reply that makes no sense), ERR_CANCELED. */
int client_ask(struct client *client, struct client_request *request, struct arena *arena,
               void *reply, struct err *err);
int client_call(struct client *client, const struct client_method *method,
                const ProtobufCMessage *message, struct arena *arena, void *reply,
                struct err *err);

/* Ends a call that another thread waits for, with ERR_CANCELED. The request's memory must
 * be there, whether or not its call is still under way. */
void client_cancel(struct client *client, struct client_request *request);

/* After ERR_REFUSED in this thread: the status code of gRPC. */
int client_status_code(const struct client *client);

/* The endpoint in use, or to be tried next. */
const struct endpoint *client_endpoint(const struct client *client);
const struct client_options *client_options_of(const struct client *client);
struct io *client_io(const struct client *client);

#endif
