/* What `kvctl lock` and `kvctl elect` hold for some time: a lease that is kept alive, and
 * on it a lock or the leadership of an election.
 *
 * Taking it may take long, so that it happens on a thread of its own while the caller
 * waits for it or for a signal. Against a server without kvd's lock service (etcd) an
 * exclusive lock is taken by etcd's recipe: as the candidate of an election with an empty
 * value, which makes the very same keys. */
#ifndef KVD_CLI_TENURE_H
#define KVD_CLI_TENURE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/exit.h"
#include "cli/lib/kvd.h"
#include "cli/session.h"
#include "cli/signals.h"

#define TENURE_WAIT_FOREVER (-1)

struct tenure_options {
    bool election;
    const char *name;
    const char *value; /* of a candidate */
    enum kvd_lock_mode mode;
    uint32_t slots;
    int64_t wait_ms; /* 0: try */
    int64_t ttl_s;
    const char *owner; /* NULL: user@host */
};

struct tenure;

/* EXIT_OK: *out is held. Otherwise nothing is, and err says why; after a signal that asks
 * us to end, *signal is its number, and err is empty. */
enum exit_code tenure_take(struct session *session, struct signals *signals,
                           const struct tenure_options *options, struct tenure **out,
                           int *signal, struct err *err);

int64_t tenure_token(const struct tenure *tenure);
int64_t tenure_revision(const struct tenure *tenure); /* when it was granted */
int64_t tenure_lease(const struct tenure *tenure);
struct slice tenure_key(const struct tenure *tenure);
const char *tenure_name(const struct tenure *tenure);
int64_t tenure_ttl_ms(const struct tenure *tenure);

/* How long it is surely held; 0: lost, and tenure_why says why. */
int64_t tenure_left_ms(struct tenure *tenure);
void tenure_why(struct tenure *tenure, struct err *err);

/* Readable once it is lost. */
int tenure_lost_fd(const struct tenure *tenure);

/* Gives it back, ends the lease, and frees. ERR_EXISTS: it was not held any more.
 * ERR_TIMEOUT: not done after limit_ms, or when a signal asked us to end; the process
 * must end, too. Other failures: it ends with its lease. */
int tenure_release(struct tenure *tenure, struct signals *signals, int64_t limit_ms,
                   struct err *err);

#endif
