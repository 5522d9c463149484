/* Sending the state to members that ask for it.
 *
 * Happy path: a request comes, which may also say what is committed; once the state is
 * as of what is asked for, a copy of it is made, or shared with others; its begin is
 * told; then, piece by piece as far as the copy is filled, the bulk lane reads the file
 * and makes a frame of it, which is written when the connection has taken most of the one
 * before; the end tells the checksum. What can fail: the request is none or comes late,
 * the state is too old or must not be given away, there is no room for a copy (answered
 * with a sentence); the connection, or it takes nothing for a while (it ends: the other
 * side comes back for the rest). Memory: a frame and what the connection has not taken of
 * the one before, LIMIT_STATE_STREAMS times. */
#include "node/state_serve.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/smallfile.h"
#include "node/state_report.h"
#include "peer.pb-c.h"
#include "raftlog/link.h"

#define REQUEST_MS 10000 /* from the hello to the request */
#define COPY_MS    30000 /* until a copy is begun */
#define APPLY_MS   1000  /* until the state here is as of what was asked for */
#define STALL_MS   10000 /* nothing is taken, or nothing there to send */
#define FRAME_ROOM 64    /* of a frame, around its bytes of the file */
#define SPAN_MS    250   /* what was not sent may be made up for that long */

/*   LISTENING --request--> APPLYING --applied--> WAITING --copy--> SENDING --> ENDED
 *       +---------------------+---- refused --------+-- late, broken --+---------^ */
enum serving_state {
    SERVING_LISTENING,
    SERVING_APPLYING, /* until this member's own state is what is asked for */
    SERVING_WAITING,
    SERVING_SENDING,
    SERVING_ENDED, /* goes as soon as its job is done */
    SERVING_NSTATES,
};

static const unsigned serving_next[SERVING_NSTATES] = {
    [SERVING_LISTENING] = 1u << SERVING_APPLYING | 1u << SERVING_ENDED,
    [SERVING_APPLYING] = 1u << SERVING_WAITING | 1u << SERVING_ENDED,
    [SERVING_WAITING] = 1u << SERVING_SENDING | 1u << SERVING_ENDED,
    [SERVING_SENDING] = 1u << SERVING_ENDED,
    [SERVING_ENDED] = 0,
};

struct serving {
    struct state_server *server;
    struct list place;
    uint64_t member;
    enum serving_state state;
    struct stream *stream; /* NULL once ended */
    bool broken;           /* by the other side, or the network */
    uint64_t due_ms;
    struct buf in;
    uint64_t asked_copy; /* the request */
    uint64_t asked_offset;
    uint64_t at_least;
    uint64_t copy;   /* the id of the one in use; 0: none */
    uint64_t offset; /* sent, or in the frame */
    struct state_report report;
    struct env_job job; /* makes a frame of the file */
    bool working;
    struct disk_file *file; /* the job's */
    uint8_t *bytes;         /* likewise, LIMIT_STATE_CHUNK of them */
    size_t n_bytes;
    struct buf frame; /* likewise; ready to be written when not empty */
    int rc;           /* likewise */
    struct err err;
};

static void serving_move(struct serving *serving, enum serving_state to)
{
    CHECK(serving_next[serving->state] & 1u << to);
    serving->state = to;
}

static struct env *env_of(const struct serving *serving)
{
    return serving->server->options.env;
}

void state_server_init(struct state_server *server,
                       const struct state_server_options *options)
{
    *server = (struct state_server){
        .options = *options,
        .refilled_ns = env_mono_ns(options->env),
        .chunk = LIMIT_STATE_CHUNK,
    };
    list_init(&server->streams);
    arena_init(&server->arena, LIMIT_PEER_FRAME);
}

void state_server_set_chunk(struct state_server *server, size_t bytes)
{
    CHECK(bytes > 0 && bytes <= LIMIT_STATE_CHUNK);
    server->chunk = bytes;
}

/* ---- events: only noted ---- */

static void on_opened(void *owner, int rc, bool refused)
{
    UNREACHABLE(); /* accepted streams are open */
}

static void on_received(void *owner, struct slice bytes)
{
    struct serving *serving = owner;

    if (buf_append(&serving->in, bytes.ptr, bytes.len) != 0) {
        serving->broken = true; /* who asked waits for the answer */
    }
}

static void on_ended(void *owner, bool reset)
{
    struct serving *serving = owner;

    serving->broken = true;
}

static const struct stream_events events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

/* ---- the end of one ---- */

static void serving_end(struct serving *serving, bool abort, uint64_t now_ms)
{
    state_copy_leave(serving->server->options.copy, serving->copy, now_ms);
    serving->copy = 0;
    env_of(serving)->net->ops->close(serving->stream, abort);
    serving->stream = NULL;
    serving_move(serving, SERVING_ENDED);
}

static void serving_free(struct serving *serving)
{
    struct disk *disk = env_of(serving)->disk;

    if (serving->file != NULL) {
        disk->ops->close(serving->file);
    }
    serving->server->n--;
    list_del(&serving->place);
    buf_close(&serving->in);
    buf_close(&serving->frame);
    free(serving->bytes);
    free(serving);
}

static void serving_break(struct serving *serving, const char *why, uint64_t now_ms)
{
    if (serving->state == SERVING_SENDING) {
        state_report_break(&serving->report, serving->offset, why);
        metrics_add(serving->server->options.metrics, METRIC_STATES_BROKEN, 1);
    }
    serving_end(serving, true, now_ms);
}

/* ---- what is said ---- */

static void send_message(struct serving *serving, enum link_type type,
                         const ProtobufCMessage *message)
{
    struct buf frame = BUF_INIT(LIMIT_STATE_REQUEST);

    CHECK(link_encode(&frame, type, message) == 0);
    env_of(serving)->net->ops->write(serving->stream, buf_slice(&frame));
    buf_close(&frame);
}

static void serving_refuse(struct serving *serving, const char *why, uint64_t now_ms)
{
    Kvd__Peer__StateBegin begin = KVD__PEER__STATE_BEGIN__INIT;

    begin.refusal = (char *)why;
    log_info("gives no state to a member", LOG_HEX("member", serving->member),
             LOG_TEXT("why", why));
    send_message(serving, LINK_STATE_BEGIN, &begin.base);
    serving_end(serving, false, now_ms);
}

/* ---- the request ---- */

static int read_request(struct serving *serving, struct err *err)
{
    struct arena *arena = &serving->server->arena;
    struct link_frame frame;
    int rc;

    rc = link_next(&serving->in, arena, &frame, err);
    if (rc > 0 && frame.type == LINK_STATE_REQUEST) {
        const Kvd__Peer__StateRequest *request =
            (const Kvd__Peer__StateRequest *)frame.message;

        serving->asked_copy = request->copy;
        serving->asked_offset = request->offset;
        serving->at_least = request->at_least;
        raftlog_learn_commit(serving->server->options.copy->options.log,
                             request->at_least, request->term);
    } else if (rc > 0) {
        rc = err_set(err, ERR_CORRUPT, "type %d at this place", (int)frame.type);
    }
    arena_reset(arena);
    return rc;
}

static void listen_to(struct serving *serving, uint64_t now_ms)
{
    struct err err;
    int rc = read_request(serving, &err);

    if (rc < 0) {
        log_warn("a member asks for the state in a way that is not understood",
                 LOG_HEX("member", serving->member), LOG_TEXT("why", err.text));
        serving_end(serving, true, now_ms);
    } else if (rc > 0) {
        serving_move(serving, SERVING_APPLYING);
        serving->due_ms = now_ms + APPLY_MS;
    }
}

/* ---- the begin ---- */

static void begin_sending(struct serving *serving, uint64_t now_ms)
{
    const struct state_copy *copy = serving->server->options.copy;
    Kvd__Peer__StateBegin begin = KVD__PEER__STATE_BEGIN__INIT;
    bool same = serving->asked_copy == copy->id && serving->asked_offset <= copy->filled;
    struct raftlog_status log;

    serving->copy = copy->id;
    serving->offset = same ? serving->asked_offset : 0;
    begin.copy = copy->id;
    begin.index = copy->of.index;
    begin.term = copy->of.term;
    begin.hash = copy->of.hash;
    begin.size = copy->of.size;
    begin.offset = serving->offset;
    raftlog_get_status(copy->options.log, &log);
    begin.log_term = log.term;
    send_message(serving, LINK_STATE_BEGIN, &begin.base);
    serving->bytes = mem_alloc(LIMIT_STATE_CHUNK);
    buf_init(&serving->frame, LIMIT_STATE_CHUNK + LINK_HEADER_SIZE + FRAME_ROOM);
    state_report_begin(&serving->report, "sending", serving->member, copy->of.index,
                       copy->of.size, serving->offset, now_ms);
    serving_move(serving, SERVING_SENDING);
    serving->due_ms = now_ms + STALL_MS;
}

/* A copy of a state that is too old would be made for nothing. */
static void wait_for_state(struct serving *serving, uint64_t now_ms)
{
    const struct kv *kv = serving->server->options.copy->options.kv;
    uint64_t applied = kv_applied_index(kv);
    struct err err;

    if (applied >= serving->at_least) {
        serving_move(serving, SERVING_WAITING);
        serving->due_ms = now_ms + COPY_MS;
    } else if (now_ms >= serving->due_ms) {
        err_set(&err, ERR_BUSY,
                "its own state is as of index %" PRIu64 ", where %" PRIu64 " is needed",
                applied, serving->at_least);
        serving_refuse(serving, err.text, now_ms);
    }
}

static void wait_for_copy(struct serving *serving, uint64_t now_ms)
{
    const struct state_server_options *options = &serving->server->options;
    struct err err;
    int rc = options->judge(options->owner, &err);

    if (rc == 0) {
        rc = state_copy_use(options->copy, serving->asked_copy, serving->at_least, now_ms,
                            &err);
    }
    if (rc > 0) {
        begin_sending(serving, now_ms);
    } else if (rc < 0) {
        serving_refuse(serving, err.text, now_ms);
    } else if (now_ms >= serving->due_ms) {
        serving_refuse(serving, "it is too busy to copy its state", now_ms);
    }
}

/* ---- chunks, on the bulk lane ---- */

static int read_chunk(struct serving *serving)
{
    struct disk *disk = env_of(serving)->disk;
    const char *path = serving->server->options.copy->path;
    ssize_t n;
    int rc;

    FAILPOINT(STATE_SEND);
    if (serving->file == NULL) {
        rc = disk->ops->open(disk, path, DISK_READ_ONLY, &serving->file);
        if (rc < 0) {
            return smallfile_error(&serving->err, rc, "open", path);
        }
    }
    n = disk_read_all(disk, serving->file, serving->bytes, serving->n_bytes,
                      serving->offset);
    if (n < 0) {
        return smallfile_error(&serving->err, (int)n, "read", path);
    }
    if ((size_t)n < serving->n_bytes) {
        return err_set(&serving->err, ERR_IO, "read %s: it ends at %" PRIu64, path,
                       serving->offset + (uint64_t)n);
    }
    return 0;
}

static void run_chunk(struct env_job *job)
{
    struct serving *serving = container_of(job, struct serving, job);
    Kvd__Peer__StateChunk chunk = KVD__PEER__STATE_CHUNK__INIT;

    serving->rc = read_chunk(serving);
    if (serving->rc == 0) {
        chunk.offset = serving->offset;
        chunk.data = (ProtobufCBinaryData){serving->n_bytes, serving->bytes};
        CHECK(link_encode(&serving->frame, LINK_STATE_CHUNK, &chunk.base) == 0);
    }
}

static void on_chunk(struct env_job *job)
{
    struct serving *serving = container_of(job, struct serving, job);

    serving->working = false;
}

static void start_chunk(struct serving *serving, uint64_t len)
{
    size_t chunk = serving->server->chunk;

    serving->n_bytes = len < chunk ? (size_t)len : chunk;
    serving->job = (struct env_job){.run = run_chunk, .done = on_chunk};
    serving->working = true;
    env_submit(env_of(serving), ENV_LANE_BULK, &serving->job);
}

/* ---- sending ---- */

static void write_frame(struct serving *serving, uint64_t now_ms)
{
    env_of(serving)->net->ops->write(serving->stream, buf_slice(&serving->frame));
    buf_clear(&serving->frame);
    serving->offset += serving->n_bytes;
    serving->server->allowance -= (int64_t)serving->n_bytes;
    serving->due_ms = now_ms + STALL_MS;
    metrics_add(serving->server->options.metrics, METRIC_STATE_BYTES_SENT,
                serving->n_bytes);
    state_report_go_on(&serving->report, serving->offset, now_ms);
}

static void finish(struct serving *serving, uint64_t now_ms)
{
    Kvd__Peer__StateEnd end = KVD__PEER__STATE_END__INIT;

    end.checksum = serving->server->options.copy->checksum;
    send_message(serving, LINK_STATE_END, &end.base);
    state_report_end(&serving->report, now_ms);
    metrics_add(serving->server->options.metrics, METRIC_STATES_SENT, 1);
    serving_end(serving, false, now_ms);
}

static void send_more(struct serving *serving, uint64_t now_ms)
{
    const struct state_copy *copy = serving->server->options.copy;
    struct net *net = env_of(serving)->net;

    if (copy->id != serving->copy) {
        serving_break(serving, "the copy is gone", now_ms);
        return;
    }
    if (serving->rc != 0) {
        env_fatal(env_of(serving), serving->err.text);
        serving_break(serving, serving->err.text, now_ms);
        return;
    }
    if (buf_len(&serving->frame) > 0 && serving->server->allowance > 0 &&
        net->ops->backlog(serving->stream) < STREAM_LOW) {
        write_frame(serving, now_ms);
    }
    if (buf_len(&serving->frame) > 0) {
        return;
    }
    if (serving->offset < copy->filled) {
        start_chunk(serving, copy->filled - serving->offset);
    } else if (copy->state == COPY_WHOLE) {
        finish(serving, now_ms);
    }
}

/* ---- by the turn ---- */

static void serving_continue(struct serving *serving, uint64_t now_ms)
{
    if (serving->working || serving->state == SERVING_ENDED) {
        return;
    }
    if (serving->broken) {
        serving_break(serving, "the connection ended", now_ms);
        return;
    }
    if (serving->state == SERVING_LISTENING) {
        listen_to(serving, now_ms);
    }
    if (serving->state == SERVING_APPLYING) {
        wait_for_state(serving, now_ms);
    }
    if (serving->state == SERVING_WAITING) {
        wait_for_copy(serving, now_ms);
    }
    if (serving->state == SERVING_SENDING && !serving->working) {
        send_more(serving, now_ms);
    }
    if (serving->state != SERVING_ENDED && !serving->working &&
        now_ms >= serving->due_ms) {
        serving_break(serving, "nothing was taken for a while", now_ms);
    }
}

static void refill(struct state_server *server)
{
    uint64_t now_ns = env_mono_ns(server->options.env);
    uint64_t ms = (now_ns - server->refilled_ns) / 1000000;
    int64_t most = (int64_t)(server->options.rate / 1000 * SPAN_MS);

    server->refilled_ns += ms * 1000000;
    if (ms >= SPAN_MS) {
        server->allowance = most;
    } else {
        server->allowance += (int64_t)(server->options.rate / 1000 * ms);
        server->allowance = server->allowance < most ? server->allowance : most;
    }
}

void state_server_continue(struct state_server *server, uint64_t now_ms)
{
    refill(server);
    LIST_FOREACH_SAFE (pos, &server->streams) {
        struct serving *serving = container_of(pos, struct serving, place);

        serving_continue(serving, now_ms);
        if (serving->state == SERVING_ENDED && !serving->working) {
            serving_free(serving);
        }
    }
}

uint64_t state_server_deadline_ms(const struct state_server *server)
{
    uint64_t deadline = UINT64_MAX;

    LIST_FOREACH (pos, &server->streams) {
        const struct serving *serving = container_of(pos, struct serving, place);
        uint64_t due_ms = serving->due_ms;

        if (buf_len(&serving->frame) > 0 && !serving->working && server->allowance <= 0) {
            due_ms = server->refilled_ns / 1000000 + 1 +
                     (uint64_t)-server->allowance * 1000 / server->options.rate;
        }
        deadline = due_ms < deadline ? due_ms : deadline;
    }
    return deadline;
}

void state_server_accept(struct state_server *server, uint64_t member,
                         struct stream *stream, struct slice more)
{
    struct env *env = server->options.env;
    uint64_t now_ms = env_mono_ms(env);
    struct serving *serving = mem_zero(sizeof(*serving));

    *serving = (struct serving){
        .server = server,
        .member = member,
        .state = SERVING_LISTENING,
        .stream = stream,
        .in = BUF_INIT(LIMIT_STATE_REQUEST),
        .due_ms = now_ms + REQUEST_MS,
    };
    /* One that comes again has left its older connection. */
    LIST_FOREACH (pos, &server->streams) {
        struct serving *older = container_of(pos, struct serving, place);

        if (older->member == member && older->state != SERVING_ENDED) {
            older->broken = true;
        }
    }
    list_add_tail(&server->streams, &serving->place);
    server->n++;
    env->net->ops->attach(stream, &events, serving);
    on_received(serving, more);
    if (server->n > LIMIT_STATE_STREAMS) {
        serving_refuse(serving, "too many other members fetch its state", now_ms);
    }
}

size_t state_server_count(const struct state_server *server)
{
    return server->n;
}

bool state_server_idle(const struct state_server *server)
{
    LIST_FOREACH (pos, &server->streams) {
        if (container_of(pos, struct serving, place)->working) {
            return false;
        }
    }
    return true;
}

void state_server_close(struct state_server *server)
{
    if (server->options.env == NULL) {
        return;
    }
    LIST_FOREACH_SAFE (pos, &server->streams) {
        struct serving *serving = container_of(pos, struct serving, place);

        CHECK(!serving->working);
        if (serving->state != SERVING_ENDED) {
            serving_end(serving, true, 0);
        }
        serving_free(serving);
    }
    arena_close(&server->arena);
}
