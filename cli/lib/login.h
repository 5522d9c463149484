/* The first call on a link of a client that has a password: it shows the password and
 * gets the token that all other calls on this link show. On a new link it is done anew,
 * so a link whose token does not count any more is left, as any that disappoints. */
#ifndef KVD_LIB_LOGIN_H
#define KVD_LIB_LOGIN_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/lib/link.h"

struct credentials {
    const char *user; /* NULL: nobody, there is no login */
    const char *password;
};

enum login_state { LOGIN_NONE, LOGIN_RUNNING, LOGIN_DONE, LOGIN_FAILED };

/* Zeroed at first. On the I/O thread. */
struct login {
    enum login_state state;
    struct err err;       /* why it failed */
    struct stream stream; /* private, as both below */
    struct link *link;
    struct buf reply;
};

/* The link is up; state tells the outcome later. */
void login_start(struct login *login, struct link *link,
                 const struct credentials *credentials, int64_t timeout_ms);
void login_close(struct login *login);

/* A refusal that a new login may change. */
bool login_is_void(const char *text);

#endif
