/* Power cuts on a simulated disk that loses what was not synced: the store opens again,
 * its applied index fits its rows, and nothing is lost that kv_make_durable had covered.
 */
#include <sqlite3.h>

#include "base/log.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_vfs.h"
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/draw.h"
#include "tests/unit/kv/leases.h"

static struct fixture fx;
static struct sim_disk *sim;
static uint64_t durable; /* what the last callback covered */

static void drop_line(void *owner, const char *line)
{
}

static void on_durable(void *owner, uint64_t applied)
{
    durable = applied;
}

/* Every tenth entry compacts, all others put; each does something to leases
 * and to users or roles. */
static void apply_next(size_t value_max)
{
    uint64_t index = kv_applied_index(fx.kv) + 1;
    Kvd__Command__Command *commands[] = {NULL, churn_leases(&fx, index),
                                         churn_auth(&fx, index)};

    if (index % 10 == 0) {
        Etcdserverpb__CompactionRequest *req =
            message_new(&fx, &etcdserverpb__compaction_request__descriptor);

        req->revision = kv_revision(fx.kv) - 3;
        commands[0] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_COMPACT, req);
    } else {
        Etcdserverpb__PutRequest *req;
        char key[16];

        snprintf(key, sizeof(key), "k%02d", (int)draw(40));
        req = put_new(&fx, key, "");
        req->value.len = draw(value_max);
        req->value.data = arena_zero(&fx.arena, value_max);
        req->lease = churned_lease(&fx, index);
        commands[0] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, req);
    }
    fixture_entry(&fx, batch_of(&fx, commands, ARRAY_LEN(commands)));
}

static void turn(size_t value_max)
{
    kv_begin(fx.kv);
    for (uint64_t n = 1 + draw(5); n > 0; n--) {
        apply_next(value_max);
    }
    kv_commit(fx.kv);
    if (draw(4) == 0) {
        kv_make_durable(fx.kv, on_durable, NULL);
    }
    kv_upkeep(fx.kv);
    if (draw(3) == 0) {
        fixture_work(&fx);
    }
    arena_reset(&fx.arena);
}

/* From opening to the power cut. */
static void live(uint64_t turns_max, size_t value_max)
{
    uint64_t last = draw(turns_max);

    fx.n_fatal = 0;
    if (draw(5) == 0) {
        sim_disk_die_soon(sim);
    }
    if (fixture_try_open(&fx) != 0) {
        return;
    }
    cr_assert_geq(kv_applied_index(fx.kv), durable);
    cr_assert_eq(kv_revision(fx.kv),
                 1 + (int64_t)(kv_applied_index(fx.kv) - kv_applied_index(fx.kv) / 10));
    for (uint64_t i = 0; i < turns_max && fx.n_fatal == 0; i++) {
        if (i == last) {
            sim_disk_die_soon(sim);
        }
        turn(value_max);
    }
    fixture_stop(&fx);
}

static void expect_sound(void)
{
    int64_t rows;
    sqlite3 *conn = NULL;
    sqlite3_stmt *stmt = NULL;

    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    for (rows = 0; rows < 2 * LIMIT_RESCAN_SLICE; rows += LIMIT_RESCAN_SLICE) {
        cr_assert(kv_rescan_step(fx.kv));
    }
    fixture_stop(&fx);
    cr_assert_eq(
        sqlite3_open_v2(fx.path, &conn, SQLITE_OPEN_READWRITE, fx.env.disk->sqlite_vfs),
        SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(conn, "PRAGMA integrity_check", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_assert_str_eq((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    sqlite3_close(conn);
}

static void run_seed(uint64_t seed, int lives, uint64_t turns_max, size_t value_max)
{
    static const struct env_ops ops = {.submit = fixture_submit};

    memset(&fx, 0, sizeof(fx));
    sim = sim_disk_new(seed);
    draw_rng.state = seed;
    fx.env.ops = &ops;
    fx.env.disk = sim_disk_as_disk(sim);
    sim_vfs_attach(fx.env.disk);
    sim_vfs_seed(seed);
    arena_init(&fx.arena, 1 * GIB);
    strcpy(fx.path, "/data/state-1.db");
    cr_assert_eq(fx.env.disk->ops->mkdir(fx.env.disk, "/data"), 0);
    fx.env.disk->ops->sync_dir(fx.env.disk, "/");
    durable = 0;

    for (int i = 0; i < lives; i++) {
        live(turns_max, value_max);
        sim_disk_crash(sim);
        expect_sound();
    }
    sim_vfs_detach(fx.env.disk);
    sim_disk_free(sim);
    arena_close(&fx.arena);
}

Test(power, cuts_lose_nothing_that_was_made_durable, .timeout = 120)
{
    log_redirect(drop_line, NULL);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        run_seed(seed, 6, 60, 300);
    }
}

Test(power, cuts_during_checkpoints_lose_nothing_either, .timeout = 120)
{
    log_redirect(drop_line, NULL);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run_seed(seed, 4, 150, 60000);
    }
}
