/* Leader election: waits to be elected, leads for a while, resigns. Whoever is the leader
 * writes with its fence, so that a leader that was paused and replaced cannot.
 *
 *   leader ENDPOINTS ELECTION MY-NAME SECONDS */
#include <kvd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    fprintf(stderr, "leader: not the leader any more: %s\n", why->text);
    _exit(3); /* stop leading at once */
}

static void on_leader(void *owner, struct kvd_observer *observer,
                      const struct kvd_kv *leader, const struct kvd_error *error)
{
    (void)owner;
    (void)observer;
    if (leader != NULL) {
        printf("leader is %.*s\n", (int)leader->value.len,
               (const char *)leader->value.ptr);
    } else {
        printf("observing ended: %s\n", error->text);
    }
    fflush(stdout);
}

/* A put that only the present leader can do. */
static int lead(struct kvd_client *client, struct kvd_candidate *me, const char *name,
                struct kvd_error *err)
{
    struct kvd_put_options put = {0};
    int rc;

    put.fence = kvd_candidate_fence(me);
    rc = kvd_put(client, kvd_str("led-by"), kvd_str(name), &put, NULL, err);
    if (rc == 0) {
        printf("%s leads, token %lld\n", name, (long long)put.fence.token);
        fflush(stdout);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct kvd_options options = {0};
    struct kvd_campaign_options campaign = {.ttl_s = 5, .lost = on_lost};
    struct kvd_client *client = NULL;
    struct kvd_observer *observer = NULL;
    struct kvd_candidate *me = NULL;
    struct kvd_error err;
    int rc;

    if (argc != 5) {
        fprintf(stderr, "usage: leader ENDPOINTS ELECTION MY-NAME SECONDS\n");
        return 2;
    }
    options.endpoints = argv[1];
    rc = kvd_open(&options, &client, &err);
    if (rc == 0) {
        rc = kvd_observe(client, kvd_str(argv[2]), on_leader, NULL, &observer, &err);
    }
    if (rc == 0) {
        rc = kvd_campaign(client, kvd_str(argv[2]), kvd_str(argv[3]), &campaign, &me,
                          &err);
    }
    if (rc == 0) {
        rc = lead(client, me, argv[3], &err);
    }
    if (rc == 0) {
        sleep((unsigned)atoi(argv[4]));
        rc = kvd_candidate_resign(me, &err);
        me = NULL;
    }
    if (rc != 0) {
        fprintf(stderr, "leader: %s\n", err.text);
    }
    kvd_candidate_resign(me, NULL);
    kvd_observer_close(observer);
    kvd_close(client);
    return rc != 0;
}
