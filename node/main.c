/* kvd: one member of the store as a process.
 *
 * Happy path: read the configuration, open the real world (env_uv.c), build the member
 * (node.c), run the loop until SIGTERM or SIGINT has stopped it, tear down in reverse,
 * exit with 0. What can fail: the configuration (exit code 2), opening the member (1);
 * each is one line on stderr. A member that cannot go on ends the process with 1
 * (env_fatal). */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk_posix.h"
#include "base/env.h"
#include "base/err.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "node/config.h"
#include "node/config_tls.h"
#include "node/env_uv.h"
#include "node/node.h"
#include "node/notify.h"
#include "node/tls.h"
#include "node/trim.h"
#include "node/version.h"

#define EXIT_CONFIG 2

struct daemon {
    int argc; /* kept to read the configuration again */
    char **argv;
    struct config config;
    struct env_uv *uv;
    struct env *env;
    struct tls *tls; /* NULL: no URL is https */
    struct node *node;
    struct notify notify;
    struct trim trim;
    bool ready; /* and said so */
};

/* ---- what the loop asks ---- */

static void say_ready(struct daemon *daemon)
{
    daemon->ready = true;
    log_info("enabled capabilities for version",
             LOG_TEXT("cluster-version", VERSION_API_CLUSTER));
    for (size_t i = 0; i < daemon->config.listen_client.n; i++) {
        log_info("ready to serve client requests",
                 LOG_TEXT("address", daemon->config.listen_client.items[i].address));
    }
    notify_ready();
}

static void on_turn(void *owner)
{
    struct daemon *daemon = owner;
    uint64_t now_ms = env_mono_ms(daemon->env);

    if (daemon->tls != NULL) {
        tls_tick(daemon->tls, now_ms);
    }
    if (!node_stopped(daemon->node)) {
        node_turn(daemon->node);
    }
    if (!daemon->ready && node_ready(daemon->node)) {
        say_ready(daemon);
    }
    failpoint_poll();
    notify_tick(&daemon->notify, now_ms);
    trim_tick(&daemon->trim, now_ms);
}

static uint64_t on_deadline(void *owner)
{
    struct daemon *daemon = owner;
    uint64_t notify_ms = notify_deadline_ms(&daemon->notify);
    uint64_t tls_ms = daemon->tls != NULL ? tls_deadline_ms(daemon->tls) : UINT64_MAX;
    uint64_t first_ms = notify_ms < tls_ms ? notify_ms : tls_ms;
    uint64_t node_ms = UINT64_MAX; /* once stopped, the end of its jobs wakes the loop */

    if (!node_stopped(daemon->node)) {
        node_ms = node_deadline_ms(daemon->node);
    }
    return node_ms < first_ms ? node_ms : first_ms;
}

static bool on_stopped(void *owner)
{
    struct daemon *daemon = owner;

    return node_stopped(daemon->node) && node_idle(daemon->node) && tls_idle(daemon->tls);
}

static void on_stop(void *owner, int signal_number)
{
    struct daemon *daemon = owner;

    log_info("stopping", LOG_INT("signal", signal_number));
    notify_stopping();
    node_stop(daemon->node);
}

/* SIGHUP: what may change while running is read again; that is the log, and the files of
 * TLS. */
static void on_reload(void *owner)
{
    struct daemon *daemon = owner;
    struct config config;
    enum config_verdict verdict;
    struct err err;

    if (config_parse(&config, daemon->argc, daemon->argv, environ, &verdict, &err) != 0) {
        log_error("the configuration was not read again", LOG_TEXT("error", err.text));
    } else {
        log_setup(config.log_level, config.log_format);
        log_info("log level and format were read again; other settings need a restart");
    }
    config_close(&config);
    if (daemon->tls != NULL) {
        tls_reload(daemon->tls);
    }
}

static const struct env_uv_hooks hooks = {
    .turn = on_turn,
    .deadline_ms = on_deadline,
    .stopped = on_stopped,
    .stop = on_stop,
    .reload = on_reload,
};

/* ---- life ---- */

#ifdef KVD_FAILPOINTS

static unsigned bits_of(const char *variable)
{
    const char *text = getenv(variable);

    return text == NULL ? 0 : (unsigned)strtoul(text, NULL, 0);
}

/* Bugs planted in a running member, as bit sets of enum raftlog_plant and enum kv_plant:
 * they prove that the tests with real members find them. */
static void plant(struct node *node)
{
    node_set_plants(node, bits_of("KVD_LOG_PLANTS"), bits_of("KVD_KV_PLANTS"));
}

#else
#define plant(node) ((void)0)
#endif

/* As many descriptors as we may have: a connection costs one. */
static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* From here on the net of the environment knows TLS, where a URL asks for it. */
static int put_on_tls(struct daemon *daemon, struct err *err)
{
    int rc = 0;

    config_tls_warn(&daemon->config);
    if (tls_wanted(&daemon->config)) {
        rc = tls_open(&daemon->tls, &daemon->config, daemon->env, err);
    }
    if (daemon->tls != NULL) {
        daemon->env->net = tls_net(daemon->tls);
    }
    return rc;
}

static int run(struct daemon *daemon)
{
    struct err err;
    int rc;

    rc = env_uv_open(&daemon->uv, disk_posix(), &err);
    if (rc == 0) {
        daemon->env = env_uv_env(daemon->uv);
        rc = put_on_tls(daemon, &err);
    }
    if (rc == 0) {
        rc = node_open(&daemon->node, &daemon->config, daemon->env, &err);
    }
    if (rc != 0) {
        log_error("kvd cannot start", LOG_TEXT("error", err.text));
    } else {
        plant(daemon->node);
        if (daemon->tls != NULL) {
            tls_measure(daemon->tls, node_metrics(daemon->node));
        }
        env_uv_run(daemon->uv, &hooks, daemon);
        node_close(daemon->node);
        log_info("stopped");
    }
    tls_close(daemon->tls);
    env_uv_close(daemon->uv);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.argc = argc, .argv = argv};
    enum config_verdict verdict;
    struct err err;
    int status = EXIT_SUCCESS;

    if (failpoint_listed(argc, argv)) {
        return EXIT_SUCCESS;
    }
    if (config_parse(&daemon.config, argc, argv, environ, &verdict, &err) != 0 ||
        failpoint_open(&err) != 0 ||
        (verdict == CONFIG_CHECKED && tls_check(&daemon.config, &err) != 0)) {
        fprintf(stderr, "kvd: %s\n", err.text);
        status = EXIT_CONFIG;
    } else if (verdict == CONFIG_CHECKED) {
        puts("the configuration is valid");
    } else if (verdict == CONFIG_RUN) {
        umask(0077);
        raise_file_limit();
        log_setup(daemon.config.log_level, daemon.config.log_format);
        log_info("starting kvd", LOG_TEXT("version", KVD_VERSION),
                 LOG_TEXT("etcd-version", VERSION_API), LOG_INT("pid", getpid()));
        config_log(&daemon.config);
        notify_init(&daemon.notify);
        status = run(&daemon);
    }
    config_close(&daemon.config);
    return status;
}
