/* Kills in the middle: what was committed is there, and the applied index is exactly that
 * of the rows. A planted bug shows that the test would see the difference. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/kv/auths.h"
#include "tests/unit/kv/leases.h"

#define WORK_LIMIT_MS 10000 /* until a child has committed something */

static struct fixture fx;
static atomic_uint *n_commits; /* of the child, in memory that it shares with us */

static void prepare(void)
{
    fixture_prepare(&fx);
    n_commits = mmap(NULL, sizeof(*n_commits), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)n_commits, MAP_FAILED);
}

static void close_store(void)
{
    fixture_close(&fx);
    munmap((void *)n_commits, sizeof(*n_commits));
}

TestSuite(crash, .init = prepare, .fini = close_store, .timeout = 120);

/* Every tenth entry compacts, all others put; each does something to leases,
 * users or roles. */
static int64_t n_puts_upto(uint64_t index)
{
    return (int64_t)(index - index / 10);
}

static void apply_next(uint64_t index)
{
    Kvd__Command__Command *commands[] = {NULL, churn_leases(&fx, index),
                                         churn_auth(&fx, index)};
    Etcdserverpb__PutRequest *put;
    char key[16];
    char value[32];

    if (index % 10 == 0) {
        Etcdserverpb__CompactionRequest *req =
            message_new(&fx, &etcdserverpb__compaction_request__descriptor);

        req->revision = kv_revision(fx.kv) - 3;
        commands[0] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_COMPACT, req);
    } else {
        snprintf(key, sizeof(key), "k%02d", (int)(index % 50));
        snprintf(value, sizeof(value), "v%" PRIu64, index);
        put = put_new(&fx, key, value);
        put->lease = churned_lease(&fx, index);
        commands[0] = command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_PUT, put);
    }
    fixture_entry(&fx, batch_of(&fx, commands, ARRAY_LEN(commands)));
}

/* Applies until somebody kills it. */
static _Noreturn void work(unsigned plants)
{
    struct kv_options options = {.env = &fx.env, .path = fx.path};

    alarm(60);
    if (kv_open(&fx.kv, &options, NULL) != 0) {
        abort();
    }
    kv_set_plants(fx.kv, plants);
    for (uint64_t turn = 0;; turn++) {
        kv_begin(fx.kv);
        for (uint64_t i = 0; i <= turn % 7; i++) {
            apply_next(kv_applied_index(fx.kv) + 1);
        }
        kv_commit(fx.kv);
        atomic_fetch_add(n_commits, 1);
        kv_upkeep(fx.kv);
        fixture_work(&fx);
        arena_reset(&fx.arena);
    }
}

static void pause_us(unsigned us)
{
    struct timespec pause = {.tv_nsec = (long)us * 1000};

    nanosleep(&pause, NULL);
}

/* at_work: not before the child has committed something; else perhaps while it opens. */
static void run_and_kill(unsigned plants, unsigned after_us, bool at_work)
{
    pid_t child;
    int status;

    atomic_store(n_commits, 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        work(plants);
    }
    for (int ms = 0; at_work && atomic_load(n_commits) == 0; ms++) {
        cr_assert_lt(ms, WORK_LIMIT_MS, "the child does nothing");
        pause_us(1000);
    }
    pause_us(after_us);
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
    cr_assert_eq(WTERMSIG(status), SIGKILL);
}

/* Times after which to kill: a spread without a pattern. */
static unsigned kill_after_us(int round)
{
    return 4000 + (unsigned)round * 7919u % 20000u;
}

Test(crash, kill_at_any_time_leaves_index_and_rows_together)
{
    uint64_t before = 0;

    for (int round = 0; round < 60; round++) {
        run_and_kill(0, kill_after_us(round), round % 3 != 0);
        cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
        cr_assert_geq(kv_applied_index(fx.kv), before);
        before = kv_applied_index(fx.kv);
        cr_assert_eq(kv_revision(fx.kv), 1 + n_puts_upto(before));
        cr_assert(kv_rescan_step(fx.kv));
        fixture_stop(&fx);
    }
    cr_assert_geq(before, 40, "two thirds of the children were at work");
}

Test(crash, applied_index_in_a_transaction_of_its_own_is_noticed)
{
    bool noticed = false;

    for (int round = 0; round < 300 && !noticed; round++) {
        run_and_kill(KV_PLANT_APPLIED_OUTSIDE_TXN, kill_after_us(round), true);
        cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
        noticed = kv_revision(fx.kv) != 1 + n_puts_upto(kv_applied_index(fx.kv));
        fixture_stop(&fx);
    }
    cr_expect(noticed);
}
