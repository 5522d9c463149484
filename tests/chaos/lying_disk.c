/* A disk that lies: loaded into a daemon before libc, it says of every sync that it was
 * done and does nothing. With a power cut of all members that is the bug of who
 * acknowledges before the disk has the data; tests/chaos/test_plants.py must see it
 * found. */
#include <unistd.h>

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
