/* The pages that lead to the rows: do they lead to where the rows are?
 *
 * A look at all rows in order does not tell, for it goes from leaf to leaf. One that
 * looks for a row goes down by the keys in the pages above, and where such a key is
 * damaged it finds other rows, or none. */
#ifndef KVD_KV_TREE_H
#define KVD_KV_TREE_H

#include "base/err.h"

struct kv;

/* Reads all pages of all tables from the database file, unless a part of it must stay in
 * the WAL (checkpoint_whole). ERR_CORRUPT names the page that lies. */
int tree_check(struct kv *kv, struct err *err);

#endif
