/* Live configuration: keeps a copy of all keys under a prefix and prints each change.
 *
 *   config ENDPOINTS PREFIX SECONDS */
#include <kvd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print(struct kvd_bytes bytes)
{
    fwrite(bytes.ptr, 1, bytes.len, stdout);
}

/* Runs on a thread of the library: first with all that was loaded. */
static void on_change(void *owner, struct kvd_cache *cache,
                      const struct kvd_change *change)
{
    (void)owner;
    (void)cache;
    for (size_t i = 0; i < change->n_events; i++) {
        const struct kvd_event *event = &change->events[i];

        print(event->kv.key);
        if (event->deleted) {
            printf(" deleted\n");
        } else {
            printf(" = ");
            print(event->kv.value);
            printf("\n");
        }
    }
    printf("revision %lld%s\n", (long long)change->revision,
           change->loaded ? ", loaded" : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct kvd_options options = {0};
    struct kvd_cache_options cached = {.changed = on_change};
    struct kvd_client *client = NULL;
    struct kvd_cache *cache = NULL;
    struct kvd_result *all;
    struct kvd_error err;

    if (argc != 4) {
        fprintf(stderr, "usage: config ENDPOINTS PREFIX SECONDS\n");
        return 2;
    }
    options.endpoints = argv[1];
    if (kvd_open(&options, &client, &err) != 0 ||
        kvd_cache_open(client, kvd_prefix(argv[2]), &cached, &cache, &err) != 0) {
        fprintf(stderr, "config: %s\n", err.text);
        kvd_close(client);
        return 1;
    }
    sleep((unsigned)atoi(argv[3]));
    all = kvd_cache_get(cache, kvd_prefix(argv[2])); /* from memory */
    printf("%zu keys, stale for %lld ms\n", all->n_kvs,
           (long long)kvd_cache_stale_ms(cache));
    kvd_result_free(all);
    kvd_cache_close(cache);
    kvd_close(client);
    return 0;
}
