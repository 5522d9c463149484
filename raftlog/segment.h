/* One file of the log: its name, its header, and what a scan of it finds.
 *
 * Happy path: segment_load reads a file; segment_next yields records until none follows;
 * segment_end judges what is behind the last one: blank, an unfinished write, or damage.
 *
 * The name is the first index in 20 digits and ".log". Header of 32 bytes, little endian:
 * u64 magic, u32 format, u32 salt, u64 first index, u32 flags, u32 CRC32C of the bytes
 * before. A file gets its name only when its header is durable, so a bad header is
 * damage. What is behind the last record is zeros, written or allocated before records
 * come: a sector that was lost in a crash reads as zeros. */
#ifndef KVD_RAFTLOG_SEGMENT_H
#define KVD_RAFTLOG_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/err.h"
#include "raftlog/raftlog.h"

#define SEGMENT_HEADER_SIZE 32
#define SEGMENT_FORMAT      1

struct segment_header {
    uint64_t first;    /* index of the first record */
    uint32_t salt;     /* random; begins each record's CRC */
    bool after_anchor; /* begins behind a snapshot: a gap before it is no damage */
};

/* The caller frees the path. */
char *segment_path(const char *log_dir, uint64_t first);
bool segment_parse_name(const char *name, uint64_t *first);

void segment_encode_header(uint8_t *at, const struct segment_header *header);

struct segment_image {
    char *path;
    uint8_t *bytes;
    size_t len;
    struct segment_header header;
};

/* Reads the file and checks its header. ERR_CORRUPT, ERR_VERSION, ERR_IO. */
int segment_load(struct segment_image *image, struct disk *disk, const char *log_dir,
                 uint64_t first, struct err *err);
void segment_unload(struct segment_image *image);

/* A walk over an image's records; segment_walk begins it. */
struct segment_walk {
    const struct segment_image *image;
    size_t offset;       /* behind the last record seen */
    uint64_t next;       /* index that must come */
    uint64_t term;       /* of the last record seen; terms never fall */
    uint32_t place;      /* of the next record if its group goes on */
    size_t group_offset; /* where the last group begins */
};

struct segment_walk segment_walk(const struct segment_image *image, uint64_t term);

/* The next record, borrowed from the image; false when none follows: see segment_end. */
bool segment_next(struct segment_walk *walk, struct raftlog_entry *out);

enum segment_tail { SEGMENT_BLANK, SEGMENT_TORN };

/* What is behind the last record: SEGMENT_BLANK, SEGMENT_TORN (an unfinished write:
 * nothing behind it was ever durable) or ERR_CORRUPT with file, offset and remedy. */
int segment_end(const struct segment_walk *walk, struct err *err);

#endif
