/* One RPC in flight: its method, arena, deadline, the operations that hold it, its end.
 *
 * A call is reachable from its stream and counted by each operation in flight (holds). A
 * reset stream only drops its own hold; the operation finishes, finds nobody to answer
 * and drops the last one. */
#ifndef KVD_NODE_CALL_H
#define KVD_NODE_CALL_H

#include <stdbool.h>

#include "base/slice.h"
#include "wire/wire.h"

struct node;
struct conn;
struct call;

/* What conn.c tells: in this order, closed exactly once and last. call_begin makes the
 * call and stores it with wire_set_owner. */
void call_begin(struct node *node, struct conn *conn, struct wire_call *stream,
                const struct wire_metadata *metadata);
void call_message(struct call *call, struct slice message);
void call_half_closed(struct call *call);
void call_closed(struct call *call, bool reset);
void call_drained(struct call *call);

#endif
