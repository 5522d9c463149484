/* The file CURRENT of the data directory: which database is the live one, and whether it
 * was fetched from another member.
 *
 *     state-<n>.db
 *     seed <index> <term>     where it was fetched: as of which entry
 *     crc <checksum of the lines above>
 *
 * An operator may write the first line alone. */
#ifndef KVD_NODE_CURRENT_H
#define KVD_NODE_CURRENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"

struct current {
    unsigned number;
    uint64_t seed_index; /* 0: was not fetched */
    uint64_t seed_term;
    bool sealed; /* written by kvd: has its checksum */
};

/* ERR_NOT_FOUND; ERR_CORRUPT: it is not, byte by byte, what kvd wrote. */
int current_load(struct current *out, struct disk *disk, const char *dir,
                 struct err *err);

/* Durable, or has not happened. */
int current_save(const struct current *current, struct disk *disk, const char *dir,
                 struct err *err);

#endif
