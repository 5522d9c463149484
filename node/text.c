#include "node/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

void text_add(struct buf *out, const char *format, ...)
{
    char piece[TEXT_PIECE_MAX + 1];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    CHECK(len >= 0 && len <= TEXT_PIECE_MAX);
    CHECK(buf_append(out, piece, (size_t)len) == 0);
}
