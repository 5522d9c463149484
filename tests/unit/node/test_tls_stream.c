/* Streams with TLS, against clients that use OpenSSL on blocking sockets. */
#include "node/tls_stream.h"

#include <signal.h>

#include "tls_rig.h"

static void open_for_clients(void)
{
    rig_files();
    rig_open(NET_TLS_CLIENT);
}

static void close_all(void)
{
    rig_close();
    rig_clean();
}

TestSuite(tls_stream, .init = open_for_clients, .fini = close_all, .timeout = 60);

static void wait_for(bool (*condition)(void))
{
    for (int i = 0; i < 4000 && !condition(); i++) {
        usleep(5000);
    }
    cr_assert(condition());
}

static bool first_has_ended(void)
{
    return rig.echoes[0].n_ended == 1;
}

/* ---- bytes ---- */

#define MUCH (3 * MIB)

static int version;

static void send_much_and_hear_it(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    uint8_t *bytes = mem_alloc(MUCH);
    uint8_t *heard = mem_zero(MUCH);
    size_t done = 0;
    SSL *ssl;
    int rc;

    SSL_CTX_set_min_proto_version(terms, version);
    SSL_CTX_set_max_proto_version(terms, version);
    ssl = rig_connect(terms, &rc);
    cr_assert_eq(rc, 1);
    for (size_t i = 0; i < MUCH; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 1000);
    }
    cr_assert_eq(SSL_write(ssl, bytes, MUCH), (int)MUCH);
    while (done < MUCH) {
        rc = SSL_read(ssl, heard + done, (int)(MUCH - done));
        cr_assert_gt(rc, 0);
        done += (size_t)rc;
    }
    cr_assert_eq(memcmp(bytes, heard, MUCH), 0);
    free(bytes);
    free(heard);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, what_is_written_comes_back)
{
    version = TLS1_3_VERSION;
    rig_serve(send_much_and_hear_it);
    version = TLS1_2_VERSION;
    rig_serve(send_much_and_hear_it);

    cr_assert_eq(rig.echoes[0].n_received, MUCH);
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_HANDSHAKES], 2);
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_FAILURES], 0);
}

static void hear_the_greeting(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    char heard[5];
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert_eq(SSL_read(ssl, heard, 5), 5);
    cr_assert_eq(memcmp(heard, "hello", 5), 0);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, what_is_written_before_the_handshake_is_sent_after_it)
{
    rig.greets = true;
    rig_serve(hear_the_greeting);
}

/* ---- pauses ---- */

static bool resume_now;

static void pause_or_resume(void)
{
    struct echo *echo = &rig.echoes[0];

    if (echo->stream != NULL && !resume_now && echo->n_received > 0) {
        rig_net()->ops->pause(echo->stream, true);
    } else if (echo->stream != NULL && resume_now) {
        rig_net()->ops->pause(echo->stream, false);
    }
}

static void *write_much(void *ssl)
{
    uint8_t *bytes = mem_zero(MUCH);

    cr_assert_eq(SSL_write(ssl, bytes, MUCH), (int)MUCH);
    free(bytes);
    return NULL;
}

static bool all_has_come(void)
{
    return rig.echoes[0].n_received == MUCH;
}

static void write_to_one_who_does_not_read(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    pthread_t writer;
    size_t before;
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    pthread_create(&writer, NULL, write_much, ssl);
    usleep(200000);
    before = rig.echoes[0].n_received;
    usleep(100000);
    cr_assert_eq(rig.echoes[0].n_received, before);
    cr_assert_lt(before, MUCH);
    resume_now = true;
    pthread_join(writer, NULL);
    wait_for(all_has_come);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, a_paused_stream_hands_on_nothing_and_loses_nothing)
{
    rig.mute = true;
    rig.turn = pause_or_resume;
    rig_serve(write_to_one_who_does_not_read);
}

/* ---- ends ---- */

static void shut_down(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    char byte;
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    SSL_shutdown(ssl);
    cr_assert_eq(SSL_read(ssl, &byte, 1), 0);
    cr_assert_eq(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN, "the server says goodbye");
    wait_for(first_has_ended);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, a_goodbye_is_an_end_and_is_answered)
{
    rig_serve(shut_down);
    cr_assert(!rig.echoes[0].reset);
}

static void vanish(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
    wait_for(first_has_ended);
}

Test(tls_stream, an_end_without_a_goodbye_is_a_break)
{
    rig_serve(vanish);
    cr_assert(rig.echoes[0].reset);
}

static void be_left(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    char byte;
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    cr_assert_eq(SSL_read(ssl, &byte, 1), 0);
    cr_assert_eq(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, who_closes_inside_an_event_still_says_goodbye)
{
    rig.hangs_up = true;
    rig_serve(be_left);
    cr_assert_eq(rig.echoes[0].n_ended, 0);
}

/* ---- what is no TLS, or no good one ---- */

static char answer[1024];

static void hear_until_the_end(int fd)
{
    size_t len = 0;
    ssize_t n;

    while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0) {
        len += (size_t)n;
    }
    answer[len] = '\0';
    close(fd);
}

static void speak_http(void)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = rig_dial();

    cr_assert_gt(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), 0);
    hear_until_the_end(fd);
}

Test(tls_stream, who_speaks_http_in_clear_is_told_so)
{
    rig_serve(speak_http);

    cr_assert_not_null(strstr(answer, "HTTP/1.1 400 "), "%s", answer);
    cr_assert_not_null(strstr(answer, "this port speaks TLS"), "%s", answer);
    cr_assert(rig_logged("speaks no TLS to a port that does"));
    cr_assert_eq(rig.echoes[0].n_received, 0);
}

static void speak_nonsense(void)
{
    int fd = rig_dial();

    cr_assert_gt(send(fd, "\x80\x01\x02\x03", 4, MSG_NOSIGNAL), 0);
    hear_until_the_end(fd);
    fd = rig_dial();
    cr_assert_gt(send(fd, "\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff", 10, MSG_NOSIGNAL),
                 0);
    hear_until_the_end(fd);
}

Test(tls_stream, bytes_that_are_no_handshake_end_the_connection)
{
    rig_serve(speak_nonsense);
    cr_assert_eq(rig.echoes[0].n_ended, 1);
    cr_assert_eq(rig.echoes[1].n_ended, 1);
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_FAILURES], 2);
}

static void write_nonsense_later(void)
{
    static const uint8_t record[5 + 32] = {0x17, 0x03, 0x03, 0x00, 0x20, 'x'};
    SSL_CTX *terms = rig_terms(NULL);
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    cr_assert_eq(send(SSL_get_fd(ssl), record, sizeof(record), MSG_NOSIGNAL),
                 (ssize_t)sizeof(record));
    wait_for(first_has_ended);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, a_malformed_record_breaks_the_stream)
{
    rig_serve(write_nonsense_later);
    cr_assert(rig.echoes[0].reset);
    cr_assert(rig_logged("breaks TLS"));
}

static void speak_old_tls(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    SSL *ssl;
    int rc;

    SSL_CTX_set_security_level(terms, 0);
    SSL_CTX_set_min_proto_version(terms, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(terms, TLS1_1_VERSION);
    ssl = rig_connect(terms, &rc);
    cr_assert_neq(rc, 1);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, versions_before_1_2_are_refused)
{
    rig_serve(speak_old_tls);
    cr_assert(rig_logged("unsupported protocol"));
}

static void ask_for_new_keys_for_ever(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    for (int i = 0; i < 10000 && rig.echoes[0].n_ended == 0; i++) {
        if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
            SSL_do_handshake(ssl) != 1) {
            break;
        }
    }
    wait_for(first_has_ended);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, a_flood_of_new_keys_is_ended)
{
    signal(SIGPIPE, SIG_IGN);
    rig_serve(ask_for_new_keys_for_ever);
    cr_assert(rig_logged("new keys again and again"));
}

/* ---- protocols above ---- */

static void offer(const char *protocols, size_t len, const char *chosen)
{
    SSL_CTX *terms = rig_terms(NULL);
    const unsigned char *got = NULL;
    unsigned got_len = 0;
    SSL *ssl;
    int rc;

    SSL_CTX_set_alpn_protos(terms, (const unsigned char *)protocols, (unsigned)len);
    ssl = rig_connect(terms, &rc);
    SSL_get0_alpn_selected(ssl, &got, &got_len);
    cr_assert_eq(rc == 1, chosen != NULL);
    if (chosen != NULL) {
        cr_assert_eq(got_len, strlen(chosen));
        cr_assert_eq(memcmp(got, chosen, got_len), 0);
        cr_assert(rig_talks(ssl));
    }
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

static void offer_protocols(void)
{
    offer("\x02h2", 3, "h2");
    offer("\x08grpc-exp\x02h2", 12, "h2");
    offer("\x02h2\x08http/1.1", 12, "http/1.1");
    offer("\x04smtp", 5, NULL);
    cr_assert(rig_is_welcome(NULL), "without an offer");
}

Test(tls_stream, clients_of_grpc_get_h2_and_who_wants_pages_gets_http_1)
{
    rig_serve(offer_protocols);
    cr_assert(rig_logged("no application protocol"));
}

/* ---- many at once, and again ---- */

static void *connect_one(void *welcome)
{
    *(bool *)welcome = rig_is_welcome(NULL);
    return NULL;
}

static void connect_many(void)
{
    pthread_t threads[3 * LIMIT_TLS_SHAKES];
    bool welcome[3 * LIMIT_TLS_SHAKES];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_create(&threads[i], NULL, connect_one, &welcome[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        cr_assert(welcome[i]);
    }
}

Test(tls_stream, more_handshakes_than_a_turn_takes_are_all_made)
{
    rig_serve(connect_many);
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_HANDSHAKES], 3 * LIMIT_TLS_SHAKES);
}

static void come_back(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    SSL_SESSION *session;
    int rc;
    SSL *ssl = rig_connect(terms, &rc);

    cr_assert(rig_talks(ssl));
    session = SSL_get1_session(ssl);
    SSL_shutdown(ssl);
    rig_hang_up(ssl);
    ssl = SSL_new(terms);
    SSL_set_fd(ssl, rig_dial());
    SSL_set_session(ssl, session);
    cr_assert_eq(SSL_connect(ssl), 1);
    cr_assert(SSL_session_reused(ssl));
    cr_assert(rig_talks(ssl));
    SSL_SESSION_free(session);
    SSL_CTX_free(terms);
    rig_hang_up(ssl);
}

Test(tls_stream, who_comes_back_goes_on_with_the_session)
{
    rig_serve(come_back);
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_RESUMED], 1);
}

/* ---- certificates of clients ---- */

static struct issued shown;
static bool welcome;

static void show_certificate(void)
{
    welcome = rig_is_welcome(shown.cert != NULL ? &shown : NULL);
}

/* The server of these demands certificates. */
static void open_for_certificates(void)
{
    rig_files();
    rig.config.client_tls.trusted_ca_file = rig.paths[2];
    rig_open(NET_TLS_CLIENT);
}

TestSuite(tls_client_cert, .init = open_for_certificates, .fini = close_all,
          .timeout = 60);

static void refuses(const struct wish *wish, const char *reason)
{
    shown = wish != NULL ? issue(wish) : (struct issued){0};
    rig.n_lines = 0;
    rig_serve(show_certificate);
    cr_assert(!welcome);
    cr_assert(rig_logged(reason), "%s", rig.lines[0]);
    cr_assert_eq(rig.echoes[rig.n_echoes - 1].n_received, 0);
    issued_free(&shown);
}

Test(tls_client_cert, its_common_name_is_the_name_of_the_other_side)
{
    shown =
        issue(&(struct wish){.name = "root", .by = &rig.ca, .purposes = "clientAuth"});
    rig_serve(show_certificate);
    cr_assert(welcome);
    cr_assert_str_eq(rig.echoes[0].name, "root");
    cr_assert(!rig.echoes[0].is_localhost);
    issued_free(&shown);
}

Test(tls_client_cert, hosts_are_its_alternative_names_only)
{
    shown = issue(&(struct wish){
        .name = "localhost", .by = &rig.ca, .hosts = "DNS:elsewhere", .purposes = NULL});
    rig_serve(show_certificate);
    cr_assert(welcome && !rig.echoes[0].is_localhost);
    issued_free(&shown);
    shown = issue(&(struct wish){.by = &rig.ca, .hosts = "DNS:localhost"});
    rig_serve(show_certificate);
    cr_assert(welcome && rig.echoes[1].is_localhost);
    cr_assert_str_eq(rig.echoes[1].name, "");
    issued_free(&shown);
}

Test(tls_client_cert, wrong_ones_are_refused_with_a_reason)
{
    struct issued stranger = issue(&(struct wish){.name = "another authority"});

    refuses(NULL, "did not return a certificate");
    refuses(&(struct wish){.name = "a", .by = &rig.ca, .from_s = -9, .to_s = -5},
            "certificate has expired");
    refuses(&(struct wish){.name = "a", .by = &rig.ca, .from_s = CERT_DAY},
            "certificate is not yet valid");
    refuses(&(struct wish){.name = "a", .by = &stranger}, "unable to get");
    refuses(&(struct wish){.name = "a", .by = &rig.ca, .purposes = "serverAuth"},
            "unsuitable certificate purpose");
    refuses(&(struct wish){.name = "a"}, "self-signed certificate");
    issued_free(&stranger);
}

/* ---- revoked ---- */

static void close_no_more(void)
{
    rig_clean();
}

TestSuite(tls_crl, .init = rig_files, .fini = close_no_more, .timeout = 60);

static void revokes(long next_s)
{
    struct issued bad = issue(&(struct wish){.name = "bad", .by = &rig.ca});
    struct issued good = issue(&(struct wish){.name = "good", .by = &rig.ca});

    save_crl(rig.paths[3], crl_of(&rig.ca, bad.cert, next_s));
    rig.config.client_tls.trusted_ca_file = rig.paths[2];
    rig.config.client_tls.crl_file = rig.paths[3];
    rig_open(NET_TLS_CLIENT);
    shown = bad;
    rig_serve(show_certificate);
    cr_assert(!welcome);
    cr_assert(rig_logged("certificate revoked"));
    shown = good;
    rig_serve(show_certificate);
    cr_assert(welcome);
    rig_close();
    issued_free(&bad);
    issued_free(&good);
}

Test(tls_crl, a_revoked_certificate_is_refused)
{
    revokes(CERT_DAY);
}

Test(tls_crl, a_list_that_is_out_of_date_still_counts)
{
    revokes(-60);
    cr_assert(rig_logged("has expired; renew it"));
}

/* ---- dialling ---- */

static void open_for_members(void)
{
    rig_files();
    rig_open(NET_TLS_PEER);
}

TestSuite(tls_dial, .init = open_for_members, .fini = close_all, .timeout = 60);

static struct {
    struct stream *stream;
    const char *address;
    int n_opened;
    int rc;
    bool refused;
    char heard[8];
    char trouble[128];
} dialled;

static void dial_opened(void *owner, int rc, bool refused)
{
    const char *why = net_trouble(rig_net(), dialled.stream);

    dialled.n_opened++;
    dialled.rc = rc;
    dialled.refused = refused;
    snprintf(dialled.trouble, sizeof(dialled.trouble), "%s", why != NULL ? why : "");
    if (rc == 0) {
        rig_net()->ops->write(dialled.stream, slice_str("hello"));
    } else {
        rig_net()->ops->close(dialled.stream, true);
        dialled.stream = NULL;
    }
}

static void dial_received(void *owner, struct slice bytes)
{
    cr_assert_lt(bytes.len, sizeof(dialled.heard));
    memcpy(dialled.heard, bytes.ptr, bytes.len);
}

static void dial_ended(void *owner, bool reset)
{
    rig_net()->ops->close(dialled.stream, true);
    dialled.stream = NULL;
}

static void dial_once(void)
{
    static const struct stream_events events = {
        .opened = dial_opened, .received = dial_received, .ended = dial_ended};

    if (dialled.stream == NULL && dialled.n_opened == 0) {
        dialled.stream = rig_net()->ops->connect(rig_net(), dialled.address, NET_TLS_PEER,
                                                 &events, NULL);
    }
}

static bool dial_is_over(void)
{
    return dialled.n_opened == 1 && (dialled.rc != 0 || dialled.heard[0] != '\0');
}

static void wait_for_the_dial(void)
{
    wait_for(dial_is_over);
}

static void dial(const char *address)
{
    dialled.address = address;
    rig.turn = dial_once;
    rig_serve(wait_for_the_dial);
    if (dialled.stream != NULL) {
        rig_net()->ops->close(dialled.stream, false);
    }
}

Test(tls_dial, members_show_each_other_their_certificates)
{
    dial(rig.address);
    cr_assert_eq(dialled.rc, 0);
    cr_assert_str_eq(dialled.heard, "hello");
    cr_assert_str_eq(rig.echoes[0].name, "m1");
    cr_assert(rig.echoes[0].is_localhost);
}

Test(tls_dial, a_name_is_checked_as_an_address_is)
{
    char by_name[64];

    snprintf(by_name, sizeof(by_name), "localhost:%u", ntohs(rig.at.sin_port));
    dial(by_name);
    cr_assert_eq(dialled.rc, 0);
}

Test(tls_dial, a_certificate_for_another_host_is_not_opened)
{
    char other[64];

    snprintf(other, sizeof(other), "127.0.0.2:%u", ntohs(rig.at.sin_port));
    rig_net()->ops->unlisten(rig.listener);
    cr_assert_eq(rig_net()->ops->listen(rig_net(), other, NET_TLS_PEER, rig_accept, NULL,
                                        &rig.listener, NULL),
                 0);
    dial(other);
    cr_assert_eq(dialled.rc, ERR_NETWORK);
    cr_assert(!dialled.refused);
    cr_assert_str_eq(dialled.trouble, "IP address mismatch");
    cr_assert_eq(rig.echoes[0].n_received, 0);
}

Test(tls_dial, a_refused_connection_is_told_as_one)
{
    dial("127.0.0.1:1");
    cr_assert_eq(dialled.rc, ERR_NETWORK);
    cr_assert(dialled.refused);
}

Test(tls_dial, a_port_without_tls_is_not_opened)
{
    rig_net()->ops->unlisten(rig.listener);
    cr_assert_eq(rig_net()->ops->listen(rig_net(), rig.address, NET_PLAIN, rig_accept,
                                        NULL, &rig.listener, NULL),
                 0);
    dial(rig.address);
    cr_assert_eq(dialled.rc, ERR_NETWORK);
    cr_assert_str_neq(dialled.trouble, "");
}
