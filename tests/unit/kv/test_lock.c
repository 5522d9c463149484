/* The lines of locks: what stands in them, who is granted, what survives a restart. */
#include "kv/lock.h"

#include "tests/unit/kv/draw.h"
#include "tests/unit/kv/locks.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
    grant_leases(&fx, 9);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(lock, .init = open_store, .fini = close_store);

/* ---- names ---- */

Test(lock_name, only_a_key_of_the_lease_itself_is_a_hold)
{
    static const struct {
        const char *key;
        int64_t lease;
        bool holds;
        const char *name;
        int mode;
        uint32_t slots;
    } cases[] = {
        {"a/1f", 0x1f, true, "a", EXCLUSIVE, 0},
        {"a/b/1f", 0x1f, true, "a/b", EXCLUSIVE, 0},
        {"/1f", 0x1f, true, "", EXCLUSIVE, 0},
        {"a//1f", 0x1f, true, "a/", EXCLUSIVE, 0},
        {"a/-3", -3, true, "a", EXCLUSIVE, 0},
        {"a/-8000000000000000", INT64_MIN, true, "a", EXCLUSIVE, 0},
        {"a/1f.shared", 0x1f, true, "a", SHARED, 0},
        {"a/1f.slots-3.x-_9", 0x1f, true, "a", SLOTS, 3},
        {"a/1f.slots-1000000.x", 0x1f, true, "a", SLOTS, 1000000},
        {"1f", 0x1f, false, "", 0, 0},
        {"a/1F", 0x1f, false, "", 0, 0},
        {"a/01f", 0x1f, false, "", 0, 0},
        {"a/1f0", 0x1f, false, "", 0, 0},
        {"a/1f/", 0x1f, false, "", 0, 0},
        {"a/1f.", 0x1f, false, "", 0, 0},
        {"a/1f.shared2", 0x1f, false, "", 0, 0},
        {"a/1f.slots-3", 0x1f, false, "", 0, 0},
        {"a/1f.slots-3.", 0x1f, false, "", 0, 0},
        {"a/1f.slots-.x", 0x1f, false, "", 0, 0},
        {"a/1f.slots-0.x", 0x1f, false, "", 0, 0},
        {"a/1f.slots-03.x", 0x1f, false, "", 0, 0},
        {"a/1f.slots-1000001.x", 0x1f, false, "", 0, 0},
        {"a/1f.slots-99999999999999999999.x", 0x1f, false, "", 0, 0},
        {"a/1f.slots-3.x y", 0x1f, false, "", 0, 0},
        {"a/1f", 0x1e, false, "", 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct lock_place place = {0};
        bool holds = lock_parse(slice_str(cases[i].key), cases[i].lease, &place);

        cr_expect_eq(holds, cases[i].holds, "%s", cases[i].key);
        if (holds) {
            uint8_t key[128];
            size_t len = lock_write_key(&place, cases[i].lease, key);

            cr_expect(slice_eq(place.name, slice_str(cases[i].name)), "%s", cases[i].key);
            cr_expect_eq((int)place.mode, cases[i].mode, "%s", cases[i].key);
            cr_expect_eq(place.slots, cases[i].slots, "%s", cases[i].key);
            cr_expect(slice_eq(slice_of(key, len), slice_str(cases[i].key)), "%s",
                      cases[i].key);
            cr_expect_leq(len, lock_key_max(place.name.len));
        }
    }
}

/* ---- who is granted ---- */

Test(lock, an_exclusive_hold_is_alone_and_the_next_follows)
{
    hand_put(&fx, "a/2", 2);
    hand_put(&fx, "a/1", 1);
    hand_put(&fx, "a/3", 3);

    cr_expect_str_eq(line_of(&fx, "a"), "2+ 1- 3-");
    hand_delete(&fx, "a/1");
    cr_expect_str_eq(line_of(&fx, "a"), "2+ 3-");
    hand_delete(&fx, "a/2");
    cr_expect_str_eq(line_of(&fx, "a"), "3+");
    hand_delete(&fx, "a/3");
    cr_expect_str_eq(line_of(&fx, "a"), "");
}

Test(lock, shared_holds_share_but_do_not_overtake)
{
    hand_put(&fx, "a/1.shared", 1);
    hand_put(&fx, "a/2.shared", 2);
    hand_put(&fx, "a/3", 3);
    hand_put(&fx, "a/4.shared", 4);
    hand_put(&fx, "a/5.shared", 5);

    cr_expect_str_eq(line_of(&fx, "a"), "1.shared+ 2.shared+ 3- 4.shared- 5.shared-");
    hand_delete(&fx, "a/1.shared");
    cr_expect_str_eq(line_of(&fx, "a"), "2.shared+ 3- 4.shared- 5.shared-");
    hand_delete(&fx, "a/3");
    cr_expect_str_eq(line_of(&fx, "a"), "2.shared+ 4.shared+ 5.shared+");
}

Test(lock, as_many_slots_are_granted_as_there_are)
{
    hand_put(&fx, "a/1.slots-2.x", 1);
    hand_put(&fx, "a/1.slots-2.y", 1);
    hand_put(&fx, "a/2.slots-2.z", 2);
    hand_put(&fx, "a/3", 3);
    hand_put(&fx, "a/4.slots-2.z", 4);

    cr_expect_str_eq(line_of(&fx, "a"),
                     "1.slots-2.x+ 1.slots-2.y+ 2.slots-2.z- 3- 4.slots-2.z-");
    hand_delete(&fx, "a/1.slots-2.y");
    cr_expect_str_eq(line_of(&fx, "a"), "1.slots-2.x+ 2.slots-2.z+ 3- 4.slots-2.z-");
    hand_delete(&fx, "a/3");
    cr_expect_str_eq(line_of(&fx, "a"), "1.slots-2.x+ 2.slots-2.z+ 4.slots-2.z-");
}

Test(lock, what_is_not_attached_to_its_lease_is_not_in_the_line)
{
    hand_put(&fx, "a/1", 0);
    hand_put(&fx, "a/2", 3);
    hand_put(&fx, "a/b/4", 4);
    hand_put(&fx, "a/5", 5);
    cr_expect_str_eq(line_of(&fx, "a"), "5+");

    hand_put(&fx, "a/5", 0);
    cr_expect_str_eq(line_of(&fx, "a"), "", "a put without the lease takes it out");
    cr_expect_str_eq(line_of(&fx, "a/b"), "4+");
}

Test(lock, the_end_of_a_lease_takes_its_holds_out)
{
    hand_put(&fx, "a/1", 1);
    hand_put(&fx, "a/2", 2);
    hand_put(&fx, "b/1", 1);
    cr_assert_eq(run_revoke(&fx, 1), API_OK);

    cr_expect_str_eq(line_of(&fx, "a"), "2+");
    cr_expect_str_eq(line_of(&fx, "b"), "");
}

/* etcd #11456. */
Test(lock, a_waiter_whose_lease_died_is_never_granted)
{
    cr_assert_eq(run_grant(&fx, 20, 2), API_OK);
    hand_put(&fx, "a/1", 1);
    hand_put(&fx, "a/14", 20);
    hand_put(&fx, "a/2", 2);
    pass(&fx, 3000);
    hand_delete(&fx, "a/1");

    cr_expect_str_eq(line_of(&fx, "a"), "2+");
}

/* More leases are due than one entry removes. */
Test(lock, a_lease_that_is_due_and_not_yet_removed_holds_nothing)
{
    const int64_t last = 100000 + LIMIT_EXPIRE_WORK + 10;
    char key[32];
    struct slice name;
    int64_t token;

    for (int64_t id = 100000; id <= last; id++) {
        cr_assert_eq(run_grant(&fx, id, 60), API_OK);
    }
    snprintf(key, sizeof(key), "a/%" PRIx64, last);
    name = slice_str(key);
    token = hand_put(&fx, key, last);
    cr_expect_eq(kv_lock_state(fx.kv, name, token), KV_LOCK_GRANTED);
    pass(&fx, 70000);

    cr_expect_eq(inspect(&fx, "a")->n_line, 1, "it is not removed yet");
    cr_expect_eq(kv_lock_state(fx.kv, name, token), KV_LOCK_GONE);
    cr_expect_not(inspect(&fx, "a")->line[0]->granted);
}

Test(lock, keys_that_one_txn_makes_stand_in_order_of_their_names)
{
    Etcdserverpb__RequestOp *b = op_put(&fx, "a/2", "");
    Etcdserverpb__RequestOp *a = op_put(&fx, "a/1", "");

    b->request_put->lease = 2;
    a->request_put->lease = 1;
    cr_assert_eq(run_txn(&fx, txn_new(&fx, NULL, THEN(b, a), NULL)), API_OK);
    hand_put(&fx, "a/3", 3);

    cr_expect_str_eq(line_of(&fx, "a"), "1+ 2- 3-");
    fixture_reopen(&fx);
    cr_expect_str_eq(line_of(&fx, "a"), "1+ 2- 3-");
}

Test(lock, names_with_the_same_beginning_are_other_locks)
{
    hand_put(&fx, "a/1", 1);
    hand_put(&fx, "a/b/1", 1);
    hand_put(&fx, "ab/1", 1);
    hand_put(&fx, "/1", 1);

    cr_expect_str_eq(line_of(&fx, "a"), "1+");
    cr_expect_str_eq(line_of(&fx, "a/b"), "1+");
    cr_expect_str_eq(line_of(&fx, ""), "1+");
}

/* ---- against a naive table ---- */

enum { KEYS = 60, STEPS = 3000 };

/* A key of the naive table. */
struct naive {
    char key[32];
    const char *name;
    int64_t lease;   /* that the key says */
    int64_t created; /* 0: it does not live */
    bool attached;   /* to that lease */
    int mode;
};

static struct naive keys[KEYS];
static const char *const names[] = {"a", "a/b", "c"};
static uint64_t n_told;

static void draw_keys(void)
{
    static const char *const suffixes[] = {"", ".shared", ".slots-2.x", ".slots-2.y",
                                           ".slots-3.x"};

    for (size_t i = 0; i < KEYS; i++) {
        struct naive *key = &keys[i];

        key->name = names[i % 3];
        key->lease = 1 + (int64_t)(i / 3 % 4);
        key->mode = (int)(i / 12);
        snprintf(key->key, sizeof(key->key), "%s/%" PRIx64 "%s", key->name, key->lease,
                 suffixes[key->mode]);
    }
}

static int order(const void *a, const void *b)
{
    const struct naive *x = *(struct naive *const *)a;
    const struct naive *y = *(struct naive *const *)b;

    return x->created != y->created ? (x->created < y->created ? -1 : 1)
                                    : strcmp(x->key, y->key);
}

/* The line as it must be, found by looking at all keys. */
static const char *naive_line(const char *name)
{
    static const size_t most[] = {1, KEYS, 2, 2, 3}; /* by mode */
    static const int kind[] = {0, 1, 2, 2, 3};
    static char text[KEYS * 32];
    struct naive *line[KEYS];
    bool granted = true;
    size_t n = 0;

    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0 && keys[i].created != 0 && keys[i].attached) {
            line[n++] = &keys[i];
        }
    }
    qsort(line, n, sizeof(line[0]), order);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        granted = granted && kind[line[i]->mode] == kind[line[0]->mode] &&
                  i < most[line[i]->mode];
        sprintf(text + strlen(text), "%s%s%c", i > 0 ? " " : "",
                line[i]->key + strlen(name) + 1, granted ? '+' : '-');
    }
    return text;
}

static void naive_put(struct naive *key, int64_t lease)
{
    int64_t rev = hand_put(&fx, key->key, lease);

    key->created = key->created != 0 ? key->created : rev;
    key->attached = lease == key->lease;
}

static void naive_revoke(int64_t lease)
{
    cr_assert_eq(run_revoke(&fx, lease), API_OK);
    cr_assert_eq(run_grant(&fx, lease, 100000), API_OK);
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].lease == lease && keys[i].attached) {
            keys[i].created = 0;
            keys[i].attached = false;
        }
    }
}

static void naive_step(void)
{
    struct naive *key = &keys[draw(KEYS)];

    switch (draw(20)) {
    case 0:
        naive_revoke(1 + (int64_t)draw(4));
        break;
    case 1:
        naive_put(key, 0);
        break;
    case 2:
        put(&fx, "x", "");
        run_compact(&fx, kv_revision(fx.kv));
        kv_upkeep(fx.kv);
        break;
    default:
        if (key->created != 0) {
            hand_delete(&fx, key->key);
            key->created = 0;
            key->attached = false;
        } else {
            naive_put(key, key->lease);
        }
    }
}

static void tell(void *owner, struct slice name, struct slice key, int64_t token)
{
    n_told++;
}

Test(lock, agrees_with_a_naive_table_and_so_after_a_restart, .timeout = 120)
{
    draw_seed();
    draw_keys();
    for (int i = 0; i < STEPS; i++) {
        naive_step();
        if (draw(200) == 0) {
            fixture_reopen(&fx);
        }
        for (size_t n = 0; n < ARRAY_LEN(names); n++) {
            const char *expected = naive_line(names[n]);

            cr_assert_str_eq(line_of(&fx, names[n]), expected, "step %d: %s", i,
                             names[n]);
        }
    }
}

/* ---- what is told ---- */

Test(lock, grants_removals_and_new_values_are_told)
{
    struct kv_options options = {.env = &fx.env,
                                 .path = fx.path,
                                 .fatal = fixture_fatal,
                                 .fatal_owner = &fx,
                                 .lock_changed = tell};

    hand_put(&fx, "a/1", 1);
    fixture_stop(&fx);
    cr_assert_eq(kv_open(&fx.kv, &options, &fx.err), 0);
    cr_expect_eq(n_told, 0, "nothing changes at open");

    hand_put(&fx, "a/2", 2);
    cr_expect_eq(n_told, 0, "it waits");
    hand_put(&fx, "a/1", 1);
    cr_expect_eq(n_told, 1, "a new value");
    hand_delete(&fx, "a/1");
    cr_expect_eq(n_told, 3, "one goes, one is granted");
    hand_put(&fx, "b", 0);
    hand_put(&fx, "b/1", 2);
    cr_expect_eq(n_told, 3, "not of a lock");
}
