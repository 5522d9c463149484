/* Leaves out of a client's bytes the resets of streams that it never opened.
 *
 * gRPC's C core (python, Ruby, PHP ...) sends one when a call is given up before its
 * headers went out, which short deadlines make common. RFC 9113, section 6.4, calls that
 * an error of the connection, and nghttp2 ends all its calls; servers in Go pass by. So
 * do we. Happy path: strays_init, then strays_next for each piece of input until it
 * returns false. Nothing can fail: what is no such frame passes unchanged, however it was
 * cut into pieces. */
#ifndef KVD_WIRE_STRAYS_H
#define KVD_WIRE_STRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define STRAYS_HEAD 9 /* bytes of a frame's head */

struct strays {
    uint8_t head[STRAYS_HEAD]; /* of a frame whose head is not complete */
    size_t n_head;
    bool give_head;  /* it is complete now and passes */
    size_t left;     /* of the preface or of a frame's payload */
    bool leave_out;  /* that payload is a stray's */
    uint32_t newest; /* highest stream that was opened */
    uint64_t n;      /* strays so far */
};

/* A server's side of a connection whose preface has not come. */
void strays_init(struct strays *strays);

/* Takes the next run of bytes that pass off the front of in; false when all are used. A
 * run may be in strays' own memory: use it before the next call. */
bool strays_next(struct strays *strays, struct slice *in, struct slice *run);

#endif
