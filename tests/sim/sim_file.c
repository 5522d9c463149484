/* The content of one simulated file: blocks of 4 KiB, made when something other than
 * zeros is written. A block that has unsynced sectors keeps their durable content aside.
 */
#include "tests/sim/sim_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define BLOCK_SIZE  4096
#define SECTOR_SIZE 512
#define NEVER       UINT64_MAX

struct block {
    uint8_t now[BLOCK_SIZE];
    uint8_t durable[BLOCK_SIZE]; /* of the dirty sectors */
    unsigned dirty;              /* a bit for each sector */
};

struct sim_file {
    struct block **blocks; /* NULL: zeros */
    size_t n_blocks;
    size_t *dirty; /* numbers of blocks with dirty sectors */
    size_t n_dirty;
    size_t dirty_room;
    uint64_t size;
    uint64_t durable_size;
    uint64_t shrunk_to; /* the smallest size since the last sync, NEVER: it only grew */
};

struct sim_file *sim_file_new(void)
{
    struct sim_file *file = mem_zero(sizeof(*file));

    file->shrunk_to = NEVER;
    return file;
}

void sim_file_free(struct sim_file *file)
{
    for (size_t i = 0; i < file->n_blocks; i++) {
        free(file->blocks[i]);
    }
    free(file->blocks);
    free(file->dirty);
    free(file);
}

uint64_t sim_file_size(const struct sim_file *file)
{
    return file->size;
}

size_t sim_file_read(const struct sim_file *file, void *bytes, size_t len,
                     uint64_t offset)
{
    uint8_t *at = bytes;
    size_t done = 0;

    if (offset >= file->size) {
        return 0;
    }
    if (len > file->size - offset) {
        len = file->size - offset;
    }
    while (done < len) {
        size_t number = (offset + done) / BLOCK_SIZE;
        size_t from = (offset + done) % BLOCK_SIZE;
        size_t part = len - done < BLOCK_SIZE - from ? len - done : BLOCK_SIZE - from;

        if (number < file->n_blocks && file->blocks[number] != NULL) {
            memcpy(at + done, file->blocks[number]->now + from, part);
        } else {
            memset(at + done, 0, part);
        }
        done += part;
    }
    return len;
}

static struct block *block_at(struct sim_file *file, size_t number)
{
    if (number >= file->n_blocks) {
        size_t n = number + 1 > file->n_blocks * 2 ? number + 1 : file->n_blocks * 2;

        file->blocks = mem_grow(file->blocks, n * sizeof(struct block *));
        memset(file->blocks + file->n_blocks, 0,
               (n - file->n_blocks) * sizeof(struct block *));
        file->n_blocks = n;
    }
    if (file->blocks[number] == NULL) {
        file->blocks[number] = mem_zero(sizeof(struct block));
    }
    return file->blocks[number];
}

/* Keeps the durable content of a block's sectors [first, last] aside before they change.
 */
static void touch(struct sim_file *file, struct sim_rng *rng, size_t number, size_t first,
                  size_t last)
{
    struct block *block = file->blocks[number];

    if (block->dirty == 0) {
        if (file->n_dirty == file->dirty_room) {
            file->dirty_room = file->dirty_room > 0 ? file->dirty_room * 2 : 8;
            file->dirty = mem_grow(file->dirty, file->dirty_room * sizeof(*file->dirty));
        }
        file->dirty[file->n_dirty++] = number;
    }
    for (size_t i = first; i <= last; i++) {
        bool cut = file->shrunk_to < number * BLOCK_SIZE + (i + 1) * SECTOR_SIZE;

        /* Where the file had ended, an earlier state may belong to blocks it gave away.
         */
        if ((block->dirty >> i & 1) == 0 || (!cut && sim_rng_chance(rng, 250000))) {
            memcpy(block->durable + i * SECTOR_SIZE, block->now + i * SECTOR_SIZE,
                   SECTOR_SIZE);
            block->dirty |= 1u << i;
        }
    }
}

static bool all_zero(const uint8_t *at, size_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/* bytes NULL: zeros. */
static void put(struct sim_file *file, struct sim_rng *rng, const uint8_t *bytes,
                size_t len, uint64_t offset)
{
    size_t done = 0;

    while (done < len) {
        size_t number = (offset + done) / BLOCK_SIZE;
        size_t from = (offset + done) % BLOCK_SIZE;
        size_t part = len - done < BLOCK_SIZE - from ? len - done : BLOCK_SIZE - from;
        bool zero = bytes == NULL || all_zero(bytes + done, part);

        if (!zero || (number < file->n_blocks && file->blocks[number] != NULL)) {
            struct block *block = block_at(file, number);

            touch(file, rng, number, from / SECTOR_SIZE, (from + part - 1) / SECTOR_SIZE);
            if (zero) {
                memset(block->now + from, 0, part);
            } else {
                memcpy(block->now + from, bytes + done, part);
            }
        }
        done += part;
    }
}

void sim_file_write(struct sim_file *file, struct sim_rng *rng, const void *bytes,
                    size_t len, uint64_t offset)
{
    put(file, rng, bytes, len, offset);
    if (offset + len > file->size) {
        file->size = offset + len;
    }
}

void sim_file_resize(struct sim_file *file, struct sim_rng *rng, uint64_t size)
{
    uint64_t held = (uint64_t)file->n_blocks * BLOCK_SIZE;

    if (size < file->size) {
        if (size < held) {
            put(file, rng, NULL, held - size, size);
        }
        if (size < file->shrunk_to) {
            file->shrunk_to = size;
        }
    }
    file->size = size;
}

void sim_file_sync(struct sim_file *file)
{
    for (size_t i = 0; i < file->n_dirty; i++) {
        file->blocks[file->dirty[i]]->dirty = 0;
    }
    file->n_dirty = 0;
    file->durable_size = file->size;
    file->shrunk_to = NEVER;
}

/* What is left of one dirty sector; at is its offset in the file. */
static void crash_sector(const struct sim_file *file, uint8_t *now, uint8_t *durable,
                         uint64_t at, bool shrink_kept, bool written)
{
    if (file->shrunk_to < at + SECTOR_SIZE) {
        size_t keep = file->shrunk_to > at ? file->shrunk_to - at : 0;

        if (!shrink_kept) {
            written = false;
        } else {
            memset(durable + keep, 0, SECTOR_SIZE - keep);
        }
    }
    if (!written) {
        memcpy(now, durable, SECTOR_SIZE);
    }
}

static void crash_size(struct sim_file *file, struct sim_rng *rng, bool shrink_kept)
{
    bool grown_kept = sim_rng_chance(rng, 500000);

    if (file->shrunk_to != NEVER && !shrink_kept) {
        file->size = file->durable_size;
    } else if (!grown_kept) {
        uint64_t least = file->shrunk_to != NEVER ? file->shrunk_to : file->durable_size;

        if (least < file->size) {
            sim_file_resize(file, rng, least);
        }
    }
}

void sim_file_crash(struct sim_file *file, struct sim_rng *rng)
{
    static const uint32_t moods[] = {0, 500000, 900000, 1000000};
    uint32_t kept = moods[sim_rng_next(rng) % ARRAY_LEN(moods)];
    bool shrink_kept = sim_rng_chance(rng, 500000);

    for (size_t i = 0; i < file->n_dirty; i++) {
        struct block *block = file->blocks[file->dirty[i]];

        for (size_t s = 0; s < BLOCK_SIZE / SECTOR_SIZE; s++) {
            if (block->dirty >> s & 1) {
                crash_sector(file, block->now + s * SECTOR_SIZE,
                             block->durable + s * SECTOR_SIZE,
                             (uint64_t)file->dirty[i] * BLOCK_SIZE + s * SECTOR_SIZE,
                             shrink_kept, sim_rng_chance(rng, kept));
            }
        }
    }
    crash_size(file, rng, shrink_kept);
    sim_file_sync(file);
}

void sim_file_flip(struct sim_file *file, uint64_t offset, uint8_t mask)
{
    CHECK(offset < file->size);
    block_at(file, offset / BLOCK_SIZE)->now[offset % BLOCK_SIZE] ^= mask;
}
