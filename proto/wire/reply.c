/* The outcome of a call, from what the server sent.
 *
 * Happy path: ":status 200", a content type of gRPC, messages, then grpc-status (and
 * grpc-message) in the trailers or, without messages, in the headers. What can fail: the
 * answer is not gRPC's or ends without a status; then a status is made from the HTTP
 * status or the error code of the reset ("gRPC over HTTP2", Errors, and its note "HTTP to
 * gRPC Status Code Mapping"). */
#include "wire/reply.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "base/err.h"
#include "base/mem.h"
#include "wire/percent.h"

#define FIELD_OVERHEAD 32 /* RFC 9113, section 6.5.2 */

static const struct mapping {
    uint32_t from;
    enum grpc_code to;
} from_http_status[] = {
    {400, GRPC_INTERNAL},      {401, GRPC_UNAUTHENTICATED}, {403, GRPC_PERMISSION_DENIED},
    {404, GRPC_UNIMPLEMENTED}, {429, GRPC_UNAVAILABLE},     {502, GRPC_UNAVAILABLE},
    {503, GRPC_UNAVAILABLE},   {504, GRPC_UNAVAILABLE},
};

static const struct mapping from_reset[] = {
    {NGHTTP2_REFUSED_STREAM, GRPC_UNAVAILABLE},
    {NGHTTP2_CANCEL, GRPC_CANCELLED},
    {NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
    {NGHTTP2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED},
};

static enum grpc_code map(const struct mapping *table, size_t n, uint32_t from,
                          enum grpc_code otherwise)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].from == from) {
            return table[i].to;
        }
    }
    return otherwise;
}

/* -1 for what is not a small number. */
static int parse_number(struct slice value)
{
    int number = 0;

    if (value.len == 0 || value.len > 3) {
        return -1;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return -1;
        }
        number = number * 10 + (value.ptr[i] - '0');
    }
    return number;
}

/* Takes text. */
static void set_text(struct reply *reply, char *text)
{
    free(reply->text);
    reply->text = text;
}

static bool is(struct slice name, const char *text)
{
    return slice_eq(name, slice_str(text));
}

void reply_init(struct reply *reply)
{
    *reply = (struct reply){.http_status = -1, .grpc_code = -1};
}

void reply_close(struct reply *reply)
{
    free(reply->text);
    reply_init(reply);
}

int reply_add(struct reply *reply, struct slice name, struct slice value, size_t size_max)
{
    static const char grpc[] = "application/grpc";

    reply->size += name.len + value.len + FIELD_OVERHEAD;
    if (reply->size > size_max) {
        return ERR_TOO_BIG;
    }
    if (is(name, ":status")) {
        reply->http_status = parse_number(value);
    } else if (is(name, "content-type")) {
        reply->grpc_type = value.len >= sizeof(grpc) - 1 &&
                           memcmp(value.ptr, grpc, sizeof(grpc) - 1) == 0;
    } else if (is(name, "grpc-status")) {
        int code = parse_number(value);

        reply->grpc_code = code >= 0 ? code : (int)GRPC_UNKNOWN;
    } else if (is(name, "grpc-message")) {
        size_t room = value.len < REPLY_TEXT_MAX ? value.len + 1 : REPLY_TEXT_MAX;

        set_text(reply, mem_alloc(room));
        percent_decode(value, reply->text, room);
    }
    return 0;
}

bool reply_is_grpc(const struct reply *reply)
{
    return reply->http_status == 200 && reply->grpc_type;
}

void reply_set(struct reply *reply, int grpc_code, const char *text)
{
    reply->grpc_code = grpc_code;
    set_text(reply, mem_strdup(text));
}

void reply_conclude(struct reply *reply)
{
    if (reply->grpc_code >= 0) {
        return;
    }
    if (reply_is_grpc(reply)) {
        reply->grpc_code = GRPC_INTERNAL;
        set_text(reply, mem_strdup("the server ended the stream without a status"));
        return;
    }
    reply->grpc_code = map(from_http_status, ARRAY_LEN(from_http_status),
                           (uint32_t)reply->http_status, GRPC_UNKNOWN);
    set_text(reply, mem_printf("not a gRPC answer (HTTP status %d): is this the client "
                               "port of kvd or etcd?",
                               reply->http_status));
}

void reply_conclude_reset(struct reply *reply, uint32_t http2_error)
{
    if (reply->grpc_code >= 0) {
        return;
    }
    reply->grpc_code = map(from_reset, ARRAY_LEN(from_reset), http2_error, GRPC_INTERNAL);
    set_text(reply,
             mem_printf("the stream was reset: %s", nghttp2_http2_strerror(http2_error)));
}
