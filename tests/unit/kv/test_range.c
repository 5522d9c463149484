/* Ranges: options, order, filters, old revisions, pages. */
#include "tests/unit/kv/fixture.h"

#define ASCEND  ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND
#define DESCEND ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND
#define VERSION ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION
#define CREATE  ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE
#define MOD     ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD
#define VALUE   ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE

static struct fixture fx;

/* s1 to s5, created in the order 5 4 3 2 1, s3 put once more. */
static void open_store(void)
{
    fixture_open(&fx);
    put(&fx, "s5", "b");
    put(&fx, "s4", "e");
    put(&fx, "s3", "d");
    put(&fx, "s2", "c");
    put(&fx, "s1", "a");
    put(&fx, "s3", "0");
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(range, .init = open_store, .fini = close_store);

static Etcdserverpb__RangeRequest *all(void)
{
    return range_new(&fx, "s", "t");
}

Test(range, keys_come_in_byte_order)
{
    expect_range(&fx, all(),
                 "@7 #5 s1=a(6,6,1) s2=c(5,5,1) s3=0(4,7,2) s4=e(3,3,1)"
                 " s5=b(2,2,1)");
}

Test(range, limit_cuts_and_says_more_while_count_stays)
{
    Etcdserverpb__RangeRequest *req = all();

    req->limit = 2;
    expect_range(&fx, req, "@7 #5+ s1=a(6,6,1) s2=c(5,5,1)");
    req->limit = 5;
    expect_range(&fx, req,
                 "@7 #5 s1=a(6,6,1) s2=c(5,5,1) s3=0(4,7,2) s4=e(3,3,1)"
                 " s5=b(2,2,1)");
    req->limit = -1;
    req->key = bytes_of(&fx, "s5");
    expect_range(&fx, req, "@7 #1 s5=b(2,2,1)");
}

Test(range, count_only_ignores_the_rest)
{
    Etcdserverpb__RangeRequest *req = all();

    req->count_only = true;
    req->limit = 2;
    req->sort_order = DESCEND;
    req->min_mod_revision = 100;
    expect_range(&fx, req, "@7 #5");
    req->revision = 4;
    expect_range(&fx, req, "@7 #3");
}

Test(range, keys_only_leaves_values_out)
{
    Etcdserverpb__RangeRequest *req = all();

    req->keys_only = true;
    req->limit = 2;
    expect_range(&fx, req, "@7 #5+ s1=(6,6,1) s2=(5,5,1)");
    req->sort_target = VALUE;
    req->sort_order = ASCEND;
    expect_range(&fx, req, "@7 #5+ s3=(4,7,2) s1=(6,6,1)");
}

Test(range, target_without_order_is_cut_before_it_is_sorted)
{
    Etcdserverpb__RangeRequest *req = all();

    req->sort_target = CREATE;
    req->limit = 2;
    /* Of s1, s2, s3 in order of creation the first two. */
    expect_range(&fx, req, "@7 #5+ s3=0(4,7,2) s2=c(5,5,1)");
    req->sort_order = ASCEND;
    expect_range(&fx, req, "@7 #5+ s5=b(2,2,1) s4=e(3,3,1)");
}

Test(range, target_without_order_but_filters_is_sorted_before_it_is_cut)
{
    Etcdserverpb__RangeRequest *req = all();

    req->sort_target = CREATE;
    req->limit = 2;
    req->min_create_revision = 1;
    expect_range(&fx, req, "@7 #5+ s5=b(2,2,1) s4=e(3,3,1)");
}

Test(range, every_target_sorts_both_ways)
{
    Etcdserverpb__RangeRequest *req = all();

    req->limit = 2;
    req->sort_order = DESCEND;
    expect_range(&fx, req, "@7 #5+ s5=b(2,2,1) s4=e(3,3,1)");
    req->sort_target = VERSION;
    expect_range(&fx, req, "@7 #5+ s3=0(4,7,2) s5=b(2,2,1)");
    req->sort_target = CREATE;
    expect_range(&fx, req, "@7 #5+ s1=a(6,6,1) s2=c(5,5,1)");
    req->sort_target = MOD;
    expect_range(&fx, req, "@7 #5+ s3=0(4,7,2) s1=a(6,6,1)");
    req->sort_target = VALUE;
    expect_range(&fx, req, "@7 #5+ s4=e(3,3,1) s2=c(5,5,1)");
    req->sort_order = ASCEND;
    expect_range(&fx, req, "@7 #5+ s3=0(4,7,2) s1=a(6,6,1)");
    req->sort_target = MOD;
    expect_range(&fx, req, "@7 #5+ s5=b(2,2,1) s4=e(3,3,1)");
}

Test(range, filters_are_inclusive_and_do_not_change_the_count)
{
    Etcdserverpb__RangeRequest *req = all();

    req->min_mod_revision = 3;
    req->max_mod_revision = 5;
    expect_range(&fx, req, "@7 #5 s2=c(5,5,1) s4=e(3,3,1)");
    req->limit = 1;
    expect_range(&fx, req, "@7 #5+ s2=c(5,5,1)");
    req->limit = 2;
    expect_range(&fx, req, "@7 #5 s2=c(5,5,1) s4=e(3,3,1)");
    req->max_create_revision = 3;
    expect_range(&fx, req, "@7 #5 s4=e(3,3,1)");
    req->min_create_revision = 4;
    expect_range(&fx, req, "@7 #5");
}

Test(range, newest_key_below_a_create_revision_is_what_locks_ask_for)
{
    Etcdserverpb__RangeRequest *req = all();

    req->sort_target = CREATE;
    req->sort_order = DESCEND;
    req->limit = 1;
    req->max_create_revision = 4;
    expect_range(&fx, req, "@7 #5+ s3=0(4,7,2)");
}

Test(range, old_revisions_are_read_with_the_current_one_in_the_header)
{
    expect_get(&fx, "s", "t", 5, "@7 #4 s2=c(5,5,1) s3=d(4,4,1) s4=e(3,3,1) s5=b(2,2,1)");
    expect_get(&fx, "s", "t", 1, "@7 #0");
    expect_get(&fx, "s3", NULL, 6, "@7 #1 s3=d(4,4,1)");
    expect_get(&fx, "s3", NULL, 3, "@7 #0");
}

Test(range, future_revision_is_refused_and_a_negative_one_is_the_current)
{
    expect_get(&fx, "s1", NULL, 8,
               "etcdserver: mvcc: required revision is a future revision");
    expect_get(&fx, "s1", NULL, -5, "@7 #1 s1=a(6,6,1)");
}

Test(range, ends_follow_etcds_rules)
{
    expect_get(&fx, "s4", "", 0, "@7 #2 s4=e(3,3,1) s5=b(2,2,1)");
    expect_get(&fx, "s2", "s2", 0, "@7 #0");
    expect_get(&fx, "s4", "s2", 0, "@7 #0");
    expect_get(&fx, "s", NULL, 0, "@7 #0");
}

Test(range, bad_requests_are_refused)
{
    Etcdserverpb__RangeRequest *req = all();

    req->sort_order = 3;
    expect_range(&fx, req, "etcdserver: invalid sort option");
    req->sort_order = 0;
    req->sort_target = 5;
    expect_range(&fx, req, "etcdserver: invalid sort option");
    req->key.len = 0;
    expect_range(&fx, req, "etcdserver: key is not provided");
}

/* ---- pages ---- */

#define N_MANY 20000

static void put_many(void)
{
    char key[16];

    kv_begin(fx.kv);
    for (int i = 0; i < N_MANY; i++) {
        Kvd__Command__Command *command;

        snprintf(key, sizeof(key), "m%06d", i);
        command =
            command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, put_new(&fx, key, key));
        fixture_entry(&fx, batch_of(&fx, &command, 1));
    }
    kv_commit(fx.kv);
}

Test(range, long_read_sees_one_revision_while_writes_go_on)
{
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");
    Etcdserverpb__RangeResponse *res = NULL;
    struct kv_scan *scan = NULL;
    enum api_status status;
    int n_steps = 0;

    put_many();
    cr_assert_eq(kv_range(fx.kv, req, &fx.arena, &res, &scan), API_OK);
    cr_assert_not_null(scan);
    cr_assert_null(res);
    while (kv_scan_step(scan, &status, &res) == 0) {
        char key[16];

        /* Before, at and after where the scan is. */
        snprintf(key, sizeof(key), "m%06d", n_steps * 911 % N_MANY);
        put(&fx, key, "changed");
        remove_keys(&fx, "m000007", NULL);
        put(&fx, "m0000075", "new");
        kv_upkeep(fx.kv);
        n_steps++;
    }
    kv_scan_close(scan);

    cr_assert_eq(status, API_OK);
    cr_assert_gt(n_steps, N_MANY / LIMIT_RANGE_FETCH - 2);
    cr_assert_eq(res->header->revision, 7 + N_MANY);
    cr_assert_eq(res->count, N_MANY);
    cr_assert_eq(res->n_kvs, N_MANY);
    for (size_t i = 0; i < res->n_kvs; i++) {
        cr_assert(slice_eq(slice_of(res->kvs[i]->key.data, res->kvs[i]->key.len),
                           slice_of(res->kvs[i]->value.data, res->kvs[i]->value.len)));
    }
}

Test(range, long_read_ends_when_compaction_passes_it)
{
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");
    Etcdserverpb__RangeResponse *res = NULL;
    struct kv_scan *scan = NULL;
    enum api_status status = API_OK;

    put_many();
    cr_assert_eq(kv_range(fx.kv, req, &fx.arena, &res, &scan), API_OK);
    run_compact(&fx, kv_revision(fx.kv));
    cr_assert_eq(kv_scan_step(scan, &status, &res), 0, "at the revision itself: go on");
    put(&fx, "x", "1");
    run_compact(&fx, kv_revision(fx.kv));
    cr_assert_eq(kv_scan_step(scan, &status, &res), 1);
    kv_scan_close(scan);

    cr_assert_eq(status, API_COMPACTED);
    cr_assert_null(res);
}

Test(range, sorted_read_with_a_limit_keeps_the_best_over_pages)
{
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");

    put_many();
    req->sort_order = DESCEND;
    req->limit = 2;
    req->keys_only = true;
    expect_range(&fx, req,
                 "@20007 #20000+ m019999=(20007,20007,1) m019998=(20006,20006,1)");
    req->sort_target = VALUE;
    req->sort_order = ASCEND;
    expect_range(&fx, req, "@20007 #20000+ m000000=(8,8,1) m000001=(9,9,1)");
}

Test(range, count_of_an_old_revision_goes_in_pages_too)
{
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");

    put_many();
    req->count_only = true;
    req->revision = 7 + N_MANY / 2;
    expect_range(&fx, req, "@20007 #10000");
    req->count_only = false;
    req->limit = 1;
    expect_range(&fx, req, "@20007 #10000+ m000000=m000000(8,8,1)");
}

Test(range, reply_that_does_not_fit_is_refused)
{
    Etcdserverpb__RangeResponse *res = NULL;
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");
    struct kv_scan *scan = NULL;
    enum api_status status;
    struct arena small;

    put_many();
    arena_init(&small, 200 * KIB);
    status = kv_range(fx.kv, req, &small, &res, &scan);
    while (status == API_OK && kv_scan_step(scan, &status, &res) == 0) {
    }
    kv_scan_close(scan);
    arena_close(&small);

    cr_assert_eq(status, API_RESPONSE_TOO_LARGE);
    cr_assert_null(res);
}

Test(range, scan_may_be_closed_halfway)
{
    Etcdserverpb__RangeResponse *res = NULL;
    Etcdserverpb__RangeRequest *req = range_new(&fx, "m", "n");
    struct kv_scan *scan = NULL;

    put_many();
    cr_assert_eq(kv_range(fx.kv, req, &fx.arena, &res, &scan), API_OK);
    cr_assert_not_null(scan);
    kv_scan_close(scan);
    kv_scan_close(NULL);
}
