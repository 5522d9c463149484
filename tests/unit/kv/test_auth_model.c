/* Random commands on users, roles and grants, and random requests, held against a model
 * as simple as can be: who may touch which key, written out. From etcd's rules and not
 * from our code. */
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/draw.h"

enum {
    USERS = 4, /* the first one is root */
    ROLES = 4, /* the first one is root */
    LETTERS = 6,
    ATOMS = 2 * LETTERS, /* each letter as a key; all keys between it and the next one */
    SINGLE = 0,          /* an end: of the key alone; of none; at a letter, from 2 on */
    OPEN = 1,
    ENDS = 2 + LETTERS,
    STEPS = 6000,
};

struct model_user {
    bool exists;
    bool no_password;
    bool has[ROLES];
};

struct model_role {
    bool exists;
    int grants[LETTERS][ENDS]; /* type and one more; 0: none */
};

static struct fixture fx;
static struct {
    bool on;
    uint64_t revision;
    struct model_user users[USERS];
    struct model_role roles[ROLES];
} m;

static const char *user_name(int i)
{
    static const char *const names[USERS] = {"root", "u1", "u2", "u3"};

    return names[i];
}

static const char *role_name(int i)
{
    static const char *const names[ROLES] = {"root", "r1", "r2", "r3"};

    return names[i];
}

static const char *letter(int i)
{
    static const char *const letters[LETTERS] = {"a", "b", "c", "d", "e", "f"};

    return letters[i];
}

static const char *end_text(int end)
{
    return end == SINGLE ? NULL : end == OPEN ? "" : letter(end - 2);
}

static bool range_covers(int from, int end, int atom)
{
    switch (end) {
    case SINGLE:
        return atom == 2 * from;
    case OPEN:
        return atom >= 2 * from;
    default:
        return atom >= 2 * from && atom < 2 * (end - 2);
    }
}

/* ---- what the model says ---- */

static bool model_is_root(int user)
{
    return m.users[user].exists && m.users[user].has[0];
}

static bool model_may_atom(int user, int type, int atom)
{
    for (int role = 0; role < ROLES; role++) {
        for (int at = 0; m.users[user].has[role] && at < LETTERS * ENDS; at++) {
            int granted = m.roles[role].grants[at / ENDS][at % ENDS] - 1;

            if (granted >= 0 && (granted == type || granted == READWRITE) &&
                range_covers(at / ENDS, at % ENDS, atom)) {
                return true;
            }
        }
    }
    return false;
}

static bool model_may(int user, int type, int from, int end)
{
    if (!m.users[user].exists) {
        return false;
    }
    if (end > OPEN && end - 2 <= from) {
        end = SINGLE;
    }
    for (int atom = 0; atom < ATOMS; atom++) {
        if (range_covers(from, end, atom) && !model_may_atom(user, type, atom)) {
            return false;
        }
    }
    return true;
}

static enum api_status model_asked(int user, bool may)
{
    return !m.on || model_is_root(user) || may ? API_OK : API_PERMISSION_DENIED;
}

/* What a command of root is refused with, or that it is done. */
static enum api_status changed(enum api_status status)
{
    m.revision += status == API_OK;
    return status;
}

static enum api_status model_grant_role(int user, int role)
{
    if (!m.users[user].exists) {
        return API_USER_NOT_FOUND;
    }
    if (role != 0 && !m.roles[role].exists) {
        return API_ROLE_NOT_FOUND;
    }
    if (m.users[user].has[role]) {
        return API_OK;
    }
    m.users[user].has[role] = true;
    return changed(API_OK);
}

static enum api_status model_revoke_role(int user, int role)
{
    if (m.on && user == 0 && role == 0) {
        return API_INVALID_AUTH_MGMT;
    }
    if (!m.users[user].exists) {
        return API_USER_NOT_FOUND;
    }
    if (!m.users[user].has[role]) {
        return API_ROLE_NOT_GRANTED;
    }
    m.users[user].has[role] = false;
    return changed(API_OK);
}

static enum api_status model_delete_role(int role)
{
    if (m.on && role == 0) {
        return API_INVALID_AUTH_MGMT;
    }
    if (!m.roles[role].exists) {
        return API_ROLE_NOT_FOUND;
    }
    m.roles[role] = (struct model_role){0};
    for (int user = 0; user < USERS; user++) {
        m.users[user].has[role] = false;
    }
    return changed(API_OK);
}

static enum api_status model_grant(int role, int type, int from, int end)
{
    if (end > OPEN && end - 2 <= from) {
        return API_INVALID_AUTH_MGMT;
    }
    if (!m.roles[role].exists) {
        return API_ROLE_NOT_FOUND;
    }
    m.roles[role].grants[from][end] = type + 1;
    return changed(API_OK);
}

static enum api_status model_revoke(int role, int from, int end)
{
    if (!m.roles[role].exists) {
        return API_ROLE_NOT_FOUND;
    }
    if (m.roles[role].grants[from][end] == 0) {
        return API_PERMISSION_NOT_GRANTED;
    }
    m.roles[role].grants[from][end] = 0;
    return changed(API_OK);
}

static enum api_status model_add_user(int user, bool no_password)
{
    if (m.users[user].exists) {
        return API_USER_ALREADY_EXIST;
    }
    m.users[user] = (struct model_user){.exists = true, .no_password = no_password};
    return changed(API_OK);
}

static enum api_status model_delete_user(int user)
{
    if (m.on && user == 0) {
        return API_INVALID_AUTH_MGMT;
    }
    if (!m.users[user].exists) {
        return API_USER_NOT_FOUND;
    }
    m.users[user] = (struct model_user){0};
    return changed(API_OK);
}

static enum api_status model_add_role(int role)
{
    if (m.roles[role].exists) {
        return API_ROLE_ALREADY_EXIST;
    }
    m.roles[role].exists = true;
    return changed(API_OK);
}

static enum api_status model_switch(bool on)
{
    if (on && !m.on && !m.users[0].exists) {
        return API_ROOT_USER_NOT_EXIST;
    }
    if (on && !m.on && !m.users[0].has[0]) {
        return API_ROOT_ROLE_NOT_EXIST;
    }
    if (!on && m.on) {
        m.revision++;
    }
    m.on = on;
    return API_OK;
}

/* ---- steps ---- */

static int draw_user(void)
{
    return (int)draw(USERS);
}

static int draw_role(void)
{
    return (int)draw(ROLES);
}

static int draw_range(int *end)
{
    *end = (int)draw(ENDS);
    return (int)draw(LETTERS);
}

/* A command on users and roles, by somebody who may. */
static void step_change(void)
{
    int user = draw_user();
    int role = draw_role();
    int type = (int)draw(3);
    bool no_password = draw(4) == 0;
    int end;
    int from = draw_range(&end);

    act_as(&fx, m.on ? "root" : NULL);
    switch (draw(16)) {
    case 0:
        cr_assert_eq(user_add(&fx, user_name(user), no_password ? NULL : "h"),
                     model_add_user(user, no_password));
        break;
    case 1:
        if (draw(4) == 0) {
            cr_assert_eq(user_delete(&fx, user_name(user)), model_delete_user(user));
        }
        break;
    case 2:
        cr_assert_eq(role_add(&fx, role_name(role)), model_add_role(role));
        break;
    case 3:
        if (draw(4) == 0) {
            cr_assert_eq(role_delete(&fx, role_name(role)), model_delete_role(role));
        }
        break;
    case 4:
    case 5:
    case 6:
        cr_assert_eq(user_grant(&fx, user_name(user), role_name(role)),
                     model_grant_role(user, role));
        break;
    case 7:
        cr_assert_eq(user_revoke(&fx, user_name(user), role_name(role)),
                     model_revoke_role(user, role));
        break;
    case 8:
    case 9:
        cr_assert_eq(role_revoke(&fx, role_name(role), letter(from), end_text(end)),
                     model_revoke(role, from, end));
        break;
    case 10:
        if (draw(8) == 0) {
            cr_assert_eq(run_disable(&fx), model_switch(false));
        }
        break;
    case 11:
        cr_assert_eq(run_enable(&fx), model_switch(true));
        break;
    default:
        cr_assert_eq(role_grant(&fx, role_name(role), type, letter(from), end_text(end)),
                     model_grant(role, type, from, end));
    }
}

/* A write by anybody, with an auth revision that may be old. */
static void step_write(void)
{
    int user = draw_user();
    bool prev_kv = draw(3) == 0;
    bool old = draw(10) == 0;
    int end;
    int from = draw_range(&end);
    Etcdserverpb__DeleteRangeRequest *delete =
        delete_new(&fx, letter(from), end_text(end));
    Etcdserverpb__PutRequest *req = put_new(&fx, letter(from), "v");
    bool puts = draw(2) == 0;
    bool may;
    enum api_status want;

    end = puts ? SINGLE : end;
    may = model_may(user, WRITE, from, end) &&
          (!prev_kv || model_may(user, READ, from, end));
    want = model_asked(user, may);
    want = m.on && old ? API_AUTH_OLD_REVISION : want;
    act_as(&fx, user_name(user));
    fx.client->auth_revision -= old;
    req->prev_kv = delete->prev_kv = prev_kv;
    cr_assert_eq(puts ? run_put(&fx, req) : run_delete(&fx, delete), want);
}

static void step_ask(void)
{
    int user = draw_user();
    int type = (int)draw(2);
    int end;
    int from = draw_range(&end);

    cr_assert_eq(kv_auth_may(fx.kv, user_name(user),
                             type == READ ? KV_AUTH_READ : KV_AUTH_WRITE,
                             bytes_of(&fx, letter(from)), end_of(&fx, end_text(end))),
                 model_asked(user, model_may(user, type, from, end)));
}

static void step_forbidden(void)
{
    int user = draw_user();

    if (m.on && !model_is_root(user)) {
        act_as(&fx, user_name(user));
        cr_assert_eq(role_grant(&fx, "r1", READ, "a", NULL), API_PERMISSION_DENIED);
        cr_assert_eq(user_grant(&fx, user_name(user), "root"), API_PERMISSION_DENIED);
    }
}

Test(auth_model, users_may_what_the_model_says, .timeout = 120)
{
    draw_seed();
    fixture_open(&fx);
    memset(&m, 0, sizeof(m));
    m.revision = 1;
    for (int i = 0; i < STEPS; i++) {
        step_change();
        step_write();
        step_ask();
        step_ask();
        step_forbidden();
        cr_assert_eq(kv_auth_enabled(fx.kv), m.on);
        cr_assert_eq(kv_auth_revision(fx.kv), m.revision);
        fx.client = NULL;
        arena_reset(&fx.arena);
        if (draw(500) == 0) {
            uint64_t hash = kv_state_hash(fx.kv);

            fixture_reopen(&fx);
            cr_assert_eq(kv_state_hash(fx.kv), hash);
        }
    }
    fixture_close(&fx);
}
