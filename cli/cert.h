/* Certificates of a small authority: the CA of one cluster, its members and its clients.
 * ECDSA over P-256, signed with SHA-256; what verifies TLS knows no more than X.509. */
#ifndef KVD_CLI_CERT_H
#define KVD_CLI_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* A certificate and its private key. */
struct cert;

enum cert_use {
    CERT_CA,     /* signs the others, and nothing below them */
    CERT_MEMBER, /* of a server, which is a client of the other members */
    CERT_CLIENT,
};

struct cert_order {
    enum cert_use use;
    const char *name;         /* common name of the subject */
    const char *const *hosts; /* names and addresses that it is for; checked */
    size_t n_hosts;
    int64_t from_s; /* Unix time */
    int64_t until_s;
};

/* A host that a certificate can be for: an address, or a name, perhaps with *. in front.
 */
bool cert_host_valid(const char *host);

/* ca NULL: signed by itself. ERR_IO: OpenSSL could not. */
int cert_make(const struct cert_order *order, const struct cert *ca, struct cert **out,
              struct err *err);

/* From PEM. ERR_INVALID: it is none, or the key is another's. */
int cert_parse(struct slice cert_pem, struct slice key_pem, struct cert **out,
               struct err *err);
void cert_free(struct cert *cert);

bool cert_is_ca(const struct cert *cert);
int64_t cert_until_s(const struct cert *cert);

/* As PEM, into a text that the caller frees with cert_text_free, which forgets keys. */
char *cert_text(const struct cert *cert);
char *cert_key_text(const struct cert *cert);
void cert_text_free(char *text);

#endif
