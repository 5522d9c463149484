/* A fenced lock: takes a lock, then adds to a counter in a few steps. Each write carries
 * the lock's fence: were the lock another's already, the store would refuse it.
 *
 *   fenced ENDPOINTS LOCK KEY TIMES [MILLISECONDS]
 *
 * MILLISECONDS is how long it dawdles between reading and writing. */
#include <kvd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    fprintf(stderr, "fenced: lost the lock: %s\n", why->text);
}

static int add_one(struct kvd_client *client, const struct kvd_lock *lock,
                   const char *key, long dawdle_ms, struct kvd_error *err)
{
    struct kvd_put_options put = {0};
    struct kvd_result *found;
    char number[32] = "0";
    int rc = kvd_get(client, kvd_key(key), NULL, &found, err);

    if (rc != 0) {
        return rc;
    }
    if (found->n_kvs == 1 && found->kvs[0].value.len < sizeof(number)) {
        memcpy(number, found->kvs[0].value.ptr, found->kvs[0].value.len);
        number[found->kvs[0].value.len] = '\0';
    }
    kvd_result_free(found);
    usleep((useconds_t)dawdle_ms * 1000);
    snprintf(number, sizeof(number), "%ld", atol(number) + 1);
    put.fence = kvd_lock_fence(lock);
    return kvd_put(client, kvd_str(key), kvd_str(number), &put, NULL, err);
}

int main(int argc, char **argv)
{
    struct kvd_options options = {0};
    struct kvd_lock_options locked = {.ttl_s = 5, .lost = on_lost};
    struct kvd_client *client = NULL;
    struct kvd_lock *lock = NULL;
    struct kvd_error err;
    int rc;

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: fenced ENDPOINTS LOCK KEY TIMES [MILLISECONDS]\n");
        return 2;
    }
    options.endpoints = argv[1];
    rc = kvd_open(&options, &client, &err);
    if (rc == 0) {
        rc = kvd_lock_acquire(client, kvd_str(argv[2]), &locked, &lock, &err);
    }
    if (rc == 0) {
        printf("locked, token %lld\n", (long long)kvd_lock_token(lock));
        fflush(stdout);
    }
    for (long i = 0; rc == 0 && i < atol(argv[4]); i++) {
        rc = add_one(client, lock, argv[3], argc == 6 ? atol(argv[5]) : 0, &err);
    }
    if (rc == KVD_FENCED) {
        fprintf(stderr, "fenced: somebody else has the lock now; nothing was written\n");
    } else if (rc != 0) {
        fprintf(stderr, "fenced: %s\n", err.text);
    }
    kvd_lock_release(lock, NULL);
    kvd_close(client);
    return rc == KVD_FENCED ? 4 : rc != 0;
}
