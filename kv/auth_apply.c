/* Commands on users, roles and grants, in etcd's order of checks.
 *
 * Happy path: each command checks what it names, puts or drops whole records and moves
 * the auth revision on by one; one that finds everything as it is asked for changes
 * nothing. While auth is on, there is always a user root with the role root. What can
 * fail: what is named is not there, or there already; or a limit. */
#include "kv/auth_apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kv/auth_store.h"
#include "kv/state.h"

#define TOKEN_LETTERS_MIN 16
#define TOKEN_LETTERS_MAX 64

void auth_tell(struct kv *kv, enum kv_auth_event_kind kind, const char *user,
               const char *token)
{
    const struct kv_auth_event event = {.kind = kind, .user = user, .token = token};

    if (kv->auth_changed != NULL) {
        kv->auth_changed(kv->auth_owner, &event);
    }
}

/* ---- parts of records ---- */

static bool is_root(const char *name)
{
    return strcmp(name, KV_AUTH_ROOT) == 0;
}

static ProtobufCBinaryData name_bytes(const char *name)
{
    return api_bytes(slice_str(name));
}

static struct auth_item *find_user(const struct kv *kv, const char *name)
{
    return auth_find(kv, AUTH_USER, slice_str(name));
}

static struct auth_item *find_role(const struct kv *kv, const char *name)
{
    return auth_find(kv, AUTH_ROLE, slice_str(name));
}

/* A list with one more at that place, and with that one less; in the command's arena. */
static void *list_with(struct kv *kv, const void *list, size_t n, size_t at, void *item)
{
    const void *const *from = list;
    const void **to = arena_alloc(&kv->command, (n + 1) * sizeof(to[0]));

    for (size_t i = 0; i <= n; i++) {
        to[i] = i < at ? from[i] : i == at ? item : from[i - 1];
    }
    return to;
}

static void *list_without(struct kv *kv, const void *list, size_t n, size_t at)
{
    const void *const *from = list;
    const void **to = arena_alloc(&kv->command, n * sizeof(to[0]));

    for (size_t i = 0; i + 1 < n; i++) {
        to[i] = from[i < at ? i : i + 1];
    }
    return to;
}

/* The record takes its place, unless there is no room for it. */
static enum api_status put(struct kv *kv, enum auth_kind kind,
                           const ProtobufCMessage *record)
{
    if (!auth_fits(kv, kind, record)) {
        return API_AUTH_SPACE;
    }
    auth_put(kv, kind, record);
    kv->meta.auth_revision++;
    return API_OK;
}

/* ---- on and off ---- */

static enum api_status enable(struct kv *kv, const Kvd__Command__Command *command)
{
    const struct auth_item *root = find_user(kv, KV_AUTH_ROOT);

    if (kv->meta.auth_enabled) {
        return API_OK;
    }
    if (root == NULL) {
        return API_ROOT_USER_NOT_EXIST;
    }
    if (!root->is_root) {
        return API_ROOT_ROLE_NOT_EXIST;
    }
    kv->meta.auth_enabled = true;
    return API_OK;
}

static enum api_status disable(struct kv *kv, const Kvd__Command__Command *command)
{
    if (kv->meta.auth_enabled) {
        kv->meta.auth_enabled = false;
        kv->meta.auth_revision++;
        auth_tell(kv, KV_AUTH_ALL_OUT, NULL, NULL);
    }
    return API_OK;
}

/* ---- users ---- */

static bool is_hash(const char *password)
{
    return password[0] != '\0' && strlen(password) <= LIMIT_AUTH_PASSWORD;
}

static enum api_status user_add(struct kv *kv, const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthUserAddRequest *req = command->user_add;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    Authpb__User user = AUTHPB__USER__INIT;

    options.no_password = req->options != NULL && req->options->no_password;
    if (req->name[0] == '\0') {
        return API_USER_EMPTY;
    }
    if (strlen(req->name) > LIMIT_AUTH_NAME) {
        return API_AUTH_NAME;
    }
    if (find_user(kv, req->name) != NULL) {
        return API_USER_ALREADY_EXIST;
    }
    if (!options.no_password && !is_hash(req->hashedpassword)) {
        return API_AUTH_PASSWORD;
    }
    user.name = name_bytes(req->name);
    user.options = &options;
    if (!options.no_password) {
        user.password = name_bytes(req->hashedpassword);
    }
    return put(kv, AUTH_USER, &user.base);
}

static enum api_status user_delete(struct kv *kv, const Kvd__Command__Command *command)
{
    const char *name = command->user_delete->name;
    struct auth_item *item = find_user(kv, name);

    if (kv->meta.auth_enabled && is_root(name)) {
        return API_INVALID_AUTH_MGMT;
    }
    if (item == NULL) {
        return API_USER_NOT_FOUND;
    }
    auth_drop(kv, item);
    kv->meta.auth_revision++;
    auth_tell(kv, KV_AUTH_USER_OUT, name, NULL);
    return API_OK;
}

static enum api_status user_change_password(struct kv *kv,
                                            const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthUserChangePasswordRequest *req =
        command->user_change_password;
    const struct auth_item *item = find_user(kv, req->name);
    enum api_status status;
    Authpb__User user;

    if (item == NULL) {
        return API_USER_NOT_FOUND;
    }
    user = *auth_user(item);
    if (!user.options->no_password) {
        if (!is_hash(req->hashedpassword)) {
            return API_AUTH_PASSWORD;
        }
        user.password = name_bytes(req->hashedpassword);
    }
    status = put(kv, AUTH_USER, &user.base);
    if (status == API_OK) {
        auth_tell(kv, KV_AUTH_USER_OUT, req->name, NULL);
    }
    return status;
}

static enum api_status user_grant_role(struct kv *kv,
                                       const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthUserGrantRoleRequest *req = command->user_grant_role;
    const struct auth_item *item = find_user(kv, req->user);
    Authpb__User user;
    size_t at;

    if (item == NULL) {
        return API_USER_NOT_FOUND;
    }
    if (!is_root(req->role) && find_role(kv, req->role) == NULL) {
        return API_ROLE_NOT_FOUND;
    }
    user = *auth_user(item);
    if (auth_role_at(&user, req->role, &at)) {
        return API_OK;
    }
    if (user.n_roles >= LIMIT_AUTH_USER_ROLES) {
        return API_AUTH_USER_ROLES;
    }
    user.roles = list_with(kv, user.roles, user.n_roles++, at, req->role);
    return put(kv, AUTH_USER, &user.base);
}

/* The user without the role, which it has. */
static void take_role(struct kv *kv, const struct auth_item *item, size_t at)
{
    Authpb__User user = *auth_user(item);

    user.roles = list_without(kv, user.roles, user.n_roles--, at);
    auth_put(kv, AUTH_USER, &user.base);
}

static enum api_status user_revoke_role(struct kv *kv,
                                        const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthUserRevokeRoleRequest *req = command->user_revoke_role;
    const struct auth_item *item = find_user(kv, req->name);
    size_t at;

    if (kv->meta.auth_enabled && is_root(req->name) && is_root(req->role)) {
        return API_INVALID_AUTH_MGMT;
    }
    if (item == NULL) {
        return API_USER_NOT_FOUND;
    }
    if (!auth_role_at(auth_user(item), req->role, &at)) {
        return API_ROLE_NOT_GRANTED;
    }
    take_role(kv, item, at);
    kv->meta.auth_revision++;
    return API_OK;
}

/* ---- roles ---- */

static enum api_status role_add(struct kv *kv, const Kvd__Command__Command *command)
{
    const char *name = command->role_add->name;
    Authpb__Role role = AUTHPB__ROLE__INIT;

    if (name[0] == '\0') {
        return API_ROLE_EMPTY;
    }
    if (strlen(name) > LIMIT_AUTH_NAME) {
        return API_AUTH_NAME;
    }
    if (find_role(kv, name) != NULL) {
        return API_ROLE_ALREADY_EXIST;
    }
    role.name = name_bytes(name);
    return put(kv, AUTH_ROLE, &role.base);
}

static enum api_status role_delete(struct kv *kv, const Kvd__Command__Command *command)
{
    const char *name = command->role_delete->role;
    const struct auth_list *users = &kv->auth.lists[AUTH_USER];
    struct auth_item *item = find_role(kv, name);
    size_t at;

    if (kv->meta.auth_enabled && is_root(name)) {
        return API_INVALID_AUTH_MGMT;
    }
    if (item == NULL) {
        return API_ROLE_NOT_FOUND;
    }
    auth_drop(kv, item);
    for (size_t i = 0; i < users->n; i++) {
        if (auth_role_at(auth_user(users->items[i]), name, &at)) {
            take_role(kv, users->items[i], at);
        }
    }
    kv->meta.auth_revision++;
    return API_OK;
}

static enum api_status check_grant(const Authpb__Permission *grant)
{
    if (grant == NULL) {
        return API_PERMISSION_NOT_GIVEN;
    }
    if (!auth_span_valid(grant->key, grant->range_end) ||
        (unsigned)grant->permtype > AUTHPB__PERMISSION__TYPE__READWRITE) {
        return API_INVALID_AUTH_MGMT;
    }
    return grant->key.len > LIMIT_AUTH_GRANT_KEY ||
                   grant->range_end.len > LIMIT_AUTH_GRANT_KEY
               ? API_AUTH_GRANT_KEY
               : API_OK;
}

static enum api_status role_grant(struct kv *kv, const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthRoleGrantPermissionRequest *req =
        command->role_grant_permission;
    const struct auth_item *item = find_role(kv, req->name);
    enum api_status status = check_grant(req->perm);
    Authpb__Role role;
    size_t n;
    size_t at;

    if (status != API_OK) {
        return status;
    }
    if (item == NULL) {
        return API_ROLE_NOT_FOUND;
    }
    role = *auth_role(item);
    n = role.n_keypermission;
    if (auth_grant_at(&role, req->perm->key, req->perm->range_end, &at)) {
        role.keypermission = list_without(kv, role.keypermission, n--, at);
    }
    if (n >= LIMIT_AUTH_GRANTS) {
        return API_AUTH_GRANTS;
    }
    role.keypermission = list_with(kv, role.keypermission, n, at, req->perm);
    role.n_keypermission = n + 1;
    return put(kv, AUTH_ROLE, &role.base);
}

static enum api_status role_revoke(struct kv *kv, const Kvd__Command__Command *command)
{
    const Etcdserverpb__AuthRoleRevokePermissionRequest *req =
        command->role_revoke_permission;
    const struct auth_item *item = find_role(kv, req->role);
    Authpb__Role role;
    size_t at;

    if (item == NULL) {
        return API_ROLE_NOT_FOUND;
    }
    role = *auth_role(item);
    if (!auth_grant_at(&role, req->key, req->range_end, &at)) {
        return API_PERMISSION_NOT_GRANTED;
    }
    role.keypermission = list_without(kv, role.keypermission, role.n_keypermission--, at);
    return put(kv, AUTH_ROLE, &role.base);
}

/* ---- tokens ---- */

static enum api_status authenticate(struct kv *kv, const Kvd__Command__Command *command,
                                    struct reply *reply, ProtobufCMessage **out)
{
    const Kvd__Command__Authenticate *req = command->authenticate;
    const struct auth_item *user = find_user(kv, req->user);
    Etcdserverpb__AuthenticateResponse *res;
    size_t n_letters = strlen(req->letters);
    char token[TOKEN_LETTERS_MAX + 24];

    if (!kv->meta.auth_enabled) {
        return API_AUTH_NOT_ENABLED;
    }
    if (command->client == NULL ||
        command->client->auth_revision != kv->meta.auth_revision) {
        return API_AUTH_OLD_REVISION;
    }
    if (user == NULL) {
        return API_AUTH_FAILED;
    }
    if (auth_user(user)->options->no_password) {
        return API_NO_PASSWORD_USER;
    }
    if (n_letters < TOKEN_LETTERS_MIN || n_letters > TOKEN_LETTERS_MAX) {
        return API_INVALID_REQUEST;
    }
    snprintf(token, sizeof(token), "%s.%" PRIu64, req->letters, kv->meta.applied_index);
    res = reply_message(reply, &etcdserverpb__authenticate_response__descriptor);
    if (res != NULL) {
        res->header = reply_header(reply, kv->meta.revision);
        res->token = (char *)reply_bytes(reply, slice_of(token, strlen(token) + 1)).data;
    }
    *out = (ProtobufCMessage *)res;
    auth_tell(kv, KV_AUTH_TOKEN, req->user, token);
    return API_OK;
}

/* ---- all of them ---- */

static const struct auth_command {
    int request_case;
    enum api_status (*apply)(struct kv *kv, const Kvd__Command__Command *command);
    const ProtobufCMessageDescriptor *response;
} commands[] = {
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_ENABLE, enable,
     &etcdserverpb__auth_enable_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_AUTH_DISABLE, disable,
     &etcdserverpb__auth_disable_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_USER_ADD, user_add,
     &etcdserverpb__auth_user_add_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_USER_DELETE, user_delete,
     &etcdserverpb__auth_user_delete_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_USER_CHANGE_PASSWORD, user_change_password,
     &etcdserverpb__auth_user_change_password_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_USER_GRANT_ROLE, user_grant_role,
     &etcdserverpb__auth_user_grant_role_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_USER_REVOKE_ROLE, user_revoke_role,
     &etcdserverpb__auth_user_revoke_role_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_ADD, role_add,
     &etcdserverpb__auth_role_add_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_DELETE, role_delete,
     &etcdserverpb__auth_role_delete_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_GRANT_PERMISSION, role_grant,
     &etcdserverpb__auth_role_grant_permission_response__descriptor},
    {KVD__COMMAND__COMMAND__REQUEST_ROLE_REVOKE_PERMISSION, role_revoke,
     &etcdserverpb__auth_role_revoke_permission_response__descriptor},
};

/* They have a header and nothing else. */
static ProtobufCMessage *answer(const struct kv *kv, struct reply *reply,
                                const ProtobufCMessageDescriptor *type)
{
    Etcdserverpb__AuthEnableResponse *res = reply_message(reply, type);

    CHECK(type->sizeof_message == sizeof(*res) && type->n_fields == 1 &&
          strcmp(type->fields[0].name, "header") == 0);
    if (res != NULL) {
        res->header = reply_header(reply, kv->meta.revision);
    }
    return (ProtobufCMessage *)res;
}

enum api_status auth_apply(struct kv *kv, const Kvd__Command__Command *command,
                           struct reply *reply, ProtobufCMessage **out)
{
    if (command->request_case == KVD__COMMAND__COMMAND__REQUEST_AUTHENTICATE) {
        return authenticate(kv, command, reply, out);
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].request_case == (int)command->request_case) {
            enum api_status status = commands[i].apply(kv, command);

            if (status == API_OK) {
                *out = answer(kv, reply, commands[i].response);
            }
            return status;
        }
    }
    UNREACHABLE();
}
