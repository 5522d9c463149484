/* Whole inputs, up to a ceiling. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"

#define INPUT_CHUNK (64 * KIB)

int input_read(int fd, const char *name, size_t max, struct arena *arena,
               struct slice *out, struct err *err)
{
    struct buf all = BUF_INIT(max + INPUT_CHUNK);
    ssize_t n;
    int rc = 0;

    do {
        n = read(fd, buf_reserve(&all, INPUT_CHUNK), INPUT_CHUNK);
        if (n > 0) {
            buf_commit(&all, (size_t)n);
        }
    } while ((n > 0 && buf_len(&all) <= max) || (n < 0 && errno == EINTR));
    if (n < 0) {
        rc = err_set(err, ERR_IO, "read %s: %s", name, strerror(errno));
    } else if (buf_len(&all) > max) {
        rc = err_set(err, ERR_TOO_BIG, "%s is larger than %zu bytes", name, max);
    } else {
        *out = arena_dup(arena, buf_slice(&all));
    }
    buf_close(&all);
    return rc;
}

int input_read_file(const char *path, size_t max, struct arena *arena, struct slice *out,
                    struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0) {
        return err_set(err, ERR_INVALID, "open %s: %s", path, strerror(errno));
    }
    rc = input_read(fd, path, max, arena, out, err);
    close(fd);
    return rc;
}

bool input_confirm(const char *question)
{
    char answer[16] = "";

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return false;
    }
    fprintf(stderr, "%s Type yes to go on: ", question);
    return fgets(answer, sizeof(answer), stdin) != NULL && strcmp(answer, "yes\n") == 0;
}
