/* The bytes of recent records in memory, as they are in the segments. A record is encoded
 * once, into a window here; the log lane writes from there, and readers get their
 * payloads from there. Loop thread only, but for the bytes themselves: the lane reads
 * those of a window that is held.
 *
 * Happy path: cache_reserve gives room for the next record; cache_find finds a record;
 * what is not here is read from disk into a window of its own (cache_borrow) that goes
 * with cache_release. Pointers stay good until cache_release. A zeroed struct is empty.
 */
#ifndef KVD_RAFTLOG_CACHE_H
#define KVD_RAFTLOG_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes [from, to) of one segment. */
struct cache_window {
    struct cache_window *next; /* private: in a list of those to be freed */
    uint64_t segment;
    uint64_t from;
    uint64_t to;
    size_t room;
    unsigned holds; /* writes that read it */
    bool sealed;    /* takes no more records */
    uint8_t bytes[];
};

struct cache {
    struct cache_window **windows; /* by segment and offset */
    size_t n;
    size_t room;
    struct cache_window *retired;  /* cut off; freed when nobody holds them */
    struct cache_window *borrowed; /* read back from disk */
    size_t bytes;                  /* room of the windows */
};

/* Room for size bytes at offset of the segment, behind all windows; *window is the one
 * they are in. */
uint8_t *cache_reserve(struct cache *cache, uint64_t segment, uint64_t offset,
                       size_t size, struct cache_window **window);

/* The bytes of a record, or NULL. Borrowed windows are searched too. */
const uint8_t *cache_find(const struct cache *cache, uint64_t segment, uint64_t offset,
                          size_t size);

/* A window for len bytes to be read from disk. */
struct cache_window *cache_borrow(struct cache *cache, uint64_t segment, uint64_t from,
                                  size_t len);

/* Takes out everything from a place on, or of segments below. */
void cache_cut(struct cache *cache, uint64_t segment, uint64_t offset);
void cache_drop_below(struct cache *cache, uint64_t segment);

/* Frees what was borrowed or cut off, and the oldest windows while there are more than
 * bytes_max; those not wholly below (segment, offset) stay. */
void cache_release(struct cache *cache, size_t bytes_max, uint64_t segment,
                   uint64_t offset);

/* Nothing may be held. */
void cache_close(struct cache *cache);

#endif
