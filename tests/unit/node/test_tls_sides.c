/* Files of TLS that change while connections are open. */
#include "node/tls_sides.h"

#include "tls_rig.h"

static void open_all(void)
{
    rig_files();
    rig.config.listen_peer.n = 0; /* one side is enough to look at */
    rig_open(NET_TLS_CLIENT);
}

static void close_all(void)
{
    rig_close();
    rig_clean();
}

TestSuite(tls_sides, .init = open_all, .fini = close_all, .timeout = 60);

static void wait_for_count(enum metric which, uint64_t n)
{
    volatile uint64_t *counter = &rig.metrics.counters[which];

    for (int i = 0; i < 4000 && *counter < n; i++) {
        usleep(5000);
    }
    cr_assert_eq(*counter, n);
}

static void put_in_place(const struct wish *wish)
{
    struct issued made = issue(wish);

    save_cert(rig.paths[0], &made);
    save_key(rig.paths[1], &made);
    issued_free(&made);
}

static long serial_shown(SSL *ssl)
{
    return ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(ssl)));
}

static void replace_the_certificate(void)
{
    SSL_CTX *terms = rig_terms(NULL);
    int rc;
    SSL *old = rig_connect(terms, &rc);
    long serial = serial_shown(old);
    SSL *fresh;

    cr_assert(rig_talks(old));
    put_in_place(&(struct wish){.name = "m2", .by = &rig.ca, .hosts = "IP:127.0.0.1"});
    wait_for_count(METRIC_TLS_RELOADS, 1);
    fresh = rig_connect(terms, &rc);
    cr_assert_neq(serial_shown(fresh), serial);
    cr_assert(rig_talks(fresh));
    cr_assert(rig_talks(old), "the connection made before goes on");
    rig_hang_up(old);
    rig_hang_up(fresh);
    SSL_CTX_free(terms);
}

Test(tls_sides, new_files_are_for_new_connections_and_old_ones_go_on)
{
    rig_serve(replace_the_certificate);
    cr_assert(rig_logged("read certificates and keys again"));
    cr_assert_eq(rig.metrics.counters[METRIC_TLS_RELOADS_FAILED], 0);
}

static void break_the_files(void)
{
    save_text(rig.paths[0], "broken\n");
    wait_for_count(METRIC_TLS_RELOADS_FAILED, 2);
    cr_assert(rig_is_welcome(NULL));
    put_in_place(&(struct wish){.name = "m2", .by = &rig.ca, .hosts = "IP:127.0.0.1"});
    wait_for_count(METRIC_TLS_RELOADS, 1);
    cr_assert(rig_is_welcome(NULL));
}

Test(tls_sides, broken_files_change_nothing_but_the_log)
{
    int n = 0;

    rig_serve(break_the_files);
    for (int i = 0; i < rig.n_lines; i++) {
        n += strstr(rig.lines[i], "goes on with the files that were read before") != NULL;
    }
    cr_assert_eq(n, 1);
    cr_assert(rig_logged("--cert-file="));
}

static void ask_for_a_reload(void)
{
    wait_for_count(METRIC_TLS_RELOADS, 1);
}

Test(tls_sides, who_asks_has_unchanged_files_read_as_well)
{
    tls_reload(rig.tls);
    rig_serve(ask_for_a_reload);
}

Test(tls_sides, what_expires_is_shown)
{
    cr_assert_eq(rig.metrics.n_expiries, 1);
    cr_assert_str_eq(rig.metrics.expiries[0].option, "cert-file");
    cr_assert_gt(rig.metrics.expiries[0].at_s, time(NULL));
    cr_assert(!rig_logged("expires soon"));
}

static void replace_by_a_short_one(void)
{
    put_in_place(&(struct wish){
        .name = "m2", .by = &rig.ca, .hosts = "IP:127.0.0.1", .to_s = 29 * CERT_DAY});
    wait_for_count(METRIC_TLS_RELOADS, 1);
}

Test(tls_sides, what_expires_within_thirty_days_is_warned_of)
{
    rig_serve(replace_by_a_short_one);
    cr_assert(rig_logged("expires soon"));
    cr_assert(rig_logged("\"days\":28"));
}
