/* One HTTP/2 connection to one server, carrying one call at a time: wire.h over a socket,
 * blocking up to a deadline.
 *
 * conn_open connects and waits for the server's SETTINGS, so that what fails there surely
 * has sent no request, and so that a port that speaks something else is recognised. A
 * connection that failed or timed out is not usable again: close it. */
#ifndef KVD_LIB_CONN_H
#define KVD_LIB_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/lib/endpoint.h"

struct conn;

/* ERR_NETWORK or ERR_TIMEOUT; err names the step: resolve, connect or HTTP/2 handshake.
 */
int conn_open(const struct endpoint *ep, int64_t deadline_ms, struct conn **out,
              struct err *err);
void conn_close(struct conn *conn);

/* False when the next call should go over a new connection: looks at what came meanwhile.
 */
bool conn_usable(struct conn *conn);

/* How a call went. */
struct conn_answer {
    bool sent; /* the whole request left; if not, the server cannot have acted on it */
    bool answered; /* a status came: code and text */
    int grpc_code;
    char text[512]; /* grpc-message */
};

/* Makes one call with one request message. 0: answered, the reply message, if any, is
 * appended to *reply. ERR_NETWORK, ERR_TIMEOUT, ERR_TOO_BIG: not answered. */
int conn_call(struct conn *conn, const char *path, const char *const *metadata,
              struct slice request, int64_t deadline_ms, struct buf *reply,
              struct conn_answer *answer, struct err *err);

#endif
