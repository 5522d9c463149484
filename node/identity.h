/* Who this member is, and whom it has met.
 *
 * Cluster and member ids are computed from the peer URLs and the token as etcd does it;
 * the store id is random, made before the first start and kept in DIR/IDENTITY. A member
 * id belongs to one store for ever: the first (member, store id) pair that a peer shows
 * is kept in DIR/PEERS, and another store under that member id is refused, since a voter
 * whose disk was wiped must never vote twice. */
#ifndef KVD_NODE_IDENTITY_H
#define KVD_NODE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "base/limits.h"
#include "node/config.h"

#define IDENTITY_FORMAT 1

struct identity_pin {
    uint64_t member;
    uint64_t store;
};

struct identity {
    uint64_t cluster_id;
    uint64_t member_id;
    uint64_t store_id;
    bool complete; /* state machine and log were made: missing files mean damage */
    struct identity_pin pins[LIMIT_MEMBERS]; /* private */
    size_t n_pins;                           /* private */
};

/* First 8 bytes, big endian, of the SHA-1 of the sorted URLs and the token. Never 0. */
uint64_t identity_member_id(const struct config_urls *urls, const char *token);

/* The same of the member ids in ascending order. */
uint64_t identity_cluster_id(const uint64_t *members, size_t n);

/* Reads DIR/IDENTITY and DIR/PEERS. ERR_NOT_FOUND without the former, ERR_VERSION for a
 * newer format, ERR_CORRUPT. */
int identity_load(struct identity *out, struct disk *disk, const char *dir,
                  struct err *err);

/* Writes DIR/IDENTITY. */
int identity_save(const struct identity *id, struct disk *disk, const char *dir,
                  struct err *err);

/* The member showed this store id. 0: it is the known one, or the first, which is durable
 * on return. ERR_INVALID: another one than before, err says what to do. */
int identity_meet(struct identity *id, struct disk *disk, const char *dir,
                  uint64_t member, uint64_t store, struct err *err);

#endif
