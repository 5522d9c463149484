/* A private copy of the database in a file of its own.
 *
 * Happy path: somebody asks; at the next quiet moment kv pins its database, slices of it
 * are read and written on the bulk lane, one after the other, and kv is released: from
 * then on the copy is a file like any other, and the database may change. Meanwhile the
 * log keeps what comes after it. What can fail: the disk has no room for it, before or
 * while it is written (nobody gets a copy for LIMIT_COPY_AGAIN_MS; who asks is told why);
 * any other error of the disk ends the member, as everywhere. */
#include "node/state_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/datadir.h"
#include "node/smallfile.h"

#define AGAIN_MS 10 /* kv may want many turns until it can be copied */

static const unsigned copy_next[COPY_NSTATES] = {
    [COPY_NONE] = 1u << COPY_ASKED,
    [COPY_ASKED] = 1u << COPY_FILLING | 1u << COPY_NONE,
    [COPY_FILLING] = 1u << COPY_WHOLE | 1u << COPY_NONE,
    [COPY_WHOLE] = 1u << COPY_NONE,
};

static void copy_move(struct state_copy *copy, enum state_copy_state to)
{
    CHECK(copy_next[copy->state] & 1u << to);
    copy->state = to;
}

static struct disk *disk_of(const struct state_copy *copy)
{
    return copy->options.env->disk;
}

void state_copy_init(struct state_copy *copy, const struct state_copy_options *options)
{
    *copy = (struct state_copy){
        .options = *options,
        .path = mem_printf("%s/" COPY_NAME, options->dir),
    };
}

/* ---- the end of one ---- */

static void free_slice(struct state_copy *copy)
{
    if (copy->file != NULL) {
        disk_of(copy)->ops->close(copy->file);
        copy->file = NULL;
    }
    digest_free(copy->digest);
    copy->digest = NULL;
    free(copy->slice);
    copy->slice = NULL;
}

void state_copy_drop(struct state_copy *copy)
{
    CHECK(!copy->working);
    if (copy->state == COPY_FILLING) {
        kv_copy_end(copy->options.kv);
    }
    free_slice(copy);
    if (copy->state == COPY_FILLING || copy->state == COPY_WHOLE) {
        disk_of(copy)->ops->unlink(disk_of(copy), copy->path);
        raftlog_hold(copy->options.log, 0);
    }
    if (copy->state != COPY_NONE) {
        copy_move(copy, COPY_NONE);
    }
    copy->id = 0;
    copy->users = 0;
}

/* There is no copy, and copy->err says why. */
static void copy_fail(struct state_copy *copy, uint64_t now_ms)
{
    log_warn("cannot make a copy of the state for another member",
             LOG_TEXT("why", copy->err.text));
    metrics_add(copy->options.metrics, METRIC_COPIES_FAILED, 1);
    copy->failed_ms = now_ms;
    state_copy_drop(copy);
}

/* ---- a slice, on the bulk lane ---- */

static size_t slice_len(const struct state_copy *copy)
{
    uint64_t left = copy->of.size - copy->filled;

    return left < LIMIT_COPY_SLICE ? (size_t)left : (size_t)LIMIT_COPY_SLICE;
}

static void run_slice(struct env_job *job)
{
    struct state_copy *copy = container_of(job, struct state_copy, job);
    size_t len = slice_len(copy);
    int rc = FAILPOINT_RC(COPY_SLICE);

    copy->rc = rc < 0 ? smallfile_error(&copy->err, rc, "write", copy->path)
                      : kv_copy_read(copy->options.kv, copy->filled, copy->slice, len,
                                     &copy->err);
    if (copy->rc == 0) {
        digest_add(copy->digest, copy->slice, len);
        rc = disk_write_all(disk_of(copy), copy->file, copy->slice, len, copy->filled);
        copy->rc = rc < 0 ? smallfile_error(&copy->err, rc, "write", copy->path) : 0;
    }
}

static void on_slice(struct env_job *job)
{
    struct state_copy *copy = container_of(job, struct state_copy, job);

    copy->working = false;
}

static void start_slice(struct state_copy *copy)
{
    copy->job = (struct env_job){.run = run_slice, .done = on_slice};
    copy->working = true;
    env_submit(copy->options.env, ENV_LANE_BULK, &copy->job);
}

/* ---- by the turn ---- */

static int open_file(struct state_copy *copy)
{
    int rc;

    disk_of(copy)->ops->unlink(disk_of(copy), copy->path);
    rc = disk_of(copy)->ops->open(disk_of(copy), copy->path, DISK_CREATE, &copy->file);
    return rc < 0 ? smallfile_error(&copy->err, rc, "create", copy->path) : 0;
}

/* An error that is not of the room on disk is the end of the member. */
static void copy_failed(struct state_copy *copy, uint64_t now_ms)
{
    if (copy->rc != ERR_FULL) {
        env_fatal(copy->options.env, copy->err.text);
    }
    copy_fail(copy, now_ms);
}

static void begin(struct state_copy *copy, uint64_t now_ms)
{
    if (!kv_copy_begin(copy->options.kv, &copy->of)) {
        copy->again_ms = now_ms + AGAIN_MS;
        return;
    }
    FAILPOINT(COPY_BEGIN);
    copy_move(copy, COPY_FILLING);
    do {
        copy->id = env_random_u64(copy->options.env);
    } while (copy->id == 0);
    copy->filled = 0;
    copy->users = 0;
    copy->unused_ms = now_ms;
    copy->rc = datadir_room(disk_of(copy), copy->options.dir, "a copy of the state",
                            copy->of.size, &copy->err);
    if (copy->rc == 0) {
        copy->rc = open_file(copy);
    }
    if (copy->rc != 0) {
        copy_failed(copy, now_ms);
        return;
    }
    copy->slice = mem_alloc(LIMIT_COPY_SLICE);
    copy->digest = digest_new();
    raftlog_hold(copy->options.log, copy->of.index);
    metrics_add(copy->options.metrics, METRIC_COPIES, 1);
    start_slice(copy);
}

static void go_on(struct state_copy *copy, uint64_t now_ms)
{
    if (copy->rc != 0) {
        copy_failed(copy, now_ms);
        return;
    }
    copy->filled += slice_len(copy);
    if (copy->filled < copy->of.size) {
        start_slice(copy);
        return;
    }
    copy->checksum = digest_value(copy->digest);
    copy_move(copy, COPY_WHOLE);
    kv_copy_end(copy->options.kv);
    free_slice(copy);
}

void state_copy_continue(struct state_copy *copy, uint64_t now_ms)
{
    if (copy->working) {
        return;
    }
    if (copy->state == COPY_ASKED) {
        begin(copy, now_ms);
    } else if (copy->state == COPY_FILLING) {
        go_on(copy, now_ms);
    } else if (now_ms >= state_copy_deadline_ms(copy)) {
        state_copy_drop(copy);
    }
}

bool state_copy_waits(const struct state_copy *copy)
{
    return !copy->working && (copy->state == COPY_ASKED || copy->state == COPY_FILLING);
}

uint64_t state_copy_deadline_ms(const struct state_copy *copy)
{
    if (copy->state == COPY_ASKED) {
        return copy->again_ms;
    }
    return copy->state == COPY_WHOLE && copy->users == 0
               ? copy->unused_ms + LIMIT_COPY_IDLE_MS
               : UINT64_MAX;
}

bool state_copy_idle(const struct state_copy *copy)
{
    return !copy->working;
}

/* ---- its users ---- */

/* Is what it holds still of use to one who needs the state as of at_least? */
static bool serves(const struct state_copy *copy, uint64_t at_least)
{
    struct raftlog_status status;

    raftlog_get_status(copy->options.log, &status);
    return copy->of.index >= at_least && status.first_index <= copy->of.index + 1;
}

int state_copy_use(struct state_copy *copy, uint64_t id, uint64_t at_least,
                   uint64_t now_ms, struct err *err)
{
    bool there = copy->state == COPY_FILLING || copy->state == COPY_WHOLE;

    if (there && (copy->id == id || serves(copy, at_least))) {
        copy->users++;
        return 1;
    }
    if (there && (copy->users > 0 || copy->state == COPY_FILLING)) {
        return err_set(err, ERR_BUSY,
                       "its copy of the state is as of index %" PRIu64 ", not %" PRIu64
                       ", and another member is fetching it",
                       copy->of.index, at_least);
    }
    if (copy->failed_ms != 0 && now_ms < copy->failed_ms + LIMIT_COPY_AGAIN_MS) {
        return err_set(err, ERR_FULL, "%s", copy->err.text);
    }
    if (there) {
        state_copy_drop(copy);
    }
    copy->failed_ms = 0;
    if (copy->state == COPY_NONE) {
        copy_move(copy, COPY_ASKED);
        copy->again_ms = now_ms;
    }
    return 0;
}

void state_copy_leave(struct state_copy *copy, uint64_t id, uint64_t now_ms)
{
    if (id != 0 && id == copy->id) {
        CHECK(copy->users > 0);
        copy->users--;
        copy->unused_ms = now_ms;
    }
}

void state_copy_close(struct state_copy *copy)
{
    if (copy->path != NULL) {
        state_copy_drop(copy);
        free(copy->path);
    }
    *copy = (struct state_copy){0};
}
