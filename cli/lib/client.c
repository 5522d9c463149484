/* Calls with failover. Happy path: connect to the current endpoint unless connected,
 * send, receive, decode. After a failure a verdict decides between the next endpoint and
 * giving up; between rounds over all endpoints there is a growing pause. */
#include "cli/lib/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/conn.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"

#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS   400

#define METHOD(service, rpc, type, only_reads)                                           \
    {                                                                                    \
        .path = "/etcdserverpb." service "/" rpc, .name = rpc,                           \
        .reply = &etcdserverpb__##type##__descriptor, .reads = (only_reads)              \
    }

const struct client_method client_range = METHOD("KV", "Range", range_response, true);
const struct client_method client_put = METHOD("KV", "Put", put_response, false);
const struct client_method client_delete_range =
    METHOD("KV", "DeleteRange", delete_range_response, false);
const struct client_method client_txn = METHOD("KV", "Txn", txn_response, false);
const struct client_method client_compact =
    METHOD("KV", "Compact", compaction_response, false);
const struct client_method client_status =
    METHOD("Maintenance", "Status", status_response, true);
const struct client_method client_alarm_list =
    METHOD("Maintenance", "Alarm", alarm_response, true);
const struct client_method client_member_list =
    METHOD("Cluster", "MemberList", member_list_response, true);

struct client {
    struct client_options options;
    struct endpoint *endpoints;
    size_t current;    /* in use, or to be tried first */
    struct conn *conn; /* to the current endpoint; NULL: none */
    struct buf request;
    struct buf reply;
    int status; /* of the last refusal */
};

struct client *client_open(const struct client_options *options)
{
    struct client *client = mem_zero(sizeof(*client));

    CHECK(options->n_endpoints > 0);
    client->options = *options;
    client->endpoints =
        mem_dup(options->endpoints, options->n_endpoints * sizeof(struct endpoint));
    buf_init(&client->request, LIMIT_CLIENT_SEND);
    buf_init(&client->reply, LIMIT_RESPONSE_BYTES);
    return client;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    conn_close(client->conn);
    buf_close(&client->request);
    buf_close(&client->reply);
    free(client->endpoints);
    free(client);
}

int client_status_code(const struct client *client)
{
    return client->status;
}

const struct endpoint *client_endpoint(const struct client *client)
{
    return &client->endpoints[client->current];
}

static void trace(const struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void trace(const struct client *client, const char *format, ...)
{
    char line[ERR_TEXT_MAX + ENDPOINT_TEXT_MAX];
    va_list args;

    if (client->options.trace != NULL) {
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        client->options.trace(client->options.trace_owner, line);
    }
}

/* ---- connecting ---- */

/* Drops the connection; the next call starts with the next endpoint. */
static void move_on(struct client *client)
{
    conn_close(client->conn);
    client->conn = NULL;
    client->current = (client->current + 1) % client->options.n_endpoints;
}

/* Appends to the message as much as fits. */
static void append_text(struct err *all, const char *text)
{
    size_t len = strlen(all->text);
    size_t n = strlen(text);
    size_t room = sizeof(all->text) - 1 - len;

    n = n < room ? n : room;
    memcpy(all->text + len, text, n);
    all->text[len + n] = '\0';
}

/* Adds one endpoint's failure to the message about all of them. */
static void append_failure(struct err *all, const struct endpoint *ep,
                           const struct err *one)
{
    append_text(all, all->text[0] != '\0' ? "; " : "");
    append_text(all, ep->text);
    append_text(all, ": ");
    append_text(all, one->text);
}

/* Connects to the first endpoint that can be used, beginning with the current one. */
static int connect_any(struct client *client, struct err *err)
{
    struct err all = {0};
    int rc = 0;

    if (client->conn != NULL && conn_usable(client->conn)) {
        return 0;
    }
    conn_close(client->conn);
    client->conn = NULL;
    for (size_t i = 0; i < client->options.n_endpoints; i++) {
        const struct endpoint *ep = client_endpoint(client);
        struct err one = {0};

        trace(client, "%s: connecting", ep->text);
        rc = conn_open(ep, clock_ms() + client->options.dial_timeout_ms, &client->conn,
                       &one);
        if (rc == 0) {
            trace(client, "%s: connected", ep->text);
            return 0;
        }
        trace(client, "%s: %s", ep->text, one.text);
        append_failure(&all, ep, &one);
        move_on(client);
    }
    return err_set(err, rc, "%s", all.text);
}

/* ---- verdicts ---- */

enum verdict {
    VERDICT_DONE,
    VERDICT_RETRY,   /* surely not applied, or only reads: try the next endpoint */
    VERDICT_REFUSED, /* the server said no, and another would too */
    VERDICT_UNKNOWN, /* a write that may have been applied */
    VERDICT_FAILED,  /* rc and err say why; nothing was changed */
};

/* Refusals that come before a write is taken, although another endpoint may take it. */
static bool surely_not_taken(const struct conn_answer *answer)
{
    static const char *const texts[] = {
        "etcdserver: no leader",
        "etcdserver: not leader",
        "etcdserver: rpc not supported for learner",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(answer->text, texts[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Codes after which a write may have been applied: what a server says when it gave up
 * waiting, and what a reset stream is translated to. */
static bool outcome_open(int code)
{
    return code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED ||
           code == GRPC_CANCELLED || code == GRPC_INTERNAL;
}

static enum verdict judge(const struct client_method *method, int rc,
                          const struct conn_answer *answer)
{
    bool may_be_applied = !method->reads && answer->sent;

    if (rc != 0) {
        if (rc == ERR_TOO_BIG) {
            return VERDICT_FAILED;
        }
        if (may_be_applied) {
            return VERDICT_UNKNOWN;
        }
        return rc == ERR_NETWORK ? VERDICT_RETRY : VERDICT_FAILED;
    }
    if (answer->grpc_code == GRPC_OK) {
        return VERDICT_DONE;
    }
    if (surely_not_taken(answer)) {
        return VERDICT_RETRY;
    }
    if (may_be_applied) {
        return outcome_open(answer->grpc_code) ? VERDICT_UNKNOWN : VERDICT_REFUSED;
    }
    return answer->grpc_code == GRPC_UNAVAILABLE ? VERDICT_RETRY : VERDICT_REFUSED;
}

/* ---- one try ---- */

static int send_once(struct client *client, const struct client_method *method,
                     int64_t deadline_ms, struct conn_answer *answer, struct err *err)
{
    const struct endpoint *ep = client_endpoint(client);
    struct err why = {0};
    int rc;

    buf_clear(&client->reply);
    trace(client, "%s: %s, %zu bytes", ep->text, method->name, buf_len(&client->request));
    rc = conn_call(client->conn, method->path, NULL, buf_slice(&client->request),
                   deadline_ms, &client->reply, answer, &why);
    if (rc != 0) {
        err_set(err, rc, "%s: %s: %s", ep->text, method->name, why.text);
    } else if (answer->grpc_code != GRPC_OK) {
        err_set(err, ERR_REFUSED, "%s: %s: %s (%s)", ep->text, method->name, answer->text,
                grpc_code_name(answer->grpc_code));
    }
    trace(client, "%s: %s: %s", ep->text, method->name,
          rc != 0 || answer->grpc_code != GRPC_OK ? err->text : "ok");
    return rc;
}

/* reply points to a pointer of the reply's own type, hence the copy. */
static int decode(struct client *client, const struct client_method *method,
                  struct arena *arena, void *reply, struct err *err)
{
    const ProtobufCMessage *message =
        api_decode_own(method->reply, buf_slice(&client->reply), arena, err);

    buf_trim(&client->reply, 0);
    if (message == NULL) {
        return err_prefix(err, ERR_CORRUPT, "%s: %s was %s, but its reply cannot be read",
                          client_endpoint(client)->text, method->name,
                          method->reads ? "answered" : "done");
    }
    memcpy(reply, &message, sizeof(message));
    return 0;
}

/* The last failure becomes the caller's error. */
static int conclude(struct client *client, enum verdict verdict, int rc,
                    const struct conn_answer *answer, struct err *err)
{
    switch (verdict) {
    case VERDICT_UNKNOWN:
        err->code = ERR_UNKNOWN;
        append_text(err, "; the write may or may not have been applied, look before you "
                         "repeat it");
        return ERR_UNKNOWN;
    case VERDICT_REFUSED:
        client->status = answer->grpc_code;
        return ERR_REFUSED;
    case VERDICT_RETRY: /* no time left for it */
        client->status = answer->grpc_code;
        return rc != 0 ? rc : ERR_REFUSED;
    case VERDICT_FAILED:
        return rc;
    case VERDICT_DONE:
        break;
    }
    return 0;
}

static void pause_ms(int64_t ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&wait, NULL);
}

int client_call(struct client *client, const struct client_method *method,
                const ProtobufCMessage *request, struct arena *arena, void *reply,
                struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    int64_t deadline_ms = clock_ms() + client->options.command_timeout_ms;
    int64_t pause = PAUSE_FIRST_MS;
    size_t tries = 0;
    struct err unread = {0};

    err = err != NULL ? err : &unread;
    buf_clear(&client->request);
    if (size > LIMIT_CLIENT_SEND) {
        return err_set(err, ERR_TOO_BIG, "%s: a request of %zu bytes is larger than %llu",
                       method->name, size, LIMIT_CLIENT_SEND);
    }
    protobuf_c_message_pack(request, buf_reserve(&client->request, size));
    buf_commit(&client->request, size);
    for (;;) {
        int64_t dialing_ms = clock_ms();
        struct conn_answer answer = {0};
        enum verdict verdict;
        int rc = connect_any(client, err);

        if (rc != 0) {
            return rc;
        }
        deadline_ms += clock_ms() - dialing_ms;
        rc = send_once(client, method, deadline_ms, &answer, err);
        verdict = judge(method, rc, &answer);
        if (verdict == VERDICT_DONE) {
            return decode(client, method, arena, reply, err);
        }
        if (verdict != VERDICT_REFUSED) {
            move_on(client);
        }
        if (verdict != VERDICT_RETRY || clock_ms() + pause >= deadline_ms) {
            return conclude(client, verdict, rc, &answer, err);
        }
        if (++tries % client->options.n_endpoints == 0) {
            pause_ms(pause);
            pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
        }
    }
}
