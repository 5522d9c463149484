#include "tests/chaos/json_line.h"

#include <stdlib.h>

#include "base/mem.h"

#define DEPTH_MAX 8

struct reader {
    struct json_line *line;
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *begin;
};

void json_line_close(struct json_line *line)
{
    free(line->values);
    *line = (struct json_line){0};
}

static size_t add_value(struct reader *r, enum json_type type, struct slice name)
{
    struct json_line *line = r->line;

    if (line->n == line->room) {
        line->room = line->room > 0 ? line->room * 2 : 64;
        line->values = mem_grow(line->values, line->room * sizeof(*line->values));
    }
    line->values[line->n] = (struct json_value){.type = type, .name = name};
    return line->n++;
}

static bool take(struct reader *r, char c)
{
    if (r->at < r->end && *r->at == (uint8_t)c) {
        r->at++;
        return true;
    }
    return false;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) {
        return false;
    }
    r->at += len;
    return true;
}

static bool read_string(struct reader *r, struct slice *out)
{
    const uint8_t *from;

    if (!take(r, '"')) {
        return false;
    }
    from = r->at;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\' || *r->at < ' ') {
            return false;
        }
        r->at++;
    }
    *out = slice_of(from, (size_t)(r->at - from));
    return take(r, '"');
}

static bool read_number(struct reader *r, int64_t *out)
{
    bool negative = take(r, '-');
    uint64_t number = 0;
    const uint8_t *from = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        number = number * 10 + (*r->at - '0');
        r->at++;
    }
    *out = negative ? -(int64_t)number : (int64_t)number;
    return r->at > from && r->at - from < 20;
}

static bool read_value(struct reader *r, struct slice name, int depth);

static bool read_children(struct reader *r, bool named, char close, int depth)
{
    if (take(r, close)) {
        return true;
    }
    do {
        struct slice name = {0};

        if (named && (!read_string(r, &name) || !take(r, ':'))) {
            return false;
        }
        if (!read_value(r, name, depth + 1)) {
            return false;
        }
    } while (take(r, ','));
    return take(r, close);
}

static bool read_container(struct reader *r, struct slice name, int depth)
{
    bool named = *r->at++ == '{';
    size_t place = add_value(r, named ? JSON_OBJECT : JSON_ARRAY, name);
    bool right = depth < DEPTH_MAX && read_children(r, named, named ? '}' : ']', depth);

    r->line->values[place].end = r->line->n;
    return right;
}

static bool read_plain(struct reader *r, struct json_value *value)
{
    if (*r->at == '"') {
        value->type = JSON_TEXT;
        return read_string(r, &value->text);
    }
    if (take_word(r, "true")) {
        value->type = JSON_BOOL;
        value->number = 1;
        return true;
    }
    if (take_word(r, "false")) {
        value->type = JSON_BOOL;
        return true;
    }
    if (take_word(r, "null")) {
        value->type = JSON_NULL;
        return true;
    }
    value->type = JSON_NUMBER;
    return read_number(r, &value->number);
}

static bool read_value(struct reader *r, struct slice name, int depth)
{
    size_t place;

    if (r->at == r->end) {
        return false;
    }
    if (*r->at == '{' || *r->at == '[') {
        return read_container(r, name, depth);
    }
    place = add_value(r, JSON_NULL, name);
    r->line->values[place].end = place + 1;
    return read_plain(r, &r->line->values[place]);
}

int json_line_parse(struct json_line *line, struct slice bytes, struct err *err)
{
    struct reader r = {line, bytes.ptr, bytes.ptr + bytes.len, bytes.ptr};

    line->n = 0;
    if (!read_value(&r, slice_of(NULL, 0), 0) || r.at != r.end ||
        line->values[0].type != JSON_OBJECT) {
        return err_set(err, ERR_INVALID, "not a line of a history, from column %zu on",
                       (size_t)(r.at - r.begin) + 1);
    }
    return 0;
}

const struct json_value *json_first(const struct json_line *line,
                                    const struct json_value *container)
{
    size_t place = (size_t)(container - line->values);

    return container->end > place + 1 ? container + 1 : NULL;
}

const struct json_value *json_next(const struct json_line *line,
                                   const struct json_value *container,
                                   const struct json_value *child)
{
    return child->end < container->end ? &line->values[child->end] : NULL;
}

const struct json_value *json_field(const struct json_line *line,
                                    const struct json_value *object, const char *name)
{
    struct slice wanted = slice_str(name);

    for (const struct json_value *at = json_first(line, object); at != NULL;
         at = json_next(line, object, at)) {
        if (slice_eq(at->name, wanted)) {
            return at;
        }
    }
    return NULL;
}

int64_t json_number(const struct json_line *line, const char *name)
{
    const struct json_value *value = json_field(line, line->values, name);

    return value != NULL ? value->number : 0;
}

struct slice json_text(const struct json_line *line, const char *name)
{
    const struct json_value *value = json_field(line, line->values, name);

    return value != NULL ? value->text : slice_of("", 0);
}

bool json_is(const struct json_line *line, const char *name, const char *text)
{
    return slice_eq(json_text(line, name), slice_str(text));
}
