/* The log lane's side of the store: carries out the steps that the loop planned, in
 * order, with one sync at the end. It decides nothing and knows no indexes but those in
 * file names.
 *
 * Happy path: writer_open on the last segment; writer_run for each batch. What can fail:
 * the disk; the batch then ends there and the process stops. Only a step for which there
 * was no room (ERR_FULL) may be tried again, later, with those behind it: each of these
 * can be run twice. A sync that failed is never tried again.
 *
 * Every step leaves files that can be recovered, wherever a crash comes.
 *
 * WRITE: records of one group, behind everything durable, over zeros; lost sectors are
 * told from damage by segment_end. No record is ever written behind the durable end of a
 * file: GROW, for a record bigger than a segment, is durable before.
 *
 * ROLL: the old segment is synced before the new one gets its name, so only the last
 * segment can have an unfinished end. The name becomes durable with the header in place.
 *
 * Suffix truncation is UNLINK and CUT: later segments go newest first, each durably
 * before the next, so that no gap arises; then the file is cut by one truncate, which
 * file systems do all or nothing, and synced before anything is written behind the cut.
 * So no record of before can come to follow a new, shorter one: behind the cut there are
 * only zeros.
 *
 * Prefix truncation is ANCHOR and REMOVE: the anchor is durable in the vote file, after
 * the entries before it, and before what lies below it goes. */
#ifndef KVD_RAFTLOG_WRITER_H
#define KVD_RAFTLOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "raftlog/files.h"
#include "raftlog/segment.h"
#include "raftlog/vote.h"

enum step_kind {
    STEP_WRITE,
    STEP_ROLL,
    STEP_GROW,
    STEP_CUT,
    STEP_UNLINK,
    STEP_ANCHOR,
    STEP_REMOVE,
};

struct cache_window;

struct step {
    enum step_kind kind;
    union {
        struct {
            struct cache_window *window; /* held until the batch is done */
            const uint8_t *bytes;
            size_t len;
            uint64_t offset;
        } write;
        struct {
            struct segment_header header;
            uint64_t size;   /* bytes to have at least */
            uint64_t spare;  /* number of a file made ahead, or of one to make */
            bool made_ahead; /* it is there, zeroed and durable */
        } roll;
        struct {
            uint64_t segment;
            uint64_t offset;
            uint64_t size; /* to have again afterwards */
        } cut;
        uint64_t size;    /* GROW: what the last segment must have */
        uint64_t segment; /* UNLINK: durable at once; REMOVE: at the next start */
        struct store_anchor *anchor; /* owned, with its configuration behind it */
    };
};

struct writer {
    struct env *env;
    struct vote *vote;
    char *log_dir;
    struct disk_file *file; /* the last segment */
    uint64_t segment;
    char *path;
    bool dirty;
};

/* The path of a file made ahead; the caller frees it. */
char *writer_spare_path(const char *log_dir, uint64_t number);

void writer_init(struct writer *writer, struct env *env, struct vote *vote,
                 const char *log_dir);

/* Runs the steps from *done on, which counts those that are done. On the log lane, or
 * before there is one. */
int writer_run(struct writer *writer, const struct step *steps, size_t n, size_t *done,
               struct files_tally *tally, struct err *err);

/* Opens the last segment, cuts it at offset when something unfinished is behind it, has
 * size bytes allocated and writes the last group's bytes anew, since they may never have
 * been synced. Durable on return. */
int writer_open(struct writer *writer, uint64_t segment, bool cut, uint64_t size,
                const uint8_t *group, size_t group_len, uint64_t group_offset,
                struct files_tally *tally, struct err *err);

void writer_close(struct writer *writer);

#endif
