/* A connection to SQLite with the settings and prepared statements of the state machine.
 */
#ifndef KVD_KV_DB_H
#define KVD_KV_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define DB_PAGE_BYTES 4096

enum db_stmt {
    DB_BEGIN,
    DB_COMMIT,
    DB_PIN, /* begins a transaction that only reads */
    DB_META_LOAD,
    DB_META_STORE,
    DB_APPEND,
    DB_FETCH,
    DB_FETCH_OLD, /* the same, while a row of DB_FETCH is in use */
    DB_SEEK,      /* the first row at or after one: seq and rev */
    DB_FOLLOW,    /* rows after one, whole */
    DB_WALK,      /* rows after one, as compaction needs them */
    DB_SUM,
    DB_REMOVE,
    DB_MEMBER_STORE,
    DB_MEMBER_LOAD,
    DB_LEASE_APPEND,
    DB_LEASE_REMOVE,
    DB_LEASE_LOAD, /* rows after one */
    DB_AUTH_STORE,
    DB_AUTH_REMOVE,
    DB_AUTH_LOAD, /* rows after one */
    DB_PAGES,
    DB_PAGES_FREE,
    DB_NSTMTS,
};

struct db {
    sqlite3 *conn;
    sqlite3_stmt *stmts[DB_NSTMTS];
    int wal_frames; /* in the WAL after the last commit */
};

/* Opens the file, made when missing, for a check by schema.c; closing leaves the file and
 * its WAL as they are until db_keep was called. */
int db_open(struct db *db, const char *path, const char *vfs, struct err *err);

/* The file is ours: WAL mode, settings; closing the last connection folds the WAL in. */
int db_keep(struct db *db, struct err *err);
int db_prepare(struct db *db, struct err *err);
void db_close(struct db *db);

/* The struct was moved, by assignment. */
void db_moved(struct db *db);

/* Before db_close: leaves the WAL as it is. */
void db_abandon(struct db *db);

/* Runs statements that return nothing worth reading; what goes into the message. */
int db_exec(struct db *db, const char *sql, const char *what, struct err *err);
int db_int(struct db *db, const char *sql, int64_t *out, struct err *err);

/* The connection's last error as ours, with what was being done. */
int db_error(const struct db *db, struct err *err, const char *what);

static inline struct slice db_blob(sqlite3_stmt *stmt, int column)
{
    const void *ptr = sqlite3_column_blob(stmt, column);

    return slice_of(ptr, (size_t)sqlite3_column_bytes(stmt, column));
}

#endif
