/* Words of a transaction's line; used by txn_text.c. */
#ifndef KVD_CLI_TXN_WORDS_H
#define KVD_CLI_TXN_WORDS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

static inline struct slice txn_skip(struct slice line, size_t n)
{
    return slice_of(line.ptr + n, line.len - n);
}

struct slice txn_skip_spaces(struct slice line);

/* Takes the next word off the line: quoted, or up to the next space. ERR_INVALID. */
int txn_take_word(struct slice *line, struct arena *arena, struct slice *word,
                  struct err *err);

static inline bool txn_word_is(struct slice word, const char *text)
{
    return slice_eq(word, slice_str(text));
}

#endif
