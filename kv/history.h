/* The table of all changes, in order. Values are only there. */
#ifndef KVD_KV_HISTORY_H
#define KVD_KV_HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "kv/hash.h"

struct kv;

/* Appends a row as the next one and returns its seq. Inside a batch. */
int64_t history_append(struct kv *kv, struct row *row);

/* The row of a version that the index knows; a row that is missing or damaged is fatal.
 * Borrowed until history_release, which must follow also when this returned false (the
 * store failed, and the row is empty). */
bool history_read(struct kv *kv, struct slice name, int64_t seq, struct row *row);
void history_release(struct kv *kv);

/* Outside a batch the first read begins a read transaction, so that many reads look at
 * the WAL once; this ends it: before a batch, and once a turn. */
void history_unpin(struct kv *kv);

/* Reads the columns of DB_FETCH and DB_RESCAN; false: the checksum does not match. */
bool history_row(sqlite3_stmt *stmt, struct row *row);

#endif
