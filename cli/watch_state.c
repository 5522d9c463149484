/* A text of three lines. Happy path of writing: a temporary file beside it, fsync,
 * rename, fsync of the folder. */
#include "cli/watch_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define MAGIC "kvctl watch state 1"

static int fail(const struct watch_state *state, const char *step, struct err *err)
{
    return err_set(err, ERR_IO, "--state: %s %s: %s", step, state->path, strerror(errno));
}

/* ---- reading ---- */

static int parse(struct watch_state *state, FILE *in, struct err *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len = getline(&line, &room, in);
    int rc = 0;

    if (len <= 0 || strcmp(line, MAGIC "\n") != 0) {
        rc = err_set(err, ERR_INVALID, "--state: %s is not a state of kvctl watch",
                     state->path);
    }
    len = rc == 0 ? getline(&line, &room, in) : 0;
    if (len > 0) {
        line[len - 1] = '\0';
    }
    if (rc == 0 && (len <= 0 || strcmp(line, state->watched) != 0)) {
        rc = err_set(err, ERR_INVALID,
                     "--state: %s is of another watch (%s); give each watch a file of "
                     "its own",
                     state->path, len > 0 ? line : "");
    }
    if (rc == 0 && (fscanf(in, "revision %" SCNd64 " events %" SCNd64, &state->revision,
                           &state->events) != 2 ||
                    state->revision < 0 || state->events < 0)) {
        rc = err_set(err, ERR_INVALID,
                     "--state: %s holds no revision; remove it to begin anew",
                     state->path);
    }
    free(line);
    return rc;
}

int watch_state_read(struct watch_state *state, struct err *err)
{
    FILE *in = fopen(state->path, "re");
    int rc;

    if (in == NULL) {
        return errno == ENOENT ? ERR_NOT_FOUND : fail(state, "open", err);
    }
    rc = parse(state, in, err);
    fclose(in);
    return rc;
}

/* ---- writing ---- */

static int write_file(const struct watch_state *state, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rc;

    if (fd < 0) {
        return -1;
    }
    rc = dprintf(fd, "%s\n%s\nrevision %" PRId64 " events %" PRId64 "\n", MAGIC,
                 state->watched, state->revision, state->events) < 0 ||
                 fsync(fd) != 0
             ? -1
             : 0;
    return close(fd) != 0 ? -1 : rc;
}

/* The name is on the disk when its folder is. */
static int sync_folder(const char *path)
{
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);

    free(copy);
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

int watch_state_write(const struct watch_state *state, struct err *err)
{
    char *temporary = mem_printf("%s.new", state->path);
    int rc = 0;

    if (write_file(state, temporary) != 0) {
        rc = fail(state, "write", err);
    } else if (rename(temporary, state->path) != 0) {
        rc = fail(state, "rename to", err);
    } else if (sync_folder(state->path) != 0) {
        rc = fail(state, "sync the folder of", err);
    }
    if (rc != 0) {
        unlink(temporary);
    }
    free(temporary);
    return rc;
}
