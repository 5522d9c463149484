/* Quoting in both directions. Writing cannot fail; reading fails on a missing closing
 * quote and on escapes that do not exist. */
#include "cli/quote.h"

#include "base/mem.h"

struct escape {
    char letter;
    uint8_t byte;
};

static const struct escape escapes[] = {
    {'a', '\a'}, {'b', '\b'}, {'f', '\f'},  {'n', '\n'}, {'r', '\r'},
    {'t', '\t'}, {'v', '\v'}, {'\\', '\\'}, {'"', '"'},
};

struct rune_span {
    uint32_t from, to;
};

/* Code points beyond ASCII that have no glyph of their own: controls, spaces, formatting
 * marks, surrogates and the private area. */
static const struct rune_span invisible[] = {
    {0x80, 0xa0},     {0xad, 0xad},        {0x600, 0x605},   {0x61c, 0x61c},
    {0x6dd, 0x6dd},   {0x70f, 0x70f},      {0x1680, 0x1680}, {0x180e, 0x180e},
    {0x2000, 0x200f}, {0x2028, 0x202f},    {0x205f, 0x206f}, {0x3000, 0x3000},
    {0xd800, 0xf8ff}, {0xfdd0, 0xfdef},    {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
    {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
};

size_t utf8_decode(struct slice bytes, uint32_t *rune)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    uint32_t value;

    if (bytes.len == 0) {
        return 0;
    }
    if (bytes.ptr[0] < 0x80) {
        *rune = bytes.ptr[0];
        return 1;
    }
    len = bytes.ptr[0] >= 0xf0 ? 4 : bytes.ptr[0] >= 0xe0 ? 3 : 2;
    if (bytes.ptr[0] < 0xc0 || bytes.ptr[0] > 0xf4 || len > bytes.len) {
        return 0;
    }
    value = bytes.ptr[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((bytes.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (bytes.ptr[i] & 0x3f);
    }
    if (value < smallest[len] || value > 0x10ffff ||
        (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *rune = value;
    return len;
}

bool utf8_valid(struct slice bytes)
{
    while (bytes.len > 0) {
        uint32_t rune;
        size_t len = bytes.ptr[0] < 0x80 ? 1 : utf8_decode(bytes, &rune);

        if (len == 0) {
            return false;
        }
        bytes = slice_of(bytes.ptr + len, bytes.len - len);
    }
    return true;
}

static bool rune_visible(uint32_t rune)
{
    for (size_t i = 0; i < ARRAY_LEN(invisible); i++) {
        if (rune >= invisible[i].from && rune <= invisible[i].to) {
            return false;
        }
    }
    return rune >= ' ' && rune != 0x7f;
}

static void write_rune(FILE *out, struct slice encoded, uint32_t rune)
{
    for (size_t i = 0; rune < 0x80 && i < ARRAY_LEN(escapes); i++) {
        if (escapes[i].byte == rune) {
            fprintf(out, "\\%c", escapes[i].letter);
            return;
        }
    }
    if (rune_visible(rune)) {
        fwrite(encoded.ptr, 1, encoded.len, out);
    } else if (rune < 0x80) {
        fprintf(out, "\\x%02x", (unsigned)rune);
    } else if (rune < 0x10000) {
        fprintf(out, "\\u%04x", (unsigned)rune);
    } else {
        fprintf(out, "\\U%08x", (unsigned)rune);
    }
}

void quote_write(FILE *out, struct slice bytes)
{
    fputc('"', out);
    while (bytes.len > 0) {
        uint32_t rune;
        size_t len = utf8_decode(bytes, &rune);

        if (len == 0) {
            fprintf(out, "\\x%02x", bytes.ptr[0]);
            len = 1;
        } else {
            write_rune(out, slice_of(bytes.ptr, len), rune);
        }
        bytes = slice_of(bytes.ptr + len, bytes.len - len);
    }
    fputc('"', out);
}

void quote_write_hex(FILE *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        fprintf(out, "\\x%02x", bytes.ptr[i]);
    }
}

static size_t utf8_encode(uint32_t rune, uint8_t *out)
{
    if (rune < 0x80) {
        out[0] = (uint8_t)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (uint8_t)(0xc0 | rune >> 6);
        out[1] = (uint8_t)(0x80 | (rune & 0x3f));
        return 2;
    }
    if (rune < 0x10000) {
        out[0] = (uint8_t)(0xe0 | rune >> 12);
        out[1] = (uint8_t)(0x80 | (rune >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (rune & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | rune >> 18);
    out[1] = (uint8_t)(0x80 | (rune >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (rune >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (rune & 0x3f));
    return 4;
}

/* Digits of a base, exactly n of them; false when the text holds something else. */
static bool read_digits(struct slice text, size_t n, unsigned base, uint32_t *value)
{
    *value = 0;
    if (text.len < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 99;

        if (digit >= base) {
            return false;
        }
        *value = *value * base + digit;
    }
    return true;
}

/* One escape, text starting behind the backslash: bytes written to out, *used consumed.
 * 0: no such escape. */
static size_t read_escape(struct slice text, uint8_t *out, size_t *used)
{
    uint32_t value;

    if (text.len == 0) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        if ((uint8_t)escapes[i].letter == text.ptr[0]) {
            out[0] = escapes[i].byte;
            *used = 1;
            return 1;
        }
    }
    if (read_digits(text, 3, 8, &value) && value < 256) {
        out[0] = (uint8_t)value;
        *used = 3;
        return 1;
    }
    text = slice_of(text.ptr + 1, text.len - 1);
    if (text.ptr[-1] == 'x' && read_digits(text, 2, 16, &value)) {
        out[0] = (uint8_t)value;
        *used = 3;
        return 1;
    }
    if ((text.ptr[-1] == 'u' && read_digits(text, 4, 16, &value)) ||
        (text.ptr[-1] == 'U' && read_digits(text, 8, 16, &value))) {
        *used = text.ptr[-1] == 'u' ? 5 : 9;
        return value > 0x10ffff || (value >= 0xd800 && value < 0xe000)
                   ? 0
                   : utf8_encode(value, out);
    }
    return 0;
}

int quote_read(struct slice line, struct arena *arena, struct slice *bytes, size_t *len,
               struct err *err)
{
    uint8_t *out;
    size_t n = 0;

    if (line.len == 0 || line.ptr[0] != '"') {
        return err_set(err, ERR_INVALID, "expected a text in double quotes at: %.*s",
                       (int)line.len, (const char *)line.ptr);
    }
    out = arena_alloc(arena, line.len);
    for (size_t i = 1; i < line.len; i++) {
        if (line.ptr[i] == '"') {
            *bytes = slice_of(out, n);
            *len = i + 1;
            return 0;
        }
        if (line.ptr[i] == '\\') {
            size_t used = 0;
            size_t got =
                read_escape(slice_of(line.ptr + i + 1, line.len - i - 1), out + n, &used);

            if (got == 0) {
                return err_set(err, ERR_INVALID, "no such escape: %.*s",
                               (int)(line.len - i), (const char *)line.ptr + i);
            }
            n += got;
            i += used;
        } else {
            out[n++] = line.ptr[i];
        }
    }
    return err_set(err, ERR_INVALID, "no closing quote: %.*s", (int)line.len,
                   (const char *)line.ptr);
}
