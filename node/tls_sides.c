#include "node/tls_sides.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/config_tls.h"

#define DAY_S  86400
#define DAY_MS (DAY_S * UINT64_C(1000))

/* ---- what runs out ---- */

static void show_expiries(struct tls_sides *sides)
{
    struct metrics *metrics = sides->metrics;

    if (metrics == NULL) {
        return;
    }
    metrics->n_expiries = 0;
    for (size_t i = 0; i < ARRAY_LEN(sides->items); i++) {
        const struct tls_terms *terms = &sides->items[i].terms;

        for (size_t k = 0; k < terms->n_expiries; k++) {
            CHECK(metrics->n_expiries < METRIC_EXPIRIES_MAX);
            metrics->expiries[metrics->n_expiries++] = (struct metric_expiry){
                terms->expiries[k].option, terms->expiries[k].at_s};
        }
    }
}

static void warn_expiry(const struct tls_expiry *expiry, int64_t now_s)
{
    int64_t left_s = expiry->at_s - now_s;

    if (left_s < 0) {
        log_error("what this file holds has expired; renew it",
                  LOG_TEXT("option", expiry->option), LOG_TEXT("file", expiry->path),
                  LOG_INT("days", -left_s / DAY_S));
    } else if (left_s < TLS_WARN_DAYS * DAY_S) {
        log_warn("what this file holds expires soon; renew it",
                 LOG_TEXT("option", expiry->option), LOG_TEXT("file", expiry->path),
                 LOG_INT("days", left_s / DAY_S));
    }
}

/* Once a day, and when something new was read. */
static void warn_expiries(struct tls_sides *sides, uint64_t now_ms)
{
    int64_t now_s = env_wall_ms(sides->env) / 1000;

    sides->warn_ms = now_ms + DAY_MS;
    for (size_t i = 0; i < ARRAY_LEN(sides->items); i++) {
        const struct tls_terms *terms = &sides->items[i].terms;

        for (size_t k = 0; k < terms->n_expiries; k++) {
            warn_expiry(&terms->expiries[k], now_s);
        }
    }
}

/* ---- changes ---- */

/* A file that is not there has a mark too: all zero. */
static struct tls_file_mark mark_of(const char *path)
{
    struct stat facts;

    if (path == NULL || stat(path, &facts) != 0) {
        return (struct tls_file_mark){0};
    }
    return (struct tls_file_mark){
        .device = facts.st_dev,
        .inode = facts.st_ino,
        .size = facts.st_size,
        .changed = facts.st_mtim,
    };
}

static bool same_mark(const struct tls_file_mark *a, const struct tls_file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Marks the files as they are; true when one was changed. */
static bool look_at_files(struct tls_side *side)
{
    struct tls_terms_file files[TLS_TERMS_FILES];
    bool changed = false;

    tls_terms_files(side->config, side->security, files);
    for (size_t i = 0; i < TLS_TERMS_FILES; i++) {
        struct tls_file_mark mark = mark_of(files[i].path);

        changed = changed || !same_mark(&mark, &side->marks[i]);
        side->marks[i] = mark;
    }
    return changed;
}

/* ---- reading again ---- */

static void read_again(struct env_job *job)
{
    struct tls_side *side = container_of(job, struct tls_side, job);

    side->rc = tls_terms_load(&side->fresh, side->config, side->security, &side->err);
}

static void say_trouble(struct tls_side *side)
{
    if (strcmp(side->said, side->err.text) != 0) {
        memcpy(side->said, side->err.text, sizeof(side->said));
        log_error("TLS goes on with the files that were read before",
                  LOG_TEXT("error", side->err.text));
    }
}

static void on_read(struct env_job *job)
{
    struct tls_side *side = container_of(job, struct tls_side, job);
    struct tls_sides *sides = side->sides;
    struct metrics *metrics = sides->metrics;

    side->working = false;
    if (side->rc != 0) {
        if (metrics != NULL) {
            metrics_add(metrics, METRIC_TLS_RELOADS_FAILED, 1);
        }
        if (side->doubted) {
            say_trouble(side);
        }
        side->due = !side->doubted;
        side->doubted = true;
        return;
    }
    tls_terms_close(&side->terms);
    side->terms = side->fresh;
    side->fresh = (struct tls_terms){0};
    side->said[0] = '\0';
    side->doubted = false;
    if (metrics != NULL) {
        metrics_add(metrics, METRIC_TLS_RELOADS, 1);
    }
    log_info("read certificates and keys again",
             LOG_TEXT("towards", side->security == NET_TLS_PEER ? "members" : "clients"));
    show_expiries(sides);
    warn_expiries(sides, env_mono_ms(sides->env));
}

/* ---- public ---- */

int tls_sides_open(struct tls_sides *sides, const struct config *config, struct env *env,
                   struct err *err)
{
    const bool used[] = {config_tls_for_clients(config), config_tls_for_peers(config)};
    int rc = 0;

    *sides = (struct tls_sides){
        .env = env,
        .items = {{.security = NET_TLS_CLIENT}, {.security = NET_TLS_PEER}},
    };
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(sides->items); i++) {
        struct tls_side *side = &sides->items[i];

        side->used = used[i];
        side->config = config;
        side->sides = sides;
        side->job = (struct env_job){.run = read_again, .done = on_read};
        if (side->used) {
            look_at_files(side);
            rc = tls_terms_load(&side->terms, config, side->security, err);
        }
    }
    if (rc != 0) {
        tls_sides_close(sides);
        return rc;
    }
    sides->look_ms = env_mono_ms(env) + TLS_LOOK_MS;
    warn_expiries(sides, env_mono_ms(env));
    return 0;
}

void tls_sides_measure(struct tls_sides *sides, struct metrics *metrics)
{
    sides->metrics = metrics;
    show_expiries(sides);
}

const struct tls_terms *tls_sides_get(const struct tls_sides *sides,
                                      enum net_security security)
{
    const struct tls_side *side = &sides->items[security == NET_TLS_PEER];

    CHECK(side->used);
    return &side->terms;
}

void tls_sides_tick(struct tls_sides *sides, uint64_t now_ms)
{
    bool look = now_ms >= sides->look_ms;

    if (look) {
        sides->look_ms = now_ms + TLS_LOOK_MS;
    }
    for (size_t i = 0; i < ARRAY_LEN(sides->items); i++) {
        struct tls_side *side = &sides->items[i];

        /* While a worker reads, what changes is seen at the next look. */
        if (!side->used || side->working) {
            continue;
        }
        if (look && look_at_files(side)) {
            side->due = true;
            side->doubted = false;
        }
        if (look && side->due) {
            side->due = false;
            side->working = true;
            env_submit(sides->env, ENV_LANE_WORK, &side->job);
        }
    }
    if (now_ms >= sides->warn_ms) {
        warn_expiries(sides, now_ms);
    }
}

uint64_t tls_sides_deadline_ms(const struct tls_sides *sides)
{
    return sides->look_ms;
}

void tls_sides_reload(struct tls_sides *sides)
{
    for (size_t i = 0; i < ARRAY_LEN(sides->items); i++) {
        sides->items[i].due = true;
        sides->items[i].doubted = true; /* who asks is answered at once */
        sides->items[i].said[0] = '\0';
    }
    sides->look_ms = 0;
    sides->env->ops->wake(sides->env);
}

bool tls_sides_idle(const struct tls_sides *sides)
{
    return !sides->items[0].working && !sides->items[1].working;
}

void tls_sides_close(struct tls_sides *sides)
{
    CHECK(tls_sides_idle(sides));
    for (size_t i = 0; i < ARRAY_LEN(sides->items); i++) {
        tls_terms_close(&sides->items[i].terms);
    }
}
