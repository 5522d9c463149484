/* A store that goes on with the state of another one: whatever was open on it goes on
 * too, or is told. The other store begins as a copy of it and is written to alone. */
#include "base/log.h"
#include "tests/unit/kv/copying.h"
#include "tests/unit/kv/locks.h"
#include "tests/unit/kv/watching.h"

enum { STATES_MAX = 64 };

static struct kv *member; /* what is tested */
static struct kv *leader; /* is ahead of it, between fork and join */
static int n_states;      /* files made */

static void drop_line(void *owner, const char *line)
{
}

static void open_stores(void)
{
    log_redirect(drop_line, NULL);
    seen_open();
    member = s.fx.kv;
    leader = NULL;
    n_states = 1;
}

static const char *state_path(int i)
{
    static char path[112];

    snprintf(path, sizeof(path), "%s/state-%d.db", s.fx.dir, i);
    return path;
}

static void close_stores(void)
{
    seen_close();
    for (int i = 2; i <= n_states; i++) {
        copy_remove(state_path(i));
    }
    rmdir(s.fx.dir);
}

TestSuite(replace, .init = open_stores, .fini = close_stores, .timeout = 120);

static struct kv *copy_of_current(void)
{
    struct kv_copy copy;
    struct kv *kv = NULL;
    const char *path = state_path(++n_states);

    cr_assert_leq(n_states, STATES_MAX);
    copy_make(&s.fx, path, &copy);
    cr_assert_eq(copy_open(&s.fx, path, &kv), 0, "%s", s.fx.err.text);
    return kv;
}

/* From here on writes go to the leader. */
static void fork_leader(void)
{
    leader = copy_of_current();
    s.fx.kv = leader;
}

/* The member gets the leader's state, and writes go to it again. */
static void join(void)
{
    uint64_t hash = kv_state_hash(leader);
    uint64_t index = kv_applied_index(leader);
    struct kv *fresh = copy_of_current();

    while (s.fx.jobs != NULL) {
        fixture_work(&s.fx);
    }
    kv_replace(member, fresh);
    kv_close(fresh);
    kv_close(leader);
    leader = NULL;
    s.fx.kv = member;
    cr_assert_eq(kv_state_hash(member), hash);
    cr_assert_eq(kv_applied_index(member), index);
}

/* ---- the state ---- */

static void expect_rescan(void)
{
    for (int i = 0; i < 50; i++) {
        cr_assert(kv_rescan_step(s.fx.kv));
    }
}

Test(replace, store_goes_on_with_the_new_state)
{
    uint64_t hash;

    for (int i = 0; i < 40; i++) {
        write_put(i % N_KEYS);
    }
    grant_leases(&s.fx, 5);
    fork_leader();
    write_delete(3, 5);
    cr_assert_eq(run_put_lease(&s.fx, "leased", 2), API_OK);
    cr_assert_eq(run_revoke(&s.fx, 4), API_OK);
    cr_assert_eq(run_compact(&s.fx, 30), API_OK);
    join();

    cr_expect_eq(kv_compact_revision(s.fx.kv), 30);
    cr_expect(kv_lease_exists(s.fx.kv, 2));
    cr_expect_not(kv_lease_exists(s.fx.kv, 4));
    expect_get(&s.fx, "leased", NULL, 0, "@43 #1 leased=v(43,43,1)!lease 2");
    expect_get(&s.fx, "k03", NULL, 0, "@43 #0");

    /* What is written next goes to the new file, all of it. */
    cr_assert_eq(run_revoke(&s.fx, 2), API_OK);
    for (int64_t id = 10; id < 40; id++) {
        cr_assert_eq(run_grant(&s.fx, id, 100), API_OK);
    }
    compact_fully(&s.fx, 43);
    expect_rescan();
    hash = kv_state_hash(s.fx.kv);
    fixture_stop(&s.fx);
    strcpy(s.fx.path, state_path(n_states));
    cr_assert_eq(fixture_try_open(&s.fx), 0, "%s", s.fx.err.text);
    cr_expect_eq(kv_state_hash(s.fx.kv), hash);
    cr_expect_not(kv_lease_exists(s.fx.kv, 2));
    strcpy(s.fx.path, state_path(1));
}

static void on_durable(void *owner, uint64_t applied)
{
    *(uint64_t *)owner = applied;
}

Test(replace, background_work_goes_to_the_new_file)
{
    static char value[100001];
    struct kv_stats stats;
    uint64_t durable = 0;
    struct kv_copy copy;

    fork_leader();
    write_put(1);
    join();
    copy_remove(s.fx.path);

    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < 200; i++) {
        put(&s.fx, "big", value);
        kv_upkeep(s.fx.kv);
        fixture_work(&s.fx);
    }
    kv_get_stats(s.fx.kv, &stats);
    cr_expect_gt(stats.checkpoints, 0);
    cr_expect_gt(stats.wal_bytes, 100000);
    cr_expect_lt(stats.wal_bytes, 20000000);
    cr_expect(kv_make_durable(s.fx.kv, on_durable, &durable));
    fixture_work(&s.fx);
    cr_expect_eq(durable, kv_applied_index(s.fx.kv));
    copy_begin(&s.fx, &copy);
    kv_copy_end(s.fx.kv);
    cr_expect_eq(s.fx.n_fatal, 0, "%s", s.fx.fatal);
}

Test(replace, counters_go_on)
{
    struct kv_stats stats;

    grant_leases(&s.fx, 5);
    run_renew_one(&s.fx, 1);
    run_revoke(&s.fx, 2);
    fork_leader();
    write_put(1);
    join();
    kv_get_stats(s.fx.kv, &stats);
    cr_expect_eq(stats.leases_granted, 5);
    cr_expect_eq(stats.leases_renewed, 1);
    cr_expect_eq(stats.leases_revoked, 1);
}

Test(replace, leases_are_due_when_the_new_state_says)
{
    uint64_t deadline_ms;

    cr_assert_eq(run_grant(&s.fx, 1, 100), API_OK);
    cr_assert_eq(run_grant(&s.fx, 2, 100), API_OK);
    cr_assert_eq(run_put_lease(&s.fx, "a", 1), API_OK);
    cr_assert_eq(run_put_lease(&s.fx, "b", 2), API_OK);
    fork_leader();
    pass(&s.fx, 50000);
    run_renew_one(&s.fx, 2);
    deadline_ms = kv_lease_deadline_ms(leader);
    join();

    cr_expect_eq(kv_lease_deadline_ms(s.fx.kv), deadline_ms);
    pass(&s.fx, 51000);
    expect_get(&s.fx, "a", NULL, 0, "@4 #0");
    expect_get(&s.fx, "b", NULL, 0, "@4 #1 b=v(3,3,1)!lease 2");
    pass(&s.fx, 51000);
    expect_get(&s.fx, "b", NULL, 0, "@5 #0");
}

/* ---- locks ---- */

static enum kv_lock_state state_of(const char *key, int64_t token)
{
    return kv_lock_state(s.fx.kv, slice_str(key), token);
}

Test(replace, lines_of_locks_are_those_of_the_new_state)
{
    int64_t tokens[5];

    grant_leases(&s.fx, 9);
    for (int64_t lease = 1; lease <= 4; lease++) {
        acquire(&s.fx, "L", lease, "h", EXCLUSIVE, FOR_EVER);
        tokens[lease] = kv_revision(s.fx.kv);
    }
    cr_assert_eq(state_of("L/1", tokens[1]), KV_LOCK_GRANTED);
    fork_leader();
    release(&s.fx, "L", 1, "h");
    run_revoke(&s.fx, 3);
    acquire(&s.fx, "M", 5, "h", EXCLUSIVE, FOR_EVER);
    acquire(&s.fx, "L", 6, "h", EXCLUSIVE, FOR_EVER);
    join();

    cr_expect_eq(state_of("L/1", tokens[1]), KV_LOCK_GONE);
    cr_expect_eq(state_of("L/2", tokens[2]), KV_LOCK_GRANTED);
    cr_expect_eq(state_of("L/3", tokens[3]), KV_LOCK_GONE);
    cr_expect_eq(state_of("L/4", tokens[4]), KV_LOCK_WAITING);
    cr_expect_str_eq(line_of(&s.fx, "L"), "2+ 4- 6-");
    cr_expect_str_eq(line_of(&s.fx, "M"), "5+");

    cr_expect_eq(release(&s.fx, "L", 2, "h"), 0);
    cr_expect_not(acquire(&s.fx, "M", 7, "h", EXCLUSIVE, FOR_EVER));
    cr_expect_eq(release(&s.fx, "M", 5, "h"), 0);
    cr_expect_str_eq(line_of(&s.fx, "L"), "4+ 6-");
    cr_expect_str_eq(line_of(&s.fx, "M"), "7+");
}

/* ---- long reads ---- */

enum { MANY = 3000 };

static void put_many(const char *value)
{
    char key[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "m%05d", i);
        put(&s.fx, key, value);
        if (i % 100 == 0) {
            arena_reset(&s.fx.arena);
        }
    }
}

/* Begins to read all of them, as they stand. */
static struct kv_scan *begin_scan(struct arena *arena)
{
    static Etcdserverpb__RangeRequest req;
    Etcdserverpb__RangeResponse *res = NULL;
    struct kv_scan *scan = NULL;

    etcdserverpb__range_request__init(&req);
    req.key = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"m"};
    req.range_end = no_end();
    cr_assert_eq(kv_range(s.fx.kv, &req, arena, &res, &scan), API_OK);
    cr_assert_not_null(scan, "it must take more than a page");
    return scan;
}

static enum api_status end_scan(struct kv_scan *scan, Etcdserverpb__RangeResponse **out)
{
    enum api_status status = API_OK;

    while (kv_scan_step(scan, &status, out) == 0) {
    }
    kv_scan_close(scan);
    return status;
}

Test(replace, scan_goes_on_at_its_revision)
{
    struct arena arena;
    struct kv_scan *scan;
    Etcdserverpb__RangeResponse *res = NULL;

    arena_init(&arena, 1 * GIB);
    put_many("old");
    scan = begin_scan(&arena);
    fork_leader();
    put_many("new");
    remove_keys(&s.fx, "m00001", "m02000");
    run_compact(&s.fx, 1 + MANY);
    join();
    compact_fully(&s.fx, 2 + MANY - 1 + 1);
    cr_expect_eq(end_scan(scan, &res), API_COMPACTED);

    scan = begin_scan(&arena);
    fork_leader();
    put_many("newer");
    join();
    cr_assert_eq(end_scan(scan, &res), API_OK);
    cr_assert_eq(res->n_kvs, MANY - 1999);
    for (size_t i = 0; i < res->n_kvs; i++) {
        cr_assert_eq(memcmp(res->kvs[i]->value.data, "new", 3), 0);
        cr_assert_eq(res->kvs[i]->value.len, 3);
    }
    arena_close(&arena);
}

/* ---- watches ---- */

Test(replace, watch_that_waits_is_woken_for_what_is_new)
{
    struct spy key;
    struct spy range;
    struct spy quiet;
    struct spy later;

    write_put(1);
    spy_open(&key, 1, 2, 0, WATCH_PREV_KV);
    spy_open(&range, 0, 10, 0, 0);
    spy_open(&quiet, 5, 9, 0, 0);
    spy_open(&later, 0, N_KEYS, 6, 0);
    fork_leader();
    write_put(1);
    write_put(2);
    join();

    cr_expect_eq(key.woken, 1);
    cr_expect_eq(range.woken, 1);
    cr_expect_eq(quiet.woken, 0);
    cr_expect(watch_is_synced(s.fx.kv, &quiet.watch));
    cr_expect_eq(later.woken, 0);
    cr_expect_not(watch_is_synced(s.fx.kv, &later.watch), "its revision is to come");
    spy_drain(&key);
    spy_drain(&range);
    cr_expect_eq(key.n_told, 1);
    cr_expect_eq(range.n_told, 2);

    write_put(6);
    write_put(7);
    cr_expect_eq(quiet.woken, 1);
    cr_expect_eq(later.woken, 1);
    spy_drain(&quiet);
    spy_drain(&later);
    cr_expect_eq(quiet.n_told, 2);
    cr_expect_eq(later.n_told, 1);
    spy_close(&key);
    spy_close(&range);
    spy_close(&quiet);
    spy_close(&later);
}

Test(replace, watch_of_a_later_revision_counts_as_synced_once_it_was_there)
{
    struct spy spy;

    write_put(1);
    spy_open(&spy, 0, N_KEYS, 4, 0);
    fork_leader();
    write_put(1);
    write_put(2);
    write_put(3);
    join();
    cr_expect_eq(spy.woken, 1);
    spy_drain(&spy);
    cr_expect_eq(spy.n_told, 2);
    cr_expect(watch_is_synced(s.fx.kv, &spy.watch));
    spy_close(&spy);
}

Test(replace, watch_with_events_in_the_ring_misses_none)
{
    struct spy spy;

    spy_open(&spy, 0, N_KEYS, 0, WATCH_PREV_KV);
    write_put(1);
    write_put(2);
    fork_leader();
    write_put(3);
    join();
    write_put(4);
    spy_drain(&spy);
    cr_expect_eq(spy.n_told, 4);
    spy_close(&spy);
}

Test(replace, watch_whose_history_was_compacted_is_told)
{
    struct spy waits;
    struct spy behind;

    write_put(1);
    spy_open(&waits, 0, N_KEYS, 0, 0);
    spy_open(&behind, 1, 2, 1, 0);
    fork_leader();
    for (int i = 0; i < 20; i++) {
        write_put(i);
    }
    run_compact(&s.fx, 15);
    join();
    cr_expect_eq(waits.woken, 1);
    spy_drain(&waits);
    spy_drain(&behind);
    cr_expect(waits.compacted);
    cr_expect(behind.compacted);
}

Test(replace, watch_that_was_told_all_before_the_compaction_goes_on)
{
    struct spy spy;

    spy_open(&spy, 1, 2, 0, 0);
    for (int i = 0; i < 20; i++) {
        write_put(2);
    }
    fork_leader();
    run_compact(&s.fx, 15);
    write_put(1);
    join();
    spy_drain(&spy);
    cr_expect_not(spy.compacted);
    cr_expect_eq(spy.n_told, 1);
    spy_close(&spy);
}

static void write_something(void)
{
    int key = (int)draw(N_KEYS);

    switch (draw(6)) {
    case 0:
        write_delete(key, key + 1 + (int)draw(3) < N_KEYS ? key + 1 : N_KEYS - 1);
        break;
    case 1:
        write_txn(key, 1 + (int)draw(5), draw(2) == 0);
        break;
    default:
        write_put(key);
    }
    if (draw(12) == 0) {
        run_compact(&s.fx, kv_revision(s.fx.kv) - (int64_t)draw(15));
    }
    kv_upkeep(s.fx.kv);
    fixture_work(&s.fx);
}

enum { SPIES = 40 };

static struct spy spies[SPIES];

static void open_some(void)
{
    for (int i = 0; i < SPIES; i++) {
        int from = (int)draw(N_KEYS);
        int to =
            draw(2) == 0 ? from + 1 : from + 1 + (int)draw((uint64_t)(N_KEYS - from));
        int64_t start = kv_revision(s.fx.kv) + 10 - (int64_t)draw(40);

        if (spies[i].watch.state == WATCH_CLOSED) {
            spy_open(&spies[i], from, to, draw(2) == 0 || start < 1 ? 0 : start,
                     draw(2) == 0 ? WATCH_PREV_KV : (unsigned)draw(4));
        }
    }
}

/* Some pull all they can have, others a little or nothing. */
static void pull_some(void)
{
    for (int i = 0; i < SPIES; i++) {
        if (spies[i].watch.state != WATCH_CLOSED && draw(2) == 0) {
            watch_begin_turn(s.fx.kv);
            spy_pull(&spies[i]);
        }
    }
}

static void drain_all(void)
{
    for (int i = 0; i < SPIES; i++) {
        struct spy *spy = &spies[i];
        int64_t upto = spy->upto;

        if (spy->watch.state == WATCH_CLOSED) {
            continue;
        }
        spy_drain(spy);
        if (spy->compacted) {
            cr_assert_lt(upto + 1, kv_compact_revision(s.fx.kv));
        } else {
            cr_assert(watch_waits(&spy->watch));
        }
        cr_assert_eq(spy->watch.state == WATCH_CLOSED, spy->compacted);
    }
}

static void close_all(void)
{
    for (int i = 0; i < SPIES; i++) {
        spy_close(&spies[i]);
    }
}

static void write_and_pull(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        write_something();
        if (leader == NULL && draw(4) == 0) {
            pull_some();
        }
    }
    arena_reset(&s.fx.arena);
}

Test(replace, random_watches_miss_nothing)
{
    watch_set_ring(s.fx.kv, 4096);
    draw_rng.state = 7;
    for (int round = 0; round < 25; round++) {
        open_some();
        write_and_pull(draw(30));
        fork_leader();
        write_and_pull(1 + draw(40));
        join();
        write_and_pull(draw(20));
        if (draw(3) == 0) {
            drain_all();
        }
    }
    drain_all();
    expect_rescan();
    close_all();
}
