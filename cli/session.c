/* The global options and the life of a command's belongings. */
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/exit.h"
#include "cli/lib/kvd_parts.h"
#include "cli/secret.h"

#define FIELD(name) offsetof(struct settings, name)

const struct option_spec settings_specs[] = {
    {"endpoints", 0, OPTION_TEXT, FIELD(endpoints), "LIST",
     "servers, separated by commas; default 127.0.0.1:2379"},
    {"write-out", 'w', OPTION_TEXT, FIELD(write_out), "FORMAT",
     "simple (default), table, json, json-base64, fields, raw"},
    {"user", 0, OPTION_TEXT, FIELD(user), "NAME[:TEXT]",
     "who you are, and the password; without it you are asked"},
    {"password", 0, OPTION_TEXT, FIELD(password), "TEXT",
     "the password of --user; better in KVCTL_PASSWORD, others can see it in ps"},
    {"command-timeout", 0, OPTION_DURATION, FIELD(command_timeout_ms), "TIME",
     "give up a request after this long; default 5s"},
    {"dial-timeout", 0, OPTION_DURATION, FIELD(dial_timeout_ms), "TIME",
     "give up connecting to a server after this long; default 2s"},
    {"cacert", 0, OPTION_TEXT, FIELD(cacert), "FILE",
     "TLS: the CAs that servers are from; default: the system's"},
    {"cert", 0, OPTION_TEXT, FIELD(cert), "FILE", "TLS: the client's certificate"},
    {"key", 0, OPTION_TEXT, FIELD(key), "FILE",
     "TLS: its key; default: in the certificate's file"},
    {"insecure-transport", 0, OPTION_FLAG, FIELD(insecure_transport), NULL,
     "false: endpoints without a scheme use TLS; default true"},
    {"insecure-skip-tls-verify", 0, OPTION_FLAG, FIELD(insecure_skip_tls_verify), NULL,
     "TLS: believe every server; for tests only"},
    {"hex", 0, OPTION_FLAG, FIELD(hex), NULL, "print keys and values as \\x61\\x62"},
    {"debug", 0, OPTION_FLAG, FIELD(debug), NULL, "say on stderr what is being done"},
    {"help", 'h', OPTION_FLAG, FIELD(help), NULL, "explain the command"},
};
const size_t settings_n_specs = ARRAY_LEN(settings_specs);

const struct settings settings_defaults = {
    .endpoints = "127.0.0.1:2379",
    .write_out = "simple",
    .dial_timeout_ms = 2000,
    .command_timeout_ms = 5000,
    .insecure_transport = true,
};

void session_open(struct session *session)
{
    *session =
        (struct session){.settings = settings_defaults, .printer = {.out = stdout}};
    arena_init(&session->arena, LIMIT_CLIENT_ARENA);
}

void session_close(struct session *session)
{
    kvd_close(session->kvd);
    session->kvd = NULL;
    arena_close(&session->arena);
}

/* The password may come with the name, by its own option, or from the terminal. */
static int take_user(struct session *session, struct err *err)
{
    struct settings *set = &session->settings;
    const char *password;

    if (set->user == NULL) {
        return set->password == NULL
                   ? 0
                   : err_set(err, ERR_INVALID, "--password needs --user NAME, too");
    }
    if (set->password != NULL) {
        return 0;
    }
    secret_split(set->user, &session->arena, &set->user, &password);
    if (password != NULL) {
        set->password = password;
        return 0;
    }
    if (secret_ask("Password: ", &session->arena, &set->password, err) != 0) {
        return err_prefix(err, ERR_INVALID, "--user %s", set->user);
    }
    return 0;
}

int session_configure(struct session *session, struct err *err)
{
    const struct settings *set = &session->settings;
    int n;

    if (!print_format_parse(set->write_out, &session->printer.format)) {
        return err_set(err, ERR_INVALID,
                       "-w \"%s\": the formats are simple, table, json, json-base64, "
                       "fields and raw",
                       set->write_out);
    }
    session->printer.hex = set->hex;
    if (set->dial_timeout_ms == 0 || set->command_timeout_ms == 0) {
        return err_set(err, ERR_INVALID, "a timeout of 0 leaves no time; try 5s");
    }
    if (take_user(session, err) != 0) {
        return err->code;
    }
    session->endpoints =
        arena_alloc(&session->arena, LIMIT_ENDPOINTS * sizeof(*session->endpoints));
    n = endpoint_parse_list(set->endpoints, session->endpoints, LIMIT_ENDPOINTS, err);
    if (n < 0) {
        return n;
    }
    session->n_endpoints = (size_t)n;
    return 0;
}

static void trace_to_stderr(void *owner, const char *line)
{
    (void)owner;
    fprintf(stderr, "debug: %s\n", line);
}

/* A file of TLS cannot be used, or the system is out of everything. */
static _Noreturn void die(const struct err *err)
{
    exit_explain(err->text);
    exit((int)exit_code_of(err->code));
}

struct client *session_client_of(struct session *session,
                                 const struct endpoint *endpoints, size_t n)
{
    struct client_options options = {
        .endpoints = endpoints,
        .n_endpoints = n,
        .tls = {.always = !session->settings.insecure_transport,
                .skip_verify = session->settings.insecure_skip_tls_verify,
                .ca_file = session->settings.cacert,
                .cert_file = session->settings.cert,
                .key_file = session->settings.key},
        .credentials = {session->settings.user, session->settings.password},
        .dial_timeout_ms = session->settings.dial_timeout_ms,
        .command_timeout_ms = session->settings.command_timeout_ms,
        .trace = session->settings.debug ? trace_to_stderr : NULL,
    };
    struct client *client;
    struct err err;

    if (client_open(&options, &client, &err) != 0) {
        die(&err);
    }
    return client;
}

enum exit_code session_kvd(struct session *session, struct kvd_client **out,
                           struct err *err)
{
    struct kvd_options options = {
        .endpoints = session->settings.endpoints,
        .user = session->settings.user,
        .password = session->settings.password,
        .timeout_ms = session->settings.command_timeout_ms,
        .dial_timeout_ms = session->settings.dial_timeout_ms,
        .trace = session->settings.debug ? trace_to_stderr : NULL,
        .tls = !session->settings.insecure_transport,
        .insecure_skip_verify = session->settings.insecure_skip_tls_verify,
        .ca_file = session->settings.cacert,
        .cert_file = session->settings.cert,
        .key_file = session->settings.key,
    };
    struct kvd_error error = {0};

    if (session->kvd == NULL) {
        int rc = kvd_open(&options, &session->kvd, &error);

        if (rc != 0) {
            err_set(err, rc, "%s", error.text);
            return session_kvd_exit_code(rc);
        }
    }
    *out = session->kvd;
    return EXIT_OK;
}

struct client *session_client(struct session *session)
{
    struct kvd_client *client;
    struct err err;

    if (session_kvd(session, &client, &err) != EXIT_OK) {
        die(&err);
    }
    return kvd_inner(client);
}

enum exit_code session_kvd_exit_code(int rc)
{
    static const struct {
        int rc;
        enum exit_code code;
    } rows[] = {
        {KVD_OK, EXIT_OK},
        {KVD_NOT_FOUND, EXIT_CONDITION},
        {KVD_EXISTS, EXIT_CONDITION},
        {KVD_INVALID, EXIT_INPUT},
        {KVD_TOO_BIG, EXIT_INPUT},
        {KVD_UNKNOWN, EXIT_OUTCOME},
        {KVD_TIMEOUT, EXIT_CONNECTION},
        {KVD_NETWORK, EXIT_CONNECTION},
        {KVD_LOST, EXIT_CONNECTION},
        {KVD_BUSY, EXIT_NOT_ACQUIRED},
        {KVD_FENCED, EXIT_FENCED},
        {KVD_COMPACTED, EXIT_COMPACTED},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].rc == rc) {
            return rows[i].code;
        }
    }
    return EXIT_ERROR;
}

int session_call(struct session *session, const struct client_method *method,
                 const ProtobufCMessage *request, void *reply, struct err *err)
{
    return client_call(session_client(session), method, request, &session->arena, reply,
                       err);
}

/* The oneof members of an op and its answer have the same numbers. */
static bool answers(const Etcdserverpb__TxnResponse *res,
                    const Etcdserverpb__RequestOp *op)
{
    return res->n_responses == 1 && res->header != NULL &&
           (int)res->responses[0]->response_case == (int)op->request_case;
}

int session_call_if(struct session *session, const struct conditions *conditions,
                    const char *name, ProtobufCBinaryData key,
                    Etcdserverpb__RequestOp *op, Etcdserverpb__ResponseOp **out,
                    struct err *err)
{
    Etcdserverpb__TxnRequest txn;
    Etcdserverpb__TxnResponse *res;
    int rc;

    conditions_txn(conditions, key, op, &session->arena, &txn);
    rc = session_call(session, &client_txn, &txn.base, &res, err);
    if (rc != 0) {
        return rc;
    }
    if (!res->succeeded) {
        return conditions_explain(conditions, name, res, err);
    }
    if (!answers(res, op)) {
        return err_set(err, ERR_IO,
                       "the write was done, but the reply does not say what");
    }
    *out = res->responses[0];
    if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
        (*out)->response_put->header = res->header;
    } else {
        (*out)->response_delete_range->header = res->header;
    }
    return 0;
}
