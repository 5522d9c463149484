/* The time in which a lock or a leadership is held: a command runs, or we wait for a
 * signal.
 *
 * The command leads a process group of its own and is watched over by a guard
 * (cli/guard.h), so that it never outlives the lease: when contact is lost it gets
 * SIGTERM, and SIGKILL after the grace time, both before the servers can end the lease.
 * Signals to kvctl are passed on to it. */
#ifndef KVD_CLI_HOLD_H
#define KVD_CLI_HOLD_H

#include "cli/signals.h"
#include "cli/tenure.h"

/* What the command finds in its environment: NAME=VALUE, NULL-terminated, in the arena.
 */
const char *const *hold_environment(const struct tenure *tenure, bool election,
                                    struct arena *arena);

/* How long before the end SIGTERM comes, when nothing else was asked for. */
int64_t hold_grace_ms(int64_t ttl_ms);

/* Runs the command to its end. Its exit code; EXIT_LOST with a sentence when it was
 * stopped because what is held was lost. */
enum exit_code hold_run(struct tenure *tenure, struct signals *signals,
                        const char *const *argv, const char *const *environment,
                        int64_t grace_ms, struct err *err);

/* Waits for a signal that asks us to end: EXIT_OK; or EXIT_LOST with a sentence. */
enum exit_code hold_wait(struct tenure *tenure, struct signals *signals, struct err *err);

/* Gives it back. code is what the time of holding ended with. */
enum exit_code hold_end(struct tenure *tenure, struct signals *signals,
                        enum exit_code code, struct err *err);

#endif
