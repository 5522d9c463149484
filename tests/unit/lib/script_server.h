/* A gRPC server on loopback that does what a test's script says, call by call: for what a
 * well-behaved server would never do. One thread, one connection at a time; over TLS when
 * it is given a context. */
#ifndef KVD_TESTS_UNIT_LIB_SCRIPT_SERVER_H
#define KVD_TESTS_UNIT_LIB_SCRIPT_SERVER_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <protobuf-c/protobuf-c.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/status.h"
#include "base/limits.h"
#include "wire/wire.h"

enum script_act {
    SCRIPT_ANSWER,          /* an empty message and OK */
    SCRIPT_STATUS,          /* code and text */
    SCRIPT_HANG_UP,         /* close the connection when the request is complete */
    SCRIPT_SILENCE,         /* never answer */
    SCRIPT_MUTE,            /* the same, and no ping either: as a stopped process */
    SCRIPT_ANSWER_LAST,     /* answer, then close the connection */
    SCRIPT_HANG_UP_AT_ONCE, /* close the connection when it is accepted */
    SCRIPT_SAY,             /* text instead of HTTP/2, then close */
    SCRIPT_STONE,           /* accept, and neither read nor write */
};

struct script_step {
    enum script_act act;
    int code;
    const char *text;
};

struct script_server;

/* Takes each message of each call, instead of the steps; may answer, set hang_up and
 * mute.
 */
typedef void (*script_cb)(struct script_server *s, struct wire_call *call,
                          const char *path, struct slice message);

struct script_server {
    const struct script_step *steps; /* the last one repeats */
    size_t n_steps;
    script_cb heard; /* or NULL */
    size_t n_connections;
    SSL_CTX *tls; /* NULL: plain text */
    SSL *ssl;     /* of the connection */
    int listener;
    int port;
    pthread_t thread;
    size_t n_calls; /* that came */
    size_t step;
    bool hang_up; /* after what is queued */
    bool mute;    /* nothing more is sent */
};

static const struct script_step *script_now(struct script_server *s)
{
    return &s->steps[s->step];
}

static void script_next(struct script_server *s)
{
    s->step += s->step + 1 < s->n_steps;
}

static void script_called(void *owner, struct wire_call *call,
                          const struct wire_metadata *md)
{
    wire_set_owner(call, (void *)md);
    ((struct script_server *)owner)->n_calls++;
}

static void script_message(void *owner, struct wire_call *call, struct slice bytes)
{
    struct script_server *s = owner;
    const struct wire_metadata *md = wire_get_owner(call);

    if (s->heard != NULL) {
        s->heard(s, call, md->path, bytes);
    }
}

/* Sends a message in a call. */
static inline void script_send(struct wire_call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    protobuf_c_message_pack(message, wire_message_begin(call, size));
}

static void script_half_closed(void *owner, struct wire_call *call)
{
    struct script_server *s = owner;
    const struct script_step *step;

    if (s->heard != NULL) {
        return;
    }
    step = script_now(s);
    if (step->act == SCRIPT_ANSWER || step->act == SCRIPT_ANSWER_LAST) {
        wire_send(call, slice_of("", 0));
        wire_finish(call, GRPC_OK, NULL);
        s->hang_up = step->act == SCRIPT_ANSWER_LAST;
    } else if (step->act == SCRIPT_STATUS) {
        wire_finish(call, step->code, step->text);
    } else if (step->act == SCRIPT_MUTE) {
        s->mute = true;
    } else if (step->act == SCRIPT_HANG_UP) {
        s->hang_up = true;
        s->mute = true;
    }
    script_next(s);
}

static void script_closed(void *owner, struct wire_call *call, bool reset)
{
    (void)owner;
    (void)call;
    (void)reset;
}

static void script_drained(void *owner, struct wire_call *call)
{
    (void)owner;
    (void)call;
}

static ssize_t script_read(struct script_server *s, int fd, void *bytes, size_t len)
{
    return s->ssl != NULL ? SSL_read(s->ssl, bytes, (int)len) : read(fd, bytes, len);
}

static void script_write(struct script_server *s, int fd, struct slice bytes)
{
    if (s->ssl == NULL) {
        send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    } else if (bytes.len > 0) {
        SSL_write(s->ssl, bytes.ptr, (int)bytes.len);
    }
}

static void script_converse(struct script_server *s, int fd)
{
    static const struct wire_events events = {.called = script_called,
                                              .message = script_message,
                                              .half_closed = script_half_closed,
                                              .closed = script_closed,
                                              .drained = script_drained};
    static const struct wire_limits limits = {.message_bytes = 4 * MIB,
                                              .header_bytes = LIMIT_HEADER_BYTES,
                                              .streams = 10,
                                              .queued_bytes = 64 * MIB};
    struct wire *wire = wire_open(WIRE_SERVER, &limits, &events, s);
    struct buf out = BUF_INIT(4 * MIB);
    uint8_t in[4096];
    ssize_t n = 0;
    bool more;

    s->hang_up = false;
    s->mute = false;
    do {
        if (n > 0 && wire_feed(wire, slice_of(in, (size_t)n), 0, NULL) != 0) {
            break;
        }
        do {
            more = wire_collect(wire, &out, MIB);
            if (!s->mute) {
                script_write(s, fd, buf_slice(&out));
            }
            buf_clear(&out);
        } while (more);
    } while (!s->hang_up && (n = script_read(s, fd, in, sizeof(in))) > 0);
    wire_close(wire);
    buf_close(&out);
    /* With bytes unread, close() would be a reset, which takes back what the client has
     * not read either. */
    shutdown(fd, SHUT_WR);
    while (read(fd, in, sizeof(in)) > 0) {
    }
}

/* False: no TLS could be agreed on. */
static bool script_secure(struct script_server *s, int fd)
{
    if (s->tls == NULL) {
        return true;
    }
    s->ssl = SSL_new(s->tls);
    SSL_set_fd(s->ssl, fd);
    return SSL_accept(s->ssl) == 1;
}

static void *script_run(void *arg)
{
    struct script_server *s = arg;
    char byte;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        const struct script_step *step = s->heard == NULL ? script_now(s) : NULL;

        s->n_connections++;
        if (step != NULL && step->act == SCRIPT_STONE) {
            poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, -1);
        } else if (!script_secure(s, fd)) {
            shutdown(fd, SHUT_WR);
            while (read(fd, &byte, 1) > 0) {
            }
        } else if (step == NULL) {
            script_converse(s, fd);
        } else if (step->act == SCRIPT_SAY) {
            send(fd, step->text, strlen(step->text), MSG_NOSIGNAL);
            script_next(s);
        } else if (step->act == SCRIPT_HANG_UP_AT_ONCE) {
            script_next(s);
        } else {
            script_converse(s, fd);
        }
        SSL_free(s->ssl);
        s->ssl = NULL;
        close(fd);
    }
    return NULL;
}

/* A port that the kernel listens on. */
static inline void script_bind(struct script_server *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(s->listener, (struct sockaddr *)&address, len), 0);
    cr_assert_eq(listen(s->listener, 8), 0);
    getsockname(s->listener, (struct sockaddr *)&address, &len);
    s->port = ntohs(address.sin_port);
}

static inline void script_listen(struct script_server *s)
{
    script_bind(s);
    cr_assert_eq(pthread_create(&s->thread, NULL, script_run, s), 0);
}

static inline void script_start(struct script_server *s, const struct script_step *steps,
                                size_t n_steps)
{
    *s = (struct script_server){.steps = steps, .n_steps = n_steps};
    script_listen(s);
}

/* Takes the context. */
static inline void script_start_tls(struct script_server *s, SSL_CTX *tls,
                                    script_cb heard)
{
    static const struct script_step answer = {.act = SCRIPT_ANSWER};

    *s = (struct script_server){
        .steps = &answer, .n_steps = 1, .tls = tls, .heard = heard};
    script_listen(s);
}

static inline void script_start_heard(struct script_server *s, script_cb heard)
{
    *s = (struct script_server){.heard = heard};
    script_listen(s);
}

/* The client must have closed its connection before. */
static inline void script_stop(struct script_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->tls);
}

#endif
