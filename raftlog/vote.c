/* The vote file: two slots, written one after the other.
 *
 * What can fail: the disk, while writing (the caller stops the process: the slot written
 * may hold anything, the other one holds what was there before). */
#include "raftlog/vote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "raftlog/little.h"

#define MAGIC        0x65746f76u /* "vote" */
#define N_SLOTS      2
#define SEQUENCE_MAX ((uint64_t)1 << 62) /* never reached */

enum {
    AT_CRC = 0,
    AT_MAGIC = 4,
    AT_SEQUENCE = 8,
    AT_TERM = 16,
    AT_VOTE = 24,
    AT_ANCHOR_INDEX = 32,
    AT_ANCHOR_TERM = 40,
    AT_CONFIG_INDEX = 48,
    AT_CONFIG_LEN = 56,
    AT_FORMAT = 60,
    AT_CONFIG = 64,
};

static void encode(uint8_t *at, const struct vote_state *state, uint64_t sequence)
{
    memset(at, 0, VOTE_SLOT_SIZE);
    little_put32(at + AT_MAGIC, MAGIC);
    little_put64(at + AT_SEQUENCE, sequence);
    little_put64(at + AT_TERM, state->term);
    little_put64(at + AT_VOTE, state->vote);
    little_put64(at + AT_ANCHOR_INDEX, state->anchor_index);
    little_put64(at + AT_ANCHOR_TERM, state->anchor_term);
    little_put64(at + AT_CONFIG_INDEX, state->config_index);
    little_put32(at + AT_CONFIG_LEN, state->config_len);
    little_put32(at + AT_FORMAT, VOTE_FORMAT);
    memcpy(at + AT_CONFIG, state->config, state->config_len);
    little_put32(at + AT_CRC, crc32c(0, at + AT_MAGIC, VOTE_SLOT_SIZE - AT_MAGIC));
}

/* The slot's sequence, 0 when it is damaged; ERR_VERSION when it is newer. */
static int decode(const uint8_t *at, const char *path, struct vote_state *state,
                  uint64_t *sequence, struct err *err)
{
    uint32_t len = little_get32(at + AT_CONFIG_LEN);

    *sequence = 0;
    if (little_get32(at + AT_MAGIC) != MAGIC ||
        crc32c(0, at + AT_MAGIC, VOTE_SLOT_SIZE - AT_MAGIC) !=
            little_get32(at + AT_CRC)) {
        return 0;
    }
    if (little_get32(at + AT_FORMAT) > VOTE_FORMAT) {
        return err_set(err, ERR_VERSION,
                       "%s: has format %" PRIu32 ", written by a newer version of kvd; "
                       "this one reads up to %d: start the newer version",
                       path, little_get32(at + AT_FORMAT), VOTE_FORMAT);
    }
    if (len > LIMIT_ANCHOR_CONFIG || little_get64(at + AT_SEQUENCE) > SEQUENCE_MAX) {
        return 0; /* a good checksum of what kvd never wrote */
    }
    *state = (struct vote_state){
        .term = little_get64(at + AT_TERM),
        .vote = little_get64(at + AT_VOTE),
        .anchor_index = little_get64(at + AT_ANCHOR_INDEX),
        .anchor_term = little_get64(at + AT_ANCHOR_TERM),
        .config_index = little_get64(at + AT_CONFIG_INDEX),
        .config_len = len,
    };
    memcpy(state->config, at + AT_CONFIG, len);
    *sequence = little_get64(at + AT_SEQUENCE);
    return 0;
}

static int read_slots(struct vote *vote, struct err *err)
{
    uint8_t *bytes = NULL;
    uint8_t slots[N_SLOTS * VOTE_SLOT_SIZE] = {0};
    size_t len;
    int rc = files_load(vote->env->disk, vote->path, sizeof(slots), &bytes, &len, err);

    if (rc < 0) {
        return rc;
    }
    if (len == sizeof(slots)) {
        memcpy(slots, bytes, len);
    }
    free(bytes);
    for (int i = 0; i < N_SLOTS; i++) {
        struct vote_state state;
        uint64_t sequence;

        rc = decode(slots + i * VOTE_SLOT_SIZE, vote->path, &state, &sequence, err);
        if (rc < 0) {
            return rc;
        }
        if (sequence > vote->sequence) {
            vote->sequence = sequence;
            vote->state = state;
            vote->target = 1 - i;
        }
    }
    if (vote->sequence == 0) {
        return err_set(
            err, ERR_CORRUPT,
            "%s: both slots (offsets 0 and %d) are damaged or cut short; " FILES_REMEDY,
            vote->path, VOTE_SLOT_SIZE);
    }
    return 0;
}

int vote_load(struct vote *vote, struct env *env, const char *dir, bool *found,
              struct err *err)
{
    struct disk_file *file;
    int rc;

    *vote = (struct vote){
        .env = env, .dir = mem_strdup(dir), .path = mem_printf("%s/vote", dir)};
    CHECK(pthread_mutex_init(&vote->mutex, NULL) == 0);
    rc = env->disk->ops->open(env->disk, vote->path, DISK_READ_ONLY, &file);
    *found = rc == 0;
    if (rc == 0) {
        env->disk->ops->close(file);
        rc = read_slots(vote, err);
    } else if (rc == -ENOENT) {
        rc = 0;
    } else {
        rc = files_fail(err, rc, "open", vote->path);
    }
    if (rc < 0) {
        vote_close(vote);
    }
    return rc;
}

static int write_slot(struct vote *vote, const uint8_t *slot, int i, struct err *err)
{
    return files_write(vote->env->disk, vote->file, vote->path, slot, VOTE_SLOT_SIZE,
                       (uint64_t)i * VOTE_SLOT_SIZE, err);
}

/* The mutex is held, or nobody else knows the vote yet. */
static int save(struct vote *vote, struct files_tally *tally, struct err *err)
{
    uint8_t slot[VOTE_SLOT_SIZE];
    int rc;

    encode(slot, &vote->state, ++vote->sequence);
    rc = FAILPOINT_RC(VOTE_FIRST);
    rc = rc < 0 ? files_fail(err, rc, "write", vote->path)
                : write_slot(vote, slot, vote->target, err);
    if (rc == 0) {
        rc = FAILPOINT_RC(VOTE_SYNC);
        rc = rc < 0 ? files_fail(err, rc, "fdatasync", vote->path)
                    : files_sync(vote->env, vote->file, vote->path, tally, err);
    }
    if (rc == 0) {
        vote->target = 1 - vote->target;
        rc = FAILPOINT_RC(VOTE_SECOND);
        rc = rc < 0 ? files_fail(err, rc, "write", vote->path)
                    : write_slot(vote, slot, vote->target, err);
    }
    return rc;
}

/* The file gets its name when it is complete. */
static int create(struct vote *vote, struct files_tally *tally, struct err *err)
{
    struct disk *disk = vote->env->disk;
    char *path = mem_printf("%s/vote.new", vote->dir);
    int rc = disk->ops->open(disk, path, DISK_CREATE, &vote->file);

    if (rc < 0) {
        rc = files_fail(err, rc, "create", path);
        goto done;
    }
    rc = save(vote, tally, err);
    if (rc == 0) {
        rc = files_sync(vote->env, vote->file, path, tally, err);
    }
    if (rc == 0) {
        rc = disk->ops->rename(disk, path, vote->path);
        rc = rc < 0 ? files_fail(err, rc, "rename", path) : 0;
    }
    if (rc == 0) {
        rc = files_sync_dir(disk, vote->dir, err);
    }

done:
    free(path);
    return rc;
}

/* What was read may never have been synced, so it is written anew. */
int vote_start(struct vote *vote, bool found, struct files_tally *tally, struct err *err)
{
    struct disk *disk = vote->env->disk;
    int rc;

    if (!found) {
        return create(vote, tally, err);
    }
    rc = disk->ops->open(disk, vote->path, 0, &vote->file);
    if (rc < 0) {
        return files_fail(err, rc, "open", vote->path);
    }
    rc = save(vote, tally, err);
    return rc < 0 ? rc : files_sync_dir(disk, vote->dir, err);
}

int vote_set(struct vote *vote, uint64_t term, uint64_t voted_for,
             struct files_tally *tally, struct err *err)
{
    int rc;

    pthread_mutex_lock(&vote->mutex);
    vote->state.term = term;
    vote->state.vote = voted_for;
    rc = save(vote, tally, err);
    pthread_mutex_unlock(&vote->mutex);
    return rc;
}

int vote_set_anchor(struct vote *vote, const struct store_anchor *anchor,
                    struct files_tally *tally, struct err *err)
{
    struct vote_state *state = &vote->state;
    int rc;

    CHECK(anchor->configuration.len <= LIMIT_ANCHOR_CONFIG);
    pthread_mutex_lock(&vote->mutex);
    state->anchor_index = anchor->index;
    state->anchor_term = anchor->term;
    state->config_index = anchor->configuration_index;
    state->config_len = (uint32_t)anchor->configuration.len;
    if (anchor->configuration.len > 0) {
        memcpy(state->config, anchor->configuration.ptr, anchor->configuration.len);
    }
    rc = save(vote, tally, err);
    pthread_mutex_unlock(&vote->mutex);
    return rc;
}

void vote_close(struct vote *vote)
{
    if (vote->path == NULL) {
        return;
    }
    if (vote->file != NULL) {
        vote->env->disk->ops->close(vote->file);
    }
    pthread_mutex_destroy(&vote->mutex);
    free(vote->dir);
    free(vote->path);
    *vote = (struct vote){0};
}
