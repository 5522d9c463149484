/* The I/O thread of a client: tasks that other threads hand over, timers, and the link in
 * use, found by trying the endpoints.
 *
 * Everything but io_open, io_close, io_post and io_run is called on the I/O thread only,
 * so what lives there needs no locks. */
#ifndef KVD_LIB_IO_H
#define KVD_LIB_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/link.h"
#include "cli/lib/login.h"

struct io;

struct io_options {
    const struct endpoint *endpoints; /* copied */
    size_t n_endpoints;
    struct tls *tls; /* of the endpoints that speak it; NULL when none does */
    struct credentials credentials; /* copied */
    int64_t dial_timeout_ms;        /* per endpoint */
    int64_t ping_ms; /* silence after which a server with open calls is probed */
    void (*trace)(void *owner, const char *line); /* on the I/O thread; may be NULL */
    void *trace_owner;
};

/* ERR_IO: no descriptor or thread is to be had. */
int io_open(const struct io_options *options, struct io **out, struct err *err);

/* Nothing may be posted, wanting or running any more. */
void io_close(struct io *io);

/* Work for the I/O thread, embedded in the user's struct. */
struct io_task {
    void (*run)(struct io_task *task);
    struct list link; /* private, as what follows */
    int64_t due_ms;
    bool waiting;
};

/* Runs the task soon; its memory is the thread's until then. From any thread. */
void io_post(struct io *io, struct io_task *task);

/* Runs fn there and returns when it has. From any thread. */
void io_run(struct io *io, void (*fn)(void *arg), void *arg);

/* A timer: runs the task once, then. Setting it again moves it. */
void io_set_timer(struct io *io, struct io_task *task, int64_t due_ms);
void io_clear_timer(struct io_task *task);

/* Who needs a link, embedded in the user's struct. Exactly one of the two is called,
 * later, never from inside io_want. */
struct io_want {
    void (*ready)(struct io_want *want, struct link *link);      /* it takes streams */
    void (*failed)(struct io_want *want, const struct err *err); /* all were tried */
    struct list link; /* private, as what follows */
    uint64_t round;
    bool waiting;
};

void io_want(struct io *io, struct io_want *want);
void io_want_no_more(struct io_want *want);

/* This link is not to be used for anything new: the next endpoint's turn. Streams that
 * run in it go on. The link may be gone already. */
void io_leave(struct io *io, const struct link *link);

/* Of a link; lives as long as the client. */
const struct endpoint *io_endpoint(const struct io *io, const struct link *link);

/* Calls show a token: one that does not count any more is had anew on another link. */
bool io_has_login(const struct io *io);

/* What was tried and failed, for a message; "" when nothing has yet. */
const char *io_failures(const struct io *io);

void io_trace(const struct io *io, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The endpoint in use, or to be tried next. From any thread. */
size_t io_current(struct io *io);

#endif
