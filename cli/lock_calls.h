/* The single calls of kvd's lock service, and what to say to a server that has none. */
#ifndef KVD_CLI_LOCK_CALLS_H
#define KVD_CLI_LOCK_CALLS_H

#include "cli/session.h"

extern const struct client_method lock_list;
extern const struct client_method lock_inspect;
extern const struct client_method lock_force_release;

/* After ERR_REFUSED: if the server has no lock service, ERR_UNSUPPORTED with a sentence
 * that says that `what` needs kvd; else ERR_REFUSED and err as it is. */
int lock_call_refused(struct session *session, const char *what, struct err *err);

#endif
