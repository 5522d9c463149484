/* Commands on users and roles as a test says them. */
#ifndef KVD_TESTS_UNIT_KV_AUTHS_H
#define KVD_TESTS_UNIT_KV_AUTHS_H

#include "kv/auth.h"
#include "tests/unit/kv/fixture.h"

#define COMMAND(name) KVD__COMMAND__COMMAND__REQUEST_##name

#define READ      AUTHPB__PERMISSION__TYPE__READ
#define WRITE     AUTHPB__PERMISSION__TYPE__WRITE
#define READWRITE AUTHPB__PERMISSION__TYPE__READWRITE

/* Commands from now on are that user's, who was looked at now; NULL: nobody's. */
static inline void act_as(struct fixture *fx, const char *user)
{
    fx->client = NULL;
    if (user != NULL) {
        fx->client = message_new(fx, &kvd__command__client__descriptor);
        fx->client->user = strcpy(arena_alloc(&fx->arena, strlen(user) + 1), user);
        fx->client->auth_revision = kv_auth_revision(fx->kv);
    }
}

static inline enum api_status run_enable(struct fixture *fx)
{
    return fixture_run(fx, COMMAND(AUTH_ENABLE),
                       message_new(fx, &etcdserverpb__auth_enable_request__descriptor));
}

static inline enum api_status run_disable(struct fixture *fx)
{
    return fixture_run(fx, COMMAND(AUTH_DISABLE),
                       message_new(fx, &etcdserverpb__auth_disable_request__descriptor));
}

/* password: NULL for a user without one. */
static inline enum api_status user_add(struct fixture *fx, const char *name,
                                       const char *password)
{
    Etcdserverpb__AuthUserAddRequest *req =
        message_new(fx, &etcdserverpb__auth_user_add_request__descriptor);

    req->name = (char *)name;
    if (password != NULL) {
        req->hashedpassword = (char *)password;
    } else {
        req->options = message_new(fx, &authpb__user_add_options__descriptor);
        req->options->no_password = true;
    }
    return fixture_run(fx, COMMAND(USER_ADD), req);
}

static inline enum api_status user_delete(struct fixture *fx, const char *name)
{
    Etcdserverpb__AuthUserDeleteRequest *req =
        message_new(fx, &etcdserverpb__auth_user_delete_request__descriptor);

    req->name = (char *)name;
    return fixture_run(fx, COMMAND(USER_DELETE), req);
}

static inline enum api_status user_password(struct fixture *fx, const char *name,
                                            const char *password)
{
    Etcdserverpb__AuthUserChangePasswordRequest *req =
        message_new(fx, &etcdserverpb__auth_user_change_password_request__descriptor);

    req->name = (char *)name;
    req->hashedpassword = (char *)password;
    return fixture_run(fx, COMMAND(USER_CHANGE_PASSWORD), req);
}

static inline enum api_status user_grant(struct fixture *fx, const char *user,
                                         const char *role)
{
    Etcdserverpb__AuthUserGrantRoleRequest *req =
        message_new(fx, &etcdserverpb__auth_user_grant_role_request__descriptor);

    req->user = (char *)user;
    req->role = (char *)role;
    return fixture_run(fx, COMMAND(USER_GRANT_ROLE), req);
}

static inline enum api_status user_revoke(struct fixture *fx, const char *user,
                                          const char *role)
{
    Etcdserverpb__AuthUserRevokeRoleRequest *req =
        message_new(fx, &etcdserverpb__auth_user_revoke_role_request__descriptor);

    req->name = (char *)user;
    req->role = (char *)role;
    return fixture_run(fx, COMMAND(USER_REVOKE_ROLE), req);
}

static inline enum api_status role_add(struct fixture *fx, const char *name)
{
    Etcdserverpb__AuthRoleAddRequest *req =
        message_new(fx, &etcdserverpb__auth_role_add_request__descriptor);

    req->name = (char *)name;
    return fixture_run(fx, COMMAND(ROLE_ADD), req);
}

static inline enum api_status role_delete(struct fixture *fx, const char *name)
{
    Etcdserverpb__AuthRoleDeleteRequest *req =
        message_new(fx, &etcdserverpb__auth_role_delete_request__descriptor);

    req->role = (char *)name;
    return fixture_run(fx, COMMAND(ROLE_DELETE), req);
}

/* end: as end_of has it. */
static inline enum api_status role_grant(struct fixture *fx, const char *role, int type,
                                         const char *key, const char *end)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest *req =
        message_new(fx, &etcdserverpb__auth_role_grant_permission_request__descriptor);

    req->name = (char *)role;
    req->perm = message_new(fx, &authpb__permission__descriptor);
    req->perm->permtype = (Authpb__Permission__Type)type;
    req->perm->key = bytes_of(fx, key);
    req->perm->range_end = end_of(fx, end);
    return fixture_run(fx, COMMAND(ROLE_GRANT_PERMISSION), req);
}

/* Of all keys there can be. */
static inline enum api_status role_grant_all(struct fixture *fx, const char *role,
                                             int type)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest *req =
        message_new(fx, &etcdserverpb__auth_role_grant_permission_request__descriptor);

    req->name = (char *)role;
    req->perm = message_new(fx, &authpb__permission__descriptor);
    req->perm->permtype = (Authpb__Permission__Type)type;
    req->perm->key = no_end();
    req->perm->range_end = no_end();
    return fixture_run(fx, COMMAND(ROLE_GRANT_PERMISSION), req);
}

static inline enum api_status role_revoke(struct fixture *fx, const char *role,
                                          const char *key, const char *end)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest *req =
        message_new(fx, &etcdserverpb__auth_role_revoke_permission_request__descriptor);

    req->role = (char *)role;
    req->key = bytes_of(fx, key);
    req->range_end = end_of(fx, end);
    return fixture_run(fx, COMMAND(ROLE_REVOKE_PERMISSION), req);
}

static inline enum api_status authenticate(struct fixture *fx, const char *user,
                                           const char *letters)
{
    Kvd__Command__Authenticate *req =
        message_new(fx, &kvd__command__authenticate__descriptor);

    req->user = (char *)user;
    req->letters = (char *)letters;
    return fixture_run(fx, COMMAND(AUTHENTICATE), req);
}

/* For tests that count revisions: a command on users and roles, which moves none, by the
 * index of its entry; some are refused. Auth stays off. */
static inline Kvd__Command__Command *churn_auth(struct fixture *fx, uint64_t index)
{
    char *name = arena_alloc(&fx->arena, 16);
    Etcdserverpb__AuthUserAddRequest *user;
    Etcdserverpb__AuthUserGrantRoleRequest *give;
    Etcdserverpb__AuthRoleAddRequest *role;
    Etcdserverpb__AuthRoleGrantPermissionRequest *grant;
    Etcdserverpb__AuthRoleDeleteRequest *drop;

    snprintf(name, 16, "n%d", (int)(index / 5 % 9));
    switch (index % 5) {
    case 0:
        user = message_new(fx, &etcdserverpb__auth_user_add_request__descriptor);
        user->name = name;
        user->hashedpassword = (char *)"hash";
        return command_new(fx, COMMAND(USER_ADD), user);
    case 1:
        role = message_new(fx, &etcdserverpb__auth_role_add_request__descriptor);
        role->name = name;
        return command_new(fx, COMMAND(ROLE_ADD), role);
    case 2:
        give = message_new(fx, &etcdserverpb__auth_user_grant_role_request__descriptor);
        give->user = name;
        give->role = name;
        return command_new(fx, COMMAND(USER_GRANT_ROLE), give);
    case 3:
        grant = message_new(
            fx, &etcdserverpb__auth_role_grant_permission_request__descriptor);
        grant->name = name;
        grant->perm = message_new(fx, &authpb__permission__descriptor);
        grant->perm->permtype = (Authpb__Permission__Type)(index % 3);
        grant->perm->key = bytes_of(fx, index % 2 == 0 ? "k" : name);
        return command_new(fx, COMMAND(ROLE_GRANT_PERMISSION), grant);
    default:
        drop = message_new(fx, &etcdserverpb__auth_role_delete_request__descriptor);
        drop->role = index % 4 == 0 ? name : (char *)"none";
        return command_new(fx, COMMAND(ROLE_DELETE), drop);
    }
}

/* The user root, who has the role root, and auth is on. */
static inline void auth_on(struct fixture *fx)
{
    cr_assert_eq(user_add(fx, "root", "hash-of-root"), API_OK);
    cr_assert_eq(user_grant(fx, "root", "root"), API_OK);
    cr_assert_eq(run_enable(fx), API_OK);
    act_as(fx, "root");
}

/* A user with a role of its own, by the same name. */
static inline void user_with_role(struct fixture *fx, const char *name)
{
    cr_assert_eq(user_add(fx, name, "hash"), API_OK);
    cr_assert_eq(role_add(fx, name), API_OK);
    cr_assert_eq(user_grant(fx, name, name), API_OK);
}

/* Ann may read r/, write w/, both of b/, and take the lock l; auth is on, and commands
 * are hers. */
static inline void auth_on_for_ann(struct fixture *fx)
{
    user_with_role(fx, "ann");
    cr_assert_eq(role_grant(fx, "ann", READ, "r/", "r0"), API_OK);
    cr_assert_eq(role_grant(fx, "ann", WRITE, "w/", "w0"), API_OK);
    cr_assert_eq(role_grant(fx, "ann", READWRITE, "b/", "b0"), API_OK);
    cr_assert_eq(role_grant(fx, "ann", WRITE, "l/", "l0"), API_OK);
    auth_on(fx);
    put(fx, "r/1", "secret");
    put(fx, "x", "other");
    act_as(fx, "ann");
}

/* All users with their roles, and all roles with what they grant: "[u: r1 r2] (r r:a,b
 * w:c rw:d,0)"; ~ is a zero byte. */
static inline void show_bytes(struct text *text, ProtobufCBinaryData bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        show(text, "%c", bytes.data[i] == 0 ? '~' : bytes.data[i]);
    }
}

static inline void show_role(struct fixture *fx, struct text *text, const char *role)
{
    static const char *const types[] = {"r", "w", "rw"};
    Etcdserverpb__AuthRoleGetRequest *req =
        message_new(fx, &etcdserverpb__auth_role_get_request__descriptor);
    Etcdserverpb__AuthRoleGetResponse *res = NULL;

    req->role = (char *)role;
    cr_assert_eq(kv_auth_role_get(fx->kv, req, &fx->arena, &res), API_OK);
    show(text, "(%s", role);
    for (size_t i = 0; i < res->n_perm; i++) {
        show(text, " %s:", types[res->perm[i]->permtype]);
        show_bytes(text, res->perm[i]->key);
        if (res->perm[i]->range_end.len > 0) {
            show(text, ",");
            show_bytes(text, res->perm[i]->range_end);
        }
    }
    show(text, ")");
}

static inline void show_user(struct fixture *fx, struct text *text, const char *user)
{
    Etcdserverpb__AuthUserGetRequest *req =
        message_new(fx, &etcdserverpb__auth_user_get_request__descriptor);
    Etcdserverpb__AuthUserGetResponse *res = NULL;

    req->name = (char *)user;
    cr_assert_eq(kv_auth_user_get(fx->kv, req, &fx->arena, &res), API_OK);
    show(text, "[%s", user);
    for (size_t i = 0; i < res->n_roles; i++) {
        show(text, " %s", res->roles[i]);
    }
    show(text, "]");
}

static inline void show_auth(struct fixture *fx, struct text *text)
{
    Etcdserverpb__AuthUserListResponse *users = NULL;
    Etcdserverpb__AuthRoleListResponse *roles = NULL;

    cr_assert_eq(kv_auth_user_list(fx->kv, &fx->arena, &users), API_OK);
    cr_assert_eq(kv_auth_role_list(fx->kv, &fx->arena, &roles), API_OK);
    show(text, "%s", kv_auth_enabled(fx->kv) ? "on" : "off");
    for (size_t i = 0; i < users->n_users; i++) {
        show_user(fx, text, users->users[i]);
    }
    for (size_t i = 0; i < roles->n_roles; i++) {
        show_role(fx, text, roles->roles[i]);
    }
}

static inline void expect_auth(struct fixture *fx, const char *want)
{
    struct text text = {0};

    show_auth(fx, &text);
    cr_expect_str_eq(text.bytes, want);
    free(text.bytes);
}

#endif
