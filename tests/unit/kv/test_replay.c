/* The same entries give the same state everywhere: whatever the batches, restarts, slices
 * of compaction, and whether anybody waits for the results. */
#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/model.h"
#include "tests/unit/kv/workload.h"

enum { ENTRIES = 1500, MEMBERS = 3 };

static struct fixture fx[MEMBERS];
static struct model m;
static struct slice entries[ENTRIES];
static uint64_t hashes[ENTRIES + 1]; /* by applied index, as the first member had them */

static void open_stores(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        fixture_open(&fx[i]);
    }
    model_init(&m);
    draw_seed();
}

static void close_stores(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        fixture_close(&fx[i]);
    }
}

TestSuite(replay, .init = open_stores, .fini = close_stores);

static Kvd__Command__Command *draw_publish(void)
{
    Kvd__Command__Publish *publish =
        message_new(&fx[0], &kvd__command__publish__descriptor);

    publish->member_id = draw(3) + 1;
    publish->store_id = draw(1000);
    publish->name = (char *)(draw(2) == 0 ? "one" : "other");
    return command_new(&fx[0], KVD__COMMAND__COMMAND__REQUEST_PUBLISH, publish);
}

static void draw_entries(void)
{
    for (int i = 0; i < ENTRIES; i++) {
        Kvd__Command__Command *commands[4];
        size_t n = draw(5);

        model_time(&m, (uint64_t)(i + 1) * 7);
        for (size_t c = 0; c < n; c++) {
            if (draw(20) == 0) {
                commands[c] =
                    draw(2) == 0 ? draw_publish() : churn_auth(&fx[0], draw(90));
            } else {
                commands[c] = draw_command(&fx[0], &m);
                free(model_apply(&m, commands[c]));
            }
        }
        entries[i] = batch_of(&fx[0], commands, n);
    }
}

static void apply(struct fixture *f, uint64_t index, bool waits)
{
    struct kv_waiters waiters = {fixture_find, fixture_applied, f};
    struct kv_entry entry = {.index = index,
                             .term = 1 + index / 100,
                             .cluster_ms = index * 7,
                             .payload = entries[index - 1]};

    kv_apply(f->kv, &entry, waits ? &waiters : NULL);
}

/* How a member goes about it. */
struct habit {
    uint64_t batch_max;
    uint64_t restart_in; /* one batch in so many is followed by a restart */
    uint64_t upkeep_max; /* slices after a batch */
    bool waits;
};

static const struct habit habits[MEMBERS] = {
    {.batch_max = 1, .restart_in = 400, .upkeep_max = 2, .waits = true},
    {.batch_max = 50, .restart_in = 10, .upkeep_max = 1, .waits = false},
    {.batch_max = 300, .restart_in = 3, .upkeep_max = 40, .waits = false},
};

static void replay(struct fixture *f, const struct habit *habit)
{
    uint64_t index = 0;

    while (index < ENTRIES) {
        uint64_t n = 1 + draw(habit->batch_max);

        kv_begin(f->kv);
        for (; n > 0 && index < ENTRIES; n--) {
            apply(f, ++index, habit->waits);
            if (f == &fx[0]) {
                hashes[index] = kv_state_hash(f->kv);
            }
            cr_assert_eq(kv_state_hash(f->kv), hashes[index], "index %" PRIu64, index);
        }
        kv_commit(f->kv);
        for (n = draw(habit->upkeep_max + 1); n > 0; n--) {
            kv_upkeep(f->kv);
            cr_assert_eq(kv_state_hash(f->kv), hashes[index], "slices do not count");
        }
        if (draw(habit->restart_in) == 0) {
            fixture_reopen(f);
            cr_assert_eq(kv_applied_index(f->kv), index);
            cr_assert_eq(kv_state_hash(f->kv), hashes[index], "nor do restarts");
        }
    }
}

Test(replay, same_entries_give_the_same_state, .timeout = 300)
{
    draw_entries();
    for (int i = 0; i < MEMBERS; i++) {
        replay(&fx[i], &habits[i]);
    }
    for (int i = 0; i < MEMBERS; i++) {
        Etcdserverpb__RangeRequest *req = range_new(&fx[i], "k", "l");
        struct text want = {.bytes = mem_strdup("")};

        cr_expect_eq(kv_revision(fx[i].kv), m.rev);
        cr_expect(kv_rescan_step(fx[i].kv));
        model_range(&m, req, &want);
        expect_range(&fx[i], req, want.bytes);
        free(want.bytes);
    }
}

Test(replay, one_different_byte_gives_another_hash)
{
    put(&fx[0], "a", "1");
    put(&fx[1], "a", "2");
    cr_expect_neq(kv_state_hash(fx[0].kv), kv_state_hash(fx[1].kv));
    put(&fx[0], "a", "3");
    put(&fx[1], "a", "3");
    cr_expect_neq(kv_state_hash(fx[0].kv), kv_state_hash(fx[1].kv), "and stays another");
}
