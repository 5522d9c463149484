/* Observing an election: a feed of the present leader, of which the newest is told. What
 * an endpoint says that is behind the one before is passed over. */
#include <pthread.h>
#include <stdlib.h>

#include "api/decode.h"
#include "base/limits.h"
#include "cli/lib/feed.h"
#include "cli/lib/kvd_parts.h"
#include "v3election.pb-c.h"

/* A response in memory of its own. */
struct seen {
    struct arena arena;
    const V3electionpb__LeaderResponse *res;
};

struct kvd_observer {
    struct kvd_client *client;
    kvd_leader_cb cb;
    void *owner;
    uint8_t *request;
    size_t request_len;
    struct dispatch_job job;
    struct feed feed; /* the I/O thread's, as what follows */
    int64_t revision; /* of the store in the newest response */
    int64_t create_revision;
    int64_t mod_revision;
    pthread_mutex_t lock; /* guards what follows */
    struct seen *newest;  /* not told yet; NULL: none */
    struct err end;       /* code 0: not ended */
    bool told_end;
};

static void seen_free(struct seen *seen)
{
    if (seen != NULL) {
        arena_close(&seen->arena);
        free(seen);
    }
}

/* ---- on the I/O thread ---- */

static void on_opened(struct feed *feed)
{
    struct kvd_observer *observer = container_of(feed, struct kvd_observer, feed);

    feed_send_last(feed, slice_of(observer->request, observer->request_len));
}

/* False: it is what was told last, or from before. */
static bool is_news(struct kvd_observer *observer,
                    const V3electionpb__LeaderResponse *res)
{
    if (res->header->revision < observer->revision ||
        (res->kv->create_revision == observer->create_revision &&
         res->kv->mod_revision <= observer->mod_revision)) {
        return false;
    }
    observer->revision = res->header->revision;
    observer->create_revision = res->kv->create_revision;
    observer->mod_revision = res->kv->mod_revision;
    return true;
}

static void on_message(struct feed *feed, struct slice bytes)
{
    struct kvd_observer *observer = container_of(feed, struct kvd_observer, feed);
    struct seen *seen = mem_zero(sizeof(*seen));
    struct seen *old;

    arena_init(&seen->arena, LIMIT_CLIENT_ARENA);
    seen->res = (const V3electionpb__LeaderResponse *)api_decode_own(
        &v3electionpb__leader_response__descriptor, bytes, &seen->arena, NULL);
    if (seen->res == NULL || seen->res->kv == NULL || seen->res->header == NULL) {
        feed_move_on(feed, "a response that makes no sense");
    } else if (is_news(observer, seen->res)) {
        pthread_mutex_lock(&observer->lock);
        old = observer->newest;
        observer->newest = seen;
        pthread_mutex_unlock(&observer->lock);
        seen = old;
        dispatch_submit(observer->client->news, &observer->job);
    }
    seen_free(seen);
}

static void on_lost(struct feed *feed, const struct err *why)
{
    (void)feed; /* it goes on elsewhere */
    (void)why;
}

static void on_refused(struct feed *feed, int grpc_code, const struct err *why)
{
    struct kvd_observer *observer = container_of(feed, struct kvd_observer, feed);

    (void)grpc_code;
    pthread_mutex_lock(&observer->lock);
    observer->end = *why;
    pthread_mutex_unlock(&observer->lock);
    dispatch_submit(observer->client->news, &observer->job);
}

static void start(void *arg)
{
    static const struct feed_events events = {on_opened, on_message, on_lost, on_refused};
    struct kvd_observer *observer = arg;

    feed_start(&observer->feed, client_io(observer->client->inner),
               "/v3electionpb.Election/Observe", "Observe", &events);
}

static void stop(void *arg)
{
    struct kvd_observer *observer = arg;

    feed_stop(&observer->feed);
}

/* ---- callbacks ---- */

static void run_job(struct dispatch_job *job)
{
    struct kvd_observer *observer = container_of(job, struct kvd_observer, job);
    struct kvd_error error;
    struct seen *seen;
    bool ended;

    pthread_mutex_lock(&observer->lock);
    seen = observer->newest;
    observer->newest = NULL;
    ended = observer->end.code != 0 && !observer->told_end;
    observer->told_end |= ended;
    kvd_fail_from(&error, &observer->end, NULL);
    pthread_mutex_unlock(&observer->lock);
    if (seen != NULL) {
        struct kvd_kv kv = kvd_kv_of(seen->res->kv);

        observer->cb(observer->owner, observer, &kv, NULL);
        seen_free(seen);
    }
    if (ended && !atomic_load(&job->removed)) {
        observer->cb(observer->owner, observer, NULL, &error);
    }
}

static void end_observer(struct kvd_observer *observer)
{
    io_run(client_io(observer->client->inner), stop, observer);
    seen_free(observer->newest);
    pthread_mutex_destroy(&observer->lock);
    free(observer->request);
    free(observer);
}

static void free_job(struct dispatch_job *job)
{
    end_observer(container_of(job, struct kvd_observer, job));
}

/* ---- open and close ---- */

int kvd_observe(struct kvd_client *client, struct kvd_bytes name, kvd_leader_cb cb,
                void *owner, struct kvd_observer **out, struct kvd_error *err)
{
    V3electionpb__LeaderRequest request = V3ELECTIONPB__LEADER_REQUEST__INIT;
    struct kvd_observer *observer;

    if (name.len > LIMIT_CLIENT_SEND / 2) {
        return kvd_fail(err, KVD_TOO_BIG, "a name of %zu bytes", name.len);
    }
    observer = mem_zero(sizeof(*observer));
    observer->client = client;
    observer->cb = cb;
    observer->owner = owner;
    observer->job = (struct dispatch_job){.run = run_job, .free = free_job};
    pthread_mutex_init(&observer->lock, NULL);
    request.name = kvd_binary(name);
    observer->request_len = v3electionpb__leader_request__get_packed_size(&request);
    observer->request = mem_alloc(observer->request_len);
    v3electionpb__leader_request__pack(&request, observer->request);
    *out = observer;
    io_run(client_io(client->inner), start, observer);
    return 0;
}

void kvd_observer_close(struct kvd_observer *observer)
{
    if (observer != NULL && dispatch_remove(observer->client->news, &observer->job)) {
        end_observer(observer);
    }
}
