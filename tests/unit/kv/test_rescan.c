/* The rescan: good stores pass, whatever goes on meanwhile; bit rot is found. */
#include <sqlite3.h>

#include "base/log.h"
#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void drop_line(void *owner, const char *line)
{
    ++*(int *)owner;
}

static int n_lines;

static void open_store(void)
{
    log_redirect(drop_line, &n_lines);
    fixture_open(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(rescan, .init = open_store, .fini = close_store);

enum { KEYS = 1000 };

static void put_round(void)
{
    char key[16];

    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%04d", i);
        put(&fx, key, "v");
    }
}

/* Enough steps for more than one pass. */
static bool rescan_passes(void)
{
    for (int i = 0; i < 4 * KEYS / LIMIT_RESCAN_SLICE; i++) {
        if (!kv_rescan_step(fx.kv)) {
            return false;
        }
    }
    return true;
}

/* Behind the back of the store, which is open. */
static void sql(const char *text)
{
    sqlite3 *conn = NULL;

    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(conn, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(conn);
}

Test(rescan, passes_on_a_good_store)
{
    cr_expect(rescan_passes());
    put_round();
    cr_expect(rescan_passes());
    cr_expect_eq(n_lines, 0);
}

Test(rescan, passes_while_writes_and_compaction_go_on)
{
    put_round();
    put_round();
    run_compact(&fx, KEYS + 500);
    for (int i = 0; i < 200; i++) {
        char key[16];

        cr_assert(kv_rescan_step(fx.kv), "step %d", i);
        kv_upkeep(fx.kv);
        snprintf(key, sizeof(key), "k%04d", i);
        put(&fx, key, "w");
        if (i % 40 == 39) {
            run_compact(&fx, kv_revision(fx.kv) - 20);
        }
    }
    cr_expect(rescan_passes());
}

Test(rescan, finds_a_changed_value)
{
    put_round();
    sql("UPDATE history SET value = x'78' WHERE seq = 700");
    cr_expect_not(rescan_passes());
    cr_expect_eq(n_lines, 1);
}

Test(rescan, finds_a_changed_checksum)
{
    put_round();
    sql("UPDATE history SET checksum = checksum + 1 WHERE seq = 700");
    cr_expect_not(rescan_passes());
}

Test(rescan, finds_a_row_that_went_without_a_trace)
{
    put_round();
    sql("DELETE FROM history WHERE seq = 10");
    cr_expect_not(rescan_passes());
}
