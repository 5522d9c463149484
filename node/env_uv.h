/* The real world on libuv: struct env for the daemon, and the loop that drives the node.
 *
 * Happy path: env_uv_open, build the node on env_uv_env, env_uv_run until the node has
 * stopped, node_close, env_uv_close. Each iteration of the loop lets every callback that
 * is ready run (they only record and enqueue), then calls the turn exactly once. It
 * blocks until something arrives or the node's deadline comes. */
#ifndef KVD_NODE_ENV_UV_H
#define KVD_NODE_ENV_UV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"

struct env_uv;

/* What the loop asks and tells its owner; all on the loop's thread. */
struct env_uv_hooks {
    void (*turn)(void *owner);
    uint64_t (*deadline_ms)(void *owner); /* env_mono_ms of the next turn without input */
    bool (*stopped)(void *owner);         /* asked after each turn; true ends the run */
    void (*stop)(void *owner, int signal_number); /* first SIGTERM or SIGINT */
    void (*reload)(void *owner);                  /* SIGHUP */
};

/* disk is handed out as env->disk. SIGPIPE is ignored from here on. */
int env_uv_open(struct env_uv **out, struct disk *disk, struct err *err);
struct env *env_uv_env(struct env_uv *uv);

/* Returns once stopped says so and what closed streams still had to send is sent (at most
 * half a second). A second SIGTERM or SIGINT ends the process at once, with 128 + signal.
 */
void env_uv_run(struct env_uv *uv, const struct env_uv_hooks *hooks, void *owner);

/* Breaks what is still open. Submitted jobs must be done. NULL is fine. */
void env_uv_close(struct env_uv *uv);

/* Of the library in use, e.g. "1.44.2". */
const char *env_uv_version(void);

#endif
