/* Happy path: it wants a link, opens its stream, lets messages through. When the stream
 * ends it is opened elsewhere: at once if it has been of use, otherwise after a pause
 * that grows. Codes that tell of the request and not of the server's state end it. */
#include "cli/lib/feed.h"

#include <string.h>

#include "api/status.h"
#include "cli/lib/socket.h"

#define PAUSE_FIRST_MS 25
#define PAUSE_MAX_MS   1000
#define USEFUL_MS      1000 /* a stream that lived so long was of use */

static bool is_final(int code)
{
    switch (code) {
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_ALREADY_EXISTS:
    case GRPC_PERMISSION_DENIED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED:
    case GRPC_UNAUTHENTICATED:
        return true;
    default:
        return false;
    }
}

static void open_later(struct feed *feed)
{
    if (feed->pause_ms == 0) {
        feed->pause_ms = PAUSE_FIRST_MS;
        io_want(feed->io, &feed->want);
        return;
    }
    io_set_timer(feed->io, &feed->pause, clock_ms() + feed->pause_ms);
    feed->pause_ms =
        feed->pause_ms * 2 < PAUSE_MAX_MS ? feed->pause_ms * 2 : PAUSE_MAX_MS;
}

static void on_pause_over(struct io_task *task)
{
    struct feed *feed = container_of(task, struct feed, pause);

    io_want(feed->io, &feed->want);
}

static void on_message(struct stream *stream, struct slice bytes)
{
    struct feed *feed = container_of(stream, struct feed, stream);

    feed->events->message(feed, bytes);
}

static void lose(struct feed *feed, const struct err *why)
{
    if (clock_ms() >= feed->opened_ms + USEFUL_MS) {
        feed->pause_ms = 0;
    }
    feed->heard_ms = link_heard_ms(feed->link); /* it is there until this returns */
    io_trace(feed->io, "%s", why->text);
    io_leave(feed->io, feed->link);
    open_later(feed);
    feed->events->lost(feed, why);
}

static void on_ended(struct stream *stream, const struct stream_end *end)
{
    struct feed *feed = container_of(stream, struct feed, stream);
    struct err why = end->err;

    if (!end->answered) {
        err_prefix(&why, why.code, "%s: %s", feed->ep->text, feed->name);
    } else if (end->grpc_code == GRPC_OK) {
        err_set(&why, ERR_NETWORK, "%s: %s: the server ended it", feed->ep->text,
                feed->name);
    } else {
        err_set(&why, ERR_REFUSED, "%s: %s: %s (%s)", feed->ep->text, feed->name,
                end->text, grpc_code_name(end->grpc_code));
    }
    if (end->answered && is_final(end->grpc_code) &&
        !(io_has_login(feed->io) && login_is_void(end->text))) {
        feed->events->refused(feed, end->grpc_code, &why);
    } else {
        lose(feed, &why);
    }
}

static void on_link(struct io_want *want, struct link *link)
{
    static const struct stream_events events = {on_message, on_ended};
    struct feed *feed = container_of(want, struct feed, want);

    feed->link = link;
    feed->opened_ms = clock_ms();
    feed->ep = io_endpoint(feed->io, link);
    feed->stream.events = &events;
    if (!stream_start(&feed->stream, link, feed->path, -1, true)) {
        io_leave(feed->io, link);
        io_want(feed->io, &feed->want);
        return;
    }
    io_trace(feed->io, "%s: %s", feed->ep->text, feed->name);
    feed->events->opened(feed);
}

static void on_no_link(struct io_want *want, const struct err *err)
{
    struct feed *feed = container_of(want, struct feed, want);

    if (err->code == ERR_REFUSED) { /* the password is wrong, and stays so */
        feed->events->refused(feed, GRPC_UNAUTHENTICATED, err);
        return;
    }
    feed->pause_ms = feed->pause_ms == 0 ? PAUSE_FIRST_MS : feed->pause_ms;
    open_later(feed);
    feed->events->lost(feed, err);
}

void feed_start(struct feed *feed, struct io *io, const char *path, const char *name,
                const struct feed_events *events)
{
    *feed = (struct feed){
        .io = io,
        .path = path,
        .name = name,
        .events = events,
        .want = {.ready = on_link, .failed = on_no_link},
        .pause = {.run = on_pause_over},
    };
    io_want(io, &feed->want);
}

void feed_stop(struct feed *feed)
{
    io_want_no_more(&feed->want);
    io_clear_timer(&feed->pause);
    stream_stop(&feed->stream);
}

void feed_send(struct feed *feed, struct slice message)
{
    if (stream_running(&feed->stream) && stream_send(&feed->stream, message) != 0) {
        feed_move_on(feed, "what is sent there is not taken");
    }
}

void feed_send_last(struct feed *feed, struct slice message)
{
    feed_send(feed, message);
    if (stream_running(&feed->stream)) {
        stream_complete(&feed->stream);
    }
}

bool feed_is_open(const struct feed *feed)
{
    return stream_running(&feed->stream);
}

void feed_move_on(struct feed *feed, const char *why)
{
    struct err err;

    if (stream_running(&feed->stream)) {
        stream_stop(&feed->stream);
        err_set(&err, ERR_NETWORK, "%s: %s: %s", feed->ep->text, feed->name, why);
        lose(feed, &err);
    }
}

void feed_pause(struct feed *feed, bool paused)
{
    stream_pause(&feed->stream, paused);
}
