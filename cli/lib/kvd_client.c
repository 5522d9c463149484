/* The client and what all chapters share: errors, calls, memory of results. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/lib/kvd_parts.h"

#define TIMEOUT_MS      5000
#define DIAL_TIMEOUT_MS 2000

const char *kvd_version(void)
{
    return KVD_VERSION;
}

/* ---- errors ---- */

const char *kvd_code_name(int code)
{
    switch (code) {
    case KVD_FENCED:
        return "fenced";
    case KVD_COMPACTED:
        return "compacted";
    case KVD_LOST:
        return "lost";
    default:
        return err_name(code);
    }
}

int kvd_fail(struct kvd_error *err, int code, const char *format, ...)
{
    va_list args;

    if (err != NULL) {
        *err = (struct kvd_error){.code = code};
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return code;
}

/* The codes of both layers have the same numbers, but for what a server says. */
_Static_assert(
    (int)KVD_SYSTEM == (int)ERR_IO && (int)KVD_CORRUPT == (int)ERR_CORRUPT &&
        (int)KVD_NOT_FOUND == (int)ERR_NOT_FOUND && (int)KVD_EXISTS == (int)ERR_EXISTS &&
        (int)KVD_INVALID == (int)ERR_INVALID && (int)KVD_TOO_BIG == (int)ERR_TOO_BIG &&
        (int)KVD_FULL == (int)ERR_FULL && (int)KVD_UNKNOWN == (int)ERR_UNKNOWN &&
        (int)KVD_CANCELED == (int)ERR_CANCELED && (int)KVD_TIMEOUT == (int)ERR_TIMEOUT &&
        (int)KVD_NETWORK == (int)ERR_NETWORK && (int)KVD_BUSY == (int)ERR_BUSY &&
        (int)KVD_UNSUPPORTED == (int)ERR_UNSUPPORTED &&
        (int)KVD_REFUSED == (int)ERR_REFUSED,
    "codes differ");

static int code_of_status(int status, const char *text)
{
    static const struct {
        enum api_status status;
        int code;
    } known[] = {
        {API_COMPACTED, KVD_COMPACTED},
        {API_REQUEST_TOO_LARGE, KVD_TOO_BIG},
        {API_RESPONSE_TOO_LARGE, KVD_TOO_BIG},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(text, api_status_text(known[i].status)) == 0) {
            return known[i].code;
        }
    }
    if (strcmp(text, "etcdserver: lease already exists") == 0) {
        return KVD_EXISTS;
    }
    switch (status) {
    case GRPC_NOT_FOUND:
        return KVD_NOT_FOUND;
    case GRPC_ALREADY_EXISTS:
        return KVD_EXISTS;
    case GRPC_INVALID_ARGUMENT:
        return KVD_INVALID;
    case GRPC_UNIMPLEMENTED:
        return KVD_UNSUPPORTED;
    default:
        return KVD_REFUSED;
    }
}

int kvd_fail_from(struct kvd_error *err, const struct err *why,
                  const struct client_request *request)
{
    int code = why->code;
    int status = request != NULL ? request->grpc_code : 0;

    if (code == ERR_REFUSED && request != NULL) {
        code = code_of_status(status, request->text);
    }
    kvd_fail(err, code, "%s", why->text);
    if (err != NULL) {
        err->status = status;
    }
    return code;
}

/* ---- the client ---- */

static int parse_endpoints(const char *list, struct endpoint **out, size_t *n,
                           struct kvd_error *err)
{
    struct endpoint *endpoints = mem_alloc(LIMIT_ENDPOINTS * sizeof(*endpoints));
    struct err why = {0};
    int found = endpoint_parse_list(list != NULL ? list : "127.0.0.1", endpoints,
                                    LIMIT_ENDPOINTS, &why);

    if (found < 0) {
        free(endpoints);
        return kvd_fail_from(err, &why, NULL);
    }
    *out = endpoints;
    *n = (size_t)found;
    return 0;
}

static int64_t or_else(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

int kvd_open(const struct kvd_options *options, struct kvd_client **out,
             struct kvd_error *err)
{
    static const struct kvd_options defaults;
    struct kvd_client *client;
    struct endpoint *endpoints = NULL;
    struct client_options inner;
    struct err why = {0};
    size_t n = 0;
    int rc;

    options = options != NULL ? options : &defaults;
    rc = parse_endpoints(options->endpoints, &endpoints, &n, err);
    if (rc != 0) {
        return rc;
    }
    inner = (struct client_options){
        .endpoints = endpoints,
        .n_endpoints = n,
        .tls = {.always = options->tls,
                .skip_verify = options->insecure_skip_verify,
                .ca_file = options->ca_file,
                .cert_file = options->cert_file,
                .key_file = options->key_file},
        .credentials = {.user = options->user,
                        .password = options->password != NULL ? options->password : ""},
        .dial_timeout_ms = or_else(options->dial_timeout_ms, DIAL_TIMEOUT_MS),
        .command_timeout_ms = or_else(options->timeout_ms, TIMEOUT_MS),
        .ping_ms = options->ping_ms,
        .trace = options->trace,
        .trace_owner = options->trace_owner,
    };
    client = mem_zero(sizeof(*client));
    rc = client_open(&inner, &client->inner, &why);
    free(endpoints);
    if (rc != 0) {
        free(client);
        return kvd_fail_from(err, &why, NULL);
    }
    client->keeper = keeper_new(client->inner);
    client->news = dispatch_new();
    client->warnings = dispatch_new();
    *out = client;
    return 0;
}

void kvd_close(struct kvd_client *client)
{
    if (client == NULL) {
        return;
    }
    dispatch_free(client->news);
    dispatch_free(client->warnings);
    keeper_free(client->keeper);
    client_close(client->inner);
    free(client);
}

struct client *kvd_inner(struct kvd_client *client)
{
    return client->inner;
}

int kvd_ask(struct kvd_client *client, const struct kvd_call *call, struct arena *arena,
            void *reply, struct kvd_error *err)
{
    struct client_request request = {.method = call->method,
                                     .message = call->message,
                                     .timeout_ms = call->timeout_ms,
                                     .patient = call->patient};
    struct err why = {0};
    int rc = client_ask(client->inner, &request, arena, reply, &why);

    if (rc == 0) {
        return 0;
    }
    rc = kvd_fail_from(err, &why, &request);
    if (call->fenced && rc == KVD_REFUSED &&
        request.grpc_code == GRPC_FAILED_PRECONDITION) {
        rc = KVD_FENCED;
        if (err != NULL) {
            err->code = rc;
        }
    }
    return rc;
}

/* ---- memory ---- */

struct block {
    struct arena arena;
    _Alignas(max_align_t) uint8_t result[];
};

void *kvd_new(size_t size, struct arena **arena)
{
    struct block *block = mem_zero(sizeof(*block) + size);

    arena_init(&block->arena, LIMIT_CLIENT_ARENA);
    *arena = &block->arena;
    return block->result;
}

void kvd_free(void *result)
{
    if (result != NULL) {
        struct block *block = container_of(result, struct block, result);

        arena_close(&block->arena);
        free(block);
    }
}

struct kvd_bytes kvd_copy(struct arena *arena, struct kvd_bytes bytes)
{
    struct slice copy = arena_dup(arena, slice_of(bytes.ptr, bytes.len));

    return kvd_bytes_of(copy.ptr, copy.len);
}
