/* The table of all changes, in order. Values are only there. */
#ifndef KVD_KV_HISTORY_H
#define KVD_KV_HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
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

/* The same for a second row, while the first may be in use. */
bool history_read_old(struct kv *kv, struct slice name, int64_t seq, struct row *row);
void history_release_old(struct kv *kv);

/* The row after which those of revision rev or a later one follow; at most the store's
 * revision. */
int64_t history_before(struct kv *kv, int64_t rev);

/* Rows after seq in order, as DB_FOLLOW has them: NULL when the store has failed. Step
 * it, read with history_row, reset it. */
sqlite3_stmt *history_follow(struct kv *kv, int64_t seq, size_t limit);

/* Outside a batch the first read begins a read transaction, so that many reads look at
 * the WAL once; this ends it: before a batch, and once a turn. */
void history_unpin(struct kv *kv);

/* Reads the columns of DB_FETCH and DB_FOLLOW; false: the checksum does not match. */
bool history_row(sqlite3_stmt *stmt, struct row *row);

#endif
