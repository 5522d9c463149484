/* Asks a cluster, when all is over, for what a history lacks: the end of the log, and the
 * state of every member. */
#ifndef KVD_CHAOS_COLLECT_H
#define KVD_CHAOS_COLLECT_H

#include "base/err.h"

/* Writes DIR/tail.jsonl (the log behind what the scribes know, in the form of a scribe)
 * and checks that each member has exactly the keys that the log leads to. The members
 * must be up; a member that lags behind is waited for. ERR_CORRUPT: a member's state is
 * another; other codes: it could not be found out. */
int collect(const char *dir, const char *endpoints, struct err *err);

#endif
