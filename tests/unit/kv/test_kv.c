/* Opening and closing: what is kept, what is refused, and that a refused file is
 * untouched. */
#include <sqlite3.h>
#include <xxhash.h>

#include "base/log.h"
#include "kv/auth.h"
#include "kv/db.h"
#include "kv/hash.h"
#include "kv/history.h"
#include "kv/schema.h"
#include "tests/unit/kv/fixture.h"

static struct fixture fx;

static void drop_line(void *owner, const char *line)
{
}

static void prepare(void)
{
    log_redirect(drop_line, NULL);
    fixture_prepare(&fx);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(kv, .init = prepare, .fini = close_store);

static void open_store(void)
{
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
}

/* Runs SQL on the closed file. */
static void sql(const char *text)
{
    sqlite3 *conn = NULL;
    char *message = NULL;

    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(conn, text, NULL, NULL, &message), SQLITE_OK, "%s",
                 message);
    sqlite3_close(conn);
}

static void expect_refused(int code, const char *part)
{
    cr_expect_eq(fixture_try_open(&fx), code, "%s", err_name(fx.err.code));
    cr_expect_null(fx.kv);
    cr_expect_not_null(strstr(fx.err.text, part), "%s", fx.err.text);
    cr_expect_not_null(strstr(fx.err.text, fx.path), "%s", fx.err.text);
}

static struct slice file_bytes(void)
{
    FILE *file = fopen(fx.path, "r");
    uint8_t *bytes = arena_alloc(&fx.arena, 8 * MIB);
    size_t len;

    cr_assert_not_null(file);
    len = fread(bytes, 1, 8 * MIB, file);
    fclose(file);
    return slice_of(bytes, len);
}

/* ---- what is kept ---- */

Test(kv, everything_is_there_after_a_restart)
{
    uint64_t hash;

    open_store();
    put(&fx, "a", "1");
    put(&fx, "b", "1");
    put(&fx, "a", "2");
    remove_keys(&fx, "b", NULL);
    run_compact(&fx, 3);
    hash = kv_state_hash(fx.kv);
    fixture_reopen(&fx);

    cr_expect_eq(kv_applied_index(fx.kv), 5);
    cr_expect_eq(kv_applied_term(fx.kv), 1);
    cr_expect_eq(kv_cluster_ms(fx.kv), 50);
    cr_expect_eq(kv_revision(fx.kv), 5);
    cr_expect_eq(kv_compact_revision(fx.kv), 3);
    cr_expect_eq(kv_state_hash(fx.kv), hash);
    expect_get(&fx, "a", "", 0, "@5 #1 a=2(2,4,2)");
    expect_get(&fx, "a", "", 3, "@5 #2 a=1(2,2,1) b=1(3,3,1)");
}

Test(kv, files_are_for_the_owner_alone)
{
    struct stat st;
    char wal[sizeof(fx.path) + 8];

    open_store();
    put(&fx, "a", "1");
    snprintf(wal, sizeof(wal), "%s-wal", fx.path);
    cr_assert_eq(stat(fx.path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(stat(wal, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
}

Test(kv, close_folds_the_wal_into_the_file)
{
    char wal[sizeof(fx.path) + 8];

    open_store();
    put(&fx, "a", "1");
    fixture_stop(&fx);

    snprintf(wal, sizeof(wal), "%s-wal", fx.path);
    cr_expect_neq(access(wal, F_OK), 0);
}

Test(kv, close_of_nothing_is_fine)
{
    kv_close(NULL);
}

Test(kv, several_stores_live_in_one_process)
{
    struct fixture other;

    open_store();
    fixture_open(&other);
    put(&fx, "a", "1");
    put(&other, "a", "2");
    put(&other, "b", "2");
    expect_get(&fx, "a", "", 0, "@2 #1 a=1(2,2,1)");
    expect_get(&other, "a", "", 0, "@3 #2 a=2(2,2,1) b=2(3,3,1)");
    fixture_close(&other);
}

Test(kv, file_of_length_zero_is_a_fresh_store)
{
    fclose(fopen(fx.path, "w"));
    open_store();
    cr_expect_eq(kv_revision(fx.kv), 1);
}

/* ---- what is refused ---- */

Test(kv, newer_format_is_refused_and_left_alone)
{
    struct slice before;
    struct slice after;

    open_store();
    put(&fx, "a", "1");
    fixture_stop(&fx);
    sql("PRAGMA user_version = 4");
    before = file_bytes();
    expect_refused(ERR_VERSION, "written in format 4");
    after = file_bytes();

    cr_expect(slice_eq(before, after));
}

#define TO_FORMAT_2                                                                      \
    "ALTER TABLE meta DROP COLUMN auth_enabled; ALTER TABLE meta DROP COLUMN"            \
    " auth_revision; ALTER TABLE meta DROP COLUMN auth_sum; DROP TABLE auth;"            \
    " PRAGMA user_version = 2;"
#define TO_FORMAT_1                                                                      \
    "ALTER TABLE meta DROP COLUMN lease_sum; DROP TABLE lease; PRAGMA user_version = 1"

/* The meta row as an older format wrote it: its checksum covered fewer numbers. */
static void move_down(size_t n, const char *steps)
{
    uint64_t numbers[11];
    sqlite3 *conn = NULL;
    sqlite3_stmt *stmt = NULL;
    char text[128];

    fixture_stop(&fx);
    cr_assert_eq(sqlite3_open(fx.path, &conn), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(conn,
                                    "SELECT applied_index, applied_term, cluster_ms,"
                                    " revision, compact_revision, seq, row_count,"
                                    " state_sum, removed_sum, compact_seq, lease_sum"
                                    " FROM meta",
                                    -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (uint64_t)sqlite3_column_int64(stmt, (int)i);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(conn);
    snprintf(text, sizeof(text), "UPDATE meta SET checksum = %" PRId64,
             (int64_t)XXH3_64bits(numbers, n * sizeof(numbers[0])));
    sql(text);
    sql(steps);
}

static void expect_moved_up(size_t n, const char *steps)
{
    open_store();
    put(&fx, "a", "1");
    move_down(n, steps);
    cr_assert_eq(fixture_try_open(&fx), 0, "%s", fx.err.text);
    expect_get(&fx, "a", "", 0, "@2 #1 a=1(2,2,1)");
    cr_expect_eq(kv_auth_revision(fx.kv), 1);
    cr_expect_not(kv_auth_enabled(fx.kv));
    put(&fx, "a", "2");
    fixture_reopen(&fx);
    expect_get(&fx, "a", "", 0, "@3 #1 a=2(2,3,2)");
    for (int i = 0; i < 3; i++) {
        cr_expect(kv_rescan_step(fx.kv));
    }
}

Test(kv, format_1_is_moved_up_with_all_it_holds)
{
    expect_moved_up(10, TO_FORMAT_2 TO_FORMAT_1);
}

Test(kv, format_2_is_moved_up_with_all_it_holds)
{
    expect_moved_up(11, TO_FORMAT_2);
}

Test(kv, database_of_another_program_is_refused)
{
    sql("CREATE TABLE history (x); PRAGMA application_id = 1");
    expect_refused(ERR_INVALID, "another program");
}

Test(kv, file_that_is_no_database_is_refused)
{
    FILE *file = fopen(fx.path, "w");

    for (int i = 0; i < 1000; i++) {
        fputs("not a database\n", file);
    }
    fclose(file);
    expect_refused(ERR_CORRUPT, "not a database");
}

Test(kv, directory_that_is_missing_is_refused)
{
    char path[sizeof(fx.path)];

    strcpy(path, fx.path);
    strcpy(fx.path, fx.dir);
    strcat(fx.path, "/nowhere/state.db");
    expect_refused(ERR_IO, "No such file");
    strcpy(fx.path, path);
}

/* Each of these is one lie in the file. */
static const struct lie {
    const char *sql;
    const char *part;
} lies[] = {
    {"UPDATE meta SET applied_index = applied_index + 1", "meta row"},
    {"UPDATE meta SET revision = 1", "meta row"},
    {"UPDATE meta SET state_sum = 0", "meta row"},
    {"DELETE FROM meta", "meta row"},
    {"DELETE FROM history WHERE seq = 1", "contradicts"},
    {"DELETE FROM history WHERE seq = 3", "holds 3 rows and should hold 4"},
    {"UPDATE history SET seq = 9 WHERE seq = 4", "contradicts"},
    {"UPDATE history SET rev = 99 WHERE seq = 4", "contradicts"},
    {"UPDATE history SET rev = 2 WHERE seq = 3", "contradicts"},
    {"UPDATE history SET key = x'61' WHERE seq = 3", "contradicts"},
    {"UPDATE history SET key = x'' WHERE seq = 1", "contradicts"},
    {"UPDATE history SET number = 5 WHERE seq = 2", "contradicts"},
    {"UPDATE history SET created = 3 WHERE seq = 2", "contradicts"},
    {"UPDATE history SET prev = 0 WHERE seq = 2", "contradicts"},
    {"UPDATE history SET number = 0 WHERE seq = 2", "contradicts"},
    {"UPDATE history SET prev = 7 WHERE seq = 3", "contradicts"},
    {"INSERT INTO history VALUES (5, 5, 0, 5, 1, 0, 0, x'63', x'')", "contradicts"},
    {"INSERT INTO member VALUES (1, x'ffff')", "member"},
};

/* The checksums fit what the rows say. */
static void seal_rows(void)
{
    struct db db;

    cr_assert_eq(schema_open(&db, fx.path, NULL, NULL), 0);
    sqlite3_bind_int64(db.stmts[DB_FOLLOW], 1, 0);
    sqlite3_bind_int64(db.stmts[DB_FOLLOW], 2, -1);
    while (sqlite3_step(db.stmts[DB_FOLLOW]) == SQLITE_ROW) {
        char text[128];
        struct row row;

        history_row(db.stmts[DB_FOLLOW], &row);
        snprintf(text, sizeof(text),
                 "UPDATE history SET checksum = %" PRId64 " WHERE seq = %" PRId64,
                 (int64_t)row.hash, row.seq);
        cr_assert_eq(db_exec(&db, text, "seal", NULL), 0);
    }
    db_close(&db);
}

Test(kv, contradictions_are_found_at_open)
{
    open_store();
    put(&fx, "a", "1");
    put(&fx, "a", "2");
    put(&fx, "b", "1");
    remove_keys(&fx, "a", NULL);
    fixture_stop(&fx);

    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        char copy[160];
        char command[400];

        snprintf(copy, sizeof(copy), "%s/copy", fx.dir);
        snprintf(command, sizeof(command), "cp %s %s", fx.path, copy);
        cr_assert_eq(system(command), 0);
        sql(lies[i].sql);
        seal_rows();
        expect_refused(ERR_CORRUPT, lies[i].part);
        cr_assert_eq(rename(copy, fx.path), 0);
    }
    open_store();
}

/* ---- more rows than are taken into the index at a time ---- */

#define LONG_KEY  (100 * KIB)
#define LONG_KEYS (3 * (int)(LIMIT_LOAD_BYTES / LONG_KEY))

static const char *long_key(int i)
{
    static char key[LONG_KEY + 1];

    memset(key, 'k', LONG_KEY);
    snprintf(key, 16, "%08d", i);
    key[8] = 'k';
    return key;
}

/* Two rows of each key, which come in different batches. */
static void fill_batches(void)
{
    for (int i = 0; i < 2 * LONG_KEYS; i++) {
        put(&fx, long_key(i % LONG_KEYS), i < LONG_KEYS ? "old" : "new");
    }
}

Test(kv, rows_of_many_batches_are_found_again, .timeout = 60)
{
    uint64_t hash;

    open_store();
    fill_batches();
    hash = kv_state_hash(fx.kv);
    fixture_reopen(&fx);

    cr_assert_eq(kv_state_hash(fx.kv), hash);
    for (int i = 0; i < LONG_KEYS; i++) {
        put(&fx, long_key(i), "newest");
        cr_assert_eq(fx.status, API_OK);
    }
    fixture_reopen(&fx);
}

Test(kv, the_first_row_that_contradicts_is_named, .timeout = 60)
{
    static const char *const sqls[] = {
        "UPDATE history SET number = 9 WHERE seq = 30", /* seen by the one thread */
        "UPDATE history SET rev = 1 WHERE seq = 50",    /* by the other */
    };
    char part[32];

    open_store();
    fill_batches();
    fixture_stop(&fx);
    sql("UPDATE history SET number = 9 WHERE seq = 90");
    for (size_t i = ARRAY_LEN(sqls); i-- > 0;) {
        sql(sqls[i]);
        seal_rows();
        snprintf(part, sizeof(part), "row %d of the history", i == 0 ? 30 : 50);
        expect_refused(ERR_CORRUPT, part);
    }
}
