/* Follows the configuration below a prefix on a thread of its own: reads it, watches for
 * changes, and hands each new one over when things have been quiet for a while. Lost
 * contact is taken up again; meanwhile the last one stays as it is. */
#ifndef KVD_CLI_RELOAD_FOLLOW_H
#define KVD_CLI_RELOAD_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/export.h"
#include "cli/session.h"

struct follow_options {
    const char *prefix;
    const char *folder; /* where a new configuration is written; NULL: nowhere */
    int64_t debounce_ms;
};

enum follow_kind {
    FOLLOW_NOTHING,
    FOLLOW_CONFIG, /* a new one, written to the folder: take it, then follow_done */
    FOLLOW_FAILED, /* it cannot be read (now), err says why; tried again */
};

struct follow_news {
    enum follow_kind kind;
    char base[1024]; /* prefix of the keys, for people */
    int64_t revision;
    size_t files;
    int code; /* FOLLOW_FAILED: of base/err.h */
    struct err err;
};

struct follow;

/* EXIT_OK, or why not. After signals_open. */
enum exit_code follow_open(struct session *session, const struct follow_options *options,
                           struct follow **out, struct err *err);

/* Waits a moment for a call that is under way; after that the process must end. */
void follow_close(struct follow *follow);

/* Readable when there is news. */
int follow_fd(const struct follow *follow);

/* The news, if there is any. Until follow_done nothing new is read. */
void follow_take(struct follow *follow, struct follow_news *news);
void follow_done(struct follow *follow);

#endif
