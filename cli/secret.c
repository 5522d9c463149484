#include "cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define SECRET_MAX 1024
#define CTRL_C     3
#define CTRL_D     4
#define BACKSPACE  8
#define DELETE     127

/* Takes a line as it is typed: signals would leave the terminal without echo, so they are
 * characters meanwhile. False: given up. */
static bool type_line(int tty, char line[SECRET_MAX])
{
    size_t len = 0;
    char c;

    while (read(tty, &c, 1) == 1 && c != CTRL_C && c != CTRL_D) {
        if (c == '\n' || c == '\r') {
            line[len] = '\0';
            return true;
        }
        if (c == BACKSPACE || c == DELETE) {
            len -= len > 0;
        } else if (len + 1 < SECRET_MAX) {
            line[len++] = c;
        }
    }
    return false;
}

static const char *keep(struct arena *arena, char line[SECRET_MAX])
{
    const char *kept =
        (const char *)arena_dup(arena, slice_of(line, strlen(line) + 1)).ptr;

    explicit_bzero(line, SECRET_MAX);
    return kept;
}

int secret_ask(const char *prompt, struct arena *arena, const char **out, struct err *err)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    struct termios before;
    struct termios silent;
    char line[SECRET_MAX];
    bool answered;

    if (tty < 0 || tcgetattr(tty, &before) != 0) {
        if (tty >= 0) {
            close(tty);
        }
        return err_set(err, ERR_INVALID, "there is no terminal to ask for the password");
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    tcsetattr(tty, TCSAFLUSH, &silent);
    dprintf(tty, "%s", prompt);
    answered = type_line(tty, line);
    dprintf(tty, "\n");
    tcsetattr(tty, TCSAFLUSH, &before);
    close(tty);
    if (!answered) {
        return err_set(err, ERR_INVALID, "no password was given");
    }
    *out = keep(arena, line);
    return 0;
}

int secret_ask_new(const char *name, struct arena *arena, const char **out,
                   struct err *err)
{
    const char *first;
    const char *again;
    char prompt[128];
    int rc;

    snprintf(prompt, sizeof(prompt), "Password of %.64s: ", name);
    rc = secret_ask(prompt, arena, &first, err);
    if (rc == 0) {
        snprintf(prompt, sizeof(prompt),
                 "Type password of %.64s again for confirmation: ", name);
        rc = secret_ask(prompt, arena, &again, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (strcmp(first, again) != 0) {
        return err_set(err, ERR_INVALID, "the passwords are not the same");
    }
    *out = first;
    return 0;
}

int secret_read(struct arena *arena, const char **out, struct err *err)
{
    char line[SECRET_MAX];
    size_t len;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return err_set(err, ERR_INVALID, "stdin: no password was given");
    }
    len = strcspn(line, "\n");
    if (line[len] == '\0' && !feof(stdin)) {
        return err_set(err, ERR_INVALID, "stdin: the password is too long");
    }
    line[len] = '\0';
    *out = keep(arena, line);
    return 0;
}

void secret_split(const char *text, struct arena *arena, const char **name,
                  const char **password)
{
    const char *colon = strchr(text, ':');
    char *copy;

    if (colon == NULL) {
        *name = text;
        *password = NULL;
        return;
    }
    copy = (char *)arena_dup(arena, slice_of(text, strlen(text) + 1)).ptr;
    copy[colon - text] = '\0';
    *name = copy;
    *password = copy + (colon - text) + 1;
}
