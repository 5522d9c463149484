/* The words of a transaction's lines, and the lines that are operations: their words go
 * through the option tables of get, put and del. Fails on quotes without an end, on words
 * that these commands do not take, and on options that make no sense in a transaction. */
#include "cli/txn_words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/quote.h"
#include "cli/requests.h"
#include "cli/txn_text.h"

#define WORDS_MAX 64 /* of one operation */

struct slice txn_skip_spaces(struct slice s)
{
    while (s.len > 0 && isspace(s.ptr[0])) {
        s = txn_skip(s, 1);
    }
    return s;
}

int txn_take_word(struct slice *line, struct arena *arena, struct slice *word,
                  struct err *err)
{
    size_t len = 0;
    int rc;

    *line = txn_skip_spaces(*line);
    if (line->len > 0 && line->ptr[0] == '"') {
        rc = quote_read(*line, arena, word, &len, err);
        if (rc != 0) {
            return rc;
        }
    } else if (line->len > 0 && line->ptr[0] == '\'') {
        const uint8_t *end = memchr(line->ptr + 1, '\'', line->len - 1);

        if (end == NULL) {
            return err_set(err, ERR_INVALID, "no closing quote: %.*s", (int)line->len,
                           (const char *)line->ptr);
        }
        len = (size_t)(end - line->ptr) + 1;
        *word = slice_of(line->ptr + 1, len - 2);
    } else {
        while (len < line->len && !isspace(line->ptr[len])) {
            len++;
        }
        *word = slice_of(line->ptr, len);
    }
    *line = txn_skip(*line, len);
    return 0;
}

/* A word that an option parser cannot take as it is, since it holds a zero byte or,
 * quoted, begins with a dash, goes through it as this byte and the word's number. */
#define STAND_IN '\001'

struct words {
    struct slice words[WORDS_MAX];
    const char *texts[WORDS_MAX];
    size_t n;
};

static int split(struct slice line, struct arena *arena, struct words *out,
                 struct err *err)
{
    out->n = 0;
    for (line = txn_skip_spaces(line); line.len > 0; line = txn_skip_spaces(line)) {
        bool quoted = line.ptr[0] == '"' || line.ptr[0] == '\'';
        struct slice *word = &out->words[out->n];
        char *text;
        int rc;

        if (out->n == WORDS_MAX) {
            return err_set(err, ERR_INVALID, "more than %d words", WORDS_MAX);
        }
        rc = txn_take_word(&line, arena, word, err);
        if (rc != 0) {
            return rc;
        }
        text = arena_alloc(arena, word->len + 8);
        if (memchr(word->ptr, 0, word->len) != NULL ||
            (word->len > 0 &&
             (word->ptr[0] == STAND_IN || (quoted && word->ptr[0] == '-')))) {
            snprintf(text, 8, "%c%zu", STAND_IN, out->n);
        } else {
            memcpy(text, word->ptr, word->len);
            text[word->len] = '\0';
        }
        out->texts[out->n++] = text;
    }
    return 0;
}

static struct slice *resolve(const struct words *words, const char *const *args,
                             size_t n_args, struct arena *arena)
{
    struct slice *slices = slices_of_args(arena, args, n_args);

    for (size_t i = 0; i < n_args; i++) {
        if (args[i][0] == STAND_IN) {
            slices[i] = words->words[atoi(args[i] + 1)];
        }
    }
    return slices;
}

static int op_get(const void *values, const struct slice *args, size_t n_args,
                  struct arena *arena, Etcdserverpb__RequestOp **out, struct err *err)
{
    const struct get_options *options = values;
    Etcdserverpb__RangeRequest *get = arena_alloc(arena, sizeof(*get));
    int rc;

    if (options->must_exist) {
        return err_set(err, ERR_INVALID, "--must-exist does not work in a transaction");
    }
    rc = get_request(options, args, n_args, arena, get, err);
    if (rc == 0) {
        *out = op_of_get(arena, get);
    }
    return rc;
}

static int fence_misplaced(struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "a fence is for the whole transaction: kvctl txn --fence NAME:TOKEN");
}

static int op_put(const void *values, const struct slice *args, size_t n_args,
                  struct arena *arena, Etcdserverpb__RequestOp **out, struct err *err)
{
    const struct put_options *options = values;
    Etcdserverpb__PutRequest *put = arena_alloc(arena, sizeof(*put));
    int rc;

    if (options->file != NULL || conditions_given(&options->conditions)) {
        return err_set(err, ERR_INVALID,
                       "--file and conditions do not work in a transaction");
    }
    if (options->fence != NULL) {
        return fence_misplaced(err);
    }
    if (n_args == 1 && !options->ignore_value) {
        return err_set(err, ERR_INVALID, "put needs a value");
    }
    rc = put_request(options, args[0], n_args == 2 ? args[1] : slice_of(NULL, 0), put,
                     err);
    if (rc == 0) {
        *out = op_of_put(arena, put);
    }
    return rc;
}

static int op_del(const void *values, const struct slice *args, size_t n_args,
                  struct arena *arena, Etcdserverpb__RequestOp **out, struct err *err)
{
    const struct del_options *options = values;
    Etcdserverpb__DeleteRangeRequest *del = arena_alloc(arena, sizeof(*del));
    int rc;

    if (conditions_given(&options->conditions)) {
        return err_set(err, ERR_INVALID, "conditions do not work in a transaction");
    }
    if (options->fence != NULL) {
        return fence_misplaced(err);
    }
    rc = del_request(options, args, n_args, arena, del, err);
    if (rc == 0) {
        *out = op_of_del(arena, del);
    }
    return rc;
}

static const struct {
    const struct command *command;
    int (*make)(const void *options, const struct slice *args, size_t n_args,
                struct arena *arena, Etcdserverpb__RequestOp **out, struct err *err);
} ops[] = {{&command_get, op_get}, {&command_put, op_put}, {&command_del, op_del}};

int txn_text_op(struct slice line, struct arena *arena, Etcdserverpb__RequestOp **out,
                struct err *err)
{
    struct words words;
    const char **args;
    size_t n_args;
    void *options;
    int rc = split(line, arena, &words, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; words.n > 0 && i < ARRAY_LEN(ops); i++) {
        if (!txn_word_is(words.words[0], ops[i].command->name)) {
            continue;
        }
        rc = command_parse(ops[i].command, NULL, words.texts + 1, words.n - 1, arena,
                           &options, &args, &n_args, err);
        if (rc == 0) {
            rc = command_check_args(ops[i].command, n_args, err);
        }
        return rc != 0 ? rc
                       : ops[i].make(options, resolve(&words, args, n_args, arena),
                                     n_args, arena, out, err);
    }
    return err_set(err, ERR_INVALID, "\"%.*s\" is none of get, put, del",
                   words.n > 0 ? (int)words.words[0].len : 0,
                   words.n > 0 ? (const char *)words.words[0].ptr : "");
}
