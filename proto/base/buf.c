#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

#define BUF_ROOM_MIN 256

void buf_init(struct buf *b, size_t max)
{
    CHECK(max > 0);
    *b = BUF_INIT(max);
}

void buf_close(struct buf *b)
{
    free(b->bytes);
    *b = BUF_INIT(b->max);
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
    size_t held = buf_len(b);

    CHECK(b->max > 0);
    if (len > b->max || held > b->max - len) {
        return NULL;
    }
    if (b->to + len > b->room && b->from > 0) {
        memmove(b->bytes, b->bytes + b->from, held);
        b->from = 0;
        b->to = held;
    }
    if (b->to + len > b->room || b->bytes == NULL) {
        size_t room = b->room < BUF_ROOM_MIN ? BUF_ROOM_MIN : b->room;

        while (room < b->to + len) {
            room += room / 2;
        }
        b->bytes = mem_grow(b->bytes, room);
        b->room = room;
    }
    return b->bytes + b->to;
}

void buf_commit(struct buf *b, size_t len)
{
    CHECK(len <= b->room - b->to);
    b->to += len;
}

int buf_append(struct buf *b, const void *bytes, size_t len)
{
    uint8_t *at = buf_reserve(b, len);

    if (at == NULL) {
        return ERR_TOO_BIG;
    }
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    buf_commit(b, len);
    return 0;
}

void buf_consume(struct buf *b, size_t len)
{
    CHECK(len <= buf_len(b));
    b->from += len;
    if (b->from == b->to) {
        b->from = 0;
        b->to = 0;
    }
}

void buf_clear(struct buf *b)
{
    b->from = 0;
    b->to = 0;
}

void buf_trim(struct buf *b, size_t keep)
{
    if (buf_len(b) == 0 && b->room > keep) {
        buf_close(b);
    }
}
