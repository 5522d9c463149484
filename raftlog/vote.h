/* The vote file: term, vote and the log's anchor, durable at once.
 *
 * Happy path: vote_load reads the file without changing anything, vote_start makes what
 * was read durable (or creates the file), vote_set and vote_set_anchor return when the
 * new state is durable. What can fail: both slots damaged, a newer format, the disk.
 *
 * Two slots of 4 KiB, each complete with sequence and CRC32C. A change is written to one
 * slot and synced, then to the other without a sync. So a crash in a write leaves the
 * other slot with the state before; and once both are on disk, either may rot without the
 * vote going back. A slot is overwritten only when the other one is durable.
 *
 * Slot, little endian: u32 CRC of the rest, u32 magic, u64 sequence, term, vote, anchor
 * index, anchor term, index of the anchor's configuration, u32 its length, u32 format,
 * its bytes. */
#ifndef KVD_RAFTLOG_VOTE_H
#define KVD_RAFTLOG_VOTE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "base/limits.h"
#include "raftlog/files.h"
#include "raftlog/store.h"

#define VOTE_SLOT_SIZE 4096
#define VOTE_FORMAT    1

struct vote_state {
    uint64_t term;
    uint64_t vote;
    uint64_t anchor_index;
    uint64_t anchor_term;
    uint64_t config_index;
    uint32_t config_len;
    uint8_t config[LIMIT_ANCHOR_CONFIG];
};

struct vote {
    struct env *env;
    char *dir;
    char *path;
    struct disk_file *file;
    pthread_mutex_t mutex; /* of all below: the anchor is written by the log lane */
    uint64_t sequence;
    int target; /* slot to write next */
    struct vote_state state;
};

/* *found tells whether there is a file. ERR_CORRUPT, ERR_VERSION, ERR_IO. */
int vote_load(struct vote *vote, struct env *env, const char *dir, bool *found,
              struct err *err);
int vote_start(struct vote *vote, bool found, struct files_tally *tally, struct err *err);

int vote_set(struct vote *vote, uint64_t term, uint64_t voted_for,
             struct files_tally *tally, struct err *err);

/* Any thread. */
int vote_set_anchor(struct vote *vote, const struct store_anchor *anchor,
                    struct files_tally *tally, struct err *err);

void vote_close(struct vote *vote);

#endif
