/* The I/O thread. Happy path: somebody wants a link; the first endpoint is dialled; the
 * link is up and given to all who want one; bytes move until nobody has a stream.
 *
 * Each turn: wait (poll), hear, run what was posted and what is due, look after the
 * links, say. A round tries every endpoint once, beginning with the one after the last
 * failure; an endpoint that does not answer at once is not waited for: the next is
 * dialled beside it, and the first that is up wins. When a round is over without a link,
 * those who wanted one from its beginning are told all the reasons. A link that
 * disappointed is left: it serves the streams it has until they end. */
#include "cli/lib/io.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/socket.h"

#define STAGGER_MS 250  /* then the next endpoint is dialled, too */
#define LOGIN_MS   5000 /* for the first call on a link */
#define LINKS_LEFT 4    /* left links that are kept for the streams they have */

/* A link and its place in the list of all. */
struct io_link {
    struct list in_io;
    struct link *link;
    struct login login;
    bool left;
    bool told; /* its failure or success was noticed */
};

struct io {
    struct io_options options;
    struct endpoint *endpoints;
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t lock;
    struct list inbox; /* under the lock, as what follows */
    bool stopping;
    size_t current;

    struct list timers; /* the thread's own, as what follows */
    struct list wants;
    struct list links; /* oldest first */
    struct io_link *used;
    size_t next;      /* endpoint to be dialled next */
    size_t n_dialled; /* in this round */
    size_t n_dialling;
    int64_t dialled_ms; /* the last one began */
    uint64_t round;
    struct err failures; /* of this round */
};

void io_trace(const struct io *io, const char *format, ...)
{
    char line[ERR_TEXT_MAX + ENDPOINT_TEXT_MAX];
    va_list args;

    if (io->options.trace != NULL) {
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        io->options.trace(io->options.trace_owner, line);
    }
}

/* ---- tasks from other threads ---- */

static void wake(struct io *io)
{
    static const uint64_t one = 1;

    if (write(io->wake_fd, &one, sizeof(one)) < 0) {
        CHECK(errno == EAGAIN); /* it is awake already */
    }
}

void io_post(struct io *io, struct io_task *task)
{
    bool first;

    pthread_mutex_lock(&io->lock);
    first = list_empty(&io->inbox);
    list_add_tail(&io->inbox, &task->link);
    pthread_mutex_unlock(&io->lock);
    if (first) {
        wake(io);
    }
}

/* A function that somebody waits for. */
struct errand {
    struct io_task task;
    void (*fn)(void *arg);
    void *arg;
    struct io *io;
    pthread_cond_t done;
    bool is_done; /* under the lock */
};

static void errand_run(struct io_task *task)
{
    struct errand *errand = container_of(task, struct errand, task);
    struct io *io = errand->io;

    errand->fn(errand->arg);
    pthread_mutex_lock(&io->lock);
    errand->is_done = true;
    pthread_cond_signal(&errand->done);
    pthread_mutex_unlock(&io->lock);
}

void io_run(struct io *io, void (*fn)(void *arg), void *arg)
{
    struct errand errand = {.task = {.run = errand_run},
                            .fn = fn,
                            .arg = arg,
                            .io = io,
                            .done = PTHREAD_COND_INITIALIZER};

    if (pthread_equal(pthread_self(), io->thread)) {
        fn(arg);
        return;
    }
    io_post(io, &errand.task);
    pthread_mutex_lock(&io->lock);
    while (!errand.is_done) {
        pthread_cond_wait(&errand.done, &io->lock);
    }
    pthread_mutex_unlock(&io->lock);
    pthread_cond_destroy(&errand.done);
}

/* False when the thread is to end. */
static bool run_posted(struct io *io)
{
    struct list tasks;
    uint64_t n;
    bool go_on;

    if (read(io->wake_fd, &n, sizeof(n)) < 0) {
        CHECK(errno == EAGAIN);
    }
    list_init(&tasks);
    pthread_mutex_lock(&io->lock);
    list_splice_tail(&tasks, &io->inbox);
    go_on = !io->stopping;
    pthread_mutex_unlock(&io->lock);
    while (!list_empty(&tasks)) {
        struct io_task *task = container_of(tasks.next, struct io_task, link);

        list_del(&task->link);
        task->run(task);
    }
    return go_on;
}

/* ---- timers ---- */

void io_set_timer(struct io *io, struct io_task *task, int64_t due_ms)
{
    io_clear_timer(task);
    task->due_ms = due_ms;
    task->waiting = true;
    list_add_tail(&io->timers, &task->link);
}

void io_clear_timer(struct io_task *task)
{
    if (task->waiting) {
        task->waiting = false;
        list_del(&task->link);
    }
}

/* Timers may set and clear each other; those set meanwhile wait for the next turn. */
static void run_timers(struct io *io, int64_t now_ms)
{
    struct list due;

    list_init(&due);
    LIST_FOREACH_SAFE (at, &io->timers) {
        struct io_task *task = container_of(at, struct io_task, link);

        if (task->due_ms <= now_ms) {
            list_del(&task->link);
            list_add_tail(&due, &task->link);
        }
    }
    while (!list_empty(&due)) {
        struct io_task *task = container_of(due.next, struct io_task, link);

        io_clear_timer(task);
        task->run(task);
    }
}

static int64_t next_timer(const struct io *io)
{
    int64_t due_ms = INT64_MAX;

    LIST_FOREACH (at, &io->timers) {
        const struct io_task *task = container_of(at, struct io_task, link);

        due_ms = task->due_ms < due_ms ? task->due_ms : due_ms;
    }
    return due_ms;
}

/* ---- who wants a link ---- */

void io_want(struct io *io, struct io_want *want)
{
    CHECK(!want->waiting);
    want->waiting = true;
    want->round = io->n_dialled == 0 ? io->round : io->round + 1;
    list_add_tail(&io->wants, &want->link);
}

void io_want_no_more(struct io_want *want)
{
    if (want->waiting) {
        want->waiting = false;
        list_del(&want->link);
    }
}

static struct io_want *next_want(const struct list *wants)
{
    return list_empty(wants) ? NULL : container_of(wants->next, struct io_want, link);
}

static void give_link(struct io *io)
{
    struct list wants;
    struct io_want *want;

    list_init(&wants);
    list_splice_tail(&wants, &io->wants);
    while ((want = next_want(&wants)) != NULL) {
        if (io->used == NULL || !link_takes_streams(io->used->link)) {
            break; /* the others keep waiting */
        }
        io_want_no_more(want);
        want->ready(want, io->used->link);
    }
    list_splice_tail(&io->wants, &wants);
}

static void tell_failures(struct io *io, uint64_t round, const struct err *err)
{
    struct list wants;
    struct io_want *want;

    list_init(&wants);
    LIST_FOREACH_SAFE (at, &io->wants) {
        if (container_of(at, struct io_want, link)->round <= round) {
            list_del(at);
            list_add_tail(&wants, at);
        }
    }
    while ((want = next_want(&wants)) != NULL) {
        io_want_no_more(want);
        want->failed(want, err);
    }
}

const char *io_failures(const struct io *io)
{
    return io->failures.text;
}

/* ---- links ---- */

static void set_current(struct io *io, size_t index)
{
    pthread_mutex_lock(&io->lock);
    io->current = index;
    pthread_mutex_unlock(&io->lock);
}

static size_t index_of(const struct io *io, const struct link *link)
{
    for (size_t i = 0; i < io->options.n_endpoints; i++) {
        if (strcmp(io->endpoints[i].text, link_endpoint(link)->text) == 0) {
            return i;
        }
    }
    UNREACHABLE();
}

const struct endpoint *io_endpoint(const struct io *io, const struct link *link)
{
    return &io->endpoints[index_of(io, link)];
}

static void begin_round(struct io *io)
{
    io->round++;
    io->n_dialled = 0;
    io->failures = (struct err){0};
}

void io_leave(struct io *io, const struct link *link)
{
    if (io->used != NULL && io->used->link == link) {
        io->used->left = true;
        io->used = NULL;
        io->next = (index_of(io, link) + 1) % io->options.n_endpoints;
        set_current(io, io->next);
        begin_round(io);
    }
}

/* The TLS of an endpoint, with the files as they are now; NULL: it speaks none. */
static const struct tls *tls_for(const struct io *io, const struct endpoint *ep)
{
    struct err err;

    if (io->options.tls == NULL || !tls_wanted(tls_options_of(io->options.tls), ep)) {
        return NULL;
    }
    if (tls_renew(io->options.tls, &err) != 0) {
        io_trace(io, "%s; what was read before is used", err.text);
    }
    return io->options.tls;
}

static void dial_next(struct io *io, int64_t now_ms)
{
    const struct endpoint *ep = &io->endpoints[io->next];
    struct io_link *dialled = mem_zero(sizeof(*dialled));

    io_trace(io, "%s: connecting", ep->text);
    dialled->link = link_open(ep, tls_for(io, ep), now_ms + io->options.dial_timeout_ms,
                              io->options.ping_ms);
    list_add_tail(&io->links, &dialled->in_io);
    io->next = (io->next + 1) % io->options.n_endpoints;
    io->n_dialled++;
    io->n_dialling++;
    io->dialled_ms = now_ms;
    link_hear(dialled->link, now_ms);
}

static bool should_dial(const struct io *io, int64_t now_ms)
{
    return io->used == NULL && !list_empty(&io->wants) &&
           io->n_dialled < io->options.n_endpoints &&
           (io->n_dialling == 0 || now_ms >= io->dialled_ms + STAGGER_MS);
}

/* Appends to a message as much as fits. */
static void append_text(struct err *all, const char *text)
{
    size_t len = strlen(all->text);

    snprintf(all->text + len, sizeof(all->text) - len, "%s", text);
}

static void note_failure(struct io *io, const struct io_link *failed)
{
    const char *endpoint = link_endpoint(failed->link)->text;
    const struct err *why = link_state(failed->link) == LINK_DOWN
                                ? link_error(failed->link)
                                : &failed->login.err;

    io_trace(io, "%s: %s", endpoint, why->text);
    append_text(&io->failures, io->failures.text[0] != '\0' ? "; " : "");
    append_text(&io->failures, endpoint);
    append_text(&io->failures, ": ");
    append_text(&io->failures, why->text);
    io->failures.code = why->code;
}

/* The first that is up is used; the others are not needed any more. */
static void note_up(struct io *io, struct io_link *up)
{
    io_trace(io, "%s: connected", link_endpoint(up->link)->text);
    LIST_FOREACH (at, &io->links) {
        struct io_link *other = container_of(at, struct io_link, in_io);

        other->left |= !other->told;
    }
    up->left = false;
    io->used = up;
    set_current(io, index_of(io, up->link));
    begin_round(io);
}

static void drop(struct io *io, struct io_link *at)
{
    if (io->used == at) {
        io_leave(io, at->link);
    }
    list_del(&at->in_io);
    link_close(at->link);
    login_close(&at->login);
    free(at);
}

bool io_has_login(const struct io *io)
{
    return io->options.credentials.user != NULL;
}

/* A link is up once the login is over; one that failed makes it as good as down. */
static enum link_state state_of(struct io *io, struct io_link *one)
{
    enum link_state state = link_state(one->link);

    if (state != LINK_UP || one->left || !io_has_login(io)) {
        return state;
    }
    if (one->login.state == LOGIN_NONE) {
        login_start(&one->login, one->link, &io->options.credentials, LOGIN_MS);
    }
    switch (one->login.state) {
    case LOGIN_NONE:
    case LOGIN_RUNNING:
        return LINK_GREETING;
    case LOGIN_DONE:
        return LINK_UP;
    case LOGIN_FAILED:
        return LINK_DOWN;
    }
    UNREACHABLE();
}

/* Takes note of what became of each link, and drops those of no use. */
static void look_after_links(struct io *io)
{
    size_t n_left = 0;

    LIST_FOREACH_SAFE (at, &io->links) {
        struct io_link *one = container_of(at, struct io_link, in_io);
        enum link_state state = state_of(io, one);

        if (!one->told && (state >= LINK_UP || one->left)) {
            io->n_dialling--;
            if (state == LINK_UP && !one->left) {
                note_up(io, one);
            } else if (state == LINK_DOWN) {
                note_failure(io, one);
            }
            one->told = true;
        }
        if (state == LINK_UP && one == io->used && !link_takes_streams(one->link)) {
            io_leave(io, one->link);
        }
        n_left += one->left;
        if (state == LINK_DOWN || (one->left && link_n_streams(one->link) == 0)) {
            drop(io, one);
        }
    }
    LIST_FOREACH_SAFE (oldest, &io->links) {
        struct io_link *one = container_of(oldest, struct io_link, in_io);

        if (n_left > LINKS_LEFT && one->left) {
            n_left--;
            drop(io, one);
        }
    }
}

/* Finds a link for those who want one, as far as that goes without waiting. */
static void seek_link(struct io *io, int64_t now_ms)
{
    do {
        look_after_links(io);
        if (io->used != NULL) {
            give_link(io);
        } else if (io->n_dialling == 0 && io->n_dialled == io->options.n_endpoints) {
            struct err failures = io->failures;
            uint64_t round = io->round;

            begin_round(io);
            tell_failures(io, round, &failures);
        }
        if (!should_dial(io, now_ms)) {
            break;
        }
        dial_next(io, now_ms);
    } while (true);
}

/* ---- the turn ---- */

static int64_t next_due(const struct io *io, int64_t now_ms)
{
    int64_t due_ms = next_timer(io);

    LIST_FOREACH (at, &io->links) {
        const struct io_link *one = container_of(at, struct io_link, in_io);
        int64_t link_ms = link_due_ms(one->link, now_ms);

        if (link_state(one->link) == LINK_DOWN) {
            return now_ms; /* to be looked after */
        }
        due_ms = link_ms < due_ms ? link_ms : due_ms;
    }
    if (io->used == NULL && !list_empty(&io->wants) && io->n_dialling > 0 &&
        io->n_dialled < io->options.n_endpoints && io->dialled_ms + STAGGER_MS < due_ms) {
        due_ms = io->dialled_ms + STAGGER_MS;
    }
    return due_ms;
}

#define POLL_MAX (LIMIT_ENDPOINTS + LINKS_LEFT + 3)

static void wait_and_hear(struct io *io)
{
    struct pollfd fds[POLL_MAX] = {{.fd = io->wake_fd, .events = POLLIN}};
    struct link *links[POLL_MAX];
    int64_t now_ms = clock_ms();
    int64_t wait_ms = next_due(io, now_ms) - now_ms;
    nfds_t n = 1;
    int rc;

    LIST_FOREACH (at, &io->links) {
        CHECK(n < POLL_MAX);
        links[n] = container_of(at, struct io_link, in_io)->link;
        fds[n].fd = link_fd(links[n], &fds[n].events);
        n++;
    }
    wait_ms = wait_ms < 0 ? 0 : wait_ms;
    rc = poll(fds, n, wait_ms > INT32_MAX ? -1 : (int)wait_ms);
    CHECK(rc >= 0 || errno == EINTR || errno == ENOMEM);
    now_ms = clock_ms();
    for (nfds_t i = 1; i < n && rc >= 0; i++) {
        if (fds[i].revents != 0 || link_state(links[i]) < LINK_UP ||
            link_due_ms(links[i], now_ms) <= now_ms) {
            link_hear(links[i], now_ms);
        }
    }
}

static void say_all(struct io *io, int64_t now_ms)
{
    LIST_FOREACH (at, &io->links) {
        link_say(container_of(at, struct io_link, in_io)->link, now_ms);
    }
}

static void *io_thread(void *arg)
{
    struct io *io = arg;

    do {
        int64_t now_ms = clock_ms();

        run_timers(io, now_ms);
        seek_link(io, now_ms);
        say_all(io, now_ms);
        wait_and_hear(io);
    } while (run_posted(io));
    while (!list_empty(&io->links)) {
        drop(io, container_of(io->links.next, struct io_link, in_io));
    }
    return NULL;
}

/* ---- open and close ---- */

static void io_free(struct io *io)
{
    char *password = (char *)io->options.credentials.password;

    if (io_has_login(io)) {
        explicit_bzero(password, strlen(password));
        free(password);
        free((char *)io->options.credentials.user);
    }
    pthread_mutex_destroy(&io->lock);
    free(io->endpoints);
    free(io);
}

int io_open(const struct io_options *options, struct io **out, struct err *err)
{
    struct io *io = mem_zero(sizeof(*io));
    sigset_t all;
    sigset_t before;
    int rc;

    CHECK(options->n_endpoints > 0 && options->n_endpoints <= LIMIT_ENDPOINTS);
    io->options = *options;
    io->endpoints =
        mem_dup(options->endpoints, options->n_endpoints * sizeof(struct endpoint));
    io->options.endpoints = io->endpoints;
    if (io_has_login(io)) {
        io->options.credentials.user = mem_strdup(options->credentials.user);
        io->options.credentials.password = mem_strdup(options->credentials.password);
    }
    list_init(&io->inbox);
    list_init(&io->timers);
    list_init(&io->wants);
    list_init(&io->links);
    pthread_mutex_init(&io->lock, NULL);
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->wake_fd < 0) {
        rc = err_set(err, ERR_IO, "eventfd: %s", strerror(errno));
        goto fail;
    }
    /* Signals are the program's: its own threads take them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&io->thread, NULL, io_thread, io);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        rc = err_set(err, ERR_IO, "cannot start a thread: %s", strerror(rc));
        goto fail;
    }
    *out = io;
    return 0;

fail:
    socket_close(&io->wake_fd);
    io_free(io);
    return rc;
}

void io_close(struct io *io)
{
    if (io == NULL) {
        return;
    }
    pthread_mutex_lock(&io->lock);
    io->stopping = true;
    pthread_mutex_unlock(&io->lock);
    wake(io);
    pthread_join(io->thread, NULL);
    CHECK(list_empty(&io->inbox) && list_empty(&io->wants) && list_empty(&io->timers));
    socket_close(&io->wake_fd);
    io_free(io);
}

size_t io_current(struct io *io)
{
    size_t index;

    pthread_mutex_lock(&io->lock);
    index = io->current;
    pthread_mutex_unlock(&io->lock);
    return index;
}
