/* Locks while auth is on: who may take and end them, and what is told of them. */
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/locks.h"

static struct fixture fx;

/* A lease of ann's, and one with a key that is not hers. */
static void open_store(void)
{
    fixture_open(&fx);
    auth_on_for_ann(&fx);
    cr_assert_eq(run_grant(&fx, 1, 100), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 100), API_OK);
    act_as(&fx, "root");
    cr_assert_eq(run_put_lease(&fx, "x", 2), API_OK);
    act_as(&fx, "ann");
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(auth_lock, .init = open_store, .fini = close_store);

static enum api_status try_acquire(const char *name, int64_t lease)
{
    return run_acquire(&fx, acquire_new(&fx, name, lease, "h", EXCLUSIVE, FOR_EVER));
}

static enum api_status try_release(const char *name)
{
    Kvd__V1__ReleaseRequest *req =
        message_new(&fx, &kvd__v1__release_request__descriptor);

    req->name = bytes_of(&fx, name);
    req->lease = 1;
    req->hold = (char *)"h";
    return fixture_run(&fx, COMMAND(LOCK_RELEASE), req);
}

static const Kvd__V1__AcquireResponse *left(const struct fixture *f)
{
    return ((const Kvd__Command__LockOutcome *)f->response)->answer;
}

static enum api_status try_leave(const char *name, int64_t lease)
{
    Kvd__Command__LockLeave *req =
        message_new(&fx, &kvd__command__lock_leave__descriptor);

    req->name = bytes_of(&fx, name);
    req->lease = lease;
    req->hold = (char *)"h";
    return fixture_run(&fx, COMMAND(LOCK_LEAVE), req);
}

static enum api_status try_force(const char *name, int64_t token)
{
    Kvd__V1__ForceReleaseRequest *req =
        message_new(&fx, &kvd__v1__force_release_request__descriptor);

    req->name = bytes_of(&fx, name);
    req->token = token;
    req->reason = (char *)"test";
    return fixture_run(&fx, COMMAND(LOCK_FORCE_RELEASE), req);
}

Test(auth_lock, locks_need_write_of_the_keys_under_their_name)
{
    cr_expect_eq(try_acquire("l", 1), API_OK);
    cr_expect_eq(try_acquire("b", 1), API_OK);
    cr_expect_eq(try_acquire("x", 1), API_PERMISSION_DENIED);
    cr_expect_eq(try_acquire("r", 1), API_PERMISSION_DENIED);
    cr_expect_eq(try_acquire("l", 2), API_PERMISSION_DENIED);
    cr_expect_eq(try_acquire("l/x", 1), API_OK);
    cr_expect_eq(try_release("x"), API_PERMISSION_DENIED);
    cr_expect_eq(try_leave("x", 1), API_PERMISSION_DENIED);
    cr_expect_eq(try_leave("l", 1), API_OK);
    fx.client->auth_revision = 0;
    cr_expect_eq(try_acquire("l", 1), API_AUTH_OLD_REVISION);
    cr_expect_eq(try_release("l"), API_OK);
    cr_expect_eq(kv_auth_may_lock(fx.kv, "ann", KV_AUTH_WRITE, slice_str("l")), API_OK);
    cr_expect_eq(kv_auth_may_lock(fx.kv, "ann", KV_AUTH_READ, slice_str("l")),
                 API_PERMISSION_DENIED);
    cr_expect_eq(kv_auth_may_lock(fx.kv, "ann", KV_AUTH_READ, slice_str("b")), API_OK);
}

Test(auth_lock, forced_release_needs_read_and_write)
{
    act_as(&fx, "root");
    cr_assert_eq(try_acquire("l", 2), API_OK);
    cr_assert_eq(try_acquire("b", 2), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(try_force("l", kv_revision(fx.kv) - 1), API_PERMISSION_DENIED);
    cr_expect_eq(try_force("b", kv_revision(fx.kv)), API_OK);
}

Test(auth_lock, who_waits_sees_the_holder_if_it_may_read)
{
    act_as(&fx, "root");
    cr_assert_eq(try_acquire("l", 2), API_OK);
    cr_assert_eq(try_acquire("b", 2), API_OK);
    act_as(&fx, "ann");
    cr_assert_eq(try_acquire("l", 1), API_OK);
    cr_expect_not(acquired(&fx)->acquired);
    cr_expect_null(acquired(&fx)->holder);
    cr_assert_eq(run_grant(&fx, 3, 100), API_OK);
    cr_assert_eq(try_acquire("b", 3), API_OK);
    cr_expect_not_null(acquired(&fx)->holder);
    cr_assert_eq(try_leave("l", 1), API_OK);
    cr_expect_eq(left(&fx)->place, 1);
    cr_expect_null(left(&fx)->holder);
    cr_assert_eq(try_leave("b", 3), API_OK);
    cr_expect_not_null(left(&fx)->holder);
}

Test(auth_lock, deadlock_is_told_without_what_may_not_be_read)
{
    act_as(&fx, "root");
    cr_assert_eq(try_acquire("l", 2), API_OK);
    act_as(&fx, "ann");
    cr_assert_eq(try_acquire("b", 1), API_OK);
    act_as(&fx, "root");
    cr_assert_eq(try_acquire("b", 2), API_OK);
    act_as(&fx, "ann");
    cr_assert_eq(try_acquire("l", 1), API_OK);
    cr_expect_not_null(
        strstr(refused, "deadlock: a lock that you may not read, which another lease has"
                        " or waits for, who waits for the lock \"b\", which this lease"),
        "%s", refused);
    act_as(&fx, "root");
    cr_assert_eq(try_acquire("l", 1), API_OK);
    cr_expect_not_null(strstr(refused, "deadlock: the lock \"l\", which (lease 2) holds"),
                       "%s", refused);
}

Test(auth_lock, fence_needs_the_lock_or_a_look_at_it)
{
    Etcdserverpb__PutRequest *req;

    cr_assert_eq(try_acquire("l", 1), API_OK);
    req = put_new(&fx, "w/1", "1");
    req->fence = message_new(&fx, &kvd__v1__fence__descriptor);
    req->fence->name = bytes_of(&fx, "l");
    req->fence->token = kv_revision(fx.kv);
    cr_expect_eq(run_put(&fx, req), API_OK);
    req->fence->name = bytes_of(&fx, "r");
    cr_expect_eq(run_put(&fx, req), API_FENCED);
    req->fence->name = bytes_of(&fx, "x");
    cr_expect_eq(run_put(&fx, req), API_PERMISSION_DENIED);
}
