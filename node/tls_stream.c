/* Streams with TLS.
 *
 * Happy path: what the stream below receives is offered to OpenSSL, which fetches from it
 * as much as it needs; while the handshake lasts that is all; then what is decrypted is
 * handed on. What is written is encrypted into one buffer and written below in few
 * pieces. What OpenSSL says of its own accord goes out the same way. Nothing waits: where
 * bytes are missing OpenSSL is asked again when they have come.
 *
 * What can fail: the handshake, told as the end of the stream, or as a connect that
 * failed, and logged; bytes that are no TLS, told as a broken stream; an end of the
 * connection without TLS's own goodbye, which somebody may have forged: likewise.
 *
 * Memory and time: bytes that the owner does not read stay below, but for one piece that
 * was on its way (held). Handshakes cost a thousand times what other bytes cost, so a
 * turn takes LIMIT_TLS_SHAKES steps of them and leaves the others to the next one. */
#include "node/tls_stream.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/address.h"
#include "node/tls_cert.h"

#define HANDSHAKE_RECORD 0x16

static const unsigned tls_next[TLS_NSTATES] = {
    [TLS_DIALLING] = 1u << TLS_SHAKING | 1u << TLS_ENDED,
    [TLS_SHAKING] = 1u << TLS_OPEN | 1u << TLS_BROKEN | 1u << TLS_ENDED,
    [TLS_OPEN] = 1u << TLS_BROKEN | 1u << TLS_ENDED,
    [TLS_BROKEN] = 1u << TLS_ENDED,
    [TLS_ENDED] = 0,
};

struct stream {
    struct tls *tls;
    struct stream *below;
    SSL *ssl; /* NULL: a plain one, whose events the stream below tells by itself */
    enum tls_state state;
    bool dialled;
    const struct stream_events *events;
    void *owner;
    struct list due;    /* in tls->due */
    struct slice fresh; /* received, and not fetched by OpenSSL yet */
    struct buf held;    /* the same, across turns */
    struct buf early;   /* written before the handshake was over */
    size_t unasked;     /* bytes that OpenSSL sent by itself, since then */
    bool opened;        /* a dial: told so */
    bool paused;        /* by the owner */
    bool below_paused;
    bool above_low;  /* drained is to be told */
    bool sniffed;    /* the first byte was one of TLS */
    bool usable;     /* OpenSSL may still write */
    bool busy;       /* an event is being told: do not free */
    bool closed;     /* meanwhile */
    char *name;      /* in the other side's certificate */
    const char *why; /* it broke; OpenSSL's text, or one of ours */
};

static void tls_move(struct stream *s, enum tls_state to)
{
    CHECK(tls_next[s->state] & 1u << to);
    s->state = to;
}

static const struct net_ops *below_of(const struct stream *s)
{
    return s->tls->below->ops;
}

static void count(const struct stream *s, enum metric which)
{
    if (s->tls->metrics != NULL) {
        metrics_add(s->tls->metrics, which, 1);
    }
}

static void make_due(struct stream *s)
{
    if (list_empty(&s->due)) {
        list_add_tail(&s->tls->due, &s->due);
        s->tls->env->ops->wake(s->tls->env);
    }
}

static void pause_below(struct stream *s, bool paused)
{
    if (paused != s->below_paused) {
        s->below_paused = paused;
        below_of(s)->pause(s->below, paused);
    }
}

/* ---- what OpenSSL reads and writes ---- */

static int bio_read(BIO *bio, char *out, size_t size, size_t *done)
{
    struct stream *s = BIO_get_data(bio);
    size_t len = s->fresh.len < size ? s->fresh.len : size;

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, s->fresh.ptr, len);
    s->fresh = slice_of(s->fresh.ptr + len, s->fresh.len - len);
    *done = len;
    return 1;
}

static void flush_output(struct stream *s)
{
    struct slice bytes = buf_slice(&s->tls->output);

    if (bytes.len > 0) {
        below_of(s)->write(s->below, bytes);
        buf_clear(&s->tls->output);
    }
}

static int bio_write(BIO *bio, const char *bytes, size_t len, size_t *done)
{
    struct stream *s = BIO_get_data(bio);

    if (buf_append(&s->tls->output, bytes, len) != 0) {
        flush_output(s);
        CHECK(buf_append(&s->tls->output, bytes, len) == 0); /* a record is 16 KiB */
    }
    *done = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_stream_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "kvd");

    CHECK(method != NULL);
    CHECK(BIO_meth_set_read_ex(method, bio_read) == 1);
    CHECK(BIO_meth_set_write_ex(method, bio_write) == 1);
    CHECK(BIO_meth_set_ctrl(method, bio_control) == 1);
    return method;
}

/* ---- the end ---- */

static void stream_free(struct stream *s)
{
    list_del(&s->due);
    SSL_free(s->ssl);
    buf_close(&s->held);
    buf_close(&s->early);
    free(s->name);
    free(s);
}

/* Tells the owner, who may close the stream: see busy. */
static void tell_end(struct stream *s, bool reset)
{
    tls_move(s, TLS_ENDED);
    pause_below(s, true); /* whatever comes now belongs to nobody */
    if (s->dialled && !s->opened) {
        s->events->opened(s->owner, ERR_NETWORK, false);
    } else {
        s->events->ended(s->owner, reset);
    }
}

/* Whoever dials says himself what became of it: see trouble. */
static void log_failure(struct stream *s, const char *msg, const char *why)
{
    struct tls *tls = s->tls;

    s->why = why;
    count(s, METRIC_TLS_FAILURES);
    if (!s->dialled && quiet_allows(&tls->quiet, "TLS", env_mono_ms(tls->env))) {
        log_warn(msg, LOG_TEXT("address", tls_stream_peer_address(s)),
                 LOG_TEXT("reason", why));
    }
}

/* Why OpenSSL gave up: its newest complaint, or what is wrong with the certificate. */
static const char *complaint(const struct stream *s)
{
    unsigned long error = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(s->ssl);
    const char *reason;

    if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verdict != X509_V_OK) {
        return X509_verify_cert_error_string(verdict);
    }
    reason = ERR_reason_error_string(error);
    return reason != NULL ? reason : "no reason given";
}

/* ---- the handshake ---- */

/* Who speaks HTTP to a port that speaks TLS is told so in its own language. */
static void answer_in_clear(struct stream *s)
{
    static const char said[] = "this port speaks TLS; use https://\n";
    char answer[256];
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 400 Bad Request\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Connection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       strlen(said), said);

    below_of(s)->write(s->below, slice_of(answer, (size_t)len));
}

/* The first byte of a stream tells TLS from anything else; false: it was something else,
 * and the stream has ended. */
static bool sniff(struct stream *s)
{
    uint8_t first;

    if (s->dialled || s->sniffed || s->fresh.len == 0) {
        return true;
    }
    first = s->fresh.ptr[0];
    s->sniffed = first == HANDSHAKE_RECORD;
    if (s->sniffed) {
        return true;
    }
    log_failure(s, "ending a connection that speaks no TLS to a port that does",
                "write https:// in the endpoints");
    if (first >= 'A' && first <= 'Z') {
        answer_in_clear(s);
    }
    tell_end(s, false);
    return false;
}

/* A session that is gone on with is not verified again, and a certificate may have run
 * out since. */
static bool still_valid(const struct stream *s)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);

    return cert == NULL || X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

static void write_early(struct stream *s)
{
    struct buf early = s->early;

    s->early = BUF_INIT(LIMIT_STREAM_BACKLOG);
    if (buf_len(&early) > 0) {
        tls_stream_write(s, buf_slice(&early));
    }
    buf_close(&early);
    if (s->above_low && !s->closed && tls_stream_backlog(s) < STREAM_LOW) {
        s->above_low = false;
        if (s->events->drained != NULL) {
            s->events->drained(s->owner);
        }
    }
}

static void handshake_failed(struct stream *s, const char *why)
{
    s->usable = false;
    log_failure(s, "a TLS handshake failed", why);
    tell_end(s, false); /* not as a reset: the alert shall still go out */
}

static void shaken(struct stream *s)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);

    if (!still_valid(s)) {
        handshake_failed(s, X509_verify_cert_error_string(X509_V_ERR_CERT_HAS_EXPIRED));
        return;
    }
    tls_move(s, TLS_OPEN);
    s->usable = true;
    count(s, METRIC_TLS_HANDSHAKES);
    if (SSL_session_reused(s->ssl)) {
        count(s, METRIC_TLS_RESUMED);
    }
    if (cert != NULL) {
        s->name = tls_cert_name(cert);
    }
    if (s->dialled) {
        s->opened = true;
        s->events->opened(s->owner, 0, false);
    }
    if (!s->closed) {
        write_early(s);
    }
}

static void shake(struct stream *s)
{
    int rc;

    s->tls->shakes++;
    ERR_clear_error();
    rc = SSL_do_handshake(s->ssl);
    flush_output(s);
    if (rc == 1) {
        shaken(s);
    } else if (SSL_get_error(s->ssl, rc) != SSL_ERROR_WANT_READ) {
        handshake_failed(s, complaint(s));
    }
}

/* ---- input ---- */

/* What ended the reading: nothing more to read, a goodbye, or a breach. */
static void judge_end_of_input(struct stream *s, int error)
{
    if (error == SSL_ERROR_WANT_READ) {
        return;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
        tell_end(s, false);
        return;
    }
    s->usable = false;
    log_failure(s, "ending a connection that breaks TLS", complaint(s));
    tell_end(s, true);
}

/* Fills the buffer that all streams share; the error of OpenSSL that stopped it. */
static int decrypt(struct stream *s, size_t *len)
{
    size_t before = buf_len(&s->tls->output);
    int error = SSL_ERROR_NONE;

    CHECK(before == 0);
    *len = 0;
    while (error == SSL_ERROR_NONE && *len < LIMIT_TLS_INPUT) {
        size_t n = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_read_ex(s->ssl, s->tls->input + *len, LIMIT_TLS_INPUT - *len, &n);
        *len += n;
        error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rc);
    }
    s->unasked += buf_len(&s->tls->output);
    flush_output(s);
    return error;
}

static void read_all(struct stream *s)
{
    int error = SSL_ERROR_NONE;

    while (error == SSL_ERROR_NONE && s->state == TLS_OPEN && !s->closed && !s->paused) {
        size_t len;

        error = decrypt(s, &len);
        if (s->unasked > LIMIT_TLS_UNASKED) {
            s->usable = false;
            log_failure(s, "ending a connection that breaks TLS",
                        "it asks for new keys again and again");
            tell_end(s, true);
            return;
        }
        if (len > 0) {
            s->events->received(s->owner, slice_of(s->tls->input, len));
        }
        if (!s->closed && s->state == TLS_OPEN) {
            judge_end_of_input(s, error == SSL_ERROR_NONE ? SSL_ERROR_WANT_READ : error);
        }
    }
}

/* What was not fetched waits: until the owner reads on, or for the next turn. */
static void hold_rest(struct stream *s, struct slice rest)
{
    if (s->state != TLS_SHAKING && s->state != TLS_OPEN) {
        return;
    }
    if (rest.len > 0) {
        CHECK(buf_append(&s->held, rest.ptr, rest.len) == 0);
    }
    pause_below(s, buf_len(&s->held) > 0 || (s->paused && s->state == TLS_OPEN));
    if (buf_len(&s->held) > 0 && !(s->paused && s->state == TLS_OPEN)) {
        make_due(s);
    }
}

static void take_input(struct stream *s, struct slice bytes)
{
    struct slice rest;

    s->busy = true;
    s->fresh = bytes;
    if (s->state == TLS_SHAKING && sniff(s) && s->tls->shakes < LIMIT_TLS_SHAKES) {
        shake(s);
    }
    if (!s->closed && s->state == TLS_OPEN) {
        read_all(s);
    }
    rest = s->fresh;
    s->fresh = slice_of(NULL, 0);
    s->busy = false;
    if (s->closed) {
        stream_free(s);
    } else {
        hold_rest(s, rest);
    }
}

/* ---- events of the stream below ---- */

static void on_opened(void *owner, int rc, bool refused)
{
    struct stream *s = owner;

    if (rc == 0) {
        tls_move(s, TLS_SHAKING);
        take_input(s, slice_of(NULL, 0)); /* the first word is ours */
        return;
    }
    tls_move(s, TLS_ENDED);
    s->events->opened(s->owner, rc, refused); /* s may be gone now */
}

static void on_received(void *owner, struct slice bytes)
{
    struct stream *s = owner;

    if (s->state == TLS_SHAKING || s->state == TLS_OPEN) {
        take_input(s, bytes);
    }
}

/* Without a goodbye of TLS nobody knows whether something is missing before the end. */
static void on_ended(void *owner, bool reset)
{
    struct stream *s = owner;

    s->usable = s->usable && !reset;
    if (s->state == TLS_SHAKING || s->state == TLS_OPEN || s->state == TLS_BROKEN) {
        list_del(&s->due);
        s->busy = true;
        tell_end(s, true);
        s->busy = false;
        if (s->closed) {
            stream_free(s);
        }
    }
}

static void on_drained(void *owner)
{
    struct stream *s = owner;

    if (s->events->drained != NULL && s->state == TLS_OPEN) {
        s->above_low = false;
        s->events->drained(s->owner);
    }
}

static const struct stream_events below_events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
    .drained = on_drained,
};

/* ---- beginning ---- */

static struct stream *stream_new(struct tls *tls, enum tls_state state)
{
    struct stream *s = mem_zero(sizeof(*s));

    s->tls = tls;
    s->state = state;
    list_init(&s->due);
    buf_init(&s->held, LIMIT_TLS_HELD);
    buf_init(&s->early, LIMIT_STREAM_BACKLOG);
    return s;
}

static void begin_tls(struct stream *s, SSL_CTX *terms)
{
    BIO *bio = BIO_new(s->tls->method);

    s->ssl = SSL_new(terms);
    CHECK(s->ssl != NULL && bio != NULL);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
}

struct stream *tls_stream_accepted(struct tls *tls, enum net_security security,
                                   struct stream *below)
{
    struct stream *s = stream_new(tls, security == NET_PLAIN ? TLS_OPEN : TLS_SHAKING);

    s->below = below;
    if (security != NET_PLAIN) {
        begin_tls(s, tls_sides_get(&tls->sides, security)->accepting);
        SSL_set_accept_state(s->ssl);
    }
    return s;
}

/* The other side must show a certificate for the host that we meant. */
static void expect_host(SSL *ssl, const char *address)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    struct address parsed;

    CHECK(address_parse(&parsed, address, NULL) == 0);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, parsed.host) != 1) {
        X509_VERIFY_PARAM_set_hostflags(param, tls_cert_host_flags());
        CHECK(X509_VERIFY_PARAM_set1_host(param, parsed.host, 0) == 1);
        CHECK(SSL_set_tlsext_host_name(ssl, parsed.host) == 1);
    }
    ERR_clear_error();
}

struct stream *tls_stream_dial(struct tls *tls, const char *address,
                               enum net_security security,
                               const struct stream_events *events, void *owner)
{
    struct stream *s = stream_new(tls, security == NET_PLAIN ? TLS_OPEN : TLS_DIALLING);

    s->dialled = true;
    s->events = events;
    s->owner = owner;
    if (security != NET_PLAIN) {
        SSL_CTX *terms = tls_sides_get(&tls->sides, security)->dialling;

        CHECK(terms != NULL);
        begin_tls(s, terms);
        SSL_set_connect_state(s->ssl);
        expect_host(s->ssl, address);
        events = &below_events;
        owner = s;
    }
    s->below = tls->below->ops->connect(tls->below, address, NET_PLAIN, events, owner);
    return s;
}

void tls_stream_attach(struct stream *s, const struct stream_events *events, void *owner)
{
    bool first = s->events == NULL;

    s->events = events;
    s->owner = owner;
    if (s->ssl == NULL) {
        below_of(s)->attach(s->below, events, owner);
    } else if (first) {
        below_of(s)->attach(s->below, &below_events, s);
    }
}

/* ---- output ---- */

/* Found inside a call, so it is told from the tick. */
static void stream_break(struct stream *s)
{
    s->usable = false;
    if (s->state == TLS_SHAKING || s->state == TLS_OPEN) {
        tls_move(s, TLS_BROKEN);
        make_due(s);
    }
}

static void encrypt(struct stream *s, struct slice bytes)
{
    while (bytes.len > 0 && s->usable) {
        size_t part = bytes.len < LIMIT_TLS_OUTPUT / 2 ? bytes.len : LIMIT_TLS_OUTPUT / 2;
        size_t done = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_write_ex(s->ssl, bytes.ptr, part, &done);
        flush_output(s);
        if (rc != 1) {
            log_failure(s, "ending a connection that breaks TLS", complaint(s));
            stream_break(s);
        }
        bytes = slice_of(bytes.ptr + done, bytes.len - done);
    }
}

void tls_stream_write(struct stream *s, struct slice bytes)
{
    if (s->ssl == NULL) {
        below_of(s)->write(s->below, bytes);
    } else if (s->state == TLS_OPEN || s->state == TLS_ENDED) {
        encrypt(s, bytes);
    } else if (s->state == TLS_SHAKING && bytes.len > 0) {
        if (buf_append(&s->early, bytes.ptr, bytes.len) != 0) {
            stream_break(s);
        }
        s->above_low = s->above_low || buf_len(&s->early) >= STREAM_LOW;
    }
}

size_t tls_stream_backlog(struct stream *s)
{
    return buf_len(&s->early) + below_of(s)->backlog(s->below);
}

/* What is held is handed on from the tick, before anything that comes after it. */
void tls_stream_pause(struct stream *s, bool paused)
{
    s->paused = paused;
    if (s->ssl == NULL) {
        below_of(s)->pause(s->below, paused);
    } else if (s->state == TLS_OPEN && !s->busy) {
        if (paused) {
            pause_below(s, true);
        } else if (buf_len(&s->held) > 0 || SSL_has_pending(s->ssl)) {
            make_due(s);
        } else {
            pause_below(s, false);
        }
    }
}

void tls_stream_continue(struct stream *s)
{
    struct buf held = s->held;

    list_del(&s->due);
    if (s->state == TLS_BROKEN) {
        on_ended(s, true);
    } else if (s->state == TLS_SHAKING || (s->state == TLS_OPEN && !s->paused)) {
        buf_init(&s->held, LIMIT_TLS_HELD);
        take_input(s, buf_slice(&held)); /* s may be gone now */
        buf_close(&held);
    }
}

/* ---- the end ---- */

void tls_stream_close(struct stream *s, bool abort)
{
    CHECK(!s->closed);
    if (!abort && s->ssl != NULL && s->usable) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
        flush_output(s);
    }
    below_of(s)->close(s->below, abort);
    s->closed = true;
    list_del(&s->due);
    if (!s->busy) {
        stream_free(s);
    }
}

/* ---- who is there ---- */

const char *tls_stream_peer_address(struct stream *s)
{
    return below_of(s)->peer_address(s->below);
}

const char *tls_stream_peer_name(struct stream *s)
{
    return s->name;
}

bool tls_stream_peer_is(struct stream *s, const char *host)
{
    X509 *cert = s->ssl != NULL ? SSL_get0_peer_certificate(s->ssl) : NULL;

    return s->ssl == NULL || (cert != NULL && tls_cert_is_for(cert, host));
}

const char *tls_stream_trouble(struct stream *s)
{
    return s->why;
}

struct stream *tls_stream_of(struct list *due)
{
    return container_of(due, struct stream, due);
}
