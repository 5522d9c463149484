/* One HTTP/2 connection of the load generator.
 *
 * Happy path: connection_open connects and queues preface and settings; connection_call,
 * or connection_start and connection_say, queue HEADERS and DATA; connection_read takes
 * replies apart, calls heard for each message and done for each call that ended, with
 * what came of it. What can fail: the connection (connection_read and connection_flush
 * say false); the caller then calls connection_lose. */
#include "tests/bench/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/bench/message.h"
#include "tests/bench/secure.h"

#define FRAME_HEAD     9
#define FRAME_MAX      16384
#define WINDOW_DEFAULT 65535
#define WINDOW_OURS    0x7fffffff
#define WINDOW_REFILL  (1u << 28)
#define READ_SIZE      (256 * 1024)
#define END_STREAM     1
#define END_HEADERS    4
#define ACK            1
#define MESSAGE_LIMIT  (16 * MIB)

static uint8_t read_buffer[READ_SIZE];

/* ---- header blocks ---- */

static nghttp2_nv header(const char *name, const char *value, uint8_t flags)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .value = (uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = flags};
}

/* The path is never put into the table, so that blocks of all methods can be mixed. */
static void make_block(nghttp2_hd_deflater *deflater, enum method method,
                       const char *authority, const char *token, struct block *out)
{
    nghttp2_nv nv[] = {
        header(":method", "POST", 0),
        header(":scheme", "http", 0),
        header(":path", method_path(method), NGHTTP2_NV_FLAG_NO_INDEX),
        header(":authority", authority, 0),
        header("te", "trailers", 0),
        header("user-agent", "kvd-load/1", 0),
        header("content-type", "application/grpc", 0),
        header("token", token != NULL ? token : "", 0),
    };
    ssize_t len = nghttp2_hd_deflate_hd(deflater, out->bytes, BLOCK_MAX, nv,
                                        ARRAY_LEN(nv) - (token == NULL));

    CHECK(len > 0);
    out->len = (size_t)len;
}

void blocks_make(struct blocks *blocks, const char *authority, const char *token)
{
    for (int i = 0; i < METHOD_NMETHODS; i++) {
        nghttp2_hd_deflater *deflater;

        CHECK(nghttp2_hd_deflate_new(&deflater, 4096) == 0);
        make_block(deflater, (enum method)i, authority, token, &blocks->first[i]);
        make_block(deflater, (enum method)i, authority, token, &blocks->again[i]);
        nghttp2_hd_deflate_del(deflater);
    }
}

/* ---- frames out ---- */

static void put_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
           from[3];
}

static void add_frame(struct connection *c, int type, int flags, int32_t stream,
                      const void *payload, size_t len)
{
    uint8_t *to = buf_reserve(&c->out, FRAME_HEAD + len);

    CHECK(to != NULL);
    put_u32(to, (uint32_t)len << 8 | (uint32_t)type);
    to[4] = (uint8_t)flags;
    put_u32(to + 5, (uint32_t)stream);
    if (len > 0) {
        memcpy(to + FRAME_HEAD, payload, len);
    }
    buf_commit(&c->out, FRAME_HEAD + len);
    if (!c->is_ready && c->ready != NULL) {
        c->is_ready = true;
        c->next_ready = *c->ready;
        *c->ready = c;
    }
}

static void add_u32_frame(struct connection *c, int type, int32_t stream, uint32_t value)
{
    uint8_t payload[4];

    put_u32(payload, value);
    add_frame(c, type, 0, stream, payload, sizeof(payload));
}

/* Sends of bytes what the windows allow; returns how much. */
static size_t send_bytes(struct connection *c, struct slot *slot, struct slice bytes)
{
    size_t sent = 0;

    while (sent < bytes.len) {
        int64_t room = c->window < slot->window ? c->window : slot->window;
        size_t len = bytes.len - sent < FRAME_MAX ? bytes.len - sent : FRAME_MAX;
        bool last;

        if (room <= 0) {
            break;
        }
        len = len < (size_t)room ? len : (size_t)room;
        last = slot->ends && sent + len == bytes.len;
        add_frame(c, NGHTTP2_DATA, last ? END_STREAM : 0, slot->stream, bytes.ptr + sent,
                  len);
        sent += len;
        c->window -= (int64_t)len;
        slot->window -= (int64_t)len;
    }
    return sent;
}

static void resume(struct connection *c, struct slot *slot)
{
    if (slot->stream != 0 && buf_len(&slot->unsent) > 0) {
        buf_consume(&slot->unsent, send_bytes(c, slot, buf_slice(&slot->unsent)));
    }
}

static void resume_all(struct connection *c)
{
    for (size_t i = 0; i < c->n_slots && c->window > 0; i++) {
        resume(c, &c->slots[i]);
    }
}

/* ---- slots ---- */

static struct slot *find_slot(struct connection *c, int32_t stream)
{
    struct slot *slot = &c->slots[c->ring[(size_t)(stream >> 1) % c->ring_size]];

    if (stream == 0) {
        return NULL; /* marks slots without a request */
    }
    if (slot->stream == stream) {
        return slot;
    }
    for (size_t i = 0; i < c->n_slots; i++) {
        if (c->slots[i].stream == stream) {
            return &c->slots[i];
        }
    }
    return NULL;
}

static void end_slot(struct connection *c, struct slot *slot, enum outcome outcome)
{
    slot->stream = 0;
    buf_clear(&slot->unsent);
    c->done(c, slot, outcome);
}

void connection_start(struct connection *c, struct slot *slot, enum method method,
                      uint64_t now_ns)
{
    bool first = c->next_stream == 1;
    const struct block *block =
        first ? &c->blocks->first[method] : &c->blocks->again[method];

    CHECK(slot->stream == 0 && c->fd >= 0);
    slot->stream = c->next_stream;
    slot->method = method;
    slot->start_ns = now_ns;
    slot->window = c->stream_window;
    slot->received = 0;
    slot->ends = false;
    slot->n_heard = 0;
    slot->wrong = false;
    slot->status = -1;
    slot->text[0] = '\0';
    buf_clear(&slot->heard);
    c->next_stream += 2;
    c->ring[(size_t)(slot->stream >> 1) % c->ring_size] = (uint16_t)(slot - c->slots);
    add_frame(c, NGHTTP2_HEADERS, END_HEADERS, slot->stream, block->bytes, block->len);
}

void connection_say(struct connection *c, struct slot *slot, struct slice message)
{
    size_t sent = 0;

    if (buf_len(&slot->unsent) == 0) {
        sent = send_bytes(c, slot, message);
    }
    if (sent < message.len) {
        CHECK(buf_append(&slot->unsent, message.ptr + sent, message.len - sent) == 0);
    }
}

void connection_call(struct connection *c, struct slot *slot, enum method method,
                     struct slice message, uint64_t now_ns)
{
    connection_start(c, slot, method, now_ns);
    slot->ends = true;
    connection_say(c, slot, message);
}

/* ---- frames in ---- */

static void take_header(struct slot *slot, const nghttp2_nv *nv)
{
    struct slice name = slice_of(nv->name, nv->namelen);

    if (slice_eq(name, slice_str("grpc-status"))) {
        slot->status = atoi((const char *)nv->value);
    } else if (slice_eq(name, slice_str("grpc-message"))) {
        snprintf(slot->text, sizeof(slot->text), "%.*s", (int)nv->valuelen,
                 (const char *)nv->value);
    }
}

/* The inflater must see every block, also of streams that are over. */
static bool read_headers(struct connection *c, struct slot *slot, int flags,
                         struct slice block)
{
    int state = 0;

    if ((flags & END_HEADERS) == 0) {
        return false; /* no reply of a healthy server is that long */
    }
    while ((state & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv nv;
        ssize_t n =
            nghttp2_hd_inflate_hd2(c->inflater, &nv, &state, block.ptr, block.len, 1);

        if (n < 0) {
            return false;
        }
        block = slice_of(block.ptr + n, block.len - (size_t)n);
        if ((state & NGHTTP2_HD_INFLATE_EMIT) != 0 && slot != NULL) {
            take_header(slot, &nv);
        }
    }
    nghttp2_hd_inflate_end_headers(c->inflater);
    return true;
}

static void conclude(struct connection *c, struct slot *slot)
{
    enum outcome outcome = OUTCOME_OK;

    if (slot->status != 0) {
        outcome = OUTCOME_STATUS;
    } else if (slot->wrong || slot->n_heard == 0 || buf_len(&slot->heard) > 0) {
        outcome = OUTCOME_WRONG;
    }
    end_slot(c, slot, outcome);
}

static void read_settings(struct connection *c, struct slice payload)
{
    for (; payload.len >= 6; payload = slice_of(payload.ptr + 6, payload.len - 6)) {
        unsigned id = (unsigned)payload.ptr[0] << 8 | payload.ptr[1];
        int64_t value = get_u32(payload.ptr + 2);

        if (id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) {
            for (size_t i = 0; i < c->n_slots; i++) {
                c->slots[i].window += value - c->stream_window;
            }
            c->stream_window = value;
        }
    }
    add_frame(c, NGHTTP2_SETTINGS, ACK, 0, NULL, 0);
    resume_all(c);
}

static void read_window(struct connection *c, int32_t stream, uint32_t more)
{
    struct slot *slot = stream != 0 ? find_slot(c, stream) : NULL;

    if (stream == 0) {
        c->window += more;
        resume_all(c);
    } else if (slot != NULL) {
        slot->window += more;
        resume(c, slot);
    }
}

/* Hands out the whole messages of bytes; returns what is left. */
static struct slice read_messages(struct connection *c, struct slot *slot,
                                  struct slice bytes)
{
    while (bytes.len >= MESSAGE_PREFIX && !slot->wrong) {
        size_t len = get_u32(bytes.ptr + 1);

        if (bytes.ptr[0] != 0 || len > MESSAGE_LIMIT) {
            slot->wrong = true;
            break;
        }
        if (bytes.len - MESSAGE_PREFIX < len) {
            break;
        }
        slot->n_heard++;
        if (!c->heard(c, slot, slice_of(bytes.ptr + MESSAGE_PREFIX, len))) {
            slot->wrong = true;
        }
        bytes =
            slice_of(bytes.ptr + MESSAGE_PREFIX + len, bytes.len - MESSAGE_PREFIX - len);
    }
    return bytes;
}

/* Gives the server its window back. */
static void count_received(struct connection *c, int32_t stream, uint64_t *received,
                           size_t len)
{
    *received += len;
    if (*received > WINDOW_REFILL) {
        add_u32_frame(c, NGHTTP2_WINDOW_UPDATE, stream, (uint32_t)*received);
        *received = 0;
    }
}

static void read_data(struct connection *c, struct slot *slot, struct slice payload)
{
    struct slice left;

    count_received(c, 0, &c->received, payload.len);
    if (slot == NULL || slot->wrong) {
        return;
    }
    count_received(c, slot->stream, &slot->received, payload.len);
    if (buf_len(&slot->heard) == 0) {
        left = read_messages(c, slot, payload);
        CHECK(buf_append(&slot->heard, left.ptr, left.len) == 0);
        return;
    }
    CHECK(buf_append(&slot->heard, payload.ptr, payload.len) == 0);
    left = read_messages(c, slot, buf_slice(&slot->heard));
    buf_consume(&slot->heard, buf_len(&slot->heard) - left.len);
}

/* False: the connection is over or broken. */
static bool read_frame(struct connection *c, const uint8_t *head, struct slice payload)
{
    int type = head[3];
    int flags = head[4];
    int32_t stream = (int32_t)(get_u32(head + 5) & 0x7fffffff);
    struct slot *slot;

    switch (type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        slot = find_slot(c, stream);
        if (type == NGHTTP2_DATA) {
            read_data(c, slot, payload);
        } else if (!read_headers(c, slot, flags, payload)) {
            return false;
        }
        if ((flags & END_STREAM) != 0 && slot != NULL) {
            conclude(c, slot);
        }
        return true;
    case NGHTTP2_RST_STREAM:
        slot = find_slot(c, stream);
        if (slot != NULL) {
            end_slot(c, slot, OUTCOME_RESET);
        }
        return true;
    case NGHTTP2_SETTINGS:
        if ((flags & ACK) == 0) {
            read_settings(c, payload);
        }
        return true;
    case NGHTTP2_PING:
        if ((flags & ACK) == 0) {
            add_frame(c, NGHTTP2_PING, ACK, 0, payload.ptr, payload.len);
        }
        return true;
    case NGHTTP2_WINDOW_UPDATE:
        read_window(c, stream, payload.len == 4 ? get_u32(payload.ptr) : 0);
        return true;
    case NGHTTP2_GOAWAY:
        return false;
    default:
        return true;
    }
}

/* Reads the whole frames of bytes; returns what is left, or sets *ok to false. */
static struct slice read_frames(struct connection *c, struct slice bytes, bool *ok)
{
    *ok = true;
    while (bytes.len >= FRAME_HEAD) {
        size_t len = get_u32(bytes.ptr) >> 8;

        if (len > FRAME_MAX) {
            *ok = false;
            return bytes;
        }
        if (bytes.len < FRAME_HEAD + len) {
            break;
        }
        *ok = read_frame(c, bytes.ptr, slice_of(bytes.ptr + FRAME_HEAD, len));
        if (!*ok) {
            break;
        }
        bytes = slice_of(bytes.ptr + FRAME_HEAD + len, bytes.len - FRAME_HEAD - len);
    }
    return bytes;
}

/* What a call of OpenSSL that moved nothing means: try again, as the socket would say. */
static ssize_t moved_nothing(struct connection *c, int rc)
{
    int why = SSL_get_error(c->ssl, rc);

    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    errno = EPIPE;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t take_bytes(struct connection *c)
{
    int n;

    if (c->ssl == NULL) {
        return recv(c->fd, read_buffer, sizeof(read_buffer), 0);
    }
    n = SSL_read(c->ssl, read_buffer, sizeof(read_buffer));
    return n > 0 ? n : moved_nothing(c, n);
}

static ssize_t give_bytes(struct connection *c, struct slice bytes)
{
    int n;

    if (c->ssl == NULL) {
        return send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    }
    n = SSL_write(c->ssl, bytes.ptr, bytes.len > FRAME_MAX ? FRAME_MAX : (int)bytes.len);
    return n > 0 ? n : moved_nothing(c, n);
}

bool connection_read(struct connection *c)
{
    ssize_t n = take_bytes(c);
    struct slice left;
    bool ok;

    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    if (buf_len(&c->in) == 0) {
        left = read_frames(c, slice_of(read_buffer, (size_t)n), &ok);
        return ok && buf_append(&c->in, left.ptr, left.len) == 0;
    }
    if (buf_append(&c->in, read_buffer, (size_t)n) != 0) {
        return false;
    }
    left = read_frames(c, buf_slice(&c->in), &ok);
    buf_consume(&c->in, buf_len(&c->in) - left.len);
    return ok;
}

bool connection_flush(struct connection *c)
{
    while (buf_len(&c->out) > 0) {
        ssize_t n = give_bytes(c, buf_slice(&c->out));

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        buf_consume(&c->out, (size_t)n);
    }
    return true;
}

/* ---- life ---- */

void connection_init(struct connection *c, const char *address, SSL_CTX *tls,
                     size_t n_slots)
{
    *c =
        (struct connection){.fd = -1, .address = address, .tls = tls, .n_slots = n_slots};
    c->in = BUF_INIT(READ_SIZE + FRAME_HEAD + FRAME_MAX);
    c->out = BUF_INIT(1 * GIB);
    c->slots = mem_zero(n_slots * sizeof(c->slots[0]));
    c->ring_size = 4 * n_slots;
    c->ring = mem_zero(c->ring_size * sizeof(c->ring[0]));
    for (size_t i = 0; i < n_slots; i++) {
        c->slots[i].unsent = BUF_INIT(MESSAGE_LIMIT);
        c->slots[i].heard = BUF_INIT(MESSAGE_LIMIT + MESSAGE_PREFIX + FRAME_MAX);
    }
}

static int dial(const char *address, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':');
    char host[256];
    int one = 1;
    int fd;
    int rc;

    if (colon == NULL || (size_t)(colon - address) >= sizeof(host)) {
        return err_set(err, ERR_INVALID, "%s: not host:port", address);
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0) {
        return err_set(err, ERR_NETWORK, "%s: %s", address, gai_strerror(rc));
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        rc = err_set(err, ERR_NETWORK, "connect %s: %s", address, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        freeaddrinfo(found);
        return rc;
    }
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

int connection_open(struct connection *c, struct err *err)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t settings[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE};
    int fd = dial(c->address, err);

    int rc = 0;

    if (fd >= 0 && c->tls != NULL) {
        rc = secure_begin(c->tls, fd, c->address, &c->ssl, err);
    }
    if (fd < 0) {
        return fd;
    }
    if (rc != 0) {
        close(fd);
        return rc;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    c->fd = fd;
    CHECK(nghttp2_hd_inflate_new(&c->inflater) == 0);
    c->next_stream = 1;
    c->window = WINDOW_DEFAULT;
    c->stream_window = WINDOW_DEFAULT;
    c->received = 0;
    CHECK(buf_append(&c->out, preface, sizeof(preface) - 1) == 0);
    put_u32(settings + 2, WINDOW_OURS);
    add_frame(c, NGHTTP2_SETTINGS, 0, 0, settings, sizeof(settings));
    add_u32_frame(c, NGHTTP2_WINDOW_UPDATE, 0, WINDOW_OURS - WINDOW_DEFAULT);
    return 0;
}

void connection_lose(struct connection *c)
{
    if (c->fd < 0) {
        return;
    }
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    c->fd = -1;
    nghttp2_hd_inflate_del(c->inflater);
    c->inflater = NULL;
    buf_clear(&c->in);
    buf_clear(&c->out);
    for (size_t i = 0; i < c->n_slots; i++) {
        if (c->slots[i].stream != 0) {
            end_slot(c, &c->slots[i], OUTCOME_LOST);
        }
    }
}

void connection_close(struct connection *c)
{
    if (c->fd >= 0) {
        SSL_free(c->ssl);
        close(c->fd);
        nghttp2_hd_inflate_del(c->inflater);
    }
    for (size_t i = 0; i < c->n_slots; i++) {
        buf_close(&c->slots[i].unsent);
        buf_close(&c->slots[i].heard);
    }
    buf_close(&c->in);
    buf_close(&c->out);
    free(c->slots);
    free(c->ring);
}
