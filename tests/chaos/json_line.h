/* A line of a history, taken apart: the JSON that record.c writes (whole numbers, no
 * escapes in strings). A value's place is an index; a container's children follow it. */
#ifndef KVD_CHAOS_JSON_LINE_H
#define KVD_CHAOS_JSON_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    struct slice name; /* of a field; points into the line, as text does */
    struct slice text;
    int64_t number; /* also of a bool: 0 or 1 */
    size_t end;     /* place behind it and all in it */
};

struct json_line {
    struct json_value *values; /* the first is the object itself */
    size_t n;
    size_t room; /* private */
};

void json_line_close(struct json_line *line);

/* Reuses the line's memory. ERR_INVALID: it is not an object of that kind. */
int json_line_parse(struct json_line *line, struct slice bytes, struct err *err);

/* A field of an object, or NULL. */
const struct json_value *json_field(const struct json_line *line,
                                    const struct json_value *object, const char *name);

/* The children of a container in order; NULL behind the last one. */
const struct json_value *json_first(const struct json_line *line,
                                    const struct json_value *container);
const struct json_value *json_next(const struct json_line *line,
                                   const struct json_value *container,
                                   const struct json_value *child);

/* Of fields of the line itself; 0 and "" when they are not there. */
int64_t json_number(const struct json_line *line, const char *name);
struct slice json_text(const struct json_line *line, const char *name);
bool json_is(const struct json_line *line, const char *name, const char *text);

#endif
