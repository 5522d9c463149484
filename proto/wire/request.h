/* The headers of one request, as they arrive: what kvd looks at is kept, the rest only
 * counted; at the end, a verdict whether this is a gRPC call that we can take. */
#ifndef KVD_WIRE_REQUEST_H
#define KVD_WIRE_REQUEST_H

#include "api/status.h"
#include "base/buf.h"
#include "wire/wire.h"

#define REFUSAL_TEXT_MAX 256

struct request {
    struct wire_metadata md; /* md.token points into token, md.fence into fence */
    struct buf token;        /* with a final NUL, as both */
    struct buf fence;
    size_t size; /* of the header list, as HTTP/2 counts it */
    size_t size_max;
    uint32_t seen; /* bits of private enum request_seen */
};

/* How to answer a call that is not taken. */
struct refusal {
    int http_status;
    enum grpc_code code;
    char text[REFUSAL_TEXT_MAX];
};

/* Starts a new header list; memory of an earlier one is reused. */
void request_init(struct request *request, size_t size_max);
void request_close(struct request *request);

/* One field. ERR_TOO_BIG: so far over the limit that the connection should end. */
int request_add(struct request *request, struct slice name, struct slice value);

/* Breaks HTTP/2's own rules: to be answered with RST_STREAM(PROTOCOL_ERROR). */
bool request_malformed(const struct request *request);

/* True when the call cannot be taken, with the answer. */
bool request_refused(const struct request *request, struct refusal *out);

#endif
