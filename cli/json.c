/* The streaming JSON writer: one flag, whether a comma is due, is all it must remember.
 */
#include "cli/json.h"

#include <inttypes.h>

static void before_value(struct json *j)
{
    if (j->comma) {
        fputc(',', j->out);
    }
    j->comma = true;
}

static void open_with(struct json *j, char bracket)
{
    before_value(j);
    fputc(bracket, j->out);
    j->comma = false;
}

static void close_with(struct json *j, char bracket)
{
    fputc(bracket, j->out);
    j->comma = true;
}

void json_open_object(struct json *j)
{
    open_with(j, '{');
}

void json_close_object(struct json *j)
{
    close_with(j, '}');
}

void json_open_array(struct json *j)
{
    open_with(j, '[');
}

void json_close_array(struct json *j)
{
    close_with(j, ']');
}

static bool plain(uint8_t c)
{
    return c >= ' ' && c != '"' && c != '\\';
}

static void write_escape(FILE *out, uint8_t c)
{
    static const char *const names[' '] = {
        ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};

    if (c >= ' ') {
        fprintf(out, "\\%c", c);
    } else if (names[c] != NULL) {
        fputs(names[c], out);
    } else {
        fprintf(out, "\\u%04x", c);
    }
}

static void write_string(FILE *out, struct slice text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.len;) {
        size_t end = i;

        while (end < text.len && plain(text.ptr[end])) {
            end++;
        }
        if (end > i) {
            fwrite(text.ptr + i, 1, end - i, out);
        } else {
            write_escape(out, text.ptr[end++]);
        }
        i = end;
    }
    fputc('"', out);
}

void json_name(struct json *j, const char *name)
{
    before_value(j);
    write_string(j->out, slice_str(name));
    fputc(':', j->out);
    j->comma = false;
}

void json_text(struct json *j, struct slice text)
{
    before_value(j);
    write_string(j->out, text);
}

void json_base64(struct json *j, struct slice bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    before_value(j);
    fputc('"', j->out);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i;
        uint32_t three = (uint32_t)bytes.ptr[i] << 16 |
                         (n > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) |
                         (n > 2 ? (uint32_t)bytes.ptr[i + 2] : 0);

        fputc(digits[three >> 18], j->out);
        fputc(digits[three >> 12 & 63], j->out);
        fputc(n > 1 ? digits[three >> 6 & 63] : '=', j->out);
        fputc(n > 2 ? digits[three & 63] : '=', j->out);
    }
    fputc('"', j->out);
}

void json_int(struct json *j, int64_t value)
{
    before_value(j);
    fprintf(j->out, "%" PRId64, value);
}

void json_uint(struct json *j, uint64_t value)
{
    before_value(j);
    fprintf(j->out, "%" PRIu64, value);
}

void json_bool(struct json *j, bool value)
{
    before_value(j);
    fputs(value ? "true" : "false", j->out);
}

void json_none(struct json *j)
{
    before_value(j);
    fputs("null", j->out);
}
