/* What to say to a server that has no lock service of kvd's. */
#ifndef KVD_CLI_LOCK_CALLS_H
#define KVD_CLI_LOCK_CALLS_H

#include "cli/session.h"

/* After ERR_REFUSED: if the server has no lock service, ERR_UNSUPPORTED with a sentence
 * that says that `what` needs kvd; else ERR_REFUSED and err as it is. */
int lock_call_refused(struct session *session, const char *what, struct err *err);

#endif
