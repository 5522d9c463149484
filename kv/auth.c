/* What can be asked about users and roles; nothing here changes anything. */
#include "kv/auth.h"

#include "api/bytes.h"
#include "kv/auth_store.h"
#include "kv/reply.h"
#include "kv/state.h"

bool kv_auth_enabled(const struct kv *kv)
{
    return kv->meta.auth_enabled;
}

uint64_t kv_auth_revision(const struct kv *kv)
{
    return kv->meta.auth_revision;
}

/* ---- users ---- */

bool kv_auth_find_user(const struct kv *kv, const char *name, struct kv_auth_user *out)
{
    const struct auth_item *item = auth_find(kv, AUTH_USER, slice_str(name));

    if (item == NULL) {
        return false;
    }
    *out = (struct kv_auth_user){
        .password = api_slice(auth_user(item)->password),
        .no_password = auth_user(item)->options->no_password,
        .is_root = item->is_root,
    };
    return true;
}

bool kv_auth_is_admin(const struct kv *kv, const char *user)
{
    const struct auth_item *item;

    if (!kv->meta.auth_enabled) {
        return true;
    }
    item = user != NULL ? auth_find(kv, AUTH_USER, slice_str(user)) : NULL;
    return item != NULL && item->is_root;
}

bool kv_auth_has_role(const struct kv *kv, const char *user, const char *role)
{
    const struct auth_item *item = auth_find(kv, AUTH_USER, slice_str(user));
    size_t at;

    return item != NULL && auth_role_at(auth_user(item), role, &at);
}

/* ---- what the Auth service answers ---- */

static char *text_of(struct reply *reply, struct slice bytes)
{
    char *text = reply_alloc(reply, bytes.len + 1);

    if (text != NULL) {
        memcpy(text, bytes.ptr, bytes.len);
        text[bytes.len] = '\0';
    }
    return text;
}

/* The names of all users or all roles. */
static char **names_of(struct reply *reply, const struct auth_list *list)
{
    char **names = reply_alloc(reply, list->n * sizeof(names[0]));

    for (size_t i = 0; i < list->n && reply_wanted(reply); i++) {
        names[i] = text_of(reply, list->items[i]->name);
    }
    return names;
}

static enum api_status done(const struct reply *reply)
{
    return reply->too_large ? API_RESPONSE_TOO_LARGE : API_OK;
}

enum api_status kv_auth_status(const struct kv *kv, struct arena *arena,
                               Etcdserverpb__AuthStatusResponse **out)
{
    struct reply reply = reply_for(arena);
    Etcdserverpb__AuthStatusResponse *res =
        reply_message(&reply, &etcdserverpb__auth_status_response__descriptor);

    if (res != NULL) {
        res->header = reply_header(&reply, kv->meta.revision);
        res->enabled = kv->meta.auth_enabled;
        res->authrevision = kv->meta.auth_revision;
    }
    *out = res;
    return done(&reply);
}

enum api_status kv_auth_user_get(const struct kv *kv,
                                 const Etcdserverpb__AuthUserGetRequest *req,
                                 struct arena *arena,
                                 Etcdserverpb__AuthUserGetResponse **out)
{
    const struct auth_item *item = auth_find(kv, AUTH_USER, slice_str(req->name));
    struct reply reply = reply_for(arena);
    Etcdserverpb__AuthUserGetResponse *res;
    const Authpb__User *user;

    if (item == NULL) {
        return API_USER_NOT_FOUND;
    }
    user = auth_user(item);
    res = reply_message(&reply, &etcdserverpb__auth_user_get_response__descriptor);
    if (res != NULL) {
        res->header = reply_header(&reply, kv->meta.revision);
        res->roles = reply_alloc(&reply, user->n_roles * sizeof(res->roles[0]));
    }
    for (size_t i = 0; i < user->n_roles && reply_wanted(&reply); i++) {
        res->roles[res->n_roles++] = text_of(&reply, slice_str(user->roles[i]));
    }
    *out = res;
    return done(&reply);
}

enum api_status kv_auth_user_list(const struct kv *kv, struct arena *arena,
                                  Etcdserverpb__AuthUserListResponse **out)
{
    const struct auth_list *users = &kv->auth.lists[AUTH_USER];
    struct reply reply = reply_for(arena);
    Etcdserverpb__AuthUserListResponse *res =
        reply_message(&reply, &etcdserverpb__auth_user_list_response__descriptor);

    if (res != NULL) {
        res->header = reply_header(&reply, kv->meta.revision);
        res->users = names_of(&reply, users);
        res->n_users = users->n;
    }
    *out = res;
    return done(&reply);
}

/* Root's permissions do not depend on what was granted to the role. */
static void show_root(struct reply *reply, Etcdserverpb__AuthRoleGetResponse *res)
{
    Authpb__Permission *all = reply_message(reply, &authpb__permission__descriptor);

    res->perm = reply_alloc(reply, sizeof(res->perm[0]));
    if (reply_wanted(reply)) {
        all->permtype = AUTHPB__PERMISSION__TYPE__READWRITE;
        all->range_end = reply_bytes(reply, slice_of("", 1));
        res->perm[res->n_perm++] = all;
    }
}

static void show_grants(struct reply *reply, const Authpb__Role *role,
                        Etcdserverpb__AuthRoleGetResponse *res)
{
    res->perm = reply_alloc(reply, role->n_keypermission * sizeof(res->perm[0]));
    for (size_t i = 0; i < role->n_keypermission && reply_wanted(reply); i++) {
        const Authpb__Permission *grant = role->keypermission[i];
        Authpb__Permission *shown = reply_message(reply, &authpb__permission__descriptor);

        if (shown != NULL) {
            shown->permtype = grant->permtype;
            shown->key = reply_bytes(reply, api_slice(grant->key));
            shown->range_end = reply_bytes(reply, api_slice(grant->range_end));
            res->perm[res->n_perm++] = shown;
        }
    }
}

enum api_status kv_auth_role_get(const struct kv *kv,
                                 const Etcdserverpb__AuthRoleGetRequest *req,
                                 struct arena *arena,
                                 Etcdserverpb__AuthRoleGetResponse **out)
{
    const struct auth_item *item = auth_find(kv, AUTH_ROLE, slice_str(req->role));
    struct reply reply = reply_for(arena);
    Etcdserverpb__AuthRoleGetResponse *res;

    if (item == NULL) {
        return API_ROLE_NOT_FOUND;
    }
    res = reply_message(&reply, &etcdserverpb__auth_role_get_response__descriptor);
    if (res != NULL) {
        res->header = reply_header(&reply, kv->meta.revision);
        if (strcmp(req->role, KV_AUTH_ROOT) == 0) {
            show_root(&reply, res);
        } else {
            show_grants(&reply, auth_role(item), res);
        }
    }
    *out = res;
    return done(&reply);
}

enum api_status kv_auth_role_list(const struct kv *kv, struct arena *arena,
                                  Etcdserverpb__AuthRoleListResponse **out)
{
    const struct auth_list *roles = &kv->auth.lists[AUTH_ROLE];
    struct reply reply = reply_for(arena);
    Etcdserverpb__AuthRoleListResponse *res =
        reply_message(&reply, &etcdserverpb__auth_role_list_response__descriptor);

    if (res != NULL) {
        res->header = reply_header(&reply, kv->meta.revision);
        res->roles = names_of(&reply, roles);
        res->n_roles = roles->n;
    }
    *out = res;
    return done(&reply);
}
