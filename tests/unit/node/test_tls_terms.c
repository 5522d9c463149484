/* What files of TLS are of use, and what is said about those that are not. */
#include "node/tls_terms.h"

#include "tls_rig.h"

TestSuite(tls_terms, .init = rig_files, .fini = rig_clean);

static struct tls_terms terms;
static struct err err;

static void taken(enum net_security side)
{
    cr_assert_eq(tls_terms_load(&terms, &rig.config, side, &err), 0, "%s", err.text);
}

/* The sentence names the option, the file, and this. */
static void refused(enum net_security side, const char *option, const char *path,
                    const char *what)
{
    cr_assert_lt(tls_terms_load(&terms, &rig.config, side, &err), 0);
    cr_assert_not_null(strstr(err.text, option), "%s", err.text);
    cr_assert_not_null(strstr(err.text, path), "%s", err.text);
    cr_assert_not_null(strstr(err.text, what), "%s", err.text);
    cr_assert_null(terms.accepting);
}

/* Puts a certificate with its key in place of the member's own. */
static void show(const struct wish *wish)
{
    struct issued made = issue(wish);

    save_cert(rig.paths[0], &made);
    save_key(rig.paths[1], &made);
    issued_free(&made);
}

Test(tls_terms, good_files_make_contexts_and_say_when_they_expire)
{
    taken(NET_TLS_CLIENT);
    cr_assert_not_null(terms.accepting);
    cr_assert_null(terms.dialling);
    cr_assert_eq(terms.n_expiries, 1);
    cr_assert_str_eq(terms.expiries[0].option, "cert-file");
    cr_assert_gt(terms.expiries[0].at_s, time(NULL) + 99 * CERT_DAY);
    cr_assert_lt(terms.expiries[0].at_s, time(NULL) + 101 * CERT_DAY);
    tls_terms_close(&terms);

    taken(NET_TLS_PEER);
    cr_assert_not_null(terms.dialling);
    cr_assert_eq(terms.n_expiries, 2);
    cr_assert_str_eq(terms.expiries[1].option, "peer-trusted-ca-file");
    tls_terms_close(&terms);
    tls_terms_close(&terms);
}

Test(tls_terms, missing_files_are_named)
{
    unlink(rig.paths[1]);
    refused(NET_TLS_CLIENT, "--key-file", rig.paths[1], "No such file");
    unlink(rig.paths[2]);
    rig.config.peer_tls.key_file = rig.folder;
    refused(NET_TLS_PEER, "--peer-key-file", rig.folder, "is no file");
    unlink(rig.paths[0]);
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "No such file");
}

Test(tls_terms, files_that_hold_something_else_are_named)
{
    save_text(rig.paths[0], "");
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "no certificate in PEM form");
    save_text(rig.paths[0],
              "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "damaged");
    show(&(struct wish){.name = "m", .by = &rig.ca, .hosts = "IP:127.0.0.1"});
    save_text(rig.paths[1], "no key\n");
    refused(NET_TLS_CLIENT, "--key-file", rig.paths[1], "no private key in PEM form");
}

Test(tls_terms, a_key_with_a_passphrase_is_refused_without_asking)
{
    FILE *file = open_pem(rig.paths[1]);
    EVP_PKEY *key = EVP_EC_gen("P-256");

    cr_assert_eq(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (unsigned char *)"x",
                                      1, NULL, NULL),
                 1);
    fclose(file);
    EVP_PKEY_free(key);
    refused(NET_TLS_CLIENT, "--key-file", rig.paths[1], "passphrase");
}

Test(tls_terms, a_key_of_another_certificate_is_refused)
{
    save_key(rig.paths[1], &rig.ca);
    refused(NET_TLS_CLIENT, "--key-file", rig.paths[1], "does not belong to");
}

Test(tls_terms, certificates_out_of_their_time_are_refused)
{
    show(&(struct wish){.by = &rig.ca, .from_s = -9 * CERT_DAY, .to_s = -5});
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "expired on");
    show(&(struct wish){.by = &rig.ca, .from_s = CERT_DAY});
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "not valid before");
}

Test(tls_terms, certificates_for_another_purpose_are_refused)
{
    show(
        &(struct wish){.by = &rig.ca, .hosts = "IP:127.0.0.1", .purposes = "clientAuth"});
    refused(NET_TLS_CLIENT, "--cert-file", rig.paths[0], "lacks serverAuth");
    show(
        &(struct wish){.by = &rig.ca, .hosts = "IP:127.0.0.1", .purposes = "serverAuth"});
    taken(NET_TLS_CLIENT);
    tls_terms_close(&terms);
    refused(NET_TLS_PEER, "--peer-cert-file", rig.paths[0], "lacks clientAuth");
}

Test(tls_terms, a_members_certificate_must_be_for_where_it_is_found)
{
    static char good[] = "127.0.0.1:2380";
    static char bad[] = "node7:2380";
    struct config_urls *urls = &rig.config.advertise_peer;

    urls->n = 1;
    urls->items[0] = (struct config_url){.address = good, .tls = true};
    taken(NET_TLS_PEER);
    tls_terms_close(&terms);
    urls->items[0].address = bad;
    refused(NET_TLS_PEER, "--peer-cert-file", rig.paths[0], "not made out for node7");
}

Test(tls_terms, revocation_lists_are_read)
{
    rig.config.peer_tls.crl_file = rig.paths[3];
    save_text(rig.paths[3], "");
    refused(NET_TLS_PEER, "--peer-crl-file", rig.paths[3], "no certificate revocation");
    save_crl(rig.paths[3], crl_of(&rig.ca, rig.ca.cert, CERT_DAY));
    taken(NET_TLS_PEER);
    cr_assert_eq(terms.n_expiries, 3);
    tls_terms_close(&terms);
}
