/* Moving bytes and telling the time. */
#include "cli/lib/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static ssize_t moved(ssize_t got, struct err *err)
{
    if (got >= 0) {
        return got;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return 0;
    }
    return err_set(err, ERR_NETWORK, "connection lost: %s", strerror(errno));
}

ssize_t socket_read(int fd, void *bytes, size_t len, bool *ended, struct err *err)
{
    ssize_t got = read(fd, bytes, len);

    *ended = got == 0;
    return moved(got, err);
}

ssize_t socket_write(int fd, const void *bytes, size_t len, struct err *err)
{
    return moved(send(fd, bytes, len, MSG_NOSIGNAL), err);
}

void socket_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}
