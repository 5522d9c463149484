/* Users and tokens with whole members: what a client sees of them. */
#include "tests/unit/node/members.h"

#define COST 4
#define TTL  10 /* seconds */

static char token[64];
static const char *shown[3]; /* metadata of the calls */

static void open_quick(uint32_t n)
{
    open_world(n);
    for (uint32_t i = 1; i <= n; i++) {
        members[i].config.bcrypt_cost = COST;
        members[i].config.token_ttl_s = TTL;
        members[i].node->access.passwords.cost = COST;
    }
    run_until_ready();
    connect_to(1);
    shown[0] = NULL;
}

static void one(void)
{
    open_quick(1);
}

static void three(void)
{
    open_quick(3);
}

TestSuite(rpc_auth, .init = one, .fini = close_world);
TestSuite(rpc_auth_three, .init = three, .fini = close_world);

/* Asks with the token, if there is one. */
static int call(const char *method, const void *request,
                const ProtobufCMessageDescriptor *reply)
{
    char path[96];

    snprintf(path, sizeof(path), "/etcdserverpb.%s", method);
    begin_with(path, request, reply, 20000, shown);
    return wait_answer();
}

static void show(const char *text)
{
    snprintf(token, sizeof(token), "%s", text);
    shown[0] = "token";
    shown[1] = token;
    shown[2] = NULL;
}

static int add_user(const char *name, const char *password)
{
    Etcdserverpb__AuthUserAddRequest req = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;

    req.name = (char *)name;
    req.password = (char *)password;
    return call("Auth/UserAdd", &req, NULL);
}

static int grant_role(const char *user, const char *role)
{
    Etcdserverpb__AuthUserGrantRoleRequest req =
        ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;

    req.user = (char *)user;
    req.role = (char *)role;
    return call("Auth/UserGrantRole", &req, NULL);
}

static int sign_in(const char *name, const char *password)
{
    Etcdserverpb__AuthenticateRequest req = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    int code;

    req.name = (char *)name;
    req.password = (char *)password;
    code =
        call("Auth/Authenticate", &req, &etcdserverpb__authenticate_response__descriptor);
    if (code == GRPC_OK) {
        show(((Etcdserverpb__AuthenticateResponse *)answer_reply)->token);
    }
    return code;
}

static int change_password(const char *name, const char *password)
{
    Etcdserverpb__AuthUserChangePasswordRequest req =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;

    req.name = (char *)name;
    req.password = (char *)password;
    return call("Auth/UserChangePassword", &req, NULL);
}

static int read_key(bool serializable)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;

    req.key = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"k"};
    req.serializable = serializable;
    return call("KV/Range", &req, NULL);
}

static void enable(void)
{
    Etcdserverpb__AuthEnableRequest req = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;

    cr_assert_eq(add_user("root", "toor"), GRPC_OK);
    cr_assert_eq(grant_role("root", "root"), GRPC_OK);
    cr_assert_eq(add_user("alice", "wonder"), GRPC_OK);
    cr_assert_eq(call("Auth/AuthEnable", &req, NULL), GRPC_OK);
}

Test(rpc_auth, without_users_there_is_no_token)
{
    cr_assert_eq(sign_in("root", "toor"), GRPC_FAILED_PRECONDITION);
    cr_assert_str_eq(answer_text, "etcdserver: authentication is not enabled");
}

Test(rpc_auth, who_does_not_say_who_it_is_is_refused)
{
    enable();
    cr_assert_eq(read_key(false), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text, "etcdserver: user name is empty");
    cr_assert_eq(sign_in("root", "wrong"), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text,
                     "etcdserver: authentication failed, invalid user ID or password");
    cr_assert_eq(sign_in("nobody", "wrong"), GRPC_INVALID_ARGUMENT);
    cr_assert_str_eq(answer_text,
                     "etcdserver: authentication failed, invalid user ID or password");
    cr_assert_eq(members[1].node->metrics.counters[METRIC_AUTH_REFUSED], 3);
}

Test(rpc_auth, a_token_lives_as_long_as_it_is_used)
{
    enable();
    cr_assert_eq(sign_in("root", "toor"), GRPC_OK);
    cr_assert_eq(token[TOKEN_LETTERS], '.');
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(read_key(false), GRPC_OK, "%s", answer_text);
        run_ms((TTL - 1) * 1000);
    }
    run_ms(2000);
    cr_assert_eq(read_key(false), GRPC_UNAUTHENTICATED);
    cr_assert_str_eq(answer_text, "etcdserver: invalid auth token");
}

Test(rpc_auth, another_password_voids_the_tokens_of_its_user_only)
{
    char alice[64];

    enable();
    cr_assert_eq(sign_in("alice", "wonder"), GRPC_OK);
    snprintf(alice, sizeof(alice), "%s", token);
    cr_assert_eq(sign_in("root", "toor"), GRPC_OK);
    cr_assert_eq(change_password("alice", "land"), GRPC_OK, "%s", answer_text);
    cr_assert_eq(read_key(false), GRPC_OK, "%s", answer_text);

    show(alice);
    cr_assert_eq(read_key(false), GRPC_UNAUTHENTICATED);
    cr_assert_eq(sign_in("alice", "wonder"), GRPC_INVALID_ARGUMENT);
    cr_assert_eq(sign_in("alice", "land"), GRPC_OK);
    cr_assert_eq(read_key(false), GRPC_PERMISSION_DENIED);
}

Test(rpc_auth, a_hash_may_be_sent_instead_of_a_password)
{
    Etcdserverpb__AuthUserAddRequest req = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    static char name[] = "go";
    /* base64 of $2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga: "allmine"
     */
    static char hash[] =
        "JDJhJDEwJFhhampRdk5odnZSdDVHU2VGazF4RmV5cVJyc3hraEJrVWlRZWcwZHQud"
        "1UxcUQ0YUZEY2dh";
    static char bad[] = "bm90IGEgaGFzaA==";

    req.name = name;
    req.hashedpassword = bad;
    cr_assert_eq(call("Auth/UserAdd", &req, NULL), GRPC_INVALID_ARGUMENT);
    req.hashedpassword = hash;
    cr_assert_eq(call("Auth/UserAdd", &req, NULL), GRPC_OK, "%s", answer_text);
    enable();
    cr_assert_eq(sign_in("go", "allmine"), GRPC_OK, "%s", answer_text);
}

Test(rpc_auth, a_password_of_more_than_72_bytes_is_refused)
{
    char password[80];

    memset(password, 'x', sizeof(password));
    password[sizeof(password) - 1] = '\0';
    cr_assert_eq(add_user("long", password), GRPC_UNKNOWN);
    cr_assert_str_eq(answer_text, "bcrypt: password length exceeds 72 bytes");
}

Test(rpc_auth, the_log_and_the_store_hold_no_token)
{
    struct tokens *tokens = &members[1].node->access.simple;

    enable();
    cr_assert_eq(sign_in("root", "toor"), GRPC_OK);
    cr_assert_eq(tokens_count(tokens), 1);
    for (struct map_link *link = map_walk(&tokens->map, NULL); link != NULL;
         link = map_walk(&tokens->map, link)) {
        const struct token *kept = container_of(link, struct token, by_key);

        cr_assert_null(memmem(kept->key.bytes, kept->key.len, token, TOKEN_LETTERS));
    }
}

Test(rpc_auth_three, a_member_that_is_behind_asks_before_it_refuses_a_token)
{
    char ahead[64];

    enable();
    cr_assert_eq(sign_in("root", "toor"), GRPC_OK);
    connect_to(2);
    cr_assert_eq(read_key(true), GRPC_OK, "%s", answer_text);
    connect_to(3);
    cr_assert_eq(read_key(false), GRPC_OK, "%s", answer_text);

    snprintf(ahead, sizeof(ahead), "%.16s.%d", token, 1 << 30);
    show(ahead);
    cr_assert_eq(read_key(false), GRPC_UNAUTHENTICATED);
    cr_assert_str_eq(answer_text, "etcdserver: invalid auth token");
}
