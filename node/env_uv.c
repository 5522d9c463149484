/* The loop, the clock and the signals on libuv.
 *
 * One iteration: prepare sets the timer to the next deadline; libuv blocks, then lets all
 * ready callbacks run (network, finished jobs, signals); check delivers what the network
 * could not tell from inside a call, and makes the turn. What can fail: setting up libuv,
 * for want of file descriptors or memory. */
#include "node/env_uv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/lanes_uv.h"
#include "node/net_uv.h"

static const int watched_signals[] = {SIGTERM, SIGINT, SIGHUP};

struct env_uv {
    struct env env;
    uv_loop_t loop;
    uv_timer_t timer; /* wakes the loop at the deadline; does nothing itself */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_signal_t signals[ARRAY_LEN(watched_signals)];
    struct lanes_uv *lanes;
    struct net_uv *net;
    const struct env_uv_hooks *hooks; /* while running */
    void *owner;
    bool woken;              /* a turn was asked for */
    bool stopping;           /* a signal asked to stop */
    bool stopped;            /* no turns any more */
    uint64_t flush_until_ms; /* once stopped */
};

static struct env_uv *uv_of(struct env *env)
{
    return container_of(env, struct env_uv, env);
}

/* ---- struct env ---- */

static uint64_t uv_mono_ns(struct env *env)
{
    (void)env;
    return uv_hrtime();
}

static int64_t uv_wall_ms(struct env *env)
{
    struct timespec now;

    (void)env;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void uv_random_bytes(struct env *env, void *bytes, size_t len)
{
    uint8_t *at = bytes;

    (void)env;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        CHECK(n > 0 || errno == EINTR);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

static void uv_submit(struct env *env, enum env_lane lane, struct env_job *job)
{
    lanes_uv_submit(uv_of(env)->lanes, lane, job);
}

static void uv_wake(struct env *env)
{
    uv_of(env)->woken = true;
}

/* May come from a worker thread, with the loop running on: nothing is torn down. */
static void uv_fatal(struct env *env, const char *text)
{
    (void)env;
    log_error(text);
    _exit(EXIT_FAILURE);
}

static const struct env_ops env_uv_ops = {
    .mono_ns = uv_mono_ns,
    .wall_ms = uv_wall_ms,
    .random = uv_random_bytes,
    .submit = uv_submit,
    .wake = uv_wake,
    .fatal = uv_fatal,
};

/* ---- the loop ---- */

static uint64_t next_deadline_ms(struct env_uv *uv)
{
    uint64_t owner_ms =
        uv->stopped ? uv->flush_until_ms : uv->hooks->deadline_ms(uv->owner);
    uint64_t net_ms = net_uv_deadline_ms(uv->net);

    return net_ms < owner_ms ? net_ms : owner_ms;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct env_uv *uv = container_of(prepare, struct env_uv, prepare);
    uint64_t delay_ms = 0;

    if (!uv->woken) {
        uint64_t deadline_ms = next_deadline_ms(uv);
        uint64_t now_ms = env_mono_ms(&uv->env);

        delay_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    }
    CHECK(uv_timer_start(&uv->timer, on_timer, delay_ms, 0) == 0);
}

static void on_check(uv_check_t *check)
{
    struct env_uv *uv = container_of(check, struct env_uv, check);
    uint64_t now_ms = env_mono_ms(&uv->env);

    uv->woken = false;
    net_uv_tick(uv->net, now_ms);
    if (!uv->stopped) {
        uv->hooks->turn(uv->owner);
        uv->stopped = uv->hooks->stopped(uv->owner);
        uv->flush_until_ms = now_ms + LIMIT_LAST_FLUSH_MS;
    }
    if (uv->stopped && (net_uv_flushed(uv->net) || now_ms >= uv->flush_until_ms)) {
        uv_stop(&uv->loop);
    }
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct env_uv *uv = handle->data;

    if (signal_number == SIGHUP) {
        uv->hooks->reload(uv->owner);
        return;
    }
    if (uv->stopping) {
        log_warn("asked to stop a second time: leaving at once",
                 LOG_INT("signal", signal_number));
        _exit(128 + signal_number);
    }
    uv->stopping = true;
    uv->hooks->stop(uv->owner, signal_number);
}

/* ---- life ---- */

static void env_uv_init_handles(struct env_uv *uv)
{
    CHECK(uv_timer_init(&uv->loop, &uv->timer) == 0);
    CHECK(uv_prepare_init(&uv->loop, &uv->prepare) == 0);
    CHECK(uv_check_init(&uv->loop, &uv->check) == 0);
    for (size_t i = 0; i < ARRAY_LEN(uv->signals); i++) {
        CHECK(uv_signal_init(&uv->loop, &uv->signals[i]) == 0);
        uv->signals[i].data = uv;
    }
}

static void env_uv_close_handles(struct env_uv *uv)
{
    uv_close((uv_handle_t *)&uv->timer, NULL);
    uv_close((uv_handle_t *)&uv->prepare, NULL);
    uv_close((uv_handle_t *)&uv->check, NULL);
    for (size_t i = 0; i < ARRAY_LEN(uv->signals); i++) {
        uv_close((uv_handle_t *)&uv->signals[i], NULL);
    }
}

int env_uv_open(struct env_uv **out, struct disk *disk, struct err *err)
{
    struct env_uv *uv = mem_zero(sizeof(*uv));
    int rc;

    signal(SIGPIPE, SIG_IGN);
    rc = uv_loop_init(&uv->loop);
    if (rc != 0) {
        free(uv);
        return err_set(err, ERR_IO, "prepare the event loop: %s", uv_strerror(rc));
    }
    env_uv_init_handles(uv);
    uv->net = net_uv_open(&uv->loop);
    uv->env = (struct env){
        .ops = &env_uv_ops,
        .disk = disk,
        .net = net_uv_net(uv->net),
    };
    rc = lanes_uv_open(&uv->lanes, &uv->loop, err);
    if (rc != 0) {
        env_uv_close(uv);
        return rc;
    }
    *out = uv;
    return 0;
}

struct env *env_uv_env(struct env_uv *uv)
{
    return &uv->env;
}

void env_uv_run(struct env_uv *uv, const struct env_uv_hooks *hooks, void *owner)
{
    uv->hooks = hooks;
    uv->owner = owner;
    uv->stopped = false;
    CHECK(uv_prepare_start(&uv->prepare, on_prepare) == 0);
    CHECK(uv_check_start(&uv->check, on_check) == 0);
    for (size_t i = 0; i < ARRAY_LEN(uv->signals); i++) {
        CHECK(uv_signal_start(&uv->signals[i], on_signal, watched_signals[i]) == 0);
    }
    uv_run(&uv->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < ARRAY_LEN(uv->signals); i++) {
        uv_signal_stop(&uv->signals[i]);
    }
    uv_check_stop(&uv->check);
    uv_prepare_stop(&uv->prepare);
    uv_timer_stop(&uv->timer);
    uv->hooks = NULL;
}

void env_uv_close(struct env_uv *uv)
{
    if (uv == NULL) {
        return;
    }
    if (uv->lanes != NULL) {
        lanes_uv_close(uv->lanes);
    }
    net_uv_close(uv->net);
    env_uv_close_handles(uv);
    uv_run(&uv->loop, UV_RUN_DEFAULT);
    net_uv_free(uv->net);
    CHECK(uv_loop_close(&uv->loop) == 0);
    free(uv);
}

const char *env_uv_version(void)
{
    return uv_version_string();
}
