#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"

static enum log_level min_level = LOG_INFO;
static enum log_format line_format = LOG_JSON;
static void (*line_sink)(void *owner, const char *line);
static void *line_owner;

static const char *const level_names[] = {[LOG_DEBUG] = "debug",
                                          [LOG_INFO] = "info",
                                          [LOG_WARN] = "warn",
                                          [LOG_ERROR] = "error"};

struct line {
    char text[LOG_LINE_MAX];
    size_t len;
    bool cut; /* something did not fit */
};

static void put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof(line->text) - 4 - line->len; /* for the closing bytes */

    if (len > room) {
        len = room;
        line->cut = true;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_str(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* A JSON string, without the surrounding quotes. What is not UTF-8, as the name of a lock
 * need not be, shows that bytes are there, but not which. */
static void put_escaped(struct line *line, const char *text)
{
    bool readable = utf8_valid(slice_str(text));

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char code[8];

        if (line->len + 16 > sizeof(line->text)) {
            return;
        }
        if (c == '"' || c == '\\') {
            code[0] = '\\';
            code[1] = (char)c;
            put(line, code, 2);
        } else if (c < 0x20) {
            snprintf(code, sizeof(code), "\\u%04x", c);
            put_str(line, code);
        } else if (c >= 0x80 && !readable) {
            put_str(line, "\\ufffd");
        } else {
            put(line, text, 1);
        }
    }
}

static void put_name_and_value(struct line *line, const struct log_field *field)
{
    char number[32];
    bool json = line_format == LOG_JSON;

    put_str(line, json ? ",\"" : " ");
    put_str(line, field->name);
    put_str(line, json ? "\":" : "=");
    switch (field->type) {
    case LOG_FIELD_TEXT:
        put_str(line, json ? "\"" : "");
        put_escaped(line, field->text != NULL ? field->text : "");
        put_str(line, json ? "\"" : "");
        return;
    case LOG_FIELD_INT:
        snprintf(number, sizeof(number), "%" PRId64, field->number);
        break;
    case LOG_FIELD_UINT:
        snprintf(number, sizeof(number), "%" PRIu64, field->unsigned_number);
        break;
    case LOG_FIELD_HEX:
        snprintf(number, sizeof(number), json ? "\"%016" PRIx64 "\"" : "%016" PRIx64,
                 field->unsigned_number);
        break;
    }
    put_str(line, number);
}

/* A field that does not fit is left out whole, so that the line stays JSON. */
static void put_field(struct line *line, const struct log_field *field)
{
    size_t start = line->len;

    line->cut = false;
    put_name_and_value(line, field);
    if (line->cut) {
        line->len = start;
    }
}

static void put_time(struct line *line)
{
    struct timeval now;
    struct tm parts;
    char text[40];
    size_t len;

    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &parts);
    len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(now.tv_usec / 1000));
    put_str(line, text);
}

void log_setup(enum log_level level, enum log_format format)
{
    min_level = level;
    line_format = format;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_redirect(void (*sink)(void *owner, const char *line), void *owner)
{
    line_sink = sink;
    line_owner = owner;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               int n_fields)
{
    struct line line = {.len = 0};
    bool json = line_format == LOG_JSON;

    if (level < min_level) {
        return;
    }
    put_str(&line, json ? "{\"ts\":\"" : "");
    put_time(&line);
    put_str(&line, json ? "\",\"level\":\"" : " ");
    put_str(&line, level_names[level]);
    put_str(&line, json ? "\",\"msg\":\"" : " ");
    put_escaped(&line, msg);
    put_str(&line, json ? "\"" : "");
    for (int i = 0; i < n_fields; i++) {
        put_field(&line, &fields[i]);
    }
    if (json) {
        line.text[line.len++] = '}';
    }
    if (line_sink != NULL) {
        line.text[line.len] = '\0';
        line_sink(line_owner, line.text);
        return;
    }
    line.text[line.len++] = '\n';
    if (write(STDERR_FILENO, line.text, line.len) < 0) {
        return; /* nobody to tell */
    }
}
