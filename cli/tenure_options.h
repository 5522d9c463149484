/* What lock and elect have in common: their options, and the way from waiting to the end.
 */
#ifndef KVD_CLI_TENURE_OPTIONS_H
#define KVD_CLI_TENURE_OPTIONS_H

#include "cli/option.h"
#include "cli/tenure.h"

struct tenure_flags {
    int64_t ttl_ms;
    int64_t wait_ms;  /* TENURE_WAIT_FOREVER */
    int64_t grace_ms; /* -1: a part of the TTL */
};

#define TENURE_FLAGS_DEFAULT                                                             \
    {                                                                                    \
        .ttl_ms = 10000, .wait_ms = TENURE_WAIT_FOREVER, .grace_ms = -1                  \
    }

/* Rows of an option table, with the place of a struct tenure_flags in its values. */
#define TENURE_FLAGS(at)                                                                 \
    {"wait",          0,                                                                 \
     OPTION_DURATION, (at) + offsetof(struct tenure_flags, wait_ms),                     \
     "TIME",          "wait at most so long, e.g. 30s; default: as long as it takes"},   \
        {"ttl",                                                                          \
         0,                                                                              \
         OPTION_DURATION,                                                                \
         (at) + offsetof(struct tenure_flags, ttl_ms),                                   \
         "TIME",                                                                         \
         "of the lease: it survives lost contact for less than this; default 10s"},      \
    {                                                                                    \
        "grace", 0, OPTION_DURATION, (at) + offsetof(struct tenure_flags, grace_ms),     \
            "TIME", "from SIGTERM to SIGKILL; default: 30 % of the TTL, at most 10s"     \
    }

/* Checks the flags and puts them into *tenure. EXIT_ARGUMENTS. */
enum exit_code tenure_flags_read(const struct tenure_flags *flags,
                                 struct tenure_options *tenure, struct err *err);

/* The tenure's key as `get` prints it. */
enum exit_code tenure_print(struct session *session, const struct tenure *tenure,
                            struct err *err);

typedef enum exit_code (*tenure_show_cb)(struct session *session,
                                         const struct tenure *tenure, struct err *err);

/* Takes it; runs the command under it or, without one, shows it and waits for a signal;
 * gives it back. */
enum exit_code tenure_and_hold(struct session *session, const struct tenure_flags *flags,
                               const struct tenure_options *wanted,
                               const char *const *command, tenure_show_cb show,
                               struct err *err);

#endif
