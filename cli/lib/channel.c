/* The two kinds of channel. TLS may have to write in order to read and the reverse; which
 * of the two each direction waits for is kept, and channel_wants tells.
 *
 * OpenSSL writes with write(2): the I/O thread blocks all signals, SIGPIPE among them. */
#include "cli/lib/channel.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/lib/socket.h"

struct channel {
    int fd;
    SSL *ssl; /* NULL: bytes as they are */
    struct tls_judgement judgement;
    short read_wants; /* of poll(2) */
    short write_wants;
    bool agreed; /* the handshake is done, and nothing has failed since */
};

struct channel *channel_open(int fd, const struct tls *tls, const struct endpoint *ep)
{
    struct channel *channel = mem_zero(sizeof(*channel));

    channel->fd = fd;
    channel->read_wants = POLLIN;
    channel->write_wants = POLLOUT;
    if (tls != NULL) {
        channel->ssl = tls_session(tls, ep, &channel->judgement);
        CHECK(SSL_set_fd(channel->ssl, fd) == 1);
    }
    return channel;
}

void channel_close(struct channel *channel)
{
    if (channel == NULL) {
        return;
    }
    if (channel->agreed) {
        ERR_clear_error();
        SSL_shutdown(channel->ssl);
        ERR_clear_error();
    }
    SSL_free(channel->ssl);
    socket_close(&channel->fd);
    free(channel);
}

/* What came of a call of OpenSSL that did not succeed: 0 when it is to be tried again. A
 * server that ends in order is *ended. */
static int judge(struct channel *channel, int got, short *wants, bool *ended,
                 struct err *err)
{
    int error = errno; /* of the socket, if that is what failed */

    switch (SSL_get_error(channel->ssl, got)) {
    case SSL_ERROR_WANT_READ:
        *wants = POLLIN;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        *wants = POLLOUT;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        *ended = true;
        return 0;
    case SSL_ERROR_SYSCALL:
        channel->agreed = false;
        ERR_clear_error();
        return err_set(err, ERR_NETWORK, "connection lost: %s",
                       error != 0 ? strerror(error) : "the server closed it");
    default:
        channel->agreed = false;
        return tls_explain_failure(&channel->judgement, err);
    }
}

/* ALPN: what is not agreed on would be found out only by its first answer. */
static int check_protocol(struct channel *channel, struct err *err)
{
    const uint8_t *name;
    unsigned len;

    SSL_get0_alpn_selected(channel->ssl, &name, &len);
    if (len != 2 || memcmp(name, "h2", 2) != 0) {
        return err_set(err, ERR_NETWORK,
                       "the server does not offer HTTP/2 (ALPN); is this the client "
                       "port?");
    }
    return 0;
}

int channel_handshake(struct channel *channel, struct err *err)
{
    bool ended = false;
    int got;
    int rc;

    if (channel->ssl == NULL) {
        return 0;
    }
    ERR_clear_error();
    errno = 0;
    got = SSL_do_handshake(channel->ssl);
    if (got == 1) {
        channel->agreed = true;
        channel->read_wants = POLLIN;
        return check_protocol(channel, err);
    }
    rc = judge(channel, got, &channel->read_wants, &ended, err);
    if (ended) {
        rc = err_set(err, ERR_NETWORK,
                     "the server closed the connection; does this port speak TLS?");
    }
    return rc == 0 ? CHANNEL_AGAIN : rc;
}

ssize_t channel_read(struct channel *channel, void *bytes, size_t len, bool *ended,
                     struct err *err)
{
    size_t got;
    int rc;

    if (channel->ssl == NULL) {
        return socket_read(channel->fd, bytes, len, ended, err);
    }
    *ended = false;
    ERR_clear_error();
    errno = 0;
    rc = SSL_read_ex(channel->ssl, bytes, len, &got);
    if (rc == 1) {
        channel->read_wants = POLLIN;
        return (ssize_t)got;
    }
    return judge(channel, rc, &channel->read_wants, ended, err);
}

ssize_t channel_write(struct channel *channel, const void *bytes, size_t len,
                      struct err *err)
{
    bool ended = false;
    size_t got;
    int rc;

    if (channel->ssl == NULL) {
        return socket_write(channel->fd, bytes, len, err);
    }
    ERR_clear_error();
    errno = 0;
    rc = SSL_write_ex(channel->ssl, bytes, len, &got);
    if (rc == 1) {
        channel->write_wants = POLLOUT;
        return (ssize_t)got;
    }
    rc = judge(channel, rc, &channel->write_wants, &ended, err);
    return ended ? err_set(err, ERR_NETWORK, "the server closed the connection") : rc;
}

bool channel_holds(const struct channel *channel)
{
    return channel->ssl != NULL && SSL_has_pending(channel->ssl) == 1;
}

int channel_fd(const struct channel *channel)
{
    return channel->fd;
}

short channel_wants(const struct channel *channel, bool unsent)
{
    return (short)(channel->read_wants | (unsent ? channel->write_wants : 0));
}

bool channel_secure(const struct channel *channel)
{
    return channel->ssl != NULL;
}
