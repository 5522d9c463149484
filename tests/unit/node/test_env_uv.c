/* The real environment: clock, jobs, sockets on loopback, the loop and its signals. */
#include "node/env_uv.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- a test's loop ---- */

/* One loop with a script: step is called once a turn until it says that all is done. */
struct bench {
    struct env_uv *uv;
    struct env *env;
    bool (*step)(struct bench *bench);
    uint64_t turns;
    uint64_t give_up_ms;
    uint64_t next_ms; /* deadline told to the loop */
    int signal_number;
    int reloads;
    bool done;
    /* a server and a client on it */
    struct listener *listener;
    struct stream *server;
    struct stream *client;
    struct buf server_got;
    struct buf client_got;
    char address[64];
    int opened_rc;
    bool opened;
    bool refused;
    bool server_ended;
    bool client_ended;
    bool client_reset;
    int drained;
    int accepted;
    bool inside; /* a call into the environment is under way: no event may come */
};

static void bench_turn(void *owner)
{
    struct bench *bench = owner;

    bench->turns++;
    bench->next_ms = bench->give_up_ms;
    bench->done = bench->step(bench);
    cr_assert(env_mono_ms(bench->env) < bench->give_up_ms, "gave up waiting");
}

static uint64_t bench_deadline(void *owner)
{
    return ((struct bench *)owner)->next_ms;
}

static bool bench_stopped(void *owner)
{
    return ((struct bench *)owner)->done;
}

static void bench_stop(void *owner, int signal_number)
{
    ((struct bench *)owner)->signal_number = signal_number;
}

static void bench_reload(void *owner)
{
    ((struct bench *)owner)->reloads++;
}

static void bench_run(struct bench *bench, bool (*step)(struct bench *bench))
{
    static const struct env_uv_hooks hooks = {
        .turn = bench_turn,
        .deadline_ms = bench_deadline,
        .stopped = bench_stopped,
        .stop = bench_stop,
        .reload = bench_reload,
    };

    bench->step = step;
    bench->done = false;
    bench->give_up_ms = env_mono_ms(bench->env) + 10000;
    bench->next_ms = 0;
    env_uv_run(bench->uv, &hooks, bench);
}

static struct bench *bench_open(void)
{
    struct bench *bench = mem_zero(sizeof(*bench));

    cr_assert_eq(env_uv_open(&bench->uv, NULL, NULL), 0);
    bench->env = env_uv_env(bench->uv);
    buf_init(&bench->server_got, 64 * MIB);
    buf_init(&bench->client_got, 64 * MIB);
    return bench;
}

static void bench_close(struct bench *bench)
{
    env_uv_close(bench->uv);
    buf_close(&bench->server_got);
    buf_close(&bench->client_got);
    free(bench);
}

static int bound_socket(int family, char *address, size_t size)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool six = family == AF_INET6;
    struct sockaddr *at = six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    socklen_t len = six ? sizeof(in6) : sizeof(in);
    int fd = socket(family, SOCK_STREAM, 0);

    cr_assert(fd >= 0 && bind(fd, at, len) == 0 && getsockname(fd, at, &len) == 0);
    snprintf(address, size, "%s:%u", six ? "[::1]" : "127.0.0.1",
             ntohs(six ? in6.sin6_port : in.sin_port));
    return fd;
}

/* An address that nobody listens on. */
static void free_address(int family, char *address, size_t size)
{
    close(bound_socket(family, address, size));
}

/* ---- events ---- */

static void server_received(void *owner, struct slice bytes)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside);
    cr_assert_eq(buf_append(&bench->server_got, bytes.ptr, bytes.len), 0);
}

static void server_ended(void *owner, bool reset)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside);
    bench->server_ended = true;
    (void)reset;
}

static const struct stream_events server_events = {
    .received = server_received,
    .ended = server_ended,
};

static void on_accept(void *owner, struct stream *stream)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside);
    bench->accepted++;
    bench->server = stream;
    bench->env->net->ops->attach(stream, &server_events, bench);
}

static void client_opened(void *owner, int rc, bool refused)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside && !bench->opened);
    bench->opened = true;
    bench->opened_rc = rc;
    bench->refused = refused;
}

static void client_received(void *owner, struct slice bytes)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside);
    cr_assert_eq(buf_append(&bench->client_got, bytes.ptr, bytes.len), 0);
}

static void client_ended(void *owner, bool reset)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside && !bench->client_ended);
    bench->client_ended = true;
    bench->client_reset = reset;
}

static void client_drained(void *owner)
{
    struct bench *bench = owner;

    cr_assert(!bench->inside);
    bench->drained++;
}

static const struct stream_events client_events = {
    .opened = client_opened,
    .received = client_received,
    .ended = client_ended,
    .drained = client_drained,
};

static void listen_on(struct bench *bench, int family)
{
    struct err err = {0};

    free_address(family, bench->address, sizeof(bench->address));
    cr_assert_eq(bench->env->net->ops->listen(bench->env->net, bench->address, NET_PLAIN,
                                              on_accept, bench, &bench->listener, &err),
                 0, "%s", err.text);
}

static void dial(struct bench *bench, const char *address)
{
    bench->inside = true;
    bench->client = bench->env->net->ops->connect(bench->env->net, address, NET_PLAIN,
                                                  &client_events, bench);
    bench->inside = false;
}

static void send_text(struct bench *bench, struct stream *stream, const char *text)
{
    bench->inside = true;
    bench->env->net->ops->write(stream, slice_str(text));
    bench->inside = false;
}

static void hang_up(struct bench *bench, struct stream **stream, bool abort)
{
    bench->inside = true;
    bench->env->net->ops->close(*stream, abort);
    bench->inside = false;
    *stream = NULL;
}

static bool both_open(struct bench *bench)
{
    return bench->opened && bench->server != NULL;
}

static bool holds(const struct buf *buf, const char *text)
{
    return slice_eq(buf_slice(buf), slice_str(text));
}

static void connect_pair(struct bench *bench, int family)
{
    listen_on(bench, family);
    dial(bench, bench->address);
    bench_run(bench, both_open);
    cr_assert_eq(bench->opened_rc, 0);
}

/* ---- clock and loop ---- */

static bool third_turn(struct bench *bench)
{
    bench->env->ops->wake(bench->env);
    return bench->turns == 3;
}

Test(env_uv, wake_asks_for_a_turn_at_once)
{
    struct bench *bench = bench_open();
    uint64_t begin_ms = env_mono_ms(bench->env);

    bench_run(bench, third_turn);

    cr_assert_lt(env_mono_ms(bench->env) - begin_ms, 1000);
    bench_close(bench);
}

static bool after_50_ms(struct bench *bench)
{
    if (bench->turns == 1) {
        bench->next_ms = env_mono_ms(bench->env) + 50;
    }
    return bench->turns == 2;
}

Test(env_uv, turn_comes_at_the_deadline)
{
    struct bench *bench = bench_open();
    uint64_t begin_ms = env_mono_ms(bench->env);
    uint64_t took_ms;

    bench_run(bench, after_50_ms);

    took_ms = env_mono_ms(bench->env) - begin_ms;
    cr_assert(took_ms >= 49 && took_ms < 1000, "took %lu ms", (unsigned long)took_ms);
    bench_close(bench);
}

Test(env_uv, clocks_and_random_bytes_are_plausible)
{
    struct bench *bench = bench_open();
    uint64_t first = env_mono_ns(bench->env);

    cr_assert_geq(env_mono_ns(bench->env), first);
    cr_assert_gt(env_wall_ms(bench->env), INT64_C(1700000000000));
    cr_assert_neq(env_random_u64(bench->env), env_random_u64(bench->env));
    bench_close(bench);
}

static bool term_then_hup(struct bench *bench)
{
    if (bench->turns == 1) {
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGHUP);
        kill(getpid(), SIGPIPE);
    }
    return bench->signal_number != 0 && bench->reloads > 0;
}

Test(env_uv, signals_stop_and_reload)
{
    struct bench *bench = bench_open();

    bench_run(bench, term_then_hup);

    cr_assert_eq(bench->signal_number, SIGTERM);
    cr_assert_eq(bench->reloads, 1);
    bench_close(bench);
}

static bool interrupt_twice(struct bench *bench)
{
    kill(getpid(), SIGINT);
    return false;
}

Test(env_uv, second_signal_leaves_at_once)
{
    int status = 0;
    pid_t child = fork();

    cr_assert(child >= 0);
    if (child == 0) {
        struct bench *bench = bench_open();

        freopen("/dev/null", "w", stderr);
        bench_run(bench, interrupt_twice);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT);
}

/* ---- jobs ---- */

#define N_JOBS 200

struct numbered_job {
    struct env_job job;
    struct job_log *log;
    int number;
};

struct job_log {
    struct numbered_job jobs[N_JOBS];
    int ran[N_JOBS]; /* written on the lane's thread */
    int n_ran;
    int n_done;
    bool in_order;
};

static struct job_log job_log;

static void job_run(struct env_job *job)
{
    struct numbered_job *numbered = container_of(job, struct numbered_job, job);

    numbered->log->ran[numbered->log->n_ran++] = numbered->number;
}

static void job_run_alone(struct env_job *job)
{
    container_of(job, struct numbered_job, job)->number += 1000;
}

static void job_done(struct env_job *job)
{
    struct numbered_job *numbered = container_of(job, struct numbered_job, job);

    numbered->log->in_order =
        numbered->log->in_order && numbered->number == numbered->log->n_done;
    numbered->log->n_done++;
}

static bool all_jobs_done(struct bench *bench)
{
    (void)bench;
    return job_log.n_done == N_JOBS;
}

static void submit_all(struct bench *bench, enum env_lane lane,
                       void (*run)(struct env_job *job))
{
    job_log = (struct job_log){.in_order = true};
    for (int i = 0; i < N_JOBS; i++) {
        job_log.jobs[i] = (struct numbered_job){
            .job = {.run = run, .done = job_done}, .log = &job_log, .number = i};
        env_submit(bench->env, lane, &job_log.jobs[i].job);
    }
    cr_assert_eq(job_log.n_done, 0);
}

Test(env_uv, log_lane_keeps_the_order)
{
    struct bench *bench = bench_open();

    submit_all(bench, ENV_LANE_LOG, job_run);
    bench_run(bench, all_jobs_done);

    cr_assert(job_log.in_order);
    for (int i = 0; i < N_JOBS; i++) {
        cr_assert_eq(job_log.ran[i], i);
    }
    bench_close(bench);
}

Test(env_uv, work_lane_runs_every_job_once)
{
    struct bench *bench = bench_open();

    submit_all(bench, ENV_LANE_WORK, job_run_alone);
    bench_run(bench, all_jobs_done);

    for (int i = 0; i < N_JOBS; i++) {
        cr_assert_eq(job_log.jobs[i].number, 1000 + i);
    }
    bench_close(bench);
}

/* ---- streams ---- */

static bool server_got_hello(struct bench *bench)
{
    return holds(&bench->server_got, "hello");
}

static bool client_got_world(struct bench *bench)
{
    return holds(&bench->client_got, "world");
}

static void greet(int family)
{
    struct bench *bench = bench_open();

    connect_pair(bench, family);
    cr_assert_str_eq(bench->env->net->ops->peer_address(bench->client), bench->address);
    send_text(bench, bench->client, "hello");
    bench_run(bench, server_got_hello);
    send_text(bench, bench->server, "world");
    bench_run(bench, client_got_world);
    bench_close(bench);
}

Test(env_uv, bytes_go_both_ways)
{
    greet(AF_INET);
}

Test(env_uv, ipv6_works)
{
    greet(AF_INET6);
}

static bool client_opened_step(struct bench *bench)
{
    return bench->opened;
}

Test(env_uv, refused_connection_is_told_apart)
{
    struct bench *bench = bench_open();

    free_address(AF_INET, bench->address, sizeof(bench->address));
    dial(bench, bench->address);
    bench_run(bench, client_opened_step);

    cr_assert_eq(bench->opened_rc, ERR_NETWORK);
    cr_assert(bench->refused);
    hang_up(bench, &bench->client, false);
    bench_close(bench);
}

Test(env_uv, nonsense_address_fails_later_and_not_as_refused)
{
    struct bench *bench = bench_open();

    dial(bench, "nonsense");
    cr_assert(!bench->opened);
    bench_run(bench, client_opened_step);

    cr_assert_eq(bench->opened_rc, ERR_NETWORK);
    cr_assert(!bench->refused);
    hang_up(bench, &bench->client, true);
    bench_close(bench);
}

Test(env_uv, localhost_is_looked_up_and_every_address_is_tried)
{
    struct bench *bench = bench_open();
    char name[80];

    listen_on(bench, AF_INET);
    snprintf(name, sizeof(name), "localhost%s", strrchr(bench->address, ':'));
    dial(bench, name);
    bench_run(bench, both_open);

    cr_assert_eq(bench->opened_rc, 0);
    bench_close(bench);
}

Test(env_uv, dial_can_be_given_up_at_any_time)
{
    struct bench *bench = bench_open();

    free_address(AF_INET, bench->address, sizeof(bench->address));
    for (int i = 0; i < 20; i++) {
        dial(bench, i % 2 == 0 ? bench->address : "localhost:1");
        bench->turns = 0;
        if (i % 3 == 0) {
            bench_run(bench, third_turn);
        }
        hang_up(bench, &bench->client, i % 4 < 2);
        bench->opened = false;
    }
    bench_close(bench);
}

static bool client_ended_step(struct bench *bench)
{
    return bench->client_ended;
}

Test(env_uv, close_sends_what_is_queued_first)
{
    struct bench *bench = bench_open();
    size_t size = 8 * MIB;
    uint8_t *bytes = mem_zero(size);

    connect_pair(bench, AF_INET);
    bench->env->net->ops->write(bench->server, slice_of(bytes, size));
    cr_assert_gt(bench->env->net->ops->backlog(bench->server), 0);
    hang_up(bench, &bench->server, false);
    bench_run(bench, client_ended_step);

    cr_assert_eq(buf_len(&bench->client_got), size);
    cr_assert(!bench->client_reset);
    hang_up(bench, &bench->client, false);
    free(bytes);
    bench_close(bench);
}

Test(env_uv, close_with_unread_input_does_not_lose_the_last_words)
{
    struct bench *bench = bench_open();

    connect_pair(bench, AF_INET);
    bench->env->net->ops->pause(bench->server, true);
    send_text(bench, bench->client, "never read");
    send_text(bench, bench->server, "bye");
    hang_up(bench, &bench->server, false);
    bench_run(bench, client_ended_step);

    cr_assert(holds(&bench->client_got, "bye"));
    cr_assert(!bench->client_reset);
    hang_up(bench, &bench->client, false);
    bench_close(bench);
}

Test(env_uv, abort_arrives_as_a_reset)
{
    struct bench *bench = bench_open();

    connect_pair(bench, AF_INET);
    hang_up(bench, &bench->server, true);
    bench_run(bench, client_ended_step);

    cr_assert(bench->client_reset);
    hang_up(bench, &bench->client, true);
    bench_close(bench);
}

static bool write_until_broken(struct bench *bench)
{
    if (!bench->client_ended) {
        send_text(bench, bench->client, "into the void");
        bench->next_ms = 0;
    }
    return bench->client_ended;
}

Test(env_uv, failing_write_is_told_from_the_loop)
{
    struct bench *bench = bench_open();

    connect_pair(bench, AF_INET);
    bench->env->net->ops->pause(bench->client, true);
    hang_up(bench, &bench->server, true);
    bench_run(bench, write_until_broken);

    cr_assert(bench->client_reset);
    send_text(bench, bench->client, "ignored");
    hang_up(bench, &bench->client, false);
    bench_close(bench);
}

static bool turns_10(struct bench *bench)
{
    bench->next_ms = env_mono_ms(bench->env) + 5;
    return bench->turns == 10;
}

static bool client_drained_step(struct bench *bench)
{
    return bench->drained > 0 && bench->env->net->ops->backlog(bench->client) == 0;
}

Test(env_uv, backlog_is_counted_and_drained_is_told_once)
{
    struct bench *bench = bench_open();
    size_t size = 16 * MIB;
    uint8_t *bytes = mem_zero(size);

    connect_pair(bench, AF_INET);
    bench->env->net->ops->pause(bench->server, true);
    bench->env->net->ops->write(bench->client, slice_of(bytes, size / 2));
    bench->env->net->ops->write(bench->client, slice_of(bytes, size / 2));
    bench->turns = 0;
    bench_run(bench, turns_10);
    cr_assert_gt(bench->env->net->ops->backlog(bench->client), STREAM_LOW);
    cr_assert_eq(bench->drained, 0);
    cr_assert_lt(buf_len(&bench->server_got), 1);

    bench->env->net->ops->pause(bench->server, false);
    bench_run(bench, client_drained_step);
    cr_assert_eq(bench->drained, 1);
    free(bytes);
    bench_close(bench);
}

static bool server_ended_step(struct bench *bench)
{
    return bench->server_ended;
}

Test(env_uv, answer_after_the_peers_end_still_goes_out)
{
    struct bench *bench = bench_open();

    connect_pair(bench, AF_INET);
    hang_up(bench, &bench->client, false); /* shuts its sending side */
    bench_run(bench, server_ended_step);
    send_text(bench, bench->server, "late answer");
    hang_up(bench, &bench->server, false);
    bench_close(bench);
}

/* ---- listeners ---- */

Test(env_uv, paused_listener_takes_nothing)
{
    struct bench *bench = bench_open();

    listen_on(bench, AF_INET);
    bench->env->net->ops->pause_accept(bench->listener, true);
    dial(bench, bench->address);
    bench->turns = 0;
    bench_run(bench, turns_10);
    cr_assert_eq(bench->accepted, 0);

    bench->env->net->ops->pause_accept(bench->listener, false);
    bench_run(bench, both_open);
    cr_assert_eq(bench->accepted, 1);
    bench_close(bench);
}

Test(env_uv, closed_listener_refuses)
{
    struct bench *bench = bench_open();

    listen_on(bench, AF_INET);
    bench->env->net->ops->unlisten(bench->listener);
    dial(bench, bench->address);
    bench_run(bench, client_opened_step);

    cr_assert(bench->refused);
    bench_close(bench);
}

Test(env_uv, address_in_use_says_what_to_do)
{
    struct bench *bench = bench_open();
    struct listener *second = NULL;
    struct err err = {0};

    listen_on(bench, AF_INET);
    cr_assert_eq(bench->env->net->ops->listen(bench->env->net, bench->address, NET_PLAIN,
                                              on_accept, bench, &second, &err),
                 ERR_IO);

    cr_assert_not_null(strstr(err.text, bench->address), "%s", err.text);
    cr_assert_not_null(strstr(err.text, "choose another port"), "%s", err.text);
    cr_assert_null(second);
    bench_close(bench);
}

static char logged[8][512];
static int n_logged;

static void keep_line(void *owner, const char *line)
{
    (void)owner;
    if (n_logged < 8) {
        snprintf(logged[n_logged++], sizeof(logged[0]), "%s", line);
    }
}

static bool two_accepted(struct bench *bench)
{
    return bench->accepted == 2;
}

Test(env_uv, no_descriptors_left_is_survived_and_logged_once)
{
    struct bench *bench = bench_open();
    struct rlimit limit;
    rlim_t before;

    listen_on(bench, AF_INET);
    dial(bench, bench->address);
    bench_run(bench, both_open);
    bench->opened = false;
    dial(bench, bench->address);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    bench->env->net->ops->pause_accept(bench->listener, true);
    bench_run(bench, client_opened_step);
    limit.rlim_cur = 3; /* accept fails from here on */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    log_redirect(keep_line, NULL);
    bench->env->net->ops->pause_accept(bench->listener, false);
    bench->turns = 0;
    for (int i = 0; i < 5; i++) {
        bench->turns = 0;
        bench_run(bench, turns_10);
    }
    cr_assert_eq(bench->accepted, 1);
    cr_assert_eq(n_logged, 1);
    cr_assert_not_null(strstr(logged[0], "limit of open files"));

    limit.rlim_cur = before;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    bench_run(bench, two_accepted);
    log_redirect(NULL, NULL);
    bench_close(bench);
}
