/* One call with failover, from start to outcome, with packed bytes. */
#ifndef KVD_LIB_CALL_H
#define KVD_LIB_CALL_H

#include "base/buf.h"
#include "cli/lib/client.h"

/* Blocks until the outcome; the reply's bytes are appended to *reply. */
int call_run(struct client *client, struct client_request *request, struct slice packed,
             struct buf *reply, struct err *err);

#endif
