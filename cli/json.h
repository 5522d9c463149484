/* A JSON writer that streams: values go out as they come, so that a large result is never
 * held in memory, and 64-bit ids keep all their digits. Cannot fail; the caller looks at
 * ferror(out) at the end. */
#ifndef KVD_CLI_JSON_H
#define KVD_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

struct json {
    FILE *out;
    bool comma; /* private: the next element needs one before it */
};

void json_open_object(struct json *j);
void json_close_object(struct json *j);
void json_open_array(struct json *j);
void json_close_array(struct json *j);

/* The name of the value that follows. */
void json_name(struct json *j, const char *name);

/* text must be UTF-8. */
void json_text(struct json *j, struct slice text);
void json_base64(struct json *j, struct slice bytes);
void json_int(struct json *j, int64_t value);
void json_uint(struct json *j, uint64_t value);
void json_bool(struct json *j, bool value);
void json_none(struct json *j); /* null */

#endif
