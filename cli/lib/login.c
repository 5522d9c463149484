#include "cli/lib/login.h"

#include <stdlib.h>
#include <string.h>

#include "api/decode.h"
#include "api/status.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc.pb-c.h"

#define PATH "/etcdserverpb.Auth/Authenticate"

bool login_is_void(const char *text)
{
    static const enum api_status texts[] = {API_INVALID_AUTH_TOKEN,
                                            API_AUTH_OLD_REVISION};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strstr(text, api_status_text(texts[i])) != NULL) {
            return true;
        }
    }
    return false;
}

static void take_token(struct login *login)
{
    struct arena arena = {.max = LIMIT_CLIENT_ARENA};
    const Etcdserverpb__AuthenticateResponse *res =
        (const Etcdserverpb__AuthenticateResponse *)api_decode_own(
            &etcdserverpb__authenticate_response__descriptor, buf_slice(&login->reply),
            &arena, &login->err);

    login->state = res != NULL ? LOGIN_DONE : LOGIN_FAILED;
    if (res != NULL) {
        link_set_token(login->link, res->token);
    } else {
        err_prefix(&login->err, ERR_CORRUPT, "Authenticate: its reply cannot be read");
    }
    arena_close(&arena);
}

static void on_message(struct stream *stream, struct slice bytes)
{
    struct login *login = container_of(stream, struct login, stream);

    buf_append(&login->reply, bytes.ptr, bytes.len); /* too much will not decode */
}

static void on_ended(struct stream *stream, const struct stream_end *end)
{
    struct login *login = container_of(stream, struct login, stream);

    if (!end->answered) {
        login->state = LOGIN_FAILED;
        login->err = end->err;
        err_prefix(&login->err, end->err.code, "Authenticate");
    } else if (end->grpc_code == GRPC_OK) {
        take_token(login);
    } else if (strcmp(end->text, api_status_text(API_AUTH_NOT_ENABLED)) == 0) {
        login->state = LOGIN_DONE; /* nobody asks for a token */
    } else {
        login->state = LOGIN_FAILED;
        err_set(&login->err, ERR_REFUSED, "Authenticate: %s (%s)", end->text,
                grpc_code_name(end->grpc_code));
    }
}

static int send(struct login *login, const struct credentials *credentials)
{
    Etcdserverpb__AuthenticateRequest request = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    size_t size;
    uint8_t *packed;
    int rc;

    request.name = (char *)credentials->user;
    request.password = (char *)credentials->password;
    size = etcdserverpb__authenticate_request__get_packed_size(&request);
    packed = mem_alloc(size + 1);
    etcdserverpb__authenticate_request__pack(&request, packed);
    rc = stream_send(&login->stream, slice_of(packed, size));
    explicit_bzero(packed, size);
    free(packed);
    return rc;
}

void login_start(struct login *login, struct link *link,
                 const struct credentials *credentials, int64_t timeout_ms)
{
    static const struct stream_events events = {on_message, on_ended};

    login->link = link;
    login->reply = (struct buf)BUF_INIT(64 * KIB);
    login->stream.events = &events;
    if (!stream_start(&login->stream, link, PATH, timeout_ms, false) ||
        send(login, credentials) != 0) {
        login->state = LOGIN_FAILED;
        err_set(&login->err, ERR_NETWORK, "Authenticate: the server takes no calls");
        return;
    }
    stream_complete(&login->stream);
    login->state = LOGIN_RUNNING;
}

void login_close(struct login *login)
{
    buf_close(&login->reply);
}
