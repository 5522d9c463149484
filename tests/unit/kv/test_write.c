/* Puts and deletes, as etcd answers them. */
#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(write, .init = open_store, .fini = close_store);

Test(write, fresh_store_has_revision_one_and_was_never_compacted)
{
    cr_expect_eq(kv_revision(fx.kv), 1);
    cr_expect_eq(kv_compact_revision(fx.kv), -1);
    expect_get(&fx, "a", NULL, 0, "@1 #0");
}

Test(write, first_put_gets_revision_two)
{
    run_put(&fx, put_new(&fx, "a", "1"));

    expect(&fx, "put @2");
    expect_get(&fx, "a", NULL, 0, "@2 #1 a=1(2,2,1)");
}

Test(write, put_of_the_same_value_is_a_new_revision_and_version)
{
    put(&fx, "a", "1");
    run_put(&fx, put_new(&fx, "a", "1"));

    expect(&fx, "put @3");
    expect_get(&fx, "a", NULL, 0, "@3 #1 a=1(2,3,2)");
}

Test(write, put_after_delete_begins_a_new_life)
{
    put(&fx, "a", "1");
    put(&fx, "a", "2");
    remove_keys(&fx, "a", NULL);
    put(&fx, "a", "3");

    expect_get(&fx, "a", NULL, 0, "@5 #1 a=3(5,5,1)");
    expect_get(&fx, "a", NULL, 3, "@5 #1 a=2(2,3,2)");
    expect_get(&fx, "a", NULL, 4, "@5 #0");
}

Test(write, put_returns_the_pair_before_only_when_asked_and_there)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "a", "1");

    req->prev_kv = true;
    run_put(&fx, req);
    expect(&fx, "put @2");

    req->value = bytes_of(&fx, "2");
    run_put(&fx, req);
    expect(&fx, "put @3 a=1(2,2,1)");

    req->prev_kv = false;
    run_put(&fx, req);
    expect(&fx, "put @4");
}

Test(write, empty_value_is_a_value)
{
    put(&fx, "a", "");

    expect_get(&fx, "a", NULL, 0, "@2 #1 a=(2,2,1)");
    fixture_reopen(&fx);
    expect_get(&fx, "a", NULL, 0, "@2 #1 a=(2,2,1)");
}

Test(write, ignore_value_keeps_the_value)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "a", "");

    put(&fx, "a", "1");
    req->ignore_value = true;
    req->prev_kv = true;
    run_put(&fx, req);

    expect(&fx, "put @3 a=1(2,2,1)");
    expect_get(&fx, "a", NULL, 0, "@3 #1 a=1(2,3,2)");
}

Test(write, ignoring_a_value_or_lease_needs_the_key)
{
    Etcdserverpb__PutRequest *value = put_new(&fx, "a", "");
    Etcdserverpb__PutRequest *lease = put_new(&fx, "a", "1");

    value->ignore_value = true;
    lease->ignore_lease = true;
    run_put(&fx, value);
    expect(&fx, "etcdserver: key not found");
    run_put(&fx, lease);
    expect(&fx, "etcdserver: key not found");

    put(&fx, "a", "1");
    remove_keys(&fx, "a", NULL);
    run_put(&fx, lease);
    expect(&fx, "etcdserver: key not found");
    cr_expect_eq(kv_revision(fx.kv), 3);
}

Test(write, unknown_lease_is_refused_before_an_absent_key)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "a", "");

    req->lease = 7;
    req->ignore_value = true;
    run_put(&fx, req);

    expect(&fx, "etcdserver: requested lease not found");
    cr_expect_eq(kv_revision(fx.kv), 1);
}

Test(write, refused_command_advances_the_applied_index_alone)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, "a", "1");
    uint64_t hash = kv_state_hash(fx.kv);

    req->lease = 7;
    run_put(&fx, req);

    cr_expect_eq(kv_applied_index(fx.kv), 1);
    cr_expect_eq(kv_revision(fx.kv), 1);
    cr_expect_neq(kv_state_hash(fx.kv), hash, "the index is part of the hash");
}

Test(write, command_with_an_empty_key_is_refused_at_apply)
{
    run_put(&fx, put_new(&fx, "", "1"));
    expect(&fx, "etcdserver: key is not provided");
    run_delete(&fx, delete_new(&fx, "", NULL));
    expect(&fx, "etcdserver: key is not provided");
}

Test(write, delete_of_nothing_does_not_move_the_revision)
{
    put(&fx, "b", "1");
    run_delete(&fx, delete_new(&fx, "a", NULL));

    expect(&fx, "del @2 #0");
}

Test(write, delete_returns_pairs_in_key_order)
{
    Etcdserverpb__DeleteRangeRequest *req = delete_new(&fx, "a", "c");

    put(&fx, "b", "2");
    put(&fx, "a", "1");
    put(&fx, "c", "3");
    req->prev_kv = true;
    run_delete(&fx, req);

    expect(&fx, "del @5 #2 a=1(3,3,1) b=2(2,2,1)");
    expect_get(&fx, "a", "", 0, "@5 #1 c=3(4,4,1)");
}

Test(write, delete_ranges_follow_etcds_ends)
{
    static const char *const keys[] = {"a", "ab", "b", "c"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        put(&fx, keys[i], "1");
    }
    run_delete(&fx, delete_new(&fx, "b", "b"));
    expect(&fx, "del @5 #0");
    run_delete(&fx, delete_new(&fx, "c", "a"));
    expect(&fx, "del @5 #0");
    run_delete(&fx, delete_new(&fx, "a", "b"));
    expect(&fx, "del @6 #2");
    run_delete(&fx, delete_new(&fx, "b", ""));
    expect(&fx, "del @7 #2");
}

Test(write, keys_hold_any_bytes)
{
    static const uint8_t name[] = {0, 0xff, 0, 1};
    Etcdserverpb__PutRequest *req = put_new(&fx, "x", "1");
    Etcdserverpb__RangeRequest *all = range_new(&fx, "x", "");

    req->key = (ProtobufCBinaryData){.len = sizeof(name), .data = (uint8_t *)name};
    run_put(&fx, req);
    all->key = no_end();
    all->count_only = true;
    expect_range(&fx, all, "@2 #1");
    fixture_reopen(&fx);
    expect_range(&fx, all, "@2 #1");
}

Test(write, many_keys_go_in_one_delete)
{
    Etcdserverpb__DeleteRangeRequest *req = delete_new(&fx, "k", "l");
    char key[16];

    kv_begin(fx.kv);
    for (int i = 0; i < 5000; i++) {
        Kvd__Command__Command *command;

        snprintf(key, sizeof(key), "k%05d", i);
        command =
            command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, put_new(&fx, key, "v"));
        fixture_entry(&fx, batch_of(&fx, &command, 1));
    }
    kv_commit(fx.kv);
    run_delete(&fx, req);

    expect(&fx, "del @5002 #5000");
    expect_get(&fx, "k", "l", 0, "@5002 #0");
    expect_get(&fx, "k04999", NULL, 5001, "@5002 #1 k04999=v(5001,5001,1)");
}
