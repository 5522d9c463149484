/* A key that is held under a lease: what locks and candidates of elections have in
 * common. The claim is open while the call that waits for it runs; armed, once it was
 * granted, it tells of its loss: the lease's, or that of the key, which somebody may
 * delete. */
#ifndef KVD_LIB_CLAIM_H
#define KVD_LIB_CLAIM_H

#include <stdatomic.h>

#include "cli/lib/kvd_parts.h"

struct claim {
    struct kvd_client *client; /* all private */
    struct kvd_lease *lease;
    bool own_lease;
    struct kvd_lease_user user;
    struct kvd_warning warning;
    struct client_request request;
    struct watch *watch; /* of the key's deletion; NULL: nobody would be told */
    struct arena arena;  /* name, key */
    struct kvd_bytes name;
    struct kvd_bytes key;
    int64_t token; /* create revision of the key */
    atomic_bool lost;
    bool armed;     /* the I/O thread's */
    struct err why; /* of the loss; the I/O thread's until lost is set */
};

struct claim_options {
    struct kvd_lease *lease; /* NULL: the claim gets its own */
    int64_t ttl_s;
    kvd_lost_cb lost;
    void *lost_owner;
    void (*free)(struct kvd_warning *warning); /* as kvd_warning_init */
};

/* Grants a lease unless one is given. */
int claim_open(struct claim *claim, struct kvd_client *client, struct kvd_bytes name,
               const struct claim_options *options, struct kvd_error *err);

/* Calls and waits up to timeout_ms; 0: the client's, -1: as long as it takes. KVD_LOST:
 * the lease was lost meanwhile. KVD_TIMEOUT: whether it was granted is not known. */
int claim_ask(struct claim *claim, const struct client_method *method,
              const ProtobufCMessage *message, int64_t timeout_ms, struct arena *arena,
              void *reply, struct kvd_error *err);

/* It was granted. KVD_LOST: and lost already. */
int claim_arm(struct claim *claim, struct kvd_bytes key, int64_t token,
              struct kvd_error *err);
int64_t claim_left_ms(struct claim *claim);

/* From here on no loss is told. False: inside the callback; options->free will be called,
 * otherwise the caller frees. */
bool claim_disarm(struct claim *claim);

/* Ends its own lease, and frees what the claim holds. */
int claim_close(struct claim *claim, struct kvd_error *err);

#endif
