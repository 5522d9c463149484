/* The headers and trailers of one reply, as the client sees them: the outcome of a call.
 */
#ifndef KVD_WIRE_REPLY_H
#define KVD_WIRE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define REPLY_TEXT_MAX 4096 /* a longer grpc-message is cut */

struct reply {
    int http_status; /* -1: none came */
    int grpc_code;   /* -1: none came */
    bool grpc_type;  /* a content type of gRPC */
    size_t size;     /* of all header lists together */
    char *text;      /* decoded grpc-message; NULL: none */
};

/* An empty reply; reply_close frees what a used one holds and leaves it empty. */
void reply_init(struct reply *reply);
void reply_close(struct reply *reply);

/* One field of the headers or the trailers. ERR_TOO_BIG: over size_max. */
int reply_add(struct reply *reply, struct slice name, struct slice value,
              size_t size_max);

/* May messages follow? False for an answer that does not come from a gRPC server. */
bool reply_is_grpc(const struct reply *reply);

/* An outcome of our own, whatever the server says. */
void reply_set(struct reply *reply, int grpc_code, const char *text);

/* The outcome, once the stream ended with END_STREAM: sets grpc_code and text when the
 * server did not. */
void reply_conclude(struct reply *reply);

/* The outcome when the stream was reset with an HTTP/2 error code. */
void reply_conclude_reset(struct reply *reply, uint32_t http2_error);

#endif
