/* Members as they published themselves. */
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

TestSuite(member, .init = open_store, .fini = close_store);

static void publish(uint64_t id, const char *name, const char *url)
{
    Kvd__Command__Publish *req = message_new(&fx, &kvd__command__publish__descriptor);

    req->member_id = id;
    req->store_id = id + 1;
    req->name = (char *)name;
    req->n_client_urls = list_copy(&fx, (void *[]){(void *)url, NULL}, &req->client_urls);
    req->n_peer_urls = list_copy(
        &fx, (void *[]){(char *)"http://p1", (char *)"http://p2", NULL}, &req->peer_urls);
    cr_assert_eq(fixture_run(&fx, KVD__COMMAND__COMMAND__REQUEST_PUBLISH, req), API_OK);
    cr_expect_null(fx.response);
}

static void expect_members(void)
{
    const struct kv_member *list;

    cr_assert_eq(kv_members(fx.kv, &list), 3);
    cr_expect_eq(list[0].id, 5);
    cr_expect_str_eq(list[0].name, "five");
    cr_expect_eq(list[0].store_id, 6);
    cr_expect_eq(list[0].n_client_urls, 1);
    cr_expect_str_eq(list[0].client_urls[0], "http://new");
    cr_expect_eq(list[0].n_peer_urls, 2);
    cr_expect_str_eq(list[0].peer_urls[1], "http://p2");
    cr_expect_eq(list[1].id, 7);
    cr_expect_eq(list[2].id, UINT64_MAX);
}

Test(member, list_is_sorted_and_survives_a_restart)
{
    publish(7, "seven", "http://c");
    publish(UINT64_MAX, "last", "http://c");
    publish(5, "five", "http://old");
    publish(5, "five", "http://new");

    expect_members();
    fixture_reopen(&fx);
    expect_members();
    cr_expect_eq(kv_revision(fx.kv), 1);
    cr_expect(kv_rescan_step(fx.kv));
}

Test(member, list_is_part_of_the_state_hash)
{
    struct fixture other;

    publish(5, "five", "http://a");
    fixture_open(&other);
    kv_begin(other.kv);
    fixture_entry(&other, slice_of("", 0));
    kv_commit(other.kv);

    cr_expect_eq(kv_applied_index(fx.kv), kv_applied_index(other.kv));
    cr_expect_neq(kv_state_hash(fx.kv), kv_state_hash(other.kv));
    fixture_close(&other);
}

Test(member, fresh_store_has_none)
{
    const struct kv_member *list;

    cr_expect_eq(kv_members(fx.kv, &list), 0);
}
