/* The connection to SQLite: how it is opened, set and prepared.
 *
 * Happy path: db_open, a look at what the file is (schema.c), db_keep, tables,
 * db_prepare. What can fail: the file is not a database, is damaged, cannot be written,
 * or the disk is full; the message carries SQLite's words. */
#include "kv/db.h"

#include <string.h>

#define BUSY_MS 5000 /* for a person with sqlite3 on the live file */

/* What history_row reads. */
#define ROW "seq, rev, prev, created, number, lease, checksum, key, value"

static const char *const texts[DB_NSTMTS] = {
    [DB_BEGIN] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",
    [DB_PIN] = "BEGIN",
    [DB_META_LOAD] = "SELECT applied_index, applied_term, cluster_ms, revision,"
                     " compact_revision, seq, row_count, state_sum, removed_sum,"
                     " compact_seq, lease_sum, auth_enabled, auth_revision, auth_sum,"
                     " checksum FROM meta",
    [DB_META_STORE] = "UPDATE meta SET applied_index = ?1, applied_term = ?2,"
                      " cluster_ms = ?3, revision = ?4, compact_revision = ?5,"
                      " seq = ?6, row_count = ?7, state_sum = ?8, removed_sum = ?9,"
                      " compact_seq = ?10, lease_sum = ?11, auth_enabled = ?12,"
                      " auth_revision = ?13, auth_sum = ?14, checksum = ?15"
                      " WHERE id = 1",
    [DB_APPEND] = "INSERT INTO history (seq, rev, prev, created, number, lease, checksum,"
                  " key, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [DB_FETCH] = "SELECT " ROW " FROM history WHERE seq = ?1",
    [DB_FETCH_OLD] = "SELECT " ROW " FROM history WHERE seq = ?1",
    [DB_SEEK] = "SELECT seq, rev FROM history WHERE seq >= ?1 ORDER BY seq LIMIT 1",
    [DB_FOLLOW] = "SELECT " ROW " FROM history WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [DB_WALK] = "SELECT seq, rev, prev, number, key FROM history WHERE seq > ?1"
                " ORDER BY seq LIMIT ?2",
    [DB_SUM] = "SELECT checksum FROM history WHERE seq = ?1",
    [DB_REMOVE] = "DELETE FROM history WHERE seq = ?1",
    [DB_MEMBER_STORE] = "INSERT OR REPLACE INTO member (id, publish) VALUES (?1, ?2)",
    [DB_MEMBER_LOAD] = "SELECT publish FROM member",
    [DB_LEASE_APPEND] = "INSERT INTO lease (row, checksum, records) VALUES (?1, ?2, ?3)",
    [DB_LEASE_REMOVE] = "DELETE FROM lease WHERE row = ?1",
    [DB_LEASE_LOAD] = "SELECT row, checksum, records FROM lease WHERE row > ?1"
                      " ORDER BY row LIMIT ?2",
    [DB_AUTH_STORE] = "INSERT OR REPLACE INTO auth (row, kind, checksum, record)"
                      " VALUES (?1, ?2, ?3, ?4)",
    [DB_AUTH_REMOVE] = "DELETE FROM auth WHERE row = ?1",
    [DB_AUTH_LOAD] = "SELECT row, kind, checksum, record FROM auth WHERE row > ?1"
                     " ORDER BY row LIMIT ?2",
    [DB_PAGES] = "PRAGMA page_count",
    [DB_PAGES_FREE] = "PRAGMA freelist_count",
};

int db_error(const struct db *db, struct err *err, const char *what)
{
    int rc = db->conn != NULL ? sqlite3_errcode(db->conn) : SQLITE_NOMEM;
    const char *text = db->conn != NULL ? sqlite3_errmsg(db->conn) : "out of memory";

    switch (rc) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* our statements are right: the tables are others */
        return err_set(err, ERR_CORRUPT, "%s: %s; re-seed this member", what, text);
    case SQLITE_FULL:
        return err_set(err, ERR_FULL, "%s: %s; free some disk space", what, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_BUSY, "%s: %s; another process uses the file", what,
                       text);
    default:
        return err_set(err, ERR_IO, "%s: %s", what, text);
    }
}

int db_exec(struct db *db, const char *sql, const char *what, struct err *err)
{
    if (sqlite3_exec(db->conn, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return db_error(db, err, what);
    }
    return 0;
}

int db_int(struct db *db, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(db->conn, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        rc = db_error(db, err, sql);
    } else {
        *out = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int note_commit(void *db, sqlite3 *conn, const char *name, int frames)
{
    ((struct db *)db)->wal_frames = frames;
    return SQLITE_OK;
}

void db_moved(struct db *db)
{
    sqlite3_wal_hook(db->conn, note_commit, db);
}

int db_open(struct db *db, const char *path, const char *vfs, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    *db = (struct db){0};
    if (sqlite3_open_v2(path, &db->conn, flags, vfs) != SQLITE_OK) {
        int rc = db_error(db, err, "open");

        db_close(db);
        return rc;
    }
    sqlite3_busy_timeout(db->conn, BUSY_MS);
    db_abandon(db);
    return 0;
}

void db_abandon(struct db *db)
{
    sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

int db_keep(struct db *db, struct err *err)
{
    /* Debian switches secure_delete on; mapped pages would count as resident memory. */
    static const char settings[] = "PRAGMA synchronous = NORMAL;"
                                   "PRAGMA secure_delete = OFF;"
                                   "PRAGMA cache_size = -16384;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA trusted_schema = OFF;";
    sqlite3_stmt *stmt = NULL;
    int rc = db_exec(db, "PRAGMA page_size = 4096", "set the page size", err);

    if (rc != 0) {
        return rc;
    }
    if (sqlite3_prepare_v2(db->conn, "PRAGMA journal_mode = WAL", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        rc = db_error(db, err, "PRAGMA journal_mode = WAL");
    } else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0) {
        rc = err_set(err, ERR_UNSUPPORTED, "this file system cannot hold a WAL");
    }
    sqlite3_finalize(stmt);
    if (rc != 0) {
        return rc;
    }
    db_moved(db);
    sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return db_exec(db, settings, "apply the settings", err);
}

int db_prepare(struct db *db, struct err *err)
{
    for (int i = 0; i < DB_NSTMTS; i++) {
        if (sqlite3_prepare_v3(db->conn, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->stmts[i], NULL) != SQLITE_OK) {
            return db_error(db, err, "prepare a statement");
        }
    }
    return 0;
}

void db_close(struct db *db)
{
    for (int i = 0; i < DB_NSTMTS; i++) {
        sqlite3_finalize(db->stmts[i]);
    }
    sqlite3_close_v2(db->conn);
    *db = (struct db){0};
}
