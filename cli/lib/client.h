/* A client of a cluster: calls by method, over whichever endpoint answers. Never prints
 * and never exits, so that programs other than kvctl can use it.
 *
 * When an endpoint cannot be reached, the next one is tried. A call that a server could
 * not serve just now (status Unavailable) is tried again elsewhere until the command
 * timeout if it only reads; a write is tried again only when it surely was not taken.
 * Otherwise its outcome is ERR_UNKNOWN, and the message says so. */
#ifndef KVD_LIB_CLIENT_H
#define KVD_LIB_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/lib/endpoint.h"

struct client;

/* A method of the API. */
struct client_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    const char *name; /* "Range": for messages */
    const ProtobufCMessageDescriptor *reply;
    bool reads; /* changes nothing: may be repeated */
};

extern const struct client_method client_range;
extern const struct client_method client_put;
extern const struct client_method client_delete_range;
extern const struct client_method client_txn;
extern const struct client_method client_compact;
extern const struct client_method client_status;
extern const struct client_method client_alarm_list; /* Alarm, asked with action GET */
extern const struct client_method client_member_list;

struct client_options {
    const struct endpoint *endpoints; /* copied */
    size_t n_endpoints;
    int64_t dial_timeout_ms;    /* per endpoint */
    int64_t command_timeout_ms; /* per call, without the time for dialing */
    void (*trace)(void *owner, const char *line); /* each step, for people; may be NULL */
    void *trace_owner;
};

struct client *client_open(const struct client_options *options);
void client_close(struct client *client);

/* Calls, and decodes the reply into the arena; reply is the address of a pointer to the
 * method's reply type. Errors: ERR_NETWORK and ERR_TIMEOUT
 * (nothing was changed), ERR_REFUSED (a server said no), ERR_UNKNOWN (a write that may
 * have been applied), ERR_TOO_BIG, ERR_CORRUPT (a reply that makes no sense). */
int client_call(struct client *client, const struct client_method *method,
                const ProtobufCMessage *request, struct arena *arena, void *reply,
                struct err *err);

/* After ERR_REFUSED: the status code of gRPC. */
int client_status_code(const struct client *client);

/* The endpoint in use, or to be tried next. */
const struct endpoint *client_endpoint(const struct client *client);

#endif
