/* The client over TLS: it believes the right server, refuses every other one with a
 * sentence that says why, and never waits longer than it may. */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <signal.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cert_dir.h"
#include "cli/lib/client.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"
#include "script_server.h"
#include "tests/unit/cli/folder_rig.h"

#define DAY_S       86400
#define DIAL_MS     400
#define VALUE_BYTES (3 * MIB) /* some two hundred records of TLS */

static struct arena arena;
static struct err err;
static struct script_server server;
static struct cert *ca, *other_ca;

/* ---- certificates ---- */

static struct cert *made(struct cert_order order, const struct cert *by)
{
    struct cert *cert;

    order.from_s += time(NULL);
    order.until_s += time(NULL);
    cr_assert_eq(cert_make(&order, by, &cert, &err), 0, "%s", err.text);
    return cert;
}

/* Writes the files of a certificate into the rig's folder. */
static void keep(const char *name, const struct cert *cert)
{
    struct cert_dir dir;

    cr_assert_eq(cert_dir_open(&dir, rig_folder, false, &err), 0, "%s", err.text);
    cr_assert_eq(cert_dir_add(&dir, name, cert, &err), 0, "%s", err.text);
    cert_dir_close(&dir, true);
}

static void keep_client(const char *name, const struct cert *by)
{
    struct cert *cert = made(
        (struct cert_order){
            .use = CERT_CLIENT, .name = name, .from_s = -DAY_S, .until_s = DAY_S},
        by);

    keep(name, cert);
    cert_free(cert);
}

/* The path of a file; lives as long as the test. */
static const char *file(const char *name)
{
    const char *path = rig_path(name);

    return (const char *)arena_dup(&arena, slice_of(path, strlen(path) + 1)).ptr;
}

static void start(void)
{
    static const struct cert_order order = {
        .use = CERT_CA, .name = "test CA", .from_s = -DAY_S, .until_s = 10 * DAY_S};

    signal(SIGPIPE, SIG_IGN); /* of the server's thread */
    rig_start();
    arena_init(&arena, 64 * MIB);
    err = (struct err){0};
    ca = made(order, NULL);
    other_ca = made(order, NULL);
    keep("ca", ca);
    keep("other", other_ca);
    keep_client("alice", ca);
    keep_client("mallory", other_ca);
}

static void stop(void)
{
    cert_free(ca);
    cert_free(other_ca);
    arena_close(&arena);
    rig_stop();
}

TestSuite(tls, .init = start, .fini = stop);

/* ---- the server ---- */

static const char *const here[] = {"localhost", "127.0.0.1"};

static const struct cert_order good = {.use = CERT_MEMBER,
                                       .name = "m1",
                                       .hosts = here,
                                       .n_hosts = 2,
                                       .from_s = -DAY_S,
                                       .until_s = DAY_S};

static int choose_h2(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                     unsigned in_len, void *unused)
{
    static const uint8_t h2[] = {2, 'h', '2'};

    (void)ssl;
    (void)unused;
    return SSL_select_next_proto((uint8_t **)out, out_len, h2, sizeof(h2), in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *context_with(const struct cert *cert)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    char *text = cert_text(cert);
    char *key_text = cert_key_text(cert);
    BIO *bio = BIO_new_mem_buf(text, -1);
    BIO *key_bio = BIO_new_mem_buf(key_text, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);

    cr_assert_eq(SSL_CTX_use_certificate(context, x509), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(context, key), 1);
    SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    EVP_PKEY_free(key);
    X509_free(x509);
    BIO_free(key_bio);
    BIO_free(bio);
    cert_text_free(key_text);
    cert_text_free(text);
    return context;
}

/* Of a server whose certificate is made by this order, signed by the CA. */
static SSL_CTX *context_of(struct cert_order order, const struct cert *by)
{
    struct cert *cert = made(order, by);
    SSL_CTX *context = context_with(cert);

    cert_free(cert);
    return context;
}

static void demand_certificates(SSL_CTX *context)
{
    cr_assert_eq(SSL_CTX_load_verify_locations(context, rig_path("ca.crt"), NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* ---- the client ---- */

static int open_client(const char *scheme, const char *host,
                       const struct tls_options *options, struct client **out)
{
    struct endpoint ep;
    char text[64];

    snprintf(text, sizeof(text), "%s%s:%d", scheme, host, server.port);
    cr_assert_eq(endpoint_parse(text, &ep, &err), 0, "%s", err.text);
    return client_open(&(struct client_options){.endpoints = &ep,
                                                .n_endpoints = 1,
                                                .tls = *options,
                                                .dial_timeout_ms = DIAL_MS,
                                                .command_timeout_ms = 5000},
                       out, &err);
}

static int get(struct client *client, Etcdserverpb__RangeResponse **res)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;

    return client_call(client, &client_range, &request.base, &arena, res, &err);
}

/* One read through a client of its own, from https:// at this host. */
static int ask_at(const char *host, const struct tls_options *options)
{
    Etcdserverpb__RangeResponse *res;
    struct client *client;
    int rc = open_client("https://", host, options, &client);

    if (rc == 0) {
        rc = get(client, &res);
        client_close(client);
    }
    return rc;
}

static int ask(const struct tls_options *options)
{
    return ask_at("127.0.0.1", options);
}

#define TRUSTING                                                                         \
    (struct tls_options)                                                                 \
    {                                                                                    \
        .ca_file = file("ca.crt")                                                        \
    }
#define ALICE                                                                            \
    (struct tls_options)                                                                 \
    {                                                                                    \
        .ca_file = file("ca.crt"), .cert_file = file("alice.crt"),                       \
        .key_file = file("alice.key")                                                    \
    }

static void assert_refused(int rc, const char *why)
{
    cr_assert_eq(rc, ERR_NETWORK, "%d: %s", rc, err.text);
    cr_assert_not_null(strstr(err.text, "https://127.0.0.1:"), "%s", err.text);
    cr_assert_not_null(strstr(err.text, ": TLS handshake: "), "%s", err.text);
    cr_assert_not_null(strstr(err.text, why), "\"%s\" is not in: %s", why, err.text);
}

/* Asks a server with this certificate, which the client must not believe. */
static void refuse(struct cert_order order, const struct cert *by, const char *why)
{
    script_start_tls(&server, context_of(order, by), NULL);
    assert_refused(ask(&TRUSTING), why);
    cr_assert_eq(server.n_calls, 0);
    script_stop(&server);
}

/* ---- servers that are what they should be ---- */

Test(tls, a_server_of_the_ca_is_believed_by_name_and_by_address)
{
    script_start_tls(&server, context_of(good, ca), NULL);

    cr_assert_eq(ask_at("127.0.0.1", &TRUSTING), 0, "%s", err.text);
    cr_assert_eq(ask_at("localhost", &TRUSTING), 0, "%s", err.text);

    script_stop(&server);
}

Test(tls, an_endpoint_without_a_scheme_speaks_it_when_a_file_is_named)
{
    Etcdserverpb__RangeResponse *res;
    struct client *client;

    script_start_tls(&server, context_of(good, ca), NULL);
    cr_assert_eq(open_client("", "127.0.0.1", &TRUSTING, &client), 0, "%s", err.text);
    cr_assert_eq(get(client, &res), 0, "%s", err.text);
    client_close(client);

    cr_assert_eq(open_client("http://", "127.0.0.1", &TRUSTING, &client), 0);
    cr_assert_neq(get(client, &res), 0, "http:// is plain text all the same");
    client_close(client);
    script_stop(&server);
}

Test(tls, a_client_with_a_certificate_is_let_in)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *context = context_of(good, ca);

        demand_certificates(context);
        SSL_CTX_set_max_proto_version(context, version);
        script_start_tls(&server, context, NULL);
        cr_assert_eq(ask(&ALICE), 0, "%s", err.text);
        script_stop(&server);
    }
}

Test(tls, a_certificate_that_the_ca_file_holds_itself_is_believed)
{
    struct cert *alone = made(good, NULL);

    keep("alone", alone);
    script_start_tls(&server, context_with(alone), NULL);
    cr_assert_eq(ask(&(struct tls_options){.ca_file = file("alone.crt")}), 0, "%s",
                 err.text);
    script_stop(&server);
    cert_free(alone);
}

/* Answers with as many bytes as fit many records, whatever is asked. */
static void answer_large(struct script_server *s, struct wire_call *call,
                         const char *path, struct slice message)
{
    Etcdserverpb__RangeResponse res = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};

    (void)s;
    (void)path;
    (void)message;
    res.header = &header;
    res.n_kvs = 1;
    res.kvs = kvs;
    kv.value = (ProtobufCBinaryData){.len = VALUE_BYTES, .data = mem_zero(VALUE_BYTES)};
    script_send(call, &res.base);
    wire_finish(call, GRPC_OK, NULL);
    free(kv.value.data);
}

Test(tls, large_answers_arrive_whole)
{
    Etcdserverpb__RangeResponse *res;
    struct client *client;

    script_start_tls(&server, context_of(good, ca), answer_large);
    cr_assert_eq(open_client("https://", "127.0.0.1", &TRUSTING, &client), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(get(client, &res), 0, "%s", err.text);
        cr_assert_eq(res->kvs[0]->value.len, VALUE_BYTES);
    }
    client_close(client);
    script_stop(&server);
}

static void answer_put(struct script_server *s, struct wire_call *call, const char *path,
                       struct slice message)
{
    (void)s;
    (void)path;
    (void)message;
    wire_send(call, slice_of("", 0));
    wire_finish(call, GRPC_OK, NULL);
}

Test(tls, large_requests_leave_whole)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;
    struct client *client;

    request.value.len = VALUE_BYTES;
    request.value.data = mem_zero(VALUE_BYTES);
    script_start_tls(&server, context_of(good, ca), answer_put);
    cr_assert_eq(open_client("https://", "127.0.0.1", &TRUSTING, &client), 0);
    cr_assert_eq(client_call(client, &client_put, &request.base, &arena, &res, &err), 0,
                 "%s", err.text);
    client_close(client);
    script_stop(&server);
    free(request.value.data);
}

/* ---- servers that are not ---- */

Test(tls, an_expired_certificate_is_refused_with_its_date)
{
    struct cert_order order = good;

    order.from_s = -3 * DAY_S;
    order.until_s = -DAY_S;
    refuse(order, ca, "the certificate of the server (CN = m1) expired at 20");
}

Test(tls, a_certificate_of_the_future_is_refused)
{
    struct cert_order order = good;

    order.from_s = DAY_S;
    order.until_s = 2 * DAY_S;
    refuse(order, ca, "is not valid before 20");
    cr_assert_not_null(strstr(err.text, "is this machine's clock right?"));
}

Test(tls, a_certificate_of_another_ca_is_refused)
{
    refuse(good, other_ca, "unknown CA (CN = test CA), which is not in build/");
}

Test(tls, a_certificate_that_signed_itself_is_refused)
{
    refuse(good, NULL, "unknown CA (CN = m1)");
}

Test(tls, a_server_with_the_certificate_of_a_client_is_refused)
{
    struct cert_order order = good;

    order.use = CERT_CLIENT;
    refuse(order, ca, "is not one for servers");
}

Test(tls, a_certificate_for_other_hosts_is_refused_and_they_are_named)
{
    static const char *const elsewhere[] = {"kvd.example.com", "10.0.0.1", "::1"};
    struct cert_order order = good;

    order.hosts = elsewhere;
    order.n_hosts = 3;
    refuse(order, ca, "not for 127.0.0.1; it is for kvd.example.com, 10.0.0.1, ::1");
}

Test(tls, a_common_name_is_not_a_host)
{
    struct cert_order order = good;

    order.name = "127.0.0.1";
    order.n_hosts = 0;
    refuse(order, ca, "it is for no host at all");
}

Test(tls, a_server_that_is_too_old_is_refused)
{
    SSL_CTX *context = context_of(good, ca);

    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    script_start_tls(&server, context, NULL);

    assert_refused(ask(&TRUSTING), "neither TLS 1.2 nor TLS 1.3");

    script_stop(&server);
}

Test(tls, a_server_without_http2_is_refused)
{
    SSL_CTX *context = context_of(good, ca);

    SSL_CTX_set_alpn_select_cb(context, NULL, NULL);
    script_start_tls(&server, context, NULL);

    assert_refused(ask(&TRUSTING), "does not offer HTTP/2 (ALPN)");

    script_stop(&server);
}

Test(tls, whoever_asks_for_it_may_believe_every_server)
{
    static const char *const elsewhere[] = {"kvd.example.com"};
    struct cert_order order = good;

    order.hosts = elsewhere;
    order.n_hosts = 1;
    order.until_s = -1;
    script_start_tls(&server, context_of(order, other_ca), NULL);

    cr_assert_eq(ask(&(struct tls_options){.skip_verify = true}), 0, "%s", err.text);

    script_stop(&server);
}

Test(tls, a_server_in_plain_text_is_recognized)
{
    static const struct script_step steps[] = {
        {.act = SCRIPT_SAY, .text = "HTTP/1.1 400 Bad Request\r\n\r\n"},
        {.act = SCRIPT_ANSWER}};

    script_start(&server, steps, 2);
    assert_refused(ask(&TRUSTING), "does not speak TLS on this port");
    cr_assert_neq(ask(&TRUSTING), 0, "HTTP/2 in plain text");
    cr_assert_not_null(strstr(err.text, "speak TLS"), "%s", err.text);
    script_stop(&server);
}

Test(tls, a_server_that_says_nothing_is_given_up_in_time)
{
    static const struct script_step stone = {.act = SCRIPT_STONE};
    int64_t began_ms = clock_ms();

    script_start(&server, &stone, 1);
    cr_assert_eq(ask(&TRUSTING), ERR_TIMEOUT, "%s", err.text);

    cr_assert_not_null(strstr(err.text, "TLS handshake: no answer in time"));
    cr_assert_geq(clock_ms() - began_ms, DIAL_MS - 1);
    cr_assert_lt(clock_ms() - began_ms, 4 * DIAL_MS);
    script_stop(&server);
}

/* ---- clients whom servers refuse ---- */

static void be_refused(int version, const struct tls_options *options, const char *why)
{
    SSL_CTX *context = context_of(good, ca);

    demand_certificates(context);
    SSL_CTX_set_max_proto_version(context, version);
    script_start_tls(&server, context, NULL);
    assert_refused(ask(options), why);
    script_stop(&server);
}

Test(tls, a_missing_certificate_of_the_client_is_named)
{
    be_refused(TLS1_3_VERSION, &TRUSTING, "wants a certificate of the client");
    be_refused(TLS1_2_VERSION, &TRUSTING, "wants a certificate of the client");
}

Test(tls, a_certificate_of_the_client_of_another_ca_is_named)
{
    struct tls_options mallory = {.ca_file = file("ca.crt"),
                                  .cert_file = file("mallory.crt"),
                                  .key_file = file("mallory.key")};

    be_refused(TLS1_3_VERSION, &mallory, "mallory.crt");
    be_refused(TLS1_2_VERSION, &mallory, "mallory.crt");
}

Test(tls, an_expired_certificate_of_the_client_is_named)
{
    struct cert_order order = {
        .use = CERT_CLIENT, .name = "old", .from_s = -2 * DAY_S, .until_s = -DAY_S};
    struct tls_options options = {.ca_file = file("ca.crt"),
                                  .cert_file = file("old.crt"),
                                  .key_file = file("old.key")};
    struct cert *cert = made(order, ca);

    keep("old", cert);
    cert_free(cert);
    be_refused(TLS1_3_VERSION, &options, "old.crt has expired");
    be_refused(TLS1_2_VERSION, &options, "old.crt has expired");
}

/* ---- files ---- */

static void refuse_files(struct tls_options options, const char *why)
{
    struct tls *tls;

    options.ca_file = options.ca_file != NULL ? options.ca_file : file("ca.crt");
    cr_assert_eq(tls_open(&options, &tls, &err), ERR_INVALID, "%s", why);
    cr_assert_not_null(strstr(err.text, why), "\"%s\" is not in: %s", why, err.text);
}

Test(tls, files_that_cannot_be_used_are_named)
{
    static const char torn[] = "-----BEGIN CERTIFICATE-----\nMIIB\n";

    rig_write("empty", "", 0);
    rig_write("torn", torn, sizeof(torn) - 1);
    refuse_files((struct tls_options){.ca_file = file("torn")}, "cannot be read");
    refuse_files((struct tls_options){.ca_file = file("none")}, "No such file");
    refuse_files((struct tls_options){.ca_file = file("empty")}, "holds no certificate");
    refuse_files((struct tls_options){.ca_file = "/dev/zero"}, "is not a file");
    refuse_files((struct tls_options){.cert_file = file("empty")},
                 "holds no certificate");
    refuse_files((struct tls_options){.cert_file = file("alice.crt")},
                 "holds no private key, and no file of one is given");
    refuse_files((struct tls_options){.cert_file = file("alice.crt"),
                                      .key_file = file("alice.crt")},
                 "holds no private key");
    refuse_files((struct tls_options){.cert_file = file("alice.crt"),
                                      .key_file = file("mallory.key")},
                 "mallory.key does not belong to");
    refuse_files((struct tls_options){.key_file = file("alice.key")},
                 "of no use without its certificate");
}

Test(tls, a_key_with_a_password_is_not_asked_for_it)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *out = fopen(rig_path("locked.key"), "w");

    PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(), (const unsigned char *)"x", 1, NULL,
                         NULL);
    fclose(out);
    EVP_PKEY_free(key);

    refuse_files((struct tls_options){.cert_file = file("alice.crt"),
                                      .key_file = file("locked.key")},
                 "has a password");
}

/* Puts another file in the place of one. */
static void replace(const char *name, const char *by)
{
    char from[200];

    snprintf(from, sizeof(from), "%s", rig_path(by));
    cr_assert_eq(rename(from, rig_path(name)), 0);
}

Test(tls, files_that_are_replaced_serve_the_next_connection)
{
    struct tls_options options = {.ca_file = file("ca.crt"),
                                  .cert_file = file("mallory.crt"),
                                  .key_file = file("mallory.key")};
    SSL_CTX *context = context_of(good, ca);
    Etcdserverpb__RangeResponse *res;
    struct client *client;

    demand_certificates(context);
    script_start_tls(&server, context, NULL);
    cr_assert_eq(open_client("https://", "127.0.0.1", &options, &client), 0);
    cr_assert_eq(get(client, &res), ERR_NETWORK);

    replace("mallory.crt", "alice.crt");
    cr_assert_eq(get(client, &res), ERR_NETWORK, "the key is another's: nothing changes");
    replace("mallory.key", "alice.key");
    cr_assert_eq(get(client, &res), 0, "%s", err.text);

    client_close(client);
    script_stop(&server);
}
