/* The tables of the state machine and the format of its file.
 *
 * Happy path: the file says that it is ours (application id) and of our format (user
 * version), or it is empty and gets the tables and the first meta row in one transaction;
 * a file of an older format is moved up to ours in one transaction, too. What can fail: a
 * file of another program, a newer format, or an error of SQLite; then the file is left
 * as it was.
 *
 * history holds every change of a key in order; seq counts them without gaps, prev is the
 * seq of the key's version before. The value comes last, so that rows can be read without
 * fetching the pages of a long one. lease is a log of the leases (lease_store.c);
 * auth has a row for each user and role (auth_store.c). meta has one row: how far the log
 * was applied, what the store counts, and a checksum over it. */
#include "kv/schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "kv/meta.h"

#define APPLICATION_ID 0x6b766431 /* "kvd1" */

#define LEASE_TABLE                                                                      \
    "CREATE TABLE lease (row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL,"            \
    " records BLOB NOT NULL);"

#define AUTH_TABLE                                                                       \
    "CREATE TABLE auth (row INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"                 \
    " checksum INTEGER NOT NULL, record BLOB NOT NULL);"

static const char tables[] =
    "CREATE TABLE history (seq INTEGER PRIMARY KEY, rev INTEGER NOT NULL,"
    " prev INTEGER NOT NULL, created INTEGER NOT NULL, number INTEGER NOT NULL,"
    " lease INTEGER NOT NULL, checksum INTEGER NOT NULL, key BLOB NOT NULL, value BLOB);"
    "CREATE TABLE meta (id INTEGER PRIMARY KEY, applied_index INTEGER NOT NULL,"
    " applied_term INTEGER NOT NULL, cluster_ms INTEGER NOT NULL,"
    " revision INTEGER NOT NULL, compact_revision INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " row_count INTEGER NOT NULL, state_sum INTEGER NOT NULL,"
    " removed_sum INTEGER NOT NULL, compact_seq INTEGER NOT NULL,"
    " lease_sum INTEGER NOT NULL, auth_enabled INTEGER NOT NULL,"
    " auth_revision INTEGER NOT NULL, auth_sum INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL);"
    "CREATE TABLE member (id INTEGER PRIMARY KEY, publish BLOB NOT NULL);" LEASE_TABLE
        AUTH_TABLE
    "INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);";

static int create(struct db *db, struct err *err)
{
    static const char what[] = "make the tables";
    struct meta first = META_INIT;
    char marks[96];
    int rc;

    snprintf(marks, sizeof(marks), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, SCHEMA_FORMAT);
    if ((rc = db_exec(db, "BEGIN IMMEDIATE", what, err)) != 0 ||
        (rc = db_exec(db, tables, what, err)) != 0 ||
        (rc = db_exec(db, marks, what, err)) != 0 || (rc = db_prepare(db, err)) != 0) {
        return rc;
    }
    if (!meta_store(db, &first)) {
        return db_error(db, err, what);
    }
    return db_exec(db, "COMMIT", what, err);
}

/* What older formats lack. */
#define TO_FORMAT_2                                                                      \
    "ALTER TABLE meta ADD COLUMN lease_sum INTEGER NOT NULL DEFAULT 0;" LEASE_TABLE
#define TO_FORMAT_3                                                                      \
    "ALTER TABLE meta ADD COLUMN auth_enabled INTEGER NOT NULL DEFAULT 0;"               \
    "ALTER TABLE meta ADD COLUMN auth_revision INTEGER NOT NULL DEFAULT 1;"              \
    "ALTER TABLE meta ADD COLUMN auth_sum INTEGER NOT NULL DEFAULT 0;" AUTH_TABLE        \
    "PRAGMA user_version = 3"

static int upgrade(struct db *db, int format, const char *steps, struct err *err)
{
    static const char what[] = "move the file up to this format";
    int rc;

    if ((rc = db_exec(db, "BEGIN IMMEDIATE", what, err)) != 0 ||
        (rc = db_exec(db, steps, what, err)) != 0 || (rc = db_prepare(db, err)) != 0 ||
        (rc = meta_upgrade(db, format, err)) != 0) {
        return rc;
    }
    return db_exec(db, "COMMIT", what, err);
}

/* Format 1 knew no leases. */
static int upgrade_1(struct db *db, struct err *err)
{
    return upgrade(db, 1, TO_FORMAT_2 TO_FORMAT_3, err);
}

/* Format 2 knew no users and roles. */
static int upgrade_2(struct db *db, struct err *err)
{
    return upgrade(db, 2, TO_FORMAT_3, err);
}

/* Whose file is it? *format: 0 when it is nobody's yet. */
static int identify(struct db *db, int64_t *format_out, struct err *err)
{
    int64_t n_tables = 0;
    int64_t application = 0;
    int64_t format = 0;
    int rc;

    if ((rc = db_int(db, "SELECT count(*) FROM sqlite_schema", &n_tables, err)) != 0 ||
        (rc = db_int(db, "PRAGMA application_id", &application, err)) != 0 ||
        (rc = db_int(db, "PRAGMA user_version", &format, err)) != 0) {
        return rc;
    }
    if (n_tables == 0 && application == 0) {
        *format_out = 0;
        return 0;
    }
    if (application != APPLICATION_ID) {
        return err_set(err, ERR_INVALID, "this is a database of another program");
    }
    if (format > SCHEMA_FORMAT) {
        return err_set(err, ERR_VERSION,
                       "written in format %" PRId64 ", this kvd knows up to %d; install"
                       " the newer kvd",
                       format, SCHEMA_FORMAT);
    }
    if (format < 1) {
        return err_set(err, ERR_CORRUPT, "format %" PRId64 " never existed", format);
    }
    *format_out = format;
    return 0;
}

static int (*const openers[SCHEMA_FORMAT + 1])(struct db *db, struct err *err) = {
    [0] = create,
    [1] = upgrade_1,
    [2] = upgrade_2,
    [SCHEMA_FORMAT] = db_prepare,
};

int schema_open(struct db *db, const char *path, const char *vfs, struct err *err)
{
    int64_t format = 0;
    int rc = db_open(db, path, vfs, err);

    if (rc != 0) {
        return rc;
    }
    if ((rc = identify(db, &format, err)) != 0 || (rc = db_keep(db, err)) != 0 ||
        (rc = openers[format](db, err)) != 0) {
        db_close(db);
        return rc;
    }
    return 0;
}
