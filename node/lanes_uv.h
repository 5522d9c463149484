/* Worker threads of the daemon: the log lane (one thread, in order of submission), the
 * work lane (a few threads, no order) and the bulk lane (one thread of low priority, in
 * order). Work crosses over by moving ownership of the job; results come back to the loop
 * through one uv_async. */
#ifndef KVD_NODE_LANES_UV_H
#define KVD_NODE_LANES_UV_H

#include <uv.h>

#include "base/env.h"
#include "base/err.h"

struct lanes_uv;

int lanes_uv_open(struct lanes_uv **out, uv_loop_t *loop, struct err *err);
void lanes_uv_submit(struct lanes_uv *lanes, enum env_lane lane, struct env_job *job);

/* Every submitted job must be done. Ends the threads; the memory goes when the loop has
 * run its close callbacks. */
void lanes_uv_close(struct lanes_uv *lanes);

#endif
