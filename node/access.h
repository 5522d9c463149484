/* Who calls: the users that tokens and certificates name, and whether passwords are
 * right. What a user may do is the state's matter (kv/auth.h).
 *
 * Happy path: a client shows its password once (passwords.h compares it) and gets a
 * token; with each call it shows the token, and access_find says whose it is. All on the
 * loop. */
#ifndef KVD_NODE_ACCESS_H
#define KVD_NODE_ACCESS_H

#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "kv/auth.h"
#include "node/config.h"
#include "node/passwords.h"
#include "node/signer.h"
#include "node/tokens.h"

struct access {
    struct env *env; /* private, as all */
    const struct config *config;
    const struct kv *kv;   /* NULL until it is open: nobody is known */
    struct signer *signer; /* NULL: simple tokens */
    struct tokens simple;
    struct tokens checked; /* signed ones whose signature is good */
    struct passwords passwords;
};

/* Reads the keys of --auth-token. access_close is safe after a failure, too. */
int access_open(struct access *access, const struct config *config, struct env *env,
                struct err *err);
void access_close(struct access *access);

/* Whose state it is about, from now on. */
void access_set_state(struct access *access, const struct kv *kv);

/* What the state tells (kv_options.auth_changed). */
void access_note(struct access *access, const struct kv_auth_event *event);

/* What came with a call. */
struct credentials {
    const char *token;     /* "": none */
    const char *peer_name; /* of a client's certificate; NULL: none */
};

struct who {
    const char *user;  /* borrowed until the next call of access_find */
    uint64_t revision; /* of users and roles when the password was compared; 0: any */
};

enum access_verdict {
    ACCESS_KNOWN,   /* out is set */
    ACCESS_NOBODY,  /* nothing was shown */
    ACCESS_INVALID, /* a token that is none, or not any more */
    ACCESS_AHEAD,   /* one that this member may come to know: it is behind others */
};

enum access_verdict access_find(struct access *access,
                                const struct credentials *credentials, struct who *out);

#endif
