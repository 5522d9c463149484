/* The Auth service: users, roles and their permissions, and tokens for passwords.
 *
 * Changes are commands of the log. Passwords never get there: they are hashed, or
 * compared, on the work lane first (passwords.h), and overwritten in the request. What is
 * read is read behind a read gate. What can fail: what kv/auth.h says; too many passwords
 * that wait. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "node/admit.h"
#include "node/calls.h"
#include "node/handlers.h"
#include "node/node_parts.h"

#define REVISION_TRIES 8 /* users and roles change while passwords are compared */

/* ---- changes whose request is the command ---- */

static void propose(struct call *call, int request_case)
{
    call->command.request_case = request_case;
    call_propose(call, call_answer);
}

#define AUTH_CHANGE(method, field, name)                                                 \
    void rpc_##method(struct call *call)                                                 \
    {                                                                                    \
        kvd__command__command__init(&call->command);                                     \
        call->command.field = (void *)call->request;                                     \
        propose(call, KVD__COMMAND__COMMAND__REQUEST_##name);                            \
    }
AUTH_CHANGE(auth_enable, auth_enable, AUTH_ENABLE)
AUTH_CHANGE(auth_disable, auth_disable, AUTH_DISABLE)
AUTH_CHANGE(user_delete, user_delete, USER_DELETE)
AUTH_CHANGE(user_grant_role, user_grant_role, USER_GRANT_ROLE)
AUTH_CHANGE(user_revoke_role, user_revoke_role, USER_REVOKE_ROLE)
AUTH_CHANGE(role_add, role_add, ROLE_ADD)
AUTH_CHANGE(role_delete, role_delete, ROLE_DELETE)
AUTH_CHANGE(role_grant_permission, role_grant_permission, ROLE_GRANT_PERMISSION)
AUTH_CHANGE(role_revoke_permission, role_revoke_permission, ROLE_REVOKE_PERMISSION)

/* ---- reads ---- */

static void status_now(struct call *call)
{
    Etcdserverpb__AuthStatusResponse *reply = NULL;
    enum api_status status = kv_auth_status(call->node->kv, &call->arena, &reply);

    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_auth_status(struct call *call)
{
    call_gate(call, status_now);
}

static void user_get_now(struct call *call)
{
    const Etcdserverpb__AuthUserGetRequest *req =
        (const Etcdserverpb__AuthUserGetRequest *)call->request;
    Etcdserverpb__AuthUserGetResponse *reply = NULL;
    bool own = call->user != NULL && strcmp(call->user, req->name) == 0;
    enum api_status status = admit_self(call, own);

    if (status == API_OK) {
        status = kv_auth_user_get(call->node->kv, req, &call->arena, &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_user_get(struct call *call)
{
    call_gate(call, user_get_now);
}

static void user_list_now(struct call *call)
{
    Etcdserverpb__AuthUserListResponse *reply = NULL;
    enum api_status status = kv_auth_user_list(call->node->kv, &call->arena, &reply);

    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_user_list(struct call *call)
{
    call_gate(call, user_list_now);
}

static void role_get_now(struct call *call)
{
    const Etcdserverpb__AuthRoleGetRequest *req =
        (const Etcdserverpb__AuthRoleGetRequest *)call->request;
    const struct kv *kv = call->node->kv;
    Etcdserverpb__AuthRoleGetResponse *reply = NULL;
    bool own = call->user != NULL && kv_auth_has_role(kv, call->user, req->role);
    enum api_status status = admit_self(call, own);

    if (status == API_OK) {
        status = kv_auth_role_get(kv, req, &call->arena, &reply);
    }
    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_role_get(struct call *call)
{
    call_gate(call, role_get_now);
}

static void role_list_now(struct call *call)
{
    Etcdserverpb__AuthRoleListResponse *reply = NULL;
    enum api_status status = kv_auth_role_list(call->node->kv, &call->arena, &reply);

    call_answer(call, status, (ProtobufCMessage *)reply);
}

void rpc_role_list(struct call *call)
{
    call_gate(call, role_list_now);
}

/* ---- passwords at work ---- */

/* In the memory of the call. */
struct work {
    struct password_job job;
    struct call *call;
    void (*go_on)(struct call *call); /* when the job is done */
    char letters[TOKEN_LETTERS + 1];  /* authenticate: of the token */
    Kvd__Command__Authenticate command;
    uint64_t revision; /* of users and roles when the password was compared */
    unsigned tries;
};

static struct work *work_of(struct call *call)
{
    return call->owner;
}

static void on_work_done(struct password_job *job)
{
    struct work *work = container_of(job, struct work, job);

    call_resume(work->call, work->go_on);
}

static void on_ended(struct call *call)
{
    work_of(call)->job.unwanted = true;
}

static const struct call_events work_events = {.ended = on_ended};

static struct work *work_new(struct call *call)
{
    struct work *work = arena_zero(&call->arena, sizeof(*work));

    work->call = call;
    call->owner = work;
    call->events = &work_events;
    return work;
}

static void work_start(struct work *work, const char *password,
                       void (*go_on)(struct call *call))
{
    struct call *call = work->call;

    work->go_on = go_on;
    work->job.done = on_work_done;
    if (!passwords_submit(&call->node->access.passwords, &work->job, password)) {
        call_fail(call, API_TOO_MANY_REQUESTS);
        return;
    }
    call_hold(call);
}

/* ---- changes with a password ---- */

/* Both requests that bring a password, seen as one. */
struct password_field {
    char **password;
    char **hashed;
};

/* As kv wants it: the hash, without base64. */
static char *decode_hash(struct arena *arena, const char *base64)
{
    size_t len = PASSWORD_HASH_LEN / 3 * 4;
    char *hash = arena_zero(arena, PASSWORD_HASH_LEN + 1);

    if (strlen(base64) != len ||
        EVP_DecodeBlock((uint8_t *)hash, (const uint8_t *)base64, (int)len) !=
            PASSWORD_HASH_LEN ||
        !password_hash_valid(slice_of(hash, PASSWORD_HASH_LEN))) {
        return NULL;
    }
    return hash;
}

static struct password_field field_of(struct call *call)
{
    if (call->method == RPC_Auth_UserAdd) {
        Etcdserverpb__AuthUserAddRequest *req =
            (Etcdserverpb__AuthUserAddRequest *)call->request;

        return (struct password_field){&req->password, &req->hashedpassword};
    }
    Etcdserverpb__AuthUserChangePasswordRequest *req =
        (Etcdserverpb__AuthUserChangePasswordRequest *)call->request;

    return (struct password_field){&req->password, &req->hashedpassword};
}

static void propose_user(struct call *call)
{
    kvd__command__command__init(&call->command);
    if (call->method == RPC_Auth_UserAdd) {
        call->command.user_add = (void *)call->request;
        propose(call, KVD__COMMAND__COMMAND__REQUEST_USER_ADD);
    } else {
        call->command.user_change_password = (void *)call->request;
        propose(call, KVD__COMMAND__COMMAND__REQUEST_USER_CHANGE_PASSWORD);
    }
}

static void hashed(struct call *call)
{
    *field_of(call).hashed = work_of(call)->job.made;
    propose_user(call);
}

/* Who sends a password has it hashed here; else the hash that was sent counts. */
static void take_password(struct call *call)
{
    struct password_field field = field_of(call);
    char *password = *field.password;

    *field.password = (char *)protobuf_c_empty_string;
    if (password[0] == '\0' && (*field.hashed)[0] != '\0') {
        *field.hashed = decode_hash(&call->arena, *field.hashed);
        if (*field.hashed == NULL) {
            call_fail(call, API_AUTH_HASH);
        } else {
            propose_user(call);
        }
    } else if (strlen(password) > PASSWORD_MAX) {
        call_fail_text(call, GRPC_UNKNOWN, PASSWORD_TOO_LONG);
    } else {
        work_start(work_new(call), password, hashed);
    }
    password_wipe(password);
}

void rpc_user_add(struct call *call)
{
    Etcdserverpb__AuthUserAddRequest *req =
        (Etcdserverpb__AuthUserAddRequest *)call->request;

    if (req->name[0] == '\0') {
        call_fail(call, API_USER_EMPTY);
    } else if (req->options != NULL && req->options->no_password) {
        password_wipe(req->password);
        req->password = (char *)protobuf_c_empty_string;
        req->hashedpassword = (char *)protobuf_c_empty_string;
        propose_user(call);
    } else {
        take_password(call);
    }
}

void rpc_user_change_password(struct call *call)
{
    take_password(call);
}

/* ---- authenticate ---- */

static void compare_now(struct call *call);

/* The token is made of the letters that only we know, and the index of the entry. */
static void authenticated(struct call *call, enum api_status status,
                          ProtobufCMessage *response)
{
    Etcdserverpb__AuthenticateResponse *reply =
        (Etcdserverpb__AuthenticateResponse *)response;
    struct work *work = work_of(call);
    const char *index;
    char *token;

    if (status == API_AUTH_OLD_REVISION && work->tries < REVISION_TRIES) {
        compare_now(call);
        return;
    }
    if (status != API_OK) {
        call_fail(call, status);
        return;
    }
    index = strrchr(reply->token, '.');
    CHECK(index != NULL);
    token = arena_alloc(&call->arena, TOKEN_LETTERS + strlen(index) + 1);
    memcpy(token, work->letters, TOKEN_LETTERS);
    strcpy(token + TOKEN_LETTERS, index);
    reply->token = token;
    call_reply(call, &reply->base);
}

/* Every member learns of the token, by what hides its letters. */
static void issue_simple(struct call *call)
{
    const char *name = ((Etcdserverpb__AuthenticateRequest *)call->request)->name;
    struct work *work = work_of(call);
    char *hidden = arena_alloc(&call->arena, TOKEN_HIDDEN + 1);
    uint16_t random[TOKEN_LETTERS];

    env_random(call->node->env, random, sizeof(random));
    token_letters(random, work->letters);
    token_hide(slice_str(work->letters), hidden);
    kvd__command__authenticate__init(&work->command);
    work->command.user = (char *)name;
    work->command.letters = hidden;
    call->user = name;
    call->auth_revision = work->revision;
    kvd__command__command__init(&call->command);
    call->command.authenticate = &work->command;
    call->command.request_case = KVD__COMMAND__COMMAND__REQUEST_AUTHENTICATE;
    call_propose(call, authenticated);
}

static void issue_signed(struct call *call)
{
    Etcdserverpb__AuthenticateResponse reply = ETCDSERVERPB__AUTHENTICATE_RESPONSE__INIT;
    struct work *work = work_of(call);

    if (work->revision != kv_auth_revision(call->node->kv) &&
        work->tries < REVISION_TRIES) {
        compare_now(call);
    } else if (work->job.token[0] == '\0') {
        call_fail(call, API_NO_SIGNING_KEY);
    } else {
        reply.token = work->job.token;
        call_reply(call, &reply.base);
    }
}

static void compared(struct call *call)
{
    const Etcdserverpb__AuthenticateRequest *req =
        (const Etcdserverpb__AuthenticateRequest *)call->request;
    struct work *work = work_of(call);

    if (!work->job.matches) {
        /* What is no user may be a password that was written in the wrong place. */
        bool is_user = work->job.hash.len > 0;

        log_warn("refused a password", LOG_TEXT("user", is_user ? req->name : "unknown"),
                 LOG_TEXT("client", conn_address(call->conn)));
        call_fail(call, API_AUTH_FAILED);
    } else if (call->node->access.signer != NULL) {
        issue_signed(call);
    } else {
        issue_simple(call);
    }
}

/* The work is the same for users that are not there: how long it takes tells nobody who
 * is. */
static void compare_now(struct call *call)
{
    const Etcdserverpb__AuthenticateRequest *req =
        (const Etcdserverpb__AuthenticateRequest *)call->request;
    struct access *access = &call->node->access;
    const struct kv *kv = call->node->kv;
    struct work *work = work_of(call);
    struct kv_auth_user user = {0};

    if (!kv_auth_enabled(kv)) {
        call_fail(call, API_AUTH_NOT_ENABLED);
        return;
    }
    if (kv_auth_find_user(kv, req->name, &user) && user.no_password) {
        call_fail(call, API_NO_PASSWORD_USER);
        return;
    }
    work->tries++;
    work->revision = kv_auth_revision(kv);
    work->job = (struct password_job){
        .hash = user.password,
        .compare = true,
        .known = passwords_know(&access->passwords, req->password, user.password),
        .signer = access->signer,
        .claims.revision = work->revision,
    };
    if (work->job.known && access->signer == NULL) {
        issue_simple(call);
        return;
    }
    work->job.claims.ends_s =
        env_wall_ms(call->node->env) / 1000 + call->node->config->token.ttl_s;
    snprintf(work->job.claims.user, sizeof(work->job.claims.user), "%s", req->name);
    work_start(work, req->password, compared);
}

static void authenticate_ended(struct call *call)
{
    work_of(call)->job.unwanted = true;
    password_wipe(((Etcdserverpb__AuthenticateRequest *)call->request)->password);
}

void rpc_authenticate(struct call *call)
{
    static const struct call_events events = {.ended = authenticate_ended};

    work_new(call);
    call->events = &events;
    call_gate(call, compare_now);
}
