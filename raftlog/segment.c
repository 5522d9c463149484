/* One file of the log: names, header, scan.
 *
 * What can fail: damage. A bad record is an unfinished write only if (1) a sector of it
 * still reads as the zeros that were there before, for disks write sectors whole, and (2)
 * no valid record behind it belongs to a later group, for a group is begun only when all
 * before it is durable. Anything else was durable once, and dropping it could lose an
 * entry that a quorum counts on. The sector rule is that of etcd's log
 * (server/wal/decoder.go). */
#include "raftlog/segment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raftlog/files.h"
#include "raftlog/little.h"
#include "raftlog/record.h"

#define MAGIC       0x31676f6c2d64766bull /* "kvd-log1" */
#define SECTOR_SIZE 512
#define NAME_DIGITS 20
#define SIZE_MAX_OF_SEGMENT                                                              \
    (LIMIT_SEGMENT_BYTES + SEGMENT_HEADER_SIZE + RECORD_HEADER_SIZE + LIMIT_ENTRY_BYTES)

enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_SALT = 12,
    AT_FIRST = 16,
    AT_FLAGS = 24,
    AT_CRC = 28,
};

enum { FLAG_AFTER_ANCHOR = 1 };

static bool all_zero(const uint8_t *at, size_t len)
{
    return len == 0 || (at[0] == 0 && memcmp(at, at + 1, len - 1) == 0);
}

char *segment_path(const char *log_dir, uint64_t first)
{
    return mem_printf("%s/%0*" PRIu64 ".log", log_dir, NAME_DIGITS, first);
}

bool segment_parse_name(const char *name, uint64_t *first)
{
    uint64_t value = 0;

    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".log") != 0) {
        return false;
    }
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    *first = value;
    return value > 0;
}

void segment_encode_header(uint8_t *at, const struct segment_header *header)
{
    little_put64(at + AT_MAGIC, MAGIC);
    little_put32(at + AT_FORMAT, SEGMENT_FORMAT);
    little_put32(at + AT_SALT, header->salt);
    little_put64(at + AT_FIRST, header->first);
    little_put32(at + AT_FLAGS, header->after_anchor ? FLAG_AFTER_ANCHOR : 0);
    little_put32(at + AT_CRC, crc32c(0, at, AT_CRC));
}

static int check_header(struct segment_image *image, uint64_t first, struct err *err)
{
    const uint8_t *at = image->bytes;
    uint32_t flags;

    if (image->len < SEGMENT_HEADER_SIZE || little_get64(at + AT_MAGIC) != MAGIC ||
        crc32c(0, at, AT_CRC) != little_get32(at + AT_CRC)) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the header at offset 0 is damaged; " FILES_REMEDY,
                       image->path);
    }
    if (little_get32(at + AT_FORMAT) > SEGMENT_FORMAT) {
        return err_set(err, ERR_VERSION,
                       "%s: has format %" PRIu32 ", written by a newer version of kvd; "
                       "this one reads up to %d: start the newer version",
                       image->path, little_get32(at + AT_FORMAT), SEGMENT_FORMAT);
    }
    flags = little_get32(at + AT_FLAGS);
    image->header = (struct segment_header){
        .first = little_get64(at + AT_FIRST),
        .salt = little_get32(at + AT_SALT),
        .after_anchor = flags & FLAG_AFTER_ANCHOR,
    };
    if (image->header.first != first || flags > FLAG_AFTER_ANCHOR) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the header says that the file begins at index %" PRIu64
                       "; " FILES_REMEDY,
                       image->path, image->header.first);
    }
    return 0;
}

int segment_load(struct segment_image *image, struct disk *disk, const char *log_dir,
                 uint64_t first, struct err *err)
{
    int rc;

    *image = (struct segment_image){.path = segment_path(log_dir, first)};
    rc = files_load(disk, image->path, SIZE_MAX_OF_SEGMENT, &image->bytes, &image->len,
                    err);
    if (rc == 0) {
        rc = check_header(image, first, err);
    }
    if (rc < 0) {
        segment_unload(image);
    }
    return rc;
}

void segment_unload(struct segment_image *image)
{
    free(image->path);
    free(image->bytes);
    *image = (struct segment_image){0};
}

struct segment_walk segment_walk(const struct segment_image *image, uint64_t term)
{
    return (struct segment_walk){
        .image = image,
        .offset = SEGMENT_HEADER_SIZE,
        .next = image->header.first,
        .term = term,
        .group_offset = SEGMENT_HEADER_SIZE,
    };
}

bool segment_next(struct segment_walk *walk, struct raftlog_entry *out)
{
    const struct segment_image *image = walk->image;
    uint32_t place;

    if (!record_decode(image->bytes + walk->offset, image->len - walk->offset,
                       image->header.salt, out, &place)) {
        return false;
    }
    if (out->index != walk->next || out->term < walk->term ||
        (place != 0 && place != walk->place)) {
        return false;
    }
    if (place == 0) {
        walk->group_offset = walk->offset;
    }
    walk->offset += record_size(out->payload.len);
    walk->next++;
    walk->term = out->term;
    walk->place = place + 1;
    return true;
}

/* Where the bad record at offset ends: what its length says, for the length is in one
 * sector with the checksum, so it is right unless both are still zero. 0: neither. */
static size_t bad_record_end(const struct segment_image *image, size_t offset)
{
    const uint8_t *at = image->bytes + offset;

    if (image->len - offset < RECORD_ALIGN || little_get64(at) == 0) {
        return offset + 1;
    }
    return record_claimed_len(at) > LIMIT_ENTRY_BYTES
               ? 0
               : offset + record_size(record_claimed_len(at));
}

/* Whether a sector of [offset, end) still has the zeros of before. */
static bool lost_sector(const struct segment_image *image, size_t offset, size_t end)
{
    while (offset < end && offset < image->len) {
        size_t sector_end = (offset / SECTOR_SIZE + 1) * SECTOR_SIZE;

        sector_end = sector_end < image->len ? sector_end : image->len;
        if (all_zero(image->bytes + offset, sector_end - offset)) {
            return true;
        }
        offset = sector_end;
    }
    return false;
}

/* The offset of a valid record that cannot be behind a record ending at end that was not
 * finished: inside of it, or of a later group. 0: there is none. */
static size_t find_contradiction(const struct segment_walk *walk, size_t end)
{
    const struct segment_image *image = walk->image;

    for (size_t at = walk->offset + RECORD_ALIGN; at + RECORD_HEADER_SIZE <= image->len;
         at += RECORD_ALIGN) {
        struct raftlog_entry entry;
        uint32_t place;

        if (little_get64(image->bytes + at) != 0 &&
            record_decode(image->bytes + at, image->len - at, image->header.salt, &entry,
                          &place) &&
            (at < end || entry.index <= walk->next || entry.index - place > walk->next)) {
            return at;
        }
    }
    return 0;
}

int segment_end(const struct segment_walk *walk, struct err *err)
{
    const struct segment_image *image = walk->image;
    size_t end;
    size_t intact;

    if (all_zero(image->bytes + walk->offset, image->len - walk->offset)) {
        return SEGMENT_BLANK;
    }
    end = bad_record_end(image, walk->offset);
    intact = find_contradiction(walk, end);
    if (intact > 0) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the record at offset %zu (index %" PRIu64
                       ") is damaged, the one at offset %zu is not; " FILES_REMEDY,
                       image->path, walk->offset, walk->next, intact);
    }
    if (!lost_sector(image, walk->offset, end)) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the record at offset %zu (index %" PRIu64
                       ") is damaged, not merely unfinished; " FILES_REMEDY,
                       image->path, walk->offset, walk->next);
    }
    return SEGMENT_TORN;
}
