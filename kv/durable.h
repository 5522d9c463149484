/* Making what was committed survive a power cut. */
#ifndef KVD_KV_DURABLE_H
#define KVD_KV_DURABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"

struct durable {
    struct env_job job;
    bool busy;
    char *wal_path;
    uint64_t reserved; /* blocks that the WAL has, in bytes */
    uint64_t applied;  /* what the sync under way covers */
    int rc;            /* of the job: 0 or a negative errno */
    void (*done)(void *owner, uint64_t applied);
    void *owner;
};

void durable_open(struct durable *d, const char *path);

/* Gives the WAL its blocks ahead, so that a disk that fills up cannot break a transaction
 * in the middle. Where there is no room for them, it goes without. */
void durable_reserve(struct durable *d, struct disk *disk);
void durable_close(struct durable *d);

#endif
