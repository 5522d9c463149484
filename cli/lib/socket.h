/* Sockets that do not block, and the clock: milliseconds that only grow, also while the
 * machine sleeps, as the servers' clocks do. */
#ifndef KVD_LIB_SOCKET_H
#define KVD_LIB_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

int64_t clock_ms(void);

/* Bytes moved, 0 when it would block, ERR_NETWORK when the connection is broken. For
 * reading also *ended when the other side closed in order. */
ssize_t socket_read(int fd, void *bytes, size_t len, bool *ended, struct err *err);
ssize_t socket_write(int fd, const void *bytes, size_t len, struct err *err);
void socket_close(int *fd); /* sets *fd to -1 */

#endif
