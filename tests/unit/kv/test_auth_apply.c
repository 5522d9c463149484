/* Commands on users, roles and grants: what they refuse, what they change, and what of
 * it is told. */
#include "kv/state.h"
#include "tests/unit/kv/auths.h"

static struct fixture fx;
static struct text told;

static void on_auth(void *owner, const struct kv_auth_event *event)
{
    static const char *const kinds[] = {"token", "out", "all out"};

    cr_assert_eq(owner, &fx);
    show(&told, "%s%s", told.len > 0 ? ", " : "", kinds[event->kind]);
    if (event->user != NULL) {
        show(&told, " %s", event->user);
    }
    if (event->token != NULL) {
        show(&told, " %s", event->token);
    }
}

static void open_store(void)
{
    fixture_prepare(&fx);
    fx.auth_changed = on_auth;
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    told = (struct text){0};
}

static void close_store(void)
{
    fixture_close(&fx);
    free(told.bytes);
}

TestSuite(auth_apply, .init = open_store, .fini = close_store);

static void expect_told(const char *want)
{
    cr_expect_str_eq(told.bytes != NULL ? told.bytes : "", want);
    free(told.bytes);
    told = (struct text){0};
}

/* A command moved the auth revision, or not. */
static uint64_t before;

static void note_revision(void)
{
    before = kv_auth_revision(fx.kv);
}

static void expect_moved(uint64_t by)
{
    cr_expect_eq(kv_auth_revision(fx.kv), before + by, "%" PRIu64 " after %" PRIu64,
                 kv_auth_revision(fx.kv), before);
}

/* ---- a fresh store ---- */

Test(auth_apply, a_fresh_store_has_auth_off_at_revision_1)
{
    Etcdserverpb__AuthStatusResponse *res = NULL;

    cr_assert_eq(kv_auth_status(fx.kv, &fx.arena, &res), API_OK);
    cr_expect_not(res->enabled);
    cr_expect_eq(res->authrevision, 1);
    cr_expect_eq(res->header->revision, 1);
    expect_auth(&fx, "off");
}

Test(auth_apply, answers_are_of_each_commands_own_type_with_the_store_revision)
{
    put(&fx, "a", "1");
    cr_assert_eq(user_add(&fx, "u", "h"), API_OK);
    cr_assert_eq(fx.response->descriptor,
                 &etcdserverpb__auth_user_add_response__descriptor);
    cr_expect_eq(((Etcdserverpb__AuthUserAddResponse *)fx.response)->header->revision, 2);
    cr_expect_eq(kv_revision(fx.kv), 2);
    cr_assert_eq(run_disable(&fx), API_OK);
    cr_expect_eq(fx.response->descriptor,
                 &etcdserverpb__auth_disable_response__descriptor);
}

/* ---- on and off ---- */

Test(auth_apply, enable_needs_a_user_root_with_the_role_root)
{
    cr_expect_eq(run_enable(&fx), API_ROOT_USER_NOT_EXIST);
    cr_assert_eq(user_add(&fx, "root", "h"), API_OK);
    cr_expect_eq(run_enable(&fx), API_ROOT_ROLE_NOT_EXIST);
    cr_assert_eq(role_add(&fx, "root"), API_OK);
    cr_expect_eq(run_enable(&fx), API_ROOT_ROLE_NOT_EXIST);
    cr_assert_eq(user_grant(&fx, "root", "root"), API_OK);
    note_revision();
    cr_expect_eq(run_enable(&fx), API_OK);
    cr_expect(kv_auth_enabled(fx.kv));
    expect_moved(0);
}

Test(auth_apply, enable_of_what_is_on_is_nothing)
{
    auth_on(&fx);
    note_revision();
    cr_expect_eq(run_enable(&fx), API_OK);
    expect_moved(0);
    expect_auth(&fx, "on[root root]");
}

Test(auth_apply, disable_moves_the_revision_and_ends_all_tokens)
{
    auth_on(&fx);
    note_revision();
    cr_assert_eq(run_disable(&fx), API_OK);
    expect_moved(1);
    expect_told("all out");
    cr_assert_eq(run_disable(&fx), API_OK);
    expect_moved(1);
    expect_told("");
    expect_auth(&fx, "off[root root]");
}

/* ---- users ---- */

Test(auth_apply, user_is_added_once_with_the_hash_that_came)
{
    struct kv_auth_user user;

    note_revision();
    cr_assert_eq(user_add(&fx, "ann", "$2b$10$hash"), API_OK);
    expect_moved(1);
    cr_expect_eq(user_add(&fx, "ann", "other"), API_USER_ALREADY_EXIST);
    cr_expect_eq(user_add(&fx, "", "h"), API_USER_EMPTY);
    expect_moved(1);

    cr_assert(kv_auth_find_user(fx.kv, "ann", &user));
    cr_expect(slice_eq(user.password, slice_str("$2b$10$hash")));
    cr_expect_not(user.no_password);
    cr_expect_not(user.is_root);
    cr_expect_not(kv_auth_find_user(fx.kv, "bob", &user));
    expect_told("");
}

Test(auth_apply, user_without_a_hash_must_say_so)
{
    struct kv_auth_user user;

    cr_expect_eq(user_add(&fx, "ann", ""), API_AUTH_PASSWORD);
    cr_assert_eq(user_add(&fx, "cert", NULL), API_OK);
    cr_assert(kv_auth_find_user(fx.kv, "cert", &user));
    cr_expect(user.no_password);
    cr_expect_eq(user.password.len, 0);
}

Test(auth_apply, changed_password_ends_the_users_tokens)
{
    struct kv_auth_user user;

    cr_expect_eq(user_password(&fx, "ann", "h"), API_USER_NOT_FOUND);
    cr_assert_eq(user_add(&fx, "ann", "old"), API_OK);
    cr_expect_eq(user_password(&fx, "ann", ""), API_AUTH_PASSWORD);
    expect_told("");
    note_revision();
    cr_assert_eq(user_password(&fx, "ann", "new"), API_OK);
    expect_moved(1);
    expect_told("out ann");
    cr_assert(kv_auth_find_user(fx.kv, "ann", &user));
    cr_expect(slice_eq(user.password, slice_str("new")));
}

Test(auth_apply, a_user_without_password_stays_without)
{
    struct kv_auth_user user;

    cr_assert_eq(user_add(&fx, "cert", NULL), API_OK);
    cr_assert_eq(user_password(&fx, "cert", "h"), API_OK);
    cr_assert(kv_auth_find_user(fx.kv, "cert", &user));
    cr_expect(user.no_password);
    cr_expect_eq(user.password.len, 0);
}

Test(auth_apply, a_new_password_keeps_the_roles)
{
    user_with_role(&fx, "ann");
    cr_assert_eq(user_password(&fx, "ann", "new"), API_OK);
    expect_auth(&fx, "off[ann ann](ann)");
}

Test(auth_apply, deleted_user_is_gone_with_its_tokens)
{
    cr_expect_eq(user_delete(&fx, "ann"), API_USER_NOT_FOUND);
    cr_assert_eq(user_add(&fx, "ann", "h"), API_OK);
    cr_assert_eq(user_add(&fx, "bob", "h"), API_OK);
    note_revision();
    cr_assert_eq(user_delete(&fx, "ann"), API_OK);
    expect_moved(1);
    expect_told("out ann");
    expect_auth(&fx, "off[bob]");
}

Test(auth_apply, users_and_their_roles_are_listed_sorted)
{
    cr_assert_eq(role_add(&fx, "z"), API_OK);
    cr_assert_eq(role_add(&fx, "a"), API_OK);
    cr_assert_eq(role_add(&fx, "m"), API_OK);
    cr_assert_eq(user_add(&fx, "u2", "h"), API_OK);
    cr_assert_eq(user_add(&fx, "u10", "h"), API_OK);
    cr_assert_eq(user_add(&fx, "U", "h"), API_OK);
    cr_assert_eq(user_grant(&fx, "u2", "z"), API_OK);
    cr_assert_eq(user_grant(&fx, "u2", "a"), API_OK);
    cr_assert_eq(user_grant(&fx, "u2", "root"), API_OK);
    cr_assert_eq(user_grant(&fx, "u2", "m"), API_OK);
    expect_auth(&fx, "off[U][u10][u2 a m root z](a)(m)(z)");
    cr_expect(kv_auth_has_role(fx.kv, "u2", "m"));
    cr_expect_not(kv_auth_has_role(fx.kv, "u10", "m"));
    cr_expect_not(kv_auth_has_role(fx.kv, "nobody", "m"));
}

/* ---- roles of users ---- */

Test(auth_apply, role_is_granted_once)
{
    cr_expect_eq(user_grant(&fx, "ann", "r"), API_USER_NOT_FOUND);
    cr_assert_eq(user_add(&fx, "ann", "h"), API_OK);
    cr_expect_eq(user_grant(&fx, "ann", "r"), API_ROLE_NOT_FOUND);
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    note_revision();
    cr_assert_eq(user_grant(&fx, "ann", "r"), API_OK);
    expect_moved(1);
    cr_assert_eq(user_grant(&fx, "ann", "r"), API_OK);
    expect_moved(1);
    cr_assert_eq(user_grant(&fx, "ann", "root"), API_OK);
    expect_moved(2);
    expect_auth(&fx, "off[ann r root](r)");
}

Test(auth_apply, role_is_revoked_where_it_was_granted)
{
    user_with_role(&fx, "ann");
    cr_expect_eq(user_revoke(&fx, "bob", "ann"), API_USER_NOT_FOUND);
    cr_expect_eq(user_revoke(&fx, "ann", "r"), API_ROLE_NOT_GRANTED);
    note_revision();
    cr_assert_eq(user_revoke(&fx, "ann", "ann"), API_OK);
    expect_moved(1);
    cr_expect_eq(user_revoke(&fx, "ann", "ann"), API_ROLE_NOT_GRANTED);
    expect_auth(&fx, "off[ann](ann)");
}

Test(auth_apply, while_on_root_can_not_be_taken_away)
{
    cr_assert_eq(role_add(&fx, "root"), API_OK);
    auth_on(&fx);
    cr_expect_eq(user_delete(&fx, "root"), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_delete(&fx, "root"), API_INVALID_AUTH_MGMT);
    cr_expect_eq(user_revoke(&fx, "root", "root"), API_INVALID_AUTH_MGMT);
    cr_assert_eq(run_disable(&fx), API_OK);
    cr_expect_eq(user_revoke(&fx, "root", "root"), API_OK);
    cr_expect_eq(role_delete(&fx, "root"), API_OK);
    cr_expect_eq(user_delete(&fx, "root"), API_OK);
    expect_auth(&fx, "off");
}

/* ---- roles ---- */

Test(auth_apply, role_is_added_once)
{
    cr_expect_eq(role_add(&fx, ""), API_ROLE_EMPTY);
    note_revision();
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    expect_moved(1);
    cr_expect_eq(role_add(&fx, "r"), API_ROLE_ALREADY_EXIST);
    expect_moved(1);
}

Test(auth_apply, deleted_role_is_taken_from_all_users_at_one_revision)
{
    user_with_role(&fx, "ann");
    user_with_role(&fx, "bob");
    cr_assert_eq(user_grant(&fx, "bob", "ann"), API_OK);
    cr_expect_eq(role_delete(&fx, "r"), API_ROLE_NOT_FOUND);
    note_revision();
    cr_assert_eq(role_delete(&fx, "ann"), API_OK);
    expect_moved(1);
    expect_auth(&fx, "off[ann][bob bob](bob)");
}

Test(auth_apply, role_root_shows_everything_once_it_exists)
{
    Etcdserverpb__AuthRoleGetRequest *req =
        message_new(&fx, &etcdserverpb__auth_role_get_request__descriptor);
    Etcdserverpb__AuthRoleGetResponse *res = NULL;

    req->role = (char *)"root";
    cr_expect_eq(kv_auth_role_get(fx.kv, req, &fx.arena, &res), API_ROLE_NOT_FOUND);
    cr_assert_eq(role_add(&fx, "root"), API_OK);
    cr_assert_eq(role_grant(&fx, "root", READ, "a", NULL), API_OK);
    expect_auth(&fx, "off(root rw:,~)");
}

Test(auth_apply, unknown_user_is_not_shown)
{
    Etcdserverpb__AuthUserGetRequest *req =
        message_new(&fx, &etcdserverpb__auth_user_get_request__descriptor);
    Etcdserverpb__AuthUserGetResponse *res = NULL;

    req->name = (char *)"ann";
    cr_expect_eq(kv_auth_user_get(fx.kv, req, &fx.arena, &res), API_USER_NOT_FOUND);
}

/* ---- grants ---- */

Test(auth_apply, permissions_are_kept_sorted_and_a_range_has_one_type)
{
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    note_revision();
    cr_assert_eq(role_grant(&fx, "r", READ, "b", NULL), API_OK);
    cr_assert_eq(role_grant(&fx, "r", WRITE, "a", "c"), API_OK);
    cr_assert_eq(role_grant(&fx, "r", READ, "a", NULL), API_OK);
    cr_assert_eq(role_grant(&fx, "r", READWRITE, "k", ""), API_OK);
    expect_moved(4);
    expect_auth(&fx, "off(r r:a w:a,c r:b rw:k,~)");
    cr_assert_eq(role_grant(&fx, "r", READWRITE, "a", "c"), API_OK);
    expect_moved(5);
    expect_auth(&fx, "off(r r:a rw:a,c r:b rw:k,~)");
}

Test(auth_apply, permissions_that_cannot_be_are_refused)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest *none =
        message_new(&fx, &etcdserverpb__auth_role_grant_permission_request__descriptor);

    none->name = (char *)"r";
    cr_expect_eq(fixture_run(&fx, COMMAND(ROLE_GRANT_PERMISSION), none),
                 API_PERMISSION_NOT_GIVEN);
    cr_expect_eq(role_grant(&fx, "r", READ, "a", NULL), API_ROLE_NOT_FOUND);
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    note_revision();
    cr_expect_eq(role_grant(&fx, "r", READ, "", NULL), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_grant(&fx, "r", READ, "", ""), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_grant(&fx, "r", READ, "b", "b"), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_grant(&fx, "r", READ, "b", "a"), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_grant(&fx, "r", 7, "b", "c"), API_INVALID_AUTH_MGMT);
    cr_expect_eq(role_grant(&fx, "r", -1, "b", "c"), API_INVALID_AUTH_MGMT);
    expect_moved(0);
    expect_auth(&fx, "off(r)");
}

Test(auth_apply, permission_is_revoked_by_its_exact_range)
{
    cr_expect_eq(role_revoke(&fx, "r", "a", "c"), API_ROLE_NOT_FOUND);
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    cr_assert_eq(role_grant(&fx, "r", READ, "a", "c"), API_OK);
    cr_assert_eq(role_grant(&fx, "r", READ, "a", NULL), API_OK);
    note_revision();
    cr_expect_eq(role_revoke(&fx, "r", "a", "b"), API_PERMISSION_NOT_GRANTED);
    cr_expect_eq(role_revoke(&fx, "r", "a", ""), API_PERMISSION_NOT_GRANTED);
    expect_moved(0);
    cr_assert_eq(role_revoke(&fx, "r", "a", "c"), API_OK);
    expect_moved(1);
    expect_auth(&fx, "off(r r:a)");
}

/* ---- limits ---- */

static char *long_text(size_t len)
{
    char *text = arena_zero(&fx.arena, len + 1);

    memset(text, 'x', len);
    return text;
}

Test(auth_apply, names_hashes_and_keys_have_limits)
{
    cr_expect_eq(user_add(&fx, long_text(LIMIT_AUTH_NAME + 1), "h"), API_AUTH_NAME);
    cr_expect_eq(role_add(&fx, long_text(LIMIT_AUTH_NAME + 1)), API_AUTH_NAME);
    cr_expect_eq(user_add(&fx, "u", long_text(LIMIT_AUTH_PASSWORD + 1)),
                 API_AUTH_PASSWORD);
    cr_assert_eq(
        user_add(&fx, long_text(LIMIT_AUTH_NAME), long_text(LIMIT_AUTH_PASSWORD)),
        API_OK);
    cr_assert_eq(role_add(&fx, "r"), API_OK);
    cr_expect_eq(role_grant(&fx, "r", READ, long_text(LIMIT_AUTH_GRANT_KEY + 1), NULL),
                 API_AUTH_GRANT_KEY);
    cr_expect_eq(role_grant(&fx, "r", READ, "a", long_text(LIMIT_AUTH_GRANT_KEY + 1)),
                 API_AUTH_GRANT_KEY);
    cr_expect_eq(role_grant(&fx, "r", READ, long_text(LIMIT_AUTH_GRANT_KEY), NULL),
                 API_OK);
}

Test(auth_apply, roles_of_a_user_have_a_limit)
{
    char name[16];

    cr_assert_eq(user_add(&fx, "u", "h"), API_OK);
    for (int i = 0; i <= LIMIT_AUTH_USER_ROLES; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        cr_assert_eq(role_add(&fx, name), API_OK);
        cr_assert_eq(user_grant(&fx, "u", name),
                     i < LIMIT_AUTH_USER_ROLES ? API_OK : API_AUTH_USER_ROLES);
    }
}

Test(auth_apply, permissions_of_a_role_have_a_limit)
{
    char key[16];

    cr_assert_eq(role_add(&fx, "r"), API_OK);
    for (int i = 0; i <= LIMIT_AUTH_GRANTS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        cr_assert_eq(role_grant(&fx, "r", READ, key, NULL),
                     i < LIMIT_AUTH_GRANTS ? API_OK : API_AUTH_GRANTS);
    }
    cr_expect_eq(role_grant(&fx, "r", WRITE, "k7", NULL), API_OK);
}

Test(auth_apply, all_of_them_together_have_a_limit)
{
    size_t each = 2 * LIMIT_AUTH_GRANT_KEY;
    enum api_status status = API_OK;
    char name[16];
    int n = 0;

    while (status == API_OK && n <= LIMIT_AUTH_BYTES / (int)each) {
        char *key = long_text(LIMIT_AUTH_GRANT_KEY);
        char *end = long_text(LIMIT_AUTH_GRANT_KEY);

        end[0] = 'y';
        snprintf(name, sizeof(name), "r%d", n++);
        cr_assert_eq(role_add(&fx, name), API_OK);
        status = role_grant(&fx, name, READ, key, end);
    }
    cr_expect_eq(status, API_AUTH_SPACE);
    cr_expect_gt(n, (LIMIT_AUTH_BYTES - LIMIT_AUTH_BYTES / 16) / (int)each);
    cr_assert_eq(role_delete(&fx, "r0"), API_OK);
    cr_expect_eq(role_grant(&fx, name, READ, long_text(LIMIT_AUTH_GRANT_KEY), NULL),
                 API_OK);
}

/* ---- tokens ---- */

Test(auth_apply, token_is_the_letters_and_the_index_and_is_told)
{
    char want[64];

    user_with_role(&fx, "ann");
    auth_on(&fx);
    act_as(&fx, "ann");
    note_revision();
    cr_assert_eq(authenticate(&fx, "ann", "abcdefghijklmnop"), API_OK);
    snprintf(want, sizeof(want), "abcdefghijklmnop.%" PRIu64, kv_applied_index(fx.kv));
    cr_expect_str_eq(((Etcdserverpb__AuthenticateResponse *)fx.response)->token, want);
    expect_moved(0);
    snprintf(want, sizeof(want), "token ann abcdefghijklmnop.%" PRIu64,
             kv_applied_index(fx.kv));
    expect_told(want);
}

Test(auth_apply, token_is_refused_in_the_order_of_the_reasons)
{
    cr_assert_eq(user_add(&fx, "ann", "h"), API_OK);
    cr_assert_eq(user_add(&fx, "cert", NULL), API_OK);
    act_as(&fx, "");
    cr_expect_eq(authenticate(&fx, "ann", "abcdefghijklmnop"), API_AUTH_NOT_ENABLED);
    act_as(&fx, NULL);
    auth_on(&fx);
    act_as(&fx, "");
    cr_expect_eq(authenticate(&fx, "bob", "abcdefghijklmnop"), API_AUTH_FAILED);
    cr_expect_eq(authenticate(&fx, "", "abcdefghijklmnop"), API_AUTH_FAILED);
    cr_expect_eq(authenticate(&fx, "cert", "abcdefghijklmnop"), API_NO_PASSWORD_USER);
    cr_expect_eq(authenticate(&fx, "ann", "abc"), API_INVALID_REQUEST);
    act_as(&fx, "root");
    cr_assert_eq(user_password(&fx, "ann", "new"), API_OK);
    expect_told("out ann");
    cr_expect_eq(authenticate(&fx, "ann", "abcdefghijklmnop"), API_AUTH_OLD_REVISION);
    expect_told("");
}
