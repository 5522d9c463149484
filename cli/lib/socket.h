/* A TCP socket whose every step has a deadline. Times are milliseconds of the monotonic
 * clock (clock_ms). Messages name the step that failed, not the address: callers know it.
 */
#ifndef KVD_LIB_SOCKET_H
#define KVD_LIB_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/lib/endpoint.h"

int64_t clock_ms(void);

/* Resolves and connects, trying every address of the name. The descriptor, or ERR_NETWORK
 * or ERR_TIMEOUT. */
int socket_open(const struct endpoint *ep, int64_t deadline_ms, struct err *err);
void socket_close(int *fd); /* sets *fd to -1 */

/* What is ready: SOCKET_READ, SOCKET_WRITE or both; ERR_TIMEOUT after the deadline. */
enum { SOCKET_READ = 1, SOCKET_WRITE = 2 };
int socket_wait(int fd, int wanted, int64_t deadline_ms, struct err *err);

/* Bytes moved, 0 when it would block, ERR_NETWORK when the connection is broken. For
 * reading also *ended when the other side closed in order. */
ssize_t socket_read(int fd, void *bytes, size_t len, bool *ended, struct err *err);
ssize_t socket_write(int fd, const void *bytes, size_t len, struct err *err);

#endif
