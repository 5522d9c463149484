/* The terms of TLS with clients and with members, kept up to date with their files.
 *
 * Happy path: tls_sides_open reads the files once, while the daemon starts; then once a
 * second tls_sides_tick asks the system whether one of them was changed; if so, a worker
 * reads all of that side, and the new terms are those of the next connections. What can
 * fail: at the start any file, and with it the start; later the new files, then the terms
 * stay as they were and one line says why. Two files that belong together cannot be
 * replaced at once, so what is wrong is read a second time before anything is said. */
#ifndef KVD_NODE_TLS_SIDES_H
#define KVD_NODE_TLS_SIDES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/env.h"
#include "node/metrics.h"
#include "node/tls_terms.h"

/* By this a change of a file is noticed. */
struct tls_file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct tls_side {
    enum net_security security;
    bool used; /* some URL is https */
    struct tls_terms terms;
    struct tls_file_mark marks[TLS_TERMS_FILES];
    bool due;     /* to be read again */
    bool doubted; /* what was read was of no use; when it still is, that is logged */
    char said[ERR_TEXT_MAX]; /* the trouble that was logged last */
    /* The job that reads again. */
    const struct config *config;
    struct tls_sides *sides;
    struct env_job job;
    bool working;
    struct tls_terms fresh; /* the job's */
    int rc;                 /* likewise */
    struct err err;         /* likewise */
};

struct tls_sides {
    struct env *env;
    struct metrics *metrics; /* NULL until tls_sides_measure */
    struct tls_side items[2];
    uint64_t look_ms; /* at the files, next time */
    uint64_t warn_ms; /* about what runs out, next time */
};

/* config and env must outlive it. */
int tls_sides_open(struct tls_sides *sides, const struct config *config, struct env *env,
                   struct err *err);

/* From here on metrics show what there is to count. */
void tls_sides_measure(struct tls_sides *sides, struct metrics *metrics);

/* Valid until the next tick; what began on it goes on. */
const struct tls_terms *tls_sides_get(const struct tls_sides *sides,
                                      enum net_security security);

void tls_sides_tick(struct tls_sides *sides, uint64_t now_ms);
uint64_t tls_sides_deadline_ms(const struct tls_sides *sides);

/* Reads all files again, changed or not. */
void tls_sides_reload(struct tls_sides *sides);

/* No worker reads; only then may it be closed. */
bool tls_sides_idle(const struct tls_sides *sides);
void tls_sides_close(struct tls_sides *sides);

#endif
