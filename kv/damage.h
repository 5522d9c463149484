/* A database that was found damaged while it was used: a mark beside it, so that it is
 * not used again although what the next start reads of it may be whole. */
#ifndef KVD_KV_DAMAGE_H
#define KVD_KV_DAMAGE_H

#include "base/env.h"
#include "base/err.h"

/* Leaves the mark, as well as the disk lets it. text: what was found. */
void damage_note(struct disk *disk, const char *path, const char *text);

/* ERR_CORRUPT when there is a mark. */
int damage_check(struct disk *disk, const char *path, struct err *err);

#endif
