/* Reading the state from SQLite at open. */
#ifndef KVD_KV_LOAD_H
#define KVD_KV_LOAD_H

#include <stdbool.h>

#include "base/err.h"
#include "kv/db.h"

struct kv;

/* Reads all rows: history into the index, leases, members, users and roles; and puts
 * locks into their lines. ERR_CORRUPT when the rows are not what was written. The meta
 * row was read before. */
int load_state(struct kv *kv, struct err *err);

/* Gives the rows of a query, which takes the numbers between which they lie, one after
 * the other to take, which says whether a row is what was written. ERR_CORRUPT names the
 * first one that is not; what: of what they are, for the text. */
int load_rows(struct kv *kv, enum db_stmt which, const char *what,
              bool (*take)(struct kv *kv, sqlite3_stmt *stmt), struct err *err);

#endif
