/* Leases by the client's own clock: when they are renewed, and when their loss is told.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "api/decode.h"
#include "cli/lib/kvd.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"
#include "script_server.h"

static struct script_server a, b;
static struct kvd_client *client;
static struct kvd_error err;
static atomic_llong lost_ms; /* 0: not told */
static atomic_int n_renewals;
static int answers; /* to so many renewals */
static int ttl_s;   /* in these answers */

static void on_lost(void *owner, const struct kvd_error *why)
{
    (void)owner;
    cr_assert_eq(why->code, KVD_LOST);
    atomic_store(&lost_ms, clock_ms());
}

static void open_client(script_cb first, script_cb second)
{
    struct kvd_options options = {.timeout_ms = 10000};
    char endpoints[60];

    script_start_heard(&a, first);
    snprintf(endpoints, sizeof(endpoints), "127.0.0.1:%d", a.port);
    if (second != NULL) {
        script_start_heard(&b, second);
        snprintf(endpoints, sizeof(endpoints), "127.0.0.1:%d,127.0.0.1:%d", a.port,
                 b.port);
    }
    options.endpoints = endpoints;
    cr_assert_eq(kvd_open(&options, &client, &err), 0);
}

static void serve(struct script_server *s, struct wire_call *call, const char *path,
                  struct slice message)
{
    (void)s;
    (void)message;
    if (strstr(path, "LeaseGrant") != NULL) {
        Etcdserverpb__LeaseGrantResponse res = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;

        res.id = 77;
        res.ttl = 2;
        script_send(call, &res.base);
        wire_finish(call, GRPC_OK, NULL);
    } else if (strstr(path, "LeaseKeepAlive") != NULL) {
        Etcdserverpb__LeaseKeepAliveResponse res =
            ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;

        if (atomic_fetch_add(&n_renewals, 1) < answers) {
            res.id = 77;
            res.ttl = ttl_s;
            script_send(call, &res.base);
        }
    } else {
        wire_finish(call, GRPC_NOT_FOUND, "etcdserver: requested lease not found");
    }
}

static struct kvd_lease *open_lease(void)
{
    struct kvd_lease_options options = {.ttl_s = 2, .lost = on_lost};
    struct kvd_lease *lease;

    cr_assert_eq(kvd_lease_open(client, &options, &lease, &err), 0, "%s", err.text);
    cr_assert_eq(kvd_lease_id(lease), 77);
    return lease;
}

static void wait_for_loss(int64_t until_ms)
{
    while (atomic_load(&lost_ms) == 0 && clock_ms() < until_ms) {
        usleep(5000);
    }
}

Test(kvd_lease, the_loss_is_told_a_margin_before_the_lease_can_have_ended)
{
    int64_t began_ms = clock_ms();
    struct kvd_lease *lease;

    open_client(serve, NULL); /* which answers no renewal */
    lease = open_lease();
    wait_for_loss(began_ms + 5000);

    /* TTL 2 s, margin a fifth of it. The grant was sent after began_ms. */
    cr_assert_geq(atomic_load(&lost_ms), began_ms + 1600);
    cr_assert_lt(atomic_load(&lost_ms), began_ms + 2000);
    cr_assert_eq(kvd_lease_left_ms(lease), 0);
    kvd_lease_close(lease, NULL);
    kvd_close(client);
    script_stop(&a);
}

Test(kvd_lease, renewals_that_are_answered_move_the_loss)
{
    int64_t began_ms = clock_ms();
    struct kvd_lease *lease;

    answers = 3;
    ttl_s = 2;
    open_client(serve, NULL);
    lease = open_lease();
    usleep(1000000);
    cr_assert_gt(kvd_lease_left_ms(lease), 800);
    wait_for_loss(began_ms + 8000);

    /* The last one that was answered was sent 3 x 2/3 s after the grant. */
    cr_assert_geq(atomic_load(&lost_ms), began_ms + 2000 + 1550);
    cr_assert_lt(atomic_load(&lost_ms), began_ms + 2000 + 2000);
    kvd_lease_close(lease, NULL);
    kvd_close(client);
    script_stop(&a);
}

Test(kvd_lease, an_answer_without_time_left_is_told_at_once)
{
    int64_t began_ms = clock_ms();
    struct kvd_lease *lease;

    answers = 100;
    ttl_s = 0;
    open_client(serve, NULL);
    lease = open_lease();
    wait_for_loss(began_ms + 5000);

    cr_assert_gt(atomic_load(&lost_ms), 0);
    cr_assert_lt(atomic_load(&lost_ms), began_ms + 1200);
    cr_assert_eq(kvd_lease_close(lease, &err), KVD_NOT_FOUND);
    kvd_close(client);
    script_stop(&a);
}

static void grant_only(struct script_server *s, struct wire_call *call, const char *path,
                       struct slice message)
{
    if (strstr(path, "LeaseGrant") != NULL) {
        serve(s, call, path, message);
    }
}

Test(kvd_lease, a_renewal_that_is_not_answered_is_asked_for_elsewhere)
{
    struct kvd_lease *lease;

    answers = 100;
    ttl_s = 2;
    open_client(grant_only, serve);
    lease = open_lease();
    usleep(3500000);

    cr_assert_eq(atomic_load(&lost_ms), 0);
    cr_assert_gt(kvd_lease_left_ms(lease), 500);
    cr_assert_gt(atomic_load(&n_renewals), 2);
    kvd_lease_close(lease, NULL);
    kvd_close(client);
    script_stop(&a);
    script_stop(&b);
}

Test(kvd_lease, nothing_is_told_after_close)
{
    struct kvd_lease *lease;

    open_client(serve, NULL);
    lease = open_lease();
    kvd_lease_close(lease, NULL);
    usleep(2200000);

    cr_assert_eq(atomic_load(&lost_ms), 0);
    kvd_close(client);
    script_stop(&a);
}
