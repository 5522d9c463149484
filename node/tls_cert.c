#include "node/tls_cert.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

char *tls_cert_name(const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    char *name = NULL;
    int len;

    /* Of several names nobody could say which one was meant. */
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        return NULL;
    }
    len = ASN1_STRING_to_UTF8(&utf8,
                              X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    /* A zero byte within would make one name look like another. */
    if (len > 0 && strlen((char *)utf8) == (size_t)len) {
        name = mem_strdup((char *)utf8);
    }
    if (len >= 0) {
        OPENSSL_free(utf8);
    }
    return name;
}

unsigned tls_cert_host_flags(void)
{
    return X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
}

bool tls_cert_is_for(X509 *cert, const char *host)
{
    return X509_check_ip_asc(cert, host, 0) == 1 ||
           X509_check_host(cert, host, 0, tls_cert_host_flags(), NULL) == 1;
}

int64_t tls_cert_seconds(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MAX;
}
