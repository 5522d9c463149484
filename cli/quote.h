/* Bytes as text: the quoting that etcdctl prints in its `fields` format and reads in
 * transactions (Go's "%q"), the \x61 notation of --hex, and the test for UTF-8. */
#ifndef KVD_CLI_QUOTE_H
#define KVD_CLI_QUOTE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/* Length of the UTF-8 character at the start of bytes, its code point in rune; 0 when the
 * bytes are not UTF-8 (overlong, surrogate, cut) or empty. */
size_t utf8_decode(struct slice bytes, uint32_t *rune);
bool utf8_valid(struct slice bytes);

/* Writes bytes between double quotes, what is not printable as escapes. */
void quote_write(FILE *out, struct slice bytes);

/* Writes each byte as \x61. */
void quote_write_hex(FILE *out, struct slice bytes);

/* Reads a quoted text at the start of line: *len is how much of it was used. The bytes
 * live in the arena. ERR_INVALID names what is wrong. */
int quote_read(struct slice line, struct arena *arena, struct slice *bytes, size_t *len,
               struct err *err);

#endif
