/* Lines of an interactive watch:
 *
 *     watch [OPTIONS] KEY [RANGE_END] [-- COMMAND ARGS...]
 *     progress
 *     cancel N
 *
 * Events are handled on the library's thread, one at a time; this one reads lines. A line
 * that is wrong is told on stderr, and reading goes on. */
#include "cli/watch_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/txn_words.h"

struct line_watch {
    int number; /* 0: free */
    struct watching w;
    struct kvd_watch *watch;
};

struct lines {
    struct session *session;
    struct kvd_client *client;
    sigset_t mask;
    int last; /* number given */
    struct line_watch *watches[LIMIT_LINE_WATCHES];
};

static void on_news(void *owner, struct kvd_watch *watch, const struct kvd_news *news)
{
    struct line_watch *line = owner;
    struct err err = {0};

    (void)watch;
    if (watching_take(&line->w, news, &err) != EXIT_OK) {
        fprintf(stderr, "watch %d: %s\n", line->number, err.text);
    }
}

static struct line_watch **find_place(struct lines *lines, int number)
{
    for (size_t i = 0; i < ARRAY_LEN(lines->watches); i++) {
        struct line_watch *at = lines->watches[i];

        if (number == 0 ? at == NULL : at != NULL && at->number == number) {
            return &lines->watches[i];
        }
    }
    return NULL;
}

/* Once closed, no callback uses it. */
static void end_watch(struct line_watch **place)
{
    kvd_watch_close((*place)->watch);
    watching_close(&(*place)->w);
    free(*place);
    *place = NULL;
}

/* ---- the lines ---- */

static enum exit_code parse_watch(struct lines *lines, const char **words, size_t n,
                                  struct watching *w, struct err *err)
{
    struct arena *arena = &lines->session->arena;
    const char *const *command;
    const char **args;
    size_t n_args;
    void *options;
    enum exit_code code;

    if (command_take_child(words, &n, arena, &command, err) != 0 ||
        command_parse(&command_watch, NULL, words, n, arena, &options, &args, &n_args,
                      err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (((struct watch_options *)options)->state != NULL ||
        ((struct watch_options *)options)->interactive) {
        return command_fail(err, EXIT_ARGUMENTS, "--state and -i do not work on a line");
    }
    if (n_args == 0 || n_args > 2) {
        return command_fail(err, EXIT_ARGUMENTS, "watch needs a key");
    }
    code = watching_open(w, lines->session, options, args, n_args, err);
    w->command = command;
    w->mask = &lines->mask;
    w->show_progress = true;
    return code;
}

static enum exit_code do_watch(struct lines *lines, const char **words, size_t n,
                               struct err *err)
{
    struct line_watch **place = find_place(lines, 0);
    struct line_watch *line;
    struct kvd_error error = {0};
    enum exit_code code;
    int rc;

    if (place == NULL) {
        return command_fail(err, EXIT_ARGUMENTS, "there are %d watches already",
                            LIMIT_LINE_WATCHES);
    }
    line = mem_zero(sizeof(*line));
    code = parse_watch(lines, words, n, &line->w, err);
    if (code != EXIT_OK) {
        watching_close(&line->w);
        free(line);
        return code;
    }
    line->number = ++lines->last;
    line->w.watch.cb = on_news;
    line->w.watch.owner = line;
    rc =
        kvd_watch_open(lines->client, line->w.keys, &line->w.watch, &line->watch, &error);
    if (rc != 0) {
        watching_close(&line->w);
        free(line);
        return command_fail(err, session_kvd_exit_code(rc), "%s", error.text);
    }
    *place = line;
    fprintf(stderr, "watch %d\n", line->number);
    return EXIT_OK;
}

static enum exit_code do_progress(struct lines *lines)
{
    for (size_t i = 0; i < ARRAY_LEN(lines->watches); i++) {
        if (lines->watches[i] != NULL) {
            kvd_watch_ask_progress(lines->watches[i]->watch);
        }
    }
    return EXIT_OK;
}

static enum exit_code do_cancel(struct lines *lines, const char **words, size_t n,
                                struct err *err)
{
    int number = n == 1 ? atoi(words[0]) : 0;
    struct line_watch **place = number > 0 ? find_place(lines, number) : NULL;

    if (place == NULL) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "cancel needs the number of a watch, as it was printed");
    }
    end_watch(place);
    return EXIT_OK;
}

static int split(struct slice line, struct arena *arena, const char **words, size_t *n,
                 struct err *err)
{
    *n = 0;
    for (line = txn_skip_spaces(line); line.len > 0; line = txn_skip_spaces(line)) {
        struct slice word;
        char *text;
        int rc = txn_take_word(&line, arena, &word, err);

        if (rc != 0) {
            return rc;
        }
        if (*n == LIMIT_LINE_WORDS) {
            return err_set(err, ERR_INVALID, "more than %d words", LIMIT_LINE_WORDS);
        }
        text = arena_alloc(arena, word.len + 1);
        memcpy(text, word.ptr, word.len);
        text[word.len] = '\0';
        words[(*n)++] = text;
    }
    return 0;
}

static enum exit_code do_line(struct lines *lines, struct slice text, struct err *err)
{
    const char *words[LIMIT_LINE_WORDS];
    size_t n;

    if (split(text, &lines->session->arena, words, &n, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (n == 0) {
        return EXIT_OK;
    }
    if (strcmp(words[0], "watch") == 0) {
        return do_watch(lines, words + 1, n - 1, err);
    }
    if (strcmp(words[0], "progress") == 0) {
        return do_progress(lines);
    }
    if (strcmp(words[0], "cancel") == 0) {
        return do_cancel(lines, words + 1, n - 1, err);
    }
    return command_fail(err, EXIT_ARGUMENTS, "\"%s\" is none of watch, progress, cancel",
                        words[0]);
}

enum exit_code watch_lines(struct session *session, struct err *err)
{
    struct lines *lines = mem_zero(sizeof(*lines));
    enum exit_code code;
    char *text = NULL;
    size_t room = 0;
    ssize_t len;

    lines->session = session;
    pthread_sigmask(SIG_SETMASK, NULL, &lines->mask);
    code = session_kvd(session, &lines->client, err);
    while (code == EXIT_OK && (len = getline(&text, &room, stdin)) > 0) {
        struct err wrong = {0};

        if (do_line(lines, slice_of(text, (size_t)len), &wrong) != EXIT_OK) {
            fprintf(stderr, "%s\n", wrong.text);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(lines->watches); i++) {
        if (lines->watches[i] != NULL) {
            end_watch(&lines->watches[i]);
        }
    }
    free(text);
    free(lines);
    return code;
}
