/* What users may do while auth is on: which command needs what, and that a refused one
 * has written nothing. For locks see test_auth_lock.c. */
#include "kv/auth_may.h"
#include "kv/hash.h"
#include "kv/state.h"
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/leases.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(auth_may, .init = open_store, .fini = close_store);

static void make_ann(void)
{
    auth_on_for_ann(&fx);
}

/* ---- refused commands ---- */

/* All that a refused entry changes is the index. */
static void expect_refused(enum api_status want, enum api_status (*run)(void))
{
    int64_t revision = kv_revision(fx.kv);
    uint64_t index = kv_applied_index(fx.kv);
    struct meta before = fx.kv->meta;
    struct meta after;

    cr_expect_eq(run(), want);
    cr_expect_eq(kv_revision(fx.kv), revision);
    cr_expect_eq(kv_applied_index(fx.kv), index + 1);
    after = fx.kv->meta;
    after.applied_index = before.applied_index;
    after.cluster_ms = before.cluster_ms;
    cr_expect_eq(hash_state(&after), hash_state(&before));
    cr_expect_null(fx.response);
}

static enum api_status put_x(void)
{
    return run_put(&fx, put_new(&fx, "x", "1"));
}

static enum api_status put_b(void)
{
    return run_put(&fx, put_new(&fx, "b/1", "1"));
}

static enum api_status add_bob(void)
{
    return user_add(&fx, "bob", "h");
}

static enum api_status compact_some(void)
{
    return run_compact(&fx, 2);
}

static enum api_status grant_some(void)
{
    return run_grant(&fx, 7, 100);
}

Test(auth_may, everybody_may_everything_while_auth_is_off)
{
    user_with_role(&fx, "ann");
    act_as(&fx, "ann");
    cr_expect_eq(put_x(), API_OK);
    fx.client->auth_revision = 77;
    cr_expect_eq(put_x(), API_OK);
    act_as(&fx, NULL);
    cr_expect_eq(compact_some(), API_OK);
    cr_expect(kv_auth_is_admin(fx.kv, NULL));
    cr_expect_eq(kv_auth_may(fx.kv, NULL, KV_AUTH_WRITE, bytes_of(&fx, "a"), no_end()),
                 API_OK);
}

Test(auth_may, refused_commands_write_nothing)
{
    make_ann();
    expect_refused(API_PERMISSION_DENIED, put_x);
    expect_refused(API_PERMISSION_DENIED, add_bob);
    expect_refused(API_PERMISSION_DENIED, compact_some);
    fx.client->auth_revision--;
    expect_refused(API_AUTH_OLD_REVISION, put_b);
    expect_refused(API_AUTH_OLD_REVISION, grant_some);
    act_as(&fx, "");
    expect_refused(API_USER_EMPTY, put_b);
    expect_refused(API_USER_EMPTY, grant_some);
    expect_refused(API_USER_EMPTY, add_bob);
    act_as(&fx, NULL);
    expect_refused(API_USER_EMPTY, put_b);
    act_as(&fx, "nobody");
    expect_refused(API_PERMISSION_DENIED, put_b);
    expect_refused(API_PERMISSION_DENIED, grant_some);
}

Test(auth_may, a_later_revision_than_ours_is_refused_too)
{
    make_ann();
    fx.client->auth_revision++;
    expect_refused(API_AUTH_OLD_REVISION, put_b);
}

Test(auth_may, whoever_has_the_role_root_may_everything)
{
    user_with_role(&fx, "ann");
    cr_assert_eq(user_grant(&fx, "ann", "root"), API_OK);
    auth_on(&fx);
    act_as(&fx, "ann");
    cr_expect_eq(put_x(), API_OK);
    cr_expect_eq(add_bob(), API_OK);
    cr_expect_eq(compact_some(), API_OK);
    cr_expect(kv_auth_is_admin(fx.kv, "ann"));
    cr_expect_not(kv_auth_is_admin(fx.kv, "bob"));
    cr_expect_not(kv_auth_is_admin(fx.kv, NULL));
    cr_expect_not(kv_auth_is_admin(fx.kv, "nobody"));
}

Test(auth_may, root_is_the_role_and_not_the_name)
{
    make_ann();
    cr_expect_not(kv_auth_is_admin(fx.kv, "ann"));
    act_as(&fx, "root");
    cr_assert_eq(role_add(&fx, "rooty"), API_OK);
    cr_assert_eq(user_grant(&fx, "ann", "rooty"), API_OK);
    cr_expect_not(kv_auth_is_admin(fx.kv, "ann"));
}

Test(auth_may, root_goes_on_at_an_old_revision)
{
    auth_on(&fx);
    cr_assert_eq(add_bob(), API_OK);
    cr_expect_eq(user_add(&fx, "eve", "h"), API_OK);
    cr_expect_eq(put_x(), API_AUTH_OLD_REVISION);
    act_as(&fx, "root");
    cr_expect_eq(put_x(), API_OK);
}

Test(auth_may, what_a_member_does_itself_needs_nobody)
{
    Kvd__Command__Publish *publish = message_new(&fx, &kvd__command__publish__descriptor);
    Kvd__Command__Command *command;
    const struct kv_member *list;

    publish->name = (char *)"m";
    make_ann();
    cr_expect_eq(fixture_run(&fx, COMMAND(PUBLISH), publish), API_PERMISSION_DENIED);
    act_as(&fx, "root");
    cr_expect_eq(fixture_run(&fx, COMMAND(PUBLISH), publish), API_PERMISSION_DENIED);
    cr_expect_eq(kv_members(fx.kv, &list), 0);

    act_as(&fx, NULL);
    command = command_new(&fx, COMMAND(PUBLISH), publish);
    command->internal = true;
    cr_expect_eq(kv_auth_may_command(fx.kv, command), API_OK);
    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, &command, 1));
    kv_commit(fx.kv);
    cr_expect_eq(fx.status, API_OK);
    cr_expect_eq(kv_members(fx.kv, &list), 1);
}

/* The oneof of the commands, and what is asked of a user with all keys and no role root,
 * of somebody unknown, and of nobody. A command that is added must be added here. */
static const struct {
    const char *name;
    enum api_status plain;
    enum api_status nobody;
} needs[] = {
    {"put", API_OK, API_USER_EMPTY},
    {"delete_range", API_OK, API_USER_EMPTY},
    {"txn", API_OK, API_USER_EMPTY},
    {"compact", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"publish", API_PERMISSION_DENIED, API_PERMISSION_DENIED},
    {"lease_grant", API_OK, API_USER_EMPTY},
    {"lease_revoke", API_OK, API_USER_EMPTY},
    {"lease_renew", API_OK, API_OK},
    {"lock_acquire", API_OK, API_USER_EMPTY},
    {"lock_release", API_OK, API_USER_EMPTY},
    {"lock_leave", API_OK, API_USER_EMPTY},
    {"lock_force_release", API_OK, API_USER_EMPTY},
    {"auth_enable", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"auth_disable", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"authenticate", API_OK, API_OK},
    {"user_add", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"user_delete", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"user_change_password", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"user_grant_role", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"user_revoke_role", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"role_add", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"role_delete", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"role_grant_permission", API_PERMISSION_DENIED, API_USER_EMPTY},
    {"role_revoke_permission", API_PERMISSION_DENIED, API_USER_EMPTY},
};

Test(auth_may, every_command_of_the_log_has_its_need)
{
    const ProtobufCMessageDescriptor *type = &kvd__command__command__descriptor;
    size_t n = 0;

    user_with_role(&fx, "ann");
    cr_assert_eq(role_grant_all(&fx, "ann", READWRITE), API_OK);
    auth_on(&fx);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        void *request;

        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) {
            continue;
        }
        cr_assert_lt(n, ARRAY_LEN(needs));
        cr_assert_str_eq(field->name, needs[n].name);
        request = message_new(&fx, field->descriptor);
        if (strncmp(field->name, "lock_", 5) == 0) { /* all begin with the name's bytes */
            ((Kvd__V1__ReleaseRequest *)request)->name = bytes_of(&fx, "n");
        }
        act_as(&fx, "ann");
        cr_expect_eq(
            kv_auth_may_command(fx.kv, command_new(&fx, (int)field->id, request)),
            needs[n].plain, "%s", field->name);
        act_as(&fx, "root");
        cr_expect_eq(
            kv_auth_may_command(fx.kv, command_new(&fx, (int)field->id, request)),
            strcmp(field->name, "publish") == 0 ? API_PERMISSION_DENIED : API_OK, "%s",
            field->name);
        act_as(&fx, NULL);
        cr_expect_eq(
            kv_auth_may_command(fx.kv, command_new(&fx, (int)field->id, request)),
            needs[n].nobody, "%s", field->name);
        n++;
    }
    cr_expect_eq(n, ARRAY_LEN(needs));
}

/* ---- puts, deletes, txns ---- */

static enum api_status try_put(const char *key, bool prev_kv)
{
    Etcdserverpb__PutRequest *req = put_new(&fx, key, "1");

    req->prev_kv = prev_kv;
    return run_put(&fx, req);
}

static enum api_status try_delete(const char *key, const char *end, bool prev_kv)
{
    Etcdserverpb__DeleteRangeRequest *req = delete_new(&fx, key, end);

    req->prev_kv = prev_kv;
    return run_delete(&fx, req);
}

Test(auth_may, put_needs_write_and_prev_kv_read)
{
    make_ann();
    cr_expect_eq(try_put("w/1", false), API_OK);
    cr_expect_eq(try_put("w/1", true), API_PERMISSION_DENIED);
    cr_expect_eq(try_put("b/1", true), API_OK);
    cr_expect_eq(try_put("r/1", false), API_PERMISSION_DENIED);
    cr_expect_eq(try_put("w", false), API_PERMISSION_DENIED);
    cr_expect_eq(try_put("w0", false), API_PERMISSION_DENIED);
}

Test(auth_may, delete_needs_write_of_the_whole_range_and_prev_kv_read)
{
    make_ann();
    cr_expect_eq(try_delete("w/", "w0", false), API_OK);
    cr_expect_eq(try_delete("w/", "w0", true), API_PERMISSION_DENIED);
    cr_expect_eq(try_delete("b/", "b0", true), API_OK);
    cr_expect_eq(try_delete("w/", "w1", false), API_PERMISSION_DENIED);
    cr_expect_eq(try_delete("w/", "", false), API_PERMISSION_DENIED);
    cr_expect_eq(try_delete("r/1", NULL, false), API_PERMISSION_DENIED);
    expect_get(&fx, "r/1", NULL, 0, "@3 #1 r/1=secret(2,2,1)");
}

/* The one compare, and the one op in each branch. */
static enum api_status try_txn(void *compare, void *success, void *failure)
{
    return run_txn(&fx, txn_new(&fx, IF(compare), THEN(success), ELSE(failure)));
}

static void *if_absent(const char *key)
{
    return compare_number(&fx, key, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
                          ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 0);
}

Test(auth_may, txn_needs_what_both_branches_need)
{
    make_ann();
    cr_expect_eq(try_txn(if_absent("b/1"), op_put(&fx, "w/1", "1"), NULL), API_OK);
    cr_expect_eq(
        try_txn(if_absent("b/9"), op_put(&fx, "w/1", "1"), op_put(&fx, "x", "1")),
        API_PERMISSION_DENIED);
    cr_expect_eq(
        try_txn(if_absent("b/9"), op_put(&fx, "x", "1"), op_put(&fx, "w/1", "1")),
        API_PERMISSION_DENIED);
    cr_expect_eq(try_txn(if_absent("w/1"), op_put(&fx, "w/1", "1"), NULL),
                 API_PERMISSION_DENIED);
    cr_expect_eq(
        try_txn(if_absent("r/1"), op_get(&fx, "r/", "r0"), op_delete(&fx, "w/", "w0")),
        API_OK);
    cr_expect_eq(try_txn(if_absent("r/1"), op_get(&fx, "w/", "w0"), NULL),
                 API_PERMISSION_DENIED);
    cr_expect_eq(try_txn(if_absent("r/1"), op_delete(&fx, "r/1", NULL), NULL),
                 API_PERMISSION_DENIED);
}

Test(auth_may, compare_of_a_range_needs_read_of_all_of_it)
{
    Etcdserverpb__Compare *compare;

    make_ann();
    compare = if_absent("r/");
    compare->range_end = bytes_of(&fx, "r0");
    cr_expect_eq(try_txn(compare, op_put(&fx, "w/1", "1"), NULL), API_OK);
    compare->range_end = bytes_of(&fx, "s");
    cr_expect_eq(try_txn(compare, op_put(&fx, "w/1", "1"), NULL), API_PERMISSION_DENIED);
}

Test(auth_may, nested_txns_are_looked_into_on_all_ways)
{
    Etcdserverpb__TxnRequest *deep;
    Etcdserverpb__TxnRequest *middle;

    make_ann();
    deep = txn_new(&fx, IF(if_absent("r/1")), THEN(op_get(&fx, "r/1", NULL)),
                   ELSE(op_put(&fx, "w/1", "1")));
    middle = txn_new(&fx, NULL, THEN(op_txn(&fx, deep)), NULL);
    cr_expect_eq(try_txn(if_absent("b/1"), op_txn(&fx, middle), NULL), API_OK);
    cr_expect_eq(kv_auth_may_txn(fx.kv, "ann", middle), API_OK);

    deep = txn_new(&fx, IF(if_absent("r/1")), THEN(op_get(&fx, "r/1", NULL)),
                   ELSE(op_put(&fx, "x", "1")));
    middle = txn_new(&fx, NULL, NULL, ELSE(op_txn(&fx, deep)));
    cr_expect_eq(try_txn(if_absent("b/1"), NULL, op_txn(&fx, middle)),
                 API_PERMISSION_DENIED);
    deep->n_failure = 0;
    deep->compare[0]->key = bytes_of(&fx, "x");
    cr_expect_eq(kv_auth_may_txn(fx.kv, "ann", middle), API_PERMISSION_DENIED);
    cr_expect_eq(kv_auth_may_txn(fx.kv, "", middle), API_USER_EMPTY);
    cr_expect_eq(kv_auth_may_txn(fx.kv, "root", middle), API_OK);
}

/* ---- ranges ---- */

static enum api_status may(const char *user, enum kv_auth_access access, const char *key,
                           const char *end)
{
    return kv_auth_may(fx.kv, user, access, bytes_of(&fx, key), end_of(&fx, end));
}

Test(auth_may, range_may_span_grants_of_several_roles_that_touch)
{
    user_with_role(&fx, "ann");
    cr_assert_eq(role_add(&fx, "more"), API_OK);
    cr_assert_eq(user_grant(&fx, "ann", "more"), API_OK);
    cr_assert_eq(role_grant(&fx, "ann", READ, "a", "c"), API_OK);
    cr_assert_eq(role_grant(&fx, "more", READWRITE, "c", "e"), API_OK);
    cr_assert_eq(role_grant(&fx, "more", READ, "e", NULL), API_OK);
    auth_on(&fx);

    cr_expect_eq(may("ann", KV_AUTH_READ, "a", "e"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "b", "d"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "e", NULL), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "a", "f"), API_PERMISSION_DENIED);
    cr_expect_eq(may("ann", KV_AUTH_READ, "e", "f"), API_PERMISSION_DENIED);
    cr_expect_eq(may("ann", KV_AUTH_WRITE, "b", "d"), API_PERMISSION_DENIED);
    cr_expect_eq(may("ann", KV_AUTH_WRITE, "c", "d"), API_OK);
}

Test(auth_may, a_granted_key_is_the_key_alone)
{
    const ProtobufCBinaryData key = bytes_of(&fx, "k");
    const ProtobufCBinaryData next = {.len = 2, .data = (uint8_t *)"k"};

    user_with_role(&fx, "ann");
    cr_assert_eq(role_grant(&fx, "ann", READ, "k", NULL), API_OK);
    auth_on(&fx);
    cr_expect_eq(may("ann", KV_AUTH_READ, "k", NULL), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "kk", NULL), API_PERMISSION_DENIED);
    cr_expect_eq(may("ann", KV_AUTH_READ, "k", "l"), API_PERMISSION_DENIED);
    cr_expect_eq(kv_auth_may(fx.kv, "ann", KV_AUTH_READ, key, next), API_OK);
    cr_expect_eq(
        kv_auth_may(fx.kv, "ann", KV_AUTH_READ, next, (ProtobufCBinaryData){.len = 0}),
        API_PERMISSION_DENIED);
}

Test(auth_may, all_keys_from_one_on_need_a_grant_without_end)
{
    user_with_role(&fx, "ann");
    cr_assert_eq(role_grant(&fx, "ann", READ, "m", ""), API_OK);
    cr_assert_eq(role_grant(&fx, "ann", READ, "k", "m"), API_OK);
    auth_on(&fx);
    cr_expect_eq(may("ann", KV_AUTH_READ, "k", ""), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "z", NULL), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "a", ""), API_PERMISSION_DENIED);
}

Test(auth_may, empty_key_is_from_the_first_one_on)
{
    user_with_role(&fx, "ann");
    user_with_role(&fx, "bob");
    cr_assert_eq(role_grant(&fx, "bob", READ, "a", ""), API_OK);
    cr_assert_eq(role_grant_all(&fx, "ann", READ), API_OK);
    auth_on(&fx);
    cr_expect_eq(may("ann", KV_AUTH_READ, "", ""), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "anything", ""), API_OK);
    cr_expect_eq(may("bob", KV_AUTH_READ, "", ""), API_PERMISSION_DENIED);
    cr_expect_eq(may("bob", KV_AUTH_READ, "", "b"), API_PERMISSION_DENIED);
}

Test(auth_may, users_are_told_apart_from_nobody)
{
    make_ann();
    cr_expect_eq(may(NULL, KV_AUTH_READ, "r/1", NULL), API_USER_EMPTY);
    cr_expect_eq(may("", KV_AUTH_READ, "r/1", NULL), API_USER_EMPTY);
    cr_expect_eq(may("nobody", KV_AUTH_READ, "r/1", NULL), API_PERMISSION_DENIED);
    cr_expect_eq(may("root", KV_AUTH_READ, "x", ""), API_OK);
}

Test(auth_may, changes_count_from_the_next_question_on)
{
    make_ann();
    cr_expect_eq(may("ann", KV_AUTH_READ, "x", NULL), API_PERMISSION_DENIED);
    act_as(&fx, "root");
    cr_assert_eq(role_grant(&fx, "ann", READ, "x", NULL), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "x", NULL), API_OK);
    cr_assert_eq(role_revoke(&fx, "ann", "x", NULL), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "x", NULL), API_PERMISSION_DENIED);
    cr_expect_eq(may("ann", KV_AUTH_READ, "r/1", NULL), API_OK);
    cr_assert_eq(user_revoke(&fx, "ann", "ann"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "r/1", NULL), API_PERMISSION_DENIED);
    cr_assert_eq(user_grant(&fx, "ann", "ann"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "r/1", NULL), API_OK);
    cr_assert_eq(role_delete(&fx, "ann"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "r/1", NULL), API_PERMISSION_DENIED);
    cr_assert_eq(user_delete(&fx, "ann"), API_OK);
    cr_expect_eq(may("ann", KV_AUTH_READ, "r/1", NULL), API_PERMISSION_DENIED);
}

Test(auth_may, unions_of_many_users_take_bounded_memory)
{
    char name[16];
    char key[24];

    cr_assert_eq(role_add(&fx, "r"), API_OK);
    for (int i = 0; i < LIMIT_AUTH_GRANTS; i++) {
        snprintf(key, sizeof(key), "%05d", i * 2);
        cr_assert_eq(role_grant(&fx, "r", READWRITE, key, NULL), API_OK);
    }
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "u%d", i);
        cr_assert_eq(user_add(&fx, name, "h"), API_OK);
        cr_assert_eq(user_grant(&fx, name, "r"), API_OK);
    }
    auth_on(&fx);
    for (int i = 0; i < 601; i++) {
        snprintf(name, sizeof(name), "u%d", i % 600);
        cr_assert_eq(may(name, KV_AUTH_READ, "00004", NULL), API_OK);
        cr_assert_eq(may(name, KV_AUTH_WRITE, "00005", NULL), API_PERMISSION_DENIED);
        cr_assert_leq(fx.kv->auth.n_spans, LIMIT_AUTH_SPANS);
    }
}

/* ---- leases ---- */

/* A lease with keys of ann's, and one with a key that is not hers. */
static void make_leases(void)
{
    make_ann();
    cr_assert_eq(run_grant(&fx, 1, 100), API_OK);
    cr_assert_eq(run_grant(&fx, 2, 100), API_OK);
    cr_assert_eq(run_put_lease(&fx, "b/k", 1), API_OK);
    act_as(&fx, "root");
    cr_assert_eq(run_put_lease(&fx, "x", 2), API_OK);
    cr_assert_eq(run_put_lease(&fx, "r/1", 2), API_OK);
    act_as(&fx, "ann");
}

Test(auth_may, put_with_a_lease_needs_write_of_all_its_keys)
{
    make_leases();
    cr_expect_eq(run_put_lease(&fx, "w/1", 1), API_OK);
    cr_expect_eq(run_put_lease(&fx, "w/2", 2), API_PERMISSION_DENIED);
    cr_expect_eq(run_put_lease(&fx, "w/2", 9), API_LEASE_NOT_FOUND);
}

Test(auth_may, put_with_a_lease_in_a_nested_txn_needs_the_same)
{
    Etcdserverpb__RequestOp *op;
    Etcdserverpb__TxnRequest *nested;

    make_leases();
    op = op_put(&fx, "w/1", "1");
    nested = txn_new(&fx, NULL, THEN(op), NULL);
    op->request_put->lease = 1;
    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(op_txn(&fx, nested)), NULL)),
                 API_OK);
    op->request_put->lease = 2;
    cr_expect_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(op_txn(&fx, nested)), NULL)),
                 API_PERMISSION_DENIED);
}

Test(auth_may, revoke_needs_write_of_all_its_keys)
{
    make_leases();
    cr_expect_eq(run_revoke(&fx, 2), API_PERMISSION_DENIED);
    cr_expect(kv_lease_exists(fx.kv, 2));
    cr_expect_eq(run_revoke(&fx, 9), API_LEASE_NOT_FOUND);
    cr_expect_eq(run_revoke(&fx, 1), API_OK);
}

Test(auth_may, api_asks_for_all_keys_of_a_lease)
{
    make_leases();
    cr_expect_eq(kv_auth_may_lease(fx.kv, "ann", KV_AUTH_WRITE, 1), API_OK);
    cr_expect_eq(kv_auth_may_lease(fx.kv, "ann", KV_AUTH_READ, 1), API_OK);
    cr_expect_eq(kv_auth_may_lease(fx.kv, "ann", KV_AUTH_WRITE, 2),
                 API_PERMISSION_DENIED);
    cr_expect_eq(kv_auth_may_lease(fx.kv, "ann", KV_AUTH_READ, 2), API_PERMISSION_DENIED);
    cr_expect_eq(kv_auth_may_lease(fx.kv, "ann", KV_AUTH_READ, 9), API_OK);
    cr_expect_eq(kv_auth_may_lease(fx.kv, "root", KV_AUTH_WRITE, 2), API_OK);
    cr_expect_eq(kv_auth_may_lease(fx.kv, NULL, KV_AUTH_WRITE, 1), API_USER_EMPTY);
}

static Kvd__Command__Renewer *renewer(const char *user, uint32_t n)
{
    Kvd__Command__Renewer *by = message_new(&fx, &kvd__command__renewer__descriptor);

    by->user = (char *)user;
    by->n = n;
    return by;
}

/* The TTLs, as "100 0 -1". */
static const char *renewed(const int64_t *ids, size_t n, void *const *by)
{
    Kvd__Command__LeaseRenew *req =
        message_new(&fx, &kvd__command__lease_renew__descriptor);
    char *text = arena_zero(&fx.arena, 24 * n + 1);
    const Kvd__Command__LeaseRenewed *res;

    req->n_ids = n;
    req->ids = (int64_t *)ids;
    req->n_by = list_copy(&fx, by, &req->by);
    act_as(&fx, NULL);
    cr_assert_eq(fixture_run(&fx, COMMAND(LEASE_RENEW), req), API_OK);
    res = (const Kvd__Command__LeaseRenewed *)fx.response;
    cr_assert_eq(res->n_ttls, n);
    for (size_t i = 0; i < n; i++) {
        sprintf(text + strlen(text), "%s%" PRId64, i > 0 ? " " : "", res->ttls[i]);
    }
    return text;
}

Test(auth_may, renewals_are_judged_by_whose_they_are)
{
    static const int64_t ids[] = {1, 2, 9, 2, 1, 1};

    make_leases();
    cr_expect_str_eq(renewed(ids, 6,
                             IF(renewer("ann", 3), renewer("root", 1), renewer("", 0),
                                renewer("nobody", 1))),
                     "100 -1 0 100 -1 -1");
    cr_expect_str_eq(renewed(ids, 3, IF(renewer("", 2), renewer("ann", 100))), "-1 -1 0");
    cr_expect_str_eq(renewed(ids, 2, NULL), "-1 -1");
    act_as(&fx, "root");
    cr_assert_eq(run_disable(&fx), API_OK);
    cr_expect_str_eq(renewed(ids, 3, NULL), "100 100 0");
    cr_expect_str_eq(renewed(ids, 3, IF(renewer("nobody", 3))), "100 100 0");
}

static void put_many(int from, int to)
{
    char key[16];

    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "b/%d", i);
        cr_assert_eq(run_put_lease(&fx, key, 1), API_OK);
    }
}

/* What was found for a lease of many keys is remembered; it must not outlive its truth.
 */
Test(auth_may, a_key_that_another_attaches_is_seen)
{
    make_leases();
    put_many(0, 40);
    cr_expect_eq(fx.kv->auth.memos[1].lease, 1);
    act_as(&fx, "root");
    cr_assert_eq(run_put_lease(&fx, "x2", 1), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(run_put_lease(&fx, "b/1", 1), API_PERMISSION_DENIED);
    cr_expect_eq(run_revoke(&fx, 1), API_PERMISSION_DENIED);
    act_as(&fx, "root");
    cr_assert_eq(run_put_lease(&fx, "x2", 0), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(run_put_lease(&fx, "b/1", 1), API_OK);
}

Test(auth_may, what_one_may_is_not_what_another_may)
{
    make_leases();
    act_as(&fx, "root");
    user_with_role(&fx, "bob");
    cr_assert_eq(role_grant(&fx, "bob", WRITE, "x", NULL), API_OK);
    act_as(&fx, "ann");
    put_many(0, 40);
    act_as(&fx, "bob");
    cr_expect_eq(run_put_lease(&fx, "x", 1), API_PERMISSION_DENIED);
    cr_expect_eq(run_put_lease(&fx, "x", 0), API_OK);
}

Test(auth_may, a_grant_that_is_gone_is_seen)
{
    make_leases();
    put_many(0, 40);
    act_as(&fx, "root");
    cr_assert_eq(role_revoke(&fx, "ann", "b/", "b0"), API_OK);
    cr_assert_eq(role_grant(&fx, "ann", READWRITE, "b/7", NULL), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(run_put_lease(&fx, "b/7", 1), API_PERMISSION_DENIED);
    cr_expect_eq(run_revoke(&fx, 1), API_PERMISSION_DENIED);
}

Test(auth_may, a_lease_of_the_same_id_begins_anew)
{
    make_leases();
    put_many(0, 40);
    cr_assert_eq(run_revoke(&fx, 1), API_OK);
    cr_assert_eq(run_grant(&fx, 1, 100), API_OK);
    act_as(&fx, "root");
    cr_assert_eq(run_put_lease(&fx, "x2", 1), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(run_put_lease(&fx, "b/1", 1), API_PERMISSION_DENIED);
}

Test(auth_may, keys_attached_while_auth_was_off_are_seen)
{
    make_leases();
    put_many(0, 40);
    act_as(&fx, "root");
    cr_assert_eq(run_disable(&fx), API_OK);
    cr_assert_eq(run_put_lease(&fx, "x2", 1), API_OK);
    cr_assert_eq(run_enable(&fx), API_OK);
    act_as(&fx, "ann");
    cr_expect_eq(run_put_lease(&fx, "b/1", 1), API_PERMISSION_DENIED);
}
