#include "tests/chaos/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PARTS 8 /* processes of a client: one for each key of a transaction */

/* A question or an answer. */
struct moment {
    uint64_t time;
    const struct op *op;
    uint64_t process;
    bool is_answer;
};

struct moments {
    struct moment *all;
    size_t n;
};

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;

    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    /* At one instant questions come first: the operations then overlap. */
    return (int)x->is_answer - (int)y->is_answer;
}

/* What other checkers understand: fresh, of the present, and of some effect. */
static bool takes_part(const struct op *op)
{
    if (op->serializable || op->at != 0 || op->outcome == OP_REFUSED) {
        return false;
    }
    return op->outcome == OP_DONE || (op->kind != OP_READ && op->kind != OP_GUARD);
}

/* A process whose operation has no answer asks nothing any more: the next one is another
 * process. */
static struct moments collect_moments(const struct story *story)
{
    const struct history *history = &story->history;
    struct moments moments = {.all =
                                  mem_alloc((2 * history->n + 1) * sizeof(*moments.all))};
    uint64_t *lives = mem_zero(STORY_PROCESSES_MAX * sizeof(*lives));
    uint32_t part = 0;

    for (size_t i = 0; i < history->n; i++) {
        const struct op *op = &history->ops[i];
        uint64_t process;

        part = i > 0 && op->group != 0 && op->group == op[-1].group ? part + 1 : 0;
        if (!takes_part(op)) {
            continue;
        }
        process = (lives[op->client] * STORY_PROCESSES_MAX + op->client) * PARTS + part;
        moments.all[moments.n++] = (struct moment){op->invoked, op, process, false};
        if (op->outcome == OP_DONE) {
            moments.all[moments.n++] = (struct moment){op->answered, op, process, true};
        } else {
            lives[op->client]++;
        }
    }
    free(lives);
    qsort(moments.all, moments.n, sizeof(*moments.all), by_time);
    return moments;
}

static int write_all(const struct story *story, const char *path,
                     void (*put)(FILE *file, const struct story *story,
                                 const struct moment *moment, size_t index),
                     struct err *err)
{
    FILE *file = fopen(path, "w");
    struct moments moments;
    bool failed;

    if (file == NULL) {
        return err_set(err, ERR_IO, "create %s: %s", path, strerror(errno));
    }
    moments = collect_moments(story);
    for (size_t i = 0; i < moments.n; i++) {
        put(file, story, &moments.all[i], i);
    }
    free(moments.all);
    failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? err_set(err, ERR_IO, "write %s: %s", path, strerror(errno)) : 0;
}

static void put_key(FILE *file, const struct story *story, const struct op *op)
{
    struct slice name = chronicle_name(&story->chronicle, op->key);

    fprintf(file, "\"%.*s\"", (int)name.len, (const char *)name.ptr);
}

/* ---- Porcupine ---- */

static bool writes(const struct op *op)
{
    return op->kind == OP_WRITE || op->kind == OP_DELETE ||
           (op->kind == OP_CAS && (op->succeeded || op->outcome != OP_DONE));
}

static void put_porcupine(FILE *file, const struct story *story,
                          const struct moment *moment, size_t index)
{
    const struct op *op = moment->op;
    bool put = writes(op);
    /* A guard that succeeded saw what it expected. */
    uint64_t value = put                                     ? op_value_after(op)
                     : op->kind == OP_GUARD && op->succeeded ? op->expected
                                                             : op->seen;

    (void)index;
    fprintf(file, "{:process %" PRIu64 ", :type :%s, :f :%s, :key ", moment->process,
            moment->is_answer ? "ok" : "invoke", put ? "put" : "get");
    put_key(file, story, op);
    if (!put && !moment->is_answer) {
        fprintf(file, ", :value nil}\n");
    } else if (value == 0) {
        fprintf(file, ", :value \"\"}\n");
    } else {
        fprintf(file, ", :value \"%" PRIu64 "\"}\n", value);
    }
}

int export_porcupine(const struct story *story, const char *path, struct err *err)
{
    return write_all(story, path, put_porcupine, err);
}

/* ---- Jepsen ---- */

static void put_value(FILE *file, uint64_t value)
{
    if (value == 0) {
        fprintf(file, "nil");
    } else {
        fprintf(file, "%" PRIu64, value);
    }
}

static const char *jepsen_function(const struct op *op)
{
    switch (op->kind) {
    case OP_WRITE:
    case OP_DELETE:
        return "write";
    case OP_CAS:
        /* Without a condition of its own it wrote, or read what others then found. */
        return !op->unconditional ? "cas" : writes(op) ? "write" : "read";
    case OP_READ:
    case OP_GUARD:
    case OP_NKINDS:
        break;
    }
    return "read";
}

static void put_jepsen(FILE *file, const struct story *story, const struct moment *moment,
                       size_t index)
{
    const struct op *op = moment->op;
    const char *function = jepsen_function(op);
    bool cas = strcmp(function, "cas") == 0;
    bool failed = moment->is_answer && cas && !op->succeeded;

    fprintf(file,
            "{:index %zu, :time %" PRIu64 ", :process %" PRIu64 ", :type :%s, :f :%s, "
            ":value [",
            index, moment->time, moment->process,
            !moment->is_answer ? "invoke"
            : failed           ? "fail"
                               : "ok",
            function);
    put_key(file, story, op);
    fputc(' ', file);
    if (cas) {
        fputc('[', file);
        put_value(file, op->expected);
        fputc(' ', file);
        put_value(file, op->value);
        fputc(']', file);
    } else if (strcmp(function, "write") == 0) {
        put_value(file, op_value_after(op));
    } else {
        put_value(file, !moment->is_answer                      ? 0
                        : op->kind == OP_GUARD && op->succeeded ? op->expected
                                                                : op->seen);
    }
    fprintf(file, "]}\n");
}

int export_jepsen(const struct story *story, const char *path, struct err *err)
{
    return write_all(story, path, put_jepsen, err);
}
