/* Users and roles on the disk: they survive what a store goes through, are part of its
 * state hash, and damage to them is found. */
#include <sqlite3.h>

#include "base/log.h"
#include "kv/rescan.h"
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/copying.h"
#include "tests/unit/kv/leases.h"

static struct fixture fx;
static int n_all_out;

static void drop_line(void *owner, const char *line)
{
}

static void on_auth(void *owner, const struct kv_auth_event *event)
{
    n_all_out += event->kind == KV_AUTH_ALL_OUT;
}

static void open_store(void)
{
    fixture_prepare(&fx);
    fx.auth_changed = on_auth;
    n_all_out = 0;
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(auth_store, .init = open_store, .fini = close_store);

static const char all[] = "on[ann ann more][cert][root root](ann rw:a,b r:k)(more w:k,~)";

static void fill(void)
{
    user_with_role(&fx, "ann");
    cr_assert_eq(role_add(&fx, "more"), API_OK);
    cr_assert_eq(role_add(&fx, "gone"), API_OK);
    cr_assert_eq(role_grant(&fx, "ann", READWRITE, "a", "b"), API_OK);
    cr_assert_eq(role_grant(&fx, "ann", READ, "k", NULL), API_OK);
    cr_assert_eq(role_grant(&fx, "more", WRITE, "k", ""), API_OK);
    cr_assert_eq(user_grant(&fx, "ann", "gone"), API_OK);
    cr_assert_eq(user_grant(&fx, "ann", "more"), API_OK);
    cr_assert_eq(user_add(&fx, "cert", NULL), API_OK);
    cr_assert_eq(user_add(&fx, "left", "h"), API_OK);
    cr_assert_eq(role_delete(&fx, "gone"), API_OK);
    cr_assert_eq(user_delete(&fx, "left"), API_OK);
    auth_on(&fx);
    expect_auth(&fx, all);
}

static void expect_rescan(void)
{
    for (int i = 0; i < 2 * RESCAN_NPARTS; i++) {
        cr_expect(kv_rescan_step(fx.kv));
    }
}

/* What was granted is found, and not only shown. */
static void expect_filled(uint64_t hash, uint64_t revision)
{
    struct kv_auth_user user;

    expect_auth(&fx, all);
    cr_expect_eq(kv_state_hash(fx.kv), hash);
    cr_expect_eq(kv_auth_revision(fx.kv), revision);
    cr_expect_eq(
        kv_auth_may(fx.kv, "ann", KV_AUTH_READ, bytes_of(&fx, "k"), bytes_of(&fx, NULL)),
        API_OK);
    cr_expect_eq(kv_auth_may(fx.kv, "ann", KV_AUTH_WRITE, bytes_of(&fx, "k"), no_end()),
                 API_OK);
    cr_expect_eq(kv_auth_may(fx.kv, "ann", KV_AUTH_READ, bytes_of(&fx, "k"), no_end()),
                 API_PERMISSION_DENIED);
    cr_assert(kv_auth_find_user(fx.kv, "ann", &user));
    cr_expect(slice_eq(user.password, slice_str("hash")));
    cr_assert(kv_auth_find_user(fx.kv, "cert", &user));
    cr_expect(user.no_password);
    expect_rescan();
}

Test(auth_store, all_of_it_survives_a_restart)
{
    uint64_t hash;
    uint64_t revision;

    fill();
    hash = kv_state_hash(fx.kv);
    revision = kv_auth_revision(fx.kv);
    fixture_reopen(&fx);
    expect_filled(hash, revision);

    /* New rows do not meet old ones. */
    cr_assert_eq(user_add(&fx, "new", "h"), API_OK);
    cr_assert_eq(user_delete(&fx, "ann"), API_OK);
    hash = kv_state_hash(fx.kv);
    fixture_reopen(&fx);
    expect_auth(&fx, "on[cert][new][root root](ann rw:a,b r:k)(more w:k,~)");
    cr_expect_eq(kv_state_hash(fx.kv), hash);
}

Test(auth_store, what_was_not_committed_did_not_happen)
{
    uint64_t revision;
    Kvd__Command__Command *command;
    Etcdserverpb__AuthRoleAddRequest *req =
        message_new(&fx, &etcdserverpb__auth_role_add_request__descriptor);

    fill();
    revision = kv_auth_revision(fx.kv);
    req->name = (char *)"late";
    command = command_new(&fx, COMMAND(ROLE_ADD), req);
    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, &command, 1));
    cr_assert_eq(fx.status, API_OK);
    fixture_reopen(&fx);
    expect_auth(&fx, all);
    cr_expect_eq(kv_auth_revision(fx.kv), revision);
}

Test(auth_store, a_copy_has_all_of_it)
{
    struct kv_copy copy;
    struct kv *own = fx.kv;
    struct kv *kv = NULL;

    fill();
    copy_make(&fx, copy_path(&fx), &copy);
    cr_assert_eq(copy_open(&fx, copy_path(&fx), &kv), 0, "%s", fx.err.text);
    fx.kv = kv;
    expect_filled(copy.hash, kv_auth_revision(own));
    fx.kv = own;
    kv_close(kv);
    copy_remove(copy_path(&fx));
}

Test(auth_store, a_state_that_came_brings_its_users_and_ends_all_tokens)
{
    struct kv_copy copy;
    struct kv *fresh = NULL;
    uint64_t hash;
    uint64_t revision;

    fill();
    hash = kv_state_hash(fx.kv);
    revision = kv_auth_revision(fx.kv);
    copy_make(&fx, copy_path(&fx), &copy);
    cr_assert_eq(copy_open(&fx, copy_path(&fx), &fresh), 0, "%s", fx.err.text);
    while (fx.jobs != NULL) {
        fixture_work(&fx);
    }
    cr_expect_eq(n_all_out, 0);
    kv_replace(fx.kv, fresh);
    kv_close(fresh);
    cr_expect_eq(n_all_out, 1);
    expect_filled(hash, revision);
    act_as(&fx, "ann");
    cr_expect_eq(run_put(&fx, put_new(&fx, "x", "1")), API_OK);
    cr_expect_eq(run_put(&fx, put_new(&fx, "b", "1")), API_PERMISSION_DENIED);
    fixture_stop(&fx);
    copy_remove(copy_path(&fx));
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
}

/* ---- the state hash ---- */

static uint64_t hash_after(void (*change)(struct fixture *other))
{
    struct fixture other;
    uint64_t hash;

    fixture_open(&other);
    cr_assert_eq(user_add(&other, "root", "h"), API_OK);
    cr_assert_eq(user_grant(&other, "root", "root"), API_OK);
    cr_assert_eq(role_add(&other, "r"), API_OK);
    change(&other);
    hash = kv_state_hash(other.kv);
    fixture_close(&other);
    return hash;
}

static void change_none(struct fixture *other)
{
    kv_begin(other->kv);
    fixture_entry(other, slice_of("", 0));
    kv_commit(other->kv);
}

static void change_on(struct fixture *other)
{
    run_enable(other);
}

static void change_password(struct fixture *other)
{
    user_password(other, "root", "other");
}

static void change_grant(struct fixture *other)
{
    role_grant(other, "r", READ, "a", NULL);
}

static void change_type(struct fixture *other)
{
    role_grant(other, "r", WRITE, "a", NULL);
}

static void change_user(struct fixture *other)
{
    user_add(other, "x", "h");
}

static void change_role(struct fixture *other)
{
    role_add(other, "x");
}

Test(auth_store, every_difference_is_in_the_state_hash)
{
    void (*const changes[])(struct fixture *) = {
        change_none, change_on,   change_password, change_grant,
        change_type, change_user, change_role};
    uint64_t hashes[ARRAY_LEN(changes)];

    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        hashes[i] = hash_after(changes[i]);
        cr_expect_eq(hash_after(changes[i]), hashes[i]);
        for (size_t k = 0; k < i; k++) {
            cr_expect_neq(hashes[i], hashes[k], "%zu and %zu", i, k);
        }
    }
}

/* ---- damage ---- */

static void sql(const char *text)
{
    sqlite3 *conn = NULL;
    char *why = NULL;

    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    sqlite3_exec(conn, text, NULL, NULL, &why);
    cr_assert_null(why, "%s", why);
    sqlite3_close(conn);
}

static void expect_damage(const char *change, const char *want)
{
    fixture_stop(&fx);
    sql(change);
    cr_assert_eq(fixture_try_open(&fx), ERR_CORRUPT, "%s", change);
    cr_expect_not_null(strstr(fx.err.text, want), "%s: %s", change, fx.err.text);
}

static const char is_damaged[] = "row 2 of the users and roles is damaged";

Test(auth_store, changed_record_is_found)
{
    fill();
    expect_damage("UPDATE auth SET record = record || x'00' WHERE row = 2", is_damaged);
}

Test(auth_store, changed_checksum_is_found)
{
    fill();
    expect_damage("UPDATE auth SET checksum = checksum + 1 WHERE row = 2", is_damaged);
}

Test(auth_store, role_that_became_a_user_is_found)
{
    fill();
    expect_damage("UPDATE auth SET kind = 1 - kind WHERE row = 2", is_damaged);
}

Test(auth_store, kind_that_never_was_is_found)
{
    fill();
    expect_damage("UPDATE auth SET kind = 2 WHERE row = 2", is_damaged);
}

Test(auth_store, row_that_moved_is_found)
{
    fill();
    expect_damage("UPDATE auth SET row = 100 WHERE row = 2", "row 100 of the users");
}

Test(auth_store, row_that_is_gone_is_found)
{
    fill();
    expect_damage("DELETE FROM auth WHERE row = 2",
                  "users or roles are missing (3 and 1");
}

Test(auth_store, row_that_came_back_is_found)
{
    fill();
    expect_damage("INSERT INTO auth SELECT row + 100, kind, checksum + 100, record FROM"
                  " auth WHERE row = 2",
                  "row 102 of the users");
}

Test(auth_store, auth_that_was_switched_off_behind_our_back_is_found)
{
    fill();
    expect_damage("UPDATE meta SET auth_enabled = 0", "the meta row");
}

Test(auth_store, revision_that_was_changed_is_found)
{
    fill();
    expect_damage("UPDATE meta SET auth_revision = auth_revision - 1", "the meta row");
}

/* Every bit of every record, and of the columns beside it. */
Test(auth_store, each_flipped_bit_of_a_row_is_found)
{
    char text[256];

    fill();
    fixture_stop(&fx);
    sql("CREATE TABLE good AS SELECT * FROM auth");
    for (int bit = 0; bit < 400; bit += 7) {
        snprintf(text, sizeof(text),
                 "UPDATE auth SET record = CAST(substr(record, 1, %d) || char(%d) ||"
                 " substr(record, %d) AS BLOB) WHERE row = 1",
                 bit / 8, 1 + bit % 90, bit / 8 + 2);
        sql(text);
        if (fixture_try_open(&fx) == 0) {
            expect_auth(&fx, all); /* the byte was that before */
            fixture_stop(&fx);
        } else {
            cr_expect_not_null(strstr(fx.err.text, "row 1 of the users"), "%s",
                               fx.err.text);
        }
        sql("DELETE FROM auth; INSERT INTO auth SELECT * FROM good");
    }
    sql("DROP TABLE good");
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    expect_auth(&fx, all);
}

Test(auth_store, rescan_finds_a_damaged_row)
{
    bool good = true;

    log_redirect(drop_line, NULL);
    fill();
    expect_rescan();
    sql("UPDATE auth SET record = record || x'00' WHERE row = 2");
    for (int i = 0; i < RESCAN_NPARTS && good; i++) {
        good = kv_rescan_step(fx.kv);
    }
    cr_expect_not(good);
}

Test(auth_store, rescan_of_many_goes_on_while_they_change)
{
    char name[16];

    for (int i = 0; i < 20 * LIMIT_RESCAN_AUTH; i++) {
        snprintf(name, sizeof(name), "u%d", i % 100);
        if (user_add(&fx, name, "h") != API_OK) {
            cr_assert_eq(user_delete(&fx, name), API_OK);
        }
        cr_assert(kv_rescan_step(fx.kv));
    }
}
