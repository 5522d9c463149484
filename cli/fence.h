/* --fence NAME:TOKEN: a write that the store takes only while that lock is held with that
 * token (proto/api/fence.proto). */
#ifndef KVD_CLI_FENCE_H
#define KVD_CLI_FENCE_H

#include "base/err.h"
#include "cli/exit.h"
#include "cli/session.h"

/* text NULL: no fence, and *out is NULL. ERR_INVALID. */
int fence_parse(const char *text, struct arena *arena, Kvd__V1__Fence **out,
                struct err *err);

/* A server that knows no fences would ignore one. ERR_UNSUPPORTED, or as a call fails. */
int fence_check_server(struct session *session, const Kvd__V1__Fence *fence,
                       struct err *err);

/* The exit code of a write that ended with rc. */
enum exit_code fence_exit_code(int rc, const struct err *err);

#endif
