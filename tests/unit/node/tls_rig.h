/* A loop with TLS on real sockets, an echo server on it, and clients in threads of their
 * own that use OpenSSL as everybody does. */
#ifndef KVD_TESTS_TLS_RIG_H
#define KVD_TESTS_TLS_RIG_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "certs.h"
#include "node/env_uv.h"
#include "node/tls.h"

#define RIG_LINES 64

/* One accepted stream. Written by the loop; the client's thread reads when it is done. */
struct echo {
    struct stream *stream;
    size_t n_received;
    int n_ended;
    bool reset;
    char name[64];
    bool is_localhost;
};

static struct {
    char folder[64];
    struct config config;
    char paths[8][96];
    struct issued ca;
    struct env_uv *uv;
    struct env *env;
    struct tls *tls;
    struct metrics metrics;
    struct listener *listener;
    struct sockaddr_in at;
    char address[64];
    struct echo echoes[64];
    size_t n_echoes;
    bool greets;   /* says something before it has heard anything */
    bool mute;     /* echoes nothing */
    bool hangs_up; /* after the first bytes */
    void (*turn)(void);
    volatile bool client_done;
    char lines[RIG_LINES][512];
    int n_lines;
} rig;

/* ---- the log ---- */

static inline void rig_keep_line(void *owner, const char *line)
{
    if (rig.n_lines < RIG_LINES) {
        snprintf(rig.lines[rig.n_lines++], sizeof(rig.lines[0]), "%s", line);
    }
}

static inline bool rig_logged(const char *text)
{
    for (int i = 0; i < rig.n_lines; i++) {
        if (strstr(rig.lines[i], text) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- the echo server ---- */

static inline struct net *rig_net(void)
{
    return rig.env->net;
}

static inline void rig_received(void *owner, struct slice bytes)
{
    struct echo *echo = owner;
    const char *name = rig_net()->ops->peer_name(echo->stream);

    echo->n_received += bytes.len;
    snprintf(echo->name, sizeof(echo->name), "%s", name != NULL ? name : "");
    echo->is_localhost = rig_net()->ops->peer_is(echo->stream, "localhost");
    if (!rig.mute) {
        rig_net()->ops->write(echo->stream, bytes);
    }
    if (rig.hangs_up) {
        rig_net()->ops->close(echo->stream, false);
        echo->stream = NULL;
    }
}

static inline void rig_ended(void *owner, bool reset)
{
    struct echo *echo = owner;

    echo->n_ended++;
    echo->reset = reset;
    rig_net()->ops->close(echo->stream, false);
    echo->stream = NULL;
}

static const struct stream_events rig_events = {.received = rig_received,
                                                .ended = rig_ended};

static inline void rig_accept(void *owner, struct stream *stream)
{
    struct echo *echo = &rig.echoes[rig.n_echoes++];

    echo->stream = stream;
    rig_net()->ops->attach(stream, &rig_events, echo);
    if (rig.greets) {
        rig_net()->ops->write(stream, slice_str("hello"));
    }
}

/* ---- the loop ---- */

static inline void rig_turn(void *owner)
{
    tls_tick(rig.tls, env_mono_ms(rig.env));
    if (rig.turn != NULL) {
        rig.turn();
    }
}

static inline uint64_t rig_deadline(void *owner)
{
    uint64_t soon_ms = env_mono_ms(rig.env) + 5;
    uint64_t tls_ms = tls_deadline_ms(rig.tls);

    return tls_ms < soon_ms ? tls_ms : soon_ms;
}

static inline bool rig_stopped(void *owner)
{
    return rig.client_done && tls_idle(rig.tls);
}

static inline void rig_signal(void *owner, int signal_number)
{
}

static inline void rig_reload(void *owner)
{
}

static void *rig_client(void *script)
{
    (*(void (**)(void))script)();
    rig.client_done = true;
    return NULL;
}

/* Runs the script as a client until it returns. */
static inline void rig_serve(void (*script)(void))
{
    static const struct env_uv_hooks hooks = {.turn = rig_turn,
                                              .deadline_ms = rig_deadline,
                                              .stopped = rig_stopped,
                                              .stop = rig_signal,
                                              .reload = rig_reload};
    pthread_t thread;

    rig.client_done = false;
    cr_assert_eq(pthread_create(&thread, NULL, rig_client, &script), 0);
    env_uv_run(rig.uv, &hooks, NULL);
    pthread_join(thread, NULL);
}

/* ---- files ---- */

static inline char *rig_path(int which, const char *name)
{
    snprintf(rig.paths[which], sizeof(rig.paths[0]), "%s/%s", rig.folder, name);
    return rig.paths[which];
}

/* Makes an authority and a certificate for localhost; the config names their files. */
static inline void rig_files(void)
{
    struct config_url *url = &rig.config.listen_client.items[0];
    struct issued own;

    mkdir("build", 0755);
    snprintf(rig.folder, sizeof(rig.folder), "build/test_tls.XXXXXX");
    cr_assert_not_null(mkdtemp(rig.folder));
    rig.ca = issue(&(struct wish){.name = "authority"});
    own = issue(&(struct wish){.name = "m1",
                               .by = &rig.ca,
                               .hosts = "DNS:localhost,IP:127.0.0.1",
                               .purposes = "serverAuth,clientAuth"});
    save_cert(rig_path(0, "own.crt"), &own);
    save_key(rig_path(1, "own.key"), &own);
    save_cert(rig_path(2, "ca.crt"), &rig.ca);
    rig_path(3, "crl.pem");
    issued_free(&own);
    rig.config.client_tls =
        (struct config_tls){.cert_file = rig.paths[0], .key_file = rig.paths[1]};
    rig.config.peer_tls = (struct config_tls){.cert_file = rig.paths[0],
                                              .key_file = rig.paths[1],
                                              .trusted_ca_file = rig.paths[2]};
    rig.config.tls_min = CONFIG_TLS_1_2;
    url->tls = true;
    rig.config.listen_client.n = 1;
    rig.config.listen_peer.items[0].tls = true;
    rig.config.listen_peer.n = 1;
}

static inline void rig_clean(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", rig.folder);
    cr_assert_eq(system(command), 0);
    issued_free(&rig.ca);
}

/* ---- life ---- */

static inline void rig_open(enum net_security security)
{
    socklen_t len = sizeof(rig.at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct err err;

    rig.at = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (struct sockaddr *)&rig.at, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&rig.at, &len), 0);
    close(fd);
    snprintf(rig.address, sizeof(rig.address), "127.0.0.1:%u", ntohs(rig.at.sin_port));
    log_redirect(rig_keep_line, NULL);
    cr_assert_eq(env_uv_open(&rig.uv, NULL, NULL), 0);
    rig.env = env_uv_env(rig.uv);
    cr_assert_eq(tls_open(&rig.tls, &rig.config, rig.env, &err), 0, "%s", err.text);
    rig.env->net = tls_net(rig.tls);
    tls_measure(rig.tls, &rig.metrics);
    cr_assert_eq(rig_net()->ops->listen(rig_net(), rig.address, security, rig_accept,
                                        NULL, &rig.listener, &err),
                 0, "%s", err.text);
}

static inline void rig_close(void)
{
    for (size_t i = 0; i < rig.n_echoes; i++) {
        if (rig.echoes[i].stream != NULL) {
            rig_net()->ops->close(rig.echoes[i].stream, true);
        }
    }
    rig_net()->ops->unlisten(rig.listener);
    tls_close(rig.tls);
    env_uv_close(rig.uv);
    log_redirect(NULL, NULL);
}

/* ---- clients ---- */

static inline int rig_dial(void)
{
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&rig.at, sizeof(rig.at)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

/* own: its certificate, or NULL. */
static inline SSL_CTX *rig_terms(const struct issued *own)
{
    SSL_CTX *terms = SSL_CTX_new(TLS_client_method());

    X509_STORE_add_cert(SSL_CTX_get_cert_store(terms), rig.ca.cert);
    SSL_CTX_set_verify(terms, SSL_VERIFY_PEER, NULL);
    if (own != NULL) {
        cr_assert_eq(SSL_CTX_use_certificate(terms, own->cert), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey(terms, own->key), 1);
    }
    return terms;
}

/* Connects, and agrees on keys; the result of SSL_connect goes to rc. */
static inline SSL *rig_connect(SSL_CTX *terms, int *rc)
{
    SSL *ssl = SSL_new(terms);

    SSL_set_fd(ssl, rig_dial());
    *rc = SSL_connect(ssl);
    return ssl;
}

static inline void rig_hang_up(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    ERR_clear_error();
}

/* Says a word and hears it: the other side has accepted everything. */
static inline bool rig_talks(SSL *ssl)
{
    char heard[5] = "";

    return SSL_write(ssl, "hello", 5) == 5 && SSL_read(ssl, heard, 5) == 5 &&
           memcmp(heard, "hello", 5) == 0;
}

/* A whole connection with a certificate: does the server talk with it? */
static inline bool rig_is_welcome(const struct issued *own)
{
    SSL_CTX *terms = rig_terms(own);
    int rc;
    SSL *ssl = rig_connect(terms, &rc);
    bool talks = rc == 1 && rig_talks(ssl);

    SSL_CTX_free(terms);
    if (talks) {
        SSL_shutdown(ssl);
    }
    rig_hang_up(ssl);
    return talks;
}

#endif
