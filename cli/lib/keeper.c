/* Happy path: a third of the TTL is over, a request goes out, the answer comes and moves
 * the moment of loss. While a renewal is unanswered no other is sent for that lease, so
 * an answer belongs to the last request. What can fail: the stream is lost, or an answer
 * does not come: the next endpoint is asked, until the timer of the loss is due. An
 * answer that says TTL 0 is the end. */
#include "cli/lib/keeper.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/decode.h"
#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/feed.h"
#include "cli/lib/socket.h"
#include "rpc.pb-c.h"

#define RENEWALS_PER_TTL 3
#define TRIES_PER_TTL    6 /* an answer that takes longer is asked for elsewhere */

struct keeper {
    struct client *client;
    pthread_mutex_t lock;
    struct list leases; /* the I/O thread's, as what follows */
    struct feed feed;
    bool feeding;
};

struct keeper *keeper_new(struct client *client)
{
    struct keeper *keeper = mem_zero(sizeof(*keeper));

    keeper->client = client;
    list_init(&keeper->leases);
    pthread_mutex_init(&keeper->lock, NULL);
    return keeper;
}

void keeper_free(struct keeper *keeper)
{
    CHECK(list_empty(&keeper->leases) && !keeper->feeding);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

/* ---- one lease ---- */

static void forget(struct kept *kept)
{
    io_clear_timer(&kept->renew);
    io_clear_timer(&kept->overdue);
    io_clear_timer(&kept->loss);
    list_del(&kept->link);
}

static void stop_when_empty(struct keeper *keeper)
{
    if (list_empty(&keeper->leases) && keeper->feeding) {
        keeper->feeding = false;
        feed_stop(&keeper->feed);
    }
}

static void lose(struct kept *kept, const struct err *why)
{
    struct keeper *keeper = kept->keeper;

    forget(kept);
    pthread_mutex_lock(&keeper->lock);
    kept->is_lost = true;
    pthread_mutex_unlock(&keeper->lock);
    kept->lost(kept, why);
    stop_when_empty(keeper);
}

static void on_loss_due(struct io_task *task)
{
    struct kept *kept = container_of(task, struct kept, loss);
    struct err why;

    err_set(&why, ERR_TIMEOUT,
            "lease %llx could not be kept alive: no server renewed it in time",
            (unsigned long long)kept->id);
    lose(kept, &why);
}

/* The lease was renewed by what was sent then. */
static void renewed(struct kept *kept, int64_t ttl_ms, int64_t sent_ms)
{
    struct io *io = client_io(kept->keeper->client);

    kept->ttl_ms = ttl_ms;
    kept->sent_ms = 0;
    pthread_mutex_lock(&kept->keeper->lock);
    kept->until_ms = sent_ms + ttl_ms - kept->margin_ms;
    pthread_mutex_unlock(&kept->keeper->lock);
    io_clear_timer(&kept->overdue);
    io_set_timer(io, &kept->loss, kept->until_ms);
    io_set_timer(io, &kept->renew, sent_ms + ttl_ms / RENEWALS_PER_TTL);
}

static void send_renewal(struct kept *kept)
{
    struct keeper *keeper = kept->keeper;
    Etcdserverpb__LeaseKeepAliveRequest request =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    uint8_t bytes[16];

    if (!feed_is_open(&keeper->feed) || kept->sent_ms != 0) {
        return; /* sent when it is open */
    }
    request.id = kept->id;
    kept->sent_ms = clock_ms();
    io_set_timer(client_io(keeper->client), &kept->overdue,
                 kept->sent_ms + kept->ttl_ms / TRIES_PER_TTL);
    feed_send(&keeper->feed, slice_of(bytes, etcdserverpb__lease_keep_alive_request__pack(
                                                 &request, bytes)));
}

static void on_renew_due(struct io_task *task)
{
    send_renewal(container_of(task, struct kept, renew));
}

static void on_overdue(struct io_task *task)
{
    struct kept *kept = container_of(task, struct kept, overdue);

    feed_move_on(&kept->keeper->feed, "a renewal is not answered");
}

/* ---- the stream ---- */

static void on_opened(struct feed *feed)
{
    struct keeper *keeper = container_of(feed, struct keeper, feed);
    int64_t now_ms = clock_ms();

    LIST_FOREACH_SAFE (at, &keeper->leases) {
        struct kept *kept = container_of(at, struct kept, link);

        if (!kept->renew.waiting || kept->renew.due_ms <= now_ms) {
            send_renewal(kept);
        }
    }
}

static struct kept *find(const struct keeper *keeper, int64_t id)
{
    LIST_FOREACH (at, &keeper->leases) {
        struct kept *kept = container_of(at, struct kept, link);

        if (kept->id == id) {
            return kept;
        }
    }
    return NULL;
}

static void answered(struct keeper *keeper,
                     const Etcdserverpb__LeaseKeepAliveResponse *res)
{
    struct kept *kept = find(keeper, res->id);
    struct err why;

    if (kept == NULL || kept->sent_ms == 0) {
        return; /* it was removed meanwhile */
    }
    if (res->ttl > 0) {
        renewed(kept, res->ttl * 1000, kept->sent_ms);
        return;
    }
    err_set(&why, ERR_NOT_FOUND, "lease %llx has ended or was revoked",
            (unsigned long long)kept->id);
    lose(kept, &why);
}

static void on_message(struct feed *feed, struct slice bytes)
{
    struct keeper *keeper = container_of(feed, struct keeper, feed);
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    const Etcdserverpb__LeaseKeepAliveResponse *res =
        (const Etcdserverpb__LeaseKeepAliveResponse *)api_decode_own(
            &etcdserverpb__lease_keep_alive_response__descriptor, bytes, &arena, NULL);

    if (res == NULL) {
        feed_move_on(feed, "a response that makes no sense");
    } else {
        answered(keeper, res);
    }
    arena_close(&arena);
}

/* What was asked there is asked again elsewhere. */
static void on_lost(struct feed *feed, const struct err *why)
{
    struct keeper *keeper = container_of(feed, struct keeper, feed);

    (void)why;
    LIST_FOREACH (at, &keeper->leases) {
        struct kept *kept = container_of(at, struct kept, link);

        kept->sent_ms = 0;
        io_clear_timer(&kept->overdue);
    }
}

static void on_refused(struct feed *feed, int grpc_code, const struct err *why)
{
    struct keeper *keeper = container_of(feed, struct keeper, feed);

    (void)grpc_code;
    keeper->feeding = false;
    while (!list_empty(&keeper->leases)) {
        lose(container_of(keeper->leases.next, struct kept, link), why);
    }
}

static void begin_feed(struct keeper *keeper)
{
    static const struct feed_events events = {on_opened, on_message, on_lost, on_refused};

    if (!keeper->feeding) {
        keeper->feeding = true;
        feed_start(&keeper->feed, client_io(keeper->client),
                   "/etcdserverpb.Lease/LeaseKeepAlive", "LeaseKeepAlive", &events);
    }
}

/* ---- from any thread ---- */

struct addition {
    struct kept *kept;
    int64_t ttl_ms;
    int64_t sent_ms;
};

static void add(void *arg)
{
    struct addition *addition = arg;
    struct kept *kept = addition->kept;

    list_add_tail(&kept->keeper->leases, &kept->link);
    renewed(kept, addition->ttl_ms, addition->sent_ms);
    begin_feed(kept->keeper);
}

void keeper_add(struct keeper *keeper, struct kept *kept, int64_t ttl_ms, int64_t sent_ms)
{
    struct addition addition = {kept, ttl_ms, sent_ms};

    kept->keeper = keeper;
    kept->renew = (struct io_task){.run = on_renew_due};
    kept->overdue = (struct io_task){.run = on_overdue};
    kept->loss = (struct io_task){.run = on_loss_due};
    kept->sent_ms = 0;
    kept->is_lost = false;
    io_run(client_io(keeper->client), add, &addition);
}

static void removed(void *arg)
{
    struct kept *kept = arg;

    if (!kept->is_lost) {
        forget(kept);
        stop_when_empty(kept->keeper);
    }
}

void keeper_remove(struct kept *kept)
{
    io_run(client_io(kept->keeper->client), removed, kept);
}

int64_t keeper_left_ms(struct kept *kept)
{
    int64_t left_ms;

    pthread_mutex_lock(&kept->keeper->lock);
    left_ms = kept->is_lost ? 0 : kept->until_ms - clock_ms();
    pthread_mutex_unlock(&kept->keeper->lock);
    return left_ms > 0 ? left_ms : 0;
}
