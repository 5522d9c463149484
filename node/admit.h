/* Who may come in with which call: the last step before a method's start, and what its
 * handler asks about keys, leases and locks. What the rows of rpc.def need is asked here;
 * a row that needs more than a user is not answered unless its handler asked, or its
 * command was found to be permitted where it was applied. */
#ifndef KVD_NODE_ADMIT_H
#define KVD_NODE_ADMIT_H

#include "api/status.h"
#include "kv/auth.h"
#include "node/calls.h"

/* Starts the method, now or when this member is as far as the caller's token; or fails
 * the call. */
void admit(struct call *call);

/* For the rows that need READ or SELF: may the caller do this, by the state that is now
 * applied? API_OK for everybody while auth is off. */
enum api_status admit_range(struct call *call, ProtobufCBinaryData key,
                            ProtobufCBinaryData range_end);
enum api_status admit_txn(struct call *call, const Etcdserverpb__TxnRequest *req);
enum api_status admit_lease(struct call *call, int64_t lease); /* its keys */
enum api_status admit_lock(struct call *call, struct slice name);
enum api_status admit_self(struct call *call, bool is_own); /* or the role root */
enum api_status admit_root(struct call *call);

/* For the rows that need EACH: who sends this message? user is NULL while auth is off,
 * and lives until the handler returns. */
enum api_status admit_message(struct call *call, const char **user);

/* The client of a command. */
void admit_fill(const struct call *call, Kvd__Command__Client *client);

#endif
