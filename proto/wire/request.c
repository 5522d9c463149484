/* The headers of one request.
 *
 * Happy path: request_add per field, looked up in the table below; then request_malformed
 * and request_refused say no. What can fail: a header list far over its limit
 * (ERR_TOO_BIG). One that is a little over is counted to its end and refused with a gRPC
 * status, so that the caller learns why.
 *
 * HTTP/2's rules about headers are kept here and not by nghttp2, which would refuse the
 * :authority of etcd's own client ("#initially=[...]"). Only those that matter to a
 * server that neither forwards nor caches are checked (RFC 9113, section 8.3). */
#include "wire/request.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "wire/timeout.h"

#define FIELD_OVERHEAD 32 /* RFC 9113, section 6.5.2 */
#define HOPELESS       4  /* times the limit: not worth the work of reading on */
#define TEXT_KEEP      512

enum request_seen {
    SEEN_METHOD = 1 << 0,
    SEEN_PATH = 1 << 1,
    SEEN_SCHEME = 1 << 2,
    SEEN_AUTHORITY = 1 << 3,
    SEEN_REGULAR = 1 << 4, /* a field that is not a pseudo-header */
    SEEN_TOKEN = 1 << 5,   /* token, which outranks authorization */
    SEEN_MALFORMED = 1 << 6,
    SEEN_OTHER_METHOD = 1 << 7,
    SEEN_GRPC = 1 << 8, /* a content type of gRPC */
    SEEN_BAD_TIMEOUT = 1 << 9,
    SEEN_COMPRESSION = 1 << 10,
    SEEN_FENCE = 1 << 11,
};

/* Values that are kept as C strings must not hold control characters. */
static bool is_text(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < 0x20 || value.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool starts_with(struct slice value, const char *prefix)
{
    size_t len = strlen(prefix);

    return value.len >= len && memcmp(value.ptr, prefix, len) == 0;
}

/* ---- one function per field ---- */

static void take_method(struct request *request, struct slice value)
{
    if (!slice_eq(value, slice_str("POST"))) {
        request->seen |= SEEN_OTHER_METHOD;
    }
}

static void take_path(struct request *request, struct slice value)
{
    size_t len = value.len < WIRE_PATH_MAX ? value.len : WIRE_PATH_MAX - 1;

    if (!is_text(value)) {
        request->seen |= SEEN_MALFORMED;
    }
    memcpy(request->md.path, value.ptr, len);
    request->md.path[len] = '\0';
}

static void take_nothing(struct request *request, struct slice value)
{
    (void)request;
    (void)value;
}

static void take_content_type(struct request *request, struct slice value)
{
    static const char grpc[] = "application/grpc";
    size_t len = sizeof(grpc) - 1;

    if (starts_with(value, grpc) &&
        (value.len == len || value.ptr[len] == '+' || value.ptr[len] == ';')) {
        request->seen |= SEEN_GRPC;
    }
}

static void take_timeout(struct request *request, struct slice value)
{
    if (!timeout_parse(value, &request->md.timeout_ns)) {
        request->seen |= SEEN_BAD_TIMEOUT;
    }
}

static void take_encoding(struct request *request, struct slice value)
{
    if (!slice_eq(value, slice_str("identity"))) {
        request->seen |= SEEN_COMPRESSION;
    }
}

static void take_has_leader(struct request *request, struct slice value)
{
    request->md.has_leader = slice_eq(value, slice_str("true"));
}

static void take_version(struct request *request, struct slice value)
{
    request->md.bad_version = !utf8_valid(value);
}

/* As a C string in the buffer. */
static void keep(struct request *request, struct buf *buf, struct slice value,
                 const char **out)
{
    uint8_t *room;

    if (!is_text(value)) {
        request->seen |= SEEN_MALFORMED;
    }
    buf_clear(buf);
    room = buf_reserve(buf, value.len + 1);
    if (room == NULL) {
        return; /* longer than the whole header list may be: refused anyway */
    }
    memcpy(room, value.ptr, value.len);
    room[value.len] = '\0';
    buf_commit(buf, value.len + 1);
    *out = (const char *)room;
}

static void keep_token(struct request *request, struct slice value)
{
    static const char bearer[] = "Bearer ";

    if (starts_with(value, bearer)) {
        value = slice_of(value.ptr + sizeof(bearer) - 1, value.len - sizeof(bearer) + 1);
    }
    keep(request, &request->token, value, &request->md.token);
}

static void take_token(struct request *request, struct slice value)
{
    request->seen |= SEEN_TOKEN;
    keep_token(request, value);
}

static void take_authorization(struct request *request, struct slice value)
{
    if ((request->seen & SEEN_TOKEN) == 0) {
        keep_token(request, value);
    }
}

static void take_gateway(struct request *request, struct slice value)
{
    (void)value;
    request->md.from_gateway = true;
}

static void take_fence(struct request *request, struct slice value)
{
    request->md.two_fences = (request->seen & SEEN_FENCE) != 0;
    request->seen |= SEEN_FENCE;
    keep(request, &request->fence, value, &request->md.fence);
}

static const struct field {
    const char *name;
    size_t len;
    uint32_t once; /* a pseudo-header: must come once, before the others */
    void (*take)(struct request *request, struct slice value);
} fields[] = {
#define FIELD(name, once, take)                                                          \
    {                                                                                    \
        (name), sizeof(name) - 1, (once), (take)                                         \
    }
    FIELD(":method", SEEN_METHOD, take_method),
    FIELD(":path", SEEN_PATH, take_path),
    FIELD(":scheme", SEEN_SCHEME, take_nothing),
    FIELD(":authority", SEEN_AUTHORITY, take_nothing),
    FIELD("content-type", 0, take_content_type),
    FIELD("grpc-timeout", 0, take_timeout),
    FIELD("grpc-encoding", 0, take_encoding),
    FIELD("token", 0, take_token),
    FIELD("authorization", 0, take_authorization),
    FIELD("hasleader", 0, take_has_leader),
    FIELD("client-api-version", 0, take_version),
    FIELD("grpcgateway-accept", 0, take_gateway),
    FIELD("kvd-fence", 0, take_fence),
#undef FIELD
};

static const struct field *find_field(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].len == name.len &&
            memcmp(fields[i].name, name.ptr, name.len) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

/* ---- public ---- */

void request_init(struct request *request, size_t size_max)
{
    request->md.path[0] = '\0';
    request->md.timeout_ns = -1;
    request->md.has_leader = false;
    request->md.bad_version = false;
    request->md.token = "";
    request->md.from_gateway = false;
    request->md.fence = NULL;
    request->md.two_fences = false;
    request->token.max = size_max;
    buf_clear(&request->token);
    buf_trim(&request->token, TEXT_KEEP);
    request->fence.max = size_max;
    buf_clear(&request->fence);
    buf_trim(&request->fence, TEXT_KEEP);
    request->size = 0;
    request->size_max = size_max;
    request->seen = 0;
}

void request_close(struct request *request)
{
    buf_close(&request->token);
    buf_close(&request->fence);
}

int request_add(struct request *request, struct slice name, struct slice value)
{
    const struct field *field;
    bool pseudo = name.len > 0 && name.ptr[0] == ':';

    request->size += name.len + value.len + FIELD_OVERHEAD;
    if (request->size > request->size_max) {
        return request->size / HOPELESS > request->size_max ? ERR_TOO_BIG : 0;
    }
    field = find_field(name);
    if (pseudo &&
        (field == NULL || (request->seen & (SEEN_REGULAR | field->once)) != 0)) {
        request->seen |= SEEN_MALFORMED;
        return 0;
    }
    request->seen |= pseudo ? field->once : SEEN_REGULAR;
    if (field == NULL) {
        return 0;
    }
    field->take(request, value);
    return 0;
}

bool request_malformed(const struct request *request)
{
    uint32_t needed = SEEN_METHOD | SEEN_PATH | SEEN_SCHEME;

    if (request->size > request->size_max) {
        return false; /* not all of it was looked at */
    }
    return (request->seen & SEEN_MALFORMED) != 0 || (request->seen & needed) != needed;
}

bool request_refused(const struct request *request, struct refusal *out)
{
    if (request->size > request->size_max) {
        *out = (struct refusal){.http_status = 200, .code = GRPC_RESOURCE_EXHAUSTED};
        snprintf(out->text, sizeof(out->text),
                 "kvd: request headers of %zu bytes are larger than max (%zu)",
                 request->size, request->size_max);
        return true;
    }
    if ((request->seen & SEEN_OTHER_METHOD) != 0) {
        *out = (struct refusal){405, GRPC_INTERNAL, "kvd: the method must be POST"};
        return true;
    }
    if ((request->seen & SEEN_GRPC) == 0) {
        *out = (struct refusal){415, GRPC_INVALID_ARGUMENT,
                                "kvd: the content-type must be application/grpc"};
        return true;
    }
    if ((request->seen & SEEN_BAD_TIMEOUT) != 0) {
        *out = (struct refusal){400, GRPC_INTERNAL, "malformed grpc-timeout"};
        return true;
    }
    if ((request->seen & SEEN_COMPRESSION) != 0) {
        *out = (struct refusal){200, GRPC_UNIMPLEMENTED,
                                "grpc: Decompressor is not installed for grpc-encoding"};
        return true;
    }
    return false;
}
