/* SQLite on a simulated disk. */
#include "tests/sim/sim_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/limits.h"
#include "tests/sim/sim_disk.h"

static struct sim_disk *sim;
static struct disk *disk;

static void begin(uint64_t seed)
{
    sim = sim_disk_new(seed);
    disk = sim_disk_as_disk(sim);
    sim_vfs_attach(disk);
    sim_vfs_seed(seed);
}

static void end(void)
{
    sim_vfs_detach(disk);
    sim_disk_free(sim);
}

static sqlite3 *open_db(const char *synchronous)
{
    sqlite3 *db;
    char sql[128];

    cr_assert_eq(sqlite3_open_v2("/db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                 disk->sqlite_vfs),
                 SQLITE_OK);
    snprintf(sql, sizeof(sql), "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;",
             synchronous);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t value_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    int64_t value;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW, "%s", sqlite3_errmsg(db));
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

static void check_sound(sqlite3 *db)
{
    sqlite3_stmt *stmt;

    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    cr_assert_str_eq((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
}

Test(sim_vfs, second_connection_sees_what_the_first_committed)
{
    sqlite3 *writer;
    sqlite3 *reader;

    begin(1);
    writer = open_db("NORMAL");
    reader = open_db("NORMAL");
    cr_assert_eq(run(writer, "CREATE TABLE t (x); INSERT INTO t VALUES (7)"), SQLITE_OK);
    cr_assert_eq(value_of(reader, "SELECT x FROM t"), 7);
    cr_assert_eq(run(reader, "BEGIN; SELECT x FROM t"), SQLITE_OK);
    cr_assert_eq(run(writer, "UPDATE t SET x = 8"), SQLITE_OK);

    cr_assert_eq(value_of(reader, "SELECT x FROM t"), 7, "its snapshot");
    cr_assert_eq(run(reader, "COMMIT"), SQLITE_OK);
    cr_assert_eq(value_of(reader, "SELECT x FROM t"), 8);
    sqlite3_close(reader);
    sqlite3_close(writer);
    end();
}

Test(sim_vfs, there_is_one_writer_at_a_time)
{
    sqlite3 *a;
    sqlite3 *b;

    begin(1);
    a = open_db("NORMAL");
    b = open_db("NORMAL");
    cr_assert_eq(run(a, "CREATE TABLE t (x); BEGIN IMMEDIATE"), SQLITE_OK);

    cr_assert_eq(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    cr_assert_eq(run(a, "COMMIT"), SQLITE_OK);
    cr_assert_eq(run(b, "BEGIN IMMEDIATE; COMMIT"), SQLITE_OK);
    sqlite3_close(a);
    sqlite3_close(b);
    end();
}

Test(sim_vfs, checkpoint_waits_for_a_reader)
{
    sqlite3 *writer;
    sqlite3 *reader;
    int in_wal;
    int copied;

    begin(1);
    writer = open_db("NORMAL");
    reader = open_db("NORMAL");
    cr_assert_eq(run(writer, "CREATE TABLE t (x); INSERT INTO t VALUES (1)"), SQLITE_OK);
    cr_assert_eq(run(reader, "BEGIN; SELECT * FROM t"), SQLITE_OK);
    cr_assert_eq(run(writer, "INSERT INTO t VALUES (2)"), SQLITE_OK);

    sqlite3_wal_checkpoint_v2(writer, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &copied);
    cr_assert_lt(copied, in_wal);
    cr_assert_eq(run(reader, "COMMIT"), SQLITE_OK);
    sqlite3_wal_checkpoint_v2(writer, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &copied);
    cr_assert_eq(copied, in_wal);
    sqlite3_close(reader);
    sqlite3_close(writer);
    end();
}

Test(sim_vfs, two_disks_have_databases_of_their_own)
{
    struct disk *first;
    struct sim_disk *first_sim;
    sqlite3 *a;
    sqlite3 *b;

    begin(1);
    first = disk;
    first_sim = sim;
    a = open_db("NORMAL");
    cr_assert_eq(run(a, "CREATE TABLE t (x)"), SQLITE_OK);
    begin(2);
    b = open_db("NORMAL");

    cr_assert_eq(run(b, "CREATE TABLE t (x)"), SQLITE_OK);
    sqlite3_close(b);
    end();
    disk = first;
    sim = first_sim;
    sqlite3_close(a);
    end();
}

Test(sim_vfs, rollback_journal_works_too)
{
    sqlite3 *db;

    begin(1);
    cr_assert_eq(sqlite3_open_v2("/db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                 disk->sqlite_vfs),
                 SQLITE_OK);
    cr_assert_eq(run(db, "CREATE TABLE t (x); BEGIN; INSERT INTO t VALUES (1); ROLLBACK"),
                 SQLITE_OK);
    cr_assert_eq(value_of(db, "SELECT count(*) FROM t"), 0);
    sqlite3_close(db);
    end();
}

Test(sim_vfs, full_disk_is_an_error_that_passes)
{
    sqlite3 *db;

    begin(1);
    db = open_db("NORMAL");
    cr_assert_eq(run(db, "CREATE TABLE t (x)"), SQLITE_OK);
    sim_disk_set_capacity(sim, 256 * KIB);

    cr_assert_eq(run(db, "INSERT INTO t VALUES (randomblob(1000000))"), SQLITE_FULL);
    sim_disk_set_capacity(sim, 100 * MIB);
    cr_assert_eq(run(db, "INSERT INTO t VALUES (randomblob(1000000))"), SQLITE_OK);
    check_sound(db);
    sqlite3_close(db);
    end();
}

/* Commits until the disk dies; the number that was committed. */
static int64_t commit_until_dead(sqlite3 *db, int64_t from)
{
    char sql[160];

    for (int64_t i = from;; i++) {
        snprintf(sql, sizeof(sql),
                 "INSERT INTO t VALUES (%ld, randomblob(300)); "
                 "DELETE FROM t WHERE i %% 7 = 3 AND i < %ld - 20",
                 (long)i, (long)i);
        if (run(db, "BEGIN") != SQLITE_OK || run(db, sql) != SQLITE_OK ||
            run(db, "COMMIT") != SQLITE_OK) {
            return i - 1;
        }
        if (i % 40 == 0) {
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        }
    }
}

static void crash_lives(uint64_t seed, const char *synchronous, bool nothing_is_lost)
{
    int64_t committed = 0;

    begin(seed);
    sqlite3_close(open_db("FULL"));
    disk->ops->sync_dir(disk, "/");
    for (unsigned life = 0; life < 4; life++) {
        sqlite3 *db = open_db(synchronous);
        int64_t last;

        cr_assert_eq(run(db, "CREATE TABLE IF NOT EXISTS t (i INTEGER PRIMARY KEY, b)"),
                     SQLITE_OK, "%s", sqlite3_errmsg(db));
        check_sound(db);
        last = value_of(db, "SELECT coalesce(max(i), 0) FROM t");
        cr_assert_leq(last, committed + 1);
        cr_assert(!nothing_is_lost || last >= committed, "seed %lu", (unsigned long)seed);
        sim_disk_die_after(sim, 100 + seed * 13 % 900);
        committed = commit_until_dead(db, last + 1);
        sqlite3_close(db);
        sim_disk_crash(sim);
    }
    end();
}

Test(sim_vfs, nothing_is_corrupt_after_power_cuts, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        crash_lives(seed, "NORMAL", false);
    }
}

Test(sim_vfs, nothing_is_lost_with_full_syncs, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        crash_lives(seed, "FULL", true);
    }
}

Test(sim_vfs, same_seed_gives_the_same_bytes)
{
    uint8_t *bytes[2];
    ssize_t len[2];

    for (int i = 0; i < 2; i++) {
        struct disk_file *file;
        sqlite3 *db;

        begin(9);
        db = open_db("NORMAL");
        cr_assert_eq(
            run(db, "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(9000))"),
            SQLITE_OK);
        bytes[i] = malloc(100000);
        cr_assert_eq(disk->ops->open(disk, "/db-wal", DISK_READ_ONLY, &file), 0);
        len[i] = disk->ops->read(file, bytes[i], 100000, 0);
        disk->ops->close(file);
        sqlite3_close(db);
        end();
    }

    cr_assert_gt(len[0], 9000);
    cr_assert_eq(len[0], len[1]);
    cr_assert_eq(memcmp(bytes[0], bytes[1], (size_t)len[0]), 0);
    free(bytes[0]);
    free(bytes[1]);
}
