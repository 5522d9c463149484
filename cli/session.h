/* What a command of kvctl works with: the global settings, the client, the printer, and
 * the memory that lives as long as the command. */
#ifndef KVD_CLI_SESSION_H
#define KVD_CLI_SESSION_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/exit.h"
#include "cli/key_range.h"
#include "cli/lib/client.h"
#include "cli/lib/kvd.h"
#include "cli/option.h"
#include "cli/print.h"

struct settings {
    const char *endpoints;
    const char *write_out;
    const char *user;     /* NAME or NAME:PASSWORD; then the name, or NULL */
    const char *password; /* or NULL */
    int64_t dial_timeout_ms;
    int64_t command_timeout_ms;
    const char *cacert;
    const char *cert;
    const char *key;
    bool insecure_transport;
    bool insecure_skip_tls_verify;
    bool hex;
    bool debug;
    bool help;
};

extern const struct option_spec settings_specs[];
extern const size_t settings_n_specs;
extern const struct settings settings_defaults;

struct session {
    struct settings settings;
    struct printer printer;
    struct arena arena;
    struct endpoint *endpoints; /* those of the settings */
    size_t n_endpoints;
    struct kvd_client *kvd;   /* private: opened at first use */
    const char *const *child; /* the command behind --, NULL-terminated; NULL: none */
};

void session_open(struct session *session);
void session_close(struct session *session);

/* Checks the settings and makes them effective. ERR_INVALID: the command line is wrong.
 */
int session_configure(struct session *session, struct err *err);

/* The client under session_kvd's; its endpoints are those of the settings. */
struct client *session_client(struct session *session);

/* A client for these endpoints with the session's settings; the caller closes it. */
struct client *session_client_of(struct session *session,
                                 const struct endpoint *endpoints, size_t n);

/* The same cluster through libkvd, for what lives in the background: opened at first use,
 * after signals_open. EXIT_OK, or why not. */
enum exit_code session_kvd(struct session *session, struct kvd_client **out,
                           struct err *err);

/* Of a failure of libkvd. */
enum exit_code session_kvd_exit_code(int rc);

/* client_call with the session's client and arena. */
int session_call(struct session *session, const struct client_method *method,
                 const ProtobufCMessage *request, void *reply, struct err *err);

/* Does op on a key when the conditions hold, in one transaction; *out is what op
 * answered, with a header. ERR_EXISTS with a sentence when they do not hold. */
int session_call_if(struct session *session, const struct conditions *conditions,
                    const char *name, ProtobufCBinaryData key,
                    Etcdserverpb__RequestOp *op, Etcdserverpb__ResponseOp **out,
                    struct err *err);

#endif
