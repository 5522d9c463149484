/* A growing run of bytes with a ceiling from birth. Read from the front, append at the
 * end; a zeroed struct with a limit is a valid empty buffer. */
#ifndef KVD_BASE_BUF_H
#define KVD_BASE_BUF_H

#include <stdint.h>

#include "base/slice.h"

struct buf {
    uint8_t *bytes; /* private */
    size_t from;    /* private: first unread byte */
    size_t to;      /* private: end of the bytes held */
    size_t room;    /* private: bytes allocated */
    size_t max;     /* ceiling of what is held */
};

#define BUF_INIT(limit) ((struct buf){.max = (limit)})

void buf_init(struct buf *b, size_t max);
void buf_close(struct buf *b);

/* The unread bytes; valid until the next change. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->bytes + b->from, b->to - b->from);
}

static inline size_t buf_len(const struct buf *b)
{
    return b->to - b->from;
}

/* Room for len more bytes, at the end, or NULL when that would pass the ceiling. The
 * bytes count once buf_commit says how many were written. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* ERR_TOO_BIG when the ceiling would be passed; the buffer is then unchanged. */
int buf_append(struct buf *b, const void *bytes, size_t len);

/* Drops len bytes from the front. */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);

/* Gives memory back when the buffer is empty and holds more than keep bytes. */
void buf_trim(struct buf *b, size_t keep);

#endif
