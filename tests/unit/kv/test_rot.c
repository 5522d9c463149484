/* Bit rot: one byte after another of a database is changed. Whatever it is, the file is
 * refused, or the damage is found when it is come upon and the file is refused from then
 * on, or no answer is another one; never a crash.
 *
 * Only some bytes, evenly spaced, others in each run; FLIPS=n: n times as many. */
#include <sqlite3.h>
#include <time.h>
#include <xxhash.h>

#include "base/log.h"
#include "kv/state.h"
#include "kv/watch.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_vfs.h"
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/copying.h"
#include "tests/unit/kv/locks.h"

enum { KEYS = 40, STEPS_MAX = 1000 };

static struct fixture fx;
static struct sim_disk *sim;

static void drop_line(void *owner, const char *line)
{
}

static void open_disk(void)
{
    static const struct env_ops ops = {.submit = fixture_submit};

    log_redirect(drop_line, NULL);
    memset(&fx, 0, sizeof(fx));
    sim = sim_disk_new(1);
    fx.env.ops = &ops;
    fx.env.disk = sim_disk_as_disk(sim);
    sim_vfs_attach(fx.env.disk);
    sim_vfs_seed(1);
    arena_init(&fx.arena, 1 * GIB);
    strcpy(fx.path, "/data/state-1.db");
    cr_assert_eq(fx.env.disk->ops->mkdir(fx.env.disk, "/data"), 0);
}

static void close_disk(void)
{
    fixture_stop(&fx);
    sim_vfs_detach(fx.env.disk);
    sim_disk_free(sim);
    arena_close(&fx.arena);
}

TestSuite(rot, .init = open_disk, .fini = close_disk, .timeout = 3000);

/* ---- what a store holds, and what it answers ---- */

static void put_len(int i, size_t len, int64_t lease)
{
    Etcdserverpb__PutRequest *req;
    char key[16];

    snprintf(key, sizeof(key), "key%03d", i);
    req = put_new(&fx, key, "");
    req->value.len = len;
    req->value.data = arena_alloc(&fx.arena, len + 1);
    memset(req->value.data, 'a' + (int)len % 26, len);
    req->lease = lease;
    run_put(&fx, req);
}

static void publish(uint64_t id)
{
    Kvd__Command__Publish *req = message_new(&fx, &kvd__command__publish__descriptor);

    req->member_id = id;
    req->store_id = 7;
    req->name = (char *)"name";
    fixture_run(&fx, KVD__COMMAND__COMMAND__REQUEST_PUBLISH, req);
}

static void compact(int64_t revision)
{
    int steps = 0;

    run_compact(&fx, revision);
    while (fx.n_fatal == 0 && kv_upkeep(fx.kv)) {
        cr_assert_lt(steps++, STEPS_MAX);
    }
}

static const char *const users[] = {"ann", "bob", "eve"};

/* Rows in several leaves of the tree, values in pages of their own, free pages, rows of
 * leases, a member, a line of a lock, users and roles. */
static void fill(void)
{
    grant_leases(&fx, 5);
    for (int i = 0; i < KEYS; i++) {
        put_len(i, 20 + (size_t)i * 7, i % 5 == 0 ? 1 + i % 4 : 0);
    }
    put_len(3, 6000, 0);
    put_len(4, 9000, 0);
    put_len(3, 5000, 2);
    put_len(4, 10, 0);
    remove_keys(&fx, "key010", "key013");
    compact(kv_revision(fx.kv) - 1);
    put_len(5, 70, 0);
    acquire(&fx, "lock", 1, "h", EXCLUSIVE, FOR_EVER);
    acquire(&fx, "lock", 2, "h", EXCLUSIVE, FOR_EVER);
    publish(9);
    for (int i = 0; i < 3; i++) {
        user_with_role(&fx, users[i]);
        role_grant(&fx, users[i], READWRITE, "key", i == 0 ? "" : NULL);
    }
}

/* Everything that a later write may come upon. */
static void change(void)
{
    for (int i = 0; i < KEYS && fx.n_fatal == 0; i += 3) {
        put_len(i, 100, 0);
    }
    put_len(7, 12000, 0);
    if (fx.n_fatal == 0) {
        run_revoke(&fx, 3);
        run_delete(&fx, delete_new(&fx, "key020", "key024"));
        run_grant(&fx, 77, 50);
        publish(10);
        user_password(&fx, "ann", "other");
        role_grant(&fx, "bob", READ, "a", NULL);
        role_delete(&fx, "eve");
        user_add(&fx, "new", "h");
        compact(kv_revision(fx.kv));
    }
}

static void on_woken(struct watch *watch)
{
}

static int64_t oldest_revision(void)
{
    return kv_compact_revision(fx.kv) > 0 ? kv_compact_revision(fx.kv) : 1;
}

static void show_events(struct text *text)
{
    struct watch watch = {.woken = on_woken};
    struct watch_options options = {
        .key = slice_str(""),
        .range_end = slice_of("", 1),
        .start = oldest_revision(),
        .flags = WATCH_PREV_KV,
    };
    enum watch_news news = WATCH_AGAIN;

    cr_assert(watch_add(fx.kv, &watch, &options));
    for (int i = 0; i < STEPS_MAX && news != WATCH_NOTHING && fx.n_fatal == 0; i++) {
        struct watch_batch batch = {0};

        watch_begin_turn(fx.kv);
        news = watch_pull(fx.kv, &watch, &batch);
        for (size_t k = 0; k < batch.n; k++) {
            const struct watch_event *event = &batch.events[k];
            uint64_t hash = XXH3_64bits(event->body.ptr, event->body.len);

            show(text, " %" PRIx64,
                 XXH3_64bits_withSeed(event->prev.ptr, event->prev.len, hash));
        }
        if (batch.n > 0 && watch_waits(&watch)) {
            break;
        }
    }
    watch_remove(fx.kv, &watch);
}

static void show_leases(struct text *text)
{
    Etcdserverpb__LeaseLeasesResponse *res = NULL;

    kv_leases(fx.kv, &fx.arena, &res);
    for (size_t i = 0; i < res->n_leases; i++) {
        const Etcdserverpb__LeaseTimeToLiveResponse *ttl =
            time_to_live(&fx, res->leases[i]->id, 0);
        uint64_t keys = 0; /* they come in no order */

        for (size_t k = 0; k < ttl->n_keys; k++) {
            keys += XXH3_64bits(ttl->keys[k].data, ttl->keys[k].len);
        }
        show(text, " lease %" PRId64 " %" PRId64 " %" PRId64 " %" PRIx64, ttl->id,
             ttl->ttl, ttl->grantedttl, keys);
    }
}

static void show_members(struct text *text)
{
    const struct kv_member *list;
    size_t n = kv_members(fx.kv, &list);

    for (size_t i = 0; i < n; i++) {
        show(text, " member %" PRIu64 " %s %" PRIu64, list[i].id, list[i].name,
             list[i].store_id);
    }
}

/* All answers, or as far as they go when the store fails. */
static char *answers(void)
{
    struct text text = {0};
    int64_t last = kv_revision(fx.kv);

    show(&text, "%" PRIu64 " %" PRId64 " %" PRId64 " %" PRIx64, kv_applied_index(fx.kv),
         last, kv_compact_revision(fx.kv), kv_state_hash(fx.kv));
    for (int64_t rev = oldest_revision(); rev <= last; rev++) {
        Etcdserverpb__RangeRequest *req = range_new(&fx, "a", "");
        Etcdserverpb__RangeResponse *res = NULL;

        req->revision = rev;
        if (run_range(&fx, req, &res) != API_OK) {
            break;
        }
        show_range(&text, res);
        req->keys_only = true;
        run_range(&fx, req, &res);
        show_range(&text, res);
    }
    if (fx.n_fatal == 0) {
        show_events(&text);
        show_leases(&text);
        show_members(&text);
        show_auth(&fx, &text);
        show(&text, " line %s", fx.n_fatal == 0 ? line_of(&fx, "lock") : "");
    }
    return text.bytes;
}

/* ---- the file ---- */

static struct slice read_file(const char *suffix)
{
    struct disk *disk = fx.env.disk;
    struct disk_file *file = NULL;
    char path[128];
    size_t len;
    uint8_t *bytes;

    snprintf(path, sizeof(path), "%s%s", fx.path, suffix);
    cr_assert_eq(disk->ops->open(disk, path, DISK_READ_ONLY, &file), 0);
    len = (size_t)disk->ops->size(file);
    bytes = mem_alloc(len);
    cr_assert_eq(disk->ops->read(file, bytes, len, 0), (ssize_t)len);
    disk->ops->close(file);
    return slice_of(bytes, len);
}

static void write_file(const char *suffix, struct slice bytes)
{
    struct disk *disk = fx.env.disk;
    struct disk_file *file = NULL;
    char path[128];

    snprintf(path, sizeof(path), "%s%s", fx.path, suffix);
    disk->ops->unlink(disk, path);
    if (bytes.len > 0) {
        cr_assert_eq(disk->ops->open(disk, path, DISK_CREATE, &file), 0);
        disk->ops->write(file, bytes.ptr, bytes.len, 0);
        disk->ops->close(file);
    }
}

/* As it was written, but for one byte of one of both. */
static void write_files(struct slice db, struct slice wal)
{
    static const struct slice none;

    write_file("", db);
    write_file("-wal", wal);
    write_file("-damaged", none);
    disk_sync_entry(fx.env.disk, fx.path); /* else the disk keeps what was there before */
    fx.n_fatal = 0;
}

/* ---- the flips ---- */

static size_t stride(size_t usual)
{
    const char *times = getenv("FLIPS");
    size_t step = times != NULL ? usual / (size_t)atol(times) : usual;

    return step > 0 ? step : 1;
}

static size_t first_flip(size_t step)
{
    return (size_t)time(NULL) % step;
}

static uint8_t mask_at(size_t at)
{
    return (uint8_t)(1u << at * 5 % 8);
}

static struct {
    int refused;
    int found;
    int harmless;
} counts;

/* It was come upon, which must have left a mark. */
static void expect_marked(size_t at)
{
    fixture_stop(&fx);
    cr_assert_eq(fixture_try_open(&fx), ERR_CORRUPT, "at %zu: %s, then %s", at, fx.fatal,
                 fx.err.text);
    cr_assert_not_null(strstr(fx.err.text, "it was found damaged"), "%s", fx.err.text);
    counts.found++;
}

static void expect_same(size_t at, const char *want)
{
    char *got = answers();

    if (fx.n_fatal == 0) {
        size_t i = 0;

        while (got[i] == want[i] && got[i] != '\0') {
            i++;
        }
        cr_assert(got[i] == want[i], "at %zu: %.80s instead of %.80s", at, got + i,
                  want + i);
    }
    free(got);
}

static void expect_refusal(size_t at)
{
    cr_assert(fx.err.code == ERR_CORRUPT || fx.err.code == ERR_VERSION ||
                  fx.err.code == ERR_INVALID,
              "at %zu: %s", at, fx.err.text);
    cr_assert_not_null(strstr(fx.err.text, fx.path), "%s", fx.err.text);
    counts.refused++;
}

static void try_flip(size_t at, const char *before, const char *after)
{
    if (fixture_try_open(&fx) != 0) {
        expect_refusal(at);
        return;
    }
    expect_same(at, before);
    if (fx.n_fatal == 0) {
        change();
    }
    if (fx.n_fatal == 0) {
        expect_same(at, after);
    }
    if (fx.n_fatal > 0) {
        expect_marked(at);
        return;
    }
    fixture_stop(&fx);
    if (fixture_try_open(&fx) != 0) {
        expect_refusal(at);
        return;
    }
    expect_same(at, after);
    fixture_stop(&fx);
    counts.harmless++;
}

Test(rot, no_flipped_byte_of_the_database_is_served)
{
    size_t step = stride(211);
    struct slice good;
    uint8_t *bytes;
    char *before;
    char *after;

    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    fill();
    fixture_reopen(&fx);
    before = answers();
    fixture_stop(&fx);
    good = read_file("");
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    change();
    after = answers();
    cr_assert_eq(fx.n_fatal, 0, "%s", fx.fatal);
    fixture_stop(&fx);

    bytes = (uint8_t *)good.ptr;
    for (size_t at = first_flip(step); at < good.len; at += step) {
        bytes[at] ^= mask_at(at);
        write_files(good, (struct slice){0});
        try_flip(at, before, after);
        fixture_stop(&fx);
        bytes[at] ^= mask_at(at);
        arena_reset(&fx.arena);
    }
    cr_log_info("%zu bytes, each %zu-th: refused %d, come upon %d, harmless %d\n",
                good.len, step, counts.refused, counts.found, counts.harmless);
    cr_expect_gt(counts.refused, 0);
    cr_expect_gt(counts.harmless, 0);
    free(bytes);
    free(before);
    free(after);
}

/* ---- the WAL ---- */

enum { COMMITS_MAX = 4000 };

/* Each state that was ever committed. */
static uint64_t hashes[COMMITS_MAX];

static void note_commit(void)
{
    cr_assert_lt(kv_applied_index(fx.kv), (uint64_t)COMMITS_MAX);
    hashes[kv_applied_index(fx.kv)] = kv_state_hash(fx.kv);
}

static void write_commits(int n)
{
    for (int i = 0; i < n; i++) {
        put_len(i % KEYS, (size_t)(i * 97 % 700), 0);
        note_commit();
        run_grant(&fx, 1000 + i, 1000);
        note_commit();
    }
}

/* Refused, or one of the states that were, whole. */
static void try_wal_flip(size_t at)
{
    Etcdserverpb__RangeResponse *res = NULL;

    if (fixture_try_open(&fx) != 0) {
        expect_refusal(at);
        return;
    }
    cr_assert_eq(kv_state_hash(fx.kv), hashes[kv_applied_index(fx.kv)], "at %zu", at);
    cr_assert(kv_rescan_step(fx.kv), "at %zu", at);
    run_range(&fx, range_new(&fx, "a", ""), &res);
    if (fx.n_fatal == 0) {
        change();
    }
    if (fx.n_fatal > 0) {
        expect_marked(at);
        return;
    }
    fixture_stop(&fx);
    if (fixture_try_open(&fx) != 0) {
        expect_refusal(at);
        return;
    }
    counts.harmless++;
}

/* The files as they are while the store is open: as after a kill. */
static void flip_wal(size_t step)
{
    struct slice db = read_file("");
    struct slice wal = read_file("-wal");
    uint8_t *bytes = (uint8_t *)wal.ptr;
    struct kv_stats stats;

    kv_get_stats(fx.kv, &stats);
    wal.len = (size_t)stats.wal_bytes; /* zeros follow, or what was there before */
    fixture_stop(&fx);
    for (size_t at = first_flip(step); at < wal.len; at += step) {
        bytes[at] ^= mask_at(at);
        write_files(db, wal);
        try_wal_flip(at);
        fixture_stop(&fx);
        bytes[at] ^= mask_at(at);
        arena_reset(&fx.arena);
    }
    cr_log_info("%zu bytes, each %zu-th: refused %d, come upon %d, harmless %d\n",
                wal.len, step, counts.refused, counts.found, counts.harmless);
    cr_expect_gt(counts.harmless, 0);
    free((void *)db.ptr);
    free(bytes);
}

Test(rot, flipped_byte_of_the_wal_leaves_an_earlier_state_or_none)
{
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    note_commit();
    write_commits(40);
    flip_wal(stride(9001));
}

/* What follows the byte in the WAL is in the database file already. */
Test(rot, flipped_byte_of_a_wal_that_was_moved_leaves_no_mixture)
{
    struct kv_copy copy;

    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    note_commit();
    write_commits(60);
    copy_begin(&fx, &copy); /* the WAL begins anew */
    kv_copy_end(fx.kv);
    write_commits(20);
    compact(kv_revision(fx.kv) - 5);
    note_commit();
    write_commits(20);
    cr_assert_eq(sqlite3_wal_checkpoint_v2(fx.kv->db.conn, NULL,
                                           SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
                 SQLITE_OK);
    flip_wal(stride(9001));
}

/* ---- the pages that lead to rows ---- */

static int64_t history_root(void)
{
    static const char text[] =
        "SELECT rootpage FROM sqlite_schema WHERE name = 'history'";
    struct db db = {0};
    int64_t root = 0;

    cr_assert_eq(sqlite3_open_v2(fx.path, &db.conn, SQLITE_OPEN_READWRITE,
                                 fx.env.disk->sqlite_vfs),
                 SQLITE_OK);
    cr_assert_eq(db_int(&db, text, &root, NULL), 0);
    sqlite3_close(db.conn);
    return root;
}

/* Without a gap between rows, each of these bytes matters: where the cells are, which
 * page is a child, which is its last row. */
Test(rot, no_page_leads_to_other_rows)
{
    struct slice good;
    uint8_t *page;
    size_t cells;
    size_t root;
    size_t step = stride(8);

    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    for (int i = 0; i < 400; i++) {
        put_len(i % KEYS, 60, 0);
    }
    fixture_stop(&fx);
    root = (size_t)history_root();
    good = read_file("");
    page = (uint8_t *)good.ptr + (root - 1) * DB_PAGE_BYTES;
    cr_assert_eq(page[0], 5, "an inner page");
    cells = (size_t)page[5] << 8 | page[6];

    for (size_t at = 0; at < DB_PAGE_BYTES;
         at = at == 11u + 2 * page[4] ? cells : at + 1) {
        bool harmless = at == 1 || at == 2 || (at >= 5 && at <= 7);

        for (size_t bit = at * 5 % step; bit < 8 && !harmless; bit += step) {
            page[at] ^= (uint8_t)(1 << bit);
            write_files(good, (struct slice){0});
            cr_expect_eq(fixture_try_open(&fx), ERR_CORRUPT, "byte %zu, bit %zu: %s", at,
                         bit, fx.err.text);
            fixture_stop(&fx);
            page[at] ^= (uint8_t)(1 << bit);
        }
        arena_reset(&fx.arena);
    }
    free((void *)good.ptr);
}
