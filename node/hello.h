/* The handshake of two members: what each says first, and whether to go on. No I/O. */
#ifndef KVD_NODE_HELLO_H
#define KVD_NODE_HELLO_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "node/membership.h"
#include "peer.pb-c.h"

/* This member, as it introduces itself. */
struct hello_self {
    const struct membership *members;
    uint64_t store_id;
    uint64_t epoch;
};

/* What a connection is for, as the one who dials says. */
enum hello_purpose {
    HELLO_LINK = 0,  /* messages */
    HELLO_FETCH = 1, /* to fetch the state: state_fetch.c, state_serve.c */
    HELLO_NPURPOSES,
};

/* Appends the frame of a hello to a member. refusal: NULL, or why the other one's hello
 * is not accepted: a sentence for its operator. */
void hello_encode(const struct hello_self *self, uint64_t to, enum hello_purpose purpose,
                  const char *refusal, struct buf *out);

/* Is it a hello of another member of this cluster to this one, of a version both know?
 * from: whose it must be, 0 for anybody's. ERR_INVALID, with a sentence in err. */
int hello_judge(const struct hello_self *self, const Kvd__Peer__Hello *hello,
                uint64_t from, struct err *err);

#endif
