/* A store whose events are also written into a plain list, and watches whose pulls are
 * compared with it, event by event. */
#ifndef KVD_TESTS_UNIT_KV_WATCHING_H
#define KVD_TESTS_UNIT_KV_WATCHING_H

#include "kv.pb-c.h"
#include "kv/state.h"
#include "kv/watch.h"
#include "tests/unit/kv/draw.h"
#include "tests/unit/kv/fixture.h"

#define N_KEYS 24

/* A pair as it stands; number 0: it does not. */
struct seen_pair {
    char value[24];
    int64_t created;
    int64_t rev;
    int64_t number;
};

struct seen_event {
    int key;
    bool is_delete;
    int64_t rev;
    struct seen_pair now;
    struct seen_pair before; /* as of the revision before */
};

struct seen {
    struct fixture fx;
    struct seen_event *events;
    size_t n;
    size_t room;
    struct seen_pair pairs[N_KEYS];
    struct seen_pair before[N_KEYS]; /* at the revision before the one being written */
    int64_t rev;
    int n_values;
    size_t value_len; /* values are padded to it; 0: not */
};

static struct seen s;

static inline void key_text(int key, char out[8])
{
    snprintf(out, 8, "k%02u", (unsigned)key % 100);
}

static inline void seen_open(void)
{
    memset(&s, 0, sizeof(s));
    fixture_open(&s.fx);
    s.rev = 1;
}

static inline void seen_close(void)
{
    fixture_close(&s.fx);
    free(s.events);
}

/* ---- writes: to the list, and as operations of a txn ---- */

static inline void seen_begin(void)
{
    memcpy(s.before, s.pairs, sizeof(s.before));
    s.rev = kv_revision(s.fx.kv) + 1;
}

static inline void seen_event(int key, bool is_delete)
{
    if (s.n == s.room) {
        s.room = s.room > 0 ? 2 * s.room : 256;
        s.events = mem_grow(s.events, s.room * sizeof(s.events[0]));
    }
    s.events[s.n++] = (struct seen_event){
        .key = key,
        .is_delete = is_delete,
        .rev = s.rev,
        .now = s.pairs[key],
        .before = s.before[key],
    };
}

static inline Etcdserverpb__PutRequest *seen_put(int key)
{
    struct seen_pair *pair = &s.pairs[key];
    char name[8];

    key_text(key, name);
    pair->created = pair->number == 0 ? s.rev : pair->created;
    pair->number++;
    pair->rev = s.rev;
    snprintf(pair->value, sizeof(pair->value), "v%d", s.n_values++);
    seen_event(key, false);
    if (s.value_len > 0) {
        char *value = arena_zero(&s.fx.arena, s.value_len + 1);

        memset(value, '.', s.value_len);
        memcpy(value, pair->value, strlen(pair->value));
        return put_new(&s.fx, name, value);
    }
    return put_new(&s.fx, name, pair->value);
}

static inline Etcdserverpb__DeleteRangeRequest *seen_delete(int from, int to)
{
    char name[8];
    char end[8];

    for (int key = from; key < to; key++) {
        if (s.pairs[key].number != 0) {
            s.pairs[key] = (struct seen_pair){0};
            seen_event(key, true);
        }
    }
    key_text(from, name);
    key_text(to, end);
    return delete_new(&s.fx, name, end);
}

static inline void write_put(int key)
{
    seen_begin();
    cr_assert_eq(run_put(&s.fx, seen_put(key)), API_OK);
}

static inline void write_delete(int from, int to)
{
    seen_begin();
    cr_assert_eq(run_delete(&s.fx, seen_delete(from, to)), API_OK);
}

static inline Etcdserverpb__RequestOp *as_put(Etcdserverpb__PutRequest *req)
{
    Etcdserverpb__RequestOp *op =
        message_new(&s.fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = req;
    return op;
}

static inline Etcdserverpb__RequestOp *as_delete(Etcdserverpb__DeleteRangeRequest *req)
{
    Etcdserverpb__RequestOp *op =
        message_new(&s.fx, &etcdserverpb__request_op__descriptor);

    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op->request_delete_range = req;
    return op;
}

/* Several puts of one revision, then a delete that may take some of them again. */
static inline void write_txn(int first, int n, bool then_delete)
{
    void *ops[N_KEYS + 2] = {NULL};
    void *outer[3] = {NULL};

    seen_begin();
    for (int i = 0; i < n; i++) {
        ops[i] = as_put(seen_put((first + i) % N_KEYS));
    }
    outer[0] = op_txn(&s.fx, txn_new(&s.fx, NULL, ops, NULL));
    if (then_delete) {
        outer[1] = as_delete(seen_delete(first, first + 2 < N_KEYS ? first + 2 : N_KEYS));
    }
    cr_assert_eq(run_txn(&s.fx, txn_new(&s.fx, NULL, outer, NULL)), API_OK);
}

/* ---- watches ---- */

struct spy {
    struct watch watch;
    int from;
    int to; /* from + 1: the key alone; N_KEYS: no end */
    unsigned flags;
    int64_t start;
    size_t at;    /* next event of the list that may be one of its own */
    int woken;    /* since the last pull */
    int64_t upto; /* revision of the last batch */
    size_t n_told;
    size_t batches;
    bool compacted;
};

static inline void spy_woken(struct watch *watch)
{
    container_of(watch, struct spy, watch)->woken++;
}

static inline void spy_open(struct spy *spy, int from, int to, int64_t start,
                            unsigned flags)
{
    char name[8];
    char end[8] = "";
    struct watch_options options = {.start = start, .flags = flags};

    key_text(from, name);
    options.key = slice_str(name);
    if (to >= N_KEYS) {
        options.range_end = slice_of("", 1);
    } else if (to > from + 1) {
        key_text(to, end);
        options.range_end = slice_str(end);
    }
    *spy = (struct spy){.from = from, .to = to, .flags = flags, .start = start};
    spy->watch.woken = spy_woken;
    spy->upto = start > 0 ? start - 1 : kv_revision(s.fx.kv);
    cr_assert(watch_add(s.fx.kv, &spy->watch, &options));
}

static inline void spy_close(struct spy *spy)
{
    watch_remove(s.fx.kv, &spy->watch);
}

static inline bool spy_wants(const struct spy *spy, const struct seen_event *event)
{
    unsigned drops = event->is_delete ? WATCH_NO_DELETE : WATCH_NO_PUT;

    return event->key >= spy->from && event->key < spy->to && event->rev > spy->upto &&
           (spy->flags & drops) == 0;
}

static inline void expect_pair(const Mvccpb__KeyValue *kv, const struct seen_pair *pair)
{
    cr_assert_eq(kv->create_revision, pair->created);
    cr_assert_eq(kv->mod_revision, pair->rev);
    cr_assert_eq(kv->version, pair->number);
    cr_assert_geq(kv->value.len, strlen(pair->value));
    cr_assert_eq(memcmp(kv->value.data, pair->value, strlen(pair->value)), 0);
}

/* At the compact revision, compaction takes what the same revision changed again. */
static inline bool may_be_gone(size_t at)
{
    const struct seen_event *event = &s.events[at];

    for (size_t i = at + 1; i < s.n && s.events[i].rev == event->rev; i++) {
        if (s.events[i].key == event->key) {
            return event->rev == kv_compact_revision(s.fx.kv);
        }
    }
    return false;
}

static inline bool is_that(const Mvccpb__Event *event, const struct seen_event *want)
{
    char name[8];

    key_text(want->key, name);
    return event->kv->mod_revision == want->rev &&
           (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) == want->is_delete &&
           slice_eq(slice_str(name), slice_of(event->kv->key.data, event->kv->key.len));
}

static inline void expect_event(const struct spy *spy, const Mvccpb__Event *event,
                                const struct seen_event *want, int64_t compacted)
{
    char name[8];

    key_text(want->key, name);
    cr_assert(is_that(event, want),
              "%.*s at %" PRId64 " instead of %s at %" PRId64 ", compacted at %" PRId64,
              (int)event->kv->key.len, (const char *)event->kv->key.data,
              event->kv->mod_revision, name, want->rev, compacted);
    if (!want->is_delete) {
        expect_pair(event->kv, &want->now);
    } else {
        cr_assert_eq(event->kv->create_revision, 0);
        cr_assert_eq(event->kv->value.len, 0);
    }
    if ((spy->flags & WATCH_PREV_KV) == 0) {
        cr_assert_null(event->prev_kv);
    } else if (want->before.number == 0 ||
               (!want->is_delete && want->now.created == want->rev)) {
        cr_assert_null(event->prev_kv);
    } else if (event->prev_kv == NULL) {
        cr_assert_lt(want->rev - 1, compacted, "prev_kv is missing");
    } else {
        expect_pair(event->prev_kv, &want->before);
    }
}

static inline Mvccpb__Event *event_of(const struct watch_event *bytes)
{
    size_t len = bytes->body.len + bytes->prev.len;
    uint8_t *whole = mem_alloc(watch_event_size(bytes));
    uint8_t *end = watch_write_event(bytes, whole);
    Mvccpb__Event *event = mvccpb__event__unpack(NULL, len, end - len);

    cr_assert_eq(end - whole, watch_event_size(bytes));
    cr_assert_not_null(event);
    free(whole);
    return event;
}

/* Each event of a batch must be the next one of the list that the watch wants, and the
 * batch must end with the revision. */
static inline void spy_check(struct spy *spy, const struct watch_batch *batch)
{
    int64_t compacted = kv_compact_revision(s.fx.kv);
    size_t bytes = 0;

    for (size_t i = 0; i < batch->n; i++) {
        Mvccpb__Event *event = event_of(&batch->events[i]);

        while (spy->at < s.n &&
               (!spy_wants(spy, &s.events[spy->at]) ||
                (!is_that(event, &s.events[spy->at]) && may_be_gone(spy->at)))) {
            spy->at++;
        }
        cr_assert_lt(spy->at, s.n, "an event that never was");
        expect_event(spy, event, &s.events[spy->at], compacted);
        spy->at++;
        spy->n_told++;
        bytes += watch_event_size(&batch->events[i]);
        mvccpb__event__free_unpacked(event, NULL);
    }
    cr_assert_eq(bytes, batch->bytes);
    while (spy->at < s.n && !spy_wants(spy, &s.events[spy->at])) {
        spy->at++;
    }
    if (spy->at < s.n && !may_be_gone(spy->at)) {
        cr_assert_gt(s.events[spy->at].rev, batch->revision, "events were left out");
    }
    cr_assert_leq(batch->revision, kv_revision(s.fx.kv));
    cr_assert_gt(batch->revision, spy->upto);
    spy->upto = batch->revision;
    spy->batches++;
}

/* One pull; false when there is nothing more to have. */
static inline bool spy_pull(struct spy *spy)
{
    struct watch_batch batch;

    if (spy->compacted) {
        return false;
    }
    spy->woken = 0;
    switch (watch_pull(s.fx.kv, &spy->watch, &batch)) {
    case WATCH_NOTHING:
        cr_assert(watch_waits(&spy->watch));
        return false;
    case WATCH_EVENTS:
        spy_check(spy, &batch);
        return !watch_waits(&spy->watch);
    case WATCH_AGAIN:
        return true;
    case WATCH_COMPACTED:
        spy->compacted = true;
        spy_close(spy);
        return false;
    case WATCH_TOO_LARGE:
        cr_assert_fail("too large");
    }
    return false;
}

/* All there is; afterwards nothing that it wants is left in the list. */
static inline void spy_drain(struct spy *spy)
{
    int turns = 0;

    do {
        watch_begin_turn(s.fx.kv);
        cr_assert_lt(turns++, 100000);
    } while (spy_pull(spy));
    if (spy->compacted) {
        return;
    }
    while (spy->at < s.n) {
        cr_assert(!spy_wants(spy, &s.events[spy->at]) || may_be_gone(spy->at),
                  "an event was never told");
        spy->at++;
    }
}

#endif
