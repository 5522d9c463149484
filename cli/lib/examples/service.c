/* A service registry: an instance registers its address under a lease that it keeps
 * alive, so that the address goes when the instance dies; then it prints who is there.
 *
 *   service ENDPOINTS SERVICE ADDRESS SECONDS */
#include <kvd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    fprintf(stderr, "service: not registered any more: %s\n", why->text);
}

/* Registers once: the key must not be there yet. */
static int add(struct kvd_client *client, const char *key, const char *address,
               int64_t lease, struct kvd_error *err)
{
    struct kvd_put_options put = {.lease = lease};
    struct kvd_txn_result *done;
    struct kvd_txn *txn = kvd_txn_new();
    int rc;

    kvd_txn_if(txn, kvd_key(key), KVD_IF_VERSION, KVD_EQUAL, 0);
    kvd_txn_put(txn, KVD_THEN, kvd_str(key), kvd_str(address), &put);
    kvd_txn_get(txn, KVD_ELSE, kvd_key(key), NULL);
    rc = kvd_txn_commit(client, txn, 0, &done, err);
    if (rc == 0) {
        if (done->succeeded) {
            printf("registered %s at revision %lld\n", key, (long long)done->revision);
        } else {
            printf("%s is taken\n", key);
            rc = 1;
        }
        kvd_txn_result_free(done);
    }
    kvd_txn_free(txn);
    return rc;
}

static int list(struct kvd_client *client, const char *prefix, struct kvd_error *err)
{
    struct kvd_result *found;
    int rc = kvd_get(client, kvd_prefix(prefix), NULL, &found, err);

    if (rc == 0) {
        for (size_t i = 0; i < found->n_kvs; i++) {
            printf("instance %.*s\n", (int)found->kvs[i].value.len,
                   (const char *)found->kvs[i].value.ptr);
        }
        kvd_result_free(found);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct kvd_options options = {0};
    struct kvd_lease_options lease_options = {.ttl_s = 5, .lost = on_lost};
    struct kvd_client *client = NULL;
    struct kvd_lease *lease = NULL;
    struct kvd_error err = {0};
    char prefix[200], key[300];
    int rc;

    if (argc != 5) {
        fprintf(stderr, "usage: service ENDPOINTS SERVICE ADDRESS SECONDS\n");
        return 2;
    }
    options.endpoints = argv[1];
    snprintf(prefix, sizeof(prefix), "services/%s/", argv[2]);
    snprintf(key, sizeof(key), "%s%s", prefix, argv[3]);
    rc = kvd_open(&options, &client, &err);
    if (rc == 0) {
        rc = kvd_lease_open(client, &lease_options, &lease, &err);
    }
    if (rc == 0) {
        rc = add(client, key, argv[3], kvd_lease_id(lease), &err);
    }
    if (rc == 0) {
        rc = list(client, prefix, &err);
    }
    if (rc == 0) {
        fflush(stdout);
        sleep((unsigned)atoi(argv[4]));
        printf("%s\n", kvd_lease_left_ms(lease) > 0 ? "still alive" : "lost");
    }
    if (rc < 0) {
        fprintf(stderr, "service: %s\n", err.text);
    }
    kvd_lease_close(lease, NULL); /* the key goes with it, at once */
    kvd_close(client);
    return rc != 0;
}
