#include "wire/percent.h"

#include <stdbool.h>

#include "base/check.h"

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

size_t percent_encode(struct slice text, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];

        if (size - len < (is_plain(byte) ? 1u : 3u)) {
            break;
        }
        if (is_plain(byte)) {
            out[len++] = (char)byte;
        } else {
            out[len++] = '%';
            out[len++] = digits[byte >> 4];
            out[len++] = digits[byte & 15];
        }
    }
    return len;
}

size_t percent_decode(struct slice encoded, char *out, size_t size)
{
    size_t len = 0;

    CHECK(size > 0);
    for (size_t i = 0; i < encoded.len && len < size - 1; i++) {
        uint8_t byte = encoded.ptr[i];

        if (byte == '%' && encoded.len - i > 2) {
            int high = hex_value(encoded.ptr[i + 1]);
            int low = hex_value(encoded.ptr[i + 2]);

            if (high >= 0 && low >= 0) {
                byte = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        out[len++] = (char)byte;
    }
    out[len] = '\0';
    return len;
}
