/* Error codes of our own code, and the message for the person who will read it.
 *
 * A fallible function returns 0 or a negative code; one whose failure a person will read
 * takes a last argument `struct err *err`, which may be NULL. */
#ifndef KVD_BASE_ERR_H
#define KVD_BASE_ERR_H

#include <stddef.h>

enum err_code {
    ERR_OK = 0,
    ERR_IO = -1,         /* the disk or the system said no */
    ERR_CORRUPT = -2,    /* bytes are not what was written, or not ours */
    ERR_NOT_FOUND = -3,  /* no such thing */
    ERR_EXISTS = -4,     /* already there */
    ERR_INVALID = -5,    /* an argument or input is wrong */
    ERR_TOO_BIG = -6,    /* over a limit of base/limits.h */
    ERR_FULL = -7,       /* a queue or a disk has no room now */
    ERR_NOT_LEADER = -8, /* never submitted: may be retried elsewhere */
    ERR_UNKNOWN = -9,    /* submitted, outcome not known: never retried by us */
    ERR_CANCELED = -10,  /* the asker went away, or we are closing */
    ERR_TIMEOUT = -11,   /* a deadline passed */
    ERR_NETWORK = -12,   /* a peer or client connection failed */
    ERR_BUSY = -13,      /* another process or operation holds it */
    ERR_VERSION = -14,   /* written by a newer version */
    ERR_UNSUPPORTED = -15,
    ERR_REFUSED = -16, /* a server answered no; its reason is in the text */
};

#define ERR_TEXT_MAX 512

struct err {
    int code;
    char text[ERR_TEXT_MAX];
};

/* Sets code and message (err may be NULL) and returns code, so that one can write
 * `return err_set(err, ERR_IO, "open %s: %s", ...)`. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " in front of the message; returns the code unchanged. */
int err_prefix(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A short English name of a code, e.g. "corrupt". */
const char *err_name(int code);

#endif
