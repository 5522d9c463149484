/* Bytes to and from a server, over a connected socket that never blocks: as they are, or
 * through TLS. */
#ifndef KVD_LIB_CHANNEL_H
#define KVD_LIB_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/lib/endpoint.h"
#include "cli/lib/tls.h"

struct channel;

/* Takes the socket. tls NULL: as they are. The endpoint must live as long. */
struct channel *channel_open(int fd, const struct tls *tls, const struct endpoint *ep);

/* Says goodbye as far as that goes without waiting. */
void channel_close(struct channel *channel);

/* Agrees on TLS with the server, as far as it can: CHANNEL_AGAIN, 0 when it is done, or
 * ERR_NETWORK with a sentence. Without TLS it is done. */
#define CHANNEL_AGAIN 1

int channel_handshake(struct channel *channel, struct err *err);

/* As socket_read and socket_write. What failed to be written must be written again before
 * anything else. */
ssize_t channel_read(struct channel *channel, void *bytes, size_t len, bool *ended,
                     struct err *err);
ssize_t channel_write(struct channel *channel, const void *bytes, size_t len,
                      struct err *err);

/* Bytes have been taken from the socket that nobody has read yet. */
bool channel_holds(const struct channel *channel);

/* The socket, and what to wait for with poll(2); unsent: something is to be written. */
int channel_fd(const struct channel *channel);
short channel_wants(const struct channel *channel, bool unsent);

bool channel_secure(const struct channel *channel);

#endif
