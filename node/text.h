/* Text into a buffer. */
#ifndef KVD_NODE_TEXT_H
#define KVD_NODE_TEXT_H

#include "base/buf.h"

/* Appends formatted text of at most TEXT_PIECE_MAX bytes; the buffer must have room. */
#define TEXT_PIECE_MAX 1024
void text_add(struct buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
