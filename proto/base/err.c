#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages quote what people wrote, but are one line each. */
static void keep_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == '\x7f') {
            *text = '?';
        }
    }
}

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        err->code = code;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        keep_one_line(err->text);
    }
    return code;
}

int err_prefix(struct err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        char prefix[ERR_TEXT_MAX];
        size_t len;
        va_list args;

        va_start(args, format);
        vsnprintf(prefix, sizeof(prefix) - 2, format, args);
        va_end(args);
        strcat(prefix, ": ");
        keep_one_line(prefix);
        len = strlen(prefix);
        memmove(err->text + len, err->text, sizeof(err->text) - len);
        memcpy(err->text, prefix, len);
        err->text[sizeof(err->text) - 1] = '\0';
        err->code = code;
    }
    return code;
}

const char *err_name(int code)
{
    static const char *const names[] = {
        [-ERR_OK] = "ok",
        [-ERR_IO] = "i/o error",
        [-ERR_CORRUPT] = "corrupt",
        [-ERR_NOT_FOUND] = "not found",
        [-ERR_EXISTS] = "exists",
        [-ERR_INVALID] = "invalid",
        [-ERR_TOO_BIG] = "too big",
        [-ERR_FULL] = "full",
        [-ERR_NOT_LEADER] = "not leader",
        [-ERR_UNKNOWN] = "outcome unknown",
        [-ERR_CANCELED] = "canceled",
        [-ERR_TIMEOUT] = "timeout",
        [-ERR_NETWORK] = "network error",
        [-ERR_BUSY] = "busy",
        [-ERR_VERSION] = "newer version",
        [-ERR_UNSUPPORTED] = "unsupported",
        [-ERR_REFUSED] = "refused",
    };

    if (code > 0 || (size_t)-code >= sizeof(names) / sizeof(names[0])) {
        return "unknown error";
    }
    return names[-code];
}
