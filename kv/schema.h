/* The tables, and whether a file is ours. */
#ifndef KVD_KV_SCHEMA_H
#define KVD_KV_SCHEMA_H

#include "base/err.h"
#include "kv/db.h"

#define SCHEMA_FORMAT 3 /* of the file; a newer one is refused, an older one moved up */

/* Opens the database at path: makes the tables in an empty file, refuses a file of
 * another program or of a newer format and leaves it untouched. */
int schema_open(struct db *db, const char *path, const char *vfs, struct err *err);

#endif
