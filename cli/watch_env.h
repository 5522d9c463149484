/* An event as the environment of a command, as etcdctl has it, and under names of ours:
 *
 *   ETCD_WATCH_REVISION, _EVENT_TYPE, _KEY, _VALUE   quoted: "PUT", "a\x00b"
 *   KVD_WATCH_REVISION, _EVENT_TYPE, _KEY, _VALUE,   as they are
 *   _PREV_VALUE
 *
 * A value or key that cannot be in an environment (too long, a zero byte) has no variable
 * of ours; the command also gets the value on its standard input, whatever it is. */
#ifndef KVD_CLI_WATCH_ENV_H
#define KVD_CLI_WATCH_ENV_H

#include "base/arena.h"
#include "rpc.pb-c.h"

/* NAME=VALUE, NULL-terminated, in the arena. revision is that of the response. */
const char *const *watch_environment(const Mvccpb__Event *event, int64_t revision,
                                     struct arena *arena);

#endif
