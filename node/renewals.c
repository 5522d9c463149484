#include "node/renewals.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define BATCH_ARENA   (1 * MIB) /* for the TTLs of LIMIT_RENEW_IDS leases */
#define COMMAND_EXTRA 128       /* bytes of a command beside its ids */
#define NAME_EXTRA    128       /* bytes of a user beside its name, in memory ... */
#define USER_BYTES    16        /* ... and in a command */
#define ID_BYTES      8

struct renewal {
    struct renewal *next;      /* in its line */
    struct renewal_line *line; /* NULL: taken, or nobody waits */
    struct renew_batch *batch;
    int64_t revision;
    int64_t ttl;
};

/* One command. It lives until it was applied and every answer was taken. */
struct renew_batch {
    struct renewals *owner;
    struct machine_op op;
    Kvd__Command__Command command;
    Kvd__Command__LeaseRenew renew;
    struct arena arena;
    struct arena names; /* of the users, and their rows */
    size_t bytes;       /* of ids and users */
    bool done;
    size_t left; /* items with a line, and one while the batch itself is at work */
    size_t n;
    struct renewal *items; /* and their ids are those of renew, in order */
};

void renewals_init(struct renewals *r, struct machine *machine, size_t request_max)
{
    size_t fit = request_max > COMMAND_EXTRA ? (request_max - COMMAND_EXTRA) / 8 : 0;

    *r = (struct renewals){
        .machine = machine,
        .bytes_max = request_max > COMMAND_EXTRA ? request_max - COMMAND_EXTRA : 0,
        .ids_max = fit < 1                 ? 1
                   : fit < LIMIT_RENEW_IDS ? fit
                                           : LIMIT_RENEW_IDS,
    };
}

/* ---- batches ---- */

static void batch_free(struct renew_batch *batch)
{
    arena_close(&batch->arena);
    arena_close(&batch->names);
    free(batch->renew.ids);
    free(batch->renew.by);
    free(batch->items);
    free(batch);
}

static void batch_drop(struct renew_batch *batch)
{
    CHECK(batch->left > 0);
    if (--batch->left == 0) {
        batch_free(batch);
    }
}

static void batch_resize(struct renew_batch *batch, size_t room)
{
    batch->items = mem_grow(batch->items, room * sizeof(batch->items[0]));
    batch->renew.ids = mem_grow(batch->renew.ids, room * sizeof(batch->renew.ids[0]));
    batch->renew.by = mem_grow(batch->renew.by, room * sizeof(batch->renew.by[0]));
}

static void on_applied(struct machine_op *op, enum api_status status,
                       ProtobufCMessage *response)
{
    struct renew_batch *batch = container_of(op, struct renew_batch, op);
    const Kvd__Command__LeaseRenewed *renewed =
        (const Kvd__Command__LeaseRenewed *)response;

    CHECK(status != API_OK || renewed->n_ttls == batch->n);
    batch->owner->n_submitted--;
    batch->done = true;
    for (size_t i = 0; i < batch->n; i++) {
        batch->items[i].ttl = status == API_OK ? renewed->ttls[i] : 0;
    }
    for (size_t i = 0; i < batch->n; i++) {
        struct renewal_line *line = batch->items[i].line;

        if (line != NULL && status != API_OK) {
            line->events->failed(line->owner, status);
        } else if (line != NULL && line->first == &batch->items[i]) {
            line->events->known(line->owner);
        }
    }
    batch_drop(batch);
}

/* A planted bug: as if every lease that is there now had been renewed. */
static void answer_early(struct renewals *r, struct renew_batch *batch)
{
    batch->done = true;
    for (size_t i = 0; i < batch->n; i++) {
        Etcdserverpb__LeaseTimeToLiveRequest req =
            ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
        Etcdserverpb__LeaseTimeToLiveResponse *told = NULL;

        req.id = batch->renew.ids[i];
        if (kv_lease_time_to_live(r->planted, &req, 0, &batch->arena, &told) == API_OK) {
            batch->items[i].ttl = told->grantedttl;
        }
    }
    for (size_t i = 0; i < batch->n; i++) {
        struct renewal_line *line = batch->items[i].line;

        if (line != NULL && line->first == &batch->items[i]) {
            line->events->known(line->owner);
        }
    }
}

static struct renew_batch *batch_new(struct renewals *r)
{
    struct renew_batch *batch = mem_zero(sizeof(*batch));

    batch->owner = r;
    batch->left = 1;
    batch_resize(batch, r->ids_max);
    arena_init(&batch->arena, BATCH_ARENA);
    arena_init(&batch->names, LIMIT_RENEW_IDS * (LIMIT_AUTH_NAME + NAME_EXTRA));
    return batch;
}

static void submit(struct renewals *r)
{
    struct renew_batch *batch = r->batch;
    Kvd__Command__LeaseRenew empty = KVD__COMMAND__LEASE_RENEW__INIT;

    r->batch = NULL;
    r->n_submitted++;
    empty.ids = batch->renew.ids;
    empty.n_ids = batch->n;
    empty.by = batch->renew.by;
    empty.n_by = batch->renew.n_by;
    batch->renew = empty;
    kvd__command__command__init(&batch->command);
    batch->command.request_case = KVD__COMMAND__COMMAND__REQUEST_LEASE_RENEW;
    batch->command.lease_renew = &batch->renew;
    batch->op = (struct machine_op){
        .command = &batch->command,
        .arena = &batch->arena,
        .done = on_applied,
    };
    if (r->planted != NULL) {
        answer_early(r, batch);
    }
    machine_submit(r->machine, &batch->op);
}

bool renewals_wait(const struct renewals *r)
{
    return r->batch != NULL && r->n_submitted < LIMIT_RENEW_BATCHES;
}

void renewals_submit(struct renewals *r)
{
    if (renewals_wait(r)) {
        submit(r);
    }
}

void renewals_close(struct renewals *r)
{
    CHECK(r->n == 0);
    if (r->batch != NULL) {
        batch_drop(r->batch);
        r->batch = NULL;
    }
}

/* ---- lines ---- */

void renewal_line_init(struct renewal_line *line, const struct renewal_events *events,
                       void *owner)
{
    *line = (struct renewal_line){.events = events, .owner = owner};
}

/* Takes the first one out of its line. */
static void leave(struct renewals *r, struct renewal_line *line)
{
    struct renewal *item = line->first;

    line->first = item->next;
    line->n--;
    r->n--;
    item->line = NULL;
    batch_drop(item->batch);
}

void renewal_line_close(struct renewals *r, struct renewal_line *line)
{
    while (line->first != NULL) {
        leave(r, line);
    }
}

static bool is_last_user(const struct renew_batch *batch, const char *user)
{
    const Kvd__Command__LeaseRenew *renew = &batch->renew;

    return renew->n_by > 0 && strcmp(renew->by[renew->n_by - 1]->user, user) == 0;
}

static size_t cost_of(const struct renew_batch *batch, const char *user)
{
    return ID_BYTES +
           (user != NULL && !is_last_user(batch, user) ? strlen(user) + USER_BYTES : 0);
}

/* In a command all ids have a user, or none. */
static bool fits(const struct renewals *r, const char *user)
{
    const struct renew_batch *batch = r->batch;

    return batch->n == 0 || ((user != NULL) == (batch->renew.n_by > 0) &&
                             batch->bytes + cost_of(batch, user) <= r->bytes_max);
}

/* Whose the next id is; those that come one after the other share a row. */
static void add_user(struct renew_batch *batch, const char *user)
{
    Kvd__Command__LeaseRenew *renew = &batch->renew;
    Kvd__Command__Renewer *by;

    if (!is_last_user(batch, user)) {
        by = arena_alloc(&batch->names, sizeof(*by));
        kvd__command__renewer__init(by);
        by->user = (char *)arena_dup(&batch->names, slice_of(user, strlen(user) + 1)).ptr;
        renew->by[renew->n_by++] = by;
    }
    renew->by[renew->n_by - 1]->n++;
}

bool renewals_add(struct renewals *r, struct renewal_line *line, int64_t id,
                  const char *user, int64_t revision)
{
    struct renew_batch *batch;
    struct renewal *item;

    if (r->n >= LIMIT_RENEWALS || line->n >= LIMIT_STREAM_RENEWALS) {
        return false;
    }
    if (r->batch != NULL && !fits(r, user)) {
        submit(r);
    }
    if (r->batch == NULL) {
        r->batch = batch_new(r);
    }
    batch = r->batch;
    batch->bytes += cost_of(batch, user);
    if (user != NULL) {
        add_user(batch, user);
    }
    item = &batch->items[batch->n];
    *item = (struct renewal){.line = line, .batch = batch, .revision = revision};
    batch->renew.ids[batch->n++] = id;
    batch->left++;
    if (line->first == NULL) {
        line->first = item;
    } else {
        line->last->next = item;
    }
    line->last = item;
    line->n++;
    r->n++;
    if (batch->n == r->ids_max) {
        submit(r);
    }
    return true;
}

bool renewals_take(struct renewals *r, struct renewal_line *line,
                   struct renewal_answer *out)
{
    const struct renewal *item = line->first;

    if (item == NULL || !item->batch->done) {
        return false;
    }
    *out = (struct renewal_answer){
        .id = item->batch->renew.ids[item - item->batch->items],
        .revision = item->revision,
        .ttl = item->ttl,
    };
    leave(r, line);
    return true;
}
