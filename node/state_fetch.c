/* The member that lacks a state fetches it from another one.
 *
 * Happy path: a member is chosen, the leader if it is known; it is dialled and greeted;
 * the request names what is there already; its answer names the copy; what comes is
 * handed to the bulk lane, which checks it and writes it; then the database is opened and
 * every row of it verified. What can fail: the connection (the same copy is gone on with,
 * after a backoff; after a few times another member is asked), the other member (refuses,
 * with a sentence; has no such copy any more: from the start), the bytes (a frame that is
 * not what was sent ends the connection; a whole that is not is thrown away), the disk
 * (no room: said, and tried again later; else the member ends). Nothing of it is used
 * before it was verified whole. Memory: LIMIT_STATE_INPUT here, as much at the job, and a
 * frame.
 */
#include "node/state_fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer.pb-c.h"
#include "raftlog/link.h"

#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 2000
#define FULL_MS        5000  /* after a disk without room */
#define STEP_MS        2000  /* to connect, and to be greeted */
#define ANSWER_MS      35000 /* to a request: a copy has to be begun */
#define SILENCE_MS     10000 /* of one that sends */
#define SOURCE_TRIES   3     /* failures in a row until another one is asked */

static const unsigned fetch_next[FETCH_NSTATES] = {
    [FETCH_IDLE] = 1u << FETCH_DIALLING,
    [FETCH_DIALLING] = 1u << FETCH_GREETING | 1u << FETCH_IDLE,
    [FETCH_GREETING] = 1u << FETCH_ASKING | 1u << FETCH_IDLE,
    [FETCH_ASKING] = 1u << FETCH_FETCHING | 1u << FETCH_IDLE,
    [FETCH_FETCHING] = 1u << FETCH_LOADING | 1u << FETCH_IDLE,
    [FETCH_LOADING] = 1u << FETCH_READY | 1u << FETCH_IDLE,
    [FETCH_READY] = 1u << FETCH_IDLE,
};

static void fetch_move(struct state_fetch *fetch, enum fetch_state to)
{
    CHECK(fetch_next[fetch->state] & 1u << to);
    fetch->state = to;
}

static struct net *net_of(const struct state_fetch *fetch)
{
    return fetch->options.env->net;
}

void state_fetch_init(struct state_fetch *fetch,
                      const struct state_fetch_options *options)
{
    *fetch = (struct state_fetch){
        .options = *options,
        .backoff_ms = BACKOFF_MIN_MS,
        .in = BUF_INIT(4 * LIMIT_STATE_INPUT),
        .handed = BUF_INIT(4 * LIMIT_STATE_INPUT),
    };
    arena_init(&fetch->arena, LIMIT_PEER_FRAME);
}

/* Logs trouble once, until it changes. */
static void say(struct state_fetch *fetch, const char *what, const char *detail)
{
    char text[FETCH_SAID_MAX];

    snprintf(text, sizeof(text), "%s %s", what, detail);
    if (strcmp(text, fetch->said) != 0) {
        strcpy(fetch->said, text);
        log_warn(what, LOG_HEX("member", fetch->source), LOG_TEXT("detail", detail));
    }
}

/* ---- what is there ---- */

/* Forgets what was fetched, and removes it. */
static void drop_fetched(struct state_fetch *fetch)
{
    CHECK(!fetch->working);
    state_sink_close(&fetch->sink);
    if (fetch->path != NULL) {
        discard(fetch->options.discards, fetch->fresh, fetch->path);
        free(fetch->path);
        fetch->path = NULL;
        fetch->fresh = NULL;
    }
    fetch->begin = (struct fetch_begin){0};
    fetch->received = 0;
}

static void hang_up(struct state_fetch *fetch)
{
    if (fetch->stream != NULL) {
        net_of(fetch)->ops->close(fetch->stream, true);
        fetch->stream = NULL;
    }
    fetch->ended = false;
    fetch->paused = false;
    buf_clear(&fetch->in);
}

/* Back to the start: to be tried again after the backoff. */
static void give_up(struct state_fetch *fetch, uint64_t now_ms)
{
    uint32_t half = fetch->backoff_ms / 2;

    if (fetch->state == FETCH_FETCHING) {
        state_report_break(&fetch->report, state_sink_offset(&fetch->sink),
                           "it is gone on with, or begun anew, in a moment");
    }
    hang_up(fetch);
    fetch->failures++;
    fetch->due_ms = now_ms + half + env_random_u64(fetch->options.env) % (half + 1);
    fetch->backoff_ms = 2 * fetch->backoff_ms;
    if (fetch->backoff_ms > BACKOFF_MAX_MS) {
        fetch->backoff_ms = BACKOFF_MAX_MS;
    }
    fetch_move(fetch, FETCH_IDLE);
}

/* The same; and this member is not asked again before others were. */
static void leave_source(struct state_fetch *fetch, uint64_t now_ms)
{
    give_up(fetch, now_ms);
    fetch->failures = SOURCE_TRIES;
}

/* ---- events: only noted ---- */

static void on_opened(void *owner, int rc, bool refused)
{
    struct state_fetch *fetch = owner;
    uint64_t now_ms = env_mono_ms(fetch->options.env);
    struct buf hello = BUF_INIT(LIMIT_PEER_HELLO);

    if (rc != 0) {
        const char *why = net_trouble(net_of(fetch), fetch->stream);

        say(fetch, refused ? "member refuses connections" : "no way to member",
            why != NULL ? why : "no state from there");
        fetch->next_url++;
        give_up(fetch, now_ms);
        return;
    }
    fetch_move(fetch, FETCH_GREETING);
    fetch->due_ms = now_ms + STEP_MS;
    hello_encode(fetch->options.self, fetch->source, HELLO_FETCH, NULL, &hello);
    net_of(fetch)->ops->write(fetch->stream, buf_slice(&hello));
    buf_close(&hello);
}

static void on_received(void *owner, struct slice bytes)
{
    struct state_fetch *fetch = owner;

    if (buf_append(&fetch->in, bytes.ptr, bytes.len) != 0) {
        fetch->ended = true; /* handed more than a paused connection may */
        return;
    }
    if (!fetch->paused && buf_len(&fetch->in) >= LIMIT_STATE_INPUT) {
        fetch->paused = true;
        net_of(fetch)->ops->pause(fetch->stream, true);
    }
    if (fetch->state == FETCH_FETCHING) {
        fetch->due_ms = env_mono_ms(fetch->options.env) + SILENCE_MS;
        metrics_add(fetch->options.metrics, METRIC_STATE_BYTES_RECEIVED, bytes.len);
    }
}

static void on_ended(void *owner, bool reset)
{
    struct state_fetch *fetch = owner;

    fetch->ended = true;
}

static const struct stream_events events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

/* ---- dialling ---- */

/* The source stays while it does not fail too often; then it is the leader's turn, then
 * that of the others, one after the other. */
static const struct member *choose(struct state_fetch *fetch)
{
    uint64_t leader = fetch->need.leader;
    const struct membership *members = fetch->options.self->members;
    const struct member *chosen = membership_find(members, fetch->source);

    if (chosen != NULL && fetch->failures < SOURCE_TRIES) {
        return chosen;
    }
    fetch->failures = 0;
    fetch->next_url = 0;
    drop_fetched(fetch); /* another member's copy is another file */
    if (leader != 0 && leader != members->self && leader != fetch->source) {
        return membership_find(members, leader);
    }
    do {
        fetch->next = (fetch->next + 1) % members->n;
    } while (members->items[fetch->next].id == members->self);
    return &members->items[fetch->next];
}

static void dial(struct state_fetch *fetch, uint64_t now_ms)
{
    const struct member *source = choose(fetch);
    const struct config_urls *urls = source->peer_urls;
    const struct config_url *url = &urls->items[fetch->next_url % urls->n];

    fetch->source = source->id;
    fetch_move(fetch, FETCH_DIALLING);
    fetch->due_ms = now_ms + STEP_MS;
    fetch->stream = net_of(fetch)->ops->connect(
        net_of(fetch), url->address, config_peer_security(url), &events, fetch);
}

/* ---- hello and request ---- */

static void ask(struct state_fetch *fetch, uint64_t now_ms)
{
    Kvd__Peer__StateRequest request = KVD__PEER__STATE_REQUEST__INIT;
    struct buf frame = BUF_INIT(LIMIT_STATE_REQUEST);

    state_sink_resume(&fetch->sink);
    request.at_least = fetch->need.index;
    request.term = fetch->need.term;
    request.copy = fetch->begin.copy;
    request.offset = state_sink_offset(&fetch->sink);
    CHECK(link_encode(&frame, LINK_STATE_REQUEST, &request.base) == 0);
    net_of(fetch)->ops->write(fetch->stream, buf_slice(&frame));
    buf_close(&frame);
    fetch_move(fetch, FETCH_ASKING);
    fetch->due_ms = now_ms + ANSWER_MS;
}

static int judge_hello(struct state_fetch *fetch, const Kvd__Peer__Hello *hello,
                       struct err *err)
{
    const struct state_fetch_options *options = &fetch->options;
    int rc;

    if (hello->refusal[0] != '\0') {
        return err_set(err, ERR_REFUSED, "%s", hello->refusal);
    }
    rc = hello_judge(options->self, hello, fetch->source, err);
    if (rc == 0) {
        rc = options->meet(options->owner, fetch->source, hello->store_id, err);
    }
    return rc;
}

/* The next frame, which must be of that type: 1 it is there, 0 not yet, negative. */
static int next_frame(struct state_fetch *fetch, enum link_type type,
                      struct link_frame *frame, struct err *err)
{
    int rc = link_next(&fetch->in, &fetch->arena, frame, err);

    if (rc > 0 && frame->type != type) {
        rc = err_set(err, ERR_CORRUPT, "type %d at this place", (int)frame->type);
    }
    return rc;
}

static void listen_for_hello(struct state_fetch *fetch, uint64_t now_ms)
{
    struct link_frame frame;
    struct err err;
    int rc = next_frame(fetch, LINK_HELLO, &frame, &err);

    if (rc > 0) {
        rc = judge_hello(fetch, (const Kvd__Peer__Hello *)frame.message, &err);
        if (rc == 0) {
            ask(fetch, now_ms);
        }
    }
    arena_reset(&fetch->arena);
    if (rc < 0) {
        say(fetch, "no state from a member that is not the right one", err.text);
        leave_source(fetch, now_ms);
    }
}

/* ---- the begin ---- */

static int judge_begin(struct state_fetch *fetch, const Kvd__Peer__StateBegin *begin,
                       struct err *err)
{
    if (begin->refusal[0] != '\0') {
        return err_set(err, ERR_REFUSED, "%s", begin->refusal);
    }
    if (begin->copy == 0 || begin->size == 0 || begin->index < fetch->need.index) {
        return err_set(err, ERR_CORRUPT,
                       "%" PRIu64 " bytes as of index %" PRIu64
                       " were offered, where %" PRIu64 " is needed",
                       begin->size, begin->index, fetch->need.index);
    }
    if (begin->log_term < begin->term || begin->log_term > INT64_MAX) {
        return err_set(err, ERR_CORRUPT,
                       "its last entry is of term %" PRIu64
                       ", the member is in term %" PRIu64,
                       begin->term, begin->log_term);
    }
    if (begin->copy == fetch->begin.copy &&
        (begin->size != fetch->begin.size || begin->index != fetch->begin.index ||
         begin->term != fetch->begin.term || begin->hash != fetch->begin.hash ||
         begin->offset != state_sink_offset(&fetch->sink))) {
        return err_set(err, ERR_CORRUPT, "the copy is not what it was before");
    }
    if (begin->copy != fetch->begin.copy && begin->offset != 0) {
        return err_set(err, ERR_CORRUPT, "a copy that is new begins at byte %" PRIu64,
                       begin->offset);
    }
    return 0;
}

/* Another copy than the one before, if any: from its first byte. */
static int open_sink(struct state_fetch *fetch, const Kvd__Peer__StateBegin *begin,
                     struct err *err)
{
    struct datadir *dir = fetch->options.dir;

    drop_fetched(fetch);
    fetch->number = datadir_next_state(dir);
    fetch->path = datadir_state_path(dir, fetch->number);
    fetch->begin = (struct fetch_begin){
        .copy = begin->copy,
        .index = begin->index,
        .term = begin->term,
        .hash = begin->hash,
        .size = begin->size,
        .log_term = begin->log_term,
    };
    return state_sink_open(&fetch->sink, fetch->options.env->disk, dir->path, fetch->path,
                           begin->size, err);
}

/* An error of the disk: no room for it is told and tried again later, any other one ends
 * the member. */
static void disk_failed(struct state_fetch *fetch, int rc, const char *why,
                        uint64_t now_ms)
{
    if (rc != ERR_FULL) {
        env_fatal(fetch->options.env, why);
    }
    say(fetch, "cannot store the state that this member needs", why);
    give_up(fetch, now_ms);
    drop_fetched(fetch);
    fetch->due_ms = now_ms + FULL_MS;
}

static void begin_fetching(struct state_fetch *fetch, const Kvd__Peer__StateBegin *begin,
                           uint64_t now_ms)
{
    struct err err;
    int rc = 0;

    if (begin->copy != fetch->begin.copy) {
        rc = open_sink(fetch, begin, &err);
    }
    if (rc != 0) {
        disk_failed(fetch, rc, err.text, now_ms);
        return;
    }
    metrics_add(fetch->options.metrics, METRIC_FETCHES, 1);
    metrics_add(fetch->options.metrics, METRIC_FETCHES_RESUMED, begin->offset > 0);
    state_report_begin(&fetch->report, "fetching", fetch->source, begin->index,
                       begin->size, begin->offset, now_ms);
    fetch_move(fetch, FETCH_FETCHING);
    fetch->due_ms = now_ms + SILENCE_MS;
    fetch->rc = 0;
}

static void listen_for_begin(struct state_fetch *fetch, uint64_t now_ms)
{
    struct link_frame frame;
    struct err err;
    int rc = next_frame(fetch, LINK_STATE_BEGIN, &frame, &err);

    if (rc > 0) {
        const Kvd__Peer__StateBegin *begin = (const Kvd__Peer__StateBegin *)frame.message;

        rc = judge_begin(fetch, begin, &err);
        if (rc == 0) {
            begin_fetching(fetch, begin, now_ms);
        }
    }
    arena_reset(&fetch->arena);
    if (rc < 0) {
        say(fetch, "a member gives no state", err.text);
        leave_source(fetch, now_ms);
    }
}

/* ---- bytes, on the bulk lane ---- */

static void run_take(struct env_job *job)
{
    struct state_fetch *fetch = container_of(job, struct state_fetch, job);

    fetch->rc = state_sink_take(&fetch->sink, &fetch->handed, &fetch->err);
}

static void on_worked(struct env_job *job)
{
    struct state_fetch *fetch = container_of(job, struct state_fetch, job);

    fetch->working = false;
}

static void start_job(struct state_fetch *fetch, enum env_lane lane,
                      void (*run)(struct env_job *job))
{
    fetch->job = (struct env_job){.run = run, .done = on_worked};
    fetch->rc = 0;
    fetch->working = true;
    env_submit(fetch->options.env, lane, &fetch->job);
}

/* What came goes to the job, and the next bytes into the buffer that it is through with.
 */
static void hand_over(struct state_fetch *fetch)
{
    struct buf empty = fetch->handed;

    fetch->handed = fetch->in;
    fetch->in = empty;
    if (fetch->paused) {
        fetch->paused = false;
        net_of(fetch)->ops->pause(fetch->stream, false);
    }
    start_job(fetch, ENV_LANE_BULK, run_take);
}

static void start_loading(struct state_fetch *fetch, uint64_t now_ms);

/* A source whose bytes were right did not fail. */
static void note_progress(struct state_fetch *fetch, uint64_t now_ms)
{
    uint64_t offset = state_sink_offset(&fetch->sink);

    if (offset > fetch->received) {
        fetch->received = offset;
        fetch->failures = 0;
        fetch->backoff_ms = BACKOFF_MIN_MS;
        state_report_go_on(&fetch->report, offset, now_ms);
    }
}

/* The job took what it was handed, or failed. */
static void fetch_bytes(struct state_fetch *fetch, uint64_t now_ms)
{
    if (fetch->rc == ERR_CORRUPT) {
        say(fetch, "the state that a member sent is damaged", fetch->err.text);
        if (state_sink_spoiled(&fetch->sink)) {
            leave_source(fetch, now_ms);
            drop_fetched(fetch);
        } else {
            give_up(fetch, now_ms);
        }
    } else if (fetch->rc != 0) {
        disk_failed(fetch, fetch->rc, fetch->err.text, now_ms);
    } else if (state_sink_whole(&fetch->sink)) {
        state_report_end(&fetch->report, now_ms);
        hang_up(fetch);
        start_loading(fetch, now_ms);
    } else if (buf_len(&fetch->in) > 0) {
        note_progress(fetch, now_ms);
        hand_over(fetch);
    } else if (fetch->ended) {
        give_up(fetch, now_ms);
    }
}

/* ---- loading, on the bulk lane, or the work lane when it is urgent ---- */

static int check_loaded(const struct state_fetch *fetch, const struct kv *fresh,
                        struct err *err)
{
    if (kv_applied_index(fresh) != fetch->begin.index ||
        kv_applied_term(fresh) != fetch->begin.term ||
        kv_state_hash(fresh) != fetch->begin.hash) {
        return err_set(err, ERR_CORRUPT,
                       "the state in %s is as of index %" PRIu64 " of term %" PRIu64
                       " with hash %016" PRIx64 ", announced was %" PRIu64
                       " of term %" PRIu64 " with hash %016" PRIx64,
                       fetch->path, kv_applied_index(fresh), kv_applied_term(fresh),
                       kv_state_hash(fresh), fetch->begin.index, fetch->begin.term,
                       fetch->begin.hash);
    }
    return 0;
}

static void run_load(struct env_job *job)
{
    struct state_fetch *fetch = container_of(job, struct state_fetch, job);
    struct kv_options options = fetch->options.kv;
    struct kv *fresh = NULL;

    FAILPOINT(STATE_LOAD);
    options.path = fetch->path;
    fetch->rc = kv_open_copy(&fresh, &options, &fetch->err);
    if (fetch->rc == 0) {
        fetch->rc = check_loaded(fetch, fresh, &fetch->err);
    }
    if (fetch->rc == 0) {
        fetch->fresh = fresh;
    } else {
        kv_close(fresh);
    }
}

static void start_loading(struct state_fetch *fetch, uint64_t now_ms)
{
    state_sink_close(&fetch->sink);
    fetch_move(fetch, FETCH_LOADING);
    fetch->loading_ms = now_ms;
    fetch->due_ms = UINT64_MAX;
    start_job(fetch, fetch->need.urgent ? ENV_LANE_WORK : ENV_LANE_BULK, run_load);
}

static void loaded(struct state_fetch *fetch, uint64_t now_ms)
{
    if (fetch->rc != 0 && fetch->rc != ERR_CORRUPT) {
        disk_failed(fetch, fetch->rc, fetch->err.text, now_ms);
        return;
    }
    if (fetch->rc != 0) {
        say(fetch, "the state that a member sent is damaged", fetch->err.text);
        metrics_add(fetch->options.metrics, METRIC_FETCHES_FAILED, 1);
        leave_source(fetch, now_ms);
        drop_fetched(fetch);
        return;
    }
    fetch->failures = 0;
    fetch->backoff_ms = BACKOFF_MIN_MS;
    fetch->said[0] = '\0';
    metrics_add(fetch->options.metrics, METRIC_FETCHES_DONE, 1);
    log_info("loaded and verified the state that was fetched",
             LOG_UINT("index", fetch->begin.index),
             LOG_UINT("ms", now_ms - fetch->loading_ms));
    fetch_move(fetch, FETCH_READY);
}

/* ---- by the turn ---- */

/* Nobody needs it any more. */
static void stop(struct state_fetch *fetch)
{
    if (fetch->state != FETCH_IDLE) {
        log_info("the state of another member is not needed any more");
        hang_up(fetch);
        fetch_move(fetch, FETCH_IDLE);
    }
    drop_fetched(fetch);
    fetch->due_ms = 0;
    fetch->source = 0;
}

static bool is_stale(const struct state_fetch *fetch)
{
    return fetch->path != NULL && fetch->begin.index < fetch->need.index;
}

/* Takes the steps that what came allows; ends what is late or broken. */
static void advance(struct state_fetch *fetch, uint64_t now_ms)
{
    if (fetch->state == FETCH_GREETING) {
        listen_for_hello(fetch, now_ms);
    }
    if (fetch->state == FETCH_ASKING) {
        listen_for_begin(fetch, now_ms);
    }
    if (fetch->state == FETCH_FETCHING) {
        fetch_bytes(fetch, now_ms);
    }
    if (fetch->stream == NULL || fetch->working) {
        return;
    }
    if (now_ms >= fetch->due_ms) {
        say(fetch, "a member that was asked for the state does not answer", "");
        give_up(fetch, now_ms);
    } else if (fetch->ended && fetch->state != FETCH_FETCHING) {
        say(fetch, "a member that was asked for the state hung up", "");
        give_up(fetch, now_ms);
    }
}

void state_fetch_continue(struct state_fetch *fetch, const struct fetch_need *need,
                          uint64_t now_ms)
{
    fetch->need = *need;
    if (fetch->working) {
        return;
    }
    if (need->index == 0 || is_stale(fetch)) {
        stop(fetch);
    }
    if (fetch->state == FETCH_LOADING) {
        loaded(fetch, now_ms);
    } else if (fetch->state == FETCH_IDLE && need->index != 0 &&
               now_ms >= fetch->due_ms) {
        dial(fetch, now_ms);
    } else {
        advance(fetch, now_ms);
    }
}

uint64_t state_fetch_deadline_ms(const struct state_fetch *fetch)
{
    return fetch->need.index == 0 || fetch->working || fetch->state == FETCH_READY
               ? UINT64_MAX
               : fetch->due_ms;
}

struct kv *state_fetch_ready(const struct state_fetch *fetch, struct fetch_begin *begin)
{
    if (fetch->state != FETCH_READY) {
        return NULL;
    }
    *begin = fetch->begin;
    return fetch->fresh;
}

struct kv *state_fetch_take(struct state_fetch *fetch, unsigned *number)
{
    struct kv *fresh = fetch->fresh;

    fetch_move(fetch, FETCH_IDLE);
    *number = fetch->number;
    fetch->fresh = NULL;
    free(fetch->path);
    fetch->path = NULL;
    fetch->begin = (struct fetch_begin){0};
    fetch->due_ms = 0;
    fetch->source = 0;
    return fresh;
}

unsigned state_fetch_percent(const struct state_fetch *fetch)
{
    if (fetch->state == FETCH_LOADING || fetch->state == FETCH_READY) {
        return 100;
    }
    return fetch->begin.size == 0 ? 0
                                  : (unsigned)(fetch->received * 100 / fetch->begin.size);
}

bool state_fetch_idle(const struct state_fetch *fetch)
{
    return !fetch->working;
}

void state_fetch_close(struct state_fetch *fetch)
{
    if (fetch->options.env == NULL) {
        return;
    }
    CHECK(!fetch->working);
    hang_up(fetch);
    state_sink_close(&fetch->sink);
    kv_close(fetch->fresh); /* the next start removes what is not named */
    free(fetch->path);
    buf_close(&fetch->in);
    buf_close(&fetch->handed);
    arena_close(&fetch->arena);
}
